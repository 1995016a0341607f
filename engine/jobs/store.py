"""The queue as it is written down: every change is on the disk before the call returns.

One store belongs to one thread; any number of them, in any number of processes, may have the same file open. What the
rules are is `engine.jobs.queue`; the right to run a job is `engine.jobs.lease`.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, cast

from engine.jobs import files
from engine.jobs.queue import (
    ENDED,
    LANES,
    MAX_OVERTAKEN,
    After,
    Before,
    Job,
    Lane,
    Place,
    Priority,
    QueueError,
    State,
    Wish,
    after,
    even_ranks,
    numbered,
    output_key,
    rank_between,
)
from engine.jobs.schema import named_errors, open_database, transaction
from engine.request import GenerationRequest

FILE_NAME = "queue.sqlite3"
WhenDone = Literal["nothing", "notify", "sleep"]  # what the studio does when nothing is left to run

COLUMNS = ", ".join(Job._fields)
_IN_ORDER = (
    "CASE state WHEN 'running' THEN 0 WHEN 'waiting' THEN 1 WHEN 'paused' THEN 1 ELSE 2 END, priority DESC, rank"
)


@dataclass(frozen=True)
class NewJob:
    """A job to add; `engine.jobs.prepare` makes one from a request."""

    work: Mapping[str, Any]  # JSON-able: of the generation lane, a request's own form
    title: str
    output: Path  # the wish: a name that is taken gets a number
    warm_key: str
    predicted_s: float
    lane: Lane = "generation"
    priority: Priority = Priority.NORMAL


class Batch(NamedTuple):
    """Jobs that were asked for together."""

    id: int
    title: str
    created_s: float


class JobStore:
    """The queue's file, open. `now` is the clock, seconds since the epoch."""

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        """Raises QueueError for a file that cannot be used; `path` defaults to the one in the data folder."""
        self.path = path or files.queue_folder() / FILE_NAME
        self.now = now
        self.connection = open_database(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    @property
    def folder(self) -> Path:
        return self.path.parent

    # --- reading ------------------------------------------------------------------------------------------------------

    def jobs(self, states: Collection[State] = (), *, batch_id: int | None = None) -> list[Job]:
        """Those that run, then those in line by their turn, then those that ended; all states unless some are named."""
        conditions, values = ["1"], list[object]()
        if states:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        if batch_id is not None:
            conditions.append("batch_id = ?")
            values.append(batch_id)
        where = " AND ".join(conditions)
        rows = self.rows(f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY {_IN_ORDER}", values)
        return list(map(Job._make, rows))

    def job(self, job_id: int) -> Job:
        """Raises QueueError for a job that is not there."""
        rows = self.rows(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,))
        if not rows:
            raise QueueError(f"There is no job {job_id} in the queue.", remedy="List the queue to see which there are.")
        return Job._make(rows[0])

    def work(self, job_id: int) -> dict[str, Any]:
        """What a job is to make."""
        return self._json(job_id, "work")

    def request(self, job_id: int) -> GenerationRequest:
        """The same for a job of the generation lane. Raises RequestError for one that this version cannot read."""
        return GenerationRequest.from_dict(self.work(job_id))

    def result(self, job_id: int) -> dict[str, Any] | None:
        """What a done job made: the fields of `engine.events.Result`, where its engine gave one."""
        return self._json(job_id, "result")

    def batches(self) -> list[Batch]:
        return [Batch._make(row) for row in self.rows("SELECT id, title, created_s FROM batches ORDER BY id")]

    @property
    def is_paused(self) -> bool:
        """Whether no further job is started."""
        return self._setting("paused", "no") == "yes"

    @property
    def when_done(self) -> WhenDone:
        return cast("WhenDone", self._setting("when_done", "nothing"))

    # --- adding and changing ------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob], *, batch_title: str | None = None) -> list[Job]:
        """Put jobs at the end of their priority, all of them or none; with a title, as the children of one batch."""
        next_numbers: dict[str, int] = {}
        job_ids: list[int] = []
        with self.transaction():
            batch_id = None
            if batch_title is not None:
                named = (batch_title, self.now())
                batch_id = self.connection.execute(
                    "INSERT INTO batches (title, created_s) VALUES (?, ?)", named
                ).lastrowid
            ranks = {lane: iter(self._ranks_at_the_end(lane, sum(job.lane == lane for job in jobs))) for lane in LANES}
            for job in jobs:
                output = self.free_output(job.output.absolute(), next_numbers)
                values: dict[str, object] = {
                    "uid": secrets.token_hex(8),
                    "batch_id": batch_id,
                    "lane": job.lane,
                    "priority": int(job.priority),
                    "rank": next(ranks[job.lane]),
                    "title": job.title,
                    "output": str(output),
                    "output_key": output_key(output),
                    "warm_key": job.warm_key,
                    "predicted_s": job.predicted_s,
                    "created_s": self.now(),
                    "work": json.dumps(job.work),
                }
                names, marks = ", ".join(values), ", ".join("?" * len(values))
                cursor = self.connection.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", (*values.values(),))
                assert cursor.lastrowid is not None
                job_ids.append(cursor.lastrowid)
        return [self.job(job_id) for job_id in job_ids]

    def edit(self, job_id: int, new: NewJob) -> Job:
        """Another work for a job that has not begun; its place, priority and output stay."""
        with self.transaction():
            job = self.job(job_id)
            if job.state not in {"waiting", "paused"}:
                raise QueueError(
                    f"Job {job_id} is {job.state} and cannot be edited.",
                    remedy="Duplicate it with your changes instead.",
                )
            self.update(
                job_id,
                work=json.dumps(new.work),
                title=new.title,
                warm_key=new.warm_key,
                predicted_s=new.predicted_s,
                fraction=0.0,
                eta_s=None,
            )
            self._discard(job)  # what was made of it is of another work
        return self.job(job_id)

    def move(self, job_id: int, place: Place) -> Job:
        """Put a job by hand: first or last of its priority, or next to another one, whose priority it takes.

        A job that was placed by hand is not overtaken by jobs that suit the loaded model better.
        """
        with self.transaction():
            job = self.job(job_id)
            if isinstance(place, Before | After):
                job = job._replace(priority=self._neighbour(job, place).priority)
            rank = self._rank_at(job, place)
            if rank is None:
                self._number_anew(job.lane)
                rank = self._rank_at(job, place)
            assert rank is not None, "a line that was numbered anew has room everywhere"
            self.update(job_id, rank=rank, priority=job.priority, overtaken=MAX_OVERTAKEN)
        return self.job(job_id)

    def set_priority(self, job_id: int, priority: Priority) -> Job:
        """Within its new level a job stands where it was added or placed."""
        with self.transaction():
            self.job(job_id)
            self.update(job_id, priority=int(priority), overtaken=0)
        return self.job(job_id)

    def pause(self, job_id: int) -> Job:
        """Keep a job from running. One that runs is stopped by its runner within one block, and keeps its latents."""
        return self._ask("pause", job_id)

    def cancel(self, job_id: int) -> Job:
        """Give a job up. One that runs is stopped by its runner, within one block, tile or packet."""
        return self._ask("cancel", job_id)

    def resume(self, job_id: int) -> Job:
        """Let a paused job wait for its turn again, at its old place."""
        with self.transaction():
            job = self.job(job_id)
            self.update(job_id, state=after(job.state, "resume", job_id=job_id))
        return self.job(job_id)

    def retry(self, job_id: int) -> Job:
        """Let a failed or cancelled job wait again, at its old place."""
        with self.transaction():
            job = self.job(job_id)
            self.update(
                job_id,
                state=after(job.state, "retry", job_id=job_id),
                overtaken=0,
                fraction=0.0,
                eta_s=None,
                finished_s=None,
                error_code=None,
                error_message=None,
                error_remedy=None,
            )
        return self.job(job_id)

    def remove(self, job_ids: Collection[int]) -> None:
        """Forget jobs that do not run, all of them or none; files they made stay."""
        with self.transaction():
            jobs = [self.job(job_id) for job_id in job_ids]
            for job in jobs:
                if job.state == "running":
                    raise QueueError(f"Job {job.id} is running.", remedy="Cancel it first.")
            self.connection.executemany("DELETE FROM jobs WHERE id = ?", [(job.id,) for job in jobs])
            self.connection.execute(
                "DELETE FROM batches WHERE id NOT IN (SELECT batch_id FROM jobs WHERE batch_id NOT NULL)"
            )
            for job in jobs:
                self._discard(job)

    def clear(self, states: Collection[State] = ENDED) -> int:
        """Forget every job in these states and say how many."""
        job_ids = [job.id for job in self.jobs(states)]
        self.remove(job_ids)
        return len(job_ids)

    def set_paused(self, paused: bool) -> None:
        """Start no further job, or start them again. What runs is not touched."""
        self._set("paused", "yes" if paused else "no")

    def set_when_done(self, action: WhenDone) -> None:
        self._set("when_done", action)

    # --- for the other half, engine.jobs.lease ------------------------------------------------------------------------

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with named_errors(self.path):
            return self.connection.execute(query, values).fetchall()

    def transaction(self) -> AbstractContextManager[None]:
        return transaction(self.connection, self.path)

    def update(self, job_id: int, **values: object) -> None:
        """Inside a transaction."""
        names = ", ".join(f"{name} = ?" for name in values)
        self.connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), job_id))

    def free_output(self, wanted: Path, next_numbers: dict[str, int] | None = None) -> Path:
        """Inside a transaction: the first of `wanted`'s numbered names that neither a file nor a job has.

        `next_numbers` remembers where the last search for the same name ended.
        """
        next_numbers = {} if next_numbers is None else next_numbers
        key = output_key(wanted)
        number = next_numbers.get(key, 1)
        while self._is_taken(path := numbered(wanted, number)):
            number += 1
        next_numbers[key] = number + 1
        return path

    def _is_taken(self, path: Path) -> bool:
        return path.exists() or bool(self.rows("SELECT 1 FROM jobs WHERE output_key = ?", (output_key(path),)))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _ask(self, wish: Wish, job_id: int) -> Job:
        with self.transaction():
            job = self.job(job_id)
            state = after(job.state, wish, job_id=job_id)
            if job.state == "running":
                self.update(job_id, wish=wish)
            elif state == "cancelled":
                self.update(job_id, state=state, finished_s=self.now())
                self._discard(job)
            else:
                self.update(job_id, state=state)
        return self.job(job_id)

    def _discard(self, job: Job) -> None:
        """Inside the transaction: afterwards, the job's folders may be in use."""
        files.discard_work(job)
        files.discard_run(self.folder, job.uid)

    def _json(self, job_id: int, column: str) -> Any:
        self.job(job_id)
        text = self.rows(f"SELECT {column} FROM jobs WHERE id = ?", (job_id,))[0][0]
        return None if text is None else json.loads(text)

    def _setting(self, name: str, default: str) -> str:
        rows = self.rows("SELECT value FROM settings WHERE name = ?", (name,))
        return rows[0][0] if rows else default

    def _set(self, name: str, value: str) -> None:
        with self.transaction():
            self.connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def _ranks_at_the_end(self, lane: Lane, count: int) -> list[int]:
        rank: int | None = self.rows("SELECT max(rank) FROM jobs WHERE lane = ?", (lane,))[0][0]
        ranks: list[int] = []
        for _ in range(count):
            rank = rank_between(rank, None)
            assert rank is not None
            ranks.append(rank)
        return ranks

    def _neighbour(self, job: Job, place: Before | After) -> Job:
        other = self.job(place.job_id)
        if other.id == job.id:
            raise QueueError(f"Job {job.id} cannot stand next to itself.", remedy="Choose another job.")
        if other.lane != job.lane:
            raise QueueError(
                f"Jobs {job.id} and {other.id} stand in different lines, {job.lane} and {other.lane}.",
                remedy=f"Choose another job of the line {job.lane}.",
            )
        return other

    def _rank_at(self, job: Job, place: Place) -> int | None:
        """None where there is no room."""

        def extreme(which: Literal["min", "max"], condition: str, *values: object) -> int | None:
            query = f"SELECT {which}(rank) FROM jobs WHERE lane = ? AND id != ? AND {condition}"
            return self.rows(query, (job.lane, job.id, *values))[0][0]

        match place:
            case "top":
                high = extreme("min", "priority = ? AND state IN ('waiting', 'paused')", job.priority)
                return job.rank if high is None else rank_between(extreme("max", "rank < ?", high), high)
            case "bottom":
                low = extreme("max", "priority = ? AND state IN ('waiting', 'paused')", job.priority)
                return job.rank if low is None else rank_between(low, extreme("min", "rank > ?", low))
            case Before(other_id):
                high = self.job(other_id).rank
                return rank_between(extreme("max", "rank < ?", high), high)
            case After(other_id):
                low = self.job(other_id).rank
                return rank_between(low, extreme("min", "rank > ?", low))

    def _number_anew(self, lane: Lane) -> None:
        job_ids = [row[0] for row in self.rows("SELECT id FROM jobs WHERE lane = ? ORDER BY rank", (lane,))]
        # In two steps, because no two jobs may have the same rank at any time: first below all ranks, then in place.
        lowest: int = self.rows("SELECT min(rank) FROM jobs WHERE lane = ?", (lane,))[0][0]
        below = [(min(lowest, 0) - 1 - index, job_id) for index, job_id in enumerate(job_ids)]
        self.connection.executemany("UPDATE jobs SET rank = ? WHERE id = ?", below)
        even = list(zip(even_ranks(len(job_ids)), job_ids, strict=True))
        self.connection.executemany("UPDATE jobs SET rank = ? WHERE id = ?", even)
