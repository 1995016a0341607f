"""An engine that plays a script: events to yield, an error to raise, or waiting until it is closed.

Where a script ends with a result, the file it names is copied to where the queue wants it, as the engine's promise is.
"""

import shutil
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.events import Event, Finished, MemoryReading, Notice, Preview, Progress, Result, Started
from engine.jobs.runner import Task
from engine.request import GenerationRequest


@dataclass(frozen=True)
class WorkUntilClosed:
    """Reports the same progress again and again, as the real engine does after each block, until it is closed."""

    progress: Progress


Line = Event | Exception | WorkUntilClosed


@dataclass
class ScriptedEngine:
    """One script for each run, in order."""

    scripts: list[Iterable[Line]]
    requests: list[GenerationRequest] = field(default_factory=list[GenerationRequest])
    threads: list[str] = field(default_factory=list[str])
    num_cleaned_up: int = 0

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        script = self.scripts[len(self.requests)]
        self.requests.append(task.request)
        self.threads.append(threading.current_thread().name)
        try:
            for line in script:
                match line:
                    case Exception():
                        raise line
                    case WorkUntilClosed(progress):
                        while True:
                            yield progress
                            time.sleep(0.001)  # the work between two reports
                    case Finished():
                        shutil.copyfile(line.result.path, task.output)
                        yield line
                    case _:
                        yield line
        finally:
            self.num_cleaned_up += 1


def progress(fraction: float, *, step: int = 2, eta_s: float | None = 12.0) -> Progress:
    return Progress("denoise", "base", step, 8, fraction, eta_s)


def preview() -> Preview:
    return Preview("base", 1, np.full((3, 4, 3), 90, np.uint8))


def result(path: Path, *, seed: int = 7) -> Result:
    return Result(
        path=path,
        seed=seed,
        width=128,
        height=64,
        frames=9,
        fps=24.0,
        duration_s=0.375,
        timings={"total": 3.2},
        peak_bytes=2**30,
        model="fake",
        plan={},
    )


def whole_run(request: GenerationRequest, path: Path) -> list[Line]:
    """What a run without trouble says."""
    return [
        Started(request, {}),
        Notice("note", "The clip will be noise."),
        Progress("load", "", 0, 1, 0.0, None),
        progress(0.4),
        MemoryReading(0, 2**30),
        preview(),
        progress(0.9),
        Finished(result(path)),
    ]
