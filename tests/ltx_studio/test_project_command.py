"""`ltx-studio project`. Alone: `pytest tests/ltx_studio/test_project_command.py`."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from engine.media.read import probe_clip
from engine.types import FrameRate
from ltx_studio.cli import run_command_line
from ltx_studio.domain.project import Project, Step
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import Media, Take, empty_timeline
from ltx_studio.domain.timeline_placing import Material, append
from tests.fakes.clips import write_numbered_clip

RATE = FrameRate(Fraction(24))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A project whose last edit is in its journal alone."""
    clip = Media(write_numbered_clip(tmp_path / "clip.mp4", 9), Fraction(9, 24), RATE, has_sound=False)
    store = ProjectStore.create(tmp_path / "film", Project("film", empty_timeline(RATE)))
    for _ in range(2):
        store.edit(Step("add", append(store.history.now, Material("clip", (Take(clip),))), 0.0))
    store.abandon()
    return tmp_path / "film"


def test_info_tells_what_is_in_a_project_that_a_window_has_open(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ProjectStore.open(film)

    assert run_command_line(["project", "info", str(film), "--json"]) == 0

    store.abandon()
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["clips"], facts["frames"], facts["missing"]) == ("film", 2, 18, [])


def test_info_changes_nothing(film: Path) -> None:
    before = {path.name: path.read_bytes() for path in film.iterdir() if path.is_file()}

    run_command_line(["project", "info", str(film)])

    assert {path.name: path.read_bytes() for path in film.iterdir() if path.is_file()} == before


def test_the_sequence_becomes_a_file(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"

    assert run_command_line(["project", "export", str(film), "-o", str(output), "--progress", "none"]) == 0

    assert probe_clip(output).frames == 18


def test_what_another_editor_does_not_see_is_said(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.edl"

    assert run_command_line(["project", "export", str(film), "-o", str(output), "--drop-frame", "--json"]) == 0

    assert "FCM: NON-DROP FRAME" in output.read_text(encoding="utf-8")
    assert "29.97 and 59.94 alone" in json.loads(capsys.readouterr().out)["losses"][0]


@pytest.mark.parametrize(("output", "words"), [("out.avi", "kind of file"), ("nowhere/out.mkv", "does not exist")])
def test_a_place_that_cannot_be_written_is_a_sentence(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, words: str
) -> None:
    assert run_command_line(["project", "export", str(film), "-o", str(tmp_path / output)]) == 2

    assert words in capsys.readouterr().err


def test_a_folder_without_a_project_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["project", "info", str(tmp_path)]) == 2
    assert run_command_line(["project", "info", str(tmp_path / "nothing")]) == 2

    assert capsys.readouterr().err.count("no project that can be read") == 2
