"""Cutting, one edit at a time. Alone: `pytest tests/ltx_studio/domain/test_timeline_edits.py`."""

from dataclasses import replace
from fractions import Fraction

import pytest

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.timeline import Edge, EditRefused, Take, TrackKind, empty_timeline
from ltx_studio.domain.timeline_details import (
    add_marker,
    add_track,
    set_locked,
)
from ltx_studio.domain.timeline_edits import (
    Limits,
    blade,
    clear_range,
    close_gap,
    delete,
    move,
    ripple_delete,
    ripple_trim,
    roll,
    slip,
    slip_limits,
    trim,
    trim_limits,
)
from ltx_studio.domain.timeline_placing import Material, append, insert, overwrite
from tests.fakes.timelines import RATE, material, media, picture, sequence, sound, spans, trimmed_sequence

SECOND = Fraction(1, 24)


def test_a_new_clip_brings_its_sound_linked_to_its_picture() -> None:
    timeline = sequence(121)

    assert spans(timeline) == spans(timeline, TrackKind.SOUND) == [("a", 0, 121)]
    assert {clip.id for clip in timeline.linked(picture(timeline, 0))} == {picture(timeline, 0), sound(timeline, 0)}


def test_a_silent_clip_leaves_the_sound_track_empty() -> None:
    timeline = append(empty_timeline(RATE), material(has_sound=False))

    assert spans(timeline, TrackKind.SOUND) == []


def test_a_clip_of_another_rate_is_as_long_as_its_whole_frames_here() -> None:
    ntsc = FrameRate.parse(29.97)

    timeline = append(empty_timeline(FrameRate.parse(25)), material("b", 100, ntsc))

    assert timeline.length == 83  # 100 frames of 29.97 last 3.3367 s, 83.4 frames of 25


def test_a_frame_of_the_timeline_shows_the_frame_of_the_medium_that_has_begun() -> None:
    timeline = append(empty_timeline(FrameRate.parse(25)), material("b", 100, FrameRate.parse(50)))
    clip = timeline.find(picture(timeline, 0))

    assert [clip.media_frame(frame, timeline.rate) for frame in (0, 1, 10, 49)] == [0, 2, 20, 98]


# --- blade ------------------------------------------------------------------------------------------------------------


def test_the_blade_cuts_picture_and_sound_and_links_the_halves_anew() -> None:
    timeline = blade(sequence(121), 40)

    assert spans(timeline) == spans(timeline, TrackKind.SOUND) == [("a", 0, 40), ("a", 40, 121)]
    assert timeline.find(picture(timeline, 1)).source_start == 40 * SECOND
    assert {clip.id for clip in timeline.linked(picture(timeline, 1))} == {picture(timeline, 1), sound(timeline, 1)}


def test_the_left_half_of_a_cut_clip_keeps_its_id() -> None:
    before = sequence(121)

    assert picture(blade(before, 40), 0) == picture(before, 0)


@pytest.mark.parametrize("frame", [0, 121, 500])
def test_the_blade_finds_nothing_at_an_edge(frame: int) -> None:
    with pytest.raises(EditRefused, match="nothing to cut"):
        blade(sequence(121), frame)


def test_the_blade_passes_locked_tracks() -> None:
    timeline = sequence(121)
    locked = set_locked(timeline, timeline.tracks[1].id, True)

    after = blade(locked, 40)

    assert len(spans(after)) == 2 and len(spans(after, TrackKind.SOUND)) == 1
    assert after.find(picture(after, 1)).link is None


# --- trim -------------------------------------------------------------------------------------------------------------


def test_trimming_an_end_takes_the_linked_sound_along() -> None:
    before = sequence(121)

    after = trim(before, picture(before, 0), Edge.END, 100)

    assert spans(after) == spans(after, TrackKind.SOUND) == [("a", 0, 100)]


def test_trimming_a_start_leaves_what_is_shown_where_it_was() -> None:
    before = sequence(121)

    after = trim(before, picture(before, 0), Edge.START, 30)

    clip = after.find(picture(after, 0))
    assert (clip.start, clip.length, clip.source_start) == (30, 91, 30 * SECOND)
    assert clip.media_frame(50, RATE) == 50


def test_trimming_back_gives_the_equal_timeline() -> None:
    before = sequence(121)

    there = trim(before, picture(before, 0), Edge.START, 30)

    assert trim(there, picture(there, 0), Edge.START, 0) == before


def test_a_trim_reaches_as_far_as_the_medium_and_no_neighbour() -> None:
    timeline = trimmed_sequence(3)  # handles of 24 frames, but the neighbours touch

    assert trim_limits(timeline, picture(timeline, 1), Edge.START) == Limits(24, 47)
    assert trim_limits(timeline, picture(timeline, 1), Edge.END) == Limits(25, 48)
    assert trim_limits(timeline, picture(timeline, 1), Edge.START, ripple=True) == Limits(0, 47)
    assert trim_limits(timeline, picture(timeline, 2), Edge.END) == Limits(49, 96)


def test_a_trim_beyond_the_medium_is_refused() -> None:
    timeline = sequence(121)

    with pytest.raises(EditRefused, match="cannot reach"):
        trim(timeline, picture(timeline, 0), Edge.END, 122)


def test_a_trim_to_nothing_is_refused() -> None:
    timeline = sequence(121)

    with pytest.raises(EditRefused, match="at least one frame"):
        trim(timeline, picture(timeline, 0), Edge.END, 0)


def test_a_trim_to_where_the_edge_is_returns_the_very_same_timeline() -> None:
    timeline = sequence(121, 50)

    assert trim(timeline, picture(timeline, 0), Edge.END, 121) is timeline


def test_a_ripple_trim_of_an_end_closes_up() -> None:
    before = sequence(121, 50)

    after = ripple_trim(before, picture(before, 0), Edge.END, 100)

    assert spans(after) == spans(after, TrackKind.SOUND) == [("a", 0, 100), ("b", 100, 150)]


def test_a_ripple_trim_of_a_start_keeps_the_clip_where_it_begins() -> None:
    before = sequence(20, 121, 50)

    after = ripple_trim(before, picture(before, 1), Edge.START, 30)

    assert spans(after) == [("a", 0, 20), ("b", 20, 131), ("c", 131, 181)]
    assert after.find(picture(after, 1)).source_start == 10 * SECOND


def test_a_ripple_trim_makes_room_where_it_grows() -> None:
    before = trimmed_sequence(2)

    longer = ripple_trim(before, picture(before, 0), Edge.END, 30)
    earlier = ripple_trim(before, picture(before, 1), Edge.START, 20)

    assert spans(longer) == [("a", 0, 30), ("b", 30, 54)]
    assert spans(earlier) == [("a", 0, 24), ("b", 24, 52)]
    assert earlier.find(picture(earlier, 1)).source_start == 20 * SECOND


def test_a_ripple_trim_takes_later_markers_along() -> None:
    before = add_marker(add_marker(sequence(121, 50), 130, "cut"), 110, "inside")

    after = ripple_trim(before, picture(before, 0), Edge.END, 100)

    assert [(marker.name, marker.frame) for marker in after.markers] == [("inside", 100), ("cut", 109)]


def test_a_roll_moves_the_cut_alone() -> None:
    before = trimmed_sequence(2)

    after = roll(before, picture(before, 0), 30)

    assert spans(after) == spans(after, TrackKind.SOUND) == [("a", 0, 30), ("b", 30, 48)]
    assert after.find(picture(after, 1)).source_start == 30 * SECOND


def test_a_roll_beyond_what_a_clip_has_is_refused() -> None:
    timeline = sequence(50, 50)

    with pytest.raises(EditRefused, match="cannot go there"):
        roll(timeline, picture(timeline, 0), 51)


# --- slip and move ----------------------------------------------------------------------------------------------------


def test_a_slip_changes_what_is_shown_and_nothing_else() -> None:
    before = trimmed_sequence(2)

    after = slip(before, picture(before, 0), 10)

    assert spans(after) == spans(before)
    assert after.find(picture(after, 0)).source_start == after.find(sound(after, 0)).source_start == 34 * SECOND


def test_a_slip_ends_where_the_medium_does() -> None:
    timeline = trimmed_sequence(2)

    assert slip_limits(timeline, picture(timeline, 0)) == Limits(-24, 24)
    with pytest.raises(EditRefused, match="medium ends"):
        slip(timeline, picture(timeline, 0), 25)


def test_a_move_takes_the_sound_along() -> None:
    before = sequence(50)

    after = move(before, [picture(before, 0)], 10)

    assert spans(after) == spans(after, TrackKind.SOUND) == [("a", 10, 60)]


def test_a_move_onto_another_clip_is_refused_unless_it_overwrites() -> None:
    before = sequence(50, 50)

    with pytest.raises(EditRefused, match="run into"):
        move(before, [picture(before, 0)], 60)
    after = move(before, [picture(before, 0)], 60, overwrite=True)

    assert spans(after) == spans(after, TrackKind.SOUND) == [("b", 50, 60), ("a", 60, 110)]


def test_a_move_into_the_middle_of_a_long_clip_leaves_both_its_ends() -> None:
    before = sequence(10, 100)

    after = move(before, [picture(before, 0)], 50, overwrite=True)

    assert spans(after) == [("b", 10, 50), ("a", 50, 60), ("b", 60, 110)]
    assert after.find(picture(after, 2)).source_start == 50 * SECOND


def test_a_move_before_the_beginning_is_refused() -> None:
    timeline = sequence(50)

    with pytest.raises(EditRefused, match="before the timeline"):
        move(timeline, [picture(timeline, 0)], -1)


def test_a_clip_moves_to_another_track_of_its_kind_alone() -> None:
    before = add_track(sequence(50), TrackKind.PICTURE)
    clip_id = next(clip.id for clip in before.tracks[1].clips)

    after = move(before, [clip_id], 5, lanes=-1)

    assert [(track.name, [c.start for c in track.clips]) for track in after.tracks] == [
        ("V2", [5]),
        ("V1", []),
        ("A1", [5]),
    ]


def test_moving_two_neighbours_keeps_them_together() -> None:
    before = sequence(50, 50, 50)

    after = move(before, [picture(before, 1), picture(before, 2)], 20)

    assert spans(after) == [("a", 0, 50), ("b", 70, 120), ("c", 120, 170)]


def test_what_is_on_a_locked_track_cannot_be_moved() -> None:
    timeline = sequence(50)
    locked = set_locked(timeline, timeline.tracks[1].id, True)

    with pytest.raises(EditRefused, match="A1 is locked"):
        move(locked, [picture(locked, 0)], 5)


# --- delete -----------------------------------------------------------------------------------------------------------


def test_delete_leaves_a_gap_and_ripple_delete_closes_it() -> None:
    before = sequence(50, 30, 40)

    lifted = delete(before, [picture(before, 1)])
    closed = ripple_delete(before, [picture(before, 1)])

    assert spans(lifted) == [("a", 0, 50), ("c", 80, 120)]
    assert spans(closed) == spans(closed, TrackKind.SOUND) == [("a", 0, 50), ("c", 50, 90)]


def test_ripple_delete_of_several_clips_closes_each_gap() -> None:
    before = sequence(50, 30, 40, 20, 10)

    after = ripple_delete(before, [picture(before, 3), picture(before, 1)])

    assert spans(after) == spans(after, TrackKind.SOUND) == [("a", 0, 50), ("c", 50, 90), ("e", 90, 100)]


def test_a_gap_can_be_closed() -> None:
    before = sequence(50, 30, 40)
    lifted = delete(before, [picture(before, 1)])

    assert close_gap(lifted, lifted.tracks[0].id, 60) == ripple_delete(before, [picture(before, 1)])


def test_there_is_no_gap_in_a_clip_nor_after_the_last() -> None:
    timeline = sequence(50)

    for frame in (10, 50):
        with pytest.raises(EditRefused, match="no gap"):
            close_gap(timeline, timeline.tracks[0].id, frame)


def test_a_ripple_is_refused_where_a_clip_of_another_track_is_in_the_way() -> None:
    timeline = append(add_track(sequence(50, 50), TrackKind.SOUND), material("music", 20, has_picture=False))
    music = next(clip for clip in timeline.clips() if clip.name == "music")
    there = move(timeline, [music.id], -95, lanes=1)  # 5 to 25
    there = insert(there, material("end", 10, has_picture=False), 100, sound_track=there.tracks[2].id)
    there = move(there, [there.tracks[2].clips[1].id], -75)  # right after the music, 25 to 35

    with pytest.raises(EditRefused, match="on A2 would run into"):
        ripple_trim(there, picture(there, 0), Edge.START, 20)


def test_what_is_marked_can_be_lifted_and_cut_out() -> None:
    timeline = sequence(50, 50)

    assert spans(clear_range(timeline, FrameRange(40, 60))) == [("a", 0, 40), ("b", 60, 100)]
    assert spans(clear_range(timeline, FrameRange(40, 60), ripple=True)) == [("a", 0, 40), ("b", 40, 80)]


# --- insert and overwrite ---------------------------------------------------------------------------------------------


def test_an_insert_cuts_what_is_there_and_moves_the_rest() -> None:
    after = insert(sequence(50, 20), material("new", 10), 30)

    assert (
        spans(after) == spans(after, TrackKind.SOUND) == [("a", 0, 30), ("new", 30, 40), ("a", 40, 60), ("b", 60, 80)]
    )


def test_an_overwrite_moves_nothing() -> None:
    after = overwrite(sequence(50, 20), material("new", 10), 45)

    assert spans(after) == [("a", 0, 45), ("new", 45, 55), ("b", 55, 70)]


def test_an_overwrite_of_the_picture_alone_leaves_the_sound() -> None:
    after = overwrite(sequence(50), material("still", 10, has_sound=False), 20)

    assert spans(after, TrackKind.SOUND) == [("a", 0, 50)]
    assert after.find(picture(after, 2)).link is None


def test_a_part_of_a_medium_can_be_placed() -> None:
    part = replace(material("new", 100), source_start=Fraction(1), length=12)

    after = append(sequence(50), part)

    assert spans(after)[-1] == ("new", 50, 62)
    assert after.find(picture(after, 1)).media_frame(50, RATE) == 24


def test_more_than_a_medium_has_cannot_be_placed() -> None:
    with pytest.raises(EditRefused, match="does not last"):
        append(sequence(50), Material("new", (Take(media("new", 10)),), length=11))


def test_a_medium_needs_a_track_of_its_kind_that_is_open() -> None:
    timeline = sequence(50)
    locked = set_locked(timeline, timeline.tracks[1].id, True)

    with pytest.raises(EditRefused, match="A1 is locked"):
        append(locked, material("new", 10))
