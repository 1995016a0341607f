"""Hashes that say whether a file is the published one, computed in one pass over its bytes.

The hub names large files by their SHA-256 and small ones by git's blob hash: the SHA-1 of "blob <size>\\0" and the
content. A file counts as right when the hash its publisher states matches; its SHA-256 is kept whichever that was.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from engine.errors import CheckpointError

READ_BYTES = 1 << 22  # large enough that Python's share of hashing is lost in the noise
_KINDS: dict[int, Literal["sha256", "git"]] = {64: "sha256", 40: "git"}  # by number of hexadecimal digits


@dataclass(frozen=True)
class Digest:
    """What a publisher says the hash of a file is."""

    kind: Literal["sha256", "git"]
    value: str  # lower-case hexadecimal

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """From hexadecimal digits or an entity tag; None when it is neither a SHA-256 nor a git hash."""
        value = (text or "").removeprefix("W/").strip('"').lower()
        kind = _KINDS.get(len(value))
        return cls(kind, value) if kind is not None and re.fullmatch("[0-9a-f]+", value) else None

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class Hasher:
    """Both hashes of a file of known size, fed in order."""

    def __init__(self, size_bytes: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)

    def update(self, block: bytes) -> None:
        self._sha256.update(block)
        self._git.update(block)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def matches(self, digest: Digest) -> bool:
        return digest.value == (self.sha256 if digest.kind == "sha256" else self._git.hexdigest())


def read_blocks(path: Path) -> Iterator[bytes]:
    """A file from its start to its end. Raises CheckpointError when the system refuses it."""
    try:
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                yield block
    except OSError as error:
        raise CheckpointError(
            path, f"cannot be read: {error.strerror}.", remedy="Check its permissions and its disk."
        ) from error
