"""The verb that draws edges. Alone: `pytest tests/ltx_studio/test_canny_command.py`."""

import json
from pathlib import Path

import pytest

from engine.media.read import probe_clip
from ltx_studio.cli import EXIT_OK, EXIT_REQUEST, run_command_line
from tests.fakes.clips import write_numbered_clip


@pytest.fixture(autouse=True)
def _undisturbed_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Audit hooks stay for the life of a process; tests of the command line do not add one each."""
    monkeypatch.setattr("sys.addaudithook", lambda _hook: None)


def test_a_clip_of_edges_is_written_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 5)

    code = run_command_line(
        ["canny", str(clip), "-o", str(tmp_path / "edges.mp4"), "--thresholds", "50", "90", "--json"]
    )

    values = json.loads(capsys.readouterr().out)
    assert code == EXIT_OK
    assert values == {"path": str((tmp_path / "edges.mp4").resolve()), "frames": 5}
    assert probe_clip(tmp_path / "edges.mp4").frames == 5


@pytest.mark.parametrize("options", [["--thresholds", "9", "3"], ["--frames", "0"], []])
def test_a_mistake_is_one_sentence(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 2)
    output = tmp_path / ("edges.mp4" if options else "edges.png")

    code = run_command_line(["canny", str(clip), "-o", str(output), *options])

    assert code == EXIT_REQUEST
    assert capsys.readouterr().err.count("\n") == 1
    assert not output.exists()
