"""What is cut together: one frozen value with tracks of clips, markers and a marked range. No Qt, no files opened.

Places on the timeline are whole frames of its rate, half-open. Times in a medium are exact seconds (fractions), so a
clip of 23.976 fps keeps its place in a timeline of 25 fps however often it is cut. A clip is a slot: it holds takes, of
which one is shown, and all takes of a slot share the slot's own time (`Clip.source_start`, see `Take.offset`).

Not here: changing it (`timeline_edits`, whose functions return a new value), keeping it in a file (`project`), and
anything about pixels on the screen (`ltx_studio.ui.timeline_geometry`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from engine.errors import EngineError
from engine.request import GenerationRequest
from engine.types import FrameRange, FrameRate, Size

MAX_TAKE_RATING = 5


class EditRefused(EngineError):
    """An edit that cannot be made; the timeline stays as it was."""

    code = "edit"


class TrackKind(StrEnum):
    """What a lane holds."""

    PICTURE = "picture"
    SOUND = "sound"


class Edge(StrEnum):
    """The two ends of a clip, or of any range."""

    START = "start"
    END = "end"


@dataclass(frozen=True)
class Media:
    """A file, and the facts about it that cutting needs. `duration` is that of its picture, else of its sound."""

    path: Path
    duration: Fraction  # seconds
    frame_rate: FrameRate | None = None  # None: no picture
    size: Size | None = None
    has_sound: bool = True

    def __post_init__(self) -> None:
        if self.duration <= 0:
            raise ValueError(f"{self.path} lasts {self.duration} s; a medium needs some length")

    @property
    def has_picture(self) -> bool:
        return self.frame_rate is not None


@dataclass(frozen=True)
class Take:
    """One version of a slot. The request that made it is None for footage.

    `offset` is where the slot's time zero lies in this medium, in seconds: a take that was extended by two seconds at
    its start has 2, every other take has 0.
    """

    media: Media
    request: GenerationRequest | None = None
    seam_score: float | None = None  # how visible the seams are, as `engine.pipelines.composite` measures it
    rating: int = 0  # stars, 0 to 5; -1: rejected
    offset: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if not -1 <= self.rating <= MAX_TAKE_RATING:
            raise ValueError(f"a rating is -1 to {MAX_TAKE_RATING}, got {self.rating}")

    @property
    def source_start(self) -> Fraction:
        """The earliest slot time this take has something for."""
        return -self.offset

    @property
    def source_stop(self) -> Fraction:
        return self.media.duration - self.offset


@dataclass(frozen=True)
class Clip:
    """A stretch of a medium on a track: `length` frames of the timeline from `start`, showing the slot's time from
    `source_start` seconds on. Clips with the same `link` are picture and sound of one thing and are edited as one.
    """

    id: int  # of this clip alone, for as long as the timeline lives
    name: str
    start: int  # timeline frame
    length: int  # timeline frames, at least 1
    source_start: Fraction  # seconds
    takes: tuple[Take, ...]
    chosen: int = 0  # index of the take that is shown
    link: int | None = None
    gain_db: float = 0.0  # of the sound; no meaning for a picture

    def __post_init__(self) -> None:
        if self.length < 1 or self.start < 0:
            raise ValueError(f"clip {self.id} needs a start >= 0 and a length >= 1, got {self.start}, {self.length}")
        if not 0 <= self.chosen < len(self.takes):
            raise ValueError(f"clip {self.id} shows take {self.chosen} of {len(self.takes)}")

    @property
    def stop(self) -> int:
        """The first frame after it."""
        return self.start + self.length

    @property
    def span(self) -> FrameRange:
        return FrameRange(self.start, self.stop)

    @property
    def take(self) -> Take:
        """The one that is shown."""
        return self.takes[self.chosen]

    @property
    def media(self) -> Media:
        return self.take.media

    def source_stop(self, rate: FrameRate) -> Fraction:
        """Where it ends in the slot's time, in seconds."""
        return self.source_start + self.length / rate.value

    def media_time(self, frame: int, rate: FrameRate) -> Fraction:
        """Where in the shown take's file, in seconds, a frame of the timeline lies; also beyond the clip's ends."""
        return self.source_start + (frame - self.start) / rate.value + self.take.offset

    def media_frame(self, frame: int, rate: FrameRate) -> int:
        """Which frame of the shown take's file is seen at a frame of the timeline: the last that has begun by then."""
        media_rate = self.media.frame_rate
        assert media_rate is not None, self.media.path
        last = max(int(self.media.duration * media_rate.value) - 1, 0)
        return min(max(int(self.media_time(frame, rate) * media_rate.value), 0), last)


@dataclass(frozen=True)
class Track:
    """A lane. Its clips are in the order of time and never overlap."""

    id: int
    kind: TrackKind
    name: str  # V1, A1
    clips: tuple[Clip, ...] = ()
    is_muted: bool = False  # sound is not heard; of a picture track: it is not shown
    is_locked: bool = False  # no edit changes it

    def __post_init__(self) -> None:
        for before, after in pairwise(self.clips):
            if after.start < before.stop:
                raise ValueError(f"clips {before.id} and {after.id} overlap on track {self.name}")

    @property
    def stop(self) -> int:
        """The first frame after its last clip."""
        return self.clips[-1].stop if self.clips else 0

    def clip_at(self, frame: int) -> Clip | None:
        return next((clip for clip in self.clips if clip.start <= frame < clip.stop), None)


@dataclass(frozen=True)
class Marker:
    """A flag at a frame of the timeline."""

    id: int
    frame: int
    name: str = ""

    def __post_init__(self) -> None:
        if self.frame < 0:
            raise ValueError(f"a marker cannot be before the beginning, at {self.frame}")


@dataclass(frozen=True)
class Timeline:
    """A sequence. Tracks are in the order of the screen, from the top: picture tracks, then sound tracks.

    `mark_in` and `mark_out` are the marked range, half-open, each None where it is not set. Ids of clips, tracks,
    markers and links come from one counter, `next_id`.
    """

    rate: FrameRate
    tracks: tuple[Track, ...] = ()
    markers: tuple[Marker, ...] = ()  # by frame
    mark_in: int | None = None
    mark_out: int | None = None
    next_id: int = 1

    def __post_init__(self) -> None:
        if self.mark_in is not None and self.mark_out is not None and self.mark_in >= self.mark_out:
            raise ValueError(f"the marked range is empty: {self.mark_in}..{self.mark_out}")
        ids = [clip.id for clip in self.clips()] + [track.id for track in self.tracks]
        ids += [marker.id for marker in self.markers]
        if len(set(ids)) != len(ids):
            raise ValueError("two things of the timeline have the same id")
        if max(ids, default=0) >= self.next_id:
            raise ValueError(f"the next id, {self.next_id}, is taken")

    @cached_property
    def length(self) -> int:
        """Frames up to the end of the last clip."""
        return max((track.stop for track in self.tracks), default=0)

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.length / self.rate.value

    @property
    def marked(self) -> FrameRange | None:
        """The marked range, up to the timeline's ends where only one of its marks is set; None without a mark."""
        if self.mark_in is None and self.mark_out is None:
            return None
        start = self.mark_in or 0
        stop = self.length if self.mark_out is None else self.mark_out
        return FrameRange(start, max(start, stop))

    def clips(self) -> Iterator[Clip]:
        """All of them, track by track."""
        for track in self.tracks:
            yield from track.clips

    def find(self, clip_id: int) -> Clip:
        """The clip with this id. Raises EditRefused when it is gone."""
        return self.place_of(clip_id)[1]

    def place_of(self, clip_id: int) -> tuple[Track, Clip]:
        """A clip and its track. Raises EditRefused when it is gone."""
        for track in self.tracks:
            for clip in track.clips:
                if clip.id == clip_id:
                    return track, clip
        raise EditRefused("This clip is no longer on the timeline.", remedy="Choose another one.")

    def track(self, track_id: int) -> Track:
        for track in self.tracks:
            if track.id == track_id:
                return track
        raise EditRefused("This track is no longer there.", remedy="Choose another one.")

    def tracks_of(self, kind: TrackKind) -> tuple[Track, ...]:
        return tuple(track for track in self.tracks if track.kind is kind)

    def linked(self, clip_id: int) -> tuple[Clip, ...]:
        """The clip and those that are edited with it, track by track."""
        clip = self.find(clip_id)
        if clip.link is None:
            return (clip,)
        return tuple(other for other in self.clips() if other.link == clip.link)

    def shown_at(self, frame: int) -> Clip | None:
        """The picture that is seen there: the topmost picture track that is not muted and has a clip there wins."""
        for track in self.tracks_of(TrackKind.PICTURE):
            clip = None if track.is_muted else track.clip_at(frame)
            if clip is not None:
                return clip
        return None

    def heard_at(self, frame: int) -> tuple[Clip, ...]:
        """The sounds that are heard there, of every sound track that is not muted."""
        found = (track.clip_at(frame) for track in self.tracks_of(TrackKind.SOUND) if not track.is_muted)
        return tuple(clip for clip in found if clip is not None)


def empty_timeline(rate: FrameRate) -> Timeline:
    """One picture and one sound track, both empty."""
    tracks = (Track(1, TrackKind.PICTURE, "V1"), Track(2, TrackKind.SOUND, "A1"))
    return Timeline(rate, tracks, next_id=3)
