"""Clips to export whose frames, sound and tags are known, and what is in the files that come of them.

python -m tests.fakes.exports QUEUE_FILE     run the lane of exports, a line for each frame, until nothing waits
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np

from engine.events import Notice, Progress
from engine.jobs.exports import LANE, ExportEngine
from engine.jobs.runner import JobEvent, run_queue
from engine.jobs.store import JobStore
from engine.media.audio import SoundClip
from engine.media.export import Exported, ExportEvent, ExportResult, export
from engine.media.export_request import ExportRequest
from engine.media.write import ClipWriter, VideoEncoding
from engine.types import FrameRate, Size

SECRET = "a secret prototype on a table"
SIZE, FRAMES, RATE = Size(64, 48), 24, FrameRate.parse(24)
SOUND_RATE = 48_000
TONE_LUFS = -20.0  # of the tone below, which is steady


def write_clip(
    path: Path,
    *,
    num_frames: int = FRAMES,
    size: Size = SIZE,
    rate: FrameRate = RATE,
    has_sound: bool = True,
    amplitude: float = 0.1,
    grain: int = 0,
) -> Path:
    """A moving gradient with a bright square, a tone in its sound and a request in its tags.

    `grain` is how many levels of noise lie over it, which encoders find hard.
    """
    noise = np.random.default_rng(7)
    down, across = np.mgrid[0 : size.height, 0 : size.width]
    sound = SoundClip(tone(num_frames / float(rate), amplitude), SOUND_RATE) if has_sound else None
    metadata = {"schema": 1, "prompt": SECRET}
    encoding = VideoEncoding(crf=12)
    with ClipWriter(
        path, size=size, frame_rate=rate, audio=sound, metadata=metadata, video_encoding=encoding
    ) as writer:
        for number in range(num_frames):
            picture = np.stack([(across * 3 + 5 * number) % 256, (down * 4) % 256, (across + down) % 256], axis=-1)
            left = (number * 2) % (size.width - 16)
            picture[8:24, left : left + 16] = (250, 240, 40)
            picture = picture + noise.integers(0, grain + 1, picture.shape)
            writer.write(np.clip(picture, 0, 255)[None].astype(np.uint8))
    return path


def tone(seconds: float, amplitude: float = 0.1) -> np.ndarray:
    times = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    return np.stack([amplitude * np.sin(2 * np.pi * 997 * times)] * 2).astype(np.float32)


def made(request: ExportRequest, output: Path) -> ExportResult:
    """The export, to its end."""
    return result_of(export(request, output))


def result_of(events: Iterable[ExportEvent]) -> ExportResult:
    last = list(events)[-1]
    assert isinstance(last, Exported)
    return last.result


def notes_of(events: Iterable[ExportEvent]) -> list[str]:
    """The codes of what is said on the way."""
    return [event.code for event in events if isinstance(event, Notice)]


def facts(path: Path) -> dict[str, Any]:
    """What the file itself says, read by FFmpeg and not by the code under test; every frame is decoded."""
    with av.open(str(path)) as container:
        found: dict[str, Any] = {"tags": {name.lower(): value for name, value in container.metadata.items()}}
        if container.streams.video:
            video = container.streams.video[0]
            frames = list(container.decode(video))
            found |= {
                "codec": video.codec_context.name,
                "profile": video.codec_context.profile,
                "pixel_format": video.codec_context.pix_fmt,
                "frames": len(frames),
                "size": (frames[0].width, frames[0].height),
                "rate": video.average_rate,
                "matrix": int(frames[0].colorspace),
                "range": int(frames[0].color_range),
            }
    with av.open(str(path)) as container:
        if container.streams.audio:
            audio = container.streams.audio[0]
            blocks = [frame.samples for frame in container.decode(audio)]
            found |= {"sound": audio.codec_context.name, "sound_rate": audio.rate, "samples": sum(blocks)}
    return found


def request_in(path: Path) -> dict[str, Any] | None:
    """The request a file carries."""
    text = facts(path)["tags"].get("ltx_studio")
    return None if text is None else json.loads(text)


def packets(path: Path) -> list[bytes]:
    """The picture's packets, byte by byte."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def main() -> None:
    with JobStore(Path(sys.argv[1])) as store:
        for event in run_queue(store, ExportEngine(), lane=LANE):
            if isinstance(event, JobEvent) and isinstance(event.event, Progress):
                sys.stdout.write(f"{event.event.step}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
