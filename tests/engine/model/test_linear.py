"""The linear layer with the CPU's faster kernel. Alone: `pytest tests/engine/model/test_linear.py`."""

import pytest
import torch
from torch import Tensor, nn

from engine.model.linear import Linear
from tests.fakes.tiny_transformer import randomise


def layers(*, bias: bool = True) -> tuple[Linear, nn.Linear]:
    """Ours and PyTorch's, with the same weights."""
    ours, theirs = Linear(24, 40, bias=bias), nn.Linear(24, 40, bias=bias)
    randomise(ours, seed=1)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


INPUTS = {
    "one token": torch.randn(1, 1, 24),
    "a batch": torch.randn(3, 7, 24),
    "no batch": torch.randn(24),
    "a matrix": torch.randn(5, 24),
    "no token": torch.randn(2, 0, 24),
    "one sample seen as four": torch.randn(1, 7, 24).expand(4, -1, -1),
    "a part of wider tokens": torch.randn(3, 7, 48)[..., ::2],
    "tokens in another order": torch.randn(3, 24, 7).mT,
}


@pytest.mark.parametrize("bias", [True, False], ids=["with bias", "without"])
@pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS.keys())
def test_a_layer_equals_that_of_pytorch(x: Tensor, *, bias: bool) -> None:
    ours, theirs = layers(bias=bias)

    with torch.no_grad():
        result, expected = ours(x), theirs(x)

    assert result.shape == expected.shape
    assert torch.allclose(result, expected, atol=1e-5)
    assert result.is_contiguous()  # a LoRA adds to it in place


def test_a_layer_in_bfloat16_equals_that_of_pytorch() -> None:
    ours, theirs = layers()
    x = INPUTS["a batch"].bfloat16()

    with torch.no_grad():
        assert torch.equal(ours.bfloat16()(x), theirs.bfloat16()(x))


def test_gradients_reach_the_weights_and_the_input() -> None:
    ours, theirs = layers()
    x, same_x = (INPUTS["a batch"].clone().requires_grad_() for _ in range(2))

    ours(x).square().sum().backward()

    theirs(same_x).square().sum().backward()
    for one, other in (
        (x.grad, same_x.grad),
        (ours.weight.grad, theirs.weight.grad),
        (ours.bias.grad, theirs.bias.grad),
    ):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, rtol=1e-4)


def test_a_gradient_reaches_the_bias_of_a_layer_whose_weight_is_fixed() -> None:
    ours, _ = layers()
    ours.weight.requires_grad_(False)

    ours(INPUTS["a batch"]).sum().backward()

    assert ours.bias.grad is not None


def test_a_layer_can_be_built_and_run_on_the_meta_device() -> None:
    with torch.device("meta"):
        result = Linear(24, 40)(torch.empty(2, 3, 24))

    assert result.shape == (2, 3, 40)
