"""The middle phase of the video VAE's training: learning coarse structure where it is cheap.

Nine tenths of a step's work are convolutions over many pixels, yet what a linear projection cannot do, to tell from few
numbers where an edge runs and which way it moves, is decided where feature maps are small. So the encoder's last layers
and the decoder's first stages are trained by themselves, from cached features to cached principal components of blocks
of 8x8 pixels and 2 frames, an error counting as much as the pixels it would change. A step costs about a tenth of a
whole one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.model.video_vae import VideoDecoder, VideoEncoder, pixel_norm
from engine.training.loop import OnStep, Recipe, batch_generator, train
from engine.training.projection import Components

_SEED: Final = 22
_BATCH: Final = 32
_TIME, _SPACE = 2, 8  # of the blocks
_ERROR_SCALE: Final = 100.0  # brings the loss near one
_LATENT_NOISE: Final = 0.03  # of the latents' root mean square


class CoarseVae(nn.Module):
    """The encoder's last stage and the decoder's first ones, of one video VAE and sharing its weights."""

    def __init__(self, encoder: VideoEncoder, decoder: VideoDecoder, made: list[Components]) -> None:
        super().__init__()
        self.last_down = encoder.down_blocks[-1]
        self.encoder_out = encoder.conv_out
        self.decoder_in = decoder.conv_in
        self.latent_channels = encoder.config.latent_channels
        self.ups = nn.ModuleList()
        upcoming = iter(made)
        for stage in decoder.up_blocks:
            is_residual = hasattr(stage, "res_blocks")
            if self._is_fine_enough() and not is_residual:
                break
            self.ups.append(stage)
            if not is_residual:
                self.made = next(upcoming)

    @property
    def num_decoder_stages(self) -> int:
        return len(self.ups)

    def _is_fine_enough(self) -> bool:
        made: Components | None = getattr(self, "made", None)
        return made is not None and made.time <= _TIME and made.space <= _SPACE

    def forward(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """What enters the encoder's last stage -> the components that leave the decoder's first ones, channels last."""
        x = self.encoder_out(F.silu(pixel_norm(self.last_down(features))))[..., : self.latent_channels]
        noise = torch.randn(x.shape, generator=generator).to(x)
        x = self.decoder_in(x + _LATENT_NOISE * x.detach().square().mean().sqrt() * noise)
        for stage in self.ups:
            x = stage(x)
        return x


@dataclass(frozen=True)
class CoarseExamples:
    """What a coarse VAE sees and what it should make, in half precision: (N, F, H, W, C) each."""

    features: Tensor
    targets: Tensor


@torch.no_grad()
def coarse_examples(encoder: VideoEncoder, made: Components, batches: Iterator[Tensor]) -> CoarseExamples:
    """From batches of crops (B, 3, F, H, W)."""
    features: list[Tensor] = []
    targets: list[Tensor] = []
    patch = encoder.config.patch_size
    for pixels in batches:
        x = encoder.conv_in(rearrange(pixels, "b c f (h p) (w q) -> b f h w (c q p)", p=patch, q=patch))
        for stage in list(encoder.down_blocks)[:-1]:
            x = stage(x)
        features.append(x.half())
        frames = (pixels.shape[2] - 1) // made.time + 1
        targets.append(made.of(pixels, frames).half())
    return CoarseExamples(torch.cat(features), torch.cat(targets))


def train_coarse(
    vae: CoarseVae,
    examples: CoarseExamples,
    recipe: Recipe,
    *,
    state_path: Path,
    on_step: OnStep,
    device: torch.device,
) -> None:
    """Train in place; `recipe` as in `loop.train`."""
    energies = vae.made.energies.to(device)

    def loss_of_step(step: int) -> Tensor:
        generator = batch_generator(_SEED, step)
        chosen = torch.randint(len(examples.features), (_BATCH,), generator=generator)
        features = examples.features[chosen].to(device).float()
        targets = examples.targets[chosen].to(device).float()
        errors = (vae(features, generator) - targets).square() @ energies
        return _ERROR_SCALE * errors.mean()

    train(vae, loss_of_step, recipe, state_path=state_path, on_step=on_step)
