"""The command line: what it prints, its exit codes, and that mistakes end in a sentence and leave nothing behind.

Alone: `pytest tests/ltx_studio/test_cli.py`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.media.read import probe_clip
from ltx_studio.cli import run_command_line
from ltx_studio.settings import SEALED, SettingsFile
from tests.fakes.models import header_of, rewrite_header

SMALL = ["--preset", "draft", "--size", "128x64", "--frames", "9", "--silent", "--seed", "3", "--progress", "none"]


def generate(model: Path | str, output: Path, *more: str) -> int:
    return run_command_line(["generate", "a red ball bounces", "--model", str(model), "-o", str(output), *SMALL, *more])


def json_error(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return json.loads(capsys.readouterr().out)["error"]


# --- generate ---------------------------------------------------------------------------------------------------------


def test_generate_writes_a_clip_and_says_where(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tiny_model, tmp_path / "clip.mp4") == 0

    assert str(tmp_path / "clip.mp4") in capsys.readouterr().out
    assert probe_clip(tmp_path / "clip.mp4").frames == 9


def test_generate_with_json_prints_one_object(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tiny_model, tmp_path / "clip.mp4", "--json")

    result = json.loads(capsys.readouterr().out)
    promised = {
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
    }
    assert promised <= set(result)
    assert (result["seed"], result["frames"], result["fps"]) == (3, 9, 24.0)
    assert result["peak_bytes"] > 50 * 2**20


def test_progress_as_json_is_one_event_a_line_on_stderr(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tiny_model, tmp_path / "clip.mp4", "--progress", "json")

    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "finished"
    assert {"phase", "step", "fraction", "eta_s"} <= set(next(item for item in events if item["event"] == "progress"))


@pytest.mark.usefixtures("without_starter")
def test_without_a_trained_model_the_clip_is_made_untrained_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command_line(["generate", "a ball", "-o", str(tmp_path / "clip.mp4"), *SMALL[:-2], "--progress", "bar"])

    assert code == 0
    assert "untrained" in capsys.readouterr().err


@pytest.mark.usefixtures("without_starter")
def test_a_data_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "a file" / "home"))

    assert run_command_line(["generate", "a ball", "-o", str(tmp_path / "clip.mp4"), *SMALL]) == 2

    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert "LTX_STUDIO_HOME" in error
    assert [item.name for item in tmp_path.iterdir()] == ["a file"]


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--frames", "0"], 2, "0 frames"),
        (["--frames", "10000"], 2, "10,000 frames"),
        (["--frames", "many"], 2, "not a whole number"),
        (["--seconds", "nan"], 2, "not a number"),
        (["--size", "wide"], 2, "not a size"),
        (["--size", "0x0"], 2, "0x0"),
        (["--fps", "1/0"], 2, "not a frame rate"),
        (["--steps", "0"], 2, "0 steps"),
        (["--preset", "ultra"], 2, "invalid choice"),
        (["--bogus"], 2, "--bogus"),
        (["--model", "ltx-9"], 2, "no model named 'ltx-9'"),
        (["--model", "ltx-2.3-dev"], 3, "not installed"),
        (["--model", "missing/model.safetensors"], 3, "does not exist"),
        (["--image", "missing.png"], 2, "no such file"),
        (["--image", "missing.png@99"], 2, "frame 99"),
        (["--lora", "missing.safetensors:0.5"], 3, "does not exist"),
        (["--reference-video", "missing.mp4"], 2, "no such file"),
        (["--device", "cuda:9"], 2, "no device 'cuda:9'"),
        (["-o", "/nowhere/clip.mp4"], 2, "/nowhere"),
        (["-o", "clip.gif"], 2, ".gif"),
        (["-o", "sound.wav"], 2, "is to be silent"),
        (["--audio", "voice.wav"], 2, "cannot follow a sound"),
        (["-o", "."], 2, ""),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_an_exit_code(
    arguments: list[str],
    code: int,
    words: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--frames" not in arguments and "--seconds" in arguments:
        line = [item for item in SMALL if item not in {"--frames", "9"}]
    else:
        line = SMALL
    full = ["generate", "a ball", "--model", str(tiny_model), "-o", "clip.mp4", *line, *arguments]

    assert run_command_line(full) == code

    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("ltx-studio: ")
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_sound_to_follow_is_said(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audible = [item for item in SMALL if item != "--silent"]
    line = ["generate", "a ball", "--model", str(tiny_model), "-o", str(tmp_path / "clip.mp4"), *audible]

    assert run_command_line([*line, "--audio", str(tmp_path / "missing.wav")]) == 2

    assert "no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_of_100_000_characters_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command_line(
        ["generate", "x" * 100_000, "--model", str(tiny_model), "-o", str(tmp_path / "clip.mp4"), "--json"]
    )

    assert code == 2
    error = json_error(capsys)
    assert (error["code"], "100,000 characters" in error["message"], bool(error["remedy"])) == ("request", True, True)


def test_a_size_off_the_grid_is_snapped_and_said(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tiny_model, tmp_path / "clip.mp4", "--size", "130x70", "--progress", "bar") == 0

    assert "130x70 became 128x64" in " ".join(capsys.readouterr().err.split())


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def not_safetensors(path: Path) -> None:
    path.write_bytes(b"GIF89a" * 1000)


def of_another_model(path: Path) -> None:
    rewrite_header(path, path, {"__metadata__": {"format": "pt"}})


def with_another_config(path: Path) -> None:
    config = json.loads(header_of(path)["__metadata__"]["config"])
    config["transformer"]["num_attention_heads"] = 4
    rewrite_header(path, path, {"__metadata__": {"config": json.dumps(config)}})


def without_a_key(path: Path) -> None:
    name = "model.diffusion_model.proj_out.weight"
    filler = header_of(path)[name]
    rewrite_header(path, path, {name: None, "filler": filler})


def of_a_wrong_shape(path: Path) -> None:
    name = "model.diffusion_model.proj_out.weight"
    entry = header_of(path)[name]
    rewrite_header(path, path, {name: {**entry, "shape": entry["shape"][::-1]}})


@pytest.mark.parametrize(
    "damage",
    [truncated, emptied, not_safetensors, of_another_model, with_another_config, without_a_key, of_a_wrong_shape],
)
def test_a_damaged_model_ends_in_a_sentence_and_exit_code_3(
    damage: Callable[[Path], None], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.parent, folder)
    damage(folder / tiny_model.name)

    assert generate(folder / tiny_model.name, tmp_path / "clip.mp4", "--json") == 3

    error = json_error(capsys)
    assert error["code"] == "checkpoint"
    assert tiny_model.name in error["message"]
    assert error["remedy"]
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


# --- interrupting -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_130_and_leaves_nothing(how: signal.Signals, tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ltx_studio", "generate", "a ball", "--model", str(tiny_model)]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "clip.mp4"), "--size", "256x192", "--frames", "97", "--progress", "json"],
        stderr=subprocess.PIPE,
        env={**os.environ, "LTX_STUDIO_HOME": str(tmp_path / "home")},
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if json.loads(line).get("phase") == "denoise":
                process.send_signal(how)
                break
        rest = process.stderr.read()

    assert process.wait(timeout=60) == 130
    assert "Traceback" not in rest
    assert [item.name for item in tmp_path.iterdir()] == ["home"]


# --- plan and doctor --------------------------------------------------------------------------------------------------


def test_plan_answers_for_a_model_that_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "a ball", "--model", "ltx-2.3-dev", "--preset", "standard", "--vram", "80", "--ram", "64"]

    assert run_command_line([*arguments, "--json"]) == 0

    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (values["model"], values["fits"], values["light"]) == ("ltx-2.3-dev", True, "green")
    assert values["peak_vram_bytes"] > 37e9


def test_plan_in_words_names_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["plan", "a ball", "--model", "ltx-2.3-distilled", "--vram", "8"]) == 0

    words = capsys.readouterr().out
    assert "does not fit" in words
    assert all(name in words for name in ("text", "base", "refine", "decode"))


def test_doctor_reports_the_machine_the_models_and_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["doctor", "--json", "--sealed"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert {"version", "python", "torch", "devices", "models", "network"} <= set(report)
    assert report["network"] == {"sealed": True, "attempts": 0}
    assert report["devices"][-1]["kind"] == "cpu"
    assert "ltx-2.3-dev" in [model["name"] for model in report["models"]]


def test_sealed_mode_that_the_studio_was_set_to_holds_for_commands_too(capsys: pytest.CaptureFixture[str]) -> None:
    SettingsFile().put(SEALED, True)

    assert run_command_line(["doctor", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["network"]["sealed"] is True


def test_doctor_in_words_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["doctor"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24
    assert "connections attempted" in lines[-1]


def test_help_imports_neither_torch_nor_qt() -> None:
    probe = (
        "import sys; from ltx_studio.cli import run_command_line\n"
        "try: run_command_line(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'PySide6', 'numpy', 'transformers'} & set(sys.modules), sys.modules.keys()"
    )

    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)


@pytest.mark.parametrize("variable", ["flag", "environment"])
def test_sealed_mode_refuses_and_records_a_connection(variable: str) -> None:
    probe = (
        "import socket; from engine.network import guard_network, SealedError\n"
        f"record = guard_network(sealed={variable == 'flag'})\n"
        "try: socket.create_connection(('127.0.0.1', 9), timeout=1)\n"
        "except SealedError: pass\n"
        "else: raise SystemExit('connected')\n"
        "assert record.attempts == ['127.0.0.1:9'], record.attempts"
    )
    environment = {**os.environ, "LTX_STUDIO_SEALED": "1" if variable == "environment" else "0"}

    subprocess.run([sys.executable, "-c", probe], check=True, env=environment)
