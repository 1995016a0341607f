"""How a clip is cut into overlapping tiles for the video VAE. Plain numbers, no torch: the planner reads it too.

The split is the official one (Lightricks/LTX-2, commit 400fd31). All tiles of one stretch of time form a group; along
time a tile but the first begins one latent frame earlier than its overlap asks for, because the first frame of whatever
the VAE is given is treated as the start of a clip and therefore gets no weight.
"""

from dataclasses import dataclass
from math import prod

from engine.errors import RequestError
from engine.types import FRAMES_PER_LATENT, PIXELS_PER_LATENT, Size


@dataclass(frozen=True)
class Tiling:
    """The largest tile, and how far neighbours overlap, in frames and pixels. Raises RequestError."""

    frames: int = 80
    frame_overlap: int = 24
    height: int = 768
    width: int = 768
    pixel_overlap: int = 64

    def __post_init__(self) -> None:
        for field, size, overlap, unit in (
            ("frames", self.frames, self.frame_overlap, FRAMES_PER_LATENT),
            ("height", self.height, self.pixel_overlap, PIXELS_PER_LATENT),
            ("width", self.width, self.pixel_overlap, PIXELS_PER_LATENT),
        ):
            if size % unit or overlap % unit or overlap < 0 or size < max(2 * overlap, 2 * unit):
                raise RequestError(
                    "tiling",
                    f"A tile's {field} of {size} with an overlap of {overlap} cannot be used.",
                    remedy=f"Use multiples of {unit}, at least {2 * unit} and at least twice the overlap.",
                )


@dataclass(frozen=True)
class Span:
    """A tile along one axis: from `start` up to, not including, `stop`; it fades in and out over its ramps."""

    start: int
    stop: int
    left_ramp: int = 0
    right_ramp: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)

    def in_frames(self) -> "Span":
        """From latent frames to frames: the first latent frame of a tile gives one, every other one eight."""
        return Span(
            FRAMES_PER_LATENT * self.start,
            FRAMES_PER_LATENT * (self.stop - 1) + 1,
            FRAMES_PER_LATENT * (self.left_ramp - 1) + 1 if self.left_ramp else 0,
            FRAMES_PER_LATENT * self.right_ramp,
        )

    def in_pixels(self) -> "Span":
        """From latent rows or columns to pixels."""
        return Span(*(PIXELS_PER_LATENT * value for value in (self.start, self.stop, self.left_ramp, self.right_ramp)))


@dataclass(frozen=True)
class Tile:
    """A box of latents; `in_pixels` is the box of frames and pixels that it stands for."""

    time: Span
    rows: Span
    columns: Span

    def in_pixels(self) -> "Tile":
        return Tile(self.time.in_frames(), self.rows.in_pixels(), self.columns.in_pixels())

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.time), len(self.rows), len(self.columns)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        return self.time.slice, self.rows.slice, self.columns.slice


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a clip, in groups that cover the whole picture over one stretch of time."""

    groups: tuple[tuple[Tile, ...], ...]

    @classmethod
    def of(cls, latent_shape: tuple[int, int, int], tiling: Tiling) -> "TilePlan":
        """`latent_shape` is (frames, rows, columns) of the latents."""
        num_frames, num_rows, num_columns = latent_shape
        overlap = tiling.pixel_overlap // PIXELS_PER_LATENT
        rows = split(num_rows, tiling.height // PIXELS_PER_LATENT, overlap)
        columns = split(num_columns, tiling.width // PIXELS_PER_LATENT, overlap)
        times = split_time(num_frames, tiling.frames // FRAMES_PER_LATENT, tiling.frame_overlap // FRAMES_PER_LATENT)
        return cls(tuple(tuple(Tile(time, row, column) for row in rows for column in columns) for time in times))

    @property
    def num_tiles(self) -> int:
        return sum(len(group) for group in self.groups)

    @property
    def largest_tile(self) -> Tile:
        """The tile with most latents: what the memory of a decode is planned by."""
        return max((tile for group in self.groups for tile in group), key=lambda tile: prod(tile.shape))


def split(length: int, size: int, overlap: int) -> tuple[Span, ...]:
    """Cut an axis into spans of `size` that overlap by `overlap`; the last may be shorter. Needs size > overlap."""
    if length <= size:
        return (Span(0, length),)
    stride = size - overlap
    count = (length + size - 2 * overlap - 1) // stride
    return tuple(
        Span(
            start=index * stride,
            stop=min(index * stride + size, length),
            left_ramp=overlap if index > 0 else 0,
            right_ramp=overlap if index < count - 1 else 0,
        )
        for index in range(count)
    )


def split_time(num_frames: int, size: int, overlap: int) -> tuple[Span, ...]:
    """`split` for latent frames: every span but the first begins, and begins to fade in, one frame earlier."""
    first, *later = split(num_frames, size, overlap)
    return first, *(Span(span.start - 1, span.stop, span.left_ramp + 1, span.right_ramp) for span in later)


def choose_tiling(
    size: Size, *, long_side: int = 768, pixel_overlap: int = 64, frames: int = 80, frame_overlap: int = 24
) -> Tiling:
    """Tiles of the picture's proportions: `long_side` pixels along its longer side, fewer along the other.

    The defaults are the official ones; a smaller `long_side` or `frames` needs less memory. Raises RequestError.
    """
    longest = max(size.width, size.height)

    def side(pixels: int) -> int:
        proportional = round(long_side // PIXELS_PER_LATENT * pixels / longest) * PIXELS_PER_LATENT
        # The official floor is an overlap and one latent; with two overlaps the ramps of a tile never meet, so that
        # weights sum to one. It matters for pictures more than six times as wide as high.
        return max(proportional, 2 * pixel_overlap, 2 * PIXELS_PER_LATENT)

    return Tiling(frames, frame_overlap, side(size.height), side(size.width), pixel_overlap)
