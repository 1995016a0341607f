"""Running the queue: order, ends, wishes, and two runners or a killed one on the same queue.

Alone: `pytest tests/engine/jobs/test_runner.py`.
"""

import logging
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from engine.errors import MediaError, OutOfMemory
from engine.events import Event, Finished
from engine.jobs import runner
from engine.jobs.queue import Job, Priority
from engine.jobs.runner import (
    Control,
    Engine,
    JobCancelled,
    JobEvent,
    JobFinished,
    JobPaused,
    JobRecovered,
    JobStarted,
    QueueEvent,
    Task,
    run_queue,
)
from engine.jobs.store import JobStore
from engine.request import GenerationRequest
from tests.benchmarks.queue_kills import check_once_each, kill_at_random_moments, start_runner
from tests.fakes.engine import result
from tests.fakes.queue import FileEngine, add_jobs, attempt_in, new_job, progress, titles


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "queue" / "queue.sqlite3") as opened:
        yield opened


@pytest.fixture
def engine(tmp_path: Path) -> FileEngine:
    return FileEngine(tmp_path / "made.log")


def kinds(events: list[QueueEvent]) -> list[str]:
    """What was said, without what engines said."""
    return [type(event).__name__.removeprefix("Job") for event in events if not isinstance(event, JobEvent)]


def started(events: list[QueueEvent]) -> list[str]:
    return titles(event.job for event in events if isinstance(event, JobStarted))


# --- what is run ------------------------------------------------------------------------------------------------------


def test_every_waiting_job_is_run_and_its_file_is_whole(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 2)

    events = list(run_queue(store, engine))

    assert kinds(events) == ["Started", "Finished"] * 2
    assert [job.state for job in store.jobs()] == ["done", "done"]
    assert attempt_in(tmp_path / "1.mp4") != attempt_in(tmp_path / "2.mp4")
    assert not [item for item in tmp_path.iterdir() if item.name.startswith(".")]


def test_what_the_engine_says_is_passed_on_with_its_job(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 1)

    said = [event for event in run_queue(store, engine) if isinstance(event, JobEvent)]

    assert said == [JobEvent(1, progress(step)) for step in range(1, 9)]


def test_the_result_names_the_file_where_it_is_and_its_facts_are_kept(store: JobStore, tmp_path: Path) -> None:
    def engine(task: Task) -> Generator[Event, None, None]:
        task.output.touch()
        yield Finished(result(task.output, seed=9))

    add_jobs(store, tmp_path, 1)
    (_, finished) = run_queue(store, engine)

    assert isinstance(finished, JobFinished)
    assert finished.result == result(tmp_path / "1.mp4", seed=9)
    kept = store.result(1)
    assert kept is not None
    assert (kept["seed"], kept["frames"], "plan" in kept) == (9, 9, False)


def test_the_engine_gets_the_request_as_it_was_added(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    request = GenerationRequest("a ball", seed=3)
    store.add([new_job(tmp_path / "clip.mp4", work=request.to_dict())])
    asked: list[GenerationRequest] = []

    def noting(task: Task) -> Generator[Event, None, None]:
        asked.append(task.request)
        yield from engine(task)

    list(run_queue(store, noting))

    assert asked == [request]


def test_jobs_for_the_model_that_is_loaded_go_first_within_a_priority(
    store: JobStore, tmp_path: Path, engine: FileEngine
) -> None:
    for title, model in (("a", "small"), ("b", "large"), ("c", "small"), ("d", "large")):
        store.add([new_job(tmp_path / "clip.mp4", title=title, model=model)])
    store.add([new_job(tmp_path / "clip.mp4", title="urgent", model="large", priority=Priority.HIGH)])

    assert started(list(run_queue(store, engine))) == ["urgent", "b", "d", "a", "c"]


def test_a_job_that_is_added_while_another_runs_is_run_too(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 1)
    names: list[str] = []

    for event in run_queue(store, engine):
        if isinstance(event, JobStarted):
            names.append(event.job.title)
            if len(names) == 1:
                store.add([new_job(tmp_path / "later.mp4", title="later")])

    assert names == ["job 1", "later"]


def test_a_runner_leaves_the_other_lane_alone(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    store.add([new_job(tmp_path / "a.mp4"), new_job(tmp_path / "b.mp4", lane="export", title="export")])

    assert started(list(run_queue(store, engine, lane="export"))) == ["export"]
    assert store.job(1).state == "waiting"


def test_a_queue_that_is_paused_ends_after_the_job_that_runs(
    store: JobStore, tmp_path: Path, engine: FileEngine
) -> None:
    add_jobs(store, tmp_path, 2)

    for event in run_queue(store, engine):
        if isinstance(event, JobStarted):
            store.set_paused(True)

    assert [job.state for job in store.jobs()] == ["waiting", "done"]


def test_the_queue_is_there_without_torch() -> None:
    modules = "batch, files, lease, owner, prepare, queue, runner, schema, store"
    probe = f"from engine.jobs import {modules}; import sys; assert not {{'torch', 'transformers'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", probe], check=True)


# --- failures ---------------------------------------------------------------------------------------------------------


def failing(engine: Engine, title: str, error: Exception) -> Engine:
    def run(task: Task) -> Generator[Event, None, None]:
        if task.work["prompt"] == title:
            yield progress(1)
            raise error
        yield from engine(task)

    return run


def test_a_job_that_fails_says_why_and_the_next_one_is_run(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 2)

    events = list(run_queue(store, failing(engine, "job 1", OutOfMemory("refine", remedy="Choose a smaller size."))))

    assert kinds(events) == ["Started", "Failed", "Started", "Finished"]
    job = store.job(1)
    assert (job.state, job.error_code, job.error_remedy) == ("failed", "out_of_memory", "Choose a smaller size.")
    assert store.job(2).state == "done"


def test_a_failure_nobody_expected_is_logged_and_the_next_job_is_run(
    store: JobStore, tmp_path: Path, engine: FileEngine, caplog: pytest.LogCaptureFixture
) -> None:
    add_jobs(store, tmp_path, 2)

    with caplog.at_level(logging.ERROR, "engine.jobs"):
        events = list(run_queue(store, failing(engine, "job 1", ZeroDivisionError("by zero"))))

    assert kinds(events) == ["Started", "Failed", "Started", "Finished"]
    assert store.job(1).error_code == runner.INTERNAL_ERROR
    assert "by zero" in caplog.text


def test_an_error_is_about_the_file_the_user_named(store: JobStore, tmp_path: Path) -> None:
    def engine(task: Task) -> Generator[Event, None, None]:
        yield progress(1)
        raise MediaError(task.output, "the disk is full.")

    add_jobs(store, tmp_path, 1)
    list(run_queue(store, engine))

    assert store.job(1).error_message == f"{tmp_path / '1.mp4'}: the disk is full."


def test_a_job_whose_folder_is_gone_fails_in_words(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    store.add([new_job(tmp_path / "unplugged" / "clip.mp4")])

    list(run_queue(store, engine))

    assert "the folder is not there" in (store.job(1).error_message or "")


def test_a_failed_job_is_tried_again(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 1)
    list(run_queue(store, failing(engine, "job 1", OutOfMemory("base"))))

    store.retry(1)
    list(run_queue(store, engine))

    job = store.job(1)
    assert (job.state, job.error_code) == ("done", None)


# --- wishes -----------------------------------------------------------------------------------------------------------


def first_progress(event: QueueEvent) -> bool:
    return isinstance(event, JobEvent) and event.event == progress(1)


@pytest.mark.parametrize("through", ["control", "store"])
@pytest.mark.parametrize(
    ("wish", "kind", "state"), [("cancel", JobCancelled, "cancelled"), ("pause", JobPaused, "paused")]
)
def test_a_running_job_is_stopped_at_the_next_event(
    store: JobStore,
    tmp_path: Path,
    engine: FileEngine,
    wish: str,
    kind: type[JobCancelled] | type[JobPaused],
    state: str,
    through: str,
) -> None:
    add_jobs(store, tmp_path, 1)
    control = Control()
    events: list[QueueEvent] = []

    for event in run_queue(store, engine, control=control):
        events.append(event)
        if first_progress(event):
            getattr(control if through == "control" else store, wish)(1)

    assert len(events) == 3
    assert isinstance(events[-1], kind)
    assert store.job(1).state == state
    assert not [item for item in tmp_path.iterdir() if item.suffix == ".mp4" or item.name.startswith(".")]


def test_a_wish_is_not_carried_over_to_the_next_run_of_the_job(
    store: JobStore, tmp_path: Path, engine: FileEngine
) -> None:
    add_jobs(store, tmp_path, 1)
    control = Control()
    for event in run_queue(store, engine, control=control):
        if first_progress(event):
            control.cancel(1)

    store.retry(1)
    list(run_queue(store, engine, control=control))

    assert store.job(1).state == "done"


def test_a_paused_job_goes_on_with_what_it_had_kept(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 1)
    control = Control()
    found: list[list[str]] = []

    def noting(task: Task) -> Generator[Event, None, None]:
        found.append([item.name for item in task.folder.iterdir()])
        yield from engine(task)

    for event in run_queue(store, noting, control=control):
        if first_progress(event):
            control.pause(1)
    store.resume(1)
    list(run_queue(store, noting))

    assert found == [[], ["latents"]]
    assert store.job(1).state == "done"


def test_closing_the_iterator_stops_the_engine_and_the_job_waits_again(
    store: JobStore, tmp_path: Path, engine: FileEngine
) -> None:
    add_jobs(store, tmp_path, 1)
    events = run_queue(store, engine)
    while not first_progress(next(events)):
        pass

    events.close()

    job = store.job(1)
    assert (job.state, job.interruptions) == ("waiting", 0)
    assert [item.name for item in tmp_path.iterdir()] == ["queue"]


def test_a_runner_may_be_told_to_stop_after_its_job(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 2)
    control = Control()

    for _event in run_queue(store, engine, control=control):
        control.stops_after_job = True

    assert [job.state for job in store.jobs()] == ["waiting", "done"]


# --- several runners, and killed ones ---------------------------------------------------------------------------------


def test_two_threads_share_the_jobs_out(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    jobs = add_jobs(store, tmp_path, 12)

    def run() -> None:
        with JobStore(store.path) as own:
            list(run_queue(own, engine))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    check_once_each(jobs, engine.log)


def test_two_processes_share_the_jobs_out(store: JobStore, tmp_path: Path) -> None:
    jobs: list[Job] = add_jobs(store, tmp_path, 8)
    log = tmp_path / "made.log"

    with start_runner(store.path, log) as one, start_runner(store.path, log) as other:
        codes = [one.wait(30), other.wait(30)]

    assert codes == [0, 0]
    check_once_each(jobs, log)


def test_a_queue_that_is_killed_again_and_again_makes_every_file_once(tmp_path: Path) -> None:
    report = kill_at_random_moments(tmp_path, num_kills=3, seed=1)

    assert report.num_kills == 3
    assert report.num_done == report.num_jobs


def test_what_a_killed_runner_left_is_said(store: JobStore, tmp_path: Path, engine: FileEngine) -> None:
    add_jobs(store, tmp_path, 1)
    with start_runner(store.path, tmp_path / "made.log") as process:
        while store.job(1).state == "waiting":
            assert process.poll() is None or store.job(1).state != "waiting"
        process.kill()
    was_done = store.job(1).state == "done"

    events = list(run_queue(store, engine))

    assert was_done or isinstance(events[0], JobRecovered)
    assert store.job(1).state == "done"
