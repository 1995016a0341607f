"""Counting tokens without torch. Alone: `pytest tests/engine/weights/test_token_count.py`."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import CheckpointError
from engine.weights.text_encoder import TextEncoder
from engine.weights.token_count import TokenCounter, answer, estimated_tokens, tokenizer_folder


def folder_of(tiny_model: Path) -> Path:
    folder = tokenizer_folder(str(tiny_model))
    assert folder is not None
    return folder


@pytest.mark.parametrize("text", ["", "a red ball", "  spaces  ", "שלום \N{CLAPPER BOARD}", "line\nbreak"])
def test_the_count_is_what_the_text_encoder_reads(tiny_model: Path, text: str) -> None:
    folder = folder_of(tiny_model)
    encoder = TextEncoder.load(folder, num_tokens=1024)

    assert TokenCounter(folder).count(text) == int(encoder.tokenize([text]).mask.sum())


def test_a_process_answers_each_line(tiny_model: Path) -> None:
    questions = io.StringIO("".join(f"{json.dumps(text)}\n" for text in ("a", "ab", "half \ud83c")))
    answers = io.StringIO()

    answer(TokenCounter(folder_of(tiny_model)), questions, answers)

    assert [int(line) for line in answers.getvalue().split()][:2] == [2, 3]


def test_counting_imports_neither_torch_nor_transformers() -> None:
    script = "import sys, engine.weights.token_count; print({'torch', 'transformers'} & set(sys.modules))"

    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert made.stdout.strip() == "set()"


def test_a_damaged_tokenizer_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")

    with pytest.raises(CheckpointError, match="tokenizer cannot be read"):
        TokenCounter(tmp_path)


def test_a_model_that_is_not_installed_has_no_tokenizer(tmp_path: Path) -> None:
    assert tokenizer_folder(str(tmp_path / "none.safetensors")) is None


def test_the_estimate_grows_with_the_text() -> None:
    assert estimated_tokens("") == 1
    assert estimated_tokens("A red ball bounces on the floor") == 9
