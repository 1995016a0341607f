"""Samplers: how to walk from noise to a clip when something predicts the clean latents at any noise level.

Every sampler is a generator over `predict`: it passes on the progress inside a prediction, yields a `Step` after each
step, and returns the final latents. Stopping is the caller's: close the generator.

Sources: Lightricks/LTX-2 (commit 400fd31) for the constants; res_2s is the second-order exponential integrator of the
RES family, with the fixed point of its inner refinement in closed form.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import PassProgress, Prediction
from engine.sampling.latents import AVLatents, NoiseSource

Predict: TypeAlias = Callable[[AVLatents, float], Prediction]


@dataclass(frozen=True)
class Step:
    """One finished step, with the clean latents predicted at its start and the noisy ones it led to."""

    index: int
    total: int
    sigma: float
    x0: AVLatents
    latents: AVLatents  # where a later run may go on: `start` is the next index


Sampling: TypeAlias = Generator[PassProgress | Step, None, AVLatents]


# --- single steps -----------------------------------------------------------------------------------------------------


def euler_step(x: Tensor, x0: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """One Euler step of dx/dsigma = (x - x0) / sigma, in fp32, with the velocity rounded to the latent's dtype."""
    velocity = ((x.float() - x0.float()) / sigma).to(x.dtype)
    return (x.float() + velocity.float() * (sigma_next - sigma)).to(x.dtype)


def ancestral_step(
    x: Tensor, x0: Tensor, noise: Tensor, sigma: float, sigma_next: float, *, eta: float = 1.0
) -> Tensor:
    """Go down too far, then add noise back up to `sigma_next`; eta 0 is the plain Euler step."""
    if sigma_next == 0:
        return x0
    sigma_down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
    alpha_next, alpha_down = 1 - sigma_next, 1 - sigma_down
    ratio = sigma_down / sigma
    down = ratio * x.float() + (1 - ratio) * x0.float()
    variance = sigma_next**2 - (sigma_down * alpha_next / alpha_down) ** 2
    return (alpha_next / alpha_down * down + math.sqrt(max(variance, 0.0)) * noise.float()).to(x.dtype)


# --- samplers ---------------------------------------------------------------------------------------------------------


def euler(
    predict: Predict, latents: AVLatents, sigmas: Sequence[float], *, skip_step: int = 0, start: int = 0
) -> Sampling:
    """First order. With `skip_step` n, only every (n+1)-th step predicts; the others reuse its prediction.

    Begins at step `start`, which has to be one that predicts.
    """
    assert start % (skip_step + 1) == 0, f"step {start} reuses the prediction of one before"
    x0 = latents
    for index, (sigma, sigma_next) in enumerate(_pairs(sigmas)[start:], start):
        if index % (skip_step + 1) == 0:
            x0 = yield from predict(latents, sigma)
        latents = _map(euler_step, latents, x0, sigma=sigma, sigma_next=sigma_next)
        yield Step(index, len(sigmas) - 1, sigma, x0, latents)
    return latents


def gradient_estimation(
    predict: Predict, latents: AVLatents, sigmas: Sequence[float], *, gamma: float = 2.0
) -> Sampling:
    """Euler along an extrapolation of the last two velocities; the last step goes straight to the prediction."""
    previous: AVLatents | None = None
    for index, (sigma, sigma_next) in enumerate(_pairs(sigmas)):
        x0 = yield from predict(latents, sigma)
        velocity = _map(lambda x, clean, level: (x.float() - clean.float()) / level, latents, x0, level=sigma)
        if sigma_next == 0:
            latents = x0
        else:
            estimate = (
                velocity
                if previous is None
                else _map(lambda now, before: gamma * (now - before) + before, velocity, previous)
            )
            latents = _map(
                lambda x, v, delta: (x.float() + v * delta).to(x.dtype), latents, estimate, delta=sigma_next - sigma
            )
        previous = velocity
        yield Step(index, len(sigmas) - 1, sigma, x0, latents)
    return latents


@dataclass(frozen=True)
class StepNoise:
    """Noise that a stochastic sampler adds, blended so that what is given stays given."""

    source: NoiseSource
    stage: int
    video: StreamState | None
    audio: StreamState | None

    def draw(self, latents: AVLatents, index: int) -> AVLatents:
        def one(x: Tensor | None, stream: str) -> Tensor | None:
            if x is None:
                return None
            noise = self.source.step(tuple(x.shape), stage=self.stage, stream=stream, index=index)
            return noise.to(_exact_dtype(x.device)).to(x.device)

        return AVLatents(one(latents.video, "video"), one(latents.audio, "audio"))

    def blend(self, latents: AVLatents) -> AVLatents:
        def one(state: StreamState | None, x: Tensor | None) -> Tensor | None:
            return None if state is None or x is None else state.blend(x)

        return AVLatents(one(self.video, latents.video), one(self.audio, latents.audio))


def euler_ancestral(
    predict: Predict, latents: AVLatents, sigmas: Sequence[float], noise: StepNoise, *, eta: float = 1.0
) -> Sampling:
    """Euler with fresh noise in every step."""
    for index, (sigma, sigma_next) in enumerate(_pairs(sigmas)):
        x0 = yield from predict(latents, sigma)
        stepped = _map(
            ancestral_step, latents, x0, noise.draw(latents, index), sigma=sigma, sigma_next=sigma_next, eta=eta
        )
        latents = noise.blend(stepped)
        yield Step(index, len(sigmas) - 1, sigma, x0, latents)
    return latents


RES_2S_LAST_SIGMA = 0.0011  # where the official sampler stops and takes the prediction
RES_2S_ETA = 0.5


def res_2s(
    predict: Predict, latents: AVLatents, sigmas: Sequence[float], noise: StepNoise, *, start: int = 0
) -> Sampling:
    """Second order, two predictions a step, with noise added in both; 2 n + 1 predictions in all.

    Begins at step `start`.
    """
    levels = [*sigmas[:-1], RES_2S_LAST_SIGMA] if sigmas[-1] == 0 else list(sigmas)
    total = len(levels)
    for index, (sigma, sigma_next) in enumerate(_pairs(levels)[start:], start):
        middle = math.sqrt(sigma * sigma_next)
        step = Res2sStep.between(sigma, sigma_next)
        dtype = _dtype(latents)
        first = yield from predict(latents, sigma)
        at_middle = _map(step.to_middle, latents, first)
        noisy_middle = _map(
            add_step_noise, latents, at_middle, noise.draw(latents, 2 * index), sigma=sigma, sigma_next=middle
        )
        noisy_middle = noise.blend(noisy_middle)
        anchors = _map(step.refined_anchor, latents, first, noisy_middle)
        second = yield from predict(_cast(noisy_middle, dtype), middle)
        at_end = _map(step.to_end, anchors, first, second)
        noisy_end = _map(
            add_step_noise, anchors, at_end, noise.draw(latents, 2 * index + 1), sigma=sigma, sigma_next=sigma_next
        )
        latents = _cast(noise.blend(noisy_end), dtype)
        yield Step(index, total, sigma, first, latents)
    if sigmas[-1] == 0:
        latents = yield from predict(latents, levels[-1])
    yield Step(total - 1, total, levels[-1], latents, latents)
    return latents


@dataclass(frozen=True)
class Res2sStep:
    """The coefficients of one res_2s step, and its three updates in fp64 (fp32 on MPS)."""

    h: float  # step length in log sigma
    a21: float
    b1: float
    b2: float
    is_refined: bool

    @classmethod
    def between(cls, sigma: float, sigma_next: float) -> "Res2sStep":
        h = math.log(sigma / sigma_next)
        b2 = 2 * _phi2(-h)
        return cls(h=h, a21=_phi1(-h / 2) / 2, b1=_phi1(-h) - b2, b2=b2, is_refined=h < 0.5 and sigma > 0.03)

    def to_middle(self, anchor: Tensor, x0: Tensor) -> Tensor:
        anchor = _exact(anchor)
        return anchor + self.h * self.a21 * (_exact(x0) - anchor)

    def refined_anchor(self, anchor: Tensor, x0: Tensor, middle: Tensor) -> Tensor:
        """The anchor from which the step to the noisy middle would have been exact.

        The official loop repeats a <- middle - c (x0 - a) a hundred times, which converges to this.
        """
        if not self.is_refined:
            return _exact(anchor)
        c = self.h * self.a21  # below 0.23, so nothing of the start is left after a hundred repetitions
        return (_exact(middle) - c * _exact(x0)) / (1 - c)

    def to_end(self, anchor: Tensor, first: Tensor, second: Tensor) -> Tensor:
        return anchor + self.h * (self.b1 * (_exact(first) - anchor) + self.b2 * (_exact(second) - anchor))


def add_step_noise(x: Tensor, stepped: Tensor, noise: Tensor, *, sigma: float, sigma_next: float) -> Tensor:
    """Trade part of the way from `x` to `stepped` for standardised fresh noise of the same level, fp64."""
    up = min(RES_2S_ETA * sigma_next, 0.9999 * sigma_next)
    if up == 0:
        return stepped
    residual = math.sqrt(sigma_next**2 - up**2)
    alpha = (1 - sigma_next) + residual
    down = residual / alpha
    epsilon = (_exact(x) - stepped) / (sigma - sigma_next)
    denoised = _exact(x) - sigma * epsilon
    return alpha * (denoised + down * epsilon) + up * _standardised(noise)


def _exact_dtype(device: torch.device) -> torch.dtype:
    """fp64, but on Apple's GPUs, which do not have it; the official code takes fp32 there too."""
    return torch.float32 if device.type == "mps" else torch.float64


def _exact(x: Tensor) -> Tensor:
    return x.to(_exact_dtype(x.device))


def _standardised(noise: Tensor) -> Tensor:
    noise = (noise - noise.mean()) / noise.std()
    return (noise - noise.mean(dim=(-2, -1), keepdim=True)) / noise.std(dim=(-2, -1), keepdim=True)


def _phi1(z: float) -> float:
    return math.expm1(z) / z


def _phi2(z: float) -> float:
    return (math.expm1(z) - z) / z**2


def _pairs(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(sigmas))


def _map(function: Callable[..., Tensor], *latents: AVLatents, **numbers: float) -> AVLatents:
    """Apply a function to each stream that is present."""

    def one(tensors: list[Tensor | None]) -> Tensor | None:
        return None if any(tensor is None for tensor in tensors) else function(*tensors, **numbers)

    return AVLatents(one([item.video for item in latents]), one([item.audio for item in latents]))


def _cast(latents: AVLatents, dtype: torch.dtype) -> AVLatents:
    return _map(lambda x: x.to(dtype), latents)


def _dtype(latents: AVLatents) -> torch.dtype:
    present = latents.video if latents.video is not None else latents.audio
    assert present is not None
    return present.dtype
