"""Distance fields of the toy world's shapes, and how a distance becomes an antialiased edge.

Coordinates `u` (right) and `v` (down) are in upright heights of the shape, from its centroid, so that a track
of centroids is a track of positions and a spin turns about a point that stays. Distances are negative inside;
they are exact near straight edges and arcs, which is where they are used.
"""

from typing import Final, NamedTuple

import numpy as np

from engine.training.toyworld_law import FloatArray, Shape


class Reach(NamedTuple):
    """How far a shape extends from its centroid, in upright heights; `around` holds whatever its rotation."""

    top: float
    bottom: float
    side: float
    around: float


# An upright star of circumradius R is R (1 + cos 36) high. The heart is a square on its corner, of side s,
# with half a disc on each upper edge: it is s (1/2 + 3 / sqrt 8) high and its centroid lies 0.2215 s above
# the square's middle.
_STAR_RADIUS: Final = 1 / (1 + np.cos(np.pi / 5))
_STAR_INNER: Final = 0.42  # of the circumradius; a pentagram's is 0.38, a little more keeps its arms from blurring away
_HEART_SIDE: Final = 1 / (0.5 + 3 / np.sqrt(8))
_HEART_RISE: Final = 0.22154 * _HEART_SIDE
_RING_HOLE: Final = 0.275  # inner radius

REACH: Final[dict[Shape, Reach]] = {
    "ball": Reach(0.5, 0.5, 0.5, 0.5),
    "square": Reach(0.5, 0.5, 0.5, 0.7072),
    "triangle": Reach(0.6667, 0.3334, 0.5774, 0.6667),  # equilateral
    "star": Reach(0.5528, 0.4473, 0.5258, 0.5528),
    "ring": Reach(0.5, 0.5, 0.5, 0.5),
    "heart": Reach(0.4050, 0.5951, 0.5470, 0.5951),
}


def coverage(distance_px: FloatArray) -> FloatArray:
    """The share of a pixel that lies inside, 0 to 1."""
    return np.clip(0.5 - distance_px, 0, 1)


def shape_distance(shape: Shape, u: FloatArray, v: FloatArray) -> FloatArray:
    match shape:
        case "ball":
            return np.hypot(u, v) - 0.5
        case "ring":
            middle = (0.5 + _RING_HOLE) / 2
            return np.abs(np.hypot(u, v) - middle) - (0.5 - _RING_HOLE) / 2
        case "square":
            return np.maximum(np.abs(u), np.abs(v)) - 0.5
        case "triangle":
            return np.maximum(v - 1 / 3, np.abs(u) * np.float32(np.sqrt(3) / 2) - v / 2 - 1 / 3)
        case "star":
            return _star_distance(u, v)
        case "heart":
            return _heart_distance(u, v)


def mark_distance(shape: Shape, u: FloatArray, v: FloatArray) -> FloatArray | None:
    """The mark that shows how a round shape turns, pointing up when upright; None for shapes that need none."""
    match shape:
        case "ball":
            return capsule_distance(u, v, tip=(0.0, -0.35), radius=0.09)
        case "ring":
            sector_rad = 0.62
            return (np.abs(np.arctan2(u, -v)) - sector_rad) * np.hypot(u, v)
        case _:
            return None


def capsule_distance(u: FloatArray, v: FloatArray, *, tip: tuple[float, float], radius: float) -> FloatArray:
    """A stroke with round ends from the origin to `tip`."""
    along = np.clip((u * tip[0] + v * tip[1]) / (tip[0] ** 2 + tip[1] ** 2), 0, 1)
    return np.hypot(u - along * tip[0], v - along * tip[1]) - radius


def ellipse_distance(u: FloatArray, v: FloatArray, radius_u: float, radius_v: float) -> FloatArray:
    """First order: the implicit function over its gradient's length, exact on the edge."""
    level = np.hypot(u / radius_u, v / radius_v)
    slope = np.hypot(u / radius_u**2, v / radius_v**2)
    return level * (level - 1) / np.maximum(slope, 1e-6)


def _star_distance(u: FloatArray, v: FloatArray) -> FloatArray:
    """By symmetry one edge is enough: fold the plane onto the half arm between a tip and the next notch."""
    fifth = 2 * np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + fifth / 2) % fifth - fifth / 2)
    radius = np.hypot(u, v)
    tip = np.array([_STAR_RADIUS, 0.0])
    notch = _STAR_INNER * _STAR_RADIUS * np.array([np.cos(fifth / 2), np.sin(fifth / 2)])
    edge = (notch - tip) / np.linalg.norm(notch - tip)
    return (radius * np.cos(angle) - tip[0]) * edge[1] - radius * np.sin(angle) * edge[0]


def _heart_distance(u: FloatArray, v: FloatArray) -> FloatArray:
    u, v = np.abs(u), v - _HEART_RISE
    square = (u + np.abs(v)) / np.float32(np.sqrt(2)) - _HEART_SIDE / 2
    lobe = _HEART_SIDE / np.sqrt(8)
    disc = np.hypot(u - lobe, v + lobe) - _HEART_SIDE / 2
    return np.minimum(square, disc)
