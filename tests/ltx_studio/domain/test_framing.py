"""Zoom and pan of pictures, as arithmetic. Alone: `pytest tests/ltx_studio/domain/test_framing.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_studio.domain.framing import FIT, LARGEST_SCALE, Framing, Rect, at_scale, panned, place, zoomed

VIEW = Rect(10, 20, 800, 600)
sizes = st.integers(16, 4000)
factors = st.floats(0.1, 10)
points = st.tuples(st.floats(10, 810), st.floats(20, 620))


@st.composite
def framings(draw: st.DrawFn) -> tuple[Framing, int, int]:
    """As a user gets there: zoomed from the fitted picture, and pushed about."""
    width, height = draw(sizes), draw(sizes)
    framing = zoomed(FIT, draw(factors), VIEW, width, height, at=draw(points))
    return panned(framing, *draw(points), VIEW, width, height), width, height


@given(sizes, sizes)
def test_a_fitted_picture_is_whole_and_in_the_middle(width: int, height: int) -> None:
    shown = place(FIT, VIEW, width, height)

    assert shown.x >= VIEW.x - 1e-6 and shown.right <= VIEW.right + 1e-6
    assert shown.y >= VIEW.y - 1e-6 and shown.bottom <= VIEW.bottom + 1e-6
    assert shown.x + shown.width / 2 == pytest.approx(410)


def test_what_is_under_the_mouse_stays_there_while_zooming_in() -> None:
    before = place(FIT, VIEW, 1920, 1080)
    framing = zoomed(FIT, 4, VIEW, 1920, 1080, at=(300, 250))
    after = place(framing, VIEW, 1920, 1080)

    assert (300 - after.x) / after.width == pytest.approx((300 - before.x) / before.width)
    assert (250 - after.y) / after.height == pytest.approx((250 - before.y) / before.height)


@given(framings())
def test_no_gap_is_left_on_one_side_while_the_other_is_cut_off(drawn: tuple[Framing, int, int]) -> None:
    shown = place(drawn[0], VIEW, *drawn[1:])

    if shown.width > VIEW.width:
        assert shown.x <= VIEW.x + 1e-6 and shown.right >= VIEW.right - 1e-6
    else:
        assert shown.x + shown.width / 2 == pytest.approx(410)


@given(framings(), factors, points)
def test_zooming_stays_within_sense(drawn: tuple[Framing, int, int], factor: float, point: tuple[float, float]) -> None:
    framing = zoomed(drawn[0], factor, VIEW, *drawn[1:], at=point)

    assert framing.scale is not None
    assert 0 < framing.scale <= LARGEST_SCALE


def test_actual_size_is_one_pixel_for_one() -> None:
    assert place(at_scale(FIT, 1.0, VIEW, 1920, 1080), VIEW, 1920, 1080).width == pytest.approx(1920)


def test_a_fitted_picture_cannot_be_pushed() -> None:
    assert panned(FIT, 50, 50, VIEW, 1920, 1080) == FIT


def test_a_push_moves_the_picture_by_as_much() -> None:
    framing = at_scale(FIT, 1.0, VIEW, 1920, 1080)
    pushed = panned(framing, -30, 12, VIEW, 1920, 1080)
    before, after = place(framing, VIEW, 1920, 1080), place(pushed, VIEW, 1920, 1080)

    assert (after.x - before.x, after.y - before.y) == pytest.approx((-30, 12))
