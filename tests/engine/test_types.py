"""Laws of the frame and size grids.

Alone: `pytest tests/engine/test_types.py`.
"""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import FrameRange, FrameRate, Size, frame_count_covering, latent_frame_count, snap_frame_count


@given(st.floats(0.5, 5000))
def test_a_snapped_frame_count_is_the_nearest_on_the_grid(frames: float) -> None:
    snapped = snap_frame_count(frames)

    assert snapped % 8 == 1
    assert abs(snapped - frames) <= 4


@given(st.integers(1, 5000))
def test_a_covering_frame_count_is_the_smallest_that_is_not_shorter(frames: int) -> None:
    covering = frame_count_covering(frames)

    assert covering % 8 == 1
    assert frames <= covering < frames + 8


@given(st.integers(0, 600))
def test_latent_frames_count_the_first_frame_apart(k: int) -> None:
    assert latent_frame_count(8 * k + 1) == k + 1


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([32, 64]))
def test_a_snapped_size_is_on_the_grid_and_near(width: int, height: int, multiple: int) -> None:
    snapped = Size(width, height).snapped(multiple)

    for wanted, got in ((width, snapped.width), (height, snapped.height)):
        assert got % multiple == 0
        assert got >= multiple
        assert abs(got - wanted) <= multiple / 2 or got == multiple


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("60000/1001", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_a_frame_rate_keeps_its_exact_value(text: str | float, rate: Fraction) -> None:
    assert FrameRate.parse(text).value == rate
    assert FrameRate.parse(str(FrameRate.parse(text))).value == rate


@pytest.mark.parametrize("text", ["0", "-24", "fast", "24/0", ""])
def test_what_is_no_frame_rate_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ZeroDivisionError)):
        FrameRate.parse(text)


@pytest.mark.parametrize("text", ["1280", "x", "1280x", "ax b"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Size.parse(text)


def test_a_frame_range_is_half_open() -> None:
    frames = FrameRange(3, 5)

    assert (len(frames), 3 in frames, 4 in frames, 5 in frames) == (2, True, True, False)
    with pytest.raises(ValueError, match="start <= stop"):
        FrameRange(5, 3)
