"""The timeline and a real player. Alone: `pytest tests/ltx_studio/ui/test_timeline_playback.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.timeline import Edge, Take, TrackKind
from ltx_studio.domain.timeline_details import add_take, mark_range
from ltx_studio.domain.timeline_edits import blade, move, ripple_delete, slip, trim
from ltx_studio.domain.timeline_placing import append
from ltx_studio.state.timeline import material_of, media_of
from tests.fakes.clips import number_of, write_numbered_clip
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio
from tests.fakes.timeline_panel import TimelineBench

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


class PlayBench(TimelineBench):
    """With what the player shows."""

    def __init__(self, app: QApplication, qtbot: QtBot) -> None:
        super().__init__(app, qtbot)
        self._waits = qtbot
        self.image: QImage | None = None
        self.player.picture_changed.connect(self._take)

    def _take(self, image: QImage) -> None:
        self.image = image

    def open(self, path: Path) -> None:
        self.player.open(path)
        self._waits.waitUntil(lambda: self.player.clip is not None and self.player.clip.path == path)

    def wait_for(self, path: Path, frame: int) -> None:
        """Until the player shows this frame of this file, decoded."""
        self._waits.waitUntil(lambda: self.shown() == (path.name, frame, frame))

    def shown(self) -> tuple[str, int, int]:
        """The player's file, the frame it is at, and the number that is in the picture."""
        clip, image = self.player.clip, self.image
        if clip is None or image is None:
            return "", -1, -1
        return clip.path.name, self.player.frame, number_of(image.pixelColor(5, 5).red())

    def add(self, path: Path) -> None:
        """Open a clip and put it at the end of the timeline."""
        self.open(path)
        assert self.player.clip is not None
        material = material_of(media_of(path, self.player.clip.facts))
        self.state.edit("add", append, material)


@pytest.fixture
def bench(qapp: QApplication, qtbot: QtBot) -> Iterator[PlayBench]:
    bench = PlayBench(qapp, qtbot)
    yield bench
    bench.close()


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_numbered_clip(tmp_path / "first.mp4", 9)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_numbered_clip(tmp_path / "second.mp4", 7)


@pytest.fixture
def two(bench: PlayBench, first: Path, second: Path) -> PlayBench:
    """Nine frames of the first clip, then seven of the second, the playhead at the beginning."""
    bench.open(first)
    bench.actions["append_clip"].trigger()  # keeps what is shown
    bench.add(second)
    bench.desk.playback.seek(0)
    bench.wait_for(first, 0)
    return bench


# --- a clip that is looked at -----------------------------------------------------------------------------------------


def test_a_clip_that_is_opened_is_laid_out(bench: PlayBench, first: Path) -> None:
    bench.open(first)

    assert bench.spans() == [("first", 0, 9)]
    assert bench.spans(TrackKind.SOUND) == []
    assert not bench.state.is_sequence.value
    assert bench.panel.lanes.isVisible()


def test_the_next_clip_takes_its_place_while_nothing_is_edited(bench: PlayBench, first: Path, second: Path) -> None:
    bench.open(first)

    bench.open(second)

    assert bench.spans() == [("second", 0, 7)]


def test_an_edited_timeline_stays_when_another_clip_is_looked_at(bench: PlayBench, first: Path, second: Path) -> None:
    bench.open(first)
    bench.state.edit("cut", blade, 4)

    bench.open(second)

    assert bench.spans() == [("first", 0, 4), ("first", 4, 9)]
    assert not bench.desk.playback.is_on_timeline


def test_the_playhead_and_the_player_move_each_other(bench: PlayBench, first: Path) -> None:
    bench.open(first)

    bench.desk.playback.seek(5)
    bench.wait_for(first, 5)
    bench.player.seek(3)

    assert bench.state.playhead.value == 3


def test_marks_are_shared_with_the_player(bench: PlayBench, first: Path) -> None:
    bench.open(first)

    bench.state.edit("mark", mark_range, 2, 6)
    assert (bench.player.in_frame, bench.player.out_frame) == (2, 5)
    bench.player.set_in(3)

    assert (bench.timeline.mark_in, bench.timeline.mark_out) == (3, 6)
    bench.actions["undo"].trigger()
    assert bench.player.in_frame == 2


# --- a sequence -------------------------------------------------------------------------------------------------------


def test_clips_are_put_in_a_row(two: PlayBench) -> None:
    assert two.spans() == [("first", 0, 9), ("second", 9, 16)]
    assert two.state.is_sequence.value


def test_stepping_over_a_cut_shows_the_next_clip(two: PlayBench, first: Path, second: Path) -> None:
    two.desk.playback.seek(8)
    two.wait_for(first, 8)

    two.actions["next_frame"].trigger()
    two.wait_for(second, 0)
    assert two.state.playhead.value == 9
    two.actions["previous_frame"].trigger()

    two.wait_for(first, 8)
    assert two.state.playhead.value == 8


def test_playing_goes_on_with_the_next_clip(two: PlayBench, second: Path, qtbot: QtBot) -> None:
    two.desk.playback.seek(6)

    two.actions["play"].trigger()

    qtbot.waitUntil(lambda: two.player.clip is not None and two.player.clip.path == second)
    qtbot.waitUntil(lambda: two.state.playhead.value == 15 and not two.player.is_playing)


def test_playing_backwards_goes_on_with_the_clip_before(two: PlayBench, first: Path, qtbot: QtBot) -> None:
    two.desk.playback.seek(15)
    qtbot.waitUntil(lambda: two.player.frame == 6)

    two.actions["play_backwards"].trigger()
    two.actions["play_backwards"].trigger()
    qtbot.waitUntil(lambda: two.player.clip is not None and two.player.clip.path == first and two.player.speed == -2)

    qtbot.waitUntil(lambda: two.state.playhead.value == 0 and not two.player.is_playing)


def test_playing_leaves_out_what_was_cut_out(bench: PlayBench, first: Path, qtbot: QtBot) -> None:
    bench.open(first)
    bench.state.edit("cut", blade, 3)
    bench.state.edit("cut", blade, 6)
    bench.state.edit("delete", ripple_delete, [bench.picture_id(1)])
    bench.desk.playback.seek(0)
    seen: list[int] = []
    bench.player.frame_changed.connect(seen.append)

    bench.actions["play"].trigger()
    qtbot.waitUntil(lambda: bench.state.playhead.value == 5 and not bench.player.is_playing)

    assert not {4, 5} & set(seen)
    assert seen[-1] == 8


def test_the_marked_range_is_played(two: PlayBench, qtbot: QtBot) -> None:
    two.state.edit("mark", mark_range, 5, 12)

    two.actions["play_marked"].trigger()

    qtbot.waitUntil(lambda: two.state.playhead.value == 11 and not two.player.is_playing)


def test_a_slip_is_seen_at_once(bench: PlayBench, first: Path) -> None:
    bench.open(first)
    bench.state.edit("trim", trim, bench.picture_id(0), Edge.START, 3)
    bench.desk.playback.seek(4)

    bench.state.edit("slip", slip, bench.picture_id(0), -2)

    bench.wait_for(first, 2)


def test_a_new_take_is_seen_at_once_and_undo_shows_the_old_one(bench: PlayBench, first: Path, tmp_path: Path) -> None:
    bench.open(first)
    bench.desk.playback.seek(2)
    again = write_numbered_clip(tmp_path / "again.mp4", 9)
    assert bench.player.clip is not None
    take = Take(media_of(again, bench.player.clip.facts))

    bench.state.edit("retake", add_take, bench.picture_id(0), take)
    bench.wait_for(again, 2)
    bench.actions["undo"].trigger()

    bench.wait_for(first, 2)


def test_what_is_under_the_playhead_moves_with_its_clip(bench: PlayBench, first: Path) -> None:
    bench.open(first)
    bench.desk.playback.seek(4)

    bench.state.edit("move", move, [bench.picture_id(0)], 2)

    bench.wait_for(first, 2)


# --- placing ----------------------------------------------------------------------------------------------------------


def test_the_marked_part_of_the_clip_that_is_looked_at_is_inserted(bench: PlayBench, first: Path, second: Path) -> None:
    bench.open(first)
    bench.actions["append_clip"].trigger()
    bench.desk.playback.seek(4)
    bench.open(second)
    bench.player.set_in(1)
    bench.player.set_out(3)

    bench.panel.lanes.setFocus()
    bench.key(Qt.Key.Key_Comma)

    assert bench.spans() == [("first", 0, 4), ("second", 4, 7), ("first", 7, 12)]
    bench.wait_for(second, 1)


def test_without_a_clip_there_is_nothing_to_place(bench: PlayBench) -> None:
    bench.actions["append_clip"].trigger()

    assert bench.said == ["No clip is open. Open one from the library, then put it on the timeline."]


def test_a_sound_is_outlined_where_it_is(bench: PlayBench, tmp_path: Path, qtbot: QtBot) -> None:
    loud = write_numbered_clip(tmp_path / "loud.mp4", 24, has_sound=True)
    bench.open(loud)
    lane = bench.screen.lanes[1]

    def is_drawn(frame: float) -> bool:
        image = bench.panel.lanes.grab().toImage()
        x = round(bench.screen.view.x_of(frame))
        rows = range(lane.top, lane.bottom)
        return any(image.pixelColor(x, y) == bench.screen.colours.sound for y in rows)

    qtbot.waitUntil(lambda: is_drawn(12))

    assert not is_drawn(bench.timeline.length + 0.2)


# --- files from elsewhere ---------------------------------------------------------------------------------------------


def drop(bench: PlayBench, paths: list[Path], frame: float, keys: Qt.KeyboardModifier) -> None:
    """Drag files over the timeline and let them go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = QPointF(bench.panel.lanes.mapTo(bench.panel, bench.point(frame)))
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    QApplication.sendEvent(bench.panel, QDragEnterEvent(at.toPoint(), copy, data, left, keys))
    QApplication.sendEvent(bench.panel, QDragMoveEvent(at.toPoint(), copy, data, left, keys))
    QApplication.sendEvent(bench.panel, QDropEvent(at, copy, data, left, keys))


def test_files_that_are_dropped_are_inserted_one_after_the_other(
    bench: PlayBench, first: Path, second: Path, qtbot: QtBot
) -> None:
    bench.open(first)

    drop(bench, [second, second], 4, Qt.KeyboardModifier.NoModifier)
    qtbot.waitUntil(lambda: len(bench.spans()) == 4)

    assert bench.spans() == [("first", 0, 4), ("second", 4, 11), ("second", 11, 18), ("first", 18, 23)]
    assert bench.undo_text() == "Undo insert"


def test_with_ctrl_a_file_that_is_dropped_lies_over_what_is_there(
    bench: PlayBench, first: Path, second: Path, qtbot: QtBot
) -> None:
    bench.open(first)

    drop(bench, [second], 1, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(bench.spans()) == 3)

    assert bench.spans() == [("first", 0, 1), ("second", 1, 8), ("first", 8, 9)]


def test_a_file_can_be_dropped_onto_an_empty_timeline(bench: PlayBench, first: Path, qtbot: QtBot) -> None:
    drop(bench, [first], 0, Qt.KeyboardModifier.NoModifier)

    qtbot.waitUntil(lambda: bench.spans() == [("first", 0, 9)])
    bench.wait_for(first, 0)


def test_a_file_that_is_no_clip_is_refused_in_a_sentence(bench: PlayBench, tmp_path: Path, qtbot: QtBot) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a clip")

    drop(bench, [text], 0, Qt.KeyboardModifier.NoModifier)

    qtbot.waitUntil(lambda: bool(bench.said))
    assert "notes.txt" in bench.said[0] and bench.timeline.length == 0


# --- in the window ----------------------------------------------------------------------------------------------------


def test_the_height_of_the_timeline_is_kept_for_the_next_window(open_studio: OpenStudio) -> None:
    studio = open_studio()
    split = studio.window.timeline.split
    assert split is not None
    whole = sum(split.sizes())
    split.setSizes([whole - 240, 240])
    chosen = split.sizes()
    studio.close()

    again = open_studio().window.timeline.split

    assert again is not None and again.sizes() == chosen


def test_the_keys_of_a_clip_are_for_the_timeline_alone(open_studio: OpenStudio, first: Path, qtbot: QtBot) -> None:
    studio = open_studio()
    desk = studio.window.timeline
    studio.window.player.open(first)
    qtbot.waitUntil(lambda: desk.state.timeline.value.length == 9)
    studio.write_prompt("delete")

    qtbot.keyClick(studio.window.prompt_panel.prompt, Qt.Key.Key_Delete)
    qtbot.keyClick(studio.window.prompt_panel.prompt, Qt.Key.Key_B)
    assert desk.state.timeline.value.length == 9
    assert studio.session.request.value.prompt == "deleteb"
    assert desk.panel is not None
    desk.panel.lanes.setFocus()
    qtbot.keyClick(desk.panel.lanes, Qt.Key.Key_Delete)

    assert desk.state.timeline.value.length == 0
    assert studio.window.actions_by_name["undo"].text() == "Undo delete"
