"""Reading pictures, clips and sound the user brings, as upright sRGB pixels and float samples.

Rotation notes of cameras are applied, colour profiles are converted, and sound that starts late or has holes keeps
its place in time. Files are opened with FFmpeg's file protocol alone: a playlist that points to a server cannot make
us open a socket. Frames are counted, not timed: a clip with a variable frame rate yields every frame once, and
`frame_rate` is its average.

Not here: resampling and channel layout of sound once it is read (`audio`), cached previews (`thumbnails`).
"""

import io
import json
import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, islice
from pathlib import Path
from typing import cast, overload

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from engine.errors import MediaError
from engine.media.audio import Samples, SoundClip
from engine.media.taps import bilinear_taps
from engine.media.tone import HDR_TRANSFERS, to_standard_range
from engine.media.write import METADATA_KEY
from engine.types import FrameRate, Size

Pixels = NDArray[np.uint8]

log = logging.getLogger("engine.media")

# Each chroma sample is repeated for its four pixels, which is what `write.RGB_TO_YUV` averages: a frame of ours that
# is read and written again enters the encoder with the very values it was decoded to. Smoother interpolation drifts
# with each generation.
YUV_TO_RGB = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# Sound is moved to where its timestamps say when it would otherwise be this far off: the earliest lead that viewers
# notice (ITU-R BT.1359-1). Below it lie the rounding of container timestamps and codec delays.
SOUND_DRIFT_S = 0.045

# 16384 x 16384, whose pixels take 0.8 GB. Pillow's own limit is a third of that, and only warns.
MAX_PICTURE_PIXELS = 2**28
MAX_PICTURE_SIDE = 16_384  # of x264, which pictures go through before the model sees them
Image.MAX_IMAGE_PIXELS = None

_UNSPECIFIED_MATRIX = 2  # AVCOL_SPC_UNSPECIFIED
_HIGH_DEFINITION_LINES = 720  # untagged pictures: BT.709 from here on, BT.601 below, as players do


@dataclass(frozen=True)
class ClipFacts:
    """What a clip is, as it is shown: `size` is after rotation, `frames` counts what `read_frames` yields.

    `metadata` is what `write.ClipWriter` was given, None in files of other programs.
    """

    size: Size
    frame_rate: FrameRate
    frames: int
    duration_s: float
    audio_sample_rate: int | None
    audio_channels: int | None
    metadata: Mapping[str, object] | None


def read_image(path: Path | str) -> Pixels:
    """(height, width, 3), turned upright, in sRGB; alpha is dropped, of an animation the first picture is taken."""
    path = _existing(path)
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PICTURE_PIXELS or max(picture.size) > MAX_PICTURE_SIDE:
                raise MediaError(
                    path,
                    f"{picture.width}x{picture.height} pixels are more than can be worked with.",
                    remedy="Save it smaller.",
                )
            return np.array(_to_srgb(ImageOps.exif_transpose(picture)))
    except MediaError:
        raise
    # Pillow's decoders raise whatever a damaged file leads them to: struct.error, KeyError, SyntaxError, ...
    except Exception as error:
        raise MediaError(path, "it cannot be read as a picture.", remedy="Convert it to PNG or JPEG.") from error


def probe_clip(path: Path | str) -> ClipFacts:
    """Reads the headers and the first frame, and every packet where the container does not count its frames."""
    path = Path(path)
    with opened(path) as container:
        video = video_stream(container, path)
        num_frames = _indexed_frame_count(video) or len(_packets(path))
        first = next(decoded(container, video), None)
        if first is None:
            raise MediaError(path, "its video track holds no picture.", remedy="Choose another clip.")
        frame_rate = stated_frame_rate(video, path)
        is_sideways = quarter_turns(first) % 2 == 1
        sound = audio_stream(container)
        return ClipFacts(
            size=Size(first.height, first.width) if is_sideways else Size(first.width, first.height),
            frame_rate=frame_rate,
            frames=num_frames,
            duration_s=frame_rate.seconds(num_frames),
            audio_sample_rate=sound.rate if sound else None,
            audio_channels=sound.channels if sound else None,
            metadata=studio_metadata(container),
        )


def read_frames(path: Path | str, *, start: int = 0, stop: int | None = None) -> Iterator[Pixels]:
    """Frames `start` up to, not including, `stop`, each (height, width, 3) in sRGB; fewer when the clip ends before.

    A start inside the clip costs one pass over its packets and then decoding from the key frame before it.
    """
    assert start >= 0, start
    assert stop is None or stop >= start, (start, stop)
    path = Path(path)
    point = _seek_point(_packets(path), start) if start > 0 else None
    with opened(path) as container:
        video = video_stream(container, path)
        video.thread_type = "AUTO"
        if point is None:
            frames = islice(decoded(container, video), start, stop)
        else:
            first = point.first
            container.seek(point.seek_to, stream=video)
            wanted = dropwhile(lambda frame: frame.pts is not None and frame.pts < first, decoded(container, video))
            frames = islice(wanted, None if stop is None else stop - start)
        for frame in frames:
            yield _shown(frame)


def read_audio(path: Path | str) -> SoundClip:
    """The first sound track at its own rate, mono or mixed down to stereo; its time zero is the clip's first picture.

    A track that starts late begins with silence, one that starts early loses its lead, a hole in it is filled with
    silence. Surround goes to stereo by FFmpeg's ITU-R BS.775 coefficients without lowering the level, so loud
    passages may pass 1.
    """
    path = Path(path)
    with opened(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise MediaError(path, "it has no sound track.", remedy="Choose a file with sound.")
        videos = [video for video in container.streams.video if not _is_cover_art(video)]
        zero_s = _start_s(videos[0]) if videos else _start_s(stream)
        clip = _assembled(_decoded_blocks(container, stream), zero_s=zero_s)
        if clip is None:
            raise MediaError(path, "its sound track is empty.", remedy="Choose a file with sound.")
        return clip


def h264_round_trip(image: Pixels, crf: int) -> Pixels:
    """The picture as one H.264 frame would show it, both sides floored to even; `crf` 0 returns the picture itself.

    The model was trained on conditioning pictures treated this way. One frame a second is part of the recipe: x264
    derives the quantiser from the frame's duration too. So are the default colour matrix and scaler, the same in both
    directions.
    """
    height, width = (side // 2 * 2 for side in image.shape[:2])
    if crf == 0 or height == 0 or width == 0:
        return image
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", 1, {"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height = width, height
        even = np.ascontiguousarray(image[:height, :width])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as container:
        frame = next(container.decode(container.streams.video[0]))
        return cast(Pixels, frame.to_ndarray(format="rgb24"))


def cover_resize(image: Pixels | NDArray[np.floating], size: Size) -> NDArray[np.float32]:
    """Scaled to cover `size`, then cropped around the centre; values keep their range, 0..255 stays 0..255.

    Bilinear between pixel centres without antialiasing (torch: `align_corners=False, antialias=False`), the scaled
    sides rounded up: what the model was trained on, so a large picture shrunk this way aliases on purpose.
    """
    height, width = image.shape[:2]
    if width * size.height >= height * size.width:  # wider than the target: the heights decide
        scaled_height, scaled_width = size.height, -(-width * size.height // height)
    else:
        scaled_height, scaled_width = -(-height * size.width // width), size.width
    rows = bilinear_taps(height, scaled_height, size.height)
    columns = bilinear_taps(width, scaled_width, size.width)

    def across(lines: NDArray[np.intp]) -> NDArray[np.float32]:
        left = image[lines[:, None], columns.first].astype(np.float32)
        right = image[lines[:, None], columns.second].astype(np.float32)
        left *= columns.first_weight[None, :, None]
        right *= columns.second_weight[None, :, None]
        left += right
        return left

    upper, lower = across(rows.first), across(rows.second)
    upper *= rows.first_weight[:, None, None]
    lower *= rows.second_weight[:, None, None]
    upper += lower
    return upper


@dataclass(frozen=True)
class _PacketTime:
    pts: int
    dts: int
    is_keyframe: bool


@dataclass(frozen=True)
class _SeekPoint:
    seek_to: int  # decoding time of a key frame shown no later than `first`
    first: int  # presentation time of the first wanted frame


def _packets(path: Path) -> list[_PacketTime | None]:
    """One entry for each frame the decoder will show, in file order; None where the container gives no times."""
    found: list[_PacketTime | None] = []
    with opened(path) as container:
        for packet in container.demux(video_stream(container, path)):
            if packet.size == 0 or packet.is_discard:  # the flush packet at the end, frames cut away by an edit list
                continue
            if packet.pts is None or packet.dts is None:
                found.append(None)
            else:
                found.append(_PacketTime(packet.pts, packet.dts, packet.is_keyframe))
    return found


def _seek_point(packets: list[_PacketTime | None], start: int) -> _SeekPoint | None:
    """None when only decoding from the beginning finds frame `start`."""
    timed = [packet for packet in packets if packet is not None]
    if len(timed) < len(packets) or start >= len(timed):
        return None
    first = sorted(packet.pts for packet in timed)[start]
    key_frames = [packet for packet in timed if packet.is_keyframe and packet.pts <= first]
    if not key_frames:
        return None
    return _SeekPoint(seek_to=max(key_frames, key=lambda packet: packet.pts).dts, first=first)


def _indexed_frame_count(video: VideoStream) -> int:
    """0 when the container has no complete index; frames that an edit list cuts away are not counted."""
    entries = video.index_entries
    if video.frames == 0 or len(entries) != video.frames:
        return 0
    return sum(not entry.is_discard for entry in entries)


def _shown(frame: av.VideoFrame) -> Pixels:
    """As `upright_rgb`, with high dynamic range brought to the standard one."""
    if frame.color_trc not in HDR_TRANSFERS:
        return upright_rgb(frame)
    signal = frame.reformat(
        format="rgb48le",
        src_colorspace=matrix_of(frame),
        dst_color_range=ColorRange.JPEG,
        interpolation=YUV_TO_RGB,
    )
    pixels = to_standard_range(cast("NDArray[np.uint16]", signal.to_ndarray()), frame.color_trc)
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns(frame)))


def upright_rgb(frame: av.VideoFrame) -> Pixels:
    """A decoded frame as it is shown, (height, width, 3), by its own matrix and range."""
    rgb = _without_chroma_location(frame).reformat(
        format="rgb24", src_colorspace=matrix_of(frame), dst_color_range=ColorRange.JPEG, interpolation=YUV_TO_RGB
    )
    return np.ascontiguousarray(np.rot90(cast(Pixels, rgb.to_ndarray()), quarter_turns(frame)))


def _without_chroma_location(frame: av.VideoFrame) -> av.VideoFrame:
    """A copy that does not say where its chroma samples lie, which would shift them by a pixel against `YUV_TO_RGB`.

    Most cameras say "left"; reading and writing again would then move colours a little to the side each time.
    """
    form = frame.format
    if form.is_rgb or form.has_palette or len(form.components) < 3 or form.chroma_width(2) == 2:
        return frame
    copy = av.VideoFrame(frame.width, frame.height, form.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        rows = np.frombuffer(cast("memoryview[int]", source), np.uint8).reshape(source.height, -1)
        copied = np.frombuffer(cast("memoryview[int]", target), np.uint8).reshape(target.height, -1)
        width = min(rows.shape[1], copied.shape[1])
        copied[:, :width] = rows[:, :width]
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    copy.color_primaries, copy.color_trc = frame.color_primaries, frame.color_trc
    return copy


def matrix_of(frame: av.VideoFrame) -> Colorspace | None:
    """The matrix to assume for a frame that does not say its own; None for one that does."""
    if frame.colorspace != _UNSPECIFIED_MATRIX:
        return None
    return Colorspace.ITU709 if frame.height >= _HIGH_DEFINITION_LINES else Colorspace.ITU601


def quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise turns that show the frame upright, from the camera's display matrix."""
    return round(frame.rotation / 90) % 4


@dataclass(frozen=True)
class _SoundBlock:
    start_s: Fraction | None  # None where the container gives no time
    clip: SoundClip
    num_beyond_end: int  # samples after the end of the track, if this is its last block


def _decoded_blocks(container: InputContainer, stream: AudioStream) -> Iterator[_SoundBlock]:
    """What the decoder gives, as float samples in at most stereo: 8-bit loses its offset, integers become -1..1."""
    target_layout = "mono" if stream.channels == 1 else "stereo"
    resampler: av.AudioResampler | None = None
    source: tuple[str, str, int] | None = None
    for frame in decoded(container, stream):
        if source != (frame.format.name, frame.layout.name, frame.sample_rate):  # broadcasts change it midway
            source = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="fltp", layout=target_layout)
        assert resampler is not None
        for block in resampler.resample(frame):
            start_s = None if block.pts is None or block.time_base is None else block.pts * block.time_base
            clip = SoundClip(cast(Samples, block.to_ndarray()), block.sample_rate)
            yield _SoundBlock(start_s, clip, _num_beyond_end(frame))


def _num_beyond_end(frame: av.AudioFrame) -> int:
    """By how much a block is longer than its stated duration: codecs fill up their last block.

    0 when the difference may be the rounding of the container's clock (milliseconds in Matroska).
    """
    if not frame.duration or frame.time_base is None:
        return 0
    tick = frame.time_base * frame.sample_rate
    excess = frame.samples - frame.duration * tick
    return int(excess) if excess >= max(tick, 1) else 0


def _assembled(blocks: Iterator[_SoundBlock], *, zero_s: Fraction | None) -> SoundClip | None:
    """The blocks one after the other, with silence put in or samples dropped where their times demand it."""
    parts: list[Samples] = []
    num_samples, rate, num_beyond_end = 0, 0, 0
    for block in blocks:
        rate = rate or block.clip.sample_rate
        samples = block.clip.resampled(rate).samples
        drift = 0
        if block.start_s is not None and zero_s is not None:
            drift = round((block.start_s - zero_s) * rate) - num_samples
        if parts and abs(drift) < SOUND_DRIFT_S * rate:
            drift = 0
        placed = np.pad(samples[:, max(-drift, 0) :], ((0, 0), (max(drift, 0), 0)))
        parts.append(placed)
        num_samples += placed.shape[1]
        num_beyond_end = block.num_beyond_end
    return SoundClip(np.concatenate(parts, axis=1), rate).fitted(num_samples - num_beyond_end) if parts else None


def _start_s(stream: VideoStream | AudioStream) -> Fraction | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return stream.start_time * stream.time_base


def stated_frame_rate(video: VideoStream, path: Path) -> FrameRate:
    """The average over the clip. Raises MediaError where the file does not say it."""
    rate = video.average_rate or video.guessed_rate or video.base_rate
    if not rate:
        raise MediaError(path, "it does not say its frame rate.", remedy="Convert it to MP4.")
    return FrameRate.parse(Fraction(rate))


def studio_metadata(container: InputContainer) -> Mapping[str, object] | None:
    """What `write.ClipWriter` was given as metadata; None in files of other programs."""
    # Matroska turns the names of tags into capitals.
    text = next((value for key, value in container.metadata.items() if key.lower() == METADATA_KEY), None)
    try:
        value = json.loads(text) if text else None
    except ValueError:  # another program's tag of that name
        return None
    return value if isinstance(value, dict) else None


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # grey with 16 bits a pixel, which Pillow would clip to 8 instead of scaling
        levels = np.rint(np.asarray(image).astype(np.float64) / 257)  # 65535 / 255
        image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    for mode, without_alpha in (("P", "RGBA"), ("PA", "RGBA"), ("RGBA", "RGB"), ("LA", "L")):
        if image.mode == mode:
            image = image.convert(without_alpha)
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (OSError, ImageCms.PyCMSError) as error:
            log.info("a colour profile is ignored because it is damaged or made for other pixels: %s", error)
        else:
            assert converted is not None  # None is for conversions in place
            return converted
    return image.convert("RGB")


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise MediaError(path, "there is no such file.", remedy="Choose another file.")
    if path.stat().st_size == 0:
        raise MediaError(path, "it is empty.", remedy="Copy it again, or choose another file.")
    return path


@contextmanager
def opened(path: Path) -> Generator[InputContainer]:
    """An open container; what FFmpeg finds wrong with it, then or later, becomes a MediaError."""
    with decoding_errors(path), opened_beside(path) as container:
        yield container


@contextmanager
def opened_beside(path: Path) -> Generator[InputContainer]:
    """As `opened`, but errors in the block stay as they are: it may have other files open."""
    _existing(path)
    with decoding_errors(path):
        container = av.open(str(path.absolute()), options={"protocol_whitelist": "file"})
    with container:
        yield container


@contextmanager
def decoding_errors(path: Path) -> Generator[None]:
    """Turns what FFmpeg finds wrong with a file into a MediaError."""
    try:
        yield
    except (FFmpegError, OSError) as error:
        raise MediaError(
            path,
            f"it cannot be decoded ({error.strerror}).",
            remedy="Convert it to MP4 or WAV, or choose another file.",
        ) from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first track of moving pictures, cover art left aside. Raises MediaError where there is none."""
    for stream in container.streams.video:
        if not _is_cover_art(stream):
            if not _has_decoder(stream):
                raise MediaError(path, "its pictures are of an unknown kind, or damaged.", remedy="Convert it to MP4.")
            return stream
    raise MediaError(path, "it has no picture.", remedy="Choose a file with a video track.")


def _is_cover_art(stream: VideoStream) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first sound track that can be decoded."""
    return next((stream for stream in container.streams.audio if _has_decoder(stream)), None)


@overload
def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]: ...
@overload
def decoded(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]: ...
def decoded(
    container: InputContainer, stream: VideoStream | AudioStream
) -> Iterator[av.VideoFrame] | Iterator[av.AudioFrame]:
    """What can be decoded of a track: packets that are damaged are left out, as players do."""
    num_damaged = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            num_damaged += 1
            continue
        yield from cast("list[av.VideoFrame]", frames)
    if num_damaged:
        log.info("%d packets of %s are damaged and left out", num_damaged, container.name)


def _has_decoder(stream: VideoStream | AudioStream) -> bool:
    """False for kinds FFmpeg does not know; PyAV then has neither a codec nor any of its facts."""
    return cast("object", stream.codec_context) is not None
