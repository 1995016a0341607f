"""The thread that fetches, reads, links and deletes model files; the window only hears of it.

Commands go in as frozen values, events come out through one signal, one command after the other. Stopping closes the
generator that runs: what it fetched stays on the disk, and the same command goes on from there.

A thread that waits for a server cannot be hurried, and nothing it does needs the end of the program to wait for it:
what it fetched is on the disk piece by piece. So it is a daemon, which a QThread cannot be.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from engine.errors import EngineError
from engine.folders import models_folder
from engine.weights.access import Access, find_access, save_token
from engine.weights.adopt import adopt
from engine.weights.catalog import Place, places
from engine.weights.fetch import FetchEvent, QueueReady, fetch
from engine.weights.installed import CheckProgress, all_places, free_disk_bytes, remove, verify
from engine.weights.pack import export_pack, import_pack
from engine.weights.workers import DEFAULT_PACE, EVENTS_EVERY_S, Pace
from ltx_studio.domain.job import Failed
from ltx_studio.domain.model_tasks import (
    Adopt,
    Command,
    Done,
    Event,
    Export,
    Get,
    Import,
    KeepToken,
    Outcome,
    Reading,
    Remove,
    Room,
    Stopped,
    Survey,
    TaskUpdate,
    Verify,
)
from ltx_studio.domain.models import survey

logger = logging.getLogger("studio.models")

_Told = TypeVar("_Told", bound=Event)

_CLOSE_WAIT_S = 5.0
_LONG_READ_BYTES = 1 << 26  # below this a speed says nothing


class ModelWorker(QObject):
    """Takes commands from the window's thread and runs them in its own."""

    happened = Signal(object)  # TaskUpdate

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        pace: Pace = DEFAULT_PACE,
        find: Callable[[], Access] = find_access,
        free_bytes: Callable[[Path], int] = free_disk_bytes,
    ) -> None:
        super().__init__(parent)
        self._pace = pace
        self._find_access = find
        self._free_bytes = free_bytes
        self._commands: queue.SimpleQueue[tuple[int, Command] | None] = queue.SimpleQueue()
        self._num_started = 0
        self._stopped_up_to = 0  # number of a command; written by the window's thread, and only ever raised
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self, command: Command) -> None:
        """Run a command after those before it. Its last event is Done, Failed or Stopped."""
        if self._is_closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="models", daemon=True)
            self._thread.start()
        self._num_started += 1
        self._commands.put((self._num_started, command))

    def stop(self) -> None:
        """Stop every command started so far; the one that runs at its next event."""
        self._stopped_up_to = self._num_started

    def close(self) -> bool:
        """Stop for good; whether the thread ended in time. It says nothing more in either case."""
        self._is_closed = True
        self.stop()
        self._commands.put(None)
        if self._thread is None:
            return True
        self._thread.join(_CLOSE_WAIT_S)
        return not self._thread.is_alive()

    # --- in the worker's thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (item := self._commands.get()) is not None:
            number, command = item
            self._report(command, self._run(number, command))

    def _run(self, number: int, command: Command) -> Outcome:
        if self._is_stopped(number):
            return Stopped()
        try:
            with closing(self._events(command, lambda: self._is_stopped(number))) as events:
                for event in events:
                    self._report(command, event)
                    if self._is_stopped(number):
                        return Stopped()
            return Done()
        except EngineError as error:
            logger.info("%r: %s", command, error)
            return Failed.of(error)
        except Exception:
            # The outermost boundary of this thread: whatever went wrong, the window hears of it and lives on.
            logger.exception("%r failed", command)
            return Failed(
                "internal",
                "Something went wrong that LTX Studio did not expect.",
                "Installed models are as they were. The log has the details.",
            )

    def _is_stopped(self, number: int) -> bool:
        return number <= self._stopped_up_to

    def _events(self, command: Command, is_stopped: Callable[[], bool]) -> Generator[Event]:
        match command:
            case Survey(machine):
                yield survey(machine, self._free_bytes)
            case Get(name):
                events = fetch(places(name), self._find_access(), pace=self._pace, free_bytes=self._free_bytes)
                yield from _fetched(events, self._free_bytes)
            case Verify(name):
                yield from _verified([place for place in places(name) if place.path.is_file()], is_stopped)
            case Adopt(folders):
                yield from _read(adopt(folders, dict.fromkeys(all_places())), is_stopped)
            case Export(name, folder):
                yield from _read(export_pack([name], folder), is_stopped)
            case Import(folder):
                yield from _read(import_pack(folder), is_stopped)
            case Remove(name):
                yield remove(name)
            case KeepToken(token):
                save_token(token)

    def _report(self, command: Command, event: Event) -> None:
        # Emitted by an object of the window's thread, so that every receiver runs there.
        if not self._is_closed:
            self.happened.emit(TaskUpdate(command, event))


def _fetched(events: Generator[FetchEvent], free_bytes: Callable[[Path], int]) -> Iterator[Event]:
    with closing(events):
        for event in events:
            if isinstance(event, QueueReady):
                yield Room(event.total_bytes, event.kept_bytes, free_bytes(models_folder()))
            else:
                yield event


def _verified(wanted: list[Place], is_stopped: Callable[[], bool]) -> Iterator[Event]:
    """Every file, with one bar for all of them."""
    sizes = [place.path.stat().st_size for place in wanted]
    progress = _Pace(total_bytes=sum(sizes))
    for place, size_bytes in zip(wanted, sizes, strict=True):
        yield from _read(verify(place), is_stopped, progress)
        progress.base_bytes += size_bytes


def _read(
    events: Generator[CheckProgress | _Told], is_stopped: Callable[[], bool], progress: "_Pace | None" = None
) -> Iterator[Reading | _Told]:
    """Progress a few times a second, with a speed; everything else as it is. Stopping is heard between blocks."""
    progress = progress or _Pace()
    with closing(events):
        for event in events:
            if not isinstance(event, CheckProgress):
                yield event
            elif is_stopped() or progress.is_time():
                yield progress.reading(event)


class _Pace:
    """How fast files are read: of one file after the other, or of all where their sizes are known before."""

    def __init__(self, total_bytes: int = 0) -> None:
        self.base_bytes = 0  # of the files before this one
        self._total_bytes = total_bytes
        self._start_s = time.monotonic()
        self._last_s = 0.0
        self._file = ""

    def is_time(self) -> bool:
        return time.monotonic() - self._last_s >= EVENTS_EVERY_S

    def reading(self, event: CheckProgress) -> Reading:
        now_s = self._last_s = time.monotonic()
        if not self._total_bytes and event.file != self._file:
            self._file, self._start_s = event.file, now_s
        done_bytes = self.base_bytes + event.file_bytes
        total_bytes = self._total_bytes or event.file_total_bytes
        elapsed_s = now_s - self._start_s
        speed = done_bytes / elapsed_s if elapsed_s > 0 and done_bytes >= _LONG_READ_BYTES else 0.0
        eta_s = (total_bytes - done_bytes) / speed if speed > 0 else None
        return Reading(event.file, done_bytes, total_bytes, speed, eta_s)
