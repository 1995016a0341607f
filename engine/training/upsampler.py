"""Trains the starter's spatial upsampler: from the latents of a clip to those of the same clip twice as large.

    python -m engine.training.upsampler --data data --parts video_vae.safetensors audio.safetensors --out upsampler

Pairs come from the cached latents, which hold every clip at both sizes. A run adds much noise to what the upsampler
makes, so layout matters and texture does not: plain mean squared error will do.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.model.config import parse_upsampler
from engine.model.header import Section
from engine.model.upsampler import LatentUpsampler, upsample
from engine.model.video_vae import VideoEncoder
from engine.training.console import live_line, machine_of, made_ahead, run_command, training_parser
from engine.training.dataset import LatentDataset
from engine.training.encoding import ClipEncoder
from engine.training.loop import OnStep, Recipe, train
from engine.training.starter import starter_shape
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role
from engine.weights.writing import write_tensors

UPSAMPLER_NAME: Final = "spatial-upscaler-x2.safetensors"


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation (C,) of the video VAE's raw latents."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, device: torch.device | str = "cpu") -> "Statistics":
        """Those in a checkpoint's VAE. Raises CheckpointError."""
        statistics = cast(VideoEncoder, load(checkpoint, Role.VIDEO_ENCODER, device=device)).per_channel_statistics
        return cls(statistics.get_buffer("mean-of-means"), statistics.get_buffer("std-of-means"))


@dataclass(frozen=True)
class PairBatches:
    """The pairs of every step, a function of the step alone: latents at half the size and at the whole."""

    dataset: LatentDataset
    batch_tokens: int  # of the larger size, and of the sound that is stored with it
    seed: int = 0

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        buckets = list(self.dataset.clips)
        bucket = buckets[int(rng.integers(len(buckets)))]
        count = max(self.batch_tokens // self.dataset.num_tokens(bucket, is_half=False), 1)
        return self.dataset.pairs(bucket, rng.integers(self.dataset.num_clips(bucket), size=count))


def train_upsampler(
    config: Mapping[str, Any],
    batches: Callable[[int], tuple[Tensor, Tensor]],
    statistics: Statistics,
    recipe: Recipe,
    folder: Path,
    *,
    on_step: OnStep,
    seed: int = 0,
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the file's path. Raises CheckpointError."""
    torch.manual_seed(seed)
    path = folder / UPSAMPLER_NAME
    device = statistics.mean.device
    network = LatentUpsampler(parse_upsampler(Section(path, "config", config))).to(device)

    def loss_of_step(step: int) -> Tensor:
        half, full = batches(step)
        made = upsample(network, half.to(device), mean=statistics.mean, std=statistics.std)
        return F.mse_loss(made, full.to(device))

    train(network, loss_of_step, recipe, state_path=folder / "training.pt", on_step=on_step)
    weights = {name: tensor.to("cpu", torch.bfloat16).contiguous() for name, tensor in network.state_dict().items()}
    write_tensors(path, weights, {"config": json.dumps(config)})
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = training_parser("upsampler", "Train the starter's upsampler.", steps=3_000, batch_tokens=1024, rate=1e-3)
    options = parser.parse_args(arguments)
    device = machine_of(options)
    checkpoint = Checkpoint.open_many(options.parts)
    dataset = LatentDataset.open(options.data, fingerprint=ClipEncoder(checkpoint).fingerprint())
    batches = PairBatches(dataset, options.batch_tokens, options.seed)
    train_upsampler(
        starter_shape().upsampler,
        made_ahead(batches, steps=options.steps, workers=options.workers),
        Statistics.of(checkpoint, device=device),
        Recipe(options.steps, options.learning_rate),
        options.out,
        on_step=live_line("upsampler"),
        seed=options.seed,
    )


if __name__ == "__main__":
    run_command(main)
