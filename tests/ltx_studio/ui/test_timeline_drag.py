"""What a drag is about to do. Alone: `pytest tests/ltx_studio/ui/test_timeline_drag.py`."""

import pytest

from ltx_studio.domain.timeline import Edge, Timeline, TrackKind
from ltx_studio.domain.timeline_details import add_marker, add_track, mark_range, set_locked
from ltx_studio.ui.timeline_drag import Change, Drag, DragKind, begin_drag, preview
from ltx_studio.ui.timeline_geometry import Hit, Target, View
from tests.fakes.timelines import picture, sequence, spans, trimmed_sequence

VIEW = View(0, 4, 1000)


def grab(
    timeline: Timeline,
    index: int,
    at: float,
    edge: Edge | None = None,
    *,
    ripple: bool = False,
    rolls: bool = False,
    slips: bool = False,
) -> Drag:
    """Begin to drag a clip of the first picture track."""
    target = Target.CLIP if edge is None else Target.EDGE
    clip_id = picture(timeline, index)
    hit = Hit(target, int(at), clip_id, edge, timeline.place_of(clip_id)[0].id)
    drag = begin_drag(timeline, hit, at, ripple=ripple, rolls=rolls, slips=slips)
    assert drag is not None
    return drag


def outcome(timeline: Timeline, change: Change | None) -> Timeline:
    after = preview(timeline, change)
    assert isinstance(after, Timeline), after
    return after


def test_a_clip_moves_by_as_much_as_the_mouse() -> None:
    timeline = sequence(50)

    change = grab(timeline, 0, 10).change(VIEW, 35)

    assert change is not None and change.frames == 25
    assert spans(outcome(timeline, change)) == [("a", 25, 75)]


def test_a_clip_snaps_with_either_of_its_ends() -> None:
    timeline = add_marker(sequence(50), 100)

    start = grab(timeline, 0, 10).change(VIEW, 111)
    end = grab(timeline, 0, 10).change(VIEW, 59)

    assert start is not None and (start.frames, start.snap and start.snap.frame) == (100, 100)
    assert end is not None and (end.frames, end.snap and end.snap.frame) == (50, 100)


def test_snapping_can_be_suspended() -> None:
    timeline = add_marker(sequence(50), 100)

    change = grab(timeline, 0, 10).change(VIEW, 111, is_free=True)

    assert change is not None and (change.frames, change.snap) == (101, None)


def test_a_clip_stops_at_the_beginning() -> None:
    timeline = sequence(50)

    change = grab(timeline, 0, 40).change(VIEW, -500)

    assert change is not None and change.frames == 0


def test_a_clip_lands_on_what_is_there() -> None:
    timeline = sequence(50, 50)

    change = grab(timeline, 0, 0).change(VIEW, 70)

    assert spans(outcome(timeline, change)) == [("b", 50, 70), ("a", 70, 120)]


def test_a_clip_stays_on_its_track_where_there_is_no_other() -> None:
    timeline = sequence(50)

    change = grab(timeline, 0, 0).change(VIEW, 10, lanes=-1)

    assert spans(outcome(timeline, change)) == [("a", 10, 60)]


def test_a_clip_goes_to_the_track_the_mouse_is_on() -> None:
    timeline = add_track(sequence(50), TrackKind.PICTURE)
    clip_id = timeline.tracks[1].clips[0].id
    drag = begin_drag(timeline, Hit(Target.CLIP, 0, clip_id, None, timeline.tracks[1].id), 0)

    after = outcome(timeline, drag.change(VIEW, 0, lanes=-1) if drag else None)

    assert len(after.tracks[0].clips) == 1 and not after.tracks[1].clips


@pytest.mark.parametrize(("to", "stop"), [(20, 20), (-40, 1), (500, 50)])
def test_a_trim_keeps_to_what_is_possible(to: float, stop: int) -> None:
    timeline = sequence(50)

    change = grab(timeline, 0, 50, Edge.END).change(VIEW, to)

    assert spans(outcome(timeline, change)) == [("a", 0, stop)]


def test_a_ripple_trim_closes_up() -> None:
    timeline = sequence(50, 50)

    change = grab(timeline, 0, 50, Edge.END, ripple=True).change(VIEW, 30)

    assert change is not None and change.kind is DragKind.RIPPLE_TRIM
    assert spans(outcome(timeline, change)) == [("a", 0, 30), ("b", 30, 80)]


@pytest.mark.parametrize(("index", "edge"), [(0, Edge.END), (1, Edge.START)])
def test_a_roll_may_begin_on_either_side_of_the_cut(index: int, edge: Edge) -> None:
    timeline = trimmed_sequence(2)

    change = grab(timeline, index, 24, edge, rolls=True).change(VIEW, 34)

    assert spans(outcome(timeline, change)) == [("a", 0, 34), ("b", 34, 48)]


def test_a_slip_shows_what_the_mouse_pulls_in() -> None:
    timeline = trimmed_sequence(1)

    change = grab(timeline, 0, 10, slips=True).change(VIEW, 5)

    assert change is not None and change.frames == 5
    assert outcome(timeline, change).find(picture(timeline, 0)).media_frame(0, timeline.rate) == 29


def test_marks_snap_to_the_latent_groups() -> None:
    timeline = sequence(121)
    drag = Drag(DragKind.MARK_RANGE, timeline, 24.2)

    after = outcome(timeline, drag.change(VIEW, 48.7))

    assert (after.mark_in, after.mark_out) == (25, 49)


def test_a_range_may_be_marked_backwards() -> None:
    timeline = sequence(121)

    after = outcome(timeline, Drag(DragKind.MARK_RANGE, timeline, 60).change(VIEW, 20, is_free=True))

    assert (after.mark_in, after.mark_out) == (20, 60)


def test_a_mark_and_a_marker_can_be_dragged() -> None:
    timeline = mark_range(add_marker(sequence(121), 40), 20, 60)
    marker = begin_drag(timeline, Hit(Target.MARKER, 40, marker_id=timeline.markers[0].id), 40)
    mark = begin_drag(timeline, Hit(Target.OUT, 60), 60)
    assert marker is not None and mark is not None

    assert outcome(timeline, marker.change(VIEW, 80.4)).markers[0].frame == 80
    assert outcome(timeline, mark.change(VIEW, 101.9, is_free=True)).mark_out == 102


def test_nothing_on_a_locked_track_can_be_dragged() -> None:
    timeline = sequence(50)
    locked = set_locked(timeline, timeline.tracks[1].id, True)
    hit = Hit(Target.CLIP, 10, picture(locked, 0), None, locked.tracks[0].id)

    assert begin_drag(locked, hit, 10) is None


def test_a_drag_that_goes_nowhere_is_no_edit() -> None:
    timeline = sequence(50)

    assert outcome(timeline, grab(timeline, 0, 10).change(VIEW, 10)) is timeline
