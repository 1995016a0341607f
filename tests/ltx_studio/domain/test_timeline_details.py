"""Marks, takes and tracks, one edit at a time. Alone: `pytest tests/ltx_studio/domain/test_timeline_details.py`."""

from fractions import Fraction
from pathlib import Path

import pytest

from engine.types import FrameRange
from ltx_studio.domain.timeline import Edge, EditRefused, Take, TrackKind
from ltx_studio.domain.timeline_details import (
    add_marker,
    add_take,
    add_track,
    choose_take,
    link,
    mark_range,
    rate_take,
    relink,
    remove_take,
    remove_track,
    set_gain,
    set_in,
    set_muted,
    set_out,
    unlink,
)
from ltx_studio.domain.timeline_edits import (
    Limits,
    move,
    trim,
    trim_limits,
)
from ltx_studio.domain.timeline_placing import overwrite
from tests.fakes.timelines import RATE, material, media, picture, sequence, sound, spans

# --- marks and takes --------------------------------------------------------------------------------------------------


def test_a_mark_that_would_turn_the_range_around_takes_the_other_one_away() -> None:
    timeline = set_out(set_in(sequence(50), 10), 20)

    assert timeline.marked == FrameRange(10, 20)
    assert set_in(timeline, 30).marked == FrameRange(30, 50)
    assert set_out(timeline, 5).marked == FrameRange(0, 5)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(EditRefused, match="empty"):
        mark_range(sequence(50), 10, 10)


def test_a_frame_has_one_marker() -> None:
    timeline = add_marker(sequence(50), 10, "hit")

    assert add_marker(timeline, 10) is timeline
    assert [marker.name for marker in add_marker(timeline, 10, "bang").markers] == ["bang"]


def test_a_new_take_is_shown_in_picture_and_sound_and_the_old_one_stays() -> None:
    before = sequence(50)
    take = Take(media("again", 50), seam_score=0.2)

    after = add_take(before, picture(before, 0), take)

    clips = after.linked(picture(after, 0))
    assert [clip.take for clip in clips] == [take, take]
    assert all(len(clip.takes) == 2 for clip in clips)
    assert choose_take(after, picture(after, 0), 0).find(picture(after, 0)).media.path == Path("a.mp4")


def test_a_take_that_is_too_short_for_the_cut_is_refused() -> None:
    timeline = sequence(50)

    with pytest.raises(EditRefused, match="too short"):
        add_take(timeline, picture(timeline, 0), Take(media("again", 49)))


def test_a_take_that_was_extended_at_its_start_leaves_room_before() -> None:
    timeline = move(sequence(50), [picture(sequence(50), 0)], 48)
    extended = Take(media("longer", 98), offset=Fraction(2))

    after = add_take(timeline, picture(timeline, 0), extended)

    assert after.find(picture(after, 0)).media_frame(48, RATE) == 48
    assert trim_limits(after, picture(after, 0), Edge.START) == Limits(0, 97)


def test_the_shown_take_cannot_be_removed() -> None:
    timeline = add_take(sequence(50), picture(sequence(50), 0), Take(media("again", 50)))

    with pytest.raises(EditRefused, match="is shown"):
        remove_take(timeline, picture(timeline, 0), 1)
    after = remove_take(timeline, picture(timeline, 0), 0)
    assert [take.media.path.name for take in after.find(picture(after, 0)).takes] == ["again.mp4"]


def test_a_rating_is_of_the_take_on_every_track() -> None:
    timeline = sequence(50)

    after = rate_take(timeline, picture(timeline, 0), 0, 4)

    assert [clip.take.rating for clip in after.clips()] == [4, 4]


def test_a_lost_file_is_replaced_by_one_that_is_long_enough() -> None:
    timeline = sequence(50)

    after = relink(timeline, Path("a.mp4"), media("found", 60))

    assert {clip.media.path.name for clip in after.clips()} == {"found.mp4"}
    with pytest.raises(EditRefused, match="too short"):
        relink(timeline, Path("a.mp4"), media("found", 40))


# --- clips and tracks -------------------------------------------------------------------------------------------------


def test_unlinked_clips_are_trimmed_apart() -> None:
    timeline = sequence(50)
    apart = unlink(timeline, picture(timeline, 0))

    after = trim(apart, picture(apart, 0), Edge.END, 40)

    assert (spans(after)[0][2], spans(after, TrackKind.SOUND)[0][2]) == (40, 50)
    again = link(after, [picture(after, 0), sound(after, 0)])
    assert len(again.linked(picture(again, 0))) == 2


def test_the_gain_of_a_picture_is_that_of_its_sound() -> None:
    timeline = sequence(50)

    after = set_gain(timeline, picture(timeline, 0), -6.0)

    assert [clip.gain_db for clip in after.clips()] == [0.0, -6.0]


def test_a_muted_picture_track_shows_what_is_below_it() -> None:
    timeline = add_track(sequence(50), TrackKind.PICTURE)
    timeline = overwrite(timeline, material("top", 50, has_sound=False), 0, picture_track=timeline.tracks[0].id)

    shown = timeline.shown_at(10)
    beneath = set_muted(timeline, timeline.tracks[0].id, True).shown_at(10)

    assert shown is not None and shown.name == "top"
    assert beneath is not None and beneath.name == "a"


def test_a_removed_track_renumbers_the_others_and_the_last_one_stays() -> None:
    timeline = add_track(add_track(sequence(50), TrackKind.PICTURE), TrackKind.PICTURE)

    after = remove_track(timeline, timeline.tracks[1].id)

    assert [track.name for track in after.tracks] == ["V2", "V1", "A1"]
    with pytest.raises(EditRefused, match="only"):
        remove_track(sequence(50), sequence(50).tracks[0].id)
