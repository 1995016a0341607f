"""The training loop that every part of the starter model shares: steps, schedule, averaged weights, resuming.

A step's batch and noise depend on nothing but the step's number, so a training that was killed at any moment and
started again ends with exactly the weights of one that was not. The state is one file, replaced atomically.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.training.optimizers import Optimizers


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train. The learning rate rises linearly, then falls along half a cosine to a tenth."""

    steps: int
    learning_rate: float
    warmup_steps: int = 200
    weight_decay: float = 0.0
    uses_muon: bool = False  # for the matrices of transformer blocks
    largest_gradient: float = 1.0  # gradients are scaled down to this norm
    average_decay: float = 0.998  # of the exponential average of the weights, which is the result
    save_every_s: float = 120.0

    def learning_rate_at(self, step: int) -> float:
        """For step 0 and on."""
        warmup = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        progress = min(1.0, step / max(self.steps, 1))
        return self.learning_rate * warmup * (0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi * progress)))

    def average_decay_at(self, step: int) -> float:
        """Short at first, so that the average forgets where training started."""
        return min(self.average_decay, (step + 1) / (step + 10))


@dataclass(frozen=True)
class StepReading:
    """What a step was like."""

    step: int  # done so far, this one included
    steps: int
    loss: float
    gradient_norm: float  # before it was scaled down
    learning_rate: float
    seconds: float


LossOfStep = Callable[[int], Tensor]
OnStep = Callable[[StepReading], None]


def train(module: nn.Module, loss_of_step: LossOfStep, recipe: Recipe, *, state_path: Path, on_step: OnStep) -> None:
    """Train `module` in place, from where `state_path` stopped; it ends with the averaged weights, in eval mode.

    `loss_of_step(step)` runs the module on that step's batch. Raises CheckpointError when the state belongs to another
    network.
    """
    module.train()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizers = Optimizers(
        module,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        uses_muon=recipe.uses_muon,
    )
    average = [parameter.detach().clone() for parameter in parameters]
    first_step = _resume(state_path, module, optimizers, average)
    last_saved = time.monotonic()
    for step in range(first_step, recipe.steps):
        started = time.monotonic()
        rate = recipe.learning_rate_at(step)
        optimizers.set_learning_rate(rate)
        optimizers.zero_grad()
        loss = loss_of_step(step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, recipe.largest_gradient)
        optimizers.step()
        for averaged, parameter in zip(average, parameters, strict=True):
            averaged.lerp_(parameter.detach(), 1 - recipe.average_decay_at(step))
        done = step + 1
        if time.monotonic() - last_saved > recipe.save_every_s or done == recipe.steps:
            _save(state_path, module, optimizers, average, done)
            last_saved = time.monotonic()
        on_step(StepReading(done, recipe.steps, float(loss.detach()), float(norm), rate, time.monotonic() - started))
    with torch.no_grad():
        for parameter, averaged in zip(parameters, average, strict=True):
            parameter.copy_(averaged)
    module.eval()


def centre_gradients(module: nn.Module) -> None:
    """From now on, leave out what the gradients of a layer's weights for one output have in common.

    Behind SiLU all inputs of a layer have a mean in common, so that part of the gradients is large, equal for all
    weights, and moves nothing but the output's mean, which the bias is for. (arXiv:2004.01461)
    """
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.register_hook(_centred)


def _centred(gradient: Tensor) -> Tensor:
    return gradient - gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)


def chosen_device(name: str) -> torch.device:
    """`auto` is CUDA where there is any."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def batch_generator(seed: int, step: int) -> torch.Generator:
    """The source of everything random in a step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def _save(path: Path, module: nn.Module, optimizers: Optimizers, average: list[Tensor], step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    state = {"step": step, "module": module.state_dict(), "optimizers": optimizers.state_dict(), "average": average}
    torch.save(state, partial)
    partial.replace(path)


def _resume(path: Path, module: nn.Module, optimizers: Optimizers, average: list[Tensor]) -> int:
    """Puts everything back as it was; returns the steps done."""
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    remedy = "Give another folder, or delete that file to start again."
    try:
        module.load_state_dict(state["module"])
        optimizers.load_state_dict(state["optimizers"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(path, "is the training of another network.", remedy=remedy) from error
    for own, saved in zip(average, state["average"], strict=True):
        own.copy_(saved)
    return int(state["step"])
