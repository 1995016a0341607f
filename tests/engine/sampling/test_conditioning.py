"""What a stage is given, as tokens, masks and positions. Alone: `pytest tests/engine/sampling/test_conditioning.py`.

The numbers of every kind of condition are checked against the official implementation in tests/parity/test_golden.py;
here are the laws they obey.
"""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.sampling.conditioning import (
    StreamState,
    append_keyframe,
    append_reference,
    audio_state,
    frozen,
    replace_first_frames,
    starting_from,
    video_state,
)
from engine.sampling.latents import LatentGrid, LatentShape, patchify_video
from tests.fakes.denoising import random_normal

GRID, FRAME_RATE, CHANNELS = LatentGrid(), Fraction(24), 4
SHAPE = LatentShape(3, 2, 3)
FRAME_TOKENS = SHAPE.height * SHAPE.width


def fresh() -> StreamState:
    return video_state(SHAPE, CHANNELS, FRAME_RATE, GRID)


def encoded(frames: int = 1, height: int = SHAPE.height, width: int = SHAPE.width, *, seed: int = 1) -> Tensor:
    return random_normal(1, CHANNELS, frames, height, width, seed=seed)


def test_a_fresh_clip_is_generated_everywhere_from_nothing() -> None:
    state = fresh()

    assert state.num_target == SHAPE.tokens
    assert not state.latent.any()
    assert torch.equal(state.mask, torch.ones(1, SHAPE.tokens, 1))
    assert torch.equal(state.timesteps(0.7), torch.full((1, SHAPE.tokens), 0.7))
    assert state.stream_sigma(0.7).tolist() == pytest.approx([0.7])


def test_a_first_frame_is_given_and_the_rest_is_generated() -> None:
    picture = encoded()

    state = replace_first_frames(fresh(), picture, strength=1.0)

    assert torch.equal(state.clean[:, :FRAME_TOKENS], patchify_video(picture))
    assert not state.timesteps(0.7)[:, :FRAME_TOKENS].any()
    assert torch.equal(state.mask[:, FRAME_TOKENS:], torch.ones(1, SHAPE.tokens - FRAME_TOKENS, 1))
    # The stream as a whole is still at its noise level: that is what the other stream hears of it.
    assert state.stream_sigma(0.7).tolist() == pytest.approx([0.7])


def test_a_condition_does_not_change_the_state_it_was_made_from() -> None:
    state = fresh()

    replace_first_frames(state, encoded(), strength=1.0)

    assert not state.clean.any()
    assert state.mask.all()


def test_a_keyframe_is_one_picture_long_and_stands_behind_the_clip() -> None:
    state = append_keyframe(fresh(), encoded(), frame=9, strength=0.75, frame_rate=FRAME_RATE, grid=GRID)

    times = state.positions[0, 0, SHAPE.tokens :]
    assert state.num_target == SHAPE.tokens
    assert torch.allclose(times, torch.tensor([9 / 24, 10 / 24]).expand(FRAME_TOKENS, 2))
    assert torch.equal(state.mask[0, SHAPE.tokens :], torch.full((FRAME_TOKENS, 1), 0.25))
    assert torch.equal(state.positions[:, :, : SHAPE.tokens], fresh().positions)


def test_a_keyframe_clip_keeps_its_own_time_after_its_first_frame() -> None:
    state = append_keyframe(fresh(), encoded(frames=2), frame=16, strength=1.0, frame_rate=FRAME_RATE, grid=GRID)

    frames = state.positions[0, 0, SHAPE.tokens :: FRAME_TOKENS] * 24
    assert torch.allclose(frames, torch.tensor([[16.0, 24], [24, 32]]))


def test_a_smaller_reference_covers_the_same_picture() -> None:
    small = encoded(frames=3, height=1, width=2)

    state = append_reference(fresh(), small, 1.0, FRAME_RATE, GRID, space_factor=2)

    appended = state.positions[0, :, SHAPE.tokens :]
    assert appended[1].max() == 64
    assert appended[2].max() == 128


def test_a_reference_of_every_fourth_picture_spans_the_same_time() -> None:
    # 2 latent frames are 9 pictures: the first, and every fourth after it up to picture 32.
    state = append_reference(fresh(), encoded(frames=2), 1.0, FRAME_RATE, GRID, time_factor=4)

    frames = state.positions[0, 0, SHAPE.tokens :: FRAME_TOKENS] * 24
    assert torch.allclose(frames, torch.tensor([[0.0, 1], [1, 33]]))


def test_references_see_the_clip_at_their_strength_and_each_other_not_at_all() -> None:
    state = append_reference(fresh(), encoded(), 1.0, FRAME_RATE, GRID, attention_strength=0.5)
    state = append_reference(state, encoded(seed=2), 1.0, FRAME_RATE, GRID, attention_strength=0.25)

    attention, clip = state.attention, SHAPE.tokens
    assert attention is not None
    first, second = slice(clip, clip + FRAME_TOKENS), slice(clip + FRAME_TOKENS, None)
    seen = {
        ("clip", "clip"): attention[0, :clip, :clip],
        ("clip", "first"): attention[0, :clip, first],
        ("clip", "second"): attention[0, :clip, second],
        ("first", "first"): attention[0, first, first],
        ("first", "second"): attention[0, first, second],
        ("second", "second"): attention[0, second, second],
    }
    assert {pair: set(block.flatten().tolist()) for pair, block in seen.items()} == {
        ("clip", "clip"): {1.0},
        ("clip", "first"): {0.5},
        ("clip", "second"): {0.25},
        ("first", "first"): {1.0},
        ("first", "second"): {0.0},
        ("second", "second"): {1.0},
    }
    assert torch.equal(attention, attention.mT)


def test_a_keyframe_behind_a_weak_reference_sees_everything() -> None:
    state = append_reference(fresh(), encoded(), 1.0, FRAME_RATE, GRID, attention_strength=0.5)

    state = append_keyframe(state, encoded(), 9, 1.0, FRAME_RATE, GRID)

    assert state.attention is not None
    assert state.attention.shape[-1] == state.latent.shape[1]
    assert state.attention[0, -FRAME_TOKENS:].eq(1).all()


def test_a_full_strength_reference_needs_no_attention_mask() -> None:
    assert append_reference(fresh(), encoded(), 1.0, FRAME_RATE, GRID).attention is None


def test_a_frozen_stream_is_given_whole_and_reports_no_noise() -> None:
    given_sound = random_normal(1, 5, CHANNELS)

    state = frozen(audio_state(5, CHANNELS, GRID), given_sound)

    assert state.stream_sigma(0.7).tolist() == [0.0]
    assert not state.timesteps(0.7).any()
    assert torch.equal(state.with_noise(random_normal(1, 5, CHANNELS, seed=9), 1.0), given_sound)
    assert torch.equal(state.blend(random_normal(1, 5, CHANNELS, seed=8)), given_sound)


def test_a_second_stage_starts_from_the_first_and_keeps_its_references() -> None:
    state = append_keyframe(fresh(), encoded(), 9, 1.0, FRAME_RATE, GRID)
    latent = random_normal(1, SHAPE.tokens, CHANNELS)

    started = starting_from(state, latent)

    assert torch.equal(started.target(started.latent), latent)
    assert torch.equal(started.clean, state.clean)
    noise = random_normal(*state.latent.shape, seed=3)
    noisy = started.with_noise(noise, 0.9)
    assert torch.allclose(noisy[:, : SHAPE.tokens], 0.1 * latent + 0.9 * noise[:, : SHAPE.tokens], atol=1e-6)
    assert torch.equal(noisy[:, SHAPE.tokens :], state.clean[:, SHAPE.tokens :])


@given(strength=st.floats(min_value=0, max_value=1), scale=st.floats(min_value=0, max_value=1))
def test_noise_reaches_a_token_as_far_as_its_mask_lets_it(strength: float, scale: float) -> None:
    state = replace_first_frames(fresh(), encoded(), strength)
    noise = random_normal(*state.latent.shape, seed=3)

    noisy = state.with_noise(noise, scale)

    first = slice(0, FRAME_TOKENS)
    expected = strength * state.clean[:, first] + (1 - strength) * scale * noise[:, first]
    assert torch.allclose(noisy[:, first], expected, atol=1e-5)
    assert torch.allclose(noisy[:, FRAME_TOKENS:], scale * noise[:, FRAME_TOKENS:], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_blending_keeps_given_tokens_and_generated_ones_bit_for_bit(dtype: torch.dtype) -> None:
    state = replace_first_frames(video_state(SHAPE, CHANNELS, FRAME_RATE, GRID, dtype=dtype), encoded(), 1.0)
    tokens = random_normal(*state.latent.shape, dtype=dtype)

    blended = state.blend(tokens)

    assert blended.dtype == dtype
    assert torch.equal(blended[:, :FRAME_TOKENS], state.clean[:, :FRAME_TOKENS])
    assert torch.equal(blended[:, FRAME_TOKENS:], tokens[:, FRAME_TOKENS:])
