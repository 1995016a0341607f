"""Which files on this machine are verified: their records, twins, links, and what is put aside.

A file is verified when its SHA-256 matched the published one; that is kept beside it in `.NAME.verified` with the
file's size and time, so that a file which changed since counts as unverified again without reading it.
"""

import json
import os
import shutil
import stat
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import CheckpointError
from engine.weights.catalog import Place, catalogue, downloadable, is_text_encoder, places
from engine.weights.hashing import Digest, Hasher, read_blocks
from engine.weights.lock import try_lock
from engine.weights.partial import part_path, record_path

GB = 1e9
_ASIDE_SUFFIX = ".wrong"

State = Literal["verified", "unverified", "partial", "missing"]


@dataclass(frozen=True)
class Checked:
    """What looking at a file's bytes found."""

    place: Place
    state: Literal["right", "wrong", "unknown", "missing"]  # unknown: nobody says what its hash should be
    message: str


@dataclass(frozen=True)
class CheckProgress:
    """How far reading a file is."""

    file: str
    file_bytes: int
    file_total_bytes: int


def state_of(place: Place) -> State:
    """Without reading the file."""
    if is_verified(place):
        return "verified"
    if place.path.is_file():
        return "unverified"
    return "partial" if part_path(place.path).exists() else "missing"


def verified_sha256(path: Path) -> str | None:
    """The hash that this file was verified to have, while it is as it was then."""
    try:
        values = json.loads(_verified_path(path).read_text(encoding="utf-8"))
        status = path.stat()
        is_same = (values["size_bytes"], values["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        return str(values["sha256"]) if is_same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_verified(place: Place) -> bool:
    """Whether the file was verified, as it is, and is the one that the catalogue asks for today."""
    sha256 = verified_sha256(place.path)
    return sha256 is not None and place.file.sha256 in {None, sha256}


def remember_verified(path: Path, sha256: str) -> None:
    """Say that the file, as it is now, has this hash and that it is the right one. Raises OSError."""
    status = path.stat()
    record = _verified_path(path)
    new = record.with_name(f"{record.name}.new")
    values = {"sha256": sha256, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    new.write_text(json.dumps(values) + "\n", encoding="utf-8")
    new.replace(record)


def quarantine(path: Path, name: Path) -> Path:
    """Rename a wrong file away from its name, over an earlier wrong one; returns where it is now. Raises OSError."""
    aside = name.with_name(f"{name.name}{_ASIDE_SUFFIX}")
    path.replace(aside)
    _verified_path(name).unlink(missing_ok=True)
    return aside


def all_places() -> Iterator[Place]:
    """Of every model and text encoder, installed or not; a text encoder's come up with each model that uses it."""
    for name in downloadable():
        yield from places(name)


def link_twin(place: Place, among: Iterable[Place]) -> bool:
    """Take the same published file from another place, if it is verified there; costs no space."""
    if os.path.lexists(place.path):
        return False
    for twin in among:
        sha256 = verified_sha256(twin.path) if twin.file == place.file and is_verified(twin) else None
        if sha256 is not None:
            place.path.parent.mkdir(parents=True, exist_ok=True)
            if link(twin.path, place.path) is not None:
                remember_verified(place.path, sha256)
                return True
    return False


def link(source: Path, destination: Path) -> Literal["hard link", "symbolic link"] | None:
    """Give a file a second name: the same file on one disk, else a pointer to it; None where neither works."""
    new = destination.with_name(f".{destination.name}.link")
    new.unlink(missing_ok=True)
    source = source.resolve()
    for how in ("hard link", "symbolic link"):
        try:
            if how == "hard link":
                os.link(source, new)
            else:
                new.symlink_to(source)
            new.replace(destination)
        except OSError:  # another disk, a file system without links, or Windows without the right
            continue
        return how
    return None


def verify(place: Place) -> Generator[CheckProgress | Checked]:
    """Read a file and compare its hash; a wrong file is put aside. The last event is `Checked`."""
    path, file = place.path, place.file
    if not path.is_file():
        yield Checked(place, "missing", "is not installed")
        return
    expected = file.sha256 or _remembered(path)
    size_bytes = path.stat().st_size
    hasher, done_bytes = Hasher(size_bytes), 0
    for block in read_blocks(path):
        hasher.update(block)
        done_bytes += len(block)
        yield CheckProgress(file.name, done_bytes, size_bytes)
    if expected is None:
        yield Checked(place, "unknown", f"has SHA-256 {hasher.sha256}; nobody here knows what it should be")
    elif hasher.matches(Digest("sha256", expected)):
        remember_verified(path, hasher.sha256)
        yield Checked(place, "right", "is right")
    else:
        aside = quarantine(path, path)
        yield Checked(place, "wrong", f"has a wrong hash; it was put aside as {aside.name} and is not used")


@dataclass(frozen=True)
class Removed:
    """What removing a model did."""

    freed_bytes: int
    files: tuple[Path, ...]
    kept_text_encoder: str | None


def remove(name: str) -> Removed:
    """Delete a model's own files, whole, partial and put aside; its text encoder stays, others may need it.

    Adopted files lose only their name here. Raises RequestError for an unknown name, CheckpointError when the model
    is not there, is being fetched, or cannot be deleted.
    """
    own, text_encoder = _own_places(name)
    freed_bytes, files = 0, list[Path]()
    for place in own:
        if not place.path.parent.is_dir():
            continue
        path = place.path
        try:
            with try_lock(path.with_name(f".{path.name}.lock")) as is_ours:
                if not is_ours:
                    raise CheckpointError(path, "is being fetched.", remedy="Stop that first.")
                for item in _files_of(path):
                    freed_bytes += _own_bytes(item)
                    files.append(item)
                    item.unlink()
                record_path(path).unlink(missing_ok=True)
                _verified_path(path).unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(
                path, f"cannot be deleted: {error.strerror}.", remedy="Close what uses it, and check its permissions."
            ) from error
    if not files:
        raise CheckpointError(own[0].path.parent, f"the model '{name}' is not installed.", remedy="Nothing to remove.")
    for folder in {place.path.parent for place in own}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    is_encoder_there = text_encoder is not None and any(place.path.is_file() for place in places(text_encoder))
    return Removed(freed_bytes, tuple(files), text_encoder if is_encoder_there else None)


def removable_bytes(name: str) -> int | None:
    """What `remove` would free; None where there is nothing to remove. Raises RequestError for an unknown name."""
    files = [item for place in _own_places(name)[0] for item in _files_of(place.path)]
    return sum(_own_bytes(item) for item in files) if files else None


def _own_places(name: str) -> tuple[list[Place], str | None]:
    """A model's files without its text encoder's, and the name of that."""
    text_encoder = None if is_text_encoder(name) else catalogue()[name].text_encoder if name in catalogue() else None
    others = {place.path for place in places(text_encoder)} if text_encoder else set[Path]()
    return [place for place in places(name) if place.path not in others], text_encoder


def _files_of(path: Path) -> list[Path]:
    """What there is of a file: whole, partial, put aside, and half copied."""
    aside, copy = path.with_name(f"{path.name}{_ASIDE_SUFFIX}"), path.with_name(f".{path.name}.copy")
    return [item for item in (path, part_path(path), aside, copy) if os.path.lexists(item)]


def free_disk_bytes(folder: Path) -> int:
    """Free space where this folder is, or is to be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def space_sentence(doing: str, needed_bytes: int, free_bytes: int) -> str:
    return f"{doing} needs {needed_bytes / GB:.1f} GB and {free_bytes / GB:.1f} GB are free on this disk."


def _verified_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _remembered(path: Path) -> str | None:
    """The hash a file had when it was last right, though it has changed since."""
    try:
        return str(json.loads(_verified_path(path).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _own_bytes(path: Path) -> int:
    """What deleting this name frees: nothing where others hold the file too; of a sparse file, what it holds."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        return 0
    return min(status.st_size, status.st_blocks * 512) if hasattr(status, "st_blocks") else status.st_size
