"""Projects in the window: the commands of the File menu, the title, the menus of recent projects and of backups.

What is written when is `ltx_studio.state.project`'s; what is asked, `project_dialogs`'.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QLocale, QObject, QStandardPaths, QTimer, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QMenu

from engine.errors import EngineError
from ltx_studio.domain.interchange import Imported, save
from ltx_studio.domain.project_media import Found
from ltx_studio.services.sequence_jobs import SequenceJobs
from ltx_studio.state.observable import bind
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.project import ProjectState
from ltx_studio.state.project_events import Opened, Task
from ltx_studio.state.timeline import TimelineState
from ltx_studio.ui import project_words
from ltx_studio.ui.project_dialogs import ProjectDialogs

STAR_AFTER_MS = 400  # an edit is on the disk long before, as a rule: a star that flickers says nothing


class ProjectDesk(QObject):
    """One for each window, which calls `follow` when its menus are built and `start` when it is shown."""

    said = Signal(str)  # something the user should know, in sentences

    def __init__(
        self,
        timeline: TimelineState,
        preferences: Preferences,
        window: QMainWindow,
        dialogs: ProjectDialogs | None = None,
    ) -> None:
        super().__init__(window)
        self.state = ProjectState(timeline, preferences, self)
        self.jobs = SequenceJobs(self)
        self.dialogs = dialogs or ProjectDialogs()
        self._timeline = timeline
        self._window = window
        self._actions: dict[str, QAction] = {}
        self._recent = QMenu(self.tr("Open recent"), window)
        self._backups = QMenu(self.tr("Return to a backup"), window)
        self._star_soon = QTimer(self)
        self._star_soon.setSingleShot(True)
        self._star_soon.setInterval(STAR_AFTER_MS)
        self._star_soon.timeout.connect(self._show_star)

    def reactions(self) -> dict[str, Callable[[], None]]:
        """By command of `ltx_studio.ui.actions`."""
        return {
            "new_project": self.state.new,
            "open_project": self._open,
            "save_project": self._save,
            "save_project_as": self._save_as,
            "find_missing": self._find_missing,
            "collect_files": self.state.collect,
            "import_sequence": self._import,
            "export_for_editors": self._export_for_editors,
            "export_sequence": self._export_sequence,
        }

    def follow(self, actions: dict[str, QAction]) -> None:
        """Put the two menus into the File menu, and keep everything up to date from now on."""
        self._actions = actions
        menus = [item for item in actions["open_project"].associatedObjects() if isinstance(item, QMenu)]
        for menu in menus:
            menu.insertMenu(actions["save_project"], self._recent)
            menu.insertMenu(actions["collect_files"], self._backups)
        self._recent.aboutToShow.connect(self._fill_recent)
        self._backups.aboutToShow.connect(self._fill_backups)
        state, jobs = self.state, self.jobs
        state.noticed.connect(self.said)
        state.opened.connect(self._opened)
        state.recovery_found.connect(self._ask_recovery)
        state.search_ended.connect(self._found)
        jobs.progressed.connect(self._rendering)
        jobs.rendered.connect(self._rendered)
        jobs.imported.connect(self._imported)
        jobs.rate_needed.connect(self._ask_rate)
        jobs.failed.connect(self.said)
        jobs.ended.connect(self._show_render_command)
        bind(state.folder, self._show_name)
        bind(state.is_written, self._show_written)
        bind(state.missing, self._show_missing)
        state.task.changed.connect(self._show_task)
        self._timeline.timeline.changed.connect(self._show_render_command)
        self._show_render_command()

    @Slot()
    def start(self) -> None:
        """Open the last project."""
        self.state.start()

    @Slot()
    def close(self) -> None:
        """Write everything, and wait for it."""
        self.jobs.close()
        self.state.close()

    # --- commands -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        start = self._place().parent
        folder = self.dialogs.folder_to_open(self._window, start)
        if folder is not None:
            self.state.open(folder)

    def _save(self) -> None:
        """A project without a name of its own gets one; any other one is saved as it is anyway, and gets a backup."""
        if self.state.is_untitled:
            self._save_as()
        else:
            self.state.save()

    def _save_as(self) -> None:
        folder = self.dialogs.new_place(self._window, self._place())
        if folder is not None:
            self.state.save_as(folder)

    def _find_missing(self) -> None:
        folder = self.dialogs.folder_to_search(self._window, self._place().parent)
        if folder is not None:
            self.state.search(folder)

    def _import(self) -> None:
        path = self.dialogs.file_to_import(self._window, self._place().parent)
        if path is not None:
            self.jobs.import_file(path)

    def _export_for_editors(self) -> None:
        start = self._place().parent / f"{self.state.name}.otio"
        path = self.dialogs.file_for_editors(self._window, start)
        if path is None:
            return
        try:
            losses = save(self._timeline.timeline.value, path, name=self.state.name)
        except EngineError as error:
            self.said.emit(str(error))
            return
        self.said.emit(self.tr("{name} is written.").format(name=path.name))
        if losses:
            self.dialogs.show_losses(
                self._window,
                self.tr("Export for another editor"),
                self.tr("{name} is written. The other editor will not see this:").format(name=path.name),
                [str(loss) for loss in losses],
            )

    def _export_sequence(self) -> None:
        """Or stop doing so."""
        if self.jobs.is_running:
            self.jobs.cancel()
            return
        path = self.dialogs.file_to_render(self._window, self._place().parent / f"{self.state.name}.mp4")
        if path is not None:
            self.jobs.render(self._timeline.timeline.value, path)
            self._show_render_command()

    def _place(self) -> Path:
        """Where a file dialog starts: beside the project, or among the user's films for one that has no place."""
        if self.state.folder.value is not None and not self.state.is_untitled:
            return self.state.folder.value
        movies = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
        return (Path(movies) if movies else Path.home()) / self.state.name

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def _opened(self, opened: Opened) -> None:
        if opened.repair is not None:
            self.said.emit(project_words.repair(opened.project.name, opened.repair, QLocale()))

    @Slot(object)
    def _ask_recovery(self, opened: Opened) -> None:
        assert opened.recovery is not None
        self.state.recover(self.dialogs.wants_recovery(self._window, opened.project.name, opened.recovery))

    @Slot(object)
    def _found(self, found: Found) -> None:
        """The same files are used at once; others of the same name when the user says so."""
        moved = dict(found.same)
        if found.alike and self.dialogs.wants_alike(self._window, [str(path) for path in found.alike.values()]):
            moved |= found.alike
        self.state.relink(moved)
        left = len(self.state.missing.value) - len(moved)
        if not moved:
            words = self.tr("None of the missing files is in that folder.")
        elif left:
            words = self.tr("{found} files were found, {left} are still missing.").format(found=len(moved), left=left)
        else:
            words = self.tr("Every missing file was found.")
        self.said.emit(words)

    @Slot(object)
    def _imported(self, imported: Imported) -> None:
        self.state.take_up(self.tr("import {name}").format(name=imported.name), imported.timeline)
        self.state.look_at_files()
        if imported.losses:
            self.dialogs.show_losses(
                self._window,
                self.tr("Import a sequence"),
                self.tr("{name} is on the timeline, without this:").format(name=imported.name),
                [str(loss) for loss in imported.losses],
            )

    @Slot(object)
    def _ask_rate(self, path: Path) -> None:
        rate = self.dialogs.rate_of_list(self._window, path)
        if rate is not None:
            self.jobs.import_file(path, rate=rate)

    @Slot(float)
    def _rendering(self, fraction: float) -> None:
        self.said.emit(self.tr("Exporting the sequence: {percent} %").format(percent=int(100 * fraction)))

    @Slot(object)
    def _rendered(self, path: Path) -> None:
        self.said.emit(self.tr("The sequence is exported: {path}").format(path=path))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_name(self, _folder: Path | None) -> None:
        name = self.state.name if self.state.folder.value is not None else ""
        self._window.setWindowTitle(
            self.tr("{name}[*] \N{EM DASH} LTX Studio").format(name=name) if name else self.tr("LTX Studio")
        )

    def _show_written(self, is_written: bool) -> None:
        if is_written:
            self._star_soon.stop()
            self._window.setWindowModified(False)
        elif not self._star_soon.isActive():
            self._star_soon.start()

    @Slot()
    def _show_star(self) -> None:
        if self.state.folder.value is not None:
            self._window.setWindowModified(not self.state.is_written.value)

    def _show_missing(self, missing: tuple[Path, ...]) -> None:
        action = self._actions["find_missing"]
        action.setEnabled(bool(missing))
        action.setToolTip(action.text() if missing else self.tr("No file of the project is missing."))

    @Slot(object)
    def _show_task(self, task: Task | None) -> None:
        if task is not None:
            self.said.emit(task.words)

    def _show_render_command(self, _change: object = None) -> None:
        action = self._actions["export_sequence"]
        has_clips = self._timeline.timeline.value.length > 0
        is_running = self.jobs.is_running
        action.setText(
            self.tr("Stop exporting the sequence") if is_running else self.tr("Export the sequence as one file")
        )
        reason = "" if has_clips or is_running else self.tr("Put a clip on the timeline first.")
        for name in ("export_sequence", "export_for_editors"):
            self._actions[name].setEnabled(not reason)
            self._actions[name].setToolTip(reason or self._actions[name].text())

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        for folder in self.state.recent():
            action = self._recent.addAction(folder.name.replace("&", "&&"))
            action.setToolTip(str(folder))
            action.setEnabled(folder != self.state.folder.value)
            action.triggered.connect(_ignoring(partial(self.state.open, folder)))
        self._say_if_empty(self._recent, self.tr("No projects yet"))

    @Slot()
    def _fill_backups(self) -> None:
        self._backups.clear()
        backups = self.state.backups()
        for backup in backups:
            action = self._backups.addAction(project_words.backup(backup, backups, QLocale()))
            action.triggered.connect(_ignoring(partial(self.state.read_backup, backup.path)))
        self._say_if_empty(self._backups, self.tr("No backups yet"))

    def _say_if_empty(self, menu: QMenu, words: str) -> None:
        menu.setToolTipsVisible(True)
        if menu.isEmpty():
            menu.addAction(words).setEnabled(False)


def _ignoring(react: Callable[[], None]) -> Callable[[bool], None]:
    return lambda _is_checked: react()
