"""How much there is to compute, by the kind of work that has a speed of its own.

A phase of a run is a `Work`: amounts by kind. Seconds follow from rates, which `engine.pipelines.speed` keeps. Counted
in floating-point operations (a multiply and an add are two), which hold for every device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod
from typing import Literal

from engine.model.config import GeneratorConfig, Resample, ResBlocks, VideoVaeConfig
from engine.model.tiles import Tiling
from engine.pipelines.facts import ModelFacts
from engine.pipelines.memory import KERNEL_VOLUME, ONEDNN_THRESHOLD, decode_cut
from engine.pipelines.sizes import block_size
from engine.types import Size

WorkKind = Literal["matrices", "attention", "convolutions", "small_convolutions", "sound", "pixels", "calls", "phases"]
Work = Mapping[WorkKind, float]
# Sound is decoded in stretches, each after the first with what its samples depend on around it: 250 and 61 latents, of
# 25 a second (`stages.AUDIO_CHUNK_LATENTS`, `vocoder.decode_in_chunks`).
_SOUND_STRETCH_S, _SOUND_CONTEXT_S = 250 / 25, 61 / 25


@dataclass(frozen=True)
class Workload:
    """One denoising stage as its cost sees it."""

    name: str
    video_tokens: int
    audio_tokens: int
    predictions: int
    passes: int  # per prediction
    passes_at_once: int = 1

    @property
    def sweeps(self) -> int:
        """How often all blocks are gone through."""
        return self.predictions * -(-self.passes // self.passes_at_once)


def denoise_work(model: ModelFacts, load: Workload) -> Work:
    """Every weight meets every token of its stream; every token meets every other and the text."""
    config, size = model.transformer, block_size(model.transformer)
    video, audio = config.video, config.audio
    # A block's matrices belong to the picture and the sound by the square of their widths, near enough.
    video_share = video.width**2 / (video.width**2 + audio.width**2)
    tokens = load.video_tokens * video_share + load.audio_tokens * (1 - video_share)
    matrices = 2 * size.in_matrices * tokens
    pairs = load.video_tokens**2 + load.video_tokens * model.text_tokens
    attention = 4 * pairs * video.width + 4 * 2 * load.video_tokens * load.audio_tokens * audio.width
    runs = load.predictions * load.passes * config.num_layers
    return {
        "matrices": matrices * runs,
        "attention": attention * runs,
        "calls": float(load.sweeps * config.num_layers),
        "phases": 1.0,
    }


def text_work(model: ModelFacts, prompts: int) -> Work:
    """The text encoder, its projection and both connectors over a fixed number of tokens."""
    weights = model.parameters.get("text_encoder", 0) + model.parameters.get("text", 0)
    return {
        "matrices": 2.0 * weights * model.text_tokens * prompts,
        "calls": float(model.num_text_states - 1) * prompts,
        "phases": 1.0,
    }


def upsample_work(model: ModelFacts, size: Size, frames: int) -> Work:
    """The upsampler's weights meet every position; half of them the old ones, half the new ones."""
    positions = prod(decode_shape(model.video_vae, size, frames))
    return {"convolutions": 2.0 * model.parameters.get("spatial_upsampler", 0) * positions * 5 / 8, "phases": 1.0}


def decode_work(model: ModelFacts, size: Size, frames: int, tiling: Tiling, *, sound_seconds: float | None) -> Work:
    """Every tile through the decoder, every frame to the video encoder, the sound through the vocoder."""
    tiles = decode_cut(model.video_vae, size, frames, tiling).counts
    operations = [(tile_operations(model.video_vae, shape), count) for shape, count in tiles.items()]
    work: dict[WorkKind, float] = {
        "convolutions": sum(fast * count for (fast, _), count in operations),
        "small_convolutions": sum(small * count for (_, small), count in operations),
        "pixels": float(frames * size.width * size.height),
        "phases": 1.0,
    }
    if sound_seconds is not None:
        work["sound"] = sound_operations(model, sound_seconds)
    return work


def decode_shape(config: VideoVaeConfig, size: Size, frames: int) -> tuple[int, int, int]:
    """Latent frames, rows and columns of a clip."""
    return (frames - 1) // config.time_factor + 1, size.height // config.space_factor, size.width // config.space_factor


@lru_cache(maxsize=256)
def tile_operations(config: VideoVaeConfig, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Operations of decoding one tile of latents (F, H, W): of convolutions that a CPU does fast, and of small ones.

    PyTorch gives a convolution to oneDNN only above a number of channels x frames x rows, and does smaller ones some
    ten times slower.
    """
    changes = [block for block in config.decoder_blocks if isinstance(block, Resample)]
    width = config.decoder_width * prod(change.multiplier for change in changes)
    frames, rows, columns = shape
    operations = {True: 0.0, False: 0.0}

    def convolve(inputs: int, outputs: int, count: int = 1) -> None:
        is_fast = inputs * (frames + 2) * rows > ONEDNN_THRESHOLD
        operations[is_fast] += 2.0 * KERNEL_VOLUME * inputs * outputs * count * frames * rows * columns

    convolve(config.latent_channels, width)
    for block in reversed(config.decoder_blocks):
        match block:
            case ResBlocks(num_layers):
                convolve(width, width, 2 * num_layers)
            case Resample():
                narrower = width // block.multiplier
                convolve(width, narrower * block.time * block.space**2)
                width = narrower
                frames = frames * block.time - (block.time - 1)
                rows, columns = rows * block.space, columns * block.space
    convolve(width, config.picture_channels * config.patch_size**2)
    return operations[True], operations[False]


def sound_operations(model: ModelFacts, seconds: float) -> float:
    """Operations of both generators of the vocoder."""
    audio, vocoder = model.audio_vae, model.vocoder
    num_stretches = ceil(max(seconds, 1e-3) / _SOUND_STRETCH_S)
    frames = (seconds + (num_stretches - 1) * _SOUND_CONTEXT_S) * audio.sample_rate / audio.hop_length
    total = _generator_operations(vocoder.generator) * frames
    extension = vocoder.bandwidth_extension
    if extension is not None:
        hops = frames * vocoder.generator.upsampling / extension.hop_length
        total += _generator_operations(extension.generator) * hops
    return total


# An activation between two convolutions: two filters of twelve taps, one of them at twice the rate, and the sine.
_ACTIVATION_OPERATIONS = 2 * (12 + 2 * 12) + 40


def _generator_operations(config: GeneratorConfig) -> float:
    """For each frame of its spectrogram."""
    total, rate = 2.0 * 7 * config.in_channels * config.width, 1
    for stage, (factor, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernels, strict=True)):
        before, width = config.width // 2**stage, config.width // 2 ** (stage + 1)
        total += 2 * kernel * before * width * rate
        rate *= factor
        for size, dilations in zip(config.residual_kernels, config.residual_dilations, strict=True):
            convolution = 2 * size * width**2
            total += 2 * len(dilations) * (convolution + _ACTIVATION_OPERATIONS * width) * rate
    return total
