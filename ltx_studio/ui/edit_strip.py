"""What an edit does to its clip, drawn small: kept, blended and new on the grid they snap to; and a voice's outline.

The timeline draws the same zones over the clip itself; this is for what it cannot show: clips in the player, and what
an extension adds beyond the clip's ends.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.pipelines.edit_values import EditWindow, Zone, ZoneKind
from ltx_studio.services.peaks import COLUMNS_PER_S, LEVEL_STEP, Outline
from ltx_studio.state.edits import tr
from ltx_studio.ui.theme import GRID, SECONDARY_PIXELS, Appearance

_ROW_PIXELS = 14
_LEGEND_PIXELS = SECONDARY_PIXELS + 2 * GRID
_ENVELOPE_PIXELS = 64
_LEAST_GRID_PIXELS = 6  # groups narrower than this are not drawn
_LOUDEST = 0.94


class ZoneStrip(QWidget):
    """Two rows, the picture's above the sound's, and what the looks mean."""

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._window: EditWindow | None = None
        self.setAccessibleName(tr("What stays and what is made"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        appearance.theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(200, 2 * _ROW_PIXELS + 1 + _LEGEND_PIXELS)

    def show_window(self, window: EditWindow | None, sentence: str) -> None:
        self._window = window
        self.setAccessibleDescription(sentence)
        self.setToolTip(sentence)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        theme = self._appearance.theme.value
        rows = QRectF(0, 0, self.width(), 2 * _ROW_PIXELS + 1)
        painter.fillRect(rows, QColor(theme.field))
        window = self._window
        if window is not None:
            ends = [zone.end_s for zone in (*window.picture, *window.sound)]
            starts = [zone.start_s for zone in (*window.picture, *window.sound)]
            first, length = min(starts), max(max(ends) - min(starts), 1e-6)
            scale = self.width() / length
            self._paint_row(painter, window.picture, rows.top(), first, scale, theme.picture)
            self._paint_row(painter, window.sound, rows.top() + _ROW_PIXELS + 1, first, scale, theme.sound)
            self._paint_grid(painter, window.grid_s, first, scale)
        self._paint_legend(painter, rows.bottom() + GRID)

    def _paint_row(
        self, painter: QPainter, zones: Sequence[Zone], top: float, first: float, scale: float, kept: str
    ) -> None:
        for zone in zones:
            area = QRectF((zone.start_s - first) * scale, top, (zone.end_s - zone.start_s) * scale, _ROW_PIXELS)
            self._paint_zone(painter, area, zone.kind, kept)

    def _paint_zone(self, painter: QPainter, area: QRectF, kind: ZoneKind, kept: str) -> None:
        theme = self._appearance.theme.value
        match kind:
            case ZoneKind.KEPT:
                colour = QColor(kept)
                colour.setAlphaF(0.35)
                painter.fillRect(area, colour)
            case ZoneKind.BLENDED:
                area.setWidth(max(area.width(), 2.0))
                painter.fillRect(area, QColor(theme.field))
                painter.fillRect(area, QBrush(QColor(theme.accent), Qt.BrushStyle.BDiagPattern))
            case ZoneKind.NEW:
                painter.fillRect(area, QColor(theme.selection))

    def _paint_grid(self, painter: QPainter, edges: Sequence[float], first: float, scale: float) -> None:
        if len(edges) < 2 or (edges[-1] - edges[0]) * scale / len(edges) < _LEAST_GRID_PIXELS:
            return
        colour = QColor(self._appearance.theme.value.text)
        colour.setAlphaF(0.25)
        painter.setPen(QPen(colour, 1))
        for edge in edges:
            x = round((edge - first) * scale) + 0.5
            painter.drawLine(QLineF(x, 0, x, _ROW_PIXELS))

    def _paint_legend(self, painter: QPainter, top: float) -> None:
        theme = self._appearance.theme.value
        font = painter.font()
        font.setPixelSize(SECONDARY_PIXELS)
        painter.setFont(font)
        x = 0.0
        for kind, text in (
            (ZoneKind.KEPT, tr("kept")),
            (ZoneKind.BLENDED, tr("blended")),
            (ZoneKind.NEW, tr("new")),
        ):
            self._paint_zone(painter, QRectF(x, top + 2, 12, SECONDARY_PIXELS - 1), kind, theme.picture)
            x += 12 + GRID
            painter.setPen(QColor(theme.text_dim))
            width = painter.fontMetrics().horizontalAdvance(text)
            painter.drawText(
                QRectF(x, top - 2, width + GRID, SECONDARY_PIXELS + 6), Qt.AlignmentFlag.AlignVCenter, text
            )
            x += width + 3 * GRID


class EnvelopeView(QWidget):
    """The outline of a clip's sound, with the range that is to say something else."""

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._outline: Outline | None = None
        self._range_s = (0.0, 0.0)
        self._whole_s = (0.0, 0.0)
        self.setAccessibleName(tr("Voice of the clip"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        appearance.theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(200, _ENVELOPE_PIXELS)

    def show_outline(
        self, outline: Outline | None, whole_s: tuple[float, float], range_s: tuple[float, float] | None
    ) -> None:
        self._outline, self._whole_s, self._range_s = outline, whole_s, range_s or whole_s
        sentence = tr("New words from {start} to {end} s").format(
            start=f"{self._range_s[0]:.2f}", end=f"{self._range_s[1]:.2f}"
        )
        self.setAccessibleDescription(sentence)
        self.setToolTip(sentence)
        self.update()

    @property
    def loudness(self) -> NDArray[np.float32]:
        """How high the outline is drawn, by pixel, 0 to 1; empty while there is none."""
        start_s, end_s = self._whole_s
        if self._outline is None or end_s <= start_s:
            return np.zeros(0, np.float32)
        is_fine = (end_s - start_s) * COLUMNS_PER_S < LEVEL_STEP * self.width()
        level = self._outline.levels[0 if is_fine else 1]
        rate = COLUMNS_PER_S / (1 if is_fine else LEVEL_STEP)
        edges = np.linspace(start_s * rate, end_s * rate, self.width() + 1)
        first = np.clip(edges[:-1].astype(np.int64), 0, level.shape[1] - 1)
        peaks = np.maximum(np.abs(level[0]), np.abs(level[1]))
        # Pixels that are narrower than a column repeat it; of wider ones the loudest column counts.
        return np.maximum.reduceat(peaks, first) if (np.diff(first) > 0).all() else peaks[first]

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        theme = self._appearance.theme.value
        painter.fillRect(self.rect(), QColor(theme.field))
        start_s, end_s = self._whole_s
        if end_s <= start_s:
            return
        scale = self.width() / (end_s - start_s)
        left, right = ((at - start_s) * scale for at in self._range_s)
        shade = QColor(theme.selection)
        shade.setAlphaF(0.3)
        painter.fillRect(QRectF(left, 0, right - left, self.height()), shade)
        loudness = self.loudness
        if not len(loudness):
            painter.setPen(QColor(theme.text_dim))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, tr("No sound to show yet"))
            return
        painter.setPen(QPen(QColor(theme.sound), 1))
        middle, most = self.height() / 2, max(float(loudness.max()), 0.05)
        painter.drawLines(
            [
                QLineF(x + 0.5, middle - half, x + 0.5, middle + half)
                for x, value in enumerate(loudness.tolist())
                if (half := max(value / most * _LOUDEST * middle, 0.5))
            ]
        )
