"""The timeline by keys: commands, and typed times. Alone: `pytest tests/ltx_studio/ui/test_timeline_keys.py`."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from ltx_studio.domain.timecode import TimeUnit
from ltx_studio.domain.timeline_details import add_marker, mark_range
from ltx_studio.domain.timeline_edits import delete
from tests.fakes.studio import OFFSCREEN_REMARK
from tests.fakes.timeline_panel import TimelineBench
from tests.fakes.timelines import sequence, trimmed_sequence

POPUP_REMARK = "does not support grabbing the keyboard"
pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK, POPUP_REMARK)

CTRL, SHIFT, ALT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def bench(qapp: QApplication, qtbot: QtBot) -> Iterator[TimelineBench]:
    bench = TimelineBench(qapp, qtbot)
    yield bench
    bench.close()


# --- keys instead of the mouse ----------------------------------------------------------------------------------------


def test_q_and_w_trim_to_the_playhead_and_close_up(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))
    bench.state.playhead.value = 10

    bench.key(Qt.Key.Key_Q)

    assert bench.spans() == [("a", 0, 40), ("b", 40, 90)]
    assert bench.state.playhead.value == 0
    bench.state.playhead.value = 30
    bench.key(Qt.Key.Key_W)
    assert bench.spans() == [("a", 0, 30), ("b", 30, 80)]


def test_shift_w_leaves_a_gap(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))
    bench.state.playhead.value = 30

    bench.key(Qt.Key.Key_W, SHIFT)

    assert bench.spans() == [("a", 0, 30), ("b", 50, 100)]


def test_delete_leaves_a_gap_and_shift_delete_closes_it(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))
    bench.click(20)

    bench.key(Qt.Key.Key_Delete)
    assert bench.spans() == [("b", 50, 100)]
    bench.key(Qt.Key.Key_Z, CTRL)
    bench.click(20)
    bench.key(Qt.Key.Key_Delete, SHIFT)

    assert bench.spans() == [("b", 0, 50)]
    assert bench.undo_text() == "Undo ripple delete"


def test_a_selected_gap_is_closed_by_delete(bench: TimelineBench) -> None:
    before = sequence(50, 50)
    bench.load(delete(before, [before.tracks[0].clips[0].id]))

    bench.click(20)
    bench.key(Qt.Key.Key_Delete)

    assert bench.spans() == [("b", 0, 50)]
    assert bench.undo_text() == "Undo close gap"


def test_delete_without_a_selection_is_about_the_marked_range(bench: TimelineBench) -> None:
    bench.load(mark_range(sequence(50, 50), 40, 60))

    bench.key(Qt.Key.Key_Delete, SHIFT)

    assert bench.spans() == [("a", 0, 40), ("b", 40, 80)]


def test_a_nudge_that_is_repeated_is_one_step_of_undo(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    before = bench.timeline
    bench.click(20)

    for _ in range(5):
        bench.key(Qt.Key.Key_Right, ALT)
    assert bench.spans() == [("a", 5, 55)]
    bench.key(Qt.Key.Key_Z, CTRL)

    assert bench.timeline is before


def test_slipping_and_rolling_have_keys(bench: TimelineBench) -> None:
    bench.load(trimmed_sequence(2))
    bench.state.playhead.value = 30

    bench.key(Qt.Key.Key_E)
    bench.key(Qt.Key.Key_Left, CTRL | ALT)

    assert bench.spans() == [("a", 0, 30), ("b", 30, 48)]
    assert bench.timeline.find(bench.picture_id(1)).media_frame(30, bench.timeline.rate) == 29


def test_up_and_down_go_from_edit_to_edit(bench: TimelineBench) -> None:
    bench.load(add_marker(sequence(50, 50), 70))
    seen: list[int] = []

    for _ in range(3):
        bench.key(Qt.Key.Key_Down)
        seen.append(bench.state.playhead.value)
    bench.key(Qt.Key.Key_Up)

    assert (seen, bench.state.playhead.value) == ([50, 70, 99], 70)


def test_marks_and_markers_have_keys(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    bench.state.playhead.value = 10

    bench.key(Qt.Key.Key_I)
    bench.key(Qt.Key.Key_M)
    bench.state.playhead.value = 30
    bench.key(Qt.Key.Key_O)

    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (10, 31)
    assert [marker.frame for marker in bench.timeline.markers] == [10]


def test_what_cannot_be_done_is_said(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    bench.key(Qt.Key.Key_B, CTRL)

    assert bench.said == [
        "There is nothing to cut here. Put the playhead inside a clip, not at its edge, and cut again."
    ]


def test_a_hundred_and_fifty_steps_are_undone_and_redone_by_name(bench: TimelineBench) -> None:
    bench.load(sequence(400))
    values = [bench.timeline]
    for frame in range(1, 151):
        bench.state.edit(f"edit {frame}", add_marker, 2 * frame)
        values.append(bench.timeline)

    for value in reversed(values[:-1]):
        bench.actions["undo"].trigger()
        assert bench.timeline is value
    assert bench.actions["redo"].text() == "Redo edit 1"
    for value in values[1:]:
        bench.actions["redo"].trigger()
        assert bench.timeline is value


# --- times ------------------------------------------------------------------------------------------------------------


def write(field: QWidget, text: str) -> None:
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_A, CTRL)
    if text:
        QTest.keyClicks(field, text)
    else:
        QTest.keyClick(field, Qt.Key.Key_Delete)
    QTest.keyClick(field, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("typed", "frame"), [("12", 12), ("1.5s", 36), ("00:00:01:12", 36), ("+10", 60), ("-5f", 45), ("99999", 199)]
)
def test_the_playhead_goes_where_is_typed(bench: TimelineBench, typed: str, frame: int) -> None:
    bench.load(sequence(200))
    bench.state.playhead.value = 50

    write(bench.panel.position, typed)

    assert bench.state.playhead.value == frame


def test_the_marks_can_be_typed_and_emptied(bench: TimelineBench) -> None:
    bench.load(sequence(200))

    write(bench.panel.mark_in, "1s")
    write(bench.panel.mark_out, "+2s")
    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (24, 49)
    assert bench.panel.mark_out.text() == "00:00:02:00"
    write(bench.panel.mark_in, "")

    assert bench.timeline.mark_in is None


def test_what_is_no_time_is_said_and_the_field_stays(bench: TimelineBench) -> None:
    bench.load(sequence(200))

    write(bench.panel.position, "abc")

    assert "is not a time" in bench.panel.position.accessibleDescription()
    assert bench.state.playhead.value == 0
    QTest.keyClick(bench.panel.position, Qt.Key.Key_Escape)
    assert bench.panel.position.text() == "00:00:00:00"


def test_times_are_shown_in_the_chosen_unit(bench: TimelineBench) -> None:
    bench.load(sequence(200))
    bench.state.playhead.value = 36

    bench.actions["time_unit"].trigger()
    assert bench.panel.position.text() == "36"
    bench.actions["time_unit"].trigger()

    assert bench.panel.position.text() == "1.5s"
    assert bench.screen.unit.value is TimeUnit.SECONDS
