"""Clips that come into the library, leave it, and come back.

Alone: `pytest tests/ltx_studio/test_library_comings.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.library import Place
from ltx_studio.domain.library_files import clips_folder
from ltx_studio.services.trash import SystemTrash
from tests.fakes.library import write_clip
from tests.fakes.library_panel import Library
from tests.fakes.studio import OFFSCREEN_REMARK, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


@pytest.fixture
def library(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[Library]:
    opened = Library(tmp_path, qapp, qtbot)
    yield opened
    opened.close()


# --- removing ---------------------------------------------------------------------------------------------------------


def test_a_deleted_clip_goes_to_the_trash_and_comes_back_by_undo(library: Library) -> None:
    [path, _] = library.add("a.mp4", "b.mp4")
    library.press(Qt.Key.Key_5)

    library.press(Qt.Key.Key_Delete)
    assert not path.exists()
    assert library.names() == ["b.mp4"]
    assert (library.trash.folder / "a.mp4").exists()
    library.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    assert path.exists()
    assert library.names() == ["a.mp4", "b.mp4"]
    assert library.marks().rating == 5


def test_a_clip_in_the_trash_can_be_restored_from_there(library: Library) -> None:
    [path] = library.add("a.mp4")
    library.press(Qt.Key.Key_Delete)
    library.state.ask(place=Place.TRASH)
    library.view.select_row(0)

    library.panel.actions_of_view.named("restore").trigger()

    assert path.exists()
    library.state.ask(place=Place.LIBRARY)
    assert library.names() == ["a.mp4"]


def test_a_trash_that_refuses_leaves_everything_as_it_was(library: Library) -> None:
    [path] = library.add("a.mp4")
    library.trash.refuses = True

    library.press(Qt.Key.Key_Delete)

    assert path.exists()
    assert library.names() == ["a.mp4"]
    assert "could not be moved to the trash" in texts_of(library.panel)
    assert not library.state.undo_stack.canUndo()


def test_removing_from_the_library_leaves_the_file_and_can_be_undone(library: Library) -> None:
    [path] = library.add("a.mp4")
    library.panel.actions_of_view.named("forget").trigger()
    assert library.names() == []
    assert path.exists()

    library.state.undo_stack.undo()

    assert library.names() == ["a.mp4"]


def test_the_systems_trash_gives_a_file_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = write_clip(tmp_path / "a b é.mp4")
    content = path.read_bytes()
    trash = SystemTrash()

    place = trash.put(path)
    assert not path.exists()
    assert place is not None
    trash.take(place, path)

    assert path.read_bytes() == content
    assert not place.exists()


# --- files that come and go -------------------------------------------------------------------------------------------


def test_a_new_result_appears_once_it_is_written(library: Library, qtbot: QtBot) -> None:
    path = write_clip(clips_folder() / "new.mp4")

    with qtbot.waitSignal(library.state.results_changed):
        library.state.add(path)

    assert library.names() == ["new.mp4"]
    assert "1 clip" in texts_of(library.panel)


def test_a_file_that_cannot_be_added_is_refused_in_words(library: Library, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(library.state.noticed):
        library.state.add(tmp_path / "absent.mp4")

    assert "there is no such file" in texts_of(library.panel)


def test_clips_made_while_the_studio_was_closed_are_found(library: Library, qtbot: QtBot) -> None:
    write_clip(clips_folder() / "a.mp4")

    library.state.refresh()

    qtbot.waitUntil(lambda: library.names() == ["a.mp4"])


def test_a_folder_can_be_added(library: Library, qtbot: QtBot, tmp_path: Path) -> None:
    write_clip(tmp_path / "old" / "a.mp4")

    library.state.scan(tmp_path / "old")

    qtbot.waitUntil(lambda: library.names() == ["a.mp4"])
    assert library.state.scanning.value is None


def test_a_missing_file_is_shown_as_missing_and_not_dropped(library: Library, qtbot: QtBot) -> None:
    [path] = library.add("a.mp4")
    path.rename(path.with_suffix(".away"))

    library.state.refresh()

    qtbot.waitUntil(lambda: "file missing" in library.panel.model.index(0).data(Qt.ItemDataRole.AccessibleTextRole))
    assert library.names() == ["a.mp4"]


def test_a_drive_that_is_plugged_in_again_brings_its_clips_back(library: Library, qtbot: QtBot) -> None:
    [path] = library.add("a.mp4")
    away = path.rename(path.with_suffix(".away"))
    library.state.refresh()
    model = library.panel.model
    qtbot.waitUntil(lambda: "file missing" in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole))

    away.rename(path)
    library.state.refresh()

    qtbot.waitUntil(lambda: "file missing" not in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole))
