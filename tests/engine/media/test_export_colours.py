"""Colours survive an export, whatever the clip keeps them in.

Alone: `pytest tests/engine/media/test_export_colours.py`.
"""

from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from engine.media.export_request import ExportRequest, ExportSettings, Format
from engine.media.read import read_frames
from tests.fakes.exports import made


def write_frames(path: Path, codec: str, pixel_format: str) -> Path:
    """Three gradients in a pixel format of their own."""
    down, across = np.mgrid[0:64, 0:96]
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, 24))
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        for number in range(3):
            picture = np.stack([across * 2 + 9 * number, down * 3, 255 - across * 2], axis=-1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("ffv1", "bgr0"), ("ffv1", "yuv444p"), ("ffv1", "yuv420p10le"), ("mjpeg", "yuvj420p")],
)
@pytest.mark.parametrize(("kind", "name"), [(Format.H264, "a.mp4"), (Format.PRORES, "a.mov"), (Format.PNG, "a")])
def test_colours_are_what_they_were(tmp_path: Path, codec: str, pixel_format: str, kind: Format, name: str) -> None:
    clip = write_frames(tmp_path / "clip.mkv", codec, pixel_format)
    settings = ExportSettings(format=kind, quality=95 if kind.is_lossy else None)

    result = made(ExportRequest(clip, settings), tmp_path / name)

    before = np.stack(list(read_frames(clip))).astype(np.float64)
    if kind is Format.PNG:
        after = np.stack([np.asarray(Image.open(file)) for file in sorted(result.path.iterdir())])
        assert np.array_equal(after, before)
    else:
        after = np.stack(list(read_frames(result.path)))
        assert np.mean((after - before) ** 2) < 5  # 41 dB; a wrong matrix or range costs hundreds
        assert np.abs(after.mean((0, 1, 2)) - before.mean((0, 1, 2))).max() < 1.5
