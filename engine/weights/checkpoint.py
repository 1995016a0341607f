"""What a safetensors checkpoint holds, read from its header alone.

A file is 8 bytes of header length (little-endian), that many bytes of JSON, then the tensors' bytes back to back. Only
the header is read here, with plain file reads: mapping a 46 GB file just to list its names costs commit memory on
Windows and fails on small machines. Whatever a damaged file can be ends in a `CheckpointError` before a byte of a
tensor is read. The payload is read by `engine.weights.reading`; no torch in this module, because planning reads
headers too.

Layout: https://github.com/huggingface/safetensors#format. Metadata: Lightricks/LTX-2, commit 400fd31.
"""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.errors import CheckpointError
from engine.model.header import Section

BYTES_PER_ELEMENT = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
FETCH_AGAIN = "Fetch the file again."

# How files that are often mistaken for a checkpoint begin, within the eight bytes of the length.
_IMPOSTORS = (
    (b"version ", "is a Git LFS pointer, not the model itself", "Fetch it with `git lfs pull`."),
    (b"PK\x03\x04", "is a pickled PyTorch file, not safetensors", "Use the model's .safetensors file."),
    (b"GGUF", "is a GGUF file, not safetensors", "Use the model's .safetensors file."),
    (b"<", "is a web page, not a model", "Fetch the file again, signed in if its site asks for that."),
)


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: the bytes from `start` up to, not including, `stop` of the file `path`."""

    path: Path
    dtype: str  # the format's own name: BF16, F32, F8_E4M3 ...
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def num_bytes(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Checkpoint:
    """The tensors and metadata of one model, in one file or spread over several."""

    path: Path  # the file the user named; the first of several
    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    @classmethod
    def open(cls, path: Path | str) -> "Checkpoint":
        """Read and check the header of one safetensors file. Raises CheckpointError."""
        return _read_header(Path(path))

    @classmethod
    def open_many(cls, paths: Iterable[Path | str]) -> "Checkpoint":
        """One model spread over several files: the union of their tensors, metadata and configs.

        Raises CheckpointError, also for a tensor or a config section that two files state differently.
        """
        parts = [_read_header(Path(path)) for path in paths]
        assert parts, "open_many needs at least one file"
        tensors: dict[str, TensorEntry] = {}
        for part in parts:
            for name in part.tensors.keys() & tensors.keys():
                raise CheckpointError(
                    part.path,
                    f"the tensor '{name}' is also in {tensors[name].path.name}.",
                    remedy="Choose files of the same model that do not overlap.",
                )
            tensors.update(part.tensors)
        return cls(parts[0].path, tensors, _merge_metadata(parts))

    @classmethod
    def open_sharded(cls, index_path: Path | str) -> "Checkpoint":
        """A model in Hugging Face's sharded layout, by its `*.safetensors.index.json`.

        Raises CheckpointError, also when a shard lacks a tensor that the index promises.
        """
        index_path = Path(index_path)
        with _opened(index_path) as file:
            text = file.read(MAX_HEADER_BYTES)
        weight_map = _parse_json(index_path, text, "index").get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise CheckpointError(index_path, "is not an index of model shards.", remedy=FETCH_AGAIN)
        shard_of = cast("dict[str, str]", weight_map)
        if not shard_of:
            raise CheckpointError(index_path, "lists no tensors.", remedy=FETCH_AGAIN)
        # Only names beside the index: an index must not reach into other folders.
        checkpoint = cls.open_many(index_path.parent / Path(name).name for name in sorted(set(shard_of.values())))
        missing = sorted(shard_of.keys() - checkpoint.tensors.keys())
        if missing:
            raise CheckpointError(
                index_path.parent / shard_of[missing[0]], f"lacks {some_of(missing)}.", remedy="Fetch the shard again."
            )
        return checkpoint

    @property
    def config(self) -> Section:
        """The model's own description of its networks. Raises CheckpointError for a file without one."""
        text = self.metadata.get("config")
        if text is None:
            raise CheckpointError(
                self.path,
                "is not an LTX checkpoint: its header has no 'config'.",
                remedy="Use an LTX-2.3 checkpoint in the official layout.",
            )
        return Section(self.path, "config", _parse_json(self.path, text.encode(), "config in its header"))

    @property
    def model_version(self) -> str | None:
        """The generation the file says it belongs to ("2.3.0"), if it says so."""
        return self.metadata.get("model_version")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: entry.shape for name, entry in self.tensors.items()}


def some_of(names: Iterable[str], limit: int = 3) -> str:
    """Up to `limit` quoted names and the number of the others, for a message."""
    names = list(names)
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO, None, None]:
    """The file for reading; what the system refuses becomes a CheckpointError."""
    if path.is_dir():
        raise CheckpointError(path, "is a folder, not a model file.", remedy="Choose the .safetensors file inside it.")
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(path, "does not exist.", remedy="Choose the file again, or fetch it.") from error
    except OSError as error:
        raise CheckpointError(
            path, f"cannot be read: {error.strerror}.", remedy="Check its permissions and its disk."
        ) from error


def _read_header(path: Path) -> Checkpoint:
    with _opened(path) as file:
        file_bytes = file.seek(0, SEEK_END)
        file.seek(0)
        start = file.read(LENGTH_BYTES)
        header_bytes = int.from_bytes(start, "little")
        if len(start) < LENGTH_BYTES or header_bytes > MAX_HEADER_BYTES:
            raise _impostor(path, start)
        header = file.read(header_bytes)
    if len(header) < header_bytes:
        raise CheckpointError(
            path, f"ends after {len(header)} of its header's {header_bytes} bytes.", remedy=FETCH_AGAIN
        )
    values = _parse_json(path, header, "header")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(path, "its header's metadata is damaged.", remedy=FETCH_AGAIN)
    payload_start = LENGTH_BYTES + header_bytes
    tensors = {name: _parse_entry(path, name, entry, payload_start) for name, entry in values.items()}
    _check_payload(path, tensors, payload_start, file_bytes)
    return Checkpoint(path, tensors, cast("dict[str, str]", metadata))


def _impostor(path: Path, start: bytes) -> CheckpointError:
    """What a file is that does not begin with the length of a header."""
    if not start:
        return CheckpointError(path, "is empty.", remedy=FETCH_AGAIN)
    for magic, problem, remedy in _IMPOSTORS:
        if start.startswith(magic):
            return CheckpointError(path, f"{problem}.", remedy=remedy)
    return CheckpointError(path, "is not a safetensors file.", remedy="Choose the model's .safetensors file.")


def _parse_json(path: Path, text: bytes, what: str) -> dict[str, Any]:
    try:
        values = json.loads(text.decode())
    except (ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are both ValueErrors
        raise CheckpointError(path, f"its {what} is not valid JSON.", remedy=FETCH_AGAIN) from error
    if not isinstance(values, dict):
        raise CheckpointError(path, f"its {what} is not a JSON object.", remedy=FETCH_AGAIN)
    return cast("dict[str, Any]", values)


def _parse_entry(path: Path, name: str, values: Any, payload_start: int) -> TensorEntry:
    match values:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, stop]} if all(
            type(number) is int and number >= 0 for number in (*shape, start, stop)
        ):
            pass
        case _:
            raise CheckpointError(path, f"the header entry of tensor '{name}' is damaged.", remedy=FETCH_AGAIN)
    if dtype not in BYTES_PER_ELEMENT:
        raise CheckpointError(
            path,
            f"the tensor '{name}' has the unknown type '{dtype}'.",
            remedy="Use the bf16 or FP8 file of this model.",
        )
    if stop - start != prod(shape) * BYTES_PER_ELEMENT[dtype]:
        raise CheckpointError(
            path, f"the tensor '{name}' of shape {tuple(shape)} has {stop - start} bytes.", remedy=FETCH_AGAIN
        )
    return TensorEntry(path, dtype, tuple(shape), payload_start + start, payload_start + stop)


def _check_payload(path: Path, tensors: Mapping[str, TensorEntry], payload_start: int, file_bytes: int) -> None:
    """Tensors must fill the file from the header to its end, without gaps or overlaps."""
    position = payload_start
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != position:
            problem = "overlaps another tensor" if entry.start < position else "follows a gap"
            raise CheckpointError(path, f"the tensor '{name}' {problem}.", remedy=FETCH_AGAIN)
        position = entry.stop
    if file_bytes < position:
        raise CheckpointError(path, f"is cut off: {file_bytes} of {position} bytes are there.", remedy=FETCH_AGAIN)
    if file_bytes > position:
        raise CheckpointError(path, f"has {file_bytes - position} bytes too many at its end.", remedy=FETCH_AGAIN)


def _merge_metadata(parts: Iterable[Checkpoint]) -> dict[str, str]:
    """Earlier files win, except for configs: their sections are united and must agree."""
    merged: dict[str, str] = {}
    sections: dict[str, Any] = {}
    for part in parts:
        merged = {**part.metadata, **merged}
        if "config" not in part.metadata:
            continue
        for name, section in part.config.values.items():
            if sections.setdefault(name, section) != section:
                raise CheckpointError(
                    part.path,
                    f"describes another model than the files before it: its config section '{name}' differs.",
                    remedy="Choose files of the same model.",
                )
    return merged | ({"config": json.dumps(sections)} if sections else {})
