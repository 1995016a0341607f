"""From a request to a plan: sizes on the model's grid, stages, where every weight lives, what it costs, and why.

Pure and torch-free: the same call drives the live estimate in a window, the `plan` verb, and the run itself. Presets
are in `engine.pipelines.recipe`, the memory policy in `residency`, predictions in `estimate`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from engine.errors import RequestError
from engine.hardware import Device, Machine, current_machine
from engine.pipelines.decisions import Choice, Decisions
from engine.pipelines.edit_values import EditPlan, EditWindow
from engine.pipelines.editing import own_prompt, plan_edit
from engine.pipelines.estimate import Estimate, estimate, learn
from engine.pipelines.facts import ModelFacts, model_facts
from engine.pipelines.lipdub import plan_lip_dub, with_dub_lora
from engine.pipelines.loras import lora_facts, reference_share, say_loras
from engine.pipelines.policy import Budget, MemoryPolicy, Task
from engine.pipelines.recipe import StagePlan, choose_stages, edit_stages, latent_area
from engine.pipelines.residency import decide
from engine.pipelines.shortfall import Shortfall, learned_shortfall
from engine.pipelines.speed import Speeds, learned_speeds
from engine.pipelines.work import Workload
from engine.request import GenerationRequest, ImageReference, LipDub
from engine.types import FrameRate, Size, latent_frame_count, snap_frame_count

Light = Literal["green", "amber", "red"]

DEFAULT_FRAME_RATE = FrameRate.parse(24)
MAX_FRAMES = 1441  # a minute at 24 fps; the model was trained on up to 20 s
TRAINED_SECONDS = 20.0
MAX_PIXELS_PER_SIDE = 4096
MAX_PROMPT_CHARACTERS = 10_000  # the text encoder reads 1024 tokens, some 5,000 characters of prose
SLOW_SECONDS = 3600.0
OUT_OF_SIGHT = "low quality, blurry, overexposed, flicker, compression artefacts, burnt-in subtitles, watermark, logo"
DEFAULT_NEGATIVE_PROMPT = (
    f"{OUT_OF_SIGHT}, deformed face, extra fingers, melting limbs, jitter, frozen picture, sudden cut, fade to black, "
    "cartoonish rendering, lips out of sync, muffled or robotic voice, clipped words, wrong words, echo, hiss, hum, "
    "distorted sound, silence where there should be sound"
)


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know, decided."""

    request: GenerationRequest  # with frames, size, rate and prompts filled in; an edit's are its clip's
    model: ModelFacts
    machine: Machine
    device: Device
    policy: MemoryPolicy
    size: Size
    frames: int
    frame_rate: FrameRate
    stages: tuple[StagePlan, ...]
    task: Task
    estimate: Estimate
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]
    edit: EditPlan | None = None

    @property
    def duration_s(self) -> float:
        return self.frame_rate.seconds(self.frames) if self.edit is None else self.edit.duration_s

    @property
    def edit_window(self) -> EditWindow | None:
        """What an edit keeps, blends and makes, for drawing."""
        return None if self.edit is None else self.edit.window

    @property
    def fits(self) -> bool:
        return self.light != "red"

    @property
    def keeps_everything(self) -> bool:
        """Whether every part of the model may stay loaded, for the next stage and the next run."""
        return "text_encoder" in self.policy.kept

    @property
    def light(self) -> Light:
        """Green fits with room to spare, amber barely or slowly, red does not."""
        on_device, in_ram = self.estimate.peak_device_bytes, self.estimate.peak_ram_bytes
        if on_device > self.device.free_bytes or in_ram > self.machine.ram_free_bytes:
            return "red"
        budget = Budget.of(self.device, self.machine)
        is_tight = on_device > budget.device_bytes or in_ram > budget.ram_bytes
        is_slow = self.policy.transformer.kind == "disk" or self.estimate.seconds > SLOW_SECONDS
        return "amber" if is_tight or is_slow else "green"

    def learn(self, seconds: dict[str, float], peak_bytes: int) -> None:
        """Let later plans know what a run of this one took; see `estimate.learn`."""
        learn(
            self.task,
            self.policy,
            device=self.device,
            machine=self.machine,
            seconds=seconds,
            peak_bytes=peak_bytes,
        )

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
                    "residency": self._residency(name),
                    "precision": self._precision(name),
                }
                for name, seconds in self.estimate.stage_seconds.items()
            ],
            "choices": [{"what": item.what, "value": item.value, "why": item.why} for item in self.choices],
            "warnings": list(self.warnings),
            **({} if self.edit is None else {"edit": self.edit.window.to_dict()}),
        }

    def _residency(self, stage: str) -> str:
        """Where a stage's weights are, in words."""
        here = "RAM" if self.device.kind == "cpu" else "GPU"
        layers = {"text": self.policy.text_encoder, "decode": None}.get(stage, self.policy.transformer)
        if layers is None or layers.kind == "resident":
            return here
        source = "RAM" if layers.kind == "stream" else "disk"
        return f"{here} {layers.resident_blocks}/{layers.num_blocks}, {source}"

    def _precision(self, stage: str) -> str:
        return self.policy.compute if stage in {"text", "decode"} else self.policy.precision


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
    decisions = Decisions()
    request = with_dub_lora(_with_own_prompt(request), model)
    _check_text(request)
    clip = _new_clip(request, model, decisions) if request.edit is None else _edited_clip(request, model, decisions)
    device = _device(request, machine, decisions)
    images = tuple(_placed(image, clip.frames) for image in request.images)
    _check_guidance(request)
    if request.silent and request.audio is not None:
        raise RequestError(
            "audio",
            "A silent clip cannot follow a sound.",
            remedy="Leave out either the sound or the wish for silence.",
        )
    _check_trims(request)
    if request.audio is not None:
        after = "repeats" if request.audio_fit == "loop" else "is followed by silence"
        decisions.add(
            "sound", request.audio.name, f"as long as the picture: a longer one is cut, a shorter one {after}"
        )
    resolved = replace(
        request,
        negative_prompt=DEFAULT_NEGATIVE_PROMPT if request.negative_prompt is None else request.negative_prompt,
        model=request.model or model.name,
        size=clip.size if clip.edit is None else request.size,
        frames=clip.frames if clip.edit is None else None,
        seconds=None,
        frame_rate=clip.frame_rate if clip.edit is None else None,
        images=images,
    )
    say_loras(resolved, model, clip.stages, decisions)
    task = _task(resolved, model, clip)
    shortfall = learned_shortfall(device, model)
    decision = decide(task, *shortfall.of(device, machine), request)
    task = replace(task, stages=[replace(load, passes_at_once=decision.policy.passes_at_once) for load in task.stages])
    if shortfall != Shortfall():
        share = min(shortfall.device_share, shortfall.ram_share)
        decisions.add("free memory", f"{share:.0%} of it counts", "runs like this one ran out of it before")
    result = Plan(
        request=resolved,
        model=model,
        machine=machine,
        device=device,
        policy=decision.policy,
        size=clip.size,
        frames=clip.frames,
        frame_rate=clip.frame_rate,
        stages=clip.stages,
        task=task,
        estimate=estimate(
            task, decision.policy, device=device, machine=machine, speeds=learned_speeds() if speeds is None else speeds
        ),
        choices=(*decisions.choices, *decision.choices),
        warnings=(*decisions.warnings, *decision.warnings),
        edit=clip.edit,
    )
    return replace(result, warnings=(*result.warnings, *_warnings_of_cost(result)))


class _Clip(NamedTuple):
    """What comes out, and how."""

    size: Size
    frames: int
    frame_rate: FrameRate
    stages: tuple[StagePlan, ...]
    edit: EditPlan | None


def _new_clip(request: GenerationRequest, model: ModelFacts, decisions: Decisions) -> _Clip:
    frame_rate = request.frame_rate or DEFAULT_FRAME_RATE
    frames = _frames(request, model, frame_rate, decisions)
    size = _size(request, model, decisions)
    stages = choose_stages(request, model, size, frames, decisions)
    return _Clip(stages[-1].size, frames, frame_rate, stages, None)


def _edited_clip(request: GenerationRequest, model: ModelFacts, decisions: Decisions) -> _Clip:
    """Size, length and rate are those of the clip that is edited."""
    assert request.edit is not None
    if isinstance(request.edit, LipDub):
        edit = plan_lip_dub(request.edit, request, model, decisions)
    else:
        edit = plan_edit(request.edit, request, model, decisions)
    stages = edit_stages(edit, request, model, decisions)
    return _Clip(edit.source.size, edit.num_frames, edit.source.frame_rate, stages, edit)


def _with_own_prompt(request: GenerationRequest) -> GenerationRequest:
    """An edit without words goes on with those that its clip was made from; new words have to be given."""
    edit = request.edit
    if edit is None or request.prompt.strip() or (isinstance(edit, LipDub) and edit.voice is None):
        return request
    return replace(request, prompt=own_prompt(edit))


def _warnings_of_cost(result: Plan) -> list[str]:
    warnings: list[str] = []
    if not result.fits:
        device_is_short = result.estimate.peak_device_bytes > result.device.free_bytes
        where = (result.device.name or result.device.torch_name) if device_is_short else "this machine"
        kind = "memory" if device_is_short else "main memory"
        warnings.append(f"This needs more {kind} than {where} has free; it may fail.")
    if result.estimate.seconds > SLOW_SECONDS:
        warnings.append(f"This will take about {result.estimate.seconds / 3600:.0f} hours.")
    return warnings


def _check_text(request: GenerationRequest) -> None:
    for field, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt or "")):
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise RequestError(
                field,
                f"The {field.replace('_', ' ')} has {len(text):,} characters.",
                remedy=f"Shorten it to {MAX_PROMPT_CHARACTERS:,} or fewer; the model reads about 5,000.",
            )
    if not request.prompt.strip() and request.edit is None:
        raise RequestError("prompt", "The prompt is empty.", remedy="Describe what to see and hear.")


def _check_trims(request: GenerationRequest) -> None:
    trims = [
        ("audio_trim", request.audio_trim),
        *(("reference_videos", item.trim) for item in request.reference_videos),
    ]
    for field, trim in trims:
        if not trim.is_possible:
            raise RequestError(
                field,
                f"A file cannot be used from {trim.start_s:g} s to {trim.end_s:g} s."
                if trim.end_s is not None
                else f"A file cannot be used from {trim.start_s:g} s on.",
                remedy="Let it begin at 0 s or later, and end after that.",
            )


def _frames(request: GenerationRequest, model: ModelFacts, frame_rate: FrameRate, decisions: Decisions) -> int:
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


def _size(request: GenerationRequest, model: ModelFacts, decisions: Decisions) -> Size:
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


def _device(request: GenerationRequest, machine: Machine, decisions: Decisions) -> Device:
    device = machine.device(request.device)
    if device is None:
        have = ", ".join(item.torch_name for item in machine.devices)
        raise RequestError("device", f"There is no device '{request.device}' here.", remedy=f"Choose one of: {have}.")
    decisions.add("device", device.torch_name, "the best of this machine" if request.device == "auto" else "as asked")
    return device


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


def _task(request: GenerationRequest, model: ModelFacts, clip: _Clip) -> Task:
    """A resolved request as its cost sees it; of an edit, its longest window is what has to fit."""
    stages, edit = clip.stages, clip.edit
    frames = clip.frames if edit is None else max(window.frames for window in edit.windows)
    seconds = clip.frame_rate.seconds(frames)
    loads = [_workload(stage, model, request, clip.frame_rate) for stage in stages]
    loras = [lora_facts(lora.path) for lora in request.loras if not lora.is_off]
    lora_bytes = sum(facts.num_bytes for facts in loras)
    if any(stage.distilled_strength != 0 for stage in stages):
        lora_bytes += model.distilled_lora_bytes
    pictures = 1 if request.images else 0
    if request.reference_videos or edit is not None:
        pictures = frames
    return Task(
        model=model,
        stages=loads,
        stage_sizes=[stage.size for stage in stages],
        size=stages[-1].size,
        frames=frames,
        prompts=1 if all(stage.guidance.is_neutral() for stage in stages) else 2,
        encodes_pictures=pictures,
        has_sound=any(stage.sound != "none" for stage in stages),
        sound_seconds=seconds,
        lora_bytes=lora_bytes,
        encodes_tiles=edit is not None,
        num_windows=1 if edit is None else len(edit.windows),
    )


def _workload(stage: StagePlan, model: ModelFacts, request: GenerationRequest, frame_rate: FrameRate) -> Workload:
    area, latent_frames = latent_area(stage.size, model), latent_frame_count(stage.frames)
    is_silent, seconds = stage.sound == "none", frame_rate.seconds(stage.frames)
    keyframes = sum(image.frame != 0 for image in request.images)
    is_dub = isinstance(request.edit, LipDub)  # which sees the old clip beside the new one
    reference_tokens = 0.0
    if request.reference_videos or is_dub:
        reference_tokens = (len(request.reference_videos) + is_dub) * latent_frames * area * reference_share(request)
    guidance = stage.guidance
    scales = [guidance.video] if is_silent else [guidance.video, guidance.audio]
    passes = 1 + any(item.cfg != 1 for item in scales) + any(item.stg != 0 for item in scales)
    passes += not is_silent and any(item.modality != 1 for item in scales)
    audio = model.audio_vae
    latents_per_second = audio.sample_rate / audio.hop_length / audio.downsampling
    return Workload(
        name=stage.name,
        video_tokens=(latent_frames + keyframes) * area + int(reference_tokens),
        audio_tokens=0 if is_silent else round(seconds * latents_per_second) * (1 + is_dub),
        predictions=stage.num_predictions,
        passes=passes,
    )
