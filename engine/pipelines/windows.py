"""Making the windows of an edit: the clip as latents, what the stages made as frames and sound, and all of it together.

Each window is encoded at the sizes of its stages, goes through them with what is kept given, and is decoded where it is
new. Later windows continue earlier ones in latents: of what both show, only the frame that a window begins with is
encoded again. Which windows there are is decided in `engine.pipelines.editing`; how frames and sound get into the file
in `engine.pipelines.composite`.

Shapes: B = 1 batch, C channels, F frames or latent frames, H W pixels or latent rows and columns, T tokens, N samples.
"""

import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.events import Event, Notice
from engine.media.audio import SoundClip
from engine.media.patch import BLEND_FRAMES, FADE_S
from engine.media.source import read_sound_window, read_window
from engine.model.tiling import decode_tiled, encode_tiled
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.pipelines import encoded_windows, stages
from engine.pipelines.denoise import denoise
from engine.pipelines.dubbing import voice_track, with_background
from engine.pipelines.edit_values import EditPlan, Span, WorkWindow, first_frame_of
from engine.pipelines.editing import group_of
from engine.pipelines.given import Given, encode_given
from engine.pipelines.made_parts import MadeParts, to_work_size
from engine.pipelines.recipe import StagePlan
from engine.pipelines.resume import StageLatents
from engine.pipelines.saved_latents import saved_latents
from engine.pipelines.session import Session
from engine.request import Extend, LipDub
from engine.types import FRAMES_PER_LATENT, FrameRange, Size
from engine.weights.keymap import Role
from engine.weights.lora_file import LoraFile

Pixels = NDArray[np.uint8]

# Latent groups around what is decoded: the decoder looks both ways.
_GROUPS_BEFORE, _GROUPS_AFTER = 4, 3


# --- one edit ---------------------------------------------------------------------------------------------------------


def make_windows(session: Session, finished: list[StageLatents]) -> Generator[Event, None, MadeParts]:
    """Every window of the plan's edit, one after the other -> all that is new."""
    edit = session.plan.edit
    assert edit is not None
    made, given, parts = finished, None, MadeParts(session, edit)
    dub = session.request.edit if isinstance(session.request.edit, LipDub) else None
    if dub is not None and dub.voice is not None:
        start_s, voice, is_cut = voice_track(dub, edit, parts.sample_rate)
        parts.add_sound(start_s, voice.samples)
        if is_cut:
            yield Notice("voice_cut", f"{dub.voice.name} is longer than its range; the rest of it is not heard.")
    for index, window in enumerate(edit.windows):
        own = [number for number, stage in enumerate(session.plan.stages) if stage.window == index]
        if len(made) <= own[-1]:
            given = yield from _give(session, window, own, made, parts, given)
            made = yield from denoise(session, made, given, stop=own[-1] + 1)
            session.release("transformer", "spatial_upsampler")
        latents = made[own[-1]]
        if window.sound is not None and latents.audio is not None:
            audio = latents.audio
            yield from session.with_less("decode", lambda: _decode_sound(session, window, audio, parts))  # noqa: B023 - called at once
        if window.picture is not None:
            video = latents.video
            yield from session.with_less("decode", lambda: _decode_picture(session, window, video, parts))  # noqa: B023
    if dub is not None:
        parts.replace_sound(with_background(parts.sound(), dub, edit))
    return parts


def _give(
    session: Session,
    window: WorkWindow,
    own: list[int],
    made: list[StageLatents],
    parts: MadeParts,
    earlier: Given | None,
) -> Generator[Event, None, Given]:
    """What the stages of one window are given."""
    to_do = tuple(session.plan.stages[number] for number in own if number >= len(made))
    if earlier is None:
        given = yield from encode_given(session, (*to_do, *_later_sizes(session, to_do)))
    else:  # the prompt is the same, and so are the pictures but for their stages' names
        references = {stage.name: _same_size(session, earlier, stage) for stage in to_do}
        given = replace(earlier, references=references)
    audio = yield from session.with_less("references", lambda: _encode_sound(session, window, parts))
    videos = yield from session.with_less("references", lambda: _encode_picture(session, window, to_do, parts))
    videos = {
        stage.name: _continued(videos[stage.name], window, _known_latents(session, stage, made)) for stage in to_do
    }
    old_pictures: dict[str, Tensor] = {}
    voice: Tensor | None = None
    if isinstance(session.request.edit, LipDub):
        assert given.ic_lora is not None
        ic_lora = given.ic_lora
        old_pictures = yield from session.with_less(
            "references", lambda: _encode_reference(session, window, to_do, ic_lora)
        )
        # Where the new voice is given it is the one to listen to, else the old one.
        voice = audio if window.sound is None else _encode_old_voice(session, window)
    session.release("video_encoder", "audio")
    sources = {
        stage.name: stages.SourceLatents(videos[stage.name], audio, old_pictures.get(stage.name), voice)
        for stage in to_do
    }
    return replace(given, sources=sources)


def _later_sizes(session: Session, to_do: tuple[StagePlan, ...]) -> list[StagePlan]:
    """A stage for each size that only later windows have still to do: this one may be done in part."""
    later = [stage for stage in session.plan.stages if stage.window > to_do[0].window]
    sizes = {stage.size for stage in to_do}
    return list({stage.size: stage for stage in reversed(later) if stage.size not in sizes}.values())


def _same_size(session: Session, earlier: Given, stage: StagePlan) -> stages.StageReferences:
    """Pictures are encoded once for each size."""
    sizes = {item.name: item.size for item in session.plan.stages}
    return next(references for name, references in earlier.references.items() if sizes[name] == stage.size)


# --- the clip as latents ----------------------------------------------------------------------------------------------


def _encode_picture(
    session: Session, window: WorkWindow, to_do: tuple[StagePlan, ...], parts: MadeParts
) -> Generator[Event, None, dict[str, Tensor]]:
    """The window at the size of every stage (1, C, F, H, W); groups that nothing is given of are zero."""
    began, encoded = time.perf_counter(), dict[str, Tensor]()
    needed = _needed_frames(session, window)
    sizes = list(dict.fromkeys(stage.size for stage in to_do))
    latents = yield from _encode_at(session, window, sizes, needed, parts)
    for size, latent in latents.items():
        num_groups = group_of(window.frames - 1) + 1
        missing = num_groups - latent.shape[2]
        padded = torch.nn.functional.pad(latent, (0, 0, 0, 0, 0, missing))
        encoded |= {stage.name: padded for stage in to_do if stage.size == size}
    session.clock.add("references", time.perf_counter() - began)
    return encoded


def _encode_reference(
    session: Session, window: WorkWindow, to_do: tuple[StagePlan, ...], ic_lora: LoraFile
) -> Generator[Event, None, dict[str, Tensor]]:
    """Of a dub: the old picture of a window as its LoRA reads it, for every stage (1, C, F, H, W)."""
    began = time.perf_counter()
    sizes = {stage.name: stages.reference_size(session.plan, stage, ic_lora) for stage in to_do}
    time_factor = ic_lora.reference_temporal_scale_factor
    wanted = list(dict.fromkeys(sizes.values()))
    latents = yield from _encode_at(session, window, wanted, window.frames, None, time_factor=time_factor)
    session.clock.add("references", time.perf_counter() - began)
    return {name: latents[size] for name, size in sizes.items()}


def _encode_at(
    session: Session,
    window: WorkWindow,
    sizes: list[Size],
    needed: int,
    parts: MadeParts | None,
    *,
    time_factor: int = 1,
) -> Generator[Event, None, dict[Size, Tensor]]:
    """The first `needed` frames of a window at every size (1, C, F, H, W), with what is made in them, if `parts`.

    With a `time_factor`, the first frame and every so many after it.
    """
    edit, store, latents = session.plan.edit, session.store, dict[Size, Tensor]()
    assert edit is not None
    is_of_source = parts is None or not any(parts.frame(number) is not None for number in range(*window.span))
    entry = encoded_windows.entry(session, window, needed) if is_of_source and time_factor == 1 else None
    found = {} if entry is None else entry.find(sizes)
    pixels: Tensor | None = None
    for done, size in enumerate(sizes):
        latent = found.get(size)
        if latent is None:
            if pixels is None:
                yield session.progress("references", done, len(sizes))
                pixels = _thinned(_window_pixels(edit, window, needed, parts), time_factor)
            latent = yield from _encode_tiled(session, _at_size(pixels, size), done, len(sizes))
            if entry is not None:
                entry.keep(size, latent)
        latents[size] = latent.to(store.placement.device, store.placement.dtype)
    return latents


def _thinned(pixels: Tensor, time_factor: int) -> Tensor:
    """(1, C, F, H, W): the first frame, then the next and every so many after it, as IC-LoRAs count."""
    if time_factor == 1:
        return pixels
    return pixels[:, :, [0, *range(1, pixels.shape[2], time_factor)]]


def _needed_frames(session: Session, window: WorkWindow) -> int:
    """Nothing of what follows the last group that is given is needed, unless it is where the stages start from."""
    made = window.picture
    if made is None or not isinstance(session.request.edit, Extend) or made.stop < window.span.stop:
        return window.frames
    return made.start - window.start


def _window_pixels(edit: EditPlan, window: WorkWindow, num_frames: int, parts: MadeParts | None) -> Tensor:
    """uint8 (1, 3, F, H, W) at the work size, on the CPU; outside of what there is, the nearest frame stands still."""
    size, source = edit.fit.work, edit.source
    frames = np.empty((num_frames, size.height, size.width, 3), np.uint8)
    numbers = range(window.start, window.start + num_frames)
    known = range(max(numbers.start, 0), min(numbers.stop, source.num_frames))
    if known:
        for number, pixels in zip(known, read_window(source, FrameRange(known.start, known.stop)), strict=True):
            frames[number - window.start] = to_work_size(pixels, edit.fit)
    has_picture = set(known)
    for number in numbers:
        made = None if parts is None else parts.frame(number)
        if made is not None:
            frames[number - window.start] = made
            has_picture.add(number)
    first = min(has_picture)
    frames[: first - window.start] = frames[first - window.start]
    for number in range(first + 1, numbers.stop):
        if number >= source.num_frames and number not in has_picture:
            frames[number - window.start] = frames[number - 1 - window.start]
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None]


def _at_size(pixels: Tensor, size: Size) -> Tensor:
    """The work size or, for a first stage, a half of it."""
    if tuple(pixels.shape[3:]) == (size.height, size.width):
        return pixels
    small = torch.empty(*pixels.shape[:3], size.height, size.width, dtype=torch.uint8)
    for frame in range(pixels.shape[2]):  # one by one: they are floats meanwhile
        scaled = torch.nn.functional.interpolate(
            pixels[:, :, frame].float(), (size.height, size.width), mode="bilinear", antialias=True
        )
        small[:, :, frame] = scaled.round().to(torch.uint8)
    return small


def _encode_tiled(session: Session, pixels: Tensor, done: int, total: int) -> Generator[Event, None, Tensor]:
    encoder = cast("VideoEncoder", session.store.module(Role.VIDEO_ENCODER))
    parameter = next(encoder.parameters())

    def encode(tile: Tensor) -> Tensor:
        return encoder((tile.to(parameter.device).float() / 127.5 - 1).to(parameter)).cpu()

    chunks: list[Tensor] = []
    with closing(encode_tiled(encode, pixels, session.plan.policy.tiling)) as tiles:
        for tile in tiles:
            if tile.chunk is not None:
                chunks.append(tile.chunk)
            part = (done + tile.num_done / tile.num_tiles) / total
            yield session.progress("references", done, total, part=part)
    return torch.cat(chunks, dim=2)


class _Known(NamedTuple):
    """Latents of a stretch that is known already, on a grid that begins at `start`."""

    start: int
    video: Tensor  # (1, C, F, H, W)
    valid: Span  # frames that they hold


def _continued(encoded: Tensor, window: WorkWindow, known: Iterable[_Known]) -> Tensor:
    """With known latents instead of encoded frames, wherever groups are the same; of those, the last ones count."""
    result = encoded.clone()
    for start, video, valid in known:
        offset, rest = divmod(window.start - start, FRAMES_PER_LATENT)
        if rest or video.shape[3:] != result.shape[3:]:
            continue
        for group in range(result.shape[2]):
            theirs = group + offset
            # The first latent of a grid holds a single frame, so it is only the same as the first of another.
            is_same = (group == 0) == (theirs == 0) and 0 <= theirs < video.shape[2]
            first = start + first_frame_of(theirs)
            if is_same and valid.start <= first < valid.stop:
                result[:, :, group] = video[:, :, theirs]
    return result


def _known_latents(session: Session, stage: StagePlan, made: list[StageLatents]) -> list[_Known]:
    """What there is at a stage's size: the latents that the clip itself was made from, and earlier windows'."""
    edit = session.plan.edit
    assert edit is not None
    known: list[_Known] = []
    asked_model = session.request.model or session.plan.model.name
    own = saved_latents(edit.source, stage.size, session.plan.model, asked_model=asked_model)
    if own is not None:
        known.append(_Known(0, own, Span(0, edit.source.num_frames)))
    for other, latents in zip(session.plan.stages, made, strict=False):
        before = edit.windows[other.window]
        if other.window < stage.window and other.size == stage.size and before.picture is not None:
            known.append(_Known(before.start, latents.video, before.picture))
    device, dtype = session.store.placement.device, session.store.placement.dtype
    return [item._replace(video=item.video.to(device, dtype)) for item in known]


def _encode_sound(session: Session, window: WorkWindow, parts: MadeParts) -> Generator[Event, None, Tensor | None]:
    """The window's sound as tokens (1, T, C); None where nothing of it is given."""
    plan = session.plan
    edit = plan.edit
    assert edit is not None
    if not window.has_sound or (edit.replaces_sound and window.sound is not None and window.sound.start_s <= 0):
        return None
    yield session.progress("references", 0, 1)
    num_tokens = stages.latent_grid(plan.model).audio_tokens(window.frames, plan.frame_rate.value)
    sound = window_sound(edit, window, parts, length_s=plan.frame_rate.seconds(window.frames))
    return stages.encode_sound(session.store, sound, plan.model.audio_vae, num_tokens)


def _encode_old_voice(session: Session, window: WorkWindow) -> Tensor:
    """Of a dub: what is heard in a window before it (1, T, C)."""
    plan = session.plan
    assert plan.edit is not None
    length_s, rate = plan.frame_rate.seconds(window.frames), plan.model.vocoder.output_rate
    num_samples = round(length_s * rate)
    sound = SoundClip(_old_sound(plan.edit, window, rate, num_samples, length_s=length_s), rate)
    num_tokens = stages.latent_grid(plan.model).audio_tokens(window.frames, plan.frame_rate.value)
    return stages.encode_sound(session.store, sound, plan.model.audio_vae, num_tokens)


def window_sound(edit: EditPlan, window: WorkWindow, parts: MadeParts, *, length_s: float) -> SoundClip:
    """What is heard in a window, stereo: the clip's own sound, with what is made in its place."""
    num_samples = round(length_s * parts.sample_rate)
    samples = _old_sound(edit, window, parts.sample_rate, num_samples, length_s=length_s)
    start_s = float(edit.source.frame_start(window.start))
    made, where = parts.heard(start_s, num_samples)
    return SoundClip(np.where(where, made, samples).astype(np.float32), parts.sample_rate)


def _old_sound(
    edit: EditPlan, window: WorkWindow, sample_rate: int, num_samples: int, *, length_s: float
) -> NDArray[np.float32]:
    """The clip's own sound in a window (2, N), unless all of it is new."""
    facts = edit.source.sound
    if facts is None or edit.replaces_sound:
        return np.zeros((2, num_samples), np.float32)
    start = round(float(edit.source.frame_start(window.start)) * facts.sample_rate)
    own = read_sound_window(edit.source, start, round(length_s * facts.sample_rate))
    return own.to_stereo().resampled(sample_rate).fitted(num_samples).samples


# --- latents as frames and sound --------------------------------------------------------------------------------------


def _decode_picture(
    session: Session, window: WorkWindow, video: Tensor, parts: MadeParts
) -> Generator[Event, None, None]:
    """What is new, and the few frames that are mixed with what is there already."""
    assert window.picture is not None
    began, policy = time.perf_counter(), session.plan.policy
    decoder = cast("VideoDecoder", session.store.module(Role.VIDEO_DECODER))
    wanted = Span(
        max(window.picture.start - BLEND_FRAMES, window.start),
        min(window.picture.stop + BLEND_FRAMES, window.span.stop),
    )
    first_group = max(group_of(wanted.start - window.start) - _GROUPS_BEFORE, 0)
    last_group = min(group_of(wanted.stop - 1 - window.start) + _GROUPS_AFTER, video.shape[2] - 1)
    number = window.start + first_group * FRAMES_PER_LATENT
    mixed = _mixing(window, wanted)
    buffer_device = torch.device("cpu") if policy.blends_in_ram else None
    latents = video[:, :, first_group : last_group + 1]
    with closing(decode_tiled(decoder, latents, policy.tiling, buffer_device=buffer_device)) as tiles:
        for tile in tiles:
            if tile.chunk is not None:
                frames = stages.to_frames(_at_work_size(tile.chunk, parts.edit.fit.work))
                skipped = max(wanted.start - number, 0)
                kept = frames[skipped : max(wanted.stop - number, 0)]
                parts.add_frames(number + skipped, kept, mixed)
                number += len(frames)
            yield session.progress("decode", tile.num_done, tile.num_tiles, part=tile.num_done / tile.num_tiles)
    session.release("video_decoder")
    session.clock.add("decode", time.perf_counter() - began)


def _at_work_size(pixels: Tensor, work: Size) -> Tensor:
    """A draft stops at half of the work size."""
    if tuple(pixels.shape[3:]) == (work.height, work.width):
        return pixels
    frames = [
        torch.nn.functional.interpolate(pixels[:, :, frame].float(), (work.height, work.width), mode="bicubic")
        for frame in range(pixels.shape[2])
    ]
    return torch.stack(frames, dim=2)


def _mixing(window: WorkWindow, wanted: Span) -> dict[int, float]:
    """How much of a frame is new where an earlier window made it too: more and more towards this one's own."""
    assert window.picture is not None
    before, after = window.picture.start - wanted.start, wanted.stop - window.picture.stop
    rising = {wanted.start + step: (step + 1) / (before + 1) for step in range(before)}
    falling = {wanted.stop - 1 - step: (step + 1) / (after + 1) for step in range(after)}
    return rising | falling


def _decode_sound(
    session: Session, window: WorkWindow, audio: Tensor, parts: MadeParts
) -> Generator[Event, None, None]:
    assert window.sound is not None
    began, pieces = time.perf_counter(), list[NDArray[np.float32]]()
    for piece in stages.decode_sound(session.store, session.plan, audio):
        pieces.append(piece)
        yield session.progress("decode", len(pieces), 0)
    session.release("audio")
    samples, rate = np.concatenate(pieces, axis=1), parts.sample_rate
    start_s = float(parts.edit.source.frame_start(window.start))
    # A little of what is given too, to fade into.
    first = max(round((window.sound.start_s - FADE_S) * rate), 0)
    last = round((window.sound.stop_s + FADE_S) * rate)
    parts.add_sound(start_s + first / rate, samples[:, first:last])
    session.clock.add("decode_sound", time.perf_counter() - began)
