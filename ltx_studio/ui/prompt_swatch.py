"""Drawing a style's swatch from its colours and pattern: small pictures without picture files."""

import random
from itertools import cycle, islice
from math import sin

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPainterPath, QPolygonF

from ltx_studio.domain.prompt_presets import StylePreset
from ltx_studio.ui.theme import RADIUS, Theme

_NUM_COLOURS = 4
_NUM_GRAINS = 220


def paint_swatch(painter: QPainter, area: QRect, preset: StylePreset, theme: Theme) -> None:
    """Paint a style's picture into `area`; one without colours takes greys of the theme."""
    colours = preset.colours or (theme.raised_pressed, theme.raised, theme.line, theme.text_dim)
    back, far, near, front = (QColor(colour) for colour in islice(cycle(colours), _NUM_COLOURS))
    frame = QPainterPath()
    frame.addRoundedRect(QRectF(area), RADIUS, RADIUS)
    painter.save()
    painter.setClipPath(frame, Qt.ClipOperation.IntersectClip)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.translate(area.topLeft())
    painter.scale(area.width() / 16, area.height() / 9)  # the pictures below are 16 wide and 9 high
    sky = QLinearGradient(0, 0, 0, 9)
    sky.setColorAt(0, back)
    sky.setColorAt(1, far)
    painter.fillRect(QRectF(0, 0, 16, 9), sky)
    _PATTERNS[preset.pattern](painter, far, near, front)
    painter.restore()


def _horizon(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    painter.setBrush(front)
    painter.drawEllipse(QPointF(11, 4.6), 1.7, 1.7)
    for colour, heights in ((far.darker(125), (5.6, 4.6, 5.8, 5.0, 6.2)), (near, (7.2, 6.4, 7.0, 6.2, 7.4))):
        _ridge(painter, colour, heights)


def _rays(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    for index in range(5):
        colour = QColor(front if index % 2 else near)
        colour.setAlpha(120)
        painter.setBrush(colour)
        x = 1 + index * 3.2
        painter.drawPolygon(QPolygonF([QPointF(13, -1), QPointF(x - 2.2, 9), QPointF(x - 0.7, 9)]))
    _ridge(painter, far.darker(170), (8.0, 7.6, 8.2, 7.7, 8.1))


def _grain(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    painter.setBrush(near)
    painter.drawEllipse(QPointF(8, 5), 3.4, 2.6)
    generator = random.Random(1)
    for index in range(_NUM_GRAINS):
        painter.setBrush(front if index % 2 else far)
        painter.drawRect(QRectF(generator.uniform(0, 16), generator.uniform(0, 9), 0.18, 0.18))


def _blocks(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    for colour, x, y, width in ((near, 1.5, 3.4, 3.2), (front, 5.2, 1.8, 2.6), (far.darker(140), 8.4, 4.4, 3.0)):
        painter.setBrush(colour)
        painter.drawRect(QRectF(x, y, width, 9 - y))
    painter.setBrush(near.lighter(115))
    painter.drawRect(QRectF(12, 2.8, 2.6, 6.2))


def _figure(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    painter.setBrush(front)
    painter.drawEllipse(QPointF(8, 4.5), 4.2, 4.2)
    painter.setBrush(near)
    painter.drawEllipse(QPointF(8, 3.9), 1.35, 1.6)
    painter.drawRoundedRect(QRectF(5.2, 6.0, 5.6, 4.0), 2.0, 2.0)
    painter.setBrush(far.darker(130))
    painter.drawRect(QRectF(0, 8.5, 16, 0.5))


def _waves(painter: QPainter, far: QColor, near: QColor, front: QColor) -> None:
    for index, colour in enumerate((far.lighter(118), near, front)):
        path = QPainterPath(QPointF(0, 9))
        for step in range(33):
            path.lineTo(step / 2, 3.4 + index * 2 + 0.7 * sin(step / 2 * 0.9 + index * 1.7))
        path.lineTo(16, 9)
        painter.setBrush(colour)
        painter.drawPath(path)


def _ridge(painter: QPainter, colour: QColor, heights: tuple[float, ...]) -> None:
    step = 16 / (len(heights) - 1)
    points = [QPointF(index * step, height) for index, height in enumerate(heights)]
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([QPointF(0, 9), *points, QPointF(16, 9)]))


_PATTERNS = {
    "horizon": _horizon,
    "rays": _rays,
    "grain": _grain,
    "blocks": _blocks,
    "figure": _figure,
    "waves": _waves,
}
