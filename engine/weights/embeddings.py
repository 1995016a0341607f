"""Prompt embeddings on disk: a prompt that was encoded once needs no text encoder any more.

An entry holds what the transformer reads of a prompt, in the numbers that it was computed in, so a run that takes it
from here makes the same clip bit for bit. It is found by everything those numbers depend on: the text, the files they
were computed with, the precision and the kind of device. The least recently used entries go when there are too many.
A cache: an entry that cannot be read, or is not what was written, is as good as none, and one that cannot be written
is no error.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.folders import cache_folder
from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import TORCH_DTYPES, read_into
from engine.weights.writing import write_tensors

logger = logging.getLogger("engine.weights")

FORMAT = 1  # of the entries; another number makes all of them unknown
MOST_BYTES = 2**30  # some 80 prompts of LTX-2.3 in bf16
_STREAMS = ("video", "audio")


@dataclass(frozen=True)
class PromptEmbedding:
    """What the transformer reads of one prompt: (1, T, D) for each stream."""

    video: Tensor
    audio: Tensor
    num_dropped: int  # tokens that did not fit

    def to(self, device: torch.device) -> "PromptEmbedding":
        return PromptEmbedding(self.video.to(device), self.audio.to(device), self.num_dropped)


@dataclass(frozen=True)
class EmbeddingSource:
    """Everything but the text that an embedding depends on."""

    encoder: str  # `identity` of the text encoder's files
    connectors: str  # and of the file that holds projection and connectors
    num_tokens: int
    precision: str  # of the text encoder's matrices
    dtype: str  # of all computing
    device: str  # its kind: kernels differ

    def key(self, text: str) -> str:
        """The name of a text's entry. White space around a text does not count, as for the tokenizer."""
        values = [FORMAT, text.strip(), self.encoder, self.connectors, self.num_tokens]
        values += [self.precision, self.dtype, self.device]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def identity(paths: Iterable[Path]) -> str:
    """What tells these files, or what lies in these folders, from any other without reading them."""
    stamps: list[tuple[str, int, int]] = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                facts = file.stat()
                stamps.append((str(file.resolve()), facts.st_size, facts.st_mtime_ns))
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


class EmbeddingCache:
    """The entries in the cache folder."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = cache_folder() / "prompts"
        self._most_bytes = most_bytes

    def find(self, key: str) -> PromptEmbedding | None:
        """The entry, on the CPU, if it is there and whole; it counts as used now."""
        path = self._path(key)
        try:
            checkpoint = Checkpoint.open(path)
            tensors = {
                name: torch.empty(checkpoint.tensors[name].shape, dtype=TORCH_DTYPES[checkpoint.tensors[name].dtype])
                for name in _STREAMS
            }
            read_into(checkpoint, tensors)
            if checkpoint.metadata["sha256"] != _digest(tensors["video"], tensors["audio"]):
                raise ValueError("not what was written")
            embedding = PromptEmbedding(tensors["video"], tensors["audio"], int(checkpoint.metadata["num_dropped"]))
        except (CheckpointError, KeyError, ValueError) as problem:
            if path.exists():
                logger.warning("the prompt embedding %s is damaged and will be made again: %s", path, problem)
            return None
        with suppress(OSError):
            os.utime(path)
        return embedding

    def keep(self, key: str, embedding: PromptEmbedding) -> None:
        """Write an entry, whole or not at all, and forget the oldest ones beyond the limit."""
        tensors = {"video": embedding.video.cpu().contiguous(), "audio": embedding.audio.cpu().contiguous()}
        metadata = {"sha256": _digest(**tensors), "num_dropped": str(embedding.num_dropped)}
        mine = self._folder / f"{key}-{secrets.token_hex(4)}.new"  # another process may be writing the same entry
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_tensors(mine, tensors, metadata)
            mine.replace(self._path(key))
            self._forget()
        except OSError as error:
            logger.warning("a prompt embedding was not kept: %s", error)
        finally:
            with suppress(OSError):
                mine.unlink(missing_ok=True)

    def _forget(self) -> None:
        entries = [(path.stat(), path) for path in self._folder.glob("*.safetensors")]
        total = sum(facts.st_size for facts, _ in entries)
        for facts, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
            if total <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= facts.st_size

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"


def _digest(video: Tensor, audio: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in (video, audio):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
