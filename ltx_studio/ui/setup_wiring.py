"""The engine's part of the first page with the installer's process behind it, where there is something to say.

Nothing is asked of the network but when the user wants an engine, or allowed to look for new versions; in sealed mode
the process is told not to reach for it at all.
"""

from PySide6.QtCore import QCoreApplication, QObject, Slot
from PySide6.QtWidgets import QApplication, QWidget

from ltx_studio.services.installer import Installer, find_installer, has_engine
from ltx_studio.settings import LOOK_FOR_UPDATES, SEALED
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.setup import SetupState
from ltx_studio.ui.controls import Label
from ltx_studio.ui.setup_panel import SetupPanel
from ltx_studio.ui.theme import Appearance

RESTART_PROPERTY = "restart_when_closed"


def make_setup(preferences: Preferences, appearance: Appearance, parent: QWidget) -> QWidget | None:
    """A panel that is looking already; a sentence where nobody can install; None where nothing needs saying."""
    place = find_installer()
    if place is None:
        if has_engine():
            return None
        label = Label(
            QCoreApplication.translate(
                "setup_words",
                "The engine (torch) is missing in this Python, so clips cannot be made. Start the studio with "
                "installers/bootstrap.py, or install its package.",
            ),
            "warn",
            parent,
        )
        label.setWordWrap(True)
        return label
    state = SetupState(parent, has_engine=has_engine())
    installer = Installer(place, parent)
    panel = SetupPanel(state, appearance, parent)
    _Wires(state, installer, preferences, panel)
    state.look()
    if preferences.get(LOOK_FOR_UPDATES) and not preferences.get(SEALED):
        state.look_for_updates()
    return panel


class _Wires(QObject):
    """Belongs to the panel, and ends the process when the window closes."""

    def __init__(self, state: SetupState, installer: Installer, preferences: Preferences, panel: SetupPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._installer = installer
        self._preferences = preferences
        state.asked.connect(self._run)
        state.stop_asked.connect(installer.stop)
        state.restart_asked.connect(self._restart)
        installer.said.connect(state.hear)
        panel.ending.connect(installer.close)

    @Slot(object)
    def _run(self, command: list[str]) -> None:
        self._installer.run([*command, "--offline"] if self._preferences.get(SEALED) else command)

    @Slot()
    def _restart(self) -> None:
        """The window closes as it always does, and asks what it always asks; only then another one opens."""
        app = QApplication.instance()
        if app is not None:
            app.setProperty(RESTART_PROPERTY, True)
        if not self._panel.window().close() and app is not None:
            app.setProperty(RESTART_PROPERTY, False)
