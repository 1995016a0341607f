"""One run as the studio sees it: the engine's events, how it ended, and the job they add up to. No Qt.

The engine raises its errors; here they are values like every other event, because they cross a thread.
"""

from dataclasses import dataclass, replace

from engine.errors import EngineError
from engine.events import Event, Finished, Notice, Progress, Result, Started
from engine.request import GenerationRequest

NO_JOB = 0  # jobs are numbered from 1; what is said of this one is about the queue itself


@dataclass(frozen=True)
class Begun:
    """The engine takes the job up."""

    request: GenerationRequest


@dataclass(frozen=True)
class Settled:
    """What a process that ended left of the job was put in order; it does not run."""


@dataclass(frozen=True)
class Failed:
    """The run ended with an error; nothing was left half written."""

    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, error: EngineError) -> "Failed":
        return cls(error.code, error.message, error.remedy)


@dataclass(frozen=True)
class Cancelled:
    """The run was stopped by the user; nothing was left half written."""


@dataclass(frozen=True)
class Paused:
    """The run was stopped to go on later; what its stages made is kept."""


JobEvent = Begun | Settled | Event | Failed | Cancelled | Paused
Outcome = Result | Failed | Cancelled | Paused


@dataclass(frozen=True)
class JobUpdate:
    """An event and the job it belongs to."""

    job_id: int
    event: JobEvent

    @property
    def changes_queue(self) -> bool:
        """Whether a list of jobs shows other states now."""
        return isinstance(self.event, Begun | Settled | Finished | Failed | Cancelled | Paused)


@dataclass(frozen=True)
class Job:
    """One run: what was asked, how far it is, and how it ended. A new value for each event."""

    id: int  # in the queue
    request: GenerationRequest
    progress: Progress | None = None  # None until the engine is loaded
    notices: tuple[str, ...] = ()
    is_stopping: bool = False
    outcome: Outcome | None = None

    @property
    def is_running(self) -> bool:
        return self.outcome is None

    def after(self, event: JobEvent) -> "Job":
        """This job once `event` has happened."""
        match event:
            case Started(request):
                return replace(self, request=request)
            case Progress():
                return replace(self, progress=event)
            case Notice(_, message):
                return replace(self, notices=(*self.notices, message))
            case Finished(result):
                return replace(self, outcome=result)
            case Failed() | Cancelled() | Paused():
                return replace(self, outcome=event)
            case _:
                return self
