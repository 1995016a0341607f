"""The reader learns what prompts say, and hands its text path on.

Alone: `pytest tests/engine/training/test_starter_reader.py`.
"""

from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from engine.training.loop import Recipe, StepReading
from engine.training.reader import (
    FACTS,
    Reader,
    facts_of,
    load_reader,
    reading_batch,
    share_read,
    train_reader,
)
from engine.training.small_gemma import train_tokenizer
from engine.training.split import training_scene
from engine.training.text_to_clip import TextPath
from engine.types import Size
from engine.weights.text_encoder import TextEncoder
from tests.fakes.latents import tiny_shape


def test_the_facts_of_a_scene_are_known_answers() -> None:
    for index in range(60):
        facts = facts_of(training_scene(index, Size(128, 128), 33))
        assert all(answer in FACTS[name] for name, answer in facts.items())
        assert facts["kind"] == "face" or "shape 0" in facts


def test_a_batch_is_the_same_for_the_same_step_and_another_for_the_next() -> None:
    one, again, other = (reading_batch(step, count=4) for step in (3, 3, 4))
    assert one.prompts == again.prompts
    assert all(torch.equal(one.answers[name], again.answers[name]) for name in FACTS)
    assert one.prompts != other.prompts


def test_a_short_training_reads_more_than_before_and_leaves_its_text_path(tmp_path: Path) -> None:
    losses: list[float] = []

    def note(reading: StepReading) -> None:
        losses.append(reading.loss)

    recipe = Recipe(30, 1e-2, warmup_steps=1, average_decay=0.5)
    train_reader(tiny_shape(), recipe, tmp_path, batch_size=8, on_step=note, device="cpu")
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])

    torch.manual_seed(0)
    untrained = Reader(tiny_shape())
    before = untrained.text.projection.video_aggregate_embed.weight.clone()
    load_reader(untrained.text, tmp_path)
    assert not torch.equal(untrained.text.projection.video_aggregate_embed.weight, before)
    tokenize = TextEncoder(untrained.text.language_model, train_tokenizer(50), num_tokens=64).tokenize
    assert 0 <= share_read(untrained, tokenize, reading_batch(99, count=8)) <= 1


def test_a_folder_without_a_reader_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reader"):
        load_reader(TextPath(tiny_shape()), tmp_path)
