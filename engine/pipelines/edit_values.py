"""An edit as values: what the model works on, what becomes of every stretch of the clip, and the drawing of it.

Frames are counted as in the source, so they may be negative (before its start) or lie beyond its end. Torch-free. Not
here: deciding any of it (`engine.pipelines.editing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from engine.media.patch import BLEND_FRAMES, FADE_S
from engine.media.source import SourceClip
from engine.types import FRAMES_PER_LATENT, FrameRange, Size

CLOCK_S = 2e-3  # containers round times to milliseconds


class Span(NamedTuple):
    """Frames from `start` up to, not including, `stop`; both may lie outside the clip."""

    start: int
    stop: int

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


class TimeSpan(NamedTuple):
    """Seconds from the source's first picture; may lie outside the clip."""

    start_s: float
    stop_s: float


class ZoneKind(StrEnum):
    """What becomes of a stretch of a clip."""

    KEPT = "kept"  # identical to the source
    BLENDED = "blended"  # old and new mixed
    NEW = "new"


@dataclass(frozen=True)
class Zone:
    """A stretch of time with one fate, in seconds of the source: negative before its start."""

    kind: ZoneKind
    start_s: float
    end_s: float


@dataclass(frozen=True)
class EditWindow:
    """What an edit does to the clip, for drawing: zones of each stream in order, and the latent grid they lie on."""

    picture: tuple[Zone, ...]
    sound: tuple[Zone, ...]  # empty: the result has no sound
    grid_s: tuple[float, ...]  # edges of the latent groups that the picture is made in

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that scripts rely on."""

        def zones(items: tuple[Zone, ...]) -> list[dict[str, Any]]:
            return [
                {"kind": item.kind.value, "start_s": round(item.start_s, 6), "end_s": round(item.end_s, 6)}
                for item in items
            ]

        return {
            "picture": zones(self.picture),
            "sound": zones(self.sound),
            "grid_s": [round(edge, 6) for edge in self.grid_s],
        }


@dataclass(frozen=True)
class WorkWindow:
    """What the model works on at once."""

    start: int  # the first frame, in the source's numbers
    frames: int  # 8k+1; those beyond what there is repeat the last one
    picture: Span | None  # what is made, whole latent groups; None: the picture is given
    sound: TimeSpan | None  # what is made, in seconds of this window; None: the sound is given, or there is none
    has_sound: bool

    @property
    def span(self) -> Span:
        return Span(self.start, self.start + self.frames)


@dataclass(frozen=True)
class PictureFit:
    """How the clip's picture lies in the one the model works on: scaled, in the upper left, its edge repeated."""

    content: Size  # of the clip's picture in the work size
    work: Size


@dataclass(frozen=True)
class EditPlan:
    """An edit, decided."""

    source: SourceClip
    fit: PictureFit
    windows: tuple[WorkWindow, ...]
    picture: Span | None  # frames that change, mixed with the old ones at their edges
    sound: TimeSpan | None  # sound that changes, likewise
    replaces_sound: bool  # the whole track is new
    result: Span  # the frames of the result
    window: EditWindow

    @property
    def num_frames(self) -> int:
        """Of the result."""
        return self.result.num_frames

    @property
    def seams(self) -> tuple[FrameRange, ...]:
        """Frames of the result where new pictures meet old ones, as `engine.media.seams.measure_seams` takes them."""
        if self.picture is None:
            return ()
        blend, first = min(BLEND_FRAMES, self.picture.num_frames // 2), self.result.start
        seams: list[FrameRange] = []
        if self.picture.start > max(first, 0):
            start = self.picture.start - first
            seams.append(FrameRange(start, start + blend + 1))
        if self.picture.stop < min(self.result.stop, self.source.num_frames):
            stop = self.picture.stop - first
            seams.append(FrameRange(stop - blend, stop + 1))
        return tuple(seams)

    @property
    def duration_s(self) -> float:
        """Of the result."""
        end, start = self.source.frame_start(self.result.stop), self.source.frame_start(self.result.start)
        return float(end - start)


def first_frame_of(group: int) -> int:
    """Where in a window a latent group begins."""
    return 0 if group == 0 else (group - 1) * FRAMES_PER_LATENT + 1


def seconds_of(span: Span, source: SourceClip) -> TimeSpan:
    return TimeSpan(float(source.frame_start(span.start)), float(source.frame_start(span.stop)))


def finished_plan(
    source: SourceClip,
    fit: PictureFit,
    windows: tuple[WorkWindow, ...],
    *,
    picture: Span | None,
    sound: TimeSpan | None,
    result: Span,
    replaces_sound: bool = False,
) -> EditPlan:
    whole = seconds_of(result, source)
    picture_zones = _picture_zones(source, picture, result)
    sound_zones: tuple[Zone, ...] = ()
    if sound is not None or source.sound is not None:
        fades = (0.0, 0.0)
        if sound is not None and not replaces_sound:
            fades = (
                FADE_S if sound.start_s > max(whole.start_s, 0.0) + CLOCK_S else 0.0,
                FADE_S if sound.stop_s < min(whole.stop_s, source.duration_s) - CLOCK_S else 0.0,
            )
        sound_zones = _zones(whole, sound, fades)
    edges: list[float] = []
    for window in windows:
        if window.picture is not None:
            groups = range((window.frames - 1) // FRAMES_PER_LATENT + 2)
            edges += [float(source.frame_start(window.start + first_frame_of(group))) for group in groups]
    shown = EditWindow(picture_zones, sound_zones, tuple(sorted(set(edges))))
    return EditPlan(source, fit, windows, picture, sound, replaces_sound, result, shown)


def _picture_zones(source: SourceClip, picture: Span | None, result: Span) -> tuple[Zone, ...]:
    whole = seconds_of(result, source)
    if picture is None:
        return _zones(whole, None, (0.0, 0.0))
    before, after = picture.start > max(result.start, 0), picture.stop < min(result.stop, source.num_frames)
    blend = min(BLEND_FRAMES, picture.num_frames // 2)
    changed = seconds_of(picture, source)
    inside = seconds_of(Span(picture.start + (blend if before else 0), picture.stop - (blend if after else 0)), source)
    return _zones(whole, changed, (inside.start_s - changed.start_s, changed.stop_s - inside.stop_s))


def _zones(whole: TimeSpan, changed: TimeSpan | None, fades_s: tuple[float, float]) -> tuple[Zone, ...]:
    """Kept, blended, new, blended, kept; those without a length are left out."""
    if changed is None:
        return (Zone(ZoneKind.KEPT, *whole),)
    changed = TimeSpan(max(changed.start_s, whole.start_s), min(changed.stop_s, whole.stop_s))
    edges: Sequence[tuple[ZoneKind, float, float]] = (
        (ZoneKind.KEPT, whole.start_s, changed.start_s),
        (ZoneKind.BLENDED, changed.start_s, changed.start_s + fades_s[0]),
        (ZoneKind.NEW, changed.start_s + fades_s[0], changed.stop_s - fades_s[1]),
        (ZoneKind.BLENDED, changed.stop_s - fades_s[1], changed.stop_s),
        (ZoneKind.KEPT, changed.stop_s, whole.stop_s),
    )
    return tuple(Zone(kind, start_s, end_s) for kind, start_s, end_s in edges if end_s - start_s > CLOCK_S)
