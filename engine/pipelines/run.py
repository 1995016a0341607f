"""One run: from a request to a clip, as an iterator of events.

The caller's for-loop is the progress bar, the preview, the pause button and the way to stop: close the iterator, and
the run ends within one transformer block, one decode tile or one packet, with nothing half written. Errors a user can
cause are raised as `engine.errors` types.
"""

import json
import logging
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import OutOfMemory, RequestError
from engine.events import Event, Finished, MemoryReading, Notice, Phase, Preview, Progress, Result, Started
from engine.folders import data_folder, runs_folder
from engine.hardware import process_memory_bytes
from engine.media.audio import SoundClip
from engine.media.write import CLIP_FORMATS, ClipWriter, check_writable, write_wav
from engine.model.tiles import choose_tiling
from engine.model.tiling import decode_tiled
from engine.model.transformer import Transformer
from engine.model.video_vae import VideoDecoder
from engine.pipelines import stages
from engine.pipelines.estimate import DeviceSpeed, decode_operations, remember_speed, stage_operations
from engine.pipelines.plan import Plan, StagePlan, workload
from engine.pipelines.plan import plan as make_plan
from engine.pipelines.preview import PreviewMap
from engine.request import GenerationRequest
from engine.sampling import samplers
from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import Denoiser, PassProgress, TextContexts
from engine.sampling.latents import AVLatents, CounterNoise, NoiseSource, ReferenceNoise, unpatchify_video
from engine.weights.catalog import ModelFiles
from engine.weights.keymap import Role
from engine.weights.store import ModelStore, Placement
from engine.weights.writing import write_tensors

logger = logging.getLogger("engine.run")

METADATA_KEY = "ltx_studio"
KEPT_RUNS = 20  # whose latents stay on disk, for a later look at what a stage made
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
# What PyTorch says when the processor's memory runs out; it has no error type of its own for that.
_HOST_MEMORY_MESSAGE = "DefaultCPUAllocator"


@torch.no_grad()
def run(
    request: GenerationRequest, output: Path | str | None = None, *, store: ModelStore | None = None
) -> Iterator[Event]:
    """Make the clip of a request; the last event is `Finished`.

    `output` decides the container (.mp4, .mov, .mkv; .wav for the sound alone) and defaults to a new name in the data
    folder. With a `store` of the caller's, what is loaded stays for the next run where there is room for it. Raises
    EngineError.
    """
    plan = make_plan(request)
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    path = Path(output) if output is not None else _default_output(seed)
    check_writable(path)
    if request.silent and path.suffix.lower() not in CLIP_FORMATS:
        raise RequestError(
            "output",
            f"{path.name} holds sound alone, and this clip is to be silent.",
            remedy="Name a clip, such as .mp4.",
        )
    files = stages.require_files(plan)
    stages.check_references(plan)
    job = _Run(plan, files, seed, path, store or ModelStore())
    try:
        with closing(job.events()) as events:
            yield from events
    except torch.OutOfMemoryError as error:
        raise job.out_of_memory() from error
    except RuntimeError as error:
        if _HOST_MEMORY_MESSAGE in str(error):
            raise job.out_of_memory() from error
        raise
    finally:
        if store is None:
            job.store.unload()


def _default_output(seed: int) -> Path:
    folder = data_folder() / "clips"
    with suppress(OSError):  # `check_writable` says it better
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}.mp4"


class _DrivingSound(NamedTuple):
    """A sound that the picture follows: as it goes into the file, and as tokens (1, T, C)."""

    sound: SoundClip
    tokens: Tensor


class _Clock:
    """Seconds by phase, and how far the whole run is by what its plan predicted."""

    def __init__(self, plan: Plan) -> None:
        self.timings: dict[str, float] = {}
        self._predicted = dict(plan.estimate.stage_seconds)
        self._total = max(sum(self._predicted.values()), 1e-9)
        self._before = 0.0
        self._began = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    def add(self, name: str, seconds: float) -> None:
        self.timings[name] = round(self.timings.get(name, 0.0) + seconds, 3)

    def done(self, name: str) -> None:
        self._before += self._predicted.pop(name, 0.0)

    def fraction(self, name: str, part: float) -> float:
        return min((self._before + self._predicted.get(name, 0.0) * part) / self._total, 1.0)

    def eta_s(self, fraction: float) -> float | None:
        """Nothing to go by before a fiftieth of the run is done."""
        return None if fraction < 0.02 else self.elapsed_s * (1 - fraction) / fraction


class _Run:
    """The state of one run; `events` is the story."""

    def __init__(self, plan: Plan, files: ModelFiles, seed: int, path: Path, store: ModelStore) -> None:
        self.plan = plan
        self.files = files
        self.request = plan.request.with_seed(seed)
        self.seed = seed
        self.path = path
        self.store = store
        self.clock = _Clock(plan)
        self.phase: Phase = "load"
        self.peak_bytes = 0
        self.folder = runs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        is_reference = self.request.noise == "reference"
        self.noise: NoiseSource = ReferenceNoise(seed) if is_reference else CounterNoise(seed)

    def out_of_memory(self) -> OutOfMemory:
        return OutOfMemory(
            self.phase,
            needed_bytes=self.plan.estimate.peak_device_bytes,
            free_bytes=self.plan.device.free_bytes,
            remedy="Choose a smaller size, fewer frames or the preset draft, or close other programs.",
        )

    def events(self) -> Generator[Event, None, None]:
        yield Started(self.request, self.plan.to_dict())
        for warning in self.plan.warnings:
            yield Notice("plan", warning)
        self._prepare_device()
        self.store.use(self.files, Placement(torch.device(self.plan.device.torch_name), _DTYPES[self.plan.precision]))
        positive, negative = yield from self._encode_text()
        driving = yield from self._encode_driving_sound()
        preview = yield from self._preview_map()
        video, audio = yield from self._denoise(positive, negative, driving, preview)
        self._release(Role.TRANSFORMER, Role.UPSAMPLER)
        # A clip that follows a sound keeps that sound, not what the model would make of it.
        sound = driving.sound if driving is not None else (yield from self._decode_sound(audio))
        yield from self._write(video, sound)
        self._learn()
        yield Finished(self._result())

    # --- phases -------------------------------------------------------------------------------------------------------

    def _encode_text(self) -> Generator[Event, None, tuple[TextContexts, TextContexts | None]]:
        began = time.perf_counter()
        yield self._progress("text", 0, 1)
        needs_negative = any(not stage.guidance.is_neutral() for stage in self.plan.stages)
        prompts = [self.request.prompt]
        if needs_negative:
            prompts.append(self.request.negative_prompt or "")
        contexts, dropped = stages.encode_prompts(self.store, self.plan, prompts)
        if not self.plan.keeps_everything:
            self.store.release_text()
        if dropped[0]:
            yield Notice("prompt_cut", f"The model reads {self.plan.model.text_tokens} tokens; {dropped[0]} were cut.")
        self.clock.add("text", time.perf_counter() - began)
        self.clock.done("text")
        return contexts[0], contexts[1] if needs_negative else None

    def _encode_driving_sound(self) -> Generator[Event, None, _DrivingSound | None]:
        if self.request.audio is None:
            return None
        began = time.perf_counter()
        yield self._progress("references", 0, 1)
        sound = stages.driving_sound(self.request.audio, self.plan.duration_s)
        num_tokens = stages.latent_grid(self.plan.model).audio_tokens(self.plan.frames, self.plan.frame_rate.value)
        tokens = stages.encode_sound(self.store, sound, self.plan.model.audio_vae, num_tokens)
        self._release(Role.AUDIO_ENCODER)
        self.clock.add("references", time.perf_counter() - began)
        return _DrivingSound(sound, tokens)

    def _preview_map(self) -> Generator[Event, None, PreviewMap]:
        yield self._progress("load", 0, 1)
        decoder = cast("VideoDecoder", self.store.module(Role.VIDEO_DECODER))
        return PreviewMap.of(decoder, self.files.checkpoint)

    def _denoise(
        self, positive: TextContexts, negative: TextContexts | None, driving: _DrivingSound | None, preview: PreviewMap
    ) -> Generator[Event, None, tuple[Tensor, Tensor | None]]:
        """Every stage in turn -> the clip's video latent (1, C, F, H, W) and audio tokens (1, T, C)."""
        ic_lora = stages.find_ic_lora(self.plan)
        video: Tensor | None = None
        audio: Tensor | None = None
        for index, stage in enumerate(self.plan.stages):
            began = time.perf_counter()
            self._apply_loras(stage)
            if video is not None:
                yield self._progress("upsample", 0, 1, stage.name)
                video = stages.upsample_video(self.store, video)
            video_state = stages.video_stream(self.store, self.plan, stage, video, ic_lora)
            driving_tokens = None if driving is None else driving.tokens
            audio_state = stages.audio_stream(self.store, self.plan, stage, audio, driving_tokens)
            self._release(Role.VIDEO_ENCODER)
            denoiser = Denoiser(
                cast("Transformer", self.store.module(Role.TRANSFORMER)),
                video_state,
                audio_state,
                positive=positive,
                negative=negative,
                guidance=stage.guidance,
            )
            noisy = self._with_noise(index, stage, video_state, audio_state)
            latents = yield from self._sample(index, stage, denoiser, noisy, preview)
            video, audio = stages.split_latents(self.plan, stage, latents, video_state)
            yield from self._save(stage, video, audio)
            self.clock.add(stage.name, time.perf_counter() - began)
            self.clock.done(stage.name)
        assert video is not None
        return video, audio

    def _apply_loras(self, stage: StagePlan) -> None:
        loras = [(lora.path, lora.strength) for lora in self.request.loras]
        if self.files.distilled_lora is not None:
            loras.append((self.files.distilled_lora, stage.distilled_strength))
        self.store.set_loras(loras)

    def _with_noise(self, index: int, stage: StagePlan, video: StreamState, audio: StreamState | None) -> AVLatents:
        scale = 1.0 if index == 0 else stage.sigmas[0]

        def noisy(state: StreamState, stream: str) -> Tensor:
            shape = tuple(state.latent.shape)
            noise = self.noise.initial(shape, stage=index, stream=stream, dtype=state.latent.dtype)
            return state.with_noise(noise.to(state.latent.device), scale)

        return AVLatents(noisy(video, "video"), None if audio is None else noisy(audio, "audio"))

    def _sample(
        self, index: int, stage: StagePlan, denoiser: Denoiser, latents: AVLatents, preview: PreviewMap
    ) -> Generator[Event, None, AVLatents]:
        if stage.sampler == "res_2s":
            noise = samplers.StepNoise(self.noise, index, denoiser.video, denoiser.audio)
            steps = samplers.res_2s(denoiser.predict, latents, stage.sigmas, noise)
        else:
            steps = samplers.euler(denoiser.predict, latents, stage.sigmas, skip_step=stage.guidance.skip_step)
        predictions, finished_steps = 0, 0
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
                        yield self._progress("denoise", finished_steps, stage.num_steps, stage.name, part)
                    case samplers.Step():
                        finished_steps = step.index + 1
                        yield self._progress("denoise", finished_steps, stage.num_steps, stage.name, None)
                        yield self._memory()
                        yield self._picture(stage, denoiser, step, preview)

    def _decode_sound(self, audio: Tensor | None) -> Generator[Event, None, SoundClip | None]:
        if audio is None:
            return None
        began = time.perf_counter()
        pieces: list[NDArray[np.float32]] = []
        for piece in stages.decode_sound(self.store, self.plan, audio):
            pieces.append(piece)
            yield self._progress("decode", len(pieces), 0)
        self._release(Role.AUDIO_DECODER, Role.VOCODER)
        self.clock.add("decode_sound", time.perf_counter() - began)
        return SoundClip(np.concatenate(pieces, axis=1), self.plan.model.vocoder.output_rate)

    def _write(self, video: Tensor, sound: SoundClip | None) -> Generator[Event, None, None]:
        began = time.perf_counter()
        if self.path.suffix.lower() not in CLIP_FORMATS:
            yield self._progress("write", 0, 1)
            assert sound is not None, "run() refuses a silent request for a sound file"
            write_wav(self.path, sound.samples, sound.sample_rate)
            return
        decoder = cast("VideoDecoder", self.store.module(Role.VIDEO_DECODER))
        with ClipWriter(
            self.path,
            size=self.plan.size,
            frame_rate=self.plan.frame_rate,
            audio=sound,
            metadata=self.request.to_dict(),
        ) as writer:
            with closing(decode_tiled(decoder, video, choose_tiling(self.plan.size))) as tiles:
                for tile in tiles:
                    if tile.chunk is not None:
                        writer.write(stages.to_frames(tile.chunk))
                    part = tile.num_done / tile.num_tiles
                    yield self._progress("decode", tile.num_done, tile.num_tiles, part=part)
            yield self._memory()
            yield self._progress("write", 0, 1, part=1.0)
        self.clock.add("decode", time.perf_counter() - began)

    # --- what they share ----------------------------------------------------------------------------------------------

    def _progress(self, phase: Phase, step: int, num_steps: int, stage: str = "", part: float | None = 0.0) -> Progress:
        """`part` of the stage is done; None when `step` of `num_steps` says it."""
        self.phase = phase
        if part is None:
            part = step / num_steps
        name = stage or ("decode" if phase in {"decode", "write"} else phase)
        fraction = self.clock.fraction(name, part)
        return Progress(phase, stage, step, num_steps, fraction, self.clock.eta_s(fraction))

    def _release(self, *roles: Role) -> None:
        """Give back what this run is done with, unless there is room for it to wait for the next one."""
        if not self.plan.keeps_everything:
            self.store.release(*roles)

    def _memory(self) -> MemoryReading:
        is_cuda = self.plan.device.kind == "cuda"
        device_bytes = torch.cuda.max_memory_allocated() if is_cuda else 0
        reading = MemoryReading(device_bytes, process_memory_bytes())
        self.peak_bytes = max(self.peak_bytes, reading.device_bytes if is_cuda else reading.process_bytes)
        return reading

    def _picture(self, stage: StagePlan, denoiser: Denoiser, step: samplers.Step, preview: PreviewMap) -> Preview:
        assert step.x0.video is not None
        assert denoiser.video is not None
        shape = stages.stage_shape(self.plan, stage.size)
        latent = unpatchify_video(denoiser.video.target(step.x0.video), shape)
        return Preview(stage.name, step.index + 1, preview.picture(latent))

    def _save(self, stage: StagePlan, video: Tensor, audio: Tensor | None) -> Generator[Event, None, None]:
        """Keep what the stage made. Failing to is no reason to lose the clip."""
        tensors = {"video": video.contiguous().cpu()}
        if audio is not None:
            tensors["audio"] = audio.contiguous().cpu()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            metadata = {METADATA_KEY: json.dumps(self.request.to_dict())}
            write_tensors(self.folder / f"{stage.name}.safetensors", tensors, metadata)
            _forget_old_runs(self.folder.parent)
        except OSError as error:
            logger.warning("latents of stage %s were not saved: %s", stage.name, error)
            yield Notice("latents_not_saved", f"The latents of this stage could not be saved: {error}")

    def _prepare_device(self) -> None:
        if self.plan.device.kind == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def _learn(self) -> None:
        """Let the next plan know how fast this device was."""
        operations = sum(
            stage_operations(self.plan.model, workload(stage, self.plan.model, self.plan.frames, self.request))
            for stage in self.plan.stages
        )
        decoding = decode_operations(
            self.plan.model, self.plan.size, self.plan.frames, has_sound="decode_sound" in self.clock.timings
        )
        denoise_s = sum(self.clock.timings[stage.name] for stage in self.plan.stages)
        decode_s = self.clock.timings.get("decode", 0.0) + self.clock.timings.get("decode_sound", 0.0)
        if min(denoise_s, decode_s) > 0:
            remember_speed(self.plan.device, DeviceSpeed(operations / denoise_s, decoding / decode_s))

    def _result(self) -> Result:
        self._memory()
        self.clock.timings["total"] = round(self.clock.elapsed_s, 3)
        return Result(
            path=self.path.resolve(),
            seed=self.seed,
            width=self.plan.size.width,
            height=self.plan.size.height,
            frames=self.plan.frames,
            fps=float(self.plan.frame_rate),
            duration_s=self.plan.duration_s,
            timings=self.clock.timings,
            peak_bytes=self.peak_bytes,
            model=self.plan.model.name,
            plan=self.plan.to_dict(),
        )


def _forget_old_runs(folder: Path) -> None:
    for old in sorted(folder.iterdir())[:-KEPT_RUNS]:
        for item in old.glob("*"):
            item.unlink(missing_ok=True)
        with suppress(OSError):
            old.rmdir()
