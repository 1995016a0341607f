"""What this process does on the network: counted always, forbidden when sealed.

Python reports every connection and every name look-up to audit hooks before they happen; a hook that raises stops them.
Sockets of the system itself (a file's name instead of an address) are not the network.
"""

import os
import sys
from dataclasses import dataclass, field
from typing import Any

SEALED_VARIABLE = "LTX_STUDIO_SEALED"
# The libraries that could fetch files by themselves have switches of their own.
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class SealedError(OSError):
    """A connection was attempted in sealed mode. An OSError, because that is what callers of sockets expect."""


@dataclass
class NetworkRecord:
    """What the guard has seen in this process."""

    is_sealed: bool
    attempts: list[str] = field(default_factory=list[str])

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an audit event; raises SealedError for one that reaches for the network when sealed."""
        if event == "socket.getaddrinfo":
            target = f"{arguments[0]}:{arguments[1]}"
        elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[-1], tuple):
            target = ":".join(str(part) for part in arguments[-1][:2])
        else:
            return
        self.attempts.append(target)
        if self.is_sealed:
            raise SealedError(f"Sealed mode: the connection to {target} was refused.")


def guard_network(*, sealed: bool = False) -> NetworkRecord:
    """Watch this process's network from now on, for good; `LTX_STUDIO_SEALED=1` seals it too. Call it once."""
    record = NetworkRecord(sealed or os.environ.get(SEALED_VARIABLE, "0") not in {"", "0"})
    if record.is_sealed:
        os.environ[SEALED_VARIABLE] = "1"
        os.environ.update(dict.fromkeys(_OFFLINE_VARIABLES, "1"))
    sys.addaudithook(record.note)
    return record
