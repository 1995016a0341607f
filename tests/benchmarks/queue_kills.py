"""What `kill -9` does to the queue: nothing. Prints one JSON object, fails if anything was lost or made twice.

    python -m tests.benchmarks.queue_kills [--kills 30] [--seed 0]

A ten-job queue is run by a process with an engine that writes real files; it is killed at random moments, from before
it has opened the queue to after it has ended, and started again. A queue that is all done is followed by a fresh one.
"""

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.jobs.queue import Job
from engine.jobs.store import JobStore
from tests.fakes.queue import add_jobs, attempt_in

NUM_JOBS = 10
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Report:
    """What was seen."""

    num_kills: int = 0
    num_kills_while_a_job_ran: int = 0
    num_queues: int = 0
    num_jobs: int = 0
    num_done: int = 0
    num_interruptions: int = 0
    seconds: float = 0.0


def start_runner(queue: Path, log: Path) -> subprocess.Popen[str]:
    """A process that runs the queue and is about to; kill it or wait for it."""
    command = [sys.executable, "-m", "tests.fakes.queue", str(queue), str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_at_random_moments(folder: Path, *, num_kills: int, seed: int) -> Report:
    """Kill the runner of ten-job queues that often; every queue is run to its end and checked after every kill."""
    chance = random.Random(seed)
    report = Report()
    began = time.perf_counter()
    while report.num_kills < num_kills:
        report.num_queues += 1
        clips = folder / f"queue {report.num_queues}"
        clips.mkdir()
        queue, log = clips / "data" / "queue.sqlite3", clips / "data" / "made.log"
        with JobStore(queue) as store:
            jobs = add_jobs(store, clips, NUM_JOBS)
        report.num_jobs += len(jobs)
        while not _is_over(queue):
            with start_runner(queue, log) as process:
                if report.num_kills < num_kills:
                    time.sleep(chance.uniform(0, 0.25))
                    process.kill()
                    report.num_kills += process.wait() != 0
            report.num_kills_while_a_job_ran += check_intact(queue, jobs, clips)
        check_once_each(jobs, log)
        with JobStore(queue) as store:
            report.num_done += len(store.jobs(["done"]))
            report.num_interruptions += sum(job.interruptions for job in store.jobs())
        assert sorted(item.name for item in clips.iterdir()) == sorted([*(job.path.name for job in jobs), "data"])
    report.seconds = round(time.perf_counter() - began, 1)
    return report


def check_intact(queue: Path, jobs: Iterable[Job], clips: Path) -> bool:
    """The database is sound, every job is there, every clip in sight is whole; whether a job was running."""
    with closing(sqlite3.connect(queue)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with JobStore(queue) as store:
        now = {job.id: job for job in store.jobs()}
    assert set(now) == {job.id for job in jobs}
    in_sight = {item.name for item in clips.iterdir() if item.is_file()}
    for name in in_sight:
        attempt_in(clips / name)
    assert {job.path.name for job in now.values() if job.state == "done"} <= in_sight
    return any(job.state == "running" for job in now.values())


def check_once_each(jobs: Iterable[Job], log: Path) -> None:
    """Every job has its file, and no attempt but the one in the file ever completed one."""
    # Killed between giving its file a name and logging it, an attempt is not in the log; none may be there twice.
    in_files = Counter(attempt_in(job.path) for job in jobs)
    completed = Counter(log.read_text(encoding="ascii").split())
    assert max(in_files.values()) == 1, in_files
    assert not completed - in_files, completed - in_files


def _is_over(queue: Path) -> bool:
    with JobStore(queue) as store:
        return all(job.state == "done" for job in store.jobs())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        report = kill_at_random_moments(Path(folder), num_kills=arguments.kills, seed=arguments.seed)
    assert report.num_done == report.num_jobs, report
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
