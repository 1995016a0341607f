"""The engine's thread: every job ends in one last event, wherever it goes wrong or is stopped.

Alone: `pytest tests/ltx_studio/test_engine_bridge.py`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QThread, Slot
from pytestqt.qtbot import QtBot

from engine.errors import RequestError
from engine.events import Finished, Preview, Progress
from engine.request import GenerationRequest
from ltx_studio.domain.job import Cancelled, Failed, JobEvent, JobUpdate
from ltx_studio.services.engine_bridge import INTERNAL_ERROR, EngineBridge
from tests.fakes.engine import Line, ScriptedEngine, WorkUntilClosed, progress, result, whole_run

REQUEST = GenerationRequest("a red ball bounces", seed=3)
LAST = (Finished, Failed, Cancelled)


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


@pytest.fixture
def listener(qapp: object) -> Listener:
    return Listener()


@pytest.fixture
def connect(listener: Listener) -> Iterator[Callable[[ScriptedEngine], EngineBridge]]:
    bridges: list[EngineBridge] = []

    def connect(engine: ScriptedEngine) -> EngineBridge:
        bridge = EngineBridge(engine)
        bridge.happened.connect(listener.take)
        bridges.append(bridge)
        return bridge

    yield connect
    for bridge in bridges:
        assert bridge.close()


Connect = Callable[[ScriptedEngine], EngineBridge]


def test_a_run_reports_its_events_in_order_and_ends_with_the_result(
    connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path
) -> None:
    script = whole_run(REQUEST, tmp_path / "clip.mp4")
    bridge = connect(ScriptedEngine([script]))

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    assert listener.events(job_id) == script


def test_the_engine_runs_beside_the_window_and_events_arrive_in_the_windows_thread(
    connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path
) -> None:
    engine = ScriptedEngine([whole_run(REQUEST, tmp_path / "clip.mp4")])
    bridge = connect(engine)

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    assert engine.threads != ["MainThread"]
    assert listener.threads == {listener.thread()}


def test_stopping_closes_the_run_and_then_says_so(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    engine = ScriptedEngine([[WorkUntilClosed(progress(0.3))]])
    bridge = connect(engine)
    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: len(listener.updates) > 3)

    bridge.cancel()
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    assert isinstance(listener.events(job_id)[-1], Cancelled)
    assert engine.num_cleaned_up == 1


def test_stopping_reaches_a_job_that_has_not_begun(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    engine = ScriptedEngine([[WorkUntilClosed(progress(0.3))]])
    bridge = connect(engine)
    first, second = bridge.start(REQUEST), bridge.start(REQUEST)

    bridge.cancel()
    qtbot.waitUntil(lambda: listener.is_over(second))

    assert listener.is_over(first)
    assert listener.events(second) == [Cancelled()]


def test_a_clip_that_is_finished_when_stop_arrives_is_kept(
    connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path
) -> None:
    last = Finished(result(tmp_path / "clip.mp4"))

    def stopped_while_the_file_is_put_in_its_place() -> Iterator[Line]:
        bridge.cancel()
        yield last

    bridge = connect(ScriptedEngine([stopped_while_the_file_is_put_in_its_place()]))

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    assert listener.events(job_id) == [last]


def test_a_mistake_in_the_request_arrives_with_its_remedy(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    error = RequestError("size", "A picture of 9x9 pixels cannot be made.", remedy="Choose larger sides.")
    bridge = connect(ScriptedEngine([[progress(0.1), error]]))

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    assert listener.events(job_id)[-1] == Failed(
        "request", "A picture of 9x9 pixels cannot be made.", "Choose larger sides."
    )


def test_an_error_that_nobody_expected_is_logged_and_ends_the_job(
    connect: Connect, listener: Listener, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = connect(ScriptedEngine([[ZeroDivisionError("inside the engine")]]))

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    (last,) = listener.events(job_id)
    assert isinstance(last, Failed)
    assert (last.code, "ZeroDivisionError" in last.message) == (INTERNAL_ERROR, False)
    assert "inside the engine" in caplog.text


@pytest.mark.parametrize("trouble", [RequestError("size", "No."), ValueError("no")])
def test_the_next_job_runs_after_a_failed_one(
    trouble: Exception, connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path
) -> None:
    bridge = connect(ScriptedEngine([[trouble], whole_run(REQUEST, tmp_path / "clip.mp4")]))

    bridge.start(REQUEST)
    second = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(second))

    assert isinstance(listener.events(second)[-1], Finished)


def test_the_next_job_runs_after_a_stopped_one(
    connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path
) -> None:
    bridge = connect(ScriptedEngine([[WorkUntilClosed(progress(0.3))], whole_run(REQUEST, tmp_path / "clip.mp4")]))
    bridge.start(REQUEST)
    qtbot.waitUntil(lambda: len(listener.updates) > 0)

    bridge.cancel()
    second = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(second))

    assert isinstance(listener.events(second)[-1], Finished)


def test_closing_stops_the_running_job_and_ends_the_thread(connect: Connect, listener: Listener, qtbot: QtBot) -> None:
    engine = ScriptedEngine([[WorkUntilClosed(progress(0.3))]])
    bridge = connect(engine)
    bridge.start(REQUEST)
    qtbot.waitUntil(lambda: any(isinstance(update.event, Progress) for update in listener.updates))

    assert bridge.close()

    assert engine.num_cleaned_up == 1


def test_previews_cross_the_thread_whole(connect: Connect, listener: Listener, qtbot: QtBot, tmp_path: Path) -> None:
    bridge = connect(ScriptedEngine([whole_run(REQUEST, tmp_path / "clip.mp4")]))

    job_id = bridge.start(REQUEST)
    qtbot.waitUntil(lambda: listener.is_over(job_id))

    (picture,) = [event for event in listener.events(job_id) if isinstance(event, Preview)]
    assert picture.frame.shape == (3, 4, 3)
