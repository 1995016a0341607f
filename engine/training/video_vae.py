"""Trains the starter model's video VAE: `python -m engine.training.video_vae --out FOLDER`.

Three phases, from crops of toy-world clips: it starts as a linear projection (`projection`), learns coarse structure
where that is cheap (`coarse`), then all of it is trained from pixels to pixels. Most steps of that see single frames or
two latent frames; some see three, so that the decoder learns what lies between. No adversarial loss: flat shapes have
no texture to invent, only edges, which an error of gradients keeps sharp.

When the steps are done, the latent space is given its final coordinates (`ordered`) and both halves are written in the
official layout. Interrupted, the same command goes on.
"""

import argparse
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.model.config import parse_video_vae
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.training.blank import save_checkpoint
from engine.training.coarse import CoarseVae, coarse_examples, train_coarse
from engine.training.console import add_machine_options, live_line, machine_of, run_command
from engine.training.crops import CROP_FRAMES, CROP_PX, cached_crops
from engine.training.loop import Recipe, batch_generator, centre_gradients, train
from engine.training.ordered import order_latents
from engine.training.projection import fit_last_stages, start_as_projection
from engine.training.split import evaluation_scenes
from engine.training.starter import starter_section, starter_shape
from engine.training.toyworld_draw import draw_scene
from engine.types import Size
from engine.weights.keymap import Role

FILE_NAME: Final = "video_vae.safetensors"
_SEED: Final = 20
_PROJECTION_CROPS: Final = 400
_CACHE_BATCH: Final = 25
_LATENT_NOISE: Final = 0.03  # of the latents' root mean square: what a sampler leaves must not show
_SQUARED: Final = 6.0  # weight of the squared error beside the absolute one
_EDGES: Final = 0.5  # weight of the error of differences between neighbours

_log = logging.getLogger("engine.training")


@dataclass(frozen=True)
class BatchKind:
    """The size of a step's crops. All kinds cost about as much."""

    crops: int
    frames: int
    side_px: int


# In turn. Sides of 64 give the same time for a third latent frame.
BATCH_KINDS: Final = (BatchKind(8, 9, 96), BatchKind(32, 1, 96), BatchKind(10, 17, 64), BatchKind(32, 1, 96))


class VideoVae(nn.Module):
    """Both halves, as one module to train."""

    def __init__(self, encoder: VideoEncoder, decoder: VideoDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @classmethod
    def starter(cls) -> "VideoVae":
        """Of the starter model's shape, with fresh weights from torch's global generator."""
        config = parse_video_vae(starter_section())
        return cls(VideoEncoder(config), VideoDecoder(config))


def to_model(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, F, H, W, 3) uint8 -> (B, 3, F, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 4, 1, 2, 3) / 127.5 - 1


def draw_batch(crops: NDArray[np.uint8], kind: BatchKind, generator: torch.Generator) -> Tensor:
    """Random pieces of random crops, half of them mirrored: (B, 3, F, H, W) in [-1, 1]."""

    def choose(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    pieces: list[NDArray[np.uint8]] = []
    for _ in range(kind.crops):
        crop = crops[choose(len(crops))]
        first, top, left = choose(CROP_FRAMES - kind.frames + 1), *(choose(CROP_PX - kind.side_px + 1) for _ in "yx")
        piece = crop[first : first + kind.frames, top : top + kind.side_px, left : left + kind.side_px]
        pieces.append(piece[:, :, ::-1] if choose(2) else piece)
    return to_model(np.stack(pieces))


def reconstruction_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Absolute and squared error, and the absolute error of differences between neighbours along all three axes."""
    difference = decoded.float() - pixels
    edges = [difference.diff(dim=axis).abs().mean() for axis in (2, 3, 4) if difference.shape[axis] > 1]
    return (
        difference.abs().mean() + _SQUARED * difference.square().mean() + _EDGES * torch.stack(edges).sum() / len(edges)
    )


def step_loss(vae: VideoVae, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The loss of one batch, decoded from slightly noisy latents."""
    on_gpu = pixels.device.type == "cuda"
    # On CPUs without bf16 arithmetic autocast would only cost time.
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=on_gpu or _cpu_has_bf16()):
        latents = vae.encoder(pixels).float()
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        spread = latents.detach().square().mean().sqrt()
        decoded = vae.decoder(latents + _LATENT_NOISE * spread * noise)
    return reconstruction_loss(decoded, pixels)


def train_video_vae(
    folder: Path, *, coarse_recipe: Recipe, recipe: Recipe, num_crops: int, batch_scale: int, device: torch.device
) -> Path:
    """Train, order the latents, write `FILE_NAME` into `folder` and return its path."""
    crops = cached_crops(folder / "crops", num_crops)
    torch.manual_seed(_SEED)
    vae = VideoVae.starter()
    state_path = folder / "video_vae_training.pt"
    if not state_path.exists():
        _start(vae, crops, coarse_recipe, state_path=folder / "video_vae_coarse_training.pt", device=device)
    vae.to(device)
    centre_gradients(vae)

    def loss_of_step(step: int) -> Tensor:
        generator = batch_generator(_SEED, step)
        kind = BATCH_KINDS[step % len(BATCH_KINDS)]
        pixels = draw_batch(crops, replace(kind, crops=batch_scale * kind.crops), generator)
        return step_loss(vae, pixels.to(device), generator)

    train(vae, loss_of_step, recipe, state_path=state_path, on_step=live_line("video VAE"))
    order_latents(vae.encoder, vae.decoder, to_model(crops[:_PROJECTION_CROPS]), device=device)
    path = folder / FILE_NAME
    save_checkpoint(path, {Role.VIDEO_ENCODER: vae.encoder, Role.VIDEO_DECODER: vae.decoder}, starter_shape().config)
    return path


def _start(vae: VideoVae, crops: NDArray[np.uint8], recipe: Recipe, *, state_path: Path, device: torch.device) -> None:
    """The first two phases."""
    _log.info("fitting the projection that training starts from")
    made = start_as_projection(vae.encoder, vae.decoder, to_model(crops[:_PROJECTION_CROPS]))
    coarse = CoarseVae(vae.encoder, vae.decoder, made)
    _log.info("computing the features of %d crops", len(crops))
    batches = (to_model(crops[first : first + _CACHE_BATCH]) for first in range(0, len(crops), _CACHE_BATCH))
    examples = coarse_examples(vae.encoder, coarse.made, batches)
    coarse.to(device)
    centre_gradients(coarse)
    train_coarse(coarse, examples, recipe, state_path=state_path, on_step=live_line("coarse"), device=device)
    vae.cpu()
    fit_last_stages(
        vae.encoder, vae.decoder, to_model(crops[: _PROJECTION_CROPS // 2]), num_kept=coarse.num_decoder_stages
    )


@torch.no_grad()
def clip_psnrs(vae: VideoVae, clips: Iterable[NDArray[np.uint8]], *, device: torch.device) -> list[float]:
    """PSNR in dB of each clip (F, H, W, 3) after encoding and decoding, rounded to 8 bits as a player shows it."""
    scores: list[float] = []
    for frames in clips:
        decoded = vae.decoder(vae.encoder(to_model(frames[None]).to(device))).cpu()
        shown = ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 3, 0).numpy()
        squared = float(np.mean((shown - frames.astype(np.float32)) ** 2))
        scores.append(10 * float(np.log10(255**2 / max(squared, 1e-3))))
    return scores


def evaluation_clips(count: int, *, size: Size, frames: int) -> Iterable[NDArray[np.uint8]]:
    """Clips that training never sees."""
    for scene in islice(evaluation_scenes(size, frames), count):
        yield draw_scene(scene, np.random.default_rng((scene.seed, 1)))


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.video_vae", description="Train the starter's video VAE."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for crops, training states and the result")
    parser.add_argument("--coarse-steps", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=6000, help="from pixels to pixels")
    parser.add_argument("--learning-rate", type=float, default=1.5e-4, help="from pixels to pixels")
    parser.add_argument("--crops", type=int, default=7000, help="training clips to cut crops from")
    parser.add_argument("--batch-scale", type=int, default=1, help="times as many crops a step; for a GPU")
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    train_video_vae(
        options.out,
        coarse_recipe=Recipe(steps=options.coarse_steps, learning_rate=1e-3, average_decay=0.995),
        recipe=Recipe(steps=options.steps, learning_rate=options.learning_rate),
        num_crops=options.crops,
        batch_scale=options.batch_scale,
        device=machine_of(options),
    )


if __name__ == "__main__":
    run_command(main)
