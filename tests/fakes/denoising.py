"""Denoisers that are a formula, for samplers whose result can then be worked out by hand."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import PassProgress, Prediction
from engine.sampling.latents import AVLatents
from engine.sampling.samplers import Sampling, Step

Formula = Callable[[Tensor, float], Tensor]


class FormulaDenoiser:
    """Predicts the clean latents by a formula of the noisy ones, and keeps what it was asked about."""

    def __init__(self, formula: Formula, video: StreamState | None = None, audio: StreamState | None = None) -> None:
        self.levels: list[float] = []
        self.latents: list[AVLatents] = []
        self._formula = formula
        self._states = (video, audio)

    def predict(self, latents: AVLatents, sigma: float) -> Prediction:
        self.levels.append(sigma)
        self.latents.append(latents)
        yield PassProgress(1, 1)
        return AVLatents(*(self._one(x, state, sigma) for x, state in zip(latents, self._states, strict=True)))

    def _one(self, x: Tensor | None, state: StreamState | None, sigma: float) -> Tensor | None:
        if x is None:
            return None
        x0 = self._formula(x.double(), sigma).to(x.dtype)
        return x0 if state is None else state.blend(x0)


def constant(value: Tensor) -> Formula:
    """A single clip in the world: from any noise, the prediction is that clip."""
    return lambda _x, _sigma: value.double()


def normal(spread: float) -> Formula:
    """Clips whose values are normal around 0: the expectation of what a noisy value was."""
    return lambda x, sigma: (1 - sigma) * spread**2 / _variance(spread, sigma) * x


def normal_path(spread: float, start: Tensor, sigma: float) -> Tensor:
    """Where the noise-free path from `start` at level 1 has got to, for `normal` clips."""
    return start.double() * _variance(spread, sigma) ** 0.5


def _variance(spread: float, sigma: float) -> float:
    return (1 - sigma) ** 2 * spread**2 + sigma**2


def finish(sampling: Sampling) -> tuple[AVLatents, list[Step]]:
    """The final latents, and all finished steps."""
    steps: list[Step] = []
    while True:
        try:
            event = next(sampling)
        except StopIteration as finished:
            return finished.value, steps
        if isinstance(event, Step):
            steps.append(event)


def random_normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
