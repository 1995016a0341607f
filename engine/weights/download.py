"""The one module that uses the network: what a hub says about a file, and byte ranges of it.

Written on `http.client`. `huggingface_hub` fetches well on a good line, but it resumes by file size alone, checks no
hash, and keeps its sockets to itself; here every range is checked against the version it must come from, a stalled
line ends after a stated time, and closing a range from another thread ends it at once.

A hub's answer to `/REPOSITORY/resolve/main/NAME` carries the file's size and hash (`X-Linked-Size`, `X-Linked-Etag`;
for small files `ETag` is git's hash) and usually leads on to a signed address that expires. So every range starts at
the hub again: no address grows old, and a file that changed is noticed before its bytes are mixed with the old ones.

Not here: what to fetch, retrying, files on disk (`engine.weights.fetch`).
"""

import re
import socket
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from engine.errors import DownloadError
from engine.network import SealedError
from engine.weights.access import Access
from engine.weights.hashing import Digest

STALL_S = 30.0
_MAX_REDIRECTS = 10
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<size>\d+)")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
KEPT_REMEDY = "What was fetched is kept: try again later and it goes on from there."


class TryAgain(Exception):
    """Something that may pass: a dropped or silent line, a busy server."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after_s = after_s  # what the server asked for


class Changed(Exception):
    """The server now has another version of the file."""


@dataclass(frozen=True)
class RemoteFile:
    """One version of a file on a hub."""

    repository: str
    name: str
    size_bytes: int
    digest: Digest | None  # None: the server does not say
    etag: str | None


@dataclass(frozen=True)
class _Answer:
    response: HTTPResponse
    status: int
    etag: str | None  # the hub's own, where it states one
    linked_size_bytes: int | None
    url: str


class Range:
    """The bytes of one answer, from `start` on."""

    def __init__(self, response: HTTPResponse, start: int, *, is_whole: bool) -> None:
        self._response = response
        self.start = start
        self.is_whole = is_whole  # the server knows no ranges, and sends everything

    def read(self, limit: int) -> bytes:
        """At most this many bytes, at least one. Raises TryAgain when the line drops or stays silent."""
        with _line_troubles():
            block = self._response.read1(limit)
        if not block:
            raise TryAgain("the connection ended early")
        return block


class Line:
    """One connection at a time, which another thread may cut."""

    def __init__(self, access: Access, *, stall_s: float = STALL_S) -> None:
        self._access = access
        self._stall_s = stall_s
        self._socket: socket.socket | None = None
        self._is_cut = False

    def cut(self) -> None:
        """End what is under way, now; whoever reads gets TryAgain."""
        self._is_cut = True
        if self._socket is not None:
            with suppress(OSError):  # already closed
                # Below TLS: its own goodbye would wait for the other side.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def describe(self, repository: str, name: str) -> RemoteFile:
        """Size and hash of the file as it is now. Raises TryAgain or DownloadError."""
        with self._ask("HEAD", repository, name) as answer:
            size = answer.linked_size_bytes
            if size is None and answer.status == 200:
                size = _integer(answer.response.getheader("Content-Length"))
            if size is None:
                raise DownloadError(
                    f"{_host(answer.url)} does not say how large {name} is.",
                    remedy="Use another mirror, or none.",
                )
            return RemoteFile(repository, name, size, Digest.parse(answer.etag), answer.etag)

    @contextmanager
    def open_range(self, file: RemoteFile, start: int, stop: int) -> Generator[Range]:
        """The bytes from `start` to before `stop`, of this version of the file only.

        A server without ranges sends the whole file: then the range's `start` is 0 and the caller passes over what it
        has. Raises TryAgain, Changed or DownloadError.
        """
        with self._ask("GET", file.repository, file.name, first_byte=start, last_byte=stop - 1) as answer:
            if answer.linked_size_bytes not in {None, file.size_bytes} or answer.etag not in {None, file.etag}:
                raise Changed
            response = answer.response
            if response.getheader("Content-Encoding", "identity") != "identity":
                raise TryAgain(f"{_host(answer.url)} sent the file in another encoding")
            if answer.status == 206:
                sent = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range", ""))
                if sent is None or int(sent["start"]) != start:  # it may end earlier than asked
                    raise TryAgain(f"{_host(answer.url)} sent another part of the file")
                size = int(sent["size"])
            else:
                size = _integer(response.getheader("Content-Length"))
            if size != file.size_bytes:
                raise Changed
            is_whole = answer.status == 200
            yield Range(response, 0 if is_whole else start, is_whole=is_whole)

    @contextmanager
    def _ask(
        self, method: str, repository: str, name: str, *, first_byte: int | None = None, last_byte: int = 0
    ) -> Generator[_Answer]:
        """The answer at the end of the redirects; for HEAD, where the hub has said all it knows."""
        home = self._access.endpoint.rstrip("/")
        url = f"{home}/{quote(repository)}/resolve/main/{quote(name)}"
        etag: str | None = None
        size: int | None = None
        for _ in range(_MAX_REDIRECTS):
            headers = {"User-Agent": "ltx-studio", "Accept-Encoding": "identity", "Connection": "close"}
            if first_byte is not None:
                headers["Range"] = f"bytes={first_byte}-{last_byte}"
            if self._access.token is not None and _may_see_token(urlsplit(url), urlsplit(home)):
                headers["Authorization"] = f"Bearer {self._access.token}"
            connection, response = self._send(method, url, headers)
            try:
                etag = response.getheader("X-Linked-Etag") or etag
                size = size if size is not None else _integer(response.getheader("X-Linked-Size"))
                if response.status in {301, 302, 303, 307, 308}:
                    if method == "HEAD" and size is not None and etag is not None:
                        yield _Answer(response, response.status, etag, size, url)
                        return
                    url = urljoin(url, response.getheader("Location") or "")
                    continue
                self._check_status(response, url, repository, name)
                if etag is None and urlsplit(url).netloc == urlsplit(home).netloc:
                    etag = response.getheader("ETag")  # of the hub itself; a storage host's says nothing
                yield _Answer(response, response.status, etag, size, url)
                return
            finally:
                response.close()
                connection.close()
                self._socket = None
        raise DownloadError(f"{_host(url)} sends {name} round in circles.", remedy="Use another mirror, or none.")

    def _send(self, method: str, url: str, headers: dict[str, str]) -> tuple[HTTPConnection, HTTPResponse]:
        with _line_troubles(url):
            connection, target, more = _connection(url, self._access.proxy, self._stall_s)
            try:
                connection.connect()
                self._socket = connection.sock
                if self._is_cut:
                    raise TryAgain("stopped")
                connection.request(method, target, headers={**headers, **more})
                return connection, connection.getresponse()
            except BaseException:
                connection.close()
                raise

    def _check_status(self, response: HTTPResponse, url: str, repository: str, name: str) -> None:
        host = _host(url)
        match response.status:
            case 200 | 206:
                return
            case 416:
                raise Changed
            case 401 | 403 if host == _host(self._access.endpoint):
                raise DownloadError(
                    f"{repository} is only for those who accepted its terms: {host} refused {name}.",
                    remedy=f"Accept the terms at {self._access.endpoint}/{repository}, "
                    "and give a token of that account.",
                )
            case 404 | 410:
                raise DownloadError(
                    f"{host} has no file {repository}/{name}.", remedy="Use another mirror, or update this program."
                )
            case 403 | 408 | 425 | 429 | 500 | 502 | 503 | 504:
                raise TryAgain(f"{host} answered {response.status}", after_s=_retry_after(response))
            case status:
                raise DownloadError(f"{host} answered {status} for {repository}/{name}.", remedy=KEPT_REMEDY)


@contextmanager
def _line_troubles(url: str | None = None) -> Generator[None]:
    """What sockets raise, in the two words that matter: try again, or do not."""
    where = f"{_host(url)} " if url else "the server "
    try:
        yield
    except SealedError as error:
        raise DownloadError(
            f"{error.strerror}", remedy="Leave sealed mode to fetch files, or bring them with an offline pack."
        ) from error
    except TimeoutError as error:
        raise TryAgain(f"{where}fell silent") from error
    except ssl.SSLCertVerificationError as error:
        raise DownloadError(
            f"The certificate of {where}is not trusted: {error.verify_message}.",
            remedy="Check the clock, and the certificates that your proxy asks for (SSL_CERT_FILE).",
        ) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a TLS socket that was cut
        raise TryAgain(f"the connection to {where.strip()} failed: {error or type(error).__name__}") from error


def _connection(url: str, proxy: str | None, timeout_s: float) -> tuple[HTTPConnection, str, dict[str, str]]:
    """An unopened connection, what to ask it for, and headers that a proxy needs."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DownloadError(f"{url} is not an address on the web.", remedy="Give the mirror as https://host.")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    via = _proxy_for(parts, proxy)
    if via is None:
        return kind(parts.hostname, parts.port, timeout=timeout_s), target, {}
    login = {}
    if via.username is not None:
        pair = f"{unquote(via.username)}:{unquote(via.password or '')}"
        login = {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}
    assert via.hostname is not None, via
    connection = kind(via.hostname, via.port or 80, timeout=timeout_s)
    if parts.scheme == "http":
        return connection, url, login
    connection.set_tunnel(parts.hostname, parts.port, login)
    return connection, target, {}


def _proxy_for(url: SplitResult, setting: str | None) -> SplitResult | None:
    """The setting, else HTTPS_PROXY, HTTP_PROXY or what the system says, except where NO_PROXY names the host."""
    host = url.hostname or ""
    address = setting or urllib.request.getproxies().get(url.scheme)
    if not address or host in _LOOPBACK or (setting is None and urllib.request.proxy_bypass(host)):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise DownloadError(
            f"{address} is not a proxy this program can use.", remedy="Give it as http://host:port, or give none."
        )
    return proxy


def _may_see_token(url: SplitResult, home: SplitResult) -> bool:
    """Only the hub itself, and never in the clear across a network."""
    return url.netloc == home.netloc and (url.scheme == "https" or url.hostname in _LOOPBACK)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _retry_after(response: HTTPResponse) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3)."""
    text = response.getheader("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
