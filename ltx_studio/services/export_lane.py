"""The thread that exports run on, beside the engine's: one job after the other, from the same queue.

Commands about jobs are written into the queue's file, where the runner finds them; all this needs to be told is that
something waits, or that what runs is to be put back. PyAV is imported by the first job.
"""

import logging
from contextlib import closing
from pathlib import Path

from PySide6.QtCore import QObject, QThread, Signal, Slot

from engine.errors import EngineError
from engine.events import Progress
from engine.jobs import runner
from engine.jobs.runner import Engine, QueueEvent, run_queue
from engine.jobs.store import JobStore
from ltx_studio.domain.exports import NO_JOB, ExportUpdate

logger = logging.getLogger("studio.export")


class ExportLane(QObject):
    """Runs the lane; lives in the window's thread."""

    happened = Signal(object)  # ExportUpdate
    _woken = Signal()

    def __init__(
        self, parent: QObject | None = None, *, engine: Engine | None = None, queue_file: Path | None = None
    ) -> None:
        """`engine` defaults to the real one, `queue_file` to the one in the data folder."""
        super().__init__(parent)
        self._thread = QThread(self)
        self._thread.setObjectName("exports")
        self._worker = _Worker(engine, queue_file, self)
        self._worker.moveToThread(self._thread)
        self._woken.connect(self._worker.run)

    @property
    def is_running(self) -> bool:
        """Whether a job is being made."""
        return self._worker.running_id != NO_JOB

    @Slot()
    def wake(self) -> None:
        """Something waits: run it, after what runs now. Harmless when nothing does."""
        if self._worker.is_closing or self._worker.is_woken:
            return
        if not self._thread.isRunning():
            self._thread.start()
        self._worker.is_woken = True
        self._woken.emit()

    @Slot()
    def put_back(self) -> None:
        """Stop the running job between two packets; it waits again, and starts from its beginning."""
        self._worker.must_stop = True

    def close(self, *, wait_ms: int = 5000) -> bool:
        """Put the running job back and stop for good; whether the thread ended in time."""
        self._worker.is_closing = self._worker.must_stop = True
        self._thread.quit()
        return self._thread.wait(wait_ms)


class _Worker(QObject):
    """Runs one job after the other in the lane's thread. The window's thread writes the three flags."""

    def __init__(self, engine: Engine | None, queue_file: Path | None, lane: ExportLane) -> None:
        super().__init__()
        self.is_woken = False
        self.must_stop = False
        self.is_closing = False
        self.running_id = NO_JOB
        self._engine = engine
        self._queue_file = queue_file
        self._lane = lane

    @Slot()
    def run(self) -> None:
        """Until nothing waits, or the queue is paused, or `must_stop`."""
        from engine.jobs.exports import LANE, ExportEngine  # noqa: PLC0415 - PyAV, on this thread

        self.is_woken = False
        self.must_stop = self.is_closing
        engine = self._engine or ExportEngine()
        try:
            with JobStore(self._queue_file) as store:
                with closing(run_queue(store, engine, lane=LANE)) as events:
                    while not self.must_stop and (event := next(events, None)) is not None:
                        self._report(event)
                if self.running_id != NO_JOB:  # it was put back
                    self._say(ExportUpdate(self.running_id, job=store.job(self.running_id)))
        except EngineError as error:
            logger.warning("exports stopped: %s", error)
            self._say(ExportUpdate(NO_JOB, problem=str(error)))
        except Exception:
            # The outermost boundary of this thread: whatever went wrong, the window hears of it and lives on.
            logger.exception("exports stopped")
            self._say(ExportUpdate(NO_JOB, problem="Exports stopped unexpectedly. They are kept; the log has more."))
        finally:
            self.running_id = NO_JOB

    def _report(self, event: QueueEvent) -> None:
        if isinstance(event, runner.JobEvent):
            if isinstance(event.event, Progress):
                self._say(ExportUpdate(event.job_id, progress=event.event))
            return
        job = event.job
        self.running_id = job.id if isinstance(event, runner.JobStarted) else NO_JOB
        self._say(ExportUpdate(job.id, job=job))

    def _say(self, update: ExportUpdate) -> None:
        # Emitted by an object of the window's thread, so that every receiver runs there.
        self._lane.happened.emit(update)
