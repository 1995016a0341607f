"""Projects that were given no place: where they are, how they begin, and how those that nobody used go away.

And a note of which project is being opened, for the case that this ends the program. Every function here waits for the
disk.
"""

import logging
import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

from engine.folders import data_folder
from ltx_studio.domain.project import Project
from ltx_studio.domain.project_files import BACKUPS, DOUBLE_CLICK_SUFFIX, JOURNAL_FILE, PROJECT_FILE
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.installation.layout import PROJECTS_VARIABLE

logger = logging.getLogger("studio.project")

UNTITLED = "Untitled"
_OPENING_FILE = ".opening"


def projects_folder() -> Path:
    """Where projects are that were given no other place; in the data folder unless the user chose another."""
    chosen = os.environ.get(PROJECTS_VARIABLE)
    return Path(chosen).expanduser() if chosen else data_folder() / "projects"


def create_untitled() -> ProjectStore:
    """An empty project under the first name that is free. Raises ProjectError."""
    names = (UNTITLED if number == 1 else f"{UNTITLED} {number}" for number in count(1))
    name = next(name for name in names if not (projects_folder() / name).exists())
    return ProjectStore.create(projects_folder() / name, Project(name))


def let_go(store: ProjectStore) -> None:
    """Close it; an untitled project that nothing was ever done in leaves no trace. Raises ProjectError."""
    is_untouched = store.is_untouched and store.folder.parent == projects_folder().absolute()
    store.close()
    names = {PROJECT_FILE, JOURNAL_FILE, BACKUPS, f"{store.folder.name}{DOUBLE_CLICK_SUFFIX}"}
    try:
        if is_untouched and {path.name for path in store.folder.iterdir()} <= names:
            shutil.rmtree(store.folder, ignore_errors=True)
    except OSError as error:
        logger.info("%s: %s", store.folder, error)


def write_opening(folder: Path) -> None:
    """Note that this project is being opened, until `remove_opening`."""
    with suppress(OSError):
        projects_folder().mkdir(parents=True, exist_ok=True)
        (projects_folder() / _OPENING_FILE).write_text(str(folder), encoding="utf-8")


def remove_opening() -> None:
    """It was opened, or refused in a sentence."""
    with suppress(OSError):
        (projects_folder() / _OPENING_FILE).unlink(missing_ok=True)


def take_opening() -> Path | None:
    """The project that was being opened when the program last ended, if there is one; it is forgotten."""
    with suppress(OSError, UnicodeDecodeError):
        suspect = Path((projects_folder() / _OPENING_FILE).read_text(encoding="utf-8"))
        remove_opening()
        return suspect
    return None
