"""The time of the playhead, and the place to type another one: `12`, `1.5s`, `00:00:01:12`, `+10`, `-5f`."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QToolTip, QWidget

from engine.errors import EngineError
from ltx_studio.domain.timecode import parse_time
from ltx_studio.services.player import Clip, Player
from ltx_studio.ui import words
from ltx_studio.ui.controls import describe, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP


class TimeField(QLineEdit):
    """Shows where the player is until it is written in; Return goes there, Esc leaves things as they are."""

    left = Signal()  # done with it: the keys of playback are wanted again

    def __init__(self, player: Player, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._player = player
        set_role(self, "field")
        self.setFixedHeight(CONTROL_HEIGHT)
        self.setFixedWidth(self.sizeHint().width())
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        describe(self, self.tr("Time"), self.tr("Go to a time: 12, 1.5s, 00:00:01:12, +10 or -5f"))
        player.frame_changed.connect(self._show_time)
        player.clip_opened.connect(self._show_time)
        self.returnPressed.connect(self._enter)
        self._show_time()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        width = self.fontMetrics().horizontalAdvance("00:00:00:00") + 4 * GAP
        return QSize(width, CONTROL_HEIGHT)

    def ask(self) -> None:
        """Put the keys here, ready to be written over."""
        if self.isEnabled():
            self.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.selectAll()

    def event(self, event: QEvent) -> bool:
        """Every key that writes or moves within a text is for this field, not for playback."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            is_writing = not event.modifiers() & ~(
                Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
            )
            if is_writing and (event.text() or event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right)):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self._leave()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusInEvent(event)
        self._player.pause()
        self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusOutEvent(event)
        self._show_time()

    def _enter(self) -> None:
        clip = self._player.clip
        if clip is None:
            return
        try:
            frame = parse_time(self.text(), clip.facts.frame_rate, current=self._player.frame)
        except EngineError as error:
            QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), str(error), self)
            self.setAccessibleDescription(str(error))
            self.selectAll()
            return
        self._player.seek(frame)
        self._leave()

    def _leave(self) -> None:
        self.setAccessibleDescription("")
        self._write_time()
        self.clearFocus()
        self.left.emit()

    def _show_time(self, _what: object = None) -> None:
        if not self.hasFocus():
            self._write_time()

    def _write_time(self) -> None:
        clip: Clip | None = self._player.clip
        self.setText("00:00:00:00" if clip is None else words.timecode(self._player.frame, clip.facts.frame_rate))
