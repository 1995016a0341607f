"""Threads that fetch the missing ranges of one file, each on a connection of its own.

They write finished pieces to the partial file and say so; what they say, and what ended one of them, comes out of
`messages` in the thread that reads it. Nothing here touches names, hashes of whole files, or other files.
"""

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import DownloadError
from engine.weights.access import Access
from engine.weights.download import KEPT_REMEDY, STALL_S, Line, RemoteFile, TryAgain
from engine.weights.partial import PartialFile

READ_BYTES = 1 << 18
EVENTS_EVERY_S = 0.25
_JOIN_S = 2.0


@dataclass(frozen=True)
class Pace:
    """How hard to try. The defaults suit files of tens of gigabytes on any line."""

    connections: int = 4
    piece_bytes: int = 4 << 20  # what a killed process loses, at most, on each connection
    pieces_per_range: int = 64
    stall_s: float = STALL_S
    first_attempts: int = 4  # to reach the server at all
    attempts: int = 8  # in a row, of one connection, while no piece is finished by any
    first_delay_s: float = 1.0  # doubled by every attempt
    longest_delay_s: float = 60.0
    longest_wait_s: float = 900.0  # that a server may ask for


DEFAULT_PACE = Pace()


@dataclass(frozen=True)
class FetchNotice:
    """Something worth telling; fetching goes on."""

    file: str
    message: str


class Workers:
    """Threads that fetch ranges of one file until all are there, one fails for good, or they are told to stop.

    The first range goes alone: only when it has shown that the server knows ranges do the others start.
    """

    def __init__(self, partial: PartialFile, remote: RemoteFile, access: Access, pace: Pace) -> None:
        self._partial, self._remote, self._access, self._pace = partial, remote, access, pace
        self._ranges = deque(partial.missing_runs(pace.pieces_per_range))
        self._messages: queue.Queue[int | FetchNotice | Exception] = queue.Queue()
        self._stop = threading.Event()
        self._num_finished = 0
        self._knows_no_ranges = False
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._threads: list[threading.Thread] = []
        if self._ranges:
            self._add_thread()

    def messages(self, *, wait: bool) -> Iterator[int | FetchNotice]:
        """Bytes finished since, and notices; waits for the first a moment. Raises what ended a thread."""
        is_somebody_there = any(thread.is_alive() for thread in self._threads)
        try:
            message = self._messages.get(timeout=EVENTS_EVERY_S) if wait else self._messages.get_nowait()
        except queue.Empty:
            assert is_somebody_there or not wait, "every thread ended and pieces are missing"
            return
        while True:
            if isinstance(message, Exception):
                raise message
            yield message
            try:
                message = self._messages.get_nowait()
            except queue.Empty:
                return

    def close(self) -> None:
        """Stop, at once. A thread that is still connecting ends later, and finds the file closed."""
        self._stop.set()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()
        for thread in self._threads:
            thread.join(timeout=_JOIN_S)

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="fetch", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    if not self._ranges:
                        return
                    start, stop = self._ranges.popleft()
                self._fetch_range(start, stop)
        except Exception as error:  # handed to the iterating thread, which raises it
            self._messages.put(error)

    def _fetch_range(self, first: int, stop: int) -> None:
        """Half-open range of pieces, however often the line drops."""
        failures, num_finished = 0, 0
        while first < stop and not self._stop.is_set():
            line = Line(self._access, stall_s=self._pace.stall_s)
            with self._lock:
                self._lines.append(line)
            try:
                self._receive(line, first, stop)
            except TryAgain as trouble:
                if self._stop.is_set():
                    return
                if num_finished != self._num_finished:
                    failures, num_finished = 0, self._num_finished
                failures += 1
                delay_s = delay_before_next(trouble, failures, self._pace.attempts, self._remote.name, self._pace)
                self._messages.put(FetchNotice(self._remote.name, retry_sentence(trouble, delay_s)))
                self._stop.wait(delay_s)
            finally:
                with self._lock:
                    self._lines.remove(line)
            if self._knows_no_ranges:
                stop = self._partial.num_pieces
            while first < stop and self._partial.has(first):
                first += 1

    def _receive(self, line: Line, first: int, stop: int) -> None:
        """What one answer brings of a range, which a server without ranges makes the rest of the file."""
        partial, size_bytes = self._partial, self._remote.size_bytes
        start_byte = first * partial.piece_bytes
        with line.open_range(self._remote, start_byte, min(stop * partial.piece_bytes, size_bytes)) as source:
            if not source.is_whole:
                self._add_threads()
            elif len(self._threads) == 1:
                self._knows_no_ranges = True
                self._ranges.clear()
                stop = partial.num_pieces
            position = source.start
            for piece in range(source.start // partial.piece_bytes, stop):
                piece_hash = hashlib.sha256()
                end = piece * partial.piece_bytes + partial.size_of(piece)
                is_wanted = piece >= first and not partial.has(piece)
                while position < end:
                    block = source.read(min(READ_BYTES, end - position))
                    if self._stop.is_set():
                        return
                    if is_wanted:
                        partial.write(position, memoryview(block))
                        piece_hash.update(block)
                    position += len(block)
                if is_wanted:
                    partial.finish_piece(piece, piece_hash.hexdigest())
                    self._num_finished += 1
                    self._messages.put(partial.size_of(piece))

    def _add_threads(self) -> None:
        """The server knows ranges: now the others may start."""
        with self._lock:
            num_missing = min(self._pace.connections - len(self._threads), len(self._ranges))
        for _ in range(0 if self._stop.is_set() else num_missing):
            self._add_thread()


def delay_before_next(trouble: TryAgain, failures: int, attempts: int, name: str, pace: Pace) -> float:
    """Seconds to wait: what the server asks for, else longer every time. Raises DownloadError when it is enough."""
    if failures >= attempts:
        raise DownloadError(
            f"{name} cannot be fetched: {trouble.message}, {failures} times in a row.", remedy=KEPT_REMEDY
        ) from trouble
    asked_s = trouble.after_s or 0.0
    if asked_s > pace.longest_wait_s:
        raise DownloadError(
            f"The server asks to wait {asked_s / 60:.0f} minutes before it sends {name}.", remedy=KEPT_REMEDY
        ) from trouble
    return max(asked_s, min(pace.longest_delay_s, pace.first_delay_s * 2.0 ** (failures - 1)))


def retry_sentence(trouble: TryAgain, delay_s: float) -> str:
    return f"{trouble.message[:1].upper()}{trouble.message[1:]}; trying again in {delay_s:.0f} s."
