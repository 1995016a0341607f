"""Attention and rotary position embedding, shared by the transformer and the text connectors.

Shapes: B batch, T query tokens, S key tokens, N heads, K head width, A position axes, I = N x K.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.linear import Linear

RopeType = Literal["split", "interleaved"]


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of one set of tokens, ready to rotate their queries or keys.

    "split" rotates element i of a head's first half with element i of its second half: (B, N, T, K/2).
    "interleaved" rotates neighbouring pairs over the full width before the split into heads: (B, T, I/2).
    """

    cos: Tensor
    sin: Tensor
    kind: RopeType

    def to(self, dtype: torch.dtype) -> "Rope":
        return Rope(self.cos.to(dtype), self.sin.to(dtype), self.kind)

    def rows(self, tokens: slice) -> "Rope":
        """The tables of some of the tokens."""
        place = (slice(None), slice(None), tokens) if self.kind == "split" else (slice(None), tokens)
        return Rope(self.cos[place], self.sin[place], self.kind)


def rope_frequencies(count: int, theta: float, *, double_precision: bool) -> Tensor:
    """Angular frequencies rising from pi/2 to theta pi/2 in equal ratios -> (count,) fp32."""
    dtype = torch.float64 if double_precision else torch.float32
    exponents = torch.linspace(0.0, 1.0, count, dtype=dtype)
    return (torch.pow(torch.tensor(theta, dtype=dtype), exponents) * (math.pi / 2)).float()


def make_rope(
    positions: Tensor,
    max_positions: tuple[int, ...],
    *,
    width: int,
    num_heads: int,
    theta: float,
    kind: RopeType = "split",
    double_precision: bool = True,
) -> Rope:
    """Rotary tables for token positions (B, A, T) fp32, one normaliser per axis. Computed in fp32.

    Angles run frequency-major and axis-minor; where A does not divide the width, the missing pairs stand at the front
    and rotate by nothing.
    """
    limits = torch.tensor(max_positions, dtype=torch.float32, device=positions.device)
    centred = 2 * (positions.float() / limits[:, None]) - 1  # (B, A, T)
    count = width // (2 * len(max_positions))
    frequencies = rope_frequencies(count, theta, double_precision=double_precision).to(positions.device)
    angles = (centred.transpose(1, 2)[:, :, None, :] * frequencies[:, None]).flatten(2)  # (B, T, count x A)
    padding = width // 2 - angles.shape[-1]
    angles = F.pad(angles, (padding, 0))  # cos 0 = 1, sin 0 = 0
    if kind == "split":
        angles = angles.unflatten(-1, (num_heads, -1)).transpose(1, 2)
    return Rope(angles.cos(), angles.sin(), kind)


def rotate_split(x: Tensor, rope: Rope) -> Tensor:
    """Rotate heads (B, N, T, K)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat(
        [
            torch.addcmul(first * rope.cos, second, rope.sin, value=-1),
            torch.addcmul(second * rope.cos, first, rope.sin),
        ],
        dim=-1,
    )


def rotate_interleaved(x: Tensor, rope: Rope) -> Tensor:
    """Rotate neighbouring pairs of the unsplit width (B, T, I)."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    rotated = (
        torch.addcmul(first * rope.cos, second, rope.sin, value=-1),
        torch.addcmul(second * rope.cos, first, rope.sin),
    )
    return torch.stack(rotated, dim=-1).flatten(-2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(K) + mask) v over heads (B, N, T, K); the one place where a kernel is chosen."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys, rotary positions and per-head gates."""

    def __init__(
        self, query_dim: int, context_dim: int, *, num_heads: int, head_dim: int, gated: bool, eps: float = 1e-6
    ) -> None:
        super().__init__()
        inner = num_heads * head_dim
        self.num_heads = num_heads
        self.q_norm = nn.RMSNorm(inner, eps=eps)
        self.k_norm = nn.RMSNorm(inner, eps=eps)
        self.to_q = Linear(query_dim, inner)
        self.to_k = Linear(context_dim, inner)
        self.to_v = Linear(context_dim, inner)
        self.to_gate_logits = Linear(query_dim, num_heads) if gated else None
        self.to_out = nn.Sequential(Linear(inner, query_dim))
        self.most_tokens: int | None = None  # that ask at once; None: all

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        rope: Rope | None = None,
        context_rope: Rope | None = None,
        mask: Tensor | None = None,
        skip: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, query_dim), context (B, S, context_dim), default x -> (B, T, query_dim).

        `mask` is added to the attention logits (B, 1, T or 1, S). `skip` (B,) marks samples whose attention is
        replaced by its values (self-attention only); gates and output projection apply to them all the same.
        """
        context = x if context is None else context
        v = self._split(self.to_v(context))
        if skip is not None and bool(skip.all()):
            return self._projected(x, v)
        k = self._rotated(self.k_norm(self.to_k(context)), rope if context_rope is None else context_rope)
        if self.most_tokens is None or x.shape[1] <= self.most_tokens:
            return self._attend(x, k, v, rope, mask, skip, v)
        result = torch.empty_like(x)
        for start in range(0, x.shape[1], self.most_tokens):
            rows = slice(start, start + self.most_tokens)
            result[:, rows] = self._attend(
                x[:, rows].contiguous(),
                k,
                v,
                None if rope is None else rope.rows(rows),
                mask if mask is None or mask.shape[2] == 1 else mask[:, :, rows],
                skip,
                v[:, :, rows],
            )
        return result

    def _attend(
        self,
        x: Tensor,
        k: Tensor,
        v: Tensor,
        rope: Rope | None,
        mask: Tensor | None,
        skip: Tensor | None,
        own_values: Tensor,
    ) -> Tensor:
        """What the tokens x get of the keys and values; where samples skip attention, their own values."""
        attended = attention(self._rotated(self.q_norm(self.to_q(x)), rope), k, v, mask)
        if skip is not None:
            attended = torch.where(skip[:, None, None, None], own_values, attended)
        return self._projected(x, attended)

    def _projected(self, x: Tensor, attended: Tensor) -> Tensor:
        """Heads (B, N, T, K), gated by the tokens they are for, to (B, T, query_dim)."""
        heads = attended.transpose(1, 2)
        if self.to_gate_logits is not None:
            heads = heads * (2 * torch.sigmoid(self.to_gate_logits(x)))[..., None]
        return self.to_out(heads.flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _rotated(self, x: Tensor, rope: Rope | None) -> Tensor:
        if rope is None:
            return self._split(x)
        if rope.kind == "split":
            return rotate_split(self._split(x), rope)
        return self._split(rotate_interleaved(x, rope))
