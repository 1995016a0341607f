"""Writing text: the tokens of `transformers`, from anywhere, one seed one text.

Alone: `pytest tests/engine/weights/test_text_generation.py`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.weights.residency import Residency
from engine.weights.text_encoder import TextEncoder
from engine.weights.text_generation import TokenChoice, generate

LIKELIEST = TokenChoice(temperature=0)
PROMPT: tuple[int, ...] = (2, 9, 4, 11, 30, 7, 8, 21, 16, 5, 40, 12)
NO_STOP: frozenset[int] = frozenset()


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A language model whose window is shorter than its text."""
    copy = tmp_path / "text_encoder"
    shutil.copytree(tiny_model.parent / "text_encoder", copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    kinds = ["sliding_attention", "full_attention"]
    config |= {"sliding_window": 8, "layer_types": kinds * (config["num_hidden_layers"] // 2)}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return copy


def load(folder: Path, **options: Any) -> TextEncoder:
    return TextEncoder.load(folder, num_tokens=32, **options)


def written(encoder: TextEncoder, choice: TokenChoice = LIKELIEST, *, stops: frozenset[int] = NO_STOP) -> list[int]:
    return list(generate(encoder, PROMPT, choice=choice, max_tokens=20, stops=stops))


def test_the_tokens_are_those_of_transformers(folder: Path) -> None:
    encoder = load(folder)
    model: Any = encoder.model
    expected = list(PROMPT)
    with torch.inference_mode():
        for _ in range(20):
            state = model(input_ids=torch.tensor([expected]), use_cache=False).last_hidden_state[0, -1]
            expected.append(int((model.embed_tokens.weight @ state).argmax()))

    assert written(encoder) == expected[len(PROMPT) :]


def test_layers_and_embeddings_on_disk_change_no_token(folder: Path) -> None:
    streamed = load(folder, residency=Residency("disk", 1))

    assert written(streamed) == written(load(folder))


def test_a_seed_is_a_text(folder: Path) -> None:
    encoder = load(folder)
    first, again, other = (written(encoder, TokenChoice(temperature=1.0, seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_only_the_likeliest_tokens_are_drawn(folder: Path) -> None:
    narrow = TokenChoice(temperature=5.0, largest_share=1e-6, seed=3)

    assert written(load(folder), narrow) == written(load(folder))


def test_it_ends_before_a_token_that_stops_it(folder: Path) -> None:
    encoder = load(folder)
    plain = written(encoder)
    stop = plain[5]

    assert written(encoder, stops=frozenset({stop})) == plain[: plain.index(stop)]
