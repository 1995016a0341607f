"""Telling the six shapes apart, and following their rotation, from soft mattes.

A shape is described by numbers that do not change when it moves, turns or grows: how its area is spread over the
distance from its centroid, and how strongly its outline repeats once, twice, ... six times around. The description
is compared with those of the six shapes drawn at the same size, whose edges are as soft.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from engine.training.toyworld_law import SHAPES, FloatArray, Shape
from engine.training.toyworld_shapes import coverage, shape_distance

_NUM_RINGS: Final = 14
_LARGEST_RADIUS: Final = 1.2  # in square roots of the area; a star's tips reach 0.94
_NUM_REPEATS: Final = 6
_REPEAT_WEIGHT: Final = 3.0  # puts both halves of the description on one scale
# How often each outline repeats in a turn: the harmonic whose phase gives the rotation.
_SYMMETRY: Final[dict[Shape, int]] = {"square": 4, "triangle": 3, "star": 5, "heart": 3}
_LEAST_MARK: Final = 2.0  # levels, mean over a round shape; a mark gives 5 or more, noise less than 1


@dataclass(frozen=True)
class Outline:
    """An object's pixels in one frame: offsets from its centroid, matte, and RGB distance from its flat colour."""

    dx_px: FloatArray
    dy_px: FloatArray
    matte: FloatArray
    off_colour: FloatArray

    @property
    def area_px(self) -> float:
        return float(self.matte.sum())


def read_shape(outlines: list[Outline]) -> Shape:
    """The shape that fits all frames best."""
    errors = np.zeros(len(SHAPES))
    for outline in outlines:
        seen = _describe(outline.dx_px, outline.dy_px, outline.matte)
        size = max(round(np.sqrt(outline.area_px)), 4)
        errors += [float(np.linalg.norm(seen - _template(shape, size))) for shape in SHAPES]
    return SHAPES[int(np.argmin(errors))]


def read_rotation(shape: Shape, outlines: list[Outline]) -> FloatArray:
    """How far it has turned since the first outline, in radians, clockwise; zeros for a round shape without a mark."""
    if shape in _SYMMETRY:
        repeats = _SYMMETRY[shape]
        phases = [np.angle(_harmonics(one.dx_px, one.dy_px, one.matte)[repeats - 1]) for one in outlines]
    else:
        repeats = 1
        marks = [_mark(shape, outline) for outline in outlines]
        if np.median(np.abs(marks)) < _LEAST_MARK:
            return np.zeros(len(outlines))
        phases = np.angle(marks)
    turned = np.unwrap(np.asarray(phases)) / repeats
    return turned - turned[0]


def _mark(shape: Shape, outline: Outline) -> complex:
    """Where the pixels lie that are off the flat colour, away from the soft edges: strength and direction."""
    outer_px = (
        np.sqrt(outline.area_px / np.pi) if shape == "ball" else np.sqrt(outline.area_px / _unit_area("ring")) / 2
    )
    radius_px = np.hypot(outline.dx_px, outline.dy_px)
    inner_px = 0.0 if shape == "ball" else 0.55 * outer_px + 2
    inside = (radius_px >= inner_px) & (radius_px <= outer_px - 2)
    off = np.clip(outline.off_colour[inside] - 25, 0, 80)
    turn = np.exp(1j * np.arctan2(outline.dy_px[inside], outline.dx_px[inside]))
    return complex((off * turn).sum() / max(int(inside.sum()), 1))


def _describe(dx_px: FloatArray, dy_px: FloatArray, matte: FloatArray) -> FloatArray:
    area = matte.sum()
    place = np.hypot(dx_px, dy_px) / np.sqrt(area) * (_NUM_RINGS / _LARGEST_RADIUS)
    ring = np.minimum(place.astype(int), _NUM_RINGS - 1)
    part = np.clip(place - ring, 0, 1)
    spread = np.bincount(ring, matte * (1 - part), _NUM_RINGS + 1) + np.bincount(ring + 1, matte * part, _NUM_RINGS + 1)
    repeats = np.abs(_harmonics(dx_px, dy_px, matte))
    return np.concatenate([spread / area * (_NUM_RINGS / _LARGEST_RADIUS) ** 0.5, _REPEAT_WEIGHT * repeats])


def _harmonics(dx_px: FloatArray, dy_px: FloatArray, matte: FloatArray) -> np.ndarray:
    """Complex strength of 1 to 6 repeats around, weighted to the outline by the radius squared."""
    weight = matte * (dx_px**2 + dy_px**2)
    turn = np.exp(1j * np.arctan2(dy_px, dx_px))
    return np.array([(weight * turn**k).sum() for k in range(1, _NUM_REPEATS + 1)]) / weight.sum()


@lru_cache(maxsize=1024)
def _template(shape: Shape, size_px: int) -> FloatArray:
    """The description of a shape whose area is `size_px` squared."""
    dx, dy, matte = _drawn(shape, size_px / np.sqrt(_unit_area(shape)))
    matte = smoothed(matte)
    area = matte.sum()
    dx, dy = dx - (dx * matte).sum() / area, dy - (dy * matte).sum() / area
    kept = matte > 0
    return _describe(dx[kept], dy[kept], matte[kept])


@lru_cache
def _unit_area(shape: Shape) -> float:
    """Area of a shape of upright height 1."""
    height_px = 200.0
    return float(_drawn(shape, height_px)[2].sum() / height_px**2)


def _drawn(shape: Shape, height_px: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    half = int(0.8 * height_px) + 3
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    return dx, dy, coverage(shape_distance(shape, dx / height_px, dy / height_px) * height_px)


def smoothed(image: FloatArray) -> FloatArray:
    """Binomial 1-2-1 along the last two axes, edges repeated; standard deviation 0.71 pixels."""
    for axis in (-2, -1):
        padding = [(0, 0)] * image.ndim
        padding[axis] = (1, 1)
        wide = np.moveaxis(np.pad(image, padding, mode="edge"), axis, 0)
        image = np.moveaxis((wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4, 0, axis)
    return image
