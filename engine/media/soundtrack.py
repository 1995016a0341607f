"""The samples of a sound track as they are decoded, and a patch mixed into them, in the track's own format.

A stream of pieces, so that an hour of surround needs no more memory than a second of it. Samples outside a patch are
never converted. Holes in a track are filled with silence, as players do.

Not here: sound as the pipelines hear it, in stereo floats (`audio`, `read`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from engine.media.audio import Samples, SoundClip
from engine.media.patch import SoundPatch
from engine.media.read import SOUND_DRIFT_S, decoded

Native = NDArray[np.generic]

PIECE_SAMPLES = 4096  # about a tenth of a second: what is mixed and muxed at a time


@dataclass(frozen=True)
class SoundFormat:
    """How a track's samples are stored once decoded."""

    sample_rate: int
    layout: str
    sample_format: str  # the packed one: "s16", "flt", "u8"

    @property
    def num_channels(self) -> int:
        return av.AudioLayout(self.layout).nb_channels

    def silence(self, num_samples: int) -> Native:
        """(channels, samples)."""
        level = 128 if self.sample_format == "u8" else 0
        return np.full((self.num_channels, num_samples), level, _DTYPES[self.sample_format])

    def to_float(self, samples: Native) -> Samples:
        """-1..1 as (channels, samples)."""
        values = samples.astype(np.float64)
        if self.sample_format == "u8":
            values -= 128
        return (values / _FULL_SCALE[self.sample_format]).astype(np.float32)

    def from_float(self, values: NDArray[np.floating]) -> Native:
        """Rounded to the nearest level and clipped where the format has levels."""
        dtype, scale = _DTYPES[self.sample_format], _FULL_SCALE[self.sample_format]
        if np.issubdtype(dtype, np.floating):
            return values.astype(dtype)
        levels = np.rint(values.astype(np.float64) * scale) + (128 if self.sample_format == "u8" else 0)
        limits = np.iinfo(cast("type[np.integer]", dtype))
        return np.clip(levels, limits.min, limits.max).astype(dtype)

    def placed(self, sound: SoundClip) -> Samples:
        """New sound at this rate and in these channels: front left and right, or mixed down to mono."""
        samples = sound.resampled(self.sample_rate).samples
        if self.num_channels == 1:
            return samples.mean(axis=0, keepdims=True, dtype=np.float32)
        result = np.zeros((self.num_channels, samples.shape[1]), np.float32)
        result[0], result[1] = samples[0], samples[-1]
        return result


_DTYPES: dict[str, type[np.generic]] = {
    **{"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
}
_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "flt": 1, "dbl": 1}


@dataclass(frozen=True, eq=False)
class Piece:
    """`samples` (channels, samples) in the track's format, the first one being number `start` of the track."""

    start: int
    samples: Native

    @property
    def stop(self) -> int:
        return self.start + self.samples.shape[1]


# What FFmpeg assumes where a file only counts channels, as Matroska does of PCM.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def layout_name(layout: av.AudioLayout) -> str:
    """FFmpeg's name of a channel layout, guessed from the number of channels where they have no names."""
    return _LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith(" channels") else layout.name


def sound_format(frame: av.AudioFrame) -> SoundFormat:
    """Of decoded sound; what headers promise is not always what the decoder gives."""
    return SoundFormat(frame.sample_rate, layout_name(frame.layout), av.AudioFormat(frame.format.name).packed.name)


def decoded_pieces(
    container: InputContainer, stream: AudioStream, form: SoundFormat, *, zero_s: Fraction
) -> Iterator[Piece]:
    """Every sample of the track, one piece after the other without gaps; sample 0 is heard at `zero_s`."""
    resampler: av.AudioResampler | None = None
    expected: int | None = None
    for frame in decoded(container, stream):
        blocks = [frame]
        if sound_format(frame) != form:  # broadcasts change it midway
            resampler = resampler or av.AudioResampler(form.sample_format, form.layout, form.sample_rate)
            blocks = resampler.resample(frame)
        for block in blocks:
            samples = _channels_first(block, form)
            start = expected
            if block.pts is not None and block.time_base is not None:
                stated = round((block.pts * block.time_base - zero_s) * form.sample_rate)
                if expected is None or abs(stated - expected) >= SOUND_DRIFT_S * form.sample_rate:
                    start = stated
            if start is None:
                start = 0
            if expected is not None and start > expected:
                yield Piece(expected, form.silence(start - expected))
            elif expected is not None and start < expected:
                samples, start = samples[:, expected - start :], expected
            if samples.shape[1]:
                yield Piece(start, samples)
                expected = start + samples.shape[1]


def patched(
    pieces: Iterator[Piece], patch: SoundPatch, form: SoundFormat, *, track: tuple[int, int]
) -> Iterator[Piece]:
    """The pieces with new sound mixed in; it may begin before the first of them and go on after the last.

    `track` is the first sample of the pieces and the one after their last.
    """
    new = form.placed(patch.sound)
    start, stop = patch.start_sample, patch.start_sample + new.shape[1]
    mix = _Mix(new, start, round(patch.fade_s * form.sample_rate), fades_in=start > track[0], fades_out=stop < track[1])
    position = min(track[0], start)
    for piece in pieces:
        yield from (mix.over(gap, form) for gap in silent_pieces(position, piece.start, form))
        yield mix.over(piece, form)
        position = piece.stop
    yield from (mix.over(gap, form) for gap in silent_pieces(position, stop, form))


def silent_pieces(start: int, stop: int, form: SoundFormat) -> Iterator[Piece]:
    """Nothing where `stop` is not after `start`."""
    for position in range(start, stop, PIECE_SAMPLES):
        yield Piece(position, form.silence(min(PIECE_SAMPLES, stop - position)))


def pieces_of(sound: SoundClip, form: SoundFormat, start: int, stop: int) -> Iterator[Piece]:
    """A whole new track from sample `start` to `stop`, cut there or filled up with silence."""
    samples = form.from_float(form.placed(sound))
    for silent in silent_pieces(start, stop, form):
        piece = samples[:, silent.start - start : silent.stop - start]
        silent.samples[:, : piece.shape[1]] = piece
        yield silent


@dataclass(frozen=True, eq=False)
class _Mix:
    new: Samples
    start: int
    fade: int
    fades_in: bool
    fades_out: bool

    @property
    def stop(self) -> int:
        return self.start + self.new.shape[1]

    def over(self, piece: Piece, form: SoundFormat) -> Piece:
        """The piece with what falls into the patch replaced or faded; the same object where nothing does."""
        start, stop = max(piece.start, self.start), min(piece.stop, self.stop)
        if start >= stop:
            return piece
        inside = slice(start - piece.start, stop - piece.start)
        old = form.to_float(piece.samples[:, inside])
        angle = self._presence(np.arange(start, stop)) * (np.pi / 2)
        mixed = np.cos(angle) * old + np.sin(angle) * self.new[:, start - self.start : stop - self.start]
        samples = piece.samples.copy()
        samples[:, inside] = form.from_float(mixed)
        return Piece(piece.start, samples)

    def _presence(self, numbers: NDArray[np.signedinteger]) -> NDArray[np.float64]:
        """How much of the new sound is heard, 0 to 1, at each sample."""
        presence = np.ones(len(numbers))
        fade = min(self.fade, self.new.shape[1] // 2)
        if fade and self.fades_in:
            presence = np.minimum(presence, (numbers - self.start + 0.5) / fade)
        if fade and self.fades_out:
            presence = np.minimum(presence, (self.stop - numbers - 0.5) / fade)
        return presence


def _channels_first(frame: av.AudioFrame, form: SoundFormat) -> Native:
    samples = cast(Native, frame.to_ndarray())
    return samples if frame.format.is_planar else samples.reshape(-1, form.num_channels).T
