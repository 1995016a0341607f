"""How what is typed finds a line of text. Alone: `pytest tests/ltx_studio/test_fuzzy.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_studio.domain.fuzzy import fit

COMMANDS = ["Generate", "First frame", "Full screen", "Previous frame", "Reset layout", "Light", "Settings"]


def best(query: str) -> str:
    found = {text: score for text in COMMANDS if (score := fit(query, text)) is not None}
    return max(found, key=lambda text: found[text])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("gen", "Generate"),
        ("ff", "First frame"),
        ("fs", "Full screen"),
        ("pf", "Previous frame"),
        ("LAYOUT", "Reset layout"),
        ("frame first", "First frame"),
        ("rl", "Reset layout"),
    ],
)
def test_a_few_letters_find_what_is_meant(query: str, wanted: str) -> None:
    assert best(query) == wanted


def test_letters_in_the_wrong_order_find_nothing() -> None:
    assert fit("neg", "Generate") is None


def test_one_word_that_is_missing_is_enough_to_find_nothing() -> None:
    assert fit("first clip", "First frame") is None


def test_letters_in_a_row_are_better_than_letters_apart() -> None:
    together, apart = fit("set", "Settings"), fit("set", "Some extra")

    assert together is not None and apart is not None
    assert together > apart


@given(st.text(max_size=30))
def test_every_text_finds_itself(text: str) -> None:
    assert fit(text, text) is not None


@given(st.text(max_size=8), st.text(max_size=30))
def test_nothing_that_is_typed_breaks_the_search(query: str, text: str) -> None:
    fit(query, text)
