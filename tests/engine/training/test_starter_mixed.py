"""Products in bf16 stay near those in fp32, and replacing layers changes neither names nor weights.

Alone: `pytest tests/engine/training/test_starter_mixed.py`.
"""

import torch
from torch import nn

from engine.training.mixed import MixedLinear, multiply_in_bf16

BF16_STEP = 2**-8  # of a number, between neighbours


def test_a_product_and_its_gradients_are_those_of_fp32_within_the_rounding_of_bf16() -> None:
    torch.manual_seed(0)
    exact = nn.Linear(96, 40)
    mixed = MixedLinear.sharing(exact)
    x = torch.randn(7, 5, 96, requires_grad=True)
    target = torch.randn(7, 5, 40)

    def results(layer: nn.Linear) -> list[torch.Tensor]:
        output = layer(x)
        return [output, *torch.autograd.grad((output * target).sum(), [x, exact.weight, exact.bias])]

    for one, other in zip(results(mixed), results(exact), strict=True):
        assert one.dtype == torch.float32
        error = float((one - other).detach().norm() / other.detach().norm())
        assert error < BF16_STEP


def test_replaced_layers_keep_names_and_parameters() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 2, bias=False)))
    before = dict(module.named_parameters())
    multiply_in_bf16(module)
    assert all(isinstance(layer, MixedLinear) for layer in (module[0], module[1].get_submodule("0")))
    assert {name: id(value) for name, value in module.named_parameters()} == {
        name: id(value) for name, value in before.items()
    }
