"""What a project's folder holds when it is opened: the saved state, the edits after it, or what can be repaired.

The saved state is `project.json`; the journal has it too, and what came after. Where one of them is missing or damaged
the other is enough, and where both are, the newest backup that can be read. What cannot be used is kept beside.

Not here: changing an open project (`project_store`).
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ltx_studio.domain.project import History, Project, ProjectError, Step
from ltx_studio.domain.project_document import VERSION, Document, Places, Reader, updated
from ltx_studio.domain.project_files import JOURNAL_FILE, PROJECT_FILE, add_backup, backups_of, set_aside
from ltx_studio.domain.project_journal import Log, Replay, read_log, replay

logger = logging.getLogger("studio.project")

CHANGED_OUTSIDE = "Change outside LTX Studio"  # the name of the step in the history


class Source(StrEnum):
    """What a damaged project was repaired from."""

    JOURNAL = "journal"
    BACKUP = "backup"


@dataclass(frozen=True)
class Repair:
    """`project.json` was missing or damaged. `made_s` is when its replacement was written, seconds since the epoch."""

    source: Source
    made_s: float
    aside: Path | None  # where the damaged file is kept; None: it was missing


@dataclass(frozen=True)
class Recovery:
    """Edits that are in the journal and not in `project.json`: the program ended before it saved them."""

    names: tuple[str, ...]  # of the edits, in order
    saved_s: float  # when it was last saved


@dataclass(frozen=True)
class Found:
    """What opening a folder found."""

    project: Project
    history: History
    number: int  # of the last edit
    saved_number: int
    saved_s: float
    repair: Repair | None = None
    recovery: Recovery | None = None
    journal: Replay | None = None  # one that can be gone on with as it is


@dataclass(frozen=True)
class Saved:
    """A `project.json` that can be read."""

    project: Project
    history: History
    number: int
    saved_s: float
    is_in_journal: bool = False


@dataclass(frozen=True)
class _Journal:
    """A journal that was replayed without a contradiction."""

    log: Log
    reader: Reader
    now: Replay


def found_in(folder: Path, now_s: float) -> Found:
    """The state of a project that nobody else has open. Raises ProjectError and OSError."""
    journal = _journal_of(folder, now_s)
    try:
        saved = _saved_in(folder, journal, now_s)
    except ValueError as error:
        logger.warning("%s cannot be used: %s", folder / PROJECT_FILE, error)
        return _repaired(folder, journal, now_s)
    found = Found(saved.project, saved.history, saved.number, saved.number, saved.saved_s)
    if journal is None or journal.log.number < saved.number:
        return found
    if journal.log.number == saved.number:
        return replace(found, journal=journal.now) if saved.is_in_journal and journal.log.is_whole else found
    recovery = Recovery(_names_after(journal, saved), saved.saved_s)
    project = _project_of(journal, folder)
    return replace(found, project=project, history=journal.now.history, number=journal.log.number, recovery=recovery)


def saved_in(folder: Path, now_s: float) -> Saved:
    """What `project.json` says, with the history that led to it. Raises ValueError, ProjectError, OSError."""
    return _saved_in(folder, _journal_of(folder, now_s), now_s)


def peek(folder: Path) -> Project:
    """The latest state that is on the disk, also while a window has the project open; nothing is written.

    Raises ProjectError.
    """
    folder = folder.absolute()
    log, reader = read_log(folder / JOURNAL_FILE) if folder.is_dir() else None, Reader(Places(folder))
    if log is not None:
        with suppress(ValueError):
            return _project_of(_Journal(log, reader, replay(log, reader)), folder)
    try:
        document, _ = _document_of(folder / PROJECT_FILE)
        return replace(Reader(Places(folder)).project(document), name=folder.name)
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"{folder} has no project that can be read: {error}.",
            remedy="Choose the folder of a project, or open it in the studio, which repairs what it can.",
        ) from error


def read_backup(path: Path, folder: Path) -> Project:
    """An earlier `project.json` of the project in `folder`. Raises ProjectError."""
    try:
        document, _ = _document_of(path)
        return replace(Reader(Places(folder)).project(document), name=folder.name)
    except (OSError, ValueError) as error:
        raise ProjectError(f"The backup {path.name} cannot be read: {error}.", remedy="Choose another one.") from error


def _saved_in(folder: Path, journal: _Journal | None, now_s: float) -> Saved:
    path = folder / PROJECT_FILE
    document, version = _document_of(path)
    number, saved_s = int(document.get("edit", 0)), float(document.get("saved_s", 0.0))
    is_in_journal = False
    if journal is not None and journal.log.start["number"] <= number <= journal.log.number:
        log, reader = journal.log, journal.reader
        then = journal.now if number == log.number else replay(log, reader, up_to=number)
        history = then.history
        is_in_journal = document.get("timeline") == then.timeline_document
        if is_in_journal:
            project = replace(reader.around(document), timeline=history.now)
        else:
            project = reader.project(document)
            history = history.done(Step(CHANGED_OUTSIDE, project.timeline, now_s))
    else:
        reader = Reader(Places(folder))
        project = reader.project(document)
        history = History(project.timeline)
    if version < VERSION:
        add_backup(folder, path.read_bytes(), now_s=now_s, label=f"version{version}")
    project = replace(project, name=folder.name, unknown=dict(reader.unknown))
    return Saved(project, history, number, saved_s, is_in_journal)


def _document_of(path: Path) -> tuple[Document, int]:
    """The document, brought up to date, and the version it had. Raises ValueError, ProjectError, OSError."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError("it is missing") from error
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return updated(document), int(document["version"])


def _journal_of(folder: Path, now_s: float) -> _Journal | None:
    """None where it is missing or contradicts itself; of what cannot be used, a copy is kept."""
    path = folder / JOURNAL_FILE
    log, reader = read_log(path), Reader(Places(folder))
    journal: _Journal | None = None
    if log is not None:
        try:
            journal = _Journal(log, reader, replay(log, reader))
        except ValueError as error:
            logger.warning("%s cannot be used: %s", path, error)
    if (journal is None or journal.log.is_damaged) and path.exists():
        copy = path.with_name(f"{path.stem}.damaged-{int(now_s)}{path.suffix}")
        with suppress(OSError):
            copy.write_bytes(path.read_bytes())
    return journal


def _repaired(folder: Path, journal: _Journal | None, now_s: float) -> Found:
    path = folder / PROJECT_FILE
    if journal is not None:
        made_s = (folder / JOURNAL_FILE).stat().st_mtime
        repair = Repair(Source.JOURNAL, made_s, set_aside(path, now_s=now_s))
        project = _project_of(journal, folder)
        return Found(project, journal.now.history, journal.log.number, -1, made_s, repair)
    for backup in backups_of(folder):
        with suppress(ProjectError):
            project = read_backup(backup.path, folder)
            repair = Repair(Source.BACKUP, backup.made_s, set_aside(path, now_s=now_s))
            return Found(project, History(project.timeline), 0, -1, backup.made_s, repair)
    if path.exists():
        raise ProjectError(
            f"The project in {folder} is damaged, and so are its journal and its backups.",
            remedy="Nothing was changed. Restore the folder from a copy of your own.",
        )
    raise ProjectError(f"{folder} is not a project of LTX Studio.", remedy="Choose a folder with a project.json.")


def _project_of(journal: _Journal, folder: Path) -> Project:
    """The state of a journal. The folder's name is the project's, also after somebody has renamed the folder."""
    now, unknown = journal.now, dict(journal.reader.unknown)
    return replace(now.around, name=folder.name, timeline=now.history.now, unknown=unknown)


def _names_after(journal: _Journal, saved: Saved) -> tuple[str, ...]:
    """The edits that are not in the saved state; of a journal that was written anew since, those made since."""
    log, history = journal.log, journal.now.history
    if log.start["number"] <= saved.number:
        records = [record for record in log.records if record["number"] > saved.number]
        return tuple(record["name"] for record in records if record["kind"] == "edit")
    return tuple(step.name for step in history.steps[: history.position] if step.at_s > saved.saved_s)
