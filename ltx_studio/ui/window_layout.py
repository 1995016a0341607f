"""Where the window and its panels are: written soon after each change, read at the next start.

While the welcome page covers everything, the layout below it is kept aside; that is what is written then.
"""

from PySide6.QtCore import QByteArray, QObject, QSettings, QTimer, Slot
from PySide6.QtWidgets import QMainWindow, QSplitter

from engine.folders import data_folder

_VERSION = 3  # raised when docks change so much that a saved layout no longer means anything
_SAVED_AFTER_MS = 500


class WindowLayout(QObject):
    """The layout of one window."""

    def __init__(self, window: QMainWindow, middle: QSplitter | None) -> None:
        """`middle` is what the user divides between the docks."""
        super().__init__(window)
        self._window = window
        self._middle = middle
        self._aside: QByteArray | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SAVED_AFTER_MS)
        self._timer.timeout.connect(self.save)

    def restore(self) -> None:
        """As the file has it, which whoever edits it may break."""
        settings = self._settings()
        geometry, state = settings.value("geometry"), settings.value("state")
        if isinstance(geometry, QByteArray) and isinstance(state, QByteArray):
            self._window.restoreGeometry(geometry)
            self._window.restoreState(state, _VERSION)
        middle = settings.value("middle")
        if self._middle is not None and isinstance(middle, QByteArray):
            self._middle.restoreState(middle)

    def save_soon(self) -> None:
        """After a change, so that little is lost however the program ends."""
        self._timer.start()

    @Slot()
    def save(self) -> None:
        """Now."""
        self._timer.stop()
        settings = self._settings()
        settings.setValue("geometry", self._window.saveGeometry())
        settings.setValue("state", self._aside or self._window.saveState(_VERSION))
        if self._middle is not None:
            settings.setValue("middle", self._middle.saveState())
        settings.sync()

    def put_aside(self) -> None:
        """What follows is not the user's layout."""
        self._aside = self._window.saveState(_VERSION)

    @property
    def is_aside(self) -> bool:
        return self._aside is not None

    def bring_back(self) -> None:
        """The layout that was put aside."""
        if self._aside is not None:
            self._window.restoreState(self._aside, _VERSION)
            self._aside = None

    def _settings(self) -> QSettings:
        return QSettings(str(data_folder() / "window.ini"), QSettings.Format.IniFormat)
