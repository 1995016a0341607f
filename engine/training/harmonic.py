"""The vocoder's last three stages, laid out by hand: an additive synthesiser of amplitudes, 25 of each a second.

Trained from noise on spectral distances, a vocoder learns silence: a tone at a wrong pitch is worse than none. And a
log-mel spectrogram hears a hundred decibels down, where eight bits of a weight's mantissa are a roar. So nothing that
makes samples is left to chance:

- every channel of the first stage is the amplitude of one *grain*, a piece of sound of 60 ms that fades into the
  same channel's next: a multiple of the frame rate up to 975 Hz, a band of noise on one side, or the onset of a thud;
- the second stage makes, 400 times a second, coefficients of short waves: thirteen that span all that is below 1 kHz
  and sounds on both sides, and ten wide bands for either side. The third turns these into samples. Where it must be
  pure, a weight is stored as two, the second holding what rounding to bfloat16 leaves of the first;
- the last activation is a gate. The slope of x + sin(a x)^2 / a is anything from zero to two, depending on where x
  lies, so a slow signal added to the sound opens and closes it, and what leaks in silence is gone;
- the residual blocks in between are silent but for two layers that make the gate's flanks steep.

A frame's grain is centred between that frame of the spectrogram and the next.
"""

import math
from typing import Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.vocoder import AntiAliasedSnake, Doubler, Generator, Halver, ResBlock
from engine.training.grains import (
    GATE,
    LINES,
    NUM_CHANNELS,
    NUM_PRECISE,
    RATE_HZ,
    STEP,
    TAPS,
    WAVE,
    grain_coefficients,
    precise_waves,
    wide_waves,
)

RATES: Final = (1, 16, 10, 4)  # of upsampling, which all of this is made for
KERNELS: Final = (1, TAPS, 20, 8)
_REMAINDER: Final = 256.0  # 2 to the bits of a bfloat16's mantissa
_SHARPENERS: Final = 2
_LINEAR: Final = 20.0  # the logarithm of an activation's beta that leaves nothing of its curve
_SWING: Final = 1 / 64  # of the sound around the gate: small beside its curve, large beside a float's rounding


class Synthesiser(nn.Module):
    """What the laid-out stages compute, without their detours: amplitudes (B, 96, T) -> waveform (B, 2, 640 T)."""

    def __init__(self) -> None:
        super().__init__()
        precise, wide = precise_waves(), wide_waves()
        self.grains = nn.Parameter(
            torch.from_numpy(grain_coefficients(precise, wide)).float()
        )  # (96, coefficients, taps)
        waves = np.zeros((NUM_PRECISE + 2 * len(wide), 2, WAVE))
        waves[:NUM_PRECISE] = precise[:, None]
        waves[NUM_PRECISE : -len(wide), 0] = wide
        waves[-len(wide) :, 1] = wide
        self.register_buffer("waves", torch.from_numpy(waves).float())
        is_learnt = torch.ones(NUM_CHANNELS, 1, 1)
        is_learnt[: len(LINES)] = 0  # the lines are pure as they are
        is_learnt[GATE] = 0  # and the gate has no sound of its own
        self.register_buffer("is_learnt", is_learnt)
        self.grains.register_hook(lambda gradient: gradient * self.get_buffer("is_learnt"))

    @torch.no_grad()
    def set_loudest(self, loudest: Tensor) -> None:
        """Let an amplitude of 1 in each channel stand for this one (96,)."""
        self.grains *= loudest[:, None, None]

    def forward(self, amplitudes: Tensor) -> Tensor:
        coefficients = _added_up(amplitudes, self.grains, RATES[1])
        sound = _added_up(coefficients, self.get_buffer("waves"), STEP)
        return sound * self._gate(amplitudes[:, GATE:])

    def _gate(self, channel: Tensor) -> Tensor:
        level = _added_up(channel, _gate_taps().to(channel), RATES[1])
        for _ in range(_SHARPENERS):
            level = _opened(level)
        return _opened(_added_up(level, _gate_wave().to(channel), STEP))

    @torch.no_grad()
    def install(self, generator: Generator) -> None:
        """Set the stages behind the generator's first to compute the same."""
        config = generator.config
        assert config.upsample_rates == RATES, config.upsample_rates
        assert config.upsample_kernels == KERNELS, config.upsample_kernels
        assert generator.ups[1].in_channels == NUM_CHANNELS, config.width
        assert len(generator.resblocks) == len(RATES), "one residual block for each stage"
        for block in generator.resblocks[1:]:
            for parameter in block.parameters():
                nn.init.zeros_(parameter)
        for up in generator.ups[1:]:
            for parameter in up.parameters():
                nn.init.zeros_(parameter)
        to_steps, to_phases, to_samples = (cast(nn.ConvTranspose1d, up) for up in generator.ups[1:])
        gate = self._install_grains(to_steps)
        _install_sharpeners(cast(ResBlock, generator.resblocks[1]), gate)
        self._install_waves(to_phases, gate)
        _install_output(to_samples, cast(AntiAliasedSnake, generator.act_post), generator.conv_post)

    def _install_grains(self, up: nn.ConvTranspose1d) -> int:
        """Returns the channel of the gate: behind the precise waves, their remainders and the wide ones."""
        precise = self.grains[:, :NUM_PRECISE]
        up.weight[:, :NUM_PRECISE] = _rounded(precise)
        up.weight[:, NUM_PRECISE : 2 * NUM_PRECISE] = _REMAINDER * (precise - _rounded(precise))
        gate = NUM_PRECISE + self.grains.shape[1]
        up.weight[:, 2 * NUM_PRECISE : gate] = self.grains[:, NUM_PRECISE:]
        up.weight[GATE, gate] = _gate_taps()[0, 0]
        return gate

    def _install_waves(self, up: nn.ConvTranspose1d, gate: int) -> None:
        """Outputs: left in four phases, right in four; the same of the remainders; the gate in four."""
        waves = self.get_buffer("waves").unflatten(2, (-1, RATES[3])).movedim(3, 2).flatten(1, 2)
        stored = torch.cat([_rounded(waves), _REMAINDER * (waves - _rounded(waves))], dim=1)
        up.weight[:NUM_PRECISE, : stored.shape[1]] = stored[:NUM_PRECISE]
        up.weight[NUM_PRECISE : 2 * NUM_PRECISE, : stored.shape[1]] = stored[:NUM_PRECISE] / _REMAINDER
        up.weight[2 * NUM_PRECISE : gate, : stored.shape[1]] = stored[NUM_PRECISE:]
        phases = slice(stored.shape[1], stored.shape[1] + RATES[3])
        up.weight[gate, phases] = _gate_wave()[0, 0].unflatten(0, (-1, RATES[3])).T


def _install_sharpeners(block: ResBlock, gate: int) -> None:
    for layer, (conv1, act1, conv2, act2) in enumerate(
        zip(block.convs1, block.acts1, block.convs2, block.acts2, strict=True)
    ):
        nn.init.constant_(cast(AntiAliasedSnake, act1).act.beta, _LINEAR)
        if layer >= _SHARPENERS:
            continue
        # x - (x - sin(pi/2 x)^2)
        cast(Tensor, conv1.weight)[gate, gate] = -1
        cast(Tensor, conv2.weight)[gate, gate] = 1
        nn.init.constant_(cast(AntiAliasedSnake, act2).act.alpha, math.log(math.pi / 2))


def _install_output(up: nn.ConvTranspose1d, activation: AntiAliasedSnake, last: nn.Conv1d) -> None:
    """For either side the gate with the sound added and with it taken away; then their difference."""
    first_tap = (KERNELS[3] - RATES[3]) // 2
    nn.init.zeros_(last.weight)
    nn.init.constant_(activation.act.alpha, math.log(math.pi / 2))
    nn.init.constant_(activation.act.beta, math.log(math.pi / 2))
    for side in range(2):
        for sign, channel in ((1, 2 * side), (-1, 2 * side + 1)):
            for phase in range(RATES[3]):
                value, tap = sign * _SWING, first_tap + phase
                up.weight[side * RATES[3] + phase, channel, tap] = value
                up.weight[(2 + side) * RATES[3] + phase, channel, tap] = value / _REMAINDER
                up.weight[4 * RATES[3] + phase, channel, tap] = 1
            cast(Tensor, up.bias)[channel] = -0.5  # where the slope is zero
            last.weight[side, channel] = sign / (4 * _SWING) * _brightening(last.kernel_size[0])


def _added_up(x: Tensor, kernel: Tensor, rate: int) -> Tensor:
    """The transposed convolution that a stage computes, in a fraction of its time: (B, C, T) -> (B, D, T rate)."""
    pieces = torch.einsum("bct,cdk->bdtk", x, kernel)
    head, tail = pieces[..., :rate], pieces[..., rate:]
    tail = F.pad(tail, (0, 2 * rate - kernel.shape[2]))
    trim = (kernel.shape[2] - rate) // 2
    whole = (F.pad(head, (0, 0, 0, 1)) + F.pad(tail, (0, 0, 1, 0))).flatten(2)
    return whole[..., trim : trim + rate * x.shape[2]]


def _opened(level: Tensor) -> Tensor:
    """0 at 0, 1 at 1, flat at both."""
    return (math.pi / 2 * level).sin().square()


def _rounded(value: Tensor) -> Tensor:
    return value.bfloat16().float()


def _gate_taps() -> Tensor:
    """A frame's share in the gate, step by step; the shares of all frames add up to one."""
    steps = (torch.arange(TAPS) - (TAPS - 1) / 2).abs()
    return ((TAPS / 2 - steps) / (TAPS - RATES[1])).clamp(0, 1)[None, None]


def _gate_wave() -> Tensor:
    """A step's share in the gate, sample by sample: triangles."""
    return (1 - (torch.arange(WAVE) - (WAVE - 1) / 2).abs() / STEP)[None, None]


def _brightening(taps: int) -> Tensor:
    """A filter that undoes, up to 7.6 kHz and within 6 %, what the last activation's resampling takes away."""
    impulse = torch.zeros(1, 1, 41)
    impulse[..., 20] = 1
    response = Halver()(Doubler()(impulse))[0, 0].double()
    turns = 2 * math.pi * torch.linspace(0, 7600, 200).double()[:, None] / RATE_HZ
    loss = (response * torch.cos(turns * (torch.arange(41) - 20))).sum(dim=1)
    cosines = torch.cos(turns * torch.arange(taps // 2 + 1)) * torch.tensor([1.0] + [2.0] * (taps // 2)).double()
    half = torch.linalg.lstsq(loss[:, None] * cosines, torch.ones(200, 1).double()).solution[:, 0]
    return torch.cat([half.flip(0)[:-1], half]).float()
