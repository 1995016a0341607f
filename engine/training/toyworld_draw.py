"""Drawing the toy world: flat shapes, antialiased from their distance fields, over a plain background.

The picture keeps the laws that a detector may rely on: an object is one flat colour, the background is its
named colour at the top and 12 % darker at the bottom. Two small exceptions: a spinning ball or ring carries a
mark in another shade of its colour, or its spin could not be seen, and the background carries a faint texture
while the camera moves. The texture and the objects follow the camera; the background's colour does not.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.toyworld_face import draw_face
from engine.training.toyworld_law import (
    BACKGROUNDS,
    COLOURS,
    Background,
    Colour,
    FloatArray,
    MovingObject,
    Scene,
    background_rows,
    camera_track,
    screen_track,
)
from engine.training.toyworld_shapes import REACH, coverage, mark_distance, shape_distance

TEXTURE_LEVELS: Final = 7.0  # the texture stays within this many of the 255 levels
_TEXTURE_CELLS: Final = 14  # across the frame's height
_TEXTURE_MARGIN: Final = 0.25  # of the frame on each side: what a pan or a dolly out brings into view


def draw_scene(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """All frames: (F, H, W, 3). `rng` draws the texture."""
    picture = _draw_background(scene, rng)
    if scene.face is not None:
        draw_face(picture, scene.face)
    for item in scene.objects:
        _draw_object(picture, scene, item)
    return picture


def mark_colour(colour: Colour, background: Background) -> FloatArray:
    """The shade of `colour`, darker or lighter, that stands out best from both the colour and the background."""
    flat = np.asarray(COLOURS[colour], np.float32)
    behind = np.asarray(BACKGROUNDS[background], np.float32)
    shades = (0.35 * flat, 0.6 * flat, 0.75 * flat, 255 - 0.6 * (255 - flat))
    return max(shades, key=lambda shade: min(np.linalg.norm(shade - flat), np.linalg.norm(shade - behind)))


def _draw_background(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    width, height = scene.size.width, scene.size.height
    rows = background_rows(scene.background, height)[:, None]
    picture = np.empty((scene.frames, height, width, 3), np.uint8)
    if scene.camera == "static":
        picture[:] = np.rint(rows)
        return picture
    texture = _world_texture(width, height, rng)
    camera = camera_track(scene.camera, width=width, frames=scene.frames)
    x_px = _world(width, camera.zoom, camera.shift_px) + _TEXTURE_MARGIN * width
    y_px = _world(height, camera.zoom, np.zeros_like(camera.zoom)) + _TEXTURE_MARGIN * height
    # Frame by frame, so that a frame stays in the processor's cache.
    for frame in range(scene.frames):
        picture[frame] = np.rint(rows + _bilinear(texture, y_px[frame], x_px[frame])[..., None])
    return picture


def _world_texture(width: int, height: int, rng: np.random.Generator) -> FloatArray:
    """Soft light and dark patches, in levels, one value for each pixel of the frame and of the margin around it."""
    cell_px = height / _TEXTURE_CELLS
    rows, columns = (np.arange(int((1 + 2 * _TEXTURE_MARGIN) * side) + 2) / cell_px for side in (height, width))
    lattice = rng.standard_normal((int(rows[-1]) + 4, int(columns[-1]) + 4))
    patches = _spline_weights(rows, lattice.shape[0]) @ lattice @ _spline_weights(columns, lattice.shape[1]).T
    return (TEXTURE_LEVELS * np.tanh(1.2 * patches)).astype(np.float32)


def _spline_weights(place: FloatArray, num_knots: int) -> FloatArray:
    """Cubic B-spline weights of knots -1, 0, 1, ... at each place: (n, num_knots). Its patches look round."""
    away = np.abs(place[:, None] - np.arange(-1, num_knots - 1))
    return np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.clip(2 - away, 0, None) ** 3 / 6)


def _world(side_px: int, zoom: FloatArray, shift_px: FloatArray) -> FloatArray:
    """The world coordinate of each pixel along one axis, in each frame: (F, side_px)."""
    screen_px = np.arange(side_px, dtype=np.float32)
    return (screen_px - (side_px - 1) / 2 - shift_px[:, None]) / zoom[:, None] + (side_px - 1) / 2


def _bilinear(image: FloatArray, y_px: FloatArray, x_px: FloatArray) -> FloatArray:
    """`image` at every pair of a y and an x."""
    top, left = y_px.astype(np.intp), x_px.astype(np.intp)
    down, right = (y_px - top)[:, None], x_px - left
    rows = image[top] + down * (image[top + 1] - image[top])
    return rows[:, left] + right * (rows[:, left + 1] - rows[:, left])


def _draw_object(picture: NDArray[np.uint8], scene: Scene, item: MovingObject) -> None:
    track = screen_track(scene, item)
    flat = np.asarray(COLOURS[item.colour], np.float32)
    mark = mark_colour(item.colour, scene.background)
    for frame, (x_px, y_px, height_px, angle_rad) in enumerate(
        zip(track.x_px, track.y_px, track.height_px, track.angle_rad, strict=True)
    ):
        reach_px = REACH[item.shape].around * height_px + 1
        left, right = (_pixel(x_px + side * reach_px, scene.size.width) for side in (-1, 1))
        top, bottom = (_pixel(y_px + side * reach_px, scene.size.height) for side in (-1, 1))
        dx = (np.arange(left, right, dtype=np.float32) + 0.5 - x_px)[None, :] / height_px
        dy = (np.arange(top, bottom, dtype=np.float32) + 0.5 - y_px)[:, None] / height_px
        cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
        u, v = cosine * dx + sine * dy, cosine * dy - sine * dx
        inside = coverage(shape_distance(item.shape, u, v) * height_px)[..., None]
        colour = flat
        marked = mark_distance(item.shape, u, v) if item.turns else None
        if marked is not None:
            colour = flat + coverage(marked * height_px)[..., None] * (mark - flat)
        patch = picture[frame, top:bottom, left:right]
        patch[:] = np.rint(patch + inside * (colour - patch))


def _pixel(place_px: float, limit: int) -> int:
    return min(max(int(place_px), 0), limit)
