"""Layers in eight bits: their error, and that they compute what they say. Alone: `pytest` with this file's path."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engine.model.linear import Linear
from engine.model.quantised import (
    E4M3_MAX,
    Fp8Linear,
    Int8Linear,
    QuantisedLinear,
    quantise_fp8,
    quantise_int8,
    scaled_product,
    unpack_fp8,
)
from tests.fakes.tiny_transformer import randomise

HALF_STEP = 2.0**-4  # of E4M3, relative to a normal number
SUBNORMAL_HALF_STEP = 2.0**-10  # absolute, below 2**-6
BF16_HALF_STEP = 2.0**-8  # relative
FP32_ROOM = 1 + 1e-5

WEIGHTS = {
    "of the usual spread": torch.randn(48, 64) * 0.02,
    "with an outlier": torch.randn(48, 64) * 0.02 + 3 * torch.eye(48, 64)[5],
    "of rows of different size": torch.randn(48, 64) * torch.logspace(-6, 1, 48)[:, None],
    "tiny": torch.randn(48, 64) * 1e-9,
    "zero": torch.zeros(48, 64),
    "in bf16": (torch.randn(48, 64) * 0.02).bfloat16(),
}
ALL_WEIGHTS = pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS.keys())
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def fp8_layer(layer: nn.Linear, *, input_scale: float | None = None) -> Fp8Linear:
    values, scale = quantise_fp8(layer.weight.detach())
    quantised = Fp8Linear(layer, weight_scale=scale, input_scale=input_scale)
    quantised.weight = nn.Parameter(values, requires_grad=False)
    return quantised


def int8_layer(layer: nn.Linear) -> Int8Linear:
    quantised = Int8Linear(layer)
    values, quantised.weight_scale = quantise_int8(layer.weight.detach())
    quantised.weight = nn.Parameter(values, requires_grad=False)
    return quantised


def plain_layer(*, bias: bool = True) -> Linear:
    layer = Linear(64, 48, bias=bias).requires_grad_(False)
    randomise(layer, seed=2)
    return layer


# --- error bounds -----------------------------------------------------------------------------------------------------


@ALL_WEIGHTS
@DTYPES
def test_an_fp8_weight_is_within_half_a_step_of_the_original(weight: Tensor, dtype: torch.dtype) -> None:
    values, scale = quantise_fp8(weight)

    restored = unpack_fp8(values, scale, dtype).float()

    bound = torch.maximum(weight.float().abs() * HALF_STEP, torch.tensor(scale * SUBNORMAL_HALF_STEP))
    bound += restored.abs() * (BF16_HALF_STEP if dtype == torch.bfloat16 else 0)
    assert ((restored - weight.float()).abs() <= bound * FP32_ROOM).all()
    assert values.float().abs().max() == (E4M3_MAX if weight.any() else 0)


@ALL_WEIGHTS
@DTYPES
def test_an_int8_weight_is_within_half_a_step_of_the_original(weight: Tensor, dtype: torch.dtype) -> None:
    values, scale = quantise_int8(weight)

    restored = (values.to(dtype) * scale.to(dtype)[:, None]).float()

    bound = scale[:, None] / 2 + restored.abs() * (BF16_HALF_STEP if dtype == torch.bfloat16 else 0)
    assert ((restored - weight.float()).abs() <= bound * FP32_ROOM).all()
    assert (
        (scale <= weight.float().abs().amax(dim=1).clamp(min=0) / 127 * (1 + BF16_HALF_STEP))
        .logical_or(~weight.any(dim=1))
        .all()
    )


def test_int8_scales_are_exact_in_bf16() -> None:
    _, scale = quantise_int8(WEIGHTS["of rows of different size"])

    assert torch.equal(scale.bfloat16().float(), scale)


@DTYPES
@pytest.mark.parametrize("scale", [1e-6, 0.00137, 1.0, 3.3, 200.0])
def test_every_fp8_number_is_unpacked_with_one_rounding(scale: float, dtype: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    numbers = every[~every.float().isnan()]

    assert torch.equal(unpack_fp8(numbers, scale, dtype), (numbers.float() * torch.tensor(scale)).to(dtype))


# --- layers -----------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("bias", [True, False], ids=["with bias", "without"])
@pytest.mark.parametrize("quantise", [fp8_layer, int8_layer])
def test_a_layer_computes_what_its_unpacked_weight_computes(
    quantise: Callable[[nn.Linear], QuantisedLinear], dtype: torch.dtype, *, bias: bool
) -> None:
    plain = plain_layer(bias=bias).to(dtype)
    layer = quantise(plain)
    twin = Linear(64, 48, bias=bias).requires_grad_(False).to(dtype)
    twin.weight.copy_(layer.unpacked(dtype))
    if bias:
        twin.bias.copy_(plain.bias)
    x = torch.randn(3, 7, 64).to(dtype)

    assert torch.equal(layer(x), twin(x))
    assert not torch.equal(layer(x), plain(x))
    assert layer.weight.element_size() == 1


def test_int8_is_the_finer_of_the_two_for_ordinary_weights() -> None:
    weight = WEIGHTS["of the usual spread"]
    fp8_values, fp8_scale = quantise_fp8(weight)
    values, scale = quantise_int8(weight)

    fp8_error = (unpack_fp8(fp8_values, fp8_scale, torch.float32) - weight).norm() / weight.norm()
    int8_error = (values.float() * scale[:, None] - weight).norm() / weight.norm()

    assert int8_error < 0.5 * fp8_error < 0.5 * HALF_STEP


# --- products in FP8 --------------------------------------------------------------------------------------------------


def rounded_input(x: Tensor, input_scale: float) -> Tensor:
    """What an input in FP8 stands for."""
    return (x / input_scale).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn).float() * input_scale


@pytest.mark.parametrize("largest", [0.5, 100.0], ids=["within range", "beyond range"])
def test_a_product_in_fp8_rounds_and_clamps_its_input(largest: float) -> None:
    layer, input_scale = plain_layer().bfloat16(), 0.01  # 4.48 at most
    values, scale = quantise_fp8(layer.weight)
    x = (torch.randn(2, 16, 64).clamp(-3, 3) * largest / 3).bfloat16()

    product = scaled_product(x, values, layer.bias, input_scale, scale)

    expected = rounded_input(x, input_scale) @ (values.float() * scale).t() + layer.bias.float()
    assert product.shape == (2, 16, 48)
    assert product.dtype == torch.bfloat16
    assert product.isfinite().all()
    assert (product.float() - expected).abs().max() <= 2 * BF16_HALF_STEP * expected.abs().max()


def test_on_the_cpu_the_input_is_not_rounded() -> None:
    layer = plain_layer().bfloat16()
    x = torch.randn(2, 16, 64).bfloat16()

    assert torch.equal(fp8_layer(layer, input_scale=0.01)(x), fp8_layer(layer)(x))


@pytest.mark.gpu
def test_a_gpu_multiplies_in_fp8_where_it_can() -> None:
    layer, input_scale = plain_layer().bfloat16().cuda(), 0.01
    x = torch.randn(2, 16, 64, device="cuda").bfloat16()
    quantised = fp8_layer(layer, input_scale=input_scale)

    result = quantised(x)

    with_rounded_input = rounded_input(x, input_scale).bfloat16()
    can_multiply = torch.cuda.get_device_capability() >= (8, 9)
    expected = fp8_layer(layer)(with_rounded_input if can_multiply else x)
    assert (result - expected).abs().max() <= 4 * BF16_HALF_STEP * expected.abs().max()
