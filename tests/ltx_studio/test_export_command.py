"""The command line's `export`, as a script uses it. Alone: `pytest tests/ltx_studio/test_export_command.py`."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestError
from engine.jobs.store import JobStore
from engine.types import FrameRate
from ltx_studio.cli import run_command_line
from ltx_studio.export_command import parse_moment
from tests.fakes.exports import FRAMES, SECRET, facts, request_in, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON object of `export`."""
    code = run_command_line(["export", *map(str, arguments), "--json", "--progress", "none"])
    return code, json.loads(capsys.readouterr().out)


def test_an_export_says_what_it_made(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, clip, "-o", tmp_path / "a.mov", "--codec", "prores", "--from", "0.25", "--to", "18f")

    assert code == 0
    assert (said["path"], said["format"], said["frames"]) == (str(tmp_path / "a.mov"), "prores", 12)
    assert said["bytes"] == (tmp_path / "a.mov").stat().st_size
    assert facts(tmp_path / "a.mov")["frames"] == 12


def test_a_preset_is_changed_by_options(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(
        capsys, clip, "-o", tmp_path / "a.mp4", "--preset", "square", "--size", "96x96", "--quality", "30"
    )

    assert code == 0
    assert (said["width"], said["height"]) == (96, 96)
    assert said["loudness_lufs"] == pytest.approx(-14.0, abs=0.3)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.mp4", "h264"), ("a.webm", "vp9"), ("a.gif", "gif"), ("a.wav", "wav"), ("frames", "png")]
)
def test_the_name_of_the_file_says_its_format(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    code, said = answer(capsys, clip, "-o", tmp_path / name)

    assert (code, said["format"]) == (0, kind)
    assert (tmp_path / name).exists()


def test_metadata_is_kept_unless_it_is_to_go(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys, clip, "-o", tmp_path / "kept.mp4")
    answer(capsys, clip, "-o", tmp_path / "bare.mp4", "--no-metadata")

    kept = request_in(tmp_path / "kept.mp4")
    assert kept is not None
    assert kept["prompt"] == SECRET
    assert SECRET.encode() not in (tmp_path / "bare.mp4").read_bytes()


def test_a_plan_writes_nothing(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, clip, "-o", tmp_path / "a.mp4", "--size", "1280x960", "--plan")

    assert code == 0
    assert (said["width"], said["frames"], said["encoder"]) == (1280, FRAMES, "libx264")
    assert "enlarged" in [note["code"] for note in said["notes"]]
    assert said["estimated_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "--presets")

    assert code == 0
    assert {"reels", "prores", "gif"} <= {item["name"] for item in said["presets"]}


def test_an_export_is_queued_and_made_by_the_queue(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, clip, "-o", tmp_path / "a.mp4", "--quality", "60", "--queue")
    assert code == 0
    assert not (tmp_path / "a.mp4").exists()

    assert run_command_line(["queue", "run", "--json", "--progress", "none"]) == 0

    done = json.loads(capsys.readouterr().out)["done"]
    assert [job["id"] for job in done] == [said["job"]]
    assert facts(tmp_path / "a.mp4")["frames"] == FRAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "There is no file to write"),
        (("-o", "a.avi"), "does not end in a kind of file"),
        (("-o", "a.mp4", "--codec", "prores"), "needs .mov or .mkv"),
        (("-o", "a.mp4", "--from", "9"), "outside the clip"),
        (("-o", "a.mp4", "--from", "soon"), "is no time of the clip"),
        (("-o", "a.mp4", "--size", "4x4"), "Choose 16 to 16384"),
        (("-o", "a.mp4", "--size", "large"), "is not a size"),
        (("-o", "a.mp4", "--fps", "0"), "is not a frame rate"),
        (("-o", "a.mp4", "--quality", "101"), "Choose 1 to 100"),
        (("-o", "a.mp4", "--bitrate", "fast"), "is not a bit rate"),
        (("-o", "a.mp4", "--preset", "cinema"), "no export preset"),
        (("-o", "a.mp4", "--add-audio", "gone.wav"), "there is no such file"),
        (("-o", "gone/a.mp4", "--quality", "50"), "does not exist"),
    ],
)
def test_mistakes_are_a_sentence_and_exit_code_two(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code, said = answer(capsys, clip, *arguments)

    assert code == 2
    assert words in f"{said['error']['message']} {said['error']['remedy']}"
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, tmp_path / "gone.mp4", "-o", tmp_path / "a.mp4")

    assert code == 2
    assert "there is no such file" in said["error"]["message"]


def test_nothing_is_queued_that_cannot_be_made(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = answer(capsys, clip, "-o", tmp_path / "gone" / "a.mp4", "--queue")

    assert code == 2
    with JobStore() as store:
        assert store.jobs() == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("1.5s", 1.5), ("36f", 1.5), ("00:00:01:12", 1.5), ("0:01.5", 1.5), ("00:01:01.5", 61.5)],
)
def test_moments_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_moment(text, FrameRate.parse(24), "from") == pytest.approx(seconds)


def test_a_timecode_counts_whole_frames_at_fractional_rates() -> None:
    rate = FrameRate.parse("30000/1001")

    assert parse_moment("00:00:01:00", rate, "from") == pytest.approx(30 * 1001 / 30000)


def test_sound_alone_has_no_frames_to_count() -> None:
    with pytest.raises(RequestError, match="no time of the clip"):
        parse_moment("36f", None, "from")
