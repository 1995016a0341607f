"""The engine's thread: it runs what waits, every run ends in one last event, and what is stopped can go on.

Alone: `pytest tests/ltx_studio/test_engine_bridge.py`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QThread, Slot
from pytestqt.qtbot import QtBot

from engine.errors import RequestError
from engine.events import Finished, Preview, Progress
from engine.jobs.queue import Job
from engine.jobs.store import JobStore, NewJob
from engine.request import GenerationRequest
from ltx_studio.domain.job import NO_JOB, Begun, Cancelled, Failed, JobEvent, JobUpdate, Paused
from ltx_studio.services.engine_bridge import EngineBridge
from tests.fakes.engine import Line, ScriptedEngine, WorkUntilClosed, progress, whole_run

REQUEST = GenerationRequest("a red ball bounces", seed=3)
WORKING: list[Line] = [WorkUntilClosed(progress(0.3))]
LAST = (Finished, Failed, Cancelled, Paused)


class Listener(QObject):
    """Collects updates, and the threads they came in on."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[JobUpdate] = []
        self.threads: set[QThread] = set()

    @Slot(object)
    def take(self, update: JobUpdate) -> None:
        self.updates.append(update)
        self.threads.add(QThread.currentThread())

    def events(self, job_id: int) -> list[JobEvent]:
        return [update.event for update in self.updates if update.job_id == job_id]

    def is_over(self, job_id: int) -> bool:
        return any(isinstance(event, LAST) for event in self.events(job_id))

    def is_working(self) -> bool:
        return any(isinstance(update.event, Progress) for update in self.updates)


class Bench:
    """A bridge over a queue in a folder."""

    def __init__(self, folder: Path, engine: ScriptedEngine, listener: Listener) -> None:
        self.folder = folder
        self.store = JobStore(folder / "queue.sqlite3")
        self.bridge = EngineBridge(engine, queue_file=self.store.path)
        self.bridge.happened.connect(listener.take)

    def add(self, count: int = 1) -> list[Job]:
        work = REQUEST.to_dict()
        new = NewJob(work, "a ball", self.folder / "made.mp4", "fake", predicted_s=5)
        return self.store.add([new] * count)

    def close(self) -> None:
        assert self.bridge.close()
        self.store.close()


@pytest.fixture
def listener(qapp: object) -> Listener:
    return Listener()


@pytest.fixture
def connect(listener: Listener, tmp_path: Path) -> Iterator[Callable[[ScriptedEngine], Bench]]:
    benches: list[Bench] = []

    def connect(engine: ScriptedEngine) -> Bench:
        benches.append(Bench(tmp_path, engine, listener))
        return benches[-1]

    yield connect
    for bench in benches:
        bench.close()


Connect = Callable[[ScriptedEngine], Bench]


@pytest.fixture
def script(tmp_path: Path) -> list[Line]:
    """A run without trouble."""
    made = tmp_path / "from the script.mp4"
    made.write_bytes(b"a clip")
    return whole_run(REQUEST, made)


def test_a_run_begins_reports_its_events_in_order_and_ends_with_the_result(
    connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot
) -> None:
    bench = connect(ScriptedEngine([script]))
    (job,) = bench.add()

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    begun, *events, finished = listener.events(job.id)
    assert begun == Begun(REQUEST)
    assert events == script[:-1]
    assert isinstance(finished, Finished)
    assert (finished.result.path, finished.result.path.read_bytes()) == (job.path, b"a clip")


def test_the_engine_runs_beside_the_window_and_events_arrive_in_the_windows_thread(
    connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot
) -> None:
    engine = ScriptedEngine([script])
    bench = connect(engine)
    (job,) = bench.add()

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    assert engine.threads != ["MainThread"]
    assert listener.threads == {listener.thread()}


def test_every_job_that_waits_is_run(connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot) -> None:
    bench = connect(ScriptedEngine([script, script, script]))
    jobs = bench.add(3)

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(jobs[-1].id))

    assert [job.state for job in bench.store.jobs()] == ["done"] * 3


def test_a_cancelled_run_is_closed_and_then_says_so(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    engine = ScriptedEngine([WORKING])
    bench = connect(engine)
    (job,) = bench.add()
    bench.bridge.wake()
    qtbot.waitUntil(listener.is_working)

    bench.store.cancel(job.id)
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    assert isinstance(listener.events(job.id)[-1], Cancelled)
    assert engine.num_cleaned_up == 1


def test_what_is_put_back_waits_again(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    bench = connect(ScriptedEngine([WORKING]))
    (job,) = bench.add()
    bench.bridge.wake()
    qtbot.waitUntil(listener.is_working)

    bench.bridge.put_back()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    assert listener.events(job.id)[-1] == Paused()
    assert bench.store.job(job.id).state == "waiting"


def test_what_was_put_back_is_run_when_the_bridge_is_woken(
    connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot
) -> None:
    bench = connect(ScriptedEngine([WORKING, script]))
    (job,) = bench.add()
    bench.bridge.wake()
    qtbot.waitUntil(listener.is_working)
    bench.bridge.put_back()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    bench.bridge.wake()

    qtbot.waitUntil(lambda: bench.store.job(job.id).state == "done")


def test_a_mistake_in_the_request_arrives_with_its_remedy(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    error = RequestError("size", "A picture of 9x9 pixels cannot be made.", remedy="Choose larger sides.")
    bench = connect(ScriptedEngine([[progress(0.1), error]]))
    (job,) = bench.add()

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    assert listener.events(job.id)[-1] == Failed(
        "request", "A picture of 9x9 pixels cannot be made.", "Choose larger sides."
    )


def test_an_error_that_nobody_expected_is_logged_and_ends_the_job(
    connect: Connect, listener: Listener, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    bench = connect(ScriptedEngine([[ZeroDivisionError("inside the engine")]]))
    (job,) = bench.add()

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    last = listener.events(job.id)[-1]
    assert isinstance(last, Failed)
    assert "ZeroDivisionError" not in last.message
    assert "inside the engine" in caplog.text


@pytest.mark.parametrize("trouble", [RequestError("size", "No."), ValueError("no")])
def test_the_next_job_runs_after_a_failed_one(
    trouble: Exception, connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot
) -> None:
    bench = connect(ScriptedEngine([[trouble], script]))
    _, second = bench.add(2)

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(second.id))

    assert isinstance(listener.events(second.id)[-1], Finished)


def test_a_queue_that_cannot_be_read_is_said_and_does_not_end_the_thread(
    connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot, tmp_path: Path
) -> None:
    bench = connect(ScriptedEngine([script]))
    (job,) = bench.add()
    bench.store.close()
    bench.store.path.rename(tmp_path / "aside")
    bench.store.path.write_bytes(b"this is no database, and long enough to tell " * 40)
    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(NO_JOB))
    (tmp_path / "aside").replace(bench.store.path)

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    (said,) = listener.events(NO_JOB)
    assert isinstance(said, Failed)
    assert "damaged" in said.message


def test_closing_puts_the_running_job_back_and_ends_the_thread(
    connect: Connect, listener: Listener, qtbot: QtBot
) -> None:
    engine = ScriptedEngine([WORKING])
    bench = connect(engine)
    first, second = bench.add(2)
    bench.bridge.wake()
    qtbot.waitUntil(listener.is_working)

    assert bench.bridge.close()

    assert engine.num_cleaned_up == 1
    assert [bench.store.job(job.id).state for job in (first, second)] == ["waiting", "waiting"]


def test_previews_cross_the_thread_whole(
    connect: Connect, listener: Listener, script: list[Line], qtbot: QtBot
) -> None:
    bench = connect(ScriptedEngine([script]))
    (job,) = bench.add()

    bench.bridge.wake()
    qtbot.waitUntil(lambda: listener.is_over(job.id))

    (picture,) = [event for event in listener.events(job.id) if isinstance(event, Preview)]
    assert picture.frame.shape == (3, 4, 3)
