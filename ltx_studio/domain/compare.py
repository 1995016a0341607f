"""Comparing takes, without Qt: where they lie, where the wipe's line is, what differs in how they were made, votes.

A *take* is a clip that is compared; a *side* is a place on the screen, counted from 0. They are the same but in a
blind comparison, which shuffles which take is behind which side.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

from engine.types import FrameRate
from ltx_studio.domain.framing import Rect

MIN_TAKES, MAX_TAKES = 2, 4
GAINS = (1, 4, 16)  # of the difference: small ones are not seen otherwise
GRIP = 8.0  # pixels on both sides of the wipe's line at which it can be taken
_NOT_COMPARED = frozenset({"schema"})


class Mode(StrEnum):
    """How takes are looked at."""

    SIDES = "sides"  # all of them, side by side
    WIPE = "wipe"  # two in one place, on both sides of a line
    DIFFERENCE = "difference"  # how far two are apart, as brightness
    ONION = "onion"  # one through the other
    SINGLE = "single"  # one at a time in the same place

    @property
    def shows_pair(self) -> bool:
        return self in (Mode.WIPE, Mode.DIFFERENCE, Mode.ONION)


class Lock(StrEnum):
    """What stays together when takes run at several rates."""

    FRAMES = "frames"
    TIME = "time"


@dataclass(frozen=True)
class Take:
    """A clip to compare. `request` is what made it in its JSON form, None where the file does not say."""

    path: Path
    title: str
    request: Mapping[str, Any] | None = None
    entry_id: int | None = None  # in the library


def frame_of(frame: int, rate: FrameRate, other_rate: FrameRate, other_frames: int, lock: Lock) -> int:
    """The frame of another take that belongs to this one's; its last one when it is shorter."""
    found = frame if lock is Lock.FRAMES or rate == other_rate else math.floor(frame * other_rate.value / rate.value)
    return min(max(found, 0), other_frames - 1)


# --- where they lie ---------------------------------------------------------------------------------------------------


def panes(number: int, view: Rect, aspect: float, gap: float) -> tuple[Rect, ...]:
    """Equal places for so many pictures of this shape (width over height), in rows, so that they come out largest."""
    assert number > 0 and aspect > 0
    best = max(range(1, number + 1), key=lambda columns: _picture_width(number, columns, view, aspect, gap))
    rows = -(-number // best)
    width = max((view.width - gap * (best - 1)) / best, 0.0)
    height = max((view.height - gap * (rows - 1)) / rows, 0.0)
    found: list[Rect] = []
    for index in range(number):
        row, column = divmod(index, best)
        in_row = min(best, number - row * best)
        indent = (best - in_row) * (width + gap) / 2  # a row with a gap stands in the middle
        found.append(Rect(view.x + indent + column * (width + gap), view.y + row * (height + gap), width, height))
    return tuple(found)


def _picture_width(number: int, columns: int, view: Rect, aspect: float, gap: float) -> float:
    rows = -(-number // columns)
    width = (view.width - gap * (columns - 1)) / columns
    height = (view.height - gap * (rows - 1)) / rows
    return min(width, height * aspect)


def wipe_parts(view: Rect, position: float) -> tuple[Rect, Rect]:
    """The view on the left and on the right of the line."""
    left = view.width * min(max(position, 0.0), 1.0)
    return (
        Rect(view.x, view.y, left, view.height),
        Rect(view.x + left, view.y, view.width - left, view.height),
    )


def wipe_position(view: Rect, x: float) -> float:
    """Where the line is when it is dragged here, 0 to 1."""
    return min(max((x - view.x) / view.width, 0.0), 1.0) if view.width > 0 else 0.0


def is_on_wipe(view: Rect, position: float, x: float) -> bool:
    """Whether the line is taken by a press here."""
    return abs(x - view.x - view.width * position) <= GRIP


# --- what differs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One setting, and what it is in each take; None where it was left at its default, or is not known."""

    field: str  # dotted, `edit.start_s`
    values: tuple[object, ...]


def differences(requests: Sequence[Mapping[str, Any] | None]) -> tuple[Difference, ...]:
    """Settings that are not the same in all takes that say how they were made, in the requests' own order."""
    flat = [None if request is None else _flattened(request) for request in requests]
    known = [values for values in flat if values is not None]
    fields = dict.fromkeys(field for values in known for field in values)
    found: list[Difference] = []
    for field in fields:
        values = [each.get(field) for each in known]
        if any(value != values[0] for value in values):
            found.append(Difference(field, tuple(None if each is None else each.get(field) for each in flat)))
    return tuple(found)


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if not prefix and name in _NOT_COMPARED:
            continue
        if isinstance(value, Mapping):
            flat.update(_flattened(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


# --- blind ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ballot:
    """A blind comparison: which take is behind each side now, and how many votes each take has."""

    order: tuple[int, ...]
    votes: tuple[int, ...]

    @classmethod
    def opened(cls, num_takes: int, rng: Random) -> "Ballot":
        return cls(_shuffled(num_takes, rng), (0,) * num_takes)

    @property
    def num_votes(self) -> int:
        return sum(self.votes)

    @property
    def leaders(self) -> tuple[int, ...]:
        """The takes with the most votes: several when they are even, none before the first vote."""
        most = max(self.votes, default=0)
        return tuple(take for take, votes in enumerate(self.votes) if votes == most) if most else ()

    def voted(self, side: int, rng: Random) -> "Ballot":
        """A vote for the take behind a side; then the sides are shuffled again."""
        take = self.order[side]
        votes = tuple(number + (index == take) for index, number in enumerate(self.votes))
        return replace(self, order=_shuffled(len(self.votes), rng), votes=votes)


def _shuffled(number: int, rng: Random) -> tuple[int, ...]:
    order = list(range(number))
    rng.shuffle(order)
    return tuple(order)
