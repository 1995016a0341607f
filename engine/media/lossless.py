"""A patched clip without loss: FFV1 pictures in their own pixel format and PCM sound, in Matroska.

Every frame is decoded once and stored as it is, except those of the patch. Matroska's clock counts milliseconds, to
which frame times are rounded; the nominal frame rate is stored as such. Rotation stays a note.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.errors import MediaError
from engine.media import planes
from engine.media.compose import patched_frames, patched_range
from engine.media.patch import NewSoundtrack, Patch, SoundPatch
from engine.media.read import audio_stream, opened
from engine.media.soundtrack import Piece, SoundFormat, decoded_pieces, patched, pieces_of, silent_pieces
from engine.media.source import SourceClip, decoded_frames
from engine.media.write import METADATA_KEY
from engine.types import FrameRange

# Version 3 with checksums and four slices, which two or more cores share; one intra frame after the other.
_FFV1_OPTIONS = {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}
_PCM_CODECS = {"u8": "pcm_u8", "s16": "pcm_s16le", "s32": "pcm_s32le", "flt": "pcm_f32le", "dbl": "pcm_f64le"}


def write_lossless(
    source: SourceClip, patch: Patch, part: Path, metadata: Mapping[str, object] | None
) -> Generator[int, None, None]:
    """Writes to `part` and yields the number of frames done after each of them.

    Whoever closes the generator has to remove the file. Raises MediaError.
    """
    frames = patched_range(source, patch.picture)
    pixel_format = planes.lossless_format(source.pixel_format)
    if pixel_format is None:
        raise MediaError(
            source.path,
            f"its pixel format ({source.pixel_format}) cannot be stored without loss.",
            remedy="Convert it to MP4 or ProRes first.",
        )
    form, pieces = patched_sound(source, patch, frames)
    zero_s = source.pts[0] * source.time_base
    begins_s = (source.frame_pts(frames.start)) * source.time_base
    with av.open(str(part), "w", format="matroska") as container:
        if metadata is not None:
            container.metadata[METADATA_KEY] = json.dumps(metadata)
        video = _add_video(container, source, pixel_format)
        sound = None if form is None else _add_sound(container, form)
        waiting = next(pieces, None)
        if waiting is not None and form is not None:
            begins_s = min(begins_s, zero_s + Fraction(waiting.start, form.sample_rate))
        shift_s = max(-begins_s, Fraction(0))  # the container has no times before zero
        shift = round(shift_s / source.time_base)
        for number, frame in enumerate(patched_frames(source, patch.picture, frames, pixel_format=pixel_format)):
            assert frame.pts is not None
            if sound is not None and form is not None:
                now_s = frame.pts * source.time_base
                while waiting is not None and zero_s + Fraction(waiting.start, form.sample_rate) <= now_s:
                    container.mux(sound.encode(_sound_frame(waiting, form, zero_s + shift_s)))
                    waiting = next(pieces, None)
            frame.pts += shift
            for packet in video.encode(frame):  # one for each frame
                packet.duration = round(frame.duration * source.time_base / packet.time_base)
                container.mux(packet)
            yield number + 1
        container.mux(video.encode(None))
        while sound is not None and form is not None and waiting is not None:
            container.mux(sound.encode(_sound_frame(waiting, form, zero_s + shift_s)))
            waiting = next(pieces, None)
            yield len(frames)
        if sound is not None:
            container.mux(sound.encode(None))


def patched_sound(source: SourceClip, patch: Patch, frames: range) -> tuple[SoundFormat | None, Iterator[Piece]]:
    """The whole track of the result in the source's format (floats where the source has no sound); None for silent."""
    begin_s, end_s = source.frame_start(frames.start), source.frame_start(frames.stop)
    match patch.sound:
        case NewSoundtrack(sound):
            form = SoundFormat(sound.sample_rate, "mono" if sound.num_channels == 1 else "stereo", "flt")
            whole = (round(begin_s * form.sample_rate), round(end_s * form.sample_rate))
            return form, pieces_of(sound, form, *whole)
        case SoundPatch() as change:
            if source.sound is not None:
                form, old = source.sound.form, source.sound
                return form, patched(_old_pieces(source, form), change, form, track=(old.start_sample, old.stop_sample))
            channels = "mono" if change.sound.num_channels == 1 else "stereo"
            form = SoundFormat(change.sound.sample_rate, channels, "flt")
            whole = (round(begin_s * form.sample_rate), round(end_s * form.sample_rate))
            return form, patched(silent_pieces(*whole, form), change, form, track=whole)
        case None:
            if source.sound is None:
                return None, iter(())
            return source.sound.form, _old_pieces(source, source.sound.form)


def _old_pieces(source: SourceClip, form: SoundFormat) -> Iterator[Piece]:
    with opened(source.path) as container:
        stream = audio_stream(container)
        assert stream is not None, source.path
        yield from decoded_pieces(container, stream, form, zero_s=source.pts[0] * source.time_base)


def _add_video(container: OutputContainer, source: SourceClip, pixel_format: str) -> VideoStream:
    first = next(decoded_frames(source, FrameRange(0, 1)))
    rate = source.frame_rate.value
    stream = container.add_stream("ffv1", rate, dict(_FFV1_OPTIONS))
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixel_format
    context = stream.codec_context
    context.time_base = source.time_base
    context.thread_type = "SLICE"
    stored = planes.stored_as(first, pixel_format)
    context.colorspace, context.color_range = stored.colorspace, stored.color_range
    context.color_primaries, context.color_trc = stored.color_primaries, stored.color_trc
    with opened(source.path) as original:
        given = original.streams.video[0].codec_context
        if given.sample_aspect_ratio:
            context.sample_aspect_ratio = given.sample_aspect_ratio
    if source.quarter_turns:
        stream.set_display_rotation(90 * source.quarter_turns)
    return stream


def _add_sound(container: OutputContainer, form: SoundFormat) -> AudioStream:
    stream = cast(AudioStream, container.add_stream(_PCM_CODECS[form.sample_format], form.sample_rate))
    stream.layout, stream.format = form.layout, form.sample_format
    return stream


def _sound_frame(piece: Piece, form: SoundFormat, zero_s: Fraction) -> av.AudioFrame:
    packed = cast("NDArray[np.float32]", np.ascontiguousarray(piece.samples.T).reshape(1, -1))  # of any type
    frame = av.AudioFrame.from_ndarray(packed, format=form.sample_format, layout=form.layout)
    frame.sample_rate, frame.time_base = form.sample_rate, Fraction(1, form.sample_rate)
    frame.pts = piece.start + round(zero_s * form.sample_rate)
    return frame
