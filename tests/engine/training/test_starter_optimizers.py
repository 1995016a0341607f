"""Muon takes the matrices of blocks, AdamW the rest, and both go on from a saved state.

Alone: `pytest tests/engine/training/test_starter_optimizers.py`.
"""

import torch
from torch import nn

from engine.training.optimizers import Optimizers, is_hidden_matrix


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(32, 64)])
        self.head = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.blocks[0](x)))


def stepped(network: Network, optimizers: Optimizers, count: int) -> None:
    x = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        optimizers.zero_grad()
        network(x).square().mean().backward()
        optimizers.step()


def made(seed: int = 0) -> tuple[Network, Optimizers]:
    torch.manual_seed(seed)
    network = Network()
    return network, Optimizers(network, learning_rate=1e-3, weight_decay=0.0, uses_muon=True)


def test_only_wide_matrices_of_blocks_are_made_orthogonal() -> None:
    network = Network()
    chosen = [name for name, item in network.named_parameters() if is_hidden_matrix(name, item)]
    assert chosen == ["blocks.0.weight"]


def test_an_update_of_a_hidden_matrix_has_nearly_equal_singular_values() -> None:
    network, optimizers = made()
    before = network.blocks[0].get_parameter("weight").detach().clone()
    stepped(network, optimizers, 1)
    values = torch.linalg.svdvals(network.blocks[0].get_parameter("weight").detach() - before)
    # The iteration that orthogonalises stops at singular values between about 0.7 and 1.2 times the same; a gradient
    # of eight samples has at most eight that are not zero.
    assert float(values[7] / values[0]) > 0.4


def test_saved_states_continue_exactly() -> None:
    whole, whole_optimizers = made()
    stepped(whole, whole_optimizers, 4)
    first, first_optimizers = made()
    stepped(first, first_optimizers, 2)
    second, second_optimizers = made(seed=5)
    second.load_state_dict(first.state_dict())
    second_optimizers.load_state_dict(first_optimizers.state_dict())
    stepped(second, second_optimizers, 2)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
