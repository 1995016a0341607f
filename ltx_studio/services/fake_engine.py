"""An engine that plays a story instead of a model: `ltx-studio --fake-engine`, to try the window and to design it.

It needs no torch and no model, takes a few seconds for a clip, and really writes it: a sweep of colour with a tone
that follows it. A word in square brackets in the prompt says how the story goes, so every state of the window can be
had at will: `a red ball [fails]`.

    [slow]      a minute instead of seconds
    [silent]    no progress for ten seconds on the way
    [notes]     says things that the user should know
    [less]      memory runs out, and it goes on with less
    [memory]    memory runs out for good
    [media]     a reference cannot be read
    [model]     the model's file is damaged
    [fails]     breaks in a way that nobody expected
"""

import math
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import CheckpointError, MediaError, OutOfMemory
from engine.events import Event, Finished, MemoryReading, Notice, Preview, Progress, Result, Started
from engine.jobs.runner import Task
from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.request import GenerationRequest
from engine.types import FrameRate, Size

MODEL_NAME: Final = "fake"
_SIZE, _FRAMES, _RATE, _SAMPLE_RATE = Size(256, 192), 49, FrameRate.parse(24), 48_000
_STEPS: Final = 8
_GIB: Final = 2**30


class Twist(StrEnum):
    """What happens in a story, by the word for it."""

    SLOW = "slow"
    SILENT = "silent"
    NOTES = "notes"
    LESS = "less"
    MEMORY = "memory"
    MEDIA = "media"
    MODEL = "model"
    FAILS = "fails"


def twists_of(prompt: str) -> frozenset[Twist]:
    """The twists that a prompt asks for; other words in brackets mean nothing."""
    known = {twist.value: twist for twist in Twist}
    return frozenset(known[word] for word in re.findall(r"\[(\w+)\]", prompt.casefold()) if word in known)


@dataclass(frozen=True)
class FakeEngine:
    """Tells the story of each task; `seconds` is what one without a twist takes."""

    seconds: float = 4.0
    silence_s: float = 10.0

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        """Raises the EngineError or RuntimeError that the prompt asks for."""
        clip = _Clip.of(task.request)
        twists = twists_of(clip.request.prompt)
        seconds = 60.0 if Twist.SLOW in twists else self.seconds
        began = time.monotonic()
        yield Started(clip.request, {"model": MODEL_NAME})
        if Twist.NOTES in twists:
            yield Notice("plan", "This clip is longer than what the model was trained on; expect it to lose its way.")
            yield Notice("prompt_cut", "The model reads 1024 tokens; 12 were cut.")
        yield from _waiting(Progress("load", "", 0, 1, 0.0, None), until=0.1, seconds=seconds)
        if Twist.MODEL in twists:
            raise CheckpointError("fake.safetensors", "its header ends in the middle", remedy="Fetch the file again.")
        yield from _waiting(Progress("text", "", 0, 1, 0.1, None), until=0.15, seconds=seconds)
        if Twist.MEDIA in twists:
            raise MediaError("portrait.png", "this picture cannot be read.", remedy="Choose another one.")
        for step in range(_STEPS):
            if step == _STEPS // 2:
                yield from self._in_the_middle(twists)
            start = 0.15 + 0.09 * step
            yield from _waiting(Progress("denoise", "base", step, _STEPS, start, None), start + 0.09, seconds)
            yield Preview("base", step + 1, clip.guess(step))
            yield MemoryReading(0, _GIB + step * _GIB // 16)
        yield from _written(clip, task)
        yield Finished(clip.result(task, {"total": round(time.monotonic() - began, 3)}))

    def _in_the_middle(self, twists: frozenset[Twist]) -> Iterator[Event]:
        if Twist.SILENT in twists:
            time.sleep(self.silence_s)
        if Twist.LESS in twists:
            yield Notice("less_memory", "Memory ran out while denoising. The run goes on: it streams the model.")
        if Twist.MEMORY in twists:
            raise OutOfMemory(
                "denoise", needed_bytes=14 * _GIB, free_bytes=8 * _GIB, remedy="Choose a smaller size or fewer frames."
            )
        if Twist.FAILS in twists:
            raise RuntimeError("the story ends here, as the prompt wanted")


def _waiting(progress: Progress, until: float, seconds: float) -> Iterator[Event]:
    """Ten reports a second from a fraction of the story to another, in the story's own time."""
    start, length_s = progress.fraction, (until - progress.fraction) * seconds
    num_reports = max(1, math.ceil(length_s * 10))
    for index in range(num_reports):
        fraction = start + (until - start) * index / num_reports
        yield replace(progress, fraction=fraction, eta_s=(1 - fraction) * seconds if fraction else None)
        time.sleep(length_s / num_reports)


def _written(clip: "_Clip", task: Task) -> Iterator[Event]:
    sound = None if clip.request.silent else clip.tone()
    with ClipWriter(
        task.output, size=clip.size, frame_rate=clip.rate, audio=sound, metadata=clip.request.to_dict()
    ) as writer:
        for index in range(clip.frames):
            writer.write(clip.picture(clip.size, index / max(clip.frames - 1, 1))[None])
            yield Progress("decode", "", index, clip.frames, 0.9 + 0.1 * index / clip.frames, None)


@dataclass(frozen=True)
class _Clip:
    """A request with everything decided that a plan would decide, and what it looks and sounds like."""

    request: GenerationRequest
    size: Size
    frames: int
    rate: FrameRate
    seed: int

    @classmethod
    def of(cls, request: GenerationRequest) -> "_Clip":
        size, rate = request.size or _SIZE, request.frame_rate or _RATE
        frames = request.frames or (max(1, round(request.seconds * rate.value)) if request.seconds else _FRAMES)
        seed = 7 if request.seed is None else request.seed
        filled = replace(request, size=size, frames=frames, seconds=None, frame_rate=rate, seed=seed)
        return cls(filled, size, frames, rate, seed)

    @property
    def duration_s(self) -> float:
        return float(self.frames / self.rate.value)

    def picture(self, size: Size, time_part: float) -> NDArray[np.uint8]:
        """A bright disc on its way across a field, uint8 (H, W, 3); the seed decides its colour and height."""
        rng = np.random.default_rng(self.seed)
        colour, height = rng.integers(120, 255, 3), rng.uniform(0.3, 0.7)
        y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
        field = 40 + 40 * (y / size.height)[..., None] + np.zeros(3, np.float32)
        distance = np.hypot(x - time_part * size.width, y - height * size.height)
        inside = np.clip(0.15 * size.height - distance, 0, 1)[..., None]
        return (field * (1 - inside) + colour * inside).astype(np.uint8)

    def guess(self, step: int) -> NDArray[np.uint8]:
        """What is seen after a step: the middle frame, small, in ever less noise, uint8 (48, 64, 3)."""
        picture = self.picture(Size(64, 48), 0.5).astype(np.float32)
        noise = np.random.default_rng(step).normal(110, 60, picture.shape)
        clarity = (step + 1) / _STEPS
        return np.clip(clarity * picture + (1 - clarity) * noise, 0, 255).astype(np.uint8)

    def tone(self) -> SoundClip:
        """220 Hz that wander from the left ear to the right, as the disc does."""
        times = np.arange(round(self.duration_s * _SAMPLE_RATE), dtype=np.float32) / _SAMPLE_RATE
        right = times / max(self.duration_s, 1e-6)
        wave = 0.1 * np.sin(2 * np.pi * 220 * times)
        return SoundClip(np.stack([wave * (1 - right), wave * right]).astype(np.float32), _SAMPLE_RATE)

    def result(self, task: Task, timings: dict[str, float]) -> Result:
        return Result(
            path=task.output,
            seed=self.seed,
            width=self.size.width,
            height=self.size.height,
            frames=self.frames,
            fps=float(self.rate),
            duration_s=self.duration_s,
            timings=timings,
            peak_bytes=3 * _GIB // 2,
            model=MODEL_NAME,
            plan={},
        )
