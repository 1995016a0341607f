"""Token order, positions and noise. Alone: `pytest tests/engine/sampling/test_latents.py`."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.sampling.latents import (
    CounterNoise,
    LatentGrid,
    LatentShape,
    NoiseSource,
    ReferenceNoise,
    audio_positions,
    patchify_audio,
    patchify_video,
    unpatchify_audio,
    unpatchify_video,
    video_pixel_bounds,
    video_positions,
)

GRID = LatentGrid()
shapes = st.builds(LatentShape, *(st.integers(min_value=1, max_value=6) for _ in range(3)))


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_picture_tokens_run_along_rows_then_down_then_through_time() -> None:
    latent = torch.arange(2 * 2 * 3).view(1, 1, 2, 2, 3)

    assert patchify_video(latent).flatten().tolist() == list(range(12))


def test_a_sound_token_holds_all_mels_of_one_channel_after_the_other() -> None:
    latent = torch.tensor([[[[0, 1], [10, 11]], [[100, 101], [110, 111]]]])  # 2 channels, 2 frames, 2 mels

    assert patchify_audio(latent)[0].tolist() == [[0, 1, 100, 101], [10, 11, 110, 111]]


@given(shapes)
def test_patchifying_is_undone(shape: LatentShape) -> None:
    video, audio = torch.randn(2, 4, *shape), torch.randn(2, 3, 5, 4)

    assert patchify_video(video).shape == (2, shape.tokens, 4)
    assert torch.equal(unpatchify_video(patchify_video(video), shape), video)
    assert torch.equal(unpatchify_audio(patchify_audio(audio), channels=3), audio)


# --- positions --------------------------------------------------------------------------------------------------------


def test_the_bounds_of_a_token_are_the_official_ones() -> None:
    # Frame 1, row 0, column 1 (Lightricks/LTX-2, commit 400fd31).
    bounds = video_positions(LatentShape(3, 2, 3), Fraction(24), GRID)[0, :, 7]

    assert bounds.tolist() == [pytest.approx([1 / 24, 9 / 24]), [0, 32], [32, 64]]


@given(shapes, st.fractions(min_value=1, max_value=120, max_denominator=1001))
def test_picture_tokens_tile_the_clip(shape: LatentShape, frame_rate: Fraction) -> None:
    bounds = video_pixel_bounds(shape, GRID)[0].view(3, *shape, 2)

    time, rows, columns = bounds[0, :, 0, 0], bounds[1, 0, :, 0], bounds[2, 0, 0, :]
    for axis, end in ((time, 8 * (shape.frames - 1) + 1), (rows, 32 * shape.height), (columns, 32 * shape.width)):
        assert axis[0, 0] == 0
        assert torch.equal(axis[1:, 0], axis[:-1, 1])
        assert axis[-1, 1] == end
    # Nothing but its own axis moves a bound.
    assert torch.equal(bounds[0], time[:, None, None].expand(*shape, 2))
    assert torch.equal(bounds[1], rows[None, :, None].expand(*shape, 2))
    assert torch.equal(bounds[2], columns[None, None].expand(*shape, 2))
    seconds = video_positions(shape, frame_rate, GRID)[0]
    assert torch.allclose(seconds[0] * float(frame_rate), bounds[0].flatten(0, 2))
    assert torch.equal(seconds[1:], bounds[1:].flatten(1, 3))


@given(st.integers(min_value=1, max_value=300))
def test_sound_tokens_tile_the_clip(tokens: int) -> None:
    bounds = audio_positions(tokens, GRID)

    assert bounds.shape == (1, 1, tokens, 2)
    assert bounds[0, 0, 0].tolist() == pytest.approx([0, 0.01])
    assert torch.equal(bounds[0, 0, 1:, 0], bounds[0, 0, :-1, 1])
    assert float(bounds[0, 0, -1, 1]) == pytest.approx((4 * tokens - 3) * 0.01)


def test_without_the_causal_shift_every_latent_frame_is_eight_pictures_long() -> None:
    times = video_pixel_bounds(LatentShape(3, 1, 1), GRID, causal=False)[0, 0]

    assert times.tolist() == [[0, 8], [8, 16], [16, 24]]


# Lightricks/LTX-2, commit 400fd31.
@pytest.mark.parametrize(
    ("frames", "frame_rate", "expected"),
    [(121, 24, 126), (121, 25, 121), (241, 24, 251), (97, 24, 101), (257, 25, 257)],
)
def test_a_clip_has_the_official_number_of_sound_tokens(frames: int, frame_rate: int, expected: int) -> None:
    assert GRID.audio_tokens(frames, Fraction(frame_rate)) == expected


# --- noise ------------------------------------------------------------------------------------------------------------


def draw(
    source: NoiseSource, *, tokens: int = 6, stage: int = 0, stream: str = "video", dtype: torch.dtype = torch.float32
) -> Tensor:
    return source.initial((1, tokens, 4), stage=stage, stream=stream, dtype=dtype)


def test_noise_has_not_changed_since_it_was_written_down() -> None:
    # Every clip anybody made with a seed depends on these numbers.
    noise = CounterNoise(7)

    first = [
        noise.initial((1, 1, 3), stage=stage, stream=stream, dtype=torch.float64).flatten().tolist()
        for stream in ("video", "audio")
        for stage in (0, 1)
    ]

    expected = [
        [-0.1471279283802242, 0.5021121543773327, -1.0911010252731357],
        [-1.2117532228425163, -0.8761806859436577, -0.3785376458333601],
        [-0.3378139588648624, -0.6501981473473946, 0.07624586284584338],
        [-0.2697139499205487, -0.8242634371527048, -1.1653750723300509],
    ]
    assert [pytest.approx(values, rel=1e-12) for values in expected] == first
    assert noise.step((1, 1, 2), stage=0, stream="video", index=0).flatten().tolist() == pytest.approx(
        [-0.3401113372710535, 0.3665957340852262], rel=1e-12
    )


@given(st.integers(min_value=1, max_value=20), st.integers(min_value=1, max_value=20))
def test_appended_tokens_leave_the_noise_of_the_clip_alone(tokens: int, appended: int) -> None:
    noise = CounterNoise(3)

    assert torch.equal(draw(noise, tokens=tokens + appended)[:, :tokens], draw(noise, tokens=tokens))


def test_seeds_stages_streams_and_steps_have_noise_of_their_own() -> None:
    noise = CounterNoise(3)
    draws = [
        draw(noise),
        draw(CounterNoise(4)),
        draw(CounterNoise(-3)),
        draw(CounterNoise(3 + 2**32)),
        draw(noise, stage=1),
        draw(noise, stream="audio"),
        *(noise.step((1, 6, 4), stage=0, stream="video", index=index).float() for index in range(3)),
        noise.step((1, 6, 4), stage=1, stream="video", index=0).float(),
        noise.step((1, 6, 4), stage=0, stream="audio", index=0).float(),
    ]

    for index, one in enumerate(draws):
        for other in draws[index + 1 :]:
            assert not torch.isclose(one, other).any()


def test_the_order_of_the_draws_does_not_matter() -> None:
    forwards, backwards = CounterNoise(3), CounterNoise(3)

    video, audio = draw(forwards), draw(forwards, stream="audio")

    assert torch.equal(draw(backwards, stream="audio"), audio)
    assert torch.equal(draw(backwards), video)


def test_another_dtype_is_the_same_noise_rounded() -> None:
    exact = draw(CounterNoise(3), dtype=torch.float64)

    assert torch.equal(draw(CounterNoise(3), dtype=torch.bfloat16), exact.to(torch.bfloat16))


def test_noise_is_standard_normal_and_white() -> None:
    noise = CounterNoise(5).initial((1, 1000, 200), stage=0, stream="video", dtype=torch.float64).flatten()

    # 200,000 values: a mean of 0 and a variance of 1 are met to 0.0022 and 0.0032 at one standard deviation.
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(1, abs=0.013)
    assert float((noise**4).mean()) == pytest.approx(3, abs=0.1)
    assert float((noise.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.005)
    for lag in (1, 2, 200):
        assert float((noise[lag:] * noise[:-lag]).mean()) == pytest.approx(0, abs=0.01)


def test_the_official_order_draws_one_stream_after_the_other_from_one_generator() -> None:
    generator = torch.Generator().manual_seed(10)
    expected = [torch.randn(1, tokens, 4, generator=generator) for tokens in (6, 3, 12)]

    source = ReferenceNoise(10)
    drawn = [draw(source), draw(source, tokens=3, stream="audio"), draw(source, tokens=12, stage=1)]

    assert all(torch.equal(one, other) for one, other in zip(drawn, expected, strict=True))


def test_official_step_noise_does_not_know_the_seed() -> None:
    one, other = ReferenceNoise(1), ReferenceNoise(2)

    def step(source: ReferenceNoise, index: int) -> Tensor:
        return source.step((1, 6, 4), stage=0, stream="video", index=index)

    midpoint, whole = step(one, 0), step(one, 1)
    assert torch.equal(step(other, 0), midpoint)
    assert torch.equal(step(other, 1), whole)
    assert not torch.equal(midpoint, whole)
