"""The latents on disk: who may train on what, and what survives an interruption.

Alone: `pytest tests/engine/training/test_starter_dataset.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.errors import CheckpointError
from engine.media.audio import SoundClip
from engine.model.config import parse_audio_vae
from engine.pipelines import stages
from engine.request import ImageReference
from engine.training import dataset as dataset_module
from engine.training.dataset import Bucket, LatentDataset, build, draw_bucket
from engine.training.encoding import ClipEncoder, render_clip
from engine.training.split import EVALUATION_SEEDS, evaluation_scenes, is_held_out, training_scene
from engine.training.toyworld import sample_scene
from engine.training.toyworld_law import SAMPLE_RATE_HZ
from engine.types import Size
from engine.weights.catalog import PATH_DEFAULTS, ModelFiles
from engine.weights.checkpoint import Checkpoint
from engine.weights.store import ModelStore, Placement
from tests.fakes.latents import BUCKET, write_autoencoders
from tests.fakes.models import header_of

NUM_CLIPS = 4


@pytest.fixture(scope="module")
def autoencoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_autoencoders(tmp_path_factory.mktemp("parts") / "autoencoders.safetensors")


@pytest.fixture(scope="module")
def encoder(autoencoders: Path) -> ClipEncoder:
    return ClipEncoder(Checkpoint.open(autoencoders))


@pytest.fixture(scope="module")
def built(encoder: ClipEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of two clips, made without interruption."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_module, "CLIPS_PER_SHARD", 2)
        build(encoder, folder, {BUCKET: NUM_CLIPS})
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "CLIPS_PER_SHARD", 2)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def assert_same_shard(made: Path, expected: Path) -> None:
    """Equal tensors and prompts; the order of a header's entries is not ours."""
    tensors, expected_tensors = load_file(made), load_file(expected)
    assert tensors.keys() == expected_tensors.keys()
    assert all(torch.equal(tensors[name], expected_tensors[name]) for name in tensors)
    assert header_of(made)["__metadata__"] == header_of(expected)["__metadata__"]


def interrupted_after(num_shards: int) -> Callable[[Path, int, int], None]:
    def stop(path: Path, done: int, total: int) -> None:
        del path, total
        if done == num_shards:
            raise KeyboardInterrupt

    return stop


def test_scenes_that_train_and_scenes_that_score_never_meet() -> None:
    trained = [training_scene(index, Size(128, 128), 17) for index in range(300)]
    scored = list(islice(evaluation_scenes(Size(128, 128), 17), 20))
    assert not any(is_held_out(scene) or scene.seed in EVALUATION_SEEDS for scene in trained)
    assert all(scene.seed in EVALUATION_SEEDS and (scene.face or is_held_out(scene)) for scene in scored)
    assert len({scene.seed for scene in trained}) == len(trained)


def test_one_combination_in_sixteen_is_held_out() -> None:
    scenes = [scene for scene in map(sample_scene, range(1500)) if len(scene.objects) == 1]
    assert 0.03 < sum(map(is_held_out, scenes)) / len(scenes) < 0.1


def test_an_interrupted_build_goes_on_and_ends_as_if_it_never_was(
    encoder: ClipEncoder, built: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(encoder, tmp_path, {BUCKET: NUM_CLIPS}, on_shard=interrupted_after(1))
    (first,) = shards(tmp_path)
    (first.parent / "00001.part").write_bytes(b"half a shard")  # what a kill while writing leaves
    written = first.stat().st_mtime_ns
    build(encoder, tmp_path, {BUCKET: NUM_CLIPS})
    assert first.stat().st_mtime_ns == written
    for made, expected in zip(shards(tmp_path), shards(built), strict=True):
        assert_same_shard(made, expected)


def test_a_shard_of_other_encoders_is_refused_and_made_again(encoder: ClipEncoder, built: Path, tmp_path: Path) -> None:
    other = ClipEncoder(Checkpoint.open(write_autoencoders(tmp_path / "other.safetensors", seed=1)))
    assert other.fingerprint() != encoder.fingerprint()
    with pytest.raises(CheckpointError, match="other encoders"):
        LatentDataset.open(built, fingerprint=other.fingerprint())
    build(encoder, tmp_path, {BUCKET: 2})
    before = load_file(shards(tmp_path / str(BUCKET))[0])["video"]
    build(other, tmp_path, {BUCKET: 2})
    after = load_file(shards(tmp_path / str(BUCKET))[0])["video"]
    assert not torch.equal(before, after)
    LatentDataset.open(tmp_path, fingerprint=other.fingerprint())


def test_a_damaged_shard_is_named_and_made_again(encoder: ClipEncoder, tmp_path: Path) -> None:
    build(encoder, tmp_path, {BUCKET: 2})
    (path,) = shards(tmp_path)
    whole = tmp_path / "whole"
    whole.write_bytes(path.read_bytes())
    path.write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=path.name):
        LatentDataset.open(tmp_path)
    build(encoder, tmp_path, {BUCKET: 2})
    assert_same_shard(path, whole)


def test_an_empty_folder_is_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no latents"):
        LatentDataset.open(tmp_path)


def test_a_clip_is_read_back_as_it_was_encoded(encoder: ClipEncoder, built: Path) -> None:
    latents = LatentDataset.open(built)
    assert latents.clips == {BUCKET: NUM_CLIPS}
    batch = latents.read(BUCKET, [3, 0], np.random.default_rng(0), is_half=False)
    shard = load_file(shards(built)[1])
    torch.testing.assert_close(batch.video[0], shard["video"][1].float(), rtol=0, atol=0)
    assert (batch.video.shape, batch.audio.shape) == ((2, 16, 3, 4, 4), (2, 18, 32))
    assert batch.still_frames[:, 0].tolist() == [0, 0]


def test_a_clip_at_half_size_is_the_same_clip(encoder: ClipEncoder, built: Path) -> None:
    latents = LatentDataset.open(built)
    half = latents.read(BUCKET, [1], np.random.default_rng(0), is_half=True)
    small, large = latents.pairs(BUCKET, [1])
    assert half.bucket == Bucket(Size(64, 64), 17)
    torch.testing.assert_close(half.video, small, rtol=0, atol=0)
    assert large.shape[-2:] == (2 * small.shape[-2], 2 * small.shape[-1])


def test_batches_begin_small_and_end_with_every_size() -> None:
    large = Bucket(Size(256, 192), 49)

    def share_of_large(progress: float) -> float:
        rng = np.random.default_rng(0)
        drawn = [draw_bucket({BUCKET: 100, large: 100}, rng, progress=progress) for _ in range(400)]
        return sum(item == (large, False) for item in drawn) / len(drawn)

    assert share_of_large(0) < 0.05
    assert 0.27 < share_of_large(1) < 0.4


def test_latents_are_those_a_run_makes_of_given_files(encoder: ClipEncoder, autoencoders: Path, tmp_path: Path) -> None:
    clip = render_clip(replace(training_scene(7, BUCKET.size, BUCKET.frames)))
    store = ModelStore()
    files = ModelFiles("tiny", "dev", autoencoders, None, None, None, PATH_DEFAULTS)
    store.use(files, Placement(torch.device("cpu"), torch.float32))
    path = tmp_path / "still.png"
    Image.fromarray(clip.frames[clip.still_frames[1]]).save(path)
    encoded = encoder.encode([clip])
    with torch.no_grad():
        for size, stills in ((BUCKET.size, encoded.stills), (BUCKET.size.halved(), encoded.half_stills)):
            torch.testing.assert_close(stills[:, 1], stages.encode_image(store, ImageReference(path), size))
        config = parse_audio_vae(Checkpoint.open(autoencoders).config)
        sound = stages.encode_sound(store, SoundClip(clip.audio, SAMPLE_RATE_HZ), config, 18)
    torch.testing.assert_close(encoded.audio, sound)
    assert encoder.grid == stages.LatentGrid()
