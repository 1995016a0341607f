"""LoRAs at run time against weights with the same LoRA folded in, and every style of naming them.

Alone: `pytest tests/engine/weights/test_lora.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint
from engine.weights.lora import attach
from engine.weights.lora_file import LoraFile, transformer_layers
from tests.fakes.checkpoints import PREFIX, write_lora, write_transformer
from tests.fakes.tiny_transformer import tiny_transformer

TOLERANCE = 1e-5  # fp32; sums in another order


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks[0](torch.tanh(self.first(x)))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network().requires_grad_(False)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(5))


def matrices(rank: int = 2, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "diffusion_model.first.lora_A.weight": torch.randn(rank, 6, generator=generator),
        "diffusion_model.first.lora_B.weight": torch.randn(8, rank, generator=generator),
        "diffusion_model.blocks.0.lora_A.weight": torch.randn(rank, 8, generator=generator),
        "diffusion_model.blocks.0.lora_B.weight": torch.randn(8, rank, generator=generator),
    }


def lora_of(folder: Path, tensors: dict[str, Tensor], name: str = "lora", **metadata: str) -> LoraFile:
    save_file(tensors, folder / f"{name}.safetensors", metadata)
    return LoraFile.open(folder / f"{name}.safetensors")


def fused(network: Network, *changes: tuple[dict[str, Tensor], float]) -> Network:
    copy = Network().requires_grad_(False)
    copy.load_state_dict(network.state_dict())
    for tensors, strength in changes:
        for layer in ("first", "blocks.0"):
            if f"diffusion_model.{layer}.lora_A.weight" not in tensors:
                continue
            a, b = (tensors[f"diffusion_model.{layer}.lora_{part}.weight"] for part in "AB")
            copy.get_parameter(f"{layer}.weight").add_(strength * b @ a)
    return copy


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_header_tells_layers_rank_and_size(tmp_path: Path) -> None:
    lora = lora_of(tmp_path, matrices(rank=3))

    assert set(lora.pairs) == {"first", "blocks.0"}
    assert lora.rank == 3
    assert lora.num_elements == 3 * (6 + 8 + 8 + 8)
    assert lora.ignored == ()


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model.", "transformer.", ""])
@pytest.mark.parametrize(
    ("down", "up"), [("lora_A", "lora_B"), ("lora_down", "lora_up"), ("lora_A.default", "lora_B.default")]
)
def test_other_trainers_names_are_understood(tmp_path: Path, prefix: str, down: str, up: str) -> None:
    lora = lora_of(
        tmp_path, {f"{prefix}first.{down}.weight": torch.zeros(2, 6), f"{prefix}first.{up}.weight": torch.zeros(8, 2)}
    )

    assert set(lora.pairs) == {"first"}


def rewritten(path: Path, name: str, rename: Callable[[str], str], **metadata: str) -> LoraFile:
    """A LoRA for the tiny transformer with other keys."""
    return lora_of(path.parent, {rename(key): tensor for key, tensor in load_file(path).items()}, name, **metadata)


def kohya(key: str) -> str:
    layer, part = key.removeprefix("diffusion_model.").split(".lora_") if ".lora_" in key else (key, "")
    if not part:  # alpha
        return f"lora_unet_{key.removeprefix('diffusion_model.').removesuffix('.alpha').replace('.', '_')}.alpha"
    return f"lora_unet_{layer.replace('.', '_')}.{'lora_down' if part[0] == 'A' else 'lora_up'}.weight"


def diffusers(key: str) -> str:
    names = {"patchify_proj": "proj_in", "audio_patchify_proj": "audio_proj_in", "adaln_single": "time_embed"}
    names |= {"audio_adaln_single": "audio_time_embed", "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate"}
    return ".".join(names.get(part, part) for part in key.replace("diffusion_model.", "transformer.", 1).split("."))


STYLES: dict[str, Callable[[str], str]] = {
    "official": lambda key: key,
    "ComfyUI": lambda key: f"model.{key}".replace("lora_A", "lora_down").replace("lora_B", "lora_up"),
    "kohya": kohya,
    "kohya of diffusers names": lambda key: kohya(diffusers(key).replace("transformer.", "diffusion_model.", 1)),
    "diffusers": diffusers,
    "PEFT": lambda key: (
        "base_model.model." + key.removeprefix("diffusion_model.").replace(".weight", ".default.weight")
    ),
    "old diffusers": lambda key: diffusers(key).replace("lora_A", "lora.down").replace("lora_B", "lora.up"),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_file_of_every_style_does_the_same_to_every_layer(tmp_path: Path, style: str) -> None:
    official = write_lora(tmp_path / "plain.safetensors", num_layers=1)
    layers = transformer_layers(write_transformer(tmp_path / "model.safetensors", num_layers=1))
    expected = LoraFile.open(official)

    lora = rewritten(official, "styled", STYLES[style])

    match = lora.match(layers)
    assert set(match.layers) == set(layers) == set(expected.pairs)
    assert (match.unmatched, lora.ignored) == ((), ())
    for layer, name in match.layers.items():
        assert lora.pairs[name].rank == expected.pairs[layer].rank
        shape = lora.checkpoint.tensors[lora.pairs[name].down].shape
        assert shape == expected.checkpoint.tensors[expected.pairs[layer].down].shape


@pytest.mark.parametrize("style", STYLES)
def test_attached_files_of_every_style_equal_the_official_one_folded_in(tmp_path: Path, style: str) -> None:
    official = write_lora(tmp_path / "plain.safetensors", num_layers=1)
    tensors = load_file(official)
    plain, styled = tiny_transformer(num_layers=1), tiny_transformer(num_layers=1)
    styled.load_state_dict(plain.state_dict())
    generator = torch.Generator().manual_seed(0)

    attach(styled, rewritten(official, "styled", STYLES[style]), strength=0.7)

    layers = dict(styled.named_modules())
    for name, layer in plain.named_modules():
        if isinstance(layer, nn.Linear):
            down, up = (tensors[f"diffusion_model.{name}.lora_{part}.weight"].float() for part in "AB")
            with torch.no_grad():
                layer.weight += 0.7 / 2 * up @ down  # alpha is half the rank
                x = torch.randn(3, layer.in_features, generator=generator)
                assert torch.allclose(layers[name](x), layer(x), rtol=TOLERANCE, atol=TOLERANCE), name


def test_names_in_underscores_have_one_meaning_each() -> None:
    names = [name for name, layer in tiny_transformer().named_modules() if isinstance(layer, nn.Linear)]

    assert len({name.replace(".", "_") for name in names}) == len(names)


def test_the_layers_of_a_checkpoint_are_the_linear_layers_of_its_network(tmp_path: Path) -> None:
    checkpoint = write_transformer(tmp_path / "model.safetensors", fp8_blocks=(1,), num_layers=2)

    layers = transformer_layers(checkpoint)

    network = tiny_transformer(num_layers=2)
    linear = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    assert layers == {name: (layer.out_features, layer.in_features) for name, layer in linear.items()}
    assert f"{PREFIX}{next(iter(layers))}.weight" in Checkpoint.open(tmp_path / "model.safetensors").tensors


@pytest.mark.parametrize(
    ("suffix", "words"), [("dora_scale", "DoRA"), ("lora_magnitude_vector", "DoRA"), ("lokr_w1", "LoKr")]
)
def test_other_kinds_than_a_plain_lora_are_refused_by_name(tmp_path: Path, suffix: str, words: str) -> None:
    tensors = matrices() | {f"diffusion_model.first.{suffix}": torch.ones(8, 1)}

    with pytest.raises(CheckpointError, match=f"is a {words}.*plain LoRA"):
        lora_of(tmp_path, tensors)


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"transformer.lora_alpha": 4}, 2.0),
        ({"lora_alpha": 4, "use_rslora": True}, 4 / 2**0.5),
        ({"lora_alpha": 4, "alpha_pattern": {"first": 1}}, 0.5),
        ({"r": 2}, 1.0),
    ],
)
def test_an_alpha_in_the_metadata_scales_too(
    tmp_path: Path, network: Network, x: Tensor, settings: dict[str, Any], scale: float
) -> None:
    tensors = {key: value for key, value in matrices(rank=2).items() if "first" in key}
    expected = fused(network, (tensors, scale))(x)

    attach(network, lora_of(tmp_path, tensors, lora_adapter_metadata=json.dumps(settings)))

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_unreadable_adapter_metadata_is_ignored_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lora = lora_of(tmp_path, matrices(), lora_adapter_metadata="{")

    assert {pair.header_scale for pair in lora.pairs.values()} == {1.0}
    assert "ignored" in caplog.text


def test_tensors_of_another_kind_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strays = {"diffusion_model.first.diff_b": torch.zeros(8), "diffusion_model.last.lora_A.weight": torch.zeros(2, 6)}

    lora = lora_of(tmp_path, matrices() | strays)

    assert set(lora.ignored) == strays.keys()
    assert "diff_b" in caplog.text


def test_a_file_without_a_pair_of_matrices_is_not_a_lora(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a LoRA"):
        lora_of(tmp_path, {"diffusion_model.first.weight": torch.zeros(8, 6)})


@pytest.mark.parametrize("up_shape", [(8, 3), (8, 2, 1)])
def test_matrices_that_do_not_multiply_are_refused(tmp_path: Path, up_shape: tuple[int, ...]) -> None:
    tensors = {"first.lora_A.weight": torch.zeros(2, 6), "first.lora_B.weight": torch.zeros(up_shape)}

    with pytest.raises(CheckpointError, match="do not form a product"):
        lora_of(tmp_path, tensors)


def test_reference_factors_come_from_the_metadata(tmp_path: Path) -> None:
    lora = lora_of(tmp_path, matrices(), reference_downscale_factor="2", reference_temporal_scale_factor="4")

    assert (lora.reference_downscale_factor, lora.reference_temporal_scale_factor) == (2, 4)
    assert lora.states_reference_factors


@pytest.mark.parametrize("metadata", [{}, {"reference_downscale_factor": "half"}, {"reference_downscale_factor": "0"}])
def test_absent_or_unreadable_reference_factors_are_one_and_said_to_be_unstated(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    lora = lora_of(tmp_path, matrices(), **metadata)

    assert (lora.reference_downscale_factor, lora.reference_temporal_scale_factor) == (1, 1)
    assert not lora.states_reference_factors


# --- run time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.7])
def test_an_attached_lora_equals_fused_weights(tmp_path: Path, network: Network, x: Tensor, strength: float) -> None:
    tensors = matrices()
    expected = fused(network, (tensors, strength))(x)

    attach(network, lora_of(tmp_path, tensors), strength=strength)

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_strength_changes_between_two_passes(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = matrices()
    expected = fused(network, (tensors, 0.25))(x)
    handle = attach(network, lora_of(tmp_path, tensors), strength=0.5)
    network(x)

    handle.strength = 0.25

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_strength_zero_is_exactly_the_base_model(tmp_path: Path, network: Network, x: Tensor) -> None:
    base = network(x)

    attach(network, lora_of(tmp_path, matrices()), strength=0)

    assert torch.equal(network(x), base)


def test_several_loras_add_up(tmp_path: Path, network: Network, x: Tensor) -> None:
    one, two = matrices(rank=2, seed=1), matrices(rank=3, seed=2)
    expected = fused(network, (one, 0.5), (two, 0.3))(x)

    attach(network, lora_of(tmp_path, one, "one"), strength=0.5)
    attach(network, lora_of(tmp_path, two, "two"), strength=0.3)

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_detaching_leaves_exactly_what_was_there(tmp_path: Path, network: Network, x: Tensor) -> None:
    base, keys = network(x), list(network.state_dict())
    handle = attach(network, lora_of(tmp_path, matrices()))
    assert list(network.state_dict()) == keys
    assert not torch.equal(network(x), base)

    handle.detach()

    assert torch.equal(network(x), base)
    assert handle.num_layers == 0


def test_detaching_one_of_two_keeps_the_other(tmp_path: Path, network: Network, x: Tensor) -> None:
    one, two = matrices(seed=1), matrices(seed=2)
    expected = fused(network, (two, 1.0))(x)
    first = attach(network, lora_of(tmp_path, one, "one"))
    attach(network, lora_of(tmp_path, two, "two"))

    first.detach()

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_alpha_scales_by_its_ratio_to_the_rank(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = matrices(rank=2)
    expected = fused(network, (tensors, 0.5))(x)
    alphas = {f"diffusion_model.{layer}.alpha": torch.tensor(1.0) for layer in ("first", "blocks.0")}

    attach(network, lora_of(tmp_path, tensors | alphas))

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_matrices_take_the_type_of_the_weights(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = {key: tensor.to(torch.bfloat16) for key, tensor in matrices().items()}
    expected = fused(network, ({key: tensor.float() for key, tensor in tensors.items()}, 1.0))(x)

    attach(network, lora_of(tmp_path, tensors))

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_layers_the_model_does_not_have_are_reported(
    tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    strays = {
        "diffusion_model.last.lora_A.weight": torch.zeros(2, 6),
        "diffusion_model.last.lora_B.weight": torch.zeros(8, 2),
    }

    handle = attach(network, lora_of(tmp_path, matrices() | strays))

    assert handle.match.unmatched == ("last",)
    assert handle.num_layers == 2
    assert handle.match.in_words() == "2 of its 3 layers fit, of 2 in the model"
    assert "last" in caplog.text


def test_a_lora_for_another_model_is_refused(tmp_path: Path, network: Network) -> None:
    tensors = {key.replace("first", "last").replace("blocks", "layers"): value for key, value in matrices().items()}

    with pytest.raises(CheckpointError, match="fits no layer of this model"):
        attach(network, lora_of(tmp_path, tensors))


def test_a_lora_for_a_larger_model_is_refused_before_anything_is_attached(
    tmp_path: Path, network: Network, x: Tensor
) -> None:
    base = network(x)
    tensors = matrices() | {"diffusion_model.first.lora_A.weight": torch.zeros(2, 12)}

    with pytest.raises(CheckpointError, match="another size"):
        attach(network, lora_of(tmp_path, tensors))

    assert torch.equal(network(x), base)
