"""The frames of a clip with a patch in it, one after the other, as they are to be stored.

Frames outside the patch are the decoded ones. New pictures take the pixel format, colours and orientation of the
frames around them; in the blend zones old and new are mixed in that format.
"""

from collections.abc import Iterator

import av

from engine.media import planes
from engine.media.patch import PicturePatch
from engine.media.source import SourceClip, decoded_frames
from engine.types import FrameRange


def patched_range(source: SourceClip, patch: PicturePatch | None) -> range:
    """The frames of the result in the source's numbers, which begin below 0 where the patch begins before the clip."""
    if patch is None:
        return range(source.num_frames)
    assert patch.stop >= 0, (patch.start, patch.num_frames)
    assert patch.start <= source.num_frames, (patch.start, source.num_frames)
    return range(min(patch.start, 0), max(patch.stop, source.num_frames))


def patched_frames(
    source: SourceClip, patch: PicturePatch | None, frames: range, *, pixel_format: str
) -> Iterator[av.VideoFrame]:
    """Some frames of the result, in the source's numbers, each in `pixel_format` (of `planes.lossless_format`).

    All of the patch must lie in `frames`, because its pictures are read once. Raises MediaError.
    """
    last = source.num_frames - 1
    pictures = iter(patch.pictures) if patch is not None else iter(())
    old = decoded_frames(source, FrameRange(max(frames.start, 0), min(frames.stop, last + 1)))
    nearest = min(max(frames.start, 0), last)
    like = next(decoded_frames(source, FrameRange(nearest, nearest + 1)))  # what new frames are stored like
    for number in frames:
        if 0 <= number <= last:
            like = next(old)
        kept = planes.stored_as(like, pixel_format)
        if patch is not None and patch.start <= number < patch.stop:
            new = planes.from_upright(next(pictures), kept, quarter_turns=source.quarter_turns)
            frame = planes.mixed(kept, new, weight_of_new(patch, number, source.num_frames))
        else:
            frame = kept
        frame.pts, frame.time_base = source.frame_pts(number), source.time_base
        frame.duration = source.frame_pts(number + 1) - frame.pts
        yield frame


def weight_of_new(patch: PicturePatch, number: int, num_frames: int) -> float:
    """How much of frame `number` is new, 0 to 1, in a source of `num_frames`."""
    if not patch.start <= number < patch.stop:
        return 0.0
    steps = patch.blend_frames + 1
    weight = 1.0
    if patch.start > 0:
        weight = min(weight, (number - patch.start + 1) / steps)
    if patch.stop < num_frames:
        weight = min(weight, (patch.stop - number) / steps)
    return weight
