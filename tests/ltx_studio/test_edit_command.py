"""The verbs that edit a clip. Alone: `pytest tests/ltx_studio/test_edit_command.py`."""

import json
from pathlib import Path

import pytest

from engine.media.read import probe_clip
from ltx_studio.cli import EXIT_MODEL, EXIT_OK, EXIT_REQUEST, run_command_line
from tests.fakes.clips import write_numbered_clip
from tests.fakes.loras import write_random_lora


@pytest.fixture(autouse=True)
def _undisturbed_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Audit hooks stay for the life of a process; tests of the command line do not add one each."""
    monkeypatch.setattr("sys.addaudithook", lambda _hook: None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 41, has_sound=True)


def test_a_plan_says_the_zones_and_writes_nothing(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command_line(
        ["retake", str(clip), "--from", "0.3", "--to", "0:00.6", "--keep-audio", "--plan", "--json"]
    )

    values = json.loads(capsys.readouterr().out)
    assert code == EXIT_OK
    assert [zone["kind"] for zone in values["edit"]["picture"]] == ["kept", "blended", "new", "blended", "kept"]
    assert [zone["kind"] for zone in values["edit"]["sound"]] == ["kept"]
    assert list(clip.parent.iterdir()) == [clip]


def test_a_retake_reports_the_clip_as_generate_does(
    clip: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mkv"
    arguments = ["retake", str(clip), "a ball", "--from", "0.3", "--to", "0.6", "--model", str(tiny_model)]

    code = run_command_line([*arguments, "--preset", "draft", "--seed", "3", "-o", str(output), "--json"])

    values = json.loads(capsys.readouterr().out)
    assert code == EXIT_OK
    assert {
        "path",
        "seed",
        "width",
        "height",
        "frames",
        "fps",
        "duration_s",
        "timings",
        "peak_bytes",
        "model",
        "plan",
    } <= set(values)
    assert (values["seed"], values["width"], values["height"], values["frames"], values["fps"]) == (3, 64, 32, 41, 24)
    assert probe_clip(output).frames == 41


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["retake", "CLIP", "--from", "1", "--to", "1"], "no length"),
        (["retake", "CLIP", "--from", "5", "--to", "6"], "outside the clip"),
        (["retake", "CLIP", "--from", "0", "--to", "60"], "longer than the clip"),
        (["retake", "CLIP", "--from", "soon", "--to", "1"], "not a time"),
        (["retake", "CLIP", "--from", "0", "--to", "1", "--keep-audio", "--keep-video"], "not allowed"),
        (["retake", "CLIP", "--from", "0", "--to", "1", "--strength", "2"], "strength"),
        (["extend", "CLIP", "--seconds", "0"], "cannot be extended"),
        (["extend", "CLIP", "--seconds", "1", "--at", "middle"], "invalid choice"),
        (["foley", "CLIP", "--silent"], "silent"),
        (["foley", "gone.mp4"], "no such file"),
        (["foley", "CLIP", "--seconds", "3"], "--seconds"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], sentence: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [str(clip) if item == "CLIP" else item for item in arguments]

    code = run_command_line([*filled, "-o", str(tmp_path / "out.mkv"), "--json"])

    error = json.loads(capsys.readouterr().out)["error"]
    assert code == EXIT_REQUEST
    assert sentence in error["message"]
    assert error["remedy"]
    assert not (tmp_path / "out.mkv").exists()


def test_without_a_file_to_write_nothing_is_loaded(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["foley", str(clip)]) == EXIT_REQUEST
    assert "-o" in capsys.readouterr().err


def test_a_dub_without_its_lora_exits_as_for_a_missing_model(
    clip: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["lipdub", str(clip), 'a face says "mo"', "--model", str(tiny_model)]

    code = run_command_line([*arguments, "-o", str(tmp_path / "out.mkv"), "--json"])

    error = json.loads(capsys.readouterr().out)["error"]
    assert code == EXIT_MODEL
    assert "lip-dub LoRA" in error["message"]
    assert error["remedy"]
    assert not (tmp_path / "out.mkv").exists()


def test_a_dub_of_a_range_is_made_and_reported(
    clip: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = write_random_lora(tiny_model, tmp_path / "my-lipdub.safetensors")
    arguments = ["lipdub", str(clip), 'a face says "mo"', "--from", "0.5", "--to", "0.9", "--lora", f"{lora}:0.8"]

    code = run_command_line(
        [*arguments, "--model", str(tiny_model), "--preset", "draft", "-o", str(tmp_path / "out.mkv"), "--json"]
    )

    values = json.loads(capsys.readouterr().out)
    assert code == EXIT_OK
    assert (values["width"], values["height"], values["frames"]) == (64, 32, 41)
    assert [zone["kind"] for zone in values["plan"]["edit"]["sound"]][::2] == ["kept", "new", "kept"]
    (said,) = [choice for choice in values["plan"]["choices"] if choice["what"].startswith("LoRA")]
    assert said["value"] == "0.8"
