"""LoRAs in training are what the engine attaches later, and the distillation's teacher is a guided run.

Alone: `pytest tests/engine/training/test_starter_distill.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.model.transformer import Transformer
from engine.request import Guidance
from engine.sampling import samplers
from engine.sampling.guidance import Denoiser, TextContexts
from engine.sampling.latents import AVLatents, LatentGrid
from engine.sampling.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS
from engine.training.adapters import TrainableLora
from engine.training.conditions import Mode, sample_states
from engine.training.distill import GUIDANCE, INTERVALS, Distillation, DistillationBatch, Interval, distill, guided_walk
from engine.training.flow import NoisyStream
from engine.training.loop import Recipe
from engine.training.text_to_clip import predict_velocity
from engine.weights.lora import attach
from engine.weights.lora_file import LoraFile
from tests.fakes.denoising import finish
from tests.fakes.latents import random_clips
from tests.fakes.tiny_transformer import tiny_transformer

GRID = LatentGrid()


def network() -> Transformer:
    """With the channels of `random_clips`."""
    made = tiny_transformer(in_channels=16, out_channels=16, audio_in_channels=32, audio_out_channels=32)
    return made.requires_grad_(False)


def contexts_of(prompts: Sequence[str]) -> TextContexts:
    """Another context for every prompt."""
    video, audio = (
        torch.stack([torch.randn(4, width, generator=torch.Generator().manual_seed(len(text))) for text in prompts])
        for width in (32, 16)
    )
    return TextContexts(video, audio)


def batch(interval: Interval, *, mode: Mode = Mode.TEXT, count: int = 2) -> DistillationBatch:
    clips, rng = random_clips(count), np.random.default_rng(0)
    states = [sample_states(clips, index, mode, GRID, rng) for index in range(count)]
    levels = [interval.start] * count
    video = NoisyStream.at([state.video for state in states], levels, rng)
    audio = NoisyStream.at([state.audio for state in states if state.audio is not None], levels, rng)
    return DistillationBatch(clips.prompts, interval, video, audio)


def randomised(lora: TrainableLora) -> TrainableLora:
    """As after training, in values that bf16 holds exactly."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.copy_((0.1 * torch.randn(parameter.shape, generator=generator)).to(torch.bfloat16))
    return lora


def answers(transformer: Transformer) -> tuple[Tensor, Tensor | None]:
    given = batch(INTERVALS[5])
    with torch.no_grad():
        return predict_velocity(transformer, contexts_of(given.prompts), given.video, given.audio)


def test_a_saved_lora_attaches_and_answers_as_the_trained_student(tmp_path: Path) -> None:
    student = network()
    lora = randomised(TrainableLora(student, rank=3))
    lora.save(tmp_path / "lora.safetensors", {"reference_downscale_factor": "2"})
    fresh = network()
    handle = attach(fresh, LoraFile.open(tmp_path / "lora.safetensors"))
    assert handle.match.unmatched == ()
    assert handle.num_layers == len(lora.names)
    torch.testing.assert_close(answers(fresh), answers(student))
    assert not torch.allclose(answers(fresh)[0], answers(network())[0], atol=0.01)
    assert LoraFile.open(tmp_path / "lora.safetensors").reference_downscale_factor == 2


def test_a_new_lora_changes_nothing_and_one_that_is_off_neither() -> None:
    base = answers(network())
    student = network()
    lora = TrainableLora(student, rank=3)
    torch.testing.assert_close(answers(student), base, rtol=0, atol=0)
    randomised(lora)
    with lora.off():
        torch.testing.assert_close(answers(student), base, rtol=0, atol=0)


def test_a_lora_trains_only_the_layers_it_was_asked_for() -> None:
    student = network()
    lora = TrainableLora(student, rank=3, wanted=lambda name: ".attn1." in name)
    assert lora.names
    assert all(".attn1." in name for name in lora.names)
    assert not any(parameter.requires_grad for parameter in student.parameters())


def test_the_intervals_are_the_fixed_steps_and_hold_those_of_the_refining_stage() -> None:
    assert [item.start for item in INTERVALS] == list(DISTILLED_SIGMAS[:-1])
    assert [item.start for item in INTERVALS[-3:]] == list(REFINE_SIGMAS[:-1])
    for item in INTERVALS:
        assert item.teacher_sigmas[0] == item.start
        assert item.teacher_sigmas[-1] == item.stop
        assert list(item.teacher_sigmas) == sorted(item.teacher_sigmas, reverse=True)
    assert sum(len(item.teacher_sigmas) - 1 for item in INTERVALS) > 30


@pytest.mark.parametrize("mode", [Mode.TEXT, Mode.FIRST_FRAME, Mode.SOUND])
def test_the_teacher_walks_where_a_guided_run_would(mode: Mode) -> None:
    transformer, interval = network(), INTERVALS[6]
    states = sample_states(random_clips(1), 0, mode, GRID, np.random.default_rng(0))
    given = batch(interval, mode=mode, count=1)
    positive, negative = contexts_of(given.prompts), contexts_of(["another prompt"])
    video, audio = guided_walk(
        transformer,
        given.video,
        given.audio,
        interval.teacher_sigmas,
        positive=positive,
        negative=negative,
        guidance=GUIDANCE,
    )
    denoiser = Denoiser(
        transformer, states.video, states.audio, positive=positive, negative=negative, guidance=GUIDANCE
    )
    assert given.audio is not None
    assert audio is not None
    start = AVLatents(given.video.latent, given.audio.latent)
    with torch.no_grad():
        expected, _ = finish(samplers.euler(denoiser.predict, start, interval.teacher_sigmas))
    torch.testing.assert_close(video.latent, expected.video, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(audio.latent, expected.audio, rtol=1e-4, atol=1e-4)


def test_an_unguided_walk_of_one_step_leaves_the_student_nothing_to_learn() -> None:
    without_stops = batch(Interval(0.09, 0.05))
    with torch.no_grad():
        unguided = Distillation(network(), contexts_of, rank=2, guidance=Guidance()).loss(without_stops)
        guided = Distillation(network(), contexts_of, rank=2).loss(without_stops)
    assert unguided < 1e-8
    assert guided > 1e-3


def test_distilling_brings_the_student_to_the_teacher(tmp_path: Path) -> None:
    losses: list[float] = []
    given = batch(INTERVALS[7], count=1)
    distillation = Distillation(network(), contexts_of, rank=8)
    path = distill(
        distillation,
        lambda step: given,
        Recipe(10, 3e-2, warmup_steps=1),
        tmp_path,
        on_step=lambda reading: losses.append(reading.loss),
    )
    assert losses[-1] < 0.7 * losses[0]
    assert LoraFile.open(path).rank == 8
