"""Transformers in miniature as files in the official layout: bf16, or FP8 in some of the blocks; and LoRAs for them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.model.quantised import quantise_fp8
from engine.weights.checkpoint import Checkpoint
from engine.weights.keymap import RULES, Role
from tests.fakes.tiny_transformer import HEADER, tiny_transformer

PREFIX = RULES[Role.TRANSFORMER].root
INPUT_SCALE = 0.0157  # as of a layer of an official file


def write_transformer(path: Path, *, fp8_blocks: tuple[int, ...] = (), **changes: Any) -> Checkpoint:
    """All linear layers of `fp8_blocks` in FP8 with their scales, everything else in bf16 with fp32 tables.

    `changes` replace entries of the header that `tests.fakes.tiny_transformer` starts from.
    """
    network = tiny_transformer(**changes)
    tensors: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        tensors[PREFIX + key] = value.to(torch.float32 if "scale_shift_table" in key else torch.bfloat16)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear) and name.startswith(tuple(f"transformer_blocks.{n}." for n in fp8_blocks)):
            values, scale = quantise_fp8(tensors[f"{PREFIX}{name}.weight"])
            tensors[f"{PREFIX}{name}.weight"] = values
            tensors[f"{PREFIX}{name}.weight_scale"] = torch.tensor(scale)
            tensors[f"{PREFIX}{name}.input_scale"] = torch.tensor(INPUT_SCALE)
    config = {"transformer": HEADER | changes}
    save_file(tensors, path, {"config": json.dumps(config), "model_version": "2.3.0"})
    return Checkpoint.open(path)


def write_lora(path: Path, *, num_layers: int = 5, rank: int = 2, seed: int = 0) -> Path:
    """Matrices for every linear layer, in the blocks and outside of them."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, layer in tiny_transformer(num_layers=num_layers).named_modules():
        if isinstance(layer, nn.Linear):
            down = torch.randn(rank, layer.in_features, generator=generator) / layer.in_features**0.5
            tensors[f"diffusion_model.{name}.lora_A.weight"] = down.bfloat16()
            up = torch.randn(layer.out_features, rank, generator=generator) / rank
            tensors[f"diffusion_model.{name}.lora_B.weight"] = up.bfloat16()
            tensors[f"diffusion_model.{name}.alpha"] = torch.tensor(rank / 2)
    save_file(tensors, path)
    return path
