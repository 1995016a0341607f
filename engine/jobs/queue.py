"""The rules of the queue: what may become of a job, whose turn it is, where it stands, and when it will be done.

Pure: values in, values out. What is written down is `engine.jobs.store`, who runs it `engine.jobs.runner`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from engine.errors import EngineError

State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
Action = Literal["claim", "finish", "fail", "interrupt", "cancel", "pause", "resume", "retry"]
Wish = Literal["cancel", "pause"]  # what somebody wants of a job that runs
Lane = Literal["generation", "export"]  # each runs one job at a time, beside the other

LANES: tuple[Lane, ...] = ("generation", "export")
TRANSITIONS: Mapping[tuple[State, Action], State] = {
    ("waiting", "claim"): "running",
    ("waiting", "pause"): "paused",
    ("waiting", "cancel"): "cancelled",
    ("running", "finish"): "done",
    ("running", "fail"): "failed",
    ("running", "interrupt"): "waiting",  # its process died or was closed; it goes on from what was saved
    ("running", "pause"): "paused",
    ("running", "cancel"): "cancelled",
    ("paused", "resume"): "waiting",
    ("paused", "cancel"): "cancelled",
    ("failed", "retry"): "waiting",
    ("cancelled", "retry"): "waiting",
}
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})

LOOK_AHEAD = 50  # how far down the line a job is looked for that keeps the loaded model
MAX_OVERTAKEN = 4  # how many jobs may go ahead of one that stood before them
RANK_STEP = 2**32  # between neighbours: 32 insertions in the same gap before the line is numbered anew


class QueueError(EngineError):
    """The queue cannot do that with this job, or its file cannot be used."""

    code = "queue"


class Priority(IntEnum):
    """Every waiting job of a higher level runs before any of a lower one."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


class Job(NamedTuple):
    """One job as a list shows it. What it is to make is read apart (`JobStore.work`): lists are long.

    Times are seconds since the epoch. A named tuple, because ten thousand of them must be read in an instant.
    """

    id: int  # never used again
    uid: str  # the same, unlike any other of any queue: names its folders
    batch_id: int | None
    lane: Lane
    state: State
    priority: int
    rank: int  # lower runs first
    overtaken: int  # how many jobs went ahead that stood behind
    title: str
    output: str  # absolute path, this job's alone
    warm_key: str  # jobs with the same one need the same model in memory
    predicted_s: float
    fraction: float  # made so far, 0 to 1
    eta_s: float | None  # as the run itself said at `heartbeat_s`
    created_s: float
    started_s: float | None
    heartbeat_s: float | None
    finished_s: float | None
    interruptions: int  # how often the process ended under it
    wish: Wish | None
    error_code: str | None
    error_message: str | None
    error_remedy: str | None

    @property
    def path(self) -> Path:
        return Path(self.output)


# --- what may become of a job -----------------------------------------------------------------------------------------

_WORDS: Mapping[Action, str] = {
    "claim": "started",
    "finish": "finished",
    "fail": "failed",
    "interrupt": "interrupted",
    "cancel": "cancelled",
    "pause": "paused",
    "resume": "resumed",
    "retry": "tried again",
}


def after(state: State, action: Action, *, job_id: int) -> State:
    """The state an action leads to. Raises QueueError where there is no such step."""
    if (state, action) not in TRANSITIONS:
        possible = [before for before, name in TRANSITIONS if name == action]
        raise QueueError(
            f"Job {job_id} is {state} and cannot be {_WORDS[action]}.",
            remedy=f"Choose a job that is {' or '.join(possible)}.",
        )
    return TRANSITIONS[state, action]


# --- whose turn it is -------------------------------------------------------------------------------------------------


class InLine(Protocol):
    """What of a waiting job decides its turn."""

    @property
    def priority(self) -> int: ...
    @property
    def warm_key(self) -> str: ...
    @property
    def overtaken(self) -> int: ...


def choose(line: Sequence[InLine], warm_key: str | None) -> int:
    """Index of the job to run next, of jobs in line: highest priority first, then by rank. The line is not empty.

    Loading a model takes as long as a clip, so within the highest priority present the first of `LOOK_AHEAD` jobs that
    needs what is loaded (`warm_key`) goes ahead of those before it. Nobody starves: a job that was overtaken
    `MAX_OVERTAKEN` times is not overtaken again, and one that was placed by hand never is (see `JobStore.move`).
    """
    for index, job in enumerate(islice(line, LOOK_AHEAD)):
        if job.priority != line[0].priority:
            break
        if job.warm_key == warm_key:
            return index
        if job.overtaken >= MAX_OVERTAKEN:
            break
    return 0


def run_order(line: Iterable[Job], warm_key: str | None) -> Iterator[Job]:
    """The order in which the jobs in line will start, if nothing is added and nobody intervenes."""
    rest = iter(line)
    window = list(islice(rest, LOOK_AHEAD))
    while window:
        index = choose(window, warm_key)
        job = window.pop(index)
        window[:index] = [item._replace(overtaken=item.overtaken + 1) for item in window[:index]]
        window.extend(islice(rest, 1))
        warm_key = job.warm_key
        yield job


# --- where it stands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """Ahead of another job, and in its priority."""

    job_id: int


@dataclass(frozen=True)
class After:
    """Right behind another job, and in its priority."""

    job_id: int


Place = Literal["top", "bottom"] | Before | After  # top and bottom: of the job's own priority


def rank_between(low: int | None, high: int | None) -> int | None:
    """A rank above `low` and below `high`, None for no neighbour on that side; None when there is no room left."""
    match low, high:
        case None, None:
            return 0
        case int(), None:
            return low + RANK_STEP
        case None, int():
            return high - RANK_STEP
        case int(), int():
            assert low < high, (low, high)
            return (low + high) // 2 if high - low > 1 else None
    raise AssertionError((low, high))


def even_ranks(num_jobs: int) -> range:
    """Ranks with full gaps, for a line that is numbered anew."""
    return range(0, num_jobs * RANK_STEP, RANK_STEP)


# --- when it will be done ---------------------------------------------------------------------------------------------


class Forecast(NamedTuple):
    """Seconds from now."""

    done_in_s: Mapping[int, float]  # by job id, for running and waiting jobs
    total_s: float  # until every lane is empty


def remaining_s(job: Job, now_s: float) -> float:
    """Of a running job: what the run said, less the time since; before it says anything, what was predicted."""
    if job.eta_s is None or job.heartbeat_s is None:
        return job.predicted_s * (1 - job.fraction)
    return max(job.eta_s - (now_s - job.heartbeat_s), 0.0)


def forecast(jobs: Iterable[Job], now_s: float) -> Forecast:
    """When each job will be done, of jobs in line (running ones first), each lane for itself."""
    by_lane: dict[Lane, list[Job]] = {lane: [] for lane in LANES}
    for job in jobs:
        by_lane[job.lane].append(job)
    done_in_s: dict[int, float] = {}
    total_s = 0.0
    for lane_jobs in by_lane.values():
        elapsed_s, warm_key = 0.0, None
        for job in lane_jobs:
            if job.state == "running":
                done_in_s[job.id] = remaining_s(job, now_s)
                elapsed_s, warm_key = max(elapsed_s, done_in_s[job.id]), job.warm_key
        for job in run_order((job for job in lane_jobs if job.state == "waiting"), warm_key):
            elapsed_s += job.predicted_s
            done_in_s[job.id] = elapsed_s
        total_s = max(total_s, elapsed_s)
    return Forecast(done_in_s, total_s)


# --- names of files ---------------------------------------------------------------------------------------------------


def numbered(path: Path, number: int) -> Path:
    """ "clip.mp4", "clip-2.mp4", "clip-3.mp4", ..."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def output_key(path: Path) -> str:
    """Equal for names that some file system takes for the same file."""
    return str(path).casefold()
