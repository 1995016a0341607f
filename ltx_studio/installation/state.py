"""Where an installation stands: one small state machine for each of its two parts, kept in one file.

Every change is on the disk before what it announces is done, so whoever finds the file after a crash knows what was
under way. The transitions are pure; `Record` is the file.

An environment counts once it passed: `current` is used, `previous` is what a rollback goes back to, `wanted` is what is
being made and is never used.
"""

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import read_json, write_json

FORMAT = 1
FILE_NAME = "installation.json"


class Part(StrEnum):
    SHELL = "shell"  # Python, Qt, PyAV, the studio: opens the window
    ENGINE = "engine"  # everything, with torch for this machine


class State(StrEnum):
    INCOMPLETE = "incomplete"  # nothing there yet, or wheels are being fetched or installed
    VERIFYING = "verifying"  # everything is in place and is being checked and tried
    READY = "ready"
    UPDATE_REQUIRED = "update required"  # what is there works, but not with this version of the studio
    REPAIRING = "repairing"
    UNINSTALLING = "uninstalling"


@dataclass(frozen=True)
class Build:
    """An environment and what it is made of. `studio` is the folder of the studio's own code, for the shell."""

    environment: str
    lock: str
    target: str
    requirements: str = ""
    studio: str = ""


@dataclass(frozen=True)
class Problem:
    """What ended the last attempt."""

    code: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Slot:
    """One part. Each method is one allowed step, and refuses where it is not allowed."""

    state: State = State.INCOMPLETE
    wanted: Build | None = None
    current: Build | None = None
    previous: Build | None = None
    problem: Problem | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the current environment may be started: while it is replaced too, not while it is mended."""
        return self.current is not None and self.state not in {State.REPAIRING, State.UNINSTALLING}

    def begin(self, wanted: Build) -> Self:
        """Start, or go on with, making another environment."""
        self._require(State.INCOMPLETE, State.VERIFYING, State.READY, State.UPDATE_REQUIRED, State.REPAIRING)
        return replace(self, state=State.INCOMPLETE, wanted=wanted, problem=None)

    def built(self) -> Self:
        self._require(State.INCOMPLETE)
        assert self.wanted is not None
        return replace(self, state=State.VERIFYING)

    def passed(self) -> Self:
        """What was wanted is used from now on; what was used before can be gone back to."""
        self._require(State.VERIFYING)
        assert self.wanted is not None
        previous = self.current if self.current not in {None, self.wanted} else self.previous
        return replace(self, state=State.READY, wanted=None, current=self.wanted, previous=previous, problem=None)

    def failed(self, problem: Problem) -> Self:
        """The attempt ended; the state says where it goes on."""
        return replace(self, problem=problem)

    def give_up(self) -> Self:
        """Forget what was wanted, and keep to what is there."""
        self._require(State.INCOMPLETE, State.VERIFYING)
        state = State.READY if self.current is not None else State.INCOMPLETE
        return replace(self, state=state, wanted=None, problem=None)

    def outdated(self) -> Self:
        self._require(State.READY, State.UPDATE_REQUIRED)
        return replace(self, state=State.UPDATE_REQUIRED)

    def repair(self) -> Self:
        self._require(State.READY, State.UPDATE_REQUIRED, State.REPAIRING)
        return replace(self, state=State.REPAIRING, problem=None)

    def repaired(self) -> Self:
        self._require(State.REPAIRING)
        return replace(self, state=State.READY, problem=None)

    def roll_back(self) -> Self:
        """Raises InstallError where there is nothing to go back to."""
        if self.previous is None:
            raise InstallError("no-previous", "There is no earlier version to go back to.")
        self._require(State.INCOMPLETE, State.VERIFYING, State.READY, State.UPDATE_REQUIRED, State.REPAIRING)
        return replace(self, state=State.READY, wanted=None, current=self.previous, previous=self.current, problem=None)

    def uninstall(self) -> Self:
        return replace(self, state=State.UNINSTALLING, problem=None)

    def _require(self, *states: State) -> None:
        if self.state is State.UNINSTALLING:
            raise InstallError(
                "uninstalling", "LTX Studio is being removed from here.", remedy="Let that finish, then install again."
            )
        assert self.state in states, (self.state, states)


@dataclass(frozen=True)
class Installation:
    """Both parts, and what the user chose."""

    shell: Slot = Slot()
    engine: Slot = Slot()
    engine_folder: str | None = None  # None: beside this file
    models_folder: str | None = None  # None: in the data folder
    projects_folder: str | None = None
    skipped_version: str | None = None  # of the studio: not offered again
    kit_version: str | None = None  # of an update that was applied; None: the package's own
    extras: dict[str, Any] = field(default_factory=dict[str, Any])  # of later versions, kept

    def slot(self, part: Part) -> Slot:
        return self.shell if part is Part.SHELL else self.engine

    def with_slot(self, part: Part, slot: Slot) -> Self:
        return replace(self, shell=slot) if part is Part.SHELL else replace(self, engine=slot)

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        return {"format": FORMAT, **values.pop("extras"), **values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for what no version wrote."""
        known = {"shell", "engine", "format", *_PLAIN}
        return cls(
            _slot(values["shell"]),
            _slot(values["engine"]),
            **{name: _text(values.get(name)) for name in _PLAIN},
            extras={name: value for name, value in values.items() if name not in known},
        )


_PLAIN = ("engine_folder", "models_folder", "projects_folder", "skipped_version", "kit_version")


class Record:
    """The file. Only the holder of the installation's lock changes it; anyone may read it."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME

    def read(self) -> Installation:
        """A new installation where there is no file. Raises InstallError for one that cannot be read."""
        try:
            values = read_json(self.path)
            return Installation() if values is None else Installation.from_dict(values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InstallError(
                "damaged-record",
                f"{self.path} cannot be read.",
                remedy="Delete it and start LTX Studio again: what is whole is found and used.",
            ) from error

    def write(self, installation: Installation) -> None:
        """Raises OSError; then the old state stands."""
        write_json(self.path, installation.to_dict())

    def change(self, part: Part, slot: Slot) -> Installation:
        """Put one part's new state on the disk; returns the whole."""
        changed = self.read().with_slot(part, slot)
        self.write(changed)
        return changed


def _slot(values: dict[str, Any]) -> Slot:
    problem = values.get("problem")
    return Slot(
        State(values["state"]),
        *(_build(values.get(name)) for name in ("wanted", "current", "previous")),
        problem=None if problem is None else Problem(**problem),
    )


def _build(values: dict[str, Any] | None) -> Build | None:
    return None if values is None else Build(**values)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
