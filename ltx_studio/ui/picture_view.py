"""One picture on the background: fitted, or zoomed and panned. Where it lies is reckoned in `domain.framing`."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from ltx_studio.domain import framing as framings
from ltx_studio.domain.framing import FIT, Framing, Rect
from ltx_studio.ui.theme import Appearance

_WHEEL_NOTCH = 120  # eighths of a degree of one step of a wheel
_CRISP_FROM = 2.0  # device pixels for one of the picture's; from here on they are squares, to be looked at singly
_KEY_PAN = 48
_ARROWS = {
    Qt.Key.Key_Left: (_KEY_PAN, 0),
    Qt.Key.Key_Right: (-_KEY_PAN, 0),
    Qt.Key.Key_Up: (0, _KEY_PAN),
    Qt.Key.Key_Down: (0, -_KEY_PAN),
}


class PictureView(QWidget):
    """Paints a QImage. A preview, or a picture that is small for now, has fewer pixels than the shape it stands for.

    The wheel zooms around the mouse, dragging pans, a double click fits the picture again, Alt with an arrow pans.
    """

    pressed = Signal()  # a click, without a drag
    framing_changed = Signal(object)  # Framing

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._image: QImage | None = None
        self._shape = QSize(16, 9)
        self.framing = FIT
        self._drag_from: QPointF | None = None
        self._is_dragged = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 180)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # the keys of playback, away from a field that has its own use
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        appearance.theme.changed.connect(self._repaint)

    def show_frame(self, image: QImage, shape: QSize | None = None) -> None:
        """A frame of a clip of this shape, the picture's own where none is given."""
        self._show(image, shape or image.size())

    def show_preview(self, image: QImage, shape: QSize) -> None:
        """A small picture that stands for one of this shape."""
        self._show(image, shape)

    def _show(self, image: QImage, shape: QSize) -> None:
        if shape != self._shape and not self.framing.is_fit:
            self.set_framing(FIT)  # another clip is seen whole at first
        self._image, self._shape = image, shape
        self.update()

    def clear(self) -> None:
        self._image = None
        self.update()

    def picture_rect(self) -> QRectF:
        """Where the picture is, in this widget."""
        found = framings.place(self.framing, self._view(), self._shape.width(), self._shape.height())
        return QRectF(found.x, found.y, found.width, found.height)

    # --- zoom ---------------------------------------------------------------------------------------------------------

    @property
    def percent(self) -> int:
        """Device pixels for each of the picture's, times 100."""
        scale = framings.scale_in(self.framing, self._view(), self._shape.width(), self._shape.height())
        return round(100 * scale * self.devicePixelRatioF())

    def set_framing(self, framing: Framing) -> None:
        if framing != self.framing:
            self.framing = framing
            self.framing_changed.emit(framing)
            self.update()

    def fit(self) -> None:
        self.set_framing(FIT)

    def show_actual_size(self) -> None:
        """One of the picture's pixels on each of the screen's."""
        shape, scale = self._shape, 1 / self.devicePixelRatioF()
        self.set_framing(framings.at_scale(self.framing, scale, self._view(), shape.width(), shape.height()))

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Larger or smaller around a point of this widget, its middle where none is given."""
        point = None if at is None else (at.x(), at.y())
        width, height = self._shape.width(), self._shape.height()
        self.set_framing(framings.zoomed(self.framing, factor, self._view(), width, height, at=point))

    def pan(self, dx: float, dy: float) -> None:
        width, height = self._shape.width(), self._shape.height()
        self.set_framing(framings.panned(self.framing, dx, dy, self._view(), width, height))

    def _view(self) -> Rect:
        return Rect(0, 0, self.width(), self.height())

    # --- events -------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._appearance.theme.value.background))
        if self._image is not None:
            draw_picture(painter, self.picture_rect(), self._image, self.framing)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton) and self._image is not None:
            self._drag_from, self._is_dragged = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if self._drag_from is None or self.framing.is_fit:
            return
        way = event.position() - self._drag_from
        if self._is_dragged or way.manhattanLength() >= QApplication.startDragDistance():
            self._is_dragged = True
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self._drag_from = event.position()
            self.pan(way.x(), way.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        was_pressed, self._drag_from = self._drag_from is not None, None
        self.unsetCursor()
        if was_pressed and not self._is_dragged and event.button() == Qt.MouseButton.LeftButton:
            self.pressed.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Its first click has played or paused; this takes that back."""
        if event.button() == Qt.MouseButton.LeftButton and self._image is not None:
            self.pressed.emit()
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if self._image is not None:
            self.zoom(framings.STEP ** (event.angleDelta().y() / _WHEEL_NOTCH), event.position())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        way = _ARROWS.get(Qt.Key(event.key()))
        if way is not None and event.modifiers() & Qt.KeyboardModifier.AltModifier and not self.framing.is_fit:
            self.pan(*way)
        else:
            super().keyPressEvent(event)

    def _repaint(self, _theme: object) -> None:
        self.update()


def draw_picture(painter: QPainter, area: QRectF, image: QImage, framing: Framing) -> None:
    """Smooth, until somebody zooms in so far that the pixels are looked at singly."""
    scale = area.width() * painter.device().devicePixelRatioF() / max(image.width(), 1)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, framing.is_fit or scale < _CRISP_FROM)
    painter.drawImage(area, image)
