"""Noise schedules. Alone: `pytest tests/engine/sampling/test_schedule.py`."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sampling.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS, resampled, shifted_sigmas

steps = st.integers(min_value=1, max_value=100)


# Computed with the official implementation (Lightricks/LTX-2, commit 400fd31).
@pytest.mark.parametrize(
    ("sigmas", "first", "last"),
    [
        (
            shifted_sigmas(30),
            (1.0, 0.994957, 0.989603, 0.983908, 0.977840, 0.971358),
            (0.612141, 0.553148, 0.480164, 0.387541, 0.266120, 0.1, 0),
        ),
        (shifted_sigmas(8), (1, 0.965712, 0.921875, 0.863856, 0.783445, 0.664579, 0.471003, 0.1, 0), ()),
        (
            shifted_sigmas(15, tokens=8160),
            (1, 0.993491, 0.986015, 0.977340, 0.967151, 0.955015, 0.940314, 0.922140, 0.899096, 0.868923),
            (0.827707, 0.768028, 0.673897, 0.503378, 0.1, 0),
        ),
    ],
    ids=["30 steps", "8 steps", "15 steps of the high preset"],
)
def test_a_schedule_is_the_official_one(
    sigmas: tuple[float, ...], first: tuple[float, ...], last: tuple[float, ...]
) -> None:
    assert sigmas[: len(first)] == pytest.approx(first, abs=6e-7)
    assert sigmas[len(sigmas) - len(last) :] == pytest.approx(last, abs=6e-7)


def test_fixed_schedules_are_the_official_ones() -> None:
    assert DISTILLED_SIGMAS == (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
    assert REFINE_SIGMAS == (0.909375, 0.725, 0.421875, 0.0)
    assert DISTILLED_SIGMAS[-len(REFINE_SIGMAS) :] == REFINE_SIGMAS


@given(steps, st.integers(min_value=1, max_value=200_000))
def test_a_schedule_falls_from_1_to_0(num_steps: int, tokens: int) -> None:
    sigmas = shifted_sigmas(num_steps, tokens)

    assert len(sigmas) == num_steps + 1
    assert sigmas[0] == 1
    assert sigmas[-1] == 0
    assert all(before >= after for before, after in pairwise(sigmas))
    if num_steps > 1:
        assert sigmas[-2] == pytest.approx(0.1)


@given(st.integers(min_value=3, max_value=60), st.integers(min_value=256, max_value=30_000))
def test_more_tokens_keep_the_noise_higher_for_longer(num_steps: int, tokens: int) -> None:
    few, many = shifted_sigmas(num_steps, tokens), shifted_sigmas(num_steps, 2 * tokens)

    assert all(sigma <= higher + 1e-9 for sigma, higher in zip(few, many, strict=True))


@given(steps)
def test_a_resampled_schedule_keeps_its_ends_and_its_order(num_steps: int) -> None:
    sigmas = resampled(DISTILLED_SIGMAS, num_steps)

    assert len(sigmas) == num_steps + 1
    assert (sigmas[0], sigmas[-1]) == (1.0, 0.0)
    assert all(before > after for before, after in pairwise(sigmas))


def test_a_schedule_at_its_own_number_of_steps_is_itself() -> None:
    assert resampled(REFINE_SIGMAS, 3) is REFINE_SIGMAS


def test_half_the_steps_visit_every_second_level() -> None:
    assert resampled(DISTILLED_SIGMAS, 4) == pytest.approx(DISTILLED_SIGMAS[::2])


def test_twice_the_steps_also_visit_the_middles() -> None:
    sigmas = resampled(REFINE_SIGMAS, 6)

    assert sigmas[::2] == pytest.approx(REFINE_SIGMAS)
    assert sigmas[1] == pytest.approx((0.909375 + 0.725) / 2)
