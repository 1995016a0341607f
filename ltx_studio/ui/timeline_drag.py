"""What a drag on the timeline is about to do: from where it began and where the mouse is to an edit. No Qt.

A drag is made when the mouse is pressed, asked again for each move, and its last answer is made an edit when the mouse
is released; until then nothing is changed. It keeps to what the edit allows, so that what is refused is rare: a trim
stops where its medium does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from engine.types import FrameRange
from ltx_studio.domain.timeline import Clip, Edge, EditRefused, Timeline, TrackKind
from ltx_studio.domain.timeline_details import mark_range, move_marker, set_in, set_out
from ltx_studio.domain.timeline_edits import move, ripple_trim, roll, roll_limits, slip, slip_limits, trim, trim_limits
from ltx_studio.ui.timeline_geometry import (
    Hit,
    SnapPoint,
    Target,
    View,
    snap_points,
    snap_shift,
    snapped,
    snapped_move,
    wants_groups,
)


class DragKind(StrEnum):
    """What is being done."""

    MOVE = "move"
    TRIM = "trim"
    RIPPLE_TRIM = "ripple trim"
    ROLL = "roll"
    SLIP = "slip"
    MARK_IN = "mark in"
    MARK_OUT = "mark out"
    MARK_RANGE = "mark range"
    MARKER = "marker"


@dataclass(frozen=True)
class Change:
    """What releasing the mouse here would do."""

    kind: DragKind
    edit: Callable[[Timeline], Timeline]
    frames: int  # by how many something moves; of a range that is marked, how long it is
    snap: SnapPoint | None = None  # what attracted it


@dataclass(frozen=True)
class Drag:
    """One drag. `grabbed` is the position where it began, in frames."""

    kind: DragKind
    timeline: Timeline
    grabbed: float
    clip_ids: tuple[int, ...] = ()  # the one that was grabbed first
    edge: Edge | None = None
    marker_id: int | None = None
    playhead: int | None = None

    def change(self, view: View, position: float, *, lanes: int = 0, is_free: bool = False) -> Change | None:
        """With the mouse at this position, and so many tracks further down; `is_free` suspends snapping."""
        match self.kind:
            case DragKind.MOVE:
                return self._move(view, position, lanes, is_free=is_free)
            case DragKind.TRIM | DragKind.RIPPLE_TRIM | DragKind.ROLL:
                return self._trim(view, position, is_free=is_free)
            case DragKind.SLIP:
                frames = slip_limits(self.timeline, self._clip.id).clamp(round(self.grabbed - position))
                return Change(self.kind, partial(slip, clip_id=self._clip.id, frames=frames), frames)
            case DragKind.MARK_IN | DragKind.MARK_OUT:
                frame, snap = self._marked(view, position, is_free=is_free)
                edit = set_in if self.kind is DragKind.MARK_IN else set_out
                frame = frame if self.kind is DragKind.MARK_IN else max(frame, 1)
                return Change(self.kind, partial(edit, frame=frame), frame, snap)
            case DragKind.MARK_RANGE:
                return self._mark_range(view, position, is_free=is_free)
            case DragKind.MARKER:
                return self._marker(view, position, is_free=is_free)

    # --- one kind each ------------------------------------------------------------------------------------------------

    def _move(self, view: View, position: float, lanes: int, *, is_free: bool) -> Change:
        group = {clip.id: clip for clip_id in self.clip_ids for clip in self.timeline.linked(clip_id)}
        edges = sorted({place for clip in group.values() for place in (clip.start, clip.stop)})
        wanted = position - self.grabbed
        points = self._points(without=tuple(group))
        snap = None if is_free else snapped_move(points, view, edges, wanted)
        frames = round(wanted) if snap is None else snap_shift(snap, edges, wanted)
        if frames < -edges[0]:
            frames, snap = -edges[0], None
        lanes = lanes if self._has_lane(lanes) else 0
        edit = partial(move, clip_ids=self.clip_ids, frames=frames, lanes=lanes, overwrite=True)
        return Change(self.kind, edit, frames, snap)

    def _trim(self, view: View, position: float, *, is_free: bool) -> Change:
        assert self.edge is not None
        clip = self._clip
        place = clip.start if self.edge is Edge.START else clip.stop
        wanted = place + position - self.grabbed
        snap = None if is_free else snapped(self._points(without=self._own_edge()), view, wanted)
        frame = round(wanted) if snap is None else snap.frame
        if self.kind is DragKind.ROLL:
            limits = roll_limits(self.timeline, clip.id)
            edit = partial(roll, left_id=clip.id)
        else:
            is_ripple = self.kind is DragKind.RIPPLE_TRIM
            limits = trim_limits(self.timeline, clip.id, self.edge, ripple=is_ripple)
            edit = partial(ripple_trim if is_ripple else trim, clip_id=clip.id, edge=self.edge)
        if frame not in limits:
            frame, snap = limits.clamp(frame), None
        return Change(self.kind, partial(edit, frame=frame), frame - place, snap)

    def _mark_range(self, view: View, position: float, *, is_free: bool) -> Change | None:
        first, _ = self._marked(view, self.grabbed, is_free=is_free)
        second, snap = self._marked(view, position, is_free=is_free)
        start, stop = min(first, second), max(first, second)
        if start == stop:
            return None
        return Change(self.kind, partial(mark_range, start=start, stop=stop), stop - start, snap)

    def _marker(self, view: View, position: float, *, is_free: bool) -> Change | None:
        marker = next((item for item in self.timeline.markers if item.id == self.marker_id), None)
        if marker is None:
            return None
        wanted = marker.frame + position - self.grabbed
        snap = None if is_free else snapped(self._points(), view, wanted)
        frame = max(round(wanted) if snap is None else snap.frame, 0)
        return Change(self.kind, partial(move_marker, marker_id=marker.id, frame=frame), frame - marker.frame, snap)

    # --- shared -------------------------------------------------------------------------------------------------------

    @property
    def _clip(self) -> Clip:
        return self.timeline.find(self.clip_ids[0])

    def _marked(self, view: View, position: float, *, is_free: bool) -> tuple[int, SnapPoint | None]:
        """Where a mark lands: at latent groups too, since what is made again begins and ends there."""
        span = FrameRange(max(int(view.first), 0), max(int(view.last) + 1, 0))
        snap = None if is_free else snapped(self._points(groups_in=span), view, position)
        return max(round(position) if snap is None else snap.frame, 0), snap

    def _points(self, *, without: tuple[int, ...] = (), groups_in: FrameRange | None = None) -> tuple[SnapPoint, ...]:
        return snap_points(self.timeline, playhead=self.playhead, without=without, groups_in=groups_in)

    def _own_edge(self) -> tuple[int, ...]:
        """What is trimmed does not snap to itself; what lies beside it still attracts."""
        return tuple(clip.id for clip in self.timeline.linked(self._clip.id))

    def _has_lane(self, lanes: int) -> bool:
        if lanes == 0:
            return True
        kind = self.timeline.place_of(self.clip_ids[0])[0].kind
        tracks = self.timeline.tracks_of(kind)
        group = {clip.id for clip_id in self.clip_ids for clip in self.timeline.linked(clip_id)}
        places = [index for index, track in enumerate(tracks) if any(clip.id in group for clip in track.clips)]
        return all(0 <= place + lanes < len(tracks) and not tracks[place + lanes].is_locked for place in places)


def begin_drag(
    timeline: Timeline,
    hit: Hit,
    position: float,
    *,
    selected: tuple[int, ...] = (),
    playhead: int | None = None,
    ripple: bool = False,
    rolls: bool = False,
    slips: bool = False,
) -> Drag | None:
    """What dragging from here does; None where there is nothing to drag, or it is on a locked track."""
    match hit.target:
        case Target.EDGE:
            assert hit.clip_id is not None and hit.edge is not None
            cut = _cut_at(timeline, hit) if rolls else None
            if cut is not None:
                return Drag(DragKind.ROLL, timeline, position, (cut,), Edge.END, playhead=playhead)
            kind = DragKind.RIPPLE_TRIM if ripple else DragKind.TRIM
            drag = Drag(kind, timeline, position, (hit.clip_id,), hit.edge, playhead=playhead)
        case Target.CLIP:
            assert hit.clip_id is not None
            others = tuple(clip_id for clip_id in selected if clip_id != hit.clip_id)
            if slips:
                drag = Drag(DragKind.SLIP, timeline, position, (hit.clip_id,), playhead=playhead)
            elif hit.clip_id in selected:
                drag = Drag(DragKind.MOVE, timeline, position, (hit.clip_id, *others), playhead=playhead)
            else:
                drag = Drag(DragKind.MOVE, timeline, position, (hit.clip_id,), playhead=playhead)
        case Target.IN:
            return Drag(DragKind.MARK_IN, timeline, position, playhead=playhead)
        case Target.OUT:
            return Drag(DragKind.MARK_OUT, timeline, position, playhead=playhead)
        case Target.MARKER:
            return Drag(DragKind.MARKER, timeline, position, marker_id=hit.marker_id, playhead=playhead)
        case _:
            return None
    is_locked = any(timeline.place_of(clip.id)[0].is_locked for clip in timeline.linked(drag.clip_ids[0]))
    return None if is_locked else drag


def preview(timeline: Timeline, change: Change | None) -> Timeline | str:
    """The timeline as it would be, or why it cannot be."""
    if change is None:
        return timeline
    try:
        return change.edit(timeline)
    except EditRefused as refused:
        return str(refused)


def groups_are_seen(timeline: Timeline, view: View) -> bool:
    """Whether lines for the latent groups can be told apart."""
    first = next((clip for track in timeline.tracks_of(TrackKind.PICTURE) for clip in track.clips), None)
    return first is not None and wants_groups(view, timeline.rate, first.media.frame_rate)


def _cut_at(timeline: Timeline, hit: Hit) -> int | None:
    """The clip that ends at the edge that was hit, where another begins right there."""
    assert hit.clip_id is not None and hit.track_id is not None
    clip, clips = timeline.find(hit.clip_id), timeline.track(hit.track_id).clips
    place = clip.start if hit.edge is Edge.START else clip.stop
    left = next((item for item in clips if item.stop == place), None)
    right = next((item for item in clips if item.start == place), None)
    return left.id if left is not None and right is not None else None
