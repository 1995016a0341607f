"""Playback: every frame by its number, on a clock, and words for what cannot be played.

Alone: `pytest tests/ltx_studio/test_player.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ltx_studio.services.frame_cache import FrameCache, Want
from ltx_studio.services.player import Player
from tests.fakes.clips import number_of, write_numbered_clip

NUM_FRAMES = 30


class Screen:
    """What a viewer of the player sees."""

    def __init__(self, player: Player) -> None:
        self.shown: list[int] = []
        self.frames: list[int] = []
        player.picture_changed.connect(self._take)
        player.frame_changed.connect(self.frames.append)

    def _take(self, image: QImage) -> None:
        self.shown.append(number_of(image.pixelColor(32, 16).red()))


@pytest.fixture
def player(qapp: object) -> Iterator[Player]:
    player = Player()
    yield player
    player.close()


@pytest.fixture
def screen(player: Player) -> Screen:
    return Screen(player)


@pytest.fixture
def opened(player: Player, screen: Screen, tmp_path: Path, qtbot: QtBot) -> Player:
    player.open(write_numbered_clip(tmp_path / "clip.mp4", NUM_FRAMES))
    qtbot.waitUntil(lambda: screen.shown == [0])
    return player


def test_a_clip_opens_at_its_first_frame_without_playing(opened: Player, screen: Screen) -> None:
    assert (opened.frame, opened.last_frame, opened.is_playing) == (0, NUM_FRAMES - 1, False)


def test_every_frame_can_be_sought_and_is_that_very_frame(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    for frame in (17, 3, 29, 0, 28):
        opened.seek(frame)
        qtbot.waitUntil(lambda wanted=frame: screen.shown[-1] == wanted)


def test_seeking_stays_inside_the_clip(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.seek(10_000)
    qtbot.waitUntil(lambda: screen.shown[-1] == NUM_FRAMES - 1)
    opened.seek(-5)

    assert opened.frame == 0


def test_stepping_moves_by_one_frame(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.step(1)
    opened.step(1)
    opened.step(-1)

    qtbot.waitUntil(lambda: screen.shown[-1] == 1)


def test_playing_shows_the_frames_in_order_at_the_clips_rate_and_stops_at_the_end(
    opened: Player, screen: Screen, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(opened.playing_changed, check_params_cb=lambda is_playing: not is_playing, timeout=5000):
        opened.play()

    assert opened.frame == NUM_FRAMES - 1
    assert screen.frames == sorted(screen.frames)


def test_playing_from_the_end_begins_again(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.seek(NUM_FRAMES - 1)
    opened.play()

    qtbot.waitUntil(lambda: opened.frame in range(1, NUM_FRAMES - 1))


def test_pausing_leaves_the_playhead_where_it_is(opened: Player, qtbot: QtBot) -> None:
    opened.play()
    qtbot.waitUntil(lambda: opened.frame > 2)
    opened.pause()
    frame = opened.frame

    qtbot.wait(100)

    assert opened.frame == frame


def test_a_clip_without_sound_says_so(player: Player, tmp_path: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(player.clip_opened):
        player.open(write_numbered_clip(tmp_path / "clip.mp4", 9))

    assert player.clip is not None
    assert player.clip.silent_because == "This clip has no sound."


def test_a_clip_with_sound_plays_to_its_end_with_a_device_or_without(
    player: Player, tmp_path: Path, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(player.clip_opened):
        player.open(write_numbered_clip(tmp_path / "clip.mp4", 9, has_sound=True))

    with qtbot.waitSignal(player.playing_changed, check_params_cb=lambda is_playing: not is_playing, timeout=10_000):
        player.play()

    assert player.frame == 8


def test_a_file_that_is_no_clip_is_refused_in_a_sentence(player: Player, tmp_path: Path, qtbot: QtBot) -> None:
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"no clip")

    with qtbot.waitSignal(player.clip_refused, check_params_cb=lambda message: str(broken) in message):
        player.open(broken)


def test_opening_another_clip_drops_the_first(opened: Player, screen: Screen, tmp_path: Path, qtbot: QtBot) -> None:
    opened.play()
    opened.open(write_numbered_clip(tmp_path / "other.mp4", 9))

    qtbot.waitUntil(lambda: opened.last_frame == 8)
    assert (opened.frame, opened.is_playing) == (0, False)


# --- the frames that are kept -----------------------------------------------------------------------------------------


def test_a_clip_that_fits_is_wanted_whole() -> None:
    assert FrameCache[str](100, 500).next_want(40) == Want(40, 100)


def test_nothing_is_wanted_while_enough_lies_ready() -> None:
    cache = FrameCache[str](100, 40)
    for frame in range(20, 40):
        cache.put(frame, "frame", playhead=20)

    assert cache.next_want(20) is None


def test_the_frame_farthest_from_the_playhead_makes_room() -> None:
    cache = FrameCache[str](100, 3)
    for frame in (10, 11, 60, 12):
        cache.put(frame, "frame", playhead=11)

    assert [frame for frame in range(100) if cache.get(frame)] == [10, 11, 12]


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_decoding_what_is_wanted_always_brings_the_frame_at_the_playhead(
    num_frames: int, capacity: int, data: st.DataObject
) -> None:
    cache = FrameCache[int](num_frames, capacity)
    for playhead in data.draw(st.lists(st.integers(0, num_frames - 1), min_size=1, max_size=6)):
        want = cache.next_want(playhead)
        for frame in range(want.start, want.stop) if want is not None else ():
            cache.put(frame, frame, playhead=playhead)

        assert cache.get(playhead) == playhead
