"""Files that people really bring, taken into the library.

Alone: `pytest tests/ltx_studio/ui/test_hostile_library.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.library import Entry
from tests.fakes.hostile_inputs import INPUTS, RIGHT_TO_LEFT, Hostile, errors_in, is_clear
from tests.fakes.library_panel import Library
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
by_name = pytest.mark.parametrize("hostile", INPUTS, ids=lambda hostile: hostile.name)


class Desk:
    """A library with a good clip in it, and what it says."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.said: list[str] = []
        library.add("good.mp4")
        library.state.noticed.connect(self.said.append)

    def take(self, path: Path) -> None:
        """Until it is in, or refused."""
        num_entries = self.library.state.num_entries.value
        self.library.state.add(path)
        self.library.qtbot.waitUntil(lambda: bool(self.said) or self.library.state.num_entries.value > num_entries)

    def entry(self, name: str) -> Entry:
        state = self.library.state
        (entry,) = [item for item in state.entries(hit.id for hit in state.hits) if item.path.name == name]
        return entry


@pytest.fixture
def desk(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[Desk]:
    library = Library(tmp_path, qapp, qtbot)
    yield Desk(library)
    library.close()


@by_name
def test_a_file_becomes_an_entry_or_is_refused_in_a_sentence(
    desk: Desk, tmp_path: Path, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    path = hostile.make(tmp_path / "brought")

    desk.take(path)

    if hostile.kind == "nothing":
        assert desk.library.names() == ["good.mp4"]
        (words,) = desk.said
        assert is_clear(words), words
    else:
        assert sorted(desk.library.names()) == sorted(["good.mp4", path.name])
        facts = desk.entry(path.name).facts
        assert facts.has_sound == hostile.has_sound
        assert facts.prompt == (hostile.prompt or "")
        if hostile.kind != "sound":
            assert (facts.size, facts.frames) == (hostile.size, hostile.num_frames)
        assert desk.said == []
    assert errors_in(caplog.records) == []


@by_name
def test_what_is_in_the_library_is_drawn(
    desk: Desk, tmp_path: Path, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    desk.take(hostile.make(tmp_path / "brought"))

    for row in range(len(desk.library.state.hits)):
        desk.library.view.select_row(row)
    picture = desk.library.panel.grab()

    assert not picture.isNull()
    assert errors_in(caplog.records) == []


def test_a_prompt_in_another_script_is_found(desk: Desk, tmp_path: Path) -> None:
    (hostile,) = [item for item in INPUTS if item.prompt == RIGHT_TO_LEFT]
    desk.take(hostile.make(tmp_path / "brought"))

    desk.library.state.ask(text="אדום")

    assert desk.library.names() == ["כדור.mp4"]


def test_a_scan_of_a_folder_with_all_of_them_takes_what_the_studio_made(
    desk: Desk, tmp_path: Path, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    for number, hostile in enumerate(INPUTS):
        hostile.make(tmp_path / "brought" / str(number))

    desk.library.state.scan(tmp_path / "brought")
    qtbot.waitUntil(lambda: desk.library.state.num_entries.value == 3)

    assert sorted(desk.library.names()) == sorted(["good.mp4", "wordy.mp4", "כדור.mp4"])
    assert errors_in(caplog.records) == []


def test_an_entry_whose_drive_is_unplugged_stays_with_its_marks(desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    (hostile,) = [item for item in INPUTS if item.name == "emoji and spaces"]
    path = hostile.make(tmp_path / "drive")
    desk.take(path)
    desk.library.state.rate([desk.entry(path.name).id], 4)
    path.unlink()

    desk.library.state.refresh()

    qtbot.waitUntil(lambda: desk.entry(path.name).is_missing)
    assert desk.entry(path.name).marks.rating == 4
