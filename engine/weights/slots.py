"""The memory that passing blocks lie in, and how a block gets there from its file or from main memory.

A `Parcel` is what travels together. A `Slot` is the place of one block on the device: parcels are put into it on the
reading thread (`fill`), then it serves the computing one (`begin_use` to `end_use`). The CPU reads its parcels from
the file straight into the slot, and so does an Apple GPU, through the few megabytes of each reader. A CUDA GPU gets
them by a copy of its own, beside its computing: out of page-locked main memory, filled once or, when there is too
little of it, from the file each time. Nobody waits for the GPU but the GPU: events order copies and computing.

Source of page-locking by registration (PyTorch's own allocator rounds every block up to a power of two) and of what a
refused registration leaves behind: Lightricks/LTX-2, commit 400fd31, and its desktop app.
"""

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import TensorSpec, allocate_bytes, lay_out, read_into

logger = logging.getLogger("engine.weights")

Place = tuple[object, str]  # the attribute, of an object, that holds a tensor


@dataclass(frozen=True)
class Source:
    """The tensor of a file that belongs in a place, and what becomes of it there."""

    key: str  # in the file
    spec: TensorSpec
    multiplier: float | None = None


def _always() -> bool:
    return True


class Parcel:
    """Tensors that travel together: the weights of a block, or what a LoRA adds to them."""

    def __init__(
        self, checkpoint: Checkpoint, sources: Mapping[Place, Source], is_needed: Callable[[], bool] = _always
    ) -> None:
        self.is_needed = is_needed  # asked at the start of every sweep
        self.in_ram: PinnedMemory | None = None
        self._checkpoint = checkpoint
        self._sources = sources
        self._offsets, self.num_bytes = lay_out({place: source.spec for place, source in sources.items()})
        self._emptied = {place: getattr(*place) for place in sources}

    def read(self, memory: Tensor, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """From the file into `memory` (num_bytes,) uint8, on any device. Raises CheckpointError."""
        tensors = self._tensors(memory)
        targets = {source.key: tensors[place] for place, source in self._sources.items()}
        multipliers = {
            source.key: source.multiplier for source in self._sources.values() if source.multiplier is not None
        }
        read_into(self._checkpoint, targets, multipliers=multipliers, is_cancelled=is_cancelled)

    def keep_in_ram(self) -> None:
        """Read it once, into memory that a CUDA GPU copies from by itself. Raises CheckpointError and OutOfMemory."""
        self.in_ram = PinnedMemory(self.num_bytes)
        self.read(self.in_ram.memory)

    def bind(self, memory: Tensor) -> None:
        """Let every place hold its part of `memory`."""
        for (owner, name), tensor in self._tensors(memory).items():
            is_parameter = isinstance(getattr(owner, name), nn.Parameter)
            setattr(owner, name, nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor)

    def unbind(self) -> None:
        """Let every place hold what it held at first: nothing that could be computed with."""
        for (owner, name), value in self._emptied.items():
            setattr(owner, name, value)

    def _tensors(self, memory: Tensor) -> dict[Place, Tensor]:
        return {
            place: memory[self._offsets[place] :][: source.spec.num_bytes]
            .view(source.spec.dtype)
            .view(source.spec.shape)
            for place, source in self._sources.items()
        }


class Slot:
    """Memory for one block on a device that readers write to directly."""

    def __init__(self, num_bytes: int, device: torch.device) -> None:
        self.memory = allocate_bytes(num_bytes, device)

    @property
    def ram_bytes(self) -> int:
        """Main memory it takes."""
        return self.memory.nbytes if self.memory.is_cpu else 0

    def fill(self, parcels: Sequence[Parcel], is_cancelled: Callable[[], bool]) -> None:
        """Put parcels one after another into the slot. Raises CheckpointError."""
        for parcel, memory in portions(parcels, self.memory):
            parcel.read(memory, is_cancelled)

    def begin_use(self) -> None:
        """What is computed from now on may read the slot."""

    def end_use(self) -> None:
        """What was computed until now was the last to read the slot."""


class CudaSlot(Slot):
    """Memory for one block on a CUDA GPU, with as much page-locked memory where parcels come from files."""

    def __init__(self, num_bytes: int, device: torch.device, copies: torch.cuda.Stream, *, needs_staging: bool) -> None:
        super().__init__(num_bytes, device)
        self._device = device
        self._copies = copies
        self._staging = PinnedMemory(num_bytes) if needs_staging else None
        self._copied, self._used = torch.cuda.Event(), torch.cuda.Event()
        self.end_use()  # the memory may have been another tensor's until now

    @property
    def ram_bytes(self) -> int:
        return 0 if self._staging is None else self._staging.memory.nbytes

    def fill(self, parcels: Sequence[Parcel], is_cancelled: Callable[[], bool]) -> None:
        if self._staging is not None:
            self._copied.synchronize()  # the copy before may still be reading it
            for parcel, memory in portions(parcels, self._staging.memory):
                parcel.read(memory, is_cancelled)
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(self._used)
            if self._staging is not None:
                num_bytes = sum(parcel.num_bytes for parcel in parcels)
                self.memory[:num_bytes].copy_(self._staging.memory[:num_bytes], non_blocking=True)
            else:
                for parcel, memory in portions(parcels, self.memory):
                    assert parcel.in_ram is not None
                    memory.copy_(parcel.in_ram.memory, non_blocking=True)
            self._copied.record(self._copies)

    def begin_use(self) -> None:
        torch.cuda.current_stream(self._device).wait_event(self._copied)

    def end_use(self) -> None:
        self._used.record(torch.cuda.current_stream(self._device))


def portions(parcels: Sequence[Parcel], memory: Tensor) -> Iterator[tuple[Parcel, Tensor]]:
    """Each parcel with its part of a slot's memory."""
    start = 0
    for parcel in parcels:
        yield parcel, memory[start : start + parcel.num_bytes]
        start += parcel.num_bytes


class PinnedMemory:
    """Main memory that a CUDA GPU copies from by itself; where the system refuses to lock it, ordinary memory."""

    def __init__(self, num_bytes: int) -> None:
        self.memory = allocate_bytes(num_bytes)
        address = self.memory.data_ptr()
        if int(_cuda_runtime().cudaHostRegister(address, num_bytes, 0)) == 0:
            weakref.finalize(self, _unregister, address).atexit = False  # the end of the process frees it too
            return
        logger.warning("%d MiB of main memory could not be locked; copies from it are slower", num_bytes >> 20)
        with suppress(RuntimeError):  # the refusal is reported once more, by whatever asks the GPU for something next
            torch.zeros((), device="cuda")


def _unregister(address: int) -> None:
    torch.cuda.synchronize()  # a copy may still be reading it
    _cuda_runtime().cudaHostUnregister(address)


def _cuda_runtime() -> Any:
    return torch.cuda.cudart()
