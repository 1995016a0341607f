"""Wildcards and variations. Alone: `pytest tests/ltx_studio/domain/test_wildcards.py`."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.jobs import batch
from ltx_studio.domain.wildcards import MAX_NESTING, read_wildcards, wordings

COLOURS = {"colour": ("red", "blue"), "thing": ("a __colour__ ball", "{one|two} stars"), "empty": ()}


def test_groups_multiply_and_the_last_changes_fastest() -> None:
    made = wordings("a {red|blue} {ball|star}", {})

    assert made.texts == ("a red ball", "a red star", "a blue ball", "a blue star")


def test_wildcards_and_groups_lie_within_each_other() -> None:
    made = wordings("{__thing__|nothing}", COLOURS)

    assert made.texts == ("a red ball", "a blue ball", "one stars", "two stars", "nothing")


def test_an_unknown_wildcard_stays_and_is_said() -> None:
    made = wordings("a __place__ and __empty__", COLOURS)

    assert made.texts == ("a __place__ and __empty__",)
    assert "no wildcard named 'place'" in made.note


def test_a_bar_in_a_line_of_a_file_is_a_bar() -> None:
    assert wordings("__x__", {"x": ("a|b",)}).texts == ("a|b",)


@settings(deadline=None)
@given(st.text(alphabet="{}|ab", max_size=14))
def test_groups_mean_what_they_mean_in_the_queue(text: str) -> None:
    assert list(wordings(text, {}, limit=100_000).texts) == batch.wordings(text)


def test_too_many_wordings_are_drawn_by_the_seed_without_making_the_others() -> None:
    text = "__many__" * 40

    made = wordings(text, {"many": tuple("abcdefghij")}, seed=7, limit=50)

    assert (made.total, len(set(made.texts))) == (10**40, 50)
    assert made == wordings(text, {"many": tuple("abcdefghij")}, seed=7, limit=50)
    assert made.texts != wordings(text, {"many": tuple("abcdefghij")}, seed=8, limit=50).texts
    assert "drawn by the seed 7" in made.note


def test_a_limit_of_none_only_counts() -> None:
    assert wordings("{a|b|c}", {}, limit=0).total == 3
    assert wordings("{a|b|c}", {}, limit=0).texts == ()


def test_a_wildcard_that_leads_back_to_itself_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"'a' leads back to itself \(a → b → a\)"):
        wordings("__a__", {"a": ("__b__",), "b": ("x __a__",)})


def test_braces_too_deep_to_be_meant_are_refused() -> None:
    with pytest.raises(RequestError, match="deep within each other"):
        wordings("{" * (MAX_NESTING + 1), {})


def test_files_are_read_a_line_an_option(tmp_path: Path) -> None:
    (tmp_path / "colour.txt").write_bytes("\ufeffred\r\n\r\n# not this\n  sky blue  \n\N{LARGE RED CIRCLE}\n".encode())
    (tmp_path / "broken.txt").write_bytes(b"ok\n\xff\xfe\n")

    found = read_wildcards(tmp_path)

    assert found["colour"] == ("red", "sky blue", "\N{LARGE RED CIRCLE}")
    assert found["broken"][0] == "ok"


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert read_wildcards(tmp_path / "none") == {}
