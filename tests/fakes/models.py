"""A tiny model with random weights in the official layout: the whole path in seconds on a CPU."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.training.blank import make_model, small_shape


def make_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write checkpoint, upsampler, distilled LoRA and text encoder; returns the checkpoint's path."""
    return make_model(folder, small_shape(), seed=seed)


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
