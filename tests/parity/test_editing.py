"""The conditions of editing, against the official rules written out token by token.

Alone: `pytest tests/parity/test_editing.py`.

The rules are those of Lightricks/LTX-2 (commit 400fd31): a region mask is 1 for every token whose time interval reaches
into the region, 0 elsewhere; a dubbing reference lies before the clip and ends an audio latent before it begins; a
stage starts from `lerp(latent, noise, scale)` and then `lerp(clean, that, mask)`, video before audio, with one
generator. One thing is meant to differ: a frozen stream starts clean, where the official retake starts it as noise.
"""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import Denoiser, TextContexts
from engine.sampling.latents import AVLatents, LatentGrid, LatentShape, ReferenceNoise
from engine.sampling.samplers import euler
from engine.sampling.schedule import DISTILLED_SIGMAS
from tests.fakes.denoising import random_normal
from tests.fakes.tiny_transformer import tiny_transformer

GRID, RATE = LatentGrid(), Fraction(24)
SHAPE, CHANNELS = LatentShape(7, 2, 3), 8
SOUND_TOKENS, SOUND_CHANNELS = 51, 8


def video() -> StreamState:
    return conditioning.video_state(SHAPE, CHANNELS, RATE, GRID)


def audio() -> StreamState:
    return conditioning.audio_state(SOUND_TOKENS, SOUND_CHANNELS, GRID)


def picture(*, seed: int = 1) -> Tensor:
    return random_normal(1, SHAPE.tokens, CHANNELS, seed=seed)


def sound(*, seed: int = 2) -> Tensor:
    return random_normal(1, SOUND_TOKENS, SOUND_CHANNELS, seed=seed)


def official_video_mask(start_s: float, stop_s: float) -> Tensor:
    """Latent 0 shows frame 0, latent k frames 8k-7 to 8k."""
    flags = [max(8 * latent - 7, 0) / 24 < stop_s and (8 * latent + 1) / 24 > start_s for latent in range(SHAPE.frames)]
    return torch.tensor(flags).repeat_interleave(SHAPE.height * SHAPE.width).float()[None, :, None]


def official_audio_mask(start_s: float, stop_s: float) -> Tensor:
    """Token i hears mel frames 4i-3 to 4i, of 10 ms each."""
    flags = [
        max(4 * token - 3, 0) * 0.01 < stop_s and (4 * token + 1) * 0.01 > start_s for token in range(SOUND_TOKENS)
    ]
    return torch.tensor(flags).float()[None, :, None]


@pytest.mark.parametrize(("start_s", "stop_s"), [(1.0, 2.0), (0.0, 0.5), (1.5, 9.0), (0.7, 0.71), (1 / 24, 9 / 24)])
def test_a_region_is_made_where_the_official_mask_is_one(start_s: float, stop_s: float) -> None:
    state = conditioning.only_between(video(), picture(), start_s, stop_s)
    heard = conditioning.only_between(audio(), sound(), start_s, stop_s)

    assert torch.equal(state.mask, official_video_mask(start_s, stop_s))
    assert torch.equal(heard.mask, official_audio_mask(start_s, stop_s))


def test_the_published_example_of_a_retake() -> None:
    """[1, 2) seconds at 24 frames a second: latents 3 to 6, sound tokens 25 to 50."""
    state = conditioning.only_between(video(), picture(), 1.0, 2.0)
    heard = conditioning.only_between(audio(), sound(), 1.0, 2.0)

    latents = state.mask.view(SHAPE.frames, -1).amax(dim=1).nonzero().flatten().tolist()
    assert latents == [3, 4, 5, 6]
    assert heard.mask.flatten().nonzero().flatten().tolist() == list(range(25, 51))


def test_a_region_starts_from_noise_in_the_official_order_and_the_rest_from_the_source() -> None:
    state = conditioning.starting_from(conditioning.only_between(video(), picture(), 1.0, 1.5), picture())
    heard = conditioning.starting_from(conditioning.only_between(audio(), sound(), 1.0, 1.5), sound())
    source = ReferenceNoise(10)
    generator = torch.Generator().manual_seed(10)

    for stream, clean, mask, name in (
        (state, picture(), official_video_mask(1.0, 1.5), "video"),
        (heard, sound(), official_audio_mask(1.0, 1.5), "audio"),
    ):
        noise = source.initial(tuple(stream.latent.shape), stage=0, stream=name, dtype=torch.float32)
        official = torch.randn(clean.shape, generator=generator)
        torch.testing.assert_close(stream.with_noise(noise, 1.0), torch.lerp(clean, official, mask), rtol=0, atol=0)


def test_a_frozen_stream_starts_clean_and_reports_no_noise() -> None:
    state = conditioning.frozen(audio(), sound())

    assert torch.equal(state.with_noise(random_normal(1, SOUND_TOKENS, SOUND_CHANNELS, seed=9), 1.0), sound())
    assert not state.timesteps(0.9).any()
    assert not state.stream_sigma(0.9).any()


def test_a_reference_voice_ends_one_audio_latent_before_the_clip() -> None:
    voice = random_normal(1, 30, SOUND_CHANNELS, seed=4)

    state = conditioning.append_reference_sound(audio(), voice, 1.0, GRID)

    official = audio().positions[:, :, :30]
    official = official - official[..., -1].max() - 0.04
    torch.testing.assert_close(state.positions[:, :, SOUND_TOKENS:], official, rtol=0, atol=1e-7)
    assert torch.equal(state.positions[:, :, :SOUND_TOKENS], audio().positions)
    assert torch.equal(state.clean[:, SOUND_TOKENS:], voice)
    assert not state.mask[:, SOUND_TOKENS:].any()
    assert torch.equal(state.target(state.mask), audio().mask)


def test_region_keyframe_reference_and_voice_compose_in_any_order() -> None:
    still = random_normal(1, CHANNELS, 1, SHAPE.height, SHAPE.width, seed=5)
    reference = random_normal(1, CHANNELS, SHAPE.frames, 1, 3, seed=6)

    def region(state: StreamState) -> StreamState:
        return conditioning.only_between(state, picture(), 1.0, 1.5)

    def keyframe(state: StreamState) -> StreamState:
        return conditioning.append_keyframe(state, still, 30, 1.0, RATE, GRID)

    def referenced(state: StreamState) -> StreamState:
        return conditioning.append_reference(state, reference, 0.8, RATE, GRID, space_factor=2)

    first, last = referenced(keyframe(region(video()))), region(referenced(keyframe(video())))

    for name in ("latent", "clean", "mask", "positions"):
        assert torch.equal(getattr(first, name), getattr(last, name)), name
    assert first.num_target == last.num_target == SHAPE.tokens


def test_the_last_frame_is_a_keyframe_like_any_other() -> None:
    still = random_normal(1, CHANNELS, 1, SHAPE.height, SHAPE.width, seed=5)

    state = conditioning.append_keyframe(video(), still, 48, 1.0, RATE, GRID)

    times = state.positions[0, 0, SHAPE.tokens :]
    torch.testing.assert_close(times, torch.tensor([48 / 24, 49 / 24]).expand_as(times))


@torch.no_grad()
def test_what_is_kept_stays_bit_equal_through_every_step() -> None:
    transformer = tiny_transformer()
    channels = transformer.config.video.in_channels
    clean = random_normal(1, SHAPE.tokens, channels, seed=1)
    heard = random_normal(1, SOUND_TOKENS, transformer.config.audio.in_channels, seed=2)
    state = conditioning.only_between(conditioning.video_state(SHAPE, channels, RATE, GRID), clean, 1.0, 1.5)
    voice = conditioning.audio_state(SOUND_TOKENS, heard.shape[-1], GRID)
    voice = conditioning.only_between(voice, heard, 1.0, 1.5)
    contexts = TextContexts(
        random_normal(1, 5, transformer.config.video.context_dim, seed=7),
        random_normal(1, 5, transformer.config.audio.context_dim, seed=8),
    )
    denoiser = Denoiser(transformer, state, voice, positive=contexts)
    source = ReferenceNoise(3)
    start = AVLatents(
        *(
            stream.with_noise(
                source.initial(tuple(stream.latent.shape), stage=0, stream=name, dtype=torch.float32), 1.0
            )
            for stream, name in ((state, "video"), (voice, "audio"))
        )
    )

    steps = euler(denoiser.predict, start, DISTILLED_SIGMAS[-4:])
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            made = finished.value
            break

    for latent, given, stream in ((made.video, clean, state), (made.audio, heard, voice)):
        kept = stream.mask[..., 0] == 0
        assert torch.equal(latent[kept], given[kept])
        assert not torch.equal(latent[~kept], given[~kept])
