"""The JSON form of projects. Alone: `pytest tests/ltx_studio/domain/test_project_document.py`."""

import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.types import Size
from ltx_studio.domain.project import FileMark, Project, ProjectError, Step
from ltx_studio.domain.project_document import FORMAT, VERSION, Places, Reader, Writer, updated
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import empty_timeline
from tests.fakes.project import NTSC, random_edit, rich_timeline, with_clip


def document_of(project: Project, folder: Path) -> dict[str, Any]:
    """As it is after a trip through a file."""
    document = Writer(Places(folder), project.unknown).project(project, edit=3, saved_s=5.0)
    return json.loads(json.dumps(document))


def test_every_part_of_a_project_comes_back_equal(tmp_path: Path) -> None:
    marks = {tmp_path / "media" / "ball.mkv": FileMark(12, "ab"), tmp_path.parent / "sea.wav": FileMark(3, "cd")}
    project = Project("film", rich_timeline(tmp_path), Size(1920, 1080), marks)

    assert Reader(Places(tmp_path)).project(document_of(project, tmp_path)) == project


def test_random_timelines_come_back_equal(tmp_path: Path) -> None:
    chance, timeline = random.Random(4), rich_timeline(tmp_path)
    writer = Writer(Places(tmp_path), {})
    for _ in range(200):
        timeline = random_edit(timeline, tmp_path, chance)
        document = json.loads(json.dumps(writer.timeline(timeline)))
        assert Reader(Places(tmp_path)).timeline(document) == timeline


def test_files_inside_are_relative_with_forward_slashes_and_fractions_are_exact(tmp_path: Path) -> None:
    document = document_of(Project("film", rich_timeline(tmp_path)), tmp_path)

    clip = document["timeline"]["tracks"][1]["clips"][0]
    assert clip["source_start"] == str(Fraction(7007, 30000))
    assert [take["media"]["path"] for take in clip["takes"]] == ["media/ball.mkv", "media/ball, take 2.mkv"]
    assert clip["takes"][1]["request"]["edit"]["clip"] == "./media/ball.mkv"
    assert document["timeline"]["rate"] == "30000/1001"


def test_an_unchanged_clip_is_not_written_anew(tmp_path: Path) -> None:
    writer, timeline = Writer(Places(tmp_path), {}), rich_timeline(tmp_path)

    before = writer.timeline(timeline)
    after = writer.timeline(with_clip(timeline, tmp_path / "new.mkv"))

    assert after["tracks"][3]["clips"][0] is before["tracks"][3]["clips"][0]
    assert len(after["tracks"][0]["clips"]) == 1


def test_fields_of_a_newer_version_are_kept_through_edits(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    ProjectStore.create(folder, Project("film", rich_timeline(folder))).close()
    path = folder / "project.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    track = document["timeline"]["tracks"][1]
    places = {
        "project": document,
        "timeline": document["timeline"],
        "track": track,
        "clip": track["clips"][0],
        "take": track["clips"][0]["takes"][0],
        "media": track["clips"][0]["takes"][0]["media"],
        "marker": document["timeline"]["markers"][0],
    }
    for name, place in places.items():
        place["of_the_future"] = {"in": name}
    track["clips"][0]["takes"][0]["request"] = {"schema": 99, "prompt": "of the future"}
    path.write_text(json.dumps(document), encoding="utf-8")

    for _ in range(2):  # once from project.json, once from the journal that was written since
        store = ProjectStore.open(folder)
        chance = random.Random(1)
        while True:
            after = random_edit(store.history.now, folder, chance)
            if {clip.id for clip in store.history.now.clips()} <= {clip.id for clip in after.clips()}:
                break
        store.edit(Step("edit", after, 0.0))
        store.close()

    saved = json.loads(path.read_text(encoding="utf-8"))
    track = saved["timeline"]["tracks"][1]
    take = track["clips"][0]["takes"][0]
    kept = [saved, saved["timeline"], track, track["clips"][0], take, take["media"]]
    assert [place["of_the_future"]["in"] for place in kept] == list(places)[:6]
    assert saved["timeline"]["markers"][0]["of_the_future"] == {"in": "marker"}
    assert take["request"] == {"schema": 99, "prompt": "of the future"}


def test_a_document_of_an_older_version_is_brought_up_to_date_step_by_step() -> None:
    migrations = {1: lambda it: {**it, "two": True}, 2: lambda it: {**it, "three": it["two"]}}

    document = updated({"format": FORMAT, "version": 1}, to=3, migrations=migrations)

    assert document == {"format": FORMAT, "version": 3, "two": True, "three": True}


def test_a_document_of_this_version_is_left_as_it_is() -> None:
    document = {"format": FORMAT, "version": VERSION, "name": "x"}

    assert updated(document) == document


@pytest.mark.parametrize(
    "document", [{}, {"format": FORMAT}, {"format": "x", "version": 1}, {"format": FORMAT, "version": 0}]
)
def test_a_document_of_something_else_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a project"):
        updated(document)


def test_a_newer_document_is_refused_with_a_sentence() -> None:
    with pytest.raises(ProjectError, match="newer version"):
        updated({"format": FORMAT, "version": VERSION + 1})


@pytest.mark.parametrize("spoil", ["tracks", "rate", "next_id"])
def test_a_timeline_without_one_of_its_parts_is_damaged(tmp_path: Path, spoil: str) -> None:
    document = document_of(Project("film", empty_timeline(NTSC)), tmp_path)
    del document["timeline"][spoil]

    with pytest.raises(ValueError, match="damaged"):
        Reader(Places(tmp_path)).project(document)


def test_overlapping_clips_are_damage(tmp_path: Path) -> None:
    document = document_of(Project("film", rich_timeline(tmp_path)), tmp_path)
    document["timeline"]["tracks"][1]["clips"][1]["start"] = 10

    with pytest.raises(ValueError, match="overlap"):
        Reader(Places(tmp_path)).project(document)
