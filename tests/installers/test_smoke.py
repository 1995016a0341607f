"""The last test of an environment, on this one. Alone: `pytest tests/installers/test_smoke.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str, studio: Path = ROOT) -> tuple[int, dict[str, Any]]:
    """As the installer starts it, with this environment's Python."""
    environ = {**os.environ, "PYTHONPATH": str(studio), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-s", str(ROOT / "installers" / "smoke.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=120)
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1])


def test_the_studios_window_opens_without_torch() -> None:
    code, facts = run("shell")

    assert code == 0
    assert min(facts["window"]) > 100


def test_the_processors_engine_multiplies_and_decodes_a_picture() -> None:
    code, facts = run("engine", "linux-cpu")

    assert code == 0
    assert facts["device"] == "cpu"
    assert facts["decoded"][:2] == [1, 3]


def test_an_engine_whose_graphics_are_not_there_is_said_with_what_to_do() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has what the test wants to miss")

    code, facts = run("engine", "linux-nvidia")

    assert code == 1
    assert "Update its driver" in facts["problem"]


def test_a_studio_that_does_not_open_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "ltx_studio"
    broken.mkdir()
    (broken / "__init__.py").write_text("", encoding="utf-8")
    (broken / "app.py").write_text("raise RuntimeError('no luck')\n", encoding="utf-8")

    code, facts = run("shell", studio=tmp_path)

    assert code == 1
    assert facts["problem"] == "RuntimeError: no luck"
