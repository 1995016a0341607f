"""Decoded frames within a budget: which to keep, and which to decode next. Pure; it does not know what a frame is.

Two layers. `FrameCache` holds frames as they are, around the playhead; short clips fit whole. A clip that does not fit
has `Proxies` as well, one small picture for every frame, so that wherever the mouse goes there is something to show.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

BYTES_PER_PIXEL = 4
_SMALLEST_PROXY_WIDTH = 320  # below this it is no help: a long clip is decoded where it is looked at
_LARGEST_PROXY_SCALE = 0.5


@dataclass(frozen=True)
class Want:
    """Frames to decode: `start` up to, not including, `stop`."""

    start: int
    stop: int


class FrameCache(Generic[T]):
    """At most `capacity` frames of a clip, those around the playhead."""

    def __init__(self, num_frames: int, capacity: int) -> None:
        self.num_frames = num_frames
        self.capacity = min(max(capacity, 2), num_frames)
        self._frames: dict[int, T] = {}

    @property
    def holds_all(self) -> bool:
        """Whether the whole clip fits."""
        return self.capacity == self.num_frames

    def get(self, frame: int) -> T | None:
        return self._frames.get(frame)

    def put(self, frame: int, picture: T, *, playhead: int) -> None:
        """Keep a frame; the one that is farthest from the playhead makes room for it. Behind counts double."""
        self._frames[frame] = picture
        if len(self._frames) > self.capacity:
            farthest = max(self._frames, key=lambda item: item - playhead if item > playhead else 2 * (playhead - item))
            del self._frames[farthest]

    def next_want(self, playhead: int) -> Want | None:
        """What to decode for a playhead here; None while at least a quarter of the capacity lies ready ahead.

        A clip that fits is wanted whole: what is ahead first, then what is behind.
        """
        if self.holds_all:
            return next_gap(self._frames, self.num_frames, playhead)
        first = playhead
        window = max(self.capacity * 3 // 4, 1)
        stop = min(playhead + window, self.num_frames)
        while first < stop and first in self._frames:
            first += 1
        if first >= stop or first - playhead > window // 3:
            return None
        return Want(first, stop)

    def want_behind(self, playhead: int, length: int) -> Want | None:
        """What to decode to go backwards from here: up to `length` frames, decoded forwards, that end at the playhead;
        None while half of that lies ready."""
        length = min(length, self.capacity * 3 // 4)
        last = playhead
        while last >= 0 and last in self._frames:
            last -= 1
        if last < 0 or playhead - last > length // 2:
            return None
        start = max(last - length + 1, 0)
        while start in self._frames:
            start += 1
        return Want(start, last + 1)


class Proxies(Generic[T]):
    """A small picture for every frame, made whenever a frame is decoded anyway, and where none was, in between."""

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self._pictures: dict[int, T] = {}

    def get(self, frame: int) -> T | None:
        return self._pictures.get(frame)

    def put(self, frame: int, picture: T) -> None:
        self._pictures[frame] = picture

    def next_gap(self, playhead: int) -> Want | None:
        return next_gap(self._pictures, self.num_frames, playhead)


def next_gap(have: dict[int, T], num_frames: int, playhead: int) -> Want | None:
    """The frames that are missing next: from the playhead on, then from the beginning; None when none is."""
    if len(have) >= num_frames:
        return None
    for first, end in ((playhead, num_frames), (0, playhead)):
        start = next((frame for frame in range(first, end) if frame not in have), None)
        if start is not None:
            return Want(start, next((frame for frame in range(start, end) if frame in have), end))
    return None


def proxy_size(width: int, height: int, num_frames: int, budget_bytes: int) -> tuple[int, int] | None:
    """Width and height at which every frame fits into the budget, at most half the clip's; None where that is too
    little to be of use."""
    scale = min((budget_bytes / (num_frames * width * height * BYTES_PER_PIXEL)) ** 0.5, _LARGEST_PROXY_SCALE)
    if width * scale < min(_SMALLEST_PROXY_WIDTH, width * _LARGEST_PROXY_SCALE):
        return None
    return max(int(width * scale), 1), max(int(height * scale), 1)
