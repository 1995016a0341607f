"""Edges as white lines on black: a clip or a picture becomes the control signal that a union-control IC-LoRA reads.

The detector of Canny (1986) as OpenCV computes it, whose lines such LoRAs are trained on: Sobel gradients, their
absolute values added, thinned to single pixels across the edge, and followed from strong edges into weak ones, all in
whole numbers and without a blur. Depth and pose need models of their own and come as prepared clips.

Shapes: H W picture rows and columns.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.errors import RequestError
from engine.media.read import probe_clip, read_frames, read_image
from engine.media.write import CLIP_FORMATS, ClipWriter, VideoEncoding, check_writable, published
from engine.types import FrameRate, Size

Pixels = NDArray[np.uint8]

# Of the sum of both absolute gradients, at most 2040: what common preprocessors of control signals use.
LOW, HIGH = 100, 200
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_LINES_SUFFIX = ".png"  # what keeps lines as they are
# BT.601 luma in fifteen bits, as OpenCV rounds it.
_RED, _GREEN, _BLUE = 9798, 19235, 3735
_TAN_22_5 = 13573  # times 2^15: what separates the four directions of an edge
_LINES = VideoEncoding(crf=12)  # thin lines blur at the quality of a photograph


def edges(picture: Pixels, *, low: int = LOW, high: int = HIGH) -> Pixels:
    """Edges of a picture, (H, W, 3) RGB or (H, W) grey -> (H, W): 255 on an edge, else 0.

    An edge is thinner than a pixel's neighbours, stronger than `low`, and connected to one stronger than `high`.
    """
    grey = picture.astype(np.int32)
    if grey.ndim == 3:
        grey = (grey[..., 0] * _RED + grey[..., 1] * _GREEN + grey[..., 2] * _BLUE + (1 << 14)) >> 15
    across, down = _sobel(grey)
    strength = np.abs(across) + np.abs(down)
    thin = _is_crest(across, down, strength) & (strength > low)
    return _connected(thin, thin & (strength > high)).astype(np.uint8) * np.uint8(255)


def _sobel(grey: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Gradients to the right and downward, the border repeated."""
    padded = np.pad(grey, 1, mode="edge")
    smooth_rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_columns = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return smooth_rows[:, 2:] - smooth_rows[:, :-2], smooth_columns[2:] - smooth_columns[:-2]


def _is_crest(across: NDArray[np.int32], down: NDArray[np.int32], strength: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where no neighbour across the edge is stronger; of two that are equally strong, one."""
    padded = np.pad(strength, 1)
    height, width = strength.shape

    def beside(rows: int, columns: int) -> NDArray[np.int32]:
        return padded[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    wide, tall = np.abs(across).astype(np.int64), np.abs(down).astype(np.int64) << 15
    flat = wide * _TAN_22_5
    is_upright = tall < flat  # the edge; its gradient points to the side
    is_level = tall > flat + (wide << 16)
    is_falling = (across ^ down) < 0
    upright = (strength > beside(0, -1)) & (strength >= beside(0, 1))
    level = (strength > beside(-1, 0)) & (strength >= beside(1, 0))
    falling = (strength > beside(-1, 1)) & (strength > beside(1, -1))
    rising = (strength > beside(-1, -1)) & (strength > beside(1, 1))
    return np.where(is_upright, upright, np.where(is_level, level, np.where(is_falling, falling, rising)))


def _connected(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Weak pixels that a path of weak ones, also across corners, connects to a strong one."""
    height, width = weak.shape
    stride = width + 2
    is_open = np.pad(weak & ~strong, 1).ravel()
    reached = np.pad(strong, 1).ravel()
    steps = np.array([row * stride + column for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column])
    front = np.flatnonzero(reached)
    while front.size:
        around = (front[:, None] + steps).ravel()
        front = np.unique(around[is_open[around]])
        is_open[front] = False
        reached[front] = True
    return reached.reshape(height + 2, stride)[1:-1, 1:-1]


def write_edges(
    source: Path, output: Path, *, low: int = LOW, high: int = HIGH, num_frames: int = 1
) -> Generator[tuple[int, int], None, None]:
    """Edges of a clip as a clip, of a picture as a .png or as a clip of `num_frames` at 24 frames per second.

    Yields frames done and frames in all; close the generator to cancel, and nothing is left behind. Raises MediaError,
    RequestError and StorageFull.
    """
    if not 0 <= low <= high:
        raise RequestError(
            "thresholds", f"{low} and {high} are no thresholds.", remedy="Give two, the lower one first."
        )
    is_picture = source.suffix.lower() in PICTURE_SUFFIXES
    if output.suffix.lower() == _LINES_SUFFIX:
        if not is_picture:
            raise RequestError("output", "The edges of a clip are a clip.", remedy="End its name in .mp4.")
        check_writable(output, suffixes={_LINES_SUFFIX})
        drawn = Image.fromarray(edges(read_image(source), low=low, high=high))
        with published(output) as part:
            drawn.save(part, format="PNG")
        yield 1, 1
        return
    check_writable(output, suffixes=CLIP_FORMATS)
    if is_picture:
        still = edges(read_image(source), low=low, high=high)
        drawn_frames, frame_rate, total = repeat(still, num_frames), FrameRate.parse(24), num_frames
        height, width = still.shape
    else:
        facts = probe_clip(source)
        drawn_frames = (edges(frame, low=low, high=high) for frame in read_frames(source))
        frame_rate, total = facts.frame_rate, facts.frames
        height, width = facts.size.height, facts.size.width
    size = Size(width // 2 * 2, height // 2 * 2)
    with ClipWriter(output, size=size, frame_rate=frame_rate, video_encoding=_LINES) as writer:
        for done, lines in enumerate(_even(drawn_frames, size), start=1):
            writer.write(np.repeat(lines[None, :, :, None], 3, axis=3))
            yield done, total


def _even(pictures: Iterable[Pixels], size: Size) -> Iterator[Pixels]:
    """Without the last row or column where there is one too many for a clip."""
    for picture in pictures:
        yield picture[: size.height, : size.width]
