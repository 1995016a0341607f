"""A timeline as frames and samples: what the preview shows and what an export writes, from one place.

How unlike things are brought together:

- **Picture** is that of the topmost picture track that is not muted and has a clip there; where there is none, black.
- **Size**: the whole picture is seen, centred, in its own shape, with black around it. A picture of the sequence's size
  is passed on untouched, value by value.
- **Rate**: each frame of the sequence shows the clip's last frame that has begun by then (`Clip.media_frame`): slower
  clips repeat frames, faster ones skip some, none is blended. A clip that ends early holds its last frame.
- **Sound** is the sum of the sound tracks that are not muted, each clip by its gain, at 48 kHz in stereo, cut at the
  sample nearest to the frame's edge. Nothing is faded, limited or clipped.

Random access is by ranges: asking for frames 100 to 200 gives exactly those of the whole. Not here: a window, threads,
and formats for others (`engine.media.export`, which takes the master that `render` writes).
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from time import monotonic

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from engine.errors import MediaError, RequestError
from engine.events import Progress
from engine.media.audio import SoundClip
from engine.media.master import MASTER_SUFFIXES, master
from engine.media.read import read_audio, read_frames
from engine.media.write import ClipWriter, VideoEncoding
from engine.types import FrameRange, FrameRate, Size
from ltx_studio.domain.timeline import Clip, Timeline, TrackKind

SAMPLE_RATE = 48_000
FIRST_SIZE = Size(1280, 704)  # of a sequence without pictures
_MAX_SOUNDS = 4  # files whose sound is kept decoded; clips of one file tend to stand together
_ETA_AFTER_S = 1.0
_SCALER = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

Frame = NDArray[np.uint8]  # (height, width, 3) RGB


@dataclass(frozen=True)
class Stretch:
    """Frames of the timeline, half-open, that show one clip, or black."""

    start: int
    stop: int
    clip: Clip | None


def sequence_size(timeline: Timeline) -> Size:
    """That of the first picture, to even sides; what a project uses that names no other."""
    pictures = (clip for track in timeline.tracks_of(TrackKind.PICTURE) for clip in track.clips)
    clips = sorted((clip for clip in pictures if clip.media.size is not None), key=lambda clip: clip.start)
    size = clips[0].media.size if clips else None
    return FIRST_SIZE if size is None else Size(max(size.width // 2 * 2, 2), max(size.height // 2 * 2, 2))


def stretches(timeline: Timeline, frames: FrameRange) -> list[Stretch]:
    """Which clip is seen when, without holes or overlaps."""
    tracks = [track for track in timeline.tracks_of(TrackKind.PICTURE) if not track.is_muted]
    edges = {frames.start, frames.stop}
    edges |= {edge for track in tracks for clip in track.clips for edge in (clip.start, clip.stop) if edge in frames}
    found: list[Stretch] = []
    for start, stop in pairwise(sorted(edges)):
        clip = timeline.shown_at(start)
        clip = clip if clip is None or clip.media.has_picture else None
        if found and found[-1].clip is clip:
            found[-1] = Stretch(found[-1].start, stop, clip)
        else:
            found.append(Stretch(start, stop, clip))
    return found


def sequence_frames(timeline: Timeline, *, size: Size, frames: FrameRange | None = None) -> Iterator[Frame]:
    """Every frame of the range, by default of the whole. Raises MediaError for a file that is missing or damaged.

    Frames may share memory: whoever changes one copies it first.
    """
    black = np.zeros((size.height, size.width, 3), np.uint8)
    for stretch in stretches(timeline, frames or FrameRange(0, timeline.length)):
        if stretch.clip is None:
            for _ in range(stretch.start, stretch.stop):
                yield black
        else:
            yield from _frames_of(stretch.clip, stretch, timeline.rate, size)


def _frames_of(clip: Clip, stretch: Stretch, rate: FrameRate, size: Size) -> Iterator[Frame]:
    wanted = [clip.media_frame(frame, rate) for frame in range(stretch.start, stretch.stop)]
    number = wanted[0]
    shown: Frame | None = None
    with closing(_decoded(clip.media.path, wanted[0], wanted[-1] + 1)) as decoded:
        for index in wanted:
            while shown is None or number < index:
                frame = next(decoded, None)
                if frame is None:
                    break
                number = number if shown is None else number + 1
                # Skipped frames are decoded, which costs enough; they are not scaled as well.
                shown = frame
                if number == index:
                    shown = fitted(frame, size)
            if shown is None:
                raise MediaError(
                    clip.media.path,
                    "it ends before the part that the sequence shows.",
                    remedy="Choose another take of the clip, or find the right file for it.",
                )
            if shown.shape[:2] != (size.height, size.width):
                shown = fitted(shown, size)
            yield shown


def _decoded(path: Path, start: int, stop: int) -> Generator[Frame, None, None]:
    """From `start`, or from the last frame there is where the file has fewer than it says."""
    is_any = False
    for frame in read_frames(path, start=start, stop=stop):
        is_any = True
        yield frame
    if not is_any and start > 0:
        last: Frame | None = None
        for last in read_frames(path):  # noqa: B007 - the last one is what is wanted
            pass
        if last is not None:
            yield last


def fitted(frame: Frame, size: Size) -> Frame:
    """The whole picture in the middle of `size`, black around it; untouched where it has that size already."""
    height, width = frame.shape[:2]
    if (width, height) == (size.width, size.height):
        return frame
    scale = min(size.width / width, size.height / height)
    inner = Size(min(max(round(width * scale), 1), size.width), min(max(round(height * scale), 1), size.height))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        width=inner.width,
        height=inner.height,
        format="rgb24",
        interpolation=_SCALER,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG,
    )
    canvas = np.zeros((size.height, size.width, 3), np.uint8)
    top, left = (size.height - inner.height) // 2, (size.width - inner.width) // 2
    canvas[top : top + inner.height, left : left + inner.width] = picture.to_ndarray()
    return canvas


# --- sound ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A clip and its samples in the sequence, half-open."""

    begins: int
    ends: int
    clip: Clip


def _nearest(samples: Fraction) -> int:
    """Halves up."""
    return floor(samples + Fraction(1, 2))


class SequenceSound:
    """The sound of a timeline, by ranges of samples. Keeps the sounds of a few files decoded."""

    def __init__(self, timeline: Timeline, *, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = sample_rate
        self._rate = timeline.rate
        self._tracks = [
            [_Placed(self.sample_at(clip.start), self.sample_at(clip.stop), clip) for clip in track.clips]
            for track in timeline.tracks_of(TrackKind.SOUND)
            if not track.is_muted
        ]
        self._sounds: OrderedDict[Path, SoundClip] = OrderedDict()

    @property
    def is_silent(self) -> bool:
        return not any(placed.clip.media.has_sound for track in self._tracks for placed in track)

    def sample_at(self, frame: int) -> int:
        """Where a frame of the timeline begins, to the nearest sample, halves up."""
        return _nearest(frame / self._rate.value * self.sample_rate)

    def frames(self, start: int, stop: int) -> SoundClip:
        """The sound of frames of the timeline, half-open."""
        return self.samples(self.sample_at(start), self.sample_at(stop))

    def samples(self, start: int, stop: int) -> SoundClip:
        """Raises MediaError for a file that is missing or damaged."""
        mixed = np.zeros((2, stop - start), np.float32)
        for track in self._tracks:
            first = max(bisect_right(track, start, key=lambda placed: placed.begins) - 1, 0)
            for placed in track[first:]:
                if placed.begins >= stop:
                    break
                self._add(mixed, placed, range(max(placed.begins, start), min(placed.ends, stop)), start)
        return SoundClip(mixed, self.sample_rate)

    def _add(self, mixed: NDArray[np.float32], placed: "_Placed", wanted: range, origin: int) -> None:
        clip = placed.clip
        if not wanted or not clip.media.has_sound:
            return
        sound = self._sound_of(clip.media.path)
        shift = _nearest(clip.media_time(clip.start, self._rate) * self.sample_rate) - placed.begins
        first, last = max(wanted.start + shift, 0), min(wanted.stop + shift, sound.num_samples)
        if first < last:
            gain = np.float32(10 ** (clip.gain_db / 20))
            mixed[:, first - shift - origin : last - shift - origin] += sound.samples[:, first:last] * gain

    def _sound_of(self, path: Path) -> SoundClip:
        sound = self._sounds.pop(path, None)
        if sound is None:
            sound = read_audio(path).to_stereo().resampled(self.sample_rate)
        self._sounds[path] = sound
        while len(self._sounds) > _MAX_SOUNDS:
            self._sounds.popitem(last=False)
        return sound


# --- a file -----------------------------------------------------------------------------------------------------------


def render(
    timeline: Timeline,
    output: Path,
    *,
    size: Size | None = None,
    frames: FrameRange | None = None,
    video_encoding: VideoEncoding | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Generator[Progress, None, None]:
    """Write the sequence, or a range of it, as one file; closing the generator stops and leaves nothing behind.

    `.mkv` is a lossless master (`engine.media.master`) whose frames and samples are those of `sequence_frames` and
    `SequenceSound`; `.mp4` and `.mov` are H.264 and AAC. Raises RequestError for an empty range and a destination that
    cannot be written, MediaError, StorageFull.
    """
    frames = frames or FrameRange(0, timeline.length)
    size = size or sequence_size(timeline)
    if not frames:
        raise RequestError("timeline", "There is nothing to export.", remedy="Put a clip on the timeline first.")
    check_files(timeline, frames)
    sound = SequenceSound(timeline)
    pictures = sequence_frames(timeline, size=size, frames=frames)
    began = monotonic()

    def progress(step: int) -> Progress:
        elapsed = monotonic() - began
        eta_s = elapsed / step * (len(frames) - step) if elapsed > _ETA_AFTER_S else None
        return Progress("write", "sequence", step, len(frames), step / len(frames), eta_s)

    if output.suffix.lower() in MASTER_SUFFIXES:
        rate = None if sound.is_silent else SAMPLE_RATE
        with master(output, size=size, frame_rate=timeline.rate, sample_rate=rate, metadata=metadata) as writer:
            for step, picture in enumerate(pictures, start=1):
                if rate is not None:
                    writer.write_sound(sound.frames(frames.start + step - 1, frames.start + step))
                writer.write(picture)
                yield progress(step)
        return
    audio = None if sound.is_silent else sound.frames(frames.start, frames.stop)
    with ClipWriter(
        output,
        size=size,
        frame_rate=timeline.rate,
        audio=audio,
        metadata=metadata,
        video_encoding=video_encoding,
    ) as writer:
        for step, picture in enumerate(pictures, start=1):
            writer.write(picture[None])
            yield progress(step)


def check_files(timeline: Timeline, frames: FrameRange) -> None:
    """Raises MediaError for the first file that the range needs and that is not there."""
    seen = [stretch.clip for stretch in stretches(timeline, frames) if stretch.clip is not None]
    heard = [
        clip
        for track in timeline.tracks_of(TrackKind.SOUND)
        for clip in track.clips
        if not track.is_muted and clip.media.has_sound and clip.start < frames.stop and clip.stop > frames.start
    ]
    for clip in (*seen, *heard):
        if not clip.media.path.is_file():
            raise MediaError(
                clip.media.path,
                f"the file of the clip {clip.name} is not there.",
                remedy="Connect its disk, or use Find missing files in the File menu.",
            )
