"""A small picture of unfinished latents, by a linear map from latent channels to colour.

The map is fitted once for each video decoder, by least squares over latents that the decoder itself turns into
pictures, and kept in the cache folder. It costs a matrix product per preview where a decode would cost seconds.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor

from engine.folders import cache_folder
from engine.model.video_vae import VideoDecoder

_SIDE = 8  # latents along each side of a fitting picture
_NUM_PICTURES = 12
_SEED = 0


class PreviewMap:
    """Latent channels and a constant to RGB."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix  # (C + 1, 3)

    @classmethod
    def kept(cls, source: Path, channels: int) -> "PreviewMap | None":
        """The map of a decoder of so many latent channels, if it was fitted before; see `of`."""
        with suppress(OSError, ValueError, EOFError):
            matrix = np.load(_cached(source), allow_pickle=False)
            if matrix.shape == (channels + 1, 3) and np.isfinite(matrix).all():
                return cls(torch.from_numpy(matrix))
        return None

    @classmethod
    def of(cls, decoder: VideoDecoder, source: Path) -> "PreviewMap":
        """The map of the decoder that was loaded from `source`, from the cache or fitted now."""
        kept = cls.kept(source, decoder.config.latent_channels)
        if kept is not None:
            return kept
        cached, matrix = _cached(source), fit(decoder)
        with suppress(OSError):  # a cache: the next run fits again
            cached.parent.mkdir(parents=True, exist_ok=True)
            partial = cached.with_suffix(".part.npy")
            np.save(partial, matrix.numpy())
            partial.replace(cached)
        return cls(matrix)

    def picture(self, latent: Tensor) -> NDArray[np.uint8]:
        """The middle frame of latents (1, C, F, h, w) -> uint8 (h, w, 3)."""
        frame = latent[0, :, latent.shape[2] // 2].float().cpu()
        colours = torch.einsum("chw,cr->hwr", frame, self.matrix[:-1]) + self.matrix[-1]
        return (colours.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).numpy()


@torch.no_grad()
def fit(decoder: VideoDecoder) -> Tensor:
    """Least squares from latents to the mean colour of the pixels each decodes to -> (C + 1, 3) fp32.

    The latents are noise of every coarseness, from a single colour to independent neighbours, because real pictures
    have both.
    """
    generator = torch.Generator().manual_seed(_SEED)
    channels = decoder.config.latent_channels
    parameter = next(decoder.parameters())
    rows, targets = [], []
    for index in range(_NUM_PICTURES):
        side = (1, 2, 4, _SIDE)[index % 4]
        coarse = torch.randn(1, channels, side, side, generator=generator)
        latents = F.interpolate(coarse, size=(_SIDE, _SIDE), mode="nearest")[:, :, None]
        pixels = decoder(latents.to(parameter)).float().cpu()
        factor = decoder.config.space_factor
        colours = reduce(pixels.clamp(-1, 1), "b c 1 (h p) (w q) -> (b h w) c", "mean", p=factor, q=factor)
        rows.append(rearrange(latents, "b c 1 h w -> (b h w) c"))
        targets.append(colours)
    inputs = torch.cat(rows)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    return torch.linalg.lstsq(inputs, torch.cat(targets)).solution


def _cached(source: Path) -> Path:
    return cache_folder() / "previews" / f"{_fingerprint(source)}.npy"


def _fingerprint(source: Path) -> str:
    facts = source.stat()
    return hashlib.sha256(f"{source.resolve()}|{facts.st_size}|{facts.st_mtime_ns}".encode()).hexdigest()[:24]
