"""What a training sample is given besides its prompt, so that one model learns every mode of the product.

Each sample draws a mode: text alone, a first frame, a time region to make again or beyond the end (retake, extend), a
sound to follow, a picture to set to sound. Keyframes, which lengthen the sequence, and silence, which leaves out a
stream, are drawn for a batch as a whole, because a batch has one shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, NamedTuple

import numpy as np
from torch import Tensor

from engine.pipelines.plan import DEFAULT_NEGATIVE_PROMPT
from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import LatentGrid, LatentShape, patchify_video
from engine.training.dataset import LatentBatch
from engine.training.encoding import FRAME_RATE
from engine.training.flow import NoisyStream, noise_levels

_SILENT_SHARE: Final = 0.05  # of the batches
_KEYFRAMES_SHARE: Final = 0.1  # of the batches
_DROPPED_SHARE: Final = 0.1  # of the prompts, for guidance: half without words, half with the negative prompt
_SHORTEST_REGION: Final = 0.25  # of the clip


class Mode(Enum):
    """What a sample is given."""

    TEXT = auto()
    FIRST_FRAME = auto()
    REGION = auto()  # both streams outside a time region
    REGION_OF_PICTURE = auto()  # the sound, and the picture outside a region
    REGION_OF_SOUND = auto()  # the picture, and the sound outside a region
    SOUND = auto()
    PICTURE = auto()


# Most samples learn to read: that is the slowest to come.
_SHARES: Final[Mapping[Mode, float]] = {
    Mode.TEXT: 0.55,
    Mode.FIRST_FRAME: 0.15,
    Mode.REGION: 0.08,
    Mode.REGION_OF_PICTURE: 0.03,
    Mode.REGION_OF_SOUND: 0.03,
    Mode.SOUND: 0.08,
    Mode.PICTURE: 0.08,
}
_SILENT_MODES: Final = (Mode.TEXT, Mode.FIRST_FRAME, Mode.REGION)
_KEYFRAME_MODES: Final = (Mode.TEXT, Mode.FIRST_FRAME, Mode.SOUND)


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


def training_batch(clips: LatentBatch, grid: LatentGrid, rng: np.random.Generator, *, shift: float) -> TrainingBatch:
    """Draw what each clip is given, noise levels for each of its streams, and noise."""
    states = draw_states(clips, grid, rng)
    audio_states = [state.audio for state in states if state.audio is not None]
    return TrainingBatch(
        prompts=tuple(_perhaps_dropped(prompt, rng) for prompt in clips.prompts),
        video=_at_random_levels([state.video for state in states], rng, shift),
        audio=_at_random_levels(audio_states, rng, shift) if audio_states else None,
    )


def draw_states(clips: LatentBatch, grid: LatentGrid, rng: np.random.Generator) -> list[AVStates]:
    """The streams of every clip, each in a mode of its own; all have the same shapes."""
    is_silent = rng.random() < _SILENT_SHARE
    has_keyframes = not is_silent and rng.random() < _KEYFRAMES_SHARE
    num_keyframes = int(rng.integers(1, clips.stills.shape[1])) if has_keyframes else 0
    allowed = _SILENT_MODES if is_silent else _KEYFRAME_MODES if has_keyframes else tuple(_SHARES)
    shares = np.array([_SHARES[mode] for mode in allowed])
    drawn = rng.choice(len(allowed), len(clips.prompts), p=shares / shares.sum())
    return [
        sample_states(clips, index, allowed[mode], grid, rng, num_keyframes=num_keyframes, is_silent=is_silent)
        for index, mode in enumerate(drawn)
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


def _at_random_levels(states: Sequence[StreamState], rng: np.random.Generator, shift: float) -> NoisyStream:
    levels = noise_levels(rng, len(states), shift=shift)
    return NoisyStream.at(states, [float(level) for level in levels], rng)


def _perhaps_dropped(prompt: str, rng: np.random.Generator) -> str:
    if rng.random() >= _DROPPED_SHARE:
        return prompt
    return "" if rng.random() < 0.5 else DEFAULT_NEGATIVE_PROMPT
