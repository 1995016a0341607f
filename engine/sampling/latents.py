"""Latents as token sequences: order, positions in time and space, and the noise they start from.

Shapes: B batch, C channels, F latent frames, H W latent rows and columns, T tokens, M latent mel bins.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from engine.model.config import AudioVaeConfig, VideoVaeConfig


class AVLatents(NamedTuple):
    """One tensor (B, T, C) for each stream that is present."""

    video: Tensor | None
    audio: Tensor | None


class LatentShape(NamedTuple):
    """The grid of a clip's video latent."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        return self.frames * self.height * self.width


@dataclass(frozen=True)
class LatentGrid:
    """How latents map to time and space; the defaults are LTX-2's."""

    time_factor: int = 8  # frames per video latent, the first one apart
    space_factor: int = 32  # pixels per latent row and column
    audio_hop_s: float = 0.01  # seconds per mel frame
    audio_factor: int = 4  # mel frames per audio latent, the first one apart

    @classmethod
    def of(cls, video: VideoVaeConfig, audio: AudioVaeConfig) -> "LatentGrid":
        """The grid of a checkpoint's autoencoders."""
        return cls(
            time_factor=video.time_factor,
            space_factor=video.space_factor,
            audio_hop_s=audio.hop_length / audio.sample_rate,
            audio_factor=audio.downsampling,
        )

    def audio_tokens(self, frames: int, frame_rate: Fraction) -> int:
        """Audio latents of a clip of `frames` pictures, rounded half to even as the official code does."""
        return round(float(frames / frame_rate) / (self.audio_hop_s * self.audio_factor))


def patchify_video(latent: Tensor) -> Tensor:
    """(B, C, F, H, W) -> (B, T, C), frame by frame, row by row."""
    return rearrange(latent, "b c f h w -> b (f h w) c")


def unpatchify_video(tokens: Tensor, shape: LatentShape) -> Tensor:
    """(B, T, C) -> (B, C, F, H, W)."""
    return rearrange(tokens, "b (f h w) c -> b c f h w", f=shape.frames, h=shape.height, w=shape.width)


def patchify_audio(latent: Tensor) -> Tensor:
    """(B, C, T, M) -> (B, T, C M)."""
    return rearrange(latent, "b c t m -> b t (c m)")


def unpatchify_audio(tokens: Tensor, channels: int) -> Tensor:
    """(B, T, C M) -> (B, C, T, M)."""
    return rearrange(tokens, "b t (c m) -> b c t m", c=channels)


def video_pixel_bounds(shape: LatentShape, grid: LatentGrid, *, causal: bool = True) -> Tensor:
    """Token bounds [start, end) in picture frames, rows and columns -> (1, 3, T, 2) fp32.

    `causal`: the first latent frame covers a single picture frame.
    """
    starts = torch.stack(
        torch.meshgrid(
            torch.arange(shape.frames) * grid.time_factor,
            torch.arange(shape.height) * grid.space_factor,
            torch.arange(shape.width) * grid.space_factor,
            indexing="ij",
        )
    ).flatten(1)
    extent = torch.tensor([grid.time_factor, grid.space_factor, grid.space_factor])
    bounds = torch.stack([starts, starts + extent[:, None]], dim=-1).float()
    if causal:
        bounds[0] = (bounds[0] + 1 - grid.time_factor).clamp(min=0)
    return bounds[None]


def video_positions(shape: LatentShape, frame_rate: Fraction, grid: LatentGrid) -> Tensor:
    """Token bounds in seconds, pixels and pixels -> (1, 3, T, 2) fp32."""
    return in_seconds(video_pixel_bounds(shape, grid), frame_rate)


def in_seconds(bounds: Tensor, frame_rate: Fraction) -> Tensor:
    """Bounds whose first axis counts frames, with that axis in seconds."""
    bounds = bounds.clone()
    bounds[:, 0] /= float(frame_rate)
    return bounds


def audio_positions(tokens: int, grid: LatentGrid) -> Tensor:
    """Token bounds [start, end) in seconds -> (1, 1, T, 2) fp32."""
    starts = torch.arange(tokens + 1) * grid.audio_factor + 1 - grid.audio_factor
    seconds = starts.clamp(min=0).float() * grid.audio_hop_s
    return torch.stack([seconds[:-1], seconds[1:]], dim=-1)[None, None]


# --- noise ------------------------------------------------------------------------------------------------------------


class NoiseSource(Protocol):
    """Where a run's noise comes from; every draw is standard normal, on the CPU."""

    def initial(self, shape: tuple[int, ...], *, stage: int, stream: str, dtype: torch.dtype) -> Tensor:
        """What a stage's latents start from."""
        ...

    def step(self, shape: tuple[int, ...], *, stage: int, stream: str, index: int) -> Tensor:
        """What a stochastic sampler adds during a stage, fp64."""
        ...


class CounterNoise:
    """Noise indexed by (seed, stage, stream, draw): no draw depends on another, on the device, or on what is appended.

    Target tokens come first in a sequence, so references behind them leave their noise as it was. Philox 4x64 counts,
    the Box-Muller transform makes its integers normal.
    """

    _STREAMS = ("video", "audio")

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def initial(self, shape: tuple[int, ...], *, stage: int, stream: str, dtype: torch.dtype) -> Tensor:
        return self._draw(shape, stage, stream, 0).to(dtype)

    def step(self, shape: tuple[int, ...], *, stage: int, stream: str, index: int) -> Tensor:
        return self._draw(shape, stage, stream, index + 1)

    def _draw(self, shape: tuple[int, ...], stage: int, stream: str, draw: int) -> Tensor:
        count = math.prod(shape)
        key = (self._seed % 2**64, stage << 40 | self._STREAMS.index(stream) << 32 | draw)
        raw = np.random.Philox(key=np.array(key, dtype=np.uint64)).random_raw(2 * ((count + 1) // 2))
        # The top 53 bits, centred in their cells, so that the logarithm never meets 0.
        uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(uniform[0::2])), 2 * np.pi * uniform[1::2]
        normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()[:count]
        return torch.from_numpy(normal).view(shape)


class ReferenceNoise:
    """The official order: one generator for the whole run, video before audio, one stage after the other.

    Official step noise does not depend on the user's seed: two generators with fixed seeds, one for whole steps and one
    for their midpoints.
    """

    _STEP_SEED = -1
    _MIDPOINT_SEED = 9999

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._steps = torch.Generator().manual_seed(self._STEP_SEED)
        self._midpoints = torch.Generator().manual_seed(self._MIDPOINT_SEED)

    def initial(self, shape: tuple[int, ...], *, stage: int, stream: str, dtype: torch.dtype) -> Tensor:
        del stage, stream  # the order of the calls decides
        return torch.randn(shape, generator=self._generator, dtype=dtype)

    def step(self, shape: tuple[int, ...], *, stage: int, stream: str, index: int) -> Tensor:
        """Samplers draw the midpoint's noise under even indices and the whole step's under odd ones."""
        del stage, stream
        generator = self._midpoints if index % 2 == 0 else self._steps
        return torch.randn(shape, generator=generator, dtype=torch.float64)
