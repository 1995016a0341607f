"""What a training sample is given besides its prompt, so that one model learns every mode of the product.

Each sample draws a mode: text alone, a first frame, a time region to make again or beyond the end (retake, extend), a
sound to follow, a picture to set to sound. What decides a batch's shape is drawn for the batch as a whole: whether it
is plain, its samples' tokens all at one noise level each, whether some tokens are given, whether there are keyframes,
which lengthen the sequence, or silence, which leaves out a stream. Two batches in three are plain, and those compute
fastest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.pipelines.plan import DEFAULT_NEGATIVE_PROMPT
from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import LatentGrid, LatentShape, patchify_video
from engine.training.dataset import LatentBatch
from engine.training.encoding import FRAME_RATE
from engine.training.flow import NoisyStream, noise_levels

_DROPPED_SHARE: Final = 0.1  # of the prompts, for guidance: half without words, half with the negative prompt
_ONE_LEVEL_SHARE: Final = 0.75
_REFINING_LEVELS: Final = (0.02, 0.95)  # a second stage begins at 0.909
_REFINING_SHARE: Final = 0.8  # of the clips at the size of a second stage
_SHORTEST_REGION: Final = 0.25  # of the clip


T = TypeVar("T")


class Mode(Enum):
    """What a sample is given."""

    TEXT = auto()
    FIRST_FRAME = auto()
    REGION = auto()  # both streams outside a time region
    REGION_OF_PICTURE = auto()  # the sound, and the picture outside a region
    REGION_OF_SOUND = auto()  # the picture, and the sound outside a region
    SOUND = auto()
    PICTURE = auto()


class BatchKind(Enum):
    """What the samples of a batch have in common."""

    PLAIN = auto()
    GIVEN = auto()
    KEYFRAMES = auto()
    SILENT = auto()


_KIND_SHARES: Final[Mapping[BatchKind, float]] = {
    BatchKind.PLAIN: 0.65,
    BatchKind.GIVEN: 0.22,
    BatchKind.KEYFRAMES: 0.08,
    BatchKind.SILENT: 0.05,
}
# Most samples learn to read: that is the slowest to come.
_MODE_SHARES: Final[Mapping[BatchKind, Mapping[Mode, float]]] = {
    BatchKind.PLAIN: {Mode.TEXT: 0.78, Mode.SOUND: 0.11, Mode.PICTURE: 0.11},
    BatchKind.GIVEN: {
        Mode.TEXT: 0.1,
        Mode.FIRST_FRAME: 0.45,
        Mode.REGION: 0.25,
        Mode.REGION_OF_PICTURE: 0.1,
        Mode.REGION_OF_SOUND: 0.1,
    },
    BatchKind.KEYFRAMES: {Mode.TEXT: 0.6, Mode.FIRST_FRAME: 0.25, Mode.SOUND: 0.15},
    BatchKind.SILENT: {Mode.TEXT: 0.6, Mode.FIRST_FRAME: 0.25, Mode.REGION: 0.15},
}


class AVStates(NamedTuple):
    """Both streams of one sample; the sound is None in a silent batch."""

    video: StreamState
    audio: StreamState | None


@dataclass(frozen=True)
class TrainingBatch:
    """What one step learns from."""

    prompts: tuple[str, ...]
    video: NoisyStream
    audio: NoisyStream | None
    kind: BatchKind

    @property
    def is_common(self) -> bool:
        """Whether its shape comes often: one noise level for all tokens of both streams, or of neither."""
        is_frequent = self.kind in (BatchKind.PLAIN, BatchKind.GIVEN)
        return is_frequent and self.audio is not None and self.video.is_uniform == self.audio.is_uniform


def training_batch(clips: LatentBatch, grid: LatentGrid, rng: np.random.Generator, *, shift: float) -> TrainingBatch:
    """Draw what each clip is given, noise levels for its streams, and noise."""
    kind = drawn_kind(rng)
    states = draw_states(clips, grid, rng, kind)
    audio_states = [state.audio for state in states if state.audio is not None]
    levels = _draw_levels(clips, rng, shift)
    # A run's streams are at one level, unless one of them is given.
    others = np.where(rng.random(len(levels)) < _ONE_LEVEL_SHARE, levels, _draw_levels(clips, rng, shift))
    return TrainingBatch(
        prompts=tuple(_perhaps_dropped(prompt, rng) for prompt in clips.prompts),
        video=NoisyStream.at([state.video for state in states], levels.tolist(), rng),
        audio=NoisyStream.at(audio_states, others.tolist(), rng) if audio_states else None,
        kind=kind,
    )


def drawn_kind(rng: np.random.Generator) -> BatchKind:
    return _drawn(_KIND_SHARES, rng)


def draw_states(clips: LatentBatch, grid: LatentGrid, rng: np.random.Generator, kind: BatchKind) -> list[AVStates]:
    """The streams of every clip, each in a mode of its own; all have the same shapes."""
    num_keyframes = int(rng.integers(1, clips.stills.shape[1])) if kind is BatchKind.KEYFRAMES else 0
    return [
        sample_states(
            clips,
            index,
            _drawn(_MODE_SHARES[kind], rng),
            grid,
            rng,
            num_keyframes=num_keyframes,
            is_silent=kind is BatchKind.SILENT,
        )
        for index in range(len(clips.prompts))
    ]


def sample_states(
    clips: LatentBatch,
    index: int,
    mode: Mode,
    grid: LatentGrid,
    rng: np.random.Generator,
    *,
    num_keyframes: int = 0,
    is_silent: bool = False,
) -> AVStates:
    """The streams of one clip, its clean latents as their targets, given what the mode gives."""
    here = slice(index, index + 1)
    latent, sound, stills = clips.video[here], clips.audio[here], clips.stills[here]
    picture = patchify_video(latent)
    video = conditioning.video_state(LatentShape(*latent.shape[2:]), latent.shape[1], FRAME_RATE.value, grid)
    video = conditioning.starting_from(video, picture)
    audio = conditioning.audio_state(sound.shape[1], sound.shape[2], grid)
    audio = conditioning.starting_from(audio, sound)
    region_s = _draw_region(clips.bucket.frames / float(FRAME_RATE), rng)
    match mode:
        case Mode.TEXT:
            pass
        case Mode.FIRST_FRAME:
            video = conditioning.replace_first_frames(video, stills[:, 0], 1.0)
        case Mode.REGION:
            video, audio = only_between(video, picture, region_s), only_between(audio, sound, region_s)
        case Mode.REGION_OF_PICTURE:
            video, audio = only_between(video, picture, region_s), conditioning.frozen(audio, sound)
        case Mode.REGION_OF_SOUND:
            video, audio = conditioning.frozen(video, picture), only_between(audio, sound, region_s)
        case Mode.SOUND:
            audio = conditioning.frozen(audio, sound)
        case Mode.PICTURE:
            video = conditioning.frozen(video, picture)
    for still in range(1, 1 + num_keyframes):
        frame = int(clips.still_frames[index, still])
        video = conditioning.append_keyframe(video, stills[:, still], frame, 1.0, FRAME_RATE.value, grid)
    return AVStates(video, None if is_silent else audio)


def only_between(state: StreamState, clean: Tensor, region_s: tuple[float, float]) -> StreamState:
    """Make only the tokens that reach into a time region, whole tokens; the others are given (B, num_target, C)."""
    start_s, stop_s = region_s
    bounds_s = state.positions[:, 0]
    inside = (bounds_s[..., 1] > start_s) & (bounds_s[..., 0] < stop_s)
    return replace(state, clean=clean.to(state.clean), mask=inside[..., None].to(state.mask))


def _draw_region(duration_s: float, rng: np.random.Generator) -> tuple[float, float]:
    """Anywhere; one in three reaches to the end and one in six to the start, as an extension does."""
    length_s = rng.uniform(_SHORTEST_REGION, 0.75) * duration_s
    start_s = rng.uniform(0, duration_s - length_s)
    place = rng.random()
    if place < 1 / 3:
        return start_s, duration_s
    return (0.0, start_s + length_s) if place < 1 / 2 else (start_s, start_s + length_s)


def _draw_levels(clips: LatentBatch, rng: np.random.Generator, shift: float) -> NDArray[np.float32]:
    count = len(clips.prompts)
    levels = noise_levels(rng, count, shift=shift)
    if not clips.refines:
        return levels
    low, high = _REFINING_LEVELS
    return np.where(rng.random(count) < _REFINING_SHARE, rng.uniform(low, high, count), levels).astype(np.float32)


def _drawn(shares: Mapping[T, float], rng: np.random.Generator) -> T:
    return tuple(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def _perhaps_dropped(prompt: str, rng: np.random.Generator) -> str:
    if rng.random() >= _DROPPED_SHARE:
        return prompt
    return "" if rng.random() < 0.5 else DEFAULT_NEGATIVE_PROMPT
