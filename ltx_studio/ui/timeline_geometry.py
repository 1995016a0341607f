"""Where things are on the timeline: frames and pixels, lanes, what the mouse hits, what it snaps to. No Qt.

Frames are those of the timeline; a frame covers the pixels from its own left edge to that of the next one. Everything
is pure, so that painting (`timeline_painting`) and dragging (`timeline_drag`) cannot disagree.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from fractions import Fraction
from math import ceil, floor

from engine.types import FRAMES_PER_LATENT, FrameRange, FrameRate
from ltx_studio.domain.timecode import TimeUnit, frames_per_second
from ltx_studio.domain.timeline import Clip, Edge, Timeline, TrackKind

MAX_PIXELS_PER_FRAME = 48.0  # a frame is as wide as its picture is high
MIN_PIXELS_PER_FRAME = 1 / 1000
LEAST_VIEW_S = 1  # an empty or tiny timeline still shows a second when it is fitted
EDGE_PIXELS = 6  # on either side of an edge it can be grabbed
SNAP_PIXELS = 8
RULER_PIXELS = 28
PICTURE_LANE_PIXELS, SOUND_LANE_PIXELS, LANE_GAP_PIXELS = 56, 44, 4
LOW_PICTURE_LANE_PIXELS, LOW_SOUND_LANE_PIXELS = 40, 28  # where there is little room; the buttons before a lane are 28
SEPARATED_FROM_PIXELS = 4  # clips as wide as this leave a line to the one after them
_LABEL_PIXELS = 84  # between two labels of the ruler at least
_TICK_PIXELS = 7
_GROUPS_FROM_PIXELS = 24  # latent groups narrower than this would catch everything


@dataclass(frozen=True)
class View:
    """What part of the timeline is seen, and how large."""

    first: float = 0.0  # frame at the left edge, fractions included
    pixels_per_frame: float = 4.0
    width: int = 1  # pixels

    def x_of(self, frame: float) -> float:
        """The left edge of a frame."""
        return (frame - self.first) * self.pixels_per_frame

    def frame_at(self, x: float) -> int:
        """The frame that covers this pixel, which may be negative."""
        return floor(self.position_at(x))

    def boundary_at(self, x: float) -> int:
        """The frame whose left edge is nearest: where an edge that is dragged here lands."""
        return floor(self.position_at(x) + 0.5)

    def position_at(self, x: float) -> float:
        # So that the left edge of a frame is in that frame, whichever way its pixel was reckoned.
        return round(self.first + x / self.pixels_per_frame, 6)

    @property
    def last(self) -> float:
        """At the right edge."""
        return self.first + self.width / self.pixels_per_frame

    @property
    def num_frames(self) -> float:
        """That are seen at once."""
        return self.width / self.pixels_per_frame

    def resized(self, width: int) -> "View":
        return replace(self, width=max(width, 1))

    def zoomed(self, factor: float, x: float) -> "View":
        """Larger or smaller, with what is at this pixel staying there; it ends at the timeline's beginning."""
        scale = min(max(self.pixels_per_frame * factor, MIN_PIXELS_PER_FRAME), MAX_PIXELS_PER_FRAME)
        return replace(self, pixels_per_frame=scale, first=max(self.position_at(x) - x / scale, 0.0))

    def scrolled(self, frames: float, length: int) -> "View":
        """Moved, from the beginning to where a last bit of a timeline of this length is still seen."""
        return replace(self, first=min(max(self.first + frames, 0.0), self.furthest(length)))

    def furthest(self, length: int) -> float:
        """The largest `first`: the end of the timeline may come to the middle."""
        return max(length - self.num_frames / 2, 0.0)

    def fitted(self, length: int, rate: FrameRate) -> "View":
        """All of a timeline of this length, with a little room at its end."""
        frames = max(length, LEAST_VIEW_S * float(rate.value))
        scale = min(max(self.width / (frames * 1.04), MIN_PIXELS_PER_FRAME), MAX_PIXELS_PER_FRAME)
        return replace(self, first=0.0, pixels_per_frame=scale)

    def showing(self, frame: int, *, margin: float = 0.1) -> "View":
        """The same where the frame is seen; else moved so that it is near the side it went out at."""
        if self.first <= frame <= self.last - 1 / self.pixels_per_frame:
            return self
        inset = self.num_frames * margin
        is_just_before = self.first - self.num_frames < frame < self.first
        first = frame - self.num_frames + inset if is_just_before else frame - inset
        return replace(self, first=max(first, 0.0))


# --- lanes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """Where a track is, in pixels from the top of the lanes."""

    track_id: int
    kind: TrackKind
    top: int
    height: int

    @property
    def bottom(self) -> int:
        return self.top + self.height


def lanes_of(timeline: Timeline, *, is_low: bool = False) -> tuple[Lane, ...]:
    """One below the other, in the order of the tracks; `is_low` where there is little room."""
    heights = {TrackKind.PICTURE: PICTURE_LANE_PIXELS, TrackKind.SOUND: SOUND_LANE_PIXELS}
    if is_low:
        heights = {TrackKind.PICTURE: LOW_PICTURE_LANE_PIXELS, TrackKind.SOUND: LOW_SOUND_LANE_PIXELS}
    lanes: list[Lane] = []
    top = LANE_GAP_PIXELS
    for track in timeline.tracks:
        lanes.append(Lane(track.id, track.kind, top, heights[track.kind]))
        top = lanes[-1].bottom + LANE_GAP_PIXELS
    return tuple(lanes)


def lanes_height(lanes: Sequence[Lane]) -> int:
    return lanes[-1].bottom + LANE_GAP_PIXELS if lanes else LANE_GAP_PIXELS


def clips_between(clips: Sequence[Clip], first: float, last: float) -> Iterator[Clip]:
    """Those of one track that are seen between two positions."""
    start = bisect_left(clips, first, key=lambda clip: clip.stop)
    for clip in clips[start:]:
        if clip.start > last:
            return
        yield clip


# --- what the mouse hits ----------------------------------------------------------------------------------------------


class Target(StrEnum):
    """What is under the mouse."""

    EDGE = "edge"  # of a clip
    CLIP = "clip"
    GAP = "gap"  # between two clips of a track
    LANE = "lane"  # the empty rest of one
    IN = "in"
    OUT = "out"
    MARKER = "marker"
    RULER = "ruler"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Hit:
    """What is there, and where that is."""

    target: Target
    frame: int  # that covers the pixel
    clip_id: int | None = None
    edge: Edge | None = None
    track_id: int | None = None
    marker_id: int | None = None


def hit_lanes(timeline: Timeline, view: View, lanes: Sequence[Lane], x: float, y: float) -> Hit:
    """In the lanes: an edge before the clip it belongs to, of two edges that touch the one on the mouse's side."""
    frame = view.frame_at(x)
    lane = next((lane for lane in lanes if lane.top <= y < lane.bottom), None)
    if lane is None:
        return Hit(Target.NOTHING, frame)
    clips = timeline.track(lane.track_id).clips
    near = EDGE_PIXELS / view.pixels_per_frame
    position = view.position_at(x)
    best: tuple[bool, float, Clip, Edge] | None = None
    over: Clip | None = None
    for clip in clips_between(clips, position - near, position + near):
        if clip.start <= position < clip.stop:
            over = clip
        # In a narrow clip a third of it is left between the edges, to grab the clip itself.
        reach = min(near, (clip.stop - clip.start) / 3)
        for edge, place in ((Edge.START, clip.start), (Edge.END, clip.stop)):
            is_inside = clip.start <= position < clip.stop
            distance = abs(position - place)
            if distance <= (reach if is_inside else near):
                found = (not is_inside, distance, clip, edge)
                if best is None or found[:2] < best[:2]:
                    best = found
    if best is not None and (over is None or best[2] is over):
        return Hit(Target.EDGE, frame, best[2].id, best[3], lane.track_id)
    if over is not None:
        return Hit(Target.CLIP, frame, over.id, None, lane.track_id)
    is_gap = bool(clips) and frame < clips[-1].stop and frame >= 0
    return Hit(Target.GAP if is_gap else Target.LANE, frame, track_id=lane.track_id)


def hit_ruler(timeline: Timeline, view: View, x: float) -> Hit:
    """In the ruler: a marker before the ends of the marked range, and those before the ruler itself."""
    frame = max(view.frame_at(x), 0)
    near = EDGE_PIXELS / view.pixels_per_frame
    position = view.position_at(x)
    marker = min(timeline.markers, key=lambda item: abs(item.frame - position), default=None)
    if marker is not None and abs(marker.frame - position) <= near:
        return Hit(Target.MARKER, frame, marker_id=marker.id)
    marks = [(Target.IN, timeline.mark_in), (Target.OUT, timeline.mark_out)]
    places = [(abs(place - position), target) for target, place in marks if place is not None]
    if places and min(places)[0] <= near:
        return Hit(min(places)[1], frame)
    return Hit(Target.RULER, frame)


# --- snapping ---------------------------------------------------------------------------------------------------------


class SnapKind(IntEnum):
    """What something snaps to; of two at the same distance the one with the lower number wins."""

    PLAYHEAD = 0
    EDGE = 1
    MARK = 2
    MARKER = 3
    GROUP = 4  # the latent groups in which the model makes frames


@dataclass(frozen=True)
class SnapPoint:
    """A frame whose left edge attracts."""

    frame: int
    kind: SnapKind


def snap_points(
    timeline: Timeline,
    *,
    playhead: int | None = None,
    without: Iterable[int] = (),
    groups_in: FrameRange | None = None,
) -> tuple[SnapPoint, ...]:
    """Ascending. `without` are clips that are being dragged; latent groups are those of the picture in `groups_in`."""
    kinds: dict[int, SnapKind] = {}

    def add(frame: int, kind: SnapKind) -> None:
        kinds[frame] = min(kinds.get(frame, kind), kind)

    ignored = frozenset(without)
    if playhead is not None:
        add(playhead, SnapKind.PLAYHEAD)
    add(0, SnapKind.EDGE)
    for clip in timeline.clips():
        if clip.id not in ignored:
            add(clip.start, SnapKind.EDGE)
            add(clip.stop, SnapKind.EDGE)
    for mark in (timeline.mark_in, timeline.mark_out):
        if mark is not None:
            add(mark, SnapKind.MARK)
    for marker in timeline.markers:
        add(marker.frame, SnapKind.MARKER)
    if groups_in is not None:
        for track in timeline.tracks_of(TrackKind.PICTURE):
            for clip in clips_between(track.clips, groups_in.start, groups_in.stop):
                for frame in group_starts(clip, timeline.rate, groups_in):
                    add(frame, SnapKind.GROUP)
    return tuple(SnapPoint(frame, kinds[frame]) for frame in sorted(kinds))


def group_starts(clip: Clip, rate: FrameRate, span: FrameRange | None = None) -> Iterator[int]:
    """Where the latent groups of a clip's medium begin: its frames 0, 1, 9, 17..., each where it is first seen.

    The model makes the first frame alone and then eight at a time, so what is made again begins and ends there.
    """
    media_rate = clip.media.frame_rate
    if media_rate is None:
        return
    span = clip.span if span is None else FrameRange(max(span.start, clip.start), max(min(span.stop, clip.stop), 0))
    first = int(clip.media_time(span.start, rate) * media_rate.value)
    group = max((first - 1) // FRAMES_PER_LATENT, -1)
    while True:
        media_frame = 0 if group < 0 else group * FRAMES_PER_LATENT + 1
        seconds = media_frame / media_rate.value - clip.take.offset - clip.source_start
        frame = clip.start + ceil(seconds * rate.value)
        if frame >= min(span.stop + 1, clip.stop):
            return
        if frame >= span.start:
            yield frame
        group += 1


def wants_groups(view: View, rate: FrameRate, media_rate: FrameRate | None = None) -> bool:
    """Whether latent groups are far enough apart to snap to one on purpose."""
    per_frame = Fraction(1) if media_rate is None else rate.value / media_rate.value
    return float(FRAMES_PER_LATENT * per_frame) * view.pixels_per_frame >= _GROUPS_FROM_PIXELS


def snapped(points: Sequence[SnapPoint], view: View, position: float) -> SnapPoint | None:
    """The point that attracts this position, None where none is near."""
    reach = SNAP_PIXELS / view.pixels_per_frame
    start = bisect_left(points, position - reach, key=lambda point: point.frame)
    near: list[tuple[float, SnapKind, SnapPoint]] = []
    for point in points[start:]:
        if point.frame > position + reach:
            break
        # A group yields to anything else within reach: it is the weakest wish.
        penalty = reach if point.kind is SnapKind.GROUP else 0.0
        near.append((abs(point.frame - position) + penalty, point.kind, point))
    return min(near, key=lambda item: item[:2])[2] if near else None


def snapped_move(points: Sequence[SnapPoint], view: View, edges: Sequence[int], frames: float) -> SnapPoint | None:
    """Of several edges that move together, the nearest attraction; `snap_shift` says what the move becomes."""
    found = [
        (abs(point.frame - edge - frames), point) for edge in edges if (point := snapped(points, view, edge + frames))
    ]
    return min(found, key=lambda item: (item[0], item[1].kind))[1] if found else None


def snap_shift(point: SnapPoint, edges: Sequence[int], frames: float) -> int:
    """How far the edges move so that the one nearest to the point is on it."""
    edge = min(edges, key=lambda place: abs(point.frame - place - frames))
    return point.frame - edge


# --- the ruler --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """A line of the ruler. `frame` is None where a whole second falls between two frames."""

    position: float  # frames
    is_labelled: bool
    frame: int | None


@dataclass(frozen=True)
class Scale:
    """How far the lines of the ruler are apart, in frames."""

    label_step: Fraction
    tick_step: Fraction


def scale_of(view: View, rate: FrameRate, unit: TimeUnit) -> Scale:
    """The finest one whose labels do not touch."""
    steps = _steps(rate, unit)
    label = next((step for step in steps if float(step) * view.pixels_per_frame >= _LABEL_PIXELS), steps[-1])
    ticks = [step for step in steps if step <= label and (label / step).denominator == 1]
    tick = next((step for step in ticks if float(step) * view.pixels_per_frame >= _TICK_PIXELS), label)
    return Scale(label, tick)


def ticks_between(scale: Scale, first: float, last: float) -> Iterator[Tick]:
    """From the one at or before `first` on, so that a label that is half seen is drawn too."""
    per_label = int(scale.label_step / scale.tick_step)
    numerator, denominator = scale.tick_step.numerator, scale.tick_step.denominator
    index = max(floor(first / float(scale.label_step)), 0) * per_label
    while index * numerator <= last * denominator:
        place = index * numerator
        is_frame = place % denominator == 0
        yield Tick(place / denominator, index % per_label == 0, place // denominator if is_frame else None)
        index += 1


def _steps(rate: FrameRate, unit: TimeUnit) -> list[Fraction]:
    """What a ruler of this unit counts in, ascending, in frames."""
    if unit is TimeUnit.FRAMES:
        return [Fraction(10**power * digit) for power in range(8) for digit in (1, 2, 5)]
    # Timecode counts whole frames to the second; a ruler of seconds has its lines at the true seconds.
    second = Fraction(frames_per_second(rate)) if unit is TimeUnit.TIMECODE else rate.value
    longer = [second * number for number in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 36000)]
    if unit is TimeUnit.SECONDS:
        return [second / part for part in (100, 50, 20, 10, 5, 2)] + longer
    nominal = int(second)
    return [Fraction(frames) for frames in range(1, nominal) if nominal % frames == 0] + longer
