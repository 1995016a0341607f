"""The denoising stages of a run, each from its beginning or from where it was when it was interrupted."""

import time
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

from torch import Tensor

from engine.events import Event, Notice, Preview
from engine.model.transformer import Transformer
from engine.pipelines import stages
from engine.pipelines.given import Given
from engine.pipelines.preview import PreviewMap
from engine.pipelines.recipe import StagePlan
from engine.pipelines.resume import StageLatents
from engine.pipelines.session import Session
from engine.sampling import samplers
from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import Denoiser, PassProgress
from engine.sampling.latents import AVLatents, unpatchify_video
from engine.weights.keymap import Role

KEPT_RUNS = 20  # whose latents stay on disk, for a later look at what a stage made


def finished_stages(session: Session) -> list[StageLatents]:
    """What an earlier attempt made, from the first stage on."""
    finished: list[StageLatents] = []
    for stage in session.plan.stages:
        latents = session.record.finished(stage)
        if latents is None:
            break
        finished.append(_on_device(session, latents))
        session.clock.skip(stage.name)
        session.is_typical = False
    if len(finished) == len(session.plan.stages):
        session.clock.skip("text")
    return finished


def _on_device(session: Session, latents: StageLatents) -> StageLatents:
    device, dtype = session.store.placement.device, session.store.placement.dtype
    video, audio = latents
    return StageLatents(video.to(device, dtype), None if audio is None else audio.to(device, dtype))


def denoise(
    session: Session, finished: list[StageLatents], given: Given, *, stop: int | None = None
) -> Generator[Event, None, list[StageLatents]]:
    """Every stage that is not finished, in turn, before stage `stop` -> what each of all stages made."""
    made = list(finished)
    for index in range(len(finished), len(session.plan.stages) if stop is None else stop):
        made.append((yield from session.with_less("denoise", lambda: _stage(session, index, made, given))))  # noqa: B023 - called at once
        session.clock.done(session.plan.stages[index].name)
    return made


def _stage(
    session: Session, index: int, made: list[StageLatents], given: Given
) -> Generator[Event, None, StageLatents]:
    """One stage, from its beginning or from where it was."""
    began, stage = time.perf_counter(), session.plan.stages[index]
    video, audio = made[index - 1] if stage.refines else (None, None)
    if video is not None:
        yield session.progress("upsample", 0, 1, stage.name)
        video = stages.upsample_video(session.store, video)
        session.release("spatial_upsampler")
    yield from _prepare_transformer(session)
    yield from _apply_loras(session, stage)
    references = given.references[stage.name]
    source = given.sources.get(stage.name)
    video_state = stages.video_stream(session.store, session.plan, stage, video, references, given.ic_lora, source)
    driving_tokens = None if given.driving is None else given.driving.tokens
    audio_state = stages.audio_stream(session.store, session.plan, stage, audio, driving_tokens, source)
    policy, transformer = session.plan.policy, cast("Transformer", session.store.module(Role.TRANSFORMER))
    transformer.cut_into_pieces(feed_forward=policy.pieces.feed_forward, attention=policy.pieces.attention)
    denoiser = Denoiser(
        transformer,
        video_state,
        audio_state,
        positive=given.positive,
        negative=given.negative,
        guidance=stage.guidance,
        max_batch=policy.passes_at_once,
    )
    start, noisy = yield from _start(session, index, stage, video_state, audio_state)
    latents = yield from _sample(session, index, stage, denoiser, noisy, given.preview, start)
    made_now = StageLatents(*stages.split_latents(session.plan, stage, latents, video_state, audio_state))
    yield from session.saved(lambda: _keep_finished(session, stage, made_now))
    session.clock.add(stage.name, time.perf_counter() - began)
    return made_now


def _prepare_transformer(session: Session) -> Generator[Event, None, None]:
    """Convert the weights if they have to be, which is done once."""
    is_said = False
    for fraction in session.store.prepare():
        if not is_said:
            words = session.plan.policy.precision.upper()
            yield Notice("converting", f"The model's weights are converted to {words}. It is done only once.")
            is_said, session.is_typical = True, False
        yield session.progress("load", round(100 * fraction), 100)


def _apply_loras(session: Session, stage: StagePlan) -> Generator[Event, None, None]:
    """Say once of each LoRA what it acts on."""
    loras = [(lora.path, lora.strength_in(refines=stage.refines)) for lora in session.request.loras]
    if session.files.distilled_lora is not None:
        loras.append((session.files.distilled_lora, stage.distilled_strength))
    session.store.set_loras(loras)
    for path in dict.fromkeys(lora.path for lora in session.request.loras):
        handle = session.store.loras.get(path)
        if handle is not None and path not in session.said_loras:
            session.said_loras.add(path)
            yield Notice("lora", f"LoRA {path.name}: {handle.match.in_words()}.")


def _start(
    session: Session, index: int, stage: StagePlan, video: StreamState, audio: StreamState | None
) -> Generator[Event, None, tuple[int, AVLatents]]:
    """How many steps are done, and the latents they led to: noise, if none is."""
    state = session.record.state(stage)
    if state is not None:
        if not session.has_stepped_down:  # else they are this attempt's own
            session.clock.skip(stage.name, state.num_steps / (stage.num_steps + 1))
        session.is_typical = False
        device, dtype = video.latent.device, video.latent.dtype
        tensors = (None if item is None else item.to(device, dtype) for item in state.latents)
        return state.num_steps, AVLatents(*tensors)
    noisy = _with_noise(session, index, stage, video, audio)
    yield from session.saved(lambda: session.record.keep_state(stage, 0, noisy))
    return 0, noisy


def _with_noise(
    session: Session, index: int, stage: StagePlan, video: StreamState, audio: StreamState | None
) -> AVLatents:
    scale = stage.sigmas[0]

    def noisy(state: StreamState, stream: str) -> Tensor:
        shape = tuple(state.latent.shape)
        noise = session.noise.initial(shape, stage=index, stream=stream, dtype=state.latent.dtype)
        return state.with_noise(noise.to(state.latent.device), scale)

    return AVLatents(noisy(video, "video"), None if audio is None else noisy(audio, "audio"))


def _sample(
    session: Session,
    index: int,
    stage: StagePlan,
    denoiser: Denoiser,
    latents: AVLatents,
    preview: PreviewMap,
    start: int,
) -> Generator[Event, None, AVLatents]:
    """Walk from step `start` to the end."""
    if start == stage.num_steps:
        return latents
    skip_step = stage.guidance.skip_step
    if stage.sampler == "res_2s":
        noise = samplers.StepNoise(session.noise, index, denoiser.video, denoiser.audio)
        steps = samplers.res_2s(denoiser.predict, latents, stage.sigmas, noise, start=start)
        predictions = 2 * start
    else:
        steps = samplers.euler(denoiser.predict, latents, stage.sigmas, skip_step=skip_step, start=start)
        predictions = start // (skip_step + 1)
    finished_steps = start
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as finished:
                return finished.value
            match step:
                case PassProgress(done, total):
                    part = (predictions + done / total) / stage.num_predictions
                    predictions += done == total
                    yield session.progress("denoise", finished_steps, stage.num_steps, stage.name, part)
                case samplers.Step():
                    finished_steps = step.index + 1
                    if finished_steps % (skip_step + 1) == 0:  # where the next one predicts
                        yield from _keep_step(session, stage, step)
                    yield session.progress("denoise", finished_steps, stage.num_steps, stage.name, None)
                    yield session.memory_reading()
                    yield _picture(session, stage, denoiser, step, preview)


def _keep_finished(session: Session, stage: StagePlan, made: StageLatents) -> None:
    session.record.keep_finished(stage, made)
    if session.owns_folder:
        _forget_old_runs(session.record.folder.parent)


def _keep_step(session: Session, stage: StagePlan, step: samplers.Step) -> Generator[Event, None, None]:
    yield from session.saved(lambda: session.record.keep_state(stage, step.index + 1, step.latents))


def _picture(
    session: Session, stage: StagePlan, denoiser: Denoiser, step: samplers.Step, preview: PreviewMap
) -> Preview:
    assert step.x0.video is not None
    assert denoiser.video is not None
    shape = stages.stage_shape(session.plan, stage)
    latent = unpatchify_video(denoiser.video.target(step.x0.video), shape)
    return Preview(stage.name, step.index + 1, preview.picture(latent))


def _forget_old_runs(folder: Path) -> None:
    for old in sorted(folder.iterdir())[:-KEPT_RUNS]:
        for item in old.glob("*"):
            item.unlink(missing_ok=True)
        with suppress(OSError):
            old.rmdir()
