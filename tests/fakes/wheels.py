"""Wheels as they are published: small real ones made on the spot, and a server for them that knows ranges and counts.

Also runs alone, for looking at an installation: `python -m tests.fakes.wheels FOLDER [BYTES_PER_S]`.
"""

import base64
import hashlib
import re
import sys
import threading
import time
import zipfile
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from ltx_studio.installation.locks import Wheel

_BLOCK_BYTES = 1 << 14


def write_wheel(folder: Path, name: str, files: Mapping[str, bytes], *, version: str = "1.0") -> Wheel:
    """A pure Python wheel with a list of its files, as any builder writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in content.items()]
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**content, f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,"]).encode()}.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return describe(path)


def describe(path: Path) -> Wheel:
    """A wheel that is there, as a lock names it."""
    name, version = path.name.split("-")[:2]
    data = path.read_bytes()
    return Wheel(
        name, version, path.name, f"https://wheels.invalid/{path.name}", hashlib.sha256(data).hexdigest(), len(data)
    )


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass
class WheelServer:
    """Use it in a `with` block. Serves the files of a folder by name."""

    folder: Path
    bytes_per_s: float | None = None  # of each connection
    drops: deque[int] = field(default_factory=deque[int])  # end the next answers after so many bytes
    statuses: deque[int] = field(default_factory=deque[int])  # refuse the next requests
    knows_ranges: bool = True
    port: int = 0
    sent: Counter[str] = field(default_factory=Counter[str])  # bytes by file
    requests: list[str] = field(default_factory=list[str])

    def __enter__(self) -> Self:
        outer = self

        class Handler(_Handler):
            owner = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
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
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    owner: WheelServer
    wbufsize = 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Say nothing."""

    def do_GET(self) -> None:
        owner = self.owner
        name = unquote(urlsplit(self.path).path).rpartition("/")[2]
        owner.requests.append(f"{name} {self.headers.get('Range', '')}".strip())
        path = owner.folder / name
        if owner.statuses:
            self._refuse(owner.statuses.popleft())
            return
        if not path.is_file():
            self._refuse(404)
            return
        size, start = path.stat().st_size, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and owner.knows_ranges:
            start = int(asked[1])
            if start >= size:
                self._refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self._send(path, start, owner.drops.popleft() if owner.drops else size)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: Path, start: int, limit: int) -> None:
        owner = self.owner
        try:
            with path.open("rb") as file:
                file.seek(start)
                while limit > 0 and (block := file.read(min(_BLOCK_BYTES, limit))):
                    self.wfile.write(block)
                    owner.sent[path.name] += len(block)
                    limit -= len(block)
                    if owner.bytes_per_s is not None:
                        time.sleep(len(block) / owner.bytes_per_s)
        except OSError:
            pass  # whoever asked has left
        self.close_connection = True


def main(arguments: Sequence[str]) -> int:
    speed = float(arguments[1]) if len(arguments) > 1 else None
    with WheelServer(Path(arguments[0]), bytes_per_s=speed) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
