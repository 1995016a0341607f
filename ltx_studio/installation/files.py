"""Writing small files whole or not at all, also when the power goes, and hashing large ones."""

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20


def write_json(path: Path, values: object) -> None:
    """As JSON, on the disk before it has its name. Raises OSError."""
    write_whole(path, (json.dumps(values, indent=1, sort_keys=True) + "\n").encode())


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Raises OSError; then the file is as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        new.chmod(mode)
    new.replace(path)
    flush_folder(path.parent)


def read_json(path: Path) -> Any:
    """None where there is no such file. Raises OSError, and ValueError for what is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def flush_folder(folder: Path) -> None:
    """Names of files reach the disk too, where the system lets a folder be flushed."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all() -> None:
    """Everything written so far reaches the disk, where the system can be asked for that."""
    if sys.platform != "win32":
        os.sync()


def sha256_of(path: Path) -> str:
    """Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def remove_tree(folder: Path) -> None:
    """A folder, a link or a file, read-only content too. Raises OSError when something stays."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    if not folder.exists():
        return

    def make_writable(remove: Callable[[str], object], name: str, _error: object) -> None:
        with suppress(OSError):  # what is gone meanwhile is as wanted; what stays is seen below
            Path(name).parent.chmod(stat.S_IRWXU)
            Path(name).chmod(stat.S_IRWXU)
            remove(name)

    shutil.rmtree(folder, onerror=make_writable)
    if folder.exists():
        raise OSError(f"{folder} is in use")
