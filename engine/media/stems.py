"""A voice apart from what is heard behind it, as far as arithmetic alone can tell them apart.

A voice is taken to be what stands in the middle of the stereo picture and comes and goes. The background is the rest:
what is wide (the difference of both channels, and what it is as strong as in the sum), what is steady (each frequency's
floor over the clip: hum, air, traffic), and what lies below or above a voice. Both always add up to the original.

This is no source separation by a network: music or noises in the middle that come and go are taken for the voice, a
steady sound behind it is kept as its floor alone, and of a mono track only what is steady is told from the voice.

Shapes: N samples, T frames of the transform, K frequencies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.media.audio import SoundClip

_WINDOW_S = 0.085  # long enough to part the harmonics of a voice, short enough for its syllables
_VOICE_HZ = (70.0, 12_000.0)
_EDGE_OCTAVES = 0.25  # over which the band's ends fade
_FLOOR_SHARE = 0.3  # of the time a voice pauses, or its harmonics are elsewhere
_FLOOR_MARGIN = 1.5  # from what a noise is below for that share of the time to what it mostly is
_SMOOTHED_FRAMES = 3  # gains that change faster tinkle
# A long sound goes through in pieces that fade into each other: transforms take thirty times the memory of a sound.
_PIECE_S, _OVERLAP_S = 30, 1


@dataclass(frozen=True, eq=False)
class Stems:
    """Two sounds that add up to the one they came from."""

    voice: SoundClip
    background: SoundClip


def split_voice(sound: SoundClip) -> Stems:
    """Both at the sound's rate, stereo and as long as it. Two seconds or more tell what is steady."""
    stereo = sound.to_stereo()
    rate, num_samples = stereo.sample_rate, stereo.num_samples
    piece, overlap = round(_PIECE_S * rate), round(_OVERLAP_S * rate)
    voice = np.zeros(num_samples, np.float32)
    for start in range(0, max(num_samples - overlap, 1), piece - overlap):
        heard_from = max(min(start, num_samples - piece), 0)  # the last piece is heard from earlier on, to be as long
        found = _voice(stereo.samples[:, heard_from : start + piece], rate)[start - heard_from :]
        if start:
            found[:overlap] *= np.linspace(0, 1, overlap, dtype=np.float32)
        if start + piece < num_samples:
            found[-overlap:] *= np.linspace(1, 0, overlap, dtype=np.float32)
        voice[start : start + piece] += found
    samples = np.stack([voice, voice])
    return Stems(SoundClip(samples, rate), SoundClip(stereo.samples - samples, rate))


def _voice(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """(2, N) -> (N,), the voice in the middle."""
    size = 1 << round(np.log2(_WINDOW_S * rate))
    left, right = (_transform(channel, size) for channel in samples)
    middle, side = (left + right) / 2, (left - right) / 2
    power = np.abs(middle) ** 2
    centred = np.clip(1 - _smoothed(np.abs(side) ** 2) / np.maximum(_smoothed(power), 1e-12), 0, 1)
    magnitude = np.sqrt(power)
    floor = _FLOOR_MARGIN * np.quantile(magnitude, _FLOOR_SHARE, axis=0)
    varying = np.clip(1 - (floor / np.maximum(magnitude, 1e-9)) ** 2, 0, 1)
    gain = _smoothed(centred * varying) * _band(size, rate)
    return _back(middle * gain, size, samples.shape[1]).astype(np.float32)


def _transform(samples: NDArray[np.float32], size: int) -> NDArray[np.complex128]:
    """(N,) -> (T, K), half overlapping twice."""
    hop = size // 4
    padded = np.pad(samples.astype(np.float64), (size, size + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.fft.rfft(frames * _window(size), axis=1)


def _back(spectra: NDArray[np.complex128], size: int, num_samples: int) -> NDArray[np.float64]:
    """(T, K) -> (N,), exactly what was transformed where nothing was changed."""
    hop, window = size // 4, _window(size)
    frames = np.fft.irfft(spectra, size, axis=1) * window
    total = np.zeros((len(frames) - 1) * hop + size)
    weight = np.zeros_like(total)
    for index, frame in enumerate(frames):
        total[index * hop : index * hop + size] += frame
        weight[index * hop : index * hop + size] += window**2
    return (total / np.maximum(weight, 1e-9))[size : size + num_samples]


def _window(size: int) -> NDArray[np.float64]:
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size))


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, K), the mean over a few frames."""
    padded = np.pad(values, ((_SMOOTHED_FRAMES // 2,) * 2, (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED_FRAMES, axis=0)
    return windows.mean(axis=-1)


def _band(size: int, rate: int) -> NDArray[np.float64]:
    """(K,): 1 where a voice can be, 0 far from it."""
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / rate), 1e-3)
    low, high = _VOICE_HZ
    return np.clip(np.log2(frequencies / low) / _EDGE_OCTAVES + 1, 0, 1) * np.clip(
        np.log2(high / frequencies) / _EDGE_OCTAVES + 1, 0, 1
    )
