"""Wheels onto this disk, each exactly once: from a folder where one has them, else from the network.

A wheel arrives as `NAME.HASH.part` and gets its name when all of it matched the lock's hash, so what has the name is
whole. A part is gone on with by a range, after its bytes so far were hashed again. Several wheels arrive at a time,
because most are small; each has one connection.

This is the only place of the installer that opens a connection. It goes through the proxies of the environment and the
system unless one is named, and trusts the system's certificates and those of a file that may be named.
"""

import errno
import hashlib
import os
import queue
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import sha256_of
from ltx_studio.installation.locks import Wheel
from ltx_studio.installation.messages import Notice, Progress, Step
from ltx_studio.installation.state import Part

MIRROR_VARIABLE = "LTX_STUDIO_WHEELS_URL"  # an address under which every wheel lies by its name
SEALED_VARIABLE = "LTX_STUDIO_SEALED"
_KEPT = "What was fetched is kept: start again and it goes on from there."
# Where systems keep the certificates they trust, when Python was built for another system's place.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_BLOCK_BYTES = 1 << 16
_SPEED_WINDOW_S = 8.0
_TELL_EVERY_S = 0.25
_MAX_FEED_BYTES = 1 << 20


@dataclass(frozen=True)
class Access:
    """How to reach the network, or not at all."""

    is_allowed: bool = True
    proxy: str | None = None  # None: what the environment or the system says
    certificates: Path | None = None
    mirror: str | None = None
    connections: int = 4
    stall_s: float = 30.0
    attempts: int = 8  # in a row without a byte
    first_delay_s: float = 1.0

    def address_of(self, wheel: Wheel) -> str:
        return wheel.url if self.mirror is None else f"{self.mirror.rstrip('/')}/{quote(wheel.file)}"


class StoppedError(Exception):
    """Somebody asked for an end; what is here stays."""


class _TryAgain(Exception):
    """Something that may pass."""


class _StartOver(_TryAgain):
    """What is here of the file is of no use."""


def is_whole(path: Path, wheel: Wheel) -> bool:
    """By size and hash: a name alone says nothing of what a disk did to a file since."""
    try:
        return path.stat().st_size == wheel.size_bytes and sha256_of(path) == wheel.sha256
    except OSError:
        return False


def part_of(folder: Path, wheel: Wheel) -> Path:
    return folder / f"{wheel.file}.{wheel.sha256[:8]}.part"


def find_whole(wheel: Wheel, folders: Iterable[Path]) -> Path | None:
    return next((path for folder in folders if is_whole(path := folder / wheel.file, wheel)), None)


class Gathering:
    """The wheels of one environment: where each lies once `run` has ended."""

    def __init__(
        self,
        wheels: Sequence[Wheel],
        folder: Path,
        access: Access,
        *,
        part: Part,
        others: Sequence[Path] = (),
        packs: Sequence[Path] = (),
    ) -> None:
        """Wheels go into `folder`; those that lie whole in one of the `others` are used from there.

        `packs` are folders on disks that will not stay: what they have is copied.
        """
        self.found: dict[str, Path] = {}
        self._folder, self._packs, self._access, self._part = folder, packs, access, part
        self._missing: list[Wheel] = []
        for wheel in wheels:
            path = find_whole(wheel, (folder, *others))
            if path is None:
                self._missing.append(wheel)
            else:
                self.found[wheel.file] = path
        self._total_bytes = sum(wheel.size_bytes for wheel in wheels)
        self._here_bytes = {wheel.file: wheel.size_bytes for wheel in wheels if wheel.file in self.found}
        for wheel in self._missing:
            with suppress(OSError):
                kept_bytes = part_of(folder, wheel).stat().st_size
                self._here_bytes[wheel.file] = min(kept_bytes, wheel.size_bytes)

    @property
    def missing_bytes(self) -> int:
        return self._total_bytes - sum(self._here_bytes.values())

    def run(self, stop: threading.Event) -> Generator[Progress | Notice]:
        """Fetch what is missing. Raises StoppedError soon after `stop`, and InstallError."""
        yield from self._copy(stop)
        if not self._missing:
            return
        if not self._access.is_allowed:
            names = ", ".join(wheel.name for wheel in self._missing[:3])
            raise InstallError(
                "offline",
                f"{len(self._missing)} packages are not here ({names}), and the network is not to be used.",
                remedy="Bring an offline pack for this kind of machine, or leave sealed mode to fetch them.",
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _disk_trouble(self._folder, error) from error
        opener = make_opener(self._access)
        waiting = deque(sorted(self._missing, key=lambda wheel: wheel.size_bytes))  # taken from the large end first
        said: queue.SimpleQueue[tuple[str, int] | Path | Notice | Exception] = queue.SimpleQueue()
        halt = threading.Event()

        def work() -> None:
            try:
                while not halt.is_set():
                    try:
                        wheel = waiting.pop()
                    except IndexError:
                        return
                    said.put(_Fetch(wheel, self._folder, opener, self._access, halt, said).run())
            except Exception as error:  # handed to the iterating thread, which raises it
                said.put(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self._access.connections)]
        for thread in threads:
            thread.start()
        try:
            yield from self._follow(said, len(self._missing), stop)
        finally:
            halt.set()

    def _copy(self, stop: threading.Event) -> Iterator[Progress | Notice]:
        for wheel in list(self._missing):
            if stop.is_set():
                raise StoppedError
            source = next((pack / wheel.file for pack in self._packs if (pack / wheel.file).is_file()), None)
            if source is None:
                continue
            try:
                self.found[wheel.file] = copy_in(source, self._folder, wheel)
            except _TryAgain as trouble:
                yield Notice(f"{trouble}.")
                continue
            self._missing.remove(wheel)
            self._here_bytes[wheel.file] = wheel.size_bytes
            here_bytes = sum(self._here_bytes.values())
            yield Progress(self._part, Step.FETCHING, wheel.file, here_bytes, self._total_bytes)

    def _follow(
        self,
        said: "queue.SimpleQueue[tuple[str, int] | Path | Notice | Exception]",
        num_missing: int,
        stop: threading.Event,
    ) -> Iterator[Progress | Notice]:
        recent: deque[tuple[float, int]] = deque()
        started = told = time.monotonic()
        name = ""
        while num_missing:
            if stop.is_set():
                raise StoppedError
            with suppress(queue.Empty):
                match said.get(timeout=_TELL_EVERY_S):
                    case Exception() as error:
                        raise error
                    case Path() as path:
                        self.found[path.name] = path
                        num_missing -= 1
                    case Notice() as notice:
                        yield notice
                    case name, here_bytes:
                        recent.append((time.monotonic(), here_bytes - self._here_bytes.get(name, 0)))
                        self._here_bytes[name] = here_bytes
            now = time.monotonic()
            if now - told < _TELL_EVERY_S and num_missing:
                continue
            told = now
            while recent and recent[0][0] < now - _SPEED_WINDOW_S:
                recent.popleft()
            speed = max(0.0, sum(size for _, size in recent) / max(0.2, min(_SPEED_WINDOW_S, now - started)))
            here_bytes = sum(self._here_bytes.values())
            left_s = (self._total_bytes - here_bytes) / speed if speed > 0 else None
            yield Progress(self._part, Step.FETCHING, name, here_bytes, self._total_bytes, speed, left_s)


class _Fetch:
    """One wheel, however often the line drops."""

    def __init__(
        self,
        wheel: Wheel,
        folder: Path,
        opener: urllib.request.OpenerDirector,
        access: Access,
        halt: threading.Event,
        said: "queue.SimpleQueue[tuple[str, int] | Path | Notice | Exception]",
    ) -> None:
        self._wheel, self._opener, self._access, self._halt, self._said = wheel, opener, access, halt, said
        self._path = folder / wheel.file
        self._part = part_of(folder, wheel)
        self._url = access.address_of(wheel)

    def run(self) -> Path:
        failures, num_spoilt = 0, 0
        while True:
            before = _size(self._part)
            try:
                return self._attempt()
            except _TryAgain as trouble:
                failures = 1 if _size(self._part) > before else failures + 1
                if isinstance(trouble, _StartOver):
                    self._part.unlink(missing_ok=True)
                    num_spoilt += 1
                if failures >= self._access.attempts or num_spoilt > 2:
                    raise InstallError(
                        "not-fetched", f"{self._wheel.file} cannot be fetched: {trouble}.", remedy=_KEPT
                    ) from trouble
                delay_s = min(60.0, self._access.first_delay_s * 2 ** (failures - 1))
                self._said.put(Notice(f"{trouble}; trying again in {delay_s:.0f} s."))
                self._halt.wait(delay_s)
                if self._halt.is_set():
                    raise StoppedError from trouble
            except OSError as error:
                raise _disk_trouble(self._part, error) from error

    def _attempt(self) -> Path:
        digest = hashlib.sha256()
        size_bytes = self._wheel.size_bytes
        with self._part.open("r+b" if self._part.exists() else "w+b", buffering=0) as file:
            while block := file.read(1 << 20):
                digest.update(block)
            here = file.tell()
            if here > size_bytes:
                raise _StartOver("more arrived than the file has")
            self._said.put((self._wheel.file, here))
            if here < size_bytes:
                with self._open(here) as answer:
                    while block := self._read(answer):
                        if here + len(block) > size_bytes:
                            raise _StartOver(f"{urlsplit(self._url).netloc} sent another file")
                        file.write(block)
                        digest.update(block)
                        here += len(block)
                        self._said.put((self._wheel.file, here))
                        if self._halt.is_set():
                            raise StoppedError
            os.fsync(file.fileno())
        if here < size_bytes:
            raise _TryAgain("The connection ended early")
        if digest.hexdigest() != self._wheel.sha256:
            raise _StartOver(f"{self._wheel.file} arrived with a wrong hash")
        self._part.replace(self._path)
        return self._path

    def _open(self, start: int) -> HTTPResponse:
        headers = {"User-Agent": "ltx-studio", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        host = urlsplit(self._url).netloc
        try:
            request = urllib.request.Request(self._url, headers=headers)
            answer = cast("HTTPResponse", self._opener.open(request, timeout=self._access.stall_s))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:
                    raise _StartOver(f"{host} has another version of the file") from error
                if error.code in {403, 408, 425, 429, 500, 502, 503, 504}:
                    raise _TryAgain(f"{host} answered {error.code}") from error
                raise InstallError(
                    "not-fetched", f"{host} answered {error.code} for {self._wheel.file}.", remedy=_KEPT
                ) from error
        except (OSError, HTTPException) as error:
            raise _line_trouble(host, error) from error
        if start and (
            answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        ):
            answer.close()
            raise _StartOver(f"{host} cannot go on within a file")
        return answer

    def _read(self, answer: HTTPResponse) -> bytes:
        try:
            return answer.read1(_BLOCK_BYTES)
        except (OSError, HTTPException) as error:
            raise _line_trouble(urlsplit(self._url).netloc, error) from error


def read_feed(url: str, access: Access) -> bytes:
    """A small file, such as the release feed. Raises InstallError."""
    host = urlsplit(url).netloc
    if urlsplit(url).scheme not in {"http", "https"}:
        raise InstallError("not-fetched", f"{url} is not an address on the web.")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "ltx-studio"})
        with make_opener(access).open(request, timeout=access.stall_s) as answer:
            content = answer.read(_MAX_FEED_BYTES + 1)
    except _TryAgain as error:
        raise InstallError("not-fetched", f"{error}.", remedy="Try again later.") from error
    except (OSError, HTTPException) as error:
        trouble = _line_trouble(host, error)
        raise InstallError("not-fetched", f"{trouble}.", remedy="Try again later.") from error
    if len(content) > _MAX_FEED_BYTES:
        raise InstallError("not-fetched", f"{host} sent something else than a list of releases.")
    return content


def make_opener(access: Access) -> urllib.request.OpenerDirector:
    """Raises InstallError for certificates or a proxy that cannot be used."""
    context = ssl.create_default_context()
    try:
        if access.certificates is not None:
            context.load_verify_locations(cafile=access.certificates)
        elif not context.cert_store_stats()["x509_ca"]:
            for bundle in _CERTIFICATES:
                if Path(bundle).is_file():
                    context.load_verify_locations(cafile=bundle)
                    break
    except (OSError, ssl.SSLError) as error:
        raise InstallError(
            "certificates",
            f"{access.certificates} has no certificates that can be read.",
            remedy="Give a file in PEM format.",
        ) from error
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if access.proxy is not None:
        proxy = access.proxy if "://" in access.proxy else f"http://{access.proxy}"
        if urlsplit(proxy).scheme != "http" or not urlsplit(proxy).hostname:
            raise InstallError("proxy", f"{access.proxy} is not a proxy.", remedy="Give it as http://host:port.")
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def copy_in(source: Path, folder: Path, wheel: Wheel) -> Path:
    """A wheel from elsewhere into `folder`, if it is the right one. Raises InstallError."""
    path, part = folder / wheel.file, part_of(folder, wheel)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        shutil.copyfile(source, part)
        if not is_whole(part, wheel):
            part.unlink()
            raise _TryAgain(f"{source} is not the published file, and is not used")
        part.replace(path)
    except OSError as error:
        raise _disk_trouble(path, error) from error
    return path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _line_trouble(host: str, error: OSError | HTTPException) -> Exception:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return InstallError(
            "certificates",
            f"The certificate of {host} is not trusted: {reason.verify_message}.",
            remedy="Check the clock, and name the file with the certificates that your network asks for.",
        )
    if isinstance(reason, TimeoutError):
        return _TryAgain(f"{host} fell silent")
    return _TryAgain(f"The connection to {host} failed: {reason or type(error).__name__}")


def _disk_trouble(path: Path, error: OSError) -> InstallError:
    if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
        return InstallError("disk-full", f"The disk of {path.parent} is full.", remedy=f"Free some space. {_KEPT}")
    return InstallError(
        "not-written", f"{path} cannot be written: {error.strerror or error}.", remedy="Choose another folder."
    )
