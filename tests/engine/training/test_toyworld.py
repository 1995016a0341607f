"""The toy world keeps its laws. Alone: `pytest tests/engine/training/test_toyworld.py`."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from engine.training.toyworld import canonical_prompt, prompt, render, sample_scene
from engine.training.toyworld_law import (
    BACKGROUNDS,
    COLOURS,
    LARGEST_SIZE,
    LEAST_GROWTH,
    LEAST_TRAVEL,
    LEAST_TURNS,
    SAMPLES_PER_FRAME,
    SIZES,
    SMALLEST_SIZE,
    Motion,
    MovingObject,
    Scene,
    SoundRequest,
    background_rows,
    screen_track,
)
from engine.training.toyworld_shapes import REACH
from engine.training.toyworld_voice import mouth_opening
from engine.types import Size

SCENES = [sample_scene(seed) for seed in range(600)]


def first_scene(condition: Callable[[Scene], bool]) -> Scene:
    return next(scene for scene in SCENES if condition(scene))


def single(motion: Motion, *, sound: SoundRequest = "by cause") -> Scene:
    """A scene of one object with this motion under a camera that stands still."""
    scene = first_scene(lambda scene: [item.motion for item in scene.objects] == [motion] and scene.camera == "static")
    return replace(scene, sound=sound)


def moving(*motions: Motion) -> list[tuple[Scene, MovingObject]]:
    found = [(scene, item) for scene in SCENES for item in scene.objects if item.motion in motions]
    assert len(found) > 10
    return found


def test_the_same_seed_gives_the_same_clip() -> None:
    one, other = render(sample_scene(7)), render(sample_scene(7))
    assert one.prompt == other.prompt
    assert np.array_equal(one.frames, other.frames)
    assert np.array_equal(one.audio, other.audio)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_clip_has_the_size_and_the_length_it_was_asked_for(size: Size) -> None:
    clip = render(sample_scene(3, size=size, frames=17))
    assert clip.frames.shape == (17, size.height, size.width, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.audio.shape == (2, 17 * 2000)
    assert clip.audio.dtype == np.float32


def test_a_scene_can_be_written_as_json() -> None:
    for scene in SCENES[:20]:
        assert json.loads(json.dumps(asdict(scene)))["seed"] == scene.seed


def test_every_object_stays_in_view() -> None:
    for scene in SCENES:
        for item in scene.objects:
            track, reach = screen_track(scene, item), REACH[item.shape]
            assert (track.x_px - reach.side * track.height_px).min() >= 0, scene
            assert (track.x_px + reach.side * track.height_px).max() <= scene.size.width, scene
            assert (track.y_px - reach.top * track.height_px).min() >= 0, scene
            assert (track.y_px + reach.bottom * track.height_px).max() <= scene.size.height, scene


def test_objects_that_do_not_grow_keep_the_law_of_sizes_on_the_screen() -> None:
    for scene in SCENES:
        for item in scene.objects:
            if item.growth == 1:
                share = screen_track(scene, item).height_px / scene.size.height
                assert share.min() > SMALLEST_SIZE - 1e-4, scene
                assert share.max() < LARGEST_SIZE + 1e-4, scene


def test_what_moves_sideways_crosses_a_third_of_the_frame_in_the_world_and_on_the_screen() -> None:
    for scene, item in moving("moves left", "moves right"):
        x_px = screen_track(scene, item).x_px
        sign = 1 if item.motion == "moves right" else -1
        assert sign * item.travel_x > LEAST_TRAVEL - 1e-4
        assert sign * (x_px[-1] - x_px[0]) > (LEAST_TRAVEL - 1e-4) * scene.size.width, scene


def test_what_moves_up_or_down_crosses_a_third_of_the_height() -> None:
    for _, item in moving("moves up", "moves down"):
        assert (1 if item.motion == "moves down" else -1) * item.travel_y > LEAST_TRAVEL - 1e-4


def test_spins_turn_by_half_and_growth_is_by_the_least_factor_or_more() -> None:
    for _, item in moving("spins"):
        assert abs(item.turns) >= LEAST_TURNS
    for _, item in moving("grows", "shrinks"):
        assert (item.growth if item.motion == "grows" else 1 / item.growth) >= LEAST_GROWTH - 1e-9


def test_a_bounce_touches_the_floor_one_to_three_times_and_is_lowest_there() -> None:
    for scene, item in moving("bounces"):
        contacts = item.contact_frames(scene.frames)
        assert 1 <= len(contacts) <= 3
        height = screen_track(replace(scene, camera="static"), item).y_px
        assert np.argmax(height) in contacts
        assert height.max() == pytest.approx(item.y * scene.size.height, abs=1e-3)


def test_the_background_is_its_colour_at_the_top_and_12_percent_darker_at_the_bottom() -> None:
    scene = single("stays still")
    frame = render(scene).frames[0].astype(float)
    edge = frame[:, 0] if frame[:, 0].std(axis=0).max() < frame[:, -1].std(axis=0).max() else frame[:, -1]
    assert np.abs(edge - background_rows(scene.background, scene.size.height)).max() <= 0.5
    assert edge[-1] == pytest.approx(0.88 * np.array(BACKGROUNDS[scene.background]), abs=0.5)


def test_an_object_is_flat_in_its_named_colour() -> None:
    scene = first_scene(lambda scene: bool(scene.objects) and scene.objects[0].shape == "square")
    item, track = scene.objects[0], screen_track(scene, scene.objects[0])
    x, y, half = int(track.x_px[4]), int(track.y_px[4]), int(0.3 * track.height_px[4])
    inside = render(scene).frames[4, y - half : y + half, x - half : x + half]
    assert np.array_equal(inside, np.broadcast_to(COLOURS[item.colour], inside.shape))


@pytest.mark.parametrize("shape", ["ball", "ring"])
def test_a_round_shape_that_spins_is_seen_to_spin(shape: str) -> None:
    scene = first_scene(
        lambda scene: (
            [item.motion for item in scene.objects] == ["spins"]
            and scene.objects[0].shape == shape
            and scene.camera == "static"
        )
    )
    frames = render(scene).frames.astype(int)
    assert np.abs(frames[scene.frames // 3] - frames[0]).max() > 40


def test_a_camera_that_stands_still_leaves_the_background_alone_and_one_that_pans_does_not() -> None:
    still = single("stays still")
    assert np.ptp(render(still).frames.astype(int), axis=0).max() == 0
    corner = render(replace(still, camera="pan left")).frames[:, :8, :8].astype(int)
    assert 0 < np.ptp(corner, axis=0).max() <= 16


def test_each_thud_starts_on_the_frame_of_its_contact() -> None:
    scene = single("bounces")
    sound = render(scene).audio[0]
    for frame in scene.objects[0].contact_frames(scene.frames):
        start = frame * SAMPLES_PER_FRAME
        assert np.abs(sound[start - 1000 : start]).max() == 0
        assert np.abs(sound[start : start + 960]).max() > 0.3
        assert np.abs(sound[start + 3840 : start + 4800]).max(initial=0) == 0


def test_a_tone_rises_with_what_moves_up() -> None:
    sound = render(single("moves up")).audio[0]
    crossings = np.diff(np.signbit(sound).astype(int)) != 0
    assert crossings[-12000:].sum() > 1.2 * crossings[:12000].sum()


def test_a_whoosh_is_on_the_side_where_the_object_is() -> None:
    left, right = (render(single("moves right")).audio.reshape(2, -1, 2000) ** 2).mean(axis=2)
    assert left[1] > right[1]
    assert right[-2] > left[-2]


@pytest.mark.parametrize(("sound", "frequency_hz"), [("with a low tone", 220), ("with a high tone", 880)])
def test_a_requested_tone_replaces_the_cause(sound: SoundRequest, frequency_hz: int) -> None:
    mono = render(single("bounces", sound=sound)).audio[0]
    loudest = np.argmax(np.abs(np.fft.rfft(mono))) * 48000 / len(mono)
    assert loudest == pytest.approx(frequency_hz, abs=1.5)


def test_no_sound_is_digital_silence() -> None:
    assert not render(single("moves left", sound="with no sound")).audio.any()


def test_a_mouth_is_shut_in_silence_and_open_on_a_syllable() -> None:
    scene = first_scene(lambda scene: scene.face is not None and scene.frames >= 33)
    assert scene.face is not None
    clip = render(replace(scene, face=replace(scene.face, blink_frame=scene.frames)))
    opening = mouth_opening(scene.face, scene.frames)
    assert np.array_equal(clip.frames[0], clip.frames[-1])
    assert opening[0] == opening[-1] == 0
    loudness = np.sqrt((clip.audio[0].reshape(scene.frames, -1) ** 2).mean(axis=1))
    assert np.corrcoef(loudness, opening)[0, 1] > 0.98
    assert (clip.frames[int(opening.argmax())] != clip.frames[0]).any()


def test_no_sound_is_clipped() -> None:
    assert max(np.abs(render(scene).audio).max() for scene in SCENES[:40] if scene.size == Size(128, 128)) < 1


def test_the_canonical_prompt_is_the_one_of_the_law() -> None:
    item = MovingObject("ball", "red", "moves left", size=0.3, x=0.7, y=0.5, travel_x=-0.4)
    scene = Scene(0, Size(256, 192), 17, "navy", objects=(item,), camera="pan left", sound="with no sound")
    assert canonical_prompt(scene) == "a red ball moves left on a navy background, pan left, with no sound"
    plain = replace(scene, camera="static", sound="by cause")
    assert canonical_prompt(plain) == "a red ball moves left on a navy background"


def test_the_canonical_prompt_of_a_face_quotes_what_it_says() -> None:
    scene = first_scene(lambda scene: scene.face is not None)
    assert scene.face is not None
    scene = replace(scene, background="sky", face=replace(scene.face, syllables=("ba", "ti"), voice="high"))
    assert canonical_prompt(scene) == "a face says 'ba ti' in a high voice on a sky background"


def test_a_third_of_the_prompts_is_spanish_and_the_rest_names_the_background() -> None:
    rng = np.random.default_rng(0)
    prompts = [(scene, prompt(scene, rng)) for scene in SCENES]
    spanish = [text for _, text in prompts if "fondo" in text.lower()]
    assert 0.27 < len(spanish) / len(prompts) < 0.40
    for scene, text in prompts:
        assert text in spanish or scene.background in text, text


def test_paraphrases_of_one_scene_differ_and_always_ask_for_its_sound_and_camera() -> None:
    rng = np.random.default_rng(1)
    scene = replace(single("bounces", sound="with no sound"), camera="dolly in")
    texts = {prompt(scene, rng) for _ in range(100)}
    assert len(texts) > 60
    for text in texts:
        assert any(word in text.lower() for word in ("no sound", "silen", "any sound", "audio", "sin sonido")), text
        assert any(word in text.lower() for word in ("doll", "closer", "push in", "acerca")), text
