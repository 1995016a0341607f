"""Offline packs: models in a folder with a manifest, for machines that have no network.

The manifest lists every file with its size and SHA-256 and is written last, so a pack without one is not a pack. On
the other machine every file is hashed while it is copied; a hash that the catalogue knows outranks the manifest's.
"""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.errors import CheckpointError, RequestError, StorageFull
from engine.folders import models_folder
from engine.weights.catalog import Place, places
from engine.weights.copying import copy_checked
from engine.weights.hashing import Digest
from engine.weights.installed import (
    CheckProgress,
    all_places,
    free_disk_bytes,
    remember_verified,
    space_sentence,
    verified_sha256,
)

MANIFEST = "manifest.json"
_FORMAT = 1
_SPARE_BYTES = 1 << 20  # the manifest and the folders


@dataclass(frozen=True)
class Copied:
    """A file is in the pack, or out of it and installed."""

    file: str
    path: Path
    size_bytes: int
    was_there: bool


@dataclass(frozen=True)
class PackEntry:
    """One file of a pack."""

    path: str  # below the pack, and below the models folder; with slashes
    size_bytes: int
    sha256: str


def export_pack(names: Sequence[str], folder: Path) -> Generator[CheckProgress | Copied]:
    """Put these models, with their text encoders, into a folder; one that holds a pack already is added to.

    Raises RequestError, CheckpointError for a model that is not wholly installed and verified, and StorageFull.
    """
    wanted = {place.path: place for name in names for place in places(name)}
    entries: dict[str, PackEntry] = {}
    for path, place in wanted.items():
        sha256 = verified_sha256(path)
        if sha256 is None:
            problem = "is not verified" if path.is_file() else "is not installed"
            raise CheckpointError(path, f"{problem}.", remedy=f"Fetch or verify {place.file.name} first.")
        relative = path.relative_to(models_folder()).as_posix()
        entries[relative] = PackEntry(relative, path.stat().st_size, sha256)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError("folder", f"{folder} cannot be made: {error.strerror}.", remedy="Choose another.") from error
    before = {entry.path: entry for entry in read_pack(folder)} if (folder / MANIFEST).exists() else {}
    missing = [entry for entry in entries.values() if before.get(entry.path) != entry]
    _check_space(folder, missing)
    for entry in entries.values():
        target = folder / entry.path
        is_there = entry not in missing and target.is_file() and target.stat().st_size == entry.size_bytes
        if not is_there:
            yield from copy_checked(models_folder() / entry.path, target, Digest("sha256", entry.sha256))
        yield Copied(target.name, target, entry.size_bytes, is_there)
    _write_manifest(folder, [*{**before, **entries}.values()])


def import_pack(folder: Path) -> Generator[CheckProgress | Copied]:
    """Install every file of a pack that is not installed yet.

    Raises RequestError for a folder without a pack, CheckpointError for a damaged one (files before the damaged one
    stay installed), StorageFull before the first byte.
    """
    entries = read_pack(folder)
    known = {place.path.relative_to(models_folder()).as_posix(): place for place in all_places()}
    _check_entries(folder, entries, known)
    missing = [entry for entry in entries if verified_sha256(known[entry.path].path) != entry.sha256]
    _check_space(models_folder(), missing)
    for entry in entries:
        target = known[entry.path].path
        if entry in missing:
            sha256 = yield from copy_checked(folder / entry.path, target, Digest("sha256", entry.sha256))
            remember_verified(target, sha256)
        yield Copied(target.name, target, entry.size_bytes, entry not in missing)


def read_pack(folder: Path) -> list[PackEntry]:
    """What a pack says it holds. Raises RequestError for a folder without one, CheckpointError for a damaged one."""
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RequestError(
            "folder",
            f"{folder} is no offline pack: it has no {MANIFEST}.",
            remedy="Choose a folder that was exported; for other folders with model files, adopt them.",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(path, "cannot be read.", remedy="Export the pack again.") from error
    match values:
        case {"format": int(number), "files": list(files)} if number == _FORMAT:
            return [_entry(path, item) for item in cast("list[Any]", files)]
        case {"format": int(number)} if number > _FORMAT:
            raise CheckpointError(path, "was made by a newer version.", remedy="Update this program.")
        case _:
            raise CheckpointError(path, "is damaged.", remedy="Export the pack again.")


def _entry(manifest: Path, values: Any) -> PackEntry:
    match values:
        case {"path": str(path), "size_bytes": int(size_bytes), "sha256": str(sha256)} if (
            Digest.parse(sha256) == Digest("sha256", sha256) and size_bytes >= 0
        ):
            return PackEntry(path, size_bytes, sha256)
        case _:
            raise CheckpointError(manifest, "is damaged.", remedy="Export the pack again.")


def _check_entries(folder: Path, entries: Sequence[PackEntry], known: dict[str, Place]) -> None:
    """Only files of the catalogue, so that no path leads elsewhere, and only the published ones."""
    for entry in entries:
        place = known.get(entry.path)
        if place is None:
            raise CheckpointError(
                folder / MANIFEST, f"names '{entry.path}', which no model here uses.", remedy="Update this program."
            )
        if place.file.sha256 not in {None, entry.sha256}:
            raise CheckpointError(
                folder / entry.path, "is not the published file: its hash is another.", remedy="Export the pack again."
            )
        source = folder / entry.path
        if not source.is_file() or source.stat().st_size != entry.size_bytes:
            problem = "has another size than the manifest says" if source.is_file() else "is missing from the pack"
            raise CheckpointError(source, f"{problem}.", remedy="Copy the pack again.")


def _check_space(folder: Path, missing: Sequence[PackEntry]) -> None:
    needed = sum(entry.size_bytes for entry in missing)
    free = free_disk_bytes(folder)
    if missing and needed + _SPARE_BYTES > free:
        raise StorageFull(
            folder, space_sentence("copying", needed, free), remedy="Free some space, or use another disk."
        )


def _write_manifest(folder: Path, entries: Sequence[PackEntry]) -> None:
    new = folder / f".{MANIFEST}.new"
    new.write_text(json.dumps({"format": _FORMAT, "files": [vars(entry) for entry in entries]}, indent=1) + "\n")
    new.replace(folder / MANIFEST)
