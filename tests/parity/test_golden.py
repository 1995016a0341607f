"""Every tensor the official implementation produced, reproduced through the public loading code.

Alone: `pytest tests/parity/test_golden.py`; with other files of the same kind: `LTX_GOLDEN=/folder pytest ...`.
"""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from engine.model.config import parse_audio_vae, parse_video_vae
from engine.model.transformer import Pass, StreamInput, Transformer, rope_tables, strength_bias
from engine.model.upsampler import LatentUpsampler
from engine.model.vocoder import Vocoder
from engine.request import Guidance, GuidanceScales
from engine.sampling import conditioning, latents, samplers, schedule
from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import Denoiser, TextContexts, combine
from engine.sampling.latents import AVLatents, LatentGrid, LatentShape, ReferenceNoise
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role
from tests.parity import golden_files
from tests.parity.golden_files import FOLDER, assert_close, case, cases

RUN_GUIDANCE = Guidance(
    video=GuidanceScales(cfg=3, stg=1, modality=3, rescale=0.7),
    audio=GuidanceScales(cfg=7, stg=1, modality=3, rescale=0.7),
    stg_blocks=(1,),
)


@cache
def open_checkpoint() -> Checkpoint:
    return Checkpoint.open(FOLDER / "checkpoint.safetensors")


@cache
def latent_grid() -> LatentGrid:
    config = open_checkpoint().config
    return LatentGrid.of(parse_video_vae(config), parse_audio_vae(config))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return open_checkpoint()


@pytest.fixture(scope="module")
def transformer(checkpoint: Checkpoint) -> Transformer:
    network = load(checkpoint, Role.TRANSFORMER)
    assert isinstance(network, Transformer)
    return network


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def component(checkpoint: Checkpoint, role: Role) -> nn.Module:
    return load(checkpoint, role)


# --- text and positions -----------------------------------------------------------------------------------------------


def test_text_contexts(checkpoint: Checkpoint) -> None:
    golden = case("text")
    mask = golden["attention_mask"]

    video, audio = component(checkpoint, Role.TEXT_PROJECTION)(golden["hidden_states"], mask)

    assert_close(component(checkpoint, Role.VIDEO_CONNECTOR)(video, mask), golden["video_context"])
    assert_close(component(checkpoint, Role.AUDIO_CONNECTOR)(audio, mask), golden["audio_context"])


def clip_shape() -> tuple[LatentShape, Fraction, int]:
    golden = case("positions")
    shape = LatentShape(*golden["latent_shape"].tolist())
    frame_rate = Fraction(float(golden["fps"])).limit_denominator(1001)
    return shape, frame_rate, int(golden["audio_frames"])


def test_token_positions() -> None:
    golden = case("positions")
    shape, frame_rate, audio_tokens = clip_shape()

    assert latent_grid().audio_tokens(int(golden["frames"]), frame_rate) == audio_tokens
    assert_close(latents.video_positions(shape, frame_rate, latent_grid()), golden["video"])
    assert_close(latents.audio_positions(audio_tokens, latent_grid()), golden["audio"])


# --- transformer ------------------------------------------------------------------------------------------------------


def stream_input(golden: dict[str, Tensor], stream: str) -> StreamInput | None:
    if f"{stream}_velocity" not in golden:
        return None
    sigma = golden[f"{stream}_sigma"].float().reshape(1)
    return StreamInput(
        latent=golden[f"{stream}_latent"],
        timesteps=golden[f"{stream}_mask"][..., 0] * sigma,
        sigma=sigma,
        context=golden[f"{stream}_context"],
    )


PASSES = {
    "stg_block1": Pass(skip_video_attention=frozenset({1}), skip_audio_attention=frozenset({1})),
    "modality_isolated": Pass(isolate_streams=True),
}


@pytest.mark.parametrize("name", cases("transformer"))
def test_transformer(transformer: Transformer, name: str) -> None:
    golden = case(f"transformer.{name}")
    video, audio = stream_input(golden, "video"), stream_input(golden, "audio")
    if video is not None and "self_attention_strength" in golden:
        video = replace(video, attention_bias=strength_bias(golden["self_attention_strength"], torch.float32))
    rope = rope_tables(
        transformer.config,
        None if video is None else golden["video_positions"],
        None if audio is None else golden["audio_positions"],
    )

    velocities = transformer(video, audio, rope, [PASSES[name]] if name in PASSES else None)

    for stream, velocity in zip(("video", "audio"), velocities, strict=True):
        assert (velocity is None) == (f"{stream}_velocity" not in golden)
        if velocity is not None:
            assert_close(velocity, golden[f"{stream}_velocity"])


# --- conditioning, noise, schedules, steps, guidance ------------------------------------------------------------------


def fresh_video() -> StreamState:
    shape, frame_rate, _ = clip_shape()
    return conditioning.video_state(shape, case("conditioning.input")["image"].shape[1], frame_rate, latent_grid())


def conditioned(name: str) -> StreamState:
    """The state that a case describes; strengths and frames are read off its masks and positions."""
    _, frame_rate, _ = clip_shape()
    grid, golden, given = latent_grid(), case(f"conditioning.{name}"), case("conditioning.input")
    first_strength, last_strength = 1 - float(golden["mask"][0, 0, 0]), 1 - float(golden["mask"][0, -1, 0])
    keyframe = round(float(golden["positions"][0, 0, -1, 0]) * float(frame_rate))
    attention = float(golden["attention"][0, 0, -1]) if "attention" in golden else 1.0

    def referenced(encoded: Tensor, *, space_factor: int = 1, time_factor: int = 1) -> StreamState:
        return conditioning.append_reference(
            fresh_video(),
            encoded,
            last_strength,
            frame_rate,
            grid,
            space_factor=space_factor,
            time_factor=time_factor,
            attention_strength=attention,
        )

    match name:
        case "first_frame" | "first_frame_weak":
            return conditioning.replace_first_frames(fresh_video(), given["image"], first_strength)
        case "keyframe_0" | "keyframe_9":
            assert keyframe == int(name.rpartition("_")[2])
            return conditioning.append_keyframe(
                fresh_video(), given["image"], keyframe, last_strength, frame_rate, grid
            )
        case "first_and_keyframe":
            state = conditioning.replace_first_frames(fresh_video(), given["image"], first_strength)
            return conditioning.append_keyframe(state, given["image2"], keyframe, last_strength, frame_rate, grid)
        case "reference_1" | "reference_attention_half":
            return referenced(given["reference"])
        case "reference_down2":
            return referenced(given["reference_small"], space_factor=2)
        case "reference_temporal4":
            return referenced(given["reference_short"], time_factor=4)
        case _:
            raise AssertionError(f"no conditioning for the golden case {name}")


@pytest.mark.parametrize("name", [name for name in cases("conditioning") if name != "input"])
def test_conditioning(name: str) -> None:
    golden = case(f"conditioning.{name}")

    state = conditioned(name)

    for what in ("clean", "mask", "positions", "attention"):
        if what in golden:
            assert_close(getattr(state, what), golden[what])
    assert torch.equal(state.latent, golden["latent"])
    assert ("attention" in golden) == (state.attention is not None)


def test_noise_in_the_official_order() -> None:
    golden = case("noise")
    source = ReferenceNoise(int(golden["seed"]))
    video = conditioning.replace_first_frames(fresh_video(), case("conditioning.input")["image"], 0.6)
    _, _, audio_tokens = clip_shape()
    audio = conditioning.audio_state(audio_tokens, golden["audio"].shape[-1], latent_grid())

    def noisy(state: StreamState, stream: str, scale: float, stage: int) -> Tensor:
        noise = source.initial(tuple(state.latent.shape), stage=stage, stream=stream, dtype=torch.float32)
        return state.with_noise(noise, scale)

    assert_close(noisy(video, "video", 1.0, 0), golden["video"])
    assert_close(noisy(audio, "audio", 1.0, 0), golden["audio"])
    assert_close(noisy(video, "video", 0.909375, 1), golden["refine"])


@pytest.mark.parametrize("name", cases("schedule"))
def test_schedule(name: str) -> None:
    golden = case("schedule")[name]
    # The high-quality pipeline at 1080p counts the tokens of its first stage, all others assume 4096.
    tokens = LatentShape(16, 17, 30).tokens if name.endswith("hq_1080p") else schedule.SCHEDULE_TOKENS

    assert_close(torch.tensor(schedule.shifted_sigmas(len(golden) - 1, tokens)), golden)


@pytest.mark.parametrize(
    ("name", "index", "eta"),
    [("euler_1", 1, None), ("euler_last", -2, None), ("ancestral_1", 1, 1.0), ("ancestral_half", 1, 0.5)],
)
def test_step(name: str, index: int, eta: float | None) -> None:
    golden = case("step")
    sigma, sigma_next = golden["sigmas"].tolist()[index:][:2]

    if eta is None:
        stepped = samplers.euler_step(golden["x"], golden["x0"], sigma, sigma_next)
    else:
        stepped = samplers.ancestral_step(golden["x"], golden["x0"], golden["noise"], sigma, sigma_next, eta=eta)

    assert_close(stepped, golden[name])


def test_guidance() -> None:
    golden = case("guidance")

    out = combine(
        RUN_GUIDANCE.video,
        golden["cond"],
        negative=golden["uncond"],
        perturbed=golden["perturbed"],
        isolated=golden["isolated"],
    )

    assert_close(out, golden["out"])


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_batch", [1, 4])
@pytest.mark.parametrize("name", cases("run"))
def test_run(transformer: Transformer, name: str, max_batch: int) -> None:
    golden, contexts = case(f"run.{name}"), case("transformer.plain")
    _, _, audio_tokens = clip_shape()
    video = conditioned("first_and_keyframe") if name == "distilled_image_and_keyframe" else fresh_video()
    audio = conditioning.audio_state(audio_tokens, golden["initial_audio"].shape[-1], latent_grid())
    source = ReferenceNoise(int(golden["seed"]))
    initial = AVLatents(
        *(
            state.with_noise(
                source.initial(tuple(state.latent.shape), stage=0, stream=stream, dtype=torch.float32), 1.0
            )
            for state, stream in ((video, "video"), (audio, "audio"))
        )
    )
    denoiser = Denoiser(
        transformer,
        video,
        audio,
        positive=TextContexts(contexts["video_context"], contexts["audio_context"]),
        negative=TextContexts(golden["negative_video_context"], golden["negative_audio_context"]),
        guidance=RUN_GUIDANCE if name.startswith("guided") else Guidance(),
        max_batch=max_batch,
    )

    final = exhaust(samplers.euler(denoiser.predict, initial, golden["sigmas"].tolist()))

    assert initial.video is not None
    assert initial.audio is not None
    assert_close(initial.video, golden["initial_video"])
    assert_close(initial.audio, golden["initial_audio"])
    assert final.video is not None
    assert final.audio is not None
    assert_close(video.target(final.video), golden["final_video"])
    assert_close(final.audio, golden["final_audio"])


def exhaust(sampling: samplers.Sampling) -> AVLatents:
    while True:
        try:
            next(sampling)
        except StopIteration as finished:
            return finished.value


# --- autoencoders, vocoder, upsamplers --------------------------------------------------------------------------------


def test_video_vae(checkpoint: Checkpoint) -> None:
    golden = case("video_vae")
    encoder, decoder = component(checkpoint, Role.VIDEO_ENCODER), component(checkpoint, Role.VIDEO_DECODER)

    assert_close(encoder(golden["pixels"]), golden["latent"])
    assert_close(encoder(golden["pixels"][:, :, :1]), golden["one_frame_latent"])
    assert_close(decoder(golden["latent"]), golden["decoded"])
    assert_close(decoder(golden["one_frame_latent"]), golden["one_frame_decoded"])


def test_audio_vae(checkpoint: Checkpoint) -> None:
    golden = case("audio_vae")

    assert_close(component(checkpoint, Role.AUDIO_ENCODER)(golden["mel"]), golden["latent"])
    assert_close(component(checkpoint, Role.AUDIO_DECODER)(golden["latent"]), golden["decoded"])


def test_vocoder(checkpoint: Checkpoint) -> None:
    golden = case("vocoder")
    vocoder = component(checkpoint, Role.VOCODER)
    assert isinstance(vocoder, Vocoder)

    assert_close(vocoder.vocoder(golden["mel"]), golden["wave_16k"])
    assert_close(vocoder(golden["mel"]), golden["wave_48k"])


@pytest.mark.parametrize("name", cases("upsampler"))
def test_upsampler(name: str) -> None:
    golden = case(f"upsampler.{name}")
    upsampler = load(Checkpoint.open(FOLDER / f"upsampler-{name}.safetensors"), Role.UPSAMPLER)
    assert isinstance(upsampler, LatentUpsampler)

    assert_close(upsampler(golden["latent"]), golden["out"])


def test_no_golden_tensor_is_left_untried() -> None:
    areas = {key.split(".")[0] for key in golden_files.tensors()}

    assert areas == {
        "text", "positions", "transformer", "conditioning", "noise", "schedule", "step", "guidance", "run",
        "video_vae", "audio_vae", "vocoder", "upsampler",
    }  # fmt: skip
