"""Where the vocoder's training starts: as an additive synthesiser whose amplitudes it learns to read.

From noise, a vocoder trained on spectral distances alone first learns silence, for a tone at a wrong pitch is worse
than none, and stays there. So its upsampling layers are set to turn amplitudes into sound: one channel for each of the
lowest multiples of the frame rate and one for each band of higher ones, left and right. Of all sounds that repeat with
every frame, and a vocoder can sustain no others, they make any up to 2 kHz. What is left to learn at first is to read
these amplitudes from a log-mel spectrogram, at 25 frames a second, which costs next to nothing.

It needs a generator whose first stage keeps the rate: its residual block is where amplitudes are read.
"""

import math
from itertools import pairwise
from typing import Final, cast

import torch
from torch import Tensor, nn

from engine.model.config import AudioVaeConfig
from engine.model.vocoder import AntiAliasedSnake, Generator, ResBlock

_LINES: Final = range(2, 39)  # multiples of the frame rate with a channel of their own: 50 to 950 Hz
_BANDS: Final = tuple(round(39 * (79 / 39) ** (band / 11)) for band in range(12))  # edges of the others: to 1975 Hz
CHANNELS_PER_SIDE: Final = len(_LINES) + len(_BANDS) - 1
LEVEL: Final = 5.0  # a channel's value for a sine of amplitude 1: brings usual ones near one
_SILENT_BETA: Final = 6.0  # logarithm; an activation that adds one four-hundredth of its curve
_FLOOR: Final = 1e-3  # of an amplitude in the logarithm of a loss


def amplitudes(waveform: Tensor, config: AudioVaeConfig) -> Tensor:
    """The channels' values for a waveform (B, 2, N), at every mel frame: (B, 2 sides x channels, T)."""
    window = torch.hann_window(2 * config.hop_length, device=waveform.device)
    # With a window of two frames, every other bin is a multiple of the frame rate, and no line leaks into the next.
    spectrum = torch.stft(
        waveform.flatten(0, 1), len(window), config.hop_length, window=window, center=True, return_complex=True
    )
    lines = spectrum[:, ::2].abs() * (2 / window.sum())
    bands = [lines[:, low:high].square().sum(dim=1).sqrt() for low, high in pairwise(_BANDS)]
    channels = torch.cat([lines[:, _LINES.start : _LINES.stop], torch.stack(bands, dim=1)], dim=1)
    return LEVEL * channels.unflatten(0, (-1, 2)).flatten(1, 2)


def gliding_tones(count: int, num_samples: int, config: AudioVaeConfig, generator: torch.Generator) -> Tensor:
    """Tones that glide between random pitches of 50 to 1000 Hz, at random levels: (count, 2, num_samples).

    The toy world's steady tones have three pitches. A reader that sees little else learns these by heart.
    """

    def draw(low: float, high: float) -> Tensor:
        return low * (high / low) ** torch.rand(count, 1, generator=generator)

    first_hz, glide = draw(50, 1000), draw(0.5, 2)
    frequency_hz = (first_hz * glide ** torch.linspace(0, 1, num_samples)).clamp(50, 1000)
    turns = torch.cumsum(frequency_hz.double(), dim=1) / config.sample_rate
    tones = draw(0.02, 0.5) * torch.sin(2 * math.pi * turns).float()
    sides = torch.stack([draw(0.2, 1), draw(0.2, 1)], dim=1)
    return tones[:, None] * sides


def read_amplitudes(generator: Generator, mel: Tensor) -> Tensor:
    """What the generator's first stage makes of a spectrogram (B, A, T, M)."""
    x = generator.conv_pre(mel.transpose(2, 3).flatten(1, 2))
    return cast(ResBlock, generator.resblocks[0])(generator.ups[0](x))


def amplitude_loss(read: Tensor, real: Tensor) -> Tensor:
    """The absolute error, that of logarithms, and the squared one, each channel's in units of its own mean square.

    Without the last, rare sounds are read as silence: a thud's low notes fill a few frames in a hundred.
    """
    difference = read - real
    logarithms = (read.abs() + LEVEL * _FLOOR).log() - (real + LEVEL * _FLOOR).log()
    squared = difference.square().mean(dim=(0, 2)) / (real.square().mean(dim=(0, 2)) + LEVEL * _FLOOR**2)
    return difference.abs().mean() + 0.02 * logarithms.abs().mean() + 0.1 * squared.clamp_max(10).mean()


@torch.no_grad()
def start_as_synthesiser(generator: Generator) -> None:
    """Set the stages behind the first so that they sound the first one's amplitudes."""
    rates = generator.config.upsample_rates
    assert rates[0] == 1, f"a first stage that keeps the rate, not {rates}"
    assert len(generator.resblocks) == len(rates) == 4, "four stages of one residual block"
    for block in generator.resblocks[1:]:
        for convolution in cast(ResBlock, block).convs2:
            nn.init.zeros_(cast(Tensor, convolution.weight))
            nn.init.zeros_(cast(Tensor, convolution.bias))
    to_steps, to_samples, to_output = (cast(nn.ConvTranspose1d, up) for up in generator.ups[1:])
    taps = to_output.kernel_size[0]
    interpolation = 1 - (torch.arange(taps) - (taps - 1) / 2).abs() / rates[3]  # linear
    low_pass = torch.hann_window(9, periodic=False)[1:-1] / 4  # against the images that interpolation leaves
    for up in (to_steps, to_samples, to_output):
        nn.init.normal_(up.weight, std=1e-3)  # the channels that nothing is laid out for yet
        nn.init.zeros_(cast(Tensor, up.bias))
    losses = _response(interpolation, math.prod(rates)) * _response(low_pass, math.prod(rates))
    _lay_out_steps(to_steps, steps=rates[1], samples_per_step=rates[2], gains=1 / losses)
    trim = (to_samples.kernel_size[0] - rates[2]) // 2
    for side in range(2):
        for sample in range(rates[2]):
            to_samples.weight[side * rates[2] + sample, side] = 0
            to_samples.weight[side * rates[2] + sample, side, trim + sample] = 1
        to_output.weight[side, side] = interpolation
    nn.init.normal_(generator.conv_post.weight, std=1e-3)
    for side in range(2):
        generator.conv_post.weight[side, side] = low_pass
    nn.init.constant_(cast(AntiAliasedSnake, generator.act_post).act.beta, _SILENT_BETA)


def _response(taps: Tensor, frame_samples: int) -> Tensor:
    """What a filter leaves of each multiple of the frame rate."""
    turns = torch.arange(_BANDS[-1] + 1)[:, None] * torch.arange(len(taps)) / frame_samples
    return (taps * torch.exp(2j * math.pi * turns)).sum(dim=1).abs() / taps.sum()


def _lay_out_steps(up: nn.ConvTranspose1d, *, steps: int, samples_per_step: int, gains: Tensor) -> None:
    """A frame's `steps`, each `samples_per_step` samples of the sum of all channels' waves in as many outputs."""
    taps = up.kernel_size[0]
    offset = torch.arange(taps) - (taps - steps) // 2  # steps since the frame's middle
    fade = steps / 2
    window = ((1.5 * fade - offset - 0.5).clamp(0, fade) / fade) * ((offset + 0.5 + 1.5 * fade).clamp(0, fade) / fade)
    sample = offset[:, None] * samples_per_step + torch.arange(samples_per_step)
    phase = 2 * math.pi * sample / (steps * samples_per_step)
    waves = [_wave(phase, range(line, line + 1), gains) for line in _LINES]
    waves += [_wave(phase, range(low, high), gains) for low, high in pairwise(_BANDS)]
    for side in range(2):
        outputs = slice(side * samples_per_step, (side + 1) * samples_per_step)
        up.weight[:, outputs] = 0
        for channel, wave in enumerate(waves):
            up.weight[side * len(waves) + channel, outputs] = (wave * window[:, None]).T / LEVEL


def _wave(phase: Tensor, multiples: range, gains: Tensor) -> Tensor:
    """Cosines of unit power before `gains`, one for each multiple of the frame rate, side by side.

    Their phases keep their sum from piling up once a frame (Schroeder 1970).
    """
    waves = [
        gains[multiple] * torch.cos(multiple * phase - math.pi * multiple * (multiple - 1) / 80)
        for multiple in multiples
    ]
    return torch.stack(waves).sum(dim=0) / math.sqrt(len(multiples))
