"""How a project's folder is written: whole files by rename, backups thinned by age, one owner at a time.

What these functions have returned from is on the disk: it survives a kill at any moment and, as far as the disk keeps
its promises, a power cut. Not here: what is in the files (`project_document`, `project_journal`).
"""

import errno
import os
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.weights.lock import try_lock
from ltx_studio.domain.project import ProjectError

PROJECT_FILE = "project.json"
DOUBLE_CLICK_SUFFIX = ".ltxproject"  # of an empty file that file managers open the project by
JOURNAL_FILE = "journal.jsonl"
BACKUPS = "backups"
MEDIA = "media"
MAX_BACKUPS = 10
_LOCK_FILE = ".ltx-studio.lock"
_STAMP = "%Y%m%d-%H%M%S"


@contextmanager
def named_errors(path: Path, remedy: str = "") -> Generator[None]:
    """What the system has against a file, as a ProjectError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            message, remedy = "the disk is full", "Free some space; your last edits are kept in memory until then."
        else:
            message = (error.strerror or type(error).__name__).lower()
            remedy = remedy or "Check that its disk is connected and may be written to, or save the project elsewhere."
        raise ProjectError(f"{path}: {message}.", remedy=remedy) from error


def take_lock(folder: Path) -> Callable[[], None]:
    """Keep other windows from writing this project; what is returned gives it back. Raises ProjectError."""
    stack = ExitStack()
    with named_errors(folder):
        is_ours = stack.enter_context(try_lock(folder / _LOCK_FILE))
    if not is_ours:
        raise ProjectError(
            f"The project {folder.name} is open in another window of LTX Studio.",
            remedy="Close it there first, or make a copy of its folder.",
        )
    return stack.close


def write_whole(path: Path, content: bytes) -> None:
    """The file has its new content once this returns, and its old one until then. Raises OSError."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Until then a power cut may undo a rename. Windows and some network disks have no such call."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """What a process left that was killed while it wrote."""
    with suppress(OSError):
        for path in folder.glob(".*.part"):
            path.unlink(missing_ok=True)


# --- backups ----------------------------------------------------------------------------------------------------------


NOT_RESTORED, BEFORE_RESTORE = "not-restored", "before-restore"  # labels of backups


@dataclass(frozen=True)
class Backup:
    """An earlier `project.json`."""

    path: Path
    made_s: float  # since the epoch
    label: str = ""  # why it was made, where that was not the clock


def backups_of(folder: Path) -> list[Backup]:
    """Newest first."""
    found: list[Backup] = []
    with suppress(OSError):
        for path in (folder / BACKUPS).glob("project-*.json"):
            with suppress(ValueError):
                found.append(Backup(path, _made_s(path), "-".join(path.stem.split("-")[3:])))
    return sorted(found, key=lambda backup: (backup.made_s, backup.path.name), reverse=True)


def add_backup(folder: Path, content: bytes, *, now_s: float, label: str = "") -> Path:
    """Keep this content; of too many, the one that is missed least goes. `label` is put in the name. Raises OSError."""
    (folder / BACKUPS).mkdir(exist_ok=True)
    # The clock may have been set back, and two backups may fall into one second: the newest has the latest time.
    latest_s = max((backup.made_s for backup in backups_of(folder)), default=0.0)
    name = time.strftime(_STAMP, time.localtime(max(now_s, latest_s + 1)))
    path = folder / BACKUPS / f"project-{name}{f'-{label}' if label else ''}.json"
    write_whole(path, content)
    kept = backups_of(folder)
    while len(kept) > MAX_BACKUPS:
        gone = _least_missed([backup.made_s for backup in kept], now_s)
        kept.pop(gone).path.unlink(missing_ok=True)
    return path


def _least_missed(times_s: Sequence[float], now_s: float) -> int:
    """Which of these, newest first, leaves the smallest hole for its age: the last minutes are dense, old days are not
    forgotten. The three newest and the oldest stay.
    """
    return min(
        range(3, len(times_s) - 1),
        key=lambda index: (times_s[index - 1] - times_s[index + 1]) / max(now_s - times_s[index], 1.0),
    )


def _made_s(path: Path) -> float:
    stamp = "-".join(path.stem.split("-")[1:3])
    return time.mktime(time.strptime(stamp, _STAMP))


def set_aside(path: Path, *, now_s: float) -> Path | None:
    """Move a damaged file out of the way, to be looked at; None where there is none. Raises OSError."""
    if not path.exists():
        return None
    stamp = time.strftime(_STAMP, time.localtime(now_s))
    aside = path.with_name(f"{path.stem}.damaged-{stamp}-{secrets.token_hex(2)}{path.suffix}")
    path.replace(aside)
    return aside
