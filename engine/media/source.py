"""A clip that is to be edited: its exact frames, their times, its sound, and windows cut out of it.

Times are those of the file, frame by frame: variable frame rates, late starts and rotation notes are facts of a
`SourceClip`, not errors. Frame numbers count what is shown, from 0; sample numbers count from the moment at which
frame 0 is shown, so sound that starts before the picture has negative ones.

Not here: putting something new into the clip (`compose`, `lossless`, `splice`), pictures of any other file (`read`).
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.errors import MediaError
from engine.media.audio import Samples, SoundClip
from engine.media.read import (
    audio_stream,
    decoded,
    opened,
    quarter_turns,
    stated_frame_rate,
    studio_metadata,
    upright_rgb,
    video_stream,
)
from engine.media.soundtrack import SoundFormat, decoded_pieces, sound_format
from engine.types import FrameRange, FrameRate, Size

Pixels = NDArray[np.uint8]

EDGE_TOLERANCE_S = Fraction(1, 1000)  # what a time in seconds may miss a frame's edge by: Matroska's clock


@dataclass(frozen=True)
class SourceSound:
    """The first sound track, exact to the sample: `num_samples` from `start_sample` (0: with the first picture)."""

    codec: str  # FFmpeg's name of the codec: "aac", "pcm_s16le"
    sample_rate: int
    num_channels: int
    layout: str  # FFmpeg's name of the channel layout: "mono", "stereo", "5.1"
    sample_format: str  # of the decoded samples, packed: "flt", "s16", "u8"
    start_sample: int
    num_samples: int

    @property
    def stop_sample(self) -> int:
        return self.start_sample + self.num_samples

    @property
    def form(self) -> SoundFormat:
        return SoundFormat(self.sample_rate, self.layout, self.sample_format)


@dataclass(frozen=True)
class PacketTimes:
    """One compressed frame, in the file's order; times in ticks."""

    pts: int
    dts: int | None
    duration: int
    is_keyframe: bool
    is_shown: bool  # False for frames that an edit list cuts away


@dataclass(frozen=True)
class SourceClip:
    """`size` is upright, after `quarter_turns` counter-clockwise turns of the stored picture.

    `pts` are the presentation times of every frame in order, in units of `time_base`, as the file has them (the first
    need not be 0); `end_pts` is when the last frame ends. `frame_rate` is the nominal rate; with a variable one it is
    the average. `packets` is None for files that do not say when their frames are shown: those are counted, and spaced
    by the frame rate.
    """

    path: Path
    size: Size
    quarter_turns: int
    codec: str
    pixel_format: str
    frame_rate: FrameRate
    time_base: Fraction
    pts: tuple[int, ...] = field(repr=False)
    end_pts: int
    packets: tuple[PacketTimes, ...] | None = field(repr=False)
    sound: SourceSound | None
    metadata: Mapping[str, object] | None

    @property
    def num_frames(self) -> int:
        return len(self.pts)

    @property
    def duration_s(self) -> float:
        """Of the picture."""
        return float((self.end_pts - self.pts[0]) * self.time_base)

    @property
    def has_variable_rate(self) -> bool:
        """Whether any frame is shown for a time that is off by more than the rounding of the file's clock."""
        nominal = 1 / self.frame_rate.value
        tolerance = max(self.time_base, EDGE_TOLERANCE_S) * Fraction(11, 10)
        return any(abs((after - before) * self.time_base - nominal) > tolerance for before, after in pairwise(self.pts))

    def frame_start(self, frame: int) -> Fraction:
        """Seconds from the first picture; `num_frames` is the end. Beyond both ends frames go on at `frame_rate`."""
        return (self.frame_pts(frame) - self.pts[0]) * self.time_base

    def frame_pts(self, frame: int) -> int:
        """As `frame_start`, in ticks of the file's own clock."""
        if frame < 0:
            return self.pts[0] + round(frame / self.frame_rate.value / self.time_base)
        if frame >= self.num_frames:
            return self.end_pts + round((frame - self.num_frames) / self.frame_rate.value / self.time_base)
        return self.pts[frame]

    def frame_at(self, time_s: float) -> int:
        """The frame that is shown then; the nearest one outside the clip."""
        ticks = (Fraction(time_s) + EDGE_TOLERANCE_S) / self.time_base + self.pts[0]
        return min(max(bisect_right(self.pts, ticks) - 1, 0), self.num_frames - 1)

    def frames_between(self, start_s: float, end_s: float) -> FrameRange:
        """The frames that are shown at any moment of [start_s, end_s), clipped to the clip; may be empty.

        A start or end within a millisecond of a frame's edge counts as that edge.
        """
        if start_s >= self.duration_s or end_s <= 0 or end_s <= start_s:
            at = 0 if end_s <= 0 else min(self.frame_at(start_s), self.num_frames)
            return FrameRange(at, at)
        start = self.frame_at(start_s)
        last = self.frame_at(end_s - 2 * float(EDGE_TOLERANCE_S))
        return FrameRange(start, max(last, start) + 1)

    def sample_at(self, frame: int) -> int:
        """The sample that is heard when a frame appears, rounded to the nearest. There must be sound."""
        assert self.sound is not None, self.path
        return round(self.frame_start(frame) * self.sound.sample_rate)


def open_source(path: Path | str) -> SourceClip:
    """Reads the headers, every packet's times and the sound once; decodes all frames only of files without times.

    Raises MediaError.
    """
    path = Path(path)
    packets = _packets(path)
    with opened(path) as container:
        video = video_stream(container, path)
        assert video.time_base is not None
        rate = stated_frame_rate(video, path)
        decoding = decoded(container, video)
        first = next(decoding, None)
        if first is None:
            raise MediaError(path, "its video track holds no picture.", remedy="Choose another clip.")
        turns, time_base = quarter_turns(first), video.time_base
        upright = Size(first.height, first.width) if turns % 2 else Size(first.width, first.height)
        if packets is None:
            step = 1 / rate.value / time_base
            num_frames = 1 + sum(1 for _ in decoding)
            pts = tuple(round(index * step) for index in range(num_frames))
            end_pts = round(num_frames * step)
        else:
            shown = sorted((packet for packet in packets if packet.is_shown), key=lambda packet: packet.pts)
            pts = tuple(packet.pts for packet in shown)
            end_pts = pts[-1] + (shown[-1].duration or round(1 / rate.value / time_base))
        metadata = studio_metadata(container)
        codec, pixel_format = video.codec_context.codec.canonical_name, first.format.name
    return SourceClip(
        path=path,
        size=upright,
        quarter_turns=turns,
        codec=codec,
        pixel_format=pixel_format,
        frame_rate=rate,
        time_base=time_base,
        pts=pts,
        end_pts=end_pts,
        packets=packets,
        sound=_sound_facts(path, pts[0] * time_base),
        metadata=metadata,
    )


def read_window(source: SourceClip, frames: FrameRange) -> Iterator[Pixels]:
    """The frames of a range, upright RGB (height, width, 3), colours as the source's own matrix gives them.

    Of high dynamic range the code values are kept as they are, without tone mapping: what is made from them goes back
    into the clip by the same conversion. Raises MediaError.
    """
    for frame in decoded_frames(source, frames):
        yield upright_rgb(frame)


def read_sound_window(source: SourceClip, start_sample: int, num_samples: int) -> SoundClip:
    """Exactly `num_samples` from `start_sample` at the source's rate; silence where the track has nothing.

    Mono stays mono, anything wider is mixed down to stereo as `read.read_audio` does. There must be sound.
    """
    sound = source.sound
    assert sound is not None, source.path
    window = sound.form.silence(num_samples)
    with opened(source.path) as container:
        stream = audio_stream(container)
        assert stream is not None, source.path
        zero_s = source.pts[0] * source.time_base
        for piece in decoded_pieces(container, stream, sound.form, zero_s=zero_s):
            start, stop = max(piece.start, start_sample), min(piece.stop, start_sample + num_samples)
            if start < stop:
                inside = piece.samples[:, start - piece.start : stop - piece.start]
                window[:, start - start_sample : stop - start_sample] = inside
            if piece.stop >= start_sample + num_samples:
                break
    if sound.num_channels <= 2:
        return SoundClip(sound.form.to_float(window), sound.sample_rate)
    mixer = av.AudioResampler(format="fltp", layout="stereo")
    planar = np.ascontiguousarray(sound.form.to_float(window))
    frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=sound.layout)
    frame.sample_rate = sound.sample_rate
    mixed = [cast(Samples, block.to_ndarray()) for item in (frame, None) for block in mixer.resample(item)]
    return SoundClip(np.concatenate(mixed, axis=1), sound.sample_rate)


def decoded_frames(source: SourceClip, frames: FrameRange) -> Iterator[av.VideoFrame]:
    """Exactly the frames of a range as they are stored, with their presentation times.

    A frame that is damaged beyond decoding is shown by the one before it. Raises MediaError.
    """
    if not len(frames):
        return
    with opened(source.path) as container:
        video = video_stream(container, source.path)
        video.thread_type = "AUTO"
        if source.packets is None:
            yield from _counted(source, container, video, frames)
            return
        wanted = source.pts[frames.start : frames.stop]
        previous: av.VideoFrame | None = None
        index = 0
        for frame in _from_key_frame(source, container, video, wanted[0]):
            if frame.pts is None:
                continue
            while index < len(wanted) and wanted[index] < frame.pts:
                yield _shown_at(previous or frame, wanted[index], source)
                index += 1
            if index == len(wanted):
                return
            if frame.pts == wanted[index]:
                yield _shown_at(frame, wanted[index], source)
                index += 1
            previous = frame
            if index == len(wanted):
                return
        if previous is None:
            raise MediaError(source.path, "its pictures cannot be decoded.", remedy="Choose another clip.")
        for pts in wanted[index:]:
            yield _shown_at(previous, pts, source)


def _from_key_frame(
    source: SourceClip, container: InputContainer, video: VideoStream, first_pts: int
) -> Iterator[av.VideoFrame]:
    """Frames from the last key frame that is shown no later than `first_pts`."""
    assert source.packets is not None
    keys = [packet for packet in source.packets if packet.is_keyframe and packet.pts <= first_pts]
    if len(keys) > 1:
        last = max(keys, key=lambda packet: packet.pts)
        container.seek(last.pts if last.dts is None else last.dts, stream=video)
        decoding = decoded(container, video)
        first = next(decoding, None)
        if first is not None and first.pts is not None and first.pts <= first_pts:
            yield first
            yield from decoding
            return
        # Some containers are searched only roughly.
        with opened(source.path) as again:
            yield from decoded(again, video_stream(again, source.path))
        return
    yield from decoded(container, video)


def _counted(
    source: SourceClip, container: InputContainer, video: VideoStream, frames: FrameRange
) -> Iterator[av.VideoFrame]:
    for index, frame in enumerate(decoded(container, video)):
        if index >= frames.stop:
            return
        if index in frames:
            yield _shown_at(frame, source.pts[index], source)


def _shown_at(frame: av.VideoFrame, pts: int, source: SourceClip) -> av.VideoFrame:
    frame.pts, frame.time_base = pts, source.time_base
    return frame


def _packets(path: Path) -> tuple[PacketTimes, ...] | None:
    """None when the container does not say when each of its frames is shown, or begins amid a group of pictures."""
    found: list[PacketTimes] = []
    with opened(path) as container:
        for packet in container.demux(video_stream(container, path)):
            if packet.size == 0:  # the flush packet at the end
                continue
            if packet.pts is None:
                return None
            found.append(
                PacketTimes(
                    packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, is_shown=not packet.is_discard
                )
            )
    times = {packet.pts for packet in found if packet.is_shown}
    is_complete = bool(found) and found[0].is_keyframe and len(times) == sum(packet.is_shown for packet in found)
    return tuple(found) if is_complete else None


def _sound_facts(path: Path, zero_s: Fraction) -> SourceSound | None:
    with opened(path) as container:
        stream = audio_stream(container)
        if stream is None:
            if container.streams.audio:
                raise MediaError(path, "its sound cannot be decoded.", remedy="Convert it to MP4, or remove its sound.")
            return None
        first = next(decoded(container, stream), None)
        if first is None:
            return None
        form, codec = sound_format(first), stream.codec_context.codec.canonical_name
    with opened(path) as container:
        start, stop = None, 0
        stream = audio_stream(container)
        assert stream is not None, path
        for piece in decoded_pieces(container, stream, form, zero_s=zero_s):
            start = piece.start if start is None else start
            stop = piece.stop
        if start is None:
            return None
        return SourceSound(
            codec=codec,
            sample_rate=form.sample_rate,
            num_channels=form.num_channels,
            layout=form.layout,
            sample_format=form.sample_format,
            start_sample=start,
            num_samples=stop - start,
        )
