"""Counted activations against tensors that are alive while the real networks compute.

Alone: `pytest tests/engine/pipelines/test_memory.py`.
"""

from itertools import chain

import pytest
import torch
from torch import nn

from engine.model import video_vae
from engine.model.config import TransformerConfig
from engine.model.tiles import choose_tiling
from engine.model.tiling import decode_tiled
from engine.model.transformer import StreamInput, Transformer, rope_tables
from engine.model.video_vae import VideoDecoder
from engine.pipelines.memory import (
    CONVOLUTION_CHUNK_BYTES,
    ONEDNN_THRESHOLD,
    DecodeMemory,
    StreamTokens,
    TokenPieces,
    decode_bytes,
    transformer_bytes,
)
from engine.pipelines.stages import to_frames
from engine.training.blank import make_modules, small_shape
from engine.types import Size, latent_frame_count
from engine.weights.keymap import Role
from tests.fakes.live_bytes import LiveBytes
from tests.fakes.tiny_transformer import tiny_transformer

VIDEO_TOKENS, AUDIO_TOKENS, TEXT_TOKENS = 1500, 40, 32
CPU = DecodeMemory.on("cpu", 4)


def parameters(module: nn.Module) -> list[torch.Tensor]:
    return list(chain(module.parameters(), module.buffers()))


def stream(config: TransformerConfig, tokens: int, passes: int, *, is_video: bool) -> StreamInput:
    one = config.video if is_video else config.audio
    return StreamInput(
        latent=torch.randn(passes, tokens, one.in_channels),
        timesteps=torch.ones(passes, tokens),
        sigma=torch.ones(passes),
        context=torch.randn(passes, TEXT_TOKENS, one.context_dim),
    )


def live_bytes_of(network: Transformer, passes: int) -> int:
    """Of a forward pass, from making its rotary tables and inputs on."""
    with torch.no_grad(), LiveBytes(parameters(network)) as live:
        rope = rope_tables(network.config, torch.rand(1, 3, VIDEO_TOKENS, 2), torch.rand(1, 1, AUDIO_TOKENS, 2))
        video = stream(network.config, VIDEO_TOKENS, passes, is_video=True)
        audio = stream(network.config, AUDIO_TOKENS, passes, is_video=False)
        network(video, audio, rope)
    return live.peak


@pytest.mark.parametrize("passes", [1, 4])
def test_a_forward_pass_needs_the_counted_activations(passes: int) -> None:
    network = tiny_transformer()
    tokens = StreamTokens(VIDEO_TOKENS, AUDIO_TOKENS, TEXT_TOKENS)

    counted = transformer_bytes(network.config, tokens, passes=passes, element=4)

    assert counted == pytest.approx(live_bytes_of(network, passes), rel=0.15)


def test_pieces_of_tokens_need_less_and_the_smaller_the_less() -> None:
    config = tiny_transformer().config
    tokens = StreamTokens(14_080, 126, 1024)

    def counted(piece: int | None) -> int:
        return transformer_bytes(config, tokens, passes=1, element=2, pieces=TokenPieces(piece, piece))

    assert counted(2048) < counted(4096) < counted(None) == counted(20_000)


@pytest.mark.parametrize(("size", "frames"), [(Size(256, 256), 97), (Size(384, 256), 65)])
def test_decoding_needs_the_counted_bytes(size: Size, frames: int) -> None:
    decoder = make_modules(small_shape())[Role.VIDEO_DECODER].eval()
    assert isinstance(decoder, VideoDecoder)
    latents = torch.randn(
        1, decoder.config.latent_channels, latent_frame_count(frames), size.height // 32, size.width // 32
    )
    tiling = choose_tiling(size)

    with torch.no_grad(), LiveBytes([latents, *parameters(decoder)]) as live:
        for tile in decode_tiled(decoder, latents, tiling):
            if tile.chunk is not None:
                to_frames(tile.chunk)

    counted = decode_bytes(decoder.config, size, frames, tiling, CPU).device
    assert counted == pytest.approx(live.peak, rel=0.1)


def test_smaller_tiles_need_less_to_decode() -> None:
    config = make_modules(small_shape())[Role.VIDEO_DECODER]
    assert isinstance(config, VideoDecoder)
    size = Size(1280, 704)

    peaks = [
        decode_bytes(config.config, size, 121, choose_tiling(size, long_side=side), CPU).tile
        for side in (768, 512, 384, 256)
    ]

    assert peaks == sorted(peaks, reverse=True)
    assert len(set(peaks)) == len(peaks)


def test_blending_is_what_is_left_when_the_network_works_elsewhere() -> None:
    decoder = make_modules(small_shape())[Role.VIDEO_DECODER]
    assert isinstance(decoder, VideoDecoder)
    size = Size(512, 320)

    peaks = decode_bytes(decoder.config, size, 97, choose_tiling(size), CPU)

    assert max(peaks.tile, peaks.blend) <= peaks.together <= peaks.tile + peaks.blend


def test_a_gpu_works_on_larger_pieces_than_a_processor() -> None:
    assert CONVOLUTION_CHUNK_BYTES["cpu"] == video_vae.CHUNK_BYTES_CPU
    assert video_vae.CHUNK_BYTES_GPU == CONVOLUTION_CHUNK_BYTES["cuda"] == CONVOLUTION_CHUNK_BYTES["mps"]
    assert video_vae._ONEDNN_THRESHOLD == ONEDNN_THRESHOLD  # pyright: ignore[reportPrivateUsage]
