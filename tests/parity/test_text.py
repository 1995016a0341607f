"""Text features and connectors equal diffusers' on random weights, in the 2.3 and the 2.0 form.

Alone: `pytest tests/parity/test_text.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from torch import Tensor

from engine.model.config import (
    SHARED_PROJECTION_KEY,
    VIDEO_PROJECTION_KEY,
    ConnectorConfig,
    TextConfig,
    parse_text,
)
from engine.model.header import Section
from engine.model.text import Connector, TextProjection
from tests.fakes.tiny_transformer import randomise
from tests.parity.golden_files import assert_close

NUM_STATES, NUM_TOKENS = 5, 12
LTX_2_3: dict[str, Any] = {
    "caption_channels": 24,
    "caption_proj_before_connector": True,
    "caption_projection_first_linear": False,
    "caption_proj_input_norm": False,
    "caption_projection_second_linear": False,
    "connector_num_attention_heads": 2,
    "connector_attention_head_dim": 16,
    "connector_num_layers": 3,
    "audio_connector_num_attention_heads": 2,
    "audio_connector_attention_head_dim": 8,
    "connector_positional_embedding_max_pos": [4096],
    "connector_num_learnable_registers": 4,
    "connector_apply_gated_attention": True,
    "frequencies_precision": "float64",
}
LTX_2_0: dict[str, Any] = {
    "caption_channels": 24,
    "connector_num_attention_heads": 3,
    "connector_attention_head_dim": 8,
    "connector_num_layers": 2,
    "connector_positional_embedding_max_pos": [4096],
    "connector_num_learnable_registers": 6,
    "frequencies_precision": "float64",
}
CONFIGS = {
    "2.3": LTX_2_3,
    "2.3, ungated, other sizes": LTX_2_3
    | {
        "connector_apply_gated_attention": False,
        "connector_num_attention_heads": 4,
        "connector_num_layers": 1,
        "connector_num_learnable_registers": 12,
        "connector_positional_embedding_max_pos": [64],
    },
    "2.0": LTX_2_0,
    "2.0, interleaved rotary embedding": LTX_2_0 | {"rope_type": "interleaved"},
}


@dataclass(frozen=True)
class TextPath:
    """The modules between the text encoder and the transformer."""

    projection: TextProjection
    video: Connector
    audio: Connector

    def __call__(self, hidden_states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        video, audio = self.projection(hidden_states, mask)
        return self.video(video, mask), self.audio(audio, mask)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def parsed(values: dict[str, Any]) -> TextConfig:
    is_shared = "caption_proj_before_connector" not in values
    key = SHARED_PROJECTION_KEY if is_shared else VIDEO_PROJECTION_KEY
    section = Section(
        Path("tiny.safetensors"), "config", {"transformer": values | {"text_sequence_length": NUM_TOKENS}}
    )
    return parse_text(section, {key: (0, values["caption_channels"] * NUM_STATES)})


def build(values: dict[str, Any]) -> TextPath:
    config = parsed(values)
    path = TextPath(TextProjection(config), Connector(config.video), Connector(config.audio))
    for seed, module in enumerate((path.projection, path.video, path.audio)):
        randomise(module, seed)
    return path


def twin(path: TextPath) -> LTX2TextConnectors:
    config = path.projection.config
    options: dict[str, Any] = {
        "caption_channels": config.hidden_size,
        "text_proj_in_factor": config.num_hidden_states,
        "connector_rope_base_seq_len": config.video.max_position,
        "rope_theta": config.video.rope_theta,
        "rope_double_precision": config.video.rope_double_precision,
        "rope_type": config.video.rope_type,
        "per_modality_projections": not config.shared_projection,
        "proj_bias": not config.shared_projection,
        "video_hidden_dim": config.video.width,
        "audio_hidden_dim": config.audio.width,
    }
    for stream, connector in (("video", config.video), ("audio", config.audio)):
        options |= {
            f"{stream}_connector_num_attention_heads": connector.num_heads,
            f"{stream}_connector_attention_head_dim": connector.head_dim,
            f"{stream}_connector_num_layers": connector.num_layers,
            f"{stream}_connector_num_learnable_registers": connector.num_registers,
            f"{stream}_gated_attn": connector.gated_attention,
        }
    oracle = LTX2TextConnectors(**options)
    state = {
        name.replace("_aggregate_embed", "_text_proj_in").replace("aggregate_embed", "text_proj_in"): value
        for name, value in path.projection.state_dict().items()
    }
    for stream, connector in (("video", path.video), ("audio", path.audio)):
        for name, value in connector.state_dict().items():
            name = name.replace("transformer_1d_blocks", "transformer_blocks")  # noqa: PLW2901
            name = name.replace("q_norm", "norm_q").replace("k_norm", "norm_k")  # noqa: PLW2901
            state[f"{stream}_connector.{name}"] = value
    oracle.load_state_dict(state, strict=True)
    return oracle.eval()


def left_padded(*lengths: int) -> Tensor:
    return torch.tensor([[0] * (NUM_TOKENS - length) + [1] * length for length in lengths])


def hidden_states(values: dict[str, Any], batch: int) -> Tensor:
    """Layers of very different scales, as a text encoder's are."""
    generator = torch.Generator().manual_seed(11)
    states = torch.randn(batch, NUM_TOKENS, values["caption_channels"], NUM_STATES, generator=generator)
    return states * torch.logspace(-1, 2, NUM_STATES)


@pytest.mark.parametrize("name", CONFIGS)
def test_contexts_equal_those_of_diffusers_at_every_length_of_text(name: str) -> None:
    path, mask = build(CONFIGS[name]), left_padded(1, 2, 5, 7, NUM_TOKENS - 1, NUM_TOKENS)
    states = hidden_states(CONFIGS[name], len(mask))

    video, audio = path(states, mask)

    expected_video, expected_audio, _ = twin(path)(states, mask)
    assert_close(video, expected_video)
    assert_close(audio, expected_audio)


@pytest.mark.parametrize("name", ["2.3", "2.0"])
def test_what_stands_in_the_padding_does_not_matter(name: str) -> None:
    path, mask = build(CONFIGS[name]), left_padded(5)
    states = hidden_states(CONFIGS[name], 1)

    video, audio = path(states, mask)

    other_video, other_audio = path(torch.where(mask.bool()[:, :, None, None], states, 1e4), mask)
    assert torch.equal(video, other_video)
    assert torch.equal(audio, other_audio)


@pytest.mark.parametrize("name", ["2.3", "2.0"])
def test_prompts_in_one_batch_equal_prompts_one_by_one(name: str) -> None:
    path, mask = build(CONFIGS[name]), left_padded(3, 8)
    states = hidden_states(CONFIGS[name], 2)

    together = path(states, mask)

    for index in range(2):
        own = slice(index, index + 1)
        for one, other in zip(together, path(states[own], mask[own]), strict=True):
            assert_close(one[own], other)


def connector_without_layers() -> Connector:
    """What is left of a connector is the placing of its registers."""
    connector = Connector(
        ConnectorConfig(
            num_heads=1,
            head_dim=6,
            num_layers=0,
            num_registers=4,
            max_position=4096,
            gated_attention=False,
            norm_output=False,
            rope_theta=10000.0,
            rope_type="split",
            rope_double_precision=True,
        )
    )
    randomise(connector, seed=3)
    return connector


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, NUM_TOKENS])
def test_text_moves_to_the_front_and_registers_fill_the_rest_by_their_absolute_index(length: int) -> None:
    connector = connector_without_layers()
    features = torch.randn(1, NUM_TOKENS, 6)

    placed = connector(features, left_padded(length))[0]

    assert torch.equal(placed[:length], features[0, NUM_TOKENS - length :])
    for position in range(length, NUM_TOKENS):
        assert torch.equal(placed[position], connector.learnable_registers[position % 4])


def test_text_keeps_its_order_wherever_the_padding_stands() -> None:
    features = torch.randn(1, NUM_TOKENS, 6)
    mask = torch.tensor([[1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1]])

    placed = connector_without_layers()(features, mask)[0]

    assert torch.equal(placed[:5], features[0, [0, 3, 4, 6, 11]])


def test_features_are_scaled_by_the_root_of_each_streams_width() -> None:
    projection = build(CONFIGS["2.3"]).projection
    config = projection.config
    states = hidden_states(CONFIGS["2.3"], 1)
    heard: list[Tensor] = []
    for layer in (projection.video_aggregate_embed, projection.audio_aggregate_embed):
        layer.register_forward_pre_hook(lambda _layer, inputs: heard.append(inputs[0]))

    projection(states, left_padded(NUM_TOKENS))

    # A unit RMS in every token and layer, times the root of the widths' ratio.
    for features, width in zip(heard, (config.video.width, config.audio.width), strict=True):
        rms = features.unflatten(-1, (config.hidden_size, NUM_STATES)).square().mean(dim=2).sqrt()
        assert_close(rms, torch.full_like(rms, (width / config.hidden_size) ** 0.5), 1e-4)
