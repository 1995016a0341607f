"""Training batches hold what a run would build, and their loss counts what a run would keep from it.

Alone: `pytest tests/engine/training/test_starter_batches.py`.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import LatentGrid, LatentShape, patchify_video
from engine.training.conditions import BatchKind, Mode, draw_states, only_between, sample_states, training_batch
from engine.training.flow import NoisyStream, noise_levels, velocity_loss
from tests.fakes.latents import random_clips

GRID = LatentGrid()
RATE = Fraction(24)
CLIPS = random_clips(1)
FIRST, KEYFRAME = CLIPS.stills[:, 0], CLIPS.stills[:, 1]


def fresh_video() -> StreamState:
    """As `pipelines.stages.video_stream` begins."""
    return conditioning.video_state(LatentShape(3, 4, 4), 16, RATE, GRID)


def fresh_audio() -> StreamState:
    return conditioning.audio_state(18, 32, GRID)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_starts_alike(trained: StreamState, run: StreamState) -> None:
    """At noise level 1 nothing is left of the target, so training sees exactly the sequence that a run starts from."""
    noise = torch.randn(run.latent.shape, generator=torch.Generator().manual_seed(1))
    sample = NoisyStream.at([trained], [1.0], _Fixed(noise))
    torch.testing.assert_close(sample.latent, run.with_noise(noise, 1.0), rtol=0, atol=0)
    torch.testing.assert_close(sample.timesteps, run.timesteps(1.0), rtol=0, atol=0)
    torch.testing.assert_close(sample.sigma, run.stream_sigma(1.0), rtol=0, atol=0)
    torch.testing.assert_close(sample.positions, run.positions, rtol=0, atol=0)


class _Fixed(np.random.Generator):
    """Draws one given noise."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__(np.random.PCG64(0))
        self._noise = noise

    def standard_normal(self, *args: object, **options: object) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        del args, options
        return self._noise.numpy()


def test_a_sample_of_text_alone_is_a_fresh_run() -> None:
    states = sample_states(CLIPS, 0, Mode.TEXT, GRID, rng())
    assert states.audio is not None
    assert_starts_alike(states.video, fresh_video())
    assert_starts_alike(states.audio, fresh_audio())


def test_a_first_frame_is_given_as_a_run_gives_an_image() -> None:
    states = sample_states(CLIPS, 0, Mode.FIRST_FRAME, GRID, rng())
    assert_starts_alike(states.video, conditioning.replace_first_frames(fresh_video(), FIRST, 1.0))


def test_keyframes_are_appended_as_a_run_appends_them() -> None:
    states = sample_states(CLIPS, 0, Mode.TEXT, GRID, rng(), num_keyframes=1)
    assert_starts_alike(states.video, conditioning.append_keyframe(fresh_video(), KEYFRAME, 5, 1.0, RATE, GRID))


def test_a_given_sound_is_frozen_as_a_run_freezes_it() -> None:
    states = sample_states(CLIPS, 0, Mode.SOUND, GRID, rng())
    assert states.audio is not None
    assert_starts_alike(states.audio, conditioning.frozen(fresh_audio(), CLIPS.audio))
    assert_starts_alike(states.video, fresh_video())


def test_a_given_picture_is_frozen_and_its_sound_made() -> None:
    states = sample_states(CLIPS, 0, Mode.PICTURE, GRID, rng())
    assert states.audio is not None
    assert_starts_alike(states.video, conditioning.frozen(fresh_video(), patchify_video(CLIPS.video)))
    assert states.audio.mask.min() == 1


def test_a_region_makes_every_token_that_reaches_into_it_and_gives_the_rest() -> None:
    # The worked example of Lightricks/LTX-2: at 24 fps, one to two seconds are latents 3 to 6 and sound 25 to 50.
    video = conditioning.video_state(LatentShape(16, 1, 1), 2, RATE, GRID)
    audio = conditioning.audio_state(126, 2, GRID)
    clean = torch.randn(1, 16, 2)
    made = only_between(video, clean, (1.0, 2.0))
    assert made.mask[0, :, 0].nonzero().flatten().tolist() == [3, 4, 5, 6]
    heard = only_between(audio, torch.zeros(1, 126, 2), (1.0, 2.0)).mask[0, :, 0].nonzero().flatten().tolist()
    assert heard == list(range(25, 51))
    kept = made.with_noise(torch.randn(1, 16, 2), 1.0)
    torch.testing.assert_close(kept[:, [0, 1, 2, 7]], clean[:, [0, 1, 2, 7]], rtol=0, atol=0)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_right_answer_leads_to_the_clip_and_costs_nothing(mode: Mode) -> None:
    states = sample_states(CLIPS, 0, mode, GRID, rng())
    stream = NoisyStream.at([states.video], [0.7], rng())
    assert velocity_loss(stream.velocity, stream) == 0
    x0 = stream.latent - stream.timesteps[..., None] * stream.velocity
    made = stream.mask[0, :, 0] > 0
    torch.testing.assert_close(x0[:, made], patchify_video(CLIPS.video)[:, made])


def test_the_loss_ignores_kept_tokens() -> None:
    stream = NoisyStream.at([sample_states(CLIPS, 0, Mode.FIRST_FRAME, GRID, rng()).video], [0.5], rng())
    answer = torch.randn_like(stream.velocity)
    elsewhere = torch.where(stream.mask > 0, answer, answer + 100)
    assert velocity_loss(answer, stream) == velocity_loss(elsewhere, stream)


def test_the_loss_is_a_mean_over_made_tokens_whatever_their_number() -> None:
    stream = NoisyStream.at([sample_states(CLIPS, 0, Mode.FIRST_FRAME, GRID, rng()).video], [0.5], rng())
    whole = replace(stream, mask=torch.ones_like(stream.mask))
    assert velocity_loss(stream.velocity + 2, stream) == pytest.approx(4)
    assert velocity_loss(whole.velocity + 2, whole) == pytest.approx(4)


def test_a_frozen_stream_costs_nothing() -> None:
    stream = NoisyStream.at([sample_states(CLIPS, 0, Mode.PICTURE, GRID, rng()).video], [0.5], rng())
    assert velocity_loss(torch.randn_like(stream.velocity), stream) == 0


@pytest.mark.parametrize("kind", [BatchKind.PLAIN, BatchKind.GIVEN])
def test_a_batch_draws_many_modes_and_one_shape(kind: BatchKind) -> None:
    states = draw_states(random_clips(64), GRID, rng(3), kind)
    assert len({state.video.latent.shape for state in states}) == 1
    assert {state.video.is_frozen for state in states} == {True, False}


def test_a_plain_batch_has_one_noise_level_for_all_tokens_of_a_stream() -> None:
    states = draw_states(random_clips(64), GRID, rng(3), BatchKind.PLAIN)
    for state in states:
        assert state.audio is not None
        assert state.video.mask.unique().numel() == 1
        assert state.audio.mask.unique().numel() == 1


def test_common_batches_have_two_shapes() -> None:
    batches = [training_batch(random_clips(8), GRID, rng(seed), shift=1.3) for seed in range(80)]
    common = [batch for batch in batches if batch.is_common]
    shapes = {
        (batch.video.is_uniform, batch.audio.is_uniform, batch.video.latent.shape, batch.audio.latent.shape)
        for batch in common
        if batch.audio is not None
    }
    assert len(shapes) == 2
    assert len(common) > 50


def test_over_many_batches_there_are_keyframes_and_silence() -> None:
    batches = [training_batch(CLIPS, GRID, rng(seed), shift=1.3) for seed in range(80)]
    assert any(batch.audio is None for batch in batches)
    assert {batch.video.latent.shape[1] for batch in batches} == {48, 64, 80}


def test_some_prompts_are_dropped_for_guidance() -> None:
    prompts = training_batch(random_clips(200), GRID, rng(), shift=1.3).prompts
    assert 5 < sum(prompt not in random_clips().prompts for prompt in prompts) < 40
    assert "" in prompts


def test_most_streams_share_their_noise_level_and_some_do_not() -> None:
    batch = training_batch(random_clips(60), GRID, rng(2), shift=1.3)
    assert batch.audio is not None
    both = (batch.video.sigma > 0) & (batch.audio.sigma > 0)
    share = float((batch.video.sigma == batch.audio.sigma)[both].float().mean())
    assert 0.6 < share < 0.9


def test_clips_of_a_second_stage_are_learnt_from_where_it_begins() -> None:
    batch = training_batch(replace(random_clips(200), refines=True), GRID, rng(2), shift=2.05)
    levels = batch.video.sigma[batch.video.sigma > 0]
    assert float((levels < 0.91).float().mean()) > 0.7
    assert float((levels < 0.42).float().mean()) > 0.1


def test_noise_levels_lean_to_one_and_reach_both_ends() -> None:
    levels = noise_levels(rng(), 20_000, shift=2.05)
    assert levels.min() > 0
    assert levels.max() <= 1
    # Half of the normal draws lie above the sigmoid of 2.05, 0.886, which the stretch between the tails moves to 0.825;
    # the uniform quarter lowers that.
    assert 0.76 < float(np.median(levels)) < 0.80
    assert 0.05 < float((levels < 0.2).mean()) < 0.08  # of the uniform quarter a fifth, and a few of the others
