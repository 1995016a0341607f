"""A hub on this machine, and the ways in which servers misbehave.

It answers as the real one does: `/REPOSITORY/resolve/main/NAME` states size and hash and leads on to a storage address
that serves ranges. Faults are taken one for each request for content, in order; after the last one it behaves.
"""

import hashlib
import random
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Drop:
    """End the connection after this many bytes of the body."""

    after_bytes: int


@dataclass(frozen=True)
class Stall:
    """Stay silent after this many bytes of the body, for so long."""

    after_bytes: int
    seconds: float


@dataclass(frozen=True)
class Flip:
    """Send the whole range with one bit of its first byte turned."""


@dataclass(frozen=True)
class Status:
    """Refuse with this status."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Replace:
    """Before answering, put other content in the file's place."""

    content: bytes


@dataclass(frozen=True)
class WholeFile:
    """Know no ranges: send everything, with status 200."""

    drop_after_bytes: int | None = None


Fault = Drop | Stall | Flip | Status | Replace | WholeFile


@dataclass
class FakeHub:
    """Use it in a `with` block. Content of files by "repository/name"."""

    files: dict[str, bytes]
    faults: deque[Fault] = field(default_factory=deque[Fault])
    states_hashes: bool = True
    small_files_are_git: bool = False  # then every file states git's hash and is sent without a redirect
    required_token: str | None = None
    bytes_per_s: float | None = None  # of each connection
    head_faults: deque[Status] = field(default_factory=deque[Status])
    sent_bytes: int = 0
    requests: list[str] = field(default_factory=list[str])  # "GET /path range"
    tokens_at_storage: list[str] = field(default_factory=list[str])

    def __enter__(self) -> Self:
        hub = self
        self.lock = threading.Lock()

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hash_of(self, path: str) -> str:
        content = self.files[path]
        if self.small_files_are_git:
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def next_fault(self) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults else None

    def count(self, num_bytes: int) -> None:
        with self.lock:
            self.sent_bytes += num_bytes


class _Handler(BaseHTTPRequestHandler):
    server_hub: FakeHub
    wbufsize = 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Say nothing."""

    def do_HEAD(self) -> None:
        hub = self.server_hub
        if hub.head_faults:
            self._refuse(hub.head_faults.popleft())
        else:
            self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub = self.server_hub
        hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/storage/"):
            if self.headers.get("Authorization"):
                hub.tokens_at_storage.append(self.headers["Authorization"])
            self._send_content(path.removeprefix("/storage/"))
            return
        if hub.required_token is not None and self.headers.get("Authorization") != f"Bearer {hub.required_token}":
            self._refuse(Status(401))
            return
        name = path.removeprefix("/").replace("/resolve/main/", "/")
        if name not in hub.files:
            self._refuse(Status(404))
        elif hub.small_files_are_git:
            self._send_content(name, etag=f'"{hub.hash_of(name)}"', with_body=with_body)
        elif not hub.states_hashes:
            self._send_content(name, with_body=with_body)
        else:
            self.send_response(302)
            self.send_header("X-Linked-Size", str(len(hub.files[name])))
            self.send_header("X-Linked-Etag", f'"{hub.hash_of(name)}"')
            # Another host, so that what is meant for the hub alone can be seen to stay there.
            self.send_header("Location", f"http://localhost:{hub.port}/storage/{name}?signature=1")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _refuse(self, status: Status) -> None:
        self.send_response(status.code)
        for name, value in status.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_content(self, name: str, *, etag: str | None = None, with_body: bool = True) -> None:
        hub = self.server_hub
        fault = hub.next_fault() if with_body else None
        if isinstance(fault, Status):
            self._refuse(fault)
            return
        if isinstance(fault, Replace):
            hub.files[name] = fault.content
        content = hub.files[name]
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = 0, len(content)
        if match and not isinstance(fault, WholeFile):
            start, stop = int(match[1]), min(int(match[2]) + 1, len(content))
            if start >= len(content):
                self._refuse(Status(416, (("Content-Range", f"bytes */{len(content)}"),)))
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(stop - start))
        if etag is not None:
            self.send_header("ETag", etag)
        self.end_headers()
        if with_body:
            self._send_body(content[start:stop], fault)

    def _send_body(self, body: bytes, fault: Fault | None) -> None:
        match fault:
            case Flip():
                self._write(bytes([body[0] ^ 1]) + body[1:])
            case Drop(after_bytes):
                self._write(body[:after_bytes])
                self.close_connection = True
            case WholeFile(int(after_bytes)):
                self._write(body[:after_bytes])
                self.close_connection = True
            case Stall(after_bytes, seconds):
                self._write(body[:after_bytes])
                time.sleep(seconds)
                self.close_connection = True
            case _:
                self._write(body)

    def _write(self, body: bytes) -> None:
        hub = self.server_hub
        step = len(body) if hub.bytes_per_s is None else max(1, int(hub.bytes_per_s / 50))
        try:
            for start in range(0, len(body), step or 1):
                block = body[start : start + step]
                self.wfile.write(block)
                hub.count(len(block))
                if hub.bytes_per_s is not None:
                    time.sleep(len(block) / hub.bytes_per_s)
        except OSError:
            self.close_connection = True  # whoever asked has left


def content_of(num_bytes: int, *, seed: int = 0) -> bytes:
    """Bytes without a pattern, the same for the same seed."""
    return random.Random(seed).randbytes(num_bytes)
