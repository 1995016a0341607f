"""Flow matching: which noise levels training visits, what the network sees there, and how its answer is judged.

x_s = (1 - s) x0 + s n, and the target is the velocity n - x0 (Lipman et al., 2023; Liu et al., 2023). Noise levels are
shifted towards 1 as the schedule of a run is (Esser et al., 2024; Lightricks/LTX-2, commit 400fd31). States come from
`engine.sampling.conditioning`, so a training batch is made of what a run would make.

Shapes: B batch, C channels, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.transformer import StreamInput
from engine.sampling.conditioning import StreamState

_UNIFORM_SHARE: Final = 0.25  # of the draws: the last steps of a few-step run are long, and low
_LOWEST: Final = 1e-3  # levels below it are mirrored at it
_TAILS: Final = (-2.5758, 3.0902)  # the normal quantiles 0.005 and 0.999, which become 0 and 1


def noise_levels(rng: np.random.Generator, count: int, *, shift: float) -> NDArray[np.float32]:
    """Levels in (0, 1]: a normal draw around `shift`, through a sigmoid; some are uniform instead."""
    low, high = (_sigmoid(np.asarray(shift + quantile)) for quantile in _TAILS)
    levels = (_sigmoid(rng.standard_normal(count) + shift) - low) / (high - low)
    levels = np.where(levels < _LOWEST, 2 * _LOWEST - levels, levels)
    uniform = rng.uniform(_LOWEST, 1, count)
    return np.where(rng.random(count) < _UNIFORM_SHARE, uniform, levels).clip(_LOWEST, 1).astype(np.float32)


@dataclass(frozen=True)
class NoisyStream:
    """One stream of a training batch, each sample at its own noise level."""

    latent: Tensor  # (B, T, C): what the network sees; given tokens are clean
    timesteps: Tensor  # (B, T)
    sigma: Tensor  # (B,)
    positions: Tensor  # (B, axes, T, 2)
    velocity: Tensor  # (B, T, C): what it should answer where the mask is 1
    mask: Tensor  # (B, T, 1)

    @classmethod
    def at(cls, states: Sequence[StreamState], sigmas: Sequence[float], rng: np.random.Generator) -> "NoisyStream":
        """States of one sample each, whose `latent` holds the clean target, with fresh noise."""
        samples = [cls._sample(state, sigma, rng) for state, sigma in zip(states, sigmas, strict=True)]
        return cls(**{item.name: torch.cat([getattr(sample, item.name) for sample in samples]) for item in fields(cls)})

    @classmethod
    def _sample(cls, state: StreamState, sigma: float, rng: np.random.Generator) -> "NoisyStream":
        noise = torch.from_numpy(rng.standard_normal(tuple(state.latent.shape), dtype=np.float32))
        return cls(
            latent=state.with_noise(noise, sigma),
            timesteps=state.timesteps(sigma),
            sigma=state.stream_sigma(sigma),
            positions=state.positions,
            velocity=noise - state.latent,
            mask=state.mask,
        )

    @property
    def is_uniform(self) -> bool:
        """Whether all tokens of a sample are at one noise level."""
        return bool((self.timesteps == self.timesteps[:, :1]).all())

    def to(self, device: torch.device | str) -> "NoisyStream":
        return NoisyStream(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    def with_context(self, context: Tensor) -> StreamInput:
        """As the transformer takes it."""
        return StreamInput(self.latent, self.timesteps, self.sigma, context)


def velocity_loss(velocity: Tensor, stream: NoisyStream) -> Tensor:
    """Mean squared error over the tokens to generate; 0 when there are none."""
    errors = (velocity.float() - stream.velocity).square().mean(dim=-1, keepdim=True)
    return (errors * stream.mask).sum() / stream.mask.sum().clamp_min(1)


def clip_loss(velocities: tuple[Tensor, Tensor | None], video: NoisyStream, audio: NoisyStream | None) -> Tensor:
    """The losses of both streams, added."""
    video_velocity, audio_velocity = velocities
    loss = velocity_loss(video_velocity, video)
    return loss if audio is None or audio_velocity is None else loss + velocity_loss(audio_velocity, audio)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))
