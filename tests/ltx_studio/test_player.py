"""Playback: every frame by its number, on a clock, and words for what cannot be played.

Alone: `pytest tests/ltx_studio/test_player.py`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ltx_studio.services.frame_cache import FrameCache, Proxies, Want, proxy_size
from ltx_studio.services.player import Player
from tests.fakes.clips import number_of, write_numbered_clip
from tests.fakes.sound_device import DriftingOutput

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


# --- speeds, marks, loops ---------------------------------------------------------------------------------------------


def test_l_plays_faster_each_time_and_k_stops(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.shuttle(1)
    opened.shuttle(1)
    assert (opened.speed, opened.is_playing) == (2, True)
    qtbot.waitUntil(lambda: opened.frame > 4)
    opened.pause()

    assert (opened.speed, opened.is_playing) == (0, False)


def test_j_plays_backwards_to_the_first_frame(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.seek(12)
    screen.frames.clear()
    with qtbot.waitSignal(opened.playing_changed, check_params_cb=lambda is_playing: not is_playing, timeout=5000):
        opened.shuttle(-1)

    assert screen.frames[0] in (11, 12)
    assert screen.frames == sorted(screen.frames, reverse=True)
    assert opened.frame == 0


def test_four_times_the_speed_takes_a_quarter_of_the_time(opened: Player, qtbot: QtBot) -> None:
    began = time.perf_counter()
    with qtbot.waitSignal(opened.playing_changed, check_params_cb=lambda is_playing: not is_playing, timeout=5000):
        for _ in range(3):
            opened.shuttle(1)

    assert opened.frame == NUM_FRAMES - 1
    assert time.perf_counter() - began < 1.0  # at the clip's own speed it lasts 1.25 s


def test_from_in_to_out_plays_that_and_no_more(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.set_in(5)
    opened.set_out(9)
    screen.frames.clear()
    with qtbot.waitSignal(opened.playing_changed, check_params_cb=lambda is_playing: not is_playing, timeout=5000):
        opened.play_marked()

    assert set(screen.frames) <= set(range(5, 10))
    assert opened.frame == 9


def test_a_loop_stays_between_the_marks(opened: Player, screen: Screen, qtbot: QtBot) -> None:
    opened.set_in(5)
    opened.set_out(9)
    opened.set_looping(True)
    opened.play()

    qtbot.waitUntil(lambda: screen.frames.count(6) > 1 and screen.frames.count(8) > 1)
    assert set(screen.frames[1:]) <= set(range(5, 10))
    assert opened.is_playing


def test_a_mark_on_the_wrong_side_of_the_other_takes_its_place(opened: Player) -> None:
    opened.set_out(9)
    opened.set_in(12)
    assert (opened.in_frame, opened.out_frame) == (12, None)
    opened.set_out(3)
    assert (opened.in_frame, opened.out_frame, opened.marked) == (None, 3, (0, 3))
    opened.clear_marks()

    assert opened.marked == (0, NUM_FRAMES - 1)


def test_frames_that_nobody_had_time_to_show_are_counted(opened: Player, qtbot: QtBot) -> None:
    opened.play()
    qtbot.waitUntil(lambda: opened.frame == 3)
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:  # a window that is busy
        pass
    qtbot.waitUntil(lambda: opened.frame > 8)

    assert 5 <= opened.num_dropped <= 8


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def device() -> DriftingOutput:
    return DriftingOutput(latency_s=0.05)


@pytest.fixture
def sounding(device: DriftingOutput, tmp_path: Path, qtbot: QtBot) -> Iterator[Player]:
    player = Player(output=device)
    with qtbot.waitSignal(player.clip_opened):
        player.open(write_numbered_clip(tmp_path / "clip.mp4", NUM_FRAMES, has_sound=True))
    yield player
    player.close()


def test_the_picture_follows_the_device(sounding: Player, device: DriftingOutput, qtbot: QtBot) -> None:
    sounding.play()
    qtbot.waitUntil(lambda: sounding.frame == 12)

    assert abs(device.streams[0].heard_s() - 12.5 / 24) < 1.5 / 24


def test_a_stopped_player_leaves_the_device(sounding: Player, device: DriftingOutput, qtbot: QtBot) -> None:
    sounding.play()
    qtbot.waitUntil(lambda: sounding.frame > 2)
    sounding.pause()

    qtbot.waitUntil(lambda: not device.streams[0].is_open)


def test_only_forwards_at_normal_speed_is_there_sound(sounding: Player, device: DriftingOutput, qtbot: QtBot) -> None:
    sounding.shuttle(1)
    sounding.shuttle(1)
    qtbot.waitUntil(lambda: sounding.frame > 10)

    assert all(not stream.is_open for stream in device.streams)


def test_volume_and_mute_are_heard(sounding: Player, device: DriftingOutput, qtbot: QtBot) -> None:
    sounding.set_looping(True)
    sounding.play()
    qtbot.waitUntil(lambda: bool(device.streams) and device.streams[0].loudest > 0.05)
    sounding.set_volume(0.5)
    qtbot.waitUntil(lambda: 0.01 < device.streams[0].loudest < 0.03)
    sounding.set_muted(True)
    qtbot.waitUntil(lambda: device.streams[0].loudest == 0)
    sounding.set_muted(False)

    qtbot.waitUntil(lambda: 0.01 < device.streams[0].loudest < 0.03)


def test_the_meters_show_what_goes_out(sounding: Player, qtbot: QtBot) -> None:
    assert sounding.peaks() == (0.0, 0.0)
    sounding.set_looping(True)
    sounding.play()
    qtbot.waitUntil(lambda: sounding.frame > 5)

    assert all(0.05 < peak < 0.15 for peak in sounding.peaks())
    sounding.set_muted(True)
    assert sounding.peaks() == (0.0, 0.0)


def test_another_clips_sound_takes_over_without_a_gap(
    sounding: Player, device: DriftingOutput, tmp_path: Path, qtbot: QtBot
) -> None:
    silent = write_numbered_clip(tmp_path / "silent.mp4", NUM_FRAMES, has_sound=True, level=0.0)
    sounding.set_looping(True)
    sounding.play()
    qtbot.waitUntil(lambda: bool(device.streams) and device.streams[0].loudest > 0.05)
    with qtbot.waitSignal(sounding.sound_changed):
        sounding.hear(silent)

    qtbot.waitUntil(lambda: device.streams[0].loudest < 0.001)
    assert [stream.is_open for stream in device.streams] == [True]


def test_a_clip_without_sound_silences_the_one_that_hears_it(
    sounding: Player, device: DriftingOutput, tmp_path: Path, qtbot: QtBot
) -> None:
    sounding.set_looping(True)
    sounding.play()
    qtbot.waitUntil(lambda: sounding.frame > 2)
    sounding.hear(write_numbered_clip(tmp_path / "mute.mp4", NUM_FRAMES))
    qtbot.waitUntil(lambda: not device.streams[0].is_open)
    frame = sounding.frame

    qtbot.waitUntil(lambda: sounding.frame not in (frame, frame + 1))
    assert sounding.silent_because == "This clip has no sound."


# --- clips that are larger than the cache -----------------------------------------------------------------------------


@pytest.fixture
def cramped(tmp_path: Path, qtbot: QtBot) -> Iterator[Player]:
    """A player with room for twenty frames of thirty, half of it for small pictures."""
    player = Player(cache_bytes=64 * 32 * 4 * 20)
    with qtbot.waitSignal(player.clip_opened):
        player.open(write_numbered_clip(tmp_path / "clip.mp4", NUM_FRAMES))
    yield player
    player.close()


def test_every_frame_is_there_soon_if_only_small(cramped: Player, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: all(cramped.picture_at(frame) for frame in range(NUM_FRAMES)))


def test_a_playhead_that_rests_gets_its_picture_in_full(cramped: Player, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: all(cramped.picture_at(frame) for frame in range(NUM_FRAMES)))
    sizes: list[tuple[int, int]] = []
    cramped.picture_changed.connect(
        lambda image: sizes.append((number_of(image.pixelColor(4, 4).red()), image.width()))
    )

    cramped.seek(20)

    assert [(frame, width < 64) for frame, width in sizes] == [(20, True)]
    qtbot.waitUntil(lambda: sizes[-1] == (20, 64))


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


def test_the_frames_before_the_playhead_are_wanted_for_going_backwards() -> None:
    cache = FrameCache[str](100, 40)

    assert cache.want_behind(50, 20) == Want(31, 51)
    for frame in range(31, 51):
        cache.put(frame, "frame", playhead=50)
    assert cache.want_behind(50, 20) is None


def test_gaps_of_small_pictures_are_filled_from_the_playhead_on() -> None:
    proxies = Proxies[str](10)
    for frame in (4, 5, 8):
        proxies.put(frame, "small")

    assert proxies.next_gap(4) == Want(6, 8)
    for frame in (6, 7, 9):
        proxies.put(frame, "small")
    assert proxies.next_gap(4) == Want(0, 4)


@given(st.integers(64, 8000), st.integers(64, 8000), st.integers(1, 20_000))
def test_small_pictures_of_every_frame_fit_into_the_budget(width: int, height: int, num_frames: int) -> None:
    budget = 256 * 2**20
    found = proxy_size(width, height, num_frames, budget)

    if found is not None:
        assert found[0] * found[1] * 4 * num_frames <= budget
        assert found[0] <= width / 2
