"""Where things are on the timeline. Alone: `pytest tests/ltx_studio/ui/test_timeline_geometry.py`."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.timecode import TimeUnit
from ltx_studio.domain.timeline import Edge, TrackKind, empty_timeline
from ltx_studio.domain.timeline_details import add_marker, add_track, mark_range
from ltx_studio.domain.timeline_edits import delete, slip
from ltx_studio.domain.timeline_placing import append
from ltx_studio.ui.timeline_geometry import (
    EDGE_PIXELS,
    MAX_PIXELS_PER_FRAME,
    SNAP_PIXELS,
    SnapKind,
    SnapPoint,
    Target,
    View,
    group_starts,
    hit_lanes,
    hit_ruler,
    lanes_of,
    scale_of,
    snap_points,
    snap_shift,
    snapped,
    snapped_move,
    ticks_between,
)
from tests.fakes.timelines import RATE, material, picture, sequence, sound, trimmed_sequence

views = st.builds(View, st.floats(0, 1e5), st.floats(1e-3, MAX_PIXELS_PER_FRAME), st.integers(1, 4000))
frames = st.integers(0, 10**6)


# --- frames and pixels ------------------------------------------------------------------------------------------------


@given(views, frames)
def test_a_frame_is_found_again_at_its_pixel_at_every_zoom(view: View, frame: int) -> None:
    assert view.frame_at(view.x_of(frame)) == frame
    assert view.boundary_at(view.x_of(frame)) == frame
    assert view.frame_at(view.x_of(frame + 0.5)) == frame


@given(views, st.floats(0.05, 20), st.floats(0, 4000))
def test_zooming_keeps_what_is_under_the_mouse(view: View, factor: float, x: float) -> None:
    after = view.zoomed(factor, x)

    assert after.first == 0 or after.position_at(x) == pytest.approx(view.position_at(x), abs=1e-3)
    assert after.pixels_per_frame <= MAX_PIXELS_PER_FRAME


@given(views, st.integers(0, 10**5))
def test_a_fitted_timeline_is_seen_whole(view: View, length: int) -> None:
    after = view.fitted(length, RATE)

    assert after.first == 0 and after.last >= min(length, view.width * 1000) * 0.999


@given(views, frames)
def test_showing_a_frame_brings_it_into_sight(view: View, frame: int) -> None:
    after = view.resized(max(view.width, 200)).showing(frame)

    assert after.first <= frame < after.last


def test_showing_a_frame_that_is_seen_moves_nothing() -> None:
    view = View(10, 4, 400)

    assert view.showing(50) is view


def test_scrolling_ends_at_both_sides() -> None:
    view = View(0, 4, 400)

    assert view.scrolled(-10, 1000).first == 0
    assert view.scrolled(5000, 1000).first == 950
    assert view.scrolled(5000, 20).first == 0


# --- hits -------------------------------------------------------------------------------------------------------------


class Grid:
    """A timeline at four pixels a frame, to be pointed at."""

    def __init__(self, *lengths: int) -> None:
        self.timeline = sequence(*lengths)
        self.view = View(0, 4, 1000)
        self.lanes = lanes_of(self.timeline)

    def at(self, x: float, lane: int = 0) -> tuple[Target, int | None, Edge | None]:
        hit = hit_lanes(self.timeline, self.view, self.lanes, x, self.lanes[lane].top + 10)
        return hit.target, hit.clip_id, hit.edge


def test_an_edge_is_hit_before_the_clip_it_belongs_to() -> None:
    grid = Grid(50)
    clip = picture(grid.timeline, 0)

    assert grid.at(3) == (Target.EDGE, clip, Edge.START)
    assert grid.at(EDGE_PIXELS + 1) == (Target.CLIP, clip, None)
    assert grid.at(197) == (Target.EDGE, clip, Edge.END)
    assert grid.at(203) == (Target.EDGE, clip, Edge.END)  # from outside as well
    assert grid.at(230)[0] is Target.LANE


def test_of_two_edges_that_touch_the_one_on_the_mouses_side_is_hit() -> None:
    grid = Grid(50, 50)

    assert grid.at(198) == (Target.EDGE, picture(grid.timeline, 0), Edge.END)
    assert grid.at(201) == (Target.EDGE, picture(grid.timeline, 1), Edge.START)


def test_a_narrow_clip_can_still_be_grabbed_in_its_middle() -> None:
    grid = Grid(3, 50)

    assert grid.at(6) == (Target.CLIP, picture(grid.timeline, 0), None)
    assert grid.at(1)[2] is Edge.START and grid.at(11)[2] is Edge.END


def test_the_lane_of_the_sound_has_the_sound() -> None:
    grid = Grid(50)

    assert grid.at(100, lane=1) == (Target.CLIP, sound(grid.timeline, 0), None)


def test_between_two_clips_there_is_a_gap_and_between_lanes_nothing() -> None:
    grid = Grid(50, 50, 50)
    grid.timeline = delete(grid.timeline, [picture(grid.timeline, 1)])

    assert grid.at(300)[0] is Target.GAP
    assert hit_lanes(grid.timeline, grid.view, grid.lanes, 300, 1).target is Target.NOTHING


def test_in_the_ruler_a_marker_is_hit_before_a_mark_and_that_before_the_ruler() -> None:
    timeline = mark_range(add_marker(sequence(100), 20), 21, 60)
    view = View(0, 4, 1000)

    assert hit_ruler(timeline, view, 81).target is Target.MARKER
    assert hit_ruler(timeline, view, 88).target is Target.IN
    assert hit_ruler(timeline, view, 239).target is Target.OUT
    assert hit_ruler(timeline, view, 150).target is Target.RULER


# --- snapping ---------------------------------------------------------------------------------------------------------


def test_everything_that_stands_still_attracts() -> None:
    timeline = mark_range(add_marker(sequence(50, 50), 33), 10, 90)

    points = {point.frame: point.kind for point in snap_points(timeline, playhead=70)}

    assert points == {
        0: SnapKind.EDGE,
        50: SnapKind.EDGE,
        100: SnapKind.EDGE,
        70: SnapKind.PLAYHEAD,
        10: SnapKind.MARK,
        90: SnapKind.MARK,
        33: SnapKind.MARKER,
    }


def test_what_is_dragged_does_not_attract_itself() -> None:
    timeline = sequence(50, 50)
    group = [clip.id for clip in timeline.linked(picture(timeline, 1))]

    assert [point.frame for point in snap_points(timeline, without=group)] == [0, 50]


def test_a_point_attracts_within_a_few_pixels() -> None:
    points = (SnapPoint(50, SnapKind.EDGE),)
    view = View(0, 4, 1000)

    assert snapped(points, view, 50 + SNAP_PIXELS / 4) == points[0]
    assert snapped(points, view, 50.1 + SNAP_PIXELS / 4) is None


def test_anything_else_within_reach_wins_over_a_latent_group() -> None:
    points = (SnapPoint(49, SnapKind.GROUP), SnapPoint(51, SnapKind.MARKER))

    assert snapped(points, View(0, 4, 1000), 49.2) == points[1]


def test_of_several_edges_that_move_the_nearest_attraction_counts() -> None:
    points = (SnapPoint(100, SnapKind.EDGE), SnapPoint(151, SnapKind.MARKER))
    view = View(0, 4, 1000)

    found = snapped_move(points, view, [10, 60], 90.6)  # they would be at 100.6 and 150.6

    assert found == points[1]
    assert snap_shift(points[1], [10, 60], 90.6) == 91


def test_latent_groups_begin_at_one_and_then_every_eight_frames_of_the_medium() -> None:
    clip = sequence(40).find(picture(sequence(40), 0))

    assert list(group_starts(clip, RATE)) == [0, 1, 9, 17, 25, 33]


def test_latent_groups_move_with_what_a_clip_shows() -> None:
    timeline = trimmed_sequence(1, length=24, handle=24)
    clip_id = picture(timeline, 0)

    assert list(group_starts(timeline.find(clip_id), RATE)) == [1, 9, 17]  # its frames 25, 33 and 41
    assert list(group_starts(slip(timeline, clip_id, 1).find(clip_id), RATE)) == [0, 8, 16]


def test_latent_groups_of_another_rate_lie_where_they_are_first_seen() -> None:
    rate = FrameRate(Fraction(25))
    timeline = append(empty_timeline(rate), material("fast", 100, FrameRate(Fraction(50))))

    assert list(group_starts(timeline.find(picture(timeline, 0)), rate, FrameRange(0, 20))) == [0, 1, 5, 9, 13, 17]


# --- the ruler --------------------------------------------------------------------------------------------------------


@given(
    st.floats(0.001, MAX_PIXELS_PER_FRAME),
    st.sampled_from([FrameRate.parse(text) for text in ("24", "23.976", "25", "29.97", "50")]),
    st.sampled_from(list(TimeUnit)),
)
def test_labels_never_touch_and_lines_can_be_told_apart(scale: float, rate: FrameRate, unit: TimeUnit) -> None:
    view = View(0, scale, 1000)
    found = scale_of(view, rate, unit)

    is_at_end = float(found.label_step) >= 10 * 3600 * float(rate.value) - 1
    assert is_at_end or float(found.label_step) * scale >= 80
    assert float(found.tick_step) * scale >= 5 or found.tick_step == found.label_step
    assert (found.label_step / found.tick_step).denominator == 1


def test_timecode_has_its_labels_at_whole_seconds_and_lines_at_frames() -> None:
    scale = scale_of(View(0, 4, 1000), FrameRate.parse(23.976), TimeUnit.TIMECODE)

    ticks = list(ticks_between(scale, 0, 48))

    assert [tick.frame for tick in ticks if tick.is_labelled] == [0, 24, 48]
    assert ticks[1].frame == 2


def test_seconds_have_their_labels_at_true_seconds() -> None:
    scale = scale_of(View(0, 4, 1000), FrameRate.parse(23.976), TimeUnit.SECONDS)

    labelled = [tick.position for tick in ticks_between(scale, 0, 30) if tick.is_labelled]

    assert labelled[1] == pytest.approx(24000 / 1001)


def test_the_ruler_begins_with_the_label_before_what_is_seen() -> None:
    scale = scale_of(View(0, 4, 1000), RATE, TimeUnit.FRAMES)

    assert next(ticks_between(scale, 70, 100)).position == 50


def test_lanes_are_in_the_order_of_the_tracks() -> None:
    lanes = lanes_of(add_track(sequence(10), TrackKind.SOUND))

    assert [lane.kind for lane in lanes] == [TrackKind.PICTURE, TrackKind.SOUND, TrackKind.SOUND]
    assert all(above.bottom < below.top for above, below in pairwise(lanes))
