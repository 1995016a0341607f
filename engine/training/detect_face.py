"""Reading a talking head back: whether there is one, where, and how far its mouth is open in each frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.detect import above_background, read_background
from engine.training.toyworld_face import MOUTH_Y
from engine.training.toyworld_law import (
    MOUTH_INSIDE,
    SKINS,
    Background,
    FloatArray,
    Skin,
    background_rows,
)

_SEEN: Final = 45.0  # RGB distance from the background at which a pixel belongs to the head
_LEAST_HEAD: Final = 0.4  # of the frame's height; the law has 0.55 or more
_CHEEK_Y: Final = 0.10  # below the eyes, above the blush and the mouth, in head heights from the middle
_NEAR_SKIN: Final = 40.0  # RGB distance; the closest objects' colour, orange, is 81 from a skin
_LEAST_SKIN: Final = 0.2  # of the head's height squared; a head's skin is about 0.4
_LEAST_SHARE: Final = 0.2  # below it a pixel of the mouth is noise


@dataclass(frozen=True)
class FaceReading:
    """A head on a background; `opening` is the mouth's height in each frame over the head's height, 0 when shut."""

    background: Background
    skin: Skin
    x_px: float
    y_px: float
    head_height_px: float
    opening: FloatArray


def read_face(frames: NDArray[np.uint8]) -> FaceReading | None:
    """Read (F, H, W, 3) frames, 0-255; None when they show no head."""
    background = read_background(frames)
    difference = above_background(frames, background)
    height = frames.shape[1]
    pixels = difference + background_rows(background, height)[:, None]
    still = np.median(pixels[:: max(len(pixels) // 9, 1)], axis=0)
    head = np.linalg.norm(still - background_rows(background, height)[:, None], axis=-1) > _SEEN
    (top, bottom), (left, right) = _extent(head.sum(axis=1)), _extent(head.sum(axis=0))
    head_px = float(bottom - top)
    if head_px < _LEAST_HEAD * height:
        return None
    x_px, y_px = (left + right) / 2, (top + bottom) / 2
    cheeks = _box(still[None], (x_px, y_px + _CHEEK_Y * head_px), 0.25 * head_px, 0.06 * head_px)
    complexion = np.median(cheeks.reshape(-1, 3), axis=0)
    skin = min(SKINS, key=lambda name: float(np.linalg.norm(complexion - SKINS[name])))
    skin_px = (np.linalg.norm(still - np.asarray(SKINS[skin], np.float32), axis=-1) < _NEAR_SKIN) & head
    if np.linalg.norm(complexion - SKINS[skin]) > _NEAR_SKIN or skin_px.sum() < _LEAST_SKIN * head_px**2:
        return None
    mouth = _box(pixels, (x_px, y_px + MOUTH_Y * head_px), max(0.035 * head_px, 1.5), 0.13 * head_px)
    return FaceReading(background, skin, x_px, y_px, head_px, _opening(mouth, skin) / head_px)


def _box(pixels: FloatArray, middle_px: tuple[float, float], half_width_px: float, half_height_px: float) -> FloatArray:
    """The pixels (F, h, w, 3) around a place (x, y)."""
    x, y = middle_px
    rows = slice(max(int(y - half_height_px), 0), int(np.ceil(y + half_height_px)))
    columns = slice(max(int(x - half_width_px), 0), int(np.ceil(x + half_width_px)))
    return pixels[:, rows, columns]


def _opening(mouth: FloatArray, skin: Skin) -> FloatArray:
    """How many pixels of a narrow upright strip through the mouth are mouth, above the least of all frames: (F,)."""
    flat = np.asarray(SKINS[skin], np.float32)
    toward = np.asarray(MOUTH_INSIDE, np.float32) - flat
    share = np.clip((mouth - flat) @ toward / (toward @ toward), 0, 1)
    share[share < _LEAST_SHARE] = 0
    height_px = share.mean(axis=2).sum(axis=1)
    return height_px - height_px.min()


def _extent(counts: NDArray[np.integer]) -> tuple[int, int]:
    """First and one past the last place with more than a speck."""
    places = np.flatnonzero(counts > 3)
    return (int(places[0]), int(places[-1]) + 1) if places.size else (0, 0)
