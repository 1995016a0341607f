"""Layers that work on some tokens at a time compute what they compute at once.

Alone: `pytest tests/engine/model/test_pieces.py`.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.model.layers import FeedForward
from engine.model.transformer import Pass, Transformer, rope_tables, strength_bias
from tests.fakes.live_bytes import LiveBytes
from tests.fakes.tiny_transformer import SHAPE, inputs, positions, tiny_transformer

PASSES = [Pass(), Pass(skip_video_attention=frozenset({1})), Pass(isolate_streams=True)]


@torch.no_grad()
def velocities(network: Transformer, *, is_biased: bool = False) -> tuple[Tensor, Tensor]:
    video, audio = inputs(network, 0.9, 0.6, 0.3)
    if is_biased:
        strengths = torch.rand(3, SHAPE.tokens, SHAPE.tokens, generator=torch.Generator().manual_seed(2))
        video = replace(video, attention_bias=strength_bias(strengths, torch.float32))
    picture, sound = network(video, audio, rope_tables(network.config, *positions()), PASSES)
    assert picture is not None
    assert sound is not None
    return picture, sound


@pytest.mark.parametrize("rope_type", ["split", "interleaved"])
@pytest.mark.parametrize("num_tokens", [1, 5, 17])
@pytest.mark.parametrize("is_biased", [False, True])
def test_pieces_of_any_size_change_no_more_than_rounding(rope_type: str, num_tokens: int, is_biased: bool) -> None:
    network = tiny_transformer(rope_type=rope_type)
    expected = velocities(network, is_biased=is_biased)

    network.cut_into_pieces(feed_forward=num_tokens, attention=num_tokens)

    for result, whole in zip(velocities(network, is_biased=is_biased), expected, strict=True):
        torch.testing.assert_close(result, whole, rtol=1e-5, atol=1e-5)


def test_whole_again_is_the_same_bit_for_bit() -> None:
    network = tiny_transformer()
    expected = velocities(network)
    network.cut_into_pieces(feed_forward=4, attention=4)

    network.cut_into_pieces(feed_forward=None, attention=None)

    assert all(torch.equal(*pair) for pair in zip(velocities(network), expected, strict=True))


def test_small_pieces_need_half_of_the_memory() -> None:
    layer, x = FeedForward(32), torch.randn(1, 2048, 32)

    def peak() -> int:
        with torch.no_grad(), LiveBytes([x, *layer.parameters()]) as live:
            layer(x)
        return live.peak

    whole = peak()
    layer.most_tokens = 128

    assert peak() < whole / 2
