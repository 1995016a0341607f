"""Clips of every kind that people bring, made on the fly: rates, sizes, pixel formats, rotations, sounds, damage.

Each maker writes a small real file by PyAV. `plane_hashes` and `decoded_samples` are what tests compare: the decoded
data themselves, before any conversion.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.format import AudioFormat
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.types import Size


@dataclass(frozen=True)
class SoundRecipe:
    """A tone that rises through the clip. `start` is its first sample; `num_samples` None lasts as long as the clip."""

    codec: str = "aac"
    sample_format: str = "fltp"
    layout: str = "stereo"
    sample_rate: int = 48_000
    start: int = 0
    num_samples: int | None = None


SMALL = Size(64, 48)


@dataclass(frozen=True)
class ClipRecipe:
    """`ticks` are presentation times in units of `time_base`; None shows each frame for one frame's time."""

    num_frames: int = 24
    rate: Fraction = Fraction(24)
    size: Size = SMALL
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=lambda: {"g": "8", "bf": "2", "crf": "18"})
    time_base: Fraction | None = None
    ticks: tuple[int, ...] | None = None
    quarter_turns: int = 0
    tags: Mapping[str, int] = field(default_factory=dict[str, int])  # color_range, colorspace, color_trc, ...
    sound: SoundRecipe | None = None


def picture(number: int, size: Size) -> NDArray[np.uint8]:
    """(height, width, 3): a soft texture that drifts by two pixels a frame, and a bright bar that turns with it."""
    y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
    x = x + 2 * number
    waves = [np.sin(x / 11) * np.cos(y / 9), np.sin(x / 17 + y / 13), np.cos(x / 14 - y / 21)]
    pixels = 128 + 80 * np.stack(waves, axis=-1)
    left = (3 * number) % max(size.width - 8, 1)
    pixels[size.height // 4 : size.height // 2, left : left + 8] = (230, 210, 60)
    return pixels.astype(np.uint8)


def make_clip(path: Path, recipe: ClipRecipe | None = None) -> Path:
    """Writes the clip; the container follows from the name."""
    recipe = recipe or ClipRecipe()
    with av.open(str(path), "w") as container:
        video = cast(VideoStream, container.add_stream(recipe.codec, recipe.rate, dict(recipe.options)))
        video.width, video.height = recipe.size.width, recipe.size.height
        video.pix_fmt = recipe.pixel_format
        time_base = recipe.time_base or 1 / recipe.rate
        video.codec_context.time_base = time_base
        for name, value in recipe.tags.items():
            setattr(video.codec_context, name, value)
        if recipe.quarter_turns:
            video.set_display_rotation(90 * recipe.quarter_turns)
        sound = None if recipe.sound is None else _add_sound(container, recipe.sound)
        for number in range(recipe.num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, recipe.size), format="rgb24")
            frame = frame.reformat(format=recipe.pixel_format)
            for name, value in recipe.tags.items():
                setattr(frame, name, value)
            frame.pts = recipe.ticks[number] if recipe.ticks is not None else number
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and recipe.sound is not None:
            num_samples = round(recipe.num_frames / recipe.rate * recipe.sound.sample_rate)
            _write_sound(container, sound, recipe.sound, num_samples)
    return path


def _add_sound(container: OutputContainer, recipe: SoundRecipe) -> AudioStream:
    stream = cast(AudioStream, container.add_stream(recipe.codec, recipe.sample_rate))
    stream.codec_context.layout = AudioLayout(recipe.layout)
    stream.codec_context.format = AudioFormat(recipe.sample_format)
    return stream


def _write_sound(container: OutputContainer, stream: AudioStream, recipe: SoundRecipe, num_samples: int) -> None:
    num_samples = num_samples if recipe.num_samples is None else recipe.num_samples
    num_channels = AudioLayout(recipe.layout).nb_channels
    time_s = np.arange(num_samples) / recipe.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * (220 + 40 * time_s) * time_s)
    channels = np.stack([tone / (1 + channel / 4) for channel in range(num_channels)])
    dtype, scale, offset = {
        "u8": (np.uint8, 127, 128),
        "s16": (np.int16, 32767, 0),
        "s32": (np.int32, 2**31 - 1, 0),
        "flt": (np.float32, 1, 0),
    }[AudioFormat(recipe.sample_format).packed.name]
    values = cast("NDArray[np.float32]", (channels * scale + offset).astype(dtype))  # of any type
    if not AudioFormat(recipe.sample_format).is_planar:
        values = values.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values),
        format=recipe.sample_format,
        layout=recipe.layout,  # type: ignore[arg-type]
    )
    frame.sample_rate, frame.pts, frame.time_base = recipe.sample_rate, recipe.start, Fraction(1, recipe.sample_rate)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def truncated(path: Path, *, kept: float) -> Path:
    """Cuts the file off after this part of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    return path


def plane_hashes(path: Path) -> list[str]:
    """One for each decoded frame: of its samples as they are stored, or of its pixels where they are RGB."""
    found: list[str] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            digest = hashlib.md5(usedforsecurity=False)
            if frame.format.is_rgb:
                digest.update(frame.to_ndarray(format="rgb24").tobytes())
            else:
                width = 2 if max(component.bits for component in frame.format.components) > 8 else 1
                for plane in frame.planes:
                    rows = np.frombuffer(cast("memoryview[int]", plane), np.uint8).reshape(plane.height, -1)
                    digest.update(np.ascontiguousarray(rows[:, : plane.width * width]).tobytes())
            found.append(digest.hexdigest())
    return found


def decoded_samples(path: Path) -> NDArray[np.generic]:
    """(channels, samples) in the decoder's own type."""
    blocks: list[NDArray[np.generic]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            samples = frame.to_ndarray()
            blocks.append(samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T)
    return np.concatenate(blocks, axis=1)


def packet_hashes(path: Path, kind: str) -> list[str]:
    """One for each packet of the first "video" or "audio" stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
        return [
            hashlib.md5(bytes(packet), usedforsecurity=False).hexdigest()
            for packet in container.demux(stream)
            if packet.size
        ]
