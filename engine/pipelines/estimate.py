"""What a plan will cost: memory at its peak and seconds for each stage, from counted work and measured speed.

Work is counted in multiply-add operations; speed is what earlier runs on this machine achieved, kept in the cache
folder, and a cautious guess until there was one.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.folders import cache_folder
from engine.hardware import Device, Machine
from engine.model.tiles import choose_tiling
from engine.pipelines.facts import ModelFacts
from engine.types import Size, latent_frame_count

# Floating-point operations per second that a first estimate assumes.
_GUESSED_SPEED = {"cpu": 25e9, "mps": 4e12, "cuda": 40e12}  # per core for the CPU
_BYTES = {"bf16": 2, "fp32": 4}
_FRAMEWORK_BYTES = 600 * 2**20  # torch, its kernels and Python itself
# Hidden tensors alive at once in a block: stream, query, key, value, attended, and the feed-forward's four-fold middle.
_LIVE_HIDDEN_TENSORS = 12
# Largest decoder tensors alive at once: input, padded copy, output, and the blend buffer.
_LIVE_DECODER_TENSORS = 5


@dataclass(frozen=True)
class Workload:
    """One denoising stage as its cost sees it."""

    name: str
    video_tokens: int
    predictions: int
    passes: int


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of a plan."""

    peak_device_bytes: int
    together_bytes: int  # the peak if every part of the model stayed loaded
    peak_ram_bytes: int
    ram_free_bytes: int
    stage_seconds: Mapping[str, float]  # by stage, in order: text, each denoising stage, decode

    @property
    def seconds(self) -> float:
        return sum(self.stage_seconds.values())


class DeviceSpeed(NamedTuple):
    """Operations per second of one device. Matrices and convolutions of a model never run equally fast."""

    denoise: float
    decode: float


@dataclass(frozen=True)
class Speeds:
    """What was measured, by device."""

    by_device: Mapping[str, DeviceSpeed] = field(default_factory=dict[str, DeviceSpeed])

    def of(self, device: Device, machine: Machine) -> DeviceSpeed:
        guess = _GUESSED_SPEED[device.kind] * (machine.num_cores if device.kind == "cpu" else 1)
        return self.by_device.get(_device_key(device), DeviceSpeed(guess, guess))


def learned_speeds() -> Speeds:
    """What earlier runs measured here; empty before the first one, or when the record is damaged."""
    try:
        values = json.loads(_record_path().read_text(encoding="utf-8"))
        speeds = {
            str(name): DeviceSpeed(float(speed["denoise"]), float(speed["decode"])) for name, speed in values.items()
        }
        return Speeds({name: speed for name, speed in speeds.items() if min(speed) > 0})
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return Speeds()


def remember_speed(device: Device, speed: DeviceSpeed) -> None:
    """Keep what a run achieved, for the next estimate. A cache: failing to write it is no error."""
    if min(speed) <= 0:
        return
    speeds = {**learned_speeds().by_device, _device_key(device): speed}
    path = _record_path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps({name: item._asdict() for name, item in speeds.items()}), encoding="utf-8")
        partial.replace(path)


def estimate(
    model: ModelFacts,
    workloads: Sequence[Workload],
    *,
    size: Size,
    frames: int,
    device: Device,
    machine: Machine,
    precision: str,
    speed: DeviceSpeed,
    has_sound: bool,
) -> Estimate:
    """Peak memory and seconds of a run."""
    element = _BYTES[precision]

    def weights(*parts: str) -> int:
        return sum(model.parameters.get(part, 0) for part in parts) * element

    peaks = [weights("text_encoder"), weights("text")]
    most_activations = _decode_bytes(model, size, frames, element)
    seconds = {"text": 2 * model.parameters.get("text_encoder", 0) * model.text_tokens / speed.denoise}
    for workload in workloads:
        activations = activation_bytes(model, workload, element)
        most_activations = max(most_activations, activations)
        peaks.append(weights("transformer") + activations)
        seconds[workload.name] = stage_operations(model, workload) / speed.denoise
    peaks.append(weights("video_decoder") + _decode_bytes(model, size, frames, element))
    seconds["decode"] = decode_operations(model, size, frames, has_sound=has_sound) / speed.decode
    peak = max(peaks)
    on_cpu = device.kind == "cpu"
    return Estimate(
        peak_device_bytes=peak + (_FRAMEWORK_BYTES if on_cpu else 0),
        together_bytes=weights(*model.parameters) + most_activations + (_FRAMEWORK_BYTES if on_cpu else 0),
        # On a GPU, weights pass through main memory tensor by tensor.
        peak_ram_bytes=(peak if on_cpu else 0) + _FRAMEWORK_BYTES,
        ram_free_bytes=machine.ram_free_bytes,
        stage_seconds=seconds,
    )


def stage_operations(model: ModelFacts, workload: Workload) -> float:
    """Floating-point operations of one denoising stage: every weight meets every token, every token every other."""
    config = model.transformer
    matrices = 2 * model.parameters["transformer"] * workload.video_tokens
    attention = 4 * workload.video_tokens**2 * config.video.width * config.num_layers
    text = 4 * workload.video_tokens * model.text_tokens * config.video.width * config.num_layers
    return float(matrices + attention + text) * workload.predictions * workload.passes


def activation_bytes(model: ModelFacts, workload: Workload, element: int) -> int:
    hidden = workload.video_tokens * model.transformer.video.width * element
    return hidden * workload.passes * _LIVE_HIDDEN_TENSORS


def _decode_bytes(model: ModelFacts, size: Size, frames: int, element: int) -> int:
    """The widest tensors of one tile, and the picture it is blended into."""
    tiling = choose_tiling(size)
    tile_pixels = min(size.width, tiling.width) * min(size.height, tiling.height)
    tile_frames = min(frames, tiling.frames)
    vae = model.video_vae
    widest = vae.decoder_width * tile_frames * tile_pixels // vae.patch_size**2
    picture = 3 * tile_frames * size.width * size.height * 4
    return widest * element * _LIVE_DECODER_TENSORS + picture


def decode_operations(model: ModelFacts, size: Size, frames: int, *, has_sound: bool) -> float:
    """The decoder's weights meet every position of their level; taken at the level where most of the work is."""
    vae = model.video_vae
    positions = latent_frame_count(frames) * (size.width // vae.space_factor) * (size.height // vae.space_factor)
    pixels = size.width * size.height * frames / vae.patch_size**2
    video = 2 * (model.parameters.get("video_decoder", 0) * positions + 27 * 8 * vae.decoder_width**2 * pixels)
    # Each mel frame passes the vocoder's weights at most some two hundred times, once for every sample it becomes.
    sound = 2 * model.parameters.get("audio", 0) * frames * 20 if has_sound else 0
    return float(video + sound)


def _device_key(device: Device) -> str:
    return f"{device.kind}:{device.name}"


def _record_path() -> Path:
    return cache_folder() / "speeds.json"
