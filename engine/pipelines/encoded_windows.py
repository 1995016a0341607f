"""Windows of clips as latents on disk, so that the next take of a window does not encode it again.

An entry is found by everything its numbers depend on: the clip's and the model's file, the window, the sizes, and how
they are computed. As with prompt embeddings, an entry that cannot be read is as good as none, one that cannot be
written is no error, and the least recently used go when there are too many.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.folders import cache_folder
from engine.pipelines.edit_values import WorkWindow
from engine.pipelines.session import Session
from engine.types import Size
from engine.weights.checkpoint import Checkpoint
from engine.weights.embeddings import identity
from engine.weights.reading import TORCH_DTYPES, read_into
from engine.weights.writing import write_tensors

logger = logging.getLogger("engine.run")

FORMAT = 1
MOST_BYTES = 2**30
_NAME = "video"


@dataclass(frozen=True)
class WindowEntry:
    """One window in the cache folder, a file for each size."""

    key: str

    def find(self, sizes: Sequence[Size]) -> dict[Size, Tensor]:
        """Latents (1, C, F, H, W) on the CPU, for those sizes that are there."""
        found: dict[Size, Tensor] = {}
        for size in sizes:
            path = self._path(size)
            with suppress(CheckpointError, KeyError, ValueError):
                checkpoint = Checkpoint.open(path)
                fact = checkpoint.tensors[_NAME]
                tensors = {_NAME: torch.empty(fact.shape, dtype=TORCH_DTYPES[fact.dtype])}
                read_into(checkpoint, tensors)
                found[size] = tensors[_NAME]
                with suppress(OSError):
                    os.utime(path)
        return found

    def keep(self, size: Size, latent: Tensor) -> None:
        path = self._path(size)
        mine = path.with_name(f"{path.stem}-{secrets.token_hex(4)}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tensors(mine, {_NAME: latent.cpu().contiguous()}, {})
            mine.replace(path)
            _forget(path.parent)
        except OSError as error:
            logger.warning("an encoded window was not kept: %s", error)
        finally:
            with suppress(OSError):
                mine.unlink(missing_ok=True)

    def _path(self, size: Size) -> Path:
        return cache_folder() / "windows" / f"{self.key}-{size}.safetensors"


def entry(session: Session, window: WorkWindow, num_frames: int) -> WindowEntry:
    """Where the first `num_frames` frames of a window are kept."""
    plan, placement = session.plan, session.store.placement
    assert plan.edit is not None
    values = [
        FORMAT,
        identity([plan.edit.source.path, session.files.checkpoint]),
        (window.start, num_frames),
        (str(plan.edit.fit.content), str(plan.edit.fit.work)),
        (repr(plan.policy.tiling), str(placement.dtype), placement.device.type),
    ]
    return WindowEntry(hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32])


def _forget(folder: Path) -> None:
    entries = [(path.stat(), path) for path in folder.glob("*.safetensors")]
    total = sum(facts.st_size for facts, _ in entries)
    for facts, path in sorted(entries, key=lambda item: item[0].st_mtime_ns):
        if total <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= facts.st_size
