"""Clocks' routes and meters' levels, as arithmetic. Alone: `pytest tests/ltx_studio/domain/test_playback.py`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_studio.domain.playback import HOLD_S, SILENCE_DB, Levels, Needle, Route, decibels, next_speed

speeds = st.sampled_from([-8, -4, -2, -1, 1, 2, 4, 8])


@st.composite
def routes(draw: st.DrawFn) -> Route:
    first, length = draw(st.floats(0, 50)), draw(st.floats(0.1, 50))
    start = first + draw(st.floats(0, 1)) * length
    return Route(min(start, first + length), first, first + length, speed=draw(speeds), loops=draw(st.booleans()))


@given(routes(), st.floats(0, 500))
def test_playback_never_leaves_its_route(route: Route, elapsed_s: float) -> None:
    assert route.first_s <= route.position_s(elapsed_s) <= route.stop_s


@given(routes(), st.floats(0, 500))
def test_only_a_route_that_does_not_loop_ends_and_then_at_its_end(route: Route, elapsed_s: float) -> None:
    if route.is_over(elapsed_s):
        assert not route.loops
        assert route.position_s(elapsed_s) == (route.stop_s if route.speed > 0 else route.first_s)


def test_a_loop_goes_on_from_its_beginning() -> None:
    route = Route(3.0, 2.0, 4.0, loops=True)

    assert [route.position_s(at) for at in (0, 0.5, 1, 2.5, 3)] == [3.0, 3.5, 2.0, 3.5, 2.0]


def test_a_loop_backwards_goes_on_from_its_end() -> None:
    route = Route(3.0, 2.0, 4.0, speed=-2, loops=True)

    assert [route.position_s(at) for at in (0, 0.25, 0.5, 0.75)] == [3.0, 2.5, 4.0, 3.5]


@given(st.integers(0, 90), st.integers(10, 100), st.booleans(), st.integers(1, 40))
def test_the_samples_that_are_heard_are_those_at_the_clocks_position(
    start: int, length: int, loops: bool, block: int
) -> None:
    rate, num_samples = 100, 120
    start = min(start, length - 1)
    route = Route(start / rate, 0.0, length / rate, loops=loops)

    heard = np.concatenate([route.samples(at, block, rate, num_samples) for at in range(0, 6 * block, block)])

    for played, index in enumerate(heard.tolist()):
        middle_s = (played + 0.5) / rate  # of the sample, away from rounding
        if route.is_over(middle_s):
            assert index == -1
        else:
            assert index == int(route.position_s(middle_s) * rate)


@pytest.mark.parametrize(
    ("presses", "speed"),
    [("L", 1), ("LL", 2), ("LLLLL", 8), ("J", -1), ("JJJ", -4), ("LLJ", -1), ("JJL", 1)],
)
def test_each_press_of_l_or_j_is_faster_and_the_other_one_turns(presses: str, speed: int) -> None:
    now = 0
    for key in presses:
        now = next_speed(now, 1 if key == "L" else -1)

    assert now == speed


# --- levels -----------------------------------------------------------------------------------------------------------


def test_a_peak_is_seen_while_it_is_played_and_not_before() -> None:
    samples = np.zeros((2, 48_000), np.float32)
    samples[0, 24_000] = -0.5
    levels = Levels.measured(samples, 48_000)

    assert levels.between(0.4, 0.48) == (0.0, 0.0)
    assert levels.between(0.48, 0.51) == (0.5, 0.0)


def test_one_channel_is_on_both_sides() -> None:
    assert Levels.measured(np.full((1, 4800), 0.25, np.float32), 48_000).between(0, 0.1) == (0.25, 0.25)


def test_no_sound_and_the_time_after_its_end_are_silent() -> None:
    assert Levels.measured(np.zeros((2, 0), np.float32), 48_000).between(0, 1) == (0.0, 0.0)
    assert Levels.measured(np.ones((2, 4800), np.float32), 48_000).between(5, 6) == (0.0, 0.0)


def test_decibels_are_those_of_full_scale() -> None:
    assert decibels(1.0) == 0
    assert decibels(0.5) == pytest.approx(-6.02, abs=0.01)
    assert decibels(0.0) == SILENCE_DB


def test_a_needle_rises_at_once_falls_slowly_and_holds_its_peak_for_a_while() -> None:
    needle = Needle().after(0.03, -10)
    falling = needle.after(0.5, SILENCE_DB)
    long_after = falling.after(HOLD_S, SILENCE_DB)

    assert (needle.shown_db, needle.held_db) == (-10, -10)
    assert (falling.shown_db, falling.held_db) == (-22, -10)
    assert long_after.held_db == long_after.shown_db < -22
