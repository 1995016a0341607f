"""Making the windows of an edit: the clip as latents, what the stages made as frames and sound, and all of it together.

Each window is encoded at the sizes of its stages, goes through them with what is kept given, and is decoded where it is
new. Later windows continue earlier ones in latents: of what both show, only the frame that a window begins with is
encoded again. Which windows there are is decided in `engine.pipelines.editing`; how frames and sound get into the file
in `engine.pipelines.composite`.

Shapes: B = 1 batch, C channels, F frames or latent frames, H W pixels or latent rows and columns, T tokens, N samples.
"""

import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.events import Event
from engine.media.audio import SoundClip
from engine.media.patch import BLEND_FRAMES, FADE_S, NewSoundtrack, Patch, PicturePatch, SoundPatch
from engine.media.source import read_sound_window, read_window
from engine.model.tiling import decode_tiled, encode_tiled
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.pipelines import encoded_windows, stages
from engine.pipelines.denoise import denoise
from engine.pipelines.edit_values import EditPlan, PictureFit, Span, TimeSpan, WorkWindow, first_frame_of
from engine.pipelines.editing import group_of
from engine.pipelines.given import Given, encode_given
from engine.pipelines.recipe import StagePlan
from engine.pipelines.resume import StageLatents
from engine.pipelines.saved_latents import saved_latents
from engine.pipelines.session import Session
from engine.request import Extend
from engine.types import FRAMES_PER_LATENT, FrameRange, Size
from engine.weights.keymap import Role

Pixels = NDArray[np.uint8]

# Latent groups around what is decoded: the decoder looks both ways.
_GROUPS_BEFORE, _GROUPS_AFTER = 4, 3


class MadeParts:
    """What an edit has made so far: frames at the work size in a file that vanishes with the process, and sound."""

    def __init__(self, session: Session, edit: EditPlan) -> None:
        self.edit = edit
        self.sample_rate = session.plan.model.vocoder.output_rate
        spans = [span for span in (window.picture for window in edit.windows) if span is not None]
        self.pictures = Span(0, 0)
        if spans:
            assert edit.picture is not None
            first = min(edit.picture.start, *(span.start for span in spans))
            self.pictures = Span(first, max(edit.picture.stop, *(span.stop for span in spans)))
        size = edit.fit.work
        session.record.folder.mkdir(parents=True, exist_ok=True)
        shape = (max(self.pictures.num_frames, 1), size.height, size.width, 3)
        with tempfile.TemporaryFile(dir=session.record.folder) as file:  # the mapping has a handle of its own
            self._frames = np.memmap(file, np.uint8, "w+", shape=shape)
        self._is_made = np.zeros(shape[0], bool)
        self.sound_from = TimeSpan(0.0, 0.0) if edit.sound is None else edit.sound
        num_samples = round((self.sound_from.stop_s - self.sound_from.start_s) * self.sample_rate)
        self._samples = np.zeros((2, num_samples), np.float32)
        self._is_heard = np.zeros(num_samples, bool)

    def frame(self, frame: int) -> Pixels | None:
        """A frame that is made (H, W, 3), in the source's numbers."""
        index = frame - self.pictures.start
        return self._frames[index] if 0 <= index < len(self._is_made) and self._is_made[index] else None

    def add_frames(self, start: int, frames: Pixels, mixed: Mapping[int, float]) -> None:
        """Frames from `start` on; `mixed` says how much of the new one there is in a frame that is made already."""
        for offset, frame in enumerate(frames):
            index = start + offset - self.pictures.start
            if not 0 <= index < len(self._is_made):
                continue
            weight = mixed.get(start + offset, 1.0)
            if self._is_made[index] and weight < 1:
                old = self._frames[index].astype(np.float32)
                frame = np.rint(old + (frame.astype(np.float32) - old) * np.float32(weight)).astype(np.uint8)  # noqa: PLW2901
            self._frames[index] = frame
            self._is_made[index] = True

    def add_sound(self, start_s: float, samples: NDArray[np.float32]) -> None:
        """Samples (2, N) from a time of the source on, faded into what is made already."""
        begin = round((start_s - self.sound_from.start_s) * self.sample_rate)
        first, last = max(begin, 0), min(begin + samples.shape[1], self._samples.shape[1])
        if first >= last:
            return
        new, old = samples[:, first - begin : last - begin], self._samples[:, first:last]
        is_new = ~self._is_heard[first:last]
        weight = is_new.astype(np.float32)
        num_fading = min(round(FADE_S * self.sample_rate), int((~is_new).sum()))
        if num_fading:
            ramp = (np.arange(num_fading, dtype=np.float32) + 0.5) / num_fading
            known = np.flatnonzero(~is_new)
            if known[0] == 0 and last - first > len(known):  # goes on after what is there
                weight[known[-1] + 1 - num_fading : known[-1] + 1] = ramp
            elif is_new.any():  # comes before it
                weight[known[0] : known[0] + num_fading] = ramp[::-1]
        old_part, new_part = np.cos(weight * np.pi / 2), np.sin(weight * np.pi / 2)
        self._samples[:, first:last] = old * old_part + new * new_part
        self._is_heard[first:last] = True

    def heard(self, start_s: float, num_samples: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Sound that is made (2, N), zeros elsewhere, and where it is."""
        begin = round((start_s - self.sound_from.start_s) * self.sample_rate)
        samples, where = np.zeros((2, num_samples), np.float32), np.zeros(num_samples, bool)
        first, last = max(begin, 0), min(begin + num_samples, self._samples.shape[1])
        if first < last:
            samples[:, first - begin : last - begin] = self._samples[:, first:last]
            where[first - begin : last - begin] = self._is_heard[first:last]
        return samples, where

    def sound(self) -> SoundClip:
        return SoundClip(self._samples, self.sample_rate)

    def patch(self) -> Patch:
        """Everything, at the source's size."""
        edit, picture, sound = self.edit, None, None
        if edit.picture is not None:
            span = edit.picture
            blend = min(BLEND_FRAMES, span.num_frames // 2)
            picture = PicturePatch(span.start, span.num_frames, self._pictures(span), blend)
        if edit.replaces_sound:
            sound = NewSoundtrack(self.sound())
        elif edit.sound is not None:
            rate = self.sample_rate if edit.source.sound is None else edit.source.sound.sample_rate
            sound = SoundPatch(round(edit.sound.start_s * rate), self.sound())
        return Patch(picture, sound)

    def _pictures(self, span: Span) -> Iterator[Pixels]:
        for number in range(span.start, span.stop):
            frame = self.frame(number)
            assert frame is not None, f"frame {number} was not made"
            yield from_work_size(frame, self.edit.fit, self.edit.source.size)


# --- sizes ------------------------------------------------------------------------------------------------------------


def to_work_size(frame: Pixels, fit: PictureFit) -> Pixels:
    """A frame of the clip as the model sees it: scaled, its right and lower edges repeated."""
    scaled = _resized(frame, fit.content)
    rows, columns = fit.work.height - fit.content.height, fit.work.width - fit.content.width
    return np.pad(scaled, ((0, rows), (0, columns), (0, 0)), mode="edge")


def from_work_size(frame: Pixels, fit: PictureFit, size: Size) -> Pixels:
    """And back."""
    return _resized(np.ascontiguousarray(frame[: fit.content.height, : fit.content.width]), size)


def _resized(frame: Pixels, size: Size) -> Pixels:
    if frame.shape[:2] == (size.height, size.width):
        return frame
    tensor = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(tensor, (size.height, size.width), mode="bicubic", antialias=True)
    return scaled[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


# --- one edit ---------------------------------------------------------------------------------------------------------


def make_windows(session: Session, finished: list[StageLatents]) -> Generator[Event, None, MadeParts]:
    """Every window of the plan's edit, one after the other -> all that is new."""
    edit = session.plan.edit
    assert edit is not None
    made, given, parts = finished, None, MadeParts(session, edit)
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
    session.release("video_encoder", "audio")
    sources = {stage.name: stages.SourceLatents(videos[stage.name], audio) for stage in to_do}
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
    edit, store = session.plan.edit, session.store
    assert edit is not None
    began, encoded = time.perf_counter(), dict[str, Tensor]()
    needed = _needed_frames(session, window)
    is_of_source = not any(parts.frame(number) is not None for number in range(*window.span))
    entry = encoded_windows.entry(session, window, needed) if is_of_source else None
    sizes = list(dict.fromkeys(stage.size for stage in to_do))
    found = {} if entry is None else entry.find(sizes)
    pixels: Tensor | None = None
    for done, size in enumerate(sizes):
        latent = found.get(size)
        if latent is None:
            if pixels is None:
                yield session.progress("references", done, len(sizes))
                pixels = _window_pixels(edit, window, needed, parts)
            latent = yield from _encode_tiled(session, _at_size(pixels, size), done, len(sizes))
            if entry is not None:
                entry.keep(size, latent)
        latent = latent.to(store.placement.device, store.placement.dtype)
        num_groups = group_of(window.frames - 1) + 1
        missing = num_groups - latent.shape[2]
        latent = torch.nn.functional.pad(latent, (0, 0, 0, 0, 0, missing))
        encoded |= {stage.name: latent for stage in to_do if stage.size == size}
    session.clock.add("references", time.perf_counter() - began)
    return encoded


def _needed_frames(session: Session, window: WorkWindow) -> int:
    """Nothing of what follows the last group that is given is needed, unless it is where the stages start from."""
    made = window.picture
    if made is None or not isinstance(session.request.edit, Extend) or made.stop < window.span.stop:
        return window.frames
    return made.start - window.start


def _window_pixels(edit: EditPlan, window: WorkWindow, num_frames: int, parts: MadeParts) -> Tensor:
    """uint8 (1, 3, F, H, W) at the work size, on the CPU; outside of what there is, the nearest frame stands still."""
    size, source = edit.fit.work, edit.source
    frames = np.empty((num_frames, size.height, size.width, 3), np.uint8)
    numbers = range(window.start, window.start + num_frames)
    known = range(max(numbers.start, 0), min(numbers.stop, source.num_frames))
    if known:
        for number, pixels in zip(known, read_window(source, FrameRange(known.start, known.stop)), strict=True):
            frames[number - window.start] = to_work_size(pixels, edit.fit)
    for number in numbers:
        made = parts.frame(number)
        if made is not None:
            frames[number - window.start] = made
    first = next(n for n in numbers if 0 <= n < source.num_frames or parts.frame(n) is not None)
    frames[: first - window.start] = frames[first - window.start]
    for number in range(first + 1, numbers.stop):
        if number >= source.num_frames and parts.frame(number) is None:
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


def window_sound(edit: EditPlan, window: WorkWindow, parts: MadeParts, *, length_s: float) -> SoundClip:
    """What is heard in a window, stereo: the clip's own sound, with what is made in its place."""
    num_samples = round(length_s * parts.sample_rate)
    start_s = float(edit.source.frame_start(window.start))
    samples = np.zeros((2, num_samples), np.float32)
    facts = edit.source.sound
    if facts is not None and not edit.replaces_sound:
        start = round(start_s * facts.sample_rate)
        own = read_sound_window(edit.source, start, round(length_s * facts.sample_rate))
        samples = own.to_stereo().resampled(parts.sample_rate).fitted(num_samples).samples
    made, where = parts.heard(start_s, num_samples)
    return SoundClip(np.where(where, made, samples).astype(np.float32), parts.sample_rate)


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
