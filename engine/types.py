"""Time and picture-size values on the model's grids: 8k+1 frames, and sides that are multiples of 32 or 64 pixels.

Every function that snaps says which way it rounds. Frame counts and rates are exact (integers and fractions); seconds
are floats only at the edge.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

FRAMES_PER_LATENT = 8  # the video VAE's temporal factor; its first latent holds a single frame
PIXELS_PER_LATENT = 32  # the video VAE's spatial factor: patch 4, then three halvings


@dataclass(frozen=True, order=True)
class FrameRate:
    """Frames per second as an exact fraction: 24000/1001 stays 23.976..., never 23."""

    value: Fraction

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError(f"a frame rate must be positive, got {self.value}")

    @classmethod
    def parse(cls, text: str | float | Fraction) -> "FrameRate":
        """From 24, 23.976, "30000/1001"; decimal NTSC rates become their exact fraction. Raises ValueError."""
        value = Fraction(text) if not isinstance(text, float) else Fraction(str(text))
        for nominal in (24, 30, 48, 60, 120):
            ntsc = Fraction(nominal * 1000, 1001)
            if value != nominal and abs(value - ntsc) < Fraction(1, 100):
                return cls(ntsc)
        return cls(value.limit_denominator(1001))

    def frames_in(self, seconds: float) -> float:
        """Number of frames, not rounded."""
        return seconds * float(self.value)

    def seconds(self, frames: int) -> float:
        return float(frames / self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        if self.value.denominator == 1:
            return str(self.value.numerator)
        return f"{self.value.numerator}/{self.value.denominator}"


@dataclass(frozen=True)
class FrameRange:
    """Frames from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"a frame range needs 0 <= start <= stop, got {self.start}..{self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, frame: int) -> bool:
        return self.start <= frame < self.stop


@dataclass(frozen=True)
class Size:
    """Picture size in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """From "WIDTHxHEIGHT". Raises ValueError."""
        width, separator, height = text.lower().replace("\N{MULTIPLICATION SIGN}", "x").partition("x")
        if not separator:
            raise ValueError(f"a size is written WIDTHxHEIGHT, got {text!r}")
        return cls(int(width), int(height))

    def snapped(self, multiple: int) -> "Size":
        """Each side to the nearest multiple (halves go up), at least one multiple."""
        return Size(_nearest_multiple(self.width, multiple), _nearest_multiple(self.height, multiple))

    def halved(self) -> "Size":
        return Size(self.width // 2, self.height // 2)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def snap_frame_count(frames: float) -> int:
    """The nearest 8k+1 count (halves go up), at least 1."""
    return max(floor((frames - 1) / FRAMES_PER_LATENT + 0.5), 0) * FRAMES_PER_LATENT + 1


def frame_count_covering(frames: float) -> int:
    """The smallest 8k+1 count that is not shorter than `frames`."""
    return max(ceil((frames - 1) / FRAMES_PER_LATENT), 0) * FRAMES_PER_LATENT + 1


def latent_frame_count(frames: int) -> int:
    """Latent frames of an 8k+1 frame count: k+1."""
    assert frames % FRAMES_PER_LATENT == 1, frames
    return (frames - 1) // FRAMES_PER_LATENT + 1


def _nearest_multiple(value: int, multiple: int) -> int:
    return max((value + multiple // 2) // multiple, 1) * multiple
