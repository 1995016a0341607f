"""The part of the Edit panel about time: what of the clip is marked, in the times of the timeline or the clip."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.edits import Target
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.state.observable import bind
from ltx_studio.ui import words
from ltx_studio.ui.controls import Button, Label, describe
from ltx_studio.ui.reference_time import TimeField
from ltx_studio.ui.theme import GAP, GRID, WIDE_GAP

_TEXT_INSET = 2  # pixels that Qt leaves in a line of text beyond the style sheet's; number fields have none
_TIME_PIXELS = 112  # a timecode and its margins


class EditRange(QWidget):
    """Shows the marks of the target, and asks for others."""

    refused = Signal(str)  # why what was written is no range of the clip
    range_asked = Signal(object)  # FrameRange, or None to clear the marks
    second_asked = Signal()  # one second around the playhead

    def __init__(self, state: EditsState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._target: Target | None = None
        self._start = self._field(tr("From"), tr("The first frame that is made again"))
        self._end = self._field(tr("To"), tr("The first frame after it"))
        self._length = Label(role="secondary", parent=self)
        self._length.setAccessibleName(tr("Length of the range"))
        self._second = Button(tr("One second here"), parent=self)
        describe(self._second, self._second.text(), tr("Mark one second around the playhead"))
        self._whole = Button(tr("Whole clip"), parent=self)
        describe(self._whole, self._whole.text(), tr("Mark the clip from its first frame to its last"))
        fields = QGridLayout()
        fields.setHorizontalSpacing(GAP)
        fields.setVerticalSpacing(GRID)
        for column, field in enumerate((self._start, self._end)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            fields.addWidget(label, 0, column)
            fields.addWidget(field, 1, column)
            fields.setColumnStretch(column, 1)
        self._length.setWordWrap(True)
        self.beside_length = QHBoxLayout()  # has room for what else is about the range
        self.beside_length.setSpacing(WIDE_GAP)
        self.beside_length.addWidget(self._length, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self._second, 1)
        buttons.addWidget(self._whole, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(fields)
        layout.addLayout(self.beside_length)
        layout.addLayout(buttons)
        self._start.chosen.connect(self._start_chosen)
        self._end.chosen.connect(self._end_chosen)
        for field in (self._start, self._end):
            field.refused.connect(self.refused)
        self._second.clicked.connect(self.second_asked)
        self._whole.clicked.connect(self._ask_whole)
        bind(state.target, self._show)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._start, self._end, self._second, self._whole]

    def _field(self, name: str, what: str) -> TimeField:
        field = TimeField(self)
        how = tr("{what}: 00:00:01:12, 1.5s, a frame such as 36, or a step such as +10 or -5f. I and O mark it too.")
        describe(field, name, how.format(what=what))
        field.setMinimumWidth(_TIME_PIXELS)
        field.setTextMargins(-_TEXT_INSET, 0, -_TEXT_INSET, 0)
        return field

    def _show(self, target: Target | None) -> None:
        self._target = target
        for control in self.controls():
            control.setEnabled(target is not None)
        if target is None:
            self._length.setText("")
            return
        shown = target.marked or target.span
        self._start.show_frame(shown.start, target.span.stop, target.rate)
        self._end.show_frame(shown.stop, target.span.stop + 1, target.rate)
        self._length.setText(self._words(target))

    def _words(self, target: Target) -> str:
        if target.marked is None:
            return tr("Nothing is marked yet: press I and O.")
        frames = len(target.marked)
        count = tr("1 frame") if frames == 1 else tr("{count} frames").format(count=frames)
        return tr("{length}, {frames}").format(length=_seconds(frames, target.rate), frames=count)

    @Slot(int)
    def _start_chosen(self, frame: int) -> None:
        target = self._target
        if target is None:
            return
        stop = target.span.stop if target.marked is None else target.marked.stop
        self._ask(frame, stop)

    @Slot(int)
    def _end_chosen(self, frame: int) -> None:
        target = self._target
        if target is None:
            return
        start = target.span.start if target.marked is None else target.marked.start
        self._ask(start, frame)

    def _ask(self, start: int, stop: int) -> None:
        target = self._target
        assert target is not None
        if start >= stop:
            self.refused.emit(tr("The range has to end after its beginning."))
        elif start < target.span.start:
            begins = words.timecode(target.span.start, target.rate)
            self.refused.emit(tr("The clip begins at {time}.").format(time=begins))
        else:
            self.range_asked.emit(FrameRange(start, stop))
            return
        self._show(target)

    @Slot()
    def _ask_whole(self) -> None:
        if self._target is not None:
            self.range_asked.emit(self._target.span)


def _seconds(frames: int, rate: FrameRate) -> str:
    return tr("{seconds} s").format(seconds=f"{rate.seconds(frames):.2f}")
