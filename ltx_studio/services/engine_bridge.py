"""The engine's thread: the one file that knows where the engine runs.

Commands go in as frozen values, events come out through one signal, each with the id of its job. The engine is
imported by the first job, on its own thread, so the window is there long before torch is.
"""

import gc
import logging
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from PySide6.QtCore import QObject, QThread, Signal, Slot

from engine.errors import EngineError, OutOfMemory
from engine.events import Event, Finished, Progress
from engine.request import GenerationRequest
from ltx_studio.domain.job import Cancelled, Failed, JobEvent, JobUpdate

if TYPE_CHECKING:
    from engine.weights.store import ModelStore

logger = logging.getLogger("studio.engine")

INTERNAL_ERROR = "internal"


@dataclass(frozen=True)
class Start:
    """Make the clip of a request. Without an output the engine names the file."""

    job_id: int
    request: GenerationRequest
    output: Path | None = None


class Engine(Protocol):
    """What makes clips: the engine itself, or a script of its events in tests."""

    def run(self, request: GenerationRequest, output: Path | None) -> Generator[Event, None, None]: ...


class WarmEngine:
    """The engine itself. It is imported at the first run, and what it loads stays loaded for the next one."""

    def __init__(self) -> None:
        self._store: ModelStore | None = None
        self._libraries_settled = False

    def run(self, request: GenerationRequest, output: Path | None) -> Generator[Event, None, None]:
        from engine.pipelines.run import run  # noqa: PLC0415 - brings torch
        from engine.weights.store import ModelStore  # noqa: PLC0415
        from ltx_studio.starter import with_model  # noqa: PLC0415

        store = self._store = self._store or ModelStore()
        request, notice = with_model(request)
        if notice is not None:
            yield notice
        try:
            with closing(cast("Generator[Event, None, None]", run(request, output, store=store))) as events:
                for event in events:
                    yield event
                    self._settle_libraries(event)
        except OutOfMemory:
            store.unload()
            raise

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
    """Starts and stops jobs; lives in the window's thread. Jobs that are started while one runs wait their turn."""

    happened = Signal(object)  # JobUpdate
    _start_requested = Signal(object)  # Start

    def __init__(self, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._last_job_id = 0
        self._thread = QThread(self)
        self._thread.setObjectName("engine")
        self._worker = _Worker(engine, self)
        self._worker.moveToThread(self._thread)
        self._start_requested.connect(self._worker.start)

    def start(self, request: GenerationRequest, output: Path | None = None) -> int:
        """Queue a job and return its id. Its last event is Finished, Failed or Cancelled."""
        if not self._thread.isRunning():
            self._thread.start()
        self._last_job_id += 1
        self._start_requested.emit(Start(self._last_job_id, request, output))
        return self._last_job_id

    def cancel(self) -> None:
        """Stop every job started so far, within one block, tile or packet of the one that runs."""
        self._worker.cancelled_up_to = self._last_job_id

    def close(self, *, wait_ms: int = 5000) -> bool:
        """Stop for good; whether the thread ended in time. Call it when the window is gone: it waits."""
        self.cancel()
        self._thread.quit()
        return self._thread.wait(wait_ms)


class _Worker(QObject):
    """Runs one job after the other in the engine's thread."""

    def __init__(self, engine: Engine, bridge: EngineBridge) -> None:
        super().__init__()
        self.cancelled_up_to = 0  # a job id; written by the window's thread, and only ever raised
        self._engine = engine
        self._bridge = bridge

    @Slot(object)
    def start(self, command: Start) -> None:
        self._report(command, self._run(command))

    def _run(self, command: Start) -> JobEvent:
        """Report every event but the last one, which is returned: by then the engine has cleaned up."""
        if self._is_cancelled(command):
            return Cancelled()
        try:
            with closing(self._engine.run(command.request, command.output)) as events:
                for event in events:
                    if isinstance(event, Finished):
                        return event
                    self._report(command, event)
                    if self._is_cancelled(command):
                        return Cancelled()
            raise AssertionError("a run that raises nothing ends with Finished")
        except EngineError as error:
            logger.info("job %d failed: %s", command.job_id, error)
            return Failed.of(error)
        except Exception:
            # The outermost boundary of this thread: whatever went wrong, the window hears of it and lives on.
            logger.exception("job %d failed", command.job_id)
            return Failed(
                INTERNAL_ERROR,
                "Something went wrong that LTX Studio did not expect, and this clip was not made.",
                "Your prompt and settings are kept. The log has the details.",
            )

    def _is_cancelled(self, command: Start) -> bool:
        return command.job_id <= self.cancelled_up_to

    def _report(self, command: Start, event: JobEvent) -> None:
        # Emitted by an object of the window's thread, so that every receiver runs there.
        self._bridge.happened.emit(JobUpdate(command.job_id, event))
