"""The studio's one window: panels around the picture, and what each command does.

Panels are built here and meet here; they know the state, never each other.
"""

from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer, QSettings, Qt, Slot
from PySide6.QtGui import QActionGroup, QCloseEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QFrame, QMainWindow, QVBoxLayout, QWidget

from engine.folders import data_folder
from ltx_studio.services.desktop import reveal
from ltx_studio.services.engine_bridge import EngineBridge
from ltx_studio.services.monitor import MemoryMonitor, Reading
from ltx_studio.services.player import Player
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.session import Session
from ltx_studio.ui.actions import build_menus
from ltx_studio.ui.controls import set_role
from ltx_studio.ui.dialogs import confirm_quit
from ltx_studio.ui.job_bar import JobBar
from ltx_studio.ui.prompt_panel import PromptPanel
from ltx_studio.ui.status_line import StatusLine
from ltx_studio.ui.theme import DARK, LIGHT, Appearance, Theme
from ltx_studio.ui.viewer import Viewer

FIRST_SIZE = (1440, 900)
PROMPT_WIDTH = 336
_LAYOUT_VERSION = 1  # raised when docks change so much that a saved layout no longer means anything
# A scene of the starter model's world that larger models understand as well.
EXAMPLE_PROMPT = (
    "A red ball bounces on the floor in front of a blue wall, with a soft knock each time it lands. "
    "The camera stays put."
)


class MainWindow(QMainWindow):
    """Owns the panels, the player and the monitor. The bridge is the caller's, who closes it last."""

    def __init__(
        self,
        session: Session,
        bridge: EngineBridge,
        appearance: Appearance,
        *,
        is_sealed: bool = False,
        may_quit: Callable[[QWidget], bool] = confirm_quit,
    ) -> None:
        """`may_quit` asks the user whether to stop the running job."""
        super().__init__()
        self.setWindowTitle(self.tr("LTX Studio"))
        self._session = session
        self._bridge = bridge
        self._appearance = appearance
        self._may_quit = may_quit
        self._since_start = QElapsedTimer()
        self.player = Player(self)
        self.forecast = Forecast(session, self)
        self._monitor = MemoryMonitor(self)
        self.actions_by_name = build_menus(self, self._reactions())
        self.prompt_panel = PromptPanel(session, self.forecast, appearance)
        self.viewer = Viewer(session, self.player, self.actions_by_name, appearance)
        self.job_bar = JobBar(session, appearance)
        self.status_line = StatusLine(is_sealed=is_sealed)
        self._arrange()
        self._connect()
        self._restore_layout()
        self._monitor.start()
        self.prompt_panel.prompt.setFocus()

    # --- building -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        self._prompt_dock = QDockWidget(self.tr("Prompt"), self)
        self._prompt_dock.setObjectName("prompt")
        self._prompt_dock.setWidget(self.prompt_panel)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._prompt_dock)
        line = QFrame(self)
        line.setFixedHeight(1)
        set_role(line, "divider")
        centre = QWidget(self)
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.viewer, 1)
        layout.addWidget(line)
        layout.addWidget(self.job_bar)
        self.setCentralWidget(centre)
        self.setStatusBar(self.status_line)
        self.setDockOptions(QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.AllowNestedDocks)
        colours = QActionGroup(self)
        for name in ("follow_system", "dark", "light"):
            colours.addAction(self.actions_by_name[name])
        self.actions_by_name["follow_system"].setChecked(True)

    def _connect(self) -> None:
        self._bridge.happened.connect(self._session.apply)
        self._monitor.read.connect(self._memory_read)
        self.prompt_panel.generate_asked.connect(self.generate)
        self.prompt_panel.stop_asked.connect(self.stop)
        self.job_bar.stop_asked.connect(self.stop)
        self.viewer.example_asked.connect(self._write_example)
        self._prompt_dock.visibilityChanged.connect(self.actions_by_name["show_prompt"].setChecked)
        self._session.is_running.changed.connect(self._running_changed)
        self._running_changed(self._session.is_running.value)

    def _reactions(self) -> dict[str, Callable[[], None]]:
        """What each command of `ltx_studio.ui.actions` does."""
        player = self.player
        return {
            "generate": self.generate,
            "stop": self.stop,
            "reveal": self._reveal,
            "quit": self._quit,
            "play": player.toggle,
            "previous_frame": lambda: player.step(-1),
            "next_frame": lambda: player.step(1),
            "first_frame": lambda: player.seek(0),
            "last_frame": lambda: player.seek(player.last_frame),
            "mute": self._mute,
            "write_prompt": self._go_to_prompt,
            "show_prompt": self._toggle_prompt,
            "reset_layout": self._reset_layout,
            "follow_system": lambda: self._choose_theme(None),
            "dark": lambda: self._choose_theme(DARK),
            "light": lambda: self._choose_theme(LIGHT),
        }

    # --- commands -----------------------------------------------------------------------------------------------------

    @Slot()
    def generate(self) -> None:
        """Hand the request to the engine; where it cannot be, say why."""
        if self._session.is_running.value:
            return
        reason = self.prompt_panel.why_not()
        if reason:
            self.status_line.showMessage(reason, 5000)
            return
        self.player.pause()
        request = self._session.request_to_run()
        self._since_start.start()
        self._session.begin(self._bridge.start(request), request)

    @Slot()
    def stop(self) -> None:
        """Stop the running job. The second press of a double click on Generate is not meant."""
        is_double_click = self._since_start.elapsed() < QApplication.doubleClickInterval()
        if self._session.is_running.value and not is_double_click:
            self._session.stopping()
            self._bridge.cancel()

    def _reveal(self) -> None:
        if self.player.clip is not None and not reveal(self.player.clip.path):
            self.status_line.showMessage(
                self.tr("No file manager answered. The clip is {path}").format(path=self.player.clip.path)
            )

    def _quit(self) -> None:
        self.close()

    def _mute(self) -> None:
        is_muted = not self.player.is_muted
        self.player.set_muted(is_muted)
        self.actions_by_name["mute"].setChecked(is_muted)
        self.viewer.show_muted(is_muted)

    def _go_to_prompt(self) -> None:
        self._prompt_dock.show()
        self.prompt_panel.prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _toggle_prompt(self) -> None:
        self._prompt_dock.setVisible(not self._prompt_dock.isVisible())

    def _choose_theme(self, theme: Theme | None) -> None:
        self._appearance.choose(theme)

    @Slot()
    def _write_example(self) -> None:
        self._session.edit(prompt=EXAMPLE_PROMPT)
        self._go_to_prompt()

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def _memory_read(self, reading: Reading) -> None:
        self._session.machine.value = reading.machine
        self.status_line.show_reading(reading)

    @Slot(object)
    def _running_changed(self, is_running: bool) -> None:
        self.actions_by_name["generate"].setEnabled(not is_running)
        self.actions_by_name["stop"].setEnabled(is_running)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        if self._session.is_running.value and not self._may_quit(self):
            event.ignore()
            return
        self._save_layout()
        self._monitor.stop()
        self.player.close()
        self._bridge.cancel()
        super().closeEvent(event)

    # --- layout -------------------------------------------------------------------------------------------------------

    def _settings(self) -> QSettings:
        return QSettings(str(data_folder() / "window.ini"), QSettings.Format.IniFormat)

    def _restore_layout(self) -> None:
        self._reset_layout()
        settings = self._settings()
        geometry, state = settings.value("geometry"), settings.value("state")
        if geometry is not None and state is not None:
            self.restoreGeometry(geometry)
            self.restoreState(state, _LAYOUT_VERSION)

    def _save_layout(self) -> None:
        settings = self._settings()
        settings.setValue("geometry", self.saveGeometry())
        settings.setValue("state", self.saveState(_LAYOUT_VERSION))

    def _reset_layout(self) -> None:
        self._prompt_dock.setFloating(False)
        self._prompt_dock.show()
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._prompt_dock)
        screen = self.screen().availableGeometry()
        self.resize(min(FIRST_SIZE[0], screen.width()), min(FIRST_SIZE[1], screen.height()))
        self.resizeDocks([self._prompt_dock], [PROMPT_WIDTH], Qt.Orientation.Horizontal)
