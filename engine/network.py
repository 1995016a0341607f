"""What this process does on the network: counted always, forbidden when sealed.

Python reports every connection, datagram, listening socket and name look-up to audit hooks before it happens; a hook
that raises stops it. Sockets of the system itself (a file's name instead of an address) are not the network. The
libraries that could fetch files or report their use by themselves are told not to, sealed or not: the only module
that reaches out is `engine.weights.download`, when asked.

What was refused is also kept on disk, so that a later look can say whether anything ever tried.
"""

import errno
import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SEALED_VARIABLE = "LTX_STUDIO_SEALED"
REFUSED_NAME = "refused-connections.jsonl"
_MAX_KEPT = 1000
# The libraries that could fetch files or report their use by themselves have switches of their own.
_QUIET_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY")

_ADDRESS_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"}  # the address is their last
_NAME_EVENTS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


class SealedError(OSError):
    """The network was reached for in sealed mode. An OSError, because that is what callers of sockets expect."""


@dataclass(frozen=True)
class Refused:
    """A connection that sealed mode refused, in this process or an earlier one."""

    time: str  # ISO 8601, UTC
    target: str


@dataclass
class NetworkRecord:
    """What the guard has seen in this process."""

    is_sealed: bool
    attempts: list[str] = field(default_factory=list[str])
    refused_file: Path | None = None  # where refusals are kept for later processes
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an audit event; raises SealedError for one that reaches for the network when sealed."""
        target = _target(event, arguments)
        if target is None:
            return
        with self._lock:
            self.attempts.append(target)
        if self.is_sealed:
            self._keep(target)
            # With a number, because some callers make a new OSError of number and sentence.
            raise SealedError(errno.EACCES, f"Sealed mode: the connection to {target} was refused.")

    def to_dict(self) -> dict[str, Any]:
        """What a job's record states: whether it was sealed, and how often this process reached for the network."""
        return {"sealed": self.is_sealed, "attempts": len(self.attempts)}

    def _keep(self, target: str) -> None:
        if self.refused_file is None:
            return
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), "target": target})
        with suppress(OSError), self._lock:  # refusing must not depend on a disk that can be written
            self.refused_file.parent.mkdir(parents=True, exist_ok=True)
            with self.refused_file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def guard_network(*, sealed: bool = False, data_folder: Path | None = None) -> NetworkRecord:
    """Watch this process's network from now on, for good; `LTX_STUDIO_SEALED=1` seals it too. Call it once."""
    record = NetworkRecord(sealed or os.environ.get(SEALED_VARIABLE, "0") not in {"", "0"})
    if data_folder is not None:
        record.refused_file = data_folder / REFUSED_NAME
    if record.is_sealed:
        os.environ[SEALED_VARIABLE] = "1"  # for processes that this one starts
    os.environ.update(dict.fromkeys(_QUIET_VARIABLES, "1"))
    sys.addaudithook(record.note)
    return record


def refused_connections(data_folder: Path) -> list[Refused]:
    """What sealed mode has refused on this machine, the oldest first, at most the last 1000."""
    try:
        lines = (data_folder / REFUSED_NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found: list[Refused] = []
    for line in lines[-_MAX_KEPT:]:
        with suppress(ValueError, KeyError, TypeError):  # a line that a full disk cut
            values = json.loads(line)
            found.append(Refused(str(values["time"]), str(values["target"])))
    return found


def _target(event: str, arguments: tuple[Any, ...]) -> str | None:
    """What an audit event reaches for; None for one that has nothing to do with the network."""
    if event in _NAME_EVENTS:
        # Host and port, one name, or one (host, port): all three forms are in use.
        parts = arguments[0] if isinstance(arguments[0], tuple) else arguments[:2]
    elif event in _ADDRESS_EVENTS and isinstance(arguments[-1], tuple):
        parts = arguments[-1][:2]
    else:
        return None
    return ":".join(part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in parts[:2])
