"""Projects from the window's menus. Alone: `pytest tests/ltx_studio/ui/test_project_desk.py`."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QMenu, QWidget

from engine.media.read import read_frames
from engine.types import FrameRate
from ltx_studio.domain.project import Project
from ltx_studio.domain.project_opening import Recovery
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import Media, empty_timeline
from ltx_studio.domain.timeline_details import add_marker
from ltx_studio.domain.timeline_placing import append
from ltx_studio.services.sequence_render import sequence_frames, sequence_size
from ltx_studio.state.timeline import material_of
from ltx_studio.ui.project_dialogs import ProjectDialogs
from tests.fakes.clips import write_numbered_clip
from tests.fakes.project import numbered_edits
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
RATE = FrameRate(Fraction(24))


class Answers(ProjectDialogs):
    """A user who has made up their mind."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.is_recovery_wanted = True
        self.asked: list[str] = []
        self.losses: list[str] = []

    def folder_to_open(self, parent: QWidget, start: Path) -> Path | None:
        return self.path

    def new_place(self, parent: QWidget, start: Path) -> Path | None:
        self.asked.append("place")
        return self.path

    def folder_to_search(self, parent: QWidget, start: Path) -> Path | None:
        return self.path

    def file_to_import(self, parent: QWidget, start: Path) -> Path | None:
        return self.path

    def file_for_editors(self, parent: QWidget, start: Path) -> Path | None:
        return self.path

    def file_to_render(self, parent: QWidget, start: Path) -> Path | None:
        return self.path

    def rate_of_list(self, parent: QWidget, path: Path) -> FrameRate | None:
        self.asked.append("rate")
        return RATE

    def wants_recovery(self, parent: QWidget, name: str, recovery: Recovery) -> bool:
        self.asked.append(", ".join(recovery.names))
        return self.is_recovery_wanted

    def show_losses(self, parent: QWidget, title: str, text: str, losses: Sequence[str]) -> None:
        self.losses += losses


class Desk:
    """An open window with a project, and its user."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.window = studio.window
        self.projects = studio.window.projects
        self.answers = self.projects.dialogs = Answers()
        self.timeline = studio.window.timeline.state

    def start(self) -> "Desk":
        with self.studio.qtbot.waitSignal(self.projects.state.opened):
            self.projects.start()
        return self

    def do(self, command: str, path: Path | None = None) -> None:
        """Choose a command of the menu, and this file or folder when asked."""
        self.answers.path = path
        assert self.window.actions_by_name[command].isEnabled(), command
        self.window.actions_by_name[command].trigger()

    def open(self, folder: Path) -> None:
        with self.studio.qtbot.waitSignal(self.projects.state.opened):
            self.do("open_project", folder)

    def add(self, clip: Path, num_frames: int) -> None:
        """Put a clip at the end of the timeline."""
        media = Media(clip, num_frames / RATE.value, RATE, None, has_sound=False)
        assert self.timeline.edit("add clip", append, material_of(media))

    def wait(self, condition: Callable[[], bool]) -> None:
        self.studio.qtbot.waitUntil(condition)

    def said(self) -> str:
        return self.window.status_line.currentMessage()

    def title(self) -> str:
        return self.window.windowTitle()


@pytest.fixture
def desk(open_studio: OpenStudio) -> Desk:
    return Desk(open_studio()).start()


def film(folder: Path, num_edits: int) -> Path:
    store = ProjectStore.create(folder, Project(folder.name, empty_timeline(RATE)))
    for step in numbered_edits(folder, num_edits, rate=RATE):
        store.edit(step)
    store.close()
    return folder


def test_the_title_names_the_project_and_marks_what_is_not_on_the_disk(desk: Desk, tmp_path: Path) -> None:
    assert desk.title() == "Untitled[*] \N{EM DASH} LTX Studio"
    desk.open(film(tmp_path / "My film", 1))

    assert desk.title().startswith("My film[*]")
    desk.projects.state.is_written.value = False
    desk.wait(desk.window.isWindowModified)
    desk.projects.state.is_written.value = True
    assert not desk.window.isWindowModified()


def test_undo_goes_on_after_the_window_was_closed(desk: Desk, open_studio: OpenStudio, tmp_path: Path) -> None:
    desk.open(film(tmp_path / "film", 3))
    for frame in range(100):
        assert desk.timeline.edit(f"mark {frame}", add_marker, frame)
    desk.studio.close()

    again = Desk(open_studio()).start()

    assert again.title().startswith("film[*]")
    for number in reversed(range(100)):
        assert again.timeline.stack.undoText() == f"mark {number}"
        again.do("undo")
    assert again.timeline.timeline.value.markers == ()
    again.do("redo")
    assert [marker.frame for marker in again.timeline.timeline.value.markers] == [0]


def test_saving_an_untitled_project_asks_for_a_place_and_keeps_the_history(desk: Desk, tmp_path: Path) -> None:
    assert desk.timeline.edit("mark", add_marker, 5)

    with desk.studio.qtbot.waitSignal(desk.projects.state.opened):
        desk.do("save_project", tmp_path / "Named")

    assert desk.title().startswith("Named[*]")
    assert desk.timeline.stack.undoText() == "mark"
    desk.answers.asked.clear()
    desk.do("save_project", None)
    assert desk.answers.asked == []
    assert desk.said() == "Named is saved."


def test_edits_of_a_killed_window_are_offered_by_name(desk: Desk, tmp_path: Path) -> None:
    folder = film(tmp_path / "film", 0)
    store = ProjectStore.open(folder)
    for step in numbered_edits(folder, 2, rate=RATE):
        store.edit(step)
    store.abandon()

    desk.open(folder)

    assert desk.answers.asked == ["edit 1, edit 2"]
    assert desk.timeline.timeline.value.length == 48


def test_a_repaired_project_says_what_happened(desk: Desk, tmp_path: Path) -> None:
    folder = film(tmp_path / "film", 2)
    (folder / "project.json").write_text("{", encoding="utf-8")

    desk.open(folder)

    desk.wait(lambda: "was damaged. Every edit was restored" in desk.said() or "missing" in desk.said())
    assert desk.timeline.timeline.value.length == 48


def test_recent_projects_are_in_the_menu_and_open(desk: Desk, tmp_path: Path) -> None:
    desk.open(film(tmp_path / "one", 1))
    desk.open(film(tmp_path / "two & a half", 2))
    menu = submenu(desk, "Open recent")

    names = [action.text() for action in menu.actions()]
    with desk.studio.qtbot.waitSignal(desk.projects.state.opened):
        menu.actions()[1].trigger()

    assert names == ["two && a half", "one"]
    assert not menu.actions()[0].isEnabled()
    assert desk.title().startswith("one[*]")


def test_a_backup_is_taken_up_from_the_menu_and_undone(desk: Desk, tmp_path: Path) -> None:
    desk.open(film(tmp_path / "film", 1))
    desk.do("save_project")
    assert desk.timeline.edit("mark", add_marker, 5)

    submenu(desk, "Return to a backup").actions()[0].trigger()
    desk.wait(lambda: desk.timeline.timeline.value.markers == ())

    assert desk.timeline.stack.undoText() == "Return to a backup"
    desk.do("undo")
    assert len(desk.timeline.timeline.value.markers) == 1


def submenu(desk: Desk, title: str) -> QMenu:
    menu = next(item for item in desk.window.findChildren(QMenu) if item.title() == title)
    menu.aboutToShow.emit()
    return menu


def test_the_sequence_is_exported_as_the_preview_shows_it(desk: Desk, tmp_path: Path) -> None:
    for name, count in (("one.mp4", 9), ("two.mp4", 5)):
        desk.add(write_numbered_clip(tmp_path / name, count), count)

    desk.do("export_sequence", tmp_path / "film.mkv")
    assert desk.window.actions_by_name["export_sequence"].text() == "Stop exporting the sequence"
    desk.wait(lambda: "exported" in desk.said())

    timeline = desk.timeline.timeline.value
    shown = list(sequence_frames(timeline, size=sequence_size(timeline)))
    written = list(read_frames(tmp_path / "film.mkv"))
    assert len(written) == 14
    assert all(np.array_equal(one, other) for one, other in zip(shown, written, strict=True))
    assert desk.window.actions_by_name["export_sequence"].text() == "Export the sequence as one file"


@pytest.mark.parametrize("suffix", [".otio", ".fcpxml", ".edl"])
def test_a_sequence_goes_to_another_editor_and_back(desk: Desk, tmp_path: Path, suffix: str) -> None:
    desk.add(write_numbered_clip(tmp_path / "one.mp4", 9), 9)
    desk.add(write_numbered_clip(tmp_path / "two.mp4", 5), 5)
    before = [(clip.name, clip.start, clip.length) for clip in desk.timeline.timeline.value.clips()]
    desk.do("export_for_editors", tmp_path / f"cut{suffix}")
    assert desk.timeline.edit("clear", lambda _: empty_timeline(RATE))

    desk.do("import_sequence", tmp_path / f"cut{suffix}")
    desk.wait(lambda: desk.timeline.timeline.value.length == 14)

    after = [(clip.name, clip.start, clip.length) for clip in desk.timeline.timeline.value.clips()]
    assert after == before
    assert desk.timeline.stack.undoText() == "import Untitled"
    assert desk.answers.losses == []


def test_the_list_of_another_editor_is_read_at_the_rate_the_user_names(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "theirs.edl").write_text(
        "TITLE: theirs\n\n001  AX  V  C  00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00\n* FROM CLIP NAME: a.mov\n",
        encoding="utf-8",
    )

    desk.do("import_sequence", tmp_path / "theirs.edl")
    desk.wait(lambda: desk.timeline.timeline.value.length == 24)

    assert desk.answers.asked == ["rate"]


def test_what_another_editor_will_not_see_is_listed(desk: Desk, tmp_path: Path) -> None:
    desk.add(write_numbered_clip(tmp_path / "one.mp4", 9), 9)
    assert desk.timeline.edit("mark", add_marker, 5)

    desk.do("export_for_editors", tmp_path / "cut.edl")

    assert desk.answers.losses == ["a marker, which edit lists do not have."]


def test_missing_files_are_found_from_the_menu(desk: Desk, tmp_path: Path) -> None:
    clip = write_numbered_clip(tmp_path / "one.mp4", 9)
    assert not desk.window.actions_by_name["find_missing"].isEnabled()
    desk.add(clip, 9)
    desk.projects.state.look_at_files()
    desk.wait(lambda: bool(desk.projects.state._project.marks))  # pyright: ignore[reportPrivateUsage]
    (tmp_path / "moved").mkdir()
    clip.rename(tmp_path / "moved" / "renamed.mp4")
    desk.projects.state.look_at_files()
    desk.wait(desk.window.actions_by_name["find_missing"].isEnabled)
    assert "Missing: one.mp4" in desk.said()

    desk.do("find_missing", tmp_path / "moved")
    desk.wait(lambda: desk.said() == "Every missing file was found.")

    paths = {item.media.path for item in desk.timeline.timeline.value.clips()}
    assert paths == {tmp_path / "moved" / "renamed.mp4"}


def test_without_clips_there_is_nothing_to_export_and_the_menu_says_so(desk: Desk) -> None:
    for name in ("export_sequence", "export_for_editors"):
        action = desk.window.actions_by_name[name]
        assert not action.isEnabled()
        assert action.toolTip() == "Put a clip on the timeline first."
