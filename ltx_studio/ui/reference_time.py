"""A field for a moment of the clip, in the clip's own frames: a timecode, seconds, a frame number, or a step."""

import re

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from engine.types import FrameRate
from ltx_studio.ui import words
from ltx_studio.ui.controls import CHOOSE_KEYS, describe, keeps

_NUMBER = re.compile(r"([+-]?)(\d{1,7}(?:[.,]\d{1,6})?)\s*([sf]?)", re.IGNORECASE | re.ASCII)
_TIMECODE = re.compile(r"\d{1,4}(?:[:;]\d{1,2}){1,3}", re.ASCII)
_PER_UNIT = (1, 60, 3600)  # seconds in each place of a timecode, from the right


def parse_time(text: str, current: int, rate: FrameRate) -> int | None:
    """The frame that is meant: `12`, `1.5s`, `00:00:01:12`, or `+10` and `-5f` from `current`; None for other text.

    Timecodes are read from the right, the frames last. Seconds go to the nearest frame.
    """
    text = text.strip()
    if _TIMECODE.fullmatch(text):
        *others, frames = (int(part) for part in re.split("[:;]", text))
        seconds = sum(value * unit for value, unit in zip(reversed(others), _PER_UNIT, strict=False))
        return round(seconds * _frames_per_second(rate)) + frames
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, digits, unit = found.groups()
    number = float(digits.replace(",", "."))
    if unit.lower() != "s" and not number.is_integer():
        return None
    frames = round(rate.frames_in(number)) if unit.lower() == "s" else int(number)
    return {"": frames, "+": current + frames, "-": current - frames}[sign]


def _frames_per_second(rate: FrameRate) -> int:
    """As timecodes count: the rate rounded up, at least one."""
    return max(-(-rate.value.numerator // rate.value.denominator), 1)


class TimeField(QLineEdit):
    """Shows a frame as a timecode. Up and Down step by a frame, Escape brings the last good time back."""

    chosen = Signal(int)  # a frame inside the clip
    refused = Signal(str)  # why what was written is no time of the clip

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "field")
        self.setAcceptDrops(False)  # files dropped here are for the panel
        self._frame, self._num_frames = 0, 1
        self._rate = FrameRate.parse(24)
        name = QCoreApplication.translate("references", "Time")
        tip = QCoreApplication.translate(
            "references", "When the clip shows it: 00:00:01:12, 1.5s, a frame such as 36, or a step such as +10 or -5f"
        )
        describe(self, name, tip)
        self.editingFinished.connect(self._read)

    def show_frame(self, frame: int, num_frames: int | None, rate: FrameRate) -> None:
        """`num_frames` is None where the clip's length is not known."""
        self._frame, self._num_frames, self._rate = frame, num_frames or frame + 1, rate
        if not (self.hasFocus() and self.isModified()):
            self._write()

    def event(self, event: QEvent) -> bool:
        return keeps(event, CHOOSE_KEYS) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        steps = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}
        if event.key() in steps and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            frame = min(max(self._frame + steps[Qt.Key(event.key())], 0), self._num_frames - 1)
            self.setModified(False)
            self.chosen.emit(frame)
        elif event.key() == Qt.Key.Key_Escape and self.isModified():
            self._write()
        else:
            super().keyPressEvent(event)

    def _write(self) -> None:
        self.setText(words.timecode(max(self._frame, 0), self._rate))
        self.setModified(False)

    @Slot()
    def _read(self) -> None:
        if not self.isModified():
            return
        text = self.text()
        frame = parse_time(text, self._frame, self._rate)
        self._write()
        if frame is None:
            sentence = self.tr("“{text}” is no time. Write 00:00:01:12, 1.5s, or a frame number.")
            self.refused.emit(sentence.format(text=text))
        elif not 0 <= frame < self._num_frames:
            sentence = self.tr("“{text}” is outside the clip, which ends at {end}.")
            self.refused.emit(sentence.format(text=text, end=words.timecode(self._num_frames - 1, self._rate)))
        else:
            self.chosen.emit(frame)
