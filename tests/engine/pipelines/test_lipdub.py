"""Dubs, planned and made: what is new, what stays exactly as it was, and what the model is shown beside it.

Alone: `pytest tests/engine/pipelines/test_lipdub.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import GenerationRequest, run
from engine.errors import CheckpointError, RequestError
from engine.events import Event, Notice
from engine.media.audio import SoundClip
from engine.media.read import read_audio
from engine.media.source import open_source, read_window
from engine.media.write import ClipWriter, VideoEncoding, write_wav
from engine.pipelines import stages
from engine.pipelines.edit_values import ZoneKind
from engine.pipelines.facts import model_facts
from engine.pipelines.plan import Plan, plan
from engine.pipelines.stages import SourceLatents, StageReferences
from engine.request import LipDub, LoraReference, Preset, Retake
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import LatentShape
from engine.training.dataset import Bucket, LatentBatch
from engine.training.lipdub import METADATA, dub_states
from engine.types import FrameRange, FrameRate, Size
from engine.weights.catalog import find_model
from engine.weights.lora_file import LoraFile
from engine.weights.store import ModelStore, Placement
from tests.fakes.loras import write_random_lora

FRAMES, RATE, SIZE = 33, FrameRate.parse(24), Size(64, 64)
WORDS = 'a face says "mo lu"'


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving noise; a tone in the middle and a hiss at the sides."""
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (FRAMES, 8, 8, 3), dtype=np.uint8), 8, axis=1), 8, axis=2)
    times = np.arange(FRAMES * 2000) / 48_000
    hiss = 0.05 * rng.standard_normal(len(times))
    sound = 0.3 * np.sin(2 * np.pi * 440 * times) + np.stack([hiss, -hiss])
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    with ClipWriter(
        path,
        size=SIZE,
        frame_rate=RATE,
        audio=SoundClip(sound.astype(np.float32), 48_000),
        video_encoding=VideoEncoding(crf=0),
    ) as writer:
        writer.write(frames)
    return path


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty seconds of nothing."""
    path = tmp_path_factory.mktemp("clips") / "long.mkv"
    sound = SoundClip(np.zeros((2, 30 * 48_000), np.float32), 48_000)
    with ClipWriter(path, size=Size(64, 32), frame_rate=RATE, audio=sound) as writer:
        writer.write(np.zeros((720, 32, 64, 3), np.uint8))
    return path


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_lora(tiny_model, tmp_path_factory.mktemp("loras") / "ic-lora-lipdub.safetensors")


@pytest.fixture(scope="module")
def store() -> Iterator[ModelStore]:
    loaded = ModelStore()
    yield loaded
    loaded.unload()


def request_of(model: Path | str, edit: LipDub, *loras: Path, prompt: str = WORDS) -> GenerationRequest:
    return GenerationRequest(
        prompt,
        model=str(model),
        seed=7,
        preset=Preset.FAST,
        edit=edit,
        loras=tuple(LoraReference(path) for path in loras),
    )


def frames_of(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    source = open_source(path)
    return np.stack(list(read_window(source, FrameRange(0, source.num_frames))))


def changed_frames(one: Path, other: Path) -> list[int]:
    pairs = zip(frames_of(one), frames_of(other), strict=True)
    return [index for index, (first, second) in enumerate(pairs) if not np.array_equal(first, second)]


def changed_seconds(one: Path, other: Path) -> tuple[float, float]:
    first, second = read_audio(one).samples, read_audio(other).samples
    changed = np.flatnonzero(np.abs(first - second).max(axis=0))
    return changed[0] / 48_000, changed[-1] / 48_000


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_dub_of_a_range_keeps_what_is_outside_and_its_second_stage_keeps_the_sound(
    clip: Path, lora: Path, tiny_model: Path
) -> None:
    result = plan(request_of(tiny_model, LipDub(clip, 0.5, 0.9), lora))

    window = result.edit_window
    assert window is not None
    # Frames 12 to 21, three more at both sides for the blend, in groups that begin at 1, 9, 17, ...
    zones = [(zone.kind, round(zone.start_s * 24), round(zone.end_s * 24)) for zone in window.picture]
    assert zones[0] == (ZoneKind.KEPT, 0, 9)
    assert zones[-1] == (ZoneKind.KEPT, 25, 33)
    assert (window.sound[0].kind, window.sound[-1].kind) == (ZoneKind.KEPT, ZoneKind.KEPT)
    assert [(stage.name, stage.sound) for stage in result.stages] == [("base", "generate"), ("refine", "keep")]


def test_the_old_clip_beside_the_new_one_is_part_of_the_cost(clip: Path, lora: Path, tiny_model: Path) -> None:
    request = request_of(tiny_model, LipDub(clip), lora)

    dub, retake = (plan(item).task.stages for item in (request, replace(request, edit=Retake(clip, 0.0, 1.3))))

    assert [load.video_tokens for load in dub] == [2 * load.video_tokens for load in retake]
    assert [load.audio_tokens for load in dub] == [2 * load.audio_tokens for load in retake]


def test_the_model_s_own_lora_is_found_and_named_in_the_request(clip: Path, tiny_model: Path, lora: Path) -> None:
    own = tiny_model.parent / lora.name
    own.symlink_to(lora)
    try:
        result = plan(request_of(tiny_model, LipDub(clip)))
    finally:
        own.unlink()

    assert [item.path for item in result.request.loras] == [own]
    assert any("layers fit" in choice.why for choice in result.choices)


def test_a_model_without_a_dub_lora_is_an_error_of_the_model(clip: Path, tiny_model: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no lip-dub LoRA.*lipdub"):
        plan(request_of(tiny_model, LipDub(clip)))


@pytest.mark.parametrize(
    ("edit", "prompt", "words"),
    [
        (LipDub(Path("clip")), " ", "no new words"),
        (LipDub(Path("clip"), 1.0, 0.5), WORDS, "no length"),
        (LipDub(Path("clip"), 5.0), WORDS, "no length"),
        (LipDub(Path("clip"), 0.5, 9.0), WORDS, "longer than the clip"),
        (LipDub(Path("clip"), voice=Path("nobody.wav")), "", "does not exist"),
    ],
)
def test_what_cannot_be_dubbed_gets_a_sentence(
    clip: Path, lora: Path, tiny_model: Path, edit: LipDub, prompt: str, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        plan(request_of(tiny_model, replace(edit, clip=clip), lora, prompt=prompt))


def test_the_plan_of_a_model_that_is_not_installed_needs_no_lora(clip: Path) -> None:
    assert plan(request_of("ltx-2.3-distilled", LipDub(clip))).edit is not None


def test_a_lora_that_does_not_say_how_large_its_reference_is_is_warned_of(
    clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    path = write_random_lora(tiny_model, tmp_path / "my-lipdub.safetensors", metadata={})

    result = plan(request_of(tiny_model, LipDub(clip), path))

    assert any("does not say how large its reference is" in warning for warning in result.warnings)


def test_a_reference_of_half_the_size_lies_on_the_latent_grid(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    path = write_random_lora(tiny_model, tmp_path / "half.safetensors", metadata={"reference_downscale_factor": "2"})

    result = plan(request_of(tiny_model, LipDub(clip), path))

    ic_lora = stages.find_ic_lora(result)
    assert ic_lora is not None
    base = result.stages[0].size
    assert stages.reference_size(result, result.stages[0], ic_lora) == Size(base.width // 2, base.height // 2)


@pytest.mark.parametrize(("start_s", "end_s"), [(None, None), (3.0, 25.0), (8.0, None), (0.0, 21.0)])
def test_a_long_range_is_made_in_windows_that_follow_each_other(
    long_clip: Path, start_s: float | None, end_s: float | None
) -> None:
    edit = plan(request_of("ltx-2.3-distilled", LipDub(long_clip, start_s, end_s))).edit

    assert edit is not None
    assert len(edit.windows) > 1
    made = [window.picture for window in edit.windows if window.picture is not None]
    assert made[0].start <= (start_s or 0) * 24
    assert made[-1].stop >= (30 if end_s is None else end_s) * 24
    for before, after, window in zip(made, made[1:], edit.windows[1:], strict=False):
        assert before.stop == after.start
        assert window.start < after.start  # it is given what it goes on from
        assert (after.start - window.start) % 8 == 1
        assert window.sound is not None
        assert window.sound.start_s == pytest.approx((after.start - window.start) / 24)
    assert all(window.frames % 8 == 1 and window.frames <= 20 * 24 + 1 for window in edit.windows)


# --- what the model is shown ------------------------------------------------------------------------------------------


def random_clip(result: Plan, shape: LatentShape, *, seed: int) -> LatentBatch:
    """A clip of noise in a plan's latents."""
    generator, channels = torch.Generator().manual_seed(seed), result.model.video_vae.latent_channels
    num_tokens = stages.latent_grid(result.model).audio_tokens(FRAMES, RATE.value)

    def values(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    return LatentBatch(
        bucket=Bucket(SIZE, FRAMES),
        refines=False,
        video=values(1, channels, shape.frames, shape.height, shape.width),
        audio=values(1, num_tokens, result.model.audio_vae.token_channels),
        stills=values(1, 1, channels, 1, shape.height, shape.width),
        still_frames=torch.zeros(1, 1, dtype=torch.int64),
        prompts=(WORDS,),
    )


def states_of_a_run(result: Plan, stage: int, batch: LatentBatch, reference: LatentBatch) -> list[StreamState]:
    """Both streams of a stage as a run builds them."""
    store = ModelStore()
    store.use(find_model(result.request.model), Placement(torch.device("cpu"), torch.float32))
    source = SourceLatents(reference.video, reference.audio, reference.video, reference.audio)
    previous = (batch.video, batch.audio) if stage else (None, None)
    ic_lora = stages.find_ic_lora(result)
    video = stages.video_stream(
        store, result, result.stages[stage], previous[0], StageReferences((), ()), ic_lora, source
    )
    audio = stages.audio_stream(store, result, result.stages[stage], previous[1], None, source)
    assert audio is not None
    return [video, audio]


@pytest.mark.parametrize("stage", [0, 1], ids=["base", "refine"])
def test_a_run_shows_the_model_exactly_what_its_training_did(
    clip: Path, lora: Path, tiny_model: Path, stage: int
) -> None:
    result = plan(request_of(tiny_model, LipDub(clip), lora))
    grid, shape = stages.latent_grid(result.model), stages.stage_shape(result, result.stages[stage])
    target, reference = random_clip(result, shape, seed=1), random_clip(result, shape, seed=2)
    generator = torch.Generator().manual_seed(0)
    trained = dub_states(target, reference, 0, grid, is_refining=stage == 1)

    video, audio = states_of_a_run(result, stage, target, reference)

    assert trained.audio is not None
    for one, other in ((trained.video, video), (trained.audio, audio)):
        assert torch.equal(one.positions, other.positions)
        assert torch.equal(one.mask, other.mask)
        assert (one.num_target, one.is_frozen, one.attention) == (other.num_target, other.is_frozen, other.attention)
        noise = torch.randn(one.latent.shape, generator=generator)
        assert torch.equal(one.with_noise(noise, 1.0), other.with_noise(noise, 1.0))
        for sigma in (1.0, 0.4):
            assert torch.equal(one.timesteps(sigma), other.timesteps(sigma))
            assert torch.equal(one.stream_sigma(sigma), other.stream_sigma(sigma))


def test_outside_the_range_both_streams_are_given_and_inside_both_are_made(
    clip: Path, lora: Path, tiny_model: Path
) -> None:
    result = plan(request_of(tiny_model, LipDub(clip, 0.5, 0.9), lora))
    old = random_clip(result, stages.stage_shape(result, result.stages[0]), seed=1)

    video, audio = states_of_a_run(result, 0, old, old)

    per_frame = video.target(video.mask)[0, :, 0].unflatten(0, (5, -1))
    assert per_frame.tolist() == [[float(frame in {2, 3})] * per_frame.shape[1] for frame in range(5)]
    times_s = audio.positions[0, 0, : audio.num_target]
    made = audio.target(audio.mask)[0, :, 0] == 1
    assert 0.42 < float(times_s[made].min()) < 0.5
    assert 0.9 < float(times_s[made].max()) < 0.98
    assert torch.equal(audio.target(audio.clean)[:, ~made], old.audio[:, ~made])
    for state in (video, audio):
        assert state.mask[:, state.num_target :].max() == 0


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def make(tiny_model: Path, lora: Path, tmp_path: Path, store: ModelStore) -> Any:
    def dub(edit: LipDub, name: str = "out.mkv", **fields: Any) -> tuple[Path, list[Event]]:
        request = replace(request_of(tiny_model, edit, lora), **fields)
        return tmp_path / name, list(run(request, tmp_path / name, store=store))

    return dub


def test_outside_the_range_every_frame_and_sample_stays(make: Any, clip: Path) -> None:
    path, events = make(LipDub(clip, 0.5, 0.9))

    assert set(changed_frames(clip, path)) <= set(range(9, 25))
    assert len(changed_frames(clip, path)) > 8
    first_s, last_s = changed_seconds(clip, path)
    assert 0.5 - 0.08 < first_s < 0.5
    assert 0.9 < last_s < 0.9 + 0.08
    notices = [event.message for event in events if isinstance(event, Notice) and event.code == "lora"]
    assert len(notices) == 1
    assert "layers fit" in notices[0]


def test_a_dub_without_a_range_is_of_the_whole_clip(make: Any, clip: Path) -> None:
    path, _ = make(LipDub(clip))

    assert changed_frames(clip, path) == list(range(FRAMES))
    assert read_audio(path).num_samples == read_audio(clip).num_samples


def test_a_given_voice_is_heard_as_it_is(make: Any, clip: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    voice = (0.2 * rng.standard_normal((2, 24_000))).astype(np.float32)
    write_wav(tmp_path / "voice.wav", voice, 48_000)

    path, _ = make(LipDub(clip, 0.5, 0.9, tmp_path / "voice.wav", keep_background=False))

    heard = read_audio(path).samples[:, 24_000:43_200]
    spoken = read_audio(tmp_path / "voice.wav").samples[:, : heard.shape[1]]
    inside = slice(2000, -2000)  # of the fades
    assert np.abs(heard - spoken)[:, inside].max() < 2e-4  # 16 bits
    assert set(changed_frames(clip, path)) <= set(range(9, 25))


def test_the_background_stays_behind_a_given_voice(make: Any, clip: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "silence.wav", np.zeros((2, 48_000), np.float32), 48_000)

    path, _ = make(LipDub(clip, voice=tmp_path / "silence.wav"))

    old, new = read_audio(clip).samples, read_audio(path).samples
    inside = slice(4800, 43_200)

    def side(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return (samples[0] - samples[1])[inside] / 2

    assert np.abs(side(new) - side(old)).max() < 1e-3
    assert np.std(side(old)) > 0.02


def test_a_silent_clip_gets_the_given_voice_and_needs_one(make: Any, tmp_path: Path) -> None:
    silent = tmp_path / "silent.mkv"
    with ClipWriter(silent, size=SIZE, frame_rate=RATE, video_encoding=VideoEncoding(crf=0)) as writer:
        writer.write(np.random.default_rng(4).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8))
    voice = np.full((2, 48_000), 0.25, np.float32)
    write_wav(tmp_path / "voice.wav", voice, 48_000)

    path, events = make(LipDub(silent, voice=tmp_path / "voice.wav"), "spoken.mkv")

    heard = read_audio(path)
    assert heard.num_samples == pytest.approx(9 * 2000, abs=48)  # Matroska counts milliseconds
    assert np.abs(heard.samples - 0.25).max() < 1e-3
    assert [event.code for event in events if isinstance(event, Notice)].count("voice_cut") == 1
    with pytest.raises(RequestError, match="no voice to go on with"):
        make(LipDub(silent))


def test_a_dub_in_mp4_keeps_its_length_and_rate(make: Any, clip: Path) -> None:
    path, _ = make(LipDub(clip, 0.5, 0.9), "out.mp4")

    source = open_source(path)
    assert (source.num_frames, str(source.frame_rate), source.size) == (FRAMES, "24", SIZE)


def test_the_voice_and_the_picture_of_the_clip_decide_what_is_made(
    make: Any, clip: Path, tmp_path: Path, lora: Path, tiny_model: Path
) -> None:
    quiet = write_random_lora(tiny_model, tmp_path / "quiet-lipdub.safetensors", spread=0.0)
    with_lora, _ = make(LipDub(clip), "with.mkv")
    without, _ = make(LipDub(clip), "without.mkv", loras=(LoraReference(quiet),))

    assert len(changed_frames(with_lora, without)) == FRAMES


def test_windows_of_a_long_dub_are_made_one_after_the_other(
    make: Any, clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = model_facts(str(tiny_model))
    short = replace(facts, defaults=replace(facts.defaults, longest_s=17 / 24))
    monkeypatch.setattr("engine.pipelines.plan.model_facts", lambda _model: short)

    path, events = make(LipDub(clip, 0.3, None), preset=Preset.DRAFT)

    assert events[0].plan["edit"]["picture"][-1]["kind"] == "new"
    changed = changed_frames(clip, path)
    assert changed == list(range(changed[0], FRAMES))
    assert changed[0] < 8


def test_a_lora_s_header_is_that_of_the_training(lora: Path) -> None:
    opened = LoraFile.open(lora)

    assert opened.states_reference_factors
    assert {key: opened.checkpoint.metadata[key] for key in METADATA} == METADATA
