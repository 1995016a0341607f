"""Whole runs on a tiny untrained model: what they make, what they say, and what they leave when stopped.

Alone: `pytest tests/engine/pipelines/test_run.py`.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine import GenerationRequest, run
from engine.errors import CheckpointError, MediaError, RequestError
from engine.events import Event, Finished, Notice, Preview, Progress, Started
from engine.folders import runs_folder
from engine.media.read import probe_clip, read_audio
from engine.media.write import ClipWriter, write_wav
from engine.pipelines import stages
from engine.pipelines.following import driving_sound
from engine.request import ImageReference, LoraReference, Preset, VideoReference
from engine.types import FrameRate, Size
from engine.weights.catalog import find_model
from engine.weights.keymap import Role
from engine.weights.store import ModelStore, Placement
from tests.fakes.models import make_tiny_model_of_2_0, rewrite_header

SIZE, FRAMES = Size(128, 64), 9


@pytest.fixture
def small_request(tiny_model: Path) -> GenerationRequest:
    return GenerationRequest(
        "a red ball bounces", model=str(tiny_model), size=SIZE, frames=FRAMES, seed=7, preset=Preset.DRAFT, silent=True
    )


def make(request: GenerationRequest, output: Path) -> list[Event]:
    return list(run(request, output))


def saved_latents(stage: str) -> dict[str, torch.Tensor]:
    (folder,) = runs_folder().iterdir()
    return load_file(folder / f"{stage}.safetensors")


# --- what a run makes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(Preset))
def test_every_preset_ends_in_a_clip_with_sound(
    preset: Preset, small_request: GenerationRequest, tmp_path: Path
) -> None:
    steps = {Preset.STANDARD: 2, Preset.HIGH: 2}.get(preset)
    events = make(replace(small_request, preset=preset, silent=False, steps=steps), tmp_path / "clip.mp4")

    facts = probe_clip(tmp_path / "clip.mp4")
    assert facts.size == (SIZE.halved() if preset is Preset.DRAFT else SIZE)
    assert (facts.frames, float(facts.frame_rate), facts.audio_sample_rate) == (FRAMES, 24, 48000)
    sound = read_audio(tmp_path / "clip.mp4")
    assert sound.duration_s == pytest.approx(facts.duration_s, abs=1 / 24)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.result.path, last.result.seed) == (tmp_path / "clip.mp4", 7)


def test_a_model_of_the_2_0_generation_runs_too(small_request: GenerationRequest, tmp_path: Path) -> None:
    checkpoint = make_tiny_model_of_2_0(tmp_path / "model")
    request = replace(small_request, model=str(checkpoint), preset=Preset.STANDARD, silent=False, steps=2)

    make(request, tmp_path / "clip.mp4")

    facts = probe_clip(tmp_path / "clip.mp4")
    assert (facts.size, facts.frames, facts.audio_sample_rate) == (SIZE, FRAMES, 48000)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_latents_have_the_precision_that_was_asked_for(
    precision: Literal["bf16", "fp32"], small_request: GenerationRequest, tmp_path: Path
) -> None:
    make(replace(small_request, precision=precision, silent=False), tmp_path / "clip.mp4")

    latents = saved_latents("base")
    assert latents["video"].dtype == {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    assert all(tensor.isfinite().all() for tensor in latents.values())


def test_the_clip_carries_the_request_that_made_it(small_request: GenerationRequest, tmp_path: Path) -> None:
    make(small_request, tmp_path / "clip.mp4")

    metadata = probe_clip(tmp_path / "clip.mp4").metadata
    assert metadata is not None
    again = GenerationRequest.from_dict(metadata)
    assert (again.prompt, again.seed, again.frames) == ("a red ball bounces", 7, FRAMES)


def test_the_same_request_makes_the_same_latents_and_another_seed_others(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / name))
        make(replace(small_request, seed=seed), tmp_path / f"{name}.mp4")
        results.append(saved_latents("base")["video"])

    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_request_without_a_seed_gets_one_that_repeats_it(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "first"))
    last = make(replace(small_request, seed=None), tmp_path / "a.mp4")[-1]
    first = saved_latents("base")["video"]
    assert isinstance(last, Finished)

    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "second"))
    make(replace(small_request, seed=last.result.seed), tmp_path / "b.mp4")

    assert torch.equal(first, saved_latents("base")["video"])


def test_latents_of_both_streams_are_kept_after_each_stage(small_request: GenerationRequest, tmp_path: Path) -> None:
    make(replace(small_request, preset=Preset.FAST, silent=False), tmp_path / "clip.mp4")

    assert saved_latents("base")["video"].shape == (1, 16, 2, 1, 2)
    assert saved_latents("refine")["video"].shape == (1, 16, 2, 2, 4)
    assert saved_latents("refine")["audio"].shape == (1, 9, 32)


def test_wav_output_holds_the_sound_alone(small_request: GenerationRequest, tmp_path: Path) -> None:
    make(replace(small_request, silent=False), tmp_path / "sound.wav")

    sound = read_audio(tmp_path / "sound.wav")
    # 9 frames are 9 audio latents, 4 x 9 - 3 mel frames of 480 samples.
    assert (sound.num_channels, sound.sample_rate, sound.num_samples) == (2, 48000, 33 * 480)


# --- references -------------------------------------------------------------------------------------------------------


def test_a_first_frame_of_full_strength_is_exactly_the_encoded_picture(
    small_request: GenerationRequest, tmp_path: Path
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 128, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "first.png")
    image = ImageReference(tmp_path / "first.png")
    make(replace(small_request, images=(image,)), tmp_path / "clip.mp4")

    store = ModelStore()
    store.use(find_model(small_request.model), Placement(torch.device("cpu"), torch.float32))
    with torch.no_grad():
        encoded = stages.encode_image(store, image, SIZE.halved())
    latents = saved_latents("base")["video"]
    assert torch.equal(latents[:, :, :1], encoded)
    assert not torch.equal(latents[:, :, 1:2], encoded)


def test_a_keyframe_changes_the_clip_but_not_its_length(small_request: GenerationRequest, tmp_path: Path) -> None:
    Image.new("RGB", (90, 50), (220, 40, 40)).save(tmp_path / "key.jpg")
    make(replace(small_request, images=(ImageReference(tmp_path / "key.jpg", 8, 0.9),)), tmp_path / "clip.mp4")

    assert saved_latents("base")["video"].shape == (1, 16, 2, 1, 2)


def ic_lora(tiny_model: Path, path: Path) -> LoraReference:
    neutral = tiny_model.parent / "untrained-distilled-lora.safetensors"
    rewrite_header(neutral, path, {"__metadata__": {"reference_downscale_factor": "1"}})
    return LoraReference(path)


def write_clip(path: Path, frames: int) -> VideoReference:
    pixels = np.random.default_rng(1).integers(0, 255, (frames, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    with ClipWriter(path, size=SIZE, frame_rate=FrameRate.parse(24)) as writer:
        writer.write(pixels)
    return VideoReference(path)


def test_a_reference_clip_changes_what_is_made(
    small_request: GenerationRequest, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(small_request, loras=(ic_lora(tiny_model, tmp_path / "ic.safetensors"),))
    results = []
    for name, references in (("without", ()), ("with", (write_clip(tmp_path / "pose.mp4", FRAMES),))):
        monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / name))
        make(replace(request, reference_videos=references), tmp_path / f"{name}.mp4")
        results.append(saved_latents("base")["video"])

    assert results[0].shape == results[1].shape
    assert not torch.equal(*results)


def test_a_reference_clip_needs_an_ic_lora_and_enough_frames(
    small_request: GenerationRequest, tiny_model: Path, tmp_path: Path
) -> None:
    short = write_clip(tmp_path / "short.mp4", FRAMES - 1)
    with pytest.raises(RequestError, match="IC-LoRA"):
        make(replace(small_request, reference_videos=(write_clip(tmp_path / "a.mp4", FRAMES),)), tmp_path / "clip.mp4")

    loras = (ic_lora(tiny_model, tmp_path / "ic.safetensors"),)
    with pytest.raises(RequestError, match="8 frames; this clip needs 9"):
        make(replace(small_request, reference_videos=(short,), loras=loras), tmp_path / "clip.mp4")


def test_a_clip_that_follows_a_sound_keeps_that_sound(small_request: GenerationRequest, tmp_path: Path) -> None:
    time = np.arange(44100) / 44100
    tone = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) * 0.5
    write_wav(tmp_path / "tone.wav", tone, 44100)

    make(replace(small_request, silent=False, audio=tmp_path / "tone.wav"), tmp_path / "clip.mp4")

    sound = read_audio(tmp_path / "clip.mp4")
    spectrum = np.abs(np.fft.rfft(sound.samples, axis=1))
    peaks = spectrum.argmax(axis=1) * sound.sample_rate / sound.num_samples
    assert peaks == pytest.approx([440, 660], abs=4)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (96_000, 2)])
def test_a_sound_of_any_rate_is_cut_followed_by_silence_or_repeated(rate: int, channels: int, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, rate // 2)).astype(np.float32)
    write_wav(tmp_path / "sound.wav", samples, rate)

    cut, padded = (driving_sound(tmp_path / "sound.wav", duration_s) for duration_s in (0.25, 1.25))
    looped = driving_sound(tmp_path / "sound.wav", 1.25, "loop")

    exact = cut.samples[:, : rate // 4]
    assert np.abs(exact - samples[:, : rate // 4]).max() < 1e-4  # 16-bit, and nothing else
    assert (cut.num_samples, padded.num_samples) == (rate // 4, rate * 5 // 4)
    assert not padded.samples[:, rate // 2 :].any()
    assert np.array_equal(looped.samples[:, : rate // 2], looped.samples[:, rate // 2 : rate])
    assert np.array_equal(looped.samples[:, rate:], looped.samples[:, : rate // 4])


def test_a_silent_clip_has_no_sound_track(small_request: GenerationRequest, tmp_path: Path) -> None:
    make(small_request, tmp_path / "clip.mp4")

    assert probe_clip(tmp_path / "clip.mp4").audio_sample_rate is None


def test_a_neutral_lora_changes_nothing(
    small_request: GenerationRequest, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tiny_model.parent / "untrained-distilled-lora.safetensors", tmp_path / "mine.safetensors")
    results = []
    for name, loras in (("a", ()), ("b", (LoraReference(tmp_path / "mine.safetensors", 0.5),))):
        monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / name))
        make(replace(small_request, loras=loras), tmp_path / f"{name}.mp4")
        results.append(saved_latents("base")["video"])

    assert torch.equal(*results)


# --- what a run says --------------------------------------------------------------------------------------------------


def test_events_tell_the_story_in_order(small_request: GenerationRequest, tmp_path: Path) -> None:
    events = make(small_request, tmp_path / "clip.mp4")

    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    phases = list(dict.fromkeys(event.phase for event in events if isinstance(event, Progress)))
    assert phases == ["text", "load", "denoise", "decode", "write"]


def test_every_step_comes_with_a_picture(small_request: GenerationRequest, tmp_path: Path) -> None:
    previews = [event for event in make(small_request, tmp_path / "clip.mp4") if isinstance(event, Preview)]

    assert [preview.step for preview in previews] == list(range(1, 9))
    assert all(preview.frame.shape == (1, 2, 3) and preview.frame.dtype == np.uint8 for preview in previews)


def test_a_prompt_that_is_too_long_is_cut_and_said(small_request: GenerationRequest, tmp_path: Path) -> None:
    events = make(replace(small_request, prompt="a red ball " * 40), tmp_path / "clip.mp4")

    assert "prompt_cut" in [event.code for event in events if isinstance(event, Notice)]


def test_a_run_leaves_gradients_as_they_were_between_events(small_request: GenerationRequest, tmp_path: Path) -> None:
    for _ in run(small_request, tmp_path / "clip.mp4"):
        assert torch.is_grad_enabled()


# --- stopping and failing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["text", "denoise", "decode", "write"])
def test_closing_a_run_leaves_nothing_half_written(
    phase: str, small_request: GenerationRequest, tmp_path: Path
) -> None:
    older = tmp_path / "clip.mp4"
    older.write_bytes(b"an older clip")
    events: Any = run(small_request, older)

    next(event for event in events if isinstance(event, Progress) and event.phase == phase)
    events.close()

    assert older.read_bytes() == b"an older clip"
    assert [item.name for item in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_step_can_be_stopped_between_two_blocks(small_request: GenerationRequest, tmp_path: Path) -> None:
    events = make(small_request, tmp_path / "clip.mp4")

    within_steps = [event for event in events if isinstance(event, Progress) and event.phase == "denoise"]
    # Two blocks and the step itself, eight times.
    assert len(within_steps) == 3 * 8


def test_a_model_without_a_text_encoder_is_said_before_anything_runs(
    small_request: GenerationRequest, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_model, tmp_path / "alone-distilled.safetensors")

    with pytest.raises(CheckpointError, match="no text encoder"):
        make(replace(small_request, model=str(tmp_path / "alone-distilled.safetensors")), tmp_path / "clip.mp4")


def test_an_unreadable_picture_is_said_before_anything_runs(small_request: GenerationRequest, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")

    with pytest.raises(MediaError, match=r"broken\.png"):
        next(iter(run(replace(small_request, images=(ImageReference(tmp_path / "broken.png"),)), tmp_path / "c.mp4")))


def test_a_destination_that_cannot_be_written_is_said_before_anything_runs(small_request: GenerationRequest) -> None:
    with pytest.raises(RequestError, match=r"/nowhere"):
        next(iter(run(small_request, Path("/nowhere/clip.mp4"))))


def test_a_data_folder_that_cannot_be_written_costs_the_latents_and_not_the_clip(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "a file"))

    events = make(small_request, tmp_path / "clip.mp4")

    assert "latents_not_saved" in [event.code for event in events if isinstance(event, Notice)]
    assert probe_clip(tmp_path / "clip.mp4").frames == FRAMES


def test_a_second_run_on_a_warm_store_loads_nothing_and_makes_the_same_latents(
    small_request: GenerationRequest, tmp_path: Path
) -> None:
    store = ModelStore()
    transformers = []
    for name in ("a", "b"):
        for _ in run(small_request, tmp_path / f"{name}.mp4", store=store):
            pass
        transformers.append(store.module(Role.TRANSFORMER))

    assert transformers[0] is transformers[1]
    # Latents, not files: the encoder's frame threads do not always decide alike on a busy machine.
    first, second = (load_file(folder / "base.safetensors")["video"] for folder in runs_folder().iterdir())
    assert torch.equal(first, second)
