"""Trains the distilled LoRA: eight fixed steps without guidance that end where many guided steps end.

    python -m engine.training.distill --data data --parts video_vae.safetensors audio.safetensors \
        --transformer transformer --out distilled

From a clip noised to one of the fixed levels, the teacher walks to the next one along its own thirty-step schedule,
with guidance; the student learns the velocity that gets there in one step (progressive distillation, Salimans and Ho,
2022; of guided models, Meng et al., 2023). The levels of the refining stage are among the eight. Both are the same
network, the student with the LoRA.

Shapes: B batch, T tokens, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor

from engine.model.transformer import Transformer
from engine.pipelines.plan import DEFAULT_NEGATIVE_PROMPT
from engine.request import Guidance, GuidanceScales
from engine.sampling.guidance import TextContexts, combine
from engine.sampling.latents import LatentGrid
from engine.sampling.samplers import euler_step
from engine.sampling.schedule import DISTILLED_SIGMAS, shifted_sigmas
from engine.training.adapters import TrainableLora
from engine.training.conditions import draw_states, drawn_kind
from engine.training.console import live_line, machine_of, made_ahead, run_command, training_parser
from engine.training.dataset import LatentDataset, draw_clips
from engine.training.encoding import ClipEncoder
from engine.training.flow import NoisyStream, clip_loss
from engine.training.loop import OnStep, Recipe, train
from engine.training.mixed import fit_products_to
from engine.training.text_to_clip import CHECKPOINT_NAME, TEXT_ENCODER_FOLDER, FrozenText, predict_velocity
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

LORA_NAME: Final = "distilled-lora.safetensors"
TEACHER_STEPS: Final = 30  # of the preset `standard`
# Away from the negative prompt, with the spread restored: the part of the standard guidance that follows the prompt.
GUIDANCE: Final = Guidance(video=GuidanceScales(cfg=3, rescale=0.7), audio=GuidanceScales(cfg=3, rescale=0.7))
_FIRST_PROGRESS: Final = 0.6  # of the transformer's training: where large clips begin to be frequent


@dataclass(frozen=True)
class Interval:
    """One step of the student, and the levels the teacher visits on the way."""

    start: float
    stop: float

    @property
    def teacher_sigmas(self) -> tuple[float, ...]:
        between = [sigma for sigma in shifted_sigmas(TEACHER_STEPS) if self.stop < sigma < self.start]
        return (self.start, *between, self.stop)


INTERVALS: Final = tuple(Interval(*levels) for levels in pairwise(DISTILLED_SIGMAS))


@dataclass(frozen=True)
class DistillationBatch:
    """Clips noised to the start of one interval, both streams alike; the velocities are still those of the noise."""

    prompts: tuple[str, ...]
    interval: Interval
    video: NoisyStream
    audio: NoisyStream | None


@dataclass(frozen=True)
class DistillationBatches:
    """The batch of every step, a function of the step alone."""

    dataset: LatentDataset
    grid: LatentGrid
    steps: int
    batch_tokens: int
    seed: int = 0

    def __call__(self, step: int) -> DistillationBatch:
        rng = np.random.default_rng((self.seed, step))
        progress = _FIRST_PROGRESS + (1 - _FIRST_PROGRESS) * step / self.steps
        clips = draw_clips(self.dataset, rng, progress=progress, batch_tokens=self.batch_tokens)
        states = draw_states(clips, self.grid, rng, drawn_kind(rng))
        interval = INTERVALS[int(rng.integers(len(INTERVALS)))]
        levels = [interval.start] * len(states)
        audio_states = [state.audio for state in states if state.audio is not None]
        return DistillationBatch(
            clips.prompts,
            interval,
            NoisyStream.at([state.video for state in states], levels, rng),
            NoisyStream.at(audio_states, levels, rng) if audio_states else None,
        )


@torch.no_grad()
def guided_walk(
    transformer: Transformer,
    video: NoisyStream,
    audio: NoisyStream | None,
    sigmas: tuple[float, ...],
    *,
    positive: TextContexts,
    negative: TextContexts,
    guidance: Guidance,
) -> tuple[NoisyStream, NoisyStream | None]:
    """Where guided Euler steps along `sigmas` take a batch; contexts are (B, S, D)."""
    for sigma, sigma_next in pairwise(sigmas):
        plain = predict_velocity(transformer, positive, video, audio)
        other = predict_velocity(transformer, negative, video, audio)
        video = _stepped(video, plain[0], other[0], guidance.video, sigma, sigma_next)
        if audio is not None and plain[1] is not None and other[1] is not None:
            audio = _stepped(audio, plain[1], other[1], guidance.audio, sigma, sigma_next)
    return video, audio


def _stepped(
    stream: NoisyStream, plain: Tensor, other: Tensor, scales: GuidanceScales, sigma: float, sigma_next: float
) -> NoisyStream:
    levels = stream.timesteps[..., None]
    x0, negative_x0 = (stream.latent - levels * velocity.float() for velocity in (plain, other))
    # Sample by sample, as in a run: the spread that is restored is one clip's.
    guided = torch.cat(
        [combine(scales, x0[index : index + 1], negative=negative_x0[index : index + 1]) for index in range(len(x0))]
    )
    guided = torch.where(stream.mask > 0, guided, stream.latent)
    return replace(
        stream,
        latent=euler_step(stream.latent, guided, sigma, sigma_next),
        timesteps=stream.mask[..., 0] * sigma_next,
        sigma=torch.where(stream.sigma > 0, sigma_next, 0.0),
    )


class Distillation:
    """Teacher and student on one device."""

    def __init__(
        self,
        transformer: Transformer,
        contexts_of: Callable[[Sequence[str]], TextContexts],
        *,
        rank: int,
        guidance: Guidance = GUIDANCE,
    ) -> None:
        self.lora = TrainableLora(transformer, rank=rank).to(next(transformer.parameters()).device)
        self._transformer = transformer
        self._contexts_of = contexts_of
        self._guidance = guidance
        self._device = next(transformer.parameters()).device

    def loss(self, batch: DistillationBatch) -> Tensor:
        """How far the student's step ends from the teacher's walk, as a velocity; bf16 on a GPU."""
        positive = self._contexts_of(batch.prompts)
        negative = TextContexts(
            *(context.expand(len(batch.prompts), -1, -1) for context in self._contexts_of([DEFAULT_NEGATIVE_PROMPT]))
        )
        video = batch.video.to(self._device)
        audio = None if batch.audio is None else batch.audio.to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            with self.lora.off():
                video_end, audio_end = guided_walk(
                    self._transformer,
                    video,
                    audio,
                    batch.interval.teacher_sigmas,
                    positive=positive,
                    negative=negative,
                    guidance=self._guidance,
                )
            velocities = predict_velocity(self._transformer, positive, video, audio)
        aimed_audio = None if audio is None or audio_end is None else _aimed_at(audio, audio_end, batch.interval)
        return clip_loss(velocities, _aimed_at(video, video_end, batch.interval), aimed_audio)


def _aimed_at(stream: NoisyStream, end: NoisyStream, interval: Interval) -> NoisyStream:
    return replace(stream, velocity=(stream.latent - end.latent) / (interval.start - interval.stop))


def distill(
    distillation: Distillation,
    batches: Callable[[int], DistillationBatch],
    recipe: Recipe,
    folder: Path,
    *,
    on_step: OnStep,
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the LoRA's path. Raises CheckpointError."""
    train(
        distillation.lora,
        lambda step: distillation.loss(batches(step)),
        recipe,
        state_path=folder / "training.pt",
        on_step=on_step,
    )
    distillation.lora.save(folder / LORA_NAME)
    return folder / LORA_NAME


def main(arguments: list[str] | None = None) -> None:
    parser = training_parser(
        "distill", "Train the starter's distilled LoRA.", steps=4_000, batch_tokens=2048, rate=5e-4
    )
    parser.add_argument("--transformer", type=Path, required=True, help="folder of engine.training.transformer")
    parser.add_argument("--rank", type=int, default=48)
    options = parser.parse_args(arguments)
    device = machine_of(options)
    encoder = ClipEncoder(Checkpoint.open_many(options.parts))
    dataset = LatentDataset.open(options.data, fingerprint=encoder.fingerprint())
    checkpoint = Checkpoint.open(options.transformer / CHECKPOINT_NAME)
    torch.manual_seed(options.seed)
    transformer = cast(Transformer, load(checkpoint, Role.TRANSFORMER, device=device))
    fit_products_to(device, transformer)
    text = FrozenText(checkpoint, options.transformer / TEXT_ENCODER_FOLDER, device=device)
    batches = DistillationBatches(dataset, encoder.grid, options.steps, options.batch_tokens, options.seed)
    distill(
        Distillation(transformer, text.contexts, rank=options.rank),
        made_ahead(batches, steps=options.steps, workers=options.workers),
        Recipe(options.steps, options.learning_rate),
        options.out,
        on_step=live_line("distill"),
    )


if __name__ == "__main__":
    run_command(main)
