"""Which two samples, and how much of each, make one sample of a scaled picture: torch's bilinear scaling in numpy.

Not here: applying it to a picture (`read.cover_resize`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Taps:
    """For each kept output position along one side: two input positions and their weights."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    first_weight: NDArray[np.float32]
    second_weight: NDArray[np.float32]


def bilinear_taps(length: int, scaled_length: int, cropped_length: int) -> Taps:
    """Where bilinear scaling of `length` samples to `scaled_length`, cropped around the centre, takes its values.

    Positions are rounded to float32 where torch rounds them: after the division, and once more after
    multiply-and-subtract.

    Exact positions would differ from torch's by up to a hundredth of a level in wide pictures.
    """
    offset = (scaled_length - cropped_length) // 2
    scale = np.float64(np.float32(length) / np.float32(scaled_length))
    position = (scale * (np.arange(offset, offset + cropped_length) + 0.5) - 0.5).astype(np.float32)
    position = np.maximum(position, np.float32(0))
    first = np.minimum(position.astype(np.intp), length - 1)
    weight = np.clip(position - first, 0, 1).astype(np.float32)
    return Taps(first, np.minimum(first + 1, length - 1), (1 - weight).astype(np.float32), weight)
