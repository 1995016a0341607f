"""Which keys belong to which component, and strict loading of what they name."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import build, load, load_module
from engine.weights.keymap import Role, entries_for
from tests.parity.golden_files import FOLDER

OFFICIAL = FOLDER / "checkpoint.safetensors"
IN_ONE_FILE = [role for role in Role if role is not Role.UPSAMPLER]


def checkpoint_of(path: Path, keys: Iterable[str]) -> Checkpoint:
    save_file({key: torch.zeros(1) for key in keys}, path / "m.safetensors", {"config": json.dumps({})})
    return Checkpoint.open(path / "m.safetensors")


# --- key maps ---------------------------------------------------------------------------------------------------------


def test_every_tensor_of_the_official_layout_belongs_to_one_component_except_shared_statistics() -> None:
    checkpoint = Checkpoint.open(OFFICIAL)

    owners = Counter(key for role in IN_ONE_FILE for key in entries_for(checkpoint, role).values())

    assert owners.keys() == checkpoint.tensors.keys()
    shared = {key for key, count in owners.items() if count == 2}
    assert shared == {key for key in checkpoint.tensors if "per_channel_statistics." in key}
    assert max(owners.values()) == 2


@pytest.mark.parametrize("role", IN_ONE_FILE)
def test_the_official_layout_names_exactly_the_tensors_of_our_module(role: Role) -> None:
    checkpoint = Checkpoint.open(OFFICIAL)

    expected = {key: tuple(tensor.shape) for key, tensor in build(checkpoint, role).state_dict().items()}

    shapes = checkpoint.shapes
    assert {key: shapes[name] for key, name in entries_for(checkpoint, role).items()} == expected


def test_the_transformer_leaves_the_connectors_out(tmp_path: Path) -> None:
    prefix = "model.diffusion_model."
    checkpoint = checkpoint_of(
        tmp_path, [f"{prefix}proj_out.weight", f"{prefix}video_embeddings_connector.learnable_registers"]
    )

    assert entries_for(checkpoint, Role.TRANSFORMER) == {"proj_out.weight": f"{prefix}proj_out.weight"}
    assert entries_for(checkpoint, Role.VIDEO_CONNECTOR) == {
        "learnable_registers": f"{prefix}video_embeddings_connector.learnable_registers"
    }


def test_only_the_first_vocoder_prefix_is_taken_off(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path, ["vocoder.vocoder.conv_pre.weight", "vocoder.bwe_generator.conv_pre.weight"])

    assert set(entries_for(checkpoint, Role.VOCODER)) == {"vocoder.conv_pre.weight", "bwe_generator.conv_pre.weight"}


def test_a_vocoder_file_with_bare_keys_keeps_its_inner_prefix(tmp_path: Path) -> None:
    keys = ["vocoder.conv_pre.weight", "bwe_generator.conv_pre.weight"]

    assert entries_for(checkpoint_of(tmp_path, keys), Role.VOCODER) == {key: key for key in keys}


def test_fp8_scales_and_legacy_statistics_are_set_apart(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(
        tmp_path,
        [
            "vae.encoder.conv.weight",
            "vae.encoder.conv.weight_scale",
            "vae.encoder.conv.input_scale",
            "vae.per_channel_statistics.mean-of-means",
            "vae.per_channel_statistics.channel",
            "vae.per_channel_statistics.mean-of-stds",
            "vae.per_channel_statistics.mean-of-stds_over_std-of-means",
        ],
    )

    assert set(entries_for(checkpoint, Role.VIDEO_ENCODER)) == {"conv.weight", "per_channel_statistics.mean-of-means"}


@pytest.mark.parametrize("prefix", ["", "encoder.", "vae.encoder."])
def test_a_component_is_found_in_every_split_layout(tmp_path: Path, prefix: str) -> None:
    statistics_prefix = prefix.removesuffix("encoder.")
    checkpoint = checkpoint_of(
        tmp_path, [f"{prefix}conv.weight", f"{statistics_prefix}per_channel_statistics.mean-of-means"]
    )

    assert entries_for(checkpoint, Role.VIDEO_ENCODER) == {
        "conv.weight": f"{prefix}conv.weight",
        "per_channel_statistics.mean-of-means": f"{statistics_prefix}per_channel_statistics.mean-of-means",
    }


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("vae.encoder.conv.weight", Role.VIDEO_DECODER),
        ("encoder.conv.weight", Role.VIDEO_DECODER),
        ("vae.per_channel_statistics.mean-of-means", Role.VIDEO_DECODER),
        ("vae.encoder.conv.weight", Role.UPSAMPLER),
        ("vocoder.conv_pre.weight", Role.TRANSFORMER),
    ],
)
def test_a_file_without_the_component_says_so(tmp_path: Path, key: str, role: Role) -> None:
    with pytest.raises(CheckpointError, match=f"holds no {role.value}"):
        entries_for(checkpoint_of(tmp_path, [key]), role)


# --- loading ----------------------------------------------------------------------------------------------------------


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale_shift_table = nn.Parameter(torch.zeros(2, 3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


WEIGHTS = {
    "linear.weight": torch.randn(2, 3).to(torch.bfloat16),
    "linear.bias": torch.randn(2).to(torch.bfloat16),
    "scale_shift_table": torch.randn(2, 3),
    "steps": torch.tensor(7),
}


def load_tiny(folder: Path, weights: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> Tiny:
    save_file(weights, folder / "tiny.safetensors")
    checkpoint = Checkpoint.open(folder / "tiny.safetensors")
    with torch.device("meta"):
        module = Tiny()
    return load_module(module, checkpoint, {key: key for key in checkpoint.tensors}, dtype=dtype)


def test_a_loaded_module_has_the_files_values_and_is_ready_for_inference(tmp_path: Path) -> None:
    module = load_tiny(tmp_path, WEIGHTS)

    state = module.state_dict()
    assert all(torch.equal(state[key], tensor.to(state[key].dtype)) for key, tensor in WEIGHTS.items())
    assert module.linear.weight.dtype == torch.float32
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_modulation_tables_and_integers_keep_the_files_type(tmp_path: Path) -> None:
    module = load_tiny(tmp_path, WEIGHTS, torch.bfloat16)

    assert {key: tensor.dtype for key, tensor in module.state_dict().items()} == {
        "linear.weight": torch.bfloat16,
        "linear.bias": torch.bfloat16,
        "scale_shift_table": torch.float32,
        "steps": torch.int64,
    }


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    weights = {key: tensor for key, tensor in WEIGHTS.items() if key != "linear.bias"}

    with pytest.raises(CheckpointError, match=r"lacks 'linear\.bias'"):
        load_tiny(tmp_path, weights)


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not have: 'extra'"):
        load_tiny(tmp_path, WEIGHTS | {"extra": torch.zeros(1)})


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"linear\.bias \(3,\) instead of \(2,\)"):
        load_tiny(tmp_path, WEIGHTS | {"linear.bias": torch.zeros(3)})


def test_a_loaded_component_holds_the_official_values() -> None:
    checkpoint = Checkpoint.open(OFFICIAL)
    values = load_file(OFFICIAL)

    module = load(checkpoint, Role.TRANSFORMER, dtype=torch.bfloat16)

    names = entries_for(checkpoint, Role.TRANSFORMER)
    assert all(torch.equal(tensor, values[names[key]]) for key, tensor in module.state_dict().items())


def test_the_vocoder_is_always_single_precision() -> None:
    module = load(Checkpoint.open(OFFICIAL), Role.VOCODER, dtype=torch.bfloat16)

    assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("name", ["spatial_x2", "spatial_x1_5", "temporal_x2"])
def test_an_upsampler_file_loads(name: str) -> None:
    checkpoint = Checkpoint.open(FOLDER / f"upsampler-{name}.safetensors")

    module = load(checkpoint, Role.UPSAMPLER)

    assert module.state_dict().keys() == checkpoint.tensors.keys()
