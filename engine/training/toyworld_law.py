"""The laws of the toy world: its names, colours and timings, the values that describe one scene, and how
things move.

The starter model is trained on this world and scored on it, so every law is exact: a scene holds all there is
to know, and where an object is at any frame is a closed formula of it. Lengths in a scene are fractions of the
frame, so a scene does not depend on its size in pixels.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from engine.types import Size

FloatArray: TypeAlias = NDArray[np.floating]
Rgb: TypeAlias = tuple[int, int, int]

FRAMES_PER_SECOND: Final = 24
SAMPLE_RATE_HZ: Final = 48_000
SAMPLES_PER_FRAME: Final = SAMPLE_RATE_HZ // FRAMES_PER_SECOND  # 2000, exact

Shape = Literal["ball", "square", "triangle", "star", "ring", "heart"]
Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "white"]
Background = Literal["black", "gray", "navy", "teal", "sand", "sky"]
Motion = Literal[
    "stays still",
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "bounces",
    "spins",
    "grows",
    "shrinks",
]
Camera = Literal["static", "dolly in", "dolly out", "pan left", "pan right"]
SoundRequest = Literal["by cause", "with no sound", "with a low tone", "with a high tone"]
Syllable = Literal["ba", "da", "mo", "la", "ti", "ku"]
Voice = Literal["low", "high"]
Skin = Literal["porcelain", "light", "tan", "brown", "deep"]
Hair = Literal["black", "brown", "blond", "red", "gray"]
HairStyle = Literal["short", "long", "curly"]

SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
MOTIONS: Final[tuple[Motion, ...]] = get_args(Motion)
CAMERAS: Final[tuple[Camera, ...]] = get_args(Camera)
SOUND_REQUESTS: Final[tuple[SoundRequest, ...]] = get_args(SoundRequest)
SYLLABLES: Final[tuple[Syllable, ...]] = get_args(Syllable)
HAIR_STYLES: Final[tuple[HairStyle, ...]] = get_args(HairStyle)

# All 42 pairs of colour and background are used: the closest one, green on teal, is 80 levels apart.
COLOURS: Final[dict[Colour, Rgb]] = {
    "red": (220, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (240, 215, 50),
    "green": (40, 170, 70),
    "blue": (50, 90, 230),
    "purple": (150, 60, 200),
    "white": (240, 240, 240),
}
BACKGROUNDS: Final[dict[Background, Rgb]] = {
    "black": (15, 15, 18),
    "gray": (115, 115, 122),
    "navy": (20, 25, 75),
    "teal": (15, 100, 100),
    "sand": (200, 180, 130),
    "sky": (140, 190, 235),
}
BACKGROUND_FALL: Final = 0.12  # the last row is this much darker than the first, linearly between

SKINS: Final[dict[Skin, Rgb]] = {
    "porcelain": (250, 214, 184),
    "light": (232, 184, 146),
    "tan": (202, 144, 104),
    "brown": (164, 108, 76),
    "deep": (128, 82, 58),
}
HAIRS: Final[dict[Hair, Rgb]] = {
    "black": (40, 32, 36),
    "brown": (92, 58, 36),
    "blond": (206, 160, 84),
    "red": (156, 66, 34),
    "gray": (172, 172, 178),
}
MOUTH_INSIDE: Final[Rgb] = (58, 10, 22)

SMALLEST_SIZE: Final = 0.22  # upright height of an object, of the frame's height
LARGEST_SIZE: Final = 0.40
LEAST_TRAVEL: Final = 1 / 3  # of the frame's width or height
LEAST_GROWTH: Final = 1.8
LEAST_TURNS: Final = 0.5
DOLLY_FACTOR: Final = 1.4
PAN_FRACTION: Final = 0.25  # of the frame's width
SMALLEST_HEAD: Final = 0.55  # of the frame's height, hair included
LARGEST_HEAD: Final = 0.75

FRAME_COUNTS: Final = (17, 25, 33, 41, 49)
SIZES: Final = (Size(256, 192), Size(192, 256), Size(256, 128), Size(128, 128))


@dataclass(frozen=True)
class MovingObject:
    """One object and its path in the world, before the camera looks at it.

    `x`, `y` is the centroid in the first frame in fractions of the frame's width and height; for a bounce,
    `y` is the centroid when it touches the floor. `size` is the upright height in the first frame, a fraction
    of the frame's height.
    """

    shape: Shape
    colour: Colour
    motion: Motion
    size: float
    x: float
    y: float
    travel_x: float = 0.0  # from the first frame to the last, fraction of the width
    travel_y: float = 0.0
    turns: float = 0.0  # clockwise
    growth: float = 1.0  # last size over first size
    first_contact: int = 0  # frame
    bounce_period: int = 0  # frames between contacts
    bounce_height: float = 0.0  # fraction of the frame's height

    @property
    def makes_steady_tone(self) -> bool:
        """Whether it sounds the soft 440 Hz tone of things that stay in their place."""
        return self.motion in ("stays still", "spins", "grows", "shrinks")

    def contact_frames(self, frames: int) -> tuple[int, ...]:
        """The frames in which it touches the floor."""
        return tuple(range(self.first_contact, frames, self.bounce_period)) if self.bounce_period else ()


@dataclass(frozen=True)
class Face:
    """A talking cartoon head; `x`, `y` is the middle of its bounding box in fractions of the frame."""

    skin: Skin
    hair: Hair
    hair_style: HairStyle
    head_height: float
    x: float
    y: float
    syllables: tuple[Syllable, ...]
    voice: Voice
    first_syllable_s: float
    syllable_period_s: float
    blink_frame: int


@dataclass(frozen=True)
class Scene:
    """All there is to know about a clip: either objects or a face. `dataclasses.asdict` makes it JSON-able."""

    seed: int
    size: Size
    frames: int
    background: Background
    objects: tuple[MovingObject, ...] = ()
    face: Face | None = None
    camera: Camera = "static"
    sound: SoundRequest = "by cause"

    @property
    def num_samples(self) -> int:
        return self.frames * SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Track:
    """Where an object is on the screen in each frame: arrays of F values."""

    x_px: FloatArray  # centroid; pixel centres lie at halves
    y_px: FloatArray
    height_px: FloatArray  # upright height
    angle_rad: FloatArray  # clockwise


@dataclass(frozen=True)
class CameraTrack:
    """The camera in each frame: a world point goes to `middle + zoom * (point - middle)`, then right by `shift_px`."""

    zoom: FloatArray
    shift_px: FloatArray


def camera_track(camera: Camera, *, width: int, frames: int) -> CameraTrack:
    """Steady camera moves, centred on the clip's middle; panning left moves the picture to the right."""
    progress = _progress(frames) - 0.5
    zoom = np.ones_like(progress)
    shift_px = np.zeros_like(progress)
    match camera:
        case "dolly in":
            zoom = DOLLY_FACTOR**progress
        case "dolly out":
            zoom = DOLLY_FACTOR**-progress
        case "pan left":
            shift_px = PAN_FRACTION * width * progress
        case "pan right":
            shift_px = -PAN_FRACTION * width * progress
        case "static":
            pass
    return CameraTrack(zoom.astype(np.float32), shift_px.astype(np.float32))


def screen_track(scene: Scene, item: MovingObject) -> Track:
    """Where `item` is on the screen in each frame, the camera's move included."""
    width, height = scene.size.width, scene.size.height
    progress = _progress(scene.frames)
    x_px = (item.x + item.travel_x * progress) * width
    y_px = (item.y + item.travel_y * progress) * height
    if item.bounce_period:
        phase = (np.arange(scene.frames) - item.first_contact) / item.bounce_period % 1
        y_px = y_px - item.bounce_height * height * 4 * phase * (1 - phase)
    height_px = item.size * height * item.growth**progress
    camera = camera_track(scene.camera, width=width, frames=scene.frames)
    return Track(
        x_px=(width / 2 + camera.zoom * (x_px - width / 2) + camera.shift_px).astype(np.float32),
        y_px=(height / 2 + camera.zoom * (y_px - height / 2)).astype(np.float32),
        height_px=(height_px * camera.zoom).astype(np.float32),
        angle_rad=(2 * np.pi * item.turns * progress).astype(np.float32),
    )


def background_rows(background: Background, height: int) -> FloatArray:
    """The background's colour in each row: (height, 3), 0-255."""
    shade = 1 - BACKGROUND_FALL * np.linspace(0, 1, height, dtype=np.float32)
    return shade[:, None] * np.asarray(BACKGROUNDS[background], np.float32)


def _progress(frames: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, frames)
