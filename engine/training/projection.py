"""Where the video VAE's training starts: weights that make it a good linear autoencoder, found without any gradient.

Between its first and its last layer an LTX-2.3 VAE is linear except for the residual blocks: changes of resolution are
convolutions and shuffles with no activation. So those layers are set, one after the other, by least squares over a few
hundred crops, and the residual blocks start by changing nothing.

The encoder's layers keep what best predicts, linearly, the pixels below them (reduced-rank regression). The decoder's
layers rebuild, from their 3x3x3 neighbourhood, the principal components of ever smaller blocks of pixels. Latents and
components are scaled to the square root of their spread: by their full spread the mean colour would drown everything
else, by none of it noise would count as much as shape. Inside the encoder, where averages of channels are added to what
a layer keeps, small components stay small and a layer's result is larger than its input, or these averages would bury
it (measured over this chain: 23.2 dB with both, 20.1 dB with neither).

Pixel norm and SiLU stand before each last layer. Constant inputs that are large beside the signal keep the norm nearly
constant and SiLU in its nearly linear part, so little is lost there.
"""

from dataclasses import dataclass
from typing import Final, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.model.video_vae import Convolution, VideoDecoder, VideoEncoder, pixel_norm

OFFSET: Final = 4.0  # the constant before the last pixel norm, in root mean squares of the signal
_MIRRORED_SHARE: Final = 2  # one in this many of the channels before the last pixel norm is the mirror of another
_GAIN: Final = 2.0  # of an encoder's layer
_INNER_SPREAD: Final = 0.75  # exponent of a component's spread in its scale, inside the encoder
_RIDGE: Final = 1e-6  # of the mean variance of a regression's inputs
_NEIGHBOURHOOD_RIDGE: Final = 1e-3  # larger: 27 neighbours are much alike
_MOST_ROWS: Final = 16_000  # of a regression
_MOST_SAMPLES: Final = 4_000  # blocks that principal components are taken from
_PATCHIFY: Final = "b c f (h p) (w q) -> b f h w (c q p)"  # the VAE's own order


@dataclass(frozen=True)
class Components:
    """Principal components of blocks of pixels, `time` frames by `space` x `space`, as a decoder stage makes them."""

    time: int
    space: int
    mean: Tensor  # (D,), of blocks
    analysis: Tensor  # (D, C): from blocks to components, scaled to the root of their spread
    offset: float  # added to every component
    energies: Tensor  # (C,): the squared change of a block's pixel, in the mean, for one unit of a component

    def of(self, pixels: Tensor, frames: int) -> Tensor:
        """The components of (B, 3, F, H, W) pixels as feature maps of `frames` frames: (B, frames, H, W, C)."""
        return (blocks_of(pixels, self.time, self.space, frames) - self.mean) @ self.analysis + self.offset


@torch.no_grad()
def start_as_projection(encoder: VideoEncoder, decoder: VideoDecoder, pixels: Tensor) -> list[Components]:
    """Set the weights of both from example crops (B, 3, 8k+1, H, W) in [-1, 1].

    Returns what each of the decoder's up stages has been set to make, in their order.
    """
    generator = torch.Generator().manual_seed(0)
    features = _fit_encoder(encoder, pixels, generator)
    return _fit_decoder(decoder, features, pixels, generator)


@torch.no_grad()
def fit_last_stages(encoder: VideoEncoder, decoder: VideoDecoder, pixels: Tensor, *, num_kept: int) -> None:
    """Set the decoder's stages behind the first `num_kept` again, for what those have learnt to make."""
    latents = encoder(pixels).movedim(1, -1)
    _fit_decoder(decoder, latents, pixels, torch.Generator().manual_seed(0), num_kept=num_kept)


def _fit_encoder(encoder: VideoEncoder, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the latents, channels last."""
    patch = encoder.config.patch_size
    x = rearrange(pixels, _PATCHIFY, p=patch, q=patch)
    time, space = 1, patch
    _fit_reduction(encoder.conv_in, x, blocks_of(pixels, time, space, x.shape[1]), generator, exponent=_INNER_SPREAD)
    x = encoder.conv_in(x)
    for stage in encoder.down_blocks:
        if hasattr(stage, "res_blocks"):
            _silence(stage)
            continue
        conv = cast(Convolution, stage.conv)
        blocks = blocks_of(pixels, time, space, x.shape[1])
        _fit_reduction(conv, x, blocks, generator, exponent=_INNER_SPREAD, gain=_GAIN * _rms(x))
        time, space = time * int(cast(int, stage.time)), space * int(cast(int, stage.space))
        x = stage(x)
        if time == encoder.config.time_factor and space == encoder.config.space_factor:
            constant = OFFSET * _rms(x)
            cast(Tensor, conv.conv.bias).add_(constant)
            x = x + constant
    activated = F.silu(pixel_norm(x))
    blocks = blocks_of(pixels, time, space, x.shape[1])
    _fit_reduction(encoder.conv_out, activated, blocks, generator, exponent=0.5, spare_outputs=1)
    return encoder.conv_out(activated)[..., : encoder.config.latent_channels]


def _fit_decoder(
    decoder: VideoDecoder, latents: Tensor, pixels: Tensor, generator: torch.Generator, *, num_kept: int = 0
) -> list[Components]:
    """Leaves the first `num_kept` stages as they are; returns what the others make."""
    if not num_kept:
        channels = decoder.config.latent_channels
        weight = decoder.conv_in.conv.weight
        weight[:channels] = 0
        weight[range(channels), range(channels), 1, 1, 1] = 1
        cast(Tensor, decoder.conv_in.conv.bias)[:channels] = 0
    x = decoder.conv_in(latents)
    time, space = decoder.config.time_factor, decoder.config.space_factor
    made: list[Components] = []
    for index, stage in enumerate(decoder.up_blocks):
        is_kept, is_residual = index < num_kept, hasattr(stage, "res_blocks")
        if is_residual and not is_kept:
            _silence(stage)
            continue
        factors = (1, 1) if is_residual else (int(cast(int, stage.time)), int(cast(int, stage.space)))
        time, space = time // factors[0], space // factors[1]
        if is_kept:
            x = stage(x)
            continue
        frames = x.shape[1] * factors[0]  # the first of a doubled pair is dropped later
        is_last = time == 1 and space == decoder.config.patch_size
        made.append(
            _fit_components(
                blocks_of(pixels, time, space, frames),
                int(cast(int, stage.out_channels)),
                generator,
                time=time,
                space=space,
                offset=OFFSET if is_last else 0.0,
            )
        )
        targets = made[-1].of(pixels, frames)
        shuffled = rearrange(
            targets, "b (f t) (h p) (w q) c -> b f h w (c t p q)", t=factors[0], p=factors[1], q=factors[1]
        )
        _fit_neighbourhood(cast(Convolution, stage.conv), x, shuffled, generator)
        x = stage(x)
    patch = decoder.config.patch_size
    _fit_neighbourhood(
        decoder.conv_out, F.silu(pixel_norm(x)), rearrange(pixels, _PATCHIFY, p=patch, q=patch), generator
    )
    return made


def blocks_of(pixels: Tensor, time: int, space: int, frames: int) -> Tensor:
    """What the features of `frames` frames stand for: (B, frames, H, W, values of a block).

    The first picture stands for as many frames before it as are missing: feature maps double it when they halve time.
    """
    missing = frames * time - pixels.shape[2]
    padded = torch.cat([pixels[:, :, :1].expand(-1, -1, max(missing, 0), -1, -1), pixels], dim=2)
    return rearrange(padded, "b c (f t) (h p) (w q) -> b f h w (c t p q)", t=time, p=space, q=space)


def _fit_components(
    blocks: Tensor, count: int, generator: torch.Generator, *, time: int, space: int, offset: float
) -> Components:
    """The leading principal components of blocks (..., D), of unit root mean square together.

    With an offset, for the last pixel norm, the largest come a second time with their signs turned: the difference of
    the two behind SiLU is free of its curvature, which they are large enough to feel.
    """
    num_mirrored = count // _MIRRORED_SHARE if offset else 0
    count -= num_mirrored
    rows = _some_rows(blocks.flatten(0, -2), _MOST_SAMPLES, generator)
    mean = rows.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, singular, basis = torch.pca_lowrank(rows - mean, q=min(count + 8, *rows.shape), center=False, niter=2)
    spreads = singular[:count] / len(rows) ** 0.5
    scale = (spreads * spreads.mean()).sqrt()
    analysis = basis[:, :count] / scale
    return Components(
        time=time,
        space=space,
        mean=mean,
        analysis=torch.cat([analysis, -analysis[:, :num_mirrored]], dim=1),
        offset=offset,
        energies=torch.cat([scale, scale[:num_mirrored]]).square() / len(mean),
    )


def _fit_reduction(
    convolution: Convolution,
    x: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    *,
    exponent: float,
    gain: float = 1.0,
    spare_outputs: int = 0,
) -> None:
    """Let the present, middle tap of a causal convolution keep what predicts `targets` best.

    What is kept has components as large as their spread to the power of `exponent`, and the root mean square `gain`.
    """
    weight, bias = convolution.conv.weight, cast(Tensor, convolution.conv.bias)
    rank = weight.shape[0] - spare_outputs
    chosen = torch.randperm(targets.shape[:-1].numel(), generator=generator)[:_MOST_ROWS]
    inputs, outputs = x.flatten(0, -2)[chosen].double(), targets.flatten(0, -2)[chosen].double()
    mean = inputs.mean(dim=0)
    inputs, outputs = inputs - mean, outputs - outputs.mean(dim=0)
    covariance = inputs.T @ inputs / len(inputs)
    variances, axes = torch.linalg.eigh(covariance)
    whitening = axes / (variances + _RIDGE * variances.mean()).sqrt() @ axes.T
    explained = whitening @ (inputs.T @ outputs / len(inputs))
    energies, directions = torch.linalg.eigh(explained @ explained.T)
    energies, directions = energies.flip(0)[:rank].clamp_min(1e-12), directions.flip(1)[:, :rank]
    scale = energies ** (exponent / 2)
    kept = gain * (whitening @ directions * (scale / _rms(scale))).T
    weight.zero_()
    bias.zero_()
    weight[:rank, :, -1, 1, 1] = kept.to(weight)
    bias[:rank] = -(kept @ mean).to(weight)


def _fit_neighbourhood(convolution: Convolution, x: Tensor, targets: Tensor, generator: torch.Generator) -> None:
    """Set a convolution that looks both ways in time by least squares."""
    weight, bias = convolution.conv.weight, cast(Tensor, convolution.conv.bias)
    padded = F.pad(torch.cat([x[:, :1], x, x[:, -1:]], dim=1), (0, 0, 1, 1, 1, 1))
    neighbourhoods = padded.unfold(1, 3, 1).unfold(2, 3, 1).unfold(3, 3, 1)  # (B, F, H, W, C, 3, 3, 3)
    shape = x.shape[:-1]
    chosen = torch.unravel_index(torch.randperm(shape.numel(), generator=generator)[:_MOST_ROWS], shape)
    inputs, outputs = neighbourhoods[chosen].flatten(1), targets[chosen]
    input_mean, output_mean = inputs.mean(dim=0), outputs.mean(dim=0)
    inputs, outputs = inputs - input_mean, outputs - output_mean
    gram = inputs.T @ inputs
    gram.diagonal().add_(_NEIGHBOURHOOD_RIDGE * gram.diagonal().mean())
    solution = torch.linalg.solve(gram.double(), (inputs.T @ outputs).double()).to(weight)
    weight.copy_(solution.T.unflatten(1, weight.shape[1:]))
    bias.copy_(output_mean - input_mean @ solution)


def _silence(stage: nn.Module) -> None:
    """Let residual blocks change nothing at first."""
    for layer in cast(nn.ModuleList, stage.res_blocks):
        last = cast(Convolution, layer.conv2).conv
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))


def _some_rows(rows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:most]]


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
