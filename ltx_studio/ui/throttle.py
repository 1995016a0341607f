"""Calling a slot less often than it is asked for."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer


class Throttle(QObject):
    """Calls at once, then at most once an interval; the last request is never lost."""

    def __init__(self, interval_ms: int, call: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._call = call
        self._is_due = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._elapsed)

    def request(self) -> None:
        if self._timer.isActive():
            self._is_due = True
        else:
            self._timer.start()
            self._call()

    def _elapsed(self) -> None:
        if self._is_due:
            self._is_due = False
            self._timer.start()
            self._call()
