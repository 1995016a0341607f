"""The sound of a spliced clip: the source's packets where it is untouched, new ones where it is not.

AAC packets overlap: each decoded block is the sum of two packets' halves. So what is encoded again begins one block
before the first changed sample and ends one after the last; there both encoders describe the same sound, and the
halves fit (ISO/IEC 14496-3, 4.6.11). A track that cannot be joined that way is encoded again as a whole.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer

from engine.media.lossless import patched_sound
from engine.media.patch import NewSoundtrack, Patch, SoundPatch
from engine.media.read import audio_stream, decoding_errors, opened, opened_beside
from engine.media.soundtrack import Piece, SoundFormat
from engine.media.source import SourceClip
from engine.media.write import AAC_BLOCK

AAC_BIT_RATE_PER_CHANNEL = 128_000  # as `write.AudioEncoding` has for stereo
_WARM_UP_BLOCKS = 2  # what the encoder hears before its first packet that counts: its window and its level control


@dataclass(frozen=True)
class AacGrid:
    """A track of AAC packets without gaps: packet `n` decodes to the 1024 samples from `first + 1024 * n`."""

    first: int
    num_packets: int
    first_pts: int  # in ticks of one sample

    def replaced(self, start: int, stop: int) -> range:
        """The packets to encode again where the samples from `start` to `stop` change."""
        first_block = (start - self.first) // AAC_BLOCK
        blocks_stop = -((self.first - stop) // AAC_BLOCK)
        return range(max(first_block - 1, 0), blocks_stop)


class SoundWriter:
    """Gives out packets of the sound in step with the picture."""

    def __init__(self, packets: Iterator[av.Packet]) -> None:
        self._packets = packets
        self._waiting: av.Packet | None = None

    def packets_until(self, time_s: Fraction | None) -> Iterator[av.Packet]:
        """Those that begin by then; None for all the rest."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            at = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and at is not None and at * packet.time_base > time_s:
                self._waiting = packet
                return
            yield packet


@contextmanager
def open_sound(
    target: OutputContainer, source: SourceClip, patch: Patch, frames: range, *, shift_s: Fraction
) -> Generator[SoundWriter]:
    """Adds the sound's stream, if there is any, to `target`; every time moves by `shift_s`."""
    with opened_beside(source.path) as original:
        given = audio_stream(original)
        if given is None or source.sound is None or not is_sound_kept(source, patch):
            form, pieces = patched_sound(source, patch, frames)
            if form is None:
                yield SoundWriter(iter(()))
                return
            stream = _add_aac(target, form)
            zero_s = source.pts[0] * source.time_base + shift_s
            yield SoundWriter(_encoded(stream, pieces, form, round(zero_s * form.sample_rate)))
            return
        copy = target.add_stream_from_template(given, opaque=True)
        with decoding_errors(source.path):
            packets = [packet for packet in original.demux(given) if packet.size]
        if isinstance(patch.sound, SoundPatch):
            grid = aac_grid(source)
            assert grid is not None, source.path
            packets = _spliced(packets, grid, source, patch, frames)
        yield SoundWriter(_moved(iter(packets), copy, shift_s))


def is_sound_kept(source: SourceClip, patch: Patch) -> bool:
    """Whether packets of the source's sound can be copied around the patch, or there is no sound to copy."""
    match patch.sound:
        case None:
            return True
        case NewSoundtrack():
            return False
        case SoundPatch() as change:
            grid = aac_grid(source)
            return grid is not None and change.start_sample >= grid.first


def aac_grid(source: SourceClip) -> AacGrid | None:
    """None for another codec, for kinds of AAC that our encoder does not write, and for packets with gaps."""
    sound = source.sound
    if sound is None or sound.codec != "aac":
        return None
    with opened(source.path) as container:
        stream = audio_stream(container)
        assert stream is not None, source.path
        if stream.profile != "LC" or stream.time_base != Fraction(1, sound.sample_rate):
            return None
        configuration = _aac_context(sound.form).extradata or b""
        if (stream.codec_context.extradata or b"")[:2] != configuration[:2]:
            return None
        times = [packet.pts for packet in container.demux(stream) if packet.size]
    first = times[0]
    if first is None or times != [first + AAC_BLOCK * number for number in range(len(times))]:
        return None
    zero = round(source.pts[0] * source.time_base * sound.sample_rate)
    return AacGrid(first - zero, len(times), first)


def _spliced(
    packets: list[av.Packet], grid: AacGrid, source: SourceClip, patch: Patch, frames: range
) -> list[av.Packet]:
    assert isinstance(patch.sound, SoundPatch)
    form, pieces = patched_sound(source, patch, frames)
    assert form is not None
    num_new = patch.sound.sound.resampled(form.sample_rate).num_samples
    replaced = grid.replaced(patch.sound.start_sample, patch.sound.start_sample + num_new)
    first_block = replaced.start - _WARM_UP_BLOCKS
    begin, end = (grid.first + AAC_BLOCK * block for block in (first_block, replaced.stop + _WARM_UP_BLOCKS))
    encoder = _aac_context(form)
    found: dict[int, av.Packet] = {}
    for piece in _window(pieces, form, begin, end):
        for packet in encoder.encode(_float_frame(piece, form, -begin)):
            assert packet.pts is not None
            found[first_block + packet.pts // AAC_BLOCK] = packet
    for packet in encoder.encode(None):
        assert packet.pts is not None
        found[first_block + packet.pts // AAC_BLOCK] = packet
    fresh = [found[number] for number in replaced]
    for number, packet in zip(replaced, fresh, strict=True):
        packet.pts = packet.dts = grid.first_pts + AAC_BLOCK * number
        packet.time_base = Fraction(1, form.sample_rate)
    return packets[: replaced.start] + fresh + packets[replaced.stop :]


def _window(pieces: Iterator[Piece], form: SoundFormat, begin: int, end: int) -> Iterator[Piece]:
    """What lies in [begin, end), filled up with silence at both sides."""
    position = begin
    for piece in pieces:
        start, stop = max(piece.start, begin), min(piece.stop, end)
        if start >= stop:
            continue
        if start > position:
            yield Piece(position, form.silence(start - position))
        yield Piece(start, piece.samples[:, start - piece.start : stop - piece.start])
        position = stop
    if position < end:
        yield Piece(position, form.silence(end - position))


def _moved(packets: Iterator[av.Packet], stream: AudioStream, shift_s: Fraction) -> Iterator[av.Packet]:
    for packet in packets:
        shift = round(shift_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        packet.stream = stream
        yield packet


def _add_aac(target: OutputContainer, form: SoundFormat) -> AudioStream:
    stream = target.add_stream("aac", form.sample_rate)
    stream.layout, stream.format = form.layout, "fltp"
    stream.bit_rate = AAC_BIT_RATE_PER_CHANNEL * form.num_channels
    return stream


def _aac_context(form: SoundFormat) -> AudioCodecContext:
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = form.sample_rate, form.layout, "fltp"
    context.time_base = Fraction(1, form.sample_rate)
    context.bit_rate = AAC_BIT_RATE_PER_CHANNEL * form.num_channels
    context.flags |= Flags.global_header
    context.open()
    return context


def _encoded(stream: AudioStream, pieces: Iterator[Piece], form: SoundFormat, offset: int) -> Iterator[av.Packet]:
    for piece in pieces:
        yield from stream.encode(_float_frame(piece, form, offset))
    yield from stream.encode(None)


def _float_frame(piece: Piece, form: SoundFormat, offset: int) -> av.AudioFrame:
    """A piece as the AAC encoder takes it, its first sample at `piece.start + offset`."""
    samples = np.clip(form.to_float(piece.samples), -1, 1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=form.layout)
    frame.sample_rate, frame.time_base = form.sample_rate, Fraction(1, form.sample_rate)
    frame.pts = piece.start + offset
    return frame
