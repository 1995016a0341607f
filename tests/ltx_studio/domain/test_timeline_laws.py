"""Laws of cutting, over random edits of random timelines.

Alone: `pytest tests/ltx_studio/domain/test_timeline_laws.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.types import FrameRange
from ltx_studio.domain.timeline import Edge, EditRefused, Take, Timeline, Track, TrackKind
from ltx_studio.domain.timeline_details import (
    add_marker,
    add_take,
    add_track,
    choose_take,
    move_marker,
    remove_marker,
    remove_track,
    set_in,
    set_locked,
    set_out,
    unlink,
)
from ltx_studio.domain.timeline_draft import frames_after, frames_before
from ltx_studio.domain.timeline_edits import (
    blade,
    clear_range,
    close_gap,
    delete,
    move,
    ripple_delete,
    ripple_trim,
    roll,
    slip,
    trim,
    trim_limits,
)
from ltx_studio.domain.timeline_placing import insert, overwrite
from ltx_studio.state.timeline import TimelineState
from tests.fakes.timelines import RATE, material, media, sequence, trimmed_sequence


@dataclass(frozen=True)
class Draw:
    """Numbers that an edit makes what it needs of: whichever clip or frame they point at is there."""

    which: int
    frame: int
    other: int
    flag: bool

    def clip(self, timeline: Timeline) -> int:
        clips = list(timeline.clips())
        return clips[self.which % len(clips)].id if clips else -1

    def track(self, timeline: Timeline) -> int:
        return timeline.tracks[self.which % len(timeline.tracks)].id

    def marker(self, timeline: Timeline) -> int:
        markers = timeline.markers
        return markers[self.which % len(markers)].id if markers else -1

    @property
    def edge(self) -> Edge:
        return Edge.START if self.flag else Edge.END

    @property
    def kind(self) -> TrackKind:
        return TrackKind.PICTURE if self.flag else TrackKind.SOUND


def trim_anywhere(timeline: Timeline, draw: Draw, *, ripple: bool) -> Timeline:
    """To a frame that is allowed, where there is one."""
    clip_id = draw.clip(timeline)
    limits = trim_limits(timeline, clip_id, draw.edge, ripple=ripple)
    span = min(limits.highest - limits.lowest, 200)
    frame = limits.lowest + draw.frame % (span + 1) if span >= 0 else limits.lowest
    return (ripple_trim if ripple else trim)(timeline, clip_id, draw.edge, frame)


EDITS: dict[str, Callable[[Timeline, Draw], Timeline]] = {
    "blade": lambda t, d: blade(t, d.frame),
    "blade one": lambda t, d: blade(t, d.frame, [d.clip(t)]),
    "trim": lambda t, d: trim_anywhere(t, d, ripple=False),
    "trim far": lambda t, d: trim(t, d.clip(t), d.edge, d.frame),
    "ripple trim": lambda t, d: trim_anywhere(t, d, ripple=True),
    "roll": lambda t, d: roll(t, d.clip(t), d.frame),
    "slip": lambda t, d: slip(t, d.clip(t), d.other - 20),
    "move": lambda t, d: move(t, [d.clip(t)], d.other - 20),
    "move over": lambda t, d: move(t, [d.clip(t)], d.frame - 60, lanes=d.other % 3 - 1, overwrite=True),
    "delete": lambda t, d: delete(t, [d.clip(t)]),
    "ripple delete": lambda t, d: ripple_delete(t, [d.clip(t)]),
    "close gap": lambda t, d: close_gap(t, d.track(t), d.frame),
    "clear": lambda t, d: clear_range(t, FrameRange(d.frame, d.frame + d.other), ripple=d.flag),
    "insert": lambda t, d: insert(t, material("new", 1 + d.other), d.frame),
    "overwrite": lambda t, d: overwrite(t, material("new", 1 + d.other, has_sound=d.flag), d.frame),
    "take": lambda t, d: add_take(t, d.clip(t), Take(media("take", 20 + d.frame)), choose=d.flag),
    "choose": lambda t, d: choose_take(t, d.clip(t), d.other % 3),
    "unlink": lambda t, d: unlink(t, d.clip(t)),
    "lock": lambda t, d: set_locked(t, d.track(t), d.flag),
    "add track": lambda t, d: add_track(t, d.kind),
    "remove track": lambda t, d: remove_track(t, d.track(t)),
    "marker": lambda t, d: add_marker(t, d.frame),
    "move marker": lambda t, d: move_marker(t, d.marker(t), d.frame - 5),
    "remove marker": lambda t, d: remove_marker(t, d.marker(t)),
    "in": lambda t, d: set_in(t, d.frame),
    "out": lambda t, d: set_out(t, d.frame if d.flag else None),
}

draws = st.builds(Draw, st.integers(0, 30), st.integers(0, 160), st.integers(1, 60), st.booleans())
edits = st.lists(st.tuples(st.sampled_from(sorted(EDITS)), draws), max_size=30)
firsts = st.sampled_from([sequence(40, 25, 60), trimmed_sequence(4), sequence(1, 1), sequence()])


def attempt(timeline: Timeline, name: str, draw: Draw) -> Timeline:
    """The timeline after an edit, the same where it is refused."""
    said = ""
    try:
        timeline = EDITS[name](timeline, draw)
    except EditRefused as refused:
        said = str(refused)
    assert not said or said.endswith(".")
    return timeline


def played(track: Track) -> list[tuple[str, int, object]]:
    """What a track shows, frame by frame: where it is on the timeline, of which file, and when in it."""
    return [
        (str(clip.media.path), frame, clip.media_time(frame, RATE))
        for clip in track.clips
        for frame in range(clip.start, clip.stop)
    ]


@settings(deadline=None)
@given(firsts, edits)
def test_clips_never_overlap_and_never_show_what_their_medium_has_not(
    timeline: Timeline, sequence_of_edits: list[tuple[str, Draw]]
) -> None:
    for name, draw in sequence_of_edits:
        timeline = attempt(timeline, name, draw)

        for track in timeline.tracks:
            assert all(before.stop <= after.start for before, after in pairwise(track.clips))
        for clip in timeline.clips():
            assert clip.source_start >= clip.take.source_start, name
            assert clip.source_stop(RATE) <= clip.take.source_stop, name
            assert len({timeline.place_of(other.id)[0].id for other in timeline.linked(clip.id)}) == len(
                timeline.linked(clip.id)
            ), name


@settings(deadline=None)
@given(firsts, edits)
def test_locked_tracks_stay_the_identical_value(timeline: Timeline, sequence_of_edits: list[tuple[str, Draw]]) -> None:
    for name, draw in sequence_of_edits:
        locked = [track for track in timeline.tracks if track.is_locked]

        after = attempt(timeline, name, draw)

        if name not in ("lock", "remove track"):
            assert all(any(track is other for other in after.tracks) for track in locked), name
        timeline = after


@settings(deadline=None)
@given(firsts, edits, draws)
def test_a_blade_changes_nothing_that_is_seen_or_heard(
    timeline: Timeline, sequence_of_edits: list[tuple[str, Draw]], draw: Draw
) -> None:
    for name, number in sequence_of_edits:
        timeline = attempt(timeline, name, number)

    after = attempt(timeline, "blade", draw)

    assert [played(track) for track in after.tracks] == [played(track) for track in timeline.tracks]


@settings(deadline=None)
@given(firsts, edits, draws)
def test_a_trim_leaves_the_rest_of_what_is_seen(
    timeline: Timeline, sequence_of_edits: list[tuple[str, Draw]], draw: Draw
) -> None:
    for name, number in sequence_of_edits:
        timeline = attempt(timeline, name, number)

    after = attempt(timeline, "trim", draw)

    for new, old in zip(after.tracks, timeline.tracks, strict=True):
        shorter, longer = sorted((set(played(new)), set(played(old))), key=len)
        assert shorter <= longer


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), draws)
def test_durations_add_up(lengths: list[int], draw: Draw) -> None:
    timeline = sequence(*lengths)
    clip = timeline.find(draw.clip(timeline))

    assert timeline.length == sum(lengths)
    assert ripple_delete(timeline, [clip.id]).length == sum(lengths) - clip.length
    assert (
        insert(timeline, material("new", draw.other), draw.frame % (sum(lengths) + 1)).length
        == sum(lengths) + draw.other
    )
    for edge in Edge:
        limits = trim_limits(timeline, clip.id, edge, ripple=True)
        frame = limits.lowest + draw.frame % (limits.highest - limits.lowest + 1)
        after = ripple_trim(timeline, clip.id, edge, frame)
        kept = frame - clip.start if edge is Edge.END else clip.stop - frame
        assert after.length == sum(lengths) - clip.length + kept


@settings(deadline=None)
@given(st.integers(1, 6), draws)
def test_a_clip_with_handles_slips_by_all_of_them_and_back(num_clips: int, draw: Draw) -> None:
    timeline = trimmed_sequence(num_clips)
    clip = timeline.find(draw.clip(timeline))
    before, after = frames_before(timeline, clip), frames_after(timeline, clip)

    there = slip(slip(timeline, clip.id, after), clip.id, -before - after)

    assert frames_before(there, there.find(clip.id)) == 0
    assert slip(there, clip.id, before) == timeline


@settings(deadline=None, max_examples=50)
@given(firsts, edits)
def test_undo_and_redo_return_the_identical_values(
    timeline: Timeline, sequence_of_edits: list[tuple[str, Draw]]
) -> None:
    state = TimelineState()
    state.load(timeline)
    seen = [timeline]
    for name, draw in sequence_of_edits:
        state.edit(name, EDITS[name], draw)
        if state.timeline.value is not seen[-1]:
            seen.append(state.timeline.value)

    for value in reversed(seen):
        assert state.timeline.value is value
        state.stack.undo()
    for value in seen:
        assert state.timeline.value is value
        state.stack.redo()


def test_a_refused_edit_is_said_and_leaves_no_step() -> None:
    state = TimelineState()
    said: list[str] = []
    state.refused.connect(said.append)

    assert not state.edit("cut", blade, 5)

    assert said and state.stack.count() == 0


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edit_that_is_refused_or_changes_nothing_returns_the_very_same_value(name: str) -> None:
    empty = sequence()

    after = attempt(empty, name, Draw(0, 0, 1, flag=False))

    assert after is empty or after != empty
