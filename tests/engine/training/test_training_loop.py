"""The training loop: `pytest tests/engine/training/test_training_loop.py`."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.training.loop import Recipe, StepReading, batch_generator, train

RECIPE = Recipe(steps=8, learning_rate=0.01, warmup_steps=2, save_every_s=0.0)


class Killed(BaseException):
    """Stands for a process that dies."""


def small_network() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(3, 2)


def train_small(network: nn.Module, state_path: Path, *, recipe: Recipe = RECIPE, die_after: int = 0) -> list[float]:
    losses: list[float] = []

    def loss_of_step(step: int) -> Tensor:
        x = torch.randn(4, 3, generator=batch_generator(1, step))
        return (network(x) - x[:, :2]).square().mean()

    def on_step(reading: StepReading) -> None:
        losses.append(reading.loss)
        if reading.step == die_after:
            raise Killed

    train(network, loss_of_step, recipe, state_path=state_path, on_step=on_step)
    return losses


def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, resumed = small_network(), small_network()
    train_small(whole, tmp_path / "whole.pt")

    with pytest.raises(Killed):
        train_small(small_network(), tmp_path / "resumed.pt", die_after=5)
    losses = train_small(resumed, tmp_path / "resumed.pt")

    assert len(losses) == 3
    assert torch.equal(whole.weight, resumed.weight)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses = train_small(small_network(), tmp_path / "state.pt", recipe=Recipe(steps=120, learning_rate=0.05))

    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    train_small(small_network(), tmp_path / "state.pt")
    other = nn.Linear(5, 2)

    with pytest.raises(CheckpointError):
        train(other, lambda step: other.weight.sum(), RECIPE, state_path=tmp_path / "state.pt", on_step=lambda _: None)


def test_the_learning_rate_rises_then_falls_to_a_tenth() -> None:
    recipe = Recipe(steps=100, learning_rate=1.0, warmup_steps=10)

    rates = [recipe.learning_rate_at(step) for step in range(101)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) > 0.95
    assert rates[100] == pytest.approx(0.1)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_no_half_written_state_is_left_behind(tmp_path: Path) -> None:
    train_small(small_network(), tmp_path / "state.pt")

    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
