"""Cutting what is on the timeline: every function takes a timeline and returns a new one, or raises EditRefused.

An edit that changes nothing returns the very same value. Clips that are linked are edited as one; clips on locked
tracks are never changed. Edits that ripple move what comes later on all open tracks, so that sound stays with its
picture, and are refused where something is in the way. Bringing in new clips is in `timeline_placing`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from engine.types import FrameRange
from ltx_studio.domain.timeline import Clip, Edge, EditRefused, Timeline, Track, TrackKind
from ltx_studio.domain.timeline_draft import Draft, check_open, frames_after, frames_before, head, open_group


@dataclass(frozen=True)
class Limits:
    """The lowest and the highest value an edit may have, both allowed. Nothing is when the lowest is above."""

    lowest: int
    highest: int

    def clamp(self, value: int) -> int:
        return min(max(value, self.lowest), self.highest)

    def __contains__(self, value: int) -> bool:
        return self.lowest <= value <= self.highest

    def __and__(self, other: "Limits") -> "Limits":
        return Limits(max(self.lowest, other.lowest), min(self.highest, other.highest))


_ANYWHERE = Limits(-(2**62), 2**62)


def blade(timeline: Timeline, frame: int, clip_ids: Iterable[int] | None = None) -> Timeline:
    """Cut these clips, and what is linked to them, at a frame; by default everything that lies across it."""
    if clip_ids is None:
        wanted = {clip.id for clip in timeline.clips()}
        tracks = [track for track in timeline.tracks if not track.is_locked]
    else:
        wanted = {clip.id for clip in open_group(timeline, clip_ids)}
        tracks = list(timeline.tracks)
    draft = Draft(timeline)
    links: dict[int, int] = {}
    for track in tracks:
        clip = track.clip_at(frame)
        if clip is not None and clip.id in wanted:
            draft.split(track.id, frame, links)
    draft.link_rest()
    after = draft.done()
    if after is timeline:
        raise EditRefused(
            "There is nothing to cut here.", remedy="Put the playhead inside a clip, not at its edge, and cut again."
        )
    return after


# --- trimming ---------------------------------------------------------------------------------------------------------


def trim_limits(timeline: Timeline, clip_id: int, edge: Edge, *, ripple: bool = False) -> Limits:
    """Where this edge may go: as far as the medium reaches and the neighbours leave room, which a ripple makes."""
    limits = _ANYWHERE
    for clip in _with_this_edge(timeline, clip_id, edge):
        track, _ = timeline.place_of(clip.id)
        before, after = _neighbours(track, clip)
        if edge is Edge.START:
            room = clip.start - frames_before(timeline, clip)
            if not ripple:
                room = max(room, 0 if before is None else before.stop)
            limits &= Limits(room, clip.stop - 1)
        else:
            room = clip.stop + frames_after(timeline, clip)
            if not ripple and after is not None:
                room = min(room, after.start)
            limits &= Limits(clip.start + 1, room)
    return limits


def trim(timeline: Timeline, clip_id: int, edge: Edge, frame: int) -> Timeline:
    """Move one edge of a clip to a frame; what the clip shows elsewhere stays where it is."""
    clips = _trimmable(timeline, clip_id, edge, frame, ripple=False)
    draft = Draft(timeline)
    for clip in clips:
        if frame != (clip.start if edge is Edge.START else clip.stop):
            draft.swap(draft.tail(clip, frame) if edge is Edge.START else head(clip, frame))
    return draft.done()


def ripple_trim(timeline: Timeline, clip_id: int, edge: Edge, frame: int) -> Timeline:
    """Move one edge of a clip to a frame, and everything after the clip by as much.

    `frame` is where the edge is dragged to. At the start, the clip then moves back so that it begins where it did.
    """
    clips = _trimmable(timeline, clip_id, edge, frame, ripple=True)
    draft = Draft(timeline)
    first = clips[0]
    if edge is Edge.END:
        grown = frame - first.stop
        # What comes later moves out of the way before a clip grows, and up to it once it shrank.
        if grown > 0:
            draft.shift(first.stop, grown)
        if grown != 0:
            draft.swap(*(head(clip, frame) for clip in clips))
        if grown < 0:
            draft.shift(first.stop, grown)
    elif frame < first.start:
        grown = first.start - frame
        draft.shift(first.start, grown)
        draft.swap(*(draft.tail(replace(clip, start=clip.start + grown), clip.start) for clip in clips))
    elif frame > first.start:
        draft.swap(*(draft.tail(clip, frame) for clip in clips))
        draft.shift(frame, first.start - frame)
    return draft.done()


def roll_limits(timeline: Timeline, left_id: int) -> Limits:
    """Where the cut after this clip may go."""
    limits = _ANYWHERE
    for left, right in _cuts_after(timeline, left_id):
        limits &= Limits(left.start + 1, left.stop + frames_after(timeline, left))
        limits &= Limits(right.start - frames_before(timeline, right), right.stop - 1)
    return limits


def roll(timeline: Timeline, left_id: int, frame: int) -> Timeline:
    """Move the cut between a clip and the one right after it; nothing else moves."""
    cuts = _cuts_after(timeline, left_id)
    if not cuts:
        raise EditRefused("There is no clip right after this one.", remedy="Move two clips together first.")
    if frame not in roll_limits(timeline, left_id):
        raise EditRefused("The cut cannot go there.", remedy="One of the two clips has nothing more to show.")
    draft = Draft(timeline)
    for left, right in cuts:
        for clip in (left, right):
            check_open(timeline.place_of(clip.id)[0])
        if frame != left.stop:
            draft.swap(head(left, frame), draft.tail(right, frame))
    return draft.done()


def slip_limits(timeline: Timeline, clip_id: int) -> Limits:
    """By how many frames what a clip shows may move: negative shows what lies earlier in the medium."""
    limits = _ANYWHERE
    for clip in timeline.linked(clip_id):
        limits &= Limits(-frames_before(timeline, clip), frames_after(timeline, clip))
    return limits


def slip(timeline: Timeline, clip_id: int, frames: int) -> Timeline:
    """Show what lies this many frames later in the medium; the clip itself stays where it is."""
    clips = open_group(timeline, [clip_id])
    if frames == 0:
        return timeline
    if frames not in slip_limits(timeline, clip_id):
        raise EditRefused(
            "The medium ends there.",
            remedy="Slip by less, or trim the clip first so that there is more to choose from.",
        )
    draft = Draft(timeline)
    passed = Fraction(frames) / timeline.rate.value
    draft.swap(*(replace(clip, source_start=clip.source_start + passed) for clip in clips))
    return draft.done()


# --- moving and removing ----------------------------------------------------------------------------------------------


def move(
    timeline: Timeline, clip_ids: Sequence[int], frames: int, *, lanes: int = 0, overwrite: bool = False
) -> Timeline:
    """Move clips by frames, and those of the first one's kind by `lanes` tracks downwards.

    Where they land there must be room, unless they are to overwrite what is there.
    """
    clips = open_group(timeline, clip_ids)
    if frames == 0 and lanes == 0:
        return timeline
    if min(clip.start for clip in clips) + frames < 0:
        raise EditRefused("A clip cannot begin before the timeline does.", remedy="Move it by less.")
    kind = timeline.place_of(clip_ids[0])[0].kind
    draft = Draft(timeline)
    draft.take_off(clips)
    landings = [(_lane(timeline, clip, kind, lanes), replace(clip, start=clip.start + frames)) for clip in clips]
    links: dict[int, int] = {}
    for track, clip in landings:
        check_open(track)
        if overwrite:
            draft.clear(track.id, clip.span, links)
    for track, clip in landings:
        draft.put(track.id, clip)
    for track, _ in landings:
        draft.check_room(track)
    if overwrite:
        draft.link_rest()
    return draft.done()


def delete(timeline: Timeline, clip_ids: Iterable[int]) -> Timeline:
    """Take clips off the timeline; where they were stays empty."""
    draft = Draft(timeline)
    draft.take_off(open_group(timeline, clip_ids))
    return draft.done()


def ripple_delete(timeline: Timeline, clip_ids: Iterable[int]) -> Timeline:
    """Take clips off the timeline and close what they leave."""
    clips = open_group(timeline, clip_ids)
    draft = Draft(timeline)
    draft.take_off(clips)
    for span in reversed(_merged([clip.span for clip in clips])):
        draft.shift(span.stop, -len(span))
    return draft.done()


def gap_at(timeline: Timeline, track_id: int, frame: int) -> FrameRange | None:
    """The empty stretch between clips of a track around a frame; None in a clip and after the last one."""
    track = timeline.track(track_id)
    start = max((clip.stop for clip in track.clips if clip.stop <= frame), default=0)
    stop = min((clip.start for clip in track.clips if clip.start > frame), default=None)
    return None if stop is None or track.clip_at(frame) is not None else FrameRange(start, stop)


def close_gap(timeline: Timeline, track_id: int, frame: int) -> Timeline:
    """Move everything after an empty stretch of a track to its beginning."""
    check_open(timeline.track(track_id))
    gap = gap_at(timeline, track_id, frame)
    if gap is None:
        raise EditRefused("There is no gap here.", remedy="Choose an empty stretch between two clips.")
    draft = Draft(timeline)
    draft.shift(gap.stop, -len(gap))
    return draft.done()


def clear_range(timeline: Timeline, span: FrameRange, *, ripple: bool = False) -> Timeline:
    """Leave nothing in a range on any open track, and with `ripple` close it."""
    draft = Draft(timeline)
    links: dict[int, int] = {}
    for track in draft.open_tracks():
        draft.clear(track.id, span, links)
    draft.link_rest()
    if ripple:
        draft.shift(span.stop, -len(span))
    after = draft.done()
    if after is timeline:
        raise EditRefused("There is nothing in the marked range.", remedy="Mark a range that holds a clip.")
    return after


# --- what belongs together --------------------------------------------------------------------------------------------


def _neighbours(track: Track, clip: Clip) -> tuple[Clip | None, Clip | None]:
    index = next(index for index, other in enumerate(track.clips) if other.id == clip.id)
    before = track.clips[index - 1] if index else None
    after = track.clips[index + 1] if index + 1 < len(track.clips) else None
    return before, after


def _with_this_edge(timeline: Timeline, clip_id: int, edge: Edge) -> list[Clip]:
    """The clip and those linked to it that begin, or end, at the same frame."""
    clip = timeline.find(clip_id)
    others = [other for other in timeline.linked(clip_id) if other.id != clip_id]
    if edge is Edge.START:
        return [clip, *(other for other in others if other.start == clip.start)]
    return [clip, *(other for other in others if other.stop == clip.stop)]


def _trimmable(timeline: Timeline, clip_id: int, edge: Edge, frame: int, *, ripple: bool) -> list[Clip]:
    clips = _with_this_edge(timeline, clip_id, edge)
    for clip in clips:
        check_open(timeline.place_of(clip.id)[0])
    limits = trim_limits(timeline, clip_id, edge, ripple=ripple)
    if frame not in limits:
        is_inside = frame >= clips[0].start + 1 if edge is Edge.END else frame <= clips[0].stop - 1
        if not is_inside:
            raise EditRefused("A clip lasts at least one frame.", remedy="Delete it instead, or trim it by less.")
        raise EditRefused(
            "The clip cannot reach that far.", remedy="Its medium ends there, or another clip is in the way. Trim less."
        )
    return clips


def _cuts_after(timeline: Timeline, left_id: int) -> list[tuple[Clip, Clip]]:
    """The clip, and those linked to it that end with it, each with the clip that begins right there."""
    cuts: list[tuple[Clip, Clip]] = []
    for left in _with_this_edge(timeline, left_id, Edge.END):
        right = _neighbours(timeline.place_of(left.id)[0], left)[1]
        if right is not None and right.start == left.stop:
            cuts.append((left, right))
    return cuts


def _lane(timeline: Timeline, clip: Clip, kind: TrackKind, lanes: int) -> Track:
    """The track that a clip goes to when those of one kind go this many tracks down."""
    track = timeline.place_of(clip.id)[0]
    if track.kind is not kind or lanes == 0:
        return track
    tracks = timeline.tracks_of(kind)
    index = tracks.index(track) + lanes
    if not 0 <= index < len(tracks):
        raise EditRefused("There is no track there.", remedy="Add a track first.")
    return tracks[index]


def _merged(spans: Iterable[FrameRange]) -> list[FrameRange]:
    """The union of ranges, ascending, those that touch as one."""
    merged: list[FrameRange] = []
    for span in sorted(spans, key=lambda item: item.start):
        if merged and span.start <= merged[-1].stop:
            merged[-1] = FrameRange(merged[-1].start, max(merged[-1].stop, span.stop))
        else:
            merged.append(span)
    return merged
