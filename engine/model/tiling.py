"""Encode and decode a clip tile by tile, so that memory depends on the tile and not on the clip.

Both functions yield after every tile: the caller reports progress, stops by closing the iterator, and takes the results
in chunks of time as they are finished. Tiles are weighted by trapezoids that sum to one, in fp32. Sizes and the split
are in `engine.model.tiles`. Tiles differ a little from the whole because the VAE sees past a tile's border; an overlap
below the defaults becomes visible as flicker (time) or seams (space).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from engine.errors import RequestError
from engine.model.tiles import Span, Tile, TilePlan, Tiling
from engine.types import FRAMES_PER_LATENT, PIXELS_PER_LATENT

# An encoder needs this much of a neighbour to agree with it (the official encoder refuses less).
MIN_ENCODE_FRAME_OVERLAP = 16
MIN_ENCODE_PIXEL_OVERLAP = 64


@dataclass(frozen=True)
class TileDone:
    """One tile is finished; with the last of its group comes a chunk that no later tile will change.

    The chunks, joined along time, are the whole result, in fp32.
    """

    num_done: int
    num_tiles: int
    chunk: Tensor | None


def time_weights(span: Span) -> Tensor:
    """Trapezoid (len(span),) that starts at exact zero where it fades in."""
    return _weights(span, torch.arange(span.left_ramp) / max(span.left_ramp, 1))


def space_weights(span: Span) -> Tensor:
    """Trapezoid (len(span),) that never reaches zero."""
    return _weights(span, torch.arange(1, span.left_ramp + 1) / (span.left_ramp + 1))


def decode_tiled(
    decoder: Callable[[Tensor], Tensor],
    latents: Tensor,
    tiling: Tiling,
    *,
    buffer_device: torch.device | str | None = None,
) -> Generator[TileDone]:
    """Decode latents (B, C, k+1, h, w) to chunks (B, 3, frames, 32h, 32w), 8k+1 frames in all, not clamped.

    The sum of weighted tiles lies on `buffer_device`, by default with the latents: as many frames as a tile has at
    most, at full picture size, fp32.
    """
    plan = TilePlan.of(_grid(latents), tiling)

    def decode(tile: Tile) -> Tensor:
        return decoder(latents[:, :, *tile.slices])

    return _blend(plan, Tile.in_pixels, decode, torch.device(buffer_device or latents.device))


def encode_tiled(encoder: Callable[[Tensor], Tensor], pixels: Tensor, tiling: Tiling) -> Generator[TileDone]:
    """Encode pixels (B, 3, 8k+1, H, W) to chunks (B, C, frames, H/32, W/32) of k+1 normalised latent frames in all.

    Frames beyond the last 8k+1 are left out. Raises RequestError when neighbours overlap by less than 16 frames or
    64 pixels.
    """
    num_frames, height, width = _grid(pixels)
    assert height % PIXELS_PER_LATENT == width % PIXELS_PER_LATENT == 0, (width, height)
    latent_shape = (num_frames - 1) // FRAMES_PER_LATENT + 1, height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT
    plan = TilePlan.of(latent_shape, tiling)
    if tiling.frame_overlap < MIN_ENCODE_FRAME_OVERLAP or tiling.pixel_overlap < MIN_ENCODE_PIXEL_OVERLAP:
        raise RequestError(
            "tiling",
            f"Tiles that overlap by {tiling.frame_overlap} frames and {tiling.pixel_overlap} pixels cannot be encoded.",
            remedy=f"Use at least {MIN_ENCODE_FRAME_OVERLAP} frames and {MIN_ENCODE_PIXEL_OVERLAP} pixels.",
        )

    def encode(tile: Tile) -> Tensor:
        return encoder(pixels[:, :, *tile.in_pixels().slices])

    return _blend(plan, lambda tile: tile, encode, pixels.device)


@torch.no_grad()
def _blend(
    plan: TilePlan, place: Callable[[Tile], Tile], compute: Callable[[Tile], Tensor], device: torch.device
) -> Generator[TileDone]:
    """Sum `compute(tile)` times its weights at `place(tile)`, group by group."""
    last_row, last_column = place(plan.groups[-1][-1]).rows, place(plan.groups[-1][-1]).columns
    size = last_row.stop, last_column.stop
    num_done = 0
    unfinished: Tensor | None = None
    for group, next_group in pairwise((*plan.groups, None)):
        assert group is not None
        span = place(group[0]).time
        # What follows is final once this group is done: later groups begin here.
        next_start = place(next_group[0]).time.start if next_group else span.stop
        buffer: Tensor | None = None
        for tile in group:
            result = compute(tile)
            # The buffer comes after the first tile's computation, so that the previous group's, which the caller may
            # still hold as a chunk, is not added to the peak.
            if buffer is None:
                buffer = torch.zeros(*result.shape[:2], len(span), *size, dtype=torch.float32, device=device)
                if unfinished is not None:
                    buffer[:, :, : unfinished.shape[2]] = unfinished
                    unfinished = None
            _accumulate(buffer, place(tile), span.start, result)
            del result
            num_done += 1
            if tile is not group[-1]:
                yield TileDone(num_done, plan.num_tiles, None)
        assert buffer is not None
        num_finished = next_start - span.start
        if next_group:
            unfinished = buffer[:, :, num_finished:].clone()
        done = TileDone(num_done, plan.num_tiles, buffer[:, :, :num_finished])
        del buffer
        yield done
        del done


def _accumulate(buffer: Tensor, tile: Tile, first: int, result: Tensor) -> None:
    """Add a tile's weighted result; `first` is the time at which the buffer begins."""
    assert tuple(result.shape[2:]) == tile.shape, f"a tile of {tile.shape} came out as {tuple(result.shape)}"
    time, rows, columns = time_weights(tile.time), space_weights(tile.rows), space_weights(tile.columns)
    weights = (time[:, None, None] * rows[:, None] * columns).to(buffer.device)
    region = buffer[:, :, tile.time.start - first : tile.time.stop - first, tile.rows.slice, tile.columns.slice]
    region.addcmul_(result.to(buffer), weights)


def _weights(span: Span, left_ramp: Tensor) -> Tensor:
    weights = torch.ones(len(span))
    weights[: span.left_ramp] = left_ramp
    if span.right_ramp:
        falling = 1 - torch.arange(1, span.right_ramp + 1) / (span.right_ramp + 1)
        weights[-span.right_ramp :] *= falling
    return weights


def _grid(tensor: Tensor) -> tuple[int, int, int]:
    """The last three axes: frames, rows, columns."""
    num_frames, num_rows, num_columns = tensor.shape[2:]
    return num_frames, num_rows, num_columns
