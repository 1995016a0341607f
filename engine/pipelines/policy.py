"""A memory policy, and the most memory a run under it will need.

The policy is a value: precision, where every part of the model lives, and into which pieces the work is cut.
`engine.pipelines.residency` chooses one; what a run does is obey. Its phases come one after the other, and a part that
no later phase needs is released unless it is `kept`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.hardware import GIB, Device, Machine
from engine.model.tiles import Tiling
from engine.pipelines.facts import ModelFacts
from engine.pipelines.memory import (
    DecodeMemory,
    StreamTokens,
    TokenPieces,
    cpu_heap_bytes,
    decode_bytes,
    decode_cut,
    encoder_bytes,
    sound_bytes,
    text_bytes,
    transformer_bytes,
    upsampler_bytes,
)
from engine.pipelines.sizes import BYTES_PER_WEIGHT, WeightPrecision, block_size
from engine.pipelines.work import Workload
from engine.types import Size
from engine.weights.residency import Precision, Residency

ResidencyKind = Literal["resident", "stream", "disk"]
ComputeType = Literal["bf16", "fp32"]
Part = Literal[
    "text_encoder",
    "text_projection",
    "connectors",
    "video_encoder",
    "transformer",
    "spatial_upsampler",
    "audio",
    "video_decoder",
]

# Of what is free, a tenth or this much is not planned with: the desktop and other programs may want it while the run
# goes on, and no prediction is exact.
RESERVED_SHARE = 0.1
MOST_RESERVED_VRAM_BYTES, MOST_RESERVED_RAM_BYTES = GIB, 2 * GIB
# What a process takes before its first tensor: torch, its kernels and their workspaces, Python and its modules.
CUDA_CONTEXT_BYTES = GIB // 2
FRAMEWORK_BYTES = {"cpu": 360 * 2**20, "cuda": 2 * GIB, "mps": GIB}
# Metal refuses buffers beyond this share of the unified memory (its recommendedMaxWorkingSetSize).
_METAL_SHARE_SMALL, _METAL_SHARE_LARGE, _METAL_LARGE_BYTES = 2 / 3, 3 / 4, 37 * GIB
STREAMED_BLOCKS = 2  # on the device: one being computed, one arriving (`engine.weights.streaming`)
RING_BLOCKS = 2  # in pinned memory, on the way from disk
# Measured over counted activations: the fragments that an allocator's blocks leave between them. PyTorch's on a GPU
# rounds large blocks up to 2 MiB and splits them; on a CPU, `memory.cpu_heap_bytes` counts what stays.
USUAL_RATIO = {"cuda": 1.05, "mps": 1.1, "cpu": 1.0}
SOUND_CHUNK_LATENTS = 250 + 61  # a stretch of sound with the context it needs around it


@dataclass(frozen=True)
class Layers:
    """Where the blocks of the transformer, or the layers of the text encoder, live."""

    kind: ResidencyKind
    resident_blocks: int
    num_blocks: int

    @classmethod
    def all_resident(cls, num_blocks: int) -> "Layers":
        return cls("resident", num_blocks, num_blocks)

    @property
    def streamed_blocks(self) -> int:
        return self.num_blocks - self.resident_blocks

    @property
    def residency(self) -> Residency:
        """As `engine.weights` takes it."""
        return Residency(self.kind, 0 if self.kind == "resident" else self.resident_blocks)


@dataclass(frozen=True)
class MemoryPolicy:
    """What a run has to obey."""

    precision: WeightPrecision  # of the transformer's blocks
    compute: ComputeType  # of activations, and of every other weight
    multiplies_fp8: bool  # in the hardware; otherwise FP8 is a way to store
    transformer: Layers
    text_encoder: Layers
    kept: frozenset[Part]  # stay loaded when their phase is over
    prompts_at_once: int  # the prompt and the negative one
    passes_at_once: int  # guidance passes that share one sweep through the blocks
    pieces: TokenPieces
    tiling: Tiling
    blends_in_ram: bool  # tiles are joined in main memory

    @property
    def element(self) -> int:
        """Bytes of an activation, and of every weight outside the transformer's blocks."""
        return BYTES_PER_WEIGHT[self.compute]

    @property
    def storage(self) -> Precision:
        """How the transformer's matrices are kept, as `engine.weights` takes it."""
        return {"fp8": Precision.FP8, "int8": Precision.INT8}.get(self.precision, Precision.PLAIN)


class PhaseMemory(NamedTuple):
    """What one phase of a run needs."""

    name: str
    parts: frozenset[Part]
    device_bytes: int  # activations
    ram_bytes: int


@dataclass(frozen=True)
class Peak:
    """The most memory of a run, everything included."""

    device_bytes: int
    ram_bytes: int
    together_bytes: int  # on the device, if no part were ever released
    weights_bytes: int  # of the widest phase
    activation_bytes: int  # of the widest phase, as counted


@dataclass(frozen=True)
class Task:
    """What is to be done, as its memory sees it."""

    model: ModelFacts
    stages: Sequence[Workload]
    stage_sizes: Sequence[Size]
    size: Size
    frames: int
    prompts: int
    encodes_pictures: int  # frames of the longest reference, or of a clip to be edited; 0 without any
    has_sound: bool
    sound_seconds: float
    lora_bytes: int  # of every LoRA that acts in some stage
    encodes_tiles: bool = False  # what is encoded is cut into tiles, as for decoding
    num_windows: int = 1  # of an edit, each decoded apart

    def upsamples(self, index: int) -> bool:
        """Whether a stage begins with the latents of the one before, enlarged."""
        return index > 0 and self.stage_sizes[index].width > self.stage_sizes[index - 1].width


@dataclass(frozen=True)
class Budget:
    """How much memory may be used, and on what."""

    device: Device
    device_bytes: int
    ram_bytes: int

    @classmethod
    def of(cls, device: Device, machine: Machine) -> "Budget":
        ram = _planned(machine.ram_free_bytes, MOST_RESERVED_RAM_BYTES)
        if device.kind == "cuda":
            return cls(device, _planned(device.free_bytes, MOST_RESERVED_VRAM_BYTES), ram)
        if device.kind == "mps":
            share = _METAL_SHARE_LARGE if device.total_bytes >= _METAL_LARGE_BYTES else _METAL_SHARE_SMALL
            return cls(device, min(int(device.total_bytes * share), ram - FRAMEWORK_BYTES["mps"]), ram)
        return cls(device, ram, ram)


def _planned(free_bytes: int, most_reserved: int) -> int:
    return free_bytes - min(int(free_bytes * RESERVED_SHARE), most_reserved)


def block_bytes(model: ModelFacts, precision: WeightPrecision) -> float:
    """The mean block in a precision; FP8 files keep some blocks in bf16."""
    if precision == "fp8" and model.stored_precision == "fp8":
        return sum(model.stored_block_bytes) / len(model.stored_block_bytes)
    return block_size(model.transformer).stored_bytes(precision)


def weight_bytes(task: Task, policy: MemoryPolicy) -> Mapping[Part, int]:
    """What each part takes on the device while it is loaded."""
    model, element = task.model, policy.element
    config = model.transformer
    block = block_bytes(model, policy.precision) + task.lora_bytes / config.num_layers
    blocks = policy.transformer.resident_blocks * block
    if policy.transformer.streamed_blocks:
        blocks += min(STREAMED_BLOCKS, policy.transformer.streamed_blocks) * _largest_block(task, policy)
    if policy.precision in {"fp8", "int8"} and not policy.multiplies_fp8:
        blocks += block_size(config).largest_matrix * element  # multiplied out while it is used
    outside = (model.parameters["transformer"] - config.num_layers * block_size(config).weights) * element
    encoder = model.parameters.get("text_encoder", 0) * element
    layers = policy.text_encoder
    if layers.streamed_blocks:
        encoder = int(encoder * STREAMED_BLOCKS / max(layers.num_blocks, 1))
    parts: dict[Part, int] = {
        "text_encoder": encoder,
        "transformer": int(outside + blocks),
        "audio": model.parameters["audio"] * 4,  # the vocoder is always fp32, and the rest is small
    }
    others: tuple[Part, ...] = ("text_projection", "connectors", "video_encoder", "spatial_upsampler", "video_decoder")
    for part in others:
        parts[part] = model.parameters.get(part, 0) * element
    return parts


def _largest_block(task: Task, policy: MemoryPolicy) -> float:
    config = task.model.transformer
    largest = block_bytes(task.model, policy.precision)
    if policy.precision == "fp8" and task.model.stored_precision == "fp8":
        largest = max(task.model.stored_block_bytes)
    return largest + task.lora_bytes / config.num_layers


def phases(task: Task, policy: MemoryPolicy, device: Device) -> list[PhaseMemory]:
    """What every phase needs beside weights, in the order of a run."""
    model, element = task.model, policy.element
    config = model.transformer
    decoding = DecodeMemory.on(device.kind, element)
    contexts = (config.video.context_dim, config.audio.context_dim)
    states, connector = text_bytes(
        model.text_width,
        model.num_text_states,
        model.text_tokens,
        contexts,
        prompts=min(task.prompts, policy.prompts_at_once),
        element=element,
    )
    result = [
        PhaseMemory("text", frozenset({"text_encoder"}), states // 2, 0),
        PhaseMemory("text", frozenset({"text_projection"}), states, 0),
        PhaseMemory("text", frozenset({"connectors"}), connector, 0),
    ]
    if task.encodes_pictures:
        size, frames = task.size, task.encodes_pictures
        whole = 3 * size.width * size.height * frames if task.encodes_tiles else 0  # 8-bit, in main memory
        if task.encodes_tiles:
            tile = policy.tiling
            size = Size(min(size.width, tile.width), min(size.height, tile.height))
            frames = min(frames, tile.frames)
        pictures = encoder_bytes(model.video_vae, size, frames, decoding)
        result.append(PhaseMemory("references", frozenset({"video_encoder"}), pictures, whole))
    for index, stage in enumerate(task.stages):
        if task.upsamples(index):
            factor = model.video_vae.space_factor
            upsampling = upsampler_bytes(model.upsampler_width, task.stage_sizes[index], task.frames, factor, element)
            result.append(PhaseMemory("upsample", frozenset({"spatial_upsampler", "transformer"}), upsampling, 0))
        tokens = StreamTokens(stage.video_tokens, stage.audio_tokens, model.text_tokens)
        passes = min(stage.passes, policy.passes_at_once)
        denoising = transformer_bytes(config, tokens, passes=passes, element=element, pieces=policy.pieces)
        pinned = _pinned_bytes(task, policy, device)
        result.append(PhaseMemory(stage.name, frozenset({"transformer"}), denoising, pinned))
    is_cpu, sound = device.kind == "cpu", 0
    if task.has_sound:
        num_latents = min(SOUND_CHUNK_LATENTS, max(load.audio_tokens for load in task.stages))
        sound = sound_bytes(model.audio_vae, model.vocoder, num_latents, is_cpu=is_cpu)
        result.append(PhaseMemory("decode", frozenset({"audio"}), sound, 0))
    picture = decode_bytes(model.video_vae, task.size, task.frames, policy.tiling, decoding)
    if device.kind != "cuda":
        on_device, in_ram = picture.together, 0
        if is_cpu:
            cut = decode_cut(model.video_vae, task.size, task.frames, policy.tiling)
            in_ram = cpu_heap_bytes(model.video_vae, cut.shapes_at(cut.times[0])[0], sound)
    elif policy.blends_in_ram:
        on_device, in_ram = picture.tile, picture.blend + picture.written
    else:
        on_device, in_ram = picture.device, picture.written
    result.append(PhaseMemory("decode", frozenset({"video_decoder"}), on_device, in_ram))
    return result


def _pinned_bytes(task: Task, policy: MemoryPolicy, device: Device) -> int:
    """Of main memory that a GPU's copies come from; other devices read blocks where they will be used."""
    streamed = policy.transformer.streamed_blocks
    match policy.transformer.kind:
        case "stream":
            mean = block_bytes(task.model, policy.precision) + task.lora_bytes / task.model.transformer.num_layers
            return int(streamed * mean)
        case "disk" if device.kind == "cuda":
            return int(min(streamed, RING_BLOCKS) * _largest_block(task, policy))
        case _:
            return 0


def peak_of(task: Task, policy: MemoryPolicy, device: Device) -> Peak:
    """The widest phase: its parts, those that are kept, and its activations with what the allocator adds to them."""
    weights, all_phases = weight_bytes(task, policy), phases(task, policy, device)
    loaded = frozenset[Part]().union(*(phase.parts for phase in all_phases))
    kept = policy.kept & loaded
    shares_memory = device.kind != "cuda"
    framework, ratio = FRAMEWORK_BYTES[device.kind], USUAL_RATIO[device.kind]
    # Pinned blocks of a transformer that is kept stay pinned.
    pinned = _pinned_bytes(task, policy, device) if "transformer" in kept else 0

    def weighed(phase: PhaseMemory) -> tuple[float, int, int]:
        parts = sum(weights[part] for part in phase.parts | kept)
        activations = phase.device_bytes + (phase.ram_bytes if shares_memory else 0)
        return parts + activations * ratio, parts, activations

    widest, parts, activations = max(map(weighed, all_phases))
    in_ram = max(phase.ram_bytes + (0 if "transformer" in phase.parts else pinned) for phase in all_phases)
    if shares_memory:
        in_ram = int(widest)
    on_device = {"cuda": CUDA_CONTEXT_BYTES, "cpu": framework, "mps": 0}[device.kind] + int(widest)
    everything = sum(weights[part] for part in loaded) + max(weighed(phase)[2] for phase in all_phases) * ratio
    return Peak(on_device, framework + in_ram, int(everything), parts, activations)
