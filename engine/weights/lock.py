"""One process at a time: a lock file that the system releases when its holder ends, however it ends."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def try_lock(path: Path) -> Generator[bool]:
    """Whether this block holds the lock; False means somebody else does. Raises OSError for an unusable folder."""
    release = _acquire(path)
    try:
        yield release is not None
    finally:
        if release is not None:
            release()


def _acquire(path: Path) -> Callable[[], None] | None:
    while True:
        file = path.open("ab")
        try:
            _take(file)
        except OSError:
            file.close()
            return None
        # Its last holder may have deleted the file between our opening and locking it: then ours guards nothing.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()

    def release() -> None:
        if sys.platform == "win32":
            file.close()  # an open file cannot be deleted there
            with suppress(OSError):
                path.unlink()
        else:
            path.unlink(missing_ok=True)  # while still locked, so that nobody locks what is about to go
            file.close()

    return release
