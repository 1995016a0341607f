"""Samplers on worlds whose answers are known. Alone: `pytest tests/engine/sampling/test_samplers.py`."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import PassProgress
from engine.sampling.latents import AVLatents, CounterNoise
from engine.sampling.samplers import (
    RES_2S_LAST_SIGMA,
    Predict,
    Res2sStep,
    Sampling,
    StepNoise,
    add_step_noise,
    ancestral_step,
    euler,
    euler_ancestral,
    gradient_estimation,
    res_2s,
)
from engine.sampling.schedule import DISTILLED_SIGMAS, shifted_sigmas
from tests.fakes.denoising import FormulaDenoiser, constant, finish, normal, normal_path, random_normal

SHAPE = (1, 40, 16)
SPREAD = 0.5  # of the clips in a normal world


def noise_for(video: StreamState | None, audio: StreamState | None = None, *, seed: int = 3) -> StepNoise:
    return StepNoise(CounterNoise(seed), stage=0, video=video, audio=audio)


def stream(shape: tuple[int, ...] = SHAPE, *, mask: Tensor | None = None, is_frozen: bool = False) -> StreamState:
    clean = random_normal(*shape, seed=5)
    return StreamState(
        latent=torch.zeros(shape),
        clean=clean,
        mask=torch.ones(*shape[:2], 1) if mask is None else mask,
        positions=torch.zeros(1, 1, shape[1], 2),
        num_target=shape[1],
        is_frozen=is_frozen,
    )


def in_dtype(state: StreamState, dtype: torch.dtype) -> StreamState:
    return replace(state, latent=state.latent.to(dtype), clean=state.clean.to(dtype))


Run = Callable[[Predict, AVLatents, tuple[float, ...], StreamState | None, StreamState | None], Sampling]
SAMPLERS: dict[str, Run] = {
    "euler": lambda predict, start, sigmas, _video, _audio: euler(predict, start, sigmas),
    "gradient estimation": lambda predict, start, sigmas, _video, _audio: gradient_estimation(predict, start, sigmas),
    "euler ancestral": lambda predict, start, sigmas, video, audio: euler_ancestral(
        predict, start, sigmas, noise_for(video, audio)
    ),
    "res_2s": lambda predict, start, sigmas, video, audio: res_2s(predict, start, sigmas, noise_for(video, audio)),
}
every_sampler = pytest.mark.parametrize("run", SAMPLERS.values(), ids=SAMPLERS.keys())


def present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


# --- laws of all samplers ---------------------------------------------------------------------------------------------


@every_sampler
def test_in_a_world_of_one_clip_every_sampler_ends_at_that_clip(run: Run) -> None:
    clip, start = random_normal(*SHAPE, seed=1), AVLatents(random_normal(*SHAPE), None)

    final, _ = finish(run(FormulaDenoiser(constant(clip)).predict, start, DISTILLED_SIGMAS, stream(), None))

    assert torch.allclose(present(final.video), clip, atol=1e-6)
    assert final.audio is None


@every_sampler
def test_in_a_world_of_normal_clips_every_sampler_ends_with_their_spread(run: Run) -> None:
    shape, sigmas = (1, 200, 100), tuple(1 - index / 100 for index in range(101))
    start = AVLatents(random_normal(*shape), None)

    final, _ = finish(run(FormulaDenoiser(normal(SPREAD)).predict, start, sigmas, stream(shape), None))

    # 20,000 values fix their spread to 0.5 %; the rest is the samplers' own error at 100 steps. That of res_2s does not
    # vanish with more steps, because it renews the same share of the noise in each, however short: 3 % are missing.
    assert float(present(final.video).std()) == pytest.approx(SPREAD, rel=0.05)
    assert float(present(final.video).mean()) == pytest.approx(0, abs=0.02)


@every_sampler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_given_stays_bit_identical(run: Run, dtype: torch.dtype) -> None:
    mask = torch.ones(1, SHAPE[1], 1)
    mask[:, :10], mask[:, 10:20] = 0.0, 0.4
    video = in_dtype(stream(mask=mask), dtype)
    audio = in_dtype(stream((1, 7, 16), mask=torch.zeros(1, 7, 1), is_frozen=True), dtype)
    start = AVLatents(
        video.with_noise(random_normal(*SHAPE, dtype=dtype), 1.0), audio.with_noise(random_normal(1, 7, 16), 1.0)
    )

    denoiser = FormulaDenoiser(normal(SPREAD), video, audio)
    final, steps = finish(run(denoiser.predict, start, DISTILLED_SIGMAS, video, audio))

    assert present(final.video).dtype == dtype
    for latents in (*denoiser.latents, *(step.x0 for step in steps), final):
        assert torch.equal(present(latents.video)[:, :10], video.clean[:, :10])
        assert torch.equal(present(latents.audio), audio.clean)
    assert not torch.equal(present(final.video)[:, 10:20], video.clean[:, 10:20])


@every_sampler
def test_steps_are_counted_from_0_and_pass_on_the_progress_of_their_predictions(run: Run) -> None:
    start, sigmas = AVLatents(random_normal(*SHAPE), None), (1.0, 0.6, 0.2, 0.0)
    denoiser = FormulaDenoiser(normal(SPREAD))

    events = list(run(denoiser.predict, start, sigmas, stream(), None))

    steps = [event for event in events if not isinstance(event, PassProgress)]
    assert [step.index for step in steps] == list(range(len(steps)))
    assert {step.total for step in steps} == {len(steps)}
    assert len(events) - len(steps) == len(denoiser.levels)


@every_sampler
def test_a_closed_sampler_asks_for_nothing_more(run: Run) -> None:
    denoiser = FormulaDenoiser(normal(SPREAD))
    sampling = run(denoiser.predict, AVLatents(random_normal(*SHAPE), None), DISTILLED_SIGMAS, stream(), None)

    next(sampling)
    sampling.close()

    assert denoiser.levels == [1.0]


# --- Euler ------------------------------------------------------------------------------------------------------------


def test_euler_follows_a_straight_path_exactly() -> None:
    clip, noise = random_normal(*SHAPE, seed=1), random_normal(*SHAPE)
    sigmas = (1.0, 0.9, 0.55, 0.3)

    final, _ = finish(euler(FormulaDenoiser(constant(clip)).predict, AVLatents(noise, None), sigmas))

    assert torch.allclose(present(final.video), 0.7 * clip + 0.3 * noise, atol=1e-6)


def error_of(sampler: Callable[[Predict, AVLatents, list[float]], Sampling], steps: int) -> float:
    """Distance from the exact path of a normal world, from level 1 to 0.2."""
    start = random_normal(1, 8, 8, dtype=torch.float64)
    sigmas = [1 - 0.8 * index / steps for index in range(steps + 1)]
    final, _ = finish(sampler(FormulaDenoiser(normal(SPREAD)).predict, AVLatents(start, None), sigmas))
    return float((present(final.video) - normal_path(SPREAD, start, sigmas[-1])).abs().max())


def test_halving_eulers_steps_halves_its_error() -> None:
    ratio = error_of(euler, 20) / error_of(euler, 40)

    assert ratio == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(("skip_step", "expected"), [(0, 8), (1, 4), (2, 3), (7, 1)])
def test_skipped_steps_reuse_the_last_prediction(skip_step: int, expected: int) -> None:
    denoiser = FormulaDenoiser(normal(SPREAD))

    _, steps = finish(
        euler(denoiser.predict, AVLatents(random_normal(*SHAPE), None), DISTILLED_SIGMAS, skip_step=skip_step)
    )

    assert denoiser.levels == list(DISTILLED_SIGMAS[:-1][:: skip_step + 1])
    assert len(denoiser.levels) == expected
    assert len(steps) == 8


# --- ancestral Euler --------------------------------------------------------------------------------------------------


def test_ancestral_euler_without_noise_is_euler() -> None:
    denoiser, start = FormulaDenoiser(normal(SPREAD)), AVLatents(random_normal(*SHAPE), None)

    quiet, _ = finish(euler_ancestral(denoiser.predict, start, DISTILLED_SIGMAS, noise_for(stream()), eta=0.0))

    plain, _ = finish(euler(denoiser.predict, start, DISTILLED_SIGMAS))
    assert torch.allclose(present(quiet.video), present(plain.video), atol=1e-6)


@pytest.mark.parametrize(("sigma", "sigma_next"), [(1.0, 0.9), (0.9, 0.5), (0.5, 0.05)])
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_an_ancestral_step_arrives_at_its_noise_level(sigma: float, sigma_next: float, eta: float) -> None:
    clip, noise, nothing = torch.tensor(2.0), torch.tensor(1.0), torch.tensor(0.0)

    def stepped(x0: Tensor, old: Tensor, new: Tensor) -> float:
        return float(ancestral_step((1 - sigma) * x0 + sigma * old, x0, new, sigma, sigma_next, eta=eta))

    assert stepped(clip, nothing, nothing) == pytest.approx((1 - sigma_next) * 2)
    # Old and new noise are independent: their variances add up to the level's.
    old, new = stepped(nothing, noise, nothing), stepped(nothing, nothing, noise)
    assert math.hypot(old, new) == pytest.approx(sigma_next, rel=1e-5)
    assert new > 0.1 * eta * sigma_next


def test_another_seed_of_step_noise_gives_another_clip() -> None:
    start = AVLatents(random_normal(*SHAPE), None)

    def final(seed: int) -> Tensor:
        noise = noise_for(stream(), seed=seed)
        return present(
            finish(euler_ancestral(FormulaDenoiser(normal(SPREAD)).predict, start, DISTILLED_SIGMAS, noise))[0].video
        )

    assert torch.equal(final(1), final(1))
    assert not torch.allclose(final(1), final(2), atol=0.1)


# --- gradient estimation ----------------------------------------------------------------------------------------------


def linear_field_error(steps: int, *, gamma: float) -> float:
    """Distance from the exact path along a velocity 1 + 2 sigma, in steps of 0.1 from level 1."""
    sigmas = [1 - 0.1 * index for index in range(steps + 1)]
    denoiser = FormulaDenoiser(lambda x, sigma: x - sigma * (1 + 2 * sigma))
    start = AVLatents(torch.zeros(1, 1, 1, dtype=torch.float64), None)

    final, _ = finish(gradient_estimation(denoiser.predict, start, sigmas, gamma=gamma))

    exact = (sigmas[-1] - 1) + (sigmas[-1] ** 2 - 1)
    return float(present(final.video)) - exact


def test_gradient_estimation_is_exact_on_a_linear_field_after_its_first_step() -> None:
    # Half the difference of two velocities, added to the newer one, is the velocity in the middle of an even step. Only
    # the first step, which has no older velocity, is off: by 2 h^2 / 2.
    first = linear_field_error(1, gamma=1.5)

    assert abs(first) == pytest.approx(0.01, rel=1e-5)
    assert linear_field_error(5, gamma=1.5) == pytest.approx(first, rel=1e-4)


def test_gradient_estimation_extrapolates_a_whole_step_by_default() -> None:
    # Each later step is then off by as much as Euler's, to the other side.
    assert linear_field_error(2, gamma=2.0) == pytest.approx(0, abs=1e-6)
    assert linear_field_error(3, gamma=2.0) == pytest.approx(-linear_field_error(1, gamma=2.0), rel=1e-4)


def test_gradient_estimation_with_a_weight_of_1_is_euler() -> None:
    assert error_of(lambda *run: gradient_estimation(*run, gamma=1.0), 10) == pytest.approx(
        error_of(euler, 10), rel=1e-4
    )


# --- res_2s -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("h", "a21", "b1", "b2"), [(0.5, 0.4423984, -0.0653066, 0.8522453), (1.0, 0.3934693, -0.1036383, 0.7357589)]
)
def test_the_coefficients_of_res_2s_are_the_official_ones(h: float, a21: float, b1: float, b2: float) -> None:
    step = Res2sStep.between(0.9, 0.9 * math.exp(-h))

    assert (step.h, step.a21, step.b1, step.b2) == pytest.approx((h, a21, b1, b2), abs=5e-8)


@pytest.mark.parametrize(
    ("sigma", "sigma_next", "is_refined"),
    [(0.9, 0.8, True), (0.9, 0.5, False), (0.031, 0.03, True), (0.029, 0.028, False)],
)
def test_only_short_steps_at_high_noise_are_refined(sigma: float, sigma_next: float, *, is_refined: bool) -> None:
    assert Res2sStep.between(sigma, sigma_next).is_refined == is_refined


@pytest.mark.parametrize("sigma_next", [0.7999, 0.79, 0.6, 0.486])
def test_the_refined_anchor_is_where_the_official_loop_ends(sigma_next: float) -> None:
    step = Res2sStep.between(0.8, sigma_next)
    start, x0, middle = (random_normal(*SHAPE, seed=seed, dtype=torch.float64) for seed in range(3))

    anchor, slope = start, x0 - start
    for _ in range(100):
        anchor = middle - step.h * step.a21 * slope
        slope = x0 - anchor

    assert step.is_refined
    assert torch.allclose(step.refined_anchor(start, x0, middle), anchor, rtol=0, atol=1e-14)


def test_an_anchor_that_is_not_refined_is_the_start_of_the_step() -> None:
    start, x0, middle = (random_normal(*SHAPE, seed=seed) for seed in range(3))

    assert torch.equal(Res2sStep.between(0.9, 0.3).refined_anchor(start, x0, middle), start.double())


def noiseless_res_2s_error(steps: int) -> float:
    """As `error_of`, by the three updates of res_2s alone."""
    formula, start = normal(SPREAD), random_normal(1, 8, 8, dtype=torch.float64)
    x = start
    for sigma, sigma_next in pairwise([1 - 0.8 * index / steps for index in range(steps + 1)]):
        step = Res2sStep.between(sigma, sigma_next)
        first = formula(x, sigma)
        second = formula(step.to_middle(x, first), math.sqrt(sigma * sigma_next))
        x = step.to_end(x, first, second)
    return float((x - normal_path(SPREAD, start, 0.2)).abs().max())


def test_halving_the_steps_of_res_2s_quarters_its_error() -> None:
    ratio = noiseless_res_2s_error(20) / noiseless_res_2s_error(40)

    assert ratio == pytest.approx(4, rel=0.15)
    assert noiseless_res_2s_error(20) < error_of(euler, 40) / 10


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_res_2s_predicts_twice_a_step_and_once_at_its_end(steps: int) -> None:
    denoiser, sigmas = FormulaDenoiser(normal(SPREAD)), shifted_sigmas(steps)

    finish(res_2s(denoiser.predict, AVLatents(random_normal(*SHAPE), None), sigmas, noise_for(stream())))

    assert len(denoiser.levels) == 2 * steps + 1
    assert denoiser.levels[::2] == [*sigmas[:-1], RES_2S_LAST_SIGMA]
    assert denoiser.levels[1] == pytest.approx(math.sqrt(denoiser.levels[0] * denoiser.levels[2]))


@pytest.mark.parametrize(("sigma", "sigma_next"), [(1.0, 0.9), (0.7, 0.4), (0.1, 0.0011)])
def test_added_step_noise_keeps_the_noise_level(sigma: float, sigma_next: float) -> None:
    clip, old, new = (random_normal(1, 300, 100, seed=seed, dtype=torch.float64) for seed in range(3))

    def at(level: float) -> Tensor:
        return (1 - level) * clip + level * old

    mixed = add_step_noise(at(sigma), at(sigma_next), new, sigma=sigma, sigma_next=sigma_next)

    # Half of the level is new, the old noise has the rest of the variance, and the clip its full share.
    standardised = (new - new.mean()) / new.std()
    expected = (1 - sigma_next) * clip + sigma_next * (math.sqrt(0.75) * old + 0.5 * standardised)
    assert torch.allclose(mixed, expected, atol=1e-12)


def test_no_noise_is_added_at_level_0() -> None:
    x, stepped, noise = (random_normal(*SHAPE, seed=seed) for seed in range(3))

    assert torch.equal(add_step_noise(x, stepped, noise, sigma=0.1, sigma_next=0.0), stepped)


# --- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip_step", [0, 1])
@pytest.mark.parametrize("start", [2, 4, 8])
def test_euler_goes_on_from_any_step_that_predicts(start: int, skip_step: int) -> None:
    denoiser, begin = FormulaDenoiser(normal(SPREAD)), AVLatents(random_normal(*SHAPE), None)
    whole, steps = finish(euler(denoiser.predict, begin, DISTILLED_SIGMAS, skip_step=skip_step))

    latents = steps[start - 1].latents
    rest, left = finish(euler(denoiser.predict, latents, DISTILLED_SIGMAS, skip_step=skip_step, start=start))

    assert torch.equal(present(rest.video), present(whole.video))
    assert [step.index for step in left] == [step.index for step in steps[start:]]


@pytest.mark.parametrize("start", [1, 3, 4])
def test_res_2s_goes_on_from_any_step_with_the_noise_of_the_later_ones(start: int) -> None:
    denoiser, begin = FormulaDenoiser(normal(SPREAD)), AVLatents(random_normal(*SHAPE), None)
    sigmas = shifted_sigmas(4)
    whole, steps = finish(res_2s(denoiser.predict, begin, sigmas, noise_for(stream())))

    latents = steps[start - 1].latents
    rest, _ = finish(res_2s(denoiser.predict, latents, sigmas, noise_for(stream()), start=start))

    assert torch.equal(present(rest.video), present(whole.video))
