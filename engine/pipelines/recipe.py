"""The presets as recipes: which stages a clip goes through, with which noise levels, guidance and LoRA strengths.

The four presets reproduce the official recipes (Lightricks/LTX-2, commit 400fd31), with one difference: the second
stage of the guided presets keeps the first stage's sound fixed, where the official one makes it again and drops it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import RequestError
from engine.pipelines.decisions import Decisions
from engine.pipelines.edit_values import EditPlan, WorkWindow
from engine.pipelines.facts import ModelFacts
from engine.request import GenerationRequest, Guidance, GuidanceScales, LipDub, Preset, Retake
from engine.sampling.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS, resampled, shifted_sigmas
from engine.types import Size, latent_frame_count

Sampler = Literal["euler", "res_2s"]
SoundSource = Literal["none", "generate", "keep"]
PictureSource = Literal["generate", "keep"]

MAX_STEPS = 200


@dataclass(frozen=True)
class StagePlan:
    """One pass from noise to latents."""

    name: str  # "base" or "refine"; in the later windows of an edit "base 2" and so on
    size: Size
    sigmas: tuple[float, ...]
    sampler: Sampler
    guidance: Guidance
    distilled_strength: float  # of the distilled LoRA; 0 when the weights are distilled themselves
    sound: SoundSource  # "keep": the sound of the stage before, or of the clip that is edited, fixed
    frames: int  # 8k+1
    refines: bool = False  # goes on from the stage before
    picture: PictureSource = "generate"  # "keep": the picture of the clip that is edited, fixed
    window: int = 0  # of an edit: which of its windows

    @property
    def num_steps(self) -> int:
        return len(self.sigmas) - 1 + (self.sampler == "res_2s")

    @property
    def num_predictions(self) -> int:
        return 2 * (len(self.sigmas) - 1) + 1 if self.sampler == "res_2s" else len(self.sigmas) - 1


def choose_stages(
    request: GenerationRequest, model: ModelFacts, size: Size, frames: int, decisions: Decisions
) -> tuple[StagePlan, ...]:
    """The stages of a request's preset, at their sizes. Raises RequestError for what the model cannot do."""
    preset, half = request.preset, size.halved()
    lora = _distilled_strengths(request, model)
    sound: SoundSource = "none" if request.silent else "generate"
    fixed: SoundSource = "none" if request.silent else "keep"
    steps = _steps(request, model)
    unguided = _overridden(Guidance(), request)
    match preset:
        case Preset.DRAFT | Preset.FAST:
            sigmas = resampled(DISTILLED_SIGMAS, steps)
            base = StagePlan("base", half, sigmas, "euler", unguided, lora[0], sound, frames)
            refine = StagePlan("refine", size, REFINE_SIGMAS, "euler", Guidance(), lora[1], sound, frames, refines=True)
            why = "a draft stays at half size" if preset is Preset.DRAFT else "8 + 3 steps of the distilled model"
        case Preset.STANDARD:
            guidance = _overridden(_standard_guidance(model), request)
            base = StagePlan("base", half, shifted_sigmas(steps), "euler", guidance, lora[0], sound, frames)
            refine = StagePlan("refine", size, REFINE_SIGMAS, "euler", Guidance(), lora[1], fixed, frames, refines=True)
            why = "guided steps at half size, then three of the distilled model"
        case Preset.HIGH:
            tokens = latent_frame_count(frames) * latent_area(half, model)
            guidance = _overridden(_high_guidance(), request)
            base = StagePlan("base", half, shifted_sigmas(steps, tokens), "res_2s", guidance, lora[0], sound, frames)
            refine = StagePlan(
                "refine", size, REFINE_SIGMAS, "res_2s", Guidance(), lora[1], fixed, frames, refines=True
            )
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


def edit_stages(
    edit: EditPlan, request: GenerationRequest, model: ModelFacts, decisions: Decisions
) -> tuple[StagePlan, ...]:
    """The stages of every window of an edit, one window after the other.

    Where the official retake works in one stage at the clip's size, this one goes through those of the preset, with
    the clip's own latents given in each. Sound under a picture that is given needs the first stage alone.
    """
    strength = request.edit.strength if isinstance(request.edit, Retake) else 1.0
    stages: list[StagePlan] = []
    for index, window in enumerate(edit.windows):
        first = Decisions() if index else decisions
        for stage in choose_stages(request, model, edit.fit.work, window.frames, first):
            if window.picture is None and stage.refines:
                continue
            stages.append(
                replace(
                    stage,
                    name=stage.name if index == 0 else f"{stage.name} {index + 1}",
                    sigmas=_from_strength(stage.sigmas, strength),
                    picture="generate" if window.picture is not None else "keep",
                    sound=_window_sound(stage, window, request),
                    window=index,
                )
            )
    return tuple(stages)


def _window_sound(stage: StagePlan, window: WorkWindow, request: GenerationRequest) -> SoundSource:
    if not window.has_sound:
        return "none"
    # Of a dub the second stage has never been trained to make the sound again.
    is_dubbed = stage.refines and isinstance(request.edit, LipDub)
    return "keep" if window.sound is None or is_dubbed else stage.sound


def _from_strength(sigmas: tuple[float, ...], strength: float) -> tuple[float, ...]:
    """The end of a schedule, from the noise level `strength` on."""
    if strength >= sigmas[0]:
        return sigmas
    return (strength, *(sigma for sigma in sigmas if sigma < strength - 1e-6))


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


def latent_area(size: Size, model: ModelFacts) -> int:
    """Tokens of one latent frame."""
    return (size.width // model.video_vae.space_factor) * (size.height // model.video_vae.space_factor)
