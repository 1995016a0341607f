"""What a run says while it works: frozen values, in order, the last one `Finished`.

Whoever iterates a run decides what to do with them: a progress bar, a window, a log. Errors are raised, not yielded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.request import GenerationRequest

Phase = Literal["load", "text", "references", "denoise", "upsample", "decode", "write"]


@dataclass(frozen=True)
class Started:
    """The run begins; every choice is made."""

    request: GenerationRequest  # with its seed and snapped sizes
    plan: dict[str, Any]  # the plan's JSON form


@dataclass(frozen=True)
class Progress:
    """How far the run is."""

    phase: Phase
    stage: str  # which stage of the plan: "base", "refine", or "" outside denoising
    step: int  # steps finished
    num_steps: int
    fraction: float  # of the whole run, 0 to 1
    eta_s: float | None  # None until there is something to go by


@dataclass(frozen=True)
class Preview:
    """A small picture of what is being made: the middle frame of the current guess, uint8 (H, W, 3)."""

    stage: str
    step: int
    frame: NDArray[np.uint8]


@dataclass(frozen=True)
class MemoryReading:
    """The most memory used so far."""

    device_bytes: int  # on the GPU; 0 on the CPU
    process_bytes: int


@dataclass(frozen=True)
class Notice:
    """Something the user should know; the run goes on."""

    code: str
    message: str


@dataclass(frozen=True)
class Result:
    """A finished clip."""

    path: Path
    seed: int
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    timings: dict[str, float]  # seconds by phase
    peak_bytes: int
    model: str
    plan: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """The clip is in its place."""

    result: Result


Event = Started | Progress | Preview | MemoryReading | Notice | Finished
