"""How the vocoder reads a spectrogram: its first stage, which gives the synthesiser of `harmonic` its amplitudes.

An amplitude of a thousandth is as wrong in a silent line as one of a tenth in a loud one, so what is read is not the
amplitude but its eighth root: first by linear regression on log-mel values, then by what the layers in front add to
that. The last three layers square. A layer that squares is x - (x - sin(c x)^2 / sin(c)^2), and its first half must
cancel to the last bit: those weights stay one.
"""

import math
from functools import lru_cache
from itertools import pairwise
from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.audio_vae import LOG_FLOOR
from engine.model.vocoder import OUTER_KERNEL, AntiAliasedSnake, Doubler, Generator, Halver, ResBlock
from engine.training.grains import (
    BANDS,
    FRAME,
    GATE,
    LINES,
    NUM_CHANNELS,
    NUM_GRAINS,
    NUM_ONSETS,
    RATE_HZ,
    THUD_PEAK,
)
from engine.training.toyworld_sound import THUD_S

_SQUARINGS: Final = 3
_BEND: Final = 0.5  # c above: as nearly a square as its inverse is easily told from zero
_LINEAR: Final = 20.0  # the logarithm of an activation's beta that leaves nothing of its curve
_UNIT: Final = 4.0  # of log-mel values; a power of two, so that no rounded weight changes with it
_SILENCE: Final = math.log(LOG_FLOOR)
_LEAST: Final = 3e-7  # amplitude that is told from none: below the floor of a spectrogram
_HEARD: Final = 0.01  # of full scale: where a burst begins
_RIDGE: Final = 1e-4
_SOUNDING: Final = (0.08, 0.38)  # mean log-mel value above the floor where the gate is shut, and where it is open
_QUIET_GAIN: Final = 0.05  # at least, of a channel that is never loud


class Reader(nn.Module):
    """The generator's first stage: log-mel spectrograms (B, 2, T, M) -> amplitudes (B, 96, T), rounded like a file's.

    Its first convolution sees values from the floor up: they are easier to learn from than the generator's own.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        config = generator.config
        self.first = nn.Conv1d(config.in_channels, config.width, OUTER_KERNEL)
        self.up = cast(nn.ConvTranspose1d, generator.ups[0])
        self.block = cast(ResBlock, generator.resblocks[0])
        assert len(self.block.convs1) > _SQUARINGS, "layers before those that square"
        with torch.no_grad():
            self._set_up()
        self.up.bias.requires_grad_(False)  # pyright: ignore[reportOptionalMemberAccess]

    def _set_up(self) -> None:
        nn.init.zeros_(cast(Tensor, self.first.bias))
        nn.init.zeros_(cast(Tensor, self.up.bias))
        self.up.weight *= 0.02
        self.up.weight[:NUM_CHANNELS, :, 0] = torch.eye(NUM_CHANNELS)
        squaring = len(self.block.convs1) - _SQUARINGS
        for index, (conv1, act1, conv2, act2) in enumerate(
            zip(self.block.convs1, self.block.acts1, self.block.convs2, self.block.acts2, strict=True)
        ):
            first, second = cast(nn.Conv1d, conv1), cast(nn.Conv1d, conv2)
            snakes = cast(AntiAliasedSnake, act1).act, cast(AntiAliasedSnake, act2).act
            nn.init.zeros_(cast(Tensor, second.bias))
            if index < squaring:
                second.weight *= 0.1
                for snake in snakes:
                    nn.init.constant_(snake.alpha, 0.7)
                continue
            nn.init.zeros_(cast(Tensor, first.bias))
            for layer, sign in ((first, -1), (second, 1)):
                layer.weight.copy_(sign * torch.eye(NUM_CHANNELS)[..., None])
                layer.weight.register_hook(
                    lambda gradient: gradient * (1 - torch.eye(NUM_CHANNELS, device=gradient.device))[..., None]
                )
            nn.init.constant_(snakes[0].beta, _LINEAR)
            nn.init.constant_(snakes[1].alpha, math.log(_BEND))
            nn.init.constant_(snakes[1].beta, 2 * math.log(math.sin(_BEND)))

    def forward(self, mel: Tensor) -> Tensor:
        return self._layers(self.roots(mel), range(len(self.block.convs1) - _SQUARINGS, len(self.block.convs1)))

    def roots(self, mel: Tensor) -> Tensor:
        """What the last layers square."""
        x = F.conv1d(_padded(mel), _stored(self.first.weight), self.first.bias)
        x = F.conv_transpose1d(x, _stored(self.up.weight))
        return self._layers(x, range(len(self.block.convs1) - _SQUARINGS))

    def _layers(self, x: Tensor, indices: range) -> Tensor:
        block = self.block
        resampling = _resampling(x.shape[2], x.device)
        for index in indices:
            inner = _convolved(block.convs1[index], _activated(block.acts1[index], x, resampling))
            x = x + _convolved(block.convs2[index], _activated(block.acts2[index], inner, resampling))
        return x

    @torch.no_grad()
    def start(self, mel: Tensor, roots: Tensor) -> None:
        """Begin at the linear regression of `roots` (B, 96, T) on spectrograms (B, 2, T, M), without their ends."""
        margin = OUTER_KERNEL // 2
        windows = _padded(mel).unfold(2, OUTER_KERNEL, 1)[:, :, margin:-margin].movedim(2, 1).flatten(2).flatten(0, 1)
        inputs = F.pad(windows.double(), (0, 1), value=1.0)
        outputs = roots[:, :, margin:-margin].movedim(2, 1).flatten(0, 1).double()
        ridge = len(inputs) * _RIDGE * torch.eye(inputs.shape[1], dtype=torch.double, device=inputs.device)
        solution = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ outputs).float()
        self.first.weight[:NUM_CHANNELS] = solution[:-1].T.unflatten(1, (-1, OUTER_KERNEL))
        cast(Tensor, self.first.bias)[:NUM_CHANNELS] = solution[-1]

    @torch.no_grad()
    def install(self, generator: Generator) -> None:
        """Let the generator's first convolution do what this one does. The rest is the generator's own."""
        weight = _stored(self.first.weight) / _UNIT
        bias = cast(Tensor, self.first.bias) - _SILENCE * weight.flatten(1).sum(dim=1)
        generator.conv_pre.weight.copy_(weight)
        rounded = bias.bfloat16().float()
        cast(Tensor, generator.conv_pre.bias).copy_(rounded)
        # What rounding so large a bias changes is made up for behind it.
        cast(Tensor, self.up.bias).copy_(_stored(self.up.weight)[..., 0].T @ (bias - rounded))


def roots_of(amplitudes: Tensor, loudest: Tensor) -> Tensor:
    """What the last layers turn into `amplitudes` (B, 96, T), which are at most `loudest` (96,)."""
    level = (amplitudes / loudest[:, None]).clamp(0, 1)
    for _ in range(_SQUARINGS):
        level = (level.sqrt() * math.sin(_BEND)).asin() / _BEND
    return level


def loudest_of(amplitudes: Tensor) -> Tensor:
    """A value for every channel that its amplitudes (B, 96, T) stay below."""
    loudest = (1.2 * amplitudes.amax(dim=(0, 2))).clamp_min(_QUIET_GAIN)
    loudest[GATE] = 1
    return loudest


def amplitudes_of(waveform: Tensor, mel: Tensor) -> Tensor:
    """Amplitudes (B, 96, T) that make about the waveform (B, 2, N) of the spectrogram (B, 2, T, M).

    Sounds that are the same on both sides are made of lines, and of bands above these; the others of bands alone.
    """
    num_frames = mel.shape[2]
    window = torch.hann_window(2 * FRAME, device=waveform.device)
    padded = F.pad(waveform, (FRAME // 2, (num_frames + 1) * FRAME - waveform.shape[-1]))
    # With a window of two frames, every other bin is a multiple of the frame rate, and no line leaks into the next.
    pieces = padded.unfold(2, 2 * FRAME, FRAME)[:, :, :num_frames]
    power = (torch.fft.rfft(pieces * window)[..., ::2].abs() * (2 / window.sum())).square()
    bands = torch.stack([power[..., low:high].sum(dim=3) for low, high in pairwise(BANDS)], dim=3)
    bands = (bands / 1.5).sqrt()  # the window counts noise one and a half times
    lines = power[..., LINES.start : LINES.stop].mean(dim=1).sqrt()
    is_centred = (waveform[:, 0] == waveform[:, 1]).all(dim=1)[:, None, None]
    is_above = torch.tensor([low >= LINES.stop - 1 for low in BANDS[:-1]], device=waveform.device)
    lines = lines * is_centred
    bands = bands * (~is_centred[:, None] | is_above)
    onsets = _onsets(waveform, num_frames)
    begins = onsets.amax(dim=2, keepdim=True) > 0
    lines = lines * ~(begins | torch.cat([begins[:, 1:], begins[:, -1:]], dim=1))
    idle = lines.new_zeros(len(lines), num_frames, NUM_CHANNELS - NUM_GRAINS)
    amplitudes = torch.cat([lines, bands[:, 0], bands[:, 1], onsets, idle], dim=2).clamp_min(_LEAST)
    amplitudes[..., GATE] = sounding(mel)
    return amplitudes.transpose(1, 2)


def _onsets(waveform: Tensor, num_frames: int) -> Tensor:
    """Of bursts in silence: their amplitude, in the frame and the part of it where they begin: (B, T, 8)."""
    part = FRAME // NUM_ONSETS
    burst = round(THUD_S * RATE_HZ) // part
    padded = F.pad(waveform.mean(dim=1).abs(), (0, num_frames * FRAME - waveform.shape[-1]))
    peaks = padded.unfold(1, part, part).amax(dim=2)
    before = F.pad(peaks, (burst, 0)).unfold(1, burst, 1)[:, :-1].amax(dim=2)
    around = F.pad(peaks, (0, burst + 2)).unfold(1, burst + 3, 1)
    begins = (before < _HEARD) & (peaks > _HEARD) & (around[:, :, -2:].amax(dim=2) < _HEARD)
    return (begins * around.amax(dim=2) / THUD_PEAK).unflatten(1, (-1, NUM_ONSETS))


def sounding(mel: Tensor) -> Tensor:
    """How open the gate is in every frame of a spectrogram (B, 2, T, M): shut where it or the next is silent."""
    level = (mel - _SILENCE).mean(dim=(1, 3))
    level = torch.minimum(level, torch.cat([level[:, 1:], level[:, -1:]], dim=1))
    shut, opened = _SOUNDING
    return ((level - shut) / (opened - shut)).clamp(0, 1)


def _padded(mel: Tensor) -> Tensor:
    """From the floor up, with what the generator's padding by zeros means there."""
    margin = OUTER_KERNEL // 2
    return F.pad((mel.transpose(2, 3).flatten(1, 2) - _SILENCE) / _UNIT, (margin, margin), value=-_SILENCE / _UNIT)


def _stored(weight: Tensor) -> Tensor:
    """As a file gives it back; the gradient passes."""
    return weight + (weight.bfloat16().float() - weight).detach()


def _convolved(layer: nn.Module, x: Tensor) -> Tensor:
    convolution = cast(nn.Conv1d, layer)
    return F.conv1d(x, _stored(convolution.weight), _stored(cast(Tensor, convolution.bias)))


def _activated(layer: nn.Module, x: Tensor, resampling: tuple[Tensor, Tensor]) -> Tensor:
    """What an anti-aliased activation gives, in a tenth of the time for so short an input."""
    doubling, halving = resampling
    return cast(AntiAliasedSnake, layer).act(x @ doubling) @ halving


@lru_cache
def _resampling(num_frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Twice as many frames and half as many again, as products with these matrices; with filters as a file has them."""
    doubling = Doubler().bfloat16().to(device)(torch.eye(num_frames, device=device)[None])[0]
    halving = Halver().bfloat16().to(device)(torch.eye(2 * num_frames, device=device)[None])[0]
    return doubling, halving
