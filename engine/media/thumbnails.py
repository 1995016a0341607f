"""Small pictures of a clip, and the outline of its sound: what lists and timelines show of a file.

Decoded once and scaled by FFmpeg's own scaler while the frame is still YUV, which costs a tenth of converting it at
full size. Not here: caching what was made (the studio keeps it on disk), frames to look at (`read`).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.errors import MediaError
from engine.media.audio import SoundClip
from engine.media.read import ClipFacts, Pixels, probe_clip
from engine.types import Size

Peaks = NDArray[np.float32]

# Longer clips are sampled at their key frames: decoding all of 1200 frames of 720p takes about two seconds.
MAX_FRAMES_IN_ONE_PASS = 1200

# Averages what falls together. Without the two flags, swscale's rounding darkens by a level.
_SHRINK = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def first_picture(path: Path | str, box: Size) -> Pixels:
    """The first frame, upright, as large as fits into `box` and never enlarged. Raises MediaError."""
    return next(filmstrip(path, 1, box))


def filmstrip(path: Path | str, num_pictures: int, box: Size) -> Iterator[Pixels]:
    """`num_pictures` frames at even distances from the first to the last, each as large as fits into `box`.

    A clip with fewer frames shows some of them twice; of one longer than `MAX_FRAMES_IN_ONE_PASS` the key frames
    before those places are shown. Whoever iterates may stop at any picture. Raises MediaError.
    """
    assert num_pictures > 0, num_pictures
    path = Path(path)
    facts = probe_clip(path)
    places = [round(index * (facts.frames - 1) / max(num_pictures - 1, 1)) for index in range(num_pictures)]
    with _opened(path) as container:
        video = container.streams.video[0]
        if facts.frames > MAX_FRAMES_IN_ONE_PASS and num_pictures > 1:
            frames = _key_frames(container, video, facts, places)
        else:
            frames = _chosen(container.decode(video), places)
        for frame in frames:
            yield _small(frame, box)


def sound_peaks(sound: SoundClip, num_columns: int) -> Peaks:
    """(channels, columns, 2): the lowest and the highest sample of each of `num_columns` equal stretches of time."""
    assert num_columns > 0, num_columns
    if sound.num_samples == 0:
        return np.zeros((sound.num_channels, num_columns, 2), np.float32)
    starts = np.arange(num_columns) * sound.num_samples // num_columns
    lowest = np.minimum.reduceat(sound.samples, starts, axis=1)
    highest = np.maximum.reduceat(sound.samples, starts, axis=1)
    return np.stack([lowest, highest], axis=-1)


def fitted(picture: Size, box: Size) -> Size:
    """The largest size of the picture's proportions that lies in `box`, not larger than the picture, at least 1x1."""
    scale = min(box.width / picture.width, box.height / picture.height, 1)
    return Size(max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))


def _chosen(frames: Iterator[av.VideoFrame], places: list[int]) -> Iterator[av.VideoFrame]:
    """The frames with these numbers, ascending; a clip that ends before shows its last frame in their stead."""
    remaining = iter(places)
    place = next(remaining, None)
    last: av.VideoFrame | None = None
    for number, frame in enumerate(frames):
        last = frame
        while place is not None and place <= number:
            yield frame
            place = next(remaining, None)
        if place is None:
            return
    while place is not None and last is not None:
        yield last
        place = next(remaining, None)


def _key_frames(
    container: InputContainer, video: VideoStream, facts: ClipFacts, places: list[int]
) -> Iterator[av.VideoFrame]:
    """The key frame at or before each place; where the container cannot be searched, the one that comes next."""
    assert video.time_base is not None
    for place in places:
        target = round(facts.frame_rate.seconds(place) / float(video.time_base)) + (video.start_time or 0)
        container.seek(target, stream=video)
        frame = next(container.decode(video), None)
        if frame is not None:
            yield frame


def _small(frame: av.VideoFrame, box: Size) -> Pixels:
    turns = round(frame.rotation / 90) % 4  # counter-clockwise, from the camera's display matrix
    upright_box = box if turns % 2 == 0 else Size(box.height, box.width)
    size = fitted(Size(frame.width, frame.height), upright_box)
    small = frame.reformat(size.width, size.height, "rgb24", dst_color_range=ColorRange.JPEG, interpolation=_SHRINK)
    return np.ascontiguousarray(np.rot90(cast(Pixels, small.to_ndarray()), turns))


@contextmanager
def _opened(path: Path) -> Generator[InputContainer]:
    """An open container, by the file protocol alone; damage found later becomes a MediaError."""
    try:
        with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
            yield container
    except (FFmpegError, OSError) as error:
        raise MediaError(
            path, f"it cannot be decoded ({error.strerror}).", remedy="Convert it to MP4, or choose another file."
        ) from error
