"""A field for a time on the timeline: `12`, `1.5s`, `00:00:01:12`, `+10`, `-5f`; empty where there is none."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QToolTip, QWidget

from engine.errors import EngineError
from ltx_studio.domain.timecode import TimeUnit, parse_time, spelled
from ltx_studio.state.timeline import TimelineState, tr
from ltx_studio.ui.controls import describe, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP

_STEPS = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}


class TimelineField(QLineEdit):
    """Return takes what is written, Esc leaves things as they are, up and down go by a frame, ten with Shift."""

    entered = Signal(object)  # int, or None where the field was emptied
    left = Signal()  # done with it: the keys of playback are wanted again

    def __init__(
        self, name: str, tip: str, state: TimelineState, *, may_be_empty: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._frame: int | None = None
        self._unit = TimeUnit.TIMECODE
        self._may_be_empty = may_be_empty
        set_role(self, "field")
        self.setFixedHeight(CONTROL_HEIGHT)
        self.setFixedWidth(self.sizeHint().width())
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setPlaceholderText(name)
        how = tr("Write 12, 1.5s, 00:00:01:12, +10 or -5f.")
        describe(self, name, f"{tip} {how}")
        self.returnPressed.connect(self._enter)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(self.fontMetrics().horizontalAdvance("00:00:00:00") + 3 * GAP, CONTROL_HEIGHT)

    def show_frame(self, frame: int | None, unit: TimeUnit) -> None:
        """Unless something is being written."""
        self._frame, self._unit = frame, unit
        if not self.hasFocus() or not self.isModified():
            self._write()

    def event(self, event: QEvent) -> bool:
        """Every key that writes or moves within a text is for this field, not for playback."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            is_plain = not event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
            if is_plain and (event.text() or event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right, *_STEPS)):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        step = _STEPS.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape:
            self._leave()
        elif step is not None:
            frames = 10 * step if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else step
            self.entered.emit(max((self._frame or 0) + frames, 0))
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusInEvent(event)
        self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusOutEvent(event)
        self._write()

    def _enter(self) -> None:
        if not self.text().strip() and self._may_be_empty:
            self.entered.emit(None)
            self._leave()
            return
        try:
            current = self._state.playhead.value if self._frame is None else self._frame
            frame = parse_time(self.text(), self._state.timeline.value.rate, current=current)
        except EngineError as error:
            QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), str(error), self)
            self.setAccessibleDescription(str(error))
            self.selectAll()
            return
        self.entered.emit(frame)
        self._leave()

    def _leave(self) -> None:
        self.setAccessibleDescription("")
        self._write()
        self.clearFocus()
        self.left.emit()

    def _write(self) -> None:
        self.setText("" if self._frame is None else spelled(self._frame, self._state.timeline.value.rate, self._unit))
        self.setModified(False)
