"""The picture in the middle: nothing yet, what is being made, or the finished clip."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QImage, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from engine.events import Preview, Result
from ltx_studio.domain.framing import STEP
from ltx_studio.services.player import Clip, Player
from ltx_studio.state.observable import bind
from ltx_studio.state.session import Session
from ltx_studio.ui.cinema import Cinema
from ltx_studio.ui.controls import PRESS_KEYS, Button, Label, describe, keeps, set_role
from ltx_studio.ui.picture_view import PictureView
from ltx_studio.ui.theme import GAP, PADDING, WIDE_GAP, Appearance
from ltx_studio.ui.transport import Transport


class Viewer(QWidget):
    """Previews while a job runs, else the player's frame, else an invitation."""

    example_asked = Signal()

    def __init__(
        self,
        session: Session,
        player: Player,
        actions: dict[str, QAction],
        appearance: Appearance,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._player = player
        self._frame: QImage | None = None  # the player's
        self._empty = _Invitation(self)
        self._picture = PictureView(appearance, self)
        self._picture.setAccessibleName(self.tr("Picture"))
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._picture)
        self._caption = Label(" ", "secondary", self)
        self._caption.setMinimumHeight(self._caption.sizeHint().height())
        self._zoom = ZoomButton(self._picture, self)
        self._transport = Transport(player, actions, appearance, self)
        self._actions = actions
        self._appearance = appearance
        self._cinema: Cinema | None = None  # made when it is first wanted
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        caption = QHBoxLayout()
        caption.setContentsMargins(PADDING, GAP, PADDING, 0)
        caption.addWidget(self._caption, 1, Qt.AlignmentFlag.AlignLeft)
        caption.addWidget(self._zoom)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._pages, 1)
        layout.addLayout(caption)
        layout.addWidget(self._transport)

    def _connect(self) -> None:
        self._empty.example_asked.connect(self.example_asked)
        self._picture.pressed.connect(self._pressed)
        self._transport.time.left.connect(self._take_keys)
        self._player.clip_opened.connect(self._clip_opened)
        self._player.clip_refused.connect(self._clip_refused)
        self._player.picture_changed.connect(self._picture_changed)
        bind(self._session.is_running, self._empty.show_running)
        bind(self._session.preview, self._show_preview)
        bind(self._session.result, self._open_result)

    # --- for the window -----------------------------------------------------------------------------------------------

    def zoom_reactions(self) -> dict[str, Callable[[], None]]:
        """What the commands of zooming do, by name."""
        return {
            "enlarge_picture": lambda: self._picture.zoom(STEP),
            "reduce_picture": lambda: self._picture.zoom(1 / STEP),
            "fit_picture": self._picture.fit,
            "actual_size": self._picture.show_actual_size,
        }

    def ask_time(self) -> None:
        self._transport.time.ask()

    def refresh(self) -> None:
        """The commands may have served another player in between."""
        self._transport.refresh()

    def toggle_cinema(self) -> None:
        """The picture on the whole screen, and back."""
        if self._cinema is not None and self._cinema.isVisible():
            self._cinema.leave()
            return
        if self._player.clip is None:
            return
        if self._cinema is None:
            self._cinema = Cinema(self._player, self._actions, self._appearance, self)
            self._cinema.left.connect(self._take_keys)
        self._cinema.open_with(self._frame)

    # --- reactions ----------------------------------------------------------------------------------------------------

    def _open_result(self, result: Result | None) -> None:
        if result is not None:
            self._player.open(result.path)

    def _show_preview(self, preview: Preview | None) -> None:
        if preview is None:
            self._show_player()
            return
        height, width, _ = preview.frame.shape
        image = QImage(preview.frame.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self._picture.show_preview(image.convertToFormat(QImage.Format.Format_RGB32), self._size_being_made(image))
        self._pages.setCurrentWidget(self._picture)
        self._caption.setText(self.tr("Preview of what is being made"))

    def _size_being_made(self, image: QImage) -> QSize:
        job = self._session.job.value
        if job is None or job.request.size is None:
            return image.size()
        return QSize(job.request.size.width, job.request.size.height)

    def _show_player(self) -> None:
        clip = self._player.clip
        if self._frame is None or clip is None:
            self._pages.setCurrentWidget(self._empty)
            self._caption.setText("")
            return
        self._picture.show_frame(self._frame, QSize(clip.facts.size.width, clip.facts.size.height))
        self._pages.setCurrentWidget(self._picture)
        self._caption.setText(clip.path.name)

    @Slot(object)
    def _clip_opened(self, _clip: Clip) -> None:
        self._frame = None

    @Slot(str)
    def _clip_refused(self, message: str) -> None:
        self._caption.setText(message)

    @Slot(object)
    def _picture_changed(self, image: QImage) -> None:
        self._frame = image
        if self._session.preview.value is None:
            self._show_player()

    @Slot()
    def _take_keys(self) -> None:
        self.window().activateWindow()
        self._picture.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _pressed(self) -> None:
        if self._session.preview.value is None:
            self._player.toggle()


class ZoomButton(QToolButton):
    """How large the picture is shown; a press goes from fitted to its actual size and back."""

    def __init__(self, picture: PictureView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = picture
        set_role(self, "status")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(self._toggle)
        picture.framing_changed.connect(self.show_zoom)
        picture.installEventFilter(self)
        self.show_zoom()

    @Slot()
    def show_zoom(self, _framing: object = None) -> None:
        percent, is_fit = self._picture.percent, self._picture.framing.is_fit
        text = self.tr("Fit, {percent} %") if is_fit else self.tr("{percent} %")
        self.setText(text.format(percent=percent))
        offer = self.tr("Show the picture at 100 %") if is_fit else self.tr("Fit the picture")
        describe(self, self.tr("Size of the picture"), offer)

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)

    def eventFilter(self, _watched: object, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if isinstance(event, QResizeEvent):
            self.show_zoom()
        return False

    @Slot()
    def _toggle(self) -> None:
        if self._picture.framing.is_fit:
            self._picture.show_actual_size()
        else:
            self._picture.fit()


class _Invitation(QWidget):
    """What goes here, and the one thing to do about it."""

    example_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        set_role(self, "canvas")
        self._text = Label(parent=self)
        self._hint = Label(self.tr("Describe it on the left, then press Generate."), "secondary", self)
        self._button = Button(self.tr("Write an example prompt"), parent=self)
        self._button.setAccessibleName(self._button.text())
        self._button.setToolTip(self.tr("Put an example into the prompt, to change or to generate as it is"))
        self._button.clicked.connect(self.example_asked)
        layout = QVBoxLayout(self)
        layout.setSpacing(GAP)
        layout.addStretch(1)
        layout.addWidget(self._text, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._hint, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(WIDE_GAP)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)

    def show_running(self, is_running: bool) -> None:
        """While a job runs there is nothing to be done here but wait."""
        waiting, inviting = self.tr("The first preview appears here."), self.tr("Your clip appears here.")
        self._text.setText(waiting if is_running else inviting)
        self._hint.setVisible(not is_running)
        self._button.setVisible(not is_running)
