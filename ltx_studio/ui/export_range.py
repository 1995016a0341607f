"""The part of the export panel about time: where the export begins and ends, in the clip's own frames."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from engine.types import FrameRate
from ltx_studio.state.export import ExportState
from ltx_studio.state.observable import bind
from ltx_studio.ui import words
from ltx_studio.ui.controls import Button, Label, describe
from ltx_studio.ui.reference_time import TimeField
from ltx_studio.ui.theme import GAP, GRID

TEXT_INSET = 2  # pixels that Qt leaves in a line of text beyond the style sheet's; number fields have none
_TIME_PIXELS = 112  # a timecode and its margins


class ExportRange(QWidget):
    """Edits the range of an `ExportState`."""

    refused = Signal(str)  # why what was written is no time of the clip
    marks_asked = Signal()  # take the player's in and out points

    def __init__(self, state: ExportState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._start = self._field(self.tr("From"), self.tr("Where the export begins"))
        self._end = self._field(self.tr("To"), self.tr("Where it ends; that frame is not part of it"))
        self._length = Label(role="secondary", parent=self)
        self._length.setAccessibleName(self.tr("Length of the range"))
        self._marks = Button(self.tr("In to out"), parent=self)
        describe(self._marks, self.tr("In to out"), self.tr("From the player's in point to its out point"))
        self._whole = Button(self.tr("Whole clip"), parent=self)
        describe(self._whole, self.tr("Whole clip"), self.tr("From the first frame to the last"))
        self._arrange()
        self._start.chosen.connect(self._start_chosen)
        self._end.chosen.connect(self._end_chosen)
        for field in (self._start, self._end):
            field.refused.connect(self.refused)
        self._marks.clicked.connect(self.marks_asked)
        self._whole.clicked.connect(lambda: state.change_request(start_s=None, end_s=None))
        bind(state.source, self._show)
        bind(state.request, self._show)
        bind(state.plan, self._show)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._start, self._end, self._marks, self._whole]

    def _field(self, name: str, what: str) -> TimeField:
        field = TimeField(self)
        how = self.tr("{what}: 00:00:01:12, 1.5s, a frame such as 36, or a step such as +10 or -5f").format(what=what)
        describe(field, name, how)
        field.setMinimumWidth(_TIME_PIXELS)
        field.setTextMargins(-TEXT_INSET, 0, -TEXT_INSET, 0)
        return field

    def _arrange(self) -> None:
        fields = QGridLayout()
        fields.setHorizontalSpacing(GAP)
        fields.setVerticalSpacing(GRID)
        for column, field in enumerate((self._start, self._end)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            fields.addWidget(label, 0, column)
            fields.addWidget(field, 1, column)
            fields.setColumnStretch(column, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self._marks, 1)
        buttons.addWidget(self._whole, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(fields)
        layout.addWidget(self._length)
        layout.addLayout(buttons)

    def _show(self, _changed: object) -> None:
        source = self._state.source.value
        picture = source.picture if source is not None else None
        no_frames = "" if picture is not None else self.tr("There is no picture, so there are no frames to count.")
        for control in (self._start, self._end, self._marks):
            control.setEnabled(picture is not None)
        rate = picture.frame_rate if picture is not None else FrameRate.parse(24)
        total = picture.num_frames if picture is not None else 1
        first, stop = self._state.range
        self._start.show_frame(first, total, rate)
        self._end.show_frame(stop, total + 1, rate)
        is_whole = first == 0 and stop == total
        self._whole.setEnabled(not is_whole)
        tip = self.tr("It is the whole clip already.") if is_whole else self.tr("From the first frame to the last")
        describe(self._whole, self.tr("Whole clip"), no_frames or tip)
        frames = self.tr("1 frame") if stop - first == 1 else self.tr("{count} frames").format(count=stop - first)
        length = words.timecode(max(stop - first, 0), rate)
        self._length.setText(f"{length}, {frames}" if picture is not None else "")

    @Slot(int)
    def _start_chosen(self, frame: int) -> None:
        stop = self._state.range[1]
        if frame >= stop:
            self.refused.emit(self.tr("The export has to begin before its end."))
            self._show(None)
        else:
            self._state.set_range(frame, stop)

    @Slot(int)
    def _end_chosen(self, frame: int) -> None:
        start = self._state.range[0]
        if frame <= start:
            self.refused.emit(self.tr("The export has to end after its beginning."))
            self._show(None)
        else:
            self._state.set_range(start, frame)
