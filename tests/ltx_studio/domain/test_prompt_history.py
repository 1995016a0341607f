"""The prompt history on disk. Alone: `pytest tests/ltx_studio/domain/test_prompt_history.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import MediaError
from ltx_studio.domain import prompt_history
from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_history import Entry, PromptHistory
from ltx_studio.domain.prompt_words import Part, Slot

LIGHT = Slot(Part.LIGHT)
# Adds prompts until it is killed, and says each one once it is kept.
_WRITER = """
import sys
from pathlib import Path
from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_history import PromptHistory
history = PromptHistory(Path(sys.argv[1]))
number = 0
while True:
    history.add(Prompt.of(f"prompt {number}"))
    print(number, flush=True)
    number += 1
"""


def texts(entries: list[Entry]) -> list[str]:
    return [entry.prompt.text for entry in entries]


def kept(path: Path, *prompts: str) -> PromptHistory:
    history = PromptHistory(path)
    for number, text in enumerate(prompts):
        history.add(Prompt.of(text), now_s=number)
    return history


def test_prompts_come_back_newest_first_with_their_parts(tmp_path: Path) -> None:
    history = kept(tmp_path / "prompts.jsonl", "a cat", "a dog")
    history.add(Prompt.of("A \N{CLAPPER BOARD}").with_value(LIGHT, "שקיעה"), "text", now_s=5)

    entries = PromptHistory(tmp_path / "prompts.jsonl").entries()

    assert texts(entries) == ["A \N{CLAPPER BOARD}, שקיעה", "a dog", "a cat"]
    assert (entries[0].prompt.value(LIGHT), entries[0].negative) == ("שקיעה", "text")


def test_a_prompt_used_again_is_there_once_and_newest(tmp_path: Path) -> None:
    assert texts(kept(tmp_path / "x", "a", "b", "a").entries()) == ["a", "b"]


def test_search_finds_all_words_whatever_the_case(tmp_path: Path) -> None:
    history = kept(tmp_path / "x", "A red Ball bounces", "a blue ball", "ÉTÉ rouge")

    assert texts(history.search("ball RED")) == ["A red Ball bounces"]
    assert texts(history.search("été")) == ["ÉTÉ rouge"]
    assert texts(history.search("green")) == []


def test_favourites_stay_favourites_when_used_again(tmp_path: Path) -> None:
    history = kept(tmp_path / "x", "a", "b")
    history.set_favourite(history.entries()[1], True)
    history.add(Prompt.of("a"))

    assert texts(PromptHistory(tmp_path / "x").search("", favourites_only=True)) == ["a"]


def test_a_forgotten_prompt_stays_forgotten(tmp_path: Path) -> None:
    history = kept(tmp_path / "x", "a", "b")

    history.remove(history.entries()[0])

    assert texts(PromptHistory(tmp_path / "x").entries()) == ["a"]


def test_spaces_alone_are_not_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "x", " \n").entries() == []
    assert not (tmp_path / "x").exists()


def test_a_torn_last_line_costs_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    kept(path, "a", "b")
    path.write_bytes(path.read_bytes()[:-9])

    kept(path, "c")

    assert set(texts(PromptHistory(path).entries())) == {"a", "c"}


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[]", b"{}", b'{"runs": 3}', b"null", b"3"])
def test_rubbish_in_the_file_is_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "x"
    kept(path, "a")
    path.write_bytes(line + b"\n" + path.read_bytes())

    assert texts(PromptHistory(path).entries()) == ["a"]


def test_what_was_said_to_be_kept_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()

    assert {f"prompt {number}" for number in said} <= set(texts(PromptHistory(path).entries()))


def test_the_file_is_rewritten_without_what_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_history, "MAX_ENTRIES", 3)
    history = kept(tmp_path / "x", "kept")
    history.set_favourite(history.entries()[0], True)

    for number in range(6):
        history.add(Prompt.of(f"p{number}"), now_s=10 + number)

    assert texts(PromptHistory(tmp_path / "x").entries()) == ["p5", "p4", "p3", "p2", "kept"]
    assert len((tmp_path / "x").read_bytes().splitlines()) < 8


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(MediaError, match="history cannot be written"):
        PromptHistory(tmp_path / "file" / "x").add(Prompt.of("a"))
