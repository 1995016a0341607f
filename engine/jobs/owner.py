"""Who runs a job, and whether they still live.

A process is known by its number and the moment it started, because numbers are used again. What runs on another
host, or in another container, cannot be asked; it counts as gone when its job has not been heard of for long.
"""

import json
import os
import platform
import secrets
from typing import NamedTuple

import psutil

# A run reports after every block, tile and packet, but loading a large model from a slow disk may take minutes.
FOREIGN_SILENCE_S = 900.0
# Linux derives start times from the clock, so after the clock was set a process seems to have started at another time.
# Being heard of lately then says that it lives; a number is hardly used again so soon.
_START_TOLERANCE_S, _CLOCK_SET_SILENCE_S = 2.0, 60.0


class Owner(NamedTuple):
    """One runner: a process may have several."""

    host: str
    pid: int
    process_started_s: float
    token: str  # tells runners of one process apart

    @classmethod
    def new(cls) -> "Owner":
        """A runner of this process."""
        started_s = psutil.Process().create_time()
        return cls(platform.node(), os.getpid(), started_s, secrets.token_hex(8))

    @classmethod
    def from_text(cls, text: str) -> "Owner":
        return cls(*json.loads(text))

    def to_text(self) -> str:
        return json.dumps(self)

    def is_alive(self, silent_s: float) -> bool:
        """Whether its process lives, which was heard of `silent_s` ago."""
        if self.host != platform.node():
            return silent_s < FOREIGN_SILENCE_S
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            is_same = abs(process.create_time() - self.process_started_s) < _START_TOLERANCE_S
            return is_same or (silent_s < _CLOCK_SET_SILENCE_S and self.pid != os.getpid())
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # it lives, and belongs to somebody else
            return True
