"""Markers, the marked range, takes and tracks: the edits that move nothing.

Like every edit (`timeline_edits`), these take a timeline and return a new one, or raise EditRefused. They return the
very same value where nothing changes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ltx_studio.domain.timeline import Clip, EditRefused, Marker, Media, Take, Timeline, Track, TrackKind
from ltx_studio.domain.timeline_draft import Draft, check_open, open_group

LOWEST_GAIN_DB, HIGHEST_GAIN_DB = -60.0, 12.0
_LETTERS = {TrackKind.PICTURE: "V", TrackKind.SOUND: "A"}

# --- markers and the marked range -------------------------------------------------------------------------------------


def add_marker(timeline: Timeline, frame: int, name: str = "") -> Timeline:
    """The same timeline where a marker of this name is there already; one marker to a frame."""
    there = next((marker for marker in timeline.markers if marker.frame == frame), None)
    if there is not None:
        return timeline if there.name == name or not name else rename_marker(timeline, there.id, name)
    return _with_markers(
        replace(timeline, next_id=timeline.next_id + 1), [*timeline.markers, Marker(timeline.next_id, frame, name)]
    )


def remove_marker(timeline: Timeline, marker_id: int) -> Timeline:
    gone = _marker(timeline, marker_id)
    return _with_markers(timeline, [marker for marker in timeline.markers if marker is not gone])


def rename_marker(timeline: Timeline, marker_id: int, name: str) -> Timeline:
    return _with_marker(timeline, replace(_marker(timeline, marker_id), name=name))


def move_marker(timeline: Timeline, marker_id: int, frame: int) -> Timeline:
    if frame < 0:
        raise EditRefused("A marker cannot be before the beginning.", remedy="Put it on the timeline.")
    return _with_marker(timeline, replace(_marker(timeline, marker_id), frame=frame))


def set_in(timeline: Timeline, frame: int | None) -> Timeline:
    """The first frame of the marked range; None takes the mark away. An end that is not after it goes."""
    out = timeline.mark_out
    if frame is not None and out is not None and out <= frame:
        out = None
    return _marked(timeline, frame, out)


def set_out(timeline: Timeline, frame: int | None) -> Timeline:
    """The first frame after the marked range; None takes the mark away. A beginning that is not before it goes."""
    start = timeline.mark_in
    if frame is not None and frame < 1:
        raise EditRefused("The range cannot end before it begins.", remedy="Mark an end after the first frame.")
    if frame is not None and start is not None and start >= frame:
        start = None
    return _marked(timeline, start, frame)


def mark_range(timeline: Timeline, start: int | None, stop: int | None) -> Timeline:
    """Both marks at once."""
    if start is not None and stop is not None and start >= stop:
        raise EditRefused("The range is empty.", remedy="Mark at least one frame.")
    return _marked(timeline, start, stop)


# --- takes ------------------------------------------------------------------------------------------------------------


def add_take(timeline: Timeline, clip_id: int, take: Take, *, choose: bool = True) -> Timeline:
    """A new version in the slot of a clip and of what is linked to it, shown from now on unless `choose` is False."""

    def added(clip: Clip) -> Clip:
        if take in clip.takes:
            return clip
        return replace(clip, takes=(*clip.takes, take))

    after = _changed(timeline, clip_id, added)
    return choose_take(after, clip_id, after.find(clip_id).takes.index(take)) if choose else after


def choose_take(timeline: Timeline, clip_id: int, index: int) -> Timeline:
    """Show another version; clips linked to this one show it too where they have it."""
    takes = timeline.find(clip_id).takes
    if not 0 <= index < len(takes):
        raise EditRefused("There is no such take.", remedy=f"Choose one of the {len(takes)}.")
    take = takes[index]

    def chosen(clip: Clip) -> Clip:
        if take not in clip.takes or clip.takes.index(take) == clip.chosen:
            return clip
        if clip.source_start < take.source_start or clip.source_stop(timeline.rate) > take.source_stop:
            raise EditRefused(
                f"This take is too short for “{clip.name}” as it is cut.", remedy="Trim the clip first, then choose it."
            )
        return replace(clip, chosen=clip.takes.index(take))

    return _changed(timeline, clip_id, chosen)


def remove_take(timeline: Timeline, clip_id: int, index: int) -> Timeline:
    """Forget a version that is not shown. The file stays."""
    clip = timeline.find(clip_id)
    if not 0 <= index < len(clip.takes):
        raise EditRefused("There is no such take.", remedy=f"Choose one of the {len(clip.takes)}.")
    take = clip.takes[index]

    def without(clip: Clip) -> Clip:
        if take not in clip.takes:
            return clip
        place = clip.takes.index(take)
        if place == clip.chosen:
            raise EditRefused("This take is the one that is shown.", remedy="Choose another take first.")
        takes = clip.takes[:place] + clip.takes[place + 1 :]
        return replace(clip, takes=takes, chosen=clip.chosen - (place < clip.chosen))

    return _changed(timeline, clip_id, without)


def rate_take(timeline: Timeline, clip_id: int, index: int, rating: int) -> Timeline:
    """Stars, 0 to 5, or -1 for one that was rejected."""
    clip = timeline.find(clip_id)
    take = clip.takes[index]
    rated = replace(take, rating=rating)
    if rated == take:
        return timeline
    return _changed(
        timeline, clip_id, lambda item: replace(item, takes=tuple(rated if own == take else own for own in item.takes))
    )


def relink(timeline: Timeline, old: Path, media: Media) -> Timeline:
    """Use another file wherever `old` was used, on locked tracks as well: nothing that is seen moves."""

    def relinked(clip: Clip) -> Clip:
        if all(take.media.path != old for take in clip.takes):
            return clip
        takes = tuple(replace(take, media=media) if take.media.path == old else take for take in clip.takes)
        after = replace(clip, takes=takes)
        if clip.media.path == old and after.source_stop(timeline.rate) > after.take.source_stop:
            raise EditRefused(
                f"{media.path.name} is too short for “{clip.name}”.", remedy="Choose the file it was cut from."
            )
        return after

    draft = Draft(timeline)
    draft.change(relinked)
    return draft.done()


# --- clips and tracks -------------------------------------------------------------------------------------------------


def rename(timeline: Timeline, clip_id: int, name: str) -> Timeline:
    if not name.strip():
        raise EditRefused("A clip needs a name.", remedy="Write at least one letter.")
    return _changed(timeline, clip_id, lambda clip: clip if clip.name == name else replace(clip, name=name))


def set_gain(timeline: Timeline, clip_id: int, gain_db: float) -> Timeline:
    """How loud a clip's sound is; of a picture clip, that of the sound linked to it."""
    if not LOWEST_GAIN_DB <= gain_db <= HIGHEST_GAIN_DB:
        raise EditRefused(
            f"The gain goes from {LOWEST_GAIN_DB:g} to {HIGHEST_GAIN_DB:g} dB.", remedy="Choose a value between."
        )
    sounds = {clip.id for track in timeline.tracks_of(TrackKind.SOUND) for clip in track.clips}
    if not any(clip.id in sounds for clip in timeline.linked(clip_id)):
        raise EditRefused("This clip has no sound.", remedy="Choose a clip on a sound track.")
    return _changed(
        timeline,
        clip_id,
        lambda clip: replace(clip, gain_db=gain_db) if clip.id in sounds and clip.gain_db != gain_db else clip,
    )


def unlink(timeline: Timeline, clip_id: int) -> Timeline:
    """Picture and sound are edited apart from now on."""
    return _changed(timeline, clip_id, lambda clip: clip if clip.link is None else replace(clip, link=None))


def link(timeline: Timeline, clip_ids: Sequence[int]) -> Timeline:
    """These are edited as one from now on; at most one clip of each track."""
    clips = open_group(timeline, clip_ids)
    tracks = [timeline.place_of(clip.id)[0].id for clip in clips]
    if len(clips) < 2 or len(set(tracks)) < len(tracks):
        raise EditRefused("These cannot be linked.", remedy="Select one clip on each of two tracks or more.")
    if len({clip.link for clip in clips}) == 1 and clips[0].link is not None:
        return timeline
    draft = Draft(timeline)
    number = draft.new_id()
    draft.swap(*(replace(clip, link=number) for clip in clips))
    draft.link_rest()
    return draft.done()


def add_track(timeline: Timeline, kind: TrackKind) -> Timeline:
    """Pictures are added above the others, sounds below."""
    name = f"{_LETTERS[kind]}{len(timeline.tracks_of(kind)) + 1}"
    track = Track(timeline.next_id, kind, name)
    tracks = (track, *timeline.tracks) if kind is TrackKind.PICTURE else (*timeline.tracks, track)
    return replace(timeline, tracks=tracks, next_id=timeline.next_id + 1)


def remove_track(timeline: Timeline, track_id: int) -> Timeline:
    """With its clips; the last one of its kind stays."""
    track = timeline.track(track_id)
    check_open(track)
    if len(timeline.tracks_of(track.kind)) == 1:
        raise EditRefused(f"{track.name} is the only {track.kind} track.", remedy="Delete its clips instead.")
    rest = tuple(
        replace(other, name=f"{_LETTERS[other.kind]}{_number(timeline, other, without=track)}")
        if other.kind is track.kind
        else other
        for other in timeline.tracks
        if other is not track
    )
    draft = Draft(replace(timeline, tracks=rest))
    draft.link_rest()
    return draft.done()


def set_muted(timeline: Timeline, track_id: int, is_muted: bool) -> Timeline:
    return _with_track(timeline, track_id, lambda track: replace(track, is_muted=is_muted))


def set_locked(timeline: Timeline, track_id: int, is_locked: bool) -> Timeline:
    return _with_track(timeline, track_id, lambda track: replace(track, is_locked=is_locked))


# --- shared -----------------------------------------------------------------------------------------------------------


def _changed(timeline: Timeline, clip_id: int, change: Callable[[Clip], Clip]) -> Timeline:
    """With `change` applied to a clip and those linked to it."""
    ids = {clip.id for clip in open_group(timeline, [clip_id])}
    draft = Draft(timeline)
    draft.change(lambda clip: change(clip) if clip.id in ids else clip)
    return draft.done()


def _with_track(timeline: Timeline, track_id: int, change: Callable[[Track], Track]) -> Timeline:
    before = timeline.track(track_id)
    after = change(before)
    if after == before:
        return timeline
    return replace(timeline, tracks=tuple(after if track is before else track for track in timeline.tracks))


def _marked(timeline: Timeline, start: int | None, stop: int | None) -> Timeline:
    if (start, stop) == (timeline.mark_in, timeline.mark_out):
        return timeline
    return replace(timeline, mark_in=start, mark_out=stop)


def _marker(timeline: Timeline, marker_id: int) -> Marker:
    for marker in timeline.markers:
        if marker.id == marker_id:
            return marker
    raise EditRefused("This marker is no longer there.", remedy="Choose another one.")


def _with_marker(timeline: Timeline, marker: Marker) -> Timeline:
    if marker in timeline.markers:
        return timeline
    return _with_markers(timeline, [*(other for other in timeline.markers if other.id != marker.id), marker])


def _with_markers(timeline: Timeline, markers: Iterable[Marker]) -> Timeline:
    return replace(timeline, markers=tuple(sorted(markers, key=lambda marker: marker.frame)))


def _number(timeline: Timeline, track: Track, *, without: Track) -> int:
    """The number in a track's name: pictures are counted from the bottom, sounds from the top."""
    tracks = [other for other in timeline.tracks_of(track.kind) if other is not without]
    index = tracks.index(track)
    return len(tracks) - index if track.kind is TrackKind.PICTURE else index + 1
