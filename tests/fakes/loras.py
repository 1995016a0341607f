"""LoRAs with random weights for a model's transformer, written by the code that trains them."""

from collections.abc import Mapping
from pathlib import Path

import torch

from engine.training.adapters import TrainableLora
from engine.training.lipdub import METADATA
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role


def write_random_lora(
    checkpoint: Path, path: Path, *, metadata: Mapping[str, str] = METADATA, spread: float = 0.1
) -> Path:
    """A LoRA on every layer of the blocks, in the format of the lip-dub training."""
    network = load(Checkpoint.open(checkpoint), Role.TRANSFORMER)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lora = TrainableLora(network, rank=2, wanted=lambda name: name.startswith("transformer_blocks."))
        for up in lora.ups:
            torch.nn.init.normal_(up, std=spread)
    lora.save(path, metadata)
    return path
