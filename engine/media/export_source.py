"""What an export has to know of a clip: its frames and their times, its key frames, its codecs and its colours.

Reads every packet's header once and decodes the first frame; nothing else is decoded. Frames are numbered as
`read.read_frames` numbers them.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.types import FrameRate, Size

# Frames may be this far from where a constant rate would put them before the clip counts as one with a variable rate:
# containers round times to milliseconds, and a frame shown half a frame late is not noticed.
_VARIABLE_AT = Fraction(1, 2)
_HDR_CURVES = {16, 18}  # AVCOL_TRC_SMPTE2084 and AVCOL_TRC_ARIB_STD_B67
_UNSPECIFIED = 2  # AVCOL_PRI_, AVCOL_TRC_ and AVCOL_SPC_UNSPECIFIED
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True)
class Packet:
    """One frame as it lies in the file."""

    pts: int
    dts: int
    is_key: bool
    num_bytes: int


@dataclass(frozen=True)
class Picture:
    """The picture track."""

    codec: str  # FFmpeg's name: h264, hevc, prores, ffv1, ...
    pixel_format: str
    stored: Size  # as it lies in the file
    shown: Size  # upright, with square pixels
    quarter_turns: int  # counter-clockwise, to show it upright
    frame_rate: FrameRate
    num_frames: int
    bits: int  # of each colour value
    has_alpha: bool
    is_hdr: bool
    primaries: int
    transfer: int
    matrix: int
    is_full_range: bool
    time_base: Fraction
    # In file order; empty where the container gives no times.
    packets: tuple[Packet, ...] = field(repr=False)
    # When each frame begins, from the first one; None where they follow at a constant rate.
    times: tuple[Fraction, ...] | None = field(repr=False)

    @property
    def duration(self) -> Fraction:
        """Seconds, the last frame included."""
        return self.time_of(self.num_frames)

    def time_of(self, frame: int) -> Fraction:
        """When a frame begins; one past the last: when that ends."""
        period = 1 / self.frame_rate.value
        if self.times is None:
            return frame * period
        return self.times[frame] if frame < self.num_frames else self.times[-1] + period

    def frame_at(self, seconds: Fraction) -> int:
        """The frame that is shown at a moment; at a frame's very beginning that frame, whatever the rounding."""
        period = 1 / self.frame_rate.value
        rounded = seconds + period / 1000
        index = int(rounded / period) if self.times is None else bisect_right(self.times, rounded) - 1
        return min(max(index, 0), self.num_frames - 1)


@dataclass(frozen=True)
class Sound:
    """The first sound track."""

    codec: str
    sample_rate: int
    channels: int
    num_bytes: int
    duration_s: float | None


@dataclass(frozen=True)
class Source:
    """A clip to export. At least one of the two is there."""

    path: Path
    picture: Picture | None
    sound: Sound | None
    tags: Mapping[str, str]  # of the container, the request among them

    @property
    def duration_s(self) -> float:
        if self.picture is not None:
            return float(self.picture.duration)
        return (self.sound.duration_s or 0.0) if self.sound is not None else 0.0


def read_source(path: Path | str) -> Source:
    """Raises MediaError for a file that is missing, or neither picture nor sound."""
    path = Path(path)
    with opened(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        tags = dict(container.metadata)
        if video is None and audio is None:
            raise MediaError(path, "it holds neither picture nor sound.", remedy="Choose a clip.")
        packets, sound_bytes, is_timed = _read_packets(container, video, audio)
        sound = None
        if audio is not None:
            seconds = _seconds(audio, container)
            sound = Sound(audio.codec_context.name, audio.rate, audio.channels, sound_bytes, seconds)
    if video is None:
        return Source(path, None, sound, tags)
    return Source(path, _read_picture(path, packets, is_timed=is_timed), sound, tags)


def _read_packets(
    container: InputContainer, video: VideoStream | None, audio: AudioStream | None
) -> tuple[list[Packet], int, bool]:
    """The picture's packets, the sound's bytes, and whether every packet of the picture has its times."""
    packets: list[Packet] = []
    sound_bytes, is_timed = 0, True
    for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
        if packet.size == 0 or packet.is_discard:  # the flush packet at the end, frames cut away by an edit list
            continue
        if packet.stream is audio:
            sound_bytes += packet.size
        elif packet.pts is None or packet.dts is None:
            is_timed = False
            packets.append(Packet(0, 0, packet.is_keyframe, packet.size))
        else:
            packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe, packet.size))
    return packets, sound_bytes, is_timed


def _read_picture(path: Path, packets: list[Packet], *, is_timed: bool) -> Picture:
    with opened(path) as container:
        video = video_stream(container)
        assert video is not None
        first = next(container.decode(video), None)
        if first is None or not packets:
            raise MediaError(path, "its video track holds no picture.", remedy="Choose another clip.")
        rate = video.average_rate or video.guessed_rate or video.base_rate
        if not rate:
            raise MediaError(path, "it does not say its frame rate.", remedy="Convert it to MP4.")
        frame_rate = FrameRate.parse(Fraction(rate))
        assert video.time_base is not None
        turns = round(first.rotation / 90) % 4
        components = first.format.components
        return Picture(
            codec=video.codec_context.name,
            pixel_format=first.format.name,
            stored=Size(first.width, first.height),
            shown=_shown(first, video, turns),
            quarter_turns=turns,
            frame_rate=frame_rate,
            num_frames=len(packets),
            bits=max(component.bits for component in components),
            has_alpha=any(component.is_alpha for component in components) or first.format.name == "pal8",
            is_hdr=int(first.color_trc) in _HDR_CURVES,
            primaries=int(first.color_primaries),
            transfer=int(first.color_trc),
            matrix=int(first.colorspace),
            is_full_range=int(first.color_range) == _FULL_RANGE or first.format.name.startswith("yuvj"),
            time_base=video.time_base,
            packets=tuple(packets) if is_timed else (),
            times=_times(packets, video.time_base, frame_rate) if is_timed else None,
        )


def _shown(first: av.VideoFrame, video: VideoStream, turns: int) -> Size:
    aspect = video.sample_aspect_ratio or Fraction(1)
    width = max(round(first.width * aspect), 1) if aspect > 0 else first.width
    return Size(first.height, width) if turns % 2 else Size(width, first.height)


def _times(packets: list[Packet], time_base: Fraction, rate: FrameRate) -> tuple[Fraction, ...] | None:
    """None where every frame is where the average rate puts it, give or take rounding."""
    stamps = sorted(packet.pts for packet in packets)
    times = tuple((stamp - stamps[0]) * time_base for stamp in stamps)
    period = 1 / rate.value
    is_constant = all(abs(time - index * period) < period * _VARIABLE_AT for index, time in enumerate(times))
    return None if is_constant else times


def _seconds(audio: AudioStream, container: InputContainer) -> float | None:
    if audio.duration is not None and audio.time_base is not None:
        return float(audio.duration * audio.time_base)
    return container.duration / av.time_base if container.duration else None


@contextmanager
def opened(path: Path) -> Generator[InputContainer]:
    """An open container; what FFmpeg finds wrong with it, then or later, becomes a MediaError.

    Files alone: a playlist that points to a server cannot make us open a socket.
    """
    if not path.is_file():
        raise MediaError(path, "there is no such file.", remedy="Choose another file.")
    try:
        with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
            yield container
    except FFmpegError as error:
        raise MediaError(
            path, f"it cannot be decoded ({error.strerror}).", remedy="Choose another file, or repair this one."
        ) from error


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first that is not a cover picture."""
    streams = (stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic)
    return next(streams, None)


def audio_stream(container: InputContainer) -> AudioStream | None:
    return container.streams.audio[0] if container.streams.audio else None


def decoded_frames(source: Source, first: int) -> Iterator[av.VideoFrame]:
    """Frames from `first` on, as they are stored; costs decoding from the key frame before it."""
    picture = source.picture
    assert picture is not None
    with opened(source.path) as container:
        video = video_stream(container)
        assert video is not None
        video.thread_type = "AUTO"
        key = _key_before(picture, first)
        if key is None:
            for index, frame in enumerate(container.decode(video)):
                if index >= first:
                    yield frame
            return
        first_pts = sorted(packet.pts for packet in picture.packets)[first]
        container.seek(key.dts, stream=video)
        for frame in container.decode(video):
            if frame.pts is None or frame.pts >= first_pts:
                yield frame


def _key_before(picture: Picture, frame: int) -> Packet | None:
    """None when decoding begins at the beginning."""
    if frame == 0 or not picture.packets:
        return None
    pts = sorted(packet.pts for packet in picture.packets)[frame]
    keys = [packet for packet in picture.packets if packet.is_key and packet.pts <= pts]
    return max(keys, key=lambda packet: packet.pts, default=None)


def is_untagged(value: int) -> bool:
    """Whether a colour tag says nothing."""
    return value in {0, _UNSPECIFIED}
