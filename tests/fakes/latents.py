"""Latents for the tests of the starter's training: invented ones, and real ones of a tiny untrained model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from engine.training.blank import ModelShape, make_modules, save_checkpoint, small_shape
from engine.training.dataset import Bucket, LatentBatch
from engine.training.encoding import NUM_STILLS
from engine.types import Size
from engine.weights.keymap import Role

BUCKET = Bucket(Size(128, 128), 17)  # 3 x 4 x 4 video tokens, 18 audio tokens
AUTOENCODERS = (Role.VIDEO_ENCODER, Role.VIDEO_DECODER, Role.AUDIO_ENCODER, Role.AUDIO_DECODER, Role.VOCODER)
PROMPTS = ("a red ball bounces on a black background", "una estrella azul sube", "a face says 'ba'")


def tiny_shape() -> ModelShape:
    """`small_shape` with a single block, and as little text as a prompt needs."""
    shape = small_shape()
    transformer = {"num_layers": 1, "text_sequence_length": 32, "connector_num_learnable_registers": 32}
    return replace(shape, config={**shape.config, "transformer": {**shape.config["transformer"], **transformer}})


def random_clips(count: int = 3, *, seed: int = 0) -> LatentBatch:
    """Clips of noise with the channels of `small_shape`."""
    generator = torch.Generator().manual_seed(seed)
    return LatentBatch(
        bucket=BUCKET,
        refines=False,
        prompts=tuple(PROMPTS[index % len(PROMPTS)] for index in range(count)),
        video=torch.randn(count, 16, 3, 4, 4, generator=generator),
        audio=torch.randn(count, 18, 32, generator=generator),
        stills=torch.randn(count, NUM_STILLS, 16, 1, 4, 4, generator=generator),
        still_frames=torch.from_numpy(np.tile([0, 5, 11], (count, 1))),
    )


def write_autoencoders(path: Path, *, seed: int = 0) -> Path:
    """The autoencoders of a tiny model with random weights, as their trainings leave them: part of a model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = make_modules(tiny_shape())
    save_checkpoint(path, {role: modules[role] for role in AUTOENCODERS}, tiny_shape().config)
    return path
