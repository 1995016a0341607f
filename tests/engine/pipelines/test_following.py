"""The part of a sound or a clip that is followed. Alone: `pytest tests/engine/pipelines/test_following.py`."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import GenerationRequest, run
from engine.errors import RequestError
from engine.events import Finished
from engine.media.read import read_audio
from engine.media.write import ClipWriter, write_wav
from engine.pipelines import stages
from engine.pipelines.following import driving_sound, followed_frames
from engine.pipelines.plan import plan
from engine.request import Preset, Trim, VideoReference
from engine.types import FrameRange, FrameRate, Size
from engine.weights.catalog import find_model
from engine.weights.store import ModelStore, Placement

RATE = 16_000
SIZE = Size(64, 64)


@pytest.fixture
def request_for(tiny_model: Path) -> GenerationRequest:
    size = Size(128, 64)
    return GenerationRequest("a ball", model=str(tiny_model), size=size, frames=9, seed=7, preset=Preset.DRAFT)


def write_noise(path: Path, seconds: float = 2.0) -> np.ndarray:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, round(seconds * RATE))).astype(np.float32)
    write_wav(path, samples, RATE)
    return samples


def write_clip(path: Path, first: int, num_frames: int) -> Path:
    """Frames whose brightness is their number; lossless, so that they come back as they are."""
    with ClipWriter(path, size=SIZE, frame_rate=FrameRate.parse(24)) as writer:
        levels = 10 + 4 * np.arange(first, first + num_frames, dtype=np.uint8)
        writer.write(np.broadcast_to(levels[:, None, None, None], (num_frames, SIZE.height, SIZE.width, 3)))
    return path


def test_a_sound_is_followed_from_its_start_to_its_end_and_then_silent(tmp_path: Path) -> None:
    samples = write_noise(tmp_path / "a.wav")

    heard = driving_sound(tmp_path / "a.wav", 1.0, trim=Trim(0.5, 1.25)).samples

    assert heard.shape == (2, RATE)
    assert np.abs(heard[0, : RATE * 3 // 4] - samples[0, RATE // 2 : RATE * 5 // 4]).max() < 1e-4
    assert not heard[:, RATE * 3 // 4 :].any()


def test_a_part_that_repeats_repeats_nothing_outside_it(tmp_path: Path) -> None:
    samples = write_noise(tmp_path / "a.wav")

    heard = driving_sound(tmp_path / "a.wav", 1.0, "loop", Trim(0.5, 1.0)).samples

    part = samples[0, RATE // 2 : RATE]
    assert np.abs(heard[0] - np.concatenate([part, part])).max() < 1e-4


def test_a_part_after_the_end_of_a_sound_is_refused(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav")

    with pytest.raises(RequestError, match=r"a\.wav lasts 2\.0 s"):
        driving_sound(tmp_path / "a.wav", 1.0, trim=Trim(2.5))


def test_a_reference_clip_gives_the_frames_of_its_part(tmp_path: Path) -> None:
    reference = VideoReference(write_clip(tmp_path / "a.mp4", 0, 24), trim=Trim(0.25, 0.75))

    assert followed_frames(reference) == FrameRange(6, 18)


def test_the_model_is_shown_the_part_as_if_it_were_a_file(tiny_model: Path, tmp_path: Path) -> None:
    whole, part = write_clip(tmp_path / "whole.mp4", 0, 24), write_clip(tmp_path / "part.mp4", 6, 9)
    store = ModelStore()
    store.use(find_model(str(tiny_model)), Placement(torch.device("cpu"), torch.float32))

    with torch.no_grad():
        trimmed, plain, untrimmed = (
            stages.encode_reference(store, reference, SIZE, 9, 1)
            for reference in (VideoReference(whole, trim=Trim(0.25)), VideoReference(part), VideoReference(whole))
        )

    assert (trimmed - plain).abs().max() < (untrimmed - plain).abs().max() / 10


def test_a_clip_keeps_the_part_of_the_sound_it_followed(request_for: GenerationRequest, tmp_path: Path) -> None:
    times = np.arange(2 * RATE) / RATE
    tones = np.where(times < 1, np.sin(2 * np.pi * 440 * times), np.sin(2 * np.pi * 880 * times)) / 2
    write_wav(tmp_path / "tones.wav", tones.astype(np.float32)[None], RATE)

    *_, last = run(replace(request_for, audio=tmp_path / "tones.wav", audio_trim=Trim(1.0)), tmp_path / "made.mp4")

    assert isinstance(last, Finished)
    sound = read_audio(last.result.path)
    peak = np.abs(np.fft.rfft(sound.samples[0])).argmax() * sound.sample_rate / sound.num_samples
    assert peak == pytest.approx(880, abs=4)


@pytest.mark.parametrize("trim", [Trim(-1.0), Trim(2.0, 1.0), Trim(1.0, 1.0), Trim(math.nan), Trim(math.inf)])
def test_a_part_that_cannot_be_is_refused_before_anything_is_read(request_for: GenerationRequest, trim: Trim) -> None:
    with pytest.raises(RequestError, match="cannot be used from") as caught:
        plan(replace(request_for, audio=Path("voice.wav"), audio_trim=trim))

    assert caught.value.remedy
