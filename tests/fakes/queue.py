"""Jobs without a model, a scripted engine for them, and that engine as a process that can be killed.

    python -m tests.fakes.queue QUEUE_FILE LOG     run the queue until nothing waits

The engine here keeps the promise of the real one: its file appears whole under its name or not at all. Each file names
the attempt that made it, and each attempt that completed a file adds a line to the log.
"""

import secrets
import sys
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.events import Event, Progress
from engine.jobs.queue import Job, Lane, Priority
from engine.jobs.runner import Task, run_queue
from engine.jobs.store import JobStore, NewJob

NUM_STEPS = 8
BLOCK = b"0123456789abcdef" * 64


def new_job(
    output: Path,
    *,
    title: str = "a ball",
    model: str = "small",
    predicted_s: float = 10.0,
    lane: Lane = "generation",
    priority: Priority = Priority.NORMAL,
    work: dict[str, Any] | None = None,
) -> NewJob:
    return NewJob(work or {"prompt": title}, title, output, model, predicted_s, lane, priority)


def add_jobs(store: JobStore, folder: Path, count: int) -> list[Job]:
    return store.add([new_job(folder / f"{number}.mp4", title=f"job {number}") for number in range(1, count + 1)])


def titles(jobs: Iterable[Job]) -> list[str]:
    return [job.title for job in jobs]


def progress(step: int, *, eta_s: float | None = None) -> Progress:
    return Progress("denoise", "base", step, NUM_STEPS, step / NUM_STEPS, eta_s)


@dataclass(frozen=True)
class FileEngine:
    """Writes a file bit by bit, `step_s` for each step."""

    log: Path
    step_s: float = 0.0

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        attempt = secrets.token_hex(4)
        part = task.output.with_suffix(".part")
        (task.folder / "latents").write_text(attempt, encoding="ascii")
        with part.open("wb") as file:
            file.write(attempt.encode("ascii"))
            for step in range(1, NUM_STEPS + 1):
                file.write(BLOCK)
                file.flush()
                time.sleep(self.step_s)
                yield progress(step)
        part.replace(task.output)
        with self.log.open("a", encoding="ascii") as log:
            log.write(f"{attempt}\n")


def attempt_in(path: Path) -> str:
    """Which attempt made a file; fails for one that is not whole."""
    content = path.read_bytes()
    assert content[8:] == BLOCK * NUM_STEPS, f"{path} is not whole: {len(content)} bytes"
    return content[:8].decode("ascii")


def main() -> None:
    queue, log = Path(sys.argv[1]), Path(sys.argv[2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with JobStore(queue) as store:
        for _event in run_queue(store, FileEngine(log, step_s=0.004)):
            pass


if __name__ == "__main__":
    main()
