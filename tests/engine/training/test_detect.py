"""What the detectors read agrees with the scene drawn. Alone: `pytest tests/engine/training/test_detect.py`."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.training.detect import PictureReading, read_picture
from engine.training.detect_face import read_face
from engine.training.detect_score import (
    contact_times_s,
    correlation,
    event_error,
    expected_pan,
    expected_pitch_hz,
    pitch_error_semitones,
    place_error,
)
from engine.training.detect_sound import read_sound
from engine.training.toyworld import Clip, render, sample_scene
from engine.training.toyworld_law import MOTIONS, SHAPES, FloatArray, Motion, Scene, Shape, screen_track
from engine.training.toyworld_voice import mouth_opening
from engine.types import Size

SMALL = Size(128, 128)
SCENES = [sample_scene(seed, size=SMALL, frames=17) for seed in range(3000)]


def single(*, motion: Motion | None = None, shape: Shape | None = None, camera: str = "static") -> Scene:
    return next(
        replace(scene, sound="by cause")
        for scene in SCENES
        if len(scene.objects) == 1
        and scene.camera == camera
        and motion in (None, scene.objects[0].motion)
        and shape in (None, scene.objects[0].shape)
    )


def degraded(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As a video autoencoder might return them: blurred by about a pixel, with noise at 27 dB."""
    blurred = frames.astype(np.float32)
    for axis in (1, 2, 1, 2):  # twice 1-2-1: a standard deviation of 1 pixel
        ahead, behind = np.roll(blurred, 1, axis), np.roll(blurred, -1, axis)
        blurred = (ahead + 2 * blurred + behind) / 4
    noise = np.random.default_rng(0).standard_normal(frames.shape, dtype=np.float32)
    return np.rint(blurred + 11.4 * noise).clip(0, 255).astype(np.uint8)


def hissing(audio: FloatArray) -> FloatArray:
    """With noise 25 dB below the sound."""
    noise = np.random.default_rng(0).standard_normal(audio.shape)
    return audio + noise * np.sqrt((audio**2).mean()) * 10 ** (-25 / 20)


def assert_reads_as(reading: PictureReading, scene: Scene) -> None:
    assert reading.background == scene.background
    assert reading.camera.camera == scene.camera
    found = {(item.colour, item.shape, item.motion) for item in reading.objects}
    assert found == {(item.colour, item.shape, item.motion) for item in scene.objects}


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_is_read_from_a_degraded_picture(motion: Motion) -> None:
    scene = single(motion=motion)
    assert_reads_as(read_picture(degraded(render(scene).frames)), scene)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_from_a_degraded_picture(shape: Shape) -> None:
    scene = single(shape=shape, motion="spins")
    assert_reads_as(read_picture(degraded(render(scene).frames)), scene)


@pytest.mark.parametrize("camera", ["dolly in", "dolly out", "pan left", "pan right"])
def test_every_camera_move_is_read_from_a_degraded_picture(camera: str) -> None:
    scene = single(camera=camera)
    assert_reads_as(read_picture(degraded(render(scene).frames)), scene)


def test_two_objects_are_told_apart() -> None:
    scene = next(scene for scene in SCENES if len(scene.objects) == 2)
    assert_reads_as(read_picture(render(scene).frames), scene)


def test_a_track_follows_the_object_within_a_tenth_of_a_pixel() -> None:
    scene = single(motion="moves right")
    track, found = screen_track(scene, scene.objects[0]), read_picture(render(scene).frames).objects[0]
    assert place_error(track.x_px, found.x_px) < 0.1
    assert place_error(track.y_px, found.y_px) < 0.1


def test_a_spin_is_measured_with_its_direction() -> None:
    scene = single(motion="spins", shape="star")
    found = read_picture(render(scene).frames).objects[0]
    assert found.turned_rad[-1] / (2 * np.pi) == pytest.approx(scene.objects[0].turns, abs=0.01)


def test_contacts_seen_and_thuds_heard_are_where_the_scene_has_them() -> None:
    scene = sample_scene(single(motion="bounces").seed, size=SMALL, frames=41)
    scene = replace(scene, sound="by cause")
    clip = render(scene)
    contacts = read_picture(degraded(clip.frames)).objects[0].contact_frames
    assert len(contacts) == len(contact_times_s(scene))
    assert event_error(scene.objects[0].contact_frames(41), list(contacts)) < 0.1
    heard = read_sound(hissing(clip.audio))
    assert heard.kind == "thuds"
    assert event_error(contact_times_s(scene), list(heard.thud_onsets_s)) < 0.005


def test_a_plain_background_shows_no_object() -> None:
    frames = np.full((9, 64, 64, 3), (20, 25, 75), np.uint8)
    assert read_picture(frames).objects == ()
    assert read_face(frames) is None


def test_pure_noise_is_read_without_an_object() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    assert read_picture(frames).objects == ()


def talking() -> Clip:
    return render(next(scene for scene in SCENES if scene.face is not None and len(scene.face.syllables) > 1))


def test_a_mouth_is_read_in_step_with_the_voice() -> None:
    clip = talking()
    assert clip.scene.face is not None
    found = read_face(degraded(clip.frames))
    assert found is not None
    assert found.skin == clip.scene.face.skin
    assert found.head_height_px / SMALL.height == pytest.approx(clip.scene.face.head_height, abs=0.03)
    assert correlation(found.opening, mouth_opening(clip.scene.face, 17)) > 0.98
    assert correlation(found.opening, read_sound(hissing(clip.audio)).envelope) > 0.97


def test_an_object_is_not_taken_for_a_face() -> None:
    for shape in SHAPES:
        assert read_face(render(single(shape=shape)).frames) is None, shape


@pytest.mark.parametrize("voice", ["low", "high"])
def test_a_voice_is_told_by_its_pitch(voice: str) -> None:
    scene = next(scene for scene in SCENES if scene.face is not None and scene.face.voice == voice)
    heard = read_sound(hissing(render(scene).audio))
    assert (heard.kind, heard.voice) == ("voice", voice)


def test_a_rising_tone_is_followed_within_a_tenth_of_a_semitone() -> None:
    scene = single(motion="moves up")
    heard = read_sound(hissing(render(scene).audio))
    expected = expected_pitch_hz(scene, scene.objects[0])
    assert heard.kind == "tone"
    assert expected is not None
    assert pitch_error_semitones(expected, heard.pitch_hz) < 0.1


def test_a_whoosh_is_heard_where_the_object_is() -> None:
    scene = single(motion="moves left")
    heard = read_sound(hissing(render(scene).audio))
    assert heard.kind == "whoosh"
    assert place_error(expected_pan(scene, scene.objects[0]), heard.pan) < 0.02


def test_silence_is_heard_as_silence() -> None:
    heard = read_sound(np.zeros((2, 34000), np.float32))
    assert heard.kind == "silence"
    assert heard.level_dbfs == float("-inf")
    assert np.isnan(heard.pitch_hz).all()


def test_correlation_leaves_out_what_is_not_known() -> None:
    one = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    assert correlation(one, np.array([2.0, 4.0, 100.0, 8.0, 10.0])) == pytest.approx(1)
    assert correlation(one, np.full(5, 3.0)) == 0


def test_a_missed_event_costs_and_a_spare_one_does_not() -> None:
    assert event_error([5, 20], [5.5, 20.5, 40]) == pytest.approx(0.5)
    assert event_error([5], []) == float("inf")
    assert event_error([], []) == 0
