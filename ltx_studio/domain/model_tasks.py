"""What can be done with models, what comes of it as events, and how the page's queue follows. No Qt, all values.

A task runs alone, one after the other: they share a disk and a line. Pausing ends the task that fetches and keeps it
at the head of the queue; starting it again goes on from what is on the disk, also after a restart of the program.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from engine.hardware import Machine
from engine.weights.adopt import Adopted, Passed
from engine.weights.fetch import FetchProgress, FileInstalled
from engine.weights.installed import Checked, Removed
from engine.weights.pack import Copied
from engine.weights.workers import FetchNotice
from ltx_studio.domain.job import Failed
from ltx_studio.domain.models import Inventory

_MAX_NOTICES = 20


@dataclass(frozen=True)
class Get:
    """Fetch a model and its text encoder."""

    name: str


@dataclass(frozen=True)
class Verify:
    """Read a model's files and compare their hashes."""

    name: str


@dataclass(frozen=True)
class Adopt:
    """Take files that are on this machine already."""

    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Export:
    """Put a model into an offline pack."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Import:
    """Install an offline pack."""

    folder: Path


@dataclass(frozen=True)
class Remove:
    """Delete a model's files."""

    name: str


@dataclass(frozen=True)
class KeepToken:
    """Keep a token of the hub for files with terms; None forgets it."""

    token: str | None = field(repr=False)


@dataclass(frozen=True)
class Survey:
    """Look at what there is. The one task that the queue does not show."""

    machine: Machine | None = field(repr=False)


Task = Get | Verify | Adopt | Export | Import | Remove | KeepToken
Command = Task | Survey


@dataclass(frozen=True)
class Room:
    """Said before the first byte: what is to be fetched, what of it is here already, and how much is free."""

    total_bytes: int
    kept_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Reading:
    """How far a file is read or copied."""

    file: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float
    eta_s: float | None


@dataclass(frozen=True)
class Done:
    """The task did what it was for."""


@dataclass(frozen=True)
class Stopped:
    """The user stopped it. What was fetched is kept."""


Outcome = Done | Failed | Stopped
Event = (
    Room
    | Reading
    | FetchProgress
    | FetchNotice
    | FileInstalled
    | Checked
    | Adopted
    | Passed
    | Copied
    | Removed
    | Inventory
    | Outcome
)


@dataclass(frozen=True)
class TaskUpdate:
    """An event and the command that it belongs to."""

    command: Command
    event: Event


@dataclass(frozen=True)
class Activity:
    """A task that runs or ran, with everything it said."""

    task: Task
    phase: Literal["starting", "waiting", "fetching", "checking", "reading"] = "starting"
    file: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    room: Room | None = None
    notices: tuple[str, ...] = ()
    fetched_bytes: int = 0
    checked: tuple[Checked, ...] = ()
    adopted: tuple[Adopted, ...] = ()
    copied: tuple[Copied, ...] = ()
    removed: Removed | None = None
    is_stopping: bool = False
    is_dropped: bool = False  # it is not to go on later
    outcome: Outcome | None = None

    @property
    def fraction(self) -> float | None:
        return self.done_bytes / self.total_bytes if self.total_bytes else None

    def after(self, event: Event) -> "Activity":
        """With what an event says taken in."""
        match event:
            case FetchProgress(file, phase, _, _, done_bytes, total_bytes, speed, eta_s):
                return self._at(phase, file, done_bytes, total_bytes, speed, eta_s)
            case Reading(file, done_bytes, total_bytes, speed, eta_s):
                return self._at("reading", file, done_bytes, total_bytes, speed, eta_s)
            case Room():
                return replace(self, room=event)
            case FetchNotice(file, message):
                return self._noting(f"{file}: {message}")
            case Passed(source, message):
                return self._noting(f"{source} {message}")
            case FileInstalled():
                return replace(self, fetched_bytes=self.fetched_bytes + event.fetched_bytes)
            case Checked():
                return replace(self, checked=(*self.checked, event))
            case Adopted():
                return replace(self, adopted=(*self.adopted, event))
            case Copied():
                return replace(self, copied=(*self.copied, event))
            case Removed():
                return replace(self, removed=event)
            case Done() | Failed() | Stopped():
                return replace(self, outcome=event, is_stopping=False)
            case Inventory():
                return self

    def _at(
        self,
        phase: Literal["waiting", "fetching", "checking", "reading"],
        file: str,
        done_bytes: int,
        total_bytes: int,
        speed: float,
        eta_s: float | None,
    ) -> "Activity":
        return replace(
            self,
            phase=phase,
            file=file,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
            bytes_per_s=speed,
            eta_s=eta_s,
        )

    def _noting(self, notice: str) -> "Activity":
        return replace(self, notices=(*self.notices, notice)[-_MAX_NOTICES:])


@dataclass(frozen=True)
class Queue:
    """What runs, what waits for it, and how the last ones ended."""

    running: Activity | None = None
    waiting: tuple[Task, ...] = ()
    is_paused: bool = False  # fetching; other tasks go on
    paused: Activity | None = None  # how far the first one was
    last: Activity | None = None
    problems: tuple[tuple[str, Failed], ...] = ()  # by model, until it is tried again

    @property
    def next(self) -> Task | None:
        """What starts now, if anything."""
        if self.running is not None:
            return None
        return next((task for task in self.waiting if not (self.is_paused and isinstance(task, Get))), None)

    def doing(self, name: str) -> Task | None:
        """What runs or waits for this model."""
        running = () if self.running is None else (self.running.task,)
        return next((task for task in (*running, *self.waiting) if getattr(task, "name", None) == name), None)

    def problem(self, name: str) -> Failed | None:
        return dict(self.problems).get(name)

    def adding(self, task: Task) -> "Queue":
        """With one more; asking twice for the same changes nothing."""
        is_there = task in self.waiting or (self.running is not None and self.running.task == task)
        return self if is_there else replace(self, waiting=(*self.waiting, task))

    def dropping(self, task: Task) -> "Queue":
        """Without one that waits. Once nothing waits to be fetched, there is nothing that is paused."""
        waiting = tuple(item for item in self.waiting if item != task)
        has_more = any(isinstance(item, Get) for item in waiting)
        return replace(self, waiting=waiting, is_paused=self.is_paused and has_more)

    def starting(self, task: Task) -> "Queue":
        name = getattr(task, "name", None)
        problems = tuple(item for item in self.problems if item[0] != name)
        waiting = tuple(item for item in self.waiting if item != task)
        return replace(self, running=Activity(task), waiting=waiting, paused=None, problems=problems)

    def after(self, update: TaskUpdate) -> "Queue":
        """With what an event says taken in; those of a task that no longer runs are late and dropped."""
        running = self.running
        if running is None or update.command != running.task:
            return self
        running = running.after(update.event)
        if running.outcome is None:
            return replace(self, running=running)
        waiting, name = self.waiting, getattr(running.task, "name", None)
        if isinstance(running.outcome, Stopped) and not running.is_dropped:
            return replace(self, running=None, waiting=(running.task, *waiting), paused=running)
        problems = self.problems
        if isinstance(running.outcome, Failed) and name is not None:
            problems = (*problems, (name, running.outcome))
        return replace(self, running=None, last=running, problems=problems)

    def pausing(self) -> "Queue":
        """Fetching is to stop for now."""
        running = self.running
        if running is not None and isinstance(running.task, Get):
            running = replace(running, is_stopping=True)
        return replace(self, running=running, is_paused=True)

    def stopping(self) -> "Queue":
        """What runs is to stop for good; what waits goes on."""
        if self.running is None:
            return self
        return replace(self, running=replace(self.running, is_stopping=True, is_dropped=True), is_paused=False)
