"""What a card shows of its file: a small picture, and of sound a waveform with the part that the clip uses."""

import numpy as np
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.media.thumbnails import Peaks
from ltx_studio.ui.controls import icon
from ltx_studio.ui.theme import GRID, ICON_PIXELS, Appearance

THUMBNAIL = QSize(96, 56)
WAVEFORM_HEIGHT = 36
_UNUSED_OPACITY = 0.35


class Thumbnail(QWidget):
    """A picture, or an icon while there is none. Cards are dragged by it."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._image: QImage | None = None
        self._icon_name = "mdi6.image-outline"
        self.setFixedSize(THUMBNAIL)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        appearance.theme.changed.connect(self._theme_changed)

    def show_picture(self, image: QImage | None, icon_name: str) -> None:
        if image is not self._image or icon_name != self._icon_name:
            self._image, self._icon_name = image, icon_name
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), GRID, GRID)
        painter.fillPath(outline, QColor(theme.background))
        if self._image is None:
            square = QRect(0, 0, ICON_PIXELS, ICON_PIXELS)
            square.moveCenter(self.rect().center())
            icon(self._icon_name, theme).paint(painter, square)
            return
        painter.setClipPath(outline)
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        area = QRect(0, 0, size.width(), size.height())
        area.moveCenter(self.rect().center())
        painter.drawImage(area, self._image)

    def _theme_changed(self, _theme: object) -> None:
        self.update()


class Waveform(QWidget):
    """The outline of a sound; what lies outside the part that the clip uses is faint, and a line marks its ends."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._peaks: Peaks | None = None
        self._used = (0.0, 1.0)
        self.setFixedHeight(WAVEFORM_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        appearance.theme.changed.connect(self._theme_changed)

    def show_sound(self, peaks: Peaks | None, start: float, end: float) -> None:
        """`start` and `end` of what is used, 0 to 1 of the whole."""
        self._peaks, self._used = peaks, (start, end)
        percent = round(100 * (end - start))
        self.setAccessibleName(self.tr("Waveform; the clip uses {percent} % of it").format(percent=percent))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.background))
        painter.drawRoundedRect(self.rect(), GRID, GRID)
        if self._peaks is None:
            return
        half, (start, end) = self.height() / 2, (share * self.width() for share in self._used)
        columns = np.linspace(0, len(self._peaks), self.width() + 1).astype(int)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        colour = QColor(theme.sound)
        for x in range(self.width()):
            stretch = self._peaks[columns[x] : max(columns[x + 1], columns[x] + 1)]
            top = half - min(float(stretch[:, 1].max()), 1.0) * (half - 2)
            bottom = half - max(float(stretch[:, 0].min()), -1.0) * (half - 2)
            painter.setOpacity(1 if start <= x < end else _UNUSED_OPACITY)
            painter.fillRect(QRectF(x, top - 0.5, 1, bottom - top + 1), colour)
        painter.setOpacity(1)
        for share, x in zip(self._used, (start, end), strict=True):
            if 0 < share < 1:
                painter.fillRect(QRectF(round(x), 0, 1, self.height()), QColor(theme.text))

    def _theme_changed(self, _theme: object) -> None:
        self.update()
