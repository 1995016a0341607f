"""Reading the library's files: what one says about itself, and what has changed on the disks since it was last read.

Slow by nature (disks, network drives), so it belongs on a worker thread with a store of its own. Everything yields:
whoever iterates may stop at any file.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MediaError
from engine.folders import data_folder
from engine.media.read import probe_clip, read_audio
from engine.media.write import CLIP_FORMATS, SOUND_SUFFIXES
from ltx_studio.domain.library import Facts, Kind
from ltx_studio.domain.library_store import LibraryStore, path_key

logger = logging.getLogger("studio.library")

CLIP_SUFFIXES = frozenset(CLIP_FORMATS)
_BATCH = 50  # files to a transaction: one flush of the disk for all of them


@dataclass(frozen=True)
class Scanned:
    """How far a scan is."""

    num_done: int
    num_files: int
    num_added: int


def clips_folder() -> Path:
    """Where clips go that were not given a place."""
    return data_folder() / "clips"


def read_facts(path: Path) -> Facts:
    """What a media file says about itself. Raises MediaError for one that cannot be read."""
    path = path.absolute()
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(path, "there is no such file.", remedy="Choose another file.") from error
    if path.suffix.lower() in SOUND_SUFFIXES:
        sound = read_audio(path)
        return Facts(path, Kind.SOUND, status.st_mtime_ns, status.st_size, duration_s=sound.duration_s, has_sound=True)
    clip = probe_clip(path)
    return Facts(
        path,
        Kind.CLIP,
        status.st_mtime_ns,
        status.st_size,
        size=clip.size,
        frames=clip.frames,
        frame_rate=clip.frame_rate,
        duration_s=clip.duration_s,
        has_sound=clip.audio_sample_rate is not None,
        request=clip.metadata,
    )


def scan(store: LibraryStore, folders: Iterable[Path]) -> Iterator[Scanned]:
    """Add what the studio made and the library does not know yet, from these folders and the folders in them.

    Files of other programs and files that cannot be read are passed over; those that lie in the trash stay there.
    """
    known = {path_key(file.path): (file.mtime_ns, file.size_bytes) for file in store.known_files()}
    fresh = [path for path in _clips_in(folders) if known.get(path_key(path)) != _stamp(path)]
    num_added = 0
    found: list[Facts] = []
    yield Scanned(0, len(fresh), 0)
    for number, path in enumerate(fresh, 1):
        facts = _facts_of_ours(path)
        if facts is not None:
            found.append(facts)
        if len(found) == _BATCH or number == len(fresh):
            num_added += len(store.add(found))
            found = []
        yield Scanned(number, len(fresh), num_added)


def check(store: LibraryStore) -> Iterator[None]:
    """Note which files are missing and which are back; what lies in no trash any more is forgotten."""
    changes: dict[int, bool] = {}
    for file in store.known_files():
        is_missing = _stamp(file.path) is None
        if is_missing != file.is_missing:
            changes[file.id] = is_missing
        yield
    if changes:
        store.set_missing(changes)
    for entry in store.trashed():
        trashed = entry.trashed_to
        if entry.path.exists() and not (trashed and trashed.exists()):  # put back by hand, or it never left
            store.set_restored([entry.id])
        elif trashed and trashed.parent.is_dir() and not trashed.exists():  # emptied, and not on an unplugged disk
            store.forget([entry.id])
        yield


def _facts_of_ours(path: Path) -> Facts | None:
    try:
        facts = read_facts(path)
    except MediaError as error:
        logger.info("not added to the library: %s", error)
        return None
    return facts if facts.request is not None else None


def _clips_in(folders: Iterable[Path]) -> Iterator[Path]:
    seen: set[str] = set()
    for top in folders:
        for folder, subfolders, names in os.walk(top):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix.lower() in CLIP_SUFFIXES and not name.startswith(".") and path_key(path) not in seen:
                    seen.add(path_key(path))
                    yield path


def _stamp(path: Path) -> tuple[int, int] | None:
    """When a file was written and how large it is; None when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
