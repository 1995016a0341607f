"""What the installer's process says, one JSON object a line on its stdout, and what the studio makes of it.

The last one is Done, Failed or Stopped. Answers to questions (`status`, `hardware`, `check`, `updates`) are Facts.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.state import Part


class Step(StrEnum):
    WAITING = "waiting"  # for another process of the same installation
    FETCHING = "fetching"
    INSTALLING = "installing"
    VERIFYING = "verifying"
    TESTING = "testing"
    REPAIRING = "repairing"
    REMOVING = "removing"


@dataclass(frozen=True)
class Planned:
    """What is about to be done, said before anything is."""

    part: Part
    target: str
    fetch_bytes: int  # still to be fetched
    total_bytes: int  # of all wheels
    free_bytes: int


@dataclass(frozen=True)
class Progress:
    """`done` of `total` bytes while fetching and verifying, packages while installing; `total` 0: nobody knows."""

    part: Part
    step: Step
    name: str = ""
    done: int = 0
    total: int = 0
    bytes_per_s: float = 0.0
    left_s: float | None = None


@dataclass(frozen=True)
class Notice:
    """Worth telling; the work goes on."""

    message: str


@dataclass(frozen=True)
class Mended:
    """A repair has looked at everything. Names of files inside the environment."""

    part: Part
    num_checked: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """The answer to a question."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Done:
    """`must_restart`: what runs now is not what was made."""

    must_restart: bool = False


@dataclass(frozen=True)
class Failed:
    code: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, error: InstallError) -> "Failed":
        return cls(error.code, error.message, error.remedy)


@dataclass(frozen=True)
class Stopped:
    """The same command goes on from here."""


Message = Planned | Progress | Notice | Mended | Facts | Done | Failed | Stopped
_KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind for kind in (Planned, Progress, Notice, Mended, Facts, Done, Failed, Stopped)
}


def to_line(message: Message) -> str:
    return json.dumps({"event": type(message).__name__.lower(), **asdict(message)})


def from_line(line: str) -> Message | None:
    """None for a line that is no message of this version."""
    try:
        values = json.loads(line)
        kind = _KINDS[values.pop("event")]
        if "part" in values:
            values["part"] = Part(values["part"])
        if "step" in values:
            values["step"] = Step(values["step"])
        if "files" in values:
            values["files"] = tuple(values["files"])
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
