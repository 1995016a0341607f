"""The score gives the world itself full marks, and gives none for nothing.

Alone: `pytest tests/engine/training/test_starter_score.py`.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.training.contact_sheet import SheetClip, write_contact_sheet
from engine.training.evaluate import Examination, exam_prompt, table
from engine.training.scoring import Measure, Sample, points_lost, psnr_db, score
from engine.training.toyworld import canonical_prompt, render
from engine.training.toyworld_law import MOTIONS, SAMPLES_PER_FRAME, Scene
from engine.types import Size


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    examination = Examination("starter", tmp_path_factory.mktemp("exam"), size=Size(128, 128), frames=33)
    return examination.scenes(10)


@pytest.fixture(scope="module")
def truth(scenes: list[Scene]) -> list[Sample]:
    clips = [render(scene) for scene in scenes]
    return [Sample(clip.scene, clip.frames, clip.audio) for clip in clips]


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {item.name: item for item in measures}


def test_an_exam_asks_for_every_motion_and_a_face(scenes: list[Scene]) -> None:
    kinds = ["face" if scene.face is not None else scene.objects[0].motion for scene in scenes]
    assert sorted(kinds) == sorted(("face", *MOTIONS))


def test_an_exam_asks_in_canonical_and_in_other_words(scenes: list[Scene]) -> None:
    asked = [exam_prompt(scene) == canonical_prompt(scene) for scene in scenes]
    assert any(asked)
    assert not all(asked)


def test_the_world_itself_gets_full_marks(truth: list[Sample]) -> None:
    measures = by_name(score(truth))
    assert all(item.passes for item in measures.values()), table(list(measures.values()))
    for name in ("object colour", "object shape", "background", "motion", "thud within two frames"):
        assert measures[name].value == 100
    assert measures["thud after contact, median"].value < 0.1
    assert measures["mouth against voice"].value > 0.97
    assert measures["pitch against height"].value > 0.97


def test_a_black_and_silent_clip_gets_nothing(truth: list[Sample]) -> None:
    nothing = [Sample(item.scene, np.zeros_like(item.frames), np.zeros_like(item.audio)) for item in truth]
    measures = by_name(score(nothing))
    assert measures["object colour"].value == measures["motion"].value == 0
    assert measures["thud after contact, median"].value == float("inf")
    assert measures["mouth against voice"].value == measures["pitch against height"].value == 0
    assert not any(measures[name].passes for name in measures if name != "background")


def test_late_thuds_are_measured_in_frames(truth: list[Sample]) -> None:
    bounce = next(item for item in truth if item.scene.objects and item.scene.objects[0].motion == "bounces")
    late = np.roll(bounce.audio, 2 * SAMPLES_PER_FRAME, axis=1)
    measures = by_name(score([bounce._replace(audio=late)]))
    assert measures["thud after contact, median"].value == pytest.approx(2, abs=0.1)


def test_what_was_not_measured_is_said_and_does_not_pass() -> None:
    measures = score([])
    assert not any(item.passes for item in measures)
    assert json.loads(json.dumps([item.to_dict() for item in measures]))[0]["value"] is None


def test_the_most_lost_points_are_reported() -> None:
    error = Measure("error", 0.5, 1, "frames", is_most=True)
    guided = [Measure("shape", 95, 90, "%"), Measure("mouth", 0.9, 0.75), error]
    distilled = [replace(guided[0], value=93), replace(guided[1], value=0.83), replace(guided[2], value=0.52)]
    lost = points_lost(guided, distilled)
    assert lost.value == pytest.approx(7)
    assert not lost.passes
    assert points_lost(distilled, distilled).passes


def test_psnr_of_a_known_error() -> None:
    one = np.full((4, 4, 3), 100, np.uint8)
    assert psnr_db(one, one + 10) == pytest.approx(28.13, abs=0.01)
    assert psnr_db(one, one) == 100


def test_a_contact_sheet_shows_frames_and_sound_of_every_clip(truth: list[Sample], tmp_path: Path) -> None:
    cells = [SheetClip(canonical_prompt(item.scene) * 3, item.frames, item.audio) for item in truth[:3]]
    write_contact_sheet(cells, tmp_path / "docs" / "sheet.png")
    with Image.open(tmp_path / "docs" / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    quarters = [pixels[top : top + height, left : left + width] for top in (0, height) for left in (0, width)]
    assert [bool((quarter != quarter[0, 0]).any()) for quarter in quarters] == [True, True, True, False]
