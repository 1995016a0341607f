"""Time as it is written and typed: timecode, frames or seconds, and back. Frames are those of one rate.

Timecode counts frames up to the rate rounded up, without dropping numbers: at 23.976 it runs a little slower than the
clock, and every frame has one number. What can be typed: `12` (frames), `12f`, `1.5s`, `1.5`, `00:00:01:12`, `1:12`,
and with a sign in front the same, counted from where the field stands.
"""

import re
from enum import StrEnum
from fractions import Fraction

from engine.errors import EngineError
from engine.types import FrameRate

_NUMBER = re.compile(r"(?P<number>\d+(?:[.,]\d*)?|[.,]\d+)\s*(?P<unit>f|frames?|s|sec|seconds?)?", re.IGNORECASE)
_TIMECODE = re.compile(r"(?:(?:(\d+)[:;.])?(\d+)[:;.])?(\d+)[:;.](\d+)")
_MAX_FRAME = 2**31 - 1  # what a spin box and a project file of other programs can hold


class TimeUnit(StrEnum):
    """How time is shown."""

    TIMECODE = "timecode"
    FRAMES = "frames"
    SECONDS = "seconds"


class TimeRefused(EngineError):
    """What was typed is no time."""

    code = "time"


def frames_per_second(rate: FrameRate) -> int:
    """What timecode counts to: 24 for 23.976, at least 1."""
    return max(-(-rate.value.numerator // rate.value.denominator), 1)


def timecode(frame: int, rate: FrameRate) -> str:
    """Hours, minutes, seconds and frames."""
    sign = "-" if frame < 0 else ""
    seconds, frames = divmod(abs(frame), frames_per_second(rate))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"


def spelled(frame: int, rate: FrameRate, unit: TimeUnit) -> str:
    """In a form that `parse_time` reads as the same frame, at rates up to 500."""
    match unit:
        case TimeUnit.TIMECODE:
            return timecode(frame, rate)
        case TimeUnit.FRAMES:
            return str(frame)
        case TimeUnit.SECONDS:
            return f"{round(float(frame / rate.value), 3):.3f}".rstrip("0").rstrip(".") + "s"


def parse_time(text: str, rate: FrameRate, *, current: int = 0) -> int:
    """The frame that was typed, never below 0; with a sign it is counted from `current`. Raises TimeRefused."""
    stripped = text.strip()
    sign = stripped[:1] if stripped[:1] in ("+", "-") else ""
    frames = _frames(stripped[len(sign) :].strip(), rate)
    if frames is None:
        raise TimeRefused(
            f"“{stripped}” is not a time.", remedy="Write 12 for a frame, 1.5s for seconds, 00:00:01:12, +10 or -5f."
        )
    if sign:
        frames = current + frames if sign == "+" else current - frames
    return min(max(frames, 0), _MAX_FRAME)


def _frames(text: str, rate: FrameRate) -> int | None:
    parts = _TIMECODE.fullmatch(text) if ":" in text or ";" in text else None
    if parts is not None:
        hours, minutes, seconds, frames = (int(part or 0) for part in parts.groups())
        return (hours * 3600 + minutes * 60 + seconds) * frames_per_second(rate) + frames
    number = _NUMBER.fullmatch(text)
    if number is None:
        return None
    amount = Fraction(number["number"].replace(",", "."))
    unit = (number["unit"] or "").lower()
    is_seconds = unit.startswith("s") or (not unit and not number["number"].isdigit())
    if not is_seconds and amount.denominator != 1:
        return None
    return _nearest(amount * rate.value) if is_seconds else int(amount)


def _nearest(frames: Fraction) -> int:
    """Halves go up."""
    return (2 * frames.numerator + frames.denominator) // (2 * frames.denominator)
