"""Latent upsamplers: twice or one and a half times the picture's sides, or twice its frames, between two stages.

They work on raw latents: `upsample` takes the video VAE's statistics off and puts them back. Module names are the keys
of the official files. Follows Lightricks/LTX-2 (commit 400fd31).

Shapes: B batch, C channels, F frames, H height, W width, all in latents.
"""

from fractions import Fraction

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.model.config import UpsamplerConfig

NORM_GROUPS = 32
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # the anti-aliasing blur before rows and columns are dropped


def upsample(upsampler: "LatentUpsampler", latents: Tensor, *, mean: Tensor, std: Tensor) -> Tensor:
    """Normalised latents (B, C, F, H, W) -> normalised latents of the larger size.

    `mean` and `std` (C,) are the video VAE's. The network runs in its own dtype, the result has that of the latents.
    """
    mean, std = (statistic.to(latents).view(-1, 1, 1, 1) for statistic in (mean, std))
    raw = torch.addcmul(mean, latents, std)
    return (upsampler(raw.to(upsampler.final_conv.weight.dtype)).to(latents.dtype) - mean) / std


class ResBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(width, width, 3, padding=1)
        self.norm1 = nn.GroupNorm(NORM_GROUPS, width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(NORM_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.norm1(self.conv1(x)), inplace=True)
        return F.silu(self.norm2(self.conv2(h)) + x, inplace=True)


class FrameShuffle(nn.Module):
    """Unfolds pairs of channels into twice the frames, less the first: latent frame 0 stands for a single picture."""

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(x, "b (c i) f h w -> b c (f i) h w", i=2)[:, :, 1:]


class BlurDownsample(nn.Module):
    """A binomial blur, then every `stride`-th row and column; an odd size rounds up."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        taps = torch.tensor(BINOMIAL)
        self.register_buffer("kernel", (torch.outer(taps, taps) / taps.sum().square())[None, None])

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:  # LTX-2.0's x2 file: nothing is dropped, so nothing is blurred
            return x
        kernel = self.get_buffer("kernel").expand(x.shape[1], -1, -1, -1)
        return F.conv2d(x, kernel, stride=self.stride, padding=len(BINOMIAL) // 2, groups=x.shape[1])


class RationalResampler(nn.Module):
    """Pictures enlarged by the numerator of the scale, then reduced by its denominator."""

    def __init__(self, width: int, scale: Fraction) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, scale.numerator**2 * width, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale.numerator)
        self.blur_down = BlurDownsample(scale.denominator)

    def forward(self, x: Tensor) -> Tensor:
        return self.blur_down(self.shuffle(self.conv(x)))


class LatentUpsampler(nn.Module):
    """Raw latents (B, C, F, H, W) -> (B, C, F, s H, s W), s 2 or 1.5 and rounded up, or (B, C, 2 F - 1, H, W)."""

    def __init__(self, config: UpsamplerConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.initial_conv = nn.Conv3d(config.latent_channels, width, 3, padding=1)
        self.initial_norm = nn.GroupNorm(NORM_GROUPS, width)
        self.res_blocks = nn.ModuleList(ResBlock(width) for _ in range(config.blocks_per_stage))
        self.upsampler = self._build_upsampler(config)
        self.post_upsample_res_blocks = nn.ModuleList(ResBlock(width) for _ in range(config.blocks_per_stage))
        self.final_conv = nn.Conv3d(width, config.latent_channels, 3, padding=1)

    @staticmethod
    def _build_upsampler(config: UpsamplerConfig) -> nn.Module:
        width = config.width
        if config.time_scale == 2:
            return nn.Sequential(nn.Conv3d(width, 2 * width, 3, padding=1), FrameShuffle())
        if config.rational:
            return RationalResampler(width, Fraction(config.space_scale))
        assert config.space_scale == 2, f"a scale of {config.space_scale} needs the rational resampler"
        return nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, latents: Tensor) -> Tensor:
        x = F.silu(self.initial_norm(self.initial_conv(latents)), inplace=True)
        for block in self.res_blocks:
            x = block(x)
        if self.config.time_scale == 2:
            x = self.upsampler(x)
        else:
            pictures = self.upsampler(rearrange(x, "b c f h w -> (b f) c h w"))
            x = rearrange(pictures, "(b f) c h w -> b c f h w", b=latents.shape[0])
        for block in self.post_upsample_res_blocks:
            x = block(x)
        return self.final_conv(x)
