"""The queue's rules: states, turns, places and times. Alone: `pytest tests/engine/jobs/test_queue.py`."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.queue import (
    ENDED,
    LOOK_AHEAD,
    MAX_OVERTAKEN,
    RANK_STEP,
    TRANSITIONS,
    Action,
    Job,
    Lane,
    QueueError,
    State,
    after,
    choose,
    even_ranks,
    forecast,
    rank_between,
    remaining_s,
    run_order,
)

STATES: tuple[State, ...] = get_args(State)
ACTIONS: tuple[Action, ...] = get_args(Action)


def job(
    job_id: int,
    *,
    warm_key: str = "small",
    priority: int = 1,
    overtaken: int = 0,
    state: State = "waiting",
    lane: Lane = "generation",
    predicted_s: float = 10.0,
    fraction: float = 0.0,
    eta_s: float | None = None,
    heartbeat_s: float | None = None,
) -> Job:
    return Job(
        id=job_id,
        uid=f"{job_id:016x}",
        batch_id=None,
        lane=lane,
        state=state,
        priority=priority,
        rank=job_id,
        overtaken=overtaken,
        title="",
        output="",
        warm_key=warm_key,
        predicted_s=predicted_s,
        fraction=fraction,
        eta_s=eta_s,
        created_s=0.0,
        started_s=None,
        heartbeat_s=heartbeat_s,
        finished_s=None,
        interruptions=0,
        wish=None,
        error_code=None,
        error_message=None,
        error_remedy=None,
    )


# --- states -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(ACTIONS)))
def test_whatever_is_done_to_a_job_it_runs_before_it_is_done_and_stays_done(actions: list[Action]) -> None:
    state: State = "waiting"
    has_run = False
    for action in actions:
        before = state
        if (state, action) in TRANSITIONS:
            state = after(state, action, job_id=1)
        else:
            with pytest.raises(QueueError):
                after(state, action, job_id=1)
        has_run |= state == "running"
        assert before != "done" or state == "done"
        assert state not in {"done", "failed"} or has_run


@pytest.mark.parametrize("state", STATES)
def test_only_a_done_job_has_no_way_back_into_the_line(state: State) -> None:
    reachable = {state}
    while new := {TRANSITIONS[key] for key in TRANSITIONS if key[0] in reachable} - reachable:
        reachable |= new

    assert ("waiting" in reachable) == (state != "done")


def test_every_state_that_is_no_end_can_be_cancelled() -> None:
    assert {state for state, action in TRANSITIONS if action == "cancel"} == set(STATES) - ENDED


def test_an_impossible_action_is_refused_in_words() -> None:
    with pytest.raises(
        QueueError, match=r"^Job 7 is done and cannot be paused\. Choose a job that is waiting or running\.$"
    ):
        after("done", "pause", job_id=7)


# --- turns ------------------------------------------------------------------------------------------------------------


def test_a_job_for_the_loaded_model_goes_ahead_of_one_for_another() -> None:
    line = [job(1, warm_key="large"), job(2)]

    assert choose(line, "small") == 1


@pytest.mark.parametrize("warm_key", [None, "another"])
def test_without_a_job_for_the_loaded_model_the_first_in_line_runs(warm_key: str | None) -> None:
    assert choose([job(1), job(2, warm_key="large")], warm_key) == 0


def test_a_model_that_is_loaded_is_no_reason_to_run_a_lower_priority_first() -> None:
    assert choose([job(1, warm_key="large", priority=2), job(2, priority=1)], "small") == 0


def test_a_job_that_was_overtaken_often_enough_is_not_overtaken_again() -> None:
    line = [job(1, warm_key="large", overtaken=MAX_OVERTAKEN), job(2)]

    assert choose(line, "small") == 0


def test_a_job_far_down_the_line_does_not_come_to_the_front() -> None:
    line = [*(job(number, warm_key="large") for number in range(LOOK_AHEAD)), job(99)]

    assert choose(line, "small") == 0


line_of_jobs = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=60).map(
    lambda items: [
        job(number, warm_key=key, priority=priority)
        for number, (key, priority) in enumerate(sorted(items, key=lambda item: -item[1]))
    ]
)


@given(line_of_jobs)
def test_everybody_gets_a_turn_once_higher_priorities_first(line: list[Job]) -> None:
    order = list(run_order(line, "a"))

    assert sorted(item.id for item in order) == [item.id for item in line]
    assert [item.priority for item in order] == sorted((item.priority for item in line), reverse=True)


@given(line_of_jobs)
def test_nobody_lets_more_than_a_few_jobs_go_ahead(line: list[Job]) -> None:
    order = [item.id for item in run_order(line, "a")]

    ahead = {job_id: sum(other > job_id for other in order[:turn]) for turn, job_id in enumerate(order)}
    assert all(count <= MAX_OVERTAKEN for count in ahead.values())


def test_two_models_in_turns_are_loaded_less_often_than_in_the_order_they_were_added() -> None:
    line = [job(number, warm_key="ab"[number % 2]) for number in range(40)]

    keys = [item.warm_key for item in run_order(line, None)]

    num_loads = 1 + sum(one != other for one, other in pairwise(keys))
    assert num_loads <= 40 / MAX_OVERTAKEN


# --- places -----------------------------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.integers(-(2**62), 2**62)), st.one_of(st.none(), st.integers(-(2**62), 2**62)))
def test_a_rank_between_two_lies_between_them_or_there_is_no_room(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and low >= high:
        low, high = (high, low) if low > high else (low, None)

    rank = rank_between(low, high)

    if rank is None:
        assert low is not None
        assert high == low + 1
    else:
        assert low is None or low < rank
        assert high is None or rank < high


def test_a_fresh_gap_takes_32_insertions_at_the_same_place() -> None:
    low, high = even_ranks(2)

    for _ in range(32):
        middle = rank_between(low, high)
        assert middle is not None
        high = middle

    assert rank_between(low, high) is None
    assert list(even_ranks(3)) == [0, RANK_STEP, 2 * RANK_STEP]


# --- times ------------------------------------------------------------------------------------------------------------


def test_jobs_are_done_one_after_the_other() -> None:
    jobs = [job(1, predicted_s=5), job(2, predicted_s=7)]

    assert forecast(jobs, now_s=0) == ({1: 5, 2: 12}, 12)


def test_a_running_job_takes_what_it_says_less_the_time_since() -> None:
    running = job(1, state="running", predicted_s=100, fraction=0.5, eta_s=8, heartbeat_s=1000)

    assert forecast([running, job(2)], now_s=1003) == ({1: 5, 2: 15}, 15)


def test_a_running_job_that_says_nothing_yet_takes_what_was_predicted() -> None:
    assert remaining_s(job(1, state="running", predicted_s=40, fraction=0.25), now_s=0) == 30


def test_a_running_job_is_never_predicted_to_end_in_the_past() -> None:
    assert remaining_s(job(1, state="running", eta_s=3, heartbeat_s=0), now_s=60) == 0


def test_lanes_run_beside_each_other() -> None:
    jobs = [job(1, predicted_s=5), job(2, predicted_s=9, lane="export")]

    assert forecast(jobs, now_s=0) == ({1: 5, 2: 9}, 9)


def test_times_follow_the_order_of_the_runs_not_of_the_list() -> None:
    jobs = [job(1, state="running", predicted_s=1), job(2, warm_key="large"), job(3)]

    assert forecast(jobs, now_s=0).done_in_s == {1: 1, 3: 11, 2: 21}


@pytest.mark.parametrize("state", ["paused", "done", "failed", "cancelled"])
def test_jobs_that_wait_for_nobody_take_no_time(state: State) -> None:
    assert forecast([job(1, state=state)], now_s=0) == ({}, 0)
