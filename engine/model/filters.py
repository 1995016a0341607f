"""The fixed filters of the audio path: mel filterbank, short-time Fourier basis and resampling low-passes.

Checkpoints store the ones their networks were trained with, rounded to bf16, and those are used when a file is loaded;
these formulas fill a freshly built network, the mel front end and the one resampler that no file stores. Everything is
computed in float64 on the CPU, since not every device has that type and the meta device takes two seconds to load the
code for it, and returned as float32 on torch's default device, so that a network built on meta stays there.

Sources: Slaney's Auditory Toolbox (1998) for the mel scale, Kaiser (1974) for his window, BigVGAN (arXiv:2206.04658)
for the anti-aliasing filter, and Lightricks/LTX-2 (commit 400fd31) for the constants.
"""

import functools
import math
from collections.abc import Callable
from typing import ParamSpec

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")

# Slaney's scale is linear up to 1 kHz and logarithmic above, with 27 steps for each factor of 6.4.
MEL_BREAK_HZ = 1000.0
HZ_PER_MEL = 200.0 / 3
MELS_PER_NEPER = 27.0 / math.log(6.4)

RESAMPLER_ROLLOFF = 0.99  # the pass band as a fraction of the lower Nyquist frequency
RESAMPLER_ZERO_CROSSINGS = 6  # of the windowed sinc, on either side of its centre


def _computed_on_cpu(formula: Callable[Parameters, Tensor]) -> Callable[Parameters, Tensor]:
    """The formula's float32 result on torch's default device; every distinct call is computed once."""

    @functools.cache
    def compute(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Tensor:
        with torch.device("cpu"):
            return formula(*args, **kwargs).float()

    @functools.wraps(formula)
    def table(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Tensor:
        return compute(*args, **kwargs).to(torch.get_default_device(), copy=True)

    return table


@_computed_on_cpu
def mel_filterbank(*, num_frequencies: int, num_mels: int, sample_rate: int, min_hz: float, max_hz: float) -> Tensor:
    """Triangles of equal area on Slaney's mel scale -> (mels, frequencies), frequencies from 0 Hz to Nyquist."""
    frequencies = torch.linspace(0, sample_rate / 2, num_frequencies, dtype=torch.float64)
    edges = _mel_to_hz(torch.linspace(_hz_to_mel(min_hz), _hz_to_mel(max_hz), num_mels + 2, dtype=torch.float64))
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - lower) / (centre - lower)
    falling = (upper - frequencies) / (upper - centre)
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return (triangles * 2 / (upper - lower)).float()


def _hz_to_mel(hz: float) -> float:
    break_mel = MEL_BREAK_HZ / HZ_PER_MEL
    return hz / HZ_PER_MEL if hz < MEL_BREAK_HZ else break_mel + math.log(hz / MEL_BREAK_HZ) * MELS_PER_NEPER


def _mel_to_hz(mel: Tensor) -> Tensor:
    break_mel = MEL_BREAK_HZ / HZ_PER_MEL
    return torch.where(
        mel < break_mel, mel * HZ_PER_MEL, MEL_BREAK_HZ * ((mel - break_mel) / MELS_PER_NEPER).clamp_min(0).exp()
    )


@_computed_on_cpu
def stft_basis(window_length: int) -> Tensor:
    """The Hann-windowed Fourier basis as convolution kernels: all real rows, then all imaginary -> (L + 2, 1, L)."""
    sample = torch.arange(window_length, dtype=torch.float64)
    frequency = torch.arange(window_length // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi / window_length * frequency[:, None] * sample
    window = 0.5 - 0.5 * torch.cos(2 * math.pi / window_length * sample)
    return (torch.cat([angle.cos(), -angle.sin()]) * window)[:, None].float()


@_computed_on_cpu
def kaiser_sinc_filter(*, ratio: int, num_taps: int) -> Tensor:
    """The low-pass for a change of rate by `ratio`: a sinc under Kaiser's window, of unit sum -> (taps,)."""
    assert num_taps % 2 == 0, f"an even number of taps, got {num_taps}"
    cutoff, transition = 0.5 / ratio, 4 * 0.6 / ratio  # of the higher rate; the transition's width as Kaiser defines it
    attenuation_db = 2.285 * (num_taps // 2 - 1) * math.pi * transition + 7.95
    time = torch.arange(num_taps, dtype=torch.float64) - (num_taps - 1) / 2
    position = time / ((num_taps - 1) / 2)
    window = torch.special.i0(_kaiser_beta(attenuation_db) * (1 - position.square()).clamp_min(0).sqrt())
    taps = torch.special.sinc(2 * cutoff * time) * window
    return (taps / taps.sum()).float()


def _kaiser_beta(attenuation_db: float) -> float:
    if attenuation_db > 50:
        return 0.1102 * (attenuation_db - 8.7)
    if attenuation_db >= 21:
        return 0.5842 * (attenuation_db - 21) ** 0.4 + 0.07886 * (attenuation_db - 21)
    return 0.0


def resampler_half_width() -> int:
    """Samples of the lower rate that the resampler's filter spans on either side of its centre."""
    return math.ceil(RESAMPLER_ZERO_CROSSINGS / RESAMPLER_ROLLOFF)


@_computed_on_cpu
def resampler_filter(ratio: int) -> Tensor:
    """The interpolator from a rate to `ratio` times that rate: a sinc under a squared cosine -> (taps,), odd."""
    half_width = resampler_half_width()
    time = (torch.arange(2 * half_width * ratio + 1, dtype=torch.float64) / ratio - half_width) * RESAMPLER_ROLLOFF
    clamped = time.clamp(-RESAMPLER_ZERO_CROSSINGS, RESAMPLER_ZERO_CROSSINGS)
    window = torch.cos(clamped * math.pi / RESAMPLER_ZERO_CROSSINGS / 2).square()
    return (torch.special.sinc(time) * window * RESAMPLER_ROLLOFF / ratio).float()
