"""Messages as lines, and folders without a library. Alone: `pytest tests/ltx_studio/installation/test_messages.py`."""

from pathlib import Path

import pytest

from engine.folders import cache_folder, data_folder
from ltx_studio.installation import layout
from ltx_studio.installation.messages import (
    Done,
    Facts,
    Failed,
    Mended,
    Message,
    Notice,
    Planned,
    Progress,
    Step,
    Stopped,
    from_line,
    to_line,
)
from ltx_studio.installation.state import Part


@pytest.mark.parametrize(
    "message",
    [
        Planned(Part.ENGINE, "linux-cpu", 1, 2, 3),
        Progress(Part.SHELL, Step.FETCHING, "x.whl", 1, 2, 3.5, 0.5),
        Notice("Trying again."),
        Mended(Part.ENGINE, 3, ("a", "b")),
        Facts({"target": "linux-cpu"}),
        Done(must_restart=True),
        Failed("offline", "No.", "Do."),
        Stopped(),
    ],
)
def test_a_message_reads_as_it_was_said(message: Message) -> None:
    assert from_line(to_line(message)) == message


@pytest.mark.parametrize("line", ["", "warning: x", "[]", '{"event": "sang"}', '{"event": "progress", "part": "wing"}'])
def test_a_line_that_is_no_message_is_passed_over(line: str) -> None:
    assert from_line(line) is None


@pytest.mark.parametrize("home", [None, "somewhere"])
def test_the_installer_finds_the_same_folders_as_the_engine(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(layout.HOME_VARIABLE, raising=False)
    if home is not None:
        monkeypatch.setenv(layout.HOME_VARIABLE, str(tmp_path / home))

    assert layout.default_data_folder() == data_folder()
    assert layout.default_cache_folder() == cache_folder()
