"""Tensors' bytes from a checkpoint straight into memory, at the speed of the disk.

`allocate` makes the memory and `read_into` fills it. A tensor that keeps its type is read by offset into its own
memory; one that changes type or lives on another device passes through a small buffer per reader, so loading never
needs more than the loaded bytes plus a few megabytes.

Once a file is in the system's cache, the cost of loading is not the copy but the first touch of every fresh page:
with 4 KiB pages that alone is about ten times the copy. Two things bring it down, on Linux: one mapping for all
tensors with huge pages asked for, and two readers, because the kernel clears and fills pages on the thread that asked.
`tests/benchmarks/checkpoint_load.py` measures both this and the peak.
"""

import mmap
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from engine.errors import CheckpointError, OutOfMemory
from engine.model.quantised import UNPACKED_DTYPES, unpack_fp8
from engine.weights.checkpoint import BYTES_PER_ELEMENT, FETCH_AGAIN, Checkpoint

TORCH_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
}
PIECE_BYTES = 2 * 2**20  # one read: a huge page is cleared and filled while it is in the processor's cache
NUM_READERS = 2  # raw reads into fresh huge pages, two quiet cores: 1 reader 10 GiB/s, 2 readers 15, 4 readers no more
ALIGNMENT_BYTES = 64  # a cache line, and the widest vector registers
_SUPPORTS_HUGE_PAGES = hasattr(mmap, "MADV_HUGEPAGE")
AnyName = TypeVar("AnyName")


@dataclass(frozen=True)
class TensorSpec:
    """The type and shape of a tensor to allocate."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def allocate(specs: Mapping[str, TensorSpec], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Uninitialised tensors. On Linux's CPU they share one mapping, which is freed with the last of them.

    Raises OutOfMemory when the system refuses the mapping.
    """
    if torch.device(device).type != "cpu" or not _SUPPORTS_HUGE_PAGES:
        return {name: torch.empty(spec.shape, dtype=spec.dtype, device=device) for name, spec in specs.items()}
    offsets, num_bytes = lay_out(specs)
    memory = _map_memory(num_bytes)
    return {name: _carve(memory, offsets[name], spec) for name, spec in specs.items()}


def allocate_bytes(num_bytes: int, device: torch.device | str = "cpu") -> Tensor:
    """Uninitialised memory that tensors are laid out in, (num_bytes,) uint8. Raises OutOfMemory as `allocate` does."""
    if torch.device(device).type != "cpu" or not _SUPPORTS_HUGE_PAGES:
        return torch.empty(num_bytes, dtype=torch.uint8, device=device)
    return _carve(_map_memory(num_bytes), 0, TensorSpec(torch.uint8, (num_bytes,)))


def lay_out(specs: Mapping[AnyName, TensorSpec]) -> tuple[dict[AnyName, int], int]:
    """Where each tensor starts when they lie one after another, and where they end; all aligned, in bytes."""
    offsets: dict[AnyName, int] = {}
    end = 0
    for name, spec in specs.items():
        offsets[name] = end
        end += -(-spec.num_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return offsets, end


def _map_memory(num_bytes: int) -> mmap.mmap:
    try:
        memory = mmap.mmap(-1, max(num_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise OutOfMemory("loading weights", remedy="Close other programs, or let weights stream from disk.") from error
    with suppress(OSError):  # a kernel built without huge pages: the memory is as good, only slower to touch
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _carve(memory: mmap.mmap, offset: int, spec: TensorSpec) -> Tensor:
    count = prod(spec.shape)
    if count == 0:
        return torch.empty(spec.shape, dtype=spec.dtype)
    return torch.frombuffer(memory, dtype=spec.dtype, count=count, offset=offset).view(spec.shape)


def read_into(
    checkpoint: Checkpoint,
    targets: Mapping[str, Tensor],
    *,
    multipliers: Mapping[str, float] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Fill contiguous tensors, keyed by their name in the file, in place; any dtype, any device.

    Values are converted to the target's dtype. A name in `multipliers` has its values multiplied by that number in
    fp32 and rounded once. Once `is_cancelled` the reading stops, and what the targets hold is undefined. Raises
    CheckpointError when the file is shorter than its header said or cannot be read.
    """
    pieces = deque(_pieces(checkpoint, targets, multipliers or {}))

    def read_pieces() -> None:
        with _Reader() as reader, torch.no_grad():  # grad mode is a property of the thread
            try:
                while pieces and not is_cancelled():
                    try:
                        piece = pieces.popleft()
                    except IndexError:  # the other reader took the last one
                        return
                    reader.read(piece)
            finally:
                pieces.clear()  # empty already, unless this reader failed: then the other one stops too

    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="weights") as pool:
        readers = [pool.submit(read_pieces) for _ in range(NUM_READERS)]
        try:
            for reader in readers:
                reader.result()
        finally:
            pieces.clear()


@dataclass(frozen=True)
class _Piece:
    """A run of whole elements of one tensor."""

    path: Path
    offset: int  # bytes
    num_bytes: int
    dtype: torch.dtype  # in the file
    target: Tensor  # flat
    multiplier: float | None

    @property
    def is_direct(self) -> bool:
        return self.target.dtype == self.dtype and self.target.device.type == "cpu" and self.multiplier is None


def _pieces(
    checkpoint: Checkpoint, targets: Mapping[str, Tensor], multipliers: Mapping[str, float]
) -> Iterator[_Piece]:
    """All targets in the order of the file, cut to at most PIECE_BYTES."""

    def place(name: str) -> tuple[Path, int]:
        return checkpoint.tensors[name].path, checkpoint.tensors[name].start

    for name in sorted(targets, key=place):
        entry, target = checkpoint.tensors[name], targets[name].detach()
        assert target.is_contiguous(), name
        assert tuple(target.shape) == entry.shape, (name, target.shape, entry.shape)
        flat = target.view(-1)
        element_bytes = BYTES_PER_ELEMENT[entry.dtype]
        for start in range(entry.start, entry.stop, PIECE_BYTES):
            stop = min(start + PIECE_BYTES, entry.stop)
            elements = slice((start - entry.start) // element_bytes, (stop - entry.start) // element_bytes)
            dtype = TORCH_DTYPES[entry.dtype]
            yield _Piece(entry.path, start, stop - start, dtype, flat[elements], multipliers.get(name))


class _Reader:
    """One thread's file handles, and its buffer for pieces that cannot be read in place."""

    def __init__(self) -> None:
        self._files: dict[Path, FileIO] = {}
        self._stack = ExitStack()
        self._buffer: Tensor | None = None

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, piece: _Piece) -> None:
        if piece.is_direct:
            self._fill(piece, piece.target.view(torch.uint8))
            return
        if self._buffer is None:
            self._buffer = torch.empty(PIECE_BYTES, dtype=torch.uint8)
        raw = self._buffer[: piece.num_bytes]
        self._fill(piece, raw)
        values = raw.view(piece.dtype)
        if piece.dtype == torch.float8_e4m3fn and piece.target.is_cpu and piece.target.dtype in UNPACKED_DTYPES:
            piece.target.copy_(unpack_fp8(values, piece.multiplier or 1.0, piece.target.dtype))
            return
        if piece.target.device.type == "cuda":  # the narrow type crosses the bus, and the GPU converts faster
            values = values.to(piece.target.device)
        elif piece.target.device.type != "cpu":  # not every device knows FP8
            values = values.to(piece.target.dtype)
        piece.target.copy_(values)
        if piece.multiplier is not None:
            # One rounding: every FP8 value is exact in the wider types, and torch multiplies by a scalar in fp32.
            piece.target.mul_(piece.multiplier)

    def _fill(self, piece: _Piece, raw: Tensor) -> None:
        view = raw.numpy().data
        position = 0
        try:
            file = self._files.get(piece.path)
            if file is None:
                file = self._files[piece.path] = self._stack.enter_context(FileIO(piece.path))
            file.seek(piece.offset)
            while position < len(view):
                count = file.readinto(view[position:])
                if not count:
                    break
                position += count
        except OSError as error:
            raise CheckpointError(
                piece.path, f"cannot be read: {error.strerror}.", remedy="Check the disk it lies on."
            ) from error
        if position < len(view):
            raise CheckpointError(
                piece.path, f"ends before byte {piece.offset + piece.num_bytes}; it changed.", remedy=FETCH_AGAIN
            )
