"""What a plan will cost: memory at its peak and seconds for each stage, from counted work and measured speed.

Memory is counted (`policy`), then corrected by what allocators were seen to add. Time is the work of a stage at this
machine's speed or, where blocks stream, the time of their copies if that is longer, plus reading from disk what the
stage is the first to need.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.hardware import Device, Machine
from engine.pipelines.facts import ModelFacts
from engine.pipelines.policy import FRAMEWORK_BYTES, USUAL_RATIO, MemoryPolicy, Task, block_bytes, peak_of
from engine.pipelines.speed import (
    FP8_SPEEDUP,
    GUESSED_COPY_BYTES_PER_S,
    GUESSED_DISK_BYTES_PER_S,
    Clock,
    Observation,
    Speeds,
    device_key,
    remember,
)
from engine.pipelines.work import Work, WorkKind, decode_work, denoise_work, text_work, upsample_work

# Below this share of a stage's measured time, reading and copying leave its computing to be learnt from.
_LEARNABLE_SHARE = 0.5


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of a plan."""

    peak_device_bytes: int
    together_bytes: int  # the peak if every part of the model stayed loaded
    peak_ram_bytes: int
    ram_free_bytes: int
    model_bytes: int  # of the peak, on the device: weights and activations, without what a program takes before them
    stage_seconds: Mapping[str, float]  # by stage, in order: text, each denoising stage, decode

    @property
    def seconds(self) -> float:
        return sum(self.stage_seconds.values())


@dataclass(frozen=True)
class Stage:
    """One stage's time, by what it waits for."""

    name: str
    phase: str  # which observations teach it: "text", "denoise" or "decode"
    work: Work
    read_bytes: int  # from disk, once
    copied_bytes: int  # while it computes: whichever takes longer
    copies_from_disk: bool


def estimate(task: Task, policy: MemoryPolicy, *, device: Device, machine: Machine, speeds: Speeds) -> Estimate:
    """Peak memory and seconds of a run."""
    clock = speeds.clock(run_key(task.model, policy, device), speeds.first_rates(device, machine))
    peak = peak_of(task, policy, device)
    seconds = {
        stage.name: _seconds(stage, clock, policy, device, machine) for stage in timed_stages(task, policy, device)
    }
    ratio = USUAL_RATIO[device.kind]
    activations = clock.measured_peak(peak.activation_bytes, ratio)
    extra = activations - int(peak.activation_bytes * ratio)
    return Estimate(
        peak_device_bytes=peak.device_bytes + extra,
        together_bytes=peak.together_bytes,
        peak_ram_bytes=peak.ram_bytes + (0 if device.kind == "cuda" else extra),
        ram_free_bytes=machine.ram_free_bytes,
        model_bytes=peak.weights_bytes + activations,
        stage_seconds=seconds,
    )


def run_key(model: ModelFacts, policy: MemoryPolicy, device: Device) -> str:
    """Runs that teach each other: the same device, precision, and shape of model."""
    config, vae = model.transformer, model.video_vae
    shape = f"{config.num_layers}x{config.video.width}-{vae.decoder_width}x{len(vae.decoder_blocks)}"
    return f"{device_key(device)}|{policy.precision}|{model.generation}-{shape}"


def learn(
    task: Task,
    policy: MemoryPolicy,
    *,
    device: Device,
    machine: Machine,
    seconds: Mapping[str, float],
    peak_bytes: int,
) -> None:
    """Let the next plan know what a finished run took.

    `seconds` by stage as in `Estimate.stage_seconds`; `peak_bytes` of PyTorch's allocator on a GPU, of the process
    elsewhere; 0 where nothing measured it.
    """
    observations: list[Observation] = []
    for stage in timed_stages(task, policy, device):
        measured = seconds.get(stage.name, 0.0)
        waiting = _reading_seconds(stage, machine) + _copying_seconds(stage, device, machine)
        if waiting < _LEARNABLE_SHARE * measured:
            work = dict(stage.work)
            if policy.multiplies_fp8:
                work["matrices"] = work.get("matrices", 0.0) / FP8_SPEEDUP
            observations.append(Observation(stage.phase, work, measured))
    counted = peak_of(task, policy, device)
    framework = 0 if device.kind == "cuda" else FRAMEWORK_BYTES[device.kind]
    activations = peak_bytes - framework - counted.weights_bytes
    peak = (counted.activation_bytes, activations) if activations > 0 else None
    remember(run_key(task.model, policy, device), observations, peak)


def timed_stages(task: Task, policy: MemoryPolicy, device: Device) -> Sequence[Stage]:
    """What a run waits for, in order."""
    model = task.model
    stored_text = 2 * (model.parameters.get("text_encoder", 0) + model.parameters["text"])
    result = [Stage("text", "text", text_work(model, task.prompts), stored_text, 0, False)]
    config, layers = model.transformer, policy.transformer
    block = block_bytes(model, policy.precision) + task.lora_bytes / config.num_layers
    for index, load in enumerate(task.stages):
        work = denoise_work(model, load)
        if task.upsamples(index):
            work = _sum(work, upsample_work(model, task.stage_sizes[index], task.frames))
        # The first stage reads what stays on the device or in main memory; blocks on disk are read again and again.
        read = layers.num_blocks if layers.kind != "disk" else layers.resident_blocks
        copied = 0.0
        if device.kind == "cuda" or layers.kind == "disk":
            copied = layers.streamed_blocks * block * load.sweeps
        read_bytes = int(read * block) if index == 0 else 0
        result.append(Stage(load.name, "denoise", work, read_bytes, int(copied), layers.kind == "disk"))
    sound_seconds = task.sound_seconds if task.has_sound else None
    work = decode_work(model, task.size, task.frames, policy.tiling, sound_seconds=sound_seconds)
    repeated: dict[WorkKind, float] = {kind: amount * task.num_windows for kind, amount in work.items()}
    stored = 2 * (model.parameters["video_decoder"] + model.parameters["audio"])
    result.append(Stage("decode", "decode", repeated, stored, 0, False))
    return result


def _seconds(stage: Stage, clock: Clock, policy: MemoryPolicy, device: Device, machine: Machine) -> float:
    work = dict(stage.work)
    if policy.multiplies_fp8:
        work["matrices"] = work.get("matrices", 0.0) / FP8_SPEEDUP
    computing = clock.seconds(stage.phase, work)
    return _reading_seconds(stage, machine) + max(computing, _copying_seconds(stage, device, machine))


def _reading_seconds(stage: Stage, machine: Machine) -> float:
    return stage.read_bytes / _disk_speed(machine)


def _copying_seconds(stage: Stage, device: Device, machine: Machine) -> float:
    speed = device.copy_bytes_per_s or GUESSED_COPY_BYTES_PER_S[device.kind]
    return stage.copied_bytes / (min(speed, _disk_speed(machine)) if stage.copies_from_disk else speed)


def _disk_speed(machine: Machine) -> float:
    return machine.disk_bytes_per_s or GUESSED_DISK_BYTES_PER_S


def _sum(first: Work, second: Work) -> Work:
    """Both amounts of work in one phase."""
    total: dict[WorkKind, float] = {**first}
    for kind, amount in second.items():
        total[kind] = total.get(kind, 0.0) + amount
    return {**total, "phases": 1.0}
