"""Stereo peak meter: two bars in decibels of full scale, with the highest peak held for a moment."""

from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer, QRectF, QSize, QTimer, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ltx_studio.domain.playback import SILENCE_DB, Needle, decibels
from ltx_studio.ui.controls import describe
from ltx_studio.ui.theme import Appearance

_LOUD_DB, _CLIPPING_DB = -9.0, -1.0  # EBU R 68's permitted maximum, and where the next codec will clip
_READ_MS = 33
_BAR_HEIGHT = 5
_SIZE = QSize(88, 2 * _BAR_HEIGHT + 2)


class LevelMeter(QWidget):
    """Reads `peaks` while it is running, and falls back to rest when it is not."""

    def __init__(
        self, peaks: Callable[[], tuple[float, float]], appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._peaks = peaks
        self._appearance = appearance
        self.needles = (Needle(), Needle())
        self._since_read = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setInterval(_READ_MS)
        self._timer.timeout.connect(self.read)
        self._is_running = False
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        appearance.theme.changed.connect(self._repaint)
        self._describe()

    @Slot(bool)
    def set_running(self, is_running: bool) -> None:
        self._is_running = is_running
        if is_running and not self._timer.isActive():
            self._since_read.start()
            self._timer.start()

    @Slot()
    def read(self) -> None:
        """Take the levels of now."""
        seconds = self._since_read.restart() / 1000 if self._since_read.isValid() else 0.0
        left, right = self._peaks()
        self.needles = (
            self.needles[0].after(seconds, decibels(left)),
            self.needles[1].after(seconds, decibels(right)),
        )
        if not self._is_running and all(needle.is_at_rest for needle in self.needles):
            self._timer.stop()
        self._describe()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return _SIZE

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        theme = self._appearance.theme.value
        for row, needle in enumerate(self.needles):
            y = row * (_BAR_HEIGHT + 2)
            painter.fillRect(QRectF(0, y, self.width(), _BAR_HEIGHT), QColor(theme.divider))
            for start_db, stop_db, colour in (
                (SILENCE_DB, _LOUD_DB, theme.sound),
                (_LOUD_DB, _CLIPPING_DB, theme.warn),
                (_CLIPPING_DB, 0.0, theme.danger),
            ):
                left, right = self._x(start_db), self._x(min(stop_db, needle.shown_db))
                if right > left:
                    painter.fillRect(QRectF(left, y, right - left, _BAR_HEIGHT), QColor(colour))
            if not needle.is_at_rest:
                x = min(self._x(needle.held_db), self.width() - 2)
                painter.fillRect(QRectF(x, y, 2, _BAR_HEIGHT), QColor(theme.text))

    def _x(self, level_db: float) -> float:
        return self.width() * (min(level_db, 0.0) - SILENCE_DB) / -SILENCE_DB

    def _describe(self) -> None:
        """A screen reader says the level when asked; the tooltip says it to everybody."""
        words = [
            self.tr("silent") if needle.is_at_rest else self.tr("{level} dB").format(level=round(needle.held_db))
            for needle in self.needles
        ]
        tip = self.tr("Left {left}, right {right}, of full scale").format(left=words[0], right=words[1])
        if tip != self.toolTip():
            describe(self, self.tr("Sound level"), tip)
            self.setAccessibleDescription(tip)

    def _repaint(self, _theme: object) -> None:
        self.update()
