"""One picture, as large as fits, centred on the background."""

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ltx_studio.ui.theme import Appearance

LARGEST_ZOOM = 4.0  # beyond this, a small clip is only blur


class PictureView(QWidget):
    """Paints a QImage, smoothly enlarged or reduced. A preview has fewer pixels than the shape it stands for."""

    pressed = Signal()

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._image: QImage | None = None
        self._shape = QSize(16, 9)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 180)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # the keys of playback, away from a field that has its own use
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        appearance.theme.changed.connect(self._repaint)

    def show_frame(self, image: QImage) -> None:
        """A frame of a clip."""
        self._image, self._shape = image, image.size()
        self.update()

    def show_preview(self, image: QImage, shape: QSize) -> None:
        """A small picture that stands for one of this shape."""
        self._image, self._shape = image, shape
        self.update()

    def clear(self) -> None:
        self._image = None
        self.update()

    def picture_rect(self) -> QRectF:
        """Where the picture is, in this widget."""
        zoom = min(self.width() / self._shape.width(), self.height() / self._shape.height(), LARGEST_ZOOM)
        width, height = self._shape.width() * zoom, self._shape.height() * zoom
        return QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._appearance.theme.value.background))
        if self._image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self.picture_rect(), self._image)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.LeftButton and self._image is not None:
            self.pressed.emit()

    def _repaint(self, _theme: object) -> None:
        self.update()
