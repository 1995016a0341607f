"""The starter model's score: what the detectors read in clips against what the prompts asked for.

Pixels and samples only; the scene is used for what its prompt says, never for where the generator would have put
things. No torch in this module.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.training.detect import ObjectReading, PictureReading, read_picture
from engine.training.detect_face import FaceReading, read_face
from engine.training.detect_score import correlation
from engine.training.detect_sound import SoundReading, read_sound
from engine.training.toyworld_law import FRAMES_PER_SECOND, FloatArray, Scene

VERTICAL: Final = ("moves up", "moves down")


class Sample(NamedTuple):
    """A clip made from the prompt of a scene."""

    scene: Scene
    frames: NDArray[np.uint8]  # (F, H, W, 3)
    audio: FloatArray  # (2, 2000 F) at 48 kHz


@dataclass(frozen=True)
class Measure:
    """One line of the score; `target` is a lower bound, or an upper one with `is_most`."""

    name: str
    value: float  # NaN when there was nothing to measure
    target: float
    unit: str = ""
    is_most: bool = False
    num_clips: int = 0

    @property
    def passes(self) -> bool:
        return bool(self.value <= self.target if self.is_most else self.value >= self.target)

    def to_dict(self) -> dict[str, Any]:
        """JSON has no NaN: a measure without clips has the value null."""
        return {**asdict(self), "value": None if np.isnan(self.value) else self.value, "passes": self.passes}


class _Read(NamedTuple):
    scene: Scene
    picture: PictureReading | None
    face: FaceReading | None
    sound: SoundReading

    @property
    def object(self) -> ObjectReading | None:
        """The largest one found."""
        return self.picture.objects[0] if self.picture is not None and self.picture.objects else None


def score(samples: Iterable[Sample]) -> list[Measure]:
    """Every measure that a clip alone can be judged by, in the order of the table."""
    reads = [_read(sample) for sample in samples]
    objects = [read for read in reads if len(read.scene.objects) == 1]
    by_cause = [read for read in objects if read.scene.sound == "by cause"]
    bounces = [read for read in by_cause if read.scene.objects[0].motion == "bounces"]
    vertical = [read for read in by_cause if read.scene.objects[0].motion in VERTICAL]
    faces = [read for read in reads if read.scene.face is not None]
    errors = [error for read in bounces for error in _contact_errors(read)]
    return [
        _share("object colour", objects, 95, lambda read: _asked(read, "colour")),
        _share("object shape", objects, 90, lambda read: _asked(read, "shape")),
        _share("background", objects, 95, lambda read: _background(read) == read.scene.background),
        _share("motion", objects, 90, lambda read: _asked(read, "motion")),
        Measure("thud after contact, median", _median(errors), 1, "frames", is_most=True, num_clips=len(bounces)),
        Measure("thud within two frames", _percent([error <= 2 for error in errors]), 90, "%", num_clips=len(bounces)),
        Measure("mouth against voice", _mean(map(_mouth_in_step, faces)), 0.75, num_clips=len(faces)),
        Measure("pitch against height", _mean(map(_pitch_in_step, vertical)), 0.8, num_clips=len(vertical)),
    ]


def psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures; at most 100 dB, which stands for equal."""
    error = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return min(10 * float(np.log10(255**2 / max(error, 1e-9))), 100.0)


def points_lost(guided: Sequence[Measure], distilled: Sequence[Measure]) -> Measure:
    """The most that a measure loses from one list to the other, in points of a hundred.

    Errors in frames count as shares of the two frames that a contact is given.
    """
    losses = [
        (before.value - after.value) * _POINTS[before.unit] * (-1 if before.is_most else 1)
        for before, after in zip(guided, distilled, strict=True)
    ]
    known = [loss for loss in losses if not np.isnan(loss)]
    return Measure("distilled against guided, most lost", max(known, default=float("nan")), 5, "points", is_most=True)


_POINTS: Final = {"%": 1.0, "": 100.0, "dB": 1.0, "frames": 50.0}


def _read(sample: Sample) -> _Read:
    is_face = sample.scene.face is not None
    return _Read(
        sample.scene,
        picture=None if is_face else read_picture(sample.frames),
        face=read_face(sample.frames) if is_face else None,
        sound=read_sound(sample.audio),
    )


def _asked(read: _Read, name: str) -> bool:
    return read.object is not None and getattr(read.object, name) == getattr(read.scene.objects[0], name)


def _background(read: _Read) -> str | None:
    return None if read.picture is None else read.picture.background


def _contact_errors(read: _Read) -> list[float]:
    """For every contact that is seen, frames to the nearest thud that is heard; infinite without either."""
    contacts = np.zeros(0) if read.object is None else read.object.contact_frames
    thuds = read.sound.thud_onsets_s * FRAMES_PER_SECOND
    if len(contacts) == 0 or len(thuds) == 0:
        return [float("inf")]
    return [float(np.abs(thuds - contact).min()) for contact in contacts]


def _mouth_in_step(read: _Read) -> float:
    return 0.0 if read.face is None else correlation(read.face.opening, read.sound.envelope)


def _pitch_in_step(read: _Read) -> float:
    return 0.0 if read.object is None else correlation(-read.object.y_px, np.log(read.sound.pitch_hz))


def _share(name: str, reads: Sequence[_Read], target: float, is_right: Callable[[_Read], bool]) -> Measure:
    return Measure(name, _percent([is_right(read) for read in reads]), target, "%", num_clips=len(reads))


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags) if flags else float("nan")


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else float("nan")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
