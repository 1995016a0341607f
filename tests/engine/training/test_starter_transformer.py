"""The transformer's training learns, resumes exactly, and leaves a model that answers as it did in training.

Alone: `pytest tests/engine/training/test_starter_transformer.py`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.model.transformer import Transformer
from engine.sampling.latents import LatentGrid
from engine.training.blank import make_language_model, save_text_encoder
from engine.training.conditions import TrainingBatch, training_batch
from engine.training.console import made_ahead
from engine.training.loop import OnStep, Recipe, StepReading
from engine.training.small_gemma import VOCABULARY_SIZE, train_tokenizer
from engine.training.text_to_clip import FrozenText, TextToClip, predict_velocity
from engine.training.transformer import SHIFT, flow_loss, train_transformer
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role
from engine.weights.text_encoder import TextEncoder
from tests.fakes.latents import PROMPTS, random_clips, tiny_shape

GRID = LatentGrid()
TOKENIZER = train_tokenizer(50)
NUM_TOKENS = tiny_shape().config["transformer"]["text_sequence_length"]


def batch_of(step: int) -> TrainingBatch:
    return training_batch(random_clips(2, seed=step), GRID, np.random.default_rng(step), shift=SHIFT)


def trained(folder: Path, batches: Callable[[int], TrainingBatch], recipe: Recipe, on_step: OnStep) -> Path:
    return train_transformer(tiny_shape(), TOKENIZER, batches, recipe, folder, on_step=on_step)


def test_a_training_overfits_one_batch(tmp_path: Path) -> None:
    losses: list[float] = []
    batch = training_batch(random_clips(1), GRID, np.random.default_rng(4), shift=SHIFT)
    trained(tmp_path, lambda step: batch, Recipe(25, 6e-3, warmup_steps=1), lambda reading: losses.append(reading.loss))
    assert losses[-1] < 0.6 * losses[0]


def test_a_resumed_training_ends_exactly_as_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = Recipe(4, 1e-3, save_every_s=0)
    whole = trained(tmp_path / "whole", batch_of, recipe, lambda reading: None)

    def killed(reading: StepReading) -> None:
        if reading.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", batch_of, recipe, killed)
    resumed_steps: list[int] = []
    resumed = trained(tmp_path / "parts", batch_of, recipe, lambda reading: resumed_steps.append(reading.step))
    assert resumed_steps == [3, 4]
    assert Checkpoint.open(whole).tensors.keys() == Checkpoint.open(resumed).tensors.keys()
    for role in (Role.TRANSFORMER, Role.TEXT_PROJECTION, Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR):
        first, second = (load(Checkpoint.open(path), role).state_dict() for path in (whole, resumed))
        assert all(torch.equal(first[name], second[name]) for name in first), role
    encoders = [(path.parent / "text_encoder/model.safetensors").read_bytes() for path in (whole, resumed)]
    assert encoders[0] == encoders[1]


def test_a_saved_model_answers_as_it_did_in_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TextToClip(tiny_shape())
    with torch.no_grad():
        for parameter in model.parameters():
            # What the file holds, so that only the path differs; and heads that are not 0.
            parameter.copy_((parameter + 0.02 * torch.randn_like(parameter)).to(torch.bfloat16))
    batch = batch_of(0)
    text = TextEncoder(model.text.language_model, TOKENIZER, num_tokens=NUM_TOKENS).tokenize(PROMPTS[:2])
    with torch.no_grad():
        expected = model(text, batch.video, batch.audio)
    checkpoint = Checkpoint.open(model.save(tmp_path, TOKENIZER))
    contexts = FrozenText(checkpoint, tmp_path / "text_encoder").contexts(PROMPTS[:2])
    transformer = load(checkpoint, Role.TRANSFORMER)
    assert isinstance(transformer, Transformer)
    with torch.no_grad():
        found = predict_velocity(transformer, contexts, batch.video, batch.audio)
    assert expected[0].abs().mean() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_training_can_begin_from_a_saved_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = TextToClip(tiny_shape()).save(tmp_path, TOKENIZER)
    torch.manual_seed(1)
    other = TextToClip(tiny_shape())
    other.load(path, tmp_path / "text_encoder")
    torch.manual_seed(0)
    same = TextToClip(tiny_shape()).to(torch.bfloat16).float()
    for (name, one), two in zip(other.named_parameters(), same.parameters(), strict=True):
        if "scale_shift_table" not in name:  # these are stored in fp32
            torch.testing.assert_close(one, two, rtol=0, atol=0, msg=name)


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of a norm under autocast: slower, said once a process
def test_everything_between_prompt_and_latents_learns() -> None:
    torch.manual_seed(0)
    model = TextToClip(tiny_shape())
    with torch.no_grad():
        for parameter in model.parameters():  # heads and modulation start at 0 and let no gradient through
            parameter.add_(0.02 * torch.randn_like(parameter))
    reader = TextEncoder(model.text.language_model, TOKENIZER, num_tokens=NUM_TOKENS)
    with torch.autocast("cpu", torch.bfloat16):  # as on a GPU: every operation must accept it
        loss = flow_loss(model, reader.tokenize, batch_of(0))
    loss.backward()
    idle = [name for name, item in model.named_parameters() if item.grad is None or not bool(item.grad.any())]
    assert idle == []


def test_the_tokenizer_reads_the_worlds_words_whole_and_any_other_text_by_pieces(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(400)
    save_text_encoder(
        tmp_path, make_language_model(tiny_shape().text_encoder, vocabulary_size=VOCABULARY_SIZE), tokenizer
    )
    reader = TextEncoder.load(tmp_path, num_tokens=64)
    text = reader.tokenize(["A red ball bounces on a black background", "a red ball bounces on a black background"])
    assert text.mask.sum(dim=1).tolist() == [9, 9]  # eight words and the beginning
    assert torch.equal(text.ids[0], text.ids[1])
    foreign = reader.tokenize(["\u65e5\u672c!"]).ids[0]
    assert tokenizer.decode(foreign, skip_special_tokens=True).strip() == "\u65e5\u672c!"


def test_batches_made_ahead_are_those_made_in_place() -> None:
    ahead = made_ahead(batch_of, steps=4, workers=1)
    for step in (2, 3):  # a resumed training starts in the middle
        made, expected = ahead(step), batch_of(step)
        assert made.prompts == expected.prompts
        torch.testing.assert_close(made.video.latent, expected.video.latent, rtol=0, atol=0)
