"""LTX-2.3's transformer in miniature, from a header's dict to random weights: real arithmetic in a few milliseconds."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.model.config import parse_transformer
from engine.model.header import Section
from engine.model.transformer import StreamInput, Transformer
from engine.sampling.latents import LatentGrid, LatentShape, audio_positions, video_positions

# Widths of 32 and 16; the picture's rotary table (3 axes) has a pair of padding, as in the 22B.
HEADER: dict[str, Any] = {
    "num_layers": 3,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 8,
    "out_channels": 8,
    "cross_attention_dim": 32,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 8,
    "audio_in_channels": 8,
    "audio_out_channels": 8,
    "audio_cross_attention_dim": 16,
    "apply_gated_attention": True,
    "cross_attention_adaln": True,
    "caption_proj_before_connector": True,
    "frequencies_precision": "float64",
    "av_ca_timestep_scale_multiplier": 1000,
}
SHAPE = LatentShape(3, 2, 3)
AUDIO_TOKENS = 5
TEXT_TOKENS = 4
FRAME_RATE = Fraction(25)


def tiny_transformer(seed: int = 0, **changes: Any) -> Transformer:
    """`changes` replace entries of the header; None takes one out."""
    values = {key: value for key, value in (HEADER | changes).items() if value is not None}
    network = Transformer(parse_transformer(Section(Path("tiny.safetensors"), "config", {"transformer": values})))
    randomise(network, seed)
    return network.eval()


def randomise(network: nn.Module, seed: int) -> None:
    """Weights that keep activations near one; biases, norms and tables that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("norm.weight"):
            value.copy_(1 + 0.3 * noise.tanh())
        elif name.endswith("weight"):
            value.copy_(noise / value[0].numel() ** 0.5)
        else:
            value.copy_(0.3 * noise)


def positions() -> tuple[Tensor, Tensor]:
    """Token bounds of SHAPE and AUDIO_TOKENS."""
    grid = LatentGrid()
    return video_positions(SHAPE, FRAME_RATE, grid), audio_positions(AUDIO_TOKENS, grid)


def inputs(network: Transformer, *sigmas: float, seed: int = 1) -> tuple[StreamInput, StreamInput]:
    """Random picture and sound, one sample for each noise level, all tokens at that level."""
    generator = torch.Generator().manual_seed(seed)
    config, levels = network.config, torch.tensor(sigmas)

    def stream(tokens: int, channels: int, context_dim: int) -> StreamInput:
        return StreamInput(
            latent=torch.randn(len(sigmas), tokens, channels, generator=generator),
            timesteps=levels[:, None].expand(-1, tokens),
            sigma=levels,
            context=torch.randn(len(sigmas), TEXT_TOKENS, context_dim, generator=generator),
        )

    caption = config.caption_channels
    return (
        stream(SHAPE.tokens, config.video.in_channels, caption or config.video.context_dim),
        stream(AUDIO_TOKENS, config.audio.in_channels, caption or config.audio.context_dim),
    )
