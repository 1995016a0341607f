"""Teaches the starter's text path to read before anything is to be drawn.

    python -m engine.training.reader --out reader

A transformer that learns to draw and its text path to read at the same time learn slowly, each from the other's noise.
What a prompt says is known here exactly, so the text path learns it first, from prompts alone, in minutes: from the
mean of each context, linear heads must tell every fact of the scene. Cross-attention that is not yet trained takes such
a mean, so the transformer's first steps already have the facts. The heads are thrown away; `transformer --reader` goes
on with the rest.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.training.blank import ModelShape
from engine.training.console import add_machine_options, live_line, machine_of, run_command
from engine.training.loop import OnStep, Recipe, train
from engine.training.mixed import fit_products_to
from engine.training.small_gemma import train_tokenizer
from engine.training.split import training_scene
from engine.training.starter import starter_shape
from engine.training.text_to_clip import TextPath
from engine.training.toyworld import Scene, prompt
from engine.training.toyworld_law import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    FRAME_COUNTS,
    MOTIONS,
    SHAPES,
    SIZES,
    SOUND_REQUESTS,
    SYLLABLES,
)
from engine.weights.text_encoder import TextEncoder, TokenizedText
from engine.weights.writing import write_tensors

FILE_NAME: Final = "reader.safetensors"
_MOST_OBJECTS: Final = 2
_MOST_SYLLABLES: Final = 9
_ABSENT: Final = -100  # what cross-entropy ignores

# Every fact a prompt can tell, with its possible answers.
FACTS: Final[Mapping[str, Sequence[str]]] = {
    "kind": ("face", "one object", "two objects"),
    "background": tuple(BACKGROUNDS),
    "camera": CAMERAS,
    "sound": SOUND_REQUESTS,
    "voice": ("low", "high"),
    **{
        f"{what} {number}": answers
        for number in range(_MOST_OBJECTS)
        for what, answers in (("shape", SHAPES), ("colour", tuple(COLOURS)), ("motion", MOTIONS))
    },
    **{f"syllable {number}": ("", *SYLLABLES) for number in range(_MOST_SYLLABLES)},
}


def facts_of(scene: Scene) -> dict[str, str]:
    """What a prompt of the scene says; facts that the scene does not have are left out."""
    facts: dict[str, str] = {"background": scene.background, "camera": scene.camera}
    if scene.face is not None:
        facts |= {"kind": "face", "voice": scene.face.voice}
        said = scene.face.syllables
        facts |= {f"syllable {i}": said[i] if i < len(said) else "" for i in range(_MOST_SYLLABLES)}
        return facts
    facts |= {"kind": ("one object", "two objects")[len(scene.objects) - 1], "sound": scene.sound}
    for number, item in enumerate(scene.objects):
        facts |= {f"shape {number}": item.shape, f"colour {number}": item.colour, f"motion {number}": item.motion}
    return facts


class ReadingBatch(NamedTuple):
    """Prompts and what they say."""

    prompts: tuple[str, ...]
    answers: Mapping[str, Tensor]  # (B,) indices into the answers of each fact


def reading_batch(step: int, *, count: int, seed: int = 0) -> ReadingBatch:
    """Prompts of `count` training scenes; a function of the step alone."""
    rng = np.random.default_rng((seed, step))
    scenes = [
        training_scene(int(rng.integers(2**30)), SIZES[rng.integers(len(SIZES))], int(rng.choice(FRAME_COUNTS)))
        for _ in range(count)
    ]
    facts = [facts_of(scene) for scene in scenes]
    answers = {
        name: torch.tensor([choices.index(said[name]) if name in said else _ABSENT for said in facts])
        for name, choices in FACTS.items()
    }
    return ReadingBatch(tuple(prompt(scene, rng) for scene in scenes), answers)


class Reader(nn.Module):
    """The text path with heads that answer every fact from the mean of each context."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.text = TextPath(shape)
        widths = (self.text.video_connector.config.width, self.text.audio_connector.config.width)
        num_answers = sum(len(answers) for answers in FACTS.values())
        self.heads = nn.ModuleList(nn.Linear(width, num_answers) for width in widths)

    def forward(self, text: TokenizedText) -> list[dict[str, Tensor]]:
        """For each context, the logits (B, answers) of every fact."""
        contexts = self.text(text)
        sizes = [len(answers) for answers in FACTS.values()]
        return [
            dict(zip(FACTS, head(context.mean(dim=1)).split(sizes, dim=-1), strict=True))
            for head, context in zip(self.heads, contexts, strict=True)
        ]


def reading_loss(model: Reader, tokenize: Callable[[Sequence[str]], TokenizedText], batch: ReadingBatch) -> Tensor:
    """Mean cross-entropy over contexts and facts that the prompts tell."""
    device = next(model.parameters()).device
    text = tokenize(batch.prompts)
    text = TokenizedText(text.ids.to(device), text.mask.to(device), text.num_dropped)
    losses = [
        F.cross_entropy(logits[name], answers.to(device), ignore_index=_ABSENT)
        for logits in model(text)
        for name, answers in batch.answers.items()
        if bool((answers != _ABSENT).any())
    ]
    return torch.stack(losses).mean()


@torch.no_grad()
def share_read(model: Reader, tokenize: Callable[[Sequence[str]], TokenizedText], batch: ReadingBatch) -> float:
    """The share of facts that the better context gets right, 0 to 1."""
    shares: list[float] = []
    for logits in model(tokenize(batch.prompts)):
        right = [
            (logits[name].argmax(dim=-1) == answers)[answers != _ABSENT] for name, answers in batch.answers.items()
        ]
        shares.append(float(torch.cat(right).float().mean()))
    return max(shares)


def train_reader(
    shape: ModelShape, recipe: Recipe, folder: Path, *, batch_size: int, on_step: OnStep, device: torch.device | str
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the text path's file. Raises CheckpointError."""
    torch.manual_seed(0)
    model = Reader(shape).to(device)
    fit_products_to(device, model)
    num_tokens = int(shape.config["transformer"]["text_sequence_length"])
    tokenize = TextEncoder(model.text.language_model, train_tokenizer(), num_tokens=num_tokens).tokenize
    train(
        model,
        lambda step: reading_loss(model, tokenize, reading_batch(step, count=batch_size)),
        recipe,
        state_path=folder / "training.pt",
        on_step=on_step,
    )
    write_tensors(folder / FILE_NAME, {name: tensor.cpu() for name, tensor in model.text.state_dict().items()}, {})
    return folder / FILE_NAME


def load_reader(text: TextPath, folder: Path) -> None:
    """Put what `train_reader` left in `folder` into a text path. Raises CheckpointError."""
    path = folder / FILE_NAME
    try:
        text.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as error:
        remedy = "Train it with engine.training.reader."
        raise CheckpointError(path, "holds no text path of this shape.", remedy=remedy) from error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.reader", description="Teach the starter's text path to read."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the training and its result")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    device = machine_of(options)
    train_reader(
        starter_shape(),
        Recipe(options.steps, options.learning_rate, weight_decay=0.01),
        options.out,
        batch_size=options.batch_size,
        on_step=live_line("reader"),
        device=device,
    )


if __name__ == "__main__":
    run_command(main)
