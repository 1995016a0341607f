"""How different two sounds are to the ear: distances between spectrograms, blind to phase.

A vocoder sees magnitudes only, so the phase of what it makes is its own choice; waveforms must not be compared.
"""

from typing import Final

import torch
from torch import Tensor

from engine.model.audio_vae import log_mel
from engine.model.config import AudioVaeConfig

# Long windows tell pitches apart, short ones times.
_WINDOWS: Final = (256, 1024, 2048)
_FLOOR: Final = 1e-3  # of the magnitude of a full-scale sine: 60 dB below it


def spectral_distance(made: Tensor, real: Tensor) -> Tensor:
    """The mean, over several windows, of the difference of magnitudes and of their logarithms; (B, A, N) each."""
    distances: list[Tensor] = []
    for window in _WINDOWS:
        one, other = _magnitudes(made, window), _magnitudes(real, window)
        logarithms = (one + _FLOOR).log() - (other + _FLOOR).log()
        distances.append(logarithms.abs().mean() + (one - other).norm() / (other.norm() + 1e-3 * other.numel() ** 0.5))
    return torch.stack(distances).mean()


def log_mel_distance(made: Tensor, real: Tensor, config: AudioVaeConfig, *, floor: float) -> Tensor:
    """The mean absolute difference of log-mel spectrograms, magnitudes below `floor` counted as `floor`."""
    lowest = torch.tensor(floor, device=made.device).log()
    return (log_mel(made, config).maximum(lowest) - log_mel(real, config).maximum(lowest)).abs().mean()


def _magnitudes(waveform: Tensor, window_length: int) -> Tensor:
    """In units of a full-scale sine's."""
    window = torch.hann_window(window_length, device=waveform.device)
    spectrum = torch.stft(
        waveform.flatten(0, 1),
        n_fft=window_length,
        hop_length=window_length // 4,
        window=window,
        center=True,
        return_complex=True,
    )
    # The root of a sum keeps its gradient finite at zero.
    power = spectrum.real.square() + spectrum.imag.square()
    return (power + 1e-10).sqrt() / (window.sum() / 2)
