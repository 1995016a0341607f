"""The convolutional video VAE: pixels <-> latents, 32 times smaller in space and 8 times in time.

The first latent frame holds a single picture, every later one eight, so 8k+1 frames are k+1 latent frames. The encoder
looks only backwards in time, the decoder both ways. What both exchange with the rest of the engine is the normalised
mean: no sampling, no scale factor. Tiles are not handled here but in `engine.model.tiling`.

Follows Lightricks/LTX-2 (commit 400fd31), whose parameter names these modules carry. LTX-2.0's decoder (residual up
stages, mirrored borders) is the same code with another `VideoVaeConfig`.

Inside, channels come last: (B batch, F frames, H, W, C channels). Every block has two methods over the same parameters.
`forward` is the formula, differentiable. `run` computes the same without gradients, in little memory and without
touching much of it: convolutions walk along time in chunks that fit the cache, activations go straight into the chunk's
padded copy, residual sums land in place. The networks choose by whether gradients are on.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import Literal, cast

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from engine.model.config import Resample, ResBlocks, VideoVaeConfig

Padding = Literal["zeros", "reflect"]

_NORM_EPS = 1e-8
_SPACE_TO_DEPTH = "b (f t) (h p) (w q) c -> b f h w (c t p q)"
_DEPTH_TO_SPACE = "b f h w (c t p q) -> b (f t) (h p) (w q) c"
_PATCHIFY = "b c f (h p) (w q) -> b f h w (c q p)"  # the width's sub-index is the slower one
_UNPATCHIFY = "b f h w (c q p) -> b c f (h p) (w q)"

# Bytes of a convolution's input handled at once: on a CPU little enough for the caches, on a GPU enough to fill it
# while the largest output (eight times the input) stays below the 2**31 elements that convolution kernels index.
CHUNK_BYTES_CPU = 16 * 2**20
CHUNK_BYTES_GPU = 256 * 2**20
# PyTorch gives a single sample to oneDNN only if channels x frames x rows exceed this (ConvParams::use_mkldnn in
# aten/src/ATen/native/Convolution.cpp); smaller ones run some ten times slower per pixel.
_ONEDNN_THRESHOLD = 20480


def pixel_norm(x: Tensor) -> Tensor:
    """Divide every pixel by the root mean square of its channels (the last axis)."""
    mean_square = x.float().square().mean(dim=-1, keepdim=True)
    return (x * torch.rsqrt(mean_square + _NORM_EPS)).to(x.dtype)


def _activate(x: Tensor, *, out: Tensor) -> None:
    """`out = silu(pixel_norm(x))` in three passes and without temporaries of x's size."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale = norm.square_().div_(x.shape[-1]).add_(_NORM_EPS).rsqrt_()
    torch.mul(x, scale, out=out)
    F.silu(out, inplace=True)


def _chunk_bounds(x: Tensor, multiple: int) -> list[int]:
    """Where to cut x along time: evenly, at multiples of `multiple`."""
    num_frames = x.shape[1]
    num_chunks = x.numel() * x.element_size() // (CHUNK_BYTES_CPU if x.device.type == "cpu" else CHUNK_BYTES_GPU)
    if x.device.type == "cpu" and x.shape[0] == 1:
        shortest = _ONEDNN_THRESHOLD // (x.shape[-1] * x.shape[2]) + multiple
        num_chunks = min(num_chunks, num_frames // shortest)
    num_units = num_frames // multiple
    num_chunks = max(min(num_chunks, num_units), 1)
    return [num_units * index // num_chunks * multiple for index in range(num_chunks)] + [num_frames]


class Convolution(nn.Module):
    """3x3x3 convolution that keeps the size: edge frames are repeated, borders are zeros or mirrored."""

    def __init__(self, in_channels: int, out_channels: int, *, causal: bool, padding: Padding) -> None:
        super().__init__()
        self.frames_before, self.frames_after = (2, 0) if causal else (1, 1)
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=(0, 1, 1), padding_mode=padding)

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, :1].expand(-1, self.frames_before, -1, -1, -1)
        last = x[:, -1:].expand(-1, self.frames_after, -1, -1, -1)
        return self._convolve(torch.cat([first, x, last], dim=1))

    def run(self, x: Tensor) -> Tensor:
        out = x.new_empty(*x.shape[:-1], self.conv.out_channels)
        for frames, y in self.chunks(x):
            out[:, frames] = y
        return out

    def chunks(self, x: Tensor, *, activate: bool = False, multiple: int = 1) -> Iterator[tuple[slice, Tensor]]:
        """The result piece by piece, as (frames, result of these frames).

        `activate` applies pixel norm and SiLU to x first. Pieces hold a multiple of `multiple` frames.
        """
        bounds = _chunk_bounds(x, multiple)
        for start, stop in pairwise(bounds):
            yield slice(start, stop), self._convolve(self._padded(x, start, stop, activate=activate))

    def _padded(self, x: Tensor, start: int, stop: int, *, activate: bool) -> Tensor:
        """What the output frames start..stop see of x, its end frames repeated where they look past them."""
        first, last = max(start - self.frames_before, 0), min(stop + self.frames_after, x.shape[1])
        num_before = first - (start - self.frames_before)
        padded = x.new_empty(x.shape[0], stop - start + 2, *x.shape[2:])
        inside = padded[:, num_before : num_before + last - first]
        if activate:
            _activate(x[:, first:last], out=inside)
        else:
            inside.copy_(x[:, first:last])
        padded[:, :num_before] = inside[:, :1]
        padded[:, num_before + last - first :] = inside[:, -1:]
        return padded

    def _convolve(self, x: Tensor) -> Tensor:
        return self.conv(x.movedim(-1, 1)).movedim(1, -1)


class _ResLayer(nn.Module):
    def __init__(self, channels: int, *, causal: bool, padding: Padding) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, causal=causal, padding=padding)
        self.conv2 = Convolution(channels, channels, causal=causal, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(pixel_norm(x)))
        return x + self.conv2(F.silu(pixel_norm(h)))

    def run(self, x: Tensor, scratch: Tensor) -> None:
        """Add the layer's change to x; `scratch` is another tensor of x's shape."""
        for frames, h in self.conv1.chunks(x, activate=True):
            scratch[:, frames] = h
        for frames, change in self.conv2.chunks(scratch, activate=True):
            x[:, frames] += change


class _ResStage(nn.Module):
    """Residual layers of one width."""

    def __init__(self, channels: int, num_layers: int, *, causal: bool, padding: Padding) -> None:
        super().__init__()
        self.res_blocks = nn.ModuleList(_ResLayer(channels, causal=causal, padding=padding) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.res_blocks:
            x = layer(x)
        return x

    def run(self, x: Tensor) -> Tensor:
        """Overwrites x."""
        scratch = torch.empty_like(x)
        for layer in self.res_blocks:
            cast(_ResLayer, layer).run(x, scratch)
        return x


class _DownStage(nn.Module):
    """Halve time, space or both; the input, shuffled the same way and averaged down to the new width, is added."""

    def __init__(self, in_channels: int, change: Resample, *, padding: Padding) -> None:
        super().__init__()
        self.time, self.space = change.time, change.space
        self.out_channels = in_channels * change.multiplier
        conv_channels = self.out_channels // (change.time * change.space**2)
        self.conv = Convolution(in_channels, conv_channels, causal=True, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        x = self._with_whole_pairs(x)
        return self._combine(x, self.conv(x))

    def run(self, x: Tensor) -> Tensor:
        x = self._with_whole_pairs(x)
        b, f, h, w, _ = x.shape
        out = x.new_empty(b, f // self.time, h // self.space, w // self.space, self.out_channels)
        for frames, y in self.conv.chunks(x, multiple=self.time):
            out[:, frames.start // self.time : frames.stop // self.time] = self._combine(x[:, frames], y)
        return out

    def _with_whole_pairs(self, x: Tensor) -> Tensor:
        """When time is halved, the first frame is doubled: 2k+1 frames become k+1 pairs."""
        return torch.cat([x[:, :1], x], dim=1) if self.time == 2 else x

    def _combine(self, x: Tensor, y: Tensor) -> Tensor:
        factors = {"t": self.time, "p": self.space, "q": self.space}
        skip = rearrange(x, _SPACE_TO_DEPTH, **factors)
        skip = reduce(skip, "b f h w (c group) -> b f h w c", "mean", c=self.out_channels)
        return rearrange(y, _SPACE_TO_DEPTH, **factors).add_(skip)


class _UpStage(nn.Module):
    """Double time, space or both; LTX-2.0 adds the input, shuffled the same way and repeated to the new width."""

    def __init__(self, in_channels: int, change: Resample, *, causal: bool, padding: Padding) -> None:
        super().__init__()
        self.time, self.space = change.time, change.space
        self.out_channels = in_channels // change.multiplier
        num_shuffled = change.time * change.space**2
        self.num_repeats = num_shuffled // change.multiplier if change.residual else 0
        self.conv = Convolution(in_channels, self.out_channels * num_shuffled, causal=causal, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self._combine(x, self.conv(x))[:, self.time - 1 :]

    def run(self, x: Tensor) -> Tensor:
        b, f, h, w, _ = x.shape
        num_extra = self.time - 1  # when time is doubled, the first frame stays single
        out = x.new_empty(b, f * self.time - num_extra, h * self.space, w * self.space, self.out_channels)
        for frames, y in self.conv.chunks(x):
            doubled = self._combine(x[:, frames], y)[:, num_extra if frames.start == 0 else 0 :]
            stop = frames.stop * self.time - num_extra
            out[:, stop - doubled.shape[1] : stop] = doubled
        return out

    def _combine(self, x: Tensor, y: Tensor) -> Tensor:
        factors = {"t": self.time, "p": self.space, "q": self.space}
        y = rearrange(y, _DEPTH_TO_SPACE, **factors)
        if not self.num_repeats:
            return y
        skip = rearrange(x, _DEPTH_TO_SPACE, **factors)
        return y + repeat(skip, "b f h w c -> b f h w (n c)", n=self.num_repeats)


class ChannelStatistics(nn.Module):
    """Mean and deviation of every latent channel over the training set."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean-of-means", torch.zeros(channels))
        self.register_buffer("std-of-means", torch.ones(channels))

    def normalise(self, latents: Tensor) -> Tensor:
        mean, deviation = self._values(latents)
        return (latents - mean) / deviation

    def denormalise(self, latents: Tensor) -> Tensor:
        mean, deviation = self._values(latents)
        return latents * deviation + mean

    def _values(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Shaped for (B, C, F, H, W), in the latents' dtype."""
        mean, deviation = self.get_buffer("mean-of-means"), self.get_buffer("std-of-means")
        return mean.to(latents)[:, None, None, None], deviation.to(latents)[:, None, None, None]


class VideoEncoder(nn.Module):
    """Pixels to normalised latents."""

    def __init__(self, config: VideoVaeConfig) -> None:
        super().__init__()
        self.config = config
        padding = config.encoder_padding
        width = config.encoder_width
        self.conv_in = Convolution(config.picture_channels * config.patch_size**2, width, causal=True, padding=padding)
        self.down_blocks = nn.ModuleList()
        for block in config.encoder_blocks:
            match block:
                case ResBlocks(num_layers):
                    self.down_blocks.append(_ResStage(width, num_layers, causal=True, padding=padding))
                case Resample():
                    self.down_blocks.append(_DownStage(width, block, padding=padding))
                    width *= block.multiplier
        # One log-variance shared by all channels follows the means; nothing here uses it.
        self.conv_out = Convolution(width, config.latent_channels + 1, causal=True, padding=padding)
        self.per_channel_statistics = ChannelStatistics(config.latent_channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, 8k+1, H, W) in [-1, 1] -> (B, C, k+1, H/32, W/32). Frames beyond the last 8k+1 are left out."""
        *_, num_frames, height, width = pixels.shape
        space, time = self.config.space_factor, self.config.time_factor
        assert height % space == width % space == 0, f"{width}x{height} pixels, not multiples of {space}"
        pixels = pixels[:, :, : (num_frames - 1) // time * time + 1].to(self.conv_in.conv.weight.dtype)
        x = rearrange(pixels, _PATCHIFY, p=self.config.patch_size, q=self.config.patch_size)
        if torch.is_grad_enabled():
            x = self.conv_in(x)
            for block in self.down_blocks:
                x = block(x)
            x = self.conv_out(F.silu(pixel_norm(x)))
        else:
            x = self.conv_in.run(x)
            for block in self.down_blocks:
                x = cast(_ResStage | _DownStage, block).run(x)
            x = torch.cat([y for _, y in self.conv_out.chunks(x, activate=True)], dim=1)
        means = rearrange(x[..., : self.config.latent_channels], "b f h w c -> b c f h w")
        return self.per_channel_statistics.normalise(means)


class VideoDecoder(nn.Module):
    """Normalised latents to pixels."""

    def __init__(self, config: VideoVaeConfig) -> None:
        super().__init__()
        self.config = config
        causal, padding = config.causal_decoder, config.decoder_padding
        changes = [block for block in config.decoder_blocks if isinstance(block, Resample)]
        width = config.decoder_width * prod(change.multiplier for change in changes)
        self.conv_in = Convolution(config.latent_channels, width, causal=causal, padding=padding)
        self.up_blocks = nn.ModuleList()
        for block in reversed(config.decoder_blocks):  # the file lists them from the pixels inward
            match block:
                case ResBlocks(num_layers):
                    self.up_blocks.append(_ResStage(width, num_layers, causal=causal, padding=padding))
                case Resample():
                    self.up_blocks.append(_UpStage(width, block, causal=causal, padding=padding))
                    width //= block.multiplier
        self.conv_out = Convolution(
            width, config.picture_channels * config.patch_size**2, causal=causal, padding=padding
        )
        self.per_channel_statistics = ChannelStatistics(config.latent_channels)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, C, k+1, h, w) -> (B, 3, 8k+1, 32h, 32w), about [-1, 1] and not clamped."""
        latents = self.per_channel_statistics.denormalise(latents.to(self.conv_in.conv.weight.dtype))
        x = rearrange(latents, "b c f h w -> b f h w c")
        patch = {"p": self.config.patch_size, "q": self.config.patch_size}
        if torch.is_grad_enabled():
            x = self.conv_in(x)
            for block in self.up_blocks:
                x = block(x)
            return rearrange(self.conv_out(F.silu(pixel_norm(x))), _UNPATCHIFY, **patch)
        x = self.conv_in.run(x)
        for block in self.up_blocks:
            x = cast(_ResStage | _UpStage, block).run(x)
        b, f, h, w, _ = x.shape
        pixels = x.new_empty(b, self.config.picture_channels, f, h * patch["p"], w * patch["q"])
        for frames, y in self.conv_out.chunks(x, activate=True):
            pixels[:, :, frames] = rearrange(y, _UNPATCHIFY, **patch)
        return pixels
