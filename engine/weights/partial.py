"""A file being fetched: its bytes in `NAME.part`, and beside it a record that says which of them are already right.

The record's first line names what is fetched (size and hash) and is on disk before the first byte is. Every finished
piece then adds a line with the piece's own SHA-256, as received. So a process killed at any moment loses only pieces
it had not finished, and a damaged disk is told from a damaged download: pieces that no longer match their lines are
fetched again, and only those.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.weights.hashing import Digest

logger = logging.getLogger("engine.weights.fetch")

_FORMAT = 1


@dataclass(frozen=True)
class Identity:
    """What tells one version of a file from another."""

    size_bytes: int
    digest: Digest

    def to_dict(self) -> dict[str, Any]:
        return {"size_bytes": self.size_bytes, "digest": str(self.digest)}


def part_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.json")


def forget_partial(path: Path) -> None:
    """Delete what was fetched of a file so far. Raises OSError."""
    part_path(path).unlink(missing_ok=True)
    record_path(path).unlink(missing_ok=True)


def kept_bytes(path: Path, identity: Identity) -> int:
    """How much of this version of a file an earlier attempt left."""
    piece_bytes, pieces = _read_record(path, identity)
    return sum(_piece_size(identity, piece_bytes, index) for index in pieces)


def left_behind(path: Path) -> tuple[int, int] | None:
    """Bytes kept and bytes in all of whatever version of a file an earlier attempt began; None where none did."""
    try:
        with record_path(path).open(encoding="utf-8") as file:
            values = json.loads(file.readline())
        digest = Digest.parse(str(values["digest"]).partition(":")[2])
        size_bytes = int(values["size_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if digest is None else (kept_bytes(path, Identity(size_bytes, digest)), size_bytes)


class PartialFile:
    """The part file, open. Pieces may be written from several threads; after `close` writing raises ValueError."""

    def __init__(self, path: Path, identity: Identity, piece_bytes: int) -> None:
        """Goes on with what is there, if it is of this identity. Raises OSError."""
        self.identity = identity
        self._lock = threading.Lock()
        kept_piece_bytes, self._pieces = _read_record(path, identity)
        self.piece_bytes = kept_piece_bytes if self._pieces else piece_bytes
        self.num_pieces = -(-identity.size_bytes // self.piece_bytes)
        self._path = path
        self._write_record()
        # Unbuffered, so that a piece is in the system's hands before its line is.
        part = part_path(path)
        self._data = part.open("r+b" if part.exists() and self._pieces else "w+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def kept_bytes(self) -> int:
        with self._lock:
            return sum(self.size_of(index) for index in self._pieces)

    def has(self, index: int) -> bool:
        return index in self._pieces

    def size_of(self, index: int) -> int:
        return _piece_size(self.identity, self.piece_bytes, index)

    def write(self, offset: int, block: memoryview) -> None:
        """Put bytes in their place; they count once `finish_piece` says so."""
        with self._lock:
            self._data.seek(offset)
            while block:
                block = block[self._data.write(block) :]

    def finish_piece(self, index: int, sha256: str) -> None:
        """All of a piece is written, and this is the hash of what was received."""
        with self._lock:
            if self._data.closed:
                raise ValueError("the partial file is closed")
            self._record.write(_line({"piece": index, "sha256": sha256}))
            self._record.flush()
            self._pieces[index] = sha256

    def read_piece(self, index: int) -> bytes:
        """A finished piece; shorter than it should be when the disk lost some of it."""
        with self._lock:
            self._data.seek(index * self.piece_bytes)
            return _read_exactly(self._data, self.size_of(index))

    def drop_damaged(self) -> int:
        """Forget the pieces whose bytes on disk are not those received; returns how many there were."""
        damaged = [
            index
            for index, sha256 in sorted(self._pieces.items())
            if hashlib.sha256(self.read_piece(index)).hexdigest() != sha256
        ]
        for index in damaged:
            del self._pieces[index]
        if damaged:
            logger.warning("%s: %d pieces were damaged on disk", self._path, len(damaged))
            self._record.close()
            self._write_record()
        return len(damaged)

    def missing_runs(self, longest: int) -> Iterator[tuple[int, int]]:
        """Half-open ranges of pieces that are still to be fetched, each of at most `longest` pieces."""
        start = None
        for index in range(self.num_pieces + 1):
            is_missing = index < self.num_pieces and index not in self._pieces
            if start is not None and (not is_missing or index - start == longest):
                yield start, index
                start = None
            if is_missing and start is None:
                start = index

    def settle(self) -> None:
        """Hand everything to the disk. Raises OSError."""
        with self._lock:
            os.fsync(self._data.fileno())

    def close(self) -> None:
        with self._lock:
            self._data.close()
            self._record.close()

    def _write_record(self) -> None:
        """Start the record afresh with what is known, whole or not at all, and leave it open for more lines."""
        record = record_path(self._path)
        new = record.with_name(f"{record.name}.new")
        header = {"format": _FORMAT, "piece_bytes": self.piece_bytes, **self.identity.to_dict()}
        lines = [header, *({"piece": index, "sha256": value} for index, value in sorted(self._pieces.items()))]
        with new.open("wb") as file:
            file.writelines(map(_line, lines))
            file.flush()
            os.fsync(file.fileno())
        new.replace(record)
        self._record = record.open("ab")


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _piece_size(identity: Identity, piece_bytes: int, index: int) -> int:
    return min(piece_bytes, identity.size_bytes - index * piece_bytes)


def _read_exactly(file: Any, count: int) -> bytes:
    blocks: list[bytes] = []
    while count and (block := file.read(count)):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


def _read_record(path: Path, identity: Identity) -> tuple[int, dict[int, str]]:
    """Piece size and hashes by piece; nothing where the record is damaged or of another version of the file."""
    try:
        text = record_path(path).read_text(encoding="utf-8")
        part_bytes = part_path(path).stat().st_size
        header, *lines = text.splitlines()
        values = json.loads(header)
    except (OSError, ValueError):
        return 0, {}
    piece_bytes = values.get("piece_bytes") if isinstance(values, dict) else None
    expected = {"format": _FORMAT, "piece_bytes": piece_bytes, **identity.to_dict()}
    if values != expected or not isinstance(piece_bytes, int) or piece_bytes <= 0:
        return 0, {}
    pieces: dict[int, str] = {}
    num_pieces = -(-identity.size_bytes // piece_bytes)
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # the last line of a killed process may be cut
            piece = json.loads(line)
            index, sha256 = int(piece["piece"]), str(piece["sha256"])
            is_on_disk = index * piece_bytes + _piece_size(identity, piece_bytes, index) <= part_bytes
            if 0 <= index < num_pieces and is_on_disk:
                pieces[index] = sha256
    return piece_bytes, pieces
