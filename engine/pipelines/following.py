"""The part of a given sound or clip that a run follows. No torch.

Where that part lies in a file is the request's `Trim`; what becomes of it is `engine.pipelines.stages`.
"""

from pathlib import Path

import numpy as np

from engine.errors import RequestError
from engine.media.audio import SoundClip
from engine.media.read import probe_clip, read_audio
from engine.request import WHOLE, AudioFit, Trim, VideoReference
from engine.types import FrameRange


def followed_frames(reference: VideoReference) -> FrameRange:
    """Which frames of its file a reference may use. Raises MediaError."""
    facts = probe_clip(reference.path)
    return reference.trim.frames(facts.frame_rate, facts.frames)


def followed_sound(path: Path, trim: Trim = WHOLE) -> SoundClip:
    """The part of a sound, at its own rate. Raises MediaError, and RequestError where nothing is left of it."""
    sound = read_audio(path)
    part = sound.between(trim.start_s, trim.end_s)
    if part.num_samples == 0 < sound.num_samples:
        raise RequestError(
            "audio_trim",
            f"{path.name} lasts {sound.duration_s:.1f} s, and the part to follow begins after that.",
            remedy="Let it begin earlier.",
        )
    return part


def driving_sound(path: Path, duration_s: float, fit: AudioFit = "pad", trim: Trim = WHOLE) -> SoundClip:
    """The sound that a clip follows, at its own rate, stereo, as long as the clip. Raises as `followed_sound`.

    A longer sound is cut, a shorter one followed by silence or, with "loop", by itself.
    """
    sound = followed_sound(path, trim).to_stereo()
    num_samples = round(duration_s * sound.sample_rate)
    if fit == "loop" and 0 < sound.num_samples < num_samples:
        repeats = -(-num_samples // sound.num_samples)
        sound = SoundClip(np.tile(sound.samples, repeats), sound.sample_rate)
    return sound.fitted(num_samples)
