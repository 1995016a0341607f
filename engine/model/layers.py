"""The small layers that both token streams share: norms, feed-forward, and adaptive modulation by the noise level.

Shapes: B batch, T tokens, U distinct timesteps, R modulation rows, D width.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.linear import Linear

TIMESTEP_CHANNELS = 256  # width of the sinusoidal features of a timestep
MAX_PERIOD = 10000.0
_ROUNDED_UP = 12


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """x / rms(x) over the last axis, without a weight."""
    return F.rms_norm(x, (x.shape[-1],), eps=eps)


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x (1 + scale) + shift."""
    return torch.addcmul(shift, x, 1 + scale)


def timestep_features(timesteps: Tensor) -> Tensor:
    """Sinusoidal features of scaled timesteps (...) -> (..., 256) fp32: cosines first, then sines."""
    angles = timesteps.float()[..., None] * _timestep_frequencies(timesteps.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@cache
def _timestep_frequencies(device: torch.device) -> Tensor:
    """The same 128 numbers on every processor.

    Angles reach a thousand radians, so the last bit of a frequency shows in the fifth digit of a velocity, and the
    kernels for exp differ in it. Here each is rounded once, but for the one that the reference's processor rounded up
    although it lies 0.479 of a step above: that one alone decides whether its tensors are met to 1e-5 or to 1e-6.
    """
    half = TIMESTEP_CHANNELS // 2
    exponents = torch.arange(half, dtype=torch.float32) * (-math.log(MAX_PERIOD) / half)
    with torch.inference_mode(mode=False):
        frequencies = exponents.double().exp().float()
        frequencies[_ROUNDED_UP] = frequencies[_ROUNDED_UP].nextafter(torch.tensor(math.inf))
        return frequencies.to(device)


class GeluProjection(nn.Module):
    """A linear layer followed by GELU in its tanh approximation."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = Linear(width, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """Linear, GELU, linear, four times as wide inside."""

    def __init__(self, width: int, *, bias: bool = True) -> None:
        super().__init__()
        # The identity stands where the official file counts a dropout.
        self.net = nn.Sequential(
            GeluProjection(width, 4 * width, bias=bias), nn.Identity(), Linear(4 * width, width, bias=bias)
        )
        self.most_tokens: int | None = None  # that pass at once; None: all

    def forward(self, x: Tensor) -> Tensor:
        if self.most_tokens is None or x.shape[1] <= self.most_tokens:
            return self.net(x)
        result = torch.empty_like(x)
        for start in range(0, x.shape[1], self.most_tokens):
            rows = slice(start, start + self.most_tokens)
            result[:, rows] = self.net(x[:, rows].contiguous())
        return result


@dataclass(frozen=True)
class Modulation:
    """Modulation rows for every token, kept per distinct timestep and spread over the tokens only where they are used.

    A picture of 32,640 tokens has one distinct timestep, or two with an image condition; spreading nine rows of width
    4096 over all of them would cost 2.4 GB.
    """

    rows: Tensor  # (B, 1 or T, R, D), or (U, R, D) with `token_to_row`
    embedded: Tensor  # (B, 1 or T, D) or (U, D): the embedded timestep, which the output head uses again
    token_to_row: Tensor | None  # (B, T) index into U

    def row(self, index: int, table: Tensor) -> Tensor:
        """Row `index` with the block's own table (R', D) added -> (B, 1 or T, D)."""
        return self._spread(table[index].to(self.rows.dtype) + self.rows[..., index, :])

    def head(self, table_row: Tensor) -> Tensor:
        """The embedded timestep with a row (D,) of the output table added -> (B, 1 or T, D)."""
        return self._spread(table_row.to(self.embedded.dtype) + self.embedded)

    def _spread(self, values: Tensor) -> Tensor:
        return values if self.token_to_row is None else values[self.token_to_row]


class TimestepEmbedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(TIMESTEP_CHANNELS, width)
        self.linear_2 = Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(features)))


class TimestepEmbedding(nn.Module):
    """Holds the embedder under the key the checkpoint gives it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = TimestepEmbedder(width)

    def forward(self, timesteps: Tensor) -> Tensor:
        dtype = self.timestep_embedder.linear_1.weight.dtype
        return self.timestep_embedder(timestep_features(timesteps).to(dtype))


class AdaLayerNormSingle(nn.Module):
    """From timesteps to modulation rows, computed once per distinct timestep."""

    def __init__(self, width: int, num_rows: int) -> None:
        super().__init__()
        self.num_rows = num_rows
        self.emb = TimestepEmbedding(width)
        self.linear = Linear(width, num_rows * width)

    def forward(self, timesteps: Tensor) -> Modulation:
        """timesteps (B, T) fp32, already scaled -> rows for each of the B x T tokens."""
        is_training = torch.is_grad_enabled() and self.linear.weight.requires_grad
        values, token_to_row = _distinct(timesteps, is_shared=not is_training)
        embedded = self.emb(values)
        rows = self.linear(F.silu(embedded)).unflatten(-1, (self.num_rows, -1))
        return Modulation(rows, embedded, token_to_row)


def _distinct(timesteps: Tensor, *, is_shared: bool) -> tuple[Tensor, Tensor | None]:
    """Without `is_shared`, tokens keep rows of their own: gradients of shared ones are added up one by one, slowly."""
    if bool((timesteps == timesteps[:, :1]).all()):
        return timesteps[:, :1], None
    return torch.unique(timesteps, return_inverse=True) if is_shared else (timesteps, None)
