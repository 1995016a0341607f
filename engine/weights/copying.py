"""Copying model files: hashed on the way, whole or not at all."""

import errno
from collections.abc import Generator
from pathlib import Path

from engine.errors import CheckpointError, StorageFull
from engine.weights.hashing import Digest, Hasher, read_blocks
from engine.weights.installed import CheckProgress


def copy_checked(source: Path, destination: Path, digest: Digest) -> Generator[CheckProgress, None, str]:
    """Copy a file whose hash must be this; returns its SHA-256. The destination appears complete and right, or not.

    Raises CheckpointError when the source is not what it should be or cannot be read, and StorageFull.
    """
    size_bytes, done_bytes = source.stat().st_size, 0
    size_bytes, done_bytes = source.stat().st_size, 0
    hasher = Hasher(size_bytes)
    new = destination.with_name(f".{destination.name}.copy")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            for block in read_blocks(source):
                file.write(block)
                hasher.update(block)
                done_bytes += len(block)
                yield CheckProgress(source.name, done_bytes, size_bytes)
        if not hasher.matches(digest):
            raise CheckpointError(source, "has a wrong hash and was not copied.", remedy="Bring the file again.")
        new.replace(destination)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(destination, "the disk is full.", remedy="Free some space and start again.") from error
        raise CheckpointError(
            destination, f"cannot be written: {error.strerror}.", remedy="Check the folder and its permissions."
        ) from error
    finally:
        new.unlink(missing_ok=True)
    return hasher.sha256
