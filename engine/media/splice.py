"""A patched clip whose untouched packets are the source's own: only the groups that hold the patch are encoded again.

Pictures encoded again take the place of the old ones in the decoding order, without B-frames, at a constant quantiser
fine enough for 48 dB against what they replace. In H.264 they refer to parameter sets of their own (`avc`), so nothing
else in the track has to change. `groups` says where the cuts are; the sound is `soundcopy`'s.

Where no cut can be made, `encode_all` writes the whole clip the same way as one new group after the other.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from engine.media import avc, planes
from engine.media.compose import patched_frames, patched_range
from engine.media.groups import Cut
from engine.media.patch import Patch
from engine.media.read import decoding_errors, opened_beside, video_stream
from engine.media.soundcopy import SoundWriter, open_sound
from engine.media.source import SourceClip
from engine.media.write import METADATA_KEY, MUXER_OPTIONS

# At quantiser 4 the step between coefficients is one level (ITU-T H.264, 8.5.9): measured on noise, which is the worst
# there is, 51 dB in RGB. Psychovisual tuning and dead zones would take 4 dB of that.
QUANTISER = 4
GROUP_S = 2  # seconds between key frames in what is encoded again, so that players can jump into it

_X264_PROFILES = {
    **{"Baseline": "baseline", "Constrained Baseline": "baseline", "Main": "main", "High": "high"},
    **{"High 10": "high10", "High 4:2:2": "high422", "High 4:4:4 Predictive": "high444"},
}
_PRORES_PROFILES = {"apco": "0", "apcs": "1", "apcn": "2", "apch": "3", "ap4h": "4", "ap4x": "5"}


@dataclass(frozen=True)
class _Coded:
    """One compressed picture on its way into the file, in ticks of the source's clock."""

    data: bytes
    pts: int
    dts: int
    duration: int
    is_keyframe: bool


def write_spliced(
    source: SourceClip, patch: Patch, cut: Cut, part: Path, metadata: Mapping[str, object] | None, *, container: str
) -> Generator[int, None, None]:
    """Writes to `part`, an "mp4" or "mov", and yields the number of pictures done after each packet.

    Whoever closes the generator has to remove the file. Raises MediaError.
    """
    frames = patched_range(source, patch.picture)
    shift = source.pts[0] - source.frame_pts(frames.start)  # what is put before the clip moves the rest
    with (
        opened_beside(source.path) as original,
        av.open(str(part), "w", format=container, options=MUXER_OPTIONS[container]) as target,
    ):
        given = video_stream(original, source.path)
        encoder = _Encoder.like(source, given) if len(cut.frames) else None
        video = _add_copy(target, given, source)
        if encoder is not None and encoder.header is not None:
            video.codec_context.extradata = encoder.header.to_bytes()
        if metadata is not None:
            target.metadata[METADATA_KEY] = json.dumps(metadata)
        with open_sound(target, source, patch, frames, shift_s=shift * source.time_base) as sound:
            coded = _coded(source, patch, cut, original, given, encoder)
            yield from _mux(target, video, sound, coded, source, shift)


def encode_all(
    source: SourceClip, patch: Patch, part: Path, metadata: Mapping[str, object] | None, *, container: str
) -> Generator[int, None, None]:
    """As `write_spliced`, every picture encoded again: in H.265 if the source is, else in H.264.

    For codecs that packets cannot be joined in. Raises MediaError.
    """
    frames = patched_range(source, patch.picture)
    times = _exact_times(source, frames)
    with (
        opened_beside(source.path) as original,
        av.open(str(part), "w", format=container, options=MUXER_OPTIONS[container]) as target,
    ):
        given = video_stream(original, source.path)
        name = "libx265" if source.codec == "hevc" else "libx264"
        video = target.add_stream(name, source.frame_rate.value)
        pixel_format = _encodable_format(name, source.pixel_format)
        _describe(video.codec_context, source, given, pixel_format)
        video.codec_context.time_base = times.time_base
        video.codec_context.options = _x265_options(source) if name == "libx265" else _x264_options(source, given, "")
        if source.quarter_turns:
            video.set_display_rotation(90 * source.quarter_turns)
        if metadata is not None:
            target.metadata[METADATA_KEY] = json.dumps(metadata)
        with open_sound(target, source, patch, frames, shift_s=times.shift_s) as sound:
            changed = patched_frames(source, patch.picture, frames, pixel_format=pixel_format)
            num_done = 0
            for number, frame in enumerate(_and_none(changed)):
                if frame is not None:
                    frame.pts, frame.time_base = times.pts[number], times.time_base
                    frame.duration = times.pts[number + 1] - times.pts[number]
                    frame.pict_type = PictureType.NONE
                    num_done = number + 1
                for packet in video.encode(frame):
                    assert packet.dts is not None
                    for heard in sound.packets_until(packet.dts * packet.time_base):
                        target.mux(heard)
                    target.mux(packet)
                yield num_done
            for heard in sound.packets_until(None):
                target.mux(heard)
                yield num_done


@dataclass(frozen=True)
class _Times:
    """When each frame of the result is shown, and the end; `shift_s` is by how much frame 0 of the source moves."""

    time_base: Fraction
    pts: list[int]
    shift_s: Fraction


def _exact_times(source: SourceClip, frames: range) -> _Times:
    """At exact distances where the source's are: the clock of its file may be coarser than MP4's."""
    start = source.pts[0] * source.time_base
    if source.has_variable_rate:
        time_base, first = source.time_base, source.frame_pts(frames.start)
        pts = [source.frame_pts(number) - first + source.pts[0] for number in (*frames, frames.stop)]
    else:
        time_base = 1 / source.frame_rate.value
        pts = [round(start / time_base) + index for index in range(len(frames) + 1)]
    return _Times(time_base, pts, pts[-frames.start if frames.start < 0 else 0] * time_base - start)


def _and_none(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame | None]:
    """With the None that makes an encoder give out what it holds back."""
    yield from frames
    yield None


def _mux(
    target: OutputContainer,
    video: VideoStream,
    sound: SoundWriter,
    coded: Iterator[_Coded | av.Packet],
    source: SourceClip,
    shift: int,
) -> Generator[int, None, None]:
    num_done = 0
    for item in coded:
        if isinstance(item, _Coded):
            packet = av.Packet(item.data)
            packet.pts, packet.dts, packet.duration = item.pts, item.dts, item.duration
            packet.is_keyframe = item.is_keyframe
        else:
            packet = item
        assert packet.dts is not None and packet.pts is not None
        packet.pts, packet.dts, packet.time_base = packet.pts + shift, packet.dts + shift, source.time_base
        packet.stream = video
        for heard in sound.packets_until(packet.dts * source.time_base):
            target.mux(heard)
        target.mux(packet)
        num_done += 1
        yield num_done
    for heard in sound.packets_until(None):
        target.mux(heard)
        yield num_done


def _coded(
    source: SourceClip,
    patch: Patch,
    cut: Cut,
    original: InputContainer,
    given: VideoStream,
    encoder: "_Encoder | None",
) -> Iterator[_Coded | av.Packet]:
    """The pictures in decoding order: old packets, and those encoded again where they belong."""
    is_joined = False
    for number, packet in enumerate(_packets(source, original, given)):
        if number >= cut.before and not is_joined and encoder is not None:
            yield from encoder.encode(source, patch, cut.frames)
            is_joined = True
        if not cut.before <= number < cut.after:
            yield packet
    if not is_joined and encoder is not None:
        yield from encoder.encode(source, patch, cut.frames)


def _packets(source: SourceClip, original: InputContainer, given: VideoStream) -> Iterator[av.Packet]:
    with decoding_errors(source.path):
        yield from (packet for packet in original.demux(given) if packet.size)


class _Encoder:
    """Encodes pictures of a patched clip like those around them; `header` is what the track's header becomes."""

    def __init__(self, context: VideoCodecContext, header: avc.AvcHeader | None) -> None:
        self.header = header
        self._context = context

    @classmethod
    def like(cls, source: SourceClip, given: VideoStream) -> "_Encoder":
        """The source's codec and profile; `groups.find_cut` has seen that this can be done."""
        if source.codec == "prores":
            profile = _PRORES_PROFILES.get(given.codec_context.codec_tag, "2")
            return cls(_opened_context("prores_ks", source, given, {"profile": profile, "vendor": "apl0"}), None)
        if source.codec == "mjpeg":
            return cls(_opened_context("mjpeg", source, given, {"qmin": "1", "qmax": "1"}), None)
        header = avc.AvcHeader.parse(given.codec_context.extradata)
        assert header is not None
        number = header.free_id()
        assert number is not None
        context = _opened_context("libx264", source, given, _x264_options(source, given, f"sps-id={number}"))
        own_sets = avc.units_in_stream(context.extradata or b"")
        return cls(context, header.with_sets(own_sets))

    def encode(self, source: SourceClip, patch: Patch, frames: range) -> Iterator[_Coded]:
        """The pictures in order; without B-frames each leaves the encoder in its turn."""
        pixel_format = self._context.pix_fmt
        assert pixel_format is not None
        coming = iter(frames)
        for index, frame in enumerate(patched_frames(source, patch.picture, frames, pixel_format=pixel_format)):
            frame.pts, frame.time_base = index, self._context.time_base
            frame.pict_type = PictureType.NONE  # or the encoder would repeat the source's choice of B-frames
            yield from self._coded(self._context.encode(frame), source, coming)
        yield from self._coded(self._context.encode(None), source, coming)

    def _coded(self, packets: list[av.Packet], source: SourceClip, coming: Iterator[int]) -> Iterator[_Coded]:
        for packet in packets:
            number = next(coming)
            pts = source.frame_pts(number)
            data = bytes(packet)
            if self.header is not None:
                data = avc.packet_of(avc.units_in_stream(data), self.header.length_size)
            yield _Coded(
                data, pts, _decoding_time(source, number), source.frame_pts(number + 1) - pts, packet.is_keyframe
            )


def _decoding_time(source: SourceClip, number: int) -> int:
    """When a picture is decoded that takes the place of the source's: never later than it is shown.

    The source decodes as many pictures before that moment as are shown before it, or more.
    """
    packets = source.packets
    assert packets is not None
    nearest = min(max(number, 0), len(packets) - 1)
    decoded_at = packets[nearest].dts
    assert decoded_at is not None, nearest
    return decoded_at + source.frame_pts(number) - source.frame_pts(nearest)


def _x264_options(source: SourceClip, given: VideoStream, parameters: str) -> dict[str, str]:
    group = max(round(GROUP_S * source.frame_rate.value), 1)
    options = {
        "preset": "veryfast",
        "qp": str(QUANTISER),
        "x264-params": ":".join(
            filter(
                None,
                [
                    parameters,
                    "bframes=0",
                    f"keyint={group}",
                    "ipratio=1",
                    "open-gop=0",
                    "psy=0",
                    "deadzone-inter=6",
                    "deadzone-intra=6",
                ],
            )
        ),
    }
    profile = _X264_PROFILES.get(given.codec_context.profile or "")
    if profile is not None:
        options["profile"] = profile
    return options


def _x265_options(source: SourceClip) -> dict[str, str]:
    group = max(round(GROUP_S * source.frame_rate.value), 1)
    parameters = (
        f"qp={QUANTISER}:bframes=0:keyint={group}:open-gop=0:ipratio=1:psy-rd=0:psy-rdoq=0:rdoq-level=0:log-level=error"
    )
    return {"preset": "veryfast", "x265-params": parameters}


def _opened_context(encoder: str, source: SourceClip, given: VideoStream, options: dict[str, str]) -> VideoCodecContext:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, VideoCodecContext)
    _describe(context, source, given, planes.lossless_format(source.pixel_format) or source.pixel_format)
    context.time_base = 1 / source.frame_rate.value
    context.flags |= Flags.global_header
    context.options = options
    context.open()
    return context


def _describe(context: VideoCodecContext, source: SourceClip, given: VideoStream, pixel_format: str) -> None:
    """Size, rate and colours as the source's."""
    before = given.codec_context
    context.width, context.height, context.pix_fmt = before.width, before.height, pixel_format
    context.framerate = source.frame_rate.value
    context.color_range, context.colorspace = before.color_range, before.colorspace
    context.color_primaries, context.color_trc = before.color_primaries, before.color_trc
    if before.sample_aspect_ratio:
        context.sample_aspect_ratio = before.sample_aspect_ratio


def _encodable_format(encoder: str, pixel_format: str) -> str:
    """The source's pixel format if the encoder knows it, else the nearest that players show."""
    stored = planes.lossless_format(pixel_format) or pixel_format
    known = {item.name for item in av.Codec(encoder, "w").video_formats or ()}
    return stored if stored in known and not planes.is_rgb(stored) else "yuv420p"


def _add_copy(target: OutputContainer, given: VideoStream, source: SourceClip) -> VideoStream:
    video = target.add_stream_from_template(given, opaque=True)
    if given.codec_context.codec_tag in {"avc1", "avc3", "hvc1", "hev1", *_PRORES_PROFILES}:
        video.codec_context.codec_tag = given.codec_context.codec_tag
    if source.quarter_turns:
        video.set_display_rotation(90 * source.quarter_turns)
    return video
