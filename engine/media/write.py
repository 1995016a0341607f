"""Writing clips and sound: a file appears complete under its name, or not at all.

Pictures become H.264 with real BT.709 limited-range colours and say so in every tag; sound becomes AAC, interleaved
with the picture and exactly as long. The encoder runs on its own thread, so decoding the next tile overlaps with
x264. The file is written beside its destination and renamed at the end; whatever goes wrong, the partial file is
removed.

Not here: which frames to write (`engine.pipelines`), other codecs and image sequences (`engine.media.export`).
"""

import errno
import io
import json
import os
import secrets
import tempfile
import wave
from collections import deque
from collections.abc import Collection, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.errors import MediaError, RequestError, StorageFull
from engine.media.audio import Samples, SoundClip
from engine.types import FrameRate, Size

CLIP_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # suffix -> FFmpeg's name of the container
SOUND_SUFFIXES = frozenset({".wav"})
METADATA_KEY = "ltx_studio"  # the request that made the clip, as JSON (DESIGN 5.3)

# Averaging 2x2 pixels per chroma sample, from full-resolution chroma, with rounding: every sample is within half a
# level of the exact BT.709 value. swscale's default (bilinear, without the two flags) is off by up to 24 levels on
# detailed chroma.
RGB_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP

# One chunk being encoded and one waiting: enough to overlap decoding with encoding, at twice a chunk's memory.
MAX_PENDING_CHUNKS = 2

AAC_BLOCK = 1024  # samples in one AAC frame (ISO/IEC 14496-3)


# Index in front of the data, so that players and browsers start at once; tags with names of our own; and a clock that
# counts samples, because the default of milliseconds would round the length of the sound.
_QUICKTIME = {"movflags": "+faststart+use_metadata_tags", "movie_timescale": "48000"}
MUXER_OPTIONS: dict[str, dict[str, str]] = {"mp4": _QUICKTIME, "mov": _QUICKTIME, "matroska": {}}


@dataclass(frozen=True)
class VideoEncoding:
    """How pictures are compressed. `crf`: 0 is lossless, 19 is hard to tell from the source, 51 is the worst."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    preset: str = "veryfast"
    crf: int = 19


@dataclass(frozen=True)
class AudioEncoding:
    """How sound is compressed: stereo AAC at twice FFmpeg's default bit rate, still little beside the picture."""

    sample_rate: int = 48_000
    bit_rate: int = 256_000


class ClipWriter:
    """Writes one clip; `with ClipWriter(...) as writer: writer.write(frames)`, any number of times.

    The clip exists under its name once the `with` block has ended without an exception. An exception of any kind
    inside the block (a cancelled run, Ctrl-C) removes what was written and leaves an older file of that name as it
    was. `audio` is resampled, made stereo, clipped to -1..1 and then padded with silence or cut to the length of the
    picture; None writes a silent clip without a sound track. (In Matroska, which does not say where AAC's last block
    ends, up to 21 ms of silence may follow.) `metadata` must be JSON-able. Raises RequestError for a destination or
    size that cannot be written, StorageFull, and MediaError.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size: Size,
        frame_rate: FrameRate,
        audio: SoundClip | None = None,
        metadata: Mapping[str, object] | None = None,
        video_encoding: VideoEncoding | None = None,
        audio_encoding: AudioEncoding | None = None,
    ) -> None:
        self._path = Path(path)
        self._size = size
        self._frame_rate = frame_rate
        self._audio = audio
        self._metadata = metadata
        self._video_encoding = video_encoding or VideoEncoding()
        self._audio_encoding = audio_encoding or AudioEncoding()
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        check_writable(self._path, suffixes=CLIP_FORMATS)
        if self._size.width % 2 or self._size.height % 2:
            raise RequestError("size", f"A clip cannot be {self._size}.", remedy="Both sides must be even.")
        self._part = partial_path(self._path)
        try:
            with named_errors(self._path):
                self._encoder = _Encoder(
                    self._part,
                    container_format=CLIP_FORMATS[self._path.suffix.lower()],
                    size=self._size,
                    frame_rate=self._frame_rate,
                    audio=self._audio,
                    metadata=self._metadata,
                    video_encoding=self._video_encoding,
                    audio_encoding=self._audio_encoding,
                )
        except BaseException:
            _remove(self._part)
            raise
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clip-writer")
        return self

    def write(self, frames: NDArray[np.uint8] | NDArray[np.floating]) -> None:
        """Appends frames, (frames, height, width, 3) RGB: uint8, or float in 0..1.

        Floats are rounded, and clipped outside 0..1. Frames are copied before this returns, so the caller may reuse
        its buffer. Waits while two chunks are still being encoded, and raises what went wrong with an earlier chunk.
        """
        assert frames.ndim == 4, frames.shape
        assert frames.shape[1:] == (self._size.height, self._size.width, 3), (frames.shape, self._size)
        chunk = _as_uint8(frames)
        with named_errors(self._path):
            while self._pending and (self._pending[0].done() or len(self._pending) >= MAX_PENDING_CHUNKS):
                self._wait_for_oldest()
            self._pending.append(self._thread.submit(self._encoder.encode, chunk))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._encoder.is_cancelled = True
            self._thread.shutdown(cancel_futures=True)
            # Removed while still open, where the system allows it: closing then fails at once instead of moving the
            # index of a file nobody wants. Windows refuses, and removes it after closing.
            _remove(self._part)
            self._encoder.abandon()
            _remove(self._part)

    def _wait_for_oldest(self) -> None:
        self._pending[0].result()
        # Not reached when it failed: the error comes again at the next call, so no clip with a hole is ever
        # published.
        self._pending.popleft()

    def _finish(self) -> None:
        with named_errors(self._path):
            while self._pending:
                self._wait_for_oldest()
            self._thread.submit(self._encoder.finish).result()
            _publish(self._part, self._path)


class _Encoder:
    """The open container and its two streams. After the constructor everything runs on the writer's thread."""

    def __init__(
        self,
        part: Path,
        *,
        container_format: str,
        size: Size,
        frame_rate: FrameRate,
        audio: SoundClip | None,
        metadata: Mapping[str, object] | None,
        video_encoding: VideoEncoding,
        audio_encoding: AudioEncoding,
    ) -> None:
        self.is_cancelled = False
        self._frame_rate = frame_rate.value
        self._sample_rate = audio_encoding.sample_rate
        self._num_frames = 0
        self._num_samples = 0  # fed to the sound encoder so far
        self._samples = _prepared_samples(audio, self._sample_rate)
        self._container = av.open(str(part), "w", format=container_format, options=MUXER_OPTIONS[container_format])
        try:
            if metadata is not None:
                self._container.metadata[METADATA_KEY] = json.dumps(metadata)
            self._video = self._add_video(size, video_encoding)
            self._sound = None if audio is None else self._add_sound(audio_encoding)
        except BaseException:
            self.abandon()
            raise

    def _add_video(self, size: Size, encoding: VideoEncoding) -> VideoStream:
        # RGB_TO_YUV puts each chroma sample in the middle of its four pixels, where H.264's silence would mean the
        # left edge.
        options = {"crf": str(encoding.crf), "preset": encoding.preset, "chroma_sample_location": "center"}
        stream = cast(VideoStream, self._container.add_stream(encoding.codec, self._frame_rate, options))
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, encoding.pixel_format
        context = stream.codec_context
        context.time_base = 1 / self._frame_rate
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        self._pixel_format = encoding.pixel_format
        return stream

    def _add_sound(self, encoding: AudioEncoding) -> AudioStream:
        stream = self._container.add_stream("aac", encoding.sample_rate)
        stream.layout, stream.format, stream.bit_rate = "stereo", "fltp", encoding.bit_rate
        return stream

    def encode(self, frames: NDArray[np.uint8]) -> None:
        for pixels in frames:
            if self.is_cancelled:
                return
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format=self._pixel_format,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=RGB_TO_YUV,
            )
            frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            frame.pts, frame.time_base = self._num_frames, 1 / self._frame_rate
            frame.duration = 1
            self._num_frames += 1
            self._mux_video(self._video.encode(frame))

    def finish(self) -> None:
        assert self._num_frames > 0, "a clip needs at least one frame"
        self._mux_video(self._video.encode(None))
        if self._sound is not None:
            # Exactly as long as the picture, to the nearest sample.
            num_samples = round(self._num_frames / self._frame_rate * self._sample_rate)
            self._feed_sound(num_samples)
            self._feed_block(num_samples - self._num_samples)
            self._container.mux(self._sound.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Closes a file nobody wants; why closing it fails is of no interest either. Does nothing after `finish`."""
        with suppress(FFmpegError, OSError, ValueError):
            self._container.close()

    def _mux_video(self, packets: list[Packet]) -> None:
        # Sound follows the pictures that leave the encoder, not those that enter it: x264 holds back dozens of
        # frames, which at low frame rates is more than the ten seconds for which the muxer would reorder packets.
        for packet in packets:
            assert packet.dts is not None
            self._feed_sound(int((packet.dts + 1) / self._frame_rate * self._sample_rate))
            self._container.mux(packet)

    def _feed_sound(self, end_sample: int) -> None:
        """Encodes whole blocks of sound that end at or before `end_sample`."""
        if self._sound is not None:
            while self._num_samples + AAC_BLOCK <= end_sample:
                self._feed_block(AAC_BLOCK)

    def _feed_block(self, num_samples: int) -> None:
        if self._sound is None or num_samples == 0:
            return
        stop = self._num_samples + num_samples
        block = SoundClip(self._samples[:, self._num_samples : stop], self._sample_rate).fitted(num_samples)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = (
            self._sample_rate,
            self._num_samples,
            Fraction(1, self._sample_rate),
        )
        self._num_samples = stop
        self._container.mux(self._sound.encode(frame))


def write_wav(path: Path | str, samples: Samples, sample_rate: int) -> None:
    """Writes 16-bit PCM: float (channels, samples) in -1..1, rounded to the nearest level and clipped.

    The file appears complete or not at all. Raises RequestError, StorageFull, MediaError.
    """
    destination = Path(path)
    check_writable(destination, suffixes=SOUND_SUFFIXES)
    # 32768 and not 32767: what every decoder divides by, so sound that came from 16 bits goes back unchanged.
    levels = np.clip(np.rint(np.asarray(samples, np.float32) * 32768), -32768, 32767).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as target:
        target.setnchannels(levels.shape[0])
        target.setsampwidth(2)
        target.setframerate(sample_rate)
        target.writeframes(np.ascontiguousarray(levels.T).tobytes())
    part = partial_path(destination)
    try:
        with named_errors(destination):
            part.write_bytes(content.getbuffer())
            _publish(part, destination)
    finally:
        _remove(part)


def check_writable(path: Path | str, *, suffixes: Collection[str] = frozenset(CLIP_FORMATS) | SOUND_SUFFIXES) -> None:
    """Raises RequestError for `output` if a file could not be written there; to be called before any work is done.

    Creates and removes a nameless file in the folder: permissions alone do not tell about read-only disks and quotas.
    """
    path = Path(path)
    folder = path.parent
    if path.suffix.lower() not in suffixes:
        kinds = ", ".join(sorted(suffixes))
        raise RequestError(
            "output",
            f"{path.name} does not end in a kind of file we can write.",
            remedy=f"End its name in one of {kinds}.",
        )
    if path.is_dir():
        raise RequestError("output", f"{path} is a folder.", remedy="Choose the name of a file.")
    if not folder.is_dir():
        raise RequestError("output", f"The folder {folder} does not exist.", remedy="Create it, or choose another.")
    if path.exists() and not os.access(path, os.W_OK):
        raise RequestError("output", f"{path} is write-protected.", remedy="Choose another name, or unprotect it.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            "output", f"The folder {folder} cannot be written to: {_reason(error)}.", remedy="Choose another folder."
        ) from error


def partial_path(destination: Path) -> Path:
    """Where to write a file that will be renamed to `destination`: hidden, in the same folder, unlike any other.

    Absolute, because FFmpeg would take a relative name with a colon for a network address.
    """
    return destination.absolute().with_name(f".{destination.stem[:40]}.{secrets.token_hex(4)}.part")


@contextmanager
def published(destination: Path) -> Generator[Path]:
    """A path to write to; the file gets its name when the block ends without an exception, else it is removed.

    Errors of the system and of FFmpeg inside the block become StorageFull and MediaError about `destination`.
    """
    part = partial_path(destination)
    try:
        with named_errors(destination):
            yield part
            _publish(part, destination)
    finally:
        _remove(part)


def _publish(part: Path, destination: Path) -> None:
    """Gives a complete file its name, once its bytes are on the disk."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(destination)


def _remove(part: Path) -> None:
    with suppress(OSError):  # cleaning up must not hide the error that made it necessary
        part.unlink(missing_ok=True)


@contextmanager
def named_errors(path: Path) -> Generator[None]:
    """Turns errors of the system and of FFmpeg into ours, about the file the user named and not the partial one."""
    try:
        yield
    except (OSError, FFmpegError) as error:
        if error.errno in _DISK_FULL:
            raise StorageFull(path, "the disk is full.", remedy="Free some space, or save to another disk.") from error
        if error.errno == errno.EFBIG:
            raise StorageFull(
                path,
                "this disk cannot hold a file that large.",
                remedy="Save to another disk, or make the clip shorter.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise MediaError(
                path,
                "the system refused to write it.",
                remedy="Close programs that have it open, or choose another name.",
            ) from error
        raise MediaError(
            path, f"it could not be written: {_reason(error)}.", remedy="Save to another folder."
        ) from error


_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error


def _reason(error: OSError | FFmpegError) -> str:
    return error.strerror or type(error).__name__


def _as_uint8(frames: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.uint8]:
    """Always a copy."""
    if frames.dtype == np.uint8:
        return np.array(frames, np.uint8, order="C")
    assert np.issubdtype(frames.dtype, np.floating), frames.dtype
    levels = np.multiply(frames, 255, dtype=np.float32)
    np.rint(levels, out=levels)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8, order="C")


def _prepared_samples(audio: SoundClip | None, sample_rate: int) -> Samples:
    if audio is None:
        return np.zeros((2, 0), np.float32)
    return np.clip(audio.to_stereo().resampled(sample_rate).samples, -1, 1)
