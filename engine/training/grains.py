"""The pieces of sound that the vocoder's synthesiser adds up, and the short waves that it makes them of.

A *grain* is 60 ms long and fades into the next of its channel: a multiple of the frame rate, a band of noise on one
side, or the onset of a thud. It is stored as coefficients of *waves* of 5 ms, 400 times a second: thirteen waves that
span all that is below 1 kHz and sound on both sides, and ten wide bands for either side.
"""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
FRAME: Final = 640  # samples; hence multiples of 25 Hz
STEP: Final = 40  # samples
TAPS: Final = 24  # steps of a grain
WAVE: Final = 80  # samples
_LEAD: Final = 180  # samples of a grain before its frame
_NUM_SAMPLES: Final = (TAPS - 1) * STEP + WAVE
_FADE: Final = 320  # samples

LINES: Final = range(2, 40)  # multiples of the frame rate with a channel of their own: 50 to 975 Hz
# Edges of the bands of noise, as multiples: even up to 1 kHz, then logarithmic up to 8.
BANDS: Final = (*(round(2 + 38 * band / 8) for band in range(8)), *(round(40 * 8 ** (band / 16)) for band in range(17)))
NUM_BANDS: Final = len(BANDS) - 1
NUM_ONSETS: Final = 8  # of a thud, evenly over a frame
THUD_PEAK: Final = 0.85  # of a thud's grain
NUM_CHANNELS: Final = 96
GATE: Final = NUM_CHANNELS - 1  # the channel that says whether anything sounds, 0 or 1
_FIRST_ONSET: Final = len(LINES) + 2 * NUM_BANDS
NUM_GRAINS: Final = _FIRST_ONSET + NUM_ONSETS
KNOWN_CHANNELS: Final = (*range(NUM_GRAINS), GATE)  # the others lie idle at first

NUM_PRECISE: Final = 13  # waves for what is below 1 kHz: 104 dB above what they cannot make
_PRECISE_TOP_HZ: Final = 1000
# Bands of 200 Hz that each wide wave is made of.
_WIDE: Final = (*((band,) for band in range(5)), *(range(low, high) for low, high in pairwise((5, 7, 10, 15, 22, 40))))
_SEED: Final = 7
_SAMPLE: Final = np.arange(_NUM_SAMPLES) - _LEAD  # since the frame's beginning

FloatArray = NDArray[np.float64]


def precise_waves() -> FloatArray:
    """Orthonormal waves of one step that span everything below 1 kHz: (13, 80), zero outside the step."""
    turns = 2 * np.pi * np.arange(25, _PRECISE_TOP_HZ + 1, 12.5)[:, None] / RATE_HZ * (np.arange(STEP) - (STEP - 1) / 2)
    _, _, directions = np.linalg.svd(np.concatenate([np.cos(turns), np.sin(turns)]), full_matrices=False)
    margin = (WAVE - STEP) // 2
    return np.pad(directions[:NUM_PRECISE], ((0, 0), (margin, margin)))


def wide_waves() -> FloatArray:
    """Of a lapped cosine transform into bands of 200 Hz, the higher ones added up with random signs: (10, 80)."""
    time = np.arange(WAVE) + 0.5
    window = np.sin(np.pi * time / WAVE) / np.sqrt(STEP / 2)
    band = np.arange(STEP)[:, None] + 0.5
    transform = window * np.cos(np.pi / STEP * (time + STEP / 2) * band)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], STEP)
    return np.stack([(signs[list(group)] @ transform[list(group)]) / np.sqrt(len(group)) for group in _WIDE])


def grain_coefficients(precise: FloatArray, wide: FloatArray) -> FloatArray:
    """The coefficients of every channel's grain: (96, 33, 24)."""
    window = ((FRAME + _FADE) / 2 - np.abs(_SAMPLE + 0.5 - FRAME / 2)).clip(0, _FADE) / _FADE
    grains = np.zeros((NUM_CHANNELS, NUM_PRECISE + 2 * len(wide), TAPS))
    # Schroeder's phases (1970) keep the sum of all lines from piling up once a frame.
    lines = [window * np.cos(_turns(line) - np.pi * line * (line - 1) / 80) for line in LINES]
    grains[: len(LINES), :NUM_PRECISE], _ = _fitted(np.stack(lines), precise)
    rng = np.random.default_rng(_SEED)
    noises = np.stack([window * _noise(range(low, high), rng) for low, high in pairwise(BANDS)])
    coefficients, made = _fitted(noises, wide)
    coefficients *= np.sqrt((noises**2).sum(axis=1) / (made**2).sum(axis=1))[:, None, None]
    left, right = len(LINES), len(LINES) + NUM_BANDS
    grains[left:right, NUM_PRECISE : -len(wide)] = coefficients
    grains[right:_FIRST_ONSET, -len(wide) :] = coefficients
    ending = (FRAME + _FADE / 2 - _SAMPLE).clip(0, _FADE) / _FADE
    onsets = [ending * _thud(_SAMPLE - onset * FRAME // NUM_ONSETS) for onset in range(NUM_ONSETS)]
    grains[_FIRST_ONSET:NUM_GRAINS, :NUM_PRECISE], _ = _fitted(np.stack(onsets), precise)
    return grains


def _turns(line: int) -> FloatArray:
    """The angle of a multiple of the frame rate."""
    return 2 * np.pi * line * (_SAMPLE - FRAME / 2) / FRAME


def _noise(lines: range, rng: np.random.Generator) -> FloatArray:
    """The lines of a band at random phases, of a sine's power together."""
    return sum((np.cos(_turns(line) + rng.uniform(0, 2 * np.pi)) for line in lines), np.zeros(_NUM_SAMPLES)) / np.sqrt(
        len(lines)
    )


def _thud(sample: NDArray[np.int64]) -> FloatArray:
    """A low burst like the toy world's, from sample 0."""
    time_s = sample.clip(0) / RATE_HZ
    turns = 75 * time_s + 95 * 0.02 * (1 - np.exp(-time_s / 0.02))
    shape = (1 - np.exp(-time_s / 0.001)) * np.exp(-time_s / 0.03) * ((0.08 - time_s) / 0.015).clip(0, 1)
    return shape * np.sin(2 * np.pi * turns)


def _fitted(sounds: FloatArray, waves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The coefficients (sounds, waves, taps) that make grains (sounds, samples) best, and what they make."""
    placed = np.zeros((TAPS, len(waves), _NUM_SAMPLES))
    for step in range(TAPS):
        placed[step, :, step * STEP : step * STEP + WAVE] = waves
    flat = placed.reshape(-1, _NUM_SAMPLES)
    solution = np.linalg.lstsq(flat.T, sounds.T, rcond=1e-12)[0].T.astype(np.float64)
    return solution.reshape(-1, TAPS, len(waves)).swapaxes(1, 2), solution @ flat
