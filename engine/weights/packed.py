"""Eight-bit copies of a network's weights, made once and kept in the cache folder.

A copy is a safetensors file with the keys of the checkpoint it was made from, so it is read like any checkpoint. Its
tensors lie block by block, each block in one run, in the order in which a sweep over the blocks reads them. Only the
large matrices inside the blocks are quantised: those of attention and feed-forward, which are 99 % of a block. Gates,
norms, biases, tables and everything outside the blocks stay as they are.

Beside it lies a small record of what it was made from, and of what it was when it was complete. A copy whose record
is missing or does not describe the checkpoint of today is made again, and so is one that is no longer what was
written. One that only looks different, because it was moved with its folder, is known by its hash.

Which matrices: the policy of Lightricks/LTX-2 (commit 400fd31) for FP8; in Gemma, what corresponds to them.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import CheckpointError, StorageFull
from engine.folders import cache_folder
from engine.model.quantised import quantise_fp8, quantise_int8
from engine.weights import fp8
from engine.weights.checkpoint import Checkpoint
from engine.weights.int8 import SCALE_SUFFIX
from engine.weights.keymap import SCALE_SUFFIXES
from engine.weights.lock import try_lock
from engine.weights.reading import TORCH_DTYPES, TensorSpec, read_into
from engine.weights.residency import Precision
from engine.weights.writing import OrderedWriter, writing_in_order

logger = logging.getLogger("engine.weights")

FORMAT = 1  # of the copies; another number makes all of them stale
QUANTISED = re.compile(
    r"transformer_blocks\.\d+\..+\.(to_q|to_k|to_v|to_out\.0|net\.0\.proj|net\.2)\.weight"
    r"|layers\.\d+\..+\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)\.weight"
)
_BLOCK = re.compile(r"(?:transformer_blocks|layers)\.(\d+)\.")
_SPARE_BYTES = 2**30  # left free on the disk when a copy is made


def packed_checkpoint(
    checkpoint: Checkpoint, entries: Mapping[str, str], precision: Precision
) -> Generator[float, None, Checkpoint]:
    """A checkpoint that holds a component's `entries` (module key -> key in the file) in this precision.

    That is the given one where there is nothing to convert, else its copy; while the copy is made, the fraction done
    is yielded after every tensor, and closing the generator leaves nothing behind. Raises CheckpointError and
    StorageFull.
    """
    entries = {key: file_key for key, file_key in entries.items() if not key.endswith(SCALE_SUFFIXES)}
    if not _needs_packing(checkpoint, entries, precision):
        return checkpoint
    packing = _Packing(checkpoint, entries, precision)
    path = packing.path
    kept = _open_kept(path, packing.identity)
    if kept is not None:
        return kept
    logger.info("%s is converted to %s in %s", checkpoint.path, precision.value, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with try_lock(path.with_suffix(".lock")) as is_locked:
            if not is_locked:
                raise CheckpointError(
                    path, "is being written by another process.", remedy="Wait until it is done, then try again."
                )
            yield from packing.make()
    except OSError as error:
        raise CheckpointError(
            path, f"cannot be written: {error.strerror or error}.", remedy="Free space, or choose the precision bf16."
        ) from error
    return Checkpoint.open(path)


def _needs_packing(checkpoint: Checkpoint, entries: Mapping[str, str], precision: Precision) -> bool:
    """Whether no eight-bit file of this kind is given already; an official FP8 file is taken as it is."""
    if precision is Precision.PLAIN:
        return False
    dtypes = {checkpoint.tensors[key].dtype for module_key, key in entries.items() if QUANTISED.fullmatch(module_key)}
    return bool(dtypes) and not (precision is Precision.FP8 and fp8.E4M3 in dtypes)


@dataclass(frozen=True)
class _Item:
    """One tensor of the checkpoint on its way into the copy."""

    key: str  # in both files
    spec: TensorSpec  # as it is read
    is_quantised: bool


class _Packing:
    """What goes into a copy, in which order."""

    def __init__(self, checkpoint: Checkpoint, entries: Mapping[str, str], precision: Precision) -> None:
        self._checkpoint = checkpoint
        self._precision = precision
        found = fp8.discover(checkpoint, entries)
        scales = fp8.read_scales(checkpoint, found)
        self._multipliers = {
            tensor.key: scales[tensor.weight_scale] for tensor in found.values() if tensor.weight_scale
        }
        self._items = [self._item(entries[key], key) for key in sorted(entries, key=self._order(entries))]
        self.specs = dict(spec for item in self._items for spec in self._written(item))
        self.identity = _identity(checkpoint, entries, precision)

    @property
    def path(self) -> Path:
        sources = sorted(str(path.resolve()) for path in {entry.path for entry in self._checkpoint.tensors.values()})
        digest = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]
        return cache_folder() / "weights" / f"{self._checkpoint.path.stem}-{self._precision.value}-{digest}.safetensors"

    def make(self) -> Generator[float, None, None]:
        """Write the copy and its record, in place of outdated ones; yields the fraction done. Raises OSError."""
        for outdated in (_record_path(self.path), self.path):
            outdated.unlink(missing_ok=True)
        self._check_room()
        with writing_in_order(self.path, self.specs, self._checkpoint.metadata) as writer:
            yield from self._write(writer)
        _keep(self.path, self.identity, writer.sha256)

    def _check_room(self) -> None:
        needed = sum(spec.num_bytes for spec in self.specs.values()) + _SPARE_BYTES
        free = shutil.disk_usage(self.path.parent).free
        if free < needed:
            raise StorageFull(
                self.path,
                f"the {self._precision.value} copy of this model needs {needed / 2**30:.1f} GiB on this disk, and "
                f"{free / 2**30:.1f} GiB are free.",
                remedy="Free space, or choose the precision bf16.",
            )

    def _write(self, writer: OrderedWriter) -> Generator[float, None, None]:
        """Read, convert and write one tensor after another."""
        total = sum(item.spec.num_bytes for item in self._items)
        done = 0
        for item in self._items:
            tensor = torch.empty(item.spec.shape, dtype=item.spec.dtype)
            multipliers = {key: value for key, value in self._multipliers.items() if key == item.key}
            read_into(self._checkpoint, {item.key: tensor}, multipliers=multipliers)
            for (name, _), value in zip(self._written(item), self._converted(item, tensor), strict=True):
                writer.write(name, value)
            done += item.spec.num_bytes
            yield done / total

    @staticmethod
    def _order(entries: Mapping[str, str]) -> Callable[[str], tuple[int, str]]:
        """What is in no block first, then block by block."""

        def order(module_key: str) -> tuple[int, str]:
            block = _BLOCK.match(module_key)
            return int(block[1]) if block else -1, entries[module_key]

        return order

    def _item(self, key: str, module_key: str) -> _Item:
        entry = self._checkpoint.tensors[key]
        is_quantised = QUANTISED.fullmatch(module_key) is not None
        dtype = TORCH_DTYPES[entry.dtype]
        if is_quantised:
            dtype = torch.float32
        elif entry.dtype in fp8.FP8_DTYPES:  # multiplied out: its scale does not go with it
            dtype = torch.bfloat16
        return _Item(key, TensorSpec(dtype, entry.shape), is_quantised)

    def _written(self, item: _Item) -> list[tuple[str, TensorSpec]]:
        if not item.is_quantised:
            return [(item.key, item.spec)]
        is_fp8, shape = self._precision is Precision.FP8, item.spec.shape
        scale_key = item.key.removesuffix(".weight") + SCALE_SUFFIX
        return [
            (scale_key, TensorSpec(torch.float32, () if is_fp8 else shape[:1])),
            (item.key, TensorSpec(torch.float8_e4m3fn if is_fp8 else torch.int8, shape)),
        ]

    def _converted(self, item: _Item, tensor: Tensor) -> list[Tensor]:
        if not item.is_quantised:
            return [tensor]
        if self._precision is Precision.FP8:
            values, scale = quantise_fp8(tensor)
            return [torch.tensor(scale), values]
        values, scales = quantise_int8(tensor)
        return [scales, values]


def _identity(checkpoint: Checkpoint, entries: Mapping[str, str], precision: Precision) -> dict[str, Any]:
    """What a copy is made from and how; JSON."""
    header = sorted(
        (module_key, key, entry.path.name, entry.dtype, entry.shape, entry.start)
        for module_key, key in entries.items()
        for entry in (checkpoint.tensors[key],)
    )
    paths = sorted({entry.path for entry in checkpoint.tensors.values()})
    stats = [(path, path.stat()) for path in paths]
    return {
        "format": FORMAT,
        "precision": precision.value,
        "files": [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in stats],
        "header": hashlib.sha256(json.dumps([header, dict(checkpoint.metadata)]).encode()).hexdigest(),
    }


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _keep(path: Path, identity: Mapping[str, Any], sha256: str) -> None:
    """Record what the complete copy is. Raises OSError."""
    stat = path.stat()
    record = {"source": identity, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha256}
    partial = path.with_suffix(".json.part")
    partial.write_text(json.dumps(record), encoding="utf-8")
    partial.replace(_record_path(path))


def _open_kept(path: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """The copy, if it was made from this and is what was written."""
    try:
        record = json.loads(_record_path(path).read_text(encoding="utf-8"))
        stat = path.stat()
        if record["source"] != identity or record["bytes"] != stat.st_size:
            return None
        if record["mtime_ns"] != stat.st_mtime_ns:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                    logger.warning("%s is not what was written; it is made again", path)
                    return None
            _keep(path, identity, record["sha256"])
        return Checkpoint.open(path)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError):
        return None  # not there, or damaged: made again
