"""A lossless master: pictures as FFV1 in RGB and sound as 32-bit float PCM, in Matroska.

What is read back with `read.read_frames` and `read.read_audio` is what was written, value by value: no colour
conversion, no rounding, no padding. For files that are shown to others there is `write` and `export`; for patching a
clip in its own pixel format, `lossless`.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from engine.media.audio import SoundClip
from engine.media.write import METADATA_KEY, check_writable, published
from engine.types import FrameRate, Size

MASTER_SUFFIXES = frozenset({".mkv"})
# Version 3 with checksums and four slices, which two or more cores share; every frame stands alone.
_FFV1_OPTIONS = {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}
_RGB_FORMAT = "bgr0"  # FFV1's only 8-bit RGB
_RGB_MATRIX = 0  # AVCOL_SPC_RGB, for which PyAV has no name


class Master:
    """An open master; made by `master`."""

    def __init__(self, container: OutputContainer, size: Size, frame_rate: FrameRate, sample_rate: int | None) -> None:
        self._container = container
        self._frame_rate = frame_rate.value
        self._size = size
        self._num_frames = 0
        self._num_samples = 0
        self._video = container.add_stream("ffv1", frame_rate.value, dict(_FFV1_OPTIONS))
        self._video.width, self._video.height, self._video.pix_fmt = size.width, size.height, _RGB_FORMAT
        context = self._video.codec_context
        context.time_base = 1 / frame_rate.value
        context.thread_type = "SLICE"
        context.colorspace, context.color_range = _RGB_MATRIX, ColorRange.JPEG
        self._sound: AudioStream | None = None
        if sample_rate is not None:
            self._sound = container.add_stream("pcm_f32le", sample_rate)
            self._sound.layout = "stereo"

    def write(self, frame: NDArray[np.uint8]) -> None:
        """One frame, (height, width, 3) RGB."""
        assert frame.shape == (self._size.height, self._size.width, 3), (frame.shape, self._size)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format=_RGB_FORMAT)
        picture.pts, picture.time_base, picture.duration = self._num_frames, 1 / self._frame_rate, 1
        self._num_frames += 1
        self._container.mux(self._video.encode(picture))

    def write_sound(self, sound: SoundClip) -> None:
        """What follows the sound so far; stereo, at the master's rate. Best written with the frames it is for."""
        assert self._sound is not None and sound.sample_rate == self._sound.rate and sound.num_channels == 2
        if sound.num_samples == 0:
            return
        interleaved = np.ascontiguousarray(sound.samples.T).reshape(1, -1)
        block = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="stereo")
        block.sample_rate, block.pts = sound.sample_rate, self._num_samples
        block.time_base = Fraction(1, sound.sample_rate)
        self._num_samples += sound.num_samples
        self._container.mux(self._sound.encode(block))

    def finish(self) -> None:
        assert self._num_frames > 0, "a clip needs at least one frame"
        self._container.mux(self._video.encode(None))
        if self._sound is not None:
            self._container.mux(self._sound.encode(None))


@contextmanager
def master(
    path: Path | str,
    *,
    size: Size,
    frame_rate: FrameRate,
    sample_rate: int | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Generator[Master]:
    """The file appears when the block ends without an exception. `sample_rate` None: without a sound track.

    Raises RequestError for a destination that cannot be written, StorageFull, MediaError.
    """
    path = Path(path)
    check_writable(path, suffixes=MASTER_SUFFIXES)
    with published(path) as part, av.open(str(part), "w", format="matroska") as container:
        if metadata is not None:
            container.metadata[METADATA_KEY] = json.dumps(metadata)
        writer = Master(container, size, frame_rate, sample_rate)
        yield writer
        writer.finish()
