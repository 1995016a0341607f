"""The project of the window: what is edited is written at once, beside the window, and comes back at the next start.

Every step of the timeline is on the disk within a moment (`is_written`); `project.json` follows when there is a pause.
Two threads work for it: one owns the store and does what it is told in order, the other looks at files and copies them.
Nothing here asks: what has to be asked is a signal, and the answer a method.

Without a project of the user's choice there is an untitled one (`project_places`), so that nothing is ever lost.

It has more than 500 lines because what is sent, what is answered and what is shown have to keep one order, which is
seen best in one place.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QThreadPool, QTimer, Signal, Slot

from engine.errors import EngineError
from ltx_studio.domain.project import FileMark, History, Project, ProjectError, Step, files_of, with_files_moved
from ltx_studio.domain.project_files import JOURNAL_FILE, PROJECT_FILE, Backup, backups_of
from ltx_studio.domain.project_media import Copied, Found, copy_into, copy_tree, mark_of, missing, outside, search
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import Timeline
from ltx_studio.settings import RECENT_PROJECTS
from ltx_studio.state.observable import Observable
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.project_events import CopiedAll, Looked, Opened, Refused, Task, Written, opened_by
from ltx_studio.state.project_places import (
    UNTITLED,
    create_untitled,
    let_go,
    projects_folder,
    remove_opening,
    take_opening,
    write_opening,
)
from ltx_studio.state.timeline import TimelineState

SAVE_AFTER_MS = 2000  # after the first edit that project.json does not have
LOOK_AFTER_MS = 1000  # at files that came in, to know them again
RETRY_MS = 5000  # after the disk refused an edit
SETTLED_AFTER_MS = 3000  # a project that is shown that long did not end the program
NUM_RECENT = 10


def tr(text: str) -> str:
    return QCoreApplication.translate("project", text)


class ProjectState(QObject):
    """Lives in the window's thread. Nothing is read before `start`."""

    noticed = Signal(str)  # something the user should know, in sentences
    opened = Signal(object)  # Opened: it is shown now
    recovery_found = Signal(object)  # Opened, to be answered with `recover`
    search_ended = Signal(object)  # Found, to be answered with `relink`
    _happened = Signal(object)

    def __init__(self, timeline: TimelineState, preferences: Preferences, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = Observable[Path | None](None, self)
        self.is_written = Observable(True, self)
        self.missing = Observable[tuple[Path, ...]]((), self)
        self.task = Observable[Task | None](None, self)
        self._timeline = timeline
        self._preferences = preferences
        self._project = Project(UNTITLED)
        self._history = History(timeline.timeline.value)  # as it is, or is about to be, on the disk
        self._new_base: Timeline | None = None  # shown in place of the history, and not edited yet
        self._num_sent = self._num_written = 0
        self._is_loading = False
        self._is_cancelled = False
        self._has_complained = False
        self._store: ProjectStore | None = None  # the writer's
        self._next: ProjectStore | None = None  # the writer's: opened, not shown yet
        self._writer = self._pool()
        self._helper = self._pool()
        self._save_soon = self._timer(SAVE_AFTER_MS, self.save_quietly)
        self._look_soon = self._timer(LOOK_AFTER_MS, self.look_at_files)
        self._retry = self._timer(RETRY_MS, self.save_quietly)
        self._settled = self._timer(SETTLED_AFTER_MS, self._forget_opening)
        self._happened.connect(self._react)
        timeline.stepped.connect(self._stepped)
        timeline.moved.connect(self._moved)
        timeline.renewed.connect(self._renewed)

    def _pool(self) -> QThreadPool:
        pool = QThreadPool(self)
        pool.setMaxThreadCount(1)
        return pool

    def _timer(self, after_ms: int, react: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(after_ms)
        timer.timeout.connect(react)
        return timer

    # --- opening and closing ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._project.name

    @property
    def is_untitled(self) -> bool:
        """It has no place of the user's choice."""
        return self.folder.value is None or self.folder.value.parent == projects_folder().absolute()

    def recent(self) -> list[Path]:
        """Folders of projects that are there, latest first."""
        folders = [Path(text) for text in self._preferences.get(RECENT_PROJECTS)]
        return [folder for folder in folders if (folder / PROJECT_FILE).exists() or (folder / JOURNAL_FILE).exists()]

    def backups(self) -> list[Backup]:
        """Newest first."""
        return [] if self.folder.value is None else backups_of(self.folder.value)

    def start(self) -> None:
        """Open the project that was open last. Not one that ended the program while it was being opened."""
        recent, suspect = self.recent(), take_opening()
        if recent and recent[0] == suspect:
            words = tr("{name} was not opened, because LTX Studio ended when it was. Find it in Open recent.")
            self.noticed.emit(words.format(name=recent[0].name))
            recent = []
        if recent:
            self.open(recent[0], otherwise_new=True)
        else:
            self.new()

    def open(self, folder: Path, *, otherwise_new: bool = False) -> None:
        """Show another project; the one that is open stays where that fails."""
        folder = folder.absolute()
        if folder == self.folder.value:
            return

        def work() -> None:
            write_opening(folder)
            try:
                store = ProjectStore.open(folder)
            except EngineError as error:
                self._happened.emit(Refused(error))
                remove_opening()
                if otherwise_new:
                    self._make_untitled()
                return
            self._hold(store)

        self._tell(work)

    def new(self) -> None:
        """An empty project in the data folder, to be given a name later."""
        self._tell(self._make_untitled)

    def recover(self, is_wanted: bool) -> None:
        """The answer to `recovery_found`."""

        def work() -> None:
            store = self._next
            if store is not None:
                store.recover(is_wanted)
                self._happened.emit(opened_by(store))

        self._tell(work)

    def save(self) -> None:
        """Bring `project.json` up to date now, and keep a backup of it."""
        self._send(lambda store: store.save(keeps_backup=True))
        self.noticed.emit(tr("{name} is saved.").format(name=self.name))

    @Slot()
    def save_quietly(self) -> None:
        self._send(lambda store: store.save())

    def save_as(self, folder: Path) -> None:
        """The same project, with its history and the files in its folder, in another folder, which is opened."""
        source = self.folder.value
        if source is not None and source != folder.absolute():
            target = folder.absolute()
            self._copy(source, target, lambda files: copy_tree(source, target, files))

    def close(self) -> None:
        """Write everything, and wait for it."""
        for timer in (self._save_soon, self._look_soon, self._retry, self._settled):
            timer.stop()
        self._is_cancelled = True

        def work() -> None:
            for store in (self._next, self._store):
                if store is not None:
                    self._let_go(store)
            self._store = self._next = None
            remove_opening()

        self._tell(work)
        self._helper.waitForDone()
        self._writer.waitForDone()
        self.folder.value = None

    # --- what the timeline does ---------------------------------------------------------------------------------------

    @Slot(str, object, bool)
    def _stepped(self, text: str, after: Timeline, is_merged: bool) -> None:
        if self.folder.value is None:
            return
        if self._new_base is not None:
            self._rebase(self._new_base)
        step = Step(text, after, time.time())
        self._history = self._history.done(step, replaces=is_merged)
        self._send(lambda store: store.edit(step, replaces=is_merged))
        self._edited()

    @Slot(int)
    def _moved(self, position: int) -> None:
        if self.folder.value is None or not 0 <= position <= len(self._history.steps):
            return
        self._history = self._history.moved(position)
        self._send(lambda store: store.move(position))
        self._edited()

    @Slot()
    def _renewed(self) -> None:
        """Another timeline is shown. One that only mirrors the player is kept when it is first edited."""
        if self._is_loading or self.folder.value is None:
            return
        self._new_base = self._timeline.timeline.value
        is_something_gone = bool(self._history.steps) or self._history.base.length > 0
        if self._timeline.is_sequence.value or is_something_gone:
            self._send(lambda store: store.save(keeps_backup=True))
            self._rebase(self._new_base)
            self._edited()

    def _rebase(self, base: Timeline) -> None:
        self._new_base = None
        self._history = history = History(base)
        project = self._project
        self._send(lambda store: store.change_history(project, lambda _: history))

    def _edited(self) -> None:
        if not self._save_soon.isActive():
            self._save_soon.start()
        self._look_soon.start()
        self._remember_recent()

    def _remember_recent(self) -> None:
        folder = self.folder.value
        before = self._preferences.get(RECENT_PROJECTS)
        if folder is not None and before[:1] != (str(folder),):
            others = [text for text in before if text != str(folder)]
            with suppress(EngineError):  # a list of names is not worth a sentence
                self._preferences.put(RECENT_PROJECTS, (str(folder), *others)[:NUM_RECENT])

    # --- files --------------------------------------------------------------------------------------------------------

    @Slot()
    def look_at_files(self) -> None:
        """Which are missing; and to know the others again, should they ever be."""
        folder = self.folder.value
        if folder is None:
            return
        known, history = self._project.marks, self._history

        def work() -> None:
            marks: dict[Path, FileMark] = {}
            for path in history.files():
                mark = None if path in known else mark_of(path)
                if mark is not None:
                    marks[path] = mark
            self._happened.emit(Looked(folder, marks, tuple(missing(files_of(history.now)))))

        self._help(work)

    def search(self, folder: Path) -> None:
        """Look for the missing files in a folder; `search_ended` says what was found."""
        wanted = {path: self._project.marks.get(path) for path in self.missing.value}
        self.task.value = Task(tr("Looking for missing files in {folder}").format(folder=folder.name))

        def work() -> None:
            self._happened.emit(search(folder, wanted, is_cancelled=lambda: self._is_cancelled))

        self._help(work)

    def relink(self, moved: Mapping[Path, Path]) -> None:
        """Use these files in place of those, in every state that undo can reach."""
        if not moved:
            return
        marks = {moved.get(path, path): mark for path, mark in self._project.marks.items()}
        for path in moved.values():  # another file under the name is known by its own looks from now on
            marks.pop(path, None)
        self._project = project = replace(self._project, marks=marks)
        change = _mover(moved)
        self._history = self._history.changed(change)
        self._send(lambda store: store.change_history(project, lambda history: history.changed(change)))
        self._load(self._history)
        self._edited()

    def collect(self) -> None:
        """Copy every file that is not in the project's folder into it."""
        folder = self.folder.value
        if folder is None:
            return
        if not outside(self._history.files(), folder):
            self.noticed.emit(tr("Every file is in the project's folder already."))
            return
        self._copy(folder, None, lambda files: copy_into(folder, outside(files, folder)))

    def _copy(self, source: Path, target: Path | None, copying: Callable[[Iterable[Path]], Iterable[Copied]]) -> None:
        files = list(self._history.files())
        self.task.value = Task(tr("Copying files"), 0.0)

        def work() -> None:
            moved: dict[Path, Path] = {}
            left: list[Path] = []
            for item in copying(files):
                if self._is_cancelled:
                    return
                if item.target is None:
                    left.append(item.source)
                else:
                    moved[item.source] = item.target
                words = tr("Copying file {number} of {total}").format(number=item.done, total=item.total)
                self._happened.emit(Task(words, item.done / item.total))
            self._happened.emit(CopiedAll(source, target, moved, tuple(left)))

        self._help(work)

    def read_backup(self, backup: Path) -> None:
        """Take an earlier state up as an edit, which undo takes back."""

        def work() -> None:
            if self._store is not None:
                self._happened.emit(self._store.read_backup(backup))

        self._tell(work)

    def take_up(self, text: str, timeline: Timeline) -> None:
        """Show another timeline in this project, as an edit."""
        self._timeline.edit(text, lambda _: timeline)

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def _react(self, event: object) -> None:
        match event:
            case Written(number):
                self._num_written = max(self._num_written, number)
                self._has_complained = False
                self._show_written()
            case Refused(error, number):
                self.task.value = None
                self._complain(error, is_about_edits=number > 0)
            case Opened():
                if event.recovery is None:
                    self._show(event)
                else:
                    self.recovery_found.emit(event)
            case Looked():
                self._know(event)
            case Found():
                self.task.value = None
                self.search_ended.emit(event)
            case Task():
                self.task.value = event
            case CopiedAll():
                self.task.value = None
                self._copied(event)
            case Timeline():
                self.take_up(tr("Return to a backup"), event)
            case _:
                raise AssertionError(event)

    def _show(self, opened: Opened) -> None:
        """From here on edits go to this project; those sent before are written to the other one, in order."""

        def switch() -> None:
            old, self._store, self._next = self._store, self._next, None
            if old is not None:
                self._let_go(old)

        self._tell(switch)
        self._project, self._history, self._new_base = opened.project, opened.history, None
        self._num_written = self._num_sent
        is_first = self.folder.value is None
        self.folder.value = opened.folder
        self.missing.value = ()
        steps, shown = self._timeline.steps, self._timeline.timeline.value
        if is_first and opened.is_new and steps:
            self._new_base = shown  # somebody was quicker than the disk
            self._rebase(shown)
        else:
            self._load(opened.history)
        self._show_written()
        self.look_at_files()
        self._settled.start()
        if not opened.is_new:
            self._remember_recent()
        self.opened.emit(opened)

    def _load(self, history: History) -> None:
        self._is_loading = True
        try:
            if history.steps or history.base.length or history.base.markers:
                steps = [(step.name, step.after) for step in history.steps]
                self._timeline.load(history.base, steps, history.position)
            else:
                self._timeline.clear()
        finally:
            self._is_loading = False

    def _complain(self, error: EngineError, *, is_about_edits: bool) -> None:
        """Once, however often an edit is refused: they are in memory, and tried again until they are written."""
        if not (is_about_edits and self._has_complained):
            self.noticed.emit(str(error))
        if is_about_edits:
            self._has_complained = True
            self._retry.start()

    def _know(self, looked: Looked) -> None:
        if looked.folder != self.folder.value:
            return
        marks, gone = looked.marks, looked.missing
        if marks:
            self._project = project = replace(self._project, marks={**self._project.marks, **marks})
            self._send(lambda store: store.change(project))
        if gone and gone != self.missing.value:
            self.noticed.emit(
                tr("Missing: {name}. Find missing files, in the File menu, looks for it.").format(name=gone[0].name)
                if len(gone) == 1
                else tr("{count} files are missing. Find missing files, in the File menu, looks for them.").format(
                    count=len(gone)
                )
            )
        self.missing.value = gone

    def _copied(self, done: CopiedAll) -> None:
        if done.source != self.folder.value:
            return  # another project was opened meanwhile; the copies do no harm
        if done.target is None:
            self.relink(done.moved)
            words = tr("{count} files were copied into the project's folder.").format(count=len(done.moved))
            if done.left:
                words += " " + tr("{count} are missing.").format(count=len(done.left))
            self.noticed.emit(words)
            return
        target = done.target
        marks = {done.moved.get(path, path): mark for path, mark in self._project.marks.items()}
        project = replace(self._project, name=target.name, marks=marks)
        history = self._history.changed(_mover(done.moved))

        def work() -> None:
            self._hold(ProjectStore.create(target, replace(project, timeline=history.now), history))

        self._tell(work)

    def _show_written(self) -> None:
        self.is_written.value = self._num_written >= self._num_sent

    # --- on the writer's thread ---------------------------------------------------------------------------------------

    def _hold(self, store: ProjectStore, *, is_new: bool = False) -> None:
        """Keep it until it is shown."""
        if self._next is not None:
            self._next.abandon()
        self._next = store
        self._happened.emit(opened_by(store, is_new=is_new))

    def _make_untitled(self) -> None:
        self._hold(create_untitled(), is_new=True)

    def _let_go(self, store: ProjectStore) -> None:
        try:
            let_go(store)
        except EngineError as error:
            self._happened.emit(Refused(error))

    @Slot()
    def _forget_opening(self) -> None:
        self._tell(remove_opening)

    # --- threads ------------------------------------------------------------------------------------------------------

    def _send(self, change: Callable[[ProjectStore], None]) -> None:
        """A change of the project, to be on the disk soon."""
        self._num_sent += 1
        number = self._num_sent
        self.is_written.value = False

        def work() -> None:
            if self._store is None:
                return
            try:
                change(self._store)
            except EngineError as error:
                self._happened.emit(Refused(error, number))
            else:
                self._happened.emit(Written(number))

        self._writer.start(work)

    def _tell(self, work: Callable[[], None]) -> None:
        self._writer.start(self._guarded(work))

    def _help(self, work: Callable[[], None]) -> None:
        self._helper.start(self._guarded(work))

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                work()
            except EngineError as error:
                self._happened.emit(Refused(error))
            except OSError as error:
                self._happened.emit(Refused(ProjectError(f"{error.filename or ''}: {error.strerror or error}.")))

        return guarded


def _mover(moved: Mapping[Path, Path]) -> Callable[[Timeline], Timeline]:
    return lambda timeline: with_files_moved(timeline, moved)
