"""Adopting: model files that other programs already brought to this machine, by size and hash, linked and not copied.

A file of any name is the right one when its size and SHA-256 are the published ones. Where the catalogue knows no
hash, the Hugging Face cache helps: it names every file by the hash that the hub stated, so a file there is right when
its bytes have the hash it is named by, in the repository and under the name that the catalogue asks for.
"""

import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import CheckpointError, RequestError, StorageFull
from engine.folders import models_folder
from engine.weights.catalog import Place
from engine.weights.copying import copy_checked
from engine.weights.hashing import Digest, Hasher, read_blocks
from engine.weights.installed import (
    CheckProgress,
    free_disk_bytes,
    is_verified,
    link,
    remember_verified,
    space_sentence,
)

_MAX_FOLDERS = 50_000  # a folder with more is somebody's whole disk, not a collection of models


@dataclass(frozen=True)
class Adopted:
    """A file that was here is now a model's."""

    place: Place
    source: Path
    how: Literal["hard link", "symbolic link", "copy"]


@dataclass(frozen=True)
class Passed:
    """A file of the right size or name that is not the published one."""

    source: Path
    message: str


def usual_folders() -> tuple[Path, ...]:
    """Where other programs keep such files, as far as those folders exist."""
    home = Path.home()
    hub = Path(os.environ.get("HF_HOME", home / ".cache" / "huggingface")) / "hub"
    candidates = [Path(os.environ.get("HF_HUB_CACHE", hub))]
    for base in (home, home / "Documents", Path(home.anchor)):
        candidates += [base / "ComfyUI" / "models", base / "ComfyUI_windows_portable" / "ComfyUI" / "models"]
        candidates += [base / "Wan2GP" / "ckpts", base / "Wan2GP" / "loras"]
    candidates += [home / "pinokio" / "api" / "wan.git" / "app" / part for part in ("ckpts", "loras")]
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share"))
    candidates.append(data / "LTXDesktop" / "models")
    return tuple(folder for folder in candidates if folder.is_dir())


def adopt(folders: Sequence[Path], wanted: Iterable[Place]) -> Generator[CheckProgress | Adopted | Passed]:
    """Look through folders for files that are missing, and link each that is right to its place.

    Only files that could be right are read. Raises RequestError for a folder that is not there, StorageFull where a
    link is impossible and there is no room for a copy.
    """
    for folder in folders:
        if not folder.is_dir():
            raise RequestError("folder", f"{folder} is not a folder.", remedy="Give a folder that holds model files.")
    missing = [place for place in wanted if not is_verified(place)]
    read: dict[Path, Hasher] = {}  # real files that were read already: snapshots of a cache share theirs
    for source in _files_in(folders):
        if not missing:
            return
        for place, digest in _candidates(source, missing):
            real = source.resolve()
            if real not in read:
                read[real] = yield from _hash(real)
            if not read[real].matches(digest):
                yield Passed(source, f"is not {place.file.name}: its hash is another")
                continue
            yield from _take(real, source, place, digest, read[real].sha256)
            missing.remove(place)


def _files_in(folders: Sequence[Path]) -> Iterator[Path]:
    num_folders = 0
    own = models_folder().resolve()
    for top in folders:
        for folder, names, files in os.walk(top):
            num_folders += 1
            if num_folders > _MAX_FOLDERS:
                raise RequestError(
                    "folder", f"{top} holds too many folders to look through.", remedy="Name one further down."
                )
            names[:] = sorted(name for name in names if name != ".git")
            if Path(folder).resolve() == own:
                names.clear()
                continue
            yield from (path for name in sorted(files) if (path := Path(folder) / name).is_file())


def _candidates(source: Path, missing: Sequence[Place]) -> list[tuple[Place, Digest]]:
    """Which missing files this could be, judged without reading it."""
    size_bytes = source.stat().st_size
    found: list[tuple[Place, Digest]] = []
    for place in missing:
        file = place.file
        if file.sha256 is not None:
            if file.size_bytes == size_bytes:
                found.append((place, Digest("sha256", file.sha256)))
        elif f"models--{file.repository.replace('/', '--')}" in source.parts and source.name == file.name:
            stated = Digest.parse(source.resolve().name)  # the cache's name for the content
            if stated is not None:
                found.append((place, stated))
    return found


def _hash(path: Path) -> Generator[CheckProgress, None, Hasher]:
    size_bytes, done_bytes = path.stat().st_size, 0
    hasher = Hasher(size_bytes)
    for block in read_blocks(path):
        hasher.update(block)
        done_bytes += len(block)
        yield CheckProgress(path.name, done_bytes, size_bytes)
    return hasher


def _take(real: Path, source: Path, place: Place, digest: Digest, sha256: str) -> Iterator[CheckProgress | Adopted]:
    try:
        place.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            place.path.parent, f"cannot be made: {error.strerror}.", remedy="Check the models folder."
        ) from error
    how = link(real, place.path)
    if how is None:
        needed, free = real.stat().st_size, free_disk_bytes(place.path.parent)
        if needed > free:
            raise StorageFull(place.path, space_sentence("copying", needed, free), remedy="Free some space.")
        yield from copy_checked(real, place.path, digest)
    remember_verified(place.path, sha256)
    yield Adopted(place, source, how or "copy")
