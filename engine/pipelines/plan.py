"""From a request to a plan: sizes on the model's grid, stages with their noise levels and guidance, and why.

Pure and torch-free: the same call drives the live estimate in a window, the `plan` verb, and the run itself. What a
plan predicts in memory and time comes from `engine.pipelines.estimate`.

The four presets reproduce the official recipes (Lightricks/LTX-2, commit 400fd31), with one difference: the second
stage of the guided presets keeps the first stage's sound fixed, where the official one makes it again and drops it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.errors import RequestError
from engine.hardware import Device, Machine, current_machine
from engine.pipelines.estimate import Estimate, Speeds, Workload, estimate, learned_speeds
from engine.pipelines.facts import ModelFacts, model_facts
from engine.request import GenerationRequest, Guidance, GuidanceScales, ImageReference, Preset
from engine.sampling.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS, resampled, shifted_sigmas
from engine.types import FrameRate, Size, latent_frame_count, snap_frame_count

Sampler = Literal["euler", "res_2s"]
Light = Literal["green", "amber", "red"]
SoundSource = Literal["none", "generate", "keep"]

DEFAULT_FRAME_RATE = FrameRate.parse(24)
MAX_FRAMES = 1441  # a minute at 24 fps; the model was trained on up to 20 s
TRAINED_SECONDS = 20.0
MAX_PIXELS_PER_SIDE = 4096
MAX_PROMPT_CHARACTERS = 10_000  # the text encoder reads 1024 tokens, some 5,000 characters of prose
MAX_STEPS = 200
_ROOM_TO_STAY = 0.7  # of the free memory; the rest is for other programs and for what the estimate misses
OUT_OF_SIGHT = "low quality, blurry, overexposed, flicker, compression artefacts, burnt-in subtitles, watermark, logo"
DEFAULT_NEGATIVE_PROMPT = (
    f"{OUT_OF_SIGHT}, deformed face, extra fingers, melting limbs, jitter, frozen picture, sudden cut, fade to black, "
    "cartoonish rendering, lips out of sync, muffled or robotic voice, clipped words, wrong words, echo, hiss, hum, "
    "distorted sound, silence where there should be sound"
)


@dataclass(frozen=True)
class StagePlan:
    """One pass from noise to latents."""

    name: str  # "base" or "refine"
    size: Size
    sigmas: tuple[float, ...]
    sampler: Sampler
    guidance: Guidance
    distilled_strength: float  # of the distilled LoRA; 0 when the weights are distilled themselves
    sound: SoundSource  # "keep": the sound of the stage before, fixed

    @property
    def num_steps(self) -> int:
        return len(self.sigmas) - 1 + (self.sampler == "res_2s")

    @property
    def num_predictions(self) -> int:
        return 2 * (len(self.sigmas) - 1) + 1 if self.sampler == "res_2s" else len(self.sigmas) - 1


@dataclass(frozen=True)
class Choice:
    """One decision, in words."""

    what: str
    value: str
    why: str


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know, decided."""

    request: GenerationRequest  # with frames, size, rate and negative prompt filled in
    model: ModelFacts
    device: Device
    precision: Literal["bf16", "fp32"]
    size: Size
    frames: int
    frame_rate: FrameRate
    stages: tuple[StagePlan, ...]
    estimate: Estimate
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        return self.frame_rate.seconds(self.frames)

    @property
    def fits(self) -> bool:
        return self.light != "red"

    @property
    def keeps_everything(self) -> bool:
        """Whether every part of the model may stay loaded, for the next stage and the next run."""
        return self.estimate.together_bytes <= _ROOM_TO_STAY * self.device.free_bytes

    @property
    def light(self) -> Light:
        """Green fits with a tenth to spare, amber barely, red does not."""
        worst = max(self._device_share(), self._ram_share())
        return "red" if worst > 1 else "amber" if worst > 0.9 else "green"

    def _device_share(self) -> float:
        return self.estimate.peak_device_bytes / max(self.device.free_bytes, 1)

    def _ram_share(self) -> float:
        return self.estimate.peak_ram_bytes / max(self.estimate.ram_free_bytes, 1)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that scripts rely on."""
        return {
            "fits": self.fits,
            "light": self.light,
            "model": self.model.name,
            "device": self.device.torch_name,
            "width": self.size.width,
            "height": self.size.height,
            "frames": self.frames,
            "fps": float(self.frame_rate),
            "duration_s": self.duration_s,
            "peak_vram_bytes": 0 if self.device.kind == "cpu" else self.estimate.peak_device_bytes,
            "peak_ram_bytes": self.estimate.peak_ram_bytes,
            "seconds": round(self.estimate.seconds, 1),
            "stages": [
                {
                    "name": name,
                    "seconds": round(seconds, 1),
                    "residency": "RAM" if self.device.kind == "cpu" else "GPU",
                    "precision": self.precision,
                }
                for name, seconds in self.estimate.stage_seconds.items()
            ],
            "choices": [{"what": item.what, "value": item.value, "why": item.why} for item in self.choices],
            "warnings": list(self.warnings),
        }


def plan(
    request: GenerationRequest,
    machine: Machine | None = None,
    *,
    model: ModelFacts | None = None,
    speeds: Speeds | None = None,
) -> Plan:
    """Decide everything about a request.

    `machine`, `model` and `speeds` default to what this machine has, the named model's header, and what earlier runs
    measured. Raises RequestError for a request that cannot be honoured and CheckpointError for a damaged model.
    """
    machine = machine or current_machine()
    model = model or model_facts(request.model)
    decisions = _Decisions()
    _check_text(request)
    frame_rate = request.frame_rate or DEFAULT_FRAME_RATE
    frames = _frames(request, model, frame_rate, decisions)
    size = _size(request, model, decisions)
    device = _device(request, machine, decisions)
    precision = _precision(request, device, decisions)
    stages = _stages(request, model, size, frames, decisions)
    size = stages[-1].size
    images = tuple(_placed(image, frames) for image in request.images)
    _check_guidance(request)
    if request.silent and request.audio is not None:
        raise RequestError(
            "audio",
            "A silent clip cannot follow a sound.",
            remedy="Leave out either the sound or the wish for silence.",
        )
    resolved = replace(
        request,
        negative_prompt=DEFAULT_NEGATIVE_PROMPT if request.negative_prompt is None else request.negative_prompt,
        model=request.model or model.name,
        size=size,
        frames=frames,
        seconds=None,
        frame_rate=frame_rate,
        images=images,
    )
    prediction = estimate(
        model,
        [workload(stage, model, frames, request) for stage in stages],
        size=size,
        frames=frames,
        device=device,
        machine=machine,
        precision=precision,
        speed=(speeds or learned_speeds()).of(device, machine),
        has_sound=not request.silent,
    )
    result = Plan(
        request=resolved,
        model=model,
        device=device,
        precision=precision,
        size=size,
        frames=frames,
        frame_rate=frame_rate,
        stages=stages,
        estimate=prediction,
        choices=tuple(decisions.choices),
        warnings=tuple(decisions.warnings),
    )
    value, why = ("all parts", "together they fit") if result.keeps_everything else ("one part at a time", "to fit")
    result = replace(result, choices=(*result.choices, Choice("loaded", value, why)))
    if not result.fits:
        warning = f"This needs more memory than {device.name or device.torch_name} has free; it may fail."
        result = replace(result, warnings=(*result.warnings, warning))
    return result


class _Decisions:
    """Collects what was decided, in order."""

    def __init__(self) -> None:
        self.choices: list[Choice] = []
        self.warnings: list[str] = []

    def add(self, what: str, value: object, why: str) -> None:
        self.choices.append(Choice(what, str(value), why))


def _check_text(request: GenerationRequest) -> None:
    for field, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt or "")):
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise RequestError(
                field,
                f"The {field.replace('_', ' ')} has {len(text):,} characters.",
                remedy=f"Shorten it to {MAX_PROMPT_CHARACTERS:,} or fewer; the model reads about 5,000.",
            )
    if not request.prompt.strip():
        raise RequestError("prompt", "The prompt is empty.", remedy="Describe what to see and hear.")


def _frames(request: GenerationRequest, model: ModelFacts, frame_rate: FrameRate, decisions: _Decisions) -> int:
    if request.frames is not None and request.seconds is not None:
        raise RequestError("frames", "Both frames and seconds are given.", remedy="Give one of them.")
    wanted: float = model.defaults.frames
    if request.frames is not None:
        wanted = request.frames
    elif request.seconds is not None:
        wanted = frame_rate.frames_in(request.seconds)
    if not 1 <= wanted <= MAX_FRAMES:
        raise RequestError(
            "frames",
            f"A clip of {wanted:,.0f} frames cannot be made.",
            remedy=f"Choose 1 to {MAX_FRAMES:,} frames.",
        )
    if not 1 <= float(frame_rate) <= 240:
        raise RequestError("frame_rate", f"{frame_rate} frames per second cannot be made.", remedy="Choose 1 to 240.")
    frames = snap_frame_count(wanted)
    if request.frames is not None and frames != request.frames:
        decisions.warnings.append(f"{request.frames} frames became {frames}: the model makes 8k+1 frames.")
    if frame_rate.seconds(frames) > TRAINED_SECONDS:
        decisions.warnings.append(f"The model was trained on up to {TRAINED_SECONDS:.0f} s; longer clips may wander.")
    decisions.add("frames", frames, f"{frame_rate.seconds(frames):.2f} s at {frame_rate} frames per second")
    return frames


def _size(request: GenerationRequest, model: ModelFacts, decisions: _Decisions) -> Size:
    wanted = request.size or model.defaults.size
    if min(wanted.width, wanted.height) < 1 or max(wanted.width, wanted.height) > MAX_PIXELS_PER_SIDE:
        raise RequestError(
            "size",
            f"A picture of {wanted} pixels cannot be made.",
            remedy=f"Choose sides of up to {MAX_PIXELS_PER_SIDE} pixels.",
        )
    # Every preset starts at half the size, and that half must lie on the latent grid.
    grid = 2 * model.video_vae.space_factor
    size = wanted.snapped(grid)
    if size != wanted:
        decisions.warnings.append(f"{wanted} became {size}: both sides must be multiples of {grid} pixels.")
    return size


def _device(request: GenerationRequest, machine: Machine, decisions: _Decisions) -> Device:
    device = machine.device(request.device)
    if device is None:
        have = ", ".join(item.torch_name for item in machine.devices)
        raise RequestError("device", f"There is no device '{request.device}' here.", remedy=f"Choose one of: {have}.")
    decisions.add("device", device.torch_name, "the best of this machine" if request.device == "auto" else "as asked")
    return device


def _precision(request: GenerationRequest, device: Device, decisions: _Decisions) -> Literal["bf16", "fp32"]:
    if request.precision != "auto":
        decisions.add("precision", request.precision, "as asked")
        return request.precision
    if device.kind == "cpu":
        decisions.add("precision", "fp32", "processors compute it faster than bf16")
        return "fp32"
    decisions.add("precision", "bf16", "the precision of the model's own weights")
    return "bf16"


def _stages(
    request: GenerationRequest, model: ModelFacts, size: Size, frames: int, decisions: _Decisions
) -> tuple[StagePlan, ...]:
    preset, half = request.preset, size.halved()
    lora = _distilled_strengths(request, model)
    sound: SoundSource = "none" if request.silent else "generate"
    fixed: SoundSource = "none" if request.silent else "keep"
    steps = _steps(request, model)
    unguided = _overridden(Guidance(), request)
    match preset:
        case Preset.DRAFT | Preset.FAST:
            sigmas = resampled(DISTILLED_SIGMAS, steps)
            base = StagePlan("base", half, sigmas, "euler", unguided, lora[0], sound)
            refine = StagePlan("refine", size, REFINE_SIGMAS, "euler", Guidance(), lora[1], sound)
            why = "a draft stays at half size" if preset is Preset.DRAFT else "8 + 3 steps of the distilled model"
        case Preset.STANDARD:
            guidance = _overridden(_standard_guidance(model), request)
            base = StagePlan("base", half, shifted_sigmas(steps), "euler", guidance, lora[0], sound)
            refine = StagePlan("refine", size, REFINE_SIGMAS, "euler", Guidance(), lora[1], fixed)
            why = "guided steps at half size, then three of the distilled model"
        case Preset.HIGH:
            tokens = latent_frame_count(frames) * _latent_area(half, model)
            guidance = _overridden(_high_guidance(), request)
            base = StagePlan("base", half, shifted_sigmas(steps, tokens), "res_2s", guidance, lora[0], sound)
            refine = StagePlan("refine", size, REFINE_SIGMAS, "res_2s", Guidance(), lora[1], fixed)
            why = "second-order guided steps at half size, then second-order refinement"
    decisions.add("preset", preset.value, why)
    if preset is Preset.DRAFT:
        return (base,)
    if not model.has_spatial_upsampler:
        raise RequestError(
            "preset",
            f"The preset '{preset.value}' needs the spatial upsampler, which '{model.name}' lacks.",
            remedy="Put its file beside the checkpoint, or choose the preset draft.",
        )
    if not unguided.is_neutral() and preset is Preset.FAST:
        decisions.warnings.append("Distilled weights were trained to run without guidance; expect harsh results.")
    return base, refine


def _distilled_strengths(request: GenerationRequest, model: ModelFacts) -> tuple[float, float]:
    """The distilled LoRA's strength in each stage."""
    preset = request.preset
    if preset in {Preset.DRAFT, Preset.FAST}:
        if model.kind == "distilled":
            return 0.0, 0.0
        strengths = 1.0, 1.0
    else:
        if model.kind == "distilled":
            raise RequestError(
                "preset",
                f"The preset '{preset.value}' needs a dev model; '{model.name}' is distilled.",
                remedy="Choose the preset fast, or a dev model.",
            )
        strengths = (0.0, 1.0) if preset is Preset.STANDARD else (0.25, 0.5)
    if not model.has_distilled_lora:
        raise RequestError(
            "preset",
            f"The preset '{preset.value}' needs the distilled LoRA, which '{model.name}' lacks.",
            remedy="Put its file beside the checkpoint. Distilled weights must say 'distilled' in their file's name.",
        )
    return strengths


def _steps(request: GenerationRequest, model: ModelFacts) -> int:
    if request.steps is not None:
        if not 1 <= request.steps <= MAX_STEPS:
            raise RequestError("steps", f"{request.steps} steps cannot be run.", remedy=f"Choose 1 to {MAX_STEPS}.")
        return request.steps
    standard = 40 if model.generation == "2.0" else 30
    defaults: Mapping[Preset, int] = {Preset.STANDARD: standard, Preset.HIGH: 15}
    return defaults.get(request.preset, len(DISTILLED_SIGMAS) - 1)


def _standard_guidance(model: ModelFacts) -> Guidance:
    # Block 28 of 48 in 2.3, one further in 2.0; a smaller model skips at the same depth.
    block = round((29 if model.generation == "2.0" else 28) / 48 * model.transformer.num_layers)
    return Guidance(
        video=GuidanceScales(cfg=3, stg=1, modality=3, rescale=0.7),
        audio=GuidanceScales(cfg=7, stg=1, modality=3, rescale=0.7),
        stg_blocks=(min(block, model.transformer.num_layers - 1),),
    )


def _high_guidance() -> Guidance:
    return Guidance(
        video=GuidanceScales(cfg=3, modality=3, rescale=0.45),
        audio=GuidanceScales(cfg=7, modality=3, rescale=1.0),
    )


def _overridden(guidance: Guidance, request: GenerationRequest) -> Guidance:
    video, audio = guidance.video, guidance.audio
    if request.video_guidance is not None:
        video = replace(video, cfg=request.video_guidance)
    if request.audio_guidance is not None:
        audio = replace(audio, cfg=request.audio_guidance)
    if request.modality_guidance is not None:
        video = replace(video, modality=request.modality_guidance)
        audio = replace(audio, modality=request.modality_guidance)
    return replace(guidance, video=video, audio=audio)


def _check_guidance(request: GenerationRequest) -> None:
    for field in ("video_guidance", "audio_guidance", "modality_guidance"):
        value = getattr(request, field)
        if value is not None and not 0 <= value <= 30:
            raise RequestError(field, f"A guidance of {value:g} is out of range.", remedy="Choose 0 to 30; 1 is off.")


def _placed(image: ImageReference, frames: int) -> ImageReference:
    frame = image.frame + frames if image.frame < 0 else image.frame
    if not 0 <= frame < frames:
        raise RequestError(
            "images",
            f"{image.path.name} is to show at frame {image.frame}.",
            remedy=f"The clip has {frames} frames.",
        )
    if not 0 < image.strength <= 1:
        raise RequestError("images", f"A strength of {image.strength:g} is out of range.", remedy="Choose 0.01 to 1.")
    return replace(image, frame=frame)


def _latent_area(size: Size, model: ModelFacts) -> int:
    return (size.width // model.video_vae.space_factor) * (size.height // model.video_vae.space_factor)


def workload(stage: StagePlan, model: ModelFacts, frames: int, request: GenerationRequest) -> Workload:
    keyframes = sum(image.frame != 0 for image in request.images)
    area = _latent_area(stage.size, model)
    guidance = stage.guidance
    scales = [guidance.video] if request.silent else [guidance.video, guidance.audio]
    passes = 1 + any(item.cfg != 1 for item in scales) + any(item.stg != 0 for item in scales)
    passes += not request.silent and any(item.modality != 1 for item in scales)
    return Workload(
        name=stage.name,
        video_tokens=(latent_frame_count(frames) + keyframes) * area,
        predictions=stage.num_predictions,
        passes=passes,
    )
