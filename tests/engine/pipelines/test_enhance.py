"""A fuller prompt: written token by token, cleaned up, one seed one text, and refused by a model that cannot write.

Alone: `pytest tests/engine/pipelines/test_enhance.py`.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from engine.errors import RequestError
from engine.pipelines.enhance import MAX_NEW_TOKENS, cleaned, enhance, instructions
from tests.fakes.models import make_chat_model


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chat_model(tmp_path_factory.mktemp("chat"))


def finish(writing: Generator[str, None, str]) -> tuple[list[str], str]:
    pieces: list[str] = []
    while True:
        try:
            pieces.append(next(writing))
        except StopIteration as finished:
            return pieces, finished.value


def test_the_text_grows_and_the_whole_of_it_comes_last(chat_model: Path) -> None:
    pieces, text = finish(enhance("a red ball", model=str(chat_model), seed=4))

    assert 0 < len(pieces) <= MAX_NEW_TOKENS
    assert text == (pieces[-1] or "a red ball")


def test_a_seed_is_a_text(chat_model: Path) -> None:
    texts = [finish(enhance("a red ball", model=str(chat_model), seed=seed))[1] for seed in (1, 1, 2)]

    assert texts[0] == texts[1] != texts[2]


def test_a_model_that_can_only_read_says_so() -> None:
    with pytest.raises(RequestError, match="can read prompts but not write them"):
        next(enhance("a red ball", model="starter"))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(RequestError, match="no prompt"):
        next(enhance("  ", model="starter"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Sure:", "Sure:"),
        ("** A dog \u2013 \u201cold\u201d \u2014 barks\u2026", 'A dog - "old" - barks...'),
        ("1. 'Hola' dice", "'Hola' dice"),
        ("A dog\n\nbarks.\n", "A dog barks."),
        ("¡Un perro!", "Un perro!"),
        ("...", ""),
    ],
)
def test_what_was_written_is_cleaned_up(written: str, expected: str) -> None:
    assert cleaned(written) == expected


def test_the_instructions_are_there() -> None:
    assert "in the order it happens" in instructions()
