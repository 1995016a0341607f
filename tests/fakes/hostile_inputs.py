"""Twenty files that people really bring, and what the studio is to make of each: every panel is tried with all of them.

`INPUTS` is the list; a test takes one, calls `make`, and compares what came of it with what the file is. Whether the
words about a refusal will do is `is_clear`; that nothing went wrong unseen, `errors_in`.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image

from engine.media.write import ClipWriter, write_wav
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from tests.fakes.hostile_clips import SMALL, ClipRecipe, SoundRecipe, make_clip, picture, truncated

Kind = Literal["picture", "clip", "sound", "nothing"]
Maker = Callable[[Path], Path]

HUGE_PROMPT = "a red ball bounces on the floor, " * 20_000  # 660,000 characters
RIGHT_TO_LEFT = "כדור אדום קופץ על הרצפה, كرة حمراء ترتد \u202eabc\u202c"
ODD_NAME = "ein Clip 🎬 شَاهِد #1 %20 'x' & $(y).mp4"


@dataclass(frozen=True)
class Hostile:
    """`num_frames` and `sound_s` are what a reader is to find; a clip has 24 frames unless it says otherwise."""

    name: str
    kind: Kind
    maker: Maker
    size: Size = SMALL
    num_frames: int = 24
    frame_rate: Fraction = Fraction(24)
    has_sound: bool = False
    prompt: str | None = None  # in the request that the file carries

    def make(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return self.maker(folder)


PCM = SoundRecipe(codec="pcm_s16le", sample_format="s16")


def _clip(name: str, recipe: ClipRecipe) -> Maker:
    return lambda folder: make_clip(folder / name, recipe)


def _with_bytes(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _with_request(name: str, prompt: str) -> Maker:
    def make(folder: Path) -> Path:
        metadata = GenerationRequest(prompt, seed=1, model="starter").to_dict()
        with ClipWriter(folder / name, size=SMALL, frame_rate=FrameRate.parse(24), metadata=metadata) as writer:
            writer.write(np.stack([picture(number, SMALL) for number in range(24)]))
        return folder / name

    return make


def _picture(name: str, size: tuple[int, int], form: str) -> Maker:
    def make(folder: Path) -> Path:
        Image.new("RGB", size, (200, 30, 60)).save(folder / name, format=form)
        return folder / name

    return make


def _high_dynamic_range(folder: Path) -> Path:
    path = folder / "hdr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 24)
        stream.width, stream.height, stream.pix_fmt = SMALL.width, SMALL.height, "yuv420p10le"
        tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9, "color_range": 1}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(24):
            frame = av.VideoFrame(SMALL.width, SMALL.height, "yuv420p10le")
            for plane, level in zip(frame.planes, (400 + 8 * number, 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, level, "<u2").tobytes())
            for name, value in tags.items():
                setattr(frame, name, value)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _sound(folder: Path) -> Path:
    times = np.arange(24_000) / 48_000
    write_wav(folder / "voice.wav", (np.sin(2 * np.pi * 220 * times) / 2).astype(np.float32)[None], 48_000)
    return folder / "voice.wav"


def _clip_called_a_picture(folder: Path) -> Path:
    return make_clip(folder / "clip.mkv", ClipRecipe(sound=PCM)).rename(folder / "photo.jpg")


def _half_an_mp4(folder: Path) -> Path:
    return truncated(make_clip(folder / "half.mp4", ClipRecipe(sound=SoundRecipe())), kept=0.5)


_VARIABLE = ClipRecipe(
    time_base=Fraction(1, 90_000), ticks=tuple(3750 * (number + number // 5 * 2) for number in range(24))
)
_NOISE = np.random.default_rng(0).bytes(5000)

INPUTS: tuple[Hostile, ...] = (
    Hostile("0 bytes", "nothing", _with_bytes("empty.mp4", b"")),
    Hostile("noise", "nothing", _with_bytes("noise.mov", _NOISE)),
    Hostile("a letter", "nothing", _with_bytes("letter.mp4", b"This is a letter and no clip.\n" * 100)),
    Hostile("truncated", "nothing", _half_an_mp4),
    Hostile("a clip called a picture", "clip", _clip_called_a_picture, has_sound=True),
    Hostile("a picture called a clip", "picture", _picture("clip.mp4", (64, 48), "PNG"), num_frames=1),
    Hostile("16k picture", "picture", _picture("wide.png", (16_384, 1024), "PNG"), Size(16_384, 1024), num_frames=1),
    Hostile("1 fps", "clip", _clip("slow.mp4", ClipRecipe(rate=Fraction(1))), frame_rate=Fraction(1)),
    Hostile("240 fps", "clip", _clip("fast.mp4", ClipRecipe(rate=Fraction(240))), frame_rate=Fraction(240)),
    Hostile("variable frame rate", "clip", _clip("phone.mp4", _VARIABLE), frame_rate=Fraction(18)),
    Hostile(
        "mono", "clip", _clip("mono.mkv", ClipRecipe(sound=SoundRecipe("pcm_s16le", "s16", "mono"))), has_sound=True
    ),
    Hostile(
        "8-bit sound",
        "clip",
        _clip("old.mkv", ClipRecipe(sound=SoundRecipe("pcm_u8", "u8", "mono"))),
        has_sound=True,
    ),
    Hostile("7.1", "clip", _clip("film.mkv", ClipRecipe(sound=SoundRecipe("pcm_s16le", "s16", "7.1"))), has_sound=True),
    Hostile("no sound", "clip", _clip("silent.mp4", ClipRecipe())),
    Hostile("HDR", "clip", _high_dynamic_range),
    Hostile("rotated", "clip", _clip("upright.mp4", ClipRecipe(quarter_turns=1)), size=Size(48, 64)),
    Hostile("huge prompt", "clip", _with_request("wordy.mp4", HUGE_PROMPT), prompt=HUGE_PROMPT),
    Hostile("right-to-left text", "clip", _with_request("כדור.mp4", RIGHT_TO_LEFT), prompt=RIGHT_TO_LEFT),
    Hostile("emoji and spaces", "clip", _clip(ODD_NAME, ClipRecipe(sound=SoundRecipe())), has_sound=True),
    Hostile("sound alone", "sound", _sound, has_sound=True),
)


def is_clear(words: str) -> bool:
    """Whether a refusal is sentences for people: whole, without a traceback or the names of Python's errors."""
    is_whole = bool(words.strip()) and words.strip()[-1] in ".”"
    return is_whole and not re.search(r"Traceback|Error\b|Errno|None\b|0x[0-9a-f]{4}|[<>]class", words)


def errors_in(records: list[logging.LogRecord]) -> list[str]:
    """What a log says of errors; that a file was refused is none."""
    return [record.getMessage() for record in records if record.exc_info or record.levelno >= logging.ERROR]
