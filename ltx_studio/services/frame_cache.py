"""Decoded frames within a budget: which to keep, and which to decode next. Pure; it does not know what a frame is."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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

    def get(self, frame: int) -> T | None:
        return self._frames.get(frame)

    def put(self, frame: int, picture: T, *, playhead: int) -> None:
        """Keep a frame; the one that is farthest from the playhead makes room for it. Behind counts double."""
        self._frames[frame] = picture
        if len(self._frames) > self.capacity:
            farthest = max(self._frames, key=lambda item: item - playhead if item > playhead else 2 * (playhead - item))
            del self._frames[farthest]

    def next_want(self, playhead: int) -> Want | None:
        """What to decode for a playhead here; None while at least a quarter of the capacity lies ready ahead."""
        first = playhead
        window = max(self.capacity * 3 // 4, 1) if self.capacity < self.num_frames else self.num_frames
        stop = min(playhead + window, self.num_frames)
        while first < stop and first in self._frames:
            first += 1
        if first >= stop or first - playhead > window // 3:
            return None
        return Want(first, stop)
