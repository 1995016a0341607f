"""The timeline with real mouse and key events. Alone: `pytest tests/ltx_studio/ui/test_timeline_panel.py`."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible, QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QMenu, QWidget
from pytestqt.qtbot import QtBot

from ltx_studio.domain.timeline import Take, TrackKind
from ltx_studio.domain.timeline_details import add_take, add_track, mark_range, set_locked
from ltx_studio.domain.timeline_edits import delete
from ltx_studio.ui.theme import LIGHT
from ltx_studio.ui.timeline_screen import Tool
from tests.fakes.studio import OFFSCREEN_REMARK
from tests.fakes.timeline_panel import TimelineBench
from tests.fakes.timelines import media, sequence, trimmed_sequence

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


# --- selecting --------------------------------------------------------------------------------------------------------


def test_a_click_selects_a_clip_and_its_sound(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))

    bench.click(70)

    assert set(bench.state.selection.value) == {bench.picture_id(1), bench.sound_id(1)}


def test_ctrl_click_adds_and_takes_away(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))
    bench.click(20)

    bench.click(70, keys=CTRL)
    assert len(bench.state.selection.value) == 4
    bench.click(20, keys=CTRL)

    assert set(bench.state.selection.value) == {bench.picture_id(1), bench.sound_id(1)}


def test_a_click_beside_the_clips_selects_nothing(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    bench.click(20)

    bench.click(120)

    assert bench.state.selection.value == ()


# --- dragging ---------------------------------------------------------------------------------------------------------


def test_a_clip_is_dragged_to_another_place(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    bench.drag(20, 60)

    assert bench.spans() == bench.spans(TrackKind.SOUND) == [("a", 40, 90)]
    assert bench.undo_text() == "Undo move"


def test_a_drag_shows_where_it_lands_before_it_does(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    before = bench.timeline

    bench.press(20)
    bench.move(40)
    bench.move(60)

    assert bench.shown_spans() == [("a", 40, 90)]
    assert bench.timeline is before
    assert bench.screen.hint == "+00:00:01:16"
    bench.release(60)


def test_escape_drops_a_drag(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    before = bench.timeline
    bench.press(20)
    bench.move(60)

    bench.key(Qt.Key.Key_Escape)
    bench.release(60)

    assert bench.timeline is before
    assert bench.state.stack.count() == 0


def test_a_clip_that_is_dragged_snaps_to_the_next_one_unless_alt_is_held(bench: TimelineBench) -> None:
    bench.load(delete(sequence(50, 50, 50), [sequence(50, 50, 50).tracks[0].clips[1].id]))

    bench.drag(20, 69)
    assert bench.spans()[0] == ("a", 50, 100)
    bench.actions["undo"].trigger()
    bench.drag(20, 69, keys=ALT)

    assert bench.spans()[0] == ("a", 49, 99)


def test_snapping_can_be_turned_off(bench: TimelineBench) -> None:
    bench.load(delete(sequence(50, 50, 50), [sequence(50, 50, 50).tracks[0].clips[1].id]))

    bench.key(Qt.Key.Key_N)
    bench.drag(20, 69)

    assert bench.spans()[0] == ("a", 49, 99)


def test_a_clip_is_dragged_to_another_track(bench: TimelineBench) -> None:
    bench.load(add_track(sequence(50), TrackKind.PICTURE))

    bench.drag(20, 20.5, lanes=(1, 0))

    assert len(bench.timeline.tracks[0].clips) == 1
    assert not bench.timeline.tracks[1].clips


def test_an_edge_is_dragged_to_trim(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    bench.drag(49.5, 30)

    assert bench.spans()[0][2] == pytest.approx(30, abs=1)
    assert bench.undo_text() == "Undo trim"


def test_ctrl_at_an_edge_closes_up(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))

    bench.drag(49.5, 29.5, keys=CTRL)

    assert bench.spans() == [("a", 0, 30), ("b", 30, 80)]
    assert bench.undo_text() == "Undo ripple trim"


def test_the_ripple_mode_closes_up_without_a_key(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))

    bench.key(Qt.Key.Key_R)
    bench.drag(49.5, 29.5)

    assert bench.spans() == [("a", 0, 30), ("b", 30, 80)]


def test_shift_at_an_edge_moves_the_cut(bench: TimelineBench) -> None:
    bench.load(trimmed_sequence(2))

    bench.drag(23.5, 33.5, keys=SHIFT)

    assert bench.spans() == [("a", 0, 34), ("b", 34, 48)]
    assert bench.undo_text() == "Undo roll"


def test_the_slip_tool_changes_what_is_shown(bench: TimelineBench) -> None:
    bench.load(trimmed_sequence(1))

    bench.key(Qt.Key.Key_Y)
    bench.drag(12, 7)

    clip = bench.timeline.find(bench.picture_id(0))
    assert clip.media_frame(0, bench.timeline.rate) == 29
    assert bench.undo_text() == "Undo slip"


def test_what_is_on_a_locked_track_stays(bench: TimelineBench) -> None:
    timeline = sequence(50)
    bench.load(set_locked(timeline, timeline.tracks[0].id, True))
    before = bench.timeline

    bench.drag(20, 60)

    assert bench.timeline is before


# --- the blade --------------------------------------------------------------------------------------------------------


def test_the_blade_cuts_where_it_is_clicked_and_escape_puts_it_away(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    bench.key(Qt.Key.Key_B)
    bench.click(20)

    assert bench.spans() == bench.spans(TrackKind.SOUND) == [("a", 0, 20), ("a", 20, 50)]
    bench.key(Qt.Key.Key_Escape)
    assert bench.screen.tool.value is Tool.SELECT
    assert bench.actions["tool_select"].isChecked() and not bench.actions["tool_blade"].isChecked()


def test_the_blade_shows_where_it_would_cut(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    bench.key(Qt.Key.Key_B)

    QTest.mouseMove(bench.panel.lanes, bench.point(20))

    assert bench.screen.blade is not None
    assert bench.screen.blade == (20, frozenset(track.id for track in bench.timeline.tracks))


def test_ctrl_b_cuts_at_the_playhead(bench: TimelineBench) -> None:
    bench.load(sequence(50))
    bench.state.playhead.value = 30

    bench.key(Qt.Key.Key_B, CTRL)

    assert bench.spans() == [("a", 0, 30), ("a", 30, 50)]
    assert bench.undo_text() == "Undo cut"


# --- the ruler --------------------------------------------------------------------------------------------------------


def test_dragging_in_the_ruler_moves_the_playhead(bench: TimelineBench) -> None:
    bench.load(sequence(200))

    bench.drag_ruler(10.5, 73.5)

    assert bench.state.playhead.value == 73


def test_shift_in_the_ruler_marks_a_range(bench: TimelineBench) -> None:
    bench.load(sequence(200))

    bench.drag_ruler(40, 90, keys=SHIFT | ALT)

    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (40, 90)


def test_an_end_of_the_marked_range_can_be_dragged(bench: TimelineBench) -> None:
    bench.load(mark_range(sequence(200), 40, 90))

    bench.drag_ruler(90, 120, keys=ALT)

    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (40, 120)


def test_a_double_click_marks_the_whole_clip(bench: TimelineBench) -> None:
    bench.load(sequence(50, 50))

    bench.double_click(70)

    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (50, 100)


# --- what part is seen ------------------------------------------------------------------------------------------------


def test_ctrl_and_the_wheel_zoom_around_the_mouse(bench: TimelineBench) -> None:
    bench.load(sequence(200))
    x = bench.point(100).x()

    bench.wheel(100, 4, CTRL)

    assert bench.screen.view.pixels_per_frame == pytest.approx(4 * 1.25**4)
    assert bench.screen.view.position_at(x) == pytest.approx(100, abs=0.01)


def test_the_wheel_alone_scrolls(bench: TimelineBench) -> None:
    bench.load(sequence(2000))

    bench.wheel(100, -2)

    assert bench.screen.view.first == 48
    assert bench.panel.scroll_bar.value() == 48 * 8


def test_zooming_in_ends_at_single_frames_that_are_as_wide_as_pictures(bench: TimelineBench) -> None:
    bench.load(sequence(200))

    for _ in range(30):
        bench.key(Qt.Key.Key_Equal)

    assert bench.screen.view.pixels_per_frame == 48


def test_a_fitted_timeline_stays_so_when_the_window_grows(bench: TimelineBench) -> None:
    bench.load(sequence(200))
    bench.key(Qt.Key.Key_Backslash)
    before = bench.screen.view.pixels_per_frame

    bench.window.resize(1300, 420)
    QApplication.processEvents()

    assert bench.screen.view.pixels_per_frame > before
    assert bench.screen.view.last >= 200


def test_what_is_kept_of_a_painting_looks_like_one_from_nothing(bench: TimelineBench) -> None:
    timeline = sequence(60, 3, 2, 90, 400)
    bench.load(set_locked(timeline, timeline.tracks[1].id, True))
    bench.click(70)

    for pixels in (37, 150, -61, 900, -2000):
        bench.screen.scroll(pixels)
        kept = bench.panel.lanes.grab().toImage()
        bench.screen.set_view(replace(bench.screen.view, pixels_per_frame=3.0))
        bench.panel.lanes.grab()
        bench.screen.set_view(replace(bench.screen.view, pixels_per_frame=4.0))

        assert bench.panel.lanes.grab().toImage() == kept, pixels


# --- tracks and takes -------------------------------------------------------------------------------------------------


def button(bench: TimelineBench, name: str) -> QAbstractButton:
    return next(item for item in bench.panel.findChildren(QAbstractButton) if item.accessibleName() == name)


def test_a_track_is_muted_and_locked_from_its_header(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    QTest.mouseClick(button(bench, "Mute A1"), Qt.MouseButton.LeftButton)
    QTest.mouseClick(button(bench, "Lock V1"), Qt.MouseButton.LeftButton)

    assert [(track.is_muted, track.is_locked) for track in bench.timeline.tracks] == [(False, True), (True, False)]
    assert button(bench, "Unmute A1").isChecked() and bench.undo_text() == "Undo lock track"


def test_headers_follow_the_tracks(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    bench.actions["add_sound_track"].trigger()
    QApplication.processEvents()

    assert button(bench, "Mute A2").isVisible()


def test_the_menu_of_a_clip_offers_its_takes(bench: TimelineBench) -> None:
    timeline = sequence(50)
    bench.load(add_take(timeline, timeline.tracks[0].clips[0].id, Take(media("again", 50))))

    at = bench.point(20)
    where = bench.panel.lanes.mapToGlobal(at)
    QApplication.sendEvent(bench.panel.lanes, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, where))
    menu = next(item for item in bench.panel.findChildren(QMenu) if item.title() == "Takes")
    first = menu.actions()[0]

    assert [action.text() for action in menu.actions()] == ["Take 1: a.mp4", "Take 2: again.mp4"]
    first.trigger()
    assert bench.timeline.find(bench.picture_id(0)).chosen == 0
    for popup in bench.panel.findChildren(QMenu):
        popup.close()


def test_the_bracket_keys_change_the_take(bench: TimelineBench) -> None:
    timeline = sequence(50)
    bench.load(add_take(timeline, timeline.tracks[0].clips[0].id, Take(media("again", 50))))

    bench.key(Qt.Key.Key_BracketLeft)

    assert {clip.chosen for clip in bench.timeline.clips()} == {0}


# --- for everybody ----------------------------------------------------------------------------------------------------


def test_a_screen_reader_is_told_where_the_playhead_is_and_what_is_selected(bench: TimelineBench) -> None:
    bench.load(mark_range(sequence(50, 50), 10, 20))
    bench.state.playhead.value = 60
    bench.click(70)

    interface = QAccessible.queryAccessibleInterface(bench.panel.lanes)

    assert interface.text(QAccessible.Text.Value) == (
        "00:00:02:12 of 00:00:04:04. On b. Marked from 00:00:00:10 to 00:00:00:19. Selected: b."
    )


def test_every_control_has_a_name_and_says_its_key(bench: TimelineBench) -> None:
    bench.load(sequence(50))

    nameless = [
        item
        for item in bench.panel.findChildren(QWidget)
        if item.focusPolicy() & Qt.FocusPolicy.TabFocus and not item.accessibleName()
    ]

    assert nameless == []
    assert button(bench, "Blade").toolTip() == "Blade (B)"


def test_an_empty_timeline_says_what_goes_there(bench: TimelineBench) -> None:
    assert not bench.panel.lanes.isVisible()
    assert not bench.panel.position.isEnabled()


def test_both_themes_are_painted_without_a_clip_too_narrow_or_too_far(bench: TimelineBench) -> None:
    timeline = sequence(1, 2, 300)
    bench.load(replace(timeline, tracks=timeline.tracks))

    dark = bench.panel.grab().toImage()
    bench.appearance.choose(LIGHT)
    bench.screen.zoom(1 / 100)
    light = bench.panel.grab().toImage()

    assert dark.pixelColor(5, 5) != light.pixelColor(5, 5)


def test_a_drag_past_the_side_scrolls_on(bench: TimelineBench, qtbot: QtBot) -> None:
    bench.load(sequence(2000))
    bench.press(100)
    bench.move(120)

    bench.move(bench.screen.view.last + 20)

    qtbot.waitUntil(lambda: bench.screen.view.first > 40)
    assert bench.shown_spans()[0][1] > 200
    bench.key(Qt.Key.Key_Escape)
    QTest.mouseRelease(bench.panel.lanes, Qt.MouseButton.LeftButton, pos=QPoint(10, 10))
    assert bench.spans() == [("a", 0, 2000)]
