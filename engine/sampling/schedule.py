"""Noise schedules: which noise levels a run visits, from 1 (pure noise) down to 0. Plain floats, no torch.

Sources: Lightricks/LTX-2 (commit 400fd31).
"""

import math
from itertools import pairwise

DISTILLED_SIGMAS = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
REFINE_SIGMAS = (0.909375, 0.725, 0.421875, 0.0)

SCHEDULE_TOKENS = 4096  # the token count nearly all official pipelines pass, whatever the real one
_LINE_TOKENS = (1024, 4096)  # the shift is a straight line through these token counts ...
_LINE_SHIFTS = (0.95, 2.05)  # ... and these shifts, not clamped beyond them
_LAST_SIGMA = 0.1  # the last noise level before 0


def shifted_sigmas(steps: int, tokens: int = SCHEDULE_TOKENS) -> tuple[float, ...]:
    """`steps` + 1 noise levels for an undistilled model, more of them near 1 the more tokens there are."""
    assert steps >= 1, steps
    if steps == 1:
        return (1.0, 0.0)
    slope = (_LINE_SHIFTS[1] - _LINE_SHIFTS[0]) / (_LINE_TOKENS[1] - _LINE_TOKENS[0])
    shift = math.exp(tokens * slope + _LINE_SHIFTS[0] - _LINE_TOKENS[0] * slope)
    # An even level u becomes shift / (shift + r) with r = 1 / u - 1, and the distances from 1 are stretched until the
    # last level is 0.1. As one formula of r, because with 100,000 tokens those distances vanish beside the 1.
    ratios = [index / (steps - index) for index in range(steps)]
    last = ratios[-1]
    return (*(1 - (1 - _LAST_SIGMA) * (r / last) * (shift + last) / (shift + r) for r in ratios), 0.0)


def resampled(sigmas: tuple[float, ...], steps: int) -> tuple[float, ...]:
    """Another number of steps along a fixed schedule, by linear interpolation; the given schedule at its own number."""
    assert steps >= 1, steps
    if steps == len(sigmas) - 1:
        return sigmas
    last = len(sigmas) - 1
    points = [index * last / steps for index in range(steps + 1)]
    pairs = list(pairwise(sigmas))
    return (
        *(pairs[int(p)][0] + (p - int(p)) * (pairs[int(p)][1] - pairs[int(p)][0]) for p in points[:-1]),
        sigmas[-1],
    )
