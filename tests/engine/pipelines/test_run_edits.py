"""Whole edits on a tiny untrained model: what stays exactly as it was, what is new, and going on after a stop.

Alone: `pytest tests/engine/pipelines/test_run_edits.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import GenerationRequest, run
from engine.errors import RequestError
from engine.events import Event, Finished, Progress
from engine.folders import runs_folder
from engine.media.audio import SoundClip
from engine.media.read import read_audio
from engine.media.source import open_source, read_window
from engine.media.write import ClipWriter, VideoEncoding
from engine.pipelines import editing, windows
from engine.pipelines.facts import model_facts
from engine.pipelines.saved_latents import saved_latents
from engine.request import Edit, Extend, Foley, Preset, Retake
from engine.types import FrameRange, FrameRate, Size
from engine.weights.store import ModelStore

FRAMES, RATE, SIZE = 33, FrameRate.parse(24), Size(64, 64)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving noise with a tone, in Matroska."""
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (FRAMES, 8, 8, 3), dtype=np.uint8), 8, axis=1), 8, axis=2)
    times = np.arange(FRAMES * 2000) / 48_000
    sound = SoundClip((np.stack([np.sin(2 * np.pi * 440 * times)] * 2) / 2).astype(np.float32), 48_000)
    encoding = VideoEncoding(crf=0)
    with ClipWriter(path, size=SIZE, frame_rate=RATE, audio=sound, video_encoding=encoding) as writer:
        writer.write(frames)
    return path


@pytest.fixture(scope="module")
def store() -> Iterator[ModelStore]:
    """What is loaded stays from test to test."""
    loaded = ModelStore()
    yield loaded
    loaded.unload()


@pytest.fixture
def make(tiny_model: Path, tmp_path: Path, store: ModelStore) -> Any:
    """Runs an edit into a file and returns that file."""

    def run_edit(edit: Edit, name: str = "out.mkv", **fields: Any) -> Path:
        list(run(request_of(tiny_model, edit, **fields), tmp_path / name, store=store))
        return tmp_path / name

    return run_edit


def request_of(model: Path, edit: Edit, **fields: Any) -> GenerationRequest:
    return GenerationRequest(
        "a ball", model=str(model), seed=7, preset=fields.pop("preset", Preset.DRAFT), edit=edit, **fields
    )


def frames_of(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    source = open_source(path)
    return np.stack(list(read_window(source, FrameRange(0, source.num_frames))))


def changed_frames(one: Path, other: Path, *, offset: int = 0) -> list[int]:
    first, second = frames_of(one), frames_of(other)[offset:]
    return [index for index, frame in enumerate(first) if not np.array_equal(frame, second[index])]


def changed_seconds(one: Path, other: Path) -> tuple[float, float] | None:
    first, second = read_audio(one), read_audio(other)
    num_samples = min(first.num_samples, second.num_samples)
    changed = np.flatnonzero(np.abs(first.samples[:, :num_samples] - second.samples[:, :num_samples]).max(axis=0))
    return (changed[0] / 48_000, changed[-1] / 48_000) if len(changed) else None


# --- what stays, and what is new --------------------------------------------------------------------------------------


def test_a_retake_changes_its_window_in_both_streams_and_nothing_else(make: Any, clip: Path) -> None:
    made = make(Retake(clip, 0.5, 0.75))

    # Frames 12 to 17 and three at both sides for the blend lie in the groups of frames 9 to 24.
    assert changed_frames(clip, made) == list(range(9, 25))
    seconds = changed_seconds(clip, made)
    assert seconds is not None
    assert 0.5 - 0.03 - 0.04 <= seconds[0] <= 0.5
    assert 0.75 <= seconds[1] <= 0.75 + 0.03 + 0.04


def test_a_retake_of_the_picture_keeps_every_sample(make: Any, clip: Path) -> None:
    made = make(Retake(clip, 0.5, 0.75, sound=False), preset=Preset.FAST)

    assert changed_seconds(clip, made) is None
    assert changed_frames(clip, made) == list(range(9, 25))


def test_a_retake_of_the_sound_keeps_every_frame(make: Any, clip: Path) -> None:
    made = make(Retake(clip, 0.5, 0.75, picture=False))

    assert changed_frames(clip, made) == []
    assert changed_seconds(clip, made) is not None


def test_foley_keeps_every_frame_and_makes_a_whole_track(make: Any, clip: Path) -> None:
    made = make(Foley(clip))

    assert changed_frames(clip, made) == []
    sound = read_audio(made)
    assert sound.duration_s == pytest.approx(FRAMES / 24, abs=0.05)
    seconds = changed_seconds(clip, made)
    assert seconds is not None
    assert seconds[0] < 0.1


def test_foley_can_be_a_sound_file(make: Any, clip: Path) -> None:
    made = make(Foley(clip), "out.wav")

    assert read_audio(made).duration_s == pytest.approx(FRAMES / 24, abs=0.01)


@pytest.mark.parametrize(("at", "offset", "blended"), [("end", 0, range(30, 33)), ("start", 12, range(3))])
def test_an_extension_keeps_every_frame_but_three(make: Any, clip: Path, at: Any, offset: int, blended: range) -> None:
    made = make(Extend(clip, 0.5, at))

    source = open_source(made)
    assert source.num_frames == FRAMES + 12
    assert set(changed_frames(clip, made, offset=offset)) <= set(blended)
    assert source.sound is not None
    assert source.sound.num_samples == pytest.approx((FRAMES + 12) * 2000, abs=2048)


def test_another_seed_makes_another_window(make: Any, clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    first = make(Retake(clip, 0.5, 0.75, sound=False), "first.mkv")
    request = request_of(tiny_model, Retake(clip, 0.5, 0.75, sound=False)).with_seed(8)
    list(run(request, tmp_path / "second.mkv"))

    assert changed_frames(first, tmp_path / "second.mkv")


def test_the_clip_itself_may_be_the_output(make: Any, clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(clip.read_bytes())

    make(Retake(copy, 0.5, 0.75), "copy.mkv")

    assert changed_frames(clip, copy) == list(range(9, 25))


def test_an_edit_but_foley_is_no_sound_file(make: Any, clip: Path) -> None:
    with pytest.raises(RequestError, match="an edit is a clip"):
        make(Extend(clip, 0.5), "out.wav")


def test_the_result_says_the_clip_s_size_and_length(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    last = list(run(request_of(tiny_model, Retake(clip, 0.5, 0.75)), tmp_path / "out.mkv"))[-1]

    assert isinstance(last, Finished)
    assert (last.result.width, last.result.height, last.result.frames, last.result.fps) == (64, 64, FRAMES, 24)
    assert GenerationRequest.from_dict(open_source(tmp_path / "out.mkv").metadata or {}).edit == Retake(clip, 0.5, 0.75)


# --- windows that follow each other -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["start", "end"])
def test_a_later_window_goes_on_from_the_latents_of_the_one_before(
    make: Any, clip: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "MOST_WINDOW_S", 1.05)  # 25 frames

    make(Extend(clip, 0.9, at))

    (folder,) = runs_folder().iterdir()
    first, second = (load_file(folder / f"{name}.safetensors")["video"] for name in ("base", "base 2"))
    # Each window makes eight or sixteen frames; what both hold is the same, but for a window's first frame.
    shared = [
        (one, other)
        for one in range(1, first.shape[2])
        for other in range(1, second.shape[2])
        if torch.equal(first[:, :, one], second[:, :, other])
    ]
    assert shared


def test_long_foley_fades_from_window_to_window(make: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "MOST_WINDOW_S", 1.05)

    made = make(Foley(clip))

    sound = read_audio(made)
    assert sound.duration_s == pytest.approx(FRAMES / 24, abs=0.05)
    assert np.isfinite(sound.samples).all()


def test_a_clip_made_here_is_continued_from_its_own_latents(tiny_model: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mkv"
    request = GenerationRequest(
        "a ball", model=str(tiny_model), size=Size(128, 64), frames=17, seed=3, preset=Preset.FAST, silent=True
    )
    list(run(request, made))
    (folder,) = runs_folder().iterdir()
    own = load_file(folder / "refine.safetensors")["video"]

    facts = model_facts(str(tiny_model))
    found = saved_latents(open_source(made), Size(128, 64), facts, asked_model=str(tiny_model))
    list(run(request_of(tiny_model, Extend(made, 0.5), preset=Preset.FAST), tmp_path / "longer.mkv"))

    assert found is not None
    assert torch.equal(found, own)
    latest = max(runs_folder().iterdir(), key=lambda path: path.stat().st_mtime_ns)
    longer = load_file(latest / "refine.safetensors")["video"]
    assert torch.equal(longer[:, :, :3], own)


# --- takes, stops, memory ---------------------------------------------------------------------------------------------


def test_the_next_take_of_a_window_does_not_encode_it_again(
    make: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(Retake(clip, 0.5, 0.75, sound=False), "first.mkv")

    def refuse(*_arguments: object) -> Iterator[None]:
        raise AssertionError("the window is on disk")

    monkeypatch.setattr(windows, "encode_tiled", refuse)
    again = make(Retake(clip, 0.5, 0.75, sound=False), "again.mkv")

    assert changed_frames(make(Retake(clip, 0.5, 0.75, sound=False), "third.mkv"), again) == []


@pytest.mark.parametrize("stage", ["refine", "base 2"])
def test_a_stopped_edit_goes_on_in_its_folder_and_ends_the_same(
    stage: str, clip: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "MOST_WINDOW_S", 1.05)
    request = request_of(tiny_model, Extend(clip, 0.9), preset=Preset.FAST)
    list(run(request, tmp_path / "whole.mkv"))

    events = run(request, tmp_path / "part.mkv", folder=tmp_path / "job")
    for event in events:
        if isinstance(event, Progress) and event.stage == stage and event.phase == "denoise":
            break
    events.close()  # pyright: ignore[reportAttributeAccessIssue] - a generator
    assert not (tmp_path / "part.mkv").exists()
    stages_again = list(
        dict.fromkeys(
            event.stage
            for event in run(request, tmp_path / "part.mkv", folder=tmp_path / "job")
            if isinstance(event, Progress) and event.phase == "denoise"
        )
    )

    every = ["base", "refine", "base 2", "refine 2"]
    assert stages_again == every[every.index(stage) :]
    assert changed_frames(tmp_path / "whole.mkv", tmp_path / "part.mkv") == []
    assert changed_seconds(tmp_path / "whole.mkv", tmp_path / "part.mkv") is None


@pytest.mark.parametrize("work", ["encode_tiled", "decode_tiled"])
def test_an_edit_goes_on_with_less_where_memory_runs_out(
    work: str, clip: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, is_failing = getattr(windows, work), [True]

    def failing_once(*arguments: Any, **options: Any) -> Any:
        if is_failing.pop() if is_failing else False:
            raise torch.OutOfMemoryError("out of memory")
        return real(*arguments, **options)

    monkeypatch.setattr(windows, work, failing_once)
    events: list[Event] = list(run(request_of(tiny_model, Retake(clip, 0.5, 0.75)), tmp_path / "out.mkv"))

    assert any(getattr(event, "code", "") == "less_memory" for event in events)
    assert changed_frames(clip, tmp_path / "out.mkv") == list(range(9, 25))
