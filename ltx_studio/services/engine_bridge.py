"""The engine's thread: the one file that knows where the engine runs.

It runs what waits in the queue, one job after the other, and says what happens through one signal. Commands about jobs
are written into the queue's file (`ltx_studio.state.queue`), where the runner finds them; all this needs to be told is
that something waits, or that what runs is to be put back. The engine is imported by the first job, on its own thread,
so the window is there long before torch is.
"""

import gc
import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from PySide6.QtCore import QObject, QThread, Signal, Slot

from engine.errors import EngineError, RequestError
from engine.events import Event, Finished, Progress, Result
from engine.jobs import runner
from engine.jobs.queue import Job
from engine.jobs.runner import Engine, GenerationEngine, QueueEvent, Task, run_queue
from engine.jobs.store import JobStore
from engine.request import GenerationRequest
from ltx_studio.domain.job import NO_JOB, Begun, Cancelled, Failed, JobEvent, JobUpdate, Paused, Settled

logger = logging.getLogger("studio.engine")

_NICENESS = 5  # of 19: a third of the processor while the window wants all of it


class WarmEngine:
    """The engine itself; what it loads stays loaded for the next job."""

    def __init__(self) -> None:
        self._engine = GenerationEngine()
        self._libraries_settled = False

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        with closing(self._engine(task)) as events:
            for event in events:
                yield event
                self._settle_libraries(event)

    def _settle_libraries(self, event: Event) -> None:
        """Spare the window the garbage collector's walk over everything that torch and transformers are made of.

        The engine collects after each stage, to give memory back, and a collection lets no other thread run: 370 ms
        measured on a laptop's processor, under 1 ms once the libraries' own objects are exempt. The first model is
        about to be loaded at this event, all libraries are imported, and the text encoder has been released.
        """
        if not self._libraries_settled and isinstance(event, Progress) and event.phase == "load":
            gc.collect()
            gc.freeze()
            self._libraries_settled = True


class EngineBridge(QObject):
    """Runs the queue; lives in the window's thread."""

    happened = Signal(object)  # JobUpdate
    _woken = Signal()

    def __init__(self, engine: Engine | None, parent: QObject | None = None, *, queue_file: Path | None = None) -> None:
        """`queue_file` defaults to the one in the data folder. Without an engine what waits goes on waiting."""
        super().__init__(parent)
        self._has_engine = engine is not None
        self._thread = QThread(self)
        self._thread.setObjectName("engine")
        self._worker = _Worker(engine, queue_file, self)
        self._worker.moveToThread(self._thread)
        self._woken.connect(self._worker.run)

    @Slot()
    def wake(self) -> None:
        """Something waits: run it, after what runs now. Harmless when nothing does."""
        if self._worker.is_closing or self._worker.is_woken:
            return
        if not self._has_engine:
            remedy = "What is in the queue waits for it. To install it, open the Help menu and choose Welcome."
            self.happened.emit(JobUpdate(NO_JOB, Failed("no-engine", "The engine is not installed yet.", remedy)))
            return
        if not self._thread.isRunning():
            self._thread.start()
        self._worker.is_woken = True
        self._woken.emit()

    @Slot()
    def put_back(self) -> None:
        """Stop the running job within one block, tile or packet; it waits again, and what its stages made is kept."""
        self._worker.must_stop = True

    def close(self, *, wait_ms: int = 5000) -> bool:
        """Put the running job back and stop for good; whether the thread ended in time.

        Call it when the window is gone: it waits.
        """
        self.stop_soon()
        self._thread.quit()
        return self._thread.wait(wait_ms)

    def stop_soon(self) -> None:
        """Put the running job back and start no other; does not wait."""
        self._worker.is_closing = self._worker.must_stop = True


class _Worker(QObject):
    """Runs one job after the other in the engine's thread. The window's thread writes the three flags."""

    def __init__(self, engine: Engine | None, queue_file: Path | None, bridge: EngineBridge) -> None:
        super().__init__()
        self.is_woken = False  # a call of `run` is on its way
        self.must_stop = False
        self.is_closing = False
        self._engine = engine
        self._queue_file = queue_file
        self._bridge = bridge
        self._running_id = NO_JOB

    @Slot()
    def run(self) -> None:
        """Until nothing waits, or the queue is paused, or `must_stop`."""
        self.is_woken = False
        _let_the_window_go_first()
        self.must_stop = self.is_closing
        try:
            assert self._engine is not None
            with JobStore(self._queue_file) as store, closing(run_queue(store, self._engine)) as events:
                while not self.must_stop and (event := next(events, None)) is not None:
                    self._report(event, store)
            if self._running_id != NO_JOB:
                self._say(self._running_id, Paused())
        except EngineError as error:
            logger.warning("the queue stopped: %s", error)
            self._say(NO_JOB, Failed.of(error))
        except Exception:
            # The outermost boundary of this thread: whatever went wrong, the window hears of it and lives on.
            logger.exception("the queue stopped")
            message = "The queue stopped because of something that LTX Studio did not expect."
            self._say(NO_JOB, Failed(runner.INTERNAL_ERROR, message, "Your jobs are kept. The log has the details."))
        finally:
            self._running_id = NO_JOB

    def _report(self, event: QueueEvent, store: JobStore) -> None:
        if isinstance(event, runner.JobEvent):
            self._say(event.job_id, event.event)
            return
        said = _turn(event, store)
        self._running_id = event.job.id if isinstance(said, Begun) else NO_JOB
        self._say(event.job.id, said)

    def _say(self, job_id: int, event: JobEvent) -> None:
        # Emitted by an object of the window's thread, so that every receiver runs there.
        self._bridge.happened.emit(JobUpdate(job_id, event))


def _let_the_window_go_first() -> None:
    """Give the processor to the window, and to playback, when both want it; the threads that work for this one follow.

    Other systems have no such setting for a single thread.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


_Turn = (
    runner.JobRecovered
    | runner.JobStarted
    | runner.JobFinished
    | runner.JobFailed
    | runner.JobCancelled
    | runner.JobPaused
    | runner.JobLost
)


def _turn(event: _Turn, store: JobStore) -> JobEvent:
    """How the studio calls the beginning or the end of a run."""
    match event:
        case runner.JobStarted(job):
            return Begun(_request(job, store))
        case runner.JobFinished(job, result):
            return Finished(result or _stored_result(job, store))
        case runner.JobFailed(job):
            return Failed(job.error_code or "", job.error_message or "", job.error_remedy or "")
        case runner.JobCancelled():
            return Cancelled()
        case runner.JobPaused():
            return Paused()
        case runner.JobRecovered():
            return Settled()
        case runner.JobLost():
            return Failed("lost", "Another program took this job over.", "It goes on there.")


def _request(job: Job, store: JobStore) -> GenerationRequest:
    """One that this version cannot read makes its job fail, with the reason, and that is for the runner to say."""
    try:
        return store.request(job.id)
    except RequestError:
        return GenerationRequest(job.title)


def _stored_result(job: Job, store: JobStore) -> Result:
    """Of a job whose file an earlier process completed."""
    facts = store.result(job.id)
    assert facts is not None, f"the engine ended job {job.id} without a result"
    return Result(path=job.path, plan={}, **facts)
