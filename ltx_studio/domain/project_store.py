"""An open project: its folder is ours, every edit is in the journal before the call returns, `project.json` follows.

    My film/
        project.json        the state when it was last saved, with the number of the last edit in it
        journal.jsonl       every edit, and the undo history across restarts
        backups/            ten earlier project.json, dense for the last minutes, sparse for older days
        media/              what was collected

One store belongs to one thread, beside the window's: every call waits for the disk. Whatever is damaged is replaced by
the newest of what is left (journal, then backups), kept for inspection, and told to the caller.

Not here: threads and timers (`ltx_studio.state.project`), words for the user (`ltx_studio.ui.project_words`).
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from ltx_studio.domain.project import History, Project, ProjectError, Step
from ltx_studio.domain.project_document import Places, Writer
from ltx_studio.domain.project_files import (
    BEFORE_RESTORE,
    DOUBLE_CLICK_SUFFIX,
    JOURNAL_FILE,
    NOT_RESTORED,
    PROJECT_FILE,
    Backup,
    add_backup,
    backups_of,
    named_errors,
    remove_partial_files,
    take_lock,
    write_whole,
)
from ltx_studio.domain.project_journal import (
    JournalFile,
    Record,
    Replay,
    around_record,
    edit_record,
    line_of,
    move_record,
    start_record,
)
from ltx_studio.domain.project_opening import Found, found_in, read_backup, saved_in
from ltx_studio.domain.project_patch import difference
from ltx_studio.domain.timeline import Timeline

logger = logging.getLogger("studio.project")

BACKUP_EVERY_S = 300.0  # while there are edits; saving by hand and closing make one as well
MAX_JOURNAL_BYTES = 8_000_000  # beyond, and on closing, it is written anew as one state with its history


class ProjectStore:
    """Made by `create` and `open`. Every method raises ProjectError for what the disk refuses."""

    def __init__(self, folder: Path, found: Found, release: Callable[[], None], now: Callable[[], float]) -> None:
        self.folder = folder
        self.repair = found.repair
        self.recovery = found.recovery  # to be answered with `recover` before anything else
        self._release = release
        self._now = now
        self._writer = Writer(Places(folder), found.project.unknown)
        self._project = found.project
        self._history = found.history
        self._number = found.number
        self._saved_number = found.saved_number
        self._first_number = found.number
        self._backup_number = -1
        self._document = self._writer.timeline(found.history.now)
        self._around = self._writer.around(found.project)
        self._journal: JournalFile | None = None

    @classmethod
    def create(
        cls,
        folder: Path,
        project: Project,
        history: History | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> Self:
        """A new project in a folder that has none yet; the folder is made where it is missing."""
        folder = folder.absolute()
        with named_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        release = take_lock(folder)
        try:
            if (folder / PROJECT_FILE).exists() or (folder / JOURNAL_FILE).exists():
                raise ProjectError(
                    f"There is a project in {folder} already.", remedy="Open it, or choose another name."
                )
            history = history or History(project.timeline)
            store = cls(folder, Found(project, history, 0, -1, now()), release, now)
            store._begin_journal()
            store.save()
            with named_errors(folder):
                write_whole(folder / f"{folder.name}{DOUBLE_CLICK_SUFFIX}", b"")
        except BaseException:
            release()
            raise
        return store

    @classmethod
    def open(cls, folder: Path, *, now: Callable[[], float] = time.time) -> Self:
        """The project in a folder. Where `recovery` is set, `recover` has to be called next."""
        folder = folder.absolute()
        if not folder.is_dir():
            raise ProjectError(f"There is no folder {folder}.", remedy="Choose the folder of a project.")
        release = take_lock(folder)
        try:
            with named_errors(folder):
                found = found_in(folder, now())
                remove_partial_files(folder)
            store = cls(folder, found, release, now)
            if found.recovery is None:
                store._go_on_with(found.journal)
                if found.repair is not None:
                    store.save()
        except BaseException:
            release()
            raise
        return store

    # --- what it is now -----------------------------------------------------------------------------------------------

    @property
    def project(self) -> Project:
        return replace(self._project, timeline=self._history.now)

    @property
    def history(self) -> History:
        return self._history

    @property
    def is_saved(self) -> bool:
        """Whether `project.json` has every edit."""
        return self._number == self._saved_number

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever done to it."""
        return self._number == 0 and not self._history.steps

    def backups(self) -> list[Backup]:
        """Newest first."""
        return backups_of(self.folder)

    # --- changing it --------------------------------------------------------------------------------------------------

    def recover(self, is_wanted: bool) -> None:
        """Go on with the edits that were not saved, or without. The state that is not wanted is kept as a backup."""
        assert self.recovery is not None
        with named_errors(self.folder):
            saved = saved_in(self.folder, self._now())
            content = (self.folder / PROJECT_FILE).read_bytes() if is_wanted else self._content()
            add_backup(self.folder, content, now_s=self._now(), label=BEFORE_RESTORE if is_wanted else NOT_RESTORED)
        if not is_wanted:
            self._project, self._history = saved.project, saved.history
            self._write_documents()
        self.recovery = None
        self._begin_journal()
        self._saved_number = -1
        self.save()

    def edit(self, step: Step, *, replaces: bool = False) -> None:
        """One more step of the history, on the disk when this returns; `replaces`: in place of the last one."""
        history = self._history.done(step, replaces=replaces)
        document = self._writer.timeline(step.after)
        patch = difference(self._document, document)
        self._history, self._document = history, document
        self._append(lambda number: edit_record(number, step, patch, replaces=replaces))

    def move(self, position: int) -> None:
        """Undo or redo to there."""
        self._history = self._history.moved(position)
        self._document = self._writer.timeline(self._history.now)
        self._append(lambda number: move_record(number, position))

    def change(self, project: Project) -> None:
        """Everything but the timeline, which undo does not touch."""
        self._project = replace(project, unknown=self._project.unknown)
        around = self._writer.around(self._project)
        patch = difference(self._around, around)
        self._around = around
        if patch:
            self._append(lambda number: around_record(number, patch))

    def read_backup(self, backup: Path) -> Timeline:
        """The timeline of an earlier `project.json`, to be taken up as an edit."""
        return read_backup(backup, self.folder).timeline

    def change_history(self, project: Project, change: Callable[[History], History]) -> None:
        """Every state of the history at once, such as files that were found in another place."""
        self._project = replace(project, unknown=self._project.unknown)
        self._history = change(self._history)
        self._write_documents()
        self._number += 1
        self._begin_journal()
        self.save()

    def save(self, *, keeps_backup: bool = False) -> None:
        """Bring `project.json` up to date; `keeps_backup`: and keep a copy however recent the last one is."""
        if not self._is_journal_sound():
            self._begin_journal()
        if not self.is_saved:
            content = self._content()
            with named_errors(self.folder):
                write_whole(self.folder / PROJECT_FILE, content)
            self._saved_number = self._number
        latest_s = max((backup.made_s for backup in self.backups()), default=0.0)
        is_due = keeps_backup or self._now() - latest_s >= BACKUP_EVERY_S
        if is_due and self._backup_number != self._number:
            with named_errors(self.folder):
                add_backup(self.folder, (self.folder / PROJECT_FILE).read_bytes(), now_s=self._now())
            self._backup_number = self._number

    def close(self) -> None:
        """Save and give the folder back; it is given back also where saving fails."""
        try:
            if self.recovery is None:
                self.save(keeps_backup=self._number != self._first_number)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the folder back and write nothing more, as a process that is killed would."""
        self._end_journal()
        self._release()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _content(self) -> bytes:
        document = self._writer.project(self.project, edit=self._number, saved_s=self._now())
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    def _append(self, record: Callable[[int], Record]) -> None:
        self._number += 1
        with named_errors(self.folder):
            if self._journal is None or not self._journal.is_sound:
                self._begin_journal()  # with this very edit in its first line
                return
            self._journal.append(record(self._number))
        if self._journal.num_bytes > MAX_JOURNAL_BYTES:
            self._begin_journal()

    def _write_documents(self) -> None:
        """Both, for the next difference to start from."""
        self._document = self._writer.timeline(self._history.now)
        self._around = self._writer.around(self._project)

    def _is_journal_sound(self) -> bool:
        return self._journal is not None and self._journal.is_sound

    def _go_on_with(self, journal: Replay | None) -> None:
        """Append to a journal that says just what would be written now; else begin anew."""
        is_current = (
            journal is not None
            and journal.timeline_document == self._document
            and journal.around_document == self._around
        )
        if not is_current:
            self._begin_journal()
            return
        with named_errors(self.folder):
            self._journal = JournalFile(self.folder / JOURNAL_FILE)

    def _begin_journal(self) -> None:
        """Write it anew, as one line."""
        self._end_journal()
        path = self.folder / JOURNAL_FILE
        writer = Writer(self._writer.places, self._project.unknown)  # ours remembers the current state, and is to
        start = start_record(self._history, self._around, writer, number=self._number)
        with named_errors(self.folder):
            write_whole(path, line_of(start))
            self._journal = JournalFile(path)

    def _end_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
