"""Comparing takes by hand, from the library to the winner. Alone: `pytest tests/ltx_studio/ui/test_compare.py`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QTableView
from pytestqt.qtbot import QtBot

from engine.media.write import ClipWriter, VideoEncoding
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from ltx_studio.domain.compare import Lock, Mode, Take
from ltx_studio.domain.library import Flag
from ltx_studio.state.library import LibraryState
from ltx_studio.ui.compare_canvas import difference
from ltx_studio.ui.library_panel import LibraryPanel
from tests.fakes.clips import LEVELS_PER_FRAME, number_of, write_numbered_clip
from tests.fakes.library import write_clip
from tests.fakes.stage import StageWindow
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

NUM_FRAMES = 24


class Comparison:
    """A comparison that is open, and what a user does with it."""

    def __init__(self, studio: StageWindow, takes: list[Take]) -> None:
        self.studio = studio
        self.state = studio.compare
        self.state.open(takes)
        view = studio.comparison
        self.view = view
        self.canvas = view.canvas
        studio.qtbot.waitUntil(lambda: view.ensemble is not None and len(view.ensemble.pictures) == len(takes))
        self.canvas.setFocus()

    def press(self, keys: str) -> None:
        self.studio.qtbot.keyClicks(self.canvas, keys)

    def frames(self) -> list[int]:
        """What is seen, read from the pictures themselves, in the takes' own order."""
        assert self.view.ensemble is not None
        return [number_of(picture.pixelColor(4, 4).red()) for picture in self.view.ensemble.pictures]

    def seek(self, frame: int) -> None:
        self.studio.stage.player.seek(frame)
        self.studio.qtbot.waitUntil(lambda: self.frames()[0] == frame)

    def painted(self) -> QImage:
        return self.canvas.grab().toImage()


def take(path: Path, seed: int) -> Take:
    return Take(path, path.name, GenerationRequest("a ball", seed=seed).to_dict())


@pytest.fixture
def studio(qapp: QApplication, qtbot: QtBot) -> Iterator[StageWindow]:
    studio = StageWindow(qapp, qtbot)
    yield studio
    studio.close()


@pytest.fixture
def three(studio: StageWindow, tmp_path: Path) -> Comparison:
    paths = [write_numbered_clip(tmp_path / f"take{number}.mp4", NUM_FRAMES) for number in range(3)]
    return Comparison(studio, [take(path, seed) for seed, path in enumerate(paths)])


@pytest.fixture
def black_and_white(studio: StageWindow, tmp_path: Path) -> Comparison:
    """Two takes that cannot be mistaken for each other."""
    takes: list[Take] = []
    for name, grey in (("black", 16), ("white", 240)):
        path = tmp_path / f"{name}.mp4"
        with ClipWriter(
            path, size=Size(64, 32), frame_rate=FrameRate.parse(24), video_encoding=VideoEncoding(crf=0)
        ) as writer:
            writer.write(np.full((8, 32, 64, 3), grey, np.uint8))
        takes.append(take(path, grey))
    return Comparison(studio, takes)


# --- one playhead -----------------------------------------------------------------------------------------------------


def test_all_takes_are_always_at_the_same_frame_while_they_play(three: Comparison, qtbot: QtBot) -> None:
    seen: list[list[int]] = []
    assert three.view.ensemble is not None
    three.view.ensemble.pictures_changed.connect(lambda: seen.append(three.frames()))

    three.press(" ")
    qtbot.waitUntil(lambda: len(seen) > 15)

    assert all(len(set(frames)) == 1 for frames in seen)


def test_the_commands_of_playback_move_all_takes(three: Comparison, qtbot: QtBot) -> None:
    qtbot.keyClick(three.canvas, Qt.Key.Key_Right)
    qtbot.keyClick(three.canvas, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: three.frames() == [2, 2, 2])
    three.press("l")

    assert three.studio.stage.player.is_playing
    assert not three.studio.player.is_playing


def test_a_shorter_take_waits_at_its_last_frame(studio: StageWindow, tmp_path: Path, qtbot: QtBot) -> None:
    short = write_numbered_clip(tmp_path / "short.mp4", 9)
    long = write_numbered_clip(tmp_path / "long.mp4", NUM_FRAMES)
    comparison = Comparison(studio, [take(short, 1), take(long, 2)])
    studio.stage.player.seek(20)

    qtbot.waitUntil(lambda: comparison.frames() == [8, 20])


def test_takes_of_several_rates_are_locked_by_time_or_by_frame(
    studio: StageWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    film = write_numbered_clip(tmp_path / "film.mp4", NUM_FRAMES)
    fast = tmp_path / "fast.mp4"
    with ClipWriter(
        fast, size=Size(64, 32), frame_rate=FrameRate.parse(48), video_encoding=VideoEncoding(crf=0)
    ) as writer:
        for number in range(40):
            writer.write(np.full((1, 32, 64, 3), LEVELS_PER_FRAME * number, np.uint8))
    comparison = Comparison(studio, [take(film, 1), take(fast, 2)])
    studio.stage.player.seek(10)
    qtbot.waitUntil(lambda: comparison.frames() == [10, 20])
    comparison.state.lock.value = Lock.FRAMES

    qtbot.waitUntil(lambda: comparison.frames() == [10, 10])


def test_sound_comes_from_the_side_in_focus(three: Comparison, qtbot: QtBot) -> None:
    player = three.studio.stage.player
    with qtbot.waitSignal(player.sound_changed):
        three.press("2")

    assert three.state.focus.value == 1
    assert "B  take1.mp4 is heard" in three.canvas.accessibleDescription()


# --- ways of looking --------------------------------------------------------------------------------------------------


def test_every_mode_has_its_key(three: Comparison) -> None:
    found: list[Mode] = []
    for key in "wdnas":
        three.press(key)
        found.append(three.state.mode.value)

    assert found == [Mode.WIPE, Mode.DIFFERENCE, Mode.ONION, Mode.SINGLE, Mode.SIDES]


def test_the_wipe_shows_one_take_on_each_side_of_a_line_that_is_dragged(
    black_and_white: Comparison, qtbot: QtBot
) -> None:
    canvas = black_and_white.canvas
    black_and_white.press("w")
    middle = canvas.rect().center()
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(canvas, middle - QPoint(60, 0))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle - QPoint(60, 0))
    picture = black_and_white.painted()
    y = middle.y() + 30

    assert black_and_white.state.wipe.value == pytest.approx(0.5 - 60 / canvas.width(), abs=0.01)
    assert picture.pixelColor(middle.x() - 80, y).red() < 40
    assert picture.pixelColor(middle.x() - 40, y).red() > 215


def test_the_line_moves_by_keys(black_and_white: Comparison) -> None:
    black_and_white.press("w]]}[")

    assert black_and_white.state.wipe.value == pytest.approx(0.5 + 0.02 + 0.1)


def test_the_onion_skin_mixes_two_takes(black_and_white: Comparison) -> None:
    black_and_white.press("n")
    centre = black_and_white.painted().rect().center()

    assert black_and_white.painted().pixelColor(centre).red() == pytest.approx(128, abs=4)


def test_what_is_the_same_is_black_and_small_differences_are_raised() -> None:
    first, second = (QImage(8, 8, QImage.Format.Format_RGB32) for _ in range(2))
    first.fill(0xFF646464)
    second.fill(0xFF6A6464)

    assert difference(first, first, 16).pixelColor(3, 3).name() == "#000000"
    assert difference(first, second, 1).pixelColor(3, 3).name() == "#060000"
    assert difference(second, first, 16).pixelColor(3, 3).name() == "#600000"


def test_zoom_is_shared(black_and_white: Comparison) -> None:
    black_and_white.studio.actions_by_name["actual_size"].trigger()
    canvas = black_and_white.canvas
    picture = black_and_white.painted()
    left, right = black_and_white.canvas.places().values()
    ratio = canvas.devicePixelRatioF()

    for place, is_bright in ((left, False), (right, True)):
        y = int((place.y + place.height / 2) * ratio)
        row = [
            picture.pixelColor(x, y).red() for x in range(int((place.x + 4) * ratio), int((place.right - 4) * ratio))
        ]
        assert sum(value > 200 if is_bright else value < 18 for value in row) == pytest.approx(64, abs=2)


# --- what differs -----------------------------------------------------------------------------------------------------


def test_the_table_shows_the_settings_that_differ(three: Comparison) -> None:
    table = three.studio.find(QTableView, "What differs between the requests").model()

    rows = [
        [table.index(row, column).data() for column in range(table.columnCount())] for row in range(table.rowCount())
    ]
    assert rows == [["Seed", "0", "1", "2"]]


def test_the_table_is_hidden_and_shown_by_its_button(three: Comparison) -> None:
    button = three.studio.find(QAbstractButton, "Settings")
    table = three.studio.find(QTableView, "What differs between the requests")

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert not table.isVisible()

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert table.isVisible()


def test_takes_of_other_programs_say_that_nothing_is_known(studio: StageWindow, tmp_path: Path) -> None:
    paths = [write_numbered_clip(tmp_path / f"{number}.mp4", 9) for number in range(2)]
    comparison = Comparison(studio, [Take(path, path.name) for path in paths])

    assert "do not say how they were made" in texts_of(comparison.view.table)


# --- the verdict ------------------------------------------------------------------------------------------------------


def test_blind_hides_names_counts_votes_and_shows_them_when_it_is_over(three: Comparison) -> None:
    three.press("b")
    assert all("take" not in three.canvas.name_of(side) for side in range(3))
    assert "take" not in three.canvas.accessibleDescription()
    voted = [0, 0, 0]
    for key in "1233":
        three.press(key)
        voted[three.state.take_of(int(key) - 1)] += 1
        three.press("v")
    assert "4 votes so far" in texts_of(three.view)
    three.press("b")

    assert three.state.votes.value == tuple(voted)
    assert [three.canvas.verdict_of(side) for side in range(3)] == [f", {votes} of 4 votes" for votes in voted]


def test_a_side_that_is_blind_shows_the_take_behind_it(black_and_white: Comparison) -> None:
    black_and_white.press("b")
    for _ in range(6):
        black_and_white.press("v")
        picture = black_and_white.painted()
        for side, place in black_and_white.canvas.places().items():
            x, y = int(place.x + place.width / 2), int(place.y + place.height / 2) + 30
            is_white = picture.pixelColor(x, y).red() > 128
            assert is_white == (black_and_white.state.take_of(side) == 1)


def test_two_clips_chosen_in_the_library_are_compared_and_the_winner_is_a_pick_there(
    open_studio: OpenStudio, tmp_path: Path, qtbot: QtBot
) -> None:
    window = open_studio().window
    window.actions_by_name["show_library"].trigger()
    panel, library = window.findChild(LibraryPanel), window.findChild(LibraryState)
    assert panel is not None
    assert library is not None
    for seed in (1, 2):
        library.add(write_clip(tmp_path / f"take{seed}.mp4", seed=seed, frames=4))
    qtbot.waitUntil(lambda: library.num_entries.value == 2)
    panel.view.selectAll()

    window.actions_by_name["compare"].trigger()
    view = window.stage.comparison
    assert view is not None
    qtbot.waitUntil(lambda: view.player is not None)
    qtbot.keyClicks(view.canvas, "2p")

    winner = window.compare.takes.value[1]
    entries = library.entries(hit.id for hit in library.hits)
    assert {entry.path: entry.marks.flag for entry in entries} == {
        window.compare.takes.value[0].path: Flag.NONE,
        winner.path: Flag.PICK,
    }
    assert f"{winner.title} is picked." in texts_of(view)


def test_without_a_choice_the_command_says_what_can_be_compared(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.actions_by_name["compare"].trigger()

    assert "Choose a clip first" in studio.window.status_line.currentMessage()


def test_esc_gives_the_place_and_the_keys_back_and_ends_the_threads(three: Comparison, qtbot: QtBot) -> None:
    assert three.view.ensemble is not None
    with qtbot.waitSignal(three.view.ensemble.ended):
        qtbot.keyClick(three.canvas, Qt.Key.Key_Escape)

    assert three.studio.stage.currentWidget() is three.studio.viewer
    assert three.studio.stage.player is three.studio.player


def test_a_file_that_is_gone_is_said_in_a_sentence(studio: StageWindow, tmp_path: Path, qtbot: QtBot) -> None:
    there = write_numbered_clip(tmp_path / "there.mp4", 9)
    studio.compare.open([take(there, 1), take(tmp_path / "gone.mp4", 2)])
    view = studio.comparison

    qtbot.waitUntil(lambda: "there is no such file" in view.canvas.accessibleDescription())
