"""The file an export writes: its container, its two streams, its tags, and the sound in step with the picture."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from engine.errors import RequestError
from engine.media.audio import SoundClip
from engine.media.export_formats import KINDS, MUXER_OPTIONS, MUXERS, encoder_options
from engine.media.export_picture import output_colours
from engine.media.export_plan import ExportPlan, copied_packets
from engine.media.export_request import DEFAULT_QUALITY, Format
from engine.media.export_source import Picture, Source, audio_stream, opened, video_stream
from engine.media.write import METADATA_KEY

_DISK_TROUBLE = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EACCES, getattr(errno, "EDQUOT", errno.ENOSPC)}
_BLOCK = 1024  # samples, where the encoder does not care
# Of the container itself and of the program that wrote it; never the user's.
_CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "language"}
# What unregistered user data is in each codec: encoders write their settings there, cameras their owner's.
_WITHOUT_USER_DATA = {"h264": "filter_units=remove_types=6", "hevc": "filter_units=remove_types=39-40"}
_APPLE_TAG = "hvc1"  # H.265 under its other name does not play on Apple's devices


class Sink:
    """An open container. What is written stays in `part` until the caller gives it its name."""

    def __init__(self, plan: ExportPlan, source: Source, part: Path, sound: SoundClip | None) -> None:
        self._plan = plan
        self._sound = sound
        self._num_samples = 0  # fed to the sound encoder so far
        self._num_pictures = 0  # that have left the encoder
        self._sources: dict[str, Any] = {}
        settings = plan.request.settings
        options = dict(MUXER_OPTIONS.get(plan.suffix, {}))
        if not settings.keeps_metadata:
            options["fflags"] = "+bitexact"  # no name of the program that wrote it
        self._container = av.open(str(part), "w", format=MUXERS[plan.suffix], options=options)
        try:
            self._container.metadata.update(kept_tags(plan, source))
            self._video = self._add_video(source)
            self._audio = self._add_audio(source)
            self._container.start_encoding()
        except FFmpegError as error:
            self.abandon()
            if error.errno in _DISK_TROUBLE or plan.picture is None:
                raise
            raise _refusal(plan, error) from error
        except BaseException:
            self.abandon()
            raise
        self._filter = self._user_data_filter()
        self._block = _BLOCK
        if isinstance(self._audio, AudioStream) and plan.sound is not None and not plan.sound.is_copied:
            self._block = self._audio.codec_context.frame_size or _BLOCK

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abandon()

    # --- streams ------------------------------------------------------------------------------------------------------

    def _add_video(self, source: Source) -> VideoStream | None:
        plan, settings = self._plan.picture, self._plan.request.settings
        if plan is None or source.picture is None:
            return None
        if plan.is_copied:
            return cast(VideoStream, self._add_copy(source, "video"))
        quality = settings.quality or DEFAULT_QUALITY
        options = encoder_options(settings.format, plan.encoder, quality=quality, bit_rate=settings.bit_rate)
        if METADATA_KEY in {name.lower() for name in source.tags} and "420" in plan.pixel_format:
            options["chroma_sample_location"] = "center"  # as clips of ours have it
        if not settings.keeps_metadata:
            options["flags"] = options.get("flags", "") + "+bitexact"
        if settings.format is Format.AV1:
            os.environ.setdefault("SVT_LOG", "1")  # errors alone; the encoder writes its settings to the terminal
        rate = plan.frame_rate.value
        stream = cast(VideoStream, self._container.add_stream(plan.encoder, rate, options))
        stream.width, stream.height, stream.pix_fmt = plan.size.width, plan.size.height, plan.pixel_format
        context = stream.codec_context
        context.time_base = 1 / rate
        if settings.bit_rate is not None:
            stream.bit_rate = settings.bit_rate
        if settings.format is not Format.GIF:
            self._tag_colours(stream, source.picture)
        if settings.format is Format.H265 and self._plan.suffix != ".mkv":
            context.codec_tag = _APPLE_TAG
        return stream

    def _tag_colours(self, stream: VideoStream, picture: Picture) -> None:
        colours, context = output_colours(picture), stream.codec_context
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.colorspace, context.color_range = colours.matrix, ColorRange.MPEG

    def _add_audio(self, source: Source) -> AudioStream | None:
        plan = self._plan.sound
        if plan is None:
            return None
        if plan.is_copied:
            return cast(AudioStream, self._add_copy(source, "audio"))
        assert self._sound is not None
        options = {} if self._plan.request.settings.keeps_metadata else {"flags": "+bitexact"}
        stream = cast(AudioStream, self._container.add_stream(plan.kind.encoder, plan.sample_rate, options))
        is_mono = self._sound.num_channels == 1 and self._plan.picture is None
        stream.layout, stream.format = "mono" if is_mono else "stereo", plan.kind.layout_format
        if plan.kind.bit_rate is not None:
            stream.bit_rate = plan.kind.bit_rate
        return stream

    def _add_copy(self, source: Source, kind: str) -> Any:
        with opened(source.path) as container:
            template = video_stream(container) if kind == "video" else audio_stream(container)
            assert template is not None
            stream = self._container.add_stream_from_template(template)
            stream.metadata.clear()
            if kind == "video" and KINDS[Format.H265].codec == template.codec_context.name:
                stream.codec_context.codec_tag = _APPLE_TAG if self._plan.suffix != ".mkv" else stream.codec_tag
            return stream

    def _user_data_filter(self) -> Any:
        if self._plan.request.settings.keeps_metadata or self._plan.picture is None or self._video is None:
            return None
        name = _WITHOUT_USER_DATA.get(KINDS[self._plan.request.settings.format].codec)
        return None if name is None else av.BitStreamFilterContext(name, self._video)

    def stream_for(self, packet: Packet) -> Any:
        """Where a packet of the clip goes; None for what is not copied."""
        plan = self._plan
        if packet.stream.type == "video":
            return self._video if plan.picture is not None and plan.picture.is_copied else None
        return self._audio if plan.sound is not None and plan.sound.is_copied else None

    # --- writing ------------------------------------------------------------------------------------------------------

    def encode(self, frame: av.VideoFrame | None) -> Iterator[int]:
        """The next frame, and the sound up to it; None: what the encoder holds back.

        Yields after each picture that leaves the encoder how many have left so far.
        """
        assert self._video is not None
        for packet in self._video.codec_context.encode_lazy(frame):
            packet.stream = self._video
            self._put(packet)
            self._num_pictures += 1
            yield self._num_pictures

    def _put(self, packet: Packet) -> None:
        # Sound follows the pictures that leave the encoder, not those that enter it: encoders hold back dozens.
        if packet.dts is not None:
            self.feed_sound_until(Fraction(packet.dts + 1) * packet.time_base)
        self.mux(packet)

    def mux(self, packet: Packet) -> None:
        if self._filter is not None and packet.stream.type == "video":
            for filtered in self._filter.filter(packet):
                filtered.stream = self._video
                self._container.mux(filtered)
        else:
            self._container.mux(packet)

    @property
    def num_sound_blocks(self) -> int:
        return 0 if self._sound is None else -(-self._sound.num_samples // self._block)

    def feed_sound_until(self, seconds: Fraction) -> None:
        """Whole blocks of sound that end by then."""
        if self._sound is not None:
            while (self._num_samples + self._block) <= seconds * self._sound.sample_rate:
                if not self.feed_sound_block():
                    return

    def feed_sound_block(self) -> bool:
        """The next block of sound; whether there was one."""
        if self._sound is None or self._audio is None or self._num_samples >= self._sound.num_samples:
            return False
        block = self._sound.samples[:, self._num_samples : self._num_samples + self._block]
        if self._audio.layout.name == "stereo" and self._sound.num_channels == 1:
            block = np.repeat(block, 2, axis=0)
        frame = av.AudioFrame.from_ndarray(
            _as_encoded(block, self._audio.format.name), format=self._audio.format.name, layout=self._audio.layout.name
        )
        frame.sample_rate, frame.pts = self._sound.sample_rate, self._num_samples
        frame.time_base = Fraction(1, self._sound.sample_rate)
        self._num_samples += block.shape[1]
        self._container.mux(self._audio.encode(frame))
        return True

    def finish(self) -> None:
        """The rest of the sound, then the index."""
        if self._sound is not None and self._audio is not None:
            while self.feed_sound_block():
                pass
            self._container.mux(self._audio.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Closes a file nobody wants; why closing it fails is of no interest. Does nothing after `finish`."""
        with suppress(FFmpegError, OSError, ValueError):
            self._container.close()


def _refusal(plan: ExportPlan, error: FFmpegError) -> RequestError:
    """An encoder that does not open for such a picture."""
    assert plan.picture is not None
    remedy = "Encode on the processor." if plan.picture.is_hardware else "Choose another size, rate or format."
    message = f"The encoder {plan.picture.encoder} refuses a picture of {plan.picture.size}: {error.strerror}."
    return RequestError("hardware" if plan.picture.is_hardware else "size", message, remedy=remedy)


def _as_encoded(block: np.ndarray, sample_format: str) -> np.ndarray:
    """Samples in the encoder's own format: full scale is -1..1, beyond it they are clipped."""
    if sample_format == "fltp":
        return np.ascontiguousarray(np.clip(block, -1, 1))
    interleaved = np.ascontiguousarray(block.T.reshape(1, -1))
    if sample_format == "flt":
        return np.clip(interleaved, -1, 1)
    assert sample_format == "s32", sample_format
    # 24 bits in the upper part. 2^23 and not one less: what decoders divide by, so 16-bit sound comes back unchanged.
    levels = np.clip(np.rint(interleaved.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)
    return levels.astype(np.int32) << 8


def kept_tags(plan: ExportPlan, source: Source) -> Mapping[str, str]:
    """The clip's own tags, the request that made it among them, where the user lets them through."""
    if not plan.request.settings.keeps_metadata:
        return {}
    kept: dict[str, str] = {}
    for name, value in source.tags.items():
        if name.lower() == METADATA_KEY:  # Matroska turns names into capitals
            # A WAV file has a few fixed tags; this is the one for free text.
            kept["comment" if plan.suffix == ".wav" else METADATA_KEY] = value
        elif name.lower() not in _CONTAINER_TAGS:
            kept.setdefault(name, value)
    return kept


def copied(plan: ExportPlan, source: Source, sink: Sink) -> Iterator[Packet]:
    """The clip's packets that are copied, in file order, timed from the first one of the range."""
    picture = source.picture
    assert picture is not None and plan.picture is not None
    run = copied_packets(picture, plan.picture.frames) if plan.picture.is_copied else None
    first_pts = min((packet.pts for packet in picture.packets), default=0)
    if run is not None:
        first_pts = min(picture.packets[index].pts for index in run)
    start = first_pts * picture.time_base
    with opened(source.path) as container:
        streams = [stream for stream in (video_stream(container), audio_stream(container)) if stream is not None]
        number = -1
        for packet in container.demux(streams):
            if packet.size == 0:
                continue
            if packet.stream.type == "video":
                if packet.is_discard:
                    continue
                number += 1
                if run is None or number not in run:
                    continue
            stream = sink.stream_for(packet)
            if stream is None:
                continue
            shift = round(start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = stream
            yield packet
