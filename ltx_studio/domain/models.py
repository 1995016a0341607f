"""Every model of the catalogue as this machine has it: files, states, sizes, and whether it fits. No Qt.

`survey` looks at names, sizes and records of files, never at their contents; it still asks a disk, so it runs in a
worker. What the user can do with a model follows from its row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import EngineError
from engine.folders import models_folder
from engine.hardware import Machine
from engine.pipelines.plan import Plan, plan
from engine.request import GenerationRequest, Preset
from engine.weights.access import DEFAULT_ENDPOINT, find_access
from engine.weights.adopt import usual_folders
from engine.weights.catalog import CatalogueEntry, Place, catalogue, downloadable, is_text_encoder, places, title_of
from engine.weights.installed import State, free_disk_bytes, removable_bytes, state_of
from engine.weights.partial import left_behind
from ltx_studio.domain.job import Failed

# A model is as far as the first of these that one of its files is. "bundled" and "absent" are of models that ship with
# the program.
ModelState = State | Literal["bundled", "absent"]
_STATES: Sequence[State] = ("partial", "missing", "unverified", "verified")


@dataclass(frozen=True)
class FileRow:
    """One file of a model."""

    name: str
    purpose: str
    state: State
    size_bytes: int | None  # None: only the hub knows
    here_bytes: int  # whole, or kept from an earlier attempt

    @property
    def missing_bytes(self) -> int | None:
        return None if self.size_bytes is None else max(self.size_bytes - self.here_bytes, 0)


@dataclass(frozen=True)
class Licence:
    """What one repository asks of those who use its files."""

    name: str
    repository: str
    terms_url: str | None  # where an account accepts them; None where none is needed


@dataclass(frozen=True)
class ModelRow:
    """One model, or one text encoder, on this machine."""

    name: str
    title: str
    files: tuple[FileRow, ...]  # its own
    state: ModelState  # of its own files
    licences: tuple[Licence, ...]
    text_encoder: str | None  # a row of its own, fetched along
    is_text_encoder: bool
    removable_bytes: int | None  # what removing it frees; None where there is nothing to remove
    plan: Plan | Failed | None  # a clip of its usual size on this machine; None where nobody knows yet

    @property
    def here_bytes(self) -> int:
        return sum(file.here_bytes for file in self.files)

    @property
    def known_bytes(self) -> int:
        """Of the files whose size is known."""
        return sum(file.size_bytes or 0 for file in self.files)

    @property
    def is_size_known(self) -> bool:
        return all(file.size_bytes is not None for file in self.files)


@dataclass(frozen=True)
class Inventory:
    """Everything that the page shows of the disk."""

    rows: tuple[ModelRow, ...] = ()
    folder: Path | None = None  # where models go
    free_bytes: int = 0  # there
    usual_folders: tuple[Path, ...] = ()  # of other programs, as far as they exist
    has_token: bool = False

    def row(self, name: str) -> ModelRow | None:
        return next((row for row in self.rows if row.name == name), None)

    def missing_bytes(self, name: str) -> int:
        """What fetching a model adds to the disk, of the files whose size is known, its text encoder's included."""
        row = self.row(name)
        encoder = None if row is None or row.text_encoder is None else self.row(row.text_encoder)
        files = [file for item in (row, encoder) if item is not None for file in item.files]
        return sum(file.missing_bytes or 0 for file in files if file.state in {"missing", "partial"})

    def is_complete(self, name: str) -> bool:
        """Whether every file of a model and of its text encoder is there and verified."""
        row = self.row(name)
        if row is None or row.state != "verified":
            return False
        encoder = None if row.text_encoder is None else self.row(row.text_encoder)
        return encoder is None or encoder.state == "verified"


def survey(machine: Machine | None, free_bytes: Callable[[Path], int] = free_disk_bytes) -> Inventory:
    """What there is now. Without a machine nothing is said about what fits it."""
    bundled = [_bundled_row(entry, machine) for entry in catalogue().values() if entry.is_bundled]
    rows = (*bundled, *(_row(name, machine) for name in downloadable()))
    return Inventory(rows, models_folder(), free_bytes(models_folder()), usual_folders(), _has_token())


def _has_token() -> bool:
    try:
        return find_access().token is not None
    except EngineError:
        return False  # fetching says what is wrong with it


def _bundled_row(entry: CatalogueEntry, machine: Machine | None) -> ModelRow:
    paths = [entry.folder / name for name in entry.files.values()]
    sizes = {path: path.stat().st_size if path.is_file() else None for path in paths}
    files = tuple(
        FileRow(path.name, "", "missing" if size is None else "verified", size, size or 0)
        for path, size in sizes.items()
    )
    is_there = None not in sizes.values()
    return ModelRow(
        name=entry.name,
        title=entry.title,
        files=files,
        state="bundled" if is_there else "absent",
        licences=(),
        text_encoder=None,
        is_text_encoder=False,
        removable_bytes=None,
        plan=_plan(entry.name, machine) if is_there else None,
    )


def _row(name: str, machine: Machine | None) -> ModelRow:
    all_places = places(name)
    own_folder = all_places[0].path.parent  # its text encoder, in another folder, has a row of its own
    files = tuple(_file_row(place) for place in all_places if place.path.parent == own_folder)
    is_encoder = is_text_encoder(name)
    return ModelRow(
        name=name,
        title=title_of(name),
        files=files,
        state=_least(files),
        licences=_licences(all_places),
        text_encoder=None if is_encoder else catalogue()[name].text_encoder,
        is_text_encoder=is_encoder,
        removable_bytes=removable_bytes(name),
        plan=None if is_encoder else _plan(name, machine),
    )


def _least(files: Sequence[FileRow]) -> State:
    states = {file.state for file in files}
    for state in _STATES:
        if state in states:
            return state
    raise AssertionError("a model has files")


def _file_row(place: Place) -> FileRow:
    state, size_bytes = state_of(place), place.file.size_bytes
    if state in {"verified", "unverified"}:
        here_bytes = place.path.stat().st_size
        return FileRow(place.file.name, place.file.purpose, state, size_bytes or here_bytes, here_bytes)
    kept, stated = left_behind(place.path) or (0, None)
    return FileRow(place.file.name, place.file.purpose, state, size_bytes or stated, kept)


def _licences(all_places: Sequence[Place]) -> tuple[Licence, ...]:
    endpoint = _endpoint()
    files = {place.file.repository: place.file for place in all_places}
    return tuple(
        Licence(file.licence, repository, f"{endpoint}/{repository}" if file.has_terms else None)
        for repository, file in files.items()
    )


def _endpoint() -> str:
    """The hub or mirror that would be asked now."""
    try:
        return find_access().endpoint
    except EngineError:
        return DEFAULT_ENDPOINT


def _plan(name: str, machine: Machine | None) -> Plan | Failed | None:
    if machine is None:
        return None
    try:
        return plan(GenerationRequest("any", model=name, preset=Preset.FAST), machine)
    except EngineError as error:
        return Failed.of(error)
