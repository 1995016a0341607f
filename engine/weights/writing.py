"""Writing safetensors files: all of a file or none, and a full disk is an OSError like any other."""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from engine.weights.reading import TORCH_DTYPES, TensorSpec

_FORMAT_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
_HEADER_MULTIPLE = 8  # bytes; the format asks for headers of a round length


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors under their names; the file appears by rename once it is complete. Raises OSError."""
    partial = path.with_suffix(".part")
    try:
        save_file(dict(tensors), partial, dict(metadata))
        partial.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


class OrderedWriter:
    """Takes the tensors of a file one by one, in the order that was announced; made by `writing_in_order`."""

    def __init__(self, specs: Mapping[str, TensorSpec], write: Callable[[Any], object]) -> None:
        self._waiting = list(specs.items())[::-1]
        self._write = write
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of everything written so far."""
        return self._hash.hexdigest()

    def write_header(self, metadata: Mapping[str, str]) -> None:
        header: dict[str, Any] = {"__metadata__": dict(metadata)}
        start = 0
        for name, spec in self._waiting[::-1]:
            stop = start + spec.num_bytes
            header[name] = {
                "dtype": _FORMAT_NAMES[spec.dtype],
                "shape": list(spec.shape),
                "data_offsets": [start, stop],
            }
            start = stop
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % _HEADER_MULTIPLE)
        self._put(len(text).to_bytes(8, "little") + text)

    def write(self, name: str, tensor: Tensor) -> None:
        """Raises OSError."""
        expected, spec = self._waiting.pop()
        assert (name, tensor.dtype, tuple(tensor.shape)) == (expected, spec.dtype, spec.shape), (name, expected, spec)
        self._put(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)

    def finish(self) -> None:
        assert not self._waiting, f"{len(self._waiting)} announced tensors were not written"

    def _put(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self._write(data)


@contextmanager
def writing_in_order(
    path: Path, specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]
) -> Generator[OrderedWriter, None, None]:
    """Write a file tensor by tensor in the order of `specs`, with never more than one of them in memory.

    The file appears by rename, safely on the disk, when the block is left without an error. Raises OSError.
    """
    partial = path.with_suffix(".part")
    try:
        with partial.open("wb") as file:
            writer = OrderedWriter(specs, file.write)
            writer.write_header(metadata)
            yield writer
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
