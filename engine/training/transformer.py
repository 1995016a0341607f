"""Trains the starter's transformer, with its text path, by flow matching on cached latents.

    python -m engine.training.transformer --data data --parts video_vae.safetensors audio.safetensors \
        --reader reader --out transformer

It can be interrupted at any moment and goes on where it was. On a GPU it computes in bf16, on a CPU that multiplies
bf16 its products do, and there its blocks are compiled unless `--eager` says otherwise. Writes
`transformer.safetensors`, in the official layout, and `text_encoder/`.
"""

from collections.abc import Callable
from contextlib import ExitStack
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
from engine.training.mixed import can_compile, compile_blocks, fit_products_to, uncompiled
from engine.training.reader import load_reader
from engine.training.small_gemma import train_tokenizer
from engine.training.starter import starter_shape
from engine.training.text_to_clip import TEXT_ENCODER_FOLDER, TextToClip
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
    is_continued: bool = False  # a model that was trained before: sizes in the proportion that training ends with

    def __call__(self, step: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, step))
        progress = 1.0 if self.is_continued else step / self.steps
        clips = draw_clips(self.dataset, rng, progress=progress, batch_tokens=self.batch_tokens)
        return training_batch(clips, self.grid, rng, shift=SHIFT)


def flow_loss(model: TextToClip, tokenize: Callable[[tuple[str, ...]], TokenizedText], batch: TrainingBatch) -> Tensor:
    """The loss of both streams of a batch, on the model's device; bf16 on a GPU."""
    device = next(model.parameters()).device
    text = tokenize(batch.prompts)
    text = TokenizedText(text.ids.to(device), text.mask.to(device), text.num_dropped)
    video = batch.video.to(device)
    audio = None if batch.audio is None else batch.audio.to(device)
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        if not batch.is_common:
            stack.enter_context(uncompiled())
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
    reader: Path | None = None,
    begin_from: Path | None = None,
    is_compiled: bool = False,
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the checkpoint's path. Raises CheckpointError.

    `reader` is the folder of a text path that has learnt to read; `begin_from` a trained model, with its text encoder
    beside it.
    """
    torch.manual_seed(seed)
    model = TextToClip(shape)
    if begin_from is not None:
        model.load(begin_from, begin_from.parent / TEXT_ENCODER_FOLDER)
    elif reader is not None:
        load_reader(model.text, reader)
    model.to(device)
    fit_products_to(device, model)
    if is_compiled:
        compile_blocks(model.transformer.transformer_blocks)
    num_tokens = int(shape.config["transformer"]["text_sequence_length"])
    tokenize = TextEncoder(model.text.language_model, tokenizer, num_tokens=num_tokens).tokenize
    train(
        model,
        lambda step: flow_loss(model, tokenize, batches(step)),
        recipe,
        state_path=folder / STATE_NAME,
        on_step=on_step,
    )
    return model.save(folder, tokenizer)


def main(arguments: list[str] | None = None) -> None:
    parser = training_parser(
        "transformer", "Train the starter's transformer.", steps=20_000, batch_tokens=2048, rate=2e-3
    )
    parser.add_argument(
        "--reader", type=Path, help="folder of engine.training.reader: begin with a text path that reads"
    )
    parser.add_argument("--begin-from", type=Path, metavar="CHECKPOINT", help="go on from a trained model instead")
    parser.add_argument("--eager", action="store_true", help="do not compile; the first minutes are for compiling")
    options = parser.parse_args(arguments)
    device = machine_of(options)
    encoder = ClipEncoder(Checkpoint.open_many(options.parts))
    dataset = LatentDataset.open(options.data, fingerprint=encoder.fingerprint())
    is_continued = options.begin_from is not None
    batches = Batches(dataset, encoder.grid, options.steps, options.batch_tokens, options.seed, is_continued)
    train_transformer(
        starter_shape(),
        train_tokenizer(),
        made_ahead(batches, steps=options.steps, workers=options.workers),
        Recipe(options.steps, options.learning_rate, weight_decay=0.01, average_decay=0.999, uses_muon=True),
        options.out,
        on_step=live_line("transformer"),
        device=device,
        seed=options.seed,
        reader=options.reader,
        begin_from=options.begin_from,
        is_compiled=not options.eager and can_compile(),
    )


if __name__ == "__main__":
    run_command(main)
