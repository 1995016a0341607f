"""Whether things may move: the user's choice, else the system's. Qt 6.11 cannot be asked for the latter."""

import ctypes
import sys

from PySide6.QtCore import QObject, QProcess, Qt, Slot
from PySide6.QtWidgets import QApplication

from ltx_studio.settings import MOTION
from ltx_studio.state.observable import Observable
from ltx_studio.state.preferences import Preferences

DURATION_MS = 150  # of a panel that opens or moves
_SPI_GET_CLIENT_AREA_ANIMATION = 0x1042  # winuser.h
# Programs that say it, their words, and the answer that means "reduce".
_QUESTIONS = {
    "darwin": ("/usr/bin/defaults", ["read", "com.apple.universalaccess", "reduceMotion"], "1"),
    "linux": ("gsettings", ["get", "org.gnome.desktop.interface", "enable-animations"], "false"),
}
_EFFECTS = (
    Qt.UIEffect.UI_General,
    Qt.UIEffect.UI_AnimateMenu,
    Qt.UIEffect.UI_FadeMenu,
    Qt.UIEffect.UI_AnimateCombo,
    Qt.UIEffect.UI_AnimateTooltip,
    Qt.UIEffect.UI_FadeTooltip,
)


class Motion(QObject):
    """Says in `is_reduced` whether to do without animation, and switches Qt's own off where that is so."""

    def __init__(self, preferences: Preferences, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.is_reduced = Observable(False, self)
        self._choice = "system"
        self._system_reduces = False
        self._question: QProcess | None = None
        self._ask_system()
        preferences.watch(MOTION, self._chosen, self)

    @property
    def duration_ms(self) -> int:
        """How long a panel takes to open: no time at all where motion is reduced."""
        return 0 if self.is_reduced.value else DURATION_MS

    def _chosen(self, choice: str) -> None:
        self._choice = choice
        self._update()

    def _update(self) -> None:
        self.is_reduced.value = self._choice == "reduced" or (self._choice == "system" and self._system_reduces)
        for effect in _EFFECTS:
            QApplication.setEffectEnabled(effect, False if self.is_reduced.value else effect is _EFFECTS[0])

    def _ask_system(self) -> None:
        """Windows answers at once; elsewhere a program is asked and answers later. None there: nothing is reduced."""
        if sys.platform == "win32":
            is_animated = ctypes.c_int(1)
            ctypes.windll.user32.SystemParametersInfoW(_SPI_GET_CLIENT_AREA_ANIMATION, 0, ctypes.byref(is_animated), 0)
            self._system_reduces = not is_animated.value
        elif sys.platform in _QUESTIONS:
            program, arguments, _ = _QUESTIONS[sys.platform]
            self._question = QProcess(self)
            self._question.finished.connect(self._answered)
            self._question.start(program, arguments, QProcess.OpenModeFlag.ReadOnly)

    @Slot()
    def _answered(self) -> None:
        assert self._question is not None
        answer = bytes(self._question.readAllStandardOutput().data()).decode(errors="replace").strip()
        self._system_reduces = answer == _QUESTIONS[sys.platform][2]
        self._update()
