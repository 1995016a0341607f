"""How visible the places are where new pictures meet old ones.

Measured on the finished file: at each seam the jump in brightness, in colour and in the picture as a whole, as
multiples of what changes between neighbouring frames elsewhere in the clip. 1 is a change like any other; a hard cut
to another picture has a motion of 5 and more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from engine.media.read import decoded, opened, video_stream
from engine.types import FrameRange

_SIDE = 96  # pixels of the longer side that are compared: fine enough for motion, coarse enough to forget noise
_SHRINK = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# What a frame of a still shot may change by, in levels of 255, before it counts: the rounding of eight bits.
_LEAST_CHANGE = 0.25


@dataclass(frozen=True)
class SeamScore:
    """The greatest jump within a seam, in multiples of the clip's average between neighbouring frames elsewhere."""

    frames: FrameRange  # the frames that the seam consists of, each compared with the one before it
    luma: float
    colour: float
    motion: float

    @property
    def worst(self) -> float:
        return max(self.luma, self.colour, self.motion)


def measure_seams(path: Path | str, seams: Sequence[FrameRange]) -> tuple[SeamScore, ...]:
    """Decodes the clip once, small. A seam is the frames in which one thing turns into the other: the blend zone and
    the frame after it. Raises MediaError.
    """
    changes = _changes(Path(path))
    numbers = np.arange(1, len(changes) + 1)  # change n is between frame n - 1 and frame n
    in_seam = np.zeros(len(changes), bool)
    for seam in seams:
        in_seam |= (numbers >= seam.start) & (numbers < seam.stop)
    elsewhere = changes[~in_seam] if (~in_seam).any() else changes
    usual = np.maximum(elsewhere.mean(axis=0), _LEAST_CHANGE) if len(changes) else np.ones(3)
    return tuple(_score(changes, usual, seam) for seam in seams)


def _score(changes: NDArray[np.float64], usual: NDArray[np.float64], seam: FrameRange) -> SeamScore:
    inside = changes[max(seam.start - 1, 0) : max(seam.stop - 1, 0)]
    luma, colour, motion = (inside / usual).max(axis=0).tolist() if len(inside) else (0.0, 0.0, 0.0)
    return SeamScore(seam, luma, colour, motion)


def _changes(path: Path) -> NDArray[np.float64]:
    """(frames - 1, 3): by how much brightness, colour and the picture change from each frame to the next, in levels."""
    found: list[tuple[float, float, float]] = []
    with opened(path) as container:
        video = video_stream(container, path)
        video.thread_type = "AUTO"
        before: NDArray[np.float32] | None = None
        for frame in decoded(container, video):
            now = _small(frame)
            if before is not None:
                step = now - before
                luma, red, blue = np.abs(step.mean(axis=(0, 1))).tolist()
                found.append((luma, float(np.hypot(red, blue)), float(np.abs(step[..., 0]).mean())))
            before = now
    return np.array(found, np.float64).reshape(-1, 3)


def _small(frame: av.VideoFrame) -> NDArray[np.float32]:
    """(height, width, 3): luma and two colour differences of BT.709, in levels of 255."""
    scale = min(_SIDE / max(frame.width, frame.height), 1)
    width, height = (max(round(side * scale), 2) for side in (frame.width, frame.height))
    rgb = frame.reformat(width, height, "rgb24", dst_color_range=ColorRange.JPEG, interpolation=_SHRINK).to_ndarray()
    red, green, blue = np.moveaxis(cast("NDArray[np.uint8]", rgb).astype(np.float32), -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return np.stack([luma, (red - luma) / 1.5748, (blue - luma) / 1.8556], axis=-1)
