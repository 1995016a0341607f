"""Fetching files: a queue that resumes, as an iterator of events.

Whoever iterates decides what progress looks like, and stops or pauses it all by closing the iterator; what was fetched
stays, and the next call goes on from there. Several ranges of a file are fetched at once (`engine.weights.workers`);
the iterating thread hashes the finished pieces in order meanwhile, so that a file is checked when it is complete. No
file gets its name before its hash matched. Two processes that want the same file take turns, and the second one finds
it done.
"""

import errno
import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import DownloadError, StorageFull
from engine.weights.access import Access
from engine.weights.catalog import Place, PublishedFile
from engine.weights.download import Changed, Line, RemoteFile, TryAgain
from engine.weights.hashing import Digest, Hasher, read_blocks
from engine.weights.installed import (
    all_places,
    free_disk_bytes,
    is_verified,
    link_twin,
    quarantine,
    remember_verified,
    space_sentence,
    verified_sha256,
)
from engine.weights.lock import try_lock
from engine.weights.partial import Identity, PartialFile, forget_partial, kept_bytes, part_path, record_path
from engine.weights.workers import (
    DEFAULT_PACE,
    EVENTS_EVERY_S,
    FetchNotice,
    Pace,
    Workers,
    delay_before_next,
    retry_sentence,
)

_SPEED_WINDOW_S = 10.0
_MAX_RESTARTS = 3  # of one file that keeps changing


Phase = Literal["waiting", "fetching", "checking"]  # waiting: for the server, or another process with the same file


@dataclass(frozen=True)
class QueueReady:
    """Every file's size is known and there is room for all of them; nothing has been fetched yet."""

    files: tuple[str, ...]  # those not yet installed
    total_bytes: int
    kept_bytes: int  # of these, from an earlier attempt


@dataclass(frozen=True)
class FetchProgress:
    """How far the queue is."""

    file: str
    phase: Phase
    file_bytes: int
    file_total_bytes: int
    done_bytes: int  # of the whole queue
    total_bytes: int
    bytes_per_s: float
    eta_s: float | None  # None until there is something to go by


@dataclass(frozen=True)
class FileInstalled:
    """The file is in its place and its hash matched."""

    file: str
    path: Path
    sha256: str
    fetched_bytes: int  # by this call; 0 when it was there, or linked from beside


FetchEvent = QueueReady | FetchProgress | FetchNotice | FileInstalled


def fetch(
    places: Sequence[Place],
    access: Access,
    *,
    pace: Pace = DEFAULT_PACE,
    free_bytes: Callable[[Path], int] = free_disk_bytes,
) -> Generator[FetchEvent]:
    """Bring files to their places, one after the other; those that are there and right cost nothing.

    Raises DownloadError for what cannot be fetched or has a wrong hash, and StorageFull before the first byte when
    the disk has no room for all of them.
    """
    tally = _Tally()
    wanted: dict[PublishedFile, _Wanted] = {}
    twins: list[Place] = []
    for place in places:
        if is_verified(place):
            continue
        if place.file in wanted:
            twins.append(place)
            continue
        if link_twin(place, all_places()):
            yield _installed(place)
            continue
        remote = yield from _describe(place.file, access, pace, tally)
        item = _Wanted(place, remote, _identity(place.file, remote))
        if (yield from _is_there(item, tally)):
            yield _installed(place)
            continue
        wanted[place.file] = item
    _check_space(wanted.values(), free_bytes)
    for item in wanted.values():
        tally.expect(item.place, item.identity.size_bytes, kept_bytes(item.place.path, item.identity))
    yield QueueReady(tuple(file.name for file in wanted), tally.total_bytes, tally.done_bytes)
    for item in wanted.values():
        yield from _fetch_alone(item, access, pace, tally)
    for place in twins:
        if not link_twin(place, [wanted[place.file].place]):
            raise DownloadError(f"{place.path} cannot be made from its twin.", remedy="Fetch this model again.")
        yield _installed(place)


# --- before the first byte --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """A file that is to be fetched, as the server has it, and the version that is right."""

    place: Place
    remote: RemoteFile
    identity: Identity


def _describe(
    file: PublishedFile, access: Access, pace: Pace, tally: "_Tally"
) -> Generator[FetchEvent, None, RemoteFile]:
    """What the hub says now, asked again while it may help."""
    for failures in itertools.count(1):
        try:
            return Line(access, stall_s=pace.stall_s).describe(file.repository, file.name)
        except TryAgain as trouble:
            delay_s = delay_before_next(trouble, failures, pace.first_attempts, file.name, pace)
            yield FetchNotice(file.name, retry_sentence(trouble, delay_s))
            until = time.monotonic() + delay_s
            while (left_s := until - time.monotonic()) > 0:
                time.sleep(min(left_s, EVENTS_EVERY_S))
                yield tally.progress(file.name, "waiting", 0, file.size_bytes or 0)
    raise AssertionError("counting ends only by returning or raising")


def _is_there(item: _Wanted, tally: "_Tally") -> Generator[FetchEvent, None, bool]:
    """Whether a file that nobody verified yet already is the right one; a wrong one is put aside, and that is said."""
    path, identity = item.place.path, item.identity
    if not path.is_file():
        return False
    hasher, num_bytes = Hasher(identity.size_bytes), 0
    for block in read_blocks(path) if path.stat().st_size == identity.size_bytes else ():
        hasher.update(block)
        num_bytes += len(block)
        if tally.is_time():
            yield tally.progress(item.place.file.name, "checking", num_bytes, identity.size_bytes)
    if hasher.matches(identity.digest):
        remember_verified(path, hasher.sha256)
        if not part_path(path).exists():  # a process was killed between naming the file and saying so
            record_path(path).unlink(missing_ok=True)
        return True
    aside = quarantine(path, path)
    yield FetchNotice(item.place.file.name, f"The file that was there has a wrong hash; it was put aside as {aside}.")
    return False


def _identity(known: PublishedFile, remote: RemoteFile) -> Identity:
    """The version to fetch: the catalogue's where it knows one, else the hub's. Raises DownloadError."""
    if known.size_bytes not in {None, remote.size_bytes}:
        raise DownloadError(
            f"The server offers {known.name} with {remote.size_bytes:,} bytes; the published file has "
            f"{known.size_bytes:,}.",
            remedy="Use another mirror, or none; if its publisher replaced the file, update this program.",
        )
    digest = Digest("sha256", known.sha256) if known.sha256 else remote.digest
    if digest is None:
        raise DownloadError(
            f"Neither the catalogue nor the server says what the hash of {known.name} is, so it could not be checked.",
            remedy="Use the hub itself or a mirror that states hashes (X-Linked-Etag).",
        )
    if remote.digest is not None and remote.digest.kind == digest.kind and remote.digest != digest:
        raise DownloadError(
            f"The server offers another {known.name} than the published one: its hash is "
            f"{remote.digest.value[:12]}..., not {digest.value[:12]}...",
            remedy="Use another mirror, or none; if its publisher replaced the file, update this program.",
        )
    return Identity(remote.size_bytes, digest)


def _check_space(wanted: Iterable[_Wanted], free_bytes: Callable[[Path], int]) -> None:
    """Raises StorageFull when what is still missing does not fit, disk by disk."""
    needed_by_disk: dict[int, tuple[Path, int]] = {}
    for item in wanted:
        folder = item.place.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            disk = folder.stat().st_dev
        except OSError as error:
            raise _disk_trouble(folder, error) from error
        first, needed = needed_by_disk.get(disk, (folder, 0))
        still_missing = item.identity.size_bytes - kept_bytes(item.place.path, item.identity)
        needed_by_disk[disk] = first, needed + still_missing
    for folder, needed in needed_by_disk.values():
        free = free_bytes(folder)
        if needed > free:
            raise StorageFull(
                folder,
                space_sentence("fetching", needed, free),
                remedy="Free some space, or move the models folder to another disk.",
            )


# --- one file ---------------------------------------------------------------------------------------------------------


def _fetch_alone(item: _Wanted, access: Access, pace: Pace, tally: "_Tally") -> Iterator[FetchEvent]:
    """One file, while no other process fetches it."""
    place, size_bytes = item.place, item.identity.size_bytes
    lock_path = place.path.with_name(f".{place.path.name}.lock")
    while True:
        try:
            with try_lock(lock_path) as is_ours:
                if is_ours:
                    if is_verified(place):  # another process was faster
                        tally.expect(place, size_bytes, size_bytes)
                        yield _installed(place)
                    else:
                        yield from _fetch_version(item, access, pace, tally)
                    return
        except OSError as error:
            raise _disk_trouble(place.path, error) from error
        yield tally.progress(place.file.name, "waiting", kept_bytes(place.path, item.identity), size_bytes)
        time.sleep(EVENTS_EVERY_S)


def _fetch_version(item: _Wanted, access: Access, pace: Pace, tally: "_Tally") -> Iterator[FetchEvent]:
    """This version of the file, or the one that replaces it on the server meanwhile."""
    place = item.place
    for _ in range(_MAX_RESTARTS):
        try:
            yield from _fetch_pieces(item, access, pace, tally)
            return
        except Changed:
            remote = yield from _describe(place.file, access, pace, tally)
        if remote == item.remote:
            yield FetchNotice(place.file.name, "The server sent parts of another version; asking again.")
            time.sleep(pace.first_delay_s)
            continue
        item = _Wanted(place, remote, _identity(place.file, remote))
        forget_partial(place.path)
        yield FetchNotice(place.file.name, "The file changed on the server; fetching starts over.")
    raise DownloadError(
        f"{place.file.name} keeps changing on the server while it is fetched.",
        remedy="Try again later, or use another mirror.",
    )


def _fetch_pieces(item: _Wanted, access: Access, pace: Pace, tally: "_Tally") -> Iterator[FetchEvent]:
    """Every piece that is missing, then the hash of the whole, then the name."""
    place, identity, name = item.place, item.identity, item.place.file.name
    fetched_bytes = 0
    with PartialFile(place.path, identity, pace.piece_bytes) as partial:
        while True:
            file_bytes = partial.kept_bytes
            tally.expect(place, identity.size_bytes, file_bytes)
            hasher = Hasher(identity.size_bytes)
            num_hashed = 0
            with closing(Workers(partial, item.remote, access, pace)) as workers:
                while num_hashed < partial.num_pieces:
                    is_next_there = partial.has(num_hashed)
                    if is_next_there:
                        hasher.update(partial.read_piece(num_hashed))
                        num_hashed += 1
                    for message in workers.messages(wait=not is_next_there):
                        if isinstance(message, FetchNotice):
                            yield message
                        else:
                            fetched_bytes += message
                            file_bytes += message
                            tally.receive(place, message)
                    if tally.is_time():
                        phase = "checking" if file_bytes == identity.size_bytes else "fetching"
                        yield tally.progress(name, phase, file_bytes, identity.size_bytes)
            if hasher.matches(identity.digest):
                break
            if not partial.drop_damaged():
                partial.close()
                raise _wrong_hash(place)
            yield FetchNotice(name, "The disk had damaged parts of the file; they are fetched again.")
        partial.settle()
    part_path(place.path).replace(place.path)
    remember_verified(place.path, hasher.sha256)
    record_path(place.path).unlink(missing_ok=True)
    tally.expect(place, identity.size_bytes, identity.size_bytes)
    yield tally.progress(name, "checking", identity.size_bytes, identity.size_bytes)
    yield _installed(place, fetched_bytes)


def _wrong_hash(place: Place) -> DownloadError:
    aside = quarantine(part_path(place.path), place.path)
    record_path(place.path).unlink(missing_ok=True)
    return DownloadError(
        f"{place.file.name} arrived complete but with a wrong hash: its bytes are not the published ones. "
        f"It was put aside as {aside.name} and is not used.",
        remedy="Fetch it again, over another line or mirror if this repeats.",
    )


def _disk_trouble(path: Path, error: OSError) -> DownloadError | StorageFull:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(
            path, "the disk is full; what was fetched is kept.", remedy="Free some space and start again: it goes on."
        )
    return DownloadError(
        f"{path} cannot be written: {error.strerror or error}.", remedy="Check the models folder and its permissions."
    )


def _installed(place: Place, fetched_bytes: int = 0) -> FileInstalled:
    sha256 = verified_sha256(place.path)
    assert sha256 is not None, place
    return FileInstalled(place.file.name, place.path, sha256, fetched_bytes)


# --- how far it is ----------------------------------------------------------------------------------------------------


class _Tally:
    """Bytes of the whole queue, and how fast they came lately."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[int, int]] = {}  # size and done, by place
        self._recent: deque[tuple[float, int]] = deque()
        self._start = time.monotonic()
        self._last_event = 0.0

    @property
    def total_bytes(self) -> int:
        return sum(size for size, _ in self._files.values())

    @property
    def done_bytes(self) -> int:
        return sum(done for _, done in self._files.values())

    def expect(self, place: Place, size_bytes: int, done_bytes: int) -> None:
        self._files[place.path] = size_bytes, done_bytes

    def receive(self, place: Place, num_bytes: int) -> None:
        size_bytes, done_bytes = self._files[place.path]
        self._files[place.path] = size_bytes, done_bytes + num_bytes
        self._recent.append((time.monotonic(), num_bytes))

    def is_time(self) -> bool:
        """Whether the last event is long enough ago for another."""
        return time.monotonic() - self._last_event >= EVENTS_EVERY_S

    def progress(self, name: str, phase: Phase, file_bytes: int, file_total_bytes: int) -> FetchProgress:
        now = self._last_event = time.monotonic()
        while self._recent and self._recent[0][0] < now - _SPEED_WINDOW_S:
            self._recent.popleft()
        done_bytes, total_bytes = self.done_bytes, self.total_bytes
        speed = sum(size for _, size in self._recent) / max(1e-3, min(_SPEED_WINDOW_S, now - self._start))
        eta_s = (total_bytes - done_bytes) / speed if speed > 0 else None
        return FetchProgress(name, phase, file_bytes, file_total_bytes, done_bytes, total_bytes, speed, eta_s)
