"""The latents that a clip was made from, where its run has left them on this machine.

They are what an edit continues without loss: to encode the clip's frames again would not give them back exactly. A
clip made here carries its request, and so do the latents of the last runs; those that carry the same one, for as many
frames, are the clip's. Found or not is a matter of quality alone, so what cannot be read is as good as none.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.folders import runs_folder
from engine.media.source import SourceClip
from engine.pipelines.facts import ModelFacts
from engine.pipelines.resume import METADATA_KEY
from engine.types import FRAMES_PER_LATENT, Size
from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import TORCH_DTYPES, read_into

_VIDEO = "video"
_UNFINISHED = "-unfinished"


def saved_latents(source: SourceClip, size: Size, model: ModelFacts, *, asked_model: str) -> Tensor | None:
    """The clip's video latents (1, C, F, H, W) at a stage's size, on the CPU.

    `asked_model` is the model's name or path as requests have it: the clip has to be of the same one.
    """
    request = source.metadata
    if not request or request.get("model") != asked_model or request.get("edit") is not None:
        return None
    if source.num_frames % FRAMES_PER_LATENT != 1 or request.get("frames") != source.num_frames:
        return None
    factor = model.video_vae.space_factor
    num_latents = (source.num_frames - 1) // FRAMES_PER_LATENT + 1
    shape = (1, model.video_vae.latent_channels, num_latents, size.height // factor, size.width // factor)
    with suppress(OSError):
        for folder in sorted(runs_folder().iterdir(), reverse=True):
            for path in folder.glob("*.safetensors"):
                if not path.stem.endswith(_UNFINISHED):
                    with suppress(CheckpointError, KeyError, ValueError, TypeError):
                        found = _matching(Checkpoint.open(path), request, shape)
                        if found is not None:
                            return found
    return None


def _matching(checkpoint: Checkpoint, request: Mapping[str, object], shape: tuple[int, ...]) -> Tensor | None:
    fact = checkpoint.tensors[_VIDEO]
    if tuple(fact.shape) != shape or json.loads(checkpoint.metadata[METADATA_KEY]) != dict(request):
        return None
    tensors = {
        name: torch.empty(item.shape, dtype=TORCH_DTYPES[item.dtype]) for name, item in checkpoint.tensors.items()
    }
    read_into(checkpoint, tensors)
    return tensors[_VIDEO]
