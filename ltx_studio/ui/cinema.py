"""The picture alone on the whole screen, with the controls while the mouse moves."""

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QImage, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from ltx_studio.services.player import Player
from ltx_studio.ui.picture_view import PictureView
from ltx_studio.ui.theme import PADDING, Appearance
from ltx_studio.ui.transport import Transport

_CONTROLS_SHOWN_MS = 2000
_CONTROLS_WIDTH = 880


class Cinema(QWidget):
    """A window of its own above the studio's; the studio's keys work in it. Esc leaves."""

    left = Signal()

    def __init__(
        self, player: Player, actions: dict[str, QAction], appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint)
        self._player = player
        self.setWindowTitle(self.tr("LTX Studio, full screen"))
        self.picture = PictureView(appearance, self)
        self.picture.setAccessibleName(self.tr("Picture on the whole screen"))
        self.picture.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._controls = QFrame(self)
        self._controls.setAutoFillBackground(True)
        self.transport = Transport(player, actions, appearance, self._controls)
        inside = QVBoxLayout(self._controls)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.transport)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.picture)
        self.addActions(list(actions.values()))
        self._hide_soon = QTimer(self)
        self._hide_soon.setSingleShot(True)
        self._hide_soon.setInterval(_CONTROLS_SHOWN_MS)
        self._hide_soon.timeout.connect(self._hide_controls)
        self.picture.setMouseTracking(True)
        self.picture.installEventFilter(self)
        self.picture.pressed.connect(player.toggle)
        player.picture_changed.connect(self._show_picture)

    def open_with(self, image: QImage | None) -> None:
        """Show this picture first, and from then on the player's."""
        if image is not None:
            self._show_picture(image)
        self.picture.fit()
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.screen().geometry())  # for systems without a window manager
        self.showFullScreen()
        self.activateWindow()
        self.picture.setFocus(Qt.FocusReason.OtherFocusReason)
        self._show_controls()

    def leave(self) -> None:
        self._hide_soon.stop()
        self.hide()
        self.left.emit()

    def _show_controls(self) -> None:
        self._controls.show()
        self.unsetCursor()
        self._hide_soon.start()

    @Slot()
    def _hide_controls(self) -> None:
        """Not under the mouse, and not while the keyboard is in them."""
        if self._controls.underMouse() or self._controls.isAncestorOf(self.focusWidget() or self.picture):
            self._hide_soon.start()
        else:
            self._controls.hide()
            self.setCursor(Qt.CursorShape.BlankCursor)

    @Slot(object)
    def _show_picture(self, image: QImage) -> None:
        if self._player.clip is not None:
            size = self._player.clip.facts.size
            self.picture.show_frame(image, QSize(size.width, size.height))

    def eventFilter(self, _watched: object, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseMove:
            self._show_controls()
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self.leave()
        elif event.key() == Qt.Key.Key_Tab:
            self._show_controls()
            super().keyPressEvent(event)
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        width = min(_CONTROLS_WIDTH, self.width() - 2 * PADDING)
        height = self._controls.sizeHint().height()
        self._controls.setGeometry((self.width() - width) // 2, self.height() - height - 2 * PADDING, width, height)
        self._controls.raise_()
