"""The lip-dub training shows the model what a dub shows it: the same face beside the clip, its voice before it.

Alone: `pytest tests/engine/training/test_starter_lipdub.py`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.sampling import conditioning
from engine.sampling.guidance import TextContexts
from engine.sampling.latents import LatentGrid, LatentShape, patchify_video
from engine.training.dataset import LatentDataset, build
from engine.training.encoding import FRAME_RATE, ClipEncoder
from engine.training.lipdub import (
    DubBatches,
    append_reference_sound,
    dub_states,
    face_scene,
    render_pair_member,
    train_lip_dub,
    with_other_words,
)
from engine.training.loop import Recipe
from engine.weights.checkpoint import Checkpoint
from engine.weights.lora_file import LoraFile
from tests.fakes.latents import BUCKET, random_clips, write_autoencoders
from tests.fakes.tiny_transformer import tiny_transformer

GRID = LatentGrid()
TARGET, REFERENCE = random_clips(1, seed=1), random_clips(1, seed=2)


def contexts(count: int) -> TextContexts:
    generator = torch.Generator().manual_seed(0)
    return TextContexts(torch.randn(count, 4, 32, generator=generator), torch.randn(count, 4, 16, generator=generator))


def test_a_pair_shows_one_face_with_one_voice_and_two_texts() -> None:
    scene = face_scene(3, BUCKET)
    other = with_other_words(scene)
    assert scene.face is not None
    assert other.face is not None
    assert replace(other, face=replace(other.face, syllables=scene.face.syllables)) == scene
    said = zip(scene.face.syllables, other.face.syllables, strict=True)
    assert all(one != two for one, two in said)


def test_the_reference_sound_ends_40_ms_before_the_clip_begins() -> None:
    state = append_reference_sound(conditioning.audio_state(18, 32, GRID), REFERENCE.audio, GRID)
    assert state.num_target == 18
    times_s = state.positions[0, 0, 18:]
    assert float(times_s.max()) == pytest.approx(-0.04)
    assert float(times_s.min()) == pytest.approx(-0.04 - 0.69)  # eighteen tokens last (4 x 18 - 3) x 10 ms
    assert state.mask[:, 18:].max() == 0
    kept = state.with_noise(torch.randn(1, 36, 32), 1.0)[:, 18:]
    torch.testing.assert_close(kept, REFERENCE.audio, rtol=0, atol=0)


def test_the_reference_picture_is_appended_as_a_run_appends_it() -> None:
    states = dub_states(TARGET, REFERENCE, 0, GRID, is_refining=False)
    fresh = conditioning.video_state(LatentShape(3, 4, 4), 16, FRAME_RATE.value, GRID)
    run = conditioning.append_reference(fresh, REFERENCE.video, 1.0, FRAME_RATE.value, GRID)
    noise = torch.randn(run.latent.shape)
    torch.testing.assert_close(states.video.with_noise(noise, 1.0), run.with_noise(noise, 1.0), rtol=0, atol=0)
    torch.testing.assert_close(states.video.positions, run.positions, rtol=0, atol=0)
    torch.testing.assert_close(states.video.target(states.video.latent), patchify_video(TARGET.video))


def test_the_refining_stage_keeps_its_sound_and_reads_it_as_the_voice() -> None:
    states = dub_states(TARGET, REFERENCE, 0, GRID, is_refining=True)
    assert states.audio is not None
    assert states.audio.is_frozen
    torch.testing.assert_close(states.audio.clean, torch.cat([TARGET.audio, TARGET.audio], dim=1))


def test_a_lip_dub_lora_is_trained_and_says_how_large_its_reference_is(tmp_path: Path) -> None:
    encoder = ClipEncoder(Checkpoint.open(write_autoencoders(tmp_path / "autoencoders.safetensors")))
    build(encoder, tmp_path / "data", {BUCKET: 2}, render=render_pair_member)
    batches = DubBatches(LatentDataset.open(tmp_path / "data"), GRID, steps=10, batch_tokens=132)
    transformer = tiny_transformer(in_channels=16, out_channels=16, audio_in_channels=32, audio_out_channels=32)
    losses: list[float] = []
    path = train_lip_dub(
        transformer,
        lambda prompts: contexts(len(prompts)),
        lambda step: batches(0),
        Recipe(10, 3e-2, warmup_steps=1),
        tmp_path / "lipdub",
        on_step=lambda reading: losses.append(reading.loss),
        rank=4,
    )
    assert losses[-1] < 0.8 * losses[0]
    lora = LoraFile.open(path)
    assert lora.states_reference_factors
    assert (lora.reference_downscale_factor, lora.reference_temporal_scale_factor) == (1, 1)
