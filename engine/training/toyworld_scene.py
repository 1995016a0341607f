"""Drawing scenes at random, within the laws: everything stays in view, and every motion is as large as its
law asks.

Where an object may be follows in closed form from how far it will travel, so nothing is drawn twice and
thrown away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from engine.training.toyworld_law import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    DOLLY_FACTOR,
    FRAME_COUNTS,
    FRAMES_PER_SECOND,
    HAIR_STYLES,
    HAIRS,
    LARGEST_HEAD,
    LARGEST_SIZE,
    LEAST_GROWTH,
    LEAST_TRAVEL,
    LEAST_TURNS,
    MOTIONS,
    PAN_FRACTION,
    SHAPES,
    SIZES,
    SKINS,
    SMALLEST_HEAD,
    SMALLEST_SIZE,
    SOUND_REQUESTS,
    SYLLABLES,
    Background,
    Camera,
    Colour,
    Face,
    Hair,
    Motion,
    MovingObject,
    Rgb,
    Scene,
    Shape,
    Skin,
)
from engine.training.toyworld_shapes import REACH, Reach
from engine.types import Size

T = TypeVar("T")

# How often each kind of clip is drawn: a choice of ours, so that every law is seen often enough to be learnt.
_FACE_SHARE: Final = 0.2
_PAIR_SHARE: Final = 0.1
_MOVING_CAMERA_SHARE: Final = 0.25
_SOUND_REQUEST_SHARE: Final = 0.2

_LARGEST_GROWTH: Final = 2.0
_LARGEST_DRIFT: Final = 0.12  # of the width, while bouncing
_LEAST_BOUNCE: Final = 0.25  # of the height
_FLOOR_BAND: Final = 0.04  # the floor lies within this of the lowest place that stays in view
_EDGE_PX: Final = 2.0  # objects keep this distance from the frame's edge
_NOTICEABLE: Final = 60.0  # least RGB distance between a head and what is behind it
_DIRECTION: Final[dict[Motion, tuple[int, int]]] = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
}
# Two objects share the frame side by side or one above the other, with motions that keep them apart.
_COLUMN_MOTIONS: Final[tuple[Motion, ...]] = ("stays still", "spins", "bounces", "moves up", "moves down")
_ROW_MOTIONS: Final[tuple[Motion, ...]] = ("stays still", "spins", "moves left", "moves right")


def sample_scene(seed: int, *, size: Size | None = None, frames: int | None = None) -> Scene:
    """The scene of a seed (>= 0); `size` has sides of 128 pixels or more, `frames` is 8k+1 and at least 17."""
    rng = np.random.default_rng((seed, 0))
    size = size or _pick(rng, SIZES)
    frames = frames or _pick(rng, FRAME_COUNTS)
    assert min(size.width, size.height) >= 128, size
    assert frames >= FRAME_COUNTS[0], frames
    assert frames % 8 == 1, frames
    background = _pick(rng, tuple(BACKGROUNDS))
    kind = rng.random()
    if kind < _FACE_SHARE:
        return Scene(seed, size, frames, background, face=_sample_face(rng, size, frames, background))
    sound = _pick(rng, SOUND_REQUESTS[1:]) if rng.random() < _SOUND_REQUEST_SHARE else "by cause"
    if kind < _FACE_SHARE + _PAIR_SHARE:
        return Scene(seed, size, frames, background, objects=_sample_pair(rng, size, frames), sound=sound)
    camera = _pick(rng, CAMERAS[1:]) if rng.random() < _MOVING_CAMERA_SHARE else "static"
    stage = _Stage(size, frames, camera, 0, 0, size.width, size.height)
    item = _sample_object(rng, stage, _pick(rng, SHAPES), _pick(rng, tuple(COLOURS)), _pick(rng, MOTIONS))
    return Scene(seed, size, frames, background, objects=(item,), camera=camera, sound=sound)


@dataclass(frozen=True)
class _Stage:
    """The part of the frame, in pixels, that an object may be seen in, and the camera that looks at it."""

    size: Size
    frames: int
    camera: Camera
    left: float
    top: float
    right: float
    bottom: float

    @property
    def closest_zoom(self) -> float:
        return DOLLY_FACTOR**0.5 if self.camera in ("dolly in", "dolly out") else 1.0

    @property
    def pan_px(self) -> float:
        """How far the picture shifts to the right over the clip."""
        return {"pan left": 1, "pan right": -1}.get(self.camera, 0) * PAN_FRACTION * self.size.width

    def world_x(self) -> tuple[float, float]:
        """What stays in view at the closest zoom, before panning."""
        return self._world(self.left + _EDGE_PX, self.size.width), self._world(self.right - _EDGE_PX, self.size.width)

    def world_y(self) -> tuple[float, float]:
        return self._world(self.top + _EDGE_PX, self.size.height), self._world(self.bottom - _EDGE_PX, self.size.height)

    def _world(self, place: float, side: int) -> float:
        return side / 2 + (place - side / 2) / self.closest_zoom


def _sample_object(
    rng: np.random.Generator, stage: _Stage, shape: Shape, colour: Colour, motion: Motion
) -> MovingObject:
    width, height = stage.size.width, stage.size.height
    reach = Reach(*4 * (REACH[shape].around,)) if motion == "spins" else REACH[shape]
    (left, right), (top, bottom) = stage.world_x(), stage.world_y()
    pan_px = stage.pan_px
    toward_x, toward_y = _DIRECTION.get(motion, (0, 0))
    # Against a pan the object travels further, so that a third of the frame is also what the screen shows.
    least_x = toward_x * width * (LEAST_TRAVEL + (PAN_FRACTION if toward_x * pan_px < 0 else 0))
    least_y = toward_y * height * LEAST_TRAVEL
    bounce_room = _LEAST_BOUNCE * height if motion == "bounces" else 0
    largest_px = min(
        (right - left - abs(least_x + pan_px)) / (2 * reach.side),
        (bottom - top - abs(least_y) - bounce_room) / (reach.top + reach.bottom),
    )
    size_px, growth = _sample_size(rng, stage, motion, largest_px)
    widest_px = size_px * max(growth, 1)

    room_x = right - left - 2 * reach.side * widest_px
    room_y = bottom - top - (reach.top + reach.bottom) * widest_px
    if motion == "bounces":
        drift = rng.uniform(-_LARGEST_DRIFT, _LARGEST_DRIFT) * width
        travel_x = min(max(drift, -0.9 * room_x - pan_px), 0.9 * room_x - pan_px)
    else:
        travel_x = toward_x * rng.uniform(abs(least_x), room_x - toward_x * pan_px) if toward_x else 0.0
    travel_y = toward_y * rng.uniform(abs(least_y), room_y) if toward_y else 0.0
    # On the screen the object starts half a pan before its place in the world, and ends half a pan after it.
    ends_x = (-pan_px / 2, travel_x + pan_px / 2)
    x_px = rng.uniform(left + reach.side * widest_px - min(ends_x), right - reach.side * widest_px - max(ends_x))
    y_px = rng.uniform(
        top + reach.top * widest_px - min(travel_y, 0), bottom - reach.bottom * widest_px - max(travel_y, 0)
    )
    first_contact = bounce_period = 0
    bounce_px = 0.0
    if motion == "bounces":
        first_contact, bounce_period = _sample_bounce_timing(rng, stage.frames)
        y_px = bottom - reach.bottom * size_px - rng.uniform(0, _FLOOR_BAND) * height
        highest_px = y_px - (top + reach.top * size_px)
        bounce_px = rng.uniform(max(0.6 * highest_px, min(_LEAST_BOUNCE * height, highest_px)), highest_px)
    return MovingObject(
        shape=shape,
        colour=colour,
        motion=motion,
        size=size_px / height,
        x=x_px / width,
        y=y_px / height,
        travel_x=travel_x / width,
        travel_y=travel_y / height,
        turns=_sample_turns(rng, stage.frames) if motion == "spins" else 0.0,
        growth=growth,
        first_contact=first_contact,
        bounce_period=bounce_period,
        bounce_height=bounce_px / height,
    )


def _sample_size(rng: np.random.Generator, stage: _Stage, motion: Motion, largest_px: float) -> tuple[float, float]:
    """Upright height in the first frame in pixels, and the growth from first to last frame."""
    height = stage.size.height
    if motion in ("grows", "shrinks"):
        small_px = rng.uniform(SMALLEST_SIZE, 1.1 * SMALLEST_SIZE) * height
        factor = rng.uniform(LEAST_GROWTH, min(_LARGEST_GROWTH, largest_px / small_px))
        return (small_px, factor) if motion == "grows" else (small_px * factor, 1 / factor)
    # The law of sizes holds on the screen, whatever the zoom.
    smallest_px = SMALLEST_SIZE * height * stage.closest_zoom
    return rng.uniform(smallest_px, min(LARGEST_SIZE * height / stage.closest_zoom, largest_px)), 1.0


def _sample_turns(rng: np.random.Generator, frames: int) -> float:
    """Half a turn or more, either way, slow enough that a star does not seem to turn backwards (36 degrees a frame)."""
    return float(rng.choice([-1, 1]) * rng.uniform(LEAST_TURNS, LEAST_TURNS + frames / 48))


def _sample_bounce_timing(rng: np.random.Generator, frames: int) -> tuple[int, int]:
    """First contact and period in frames, for one to three contacts that each have room for their thud."""
    timings = {
        num_contacts: [
            (first, period)
            for period in range(10, 31)
            for first in range(4, int(0.8 * period) + 1)
            if first + (num_contacts - 1) * period <= frames - 5 and first + num_contacts * period >= frames
        ]
        for num_contacts in (1, 2, 3)
    }
    return _pick(rng, _pick(rng, [choices for choices in timings.values() if choices]))


def _sample_pair(rng: np.random.Generator, size: Size, frames: int) -> tuple[MovingObject, MovingObject]:
    width, height = size.width, size.height
    if rng.random() < 0.5:
        motions = _COLUMN_MOTIONS
        cells = [(0, 0, width / 2, height), (width / 2, 0, width, height)]
    else:
        motions = _ROW_MOTIONS
        cells = [(0, 0, width, height / 2), (0, height / 2, width, height)]
    first_colour, second_colour = rng.permutation(len(COLOURS))[:2]
    first_cell, second_cell = rng.permutation(2)
    first, second = (
        _sample_object(
            rng,
            _Stage(size, frames, "static", *cells[cell]),
            _pick(rng, SHAPES),
            tuple(COLOURS)[colour],
            _pick(rng, motions),
        )
        for colour, cell in ((first_colour, first_cell), (second_colour, second_cell))
    )
    return first, second


def _sample_face(rng: np.random.Generator, size: Size, frames: int, background: Background) -> Face:
    behind = BACKGROUNDS[background]
    skins: list[Skin] = [name for name, colour in SKINS.items() if _rgb_distance(colour, behind) >= _NOTICEABLE]
    hairs: list[Hair] = [name for name, colour in HAIRS.items() if _rgb_distance(colour, behind) >= _NOTICEABLE]
    head_height = rng.uniform(SMALLEST_HEAD, LARGEST_HEAD)
    half_x = 0.47 * head_height * size.height / size.width
    half_y = head_height / 2 + 0.02
    period_s = rng.uniform(0.22, 0.28)  # about four syllables a second
    first_s = rng.uniform(0.06, 0.14)
    most_syllables = int((frames / FRAMES_PER_SECOND - first_s - 0.05) / period_s)
    num_syllables = int(rng.integers(max(most_syllables // 2, 1), most_syllables + 1))
    return Face(
        skin=_pick(rng, skins),
        hair=_pick(rng, hairs),
        hair_style=_pick(rng, HAIR_STYLES),
        head_height=head_height,
        x=rng.uniform(half_x, 1 - half_x),
        y=rng.uniform(half_y, 1 - half_y),
        syllables=tuple(_pick(rng, SYLLABLES) for _ in range(num_syllables)),
        voice=_pick(rng, ("low", "high")),
        first_syllable_s=first_s,
        syllable_period_s=period_s,
        blink_frame=int(rng.integers(2, frames - 4)),
    )


def _rgb_distance(one: Rgb, other: Rgb) -> float:
    return float(np.linalg.norm(np.subtract(one, other)))


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
