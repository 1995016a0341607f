"""Puts trained parts together into the starter model's folder, and checks what it wrote as a run would load it.

    python -m engine.training.assemble --out resources/models/starter \
        --parts video_vae.safetensors audio.safetensors transformer/transformer.safetensors \
        --text-encoder transformer/text_encoder --upsampler upsampler/spatial-upscaler-x2.safetensors \
        --distilled distilled/distilled-lora.safetensors
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import CheckpointError
from engine.model.config import parse_text
from engine.training.blank import save_checkpoint
from engine.training.console import run_command
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role
from engine.weights.lora import attach
from engine.weights.lora_file import LoraFile
from engine.weights.text_encoder import TextEncoder

CHECKPOINT_NAME: Final = "starter.safetensors"
UPSAMPLER_NAME: Final = "starter-spatial-upscaler-x2.safetensors"
DISTILLED_LORA_NAME: Final = "starter-distilled-lora.safetensors"
LIP_DUB_NAME: Final = "starter-ic-lora-lipdub.safetensors"
TEXT_ENCODER_FOLDER: Final = "text_encoder"
MIB: Final = 2**20
# What a repository can carry, which keeps every version for ever.
LARGEST_FILE_BYTES: Final = 15 * MIB
LARGEST_MODEL_BYTES: Final = 40 * MIB
_SINGLE_FILE_ROLES: Final = tuple(role for role in Role if role is not Role.UPSAMPLER)


@dataclass(frozen=True)
class Trained:
    """What the trainings left."""

    parts: Sequence[Path]  # in the official layout; together every component of the single file
    text_encoder: Path
    upsampler: Path
    distilled_lora: Path
    lip_dub: Path | None = None


def assemble(trained: Trained, folder: Path) -> Path:
    """Write the model into `folder`, check it, and return the checkpoint's path.

    Raises CheckpointError when a component is missing or does not load, or when a file is too large to ship.
    """
    joined = Checkpoint.open_many(trained.parts)
    modules = {role: load(joined, role) for role in _SINGLE_FILE_ROLES}
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / CHECKPOINT_NAME, modules, joined.config.values)
    _copy(trained.upsampler, folder / UPSAMPLER_NAME)
    _copy(trained.distilled_lora, folder / DISTILLED_LORA_NAME)
    if trained.lip_dub is not None:
        _copy(trained.lip_dub, folder / LIP_DUB_NAME)
    for item in sorted(trained.text_encoder.iterdir()):
        _copy(item, folder / TEXT_ENCODER_FOLDER / item.name)
    check(folder)
    return folder / CHECKPOINT_NAME


def check(folder: Path) -> None:
    """Load everything strictly and compare sizes with what may be shipped. Raises CheckpointError."""
    checkpoint = Checkpoint.open(folder / CHECKPOINT_NAME)
    modules = {role: load(checkpoint, role) for role in _SINGLE_FILE_ROLES}
    load(Checkpoint.open(folder / UPSAMPLER_NAME), Role.UPSAMPLER)
    num_tokens = parse_text(checkpoint.config, checkpoint.shapes).sequence_length
    TextEncoder.load(folder / TEXT_ENCODER_FOLDER, num_tokens=num_tokens)
    for name in (DISTILLED_LORA_NAME, LIP_DUB_NAME):
        if (folder / name).is_file():
            handle = attach(modules[Role.TRANSFORMER], LoraFile.open(folder / name))
            handle.detach()
            if handle.match.unmatched:
                raise CheckpointError(folder / name, f"has a layer that the model lacks: {handle.match.unmatched[0]}.")
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for path, size in sizes.items():
        if size > LARGEST_FILE_BYTES:
            raise CheckpointError(
                path,
                f"has {size / MIB:.1f} MiB; the limit is {LARGEST_FILE_BYTES / MIB:.0f}.",
                remedy="Make it narrower.",
            )
    if sum(sizes.values()) > LARGEST_MODEL_BYTES:
        raise CheckpointError(
            folder,
            f"has {sum(sizes.values()) / MIB:.1f} MiB; the limit is {LARGEST_MODEL_BYTES / MIB:.0f}.",
            remedy="Make the largest part narrower.",
        )


def _copy(source: Path, destination: Path) -> None:
    """By atomic rename. Raises CheckpointError when there is nothing to copy."""
    if not source.is_file():
        raise CheckpointError(source, "is missing.", remedy="Train it first.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".part")
    shutil.copyfile(source, partial)
    partial.replace(destination)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.assemble", description="Put the starter model together."
    )
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="autoencoders and transformer")
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--upsampler", type=Path, required=True)
    parser.add_argument("--distilled", type=Path, required=True)
    parser.add_argument("--lipdub", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    trained = Trained(options.parts, options.text_encoder, options.upsampler, options.distilled, options.lipdub)
    path = assemble(trained, options.out)
    for item in sorted(path.parent.rglob("*")):
        if item.is_file():
            sys.stdout.write(f"{item.stat().st_size / MIB:7.2f} MiB  {item.relative_to(path.parent)}\n")


if __name__ == "__main__":
    run_command(main)
