"""What the threads of `ltx_studio.state.project` say to the window, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from ltx_studio.domain.project import FileMark, History, Project
from ltx_studio.domain.project_opening import Recovery, Repair
from ltx_studio.domain.project_store import ProjectStore


@dataclass(frozen=True)
class Opened:
    """A project is ready to be shown, or waits for an answer about its recovery."""

    folder: Path
    project: Project
    history: History
    recovery: Recovery | None
    repair: Repair | None
    is_new: bool


@dataclass(frozen=True)
class Written:
    """Everything up to this command is on the disk."""

    number: int


@dataclass(frozen=True)
class Refused:
    """A command failed; `number` is 0 where it was not about edits."""

    error: EngineError
    number: int = 0


@dataclass(frozen=True)
class Looked:
    """Files were looked at."""

    folder: Path
    marks: Mapping[Path, FileMark]
    missing: tuple[Path, ...]


@dataclass(frozen=True)
class CopiedAll:
    """Files of the project in `source` were copied; `target` is a new project's folder, or None for collecting."""

    source: Path
    target: Path | None
    moved: Mapping[Path, Path]
    left: tuple[Path, ...]  # those that are missing


@dataclass(frozen=True)
class Task:
    """Something that takes a while. `fraction` is None where nobody knows."""

    words: str
    fraction: float | None = None


def opened_by(store: ProjectStore, *, is_new: bool = False) -> Opened:
    """As the store stands now."""
    return Opened(store.folder, store.project, store.history, store.recovery, store.repair, is_new)
