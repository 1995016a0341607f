"""FP8 weights: found layer by layer, multiplied out while they are read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights import fp8
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load_module

LARGEST = 448.0  # of E4M3
HALF_STEP = 2.0**-4  # relative, of a normal number
SUBNORMAL_HALF_STEP = 2.0**-10  # absolute, below 2**-6


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """E4M3 values and the scale that lets the largest of them use the whole range."""
    scale = weight.abs().max() / LARGEST
    return (weight / scale).to(torch.float8_e4m3fn), scale


def open_saved(folder: Path, **tensors: Tensor) -> Checkpoint:
    save_file({name.replace("__", "."): tensor for name, tensor in tensors.items()}, folder / "fp8.safetensors")
    return Checkpoint.open(folder / "fp8.safetensors")


def entries(checkpoint: Checkpoint) -> dict[str, str]:
    return {key: key for key in checkpoint.tensors if not key.endswith("_scale")}


def load_two_layers(checkpoint: Checkpoint, dtype: torch.dtype) -> nn.ModuleDict:
    with torch.device("meta"):
        module = nn.ModuleDict({"a": nn.Linear(64, 32), "b": nn.Linear(64, 32)})
    return load_module(module, checkpoint, entries(checkpoint), dtype=dtype)


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(32, 64, generator=torch.Generator().manual_seed(1)) * 0.02


def test_layers_are_discovered_one_by_one(tmp_path: Path, weight: Tensor) -> None:
    values, scale = quantised(weight)
    checkpoint = open_saved(
        tmp_path,
        a__weight=values,
        a__weight_scale=scale,
        a__input_scale=torch.tensor(0.01),
        a__bias=torch.zeros(32),
        b__weight=weight.to(torch.bfloat16),
        c__weight=weight.to(torch.float8_e4m3fn),
        c__bias=torch.zeros(32).to(torch.float8_e4m3fn),
    )

    assert fp8.discover(checkpoint, entries(checkpoint)) == {
        "a.weight": fp8.Fp8Tensor("a.weight", "a.weight_scale", "a.input_scale"),
        "c.weight": fp8.Fp8Tensor("c.weight", None, None),
        "c.bias": fp8.Fp8Tensor("c.bias", None, None),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_scaled_weight_is_multiplied_out_with_one_rounding(
    tmp_path: Path, weight: Tensor, dtype: torch.dtype
) -> None:
    values, scale = quantised(weight)
    checkpoint = open_saved(
        tmp_path,
        a__weight=values,
        a__weight_scale=scale,
        a__bias=torch.ones(32),
        b__weight=weight.to(torch.bfloat16),
        b__bias=torch.ones(32),
    )

    module = load_two_layers(checkpoint, dtype)

    state = module.state_dict()
    assert torch.equal(state["a.weight"], (values.float() * scale).to(dtype))
    assert torch.equal(state["b.weight"], weight.to(torch.bfloat16).to(dtype))
    assert torch.equal(state["a.bias"], torch.ones(32, dtype=dtype))


def test_the_round_trip_error_of_a_scaled_weight_is_within_half_a_step(tmp_path: Path, weight: Tensor) -> None:
    values, scale = quantised(weight)
    checkpoint = open_saved(
        tmp_path,
        a__weight=values,
        a__weight_scale=scale,
        a__bias=torch.ones(32),
        b__weight=weight,
        b__bias=torch.ones(32),
    )

    restored = load_two_layers(checkpoint, torch.float32).state_dict()["a.weight"]

    bound = torch.maximum(weight.abs() * HALF_STEP, scale * SUBNORMAL_HALF_STEP)
    assert ((restored - weight).abs() <= bound * (1 + 1e-5)).all()
    assert not torch.equal(restored, weight)


def test_a_cast_file_is_read_as_it_is(tmp_path: Path, weight: Tensor) -> None:
    cast = weight.to(torch.float8_e4m3fn)
    bias = torch.randn(32).to(torch.float8_e4m3fn)
    checkpoint = open_saved(tmp_path, a__weight=cast, a__bias=bias, b__weight=cast.clone(), b__bias=bias.clone())

    state = load_two_layers(checkpoint, torch.bfloat16).state_dict()

    assert torch.equal(state["a.weight"], cast.to(torch.bfloat16))
    assert torch.equal(state["a.bias"], bias.to(torch.bfloat16))


def test_a_scale_beside_a_weight_that_is_not_fp8_is_refused(tmp_path: Path, weight: Tensor) -> None:
    checkpoint = open_saved(tmp_path, a__weight=weight, a__weight_scale=torch.tensor(0.1))

    with pytest.raises(CheckpointError, match=r"'a\.weight_scale' scales 'a\.weight', which is not FP8"):
        fp8.discover(checkpoint, entries(checkpoint))


def test_a_scale_of_more_than_one_number_is_refused(tmp_path: Path, weight: Tensor) -> None:
    checkpoint = open_saved(tmp_path, a__weight=weight.to(torch.float8_e4m3fn), a__weight_scale=torch.ones(32))

    with pytest.raises(CheckpointError, match=r"'a\.weight_scale' has the shape \(32,\)"):
        fp8.discover(checkpoint, entries(checkpoint))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_a_positive_number_is_refused(tmp_path: Path, weight: Tensor, scale: float) -> None:
    checkpoint = open_saved(tmp_path, a__weight=weight.to(torch.float8_e4m3fn), a__weight_scale=torch.tensor(scale))

    with pytest.raises(CheckpointError, match=r"scale of 'a\.weight'"):
        fp8.read_scales(checkpoint, fp8.discover(checkpoint, entries(checkpoint)))


def test_four_bit_weights_are_refused_with_a_remedy(tmp_path: Path) -> None:
    checkpoint = open_saved(
        tmp_path,
        a__weight=torch.zeros(4, 4, dtype=torch.uint8),
        a__weight_scale=torch.ones(4, 1).to(torch.float8_e4m3fn),
        a__weight_scale_2=torch.tensor(1.0),
    )

    with pytest.raises(CheckpointError, match="packed in 4 bits") as raised:
        fp8.discover(checkpoint, entries(checkpoint))

    assert "FP8 or bf16" in raised.value.remedy
