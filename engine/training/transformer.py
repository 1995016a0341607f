"""Trains the starter's transformer, with its text path, by flow matching on cached latents.

    python -m engine.training.transformer --data data --parts video_vae.safetensors audio.safetensors --out transformer

It can be interrupted at any moment and goes on where it was. On a GPU it computes in bf16. Writes
`transformer.safetensors`, in the official layout, and `text_encoder/`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.sampling.latents import LatentGrid
from engine.training.blank import ModelShape
from engine.training.conditions import TrainingBatch, training_batch
from engine.training.console import live_line, machine_of, made_ahead, run_command, training_parser
from engine.training.dataset import LatentDataset, draw_clips
from engine.training.encoding import ClipEncoder
from engine.training.flow import clip_loss
from engine.training.loop import OnStep, Recipe, train
from engine.training.small_gemma import train_tokenizer
from engine.training.starter import starter_shape
from engine.training.text_to_clip import TextToClip
from engine.weights.checkpoint import Checkpoint
from engine.weights.text_encoder import TextEncoder, TokenizedText

SHIFT = 2.05  # of the noise levels: what the schedule of a run has, whatever the clip's size
STATE_NAME = "training.pt"


@dataclass(frozen=True)
class Batches:
    """The batch of every step, a function of the step alone."""

    dataset: LatentDataset
    grid: LatentGrid
    steps: int
    batch_tokens: int  # of picture and sound
    seed: int = 0

    def __call__(self, step: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, step))
        clips = draw_clips(self.dataset, rng, progress=step / self.steps, batch_tokens=self.batch_tokens)
        return training_batch(clips, self.grid, rng, shift=SHIFT)


def flow_loss(model: TextToClip, tokenize: Callable[[tuple[str, ...]], TokenizedText], batch: TrainingBatch) -> Tensor:
    """The loss of both streams of a batch, on the model's device; bf16 on a GPU."""
    device = next(model.parameters()).device
    text = tokenize(batch.prompts)
    text = TokenizedText(text.ids.to(device), text.mask.to(device), text.num_dropped)
    video = batch.video.to(device)
    audio = None if batch.audio is None else batch.audio.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        velocities = model(text, video, audio)
    return clip_loss(velocities, video, audio)


def train_transformer(
    shape: ModelShape,
    tokenizer: Any,
    batches: Callable[[int], TrainingBatch],
    recipe: Recipe,
    folder: Path,
    *,
    on_step: OnStep,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the checkpoint's path. Raises CheckpointError."""
    torch.manual_seed(seed)
    model = TextToClip(shape).to(device)
    num_tokens = int(shape.config["transformer"]["text_sequence_length"])
    reader = TextEncoder(model.language_model, tokenizer, num_tokens=num_tokens)
    train(
        model,
        lambda step: flow_loss(model, reader.tokenize, batches(step)),
        recipe,
        state_path=folder / STATE_NAME,
        on_step=on_step,
    )
    return model.save(folder, tokenizer)


def main(arguments: list[str] | None = None) -> None:
    parser = training_parser(
        "transformer", "Train the starter's transformer.", steps=20_000, batch_tokens=2048, rate=2e-3
    )
    options = parser.parse_args(arguments)
    device = machine_of(options)
    encoder = ClipEncoder(Checkpoint.open_many(options.parts))
    dataset = LatentDataset.open(options.data, fingerprint=encoder.fingerprint())
    batches = Batches(dataset, encoder.grid, options.steps, options.batch_tokens, options.seed)
    train_transformer(
        starter_shape(),
        train_tokenizer(),
        made_ahead(batches, steps=options.steps, workers=options.workers),
        Recipe(options.steps, options.learning_rate, weight_decay=0.01),
        options.out,
        on_step=live_line("transformer"),
        device=device,
        seed=options.seed,
    )


if __name__ == "__main__":
    run_command(main)
