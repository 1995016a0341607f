"""The studio's one window: panels around the picture, and what each command does.

What is generated goes into the queue, the bridge is woken when something waits there, and what its engine says reaches
the session and the queue. Panels are declared in `ltx_studio.ui.docks`, commands in `ltx_studio.ui.actions`; they meet
here. Panels know the state, never each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QElapsedTimer, Qt, Signal, Slot
from PySide6.QtGui import QActionGroup, QCloseEvent
from PySide6.QtWidgets import QApplication, QFrame, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from engine.errors import EngineError
from engine.request import GenerationRequest
from ltx_studio.domain.job import NO_JOB, Failed, JobUpdate
from ltx_studio.domain.queue import Item, Snapshot
from ltx_studio.services.desktop import reveal
from ltx_studio.services.engine_bridge import EngineBridge
from ltx_studio.services.monitor import MemoryMonitor, Reading
from ltx_studio.services.player import Player
from ltx_studio.settings import KEY_CHANGES, KEY_MAP, THEME, Page
from ltx_studio.state.compare import CompareState
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.observable import bind
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import NUM_SEEDS, Session
from ltx_studio.ui.actions import assign_keys, build_menus
from ltx_studio.ui.controls import set_role
from ltx_studio.ui.dialogs import confirm_quit
from ltx_studio.ui.docks import PANELS, Desk, Docks, commands_with, compare_chosen
from ltx_studio.ui.edit_wiring import Edits
from ltx_studio.ui.export_wiring import Exports
from ltx_studio.ui.job_bar import JobBar
from ltx_studio.ui.keymaps import keys_in_use
from ltx_studio.ui.motion import Motion
from ltx_studio.ui.palette import CommandPalette
from ltx_studio.ui.project_desk import ProjectDesk
from ltx_studio.ui.prompt_panel import PromptPanel
from ltx_studio.ui.queue_done import QueueDone
from ltx_studio.ui.queue_panel import QueuePanel
from ltx_studio.ui.settings_page import SettingsWindow
from ltx_studio.ui.stage import Stage, stage_reactions
from ltx_studio.ui.status_line import StatusLine
from ltx_studio.ui.theme import DARK, LIGHT, Appearance
from ltx_studio.ui.timeline_desk import TimelineDesk
from ltx_studio.ui.viewer import Viewer
from ltx_studio.ui.volume_memory import VolumeMemory
from ltx_studio.ui.welcome_page import WelcomePage
from ltx_studio.ui.window_layout import WindowLayout

FIRST_SIZE = (1440, 900)
_MESSAGE_MS = 5000
_NUM_TAKES = 4
_MODELS_PANEL = "models"
_THEMES = {"system": None, "dark": DARK, "light": LIGHT}
_THEME_COMMANDS = {"system": "follow_system", "dark": "dark", "light": "light"}
# A scene of the starter model's world that larger models understand as well.
EXAMPLE_PROMPT = (
    "A red ball bounces on the floor in front of a blue wall, with a soft knock each time it lands. "
    "The camera stays put."
)


class MainWindow(QMainWindow):
    """Owns the panels, the player and the monitor. Queue and bridge are the caller's, who closes them last."""

    closing = Signal()

    def __init__(
        self,
        session: Session,
        queue: QueueState,
        bridge: EngineBridge,
        appearance: Appearance,
        preferences: Preferences,
        *,
        is_sealed: bool = False,
        may_quit: Callable[[QWidget], bool] = confirm_quit,
    ) -> None:
        """`may_quit` asks the user whether to quit while a job runs."""
        super().__init__()
        self.setWindowTitle(self.tr("LTX Studio"))
        self._session = session
        self._queue = queue
        self._bridge = bridge
        self._appearance = appearance
        self._preferences = preferences
        self._may_quit = may_quit
        self._since_asked = QElapsedTimer()  # since something was generated
        self._is_closed = False
        self._request_before_edit: GenerationRequest | None = None
        self.player = Player(self)
        self._volume = VolumeMemory(self.player, preferences)
        self.forecast = Forecast(session, self)
        self._monitor = MemoryMonitor(self)
        self._motion = Motion(preferences, self)
        self._commands = commands_with(PANELS)
        self.compare = CompareState(self)
        self.exports = Exports(queue, preferences, self)
        self.timeline = TimelineDesk(self.player, appearance, self)
        self.edits = Edits(session, queue, self.timeline, self.player, self.compare, self)
        desk = Desk(
            *(session, queue, self.forecast, self.player, self._monitor, preferences, appearance, self.closing),
            compare=self.compare,
            exports=self.exports.state,
            timeline=self.timeline.state,
            edits=self.edits,
        )
        self.projects = ProjectDesk(self.timeline.state, preferences, self)
        self._docks = Docks(PANELS, desk, self)
        self.actions_by_name = build_menus(self, self._commands, self._reactions())
        self.prompt_panel = self._prompt_panel()
        self.queue_panel = self._queue_panel()
        self.viewer = Viewer(session, self.player, self.actions_by_name, appearance)
        self.stage = Stage(self.viewer, self.player, self.compare, self.actions_by_name, appearance)
        self.job_bar = JobBar(session, appearance)
        self.status_line = StatusLine(appearance, is_sealed=is_sealed)
        self.when_done = QueueDone(queue, lambda: self.exports.is_running, self)
        self.status_line.insertPermanentWidget(0, self.when_done.warning)
        self.palette_box = CommandPalette(self._commands, self.actions_by_name, preferences, appearance, self)
        self._settings_window: SettingsWindow | None = None  # made when it is first wanted
        self._welcome: WelcomePage | None = None
        self._arrange()
        self._layout = WindowLayout(self, self.timeline.split)
        self._connect()
        self._reset_layout()
        self._layout.restore()
        self._monitor.start()
        self.prompt_panel.prompt.setFocus()

    # --- building -----------------------------------------------------------------------------------------------------

    def _prompt_panel(self) -> PromptPanel:
        panel = self._docks.by_name["prompt"].content
        assert isinstance(panel, PromptPanel)
        return panel

    def _queue_panel(self) -> QueuePanel:
        panel = self._docks.by_name["queue"].content
        assert isinstance(panel, QueuePanel)
        return panel

    def _arrange(self) -> None:
        line = QFrame(self)
        line.setFixedHeight(1)
        set_role(line, "divider")
        studio = QWidget(self)
        layout = QVBoxLayout(studio)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.timeline.below(self.stage, self.actions_by_name, self), 1)
        layout.addWidget(line)
        layout.addWidget(self.job_bar)
        self._pages = QStackedWidget(self)
        self._pages.addWidget(studio)
        self.setCentralWidget(self._pages)
        self.setStatusBar(self.status_line)
        colours = QActionGroup(self)
        for name in _THEME_COMMANDS.values():
            colours.addAction(self.actions_by_name[name])

    def _connect(self) -> None:
        self.closing.connect(self._monitor.stop)
        self.closing.connect(self._volume.write)
        self.closing.connect(self.player.close)
        self.closing.connect(self.stage.close_threads)
        if self.timeline.panel is not None:
            self.stage.comparing_changed.connect(self.timeline.panel.setHidden)
        self.closing.connect(self.timeline.close_threads)
        self.timeline.said.connect(self._say)
        self.projects.said.connect(self._say)
        self.projects.follow(self.actions_by_name)
        self.closing.connect(self.projects.close)
        self.closing.connect(self.exports.close)
        self.closing.connect(self.edits.close)
        self._connect_queue()
        self._monitor.read.connect(self._memory_read)
        self.prompt_panel.generate_asked.connect(self.generate)
        self.prompt_panel.batch_asked.connect(self.generate_wordings)
        self.job_bar.stop_asked.connect(self.stop)
        self.viewer.example_asked.connect(self._write_example)
        self.status_line.monitor_asked.connect(self._docks.by_name["monitor"].toggle)
        self.status_line.seal_asked.connect(self._open_privacy)
        for name, dock in self._docks.by_name.items():
            dock.shown_changed.connect(self.actions_by_name[f"show_{name}"].setChecked)
            for change in (dock.shown_changed, dock.topLevelChanged, dock.dockLocationChanged):
                change.connect(self._layout_changed)
            self.actions_by_name[f"show_{name}"].setChecked(not dock.isHidden())
        self._session.is_running.changed.connect(self._running_changed)
        self._running_changed(self._session.is_running.value)
        self._preferences.watch(KEY_MAP, self._assign_keys, self)
        self._preferences.watch(KEY_CHANGES, self._assign_keys, self)
        self._preferences.watch(THEME, self._show_theme, self)
        self._motion.is_reduced.changed.connect(self._motion_changed)
        self._motion_changed(self._motion.is_reduced.value)

    def _connect_queue(self) -> None:
        self._bridge.happened.connect(self._engine_spoke)
        self._queue.has_work.connect(self._bridge.wake)
        self._queue.put_back_asked.connect(self._bridge.put_back)
        self._queue.added.connect(self._session.asked_for)
        self._queue.noticed.connect(self._say)
        self.when_done.said.connect(self._say)
        self.closing.connect(self.when_done.close)
        self.edits.said.connect(self._say)
        self.edits.show_in(self._docks.by_name, self._leave_welcome)
        self.exports.said.connect(self._say)
        self.exports.show_in(self._docks.by_name["export"], self._leave_welcome)
        self.queue_panel.reveal_asked.connect(self.exports.reveal_file)
        self.queue_panel.show_asked.connect(self._show_clip)
        self.queue_panel.edit_asked.connect(self._queue.take_out)
        self.queue_panel.duplicate_asked.connect(self._duplicate)
        self.queue_panel.prompt_asked.connect(self._go_to_prompt)
        bind(self._queue.editing, self._edit_job)
        bind(self._queue.snapshot, self._show_queue)

    def _reactions(self) -> dict[str, Callable[[], None]]:
        """What each command of `ltx_studio.ui.actions` does."""
        panels = {f"show_{name}": dock.toggle for name, dock in self._docks.by_name.items()}
        return {
            "generate": self.generate,
            "generate_takes": self.generate_takes,
            "pause_queue": self._pause_queue,
            "stop": self.stop,
            **self.projects.reactions(),
            "export": lambda: self.exports.ask_for_clip(self.player),
            "reveal": self._reveal,
            "settings": lambda: self._open_settings(Page.APPEARANCE),
            "quit": self._quit,
            **self.timeline.reactions(stage_reactions(lambda: self.stage), lambda: self.stage.player),
            "compare": lambda: self._say(compare_chosen(self._docks)),
            **self.edits.reactions(),
            "palette": self._toggle_palette,
            "write_prompt": self._go_to_prompt,
            **panels,
            "full_screen": self._toggle_full_screen,
            "detach_panel": self._detach_panel,
            "reset_layout": self._reset_layout,
            "follow_system": lambda: self._preferences.put(THEME, "system"),
            "dark": lambda: self._preferences.put(THEME, "dark"),
            "light": lambda: self._preferences.put(THEME, "light"),
            "welcome": self.show_welcome,
            "keyboard": lambda: self._open_settings(Page.KEYBOARD),
        }

    # --- commands -----------------------------------------------------------------------------------------------------

    @Slot()
    def generate(self) -> None:
        """Put the request into the queue, or back into it when it is that of a job; where it cannot be, say why."""
        if self._queue.editing.value is not None:
            if self._may_generate():
                self._queue.put_back(self._session.request.value)
            return
        # The second press of a double click is not meant.
        is_working = self._queue.is_adding.value or self._session.is_running.value
        is_soon = self._since_asked.isValid() and self._since_asked.elapsed() < QApplication.doubleClickInterval()
        if not (is_working and is_soon) and self._may_generate():
            self._add_one_wording([self._session.request_to_run()])

    @Slot()
    def generate_takes(self) -> None:
        """The request with several seeds, its own first, as a batch."""
        if self._may_generate():
            request = self._session.request_to_run()
            assert request.seed is not None
            seeds = [(request.seed + number) % NUM_SEEDS for number in range(_NUM_TAKES)]
            self._add_one_wording([replace(request, seed=seed) for seed in seeds])

    @Slot(object)
    def generate_wordings(self, wordings: Sequence[str]) -> None:
        """One clip for each wording of the prompt, all with the same seed, as a batch."""
        if self._may_generate():
            request = self._session.request_to_run()
            self._add([replace(request, prompt=wording) for wording in wordings])

    def _may_generate(self) -> bool:
        reason = self.prompt_panel.why_not()
        if reason:
            self._say(reason)
        return not reason

    def _add_one_wording(self, requests: Sequence[GenerationRequest]) -> None:
        """Each request with the wording that its seed draws."""
        wording = self.prompt_panel.state.wording_for
        try:
            self._add([replace(request, prompt=wording(request.seed or 0)) for request in requests])
        except EngineError as error:
            self._say(str(error))

    def _add(self, requests: Sequence[GenerationRequest]) -> None:
        self.player.pause()
        self._since_asked.start()
        self.prompt_panel.state.remember()
        self._queue.add(requests)

    @Slot()
    def stop(self) -> None:
        """Cancel the running job; those that wait go on."""
        job = self._session.job.value
        if job is not None and job.is_running:
            self._session.stopping()
            self._queue.cancel([job.id])

    def _pause_queue(self) -> None:
        self._queue.set_paused(not self._queue.snapshot.value.is_paused)

    def _edit_job(self, item: Item | None) -> None:
        """Show the request of the job that was taken out of line, and afterwards what was there before."""
        if item is not None and item.request is not None:
            if self._request_before_edit is None:
                self._request_before_edit = self._session.request.value
            self._session.request.value = item.request
            self._go_to_prompt()
        elif self._request_before_edit is not None:
            self._session.request.value = self._request_before_edit
            self._request_before_edit = None
        self.prompt_panel.show_editing(item is not None)

    @Slot(object)
    def _duplicate(self, request: GenerationRequest) -> None:
        """Write a job's request again, with its seed, to be changed; the model is the one that is used now."""
        if request.edit is not None:
            self.edits.adopt(request)
            return
        self._queue.give_up()
        self._session.request.value = replace(request, model=self._session.request.value.model)
        self._session.is_seed_locked.value = True
        self._go_to_prompt()
        self._say(self.tr("Change what you like, then press Generate. The seed is locked."))

    @Slot(object)
    def _show_clip(self, path: Path) -> None:
        self.player.open(path)

    @Slot(str)
    def _say(self, text: str) -> None:
        self.status_line.showMessage(text, _MESSAGE_MS)

    def _reveal(self) -> None:
        if self.player.clip is not None and not reveal(self.player.clip.path):
            self.status_line.showMessage(
                self.tr("No file manager answered. The clip is {path}").format(path=self.player.clip.path)
            )

    def _quit(self) -> None:
        self.close()

    def _go_to_prompt(self) -> None:
        self._leave_welcome()
        self._docks.by_name["prompt"].show()
        self._docks.by_name["prompt"].raise_()
        self.prompt_panel.prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _toggle_palette(self) -> None:
        self.palette_box.toggle()

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.actions_by_name["full_screen"].setChecked(self.isFullScreen())

    def _detach_panel(self) -> None:
        dock = self._docks.current()
        if dock is None:
            self._say(self.tr("Go to a panel first, for example with Tab."))
        else:
            dock.setFloating(not dock.isFloating())

    def _open_settings(self, page: Page) -> None:
        if self._settings_window is None:
            self._settings_window = SettingsWindow(self._preferences, self.actions_by_name, self._appearance, self)
        self._settings_window.open_at(page)

    @Slot()
    def _open_privacy(self) -> None:
        self._open_settings(Page.PRIVACY)

    @Slot()
    def _write_example(self) -> None:
        self._session.edit(prompt=EXAMPLE_PROMPT)
        self._go_to_prompt()

    # --- the welcome page ---------------------------------------------------------------------------------------------

    def show_welcome(self) -> None:
        """Show what this machine can do in place of everything else, until the user goes on."""
        if self._pages.currentWidget() is self._welcome:
            return
        if self._welcome is None:
            has_models_page = _MODELS_PANEL in self._docks.by_name
            self._welcome = WelcomePage(
                self._session, self._preferences, self._appearance, has_models_page=has_models_page
            )
            self._welcome.start_asked.connect(self._go_to_prompt)
            self._welcome.models_asked.connect(self._go_to_models)
            self._welcome.said.connect(self._say)
            self.closing.connect(self._welcome.end)
            self._pages.addWidget(self._welcome)
        self._layout.put_aside()
        for dock in self._docks.by_name.values():
            dock.hide()
        self._pages.setCurrentWidget(self._welcome)
        self._welcome.start.setFocus(Qt.FocusReason.OtherFocusReason)

    def _leave_welcome(self) -> None:
        if self._layout.is_aside:
            self._pages.setCurrentIndex(0)
            self._layout.bring_back()

    @Slot()
    def _go_to_models(self) -> None:
        self._leave_welcome()
        self._docks.by_name[_MODELS_PANEL].show()
        self._docks.by_name[_MODELS_PANEL].raise_()

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def _memory_read(self, reading: Reading) -> None:
        self._session.machine.value = reading.machine
        self.status_line.show_reading(reading)

    @Slot(object)
    def _running_changed(self, is_running: bool) -> None:
        self.actions_by_name["stop"].setEnabled(is_running)

    @Slot(object)
    def _engine_spoke(self, update: JobUpdate) -> None:
        """Not once the window is closed: a clip that is finished then would be opened in a player that has ended."""
        if self._is_closed:
            return
        self._session.apply(update)
        self._queue.apply(update)
        if update.job_id == NO_JOB and isinstance(update.event, Failed):
            self._say(f"{update.event.message} {update.event.remedy}")

    def _show_queue(self, snapshot: Snapshot) -> None:
        self.actions_by_name["pause_queue"].setChecked(snapshot.is_paused)

    def _assign_keys(self, _value: object) -> None:
        keys = keys_in_use(self._preferences.get(KEY_MAP), self._preferences.get(KEY_CHANGES))
        assign_keys(self.actions_by_name, keys)
        self.job_bar.show_stop_keys(self.actions_by_name["stop"])

    def _show_theme(self, name: str) -> None:
        self.actions_by_name[_THEME_COMMANDS[name]].setChecked(True)
        self._appearance.choose(_THEMES[name])

    @Slot(object)
    def _motion_changed(self, is_reduced: bool) -> None:
        self.setAnimated(not is_reduced)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        if (self._session.is_running.value or self.exports.is_running) and not self._may_quit(self):
            event.ignore()
            return
        self._layout.save()
        self.closing.emit()
        self._is_closed = True
        self._bridge.stop_soon()
        super().closeEvent(event)

    # --- layout -------------------------------------------------------------------------------------------------------

    @Slot()
    def _layout_changed(self) -> None:
        """Docks change once more while the window goes; a slot of the window's own is not called then."""
        if self.isVisible():
            self._layout.save_soon()

    def _reset_layout(self) -> None:
        self._leave_welcome()
        screen = self.screen().availableGeometry()
        self.resize(min(FIRST_SIZE[0], screen.width()), min(FIRST_SIZE[1], screen.height()))
        self._docks.arrange()
        self.timeline.reset_heights()
