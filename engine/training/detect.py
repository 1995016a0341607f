"""Reading a toy-world picture back: what is seen, where, and how it moves, from pixels alone.

This scores the starter model, so it is never told what was asked for, and it tolerates what a video autoencoder
does: blur of about a pixel and noise down to some 27 dB. It knows the world's laws (its colours, its shapes, its
camera moves) and looks for the nearest of them. Faces are read by `detect_face`, sound by `detect_sound`;
`detect_score` compares.

Everything rests on one soft matte for each object: how far each pixel lies from the background's colour, of the way
to the object's. Blur moves a matte's edge but not its sums, so places and sizes keep a precision below a pixel.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.detect_camera import CameraReading, read_camera
from engine.training.detect_shape import Outline, read_rotation, read_shape, smoothed
from engine.training.toyworld_law import (
    BACKGROUNDS,
    COLOURS,
    Background,
    Colour,
    FloatArray,
    Motion,
    Shape,
    background_rows,
)

_NEAR_COLOUR: Final = 50.0  # RGB distance within which a pixel votes for a colour; red and orange are 102 apart
_NEAR_BACKGROUND: Final = 45.0  # as above; black and navy are 58 apart
_LEAST_MATTE: Final = 0.25  # below it a matte is noise or texture
_LEAST_SHARE: Final = 0.006  # of the frame: half of the smallest ring's area
_SECOND_OBJECT: Final = 0.04  # least area of a second object, of the first one's, both without their edges
_VOTING_FRAMES: Final = 8
_LEAST_VOTES: Final = 80  # pixels, ten in each of those frames
# Half way, or a little more, between what the law asks of a motion and what the other motions do.
_TRAVEL: Final = 0.27  # of the frame; a bounce drifts by up to 0.12
_GROWTH: Final = 1.4
_TURNS: Final = 0.3
_LEAST_FALL: Final = 0.006  # of the height, in a frame beside a contact; the slowest bounce has 0.02
_LEAST_PERIOD: Final = 5  # frames between contacts; the law has 10 or more
_ARC: Final = 0.06  # of the frame's height; a bounce leaves its straight line by 0.1 or more


@dataclass(frozen=True)
class ObjectReading:
    """One object. Tracks have one value for each frame, NaN where it was not seen; places are on the screen."""

    colour: Colour
    shape: Shape
    motion: Motion
    x_px: FloatArray  # centroid; pixel centres lie at halves
    y_px: FloatArray
    area_px: FloatArray
    turned_rad: FloatArray  # clockwise since it was first seen
    contact_frames: FloatArray  # empty unless it bounces


@dataclass(frozen=True)
class PictureReading:
    """What a picture shows; `objects` has the largest first and is empty when none was found."""

    background: Background
    camera: CameraReading
    objects: tuple[ObjectReading, ...]


def read_picture(frames: NDArray[np.uint8]) -> PictureReading:
    """Read (F, H, W, 3) frames, 0-255; at least five."""
    background = read_background(frames)
    difference = above_background(frames, background)
    mattes = _mattes(difference, background)
    covered = np.zeros(frames.shape[:3], np.float32)
    for matte in mattes.values():
        covered = np.maximum(covered, matte > 0)
    camera = read_camera(difference.mean(axis=-1), smoothed(covered))
    ground = background_rows(background, frames.shape[1])[:, None]
    objects = [_read_object(colour, matte, difference + ground, camera) for colour, matte in mattes.items()]
    return PictureReading(background, camera, tuple(objects))


def read_background(frames: NDArray[np.uint8]) -> Background:
    """The background that most pixels are near, its fall towards the bottom included."""
    sample = frames[:: max(len(frames) // 4, 1), ::2, ::2].astype(np.float32)
    votes: dict[Background, float] = {}
    for name in BACKGROUNDS:
        ground = background_rows(name, frames.shape[1])[::2, None]
        away = np.linalg.norm(sample - ground, axis=-1)
        votes[name] = float(np.clip(1 - away / _NEAR_BACKGROUND, 0, None).sum())
    return max(votes, key=lambda name: votes[name])


def above_background(frames: NDArray[np.uint8], background: Background) -> FloatArray:
    """Frames minus the plain background, smoothed against noise: (F, H, W, 3)."""
    ground = background_rows(background, frames.shape[1])[:, None]
    by_channel = np.moveaxis(frames - ground, -1, 1)
    return np.moveaxis(smoothed(by_channel), 1, -1)


def _mattes(difference: FloatArray, background: Background) -> dict[Colour, FloatArray]:
    """A soft matte (F, H, W) for each object, by its colour, the largest first."""
    height, width = difference.shape[1:3]
    ground = background_rows(background, height)[:, None]
    away = np.linalg.norm(difference, axis=-1)
    mattes: dict[Colour, FloatArray] = {}
    misfits: list[FloatArray] = []
    for colour in _colours_present(difference, ground):
        toward = np.asarray(COLOURS[colour], np.float32) - ground
        # By distance rather than along `toward`, so that a mark in another shade does not cut a hole.
        matte = np.clip(away / np.linalg.norm(toward, axis=-1), 0, 1)
        mattes[colour] = np.where(matte < _LEAST_MATTE, 0, matte)
        along = np.clip((difference * toward).sum(axis=-1) / (toward**2).sum(axis=-1), 0, 1)
        misfits.append(np.linalg.norm(difference - along[..., None] * toward, axis=-1))
    if len(mattes) == 2:
        (first_colour, first), (second_colour, second) = mattes.items()
        first_is_nearer = _first_is_nearer(
            np.where(misfits[0] <= misfits[1], first, 0), np.where(misfits[0] > misfits[1], second, 0)
        )
        mattes = {first_colour: first * first_is_nearer, second_colour: second * ~first_is_nearer}
    least_px = _LEAST_SHARE * height * width
    return {colour: matte for colour, matte in mattes.items() if np.median(matte.sum(axis=(1, 2))) > least_px}


def _first_is_nearer(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Which pixels (F, H, W) are nearer to the first object, in terms of its size.

    Colour tells the objects apart but for a mark's pixels; place then decides for all pixels.
    """
    height, width = first.shape[1:]
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    away: list[FloatArray] = []
    for matte in (first, second):
        area = np.maximum(matte.sum(axis=(1, 2)), 1)[:, None, None]
        y = (matte * rows).sum(axis=(1, 2))[:, None, None] / area
        x = (matte * columns).sum(axis=(1, 2))[:, None, None] / area
        away.append(((rows - y) ** 2 + (columns - x) ** 2) / area)
    return away[0] <= away[1]


def _colours_present(difference: FloatArray, ground: FloatArray) -> list[Colour]:
    """At most two colours, the most frequent first."""
    voting = np.linspace(0, len(difference) - 1, _VOTING_FRAMES).astype(int)
    pixels = difference[voting] + ground
    votes: dict[Colour, int] = {colour: _votes(pixels, colour) for colour in COLOURS}
    least = max(_SECOND_OBJECT * max(votes.values()), _LEAST_VOTES)
    by_votes = sorted(votes, key=lambda colour: -votes[colour])
    return [colour for colour in by_votes[:2] if votes[colour] > least]


def _votes(pixels: FloatArray, colour: Colour) -> int:
    """How many pixels are of this colour and so are their four neighbours, unlike mixed colours at an edge."""
    near = np.linalg.norm(pixels - np.asarray(COLOURS[colour], np.float32), axis=-1) < _NEAR_COLOUR
    core = near[:, 1:-1, 1:-1] & near[:, :-2, 1:-1] & near[:, 2:, 1:-1] & near[:, 1:-1, :-2] & near[:, 1:-1, 2:]
    return int(core.sum())


def _read_object(colour: Colour, matte: FloatArray, pixels: FloatArray, camera: CameraReading) -> ObjectReading:
    num_frames, height, width = matte.shape
    x_px, y_px, area_px, turned_rad = (np.full(num_frames, np.nan) for _ in range(4))
    outlines: list[Outline] = []
    for frame in range(num_frames):
        outline, x, y = _outline(matte[frame], pixels[frame], colour)
        if outline.area_px < _LEAST_SHARE * height * width:
            continue
        x_px[frame], y_px[frame], area_px[frame] = x, y, outline.area_px
        outlines.append(outline)
    shape = read_shape(outlines)
    seen = np.isfinite(x_px)
    turned_rad[seen] = read_rotation(shape, outlines)
    world_x, world_y = camera.to_world(x_px, y_px, width, height)
    growth = np.log(area_px) / 2 - np.log(camera.zoom) * np.linspace(-0.5, 0.5, num_frames)
    contact_frames = _contacts(world_y / height)
    motion = _motion(world_x / width, world_y / height, growth, turned_rad / (2 * np.pi), contact_frames)
    return ObjectReading(
        colour=colour,
        shape=shape,
        motion=motion,
        x_px=x_px,
        y_px=y_px,
        area_px=area_px,
        turned_rad=turned_rad,
        contact_frames=contact_frames if motion == "bounces" else np.zeros(0),
    )


def _outline(matte: FloatArray, pixels: FloatArray, colour: Colour) -> tuple[Outline, float, float]:
    """The object's pixels in one frame, and its centroid; specks far from the bulk of the matte are left out."""
    rows, columns = np.nonzero(matte)
    weight = matte[rows, columns]
    reach_px = 1.1 * np.sqrt(weight.sum()) + 3
    near = (np.abs(rows - _weighted_median(rows, weight)) < reach_px) & (
        np.abs(columns - _weighted_median(columns, weight)) < reach_px
    )
    rows, columns, weight = rows[near], columns[near], weight[near]
    area = max(float(weight.sum()), 1e-6)
    x, y = float((columns * weight).sum() / area), float((rows * weight).sum() / area)
    off_colour = np.linalg.norm(pixels[rows, columns] - np.asarray(COLOURS[colour], np.float32), axis=-1)
    return Outline(columns - x, rows - y, weight, off_colour), x + 0.5, y + 0.5


def _weighted_median(values: NDArray[np.intp], weights: FloatArray) -> float:
    if values.size == 0:
        return 0.0
    totals = np.cumsum(np.bincount(values, weights))
    return float(np.searchsorted(totals, totals[-1] / 2))


def _motion(
    x: FloatArray, y: FloatArray, log_size: FloatArray, turns: FloatArray, contact_frames: FloatArray
) -> Motion:
    """The motion that exceeds its threshold by most; tracks are in the world, places in fractions of the frame."""
    arc = float(np.nanmax(np.abs(y - _line(y))))
    if arc > _ARC and len(contact_frames) > 0:
        return "bounces"
    travel_x, travel_y, grown, turned = (_line(track)[-1] - _line(track)[0] for track in (x, y, log_size, turns))
    candidates: list[tuple[float, Motion]] = [
        (1.0, "stays still"),
        (abs(travel_x) / _TRAVEL, "moves right" if travel_x > 0 else "moves left"),
        (abs(travel_y) / _TRAVEL, "moves down" if travel_y > 0 else "moves up"),
        (abs(grown) / np.log(_GROWTH), "grows" if grown > 0 else "shrinks"),
        (abs(turned) / _TURNS, "spins"),
    ]
    return max(candidates)[1]


def _line(track: FloatArray) -> FloatArray:
    """The straight line through a track, fitted where it is known."""
    frame = np.arange(len(track))
    known = np.isfinite(track)
    if known.sum() < 2:
        return np.zeros(len(track))
    slope, start = np.polyfit(frame[known], track[known], 1)
    return start + slope * frame


def _contacts(y: FloatArray) -> FloatArray:
    """Frames, to a fraction, where a track (down is positive) turns sharply from falling to rising."""
    y = np.where(np.isfinite(y), y, np.nanmin(y))
    lowest_contact = y.max() - 0.2 * (y.max() - y.min())
    contacts: list[float] = []
    for frame in range(2, len(y) - 2):
        around = y[frame - 2 : frame + 3]
        if y[frame] < max(around.max(), lowest_contact):
            continue
        falling, rising = around[1] - around[0], around[3] - around[4]
        if min(falling, rising) > _LEAST_FALL and (not contacts or frame - contacts[-1] > _LEAST_PERIOD):
            # Where the line through the two frames before meets the line through the two after.
            meeting = (around[3] + rising - around[1] - falling) / (falling + rising)
            contacts.append(frame + float(np.clip(meeting, -1, 1)))
    return np.asarray(contacts)
