"""The queue as the window lists it: jobs, what each is to make, batches as one row, and when each is done. No Qt.

Values that are read from the queue's file in one go; the rules of the queue are `engine.jobs.queue`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine.jobs.queue import ENDED, Forecast, Job, State
from engine.jobs.store import Batch, WhenDone
from engine.media.export_request import ExportRequest
from engine.request import GenerationRequest

TO_MAKE: frozenset[State] = frozenset({"running", "waiting"})
IN_LINE: frozenset[State] = frozenset({"waiting", "paused"})
# What a batch is, of what its jobs are: the first that any of them is.
_STATE_OF_BATCH: tuple[State, ...] = ("running", "waiting", "paused", "failed", "cancelled", "done")


@dataclass(frozen=True)
class Item:
    """One job."""

    job: Job
    request: GenerationRequest | None  # None for an export, or one that this version cannot read
    export: ExportRequest | None = None  # of the lane of exports

    @property
    def id(self) -> int:
        return self.job.id

    @property
    def state(self) -> State:
        return self.job.state

    @property
    def items(self) -> "tuple[Item, ...]":
        return (self,)

    @property
    def fraction(self) -> float:
        return 1.0 if self.job.state == "done" else self.job.fraction


@dataclass(frozen=True)
class Group:
    """The jobs of a batch, in the order of the list."""

    batch: Batch
    items: tuple[Item, ...]

    @cached_property
    def num_by_state(self) -> Counter[State]:
        return Counter(item.state for item in self.items)

    @property
    def state(self) -> State:
        return next(state for state in _STATE_OF_BATCH if self.num_by_state[state])

    @property
    def fraction(self) -> float:
        return sum(item.fraction for item in self.items) / len(self.items)


Row = Item | Group


@dataclass(frozen=True)
class Snapshot:
    """The whole queue at one moment."""

    items: tuple[Item, ...] = ()  # those that run, those in line by their turn, then those that ended, the last first
    batches: tuple[Batch, ...] = ()
    is_paused: bool = False
    when_done: WhenDone = "nothing"
    ahead: Forecast = field(default_factory=lambda: Forecast({}, 0.0))
    taken_s: float = 0.0  # seconds since the epoch

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(_rows(self.items, self.batches))

    @cached_property
    def by_id(self) -> Mapping[int, Item]:
        return {item.id: item for item in self.items}

    @cached_property
    def num_by_state(self) -> Counter[State]:
        return Counter(item.state for item in self.items)

    @property
    def num_to_make(self) -> int:
        return self.num_by_state["running"] + self.num_by_state["waiting"]

    def done_in_s(self, row: Row) -> float | None:
        """Seconds until a row is done, from when this was taken; None for what neither runs nor waits."""
        times = [self.ahead.done_in_s[item.id] for item in row.items if item.id in self.ahead.done_in_s]
        return max(times, default=None)


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Those that ended go last, the one that ended last first; the others stay as the queue's file has them."""
    listed = list(jobs)
    ended = [job for job in listed if job.state in ENDED]
    ended.sort(key=lambda job: (job.finished_s or 0.0, job.id), reverse=True)
    return [*(job for job in listed if job.state not in ENDED), *ended]


def ran_out(before: Snapshot, after: Snapshot) -> bool:
    """Whether nothing is left to make because the last jobs were made or have failed.

    A queue that somebody emptied, by cancelling, pausing, editing or removing the last of it, is not done.
    """
    to_make = [item.id for item in before.items if item.state in TO_MAKE]
    ends = [after.by_id.get(job_id) for job_id in to_make]
    return bool(ends) and not after.num_to_make and all(item and item.state in {"done", "failed"} for item in ends)


def movable(row: Row) -> list[int]:
    """The jobs of a row that have a place in line, in that order."""
    return [item.id for item in row.items if item.state in IN_LINE]


def _rows(items: Sequence[Item], batches: Iterable[Batch]) -> Iterator[Row]:
    """A batch is where its first job is."""
    batch_by_id = {batch.id: batch for batch in batches}
    members: dict[int, list[Item]] = {}
    for item in items:
        if item.job.batch_id in batch_by_id:
            members.setdefault(item.job.batch_id, []).append(item)
    for item in items:
        batch_id = item.job.batch_id
        if batch_id not in batch_by_id:
            yield item
        elif batch_id in members:
            yield Group(batch_by_id[batch_id], tuple(members.pop(batch_id)))
