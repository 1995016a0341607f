"""The files of a project: knowing them again, finding those that moved, and copying them into the project's folder.

A file is known by its length and by a hash of its two ends, which tells apart what was exported twice and costs two
reads however long the film is. What is copied appears under its name whole or not at all.

Not here: changing the timeline to use what was found (`project.with_files_moved`).
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ltx_studio.domain.project import FileMark
from ltx_studio.domain.project_files import MEDIA, flush_folder, named_errors

_END_BYTES = 65_536  # hashed at each end of a file
_MAX_FOLDERS = 20_000  # looked through for missing files; a whole disk is not what was meant
_COPY_BYTES = 4_194_304


def mark_of(path: Path) -> FileMark | None:
    """None for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = hashlib.sha256(file.read(_END_BYTES))
            file.seek(max(size - _END_BYTES, 0))
            digest.update(file.read(_END_BYTES))
    except OSError:
        return None
    return FileMark(size, digest.hexdigest()[:32])


def missing(files: Iterable[Path]) -> list[Path]:
    """Those that are not there."""
    return [path for path in files if not path.is_file()]


# --- finding ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Where missing files are now. `alike` have the right name and are other files, or were never looked at before."""

    same: Mapping[Path, Path] = field(default_factory=dict)
    alike: Mapping[Path, Path] = field(default_factory=dict)
    num_files: int = 0  # that were looked at

    @property
    def all(self) -> dict[Path, Path]:
        return {**self.alike, **self.same}


def search(
    folder: Path, wanted: Mapping[Path, FileMark | None], *, is_cancelled: Callable[[], bool] = lambda: False
) -> Found:
    """Look for files in a folder and the folders in it: the very same ones under any name, else those named the same.

    Only files of a wanted length or name are opened. Of several that are named the same, the one whose folders are
    named the most alike is taken.
    """
    sizes = {mark.size_bytes for mark in wanted.values() if mark is not None}
    names = {path.name.casefold() for path in wanted}
    marks: dict[FileMark, Path] = {}
    by_name: dict[str, list[Path]] = {}
    num_files = 0
    for path in _files_in(folder):
        if is_cancelled():
            break
        num_files += 1
        if path.name.casefold() in names:
            by_name.setdefault(path.name.casefold(), []).append(path)
        if sizes and _size_of(path) in sizes and (mark := mark_of(path)) is not None:
            marks.setdefault(mark, path)
    same = {path: marks[mark] for path, mark in wanted.items() if mark is not None and mark in marks}
    alike = {
        path: max(by_name[path.name.casefold()], key=lambda other, path=path: _num_common_folders(path, other))
        for path in wanted
        if path not in same and path.name.casefold() in by_name
    }
    return Found(same, alike, num_files)


def _files_in(folder: Path) -> Iterator[Path]:
    """Hidden folders are left out, links to folders are not followed, and what cannot be read is passed over."""
    for number, (parent, folders, files) in enumerate(os.walk(folder)):
        if number >= _MAX_FOLDERS:
            return
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            yield Path(parent, name)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _num_common_folders(path: Path, other: Path) -> int:
    """How many of the last folders are named the same."""
    pairs = zip(reversed(path.parent.parts), reversed(other.parent.parts), strict=False)
    count = 0
    for mine, theirs in pairs:
        if mine.casefold() != theirs.casefold():
            break
        count += 1
    return count


# --- copying ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copied:
    """One file of many was copied, or was not; the last one has done equal to total."""

    source: Path
    target: Path | None  # None: it is missing
    done: int
    total: int


def outside(files: Iterable[Path], folder: Path) -> list[Path]:
    """Those that are not in the folder."""
    return [path for path in files if not path.is_relative_to(folder.absolute())]


def copy_into(folder: Path, files: Iterable[Path]) -> Iterator[Copied]:
    """Copy files into the `media` of a project, each as it is named or with a number behind it. Raises ProjectError.

    A file that is there already, because it was collected before, is not copied again.
    """
    files = list(files)
    media = folder / MEDIA
    with named_errors(media):
        media.mkdir(exist_ok=True)
    taken = {path.name.casefold(): path for path in media.iterdir()}
    for number, source in enumerate(files, start=1):
        if not source.is_file():
            yield Copied(source, None, number, len(files))
            continue
        with named_errors(source):
            target = _target_of(source, media, taken)
            if not target.exists():
                _copy(source, target)
        taken[target.name.casefold()] = target
        yield Copied(source, target, number, len(files))
    flush_folder(media)


def copy_tree(source: Path, target: Path, files: Iterable[Path]) -> Iterator[Copied]:
    """Copy those files of one project that are in its folder to the same places in another. Raises ProjectError."""
    files = [path for path in files if path.is_relative_to(source)]
    for number, path in enumerate(files, start=1):
        copy = target / path.relative_to(source)
        if not path.is_file():
            yield Copied(path, None, number, len(files))
            continue
        with named_errors(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                _copy(path, copy)
        yield Copied(path, copy, number, len(files))


def _target_of(source: Path, media: Path, taken: Mapping[str, Path]) -> Path:
    mark = mark_of(source)
    name, number = source.name, 1
    while name.casefold() in taken and mark_of(taken[name.casefold()]) != mark:
        number += 1
        name = f"{source.stem} {number}{source.suffix}"
    return taken.get(name.casefold(), media / name)


def _copy(source: Path, target: Path) -> None:
    """Raises OSError; nothing is left under the target's name then."""
    partial = target.with_name(f".{secrets.token_hex(4)}.part")
    try:
        with source.open("rb") as reading, partial.open("xb") as writing:
            shutil.copyfileobj(reading, writing, _COPY_BYTES)
            writing.flush()
            os.fsync(writing.fileno())
        with suppress(OSError):
            shutil.copystat(source, partial)
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
