"""What runs teach: costs that explain what was observed, memory by measured peaks, and a record that may be damaged.

Alone: `pytest tests/engine/pipelines/test_speed.py`.
"""

from pathlib import Path

import pytest

from engine.folders import cache_folder
from engine.hardware import GIB, Device, Machine
from engine.pipelines.plan import Plan, plan
from engine.pipelines.speed import (
    KINDS,
    Clock,
    Learnt,
    Observation,
    Rates,
    guessed_rates,
    learned_speeds,
    remember,
    remember_benchmark,
)
from engine.pipelines.work import Work
from engine.request import GenerationRequest
from engine.types import Size

CPU = Device("cpu", 0, "a processor", 16 * GIB, 16 * GIB)
MACHINE = Machine((CPU,), 16 * GIB, 16 * GIB, 4)
FIRST: Rates = dict.fromkeys(KINDS, 1e9)
WORKS: tuple[Work, ...] = tuple(
    {"matrices": matrices * 1e9, "calls": calls * 1e9, "phases": 1e9}
    for matrices, calls in ((1, 4), (2, 1), (4, 4), (8, 2), (16, 3))
)


def true_seconds(work: Work) -> float:
    """A machine ten times slower at matrices than the first guess, and twice at calls."""
    return (10 * work["matrices"] + 2 * work["calls"] + work["phases"]) / 1e9


def clock_after(*observed: Work) -> Clock:
    return Clock(FIRST, Learnt(tuple(Observation("denoise", work, true_seconds(work)) for work in observed)))


def planned(model: Path) -> Plan:
    return plan(GenerationRequest("a ball", model=str(model), size=Size(128, 128), frames=17), MACHINE)


# --- time -------------------------------------------------------------------------------------------------------------


def test_before_the_first_run_the_first_values_count() -> None:
    assert Clock(FIRST, Learnt()).seconds("denoise", {"matrices": 3e9}) == pytest.approx(3)


def test_one_run_predicts_itself() -> None:
    work = WORKS[2]

    assert clock_after(work).seconds("denoise", work) == pytest.approx(true_seconds(work), rel=0.05)


def test_several_runs_predict_one_that_was_never_seen() -> None:
    unseen: Work = {"matrices": 3e9, "calls": 6e9, "phases": 1e9}

    untaught = Clock(FIRST, Learnt()).seconds("denoise", unseen)
    taught = clock_after(*WORKS).seconds("denoise", unseen)

    assert abs(untaught / true_seconds(unseen) - 1) > 0.6
    assert taught == pytest.approx(true_seconds(unseen), rel=0.15)


def test_one_phase_teaches_nothing_about_another() -> None:
    assert clock_after(*WORKS).seconds("decode", {"matrices": 1e9}) == pytest.approx(1)


def test_no_cost_becomes_negative_or_nothing() -> None:
    """More work that took less time is noise."""
    odd = (Observation("decode", {"matrices": 1e9}, 2.0), Observation("decode", {"matrices": 1e9, "calls": 9e9}, 1.0))

    assert Clock(FIRST, Learnt(odd)).seconds("decode", {"calls": 1e9}) > 0


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_follows_the_usual_ratio_until_something_was_measured() -> None:
    assert Clock(FIRST, Learnt()).measured_peak(1000, 1.2) == 1200


def test_measured_peaks_correct_counted_ones_by_a_line() -> None:
    mib = 2**20
    peaks = tuple((counted * mib, (100 + 2 * counted) * mib) for counted in (50, 200, 400, 800))

    predicted = Clock(FIRST, Learnt(peaks=peaks)).measured_peak(300 * mib, 1.0)

    assert predicted / mib == pytest.approx(700, rel=0.08)


# --- the record -------------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_read_again() -> None:
    observation = Observation("denoise", {"matrices": 1e9, "calls": 10.0}, 2.5)

    remember("a machine", [observation], (100, 130))
    remember_benchmark(CPU, {"matrices": 5e9})

    speeds = learned_speeds()
    assert speeds.learnt["a machine"] == Learnt((observation,), ((100, 130),))
    assert speeds.first_rates(CPU, MACHINE)["matrices"] == 5e9
    assert speeds.first_rates(CPU, MACHINE)["calls"] == guessed_rates(CPU, MACHINE)["calls"]


def test_old_observations_make_room_for_new_ones() -> None:
    for seconds in range(1, 40):
        remember("a machine", [Observation("text", {"phases": 1.0}, float(seconds))], None)

    kept = [item.seconds for item in learned_speeds().learnt["a machine"].observations]
    assert len(kept) < 30
    assert kept[-1] == 39


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "benchmarks": 3, "runs": {}}'])
def test_a_damaged_record_counts_as_none(text: str) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "speeds.json").write_text(text, encoding="utf-8")

    assert not learned_speeds().learnt


def test_a_finished_run_makes_the_next_plan_of_its_kind_right(tiny_model: Path) -> None:
    before = planned(tiny_model)
    seconds = {name: 5 * value for name, value in before.estimate.stage_seconds.items()}

    before.learn(seconds, peak_bytes=3 * GIB)

    after = planned(tiny_model).estimate
    assert after.seconds == pytest.approx(5 * before.estimate.seconds, rel=0.1)
    assert after.peak_ram_bytes == pytest.approx(3 * GIB, rel=0.1)


def test_a_run_teaches_other_sizes_of_its_model_too(tiny_model: Path) -> None:
    before = planned(tiny_model)
    other = GenerationRequest("a ball", model=str(tiny_model), size=Size(256, 192), frames=49)
    other_before = plan(other, MACHINE).estimate.seconds

    before.learn({name: 5 * value for name, value in before.estimate.stage_seconds.items()}, peak_bytes=0)

    assert plan(other, MACHINE).estimate.seconds == pytest.approx(5 * other_before, rel=0.15)
