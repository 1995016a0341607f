"""High dynamic range shown in the standard one: PQ and HLG signals (ITU-R BT.2100) as sRGB.

Reference white (203 cd/m2, ITU-R BT.2408) becomes a bright white, what is darker keeps its proportions, highlights are
rolled off instead of cut, and the wide primaries of BT.2020 are brought to BT.709 by clipping. For looking at a clip
and for showing it to the model; a clip that is edited goes through `source.read_window`, which leaves its signal alone.
"""

from functools import cache

import numpy as np
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray

HDR_TRANSFERS = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})

_REFERENCE_WHITE, _HLG_PEAK = 203.0, 1000.0  # cd/m2
_KNEE = 0.6  # of reference white, where the roll-off begins

# Linear BT.2020 to linear BT.709, ITU-R BT.2087.
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_standard_range(signal: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """(height, width, 3) of 16-bit signal values to sRGB pixels."""
    linear = _light(transfer)[signal]
    if transfer == ColorTrc.ARIB_STD_B67:  # the display's part of the curve depends on all three together
        brightness = linear @ _LUMA_BT2020
        linear *= (np.maximum(brightness, 1e-6) ** 0.2)[..., None] * (_HLG_PEAK / _REFERENCE_WHITE)
    linear = np.maximum(linear @ _TO_BT709.T, 0)
    brightest = linear.max(axis=-1, keepdims=True)
    rolled = _KNEE + (1 - _KNEE) * (1 - np.exp(-(brightest - _KNEE) / (1 - _KNEE)))
    linear *= np.where(brightest > _KNEE, rolled / np.maximum(brightest, _KNEE), 1)
    levels = np.minimum(linear, 1, out=linear) * 4095
    return _srgb()[np.rint(levels).astype(np.uint16)]


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """For each of 65536 signal values: light in multiples of reference white (PQ), or of the scene's peak (HLG)."""
    value = np.arange(65_536) / 65_535
    if transfer == ColorTrc.SMPTE2084:
        power = value ** (32 / 2523)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (8192 / 1305)
        return (light * 10_000 / _REFERENCE_WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12).astype(np.float32)


@cache
def _srgb() -> NDArray[np.uint8]:
    """IEC 61966-2-1, for 4096 steps of light."""
    light = np.arange(4096) / 4095
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * signal).astype(np.uint8)
