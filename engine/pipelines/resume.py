"""What a run keeps of its stages, so that an interrupted one goes on where it was.

The latents of every finished stage are saved, and, for a run that may be started again in the same folder, those of an
unfinished one every few seconds. They count for a later attempt only if they belong to the same request, seed, stage
and files; whether blocks stream, or into which pieces the work is cut, is free to change in between. A copy in memory
serves a run that ran out of it and goes on by itself.

A file that is damaged, or of another run, is as good as none.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.pipelines.plan import Plan
from engine.pipelines.recipe import StagePlan
from engine.request import GenerationRequest, LipDub
from engine.sampling.latents import AVLatents, CounterNoise, ReferenceNoise
from engine.weights.catalog import ModelFiles
from engine.weights.checkpoint import Checkpoint
from engine.weights.embeddings import identity
from engine.weights.reading import TORCH_DTYPES, read_into
from engine.weights.writing import write_tensors

METADATA_KEY = "ltx_studio"
# Between two saves of an unfinished stage. Saving latents of 20 MB takes a hundredth of it.
SAVE_INTERVAL_S = 2.0
_IDENTITY, _STEP, _DRAWS = "identity", "step", "draws"


# --- noise that has an order ------------------------------------------------------------------------------------------


class Draw(NamedTuple):
    """One draw of noise; `number` is -1 for what a stage starts from."""

    shape: tuple[int, ...]
    stage: int
    stream: str
    dtype: str
    number: int  # the index that a sampler gives it


class OrderedNoise:
    """The official noise, where each draw depends on those before it, with a log that can be gone back to."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._source = ReferenceNoise(seed)
        self._log: list[Draw] = []

    @property
    def draws(self) -> tuple[Draw, ...]:
        """Everything drawn so far."""
        return tuple(self._log)

    def initial(self, shape: tuple[int, ...], *, stage: int, stream: str, dtype: torch.dtype) -> Tensor:
        self._log.append(Draw(shape, stage, stream, str(dtype).removeprefix("torch."), -1))
        return self._source.initial(shape, stage=stage, stream=stream, dtype=dtype)

    def step(self, shape: tuple[int, ...], *, stage: int, stream: str, index: int) -> Tensor:
        self._log.append(Draw(shape, stage, stream, "float64", index))
        return self._source.step(shape, stage=stage, stream=stream, index=index)

    def go_to(self, draws: Iterable[Draw]) -> None:
        """Be as if exactly these had been drawn."""
        self._source, self._log = ReferenceNoise(self._seed), []
        for shape, stage, stream, dtype, number in draws:
            if number < 0:
                self.initial(tuple(shape), stage=stage, stream=stream, dtype=getattr(torch, dtype))
            else:
                self.step(tuple(shape), stage=stage, stream=stream, index=number)


Noise = CounterNoise | OrderedNoise


def noise_of(request: GenerationRequest, seed: int) -> Noise:
    """Where a run's noise comes from."""
    return OrderedNoise(seed) if request.noise == "reference" else CounterNoise(seed)


def _draws(noise: Noise) -> tuple[Draw, ...]:
    return noise.draws if isinstance(noise, OrderedNoise) else ()


def _go_to(noise: Noise, draws: Sequence[Draw]) -> None:
    if isinstance(noise, OrderedNoise):
        noise.go_to(draws)


# --- what is kept -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StageState:
    """A stage after some of its steps: what its sampler goes on from. 0 steps: the noise it begins with."""

    num_steps: int
    latents: AVLatents  # (1, T, C) for each stream, on the CPU
    draws: tuple[Draw, ...]  # of ordered noise


class StageLatents(NamedTuple):
    """What a stage made: the video latent (1, C, F, H, W) and audio tokens (1, T, C)."""

    video: Tensor
    audio: Tensor | None


class StageRecord:
    """The stages of one run in its folder; also an earlier attempt's, if it was at the same."""

    def __init__(self, folder: Path, plan: Plan, files: ModelFiles, noise: Noise, *, is_continued: bool) -> None:
        """`plan.request` has its seed. `is_continued`: the folder may be run in again, or has been already."""
        self.folder = folder
        self._is_continued = is_continued
        self._noise = noise
        self._request = json.dumps(plan.request.to_dict())
        self._files = _files_identity(files, plan.request)
        self._states: dict[str, StageState] = {}
        self._saved_at_s = time.monotonic()

    def finished(self, stage: StagePlan) -> StageLatents | None:
        """What an earlier attempt made of a stage."""
        if not self._is_continued:
            return None
        found = self._read(self._finished_path(stage), stage)
        if found is None:
            return None
        tensors, metadata = found
        _go_to(self._noise, _parse_draws(metadata))
        return StageLatents(tensors["video"], tensors.get("audio"))

    def state(self, stage: StagePlan) -> StageState | None:
        """How far a stage has come, in this run or in an earlier attempt."""
        state = self._states.get(stage.name)
        if state is None and self._is_continued:
            found = self._read(self._partial_path(stage), stage)
            if found is not None:
                tensors, metadata = found
                latents = AVLatents(tensors.get("video"), tensors.get("audio"))
                state = StageState(int(metadata[_STEP]), latents, _parse_draws(metadata))
        if state is not None:
            _go_to(self._noise, state.draws)
        return state

    def keep_state(self, stage: StagePlan, num_steps: int, latents: AVLatents) -> None:
        """Remember where the sampler is, and from time to time on disk. Raises OSError."""
        # Not on the device: its memory may be what runs out next.
        on_cpu = AVLatents(*(None if item is None else item.cpu() for item in latents))
        state = self._states[stage.name] = StageState(num_steps, on_cpu, _draws(self._noise))
        if self._is_continued and time.monotonic() - self._saved_at_s >= SAVE_INTERVAL_S:
            self._saved_at_s = time.monotonic()
            self._write(self._partial_path(stage), stage, state.latents, {_STEP: str(num_steps)})

    def keep_finished(self, stage: StagePlan, latents: StageLatents) -> None:
        """Save what a stage made. Raises OSError."""
        self._states.pop(stage.name, None)
        self._write(self._finished_path(stage), stage, AVLatents(*latents), {})
        self._partial_path(stage).unlink(missing_ok=True)

    def _write(self, path: Path, stage: StagePlan, latents: AVLatents, metadata: dict[str, str]) -> None:
        tensors = {
            name: tensor.contiguous().cpu()
            for name, tensor in zip(("video", "audio"), latents, strict=True)
            if tensor is not None
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        draws = json.dumps(_draws(self._noise))
        metadata |= {METADATA_KEY: self._request, _IDENTITY: self._identity(stage), _DRAWS: draws}
        write_tensors(path, tensors, metadata)

    def _read(self, path: Path, stage: StagePlan) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        with suppress(CheckpointError, KeyError, ValueError, TypeError):
            checkpoint = Checkpoint.open(path)
            metadata = dict(checkpoint.metadata)
            if metadata[_IDENTITY] != self._identity(stage) or metadata[METADATA_KEY] != self._request:
                return None
            _parse_draws(metadata)
            int(metadata.get(_STEP, "0"))
            tensors = {
                name: torch.empty(entry.shape, dtype=TORCH_DTYPES[entry.dtype])
                for name, entry in checkpoint.tensors.items()
            }
            read_into(checkpoint, tensors)
            return tensors, metadata
        return None

    def _identity(self, stage: StagePlan) -> str:
        """What the latents of a stage depend on beside the request: the stage as this version plans it, and files."""
        return hashlib.sha256(f"{self._files} {stage!r}".encode()).hexdigest()

    def _finished_path(self, stage: StagePlan) -> Path:
        return self.folder / f"{stage.name}.safetensors"

    def _partial_path(self, stage: StagePlan) -> Path:
        return self.folder / f"{stage.name}-unfinished.safetensors"


def _parse_draws(metadata: dict[str, str]) -> tuple[Draw, ...]:
    values: list[Any] = json.loads(metadata[_DRAWS])
    return tuple(
        Draw(tuple(map(int, shape)), int(stage), str(stream), str(dtype), int(number))
        for shape, stage, stream, dtype, number in values
    )


def _files_identity(files: ModelFiles, request: GenerationRequest) -> str:
    """Every file that decides what the stages make."""
    paths = [files.checkpoint, files.text_encoder, files.spatial_upsampler, files.distilled_lora, request.audio]
    paths += [item.path for item in (*request.images, *request.reference_videos, *request.loras)]
    if request.edit is not None:
        paths.append(request.edit.clip)
        paths.append(request.edit.voice if isinstance(request.edit, LipDub) else None)
    return identity(path for path in paths if path is not None)
