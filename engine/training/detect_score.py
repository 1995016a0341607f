"""Comparing readings with what a scene asks for: small functions, each one number, that an evaluation is made of."""

from collections.abc import Sequence

import numpy as np

from engine.training.toyworld_law import FRAMES_PER_SECOND, FloatArray, Motion, MovingObject, Scene, screen_track
from engine.training.toyworld_sound import HIGH_TONE_HZ, LOW_TONE_HZ, STEADY_TONE_HZ, pitch_at_height


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's correlation where both are known (not NaN); 0 when either does not vary or almost none are known."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 3:
        return 0.0
    one, other = one[known] - one[known].mean(), other[known] - other[known].mean()
    power = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / power if power > 1e-9 else 0.0


def event_error(expected: Sequence[float], found: Sequence[float]) -> float:
    """Median distance from each expected event to the nearest found one; infinite when none was found. Any one unit."""
    if len(expected) == 0:
        return 0.0
    if len(found) == 0:
        return float("inf")
    away = np.abs(np.subtract.outer(np.asarray(expected, float), np.asarray(found, float)))
    return float(np.median(away.min(axis=1)))


def place_error(expected: FloatArray, found: FloatArray) -> float:
    """Median distance of two tracks over the frames where both are known; infinite when there is none."""
    away = np.abs(np.asarray(expected) - np.asarray(found))
    return float(np.nanmedian(away)) if np.isfinite(away).any() else float("inf")


def pitch_error_semitones(expected_hz: FloatArray, found_hz: FloatArray) -> float:
    """Median distance of two pitch tracks in semitones over the frames where both are known; infinite when none is."""
    return place_error(12 * np.log2(expected_hz), 12 * np.log2(found_hz))


def contact_times_s(scene: Scene) -> list[float]:
    """When something touches the floor, and its thud starts."""
    return sorted(frame / FRAMES_PER_SECOND for item in scene.objects for frame in item.contact_frames(scene.frames))


def expected_pitch_hz(scene: Scene, item: MovingObject) -> FloatArray | None:
    """The tone of a scene whose one object is `item`, in the middle of each frame's time; None without a tone."""
    match scene.sound:
        case "with no sound":
            return None
        case "with a low tone":
            return np.full(scene.frames, LOW_TONE_HZ)
        case "with a high tone":
            return np.full(scene.frames, HIGH_TONE_HZ)
        case "by cause":
            pass
    vertical: tuple[Motion, ...] = ("moves up", "moves down")
    if item.motion in vertical:
        return _mid_frame(pitch_at_height(screen_track(scene, item).y_px / scene.size.height))
    return np.full(scene.frames, STEADY_TONE_HZ) if item.makes_steady_tone else None


def expected_pan(scene: Scene, item: MovingObject) -> FloatArray:
    """Where a whoosh is heard in the middle of each frame's time: 0 left, 1 right."""
    return _mid_frame(screen_track(scene, item).x_px / scene.size.width)


def _mid_frame(track: FloatArray) -> FloatArray:
    """Halfway to the next frame; the last frame's value is held, as the sound holds it."""
    return (track + np.append(track[1:], track[-1])) / 2
