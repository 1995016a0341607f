"""The studio before its second stage: no torch, no traceback.

Alone: `pytest tests/ltx_studio/test_engine_missing.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.jobs.store import JobStore, NewJob
from ltx_studio.domain.job import NO_JOB, Failed, JobUpdate
from ltx_studio.services.engine_bridge import EngineBridge
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
ROOT = Path(__file__).resolve().parent.parent.parent


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the studio in a Python that has no torch."""
    code = "import sys; sys.modules['torch'] = None\nfrom ltx_studio.cli import run_command_line\n"
    code += "sys.exit(run_command_line(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_command_that_needs_the_engine_says_how_to_get_it(tmp_path: Path) -> None:
    ended = without_torch("generate", "a red ball", "-o", str(tmp_path / "ball.mp4"), "--json")

    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["code"]) == (3, "no-engine")
    assert "install the engine" in error["remedy"]
    assert "Traceback" not in ended.stderr


def test_planning_needs_no_engine() -> None:
    ended = without_torch("plan", "a red ball", "--json")

    assert ended.returncode == 0
    assert json.loads(ended.stdout)["stages"]


def test_jobs_wait_until_there_is_an_engine_and_the_window_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    queue_file = tmp_path / "queue.sqlite3"
    with JobStore(queue_file) as store:
        store.add([NewJob({"prompt": "a red ball"}, "a red ball", tmp_path / "clip.mp4", "fake", predicted_s=1.0)])
    bridge = EngineBridge(None, queue_file=queue_file)

    with qtbot.waitSignal(bridge.happened, timeout=1000) as said:
        bridge.wake()

    assert said.args is not None
    update = said.args[0]
    assert isinstance(update, JobUpdate)
    assert update.job_id == NO_JOB
    assert isinstance(update.event, Failed)
    assert update.event.code == "no-engine"
    with JobStore(queue_file) as store:
        assert [job.state for job in store.jobs()] == ["waiting"]
    assert bridge.close()
