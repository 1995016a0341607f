"""One run: from a request to a clip, as an iterator of events.

The caller's for-loop is the progress bar, the preview, the pause button and the way to stop: close the iterator, and
the run ends within one layer, block, tile or packet, with nothing half written. Where memory runs out, the run goes on
with less of it (`engine.pipelines.ladder`); where it was interrupted, from what it had saved
(`engine.pipelines.resume`). Errors a user can cause are raised as `engine.errors` types.
"""

import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import RequestError
from engine.events import Event, Finished, Notice, Result, Started
from engine.folders import data_folder
from engine.hardware import Machine, current_machine
from engine.media.audio import SoundClip
from engine.media.patch import PutBack
from engine.media.write import CLIP_FORMATS, ClipWriter, check_writable, write_wav
from engine.model.tiling import decode_tiled
from engine.model.video_vae import VideoDecoder
from engine.pipelines import stages
from engine.pipelines.composite import put_back
from engine.pipelines.denoise import denoise, finished_stages
from engine.pipelines.given import encode_driving_sound, encode_given
from engine.pipelines.ladder import which_memory
from engine.pipelines.made_parts import MadeParts
from engine.pipelines.plan import plan as make_plan
from engine.pipelines.resume import StageLatents
from engine.pipelines.session import Session
from engine.pipelines.shortfall import remember_success
from engine.pipelines.windows import make_windows
from engine.request import Foley, GenerationRequest
from engine.weights.keymap import Role
from engine.weights.store import ModelStore


@torch.no_grad()
def run(
    request: GenerationRequest,
    output: Path | str | None = None,
    *,
    store: ModelStore | None = None,
    folder: Path | None = None,
) -> Iterator[Event]:
    """Make the clip of a request; the last event is `Finished`.

    `output` decides the container (.mp4, .mov, .mkv; .wav for the sound alone) and defaults to a new name in the data
    folder. With a `store` of the caller's, what is loaded stays for the next run where there is room for it. With a
    `folder` of the caller's, a run that was interrupted goes on from what it had saved there, provided that the
    request names its seed. Raises EngineError.
    """
    own_store = store or ModelStore()
    plan = make_plan(request, _machine_for(own_store))
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    path = Path(output) if output is not None else _default_output(request, seed)
    check_writable(path)
    _check_sound_file(request, path)
    files = stages.require_files(plan)
    stages.check_references(plan)
    session = Session(replace(plan, request=plan.request.with_seed(seed)), files, seed, path, own_store, folder)
    try:
        with closing(_events(session)) as events:
            yield from events
    except (RuntimeError, MemoryError) as error:  # in what few lines no rung of the ladder is for
        if which_memory(error) is None:
            raise
        raise session.out_of_memory() from error
    finally:
        if store is None:
            own_store.unload()


def _machine_for(store: ModelStore) -> Machine:
    """This machine as if what the store holds was free: it is this run's to keep or to give back."""
    machine, ram_bytes, device_bytes = current_machine(), store.ram_bytes, store.device_bytes
    if not ram_bytes and not device_bytes:
        return machine
    on_gpu = store.placement.device.index or 0

    def freed(index: int, kind: str) -> int:
        if kind == "cuda":
            return device_bytes if index == on_gpu else 0
        return ram_bytes

    devices = tuple(
        replace(item, free_bytes=min(item.free_bytes + freed(item.index, item.kind), item.total_bytes))
        for item in machine.devices
    )
    ram_free_bytes = min(machine.ram_free_bytes + ram_bytes, machine.ram_total_bytes)
    return replace(machine, devices=devices, ram_free_bytes=ram_free_bytes)


def _check_sound_file(request: GenerationRequest, path: Path) -> None:
    """A file without a picture has to have a sound, and of an edit only foley makes one that stands alone."""
    if path.suffix.lower() in CLIP_FORMATS:
        return
    if request.silent:
        raise RequestError(
            "output",
            f"{path.name} holds sound alone, and this clip is to be silent.",
            remedy="Name a clip, such as .mp4.",
        )
    if request.edit is not None and not isinstance(request.edit, Foley):
        raise RequestError(
            "output", f"{path.name} holds sound alone, and an edit is a clip.", remedy="Name a clip, such as .mkv."
        )


def _default_output(request: GenerationRequest, seed: int) -> Path:
    folder = data_folder() / "clips"
    with suppress(OSError):  # `check_writable` says it better
        folder.mkdir(parents=True, exist_ok=True)
    # What an edit leaves as it was has to stay exact, and the container that allows it is Matroska.
    suffix = ".mp4" if request.edit is None else ".mkv"
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}{suffix}"


def _events(session: Session) -> Generator[Event, None, None]:
    """The story of a run."""
    yield Started(session.request, session.plan.to_dict())
    for warning in session.plan.warnings:
        yield Notice("plan", warning)
    if session.plan.device.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    session.place()
    made = finished_stages(session)
    if session.plan.edit is not None:
        yield from _edit(session, made)
        return
    if len(made) < len(session.plan.stages):
        given = yield from encode_given(session, session.plan.stages[len(made) :])
        made = yield from denoise(session, made, given)
        driving = given.driving
    else:
        driving = yield from session.with_less("references", lambda: encode_driving_sound(session))
    session.release("transformer", "spatial_upsampler")
    video, audio = made[-1]
    # A clip that follows a sound keeps that sound, not what the model would make of it.
    sound = driving.sound if driving is not None else None
    if sound is None and audio is not None:
        sound = yield from session.with_less("decode", lambda: _decode_sound(session, audio))
    yield from session.with_less("decode", lambda: _write(session, video, sound))
    session.release("video_decoder")
    _learn(session)
    yield Finished(_result(session))


def _edit(session: Session, made: list[StageLatents]) -> Generator[Event, None, None]:
    """The rest of the story where a clip is edited: its windows, and the clip put together again."""
    parts = yield from make_windows(session, made)
    yield session.memory_reading()
    yield from session.with_less("decode", lambda: _put_back(session, parts))
    _learn(session)
    yield Finished(_result(session))


def _put_back(session: Session, parts: MadeParts) -> Generator[Event, None, None]:
    began, patch = time.perf_counter(), parts.patch()
    if session.path.suffix.lower() not in CLIP_FORMATS:
        yield session.progress("write", 0, 1)
        sound = parts.sound()
        write_wav(session.path, sound.samples, sound.sample_rate)
        return
    writing = put_back(parts.edit.source, patch, session.path, metadata=session.request.to_dict())
    with closing(writing):
        while True:
            try:
                done = next(writing)
            except StopIteration as finished:
                written: PutBack = finished.value
                break
            yield session.progress("write", done.num_done, done.num_total, part=1.0)
    if written.reason:
        yield Notice("encoded_again", written.reason)
    session.clock.add("write", time.perf_counter() - began)


def _decode_sound(session: Session, audio: Tensor) -> Generator[Event, None, SoundClip]:
    began = time.perf_counter()
    pieces: list[NDArray[np.float32]] = []
    for piece in stages.decode_sound(session.store, session.plan, audio):
        pieces.append(piece)
        yield session.progress("decode", len(pieces), 0)
    session.release("audio")
    session.clock.add("decode_sound", time.perf_counter() - began)
    return SoundClip(np.concatenate(pieces, axis=1), session.plan.model.vocoder.output_rate)


def _write(session: Session, video: Tensor, sound: SoundClip | None) -> Generator[Event, None, None]:
    began, policy = time.perf_counter(), session.plan.policy
    if session.path.suffix.lower() not in CLIP_FORMATS:
        yield session.progress("write", 0, 1)
        assert sound is not None, "run() refuses a silent request for a sound file"
        write_wav(session.path, sound.samples, sound.sample_rate)
        return
    decoder = cast("VideoDecoder", session.store.module(Role.VIDEO_DECODER))
    buffer_device = torch.device("cpu") if policy.blends_in_ram else None
    with ClipWriter(
        session.path,
        size=session.plan.size,
        frame_rate=session.plan.frame_rate,
        audio=sound,
        metadata=session.request.to_dict(),
    ) as writer:
        with closing(decode_tiled(decoder, video, policy.tiling, buffer_device=buffer_device)) as tiles:
            for tile in tiles:
                if tile.chunk is not None:
                    writer.write(stages.to_frames(tile.chunk))
                part = tile.num_done / tile.num_tiles
                yield session.progress("decode", tile.num_done, tile.num_tiles, part=part)
        yield session.memory_reading()
        yield session.progress("write", 0, 1, part=1.0)
    session.clock.add("decode", time.perf_counter() - began)


def _learn(session: Session) -> None:
    """Let the next plan know how fast this device was, and how much memory it took."""
    if not session.is_typical:
        return
    timings = session.clock.timings
    seconds = {stage.name: timings[stage.name] for stage in session.plan.stages}
    seconds["decode"] = timings.get("decode", 0.0) + timings.get("decode_sound", 0.0)
    if session.has_read_prompt:  # else its embedding was in the cache, which says nothing of the text encoder
        seconds["text"] = session.clock.elapsed_s - sum(seconds.values())  # and all that a run begins with
    session.memory_reading()
    session.plan.learn(seconds, session.peak_bytes)
    remember_success(session.plan.device, session.plan.model)


def _result(session: Session) -> Result:
    session.memory_reading()
    session.clock.timings["total"] = round(session.clock.elapsed_s, 3)
    return Result(
        path=session.path.resolve(),
        seed=session.seed,
        width=session.plan.size.width,
        height=session.plan.size.height,
        frames=session.plan.frames,
        fps=float(session.plan.frame_rate),
        duration_s=session.plan.duration_s,
        timings=session.clock.timings,
        peak_bytes=session.peak_bytes,
        model=session.plan.model.name,
        plan=session.plan.to_dict(),
    )
