"""Finding the camera's move from the background's faint texture.

A steady pan or dolly is one number, so it is searched for: each candidate predicts where the texture of one frame
lies in a later one, and the candidate under which they agree best wins. Without texture nothing agrees, and the
camera is static.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.training.toyworld_law import DOLLY_FACTOR, PAN_FRACTION, Camera, FloatArray

_BLOCK_PX: Final = 4  # averaged together: the texture's patches are three times as wide, the noise is not
_PAIRS: Final = ((0.0, 0.5), (0.25, 0.75), (0.5, 1.0), (0.125, 0.375), (0.625, 0.875))  # parts of the clip
_PANS: Final = np.linspace(-0.36, 0.36, 37)  # of the width, over the clip
_LOG_ZOOMS: Final = np.linspace(-0.5, 0.5, 41)
_LEAST_AGREEMENT: Final = 0.15  # correlation; chance alone reaches 0.08 on the smallest frames
_LEAST_TEXTURE: Final = 0.5  # levels, RMS: rounding makes less, the world's texture some 2.5


@dataclass(frozen=True)
class CameraReading:
    """The camera's move, and what was measured: total shift to the right in widths, total zoom, their agreement."""

    camera: Camera
    shift: float
    zoom: float
    agreement: float

    def to_world(self, x_px: FloatArray, y_px: FloatArray, width: int, height: int) -> tuple[FloatArray, FloatArray]:
        """Undo the camera's move on a track with one place for each frame."""
        progress = np.linspace(-0.5, 0.5, len(x_px))
        zoom = self.zoom**progress
        return (
            (x_px - width / 2 - self.shift * width * progress) / zoom + width / 2,
            (y_px - height / 2) / zoom + height / 2,
        )


def read_camera(brightness: FloatArray, covered: FloatArray) -> CameraReading:
    """From (F, H, W): brightness above the plain background, and where objects cover it (0 or 1)."""
    last = len(brightness) - 1
    frames = sorted({round(part * last) for pair in _PAIRS for part in pair})
    blocks = {frame: _texture_blocks(brightness[frame], covered[frame]) for frame in frames}
    pairs = [(round(a * last), round(b * last)) for a, b in _PAIRS]

    def agreement(shift: float, zoom: float) -> float:
        return float(np.mean([_agreement(blocks[a], blocks[b], shift, zoom, (b - a) / last) for a, b in pairs]))

    shift_scores = [agreement(float(shift), 1.0) for shift in _PANS]
    zoom_scores = [agreement(0.0, float(np.exp(log_zoom))) for log_zoom in _LOG_ZOOMS]
    shift = float(_PANS[np.argmax(shift_scores)])
    zoom = float(np.exp(_LOG_ZOOMS[np.argmax(zoom_scores)]))
    best = max(*shift_scores, *zoom_scores)
    if best >= _LEAST_AGREEMENT and max(shift_scores) >= max(zoom_scores) and abs(shift) > PAN_FRACTION / 2:
        return CameraReading("pan left" if shift > 0 else "pan right", shift, 1.0, best)
    if (
        best >= _LEAST_AGREEMENT
        and max(zoom_scores) > max(shift_scores)
        and abs(np.log(zoom)) > np.log(DOLLY_FACTOR) / 2
    ):
        return CameraReading("dolly in" if zoom > 1 else "dolly out", 0.0, zoom, best)
    return CameraReading("static", 0.0, 1.0, best)


@dataclass(frozen=True)
class _Blocks:
    value: FloatArray  # (h, w), zero mean, zero where covered
    weight: FloatArray


def _texture_blocks(brightness: FloatArray, covered: FloatArray) -> _Blocks:
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in brightness.shape)

    def block_sum(image: FloatArray) -> FloatArray:
        cut = image[:height, :width]
        return cut.reshape(height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX).sum(axis=(1, 3))

    weight = (block_sum(covered.astype(np.float32)) == 0).astype(np.float32)
    value = block_sum(brightness) / _BLOCK_PX**2
    # What is constant along a row or a column, such as an inexact fall of the background, agrees with itself under
    # many moves and says nothing about any.
    for axis in (1, 0):
        mean = (value * weight).sum(axis=axis, keepdims=True) / np.maximum(weight.sum(axis=axis, keepdims=True), 1)
        value = (value - mean) * weight
    return _Blocks(value, weight)


def _agreement(early: _Blocks, late: _Blocks, shift: float, zoom: float, part: float) -> float:
    """Correlation of the late texture with the early one moved by `part` of the clip's shift and zoom."""
    height, width = early.value.shape
    factor = zoom**part
    x = (np.arange(width) - (width - 1) / 2 - shift * part * width) / factor + (width - 1) / 2
    y = (np.arange(height) - (height - 1) / 2) / factor + (height - 1) / 2
    rows = np.flatnonzero((y >= 0) & (y <= height - 1))
    columns = np.flatnonzero((x >= 0) & (x <= width - 1))
    moved = _sample(early.value, y[rows], x[columns])
    weight = _sample(early.weight, y[rows], x[columns]) * late.weight[np.ix_(rows, columns)]
    seen = late.value[np.ix_(rows, columns)]
    power = np.sqrt((weight * moved**2).sum() * (weight * seen**2).sum())
    return float((weight * moved * seen).sum() / max(power, _LEAST_TEXTURE**2 * weight.sum(), 1e-6))


def _sample(image: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Bilinear, at every pair of a y and an x."""
    top = np.minimum(y.astype(np.intp), image.shape[0] - 2)
    left = np.minimum(x.astype(np.intp), image.shape[1] - 2)
    rows = image[top] + (y - top)[:, None] * (image[top + 1] - image[top])
    return rows[:, left] + (x - left) * (rows[:, left + 1] - rows[:, left])
