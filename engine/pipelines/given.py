"""What the stages of a run are given, encoded before the transformer takes the memory: text, sound, pictures, clips."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from torch import Tensor

from engine.events import Event, Notice
from engine.media.audio import SoundClip
from engine.model.video_vae import VideoDecoder
from engine.pipelines import stages
from engine.pipelines.following import driving_sound
from engine.pipelines.preview import PreviewMap
from engine.pipelines.recipe import StagePlan
from engine.pipelines.session import Session
from engine.sampling.guidance import TextContexts
from engine.weights.keymap import Role
from engine.weights.lora_file import LoraFile


class DrivingSound(NamedTuple):
    """A sound that the picture follows: as it goes into the file, and as tokens (1, T, C)."""

    sound: SoundClip
    tokens: Tensor


@dataclass(frozen=True)
class Given:
    """Everything the stages are given."""

    positive: TextContexts
    negative: TextContexts | None
    references: dict[str, stages.StageReferences]  # by stage
    ic_lora: LoraFile | None
    driving: DrivingSound | None
    preview: PreviewMap
    sources: Mapping[str, stages.SourceLatents] = field(default_factory=dict[str, stages.SourceLatents])  # by stage


def encode_given(session: Session, to_do: tuple[StagePlan, ...]) -> Generator[Event, None, Given]:
    """Everything for the stages that are to be done."""
    ic_lora = stages.find_ic_lora(session.plan)
    positive, negative = yield from session.with_less("text", lambda: _encode_text(session))
    driving = yield from session.with_less("references", lambda: encode_driving_sound(session))
    references = yield from session.with_less("references", lambda: _encode_references(session, to_do, ic_lora))
    preview = yield from session.with_less("references", lambda: _preview_map(session))
    return Given(positive, negative, references, ic_lora, driving, preview)


def _encode_text(session: Session) -> Generator[Event, None, tuple[TextContexts, TextContexts | None]]:
    began = time.perf_counter()
    yield session.progress("text", 0, 1)
    needs_negative = any(not stage.guidance.is_neutral() for stage in session.plan.stages)
    prompts = [session.request.prompt]
    if needs_negative:
        prompts.append(session.request.negative_prompt or "")
    encoding = stages.encode_prompts(session.store, session.plan, prompts)
    while True:
        try:
            part = next(encoding)
        except StopIteration as finished:
            embeddings = finished.value
            break
        session.has_read_prompt = True
        yield session.progress("text", 0, 1, part=part)
    contexts = [TextContexts(item.video, item.audio) for item in embeddings]
    dropped = embeddings[0].num_dropped
    if dropped:
        yield Notice("prompt_cut", f"The model reads {session.plan.model.text_tokens} tokens; {dropped} were cut.")
    session.clock.add("text", time.perf_counter() - began)
    session.clock.done("text")
    return contexts[0], contexts[1] if needs_negative else None


def encode_driving_sound(session: Session) -> Generator[Event, None, DrivingSound | None]:
    request = session.request
    if request.audio is None:
        return None
    began = time.perf_counter()
    yield session.progress("references", 0, 1)
    sound = driving_sound(request.audio, session.plan.duration_s, request.audio_fit, request.audio_trim)
    num_tokens = stages.latent_grid(session.plan.model).audio_tokens(session.plan.frames, session.plan.frame_rate.value)
    tokens = stages.encode_sound(session.store, sound, session.plan.model.audio_vae, num_tokens)
    session.release("audio")
    session.clock.add("references", time.perf_counter() - began)
    return DrivingSound(sound, tokens)


def _encode_references(
    session: Session, to_do: tuple[StagePlan, ...], ic_lora: LoraFile | None
) -> Generator[Event, None, dict[str, stages.StageReferences]]:
    """Pictures and clips at the size of every stage to come, before the transformer takes the memory."""
    began, num_done = time.perf_counter(), 0
    num_all = len(to_do) * (len(session.request.images) + len(session.request.reference_videos))
    references: dict[str, stages.StageReferences] = {}
    for stage in to_do:
        encoding = stages.encode_references(session.store, session.plan, stage, ic_lora)
        while True:
            try:
                next(encoding)
            except StopIteration as finished:
                references[stage.name] = finished.value
                break
            num_done += 1
            yield session.progress("references", num_done, num_all)
    session.release("video_encoder")
    if num_done:
        session.clock.add("references", time.perf_counter() - began)
    return references


def _preview_map(session: Session) -> Generator[Event, None, PreviewMap]:
    yield session.progress("load", 0, 1)
    channels = session.plan.model.video_vae.latent_channels
    preview = PreviewMap.kept(session.files.checkpoint, channels)
    if preview is None:
        preview = PreviewMap.of(
            cast("VideoDecoder", session.store.module(Role.VIDEO_DECODER)), session.files.checkpoint
        )
        session.release("video_decoder")
    return preview
