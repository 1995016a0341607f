"""Counting tokens beside the window. Alone: `pytest tests/ltx_studio/services/test_prompt_tokens.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer, models, pre_tokenizers

from ltx_studio.services.prompt_tokens import TokenCount, TokenCounting

STARTS_MS = 60_000  # a process on a busy machine


@pytest.fixture
def counting(qtbot: QtBot) -> Iterator[TokenCounting]:
    counting = TokenCounting()
    yield counting
    counting.close()


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """The folder of a tokenizer whose tokens are words."""
    made = Tokenizer(models.WordLevel({"<bos>": 0, "<unk>": 1}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_without_a_tokenizer_there_is_an_estimate_at_once(counting: TokenCounting, qtbot: QtBot) -> None:
    with qtbot.waitSignal(counting.counted) as counted:
        counting.count("a red ball")

    assert counted.args == [TokenCount(4, is_estimate=True)]


def test_the_tokenizer_counts_the_newest_text(counting: TokenCounting, tokenizer: Path, qtbot: QtBot) -> None:
    answers: list[TokenCount] = []
    counting.counted.connect(answers.append)
    counting.set_folder(tokenizer)
    counting.count("a")
    counting.count("a red \N{CLAPPER BOARD} ball")

    qtbot.waitUntil(lambda: TokenCount(5, is_estimate=False) in answers, timeout=STARTS_MS)

    counting.count("two words")
    qtbot.waitUntil(lambda: answers[-1] == TokenCount(3, is_estimate=False), timeout=STARTS_MS)


def test_a_damaged_tokenizer_leaves_the_estimate(counting: TokenCounting, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    answers: list[TokenCount] = []
    counting.counted.connect(answers.append)
    counting.set_folder(tmp_path)
    counting.count("a red ball")
    before = len(answers)

    qtbot.waitUntil(lambda: len(answers) > before, timeout=STARTS_MS)

    assert answers[-1] == TokenCount(4, is_estimate=True)
