"""From a text encoder's hidden states to the two text contexts: feature extraction, registers, connectors.

Follows Lightricks/LTX-2 (commit 400fd31). The text encoder itself is Gemma-3 as `transformers` implements it; loading
and running it lives with the weights, this module starts at its hidden states.

Shapes: B batch, T text tokens, H hidden width of the text encoder, L its hidden states (layers + 1), D context width.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from engine.model.attention import Attention, Rope, make_rope
from engine.model.config import ConnectorConfig, TextConfig
from engine.model.layers import FeedForward, rms_norm
from engine.model.linear import Linear

EPS = 1e-6


class TextProjection(nn.Module):
    """All hidden states of the text encoder, normalised and projected: one context per stream."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        features = config.hidden_size * config.num_hidden_states
        if config.shared_projection:
            self.aggregate_embed = Linear(features, config.hidden_size, bias=False)
        else:
            self.video_aggregate_embed = Linear(features, config.video.width)
            self.audio_aggregate_embed = Linear(features, config.audio.width)

    def forward(self, hidden_states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """hidden_states (B, T, H, L), mask (B, T) of 1 on text and 0 on padding -> two (B, T, D)."""
        valid = mask.bool()[:, :, None]
        if self.config.shared_projection:
            features = rearrange(_normalised_over_text(hidden_states, mask), "b t h l -> b t (h l)")
            shared = self.aggregate_embed(torch.where(valid, features, 0))
            return shared, shared
        normed = hidden_states * torch.rsqrt(hidden_states.square().mean(dim=2, keepdim=True) + EPS)
        features = torch.where(valid, rearrange(normed, "b t h l -> b t (h l)"), 0)
        hidden_size = self.config.hidden_size
        return (
            self.video_aggregate_embed(features * math.sqrt(self.config.video.width / hidden_size)),
            self.audio_aggregate_embed(features * math.sqrt(self.config.audio.width / hidden_size)),
        )


def _normalised_over_text(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """LTX-2.0: each layer centred and divided by its range over the valid tokens and channels, times eight."""
    valid = mask.bool()[:, :, None, None]
    count = mask.sum(dim=1).view(-1, 1, 1, 1) * hidden_states.shape[2]
    mean = torch.where(valid, hidden_states, 0).sum(dim=(1, 2), keepdim=True) / (count + EPS)
    low = torch.where(valid, hidden_states, math.inf).amin(dim=(1, 2), keepdim=True)
    high = torch.where(valid, hidden_states, -math.inf).amax(dim=(1, 2), keepdim=True)
    return 8 * (hidden_states - mean) / (high - low + EPS)


class ConnectorBlock(nn.Module):
    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.attn1 = Attention(
            config.width,
            config.width,
            num_heads=config.num_heads,
            head_dim=config.head_dim,
            gated=config.gated_attention,
        )
        self.ff = FeedForward(config.width)

    def forward(self, x: Tensor, rope: Rope) -> Tensor:
        x = x + self.attn1(rms_norm(x, EPS), rope=rope)
        return x + self.ff(rms_norm(x, EPS))


class Connector(nn.Module):
    """A bidirectional transformer over the text features, whose padding is replaced by learnt registers."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.config = config
        self.learnable_registers = nn.Parameter(torch.zeros(config.num_registers, config.width))
        self.transformer_1d_blocks = nn.ModuleList(ConnectorBlock(config) for _ in range(config.num_layers))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """features (B, T, D) with any padding, mask (B, T) -> context (B, T, D) without padding.

        T is a multiple of the register count. Text moves to the front in its order; every position after it takes the
        register of its own index.
        """
        x = self._with_registers(features, mask)
        positions = torch.arange(x.shape[1], dtype=torch.float32, device=x.device)[None, None]
        rope = make_rope(
            positions,
            (self.config.max_position,),
            width=self.config.width,
            num_heads=self.config.num_heads,
            theta=self.config.rope_theta,
            kind=self.config.rope_type,
            double_precision=self.config.rope_double_precision,
        ).to(x.dtype)
        for block in self.transformer_1d_blocks:
            x = block(x, rope)
        return rms_norm(x, EPS) if self.config.norm_output else x

    def _with_registers(self, features: Tensor, mask: Tensor) -> Tensor:
        num_tokens = features.shape[1]
        assert num_tokens % self.config.num_registers == 0, (num_tokens, self.config.num_registers)
        order = torch.argsort(mask.bool().logical_not().to(torch.uint8), dim=1, stable=True)
        text_first = torch.gather(features, 1, order[:, :, None].expand_as(features))
        registers = self.learnable_registers.to(features.dtype).repeat(num_tokens // self.config.num_registers, 1)
        is_text = torch.arange(num_tokens, device=mask.device) < mask.sum(dim=1, keepdim=True)
        return torch.where(is_text[:, :, None], text_first, registers)
