"""What an edit means for its clip: windows on the latent grid, zones, sizes, and what cannot be done.

Alone: `pytest tests/engine/pipelines/test_editing.py`.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MediaError, RequestError
from engine.hardware import GIB, Device, Machine
from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.pipelines.edit_values import PictureFit, Span, ZoneKind, first_frame_of
from engine.pipelines.editing import fit_picture, group_of, snapped
from engine.pipelines.facts import model_facts
from engine.pipelines.plan import Plan, plan
from engine.pipelines.speed import Speeds
from engine.request import Edit, Extend, Foley, GenerationRequest, ImageReference, Preset, Retake
from engine.types import FrameRange, FrameRate, Size
from tests.fakes.clips import write_numbered_clip

LARGE = "ltx-2.3-distilled"
CPU = Device("cpu", 0, "a processor", 64 * GIB, 64 * GIB)
MACHINE = Machine((Device("cuda", 0, "a GPU", 80 * GIB, 80 * GIB), CPU), 64 * GIB, 64 * GIB, 8)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """49 frames with sound, 24 a second."""
    return write_numbered_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 49, has_sound=True)


@pytest.fixture(scope="session")
def silent_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered_clip(tmp_path_factory.mktemp("clips") / "silent.mp4", 49)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty seconds."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    sound = SoundClip(np.zeros((2, 30 * 48_000), np.float32), 48_000)
    with ClipWriter(path, size=Size(64, 32), frame_rate=FrameRate.parse(24), audio=sound) as writer:
        writer.write(np.zeros((720, 32, 64, 3), np.uint8))
    return path


def planned(edit: Edit, *, model: str = LARGE, prompt: str = "a ball", **fields: Any) -> Plan:
    request = replace(GenerationRequest(prompt, model=model, edit=edit), **fields)
    return plan(request, MACHINE, speeds=Speeds())


# --- the latent grid --------------------------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(1, 100))
def test_snapping_covers_what_is_wanted_with_whole_groups(start: int, length: int) -> None:
    wanted = Span(start, start + length)

    made = snapped(wanted, 0, 8 * 70 + 1)

    assert made.start <= wanted.start
    assert wanted.stop <= made.stop
    assert first_frame_of(group_of(made.start)) == made.start
    assert made.start == 0 or made.start % 8 == 1
    assert made.stop % 8 == 1
    assert wanted.start - made.start < 8
    assert made.stop - wanted.stop < 8


def test_the_first_group_is_one_frame_and_the_others_eight() -> None:
    assert [group_of(frame) for frame in (0, 1, 8, 9, 16, 17)] == [0, 1, 1, 2, 2, 3]
    assert [first_frame_of(group) for group in range(4)] == [0, 1, 9, 17]


# --- retake -----------------------------------------------------------------------------------------------------------


def test_a_retake_snaps_outward_with_its_blend_and_says_so(clip: Path) -> None:
    result = planned(Retake(clip, 0.5, 1.5), model="starter")

    window = result.edit_window
    assert window is not None
    # Frames 12 to 35, three more at both sides for the blend, in groups that begin at 1, 9, 17, ...
    assert [(zone.kind, round(zone.start_s * 24), round(zone.end_s * 24)) for zone in window.picture] == [
        (ZoneKind.KEPT, 0, 9),
        (ZoneKind.BLENDED, 9, 12),
        (ZoneKind.NEW, 12, 38),
        (ZoneKind.BLENDED, 38, 41),
        (ZoneKind.KEPT, 41, 49),
    ]
    assert any("snaps outward to whole groups" in warning for warning in result.warnings)
    assert [round(edge * 24) for edge in window.grid_s] == [0, 1, 9, 17, 25, 33, 41, 49]


def test_seams_lie_where_the_blended_zones_are(clip: Path) -> None:
    retake, later = planned(Retake(clip, 0.5, 1.5)).edit, planned(Extend(clip, 1.0)).edit
    earlier = planned(Extend(clip, 1.0, "start")).edit
    assert retake is not None
    assert later is not None
    assert earlier is not None

    # One frame more than is mixed: the step back to what is kept, or on to what is new.
    assert retake.seams == (FrameRange(9, 13), FrameRange(38, 42))
    assert later.seams == (FrameRange(46, 50),)
    assert earlier.seams == (FrameRange(24, 28),)


def test_zones_of_both_streams_follow_each_other_without_a_gap(clip: Path) -> None:
    window = planned(Retake(clip, 0.5, 1.5)).edit_window
    assert window is not None

    for zones in (window.picture, window.sound):
        assert zones[0].start_s == 0
        assert zones[-1].end_s == pytest.approx(49 / 24, abs=2e-3)
        assert all(one.end_s == other.start_s for one, other in pairwise(zones))


@pytest.mark.parametrize(
    ("edit", "picture", "sound"),
    [
        ({"picture": True, "sound": True}, True, True),
        ({"picture": True, "sound": False}, True, False),
        ({"picture": False, "sound": True}, False, True),
    ],
)
def test_only_what_is_asked_for_is_new(clip: Path, edit: dict[str, bool], picture: bool, sound: bool) -> None:
    result = planned(Retake(clip, 0.5, 1.5, **edit))

    assert result.edit_window is not None
    assert any(zone.kind is ZoneKind.NEW for zone in result.edit_window.picture) == picture
    assert any(zone.kind is ZoneKind.NEW for zone in result.edit_window.sound) == sound
    assert {stage.picture for stage in result.stages} == {"generate" if picture else "keep"}
    assert ("keep" in {stage.sound for stage in result.stages}) == (not sound)


def test_a_clip_without_sound_gets_no_sound_from_a_retake(silent_clip: Path) -> None:
    result = planned(Retake(silent_clip, 0.5, 1.5))

    assert {stage.sound for stage in result.stages} == {"none"}
    assert result.edit_window is not None
    assert result.edit_window.sound == ()
    assert any("has no sound" in warning for warning in result.warnings)


def test_of_a_long_clip_the_model_sees_a_stretch_whose_groups_begin_with_the_window(long_clip: Path) -> None:
    result = planned(Retake(long_clip, 12.0, 13.0), model="starter")

    assert result.edit is not None
    (window,) = result.edit.windows
    assert window.frames < 100
    assert window.picture is not None
    assert window.picture.start == 12 * 24 - 3
    assert window.start < window.picture.start
    assert window.picture.stop < window.start + window.frames


@given(st.floats(0, 29), st.floats(0.05, 10))
def test_of_every_retake_something_around_it_is_given(long_clip: Path, start_s: float, length_s: float) -> None:
    result = planned(Retake(long_clip, start_s, min(start_s + length_s, 30.0)))

    assert result.edit is not None
    (window,) = result.edit.windows
    assert window.picture is not None
    assert result.edit.picture is not None
    assert window.frames % 8 == 1
    assert 0 <= window.start <= window.picture.start
    assert window.picture.start == 0 or window.start < window.picture.start
    assert result.edit.picture.stop == 720 or window.picture.stop + 8 <= window.start + window.frames
    assert window.start + window.frames <= 720 + 8


def test_a_retake_to_the_end_gives_nothing_of_the_held_last_frame(silent_clip: Path) -> None:
    result = planned(Retake(silent_clip, 1.0, 2.04))

    assert result.edit is not None
    (window,) = result.edit.windows
    assert window.picture == Span(17, window.start + window.frames)
    assert result.edit.picture == Span(17, 49)


def test_strength_is_the_noise_that_a_retake_begins_with(clip: Path) -> None:
    base, refine = planned(Retake(clip, 0.5, 1.5, strength=0.5)).stages

    assert base.sigmas == (0.5, 0.421875, 0.0)
    assert refine.sigmas == (0.5, 0.421875, 0.0)


def test_the_result_has_the_clip_s_own_size_length_and_rate(clip: Path) -> None:
    result = planned(Retake(clip, 0.5, 1.5))

    assert (result.size, result.frames, result.frame_rate) == (Size(64, 32), 49, FrameRate.parse(24))


# --- extend -----------------------------------------------------------------------------------------------------------


def test_an_extension_goes_on_where_the_clip_s_last_group_ends(clip: Path) -> None:
    result = planned(Extend(clip, 1.0), model="starter")

    assert result.edit is not None
    (window,) = result.edit.windows
    assert window.picture == Span(49, 73)
    assert (window.start, window.frames) == (24, 49)
    assert result.frames == 73
    assert result.edit.picture == Span(46, 73)


def test_an_extension_at_the_start_leads_up_to_the_first_frame(clip: Path) -> None:
    result = planned(Extend(clip, 1.0, "start"), model="starter")

    assert result.edit is not None
    (window,) = result.edit.windows
    assert (window.start, window.frames, window.picture) == (-24, 49, Span(-24, 1))
    assert result.edit.result == Span(-24, 49)
    assert result.edit_window is not None
    assert result.edit_window.picture[0].start_s == pytest.approx(-1.0, abs=2e-3)


@pytest.mark.parametrize("at", ["start", "end"])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.3, 7.0, 45.0])
@pytest.mark.parametrize("model", ["starter", LARGE])
def test_windows_of_an_extension_cover_it_and_share_their_grid(clip: Path, model: str, seconds: float, at: Any) -> None:
    result = planned(Extend(clip, seconds, at), model=model)

    assert result.edit is not None
    windows, num_new = result.edit.windows, round(seconds * 24)
    spans = [window.picture for window in windows if window.picture is not None]
    covered = {frame for span in spans for frame in range(*span)}
    wanted = range(49, 49 + num_new) if at == "end" else range(-num_new, 0)
    assert covered >= set(wanted)
    assert result.frames == 49 + num_new
    for window, span in zip(windows, spans, strict=True):
        assert window.frames % 8 == 1
        assert window.start <= span.start
        assert span.stop <= window.start + window.frames
        assert window.start % 8 == 0, "the clip's own groups end at frames 0, 8, 16, ..."
        assert len(windows) == 1 or window.frames <= (49 if model == "starter" else 481)
    for before, after in pairwise(windows):
        assert max(before.start, after.start) < min(before.start + before.frames, after.start + after.frames)


# --- foley ------------------------------------------------------------------------------------------------------------


def test_foley_keeps_the_picture_and_makes_a_whole_track_in_one_stage(silent_clip: Path) -> None:
    result = planned(Foley(silent_clip))

    assert [(stage.name, stage.picture, stage.sound) for stage in result.stages] == [("base", "keep", "generate")]
    assert result.edit_window is not None
    assert [zone.kind for zone in result.edit_window.picture] == [ZoneKind.KEPT]
    assert [zone.kind for zone in result.edit_window.sound] == [ZoneKind.NEW]


def test_foley_of_a_long_clip_is_made_in_windows_that_overlap(long_clip: Path) -> None:
    result = planned(Foley(long_clip))

    assert result.edit is not None
    windows = result.edit.windows
    assert windows[0].start == 0
    assert windows[-1].start + windows[-1].frames >= 720
    for before, after in pairwise(windows):
        assert after.sound is not None
        assert after.start + after.sound.start_s * 24 == pytest.approx(before.start + before.frames)
        assert after.sound.start_s > 0


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        (Size(1920, 1080), PictureFit(Size(1920, 1080), Size(1920, 1088))),
        (Size(1080, 1920), PictureFit(Size(1080, 1920), Size(1088, 1920))),
        (Size(100, 50), PictureFit(Size(100, 50), Size(128, 64))),
        (Size(1, 1), PictureFit(Size(1, 1), Size(64, 64))),
    ],
)
def test_a_clip_up_to_full_hd_is_made_again_at_its_own_size(size: Size, fit: PictureFit) -> None:
    assert fit_picture(size, model_facts(LARGE), None) == fit


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_every_size_fits_the_grid_and_the_model(width: int, height: int) -> None:
    fit = fit_picture(Size(width, height), model_facts(LARGE), None)

    assert fit.work == fit.work.snapped(64)
    assert 1 <= fit.content.width <= fit.work.width
    assert 1 <= fit.content.height <= fit.work.height
    assert fit.work.width * fit.work.height <= 1.25 * 1920 * 1088


def test_a_wanted_size_decides_where_the_model_works(clip: Path) -> None:
    result = planned(Retake(clip, 0.5, 1.5), size=Size(512, 256))

    assert result.edit is not None
    assert (result.edit.fit.content, result.edit.fit.work) == (Size(512, 256), Size(512, 256))
    assert result.size == Size(64, 32)


# --- costs, words, JSON -----------------------------------------------------------------------------------------------


def test_the_cost_counts_the_window_and_what_is_encoded(clip: Path) -> None:
    result = planned(Retake(clip, 0.5, 1.5), size=Size(1280, 704))

    assert result.task.encodes_pictures == 49
    assert [load.video_tokens for load in result.task.stages] == [7 * 20 * 11, 7 * 40 * 22]
    assert all(load.audio_tokens == 51 for load in result.task.stages)


def test_a_keyframe_in_an_edit_costs_its_tokens(clip: Path, tmp_path: Path) -> None:
    plain = planned(Retake(clip, 0.5, 1.5), size=Size(1280, 704))
    steered = planned(
        Retake(clip, 0.5, 1.5), size=Size(1280, 704), images=(ImageReference(tmp_path / "still.png", 24),)
    )

    assert steered.task.stages[1].video_tokens == plain.task.stages[1].video_tokens + 40 * 22


def test_the_json_form_draws_the_zones(clip: Path) -> None:
    values = json.loads(json.dumps(planned(Retake(clip, 0.5, 1.5)).to_dict()))

    assert [zone["kind"] for zone in values["edit"]["picture"]] == ["kept", "blended", "new", "blended", "kept"]
    assert (values["width"], values["height"], values["frames"]) == (64, 32, 49)


def test_an_edit_without_words_takes_those_of_its_clip(tmp_path: Path) -> None:
    path = tmp_path / "made.mkv"
    metadata = GenerationRequest("a red ball bounces").to_dict()
    with ClipWriter(path, size=Size(64, 32), frame_rate=FrameRate.parse(24), metadata=metadata) as writer:
        writer.write(np.zeros((17, 32, 64, 3), np.uint8))

    assert planned(Foley(path), prompt="").request.prompt == "a red ball bounces"
    assert planned(Foley(path), prompt="a hum").request.prompt == "a hum"


def test_a_clip_that_is_known_is_planned_in_five_milliseconds_without_torch(clip: Path) -> None:
    edit = Retake(clip, 0.5, 1.5)
    planned(edit)

    began = time.perf_counter()
    for _ in range(20):
        planned(edit)
    seconds = (time.perf_counter() - began) / 20

    # Ten times the promise: a busy machine must not fail the test.
    assert seconds < 0.05
    code = (
        "import sys; from pathlib import Path; from engine import GenerationRequest, plan; "
        "from engine.request import Retake; "
        f"plan(GenerationRequest('x', edit=Retake(Path({str(clip)!r}), 0.5, 1.5), model='{LARGE}')); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        ((1.0, 1.0), "has no length"),
        ((1.5, 1.0), "has no length"),
        ((3.0, 4.0), "outside the clip"),
        ((-1.0, 0.5), "outside the clip"),
        ((1.5, 2.6), "outside the clip"),
        ((0.0, 9.0), "longer than the clip"),
        ((float("nan"), 1.0), "no beginning"),
    ],
)
def test_a_window_that_the_clip_does_not_have_is_refused(
    clip: Path, window: tuple[float, float], sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        planned(Retake(clip, *window))

    assert caught.value.field == "edit"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"strength": 0.0}, "strength"),
        ({"strength": 1.5}, "strength"),
        ({"picture": False, "sound": False}, "Nothing"),
    ],
)
def test_a_retake_of_nothing_is_refused(clip: Path, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        planned(Retake(clip, 0.5, 1.5, **fields))


def test_new_sound_for_a_part_of_a_silent_clip_is_refused(silent_clip: Path) -> None:
    with pytest.raises(RequestError, match="has no sound"):
        planned(Retake(silent_clip, 0.5, 1.5, picture=False))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01, 1000.0, float("inf")])
def test_an_extension_by_nothing_or_by_far_too_much_is_refused(clip: Path, seconds: float) -> None:
    with pytest.raises(RequestError, match="cannot be extended"):
        planned(Extend(clip, seconds))


@pytest.mark.parametrize("field", ["frames", "seconds", "frame_rate", "audio"])
def test_what_the_clip_decides_cannot_be_asked_for(clip: Path, field: str) -> None:
    values: dict[str, Any] = {"frames": 25, "seconds": 1.0, "frame_rate": FrameRate.parse(30), "audio": clip}

    with pytest.raises(RequestError):
        planned(Foley(clip), **{field: values[field]})


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        planned(Foley(tmp_path / "gone.mp4"))


def test_a_draft_of_an_edit_has_one_stage(clip: Path) -> None:
    assert [stage.name for stage in planned(Retake(clip, 0.5, 1.5), preset=Preset.DRAFT).stages] == ["base"]
