"""Trained parts become a model that the engine runs, or an error that says what is wrong.

Alone: `pytest tests/engine/training/test_starter_assemble.py`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from engine.request import Preset
from engine.training import assemble as assemble_module
from engine.training.adapters import TrainableLora
from engine.training.assemble import CHECKPOINT_NAME, Trained, assemble, check
from engine.training.dataset import LatentDataset, build
from engine.training.encoding import ClipEncoder
from engine.training.evaluate import Examination
from engine.training.loop import Recipe
from engine.training.round_trip import RoundTrip
from engine.training.small_gemma import train_tokenizer
from engine.training.text_to_clip import TextToClip
from engine.training.upsampler import PairBatches, Statistics, train_upsampler
from engine.weights.checkpoint import Checkpoint
from tests.fakes.latents import BUCKET, tiny_shape, write_autoencoders


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Parts as the trainings leave them, hardly trained."""
    folder = tmp_path_factory.mktemp("trained")
    autoencoders = write_autoencoders(folder / "autoencoders.safetensors")
    checkpoint = Checkpoint.open(autoencoders)
    torch.manual_seed(0)
    model = TextToClip(tiny_shape())
    transformer = model.save(folder / "transformer", train_tokenizer(50))
    TrainableLora(model.transformer, rank=2).save(folder / "lora.safetensors")
    encoder = ClipEncoder(checkpoint)
    build(encoder, folder / "data", {BUCKET: 2})
    upsampler = train_upsampler(
        tiny_shape().upsampler,
        PairBatches(LatentDataset.open(folder / "data"), batch_tokens=1),
        Statistics.of(checkpoint),
        Recipe(2, 1e-3),
        folder / "upsampler",
        on_step=lambda reading: None,
    )
    return Trained(
        [autoencoders, transformer], transformer.parent / "text_encoder", upsampler, folder / "lora.safetensors"
    )


def test_an_assembled_model_makes_clips_to_score(trained: Trained, tmp_path: Path) -> None:
    checkpoint = assemble(trained, tmp_path / "starter")
    examination = Examination(str(checkpoint), tmp_path, size=BUCKET.size, frames=BUCKET.frames)
    (sample,) = examination.samples(examination.scenes(1), Preset.DRAFT)
    assert sample.frames.shape == (17, 64, 64, 3)  # a draft stays at half size
    assert sample.audio.shape == (2, 34_000)
    video, sound, _ = RoundTrip(Checkpoint.open(checkpoint)).measures([sample.scene])
    assert 3 < video.value < 30
    assert sound.value > 0


def test_a_part_that_is_missing_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no transformer"):
        assemble(replace(trained, parts=trained.parts[:1]), tmp_path)
    with pytest.raises(CheckpointError, match="is missing"):
        assemble(replace(trained, upsampler=tmp_path / "nothing.safetensors"), tmp_path)


def test_a_file_too_large_to_ship_is_refused(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble_module, "LARGEST_FILE_BYTES", 2**20)
    with pytest.raises(CheckpointError, match=f"{CHECKPOINT_NAME}.*the limit is"):
        assemble(trained, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(assemble_module, "LARGEST_MODEL_BYTES", 2**20)
    with pytest.raises(CheckpointError, match=r"the limit is 1\."):
        check(tmp_path)
