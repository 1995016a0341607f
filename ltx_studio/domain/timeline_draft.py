"""A working copy of a timeline for the length of one edit: what every edit function is written with.

A draft is thrown away when an edit is refused, so the timeline is changed as a whole or not at all. Tracks that an edit
did not touch stay the very same objects, which is what makes a hundred steps of undo cost next to nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor

from engine.types import FrameRange
from ltx_studio.domain.timeline import Clip, EditRefused, Marker, Timeline, Track


class Draft:
    """Clips by track, changed in place. `done` is the timeline it became."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.rate = timeline.rate
        self.markers: tuple[Marker, ...] = timeline.markers
        self._clips = {track.id: list(track.clips) for track in timeline.tracks}
        self._next_id = timeline.next_id

    def done(self) -> Timeline:
        """The very same timeline where nothing changed."""
        tracks = tuple(self._track(track) for track in self.timeline.tracks)
        is_same = all(new is old for new, old in zip(tracks, self.timeline.tracks, strict=True))
        if is_same and self.markers == self.timeline.markers:
            return self.timeline
        return replace(self.timeline, tracks=tracks, markers=self.markers, next_id=self._next_id)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def clips(self, track_id: int) -> Sequence[Clip]:
        return self._clips[track_id]

    def open_tracks(self) -> list[Track]:
        """Those that may be changed, as they were before the edit."""
        return [track for track in self.timeline.tracks if not track.is_locked]

    def put(self, track_id: int, clip: Clip) -> None:
        """Onto a track; the caller made room."""
        self._clips[track_id].append(clip)

    def take_off(self, clips: Iterable[Clip]) -> None:
        """Remove these from wherever they are."""
        ids = {clip.id for clip in clips}
        self.change(lambda clip: None if clip.id in ids else clip)

    def change(self, new: Callable[[Clip], Clip | None]) -> None:
        """Every clip of every track becomes what `new` says, or goes."""
        for track_id, clips in self._clips.items():
            self._clips[track_id] = [after for clip in clips if (after := new(clip)) is not None]

    def swap(self, *clips: Clip) -> None:
        """Each of these for the clip of the same id."""
        by_id = {clip.id: clip for clip in clips}
        self.change(lambda clip: by_id.get(clip.id, clip))

    # --- room ---------------------------------------------------------------------------------------------------------

    def split(self, track_id: int, frame: int, links: dict[int, int] | None = None) -> None:
        """Cut what lies across this frame in two. `links` holds the new link of right halves by their old one."""
        clips: list[Clip] = []
        for clip in self._clips[track_id]:
            if clip.start < frame < clip.stop:
                link = None if clip.link is None or links is None else links.setdefault(clip.link, self.new_id())
                clips += [head(clip, frame), replace(self.tail(clip, frame), id=self.new_id(), link=link)]
            else:
                clips.append(clip)
        self._clips[track_id] = clips

    def clear(self, track_id: int, span: FrameRange, links: dict[int, int] | None = None) -> None:
        """Leave nothing in this range; clips that reach into it are cut."""
        self.split(track_id, span.start, links)
        self.split(track_id, span.stop, links)
        self._clips[track_id] = [c for c in self._clips[track_id] if not (c.start < span.stop and span.start < c.stop)]

    def shift(self, at: int, frames: int) -> None:
        """Move what begins at this frame or later, on every open track, and the markers there: the ripple of an edit.

        To the left, markers of the range that is closed end up where it closes. Raises EditRefused where a clip is in
        the way.
        """
        if frames == 0:
            return
        for track in self.open_tracks():
            self._clips[track.id] = [
                replace(clip, start=clip.start + frames) if clip.start >= at else clip for clip in self._clips[track.id]
            ]
            self.check_room(track)
        self.markers = tuple(_shifted(marker, at, frames) for marker in self.markers)

    def check_room(self, track: Track) -> None:
        """Raises EditRefused where two clips of the track overlap, or one begins before the timeline."""
        stop = 0
        for clip in sorted(self._clips[track.id], key=lambda item: item.start):
            if clip.start < stop:
                raise EditRefused(
                    f"“{clip.name}” on {track.name} would run into the clip before it.",
                    remedy="Make room on that track first, or lock it to leave it out.",
                )
            stop = clip.stop

    def link_rest(self) -> None:
        """Take the link from clips that have no partner any more."""
        numbers: dict[int, int] = {}
        for clips in self._clips.values():
            for clip in clips:
                if clip.link is not None:
                    numbers[clip.link] = numbers.get(clip.link, 0) + 1
        self.change(lambda clip: replace(clip, link=None) if numbers.get(clip.link or 0) == 1 else clip)

    # --- parts of a clip ----------------------------------------------------------------------------------------------

    def tail(self, clip: Clip, frame: int) -> Clip:
        """What is left of a clip that begins at this frame instead; before its start it shows more."""
        passed = Fraction(frame - clip.start) / self.rate.value
        return replace(clip, start=frame, length=clip.stop - frame, source_start=clip.source_start + passed)

    def _track(self, track: Track) -> Track:
        clips = tuple(sorted(self._clips[track.id], key=lambda clip: clip.start))
        is_same = len(clips) == len(track.clips) and all(a is b for a, b in zip(clips, track.clips, strict=True))
        return track if is_same else replace(track, clips=clips)


def _shifted(marker: Marker, at: int, frames: int) -> Marker:
    if marker.frame >= at:
        return replace(marker, frame=marker.frame + frames)
    return replace(marker, frame=at + frames) if marker.frame > at + frames else marker


def head(clip: Clip, frame: int) -> Clip:
    """What is left of a clip that ends at this frame instead."""
    return replace(clip, length=frame - clip.start)


def frames_before(timeline: Timeline, clip: Clip) -> int:
    """How many more frames the shown take has before the clip's beginning."""
    return max(floor((clip.source_start - clip.take.source_start) * timeline.rate.value), 0)


def frames_after(timeline: Timeline, clip: Clip) -> int:
    """How many more frames the shown take has after the clip's end."""
    return max(floor((clip.take.source_stop - clip.source_stop(timeline.rate)) * timeline.rate.value), 0)


def open_group(timeline: Timeline, clip_ids: Iterable[int]) -> list[Clip]:
    """These clips and all that are linked to them, each once. Raises EditRefused where one is on a locked track."""
    found: dict[int, Clip] = {}
    for clip_id in clip_ids:
        for clip in timeline.linked(clip_id):
            found[clip.id] = clip
    if not found:
        raise EditRefused("No clip is selected.", remedy="Click a clip on the timeline first.")
    for clip in found.values():
        check_open(timeline.place_of(clip.id)[0])
    return list(found.values())


def check_open(track: Track) -> None:
    if track.is_locked:
        raise EditRefused(f"Track {track.name} is locked.", remedy="Unlock it to change what is on it.")
