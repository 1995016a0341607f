"""Where playback is, and how loud it is there: arithmetic of clocks and meters. No Qt, no device, no decoder.

Positions are seconds into the clip; a route is what lies between pressing play and stopping.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPEEDS = (1, 2, 4, 8)  # of J and L, pressed again and again
LEVELS_PER_S = 100
SILENCE_DB = -60.0  # the foot of a meter
FALL_DB_PER_S = 24.0  # near IEC 60268-10 type I, 20 dB in 1.7 s at its slowest; faster reads better on short clips
HOLD_S = 1.2


@dataclass(frozen=True)
class Route:
    """From `start_s` at `speed` times the clip's own, backwards below 0, within `first_s` up to `stop_s`."""

    start_s: float
    first_s: float
    stop_s: float
    speed: int = 1
    loops: bool = False

    def __post_init__(self) -> None:
        assert self.speed != 0
        assert self.first_s <= self.start_s <= self.stop_s and self.first_s < self.stop_s, self

    def position_s(self, elapsed_s: float) -> float:
        """Where one is after this time: at the end of the route from its end on, unless it loops."""
        travelled, length = abs(self.speed) * elapsed_s, self.stop_s - self.first_s
        beyond = travelled - self._reach_s
        if beyond < 0:
            return self.start_s + self.speed * elapsed_s
        if not self.loops:
            return self.stop_s if self.speed > 0 else self.first_s
        return self.first_s + beyond % length if self.speed > 0 else self.stop_s - beyond % length

    def is_over(self, elapsed_s: float) -> bool:
        return not self.loops and abs(self.speed) * elapsed_s >= self._reach_s

    @property
    def _reach_s(self) -> float:
        """From the start to the end that is travelled to."""
        return self.stop_s - self.start_s if self.speed > 0 else self.start_s - self.first_s

    def samples(self, first: int, number: int, sample_rate: int, num_samples: int) -> NDArray[np.intp]:
        """Which samples are heard after `first` samples of playing; -1 where there is silence."""
        start, begin, stop = (round(at_s * sample_rate) for at_s in (self.start_s, self.first_s, self.stop_s))
        index = start + np.arange(first, first + number)
        if self.loops and stop > begin:
            index = np.where(index < stop, index, begin + (index - stop) % (stop - begin))
        return np.where((index < min(stop, num_samples)) & (index >= 0), index, -1)


def next_speed(speed: int, direction: int) -> int:
    """What a press of L (1) or J (-1) makes of a speed, 0 while paused: faster, or at 1 the other way."""
    if speed * direction <= 0:
        return direction
    return direction * SPEEDS[min(SPEEDS.index(abs(speed)) + 1, len(SPEEDS) - 1)]


@dataclass(frozen=True, eq=False)
class Levels:
    """The peaks of a sound, `LEVELS_PER_S` for each second and channel: (channels, slices), full scale is 1."""

    peaks: NDArray[np.float32]

    @classmethod
    def measured(cls, samples: NDArray[np.float32], sample_rate: int) -> "Levels":
        """Of (channels, samples)."""
        edges = np.arange(0, samples.shape[1], sample_rate / LEVELS_PER_S).astype(np.intp)
        if not len(edges):
            return cls(np.zeros((samples.shape[0], 0), np.float32))
        return cls(np.maximum.reduceat(np.abs(samples), edges, axis=1))

    def between(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """The highest peaks of left and right from one time to another; one channel is on both sides."""
        first = max(int(start_s * LEVELS_PER_S), 0)
        part = self.peaks[:, first : max(int(stop_s * LEVELS_PER_S), first) + 1]
        if not part.shape[1]:
            return 0.0, 0.0
        highest = part.max(axis=1)
        return float(highest[0]), float(highest[-1])


def decibels(level: float) -> float:
    """Relative to full scale, from `SILENCE_DB` up."""
    return max(20 * float(np.log10(level)), SILENCE_DB) if level > 0 else SILENCE_DB


@dataclass(frozen=True)
class Needle:
    """A meter's bar and its held peak: up at once, down slowly."""

    shown_db: float = SILENCE_DB
    held_db: float = SILENCE_DB
    held_for_s: float = 0.0

    def after(self, seconds: float, level_db: float) -> "Needle":
        """After this time, with this level now."""
        shown = max(level_db, self.shown_db - FALL_DB_PER_S * seconds, SILENCE_DB)
        is_new = shown >= self.held_db
        held_for_s = 0.0 if is_new else self.held_for_s + seconds
        if is_new or held_for_s > HOLD_S:
            return Needle(shown, shown)
        return Needle(shown, self.held_db, held_for_s)

    @property
    def is_at_rest(self) -> bool:
        return self.held_db <= SILENCE_DB
