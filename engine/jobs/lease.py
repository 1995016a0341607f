"""The right to run one job: taken by one runner at a time, given back in one of five ways, inherited from the dead.

A finished file gets its name between two transactions. The first writes down what was made (`made`), the second that
the job is done, so whoever finds the job of a dead process knows: a file with that fingerprint in the work folder only
needs its name, one that has its name needs nothing, and where there is neither the job waits again.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from engine.errors import EngineError
from engine.jobs import files
from engine.jobs.owner import Owner
from engine.jobs.queue import LOOK_AHEAD, Action, Job, Lane, QueueError, Wish, after, choose, output_key
from engine.jobs.store import COLUMNS, JobStore

logger = logging.getLogger("engine.jobs")

BEAT_INTERVAL_S = 1.0  # each is a write to the disk


class LeaseLost(QueueError):
    """Another runner took the job, because this one was not heard of for long."""


class Lease:
    """One running job and its owner."""

    def __init__(self, store: JobStore, job: Job, owner: Owner) -> None:
        self.store = store
        self.job = job
        self._owner = owner.to_text()
        self._last_beat_s = store.now()

    # --- while it runs ------------------------------------------------------------------------------------------------

    def beat(self, fraction: float, eta_s: float | None) -> None:
        """Say that the job is alive and how far it is; at most one write each `BEAT_INTERVAL_S`.

        Raises LeaseLost. A disk that is full or a file that is busy at this moment is no reason to stop a run.
        """
        now_s = self.store.now()
        if now_s - self._last_beat_s < BEAT_INTERVAL_S:
            return
        self._last_beat_s = now_s
        try:
            with self.store.transaction():
                self._check()
                self.store.update(self.job.id, heartbeat_s=now_s, fraction=fraction, eta_s=eta_s)
        except LeaseLost:
            raise
        except EngineError as error:
            logger.warning("how far job %d is was not written down: %s", self.job.id, error)

    def wish(self) -> Wish | None:
        """What somebody wants of it: tens of microseconds, no write."""
        rows = self.store.rows("SELECT wish FROM jobs WHERE id = ?", (self.job.id,))
        return rows[0][0] if rows else None

    # --- how it ends --------------------------------------------------------------------------------------------------

    def finish(self, result: Mapping[str, Any] | None) -> Job:
        """The work file is whole: give it its name, and the job is done. Raises MediaError where the name is refused.

        A file that came to be under the name meanwhile is not this program's to overwrite: the job takes another name.
        """
        made = files.fingerprint(files.work_file(self.job))
        assert made is not None, f"{files.work_file(self.job)} was to be written by the run"
        with self.store.transaction():
            self._check()
            self.store.update(self.job.id, made=made, result=None if result is None else json.dumps(result))
            if self.job.path.exists():
                output = self.store.free_output(self.job.path)
                # The new name's folder is the same, and so is the work folder, which is named for the job.
                self.job = self.job._replace(output=str(output))
                self.store.update(self.job.id, output=str(output), output_key=output_key(output))
        files.publish(files.work_file(self.job), self.job.path)
        return self._done()

    def settle(self) -> Job | None:
        """Finish a job whose file an earlier attempt completed; None where it has yet to be made."""
        made = self.store.rows("SELECT made FROM jobs WHERE id = ?", (self.job.id,))[0][0]
        if files.fingerprint(files.work_file(self.job)) is not None:
            return self.finish(self.store.result(self.job.id))
        if made is not None and made == files.fingerprint(self.job.path):
            return self._done()
        return None

    def fail(self, error: EngineError) -> Job:
        """The queue goes on; this job waits for somebody to look at it. Its latents are kept for another attempt."""
        return self._end("fail", error_code=error.code, error_message=error.message, error_remedy=error.remedy)

    def cancel(self) -> Job:
        return self._end("cancel")

    def pause(self) -> Job:
        """Latents are kept for when it is resumed."""
        return self._end("pause")

    def interrupt(self, *, process_died: bool = False) -> Job:
        """The job waits again, at its place in line; latents are kept."""
        return self._end("interrupt", interruptions=self.job.interruptions + process_died)

    def _done(self) -> Job:
        files.discard_work(self.job)
        job = self._end("finish", fraction=1.0)
        files.discard_run(self.store.folder, job.uid)
        return job

    def _end(self, action: Action, **values: object) -> Job:
        """One transaction; what is to be removed goes before it ends, since afterwards the job may be another's."""
        with self.store.transaction():
            self._check()
            is_whole = files.fingerprint(files.work_file(self.job)) is not None  # and only to be given its name
            if action == "cancel" or not is_whole:
                files.discard_work(self.job)
            if action == "cancel":
                files.discard_run(self.store.folder, self.job.uid)
            state = after("running", action, job_id=self.job.id)
            finished_s = None if state in {"waiting", "paused"} else self.store.now()
            values = {"eta_s": None, "wish": None, "owner": None, "finished_s": finished_s, **values}
            self.store.update(self.job.id, state=state, **values)
        self.job = self.store.job(self.job.id)
        return self.job

    def _check(self) -> None:
        rows = self.store.rows("SELECT owner FROM jobs WHERE id = ? AND state = 'running'", (self.job.id,))
        if not rows or rows[0][0] != self._owner:
            raise LeaseLost(f"Job {self.job.id} was taken over by another runner.")


def claim(store: JobStore, owner: Owner, lane: Lane, warm_key: str | None) -> Lease | None:
    """The job whose turn it is, now running for `owner`; None when nothing waits or the queue is paused."""
    with store.transaction():
        if store.is_paused:
            return None
        query = f"SELECT {COLUMNS} FROM jobs WHERE state = 'waiting' AND lane = ? ORDER BY priority DESC, rank LIMIT ?"
        line = [Job._make(row) for row in store.rows(query, (lane, LOOK_AHEAD))]
        if not line:
            return None
        index = choose(line, warm_key)
        for job in line[:index]:
            store.update(job.id, overtaken=job.overtaken + 1)
        job, now_s = line[index], store.now()
        state = after(job.state, "claim", job_id=job.id)
        store.update(
            job.id, state=state, owner=owner.to_text(), started_s=now_s, heartbeat_s=now_s, fraction=0.0, eta_s=None
        )
    return Lease(store, store.job(job.id), owner)


def adopt_abandoned(store: JobStore, owner: Owner) -> list[Lease]:
    """Every running job whose process is gone, now `owner`'s. Two processes that ask at once share them out."""
    with store.transaction():
        now_s = store.now()
        abandoned = [
            job_id
            for job_id, text, heartbeat_s in store.rows(
                "SELECT id, owner, heartbeat_s FROM jobs WHERE state = 'running'"
            )
            if not Owner.from_text(text).is_alive(now_s - heartbeat_s)
        ]
        for job_id in abandoned:
            store.update(job_id, owner=owner.to_text(), heartbeat_s=now_s)
    return [Lease(store, store.job(job_id), owner) for job_id in abandoned]


def recover(store: JobStore, owner: Owner | None = None) -> list[Job]:
    """Settle what dead processes left: files that were complete get their names, the other jobs wait again.

    To be called before anything is run, and harmless at any time. Returns the jobs that were found, as they are now.
    """
    owner = owner or Owner.new()
    found = [_recovered(lease) for lease in adopt_abandoned(store, owner)]
    # In this order: a folder is made after its job was added, so one that is found here has its job by the next line.
    uids = files.kept_runs(store.folder)
    wanted = {row[0] for row in store.rows("SELECT uid FROM jobs WHERE state NOT IN ('done', 'cancelled')")}
    for uid in set(uids) - wanted:
        files.discard_run(store.folder, uid)
    return found


def _recovered(lease: Lease) -> Job:
    try:
        done = lease.settle()
    except EngineError as error:
        return lease.fail(error)
    if done is not None:
        return done
    match lease.job.wish:
        case "cancel":
            return lease.cancel()
        case "pause":
            return lease.pause()
        case None:
            return lease.interrupt(process_died=True)
