"""The transformer equals diffusers' on random weights, and its shortcuts equal its own plain path.

Alone: `pytest tests/parity/test_transformer.py`. What diffusers does otherwise than the official code (unequal noise
levels, image conditions) is covered by the official implementation's own tensors in test_golden.py.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.model.attention import rope_frequencies
from engine.model.layers import AdaLayerNormSingle, timestep_features
from engine.model.transformer import Pass, RopeTables, StreamInput, Transformer, rope_tables, strength_bias
from engine.sampling.latents import LatentGrid, LatentShape, audio_positions, video_positions
from tests.fakes.tiny_transformer import (
    AUDIO_TOKENS,
    SHAPE,
    TEXT_TOKENS,
    inputs,
    positions,
    randomise,
    tiny_transformer,
)
from tests.parity import transformer_twin
from tests.parity.golden_files import assert_close

LTX_2_0 = {
    "apply_gated_attention": None,
    "cross_attention_adaln": None,
    "caption_proj_before_connector": None,
    "caption_channels": 24,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "2.3": {},
    "2.0": LTX_2_0,
    "2.3, more and narrower heads, fewer layers": {
        "num_layers": 1,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "audio_num_attention_heads": 4,
        "audio_attention_head_dim": 4,
    },
    "2.3, other channels, as wide in sound as in picture": {
        "in_channels": 6,
        "out_channels": 10,
        "audio_in_channels": 4,
        "audio_out_channels": 12,
        "audio_attention_head_dim": 16,
        "audio_cross_attention_dim": 32,
    },
    "2.3 without gates, with coarse frequencies and other limits": {
        "apply_gated_attention": False,
        "frequencies_precision": "float32",
        "positional_embedding_max_pos": [10, 512, 1024],
        "audio_positional_embedding_max_pos": [30],
        "positional_embedding_theta": 1000.0,
    },
    "2.0 with gates, five layers, gates on another time scale": {
        **LTX_2_0,
        "apply_gated_attention": True,
        "num_layers": 5,
        "av_ca_timestep_scale_multiplier": 500,
    },
    "2.0, interleaved rotary embedding": {**LTX_2_0, "rope_type": "interleaved"},
    "2.5's bias-free picture feed-forward": {"ff_bias": False},
}
STG_BLOCK = 1


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def network() -> Transformer:
    return tiny_transformer()


def tables(network: Transformer, *, has_audio: bool = True) -> RopeTables:
    video, audio = positions()
    return rope_tables(network.config, video, audio if has_audio else None)


def both(velocities: tuple[Tensor | None, Tensor | None]) -> tuple[Tensor, Tensor]:
    video, audio = velocities
    assert video is not None
    assert audio is not None
    return video, audio


def assert_both_close(actual: tuple[Tensor | None, Tensor | None], expected: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(both(actual), expected, strict=True):
        assert_close(one, other)


# --- against diffusers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_a_forward_pass_equals_that_of_diffusers(name: str) -> None:
    network = tiny_transformer(seed=len(name), **CONFIGS[name])
    video, audio = inputs(network, 0.725, 1.0)

    velocities = network(video, audio, tables(network))

    assert_both_close(velocities, transformer_twin.forward(transformer_twin.twin(network), video, audio, *positions()))


def test_skipped_self_attention_equals_that_of_diffusers() -> None:
    network = tiny_transformer()
    video, audio = inputs(network, 0.5, 0.5)
    skipped = frozenset({STG_BLOCK})

    velocities = network(video, audio, tables(network), [Pass(), Pass(skipped, skipped)])

    oracle = transformer_twin.twin(network)
    options: dict[str, Any] = {
        "spatio_temporal_guidance_blocks": [STG_BLOCK],
        "perturbation_mask": torch.tensor([1.0, 0.0]),
    }
    assert_both_close(velocities, transformer_twin.forward(oracle, video, audio, *positions(), **options))


def test_isolated_streams_equal_those_of_diffusers(network: Transformer) -> None:
    video, audio = inputs(network, 0.5)

    velocities = network(video, audio, tables(network), [Pass(isolate_streams=True)])

    oracle = transformer_twin.twin(network)
    assert_both_close(velocities, transformer_twin.forward(oracle, video, audio, *positions(), isolate_modalities=True))


# --- batches and passes -----------------------------------------------------------------------------------------------

BLOCK = frozenset({STG_BLOCK})
PASSES = {
    "plain": Pass(),
    "negative": Pass(),  # differs in its text alone
    "perturbed": Pass(BLOCK, BLOCK),
    "perturbed in the picture alone": Pass(skip_video_attention=BLOCK),
    "perturbed in the sound alone": Pass(skip_audio_attention=BLOCK),
    "isolated": Pass(isolate_streams=True),
}


def sample(stream: StreamInput, index: int) -> StreamInput:
    own = slice(index, index + 1)
    return replace(
        stream,
        latent=stream.latent[own],
        timesteps=stream.timesteps[own],
        sigma=stream.sigma[own],
        context=stream.context[own],
    )


def test_passes_in_one_batch_equal_passes_one_by_one(network: Transformer) -> None:
    video, audio = inputs(network, *([0.725] * len(PASSES)))
    rope, passes = tables(network), list(PASSES.values())

    together = both(network(video, audio, rope, passes))

    for index, deviation in enumerate(passes):
        alone = both(network(sample(video, index), sample(audio, index), rope, [deviation]))
        for one, other in zip(together, alone, strict=True):
            assert_close(one[index : index + 1], other)


@pytest.mark.parametrize("name", [name for name in PASSES if name not in ("plain", "negative")])
def test_a_pass_that_deviates_changes_the_result(network: Transformer, name: str) -> None:
    video, audio = inputs(network, 0.725)
    rope = tables(network)

    changed = both(network(video, audio, rope, [PASSES[name]]))

    for one, other in zip(changed, both(network(video, audio, rope)), strict=True):
        assert not torch.allclose(one, other, rtol=1e-3)


def test_isolated_streams_do_not_notice_each_other(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)
    rope, isolated = tables(network), [Pass(isolate_streams=True)]
    louder = replace(audio, latent=3 * audio.latent)

    assert torch.equal(both(network(video, audio, rope, isolated))[0], both(network(video, louder, rope, isolated))[0])


def test_a_silent_pass_equals_an_isolated_picture(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)

    alone, nothing = network(video, None, tables(network, has_audio=False))

    assert nothing is None
    assert_close(alone, both(network(video, audio, tables(network), [Pass(isolate_streams=True)]))[0])


def test_a_pass_without_picture_equals_isolated_sound(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)
    _, sound_positions = positions()

    nothing, alone = network(None, audio, rope_tables(network.config, None, sound_positions))

    assert nothing is None
    assert_close(alone, both(network(video, audio, tables(network), [Pass(isolate_streams=True)]))[1])


def test_a_walk_yields_every_block_once_and_returns_the_velocities(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)
    walk = network.walk(video, audio, tables(network))
    blocks: list[int] = []

    while True:
        try:
            blocks.append(next(walk))
        except StopIteration as finished:
            velocities = finished.value
            break

    assert blocks == list(range(network.config.num_layers))
    assert_both_close(velocities, both(network(video, audio, tables(network))))


# --- modulation -------------------------------------------------------------------------------------------------------


def test_modulation_by_distinct_timesteps_equals_modulation_of_every_token() -> None:
    modulation = AdaLayerNormSingle(width=12, num_rows=3)
    randomise(modulation, seed=2)
    timesteps, table = torch.tensor([[0.0, 725, 725, 725], [421.875, 725, 0, 0]]), torch.randn(3, 12)

    result = modulation(timesteps)

    embedded = modulation.emb(timesteps.flatten())
    rows = modulation.linear(torch.nn.functional.silu(embedded)).view(2, 4, 3, 12)
    assert result.rows.shape == (3, 3, 12)  # three levels among eight tokens
    for index in range(3):
        assert_close(result.row(index, table), rows[:, :, index] + table[index])
    assert_close(result.head(table[0]), embedded.view(2, 4, 12) + table[0])


def test_one_timestep_in_each_sample_is_not_spread_over_the_tokens() -> None:
    modulation = AdaLayerNormSingle(width=12, num_rows=3)

    result = modulation(torch.tensor([[725.0] * 4, [0.0] * 4]))

    assert result.row(0, torch.zeros(3, 12)).shape == (2, 1, 12)


def test_a_token_is_modulated_by_its_own_timestep(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)
    given = torch.arange(SHAPE.tokens) < SHAPE.height * SHAPE.width
    conditioned = replace(video, timesteps=torch.where(given, 0.0, video.timesteps))

    assert not torch.allclose(
        both(network(conditioned, audio, tables(network)))[0], both(network(video, audio, tables(network)))[0]
    )


# --- masks ------------------------------------------------------------------------------------------------------------


def test_text_that_is_masked_might_as_well_be_missing(network: Transformer) -> None:
    video, audio = inputs(network, 0.725)
    hidden = torch.arange(TEXT_TOKENS) >= TEXT_TOKENS - 2
    bias = torch.where(hidden, torch.finfo(torch.float32).min, 0.0)[None, None, None]

    masked = network(replace(video, context_bias=bias), replace(audio, context_bias=bias), tables(network))

    shorter = [replace(stream, context=stream.context[:, : TEXT_TOKENS - 2]) for stream in (video, audio)]
    assert_both_close(masked, both(network(*shorter, tables(network))))


def test_tokens_seen_at_strength_zero_might_as_well_be_missing(network: Transformer) -> None:
    video, _ = inputs(network, 0.725)
    target = SHAPE.tokens - 4
    strengths = torch.ones(1, SHAPE.tokens, SHAPE.tokens)
    strengths[:, :target, target:] = 0
    rope = tables(network, has_audio=False)
    shorter = replace(video, latent=video.latent[:, :target], timesteps=video.timesteps[:, :target])
    fewer_positions = positions()[0][:, :, :target]

    masked, _ = network(replace(video, attention_bias=strength_bias(strengths, torch.float32)), None, rope)

    expected, _ = network(shorter, None, rope_tables(network.config, fewer_positions, None))
    assert_close(masked[:, :target], expected)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2.3", "2.0"])
def test_every_parameter_receives_a_gradient(name: str) -> None:
    with torch.enable_grad():
        network = tiny_transformer(**CONFIGS[name])
        video, audio = inputs(network, 0.725)
        given = torch.arange(SHAPE.tokens) < 2
        video = replace(video, timesteps=torch.where(given, 0.0, video.timesteps))

        velocities = both(network(video, audio, tables(network)))
        sum(velocity.square().mean() for velocity in velocities).backward()  # pyright: ignore[reportAttributeAccessIssue]

    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


# --- the official numbers ---------------------------------------------------------------------------------------------
# Measured with the official implementation (Lightricks/LTX-2, commit 400fd31) at the 22B's sizes.


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (682, {0: 1.5707964, 1: 1.5921853, 2: 1.6138654, 341: 158.14546, 680: 15496.947, 681: 15707.963}),
        (1024, {1: 1.5850024, 512: 157.78835, 1022: 15567.175}),
        (2048, {1: 1.5778799, 1024: 157.43341}),
    ],
    ids=["picture", "sound and across", "text connector"],
)
def test_rotary_frequencies_are_the_official_ones(count: int, expected: dict[int, float]) -> None:
    frequencies = rope_frequencies(count, 10000.0, double_precision=True)

    assert frequencies[list(expected)].tolist() == pytest.approx(list(expected.values()), rel=1e-6)


def official_tables() -> RopeTables:
    config = tiny_transformer().config
    config = replace(
        config,
        video=replace(config.video, num_heads=32, head_dim=128),
        audio=replace(config.audio, num_heads=32, head_dim=64),
        cross_rope_dim=2048,
    )
    grid = LatentGrid()
    return rope_tables(
        config, video_positions(LatentShape(3, 2, 3), Fraction(24), grid), audio_positions(AUDIO_TOKENS, grid)
    )


def test_the_rotary_table_of_a_picture_token_is_the_official_one() -> None:
    rope = official_tables().video
    assert rope is not None
    first_cos, first_sin, last_cos = rope.cos[0, 0, 7], rope.sin[0, 0, 7], rope.cos[0, 31, 7]

    assert first_cos[:8].tolist() == pytest.approx(
        [1, 1, 0.032719, 0.024541, 0.073564, 0.011781, 0.003489, 0.05322], abs=2e-6
    )
    assert first_sin[:8].tolist() == pytest.approx(
        [0, 0, -0.999465, -0.999699, -0.99729, -0.999931, -0.999994, -0.998583], abs=2e-6
    )
    # Angles of up to 15,708 leave fp32 three decimals.
    assert last_cos[-4:].tolist() == pytest.approx([0.324478, 0.865942, 0.923889, 0.382549], abs=2e-3)


def test_the_rotary_table_of_a_sound_token_is_the_official_one() -> None:
    rope = official_tables().audio
    assert rope is not None

    assert rope.cos[0, 0, 2, :4].tolist() == pytest.approx([0.010995, -0.003111, -0.017344, -0.031703], abs=2e-6)


def test_the_features_of_a_timestep_are_the_official_ones() -> None:
    features = timestep_features(torch.tensor([421.875, 0.0]))

    assert features[0, :4].tolist() == pytest.approx([0.620368, -0.993509, 0.618529, 0.782171], abs=2e-5)
    assert features[0, 128:132].tolist() == pytest.approx([0.784311, 0.113752, 0.785762, 0.623064], abs=2e-5)
    assert features[1].tolist() == [1.0] * 128 + [0.0] * 128


def test_a_rotary_table_is_rounded_once_at_its_end(network: Transformer) -> None:
    coarse = rope_tables(network.config, *positions(), dtype=torch.bfloat16).video
    fine = tables(network).video
    assert coarse is not None
    assert fine is not None

    assert torch.equal(coarse.cos, fine.cos.bfloat16())
