"""Final coordinates for the video VAE's latents: uncorrelated, and ordered by how much of the picture each moves.

A transformer trained on latents learns large values first and best. So a channel's size is to say how visible it is.
How visible a change of latents is, the decoder knows: its Jacobian turns a change of latents into one of pixels. The
directions that are uncorrelated over real latents and orthogonal in pixels become the channels, most visible first; the
spread of a normalised channel is the square root of the spread it causes in pixels. (Its full spread would leave the
outlines too small to be learnt, none of it would make noise as large as shape.)

The change of coordinates goes into the encoder's last and the decoder's first layer, and costs nothing.
"""

from typing import Final, cast

import torch
from torch import Tensor

from engine.model.video_vae import VideoDecoder, VideoEncoder

_CROPS_AT_ONCE: Final = 4
_PROBED_CROPS: Final = 24  # for the Jacobian
_PROBED_FRAMES: Final = 9
_STEP: Final = 0.1  # of a channel's spread, of a probe


@torch.no_grad()
def order_latents(encoder: VideoEncoder, decoder: VideoDecoder, pixels: Tensor, *, device: torch.device) -> None:
    """Change both halves in place, from example crops (B, 3, F, H, W); what they do together stays the same."""
    latents = torch.cat([encoder(part.to(device)) for part in pixels.split(_CROPS_AT_ONCE)])
    values = latents.movedim(1, -1).flatten(0, -2).double()
    mean = values.mean(dim=0)
    covariance = (values - mean).T.cov()
    visibility = _visibility(encoder, decoder, pixels[:_PROBED_CROPS, :, :_PROBED_FRAMES], covariance, device)
    variances, axes = torch.linalg.eigh(covariance)
    deviations = variances.clamp_min(1e-8 * float(variances.max())).sqrt()
    root = axes * deviations @ axes.T
    energies, directions = torch.linalg.eigh(root @ visibility @ root)
    energies, directions = energies.flip(0).clamp_min(1e-8 * float(energies.max())), directions.flip(1)
    pixel_spreads = energies.sqrt()
    # Raw channels get the spread they cause in pixels, normalised ones its square root, of unit root mean square.
    to_ordered = pixel_spreads[:, None] * (directions.T @ (axes / deviations @ axes.T))
    _change_coordinates(encoder, decoder, to_ordered)
    scale = (pixel_spreads * pixel_spreads.mean()).sqrt()
    for half in (encoder, decoder):
        half.per_channel_statistics.get_buffer("mean-of-means").copy_(to_ordered @ mean)
        half.per_channel_statistics.get_buffer("std-of-means").copy_(scale)


def _visibility(
    encoder: VideoEncoder, decoder: VideoDecoder, pixels: Tensor, covariance: Tensor, device: torch.device
) -> Tensor:
    """Mean products of what two channels do to the pixels, per unit of each: (C, C)."""
    channels = len(covariance)
    steps = _STEP * covariance.diagonal().sqrt()
    products = torch.zeros_like(covariance)
    generator = torch.Generator().manual_seed(0)
    for part in pixels.split(_CROPS_AT_ONCE):
        latents = encoder(part.to(device))
        decoded = decoder(latents)
        # One sign for each place, the same for all channels, so that places do not add up.
        signs = torch.randint(2, (latents.shape[0], *latents.shape[2:]), generator=generator).to(latents) * 2 - 1
        changes: list[Tensor] = []
        for channel in range(channels):
            moved = latents.clone()
            moved[:, channel] += float(steps[channel]) * signs
            changes.append(((decoder(moved) - decoded) / float(steps[channel])).flatten())
        moves = torch.stack(changes)
        products += (moves @ moves.T / moves.shape[1]).to(products)
    return products


def _change_coordinates(encoder: VideoEncoder, decoder: VideoDecoder, matrix: Tensor) -> None:
    """Let latents z become `matrix @ z` between the two."""
    channels = len(matrix)
    last, first = encoder.conv_out.conv, decoder.conv_in.conv
    weight, bias = last.weight, cast(Tensor, last.bias)
    weight[:channels] = torch.einsum("ij,j...->i...", matrix, weight[:channels].double()).to(weight)
    bias[:channels] = (matrix @ bias[:channels].double()).to(bias)
    inverse = torch.linalg.inv(matrix)
    first.weight.copy_(torch.einsum("oj...,ji->oi...", first.weight.double(), inverse))
