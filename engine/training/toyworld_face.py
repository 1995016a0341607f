"""Drawing the toy world's talking head.

Everything but the mouth and one blink stands still. The mouth's height is proportional to the voice's
envelope, with the same factor for every syllable; its width is the syllable's. Shut, it is a thin line.
Lengths are fractions of the head's height, from the middle of the head's bounding box.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.training.toyworld_law import HAIRS, MOUTH_INSIDE, SKINS, Face, FloatArray, Rgb, Syllable
from engine.training.toyworld_shapes import capsule_distance, coverage, ellipse_distance
from engine.training.toyworld_voice import mouth_opening, syllable_per_frame

MOUTH_Y: Final = 0.27
WIDEST_OPENING: Final = 0.20  # height of the mouth at envelope 1
_MOUTH_WIDTH: Final[dict[str, float]] = {"a": 0.26, "o": 0.17, "i": 0.32, "u": 0.11}
_SHUT_WIDTH: Final = 0.22
_LIP: Final = 0.016
_BLINK_FRAMES: Final = 3

_EYE_X, _EYE_Y = 0.155, -0.02
_EYE_WHITE: Final[Rgb] = (250, 250, 250)
_PUPIL: Final[Rgb] = (38, 32, 44)


class _Canvas(NamedTuple):
    """The pixels around the head: (F, h, w, 3), and where they lie, in heads."""

    pixels: NDArray[np.uint8]
    u: FloatArray  # (1, w)
    v: FloatArray  # (h, 1)
    head_px: float

    def paint(self, frames: slice, distance: FloatArray, colour: FloatArray) -> None:
        """Fill where `distance`, in heads, is negative; the first of `frames` stands for all of them."""
        inside = coverage(distance * self.head_px)
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        if rows.size == 0:
            return
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        patch = self.pixels[(frames.start, *box)].astype(np.float32)
        self.pixels[(frames, *box)] = np.rint(patch + inside[box][..., None] * (colour - patch))


def draw_face(picture: NDArray[np.uint8], face: Face) -> None:
    """Draw the head into all frames of `picture` (F, H, W, 3)."""
    frames, height, width = picture.shape[:3]
    head_px = face.head_height * height
    u = (np.arange(width, dtype=np.float32) + 0.5 - face.x * width)[None, :] / head_px
    v = (np.arange(height, dtype=np.float32) + 0.5 - face.y * height)[:, None] / head_px
    columns = np.flatnonzero(np.abs(u[0]) < 0.52)
    rows = np.flatnonzero(np.abs(v[:, 0]) < 0.52)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    canvas = _Canvas(picture[:, *box], u[:, box[1]], v[box[0]], head_px)
    _paint_head(canvas, face, slice(0, frames))
    _paint_eyelids(canvas, face, slice(face.blink_frame, min(face.blink_frame + _BLINK_FRAMES, frames)))
    openings = mouth_opening(face, frames)
    for frame, (opening, syllable) in enumerate(zip(openings, syllable_per_frame(face, frames), strict=True)):
        _paint_mouth(canvas, face, slice(frame, frame + 1), opening=float(opening), syllable=syllable)


def _paint_head(canvas: _Canvas, face: Face, frames: slice) -> None:
    u, v = canvas.u, canvas.v
    side = np.abs(u)
    skin, hair = _rgb(SKINS[face.skin]), _rgb(HAIRS[face.hair])
    shade = 0.86 * skin
    if face.hair_style == "long":
        beyond_u, beyond_v = np.maximum(side - 0.30, 0), np.maximum(np.abs(v - 0.06) - 0.24, 0)
        canvas.paint(frames, np.hypot(beyond_u, beyond_v) - 0.14, hair)
    canvas.paint(frames, ellipse_distance(side - 0.385, v - 0.05, 0.055, 0.085), shade)
    canvas.paint(frames, ellipse_distance(u, v - 0.02, 0.385, 0.48), skin)
    canvas.paint(frames, _hair_distance(face, u, v), hair)
    canvas.paint(
        frames, ellipse_distance(side - 0.235, v - 0.17, 0.07, 0.045), skin + 0.35 * (_rgb((235, 96, 92)) - skin)
    )
    canvas.paint(frames, ellipse_distance(side - _EYE_X, v - _EYE_Y, 0.078, 0.088), _rgb(_EYE_WHITE))
    canvas.paint(frames, ellipse_distance(side - _EYE_X, v - _EYE_Y - 0.008, 0.042, 0.052), _rgb(_PUPIL))
    canvas.paint(frames, ellipse_distance(side - _EYE_X - 0.014, v - _EYE_Y + 0.014, 0.014, 0.016), _rgb(_EYE_WHITE))
    canvas.paint(frames, capsule_distance(side - 0.09, v + 0.145, tip=(0.12, -0.012), radius=0.016), 0.8 * hair)
    canvas.paint(frames, ellipse_distance(u, v - 0.125, 0.04, 0.03), shade)


def _hair_distance(face: Face, u: FloatArray, v: FloatArray) -> FloatArray:
    """The hair in front: a cap that ends in a fringe, or curls along the top of the head."""
    if face.hair_style == "curly":
        curls = [
            np.hypot(u - 0.37 * np.sin(angle), v + 0.04 + 0.335 * np.cos(angle)) - 0.125
            for angle in np.linspace(-1.45, 1.45, 9)
        ]
        return np.minimum.reduce(curls)
    cap = ellipse_distance(u, v + 0.04, 0.43, 0.46)
    fringe = 0.20 if face.hair_style == "short" else 0.23
    return np.maximum(cap, v + fringe + 0.12 * np.sin(3.2 * u) - 0.9 * u * u)


def _paint_eyelids(canvas: _Canvas, face: Face, frames: slice) -> None:
    if frames.start >= frames.stop:
        return
    side, v = np.abs(canvas.u), canvas.v
    skin = _rgb(SKINS[face.skin])
    canvas.paint(frames, ellipse_distance(side - _EYE_X, v - _EYE_Y, 0.082, 0.092), skin)
    lid = capsule_distance(side - _EYE_X + 0.065, v - _EYE_Y - 0.03, tip=(0.13, 0.0), radius=0.010)
    canvas.paint(frames, lid, 0.5 * skin)


def _paint_mouth(canvas: _Canvas, face: Face, frames: slice, *, opening: float, syllable: Syllable) -> None:
    """Lips in a darker shade of the skin around a dark inside; the width goes from the shut line to the syllable's."""
    u, v = canvas.u, canvas.v - MOUTH_Y
    lips = 0.62 * _rgb(SKINS[face.skin]) + 0.2 * _rgb((200, 40, 60))
    width = _SHUT_WIDTH + min(opening / 0.25, 1.0) * (_MOUTH_WIDTH[syllable[1]] - _SHUT_WIDTH)
    half_height = WIDEST_OPENING / 2 * opening
    canvas.paint(frames, ellipse_distance(u, v, width / 2 + _LIP, half_height + _LIP), lips)
    if half_height * canvas.head_px > 0.25:  # a quarter of a pixel; below it nothing would show
        canvas.paint(frames, ellipse_distance(u, v, width / 2, half_height), _rgb(MOUTH_INSIDE))


def _rgb(colour: Rgb) -> FloatArray:
    return np.asarray(colour, np.float32)
