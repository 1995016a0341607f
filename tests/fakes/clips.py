"""Clips whose frames say their number."""

from pathlib import Path

import numpy as np

from engine.media.audio import SoundClip
from engine.media.write import ClipWriter, VideoEncoding
from engine.types import FrameRate, Size

LEVELS_PER_FRAME = 4


def write_numbered_clip(path: Path, num_frames: int, *, has_sound: bool = False, level: float = 0.1) -> Path:
    """24 frames a second; each is a flat grey, four levels brighter than the one before."""
    sound = None
    if has_sound:
        sound = SoundClip(np.full((2, num_frames * 2000), level, np.float32), 48_000)
    rate, size = FrameRate.parse(24), Size(64, 32)
    with ClipWriter(path, size=size, frame_rate=rate, audio=sound, video_encoding=VideoEncoding(crf=0)) as writer:
        for number in range(num_frames):
            writer.write(np.full((1, 32, 64, 3), LEVELS_PER_FRAME * number, np.uint8))
    return path


def number_of(grey: int) -> int:
    """Which frame has this grey."""
    return round(grey / LEVELS_PER_FRAME)
