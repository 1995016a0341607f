"""An open window for the tests that want one."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

    from engine.jobs.runner import Engine
    from tests.fakes.engine import Line
    from tests.fakes.studio import OpenStudio, Studio


@pytest.fixture(autouse=True)
def closed_windows_stay(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    """What a closed window leaves in cycles is kept for the life of the process.

    Python would collect it at any later moment and on whichever thread happens to allocate, and the parts of a window
    that are deleted one by one, in any order, end the process now and then.
    """
    yield
    if "qapp" in request.fixturenames:
        gc.freeze()


@pytest.fixture(autouse=True)
def undisturbed_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    """Audit hooks stay for the life of a process; commands that a test runs in it do not add one each."""
    monkeypatch.setattr("sys.addaudithook", lambda _hook: None)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of nine numbered frames."""
    from tests.fakes.clips import write_numbered_clip

    return write_numbered_clip(tmp_path / "clip.mp4", 9)


@pytest.fixture
def open_studio(qapp: "QApplication", qtbot: "QtBot") -> Iterator["OpenStudio"]:
    """Open a window whose engine plays these scripts, one for each run, or is the given one."""
    from tests.fakes.engine import ScriptedEngine
    from tests.fakes.studio import Studio

    studios: list[Studio] = []

    def open_studio(*scripts: "list[Line]", engine: "Engine | None" = None, may_quit: bool = True) -> "Studio":
        studio = Studio(engine or ScriptedEngine(list(scripts)), qapp, qtbot, may_quit=may_quit)
        studios.append(studio)
        return studio

    yield open_studio
    for studio in studios:
        studio.close()
