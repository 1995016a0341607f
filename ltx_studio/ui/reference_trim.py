"""Where the part of a sound or a clip begins and ends that a reference card uses, in the file's own frames."""

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

from engine.request import WHOLE, Trim
from engine.types import FrameRate
from ltx_studio.ui.controls import Label, describe
from ltx_studio.ui.reference_time import TimeField
from ltx_studio.ui.theme import GAP


def tr(text: str) -> str:
    return QCoreApplication.translate("references", text)


class TrimFields(QWidget):
    """Two times, of which the second is not part of what is used."""

    chosen = Signal(object)  # Trim
    refused = Signal(str)  # why what was written is no time of the file
    editing_finished = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rate, self._num_frames, self._trim = FrameRate.parse(24), 1, WHOLE
        self._start = self._field(tr("From"), tr("Where the part of the file begins that is used"))
        self._end = self._field(tr("To"), tr("Where that part ends; that frame is not part of it"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        for field in (self._start, self._end):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            layout.addWidget(label)
            layout.addWidget(field, 1)
        self._start.chosen.connect(self._start_chosen)
        self._end.chosen.connect(self._end_chosen)
        for field in (self._start, self._end):
            field.refused.connect(self.refused)
            field.editingFinished.connect(self.editing_finished)

    def _field(self, name: str, what: str) -> TimeField:
        field = TimeField(self)
        how = tr("{what}: 00:00:01:12, 1.5s, a frame such as 36, or a step such as +10 or -5f").format(what=what)
        describe(field, name, how)
        field.installEventFilter(self)
        return field

    def fields(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._start, self._end]

    def show_trim(self, trim: Trim, num_frames: int, rate: FrameRate) -> None:
        """`num_frames` is how long the whole file is, counted at `rate`."""
        self._trim, self._num_frames, self._rate = trim, max(num_frames, 1), rate
        part = trim.frames(rate, self._num_frames)
        self._start.show_frame(part.start, self._num_frames, rate)
        self._end.show_frame(part.stop, self._num_frames + 1, rate)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """The wheel scrolls the list of cards."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    @Slot(int)
    def _start_chosen(self, frame: int) -> None:
        self._choose(frame, self._trim.frames(self._rate, self._num_frames).stop)

    @Slot(int)
    def _end_chosen(self, frame: int) -> None:
        self._choose(self._trim.frames(self._rate, self._num_frames).start, frame)

    def _choose(self, start: int, stop: int) -> None:
        if start >= stop:
            self.show_trim(self._trim, self._num_frames, self._rate)
            self.refused.emit(tr("The part has to begin before its end."))
            return
        end_s = None if stop >= self._num_frames else self._rate.seconds(stop)
        self.chosen.emit(Trim(self._rate.seconds(start), end_s))
