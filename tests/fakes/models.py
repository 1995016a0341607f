"""A tiny model with random weights in the official layout: the whole path in seconds on a CPU."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.training.blank import ModelShape, make_model, small_shape
from engine.weights.catalog import bundled_folder


def make_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write checkpoint, upsampler, distilled LoRA and text encoder; returns the checkpoint's path."""
    return make_model(folder, small_shape(), seed=seed)


def make_tiny_model_of_2_0(folder: Path) -> Path:
    """As `make_tiny_model`, but of the LTX-2.0 generation."""
    shape = small_shape()
    new_in_2_3 = ("apply_gated_attention", "cross_attention_adaln", "connector_apply_gated_attention")
    text_path = [key for key in shape.config["transformer"] if key.startswith(("caption_proj", "audio_connector"))]
    transformer = {
        key: value for key, value in shape.config["transformer"].items() if key not in {*new_in_2_3, *text_path}
    }
    transformer |= {"connector_num_attention_heads": 2, "connector_attention_head_dim": 16}
    res, up = ["res_x", {"num_layers": 1}], ["compress_all", {"multiplier": 2, "residual": True}]
    vae = {key: value for key, value in shape.config["vae"].items() if key != "spatial_padding_mode"}
    vae["decoder_blocks"] = [res, up, res, up, res, up, res]
    vocoder = {
        "resblock": "1",
        "stereo": True,
        "upsample_initial_channel": 32,
        "upsample_rates": [6, 5, 2, 2, 2],
        "upsample_kernel_sizes": [16, 15, 8, 4, 4],
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        "output_sampling_rate": 24000,
    }
    config = {**shape.config, "transformer": transformer, "vae": vae, "vocoder": vocoder}
    return make_model(folder, ModelShape(config, shape.upsampler, shape.text_encoder))


def rewrite_header(source: Path, destination: Path, change: Mapping[str, Any]) -> Path:
    """A copy of a safetensors file whose header has other entries: a name mapped to None is left out.

    The payload stays as it is, so that offsets keep their meaning.
    """
    with source.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        payload = file.read()
    header.update(change)
    text = json.dumps({name: entry for name, entry in header.items() if entry is not None}).encode()
    destination.write_bytes(len(text).to_bytes(8, "little") + text + payload)
    return destination


def header_of(path: Path) -> dict[str, Any]:
    """A safetensors file's header as it stands."""
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def make_chat_model(folder: Path) -> Path:
    """The starter with a tokenizer that knows the turns of a chat; what it writes has no sense, but it writes.

    Returns the checkpoint's path.
    """
    from transformers import AutoTokenizer

    source = bundled_folder() / "starter"
    for file in source.glob("*.safetensors"):
        (folder / file.name).symlink_to(file)
    shutil.copytree(source / "text_encoder", folder / "text_encoder")
    tokenizer = AutoTokenizer.from_pretrained(folder / "text_encoder")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.save_pretrained(folder / "text_encoder")
    return folder / "starter.safetensors"
