"""Tiles: the official split, weights that sum to one, and tiled results that equal whole ones.

Run alone: pytest tests/engine/model/test_tiling.py
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.errors import RequestError
from engine.model.config import Resample, ResBlocks, VideoVaeConfig
from engine.model.tiles import Span, TilePlan, Tiling, choose_tiling, split, split_time
from engine.model.tiling import TileDone, decode_tiled, encode_tiled, space_weights, time_weights
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.types import Size

SMALL = Tiling(frames=48, frame_overlap=16, height=128, width=128, pixel_overlap=64)


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Length, tile size and overlap of an axis, in latents."""
    overlap = draw(st.integers(0, 4))
    return draw(st.integers(1, 60)), draw(st.integers(max(2 * overlap, 2), 12)), overlap


def _sharp_video(latents: Tensor) -> Tensor:
    """A decoder that sees one latent: three of its channels, repeated to frames and pixels."""
    pixels = latents[:, :3].repeat_interleave(32, dim=3).repeat_interleave(32, dim=4)
    return torch.cat([pixels[:, :, :1], pixels[:, :, 1:].repeat_interleave(8, dim=2)], dim=2)


def _smooth_video(latents: Tensor) -> Tensor:
    """A decoder that also sees the neighbours of each latent: it blurs them first."""
    padded = F.pad(latents[:, :3], (1, 1, 1, 1, 1, 1), mode="replicate")
    return _sharp_video(F.avg_pool3d(padded, 3, stride=1))


def _every_eighth_frame(pixels: Tensor) -> Tensor:
    """An encoder that sees only what its latent stands for: frame 0, 8, 16..., averaged over 32x32 pixels."""
    return F.avg_pool3d(pixels[:, :, ::8], (1, 32, 32))


def _joined(steps: list[TileDone]) -> Tensor:
    return torch.cat([step.chunk for step in steps if step.chunk is not None], dim=2)


def _latents(frames: int, rows: int, columns: int) -> Tensor:
    return torch.randn(1, 4, frames, rows, columns, generator=torch.Generator().manual_seed(0))


def test_241_frames_are_split_as_the_official_implementation_does() -> None:
    spans = split_time(31, size=10, overlap=3)

    assert spans == (Span(0, 10, 0, 3), Span(6, 17, 4, 3), Span(13, 24, 4, 3), Span(20, 31, 4, 0))


def test_tiles_of_241_frames_cover_these_frames() -> None:
    spans = [span.in_frames() for span in split_time(31, size=10, overlap=3)]

    assert spans == [Span(0, 73, 0, 24), Span(48, 129, 25, 24), Span(104, 185, 25, 24), Span(160, 241, 25, 0)]


def test_an_axis_no_longer_than_a_tile_is_one_tile() -> None:
    assert split(10, size=10, overlap=3) == (Span(0, 10),)


@settings(deadline=None)  # torch warms up in the first example
@given(axes())
def test_spans_cover_the_axis_and_never_exceed_the_tile(axis: tuple[int, int, int]) -> None:
    length, size, overlap = axis

    spans = split(length, size, overlap)

    assert {index for span in spans for index in range(span.start, span.stop)} == set(range(length))
    assert all(len(span) <= size and span.left_ramp + span.right_ramp <= len(span) for span in spans)


@settings(deadline=None)  # torch warms up in the first example
@given(axes())
def test_weights_in_space_sum_to_one(axis: tuple[int, int, int]) -> None:
    length, size, overlap = axis
    total = torch.zeros(32 * length)

    for span in (span.in_pixels() for span in split(length, size, overlap)):
        total[span.slice] += space_weights(span)

    torch.testing.assert_close(total, torch.ones_like(total))


@settings(deadline=None)  # torch warms up in the first example
@given(axes())
def test_weights_in_time_sum_to_one_in_frames_and_in_latents(axis: tuple[int, int, int]) -> None:
    length, size, overlap = axis
    frames, latents = torch.zeros(8 * (length - 1) + 1), torch.zeros(length)

    for span in split_time(length, size, overlap):
        frames[span.in_frames().slice] += time_weights(span.in_frames())
        latents[span.slice] += time_weights(span)

    torch.testing.assert_close(frames, torch.ones_like(frames))
    torch.testing.assert_close(latents, torch.ones_like(latents))


def test_the_first_frame_of_a_later_tile_has_no_weight() -> None:
    later = split_time(31, size=10, overlap=3)[1]

    assert time_weights(later.in_frames())[0] == 0
    assert time_weights(later)[0] == 0


@pytest.mark.parametrize(
    ("size", "height", "width"),
    [
        (Size(1920, 1088), 448, 768),
        (Size(1280, 704), 416, 768),
        (Size(768, 512), 512, 768),
        (Size(704, 1280), 768, 416),
        (Size(512, 512), 768, 768),
    ],
)
def test_tiles_take_the_proportions_of_the_picture(size: Size, height: int, width: int) -> None:
    assert choose_tiling(size) == Tiling(80, 24, height, width, 64)


@settings(deadline=None)  # torch warms up in the first example
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([256, 384, 512, 768, 1280]))
def test_a_tiling_can_be_chosen_for_every_picture(columns: int, rows: int, long_side: int) -> None:
    tiling = choose_tiling(Size(32 * columns, 32 * rows), long_side=long_side)

    assert max(tiling.width, tiling.height) == long_side


@pytest.mark.parametrize(
    ("field", "value"), [("frames", 40), ("frames", 81), ("height", 96), ("width", 100), ("pixel_overlap", -32)]
)
def test_a_tiling_off_the_grid_or_with_meeting_ramps_is_refused(field: str, value: int) -> None:
    with pytest.raises(RequestError) as caught:
        Tiling(**{field: value})

    assert caught.value.field == "tiling"
    assert caught.value.remedy


def test_the_largest_tile_is_what_the_decoder_gets_at_most() -> None:
    plan = TilePlan.of((31, 34, 60), choose_tiling(Size(1920, 1088)))

    assert plan.num_tiles == 4 * 3 * 3
    assert plan.largest_tile.shape == (11, 14, 24)


@pytest.mark.parametrize("buffer_device", [None, "cpu"])
def test_a_single_tile_is_the_whole_decode_bit_for_bit(buffer_device: str | None) -> None:
    latents = _latents(3, 4, 4)

    steps = list(decode_tiled(_smooth_video, latents, SMALL, buffer_device=buffer_device))

    assert [(step.num_done, step.num_tiles) for step in steps] == [(1, 1)]
    assert torch.equal(_joined(steps), _smooth_video(latents))


def test_tiles_of_a_decoder_that_sees_one_latent_further_differ_by_the_faded_error_at_their_borders() -> None:
    frames, rows, columns = (torch.arange(length, dtype=torch.float32) for length in (15, 9, 7))
    slope = (frames[:, None, None] + rows[:, None] + columns).expand(1, 4, -1, -1, -1)
    whole = _smooth_video(slope)

    tiled = _joined(list(decode_tiled(_smooth_video, slope, SMALL)))

    assert tiled.shape == whole.shape == (1, 3, 8 * 14 + 1, 9 * 32, 7 * 32)
    # A tile's outermost latent lacks its neighbour: the blur is wrong by 1/3 along each axis, and counts at most half.
    assert (tiled - whole).abs().max() <= 3 / 6
    # Before the first fade each pixel comes from one tile, away from its borders.
    torch.testing.assert_close(tiled[:, :, :25, :64, :64], whole[:, :, :25, :64, :64])


def test_tiles_blend_to_exactly_the_whole_decode_when_the_decoder_sees_one_latent() -> None:
    latents = _latents(15, 9, 7)

    tiled = _joined(list(decode_tiled(_sharp_video, latents, SMALL)))

    torch.testing.assert_close(tiled, _sharp_video(latents))


def test_bf16_tiles_are_summed_in_fp32() -> None:
    latents = torch.full((1, 4, 15, 4, 4), 1.01).bfloat16()

    tiled = _joined(list(decode_tiled(_sharp_video, latents, SMALL)))

    assert tiled.dtype == torch.float32
    torch.testing.assert_close(tiled, torch.full_like(tiled, float(latents[0, 0, 0, 0, 0])))


def test_a_chunk_comes_with_the_last_tile_of_its_group_and_nothing_with_the_others() -> None:
    steps = list(decode_tiled(_smooth_video, _latents(15, 4, 7), SMALL))

    plan = TilePlan.of((15, 4, 7), SMALL)
    tiles_per_group = len(plan.groups[0])
    assert tiles_per_group > 1
    assert [step.num_done for step in steps] == list(range(1, plan.num_tiles + 1))
    assert [step.chunk is not None for step in steps] == ([False] * (tiles_per_group - 1) + [True]) * len(plan.groups)


def test_chunks_end_where_the_next_group_begins() -> None:
    steps = decode_tiled(_smooth_video, _latents(31, 2, 2), Tiling())

    lengths = [step.chunk.shape[2] for step in steps if step.chunk is not None]

    assert lengths == [48, 56, 56, 81]


def test_nothing_is_decoded_after_the_iterator_is_closed() -> None:
    decoded: list[Tensor] = []

    def counting(part: Tensor) -> Tensor:
        decoded.append(part)
        return _smooth_video(part)

    steps = decode_tiled(counting, _latents(15, 4, 7), SMALL)
    next(steps)
    steps.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator

    assert len(decoded) == 1
    assert next(steps, None) is None


def test_the_decoder_never_sees_more_than_the_largest_tile() -> None:
    latents, seen = _latents(40, 9, 7), []

    def recording(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[2:]))
        return _smooth_video(part)

    for _ in decode_tiled(recording, latents, SMALL):
        pass

    assert max(seen) == TilePlan.of((40, 9, 7), SMALL).largest_tile.shape == (7, 4, 4)


def test_tiles_encode_to_exactly_the_whole_when_the_encoder_sees_one_latent() -> None:
    pixels = torch.randn(1, 3, 121, 160, 224, generator=torch.Generator().manual_seed(0))

    tiled = _joined(list(encode_tiled(_every_eighth_frame, pixels, SMALL)))

    torch.testing.assert_close(tiled, _every_eighth_frame(pixels))


def test_encoding_leaves_out_frames_beyond_the_last_8k_plus_1() -> None:
    pixels = torch.randn(1, 3, 125, 64, 64, generator=torch.Generator().manual_seed(0))

    tiled = _joined(list(encode_tiled(_every_eighth_frame, pixels, SMALL)))

    assert tiled.shape[2] == 16


@pytest.mark.parametrize("tiling", [Tiling(frame_overlap=8), Tiling(pixel_overlap=32)])
def test_encoding_refuses_small_overlaps(tiling: Tiling) -> None:
    with pytest.raises(RequestError, match="overlap"):
        encode_tiled(_every_eighth_frame, torch.zeros(1, 3, 9, 64, 64), tiling)


def _tiny_vae() -> VideoVaeConfig:
    """Single layers with the real factors: patch 4, three halvings of space, three of time."""
    halve_both = Resample(time=2, space=2, multiplier=1, residual=True)
    double_both = Resample(time=2, space=2, multiplier=1, residual=False)
    return VideoVaeConfig(
        latent_channels=8,
        picture_channels=3,
        patch_size=4,
        encoder_width=8,
        encoder_blocks=(ResBlocks(1), halve_both, halve_both, halve_both),
        decoder_width=8,
        decoder_blocks=(double_both, double_both, double_both, ResBlocks(1)),
        encoder_padding="zeros",
        decoder_padding="zeros",
        causal_decoder=False,
    )


@torch.no_grad()
def test_the_real_networks_give_bit_for_bit_the_whole_in_a_single_tile() -> None:
    torch.manual_seed(0)
    encoder, decoder = VideoEncoder(_tiny_vae()), VideoDecoder(_tiny_vae())
    pixels = torch.rand(1, 3, 17, 64, 96) * 2 - 1

    latents = _joined(list(encode_tiled(encoder, pixels, Tiling())))
    decoded = _joined(list(decode_tiled(decoder, latents, Tiling())))

    assert torch.equal(latents, encoder(pixels))
    assert torch.equal(decoded, decoder(latents))


@torch.no_grad()
def test_the_real_decoder_agrees_with_the_whole_where_tiles_do_not_fade() -> None:
    torch.manual_seed(0)
    decoder, latents = VideoDecoder(_tiny_vae()), torch.randn(1, 8, 13, 2, 2)
    whole = decoder(latents)

    tiled = _joined(list(decode_tiled(decoder, latents, Tiling(frames=64, frame_overlap=32, pixel_overlap=0))))

    # The first tile is latents 0..7 and fades from frame 25. This decoder looks five latents ahead, so it agrees with
    # the whole for latents 0..2, which are the frames up to 16.
    torch.testing.assert_close(tiled[:, :, :17], whole[:, :, :17], atol=1e-5, rtol=1e-5)
    assert tiled.shape == whole.shape
