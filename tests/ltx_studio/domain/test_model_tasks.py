"""The queue of what is done with models. Alone: `pytest tests/ltx_studio/domain/test_model_tasks.py`."""

from dataclasses import replace

from engine.weights.fetch import FetchProgress
from ltx_studio.domain.job import Failed
from ltx_studio.domain.model_tasks import Activity, Done, Get, KeepToken, Queue, Reading, Stopped, TaskUpdate, Verify

ONE, TWO = Get("one"), Get("two")
REFUSED = Failed("download", "The line is down.", "Try again.")


def running(task: Get | Verify, *others: Get | Verify) -> Queue:
    queue = Queue()
    for item in (task, *others):
        queue = queue.adding(item)
    return queue.starting(task)


def test_asking_twice_for_the_same_changes_nothing() -> None:
    queue = running(ONE, TWO)

    assert queue.adding(ONE) == queue == queue.adding(TWO)


def test_nothing_starts_while_something_runs() -> None:
    queue = running(ONE, TWO)

    assert queue.next is None
    assert queue.after(TaskUpdate(ONE, Done())).next == TWO


def test_a_pause_puts_what_was_fetched_back_at_the_head_and_remembers_how_far_it_was() -> None:
    progress = FetchProgress("one.safetensors", "fetching", 30, 100, 30, 100, 5.0, 14.0)
    queue = running(ONE, TWO).after(TaskUpdate(ONE, progress))

    queue = queue.pausing().after(TaskUpdate(ONE, Stopped()))

    assert queue.waiting == (ONE, TWO)
    assert queue.paused is not None
    assert (queue.paused.done_bytes, queue.next) == (30, None)


def test_a_pause_holds_back_fetching_alone() -> None:
    queue = running(ONE).pausing().after(TaskUpdate(ONE, Stopped())).adding(Verify("two"))

    assert queue.next == Verify("two")
    assert replace(queue, is_paused=False).next == ONE


def test_going_on_before_the_pause_took_hold_starts_it_again() -> None:
    queue = replace(running(ONE).pausing(), is_paused=False)

    assert queue.after(TaskUpdate(ONE, Stopped())).next == ONE


def test_what_is_stopped_for_good_leaves_the_queue_and_the_next_starts() -> None:
    queue = running(ONE, TWO).stopping().after(TaskUpdate(ONE, Stopped()))

    assert queue.waiting == (TWO,)
    assert queue.next == TWO
    assert queue.last == Activity(ONE, is_dropped=True, outcome=Stopped())


def test_dropping_the_last_that_is_paused_ends_the_pause() -> None:
    queue = running(ONE).pausing().after(TaskUpdate(ONE, Stopped())).dropping(ONE)

    assert not queue.is_paused


def test_a_failure_stays_with_its_model_until_it_is_tried_again() -> None:
    queue = running(ONE, TWO).after(TaskUpdate(ONE, REFUSED))
    assert queue.problem("one") == REFUSED
    assert queue.next == TWO

    queue = queue.after(TaskUpdate(TWO, Done())).adding(ONE).starting(ONE)

    assert queue.problem("one") is None


def test_events_of_a_task_that_no_longer_runs_are_dropped() -> None:
    queue = running(TWO)

    assert queue.after(TaskUpdate(ONE, Reading("one.safetensors", 1, 2, 0.0, None))) == queue


def test_a_token_is_not_in_what_is_logged() -> None:
    assert "hf_secret" not in repr(KeepToken("hf_secret"))
