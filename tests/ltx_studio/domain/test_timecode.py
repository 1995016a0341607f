"""What is typed as a time, and how time is written. Alone: `pytest tests/ltx_studio/domain/test_timecode.py`."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import FrameRate
from ltx_studio.domain.timecode import TimeRefused, TimeUnit, parse_time, spelled, timecode

RATES = [FrameRate.parse(text) for text in ("24", "23.976", "25", "29.97", "50", "59.94", "120", "1/2")]


@pytest.mark.parametrize(
    ("typed", "frame"),
    [
        ("12", 12),
        ("12f", 12),
        ("12 frames", 12),
        ("1.5s", 36),
        ("1,5 s", 36),
        ("1.5", 36),
        ("2 seconds", 48),
        (".5s", 12),
        ("5.0", 120),
        ("00:00:01:12", 36),
        ("1:12", 36),
        ("1:00:00", 60 * 24),
        ("01:00:00:00", 3600 * 24),
        ("00:00:01;12", 36),
        ("+10", 110),
        ("-5f", 95),
        ("+1.5s", 136),
        ("-1:00", 76),
        (" - 5 ", 95),
        ("-200", 0),
    ],
)
def test_a_time_is_read_as_an_editor_types_it(typed: str, frame: int) -> None:
    assert parse_time(typed, FrameRate.parse(24), current=100) == frame


@pytest.mark.parametrize("typed", ["", "abc", "1.5f", "--5", "1:2:3:4:5", "12x", "s", "+", "1e3", "∞"])
def test_what_is_no_time_is_refused_with_examples_of_what_is(typed: str) -> None:
    with pytest.raises(TimeRefused) as refused:
        parse_time(typed, FrameRate.parse(24))

    assert "1.5s" in refused.value.remedy


def test_timecode_counts_to_the_rate_rounded_up() -> None:
    assert timecode(24, FrameRate.parse(23.976)) == "00:00:01:00"
    assert timecode(30 * 3600 - 1, FrameRate.parse("30000/1001")) == "00:59:59:29"


def test_half_a_frame_is_rounded_up() -> None:
    assert parse_time("0.5s", FrameRate(Fraction(25))) == 13


@given(st.integers(0, 10**6), st.sampled_from(RATES), st.sampled_from(list(TimeUnit)))
def test_what_is_shown_is_read_as_the_same_frame(frame: int, rate: FrameRate, unit: TimeUnit) -> None:
    assert parse_time(spelled(frame, rate, unit), rate) == frame


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    with suppress(TimeRefused):
        assert parse_time(text, RATES[0]) >= 0
