"""Running the queue: an iterator of events in the caller's thread, job after job until nothing waits.

The caller's for-loop is the progress bar and the control: a `Control` says to pause or cancel the running job, which
is honoured at the engine's next event, and closing the iterator stops the engine and lets the job wait again. A job
that fails does not stop the queue. Each lane is run by an iterator of its own, in whatever threads or processes:
`engine.jobs.lease` sees to it that no job is run by two.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, OutOfMemory
from engine.events import Event, Finished, Progress, Result
from engine.jobs import files
from engine.jobs.lease import Lease, LeaseLost, claim, recover
from engine.jobs.owner import Owner
from engine.jobs.queue import Job, Lane, Wish
from engine.jobs.store import JobStore
from engine.request import GenerationRequest

if TYPE_CHECKING:
    from engine.weights.store import ModelStore

logger = logging.getLogger("engine.jobs")

INTERNAL_ERROR = "internal"


@dataclass(frozen=True)
class Task:
    """What an engine is to do."""

    work: Mapping[str, Any]  # of the generation lane, a request's JSON form
    output: Path  # appears there whole or not at all; the queue gives it its final name
    folder: Path  # this job's alone, through every attempt: what an earlier one kept is there

    @property
    def request(self) -> GenerationRequest:
        return GenerationRequest.from_dict(self.work)


# Raises EngineError. When its events end, the output exists; the last one may be Finished.
Engine = Callable[[Task], Generator[Event, None, None]]


# --- what a runner says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobRecovered:
    """A job that a dead process left: done if its file was whole, else waiting again or as somebody had wished."""

    job: Job


@dataclass(frozen=True)
class JobStarted:
    """A job begins."""

    job: Job


@dataclass(frozen=True)
class JobEvent:
    """What the engine says of the job that was started last."""

    job_id: int
    event: Event


@dataclass(frozen=True)
class JobFinished:
    """The file is in its place. `result` is None where the engine gave none, or died after the file was whole."""

    job: Job
    result: Result | None


@dataclass(frozen=True)
class JobFailed:
    """The job's error says why; the queue goes on."""

    job: Job


@dataclass(frozen=True)
class JobCancelled:
    """As somebody wished; nothing was left half written."""

    job: Job


@dataclass(frozen=True)
class JobPaused:
    """As somebody wished; what its stages made is kept."""

    job: Job


@dataclass(frozen=True)
class JobLost:
    """Another runner took the job over, because this one was silent for too long."""

    job: Job


QueueEvent = JobRecovered | JobStarted | JobEvent | JobFinished | JobFailed | JobCancelled | JobPaused | JobLost


class Control:
    """What the caller wants; may be set from any thread, and is honoured at the engine's next event.

    A job can also be cancelled or paused through any `JobStore`, in this process or another: the runner sees that too.
    """

    def __init__(self) -> None:
        self._wishes: dict[int, Wish] = {}
        self.stops_after_job = False  # start no further job

    def cancel(self, job_id: int) -> None:
        self._wishes[job_id] = "cancel"

    def pause(self, job_id: int) -> None:
        self._wishes[job_id] = "pause"

    def wish(self, job_id: int) -> Wish | None:
        return self._wishes.get(job_id)

    def forget(self, job_id: int) -> None:
        """What was wished of an earlier run of the job is no wish of this one."""
        self._wishes.pop(job_id, None)


class GenerationEngine:
    """The engine itself. It is imported by the first job, and what it loads stays loaded for the next one."""

    def __init__(self) -> None:
        self._store: ModelStore | None = None

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        from engine.pipelines.run import run  # noqa: PLC0415 - brings torch
        from engine.weights.store import ModelStore  # noqa: PLC0415

        store = self._store = self._store or ModelStore()
        try:
            yield from run(task.request, task.output, store=store, folder=task.folder)
        except OutOfMemory:
            store.unload()
            raise


def run_queue(
    store: JobStore, engine: Engine, *, lane: Lane = "generation", control: Control | None = None
) -> Generator[QueueEvent, None, None]:
    """Run a lane until nothing waits in it or the queue is paused. Raises QueueError where the queue's file fails."""
    control = control or Control()
    owner = Owner.new()
    warm_key: str | None = None
    while not control.stops_after_job:
        for job in recover(store, owner):
            yield JobRecovered(job)
        lease = claim(store, owner, lane, warm_key)
        if lease is None:
            return
        warm_key = lease.job.warm_key
        yield from _run_job(lease, engine, control)


def _run_job(lease: Lease, engine: Engine, control: Control) -> Generator[QueueEvent, None, None]:
    """From the claim to the job's end, however it ends."""
    job = lease.job
    control.forget(job.id)
    try:
        yield JobStarted(job)
        outcome = yield from _attempt(lease, engine, control)
    except LeaseLost:
        logger.warning("job %d was taken over by another runner", job.id)
        outcome = JobLost(job)
    except EngineError as error:
        logger.info("job %d failed: %s", job.id, error)
        outcome = JobFailed(lease.fail(_about_the_output(error, job)))
    except Exception:
        # The outermost boundary of a job: whatever went wrong in it, the jobs behind it are run.
        logger.exception("job %d failed", job.id)
        outcome = JobFailed(lease.fail(_internal_error()))
    except BaseException:  # the caller closed the iterator, or pressed Ctrl-C
        with suppress(LeaseLost):  # not ours any more: it had just been done
            lease.interrupt()
        raise
    yield outcome


def _attempt(lease: Lease, engine: Engine, control: Control) -> Generator[JobEvent, None, QueueEvent]:
    """Every event but the last one, which is returned: by then the engine has cleaned up."""
    done = lease.settle()
    if done is not None:
        return JobFinished(done, None)
    job = lease.job
    files.make_folders(lease.store.folder, job)
    task = Task(lease.store.work(job.id), files.work_file(job), files.run_folder(lease.store.folder, job))
    result: Result | None = None
    with closing(engine(task)) as events:
        for event in events:
            match event:
                case Finished():
                    result = event.result
                    break
                case Progress():
                    lease.beat(event.fraction, event.eta_s)
                case _:
                    pass
            yield JobEvent(job.id, event)
            match control.wish(job.id) or lease.wish():
                case "cancel":
                    events.close()
                    return JobCancelled(lease.cancel())
                case "pause":
                    events.close()
                    return JobPaused(lease.pause())
                case None:
                    pass
    return _finished(lease, result)


def _finished(lease: Lease, result: Result | None) -> JobFinished:
    if result is None:
        return JobFinished(lease.finish(None), None)
    # The plan can be made again from the request, and is longer than all the rest.
    facts = {name: value for name, value in asdict(replace(result, plan={})).items() if name not in {"path", "plan"}}
    job = lease.finish(facts)
    return JobFinished(job, replace(result, path=job.path))


def _internal_error() -> EngineError:
    error = EngineError(
        "Something went wrong that LTX Studio did not expect, and this file was not made.",
        remedy="The job and its settings are kept. The log has the details.",
    )
    error.code = INTERNAL_ERROR
    return error


def _about_the_output(error: EngineError, job: Job) -> EngineError:
    """The error in terms of the file the user named, not of the hidden one that was being written."""
    error.message = error.message.replace(str(files.work_file(job)), job.output)
    error.message = error.message.replace(str(files.work_folder(job)), str(job.path.parent))
    return error
