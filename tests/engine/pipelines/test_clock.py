"""How far a run is. Alone: `pytest tests/engine/pipelines/test_clock.py`."""

import pytest

from engine.pipelines.clock import RunClock

PREDICTED = {"text": 10.0, "base": 70.0, "decode": 20.0}


def test_fractions_follow_the_predicted_seconds() -> None:
    clock = RunClock(PREDICTED)

    assert clock.fraction("text", 0.5) == pytest.approx(0.05)
    clock.done("text")
    assert clock.fraction("base", 0.5) == pytest.approx(0.45)


def test_a_phase_that_begins_again_does_not_go_back() -> None:
    clock = RunClock(PREDICTED)
    clock.fraction("base", 0.5)

    assert clock.fraction("base", 0.1) == pytest.approx(0.35)
    assert clock.fraction("base", 0.9) == pytest.approx(0.63)


def test_what_an_earlier_attempt_did_is_done_but_says_nothing_of_the_pace() -> None:
    clock = RunClock(PREDICTED)
    clock.skip("text")
    clock.skip("base", 0.5)

    begun = clock.fraction("base", 0.5)
    assert begun == pytest.approx(0.45)
    assert clock.eta_s(begun) is None
    later = clock.eta_s(0.72)  # as much again as was done since, and a little more
    assert later == pytest.approx(clock.elapsed_s * 0.28 / 0.27, rel=0.5)
