"""How different a sound is from a spectrogram to the ear, blind to phase.

A vocoder sees magnitudes only, so the phase of what it makes is its own choice; waveforms must not be compared.
"""

from typing import Final

import torch
from torch import Tensor

from engine.model.audio_vae import LOG_FLOOR
from engine.model.config import AudioVaeConfig
from engine.model.filters import mel_filterbank

_AUDIBLE: Final = 1e-3  # a mel magnitude below which little is heard
_QUIET_FRAME: Final = 0.03  # sum of mel magnitudes; the softest tone's is 1.4
_WORST: Final = 5.0  # share of a frame's loudness; beyond it no longer matters how wrong it is
_AUDIBLE_WEIGHT: Final = 0.5
_LOUDNESS_WEIGHT: Final = 0.7


def sound_distance(made: Tensor, log_mel: Tensor, config: AudioVaeConfig) -> Tensor:
    """How far a waveform (B, A, N) is from a spectrogram (B, A, T, M).

    The mean difference of logarithms, down to silence and down to what is heard, counts all bands and frames alike. But
    a tone fills only two bands, and the cheapest one to make would be nothing but its skirts; a thud fills only three
    frames. So loudness counts besides: a frame's error as a share of its loudness, which is about its loud bands; the
    logarithm of that loudness, which leads back from silence; and that of each side's energy from beginning to end.
    """
    magnitudes, real = mel_magnitudes(made, config), log_mel.exp()
    # At the floor, nothing at all is right.
    deep = ((magnitudes + LOG_FLOOR).log() - log_mel).abs().mean()
    audible = ((magnitudes + _AUDIBLE).log() - (real + _AUDIBLE).log()).abs().mean()
    loudness, real_loudness = magnitudes.sum(dim=3) + _QUIET_FRAME, real.sum(dim=3) + _QUIET_FRAME
    share = ((magnitudes - real).abs().sum(dim=3) / real_loudness).clamp_max(_WORST).mean()
    ratio = (loudness / real_loudness).log().abs().mean()
    energy, real_energy = (value.square().sum(dim=(2, 3)) + _QUIET_FRAME**2 for value in (magnitudes, real))
    whole = (energy / real_energy).log().abs().mean() / 2
    return deep + _AUDIBLE_WEIGHT * audible + _LOUDNESS_WEIGHT * (share + ratio + whole)


def mel_magnitudes(waveform: Tensor, config: AudioVaeConfig) -> Tensor:
    """Those whose logarithms `log_mel` gives, not cut off at the floor, with a gradient even at zero."""
    spectrum = torch.stft(
        waveform.flatten(0, 1),
        config.window_length,
        config.hop_length,
        window=torch.hann_window(config.window_length, device=waveform.device),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    filterbank = mel_filterbank(
        num_frequencies=config.window_length // 2 + 1,
        num_mels=config.num_mels,
        sample_rate=config.sample_rate,
        min_hz=config.mel_min_hz,
        max_hz=config.mel_max_hz,
    ).to(waveform.device)
    power = spectrum.real.square() + spectrum.imag.square()
    magnitudes = (power + 1e-14).sqrt().transpose(1, 2) @ filterbank.T
    return magnitudes.unflatten(0, waveform.shape[:2])
