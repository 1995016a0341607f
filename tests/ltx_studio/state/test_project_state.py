"""The window's project. Alone: `pytest tests/ltx_studio/state/test_project_state.py`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine.types import FrameRate
from ltx_studio.domain.project import Project, ProjectError
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import Marker, Media, Timeline, empty_timeline
from ltx_studio.settings import RECENT_PROJECTS
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.project import ProjectState
from ltx_studio.state.project_events import Opened
from ltx_studio.state.project_places import projects_folder
from ltx_studio.state.timeline import TimelineState
from tests.fakes.project import NTSC, numbered_edits, with_clip


class Desk:
    """One window's timeline and project, and what was said."""

    def __init__(self, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.timeline = TimelineState()
        self.preferences = Preferences()
        self.state = ProjectState(self.timeline, self.preferences)
        self.said: list[str] = []
        self.recoveries: list[Opened] = []
        self.state.noticed.connect(self.said.append)
        self.state.recovery_found.connect(self.recoveries.append)

    def start(self) -> "Desk":
        with self.qtbot.waitSignal(self.state.opened):
            self.state.start()
        return self

    def open(self, folder: Path) -> None:
        with self.qtbot.waitSignal(self.state.opened):
            self.state.open(folder)

    def mark(self, frame: int) -> None:
        """An edit that undo calls after its frame."""
        assert self.timeline.edit(f"mark {frame}", marked, frame)

    def wait_until_written(self) -> None:
        self.qtbot.waitUntil(lambda: self.state.is_written.value)

    def kill(self) -> None:
        """As kill -9 would: nothing more is written."""
        self.state._writer.waitForDone()  # pyright: ignore[reportPrivateUsage]
        for store in (self.state._store, self.state._next):  # pyright: ignore[reportPrivateUsage]
            if store is not None:
                store.abandon()
        self.state._store = self.state._next = None  # pyright: ignore[reportPrivateUsage]
        self.state.close()

    @property
    def frames(self) -> list[int]:
        return [marker.frame for marker in self.timeline.timeline.value.markers]

    @property
    def folder(self) -> Path:
        assert self.state.folder.value is not None
        return self.state.folder.value


def marked(timeline: Timeline, frame: int) -> Timeline:
    marker = Marker(timeline.next_id, frame)
    return replace(timeline, markers=(*timeline.markers, marker), next_id=timeline.next_id + 1)


OpenDesk = Callable[[], Desk]


@pytest.fixture
def open_desk(qapp: object, qtbot: QtBot) -> Iterator[OpenDesk]:
    desks: list[Desk] = []

    def open_desk() -> Desk:
        desks.append(Desk(qtbot))
        return desks[-1]

    yield open_desk
    for desk in desks:
        desk.state.close()


def film(folder: Path, num_edits: int = 0, base: Timeline | None = None) -> Path:
    """A project on the disk that nobody has open."""
    store = ProjectStore.create(folder, Project(folder.name, base or empty_timeline(NTSC)))
    for step in numbered_edits(folder, num_edits):
        store.edit(step)
    store.close()
    return folder


def test_without_a_project_an_untitled_one_keeps_every_edit(open_desk: OpenDesk) -> None:
    desk = open_desk().start()
    assert desk.folder == projects_folder() / "Untitled"
    desk.mark(7)
    desk.state.close()

    assert open_desk().start().frames == [7]


def test_the_last_project_opens_again_with_its_undo_history(open_desk: OpenDesk, tmp_path: Path) -> None:
    first = open_desk().start()
    first.open(film(tmp_path / "film"))
    for frame in range(120):
        first.mark(frame)
    first.timeline.stack.undo()
    first.state.close()

    desk = open_desk().start()

    assert desk.folder == tmp_path / "film"
    assert desk.frames == list(range(119))
    assert desk.timeline.stack.redoText() == "mark 119"
    desk.timeline.stack.redo()
    for _ in range(120):
        desk.timeline.stack.undo()
    assert desk.frames == []
    assert not desk.timeline.stack.canUndo()


def test_an_untitled_project_that_nothing_was_done_in_leaves_no_trace(open_desk: OpenDesk) -> None:
    desk = open_desk().start()
    folder = desk.folder
    desk.state.close()

    assert not folder.exists()
    assert Preferences().get(RECENT_PROJECTS) == ()


def test_edits_that_were_not_saved_are_offered_once(open_desk: OpenDesk, tmp_path: Path) -> None:
    first = open_desk().start()
    first.open(film(tmp_path / "film"))
    first.mark(3)
    first.wait_until_written()
    first.kill()
    second = open_desk()
    with second.qtbot.waitSignal(second.state.recovery_found):
        second.state.start()
    assert second.recoveries[0].recovery is not None
    assert second.recoveries[0].recovery.names == ("mark 3",)
    with second.qtbot.waitSignal(second.state.opened):
        second.state.recover(True)
    assert second.frames == [3]
    second.kill()

    third = open_desk().start()

    assert third.recoveries == []
    assert third.frames == [3]


def test_edits_that_are_refused_stay_away(open_desk: OpenDesk, tmp_path: Path) -> None:
    first = open_desk().start()
    first.open(film(tmp_path / "film", 2))
    first.mark(3)
    first.wait_until_written()
    first.kill()
    desk = open_desk()
    with desk.qtbot.waitSignal(desk.state.recovery_found):
        desk.state.start()

    with desk.qtbot.waitSignal(desk.state.opened):
        desk.state.recover(False)

    assert desk.frames == []
    assert desk.timeline.stack.undoText() == "edit 2"
    assert [backup.path.stem.endswith("not-restored") for backup in desk.state.backups()].count(True) == 1


def test_a_project_that_ended_the_program_is_not_opened_by_itself(open_desk: OpenDesk, tmp_path: Path) -> None:
    Preferences().put(RECENT_PROJECTS, (str(film(tmp_path / "film")),))
    projects_folder().mkdir(parents=True)
    (projects_folder() / ".opening").write_text(str(tmp_path / "film"), encoding="utf-8")

    desk = open_desk().start()

    assert desk.folder == projects_folder() / "Untitled"
    assert "film was not opened" in desk.said[0]
    assert desk.state.recent() == [tmp_path / "film"]
    desk.state.close()
    assert open_desk().start().folder == tmp_path / "film"


def test_a_project_that_cannot_be_opened_leaves_the_other_one_open(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    desk.mark(5)

    desk.state.open(tmp_path / "nothing")
    desk.qtbot.waitUntil(lambda: bool(desk.said))

    assert "no folder" in desk.said[0]
    assert desk.frames == [5]
    desk.mark(6)
    desk.wait_until_written()


def test_when_the_last_project_is_gone_an_untitled_one_is_opened(open_desk: OpenDesk, tmp_path: Path) -> None:
    folder = film(tmp_path / "film")
    Preferences().put(RECENT_PROJECTS, (str(folder),))
    (folder / "project.json").write_text("{", encoding="utf-8")
    for path in [folder / "journal.jsonl", *(folder / "backups").iterdir()]:
        path.unlink()

    desk = open_desk().start()

    assert desk.folder == projects_folder() / "Untitled"
    assert "damaged" in desk.said[0]


def test_edits_made_while_another_project_opens_are_in_the_first(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    film(tmp_path / "one")
    film(tmp_path / "two")
    desk.open(tmp_path / "one")

    with desk.qtbot.waitSignal(desk.state.opened):
        desk.state.open(tmp_path / "two")
        for frame in range(5):
            desk.mark(frame)
    desk.mark(99)
    desk.state.close()

    assert len(opened(tmp_path / "one").timeline.markers) == 5
    assert [marker.frame for marker in opened(tmp_path / "two").timeline.markers] == [99]


def argument(waiting: Any) -> Any:
    """What came with the signal that was waited for."""
    return waiting.args[0]


def opened(folder: Path) -> Project:
    store = ProjectStore.open(folder)
    store.abandon()
    return store.project


def test_a_clip_that_is_only_looked_at_is_no_edit_and_the_first_edit_keeps_it(open_desk: OpenDesk) -> None:
    desk = open_desk().start()
    clip = Media(desk.folder / "clip.mkv", Fraction(4), FrameRate(Fraction(25)))

    desk.timeline.mirror(clip)
    assert desk.state.is_written.value
    desk.mark(8)
    desk.wait_until_written()
    expected, base = desk.timeline.timeline.value, desk.timeline.stack.count()
    desk.kill()

    again = open_desk()
    with again.qtbot.waitSignal(again.state.recovery_found) as found:
        again.state.start()
    project = argument(found)
    assert project.project.timeline == expected
    assert project.history.base.length == 100
    assert len(project.history.steps) == base == 1


def test_a_merged_edit_is_one_step_on_the_disk(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    desk.open(film(tmp_path / "film"))
    for frame in range(4):
        assert desk.timeline.edit_on("nudge", "nudge", marked, frame)
    desk.state.close()

    store = ProjectStore.open(tmp_path / "film")
    store.abandon()

    assert [step.name for step in store.history.steps] == ["nudge"]
    assert len(store.history.now.markers) == 4


def test_a_full_disk_is_said_once_and_nothing_is_lost(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    desk.open(film(tmp_path / "film"))
    desk.mark(1)
    desk.wait_until_written()
    fill_disk(desk.state)

    desk.mark(2)
    desk.qtbot.waitUntil(lambda: bool(desk.said))
    desk.mark(3)
    desk.state._writer.waitForDone()  # pyright: ignore[reportPrivateUsage]
    assert not desk.state.is_written.value
    assert len(desk.said) == 1
    assert "full" in desk.said[0]
    free_disk(desk.state)
    desk.state.save_quietly()
    desk.wait_until_written()
    desk.kill()

    assert [marker.frame for marker in opened(tmp_path / "film").timeline.markers] == [1, 2, 3]


def fill_disk(state: ProjectState) -> None:
    """Every edit from here on is refused, having changed the store as it does."""
    store = state._store  # pyright: ignore[reportPrivateUsage]
    assert store is not None

    def refuse(*_: object) -> None:
        raise ProjectError("the disk is full.")

    store._end_journal()  # pyright: ignore[reportPrivateUsage]
    store._begin_journal = refuse  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def free_disk(state: ProjectState) -> None:
    del state._store._begin_journal  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]


def test_missing_files_are_named_found_and_used_in_every_step_of_undo(open_desk: OpenDesk, tmp_path: Path) -> None:
    clip = tmp_path / "old" / "clip.mkv"
    clip.parent.mkdir()
    clip.write_bytes(b"film" * 100)
    folder = film(tmp_path / "film", base=with_clip(empty_timeline(NTSC), clip))
    first = open_desk().start()
    first.open(folder)
    first.mark(4)
    first.qtbot.waitUntil(lambda: bool(first.state._project.marks))  # pyright: ignore[reportPrivateUsage]
    first.state.close()
    (tmp_path / "new").mkdir()
    clip.rename(tmp_path / "new" / "another name.mkv")
    desk = open_desk().start()
    desk.qtbot.waitUntil(lambda: desk.state.missing.value == (clip,))
    assert "Missing: clip.mkv" in desk.said[0]

    with desk.qtbot.waitSignal(desk.state.search_ended) as found:
        desk.state.search(tmp_path / "new")
    desk.state.relink(argument(found).same)
    desk.qtbot.waitUntil(lambda: desk.state.missing.value == ())

    desk.timeline.stack.undo()
    assert {it.media.path for it in desk.timeline.timeline.value.clips()} == {tmp_path / "new" / "another name.mkv"}
    desk.state.close()
    assert set(opened(folder).files()) == {tmp_path / "new" / "another name.mkv"}


def test_collecting_brings_every_file_into_the_folder(open_desk: OpenDesk, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(b"film")
    folder = film(tmp_path / "film", base=with_clip(empty_timeline(NTSC), clip))
    desk = open_desk().start()
    desk.open(folder)

    desk.state.collect()
    desk.qtbot.waitUntil(lambda: (folder / "media" / "clip.mkv").exists() and bool(desk.said))
    desk.state.close()
    there = tmp_path / "elsewhere"
    folder.rename(there)

    assert set(opened(there).files()) == {there / "media" / "clip.mkv"}
    assert "1 files were copied" in desk.said[0]


def test_saving_elsewhere_takes_the_history_and_the_files_along(open_desk: OpenDesk, tmp_path: Path) -> None:
    folder = tmp_path / "film"
    inside = folder / "media" / "clip 1.mkv"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"film")
    film(folder, 1)
    desk = open_desk().start()
    desk.open(folder)
    desk.mark(6)

    with desk.qtbot.waitSignal(desk.state.opened):
        desk.state.save_as(tmp_path / "Copy")
    desk.mark(7)
    desk.state.close()

    assert [marker.frame for marker in opened(folder).timeline.markers] == [6]
    copy = opened(tmp_path / "Copy")
    assert [marker.frame for marker in copy.timeline.markers] == [6, 7]
    assert set(copy.files()) == {tmp_path / "Copy" / "media" / "clip 1.mkv"}
    assert (tmp_path / "Copy" / "media" / "clip 1.mkv").read_bytes() == b"film"


def test_a_backup_comes_back_as_an_edit_that_undo_takes_back(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    desk.open(film(tmp_path / "film"))
    desk.mark(1)
    desk.state.save()
    desk.qtbot.waitUntil(lambda: len(desk.state.backups()) == 2)
    desk.mark(2)

    desk.state.read_backup(desk.state.backups()[0].path)
    desk.qtbot.waitUntil(lambda: desk.frames == [1])
    desk.timeline.stack.undo()

    assert desk.frames == [1, 2]


def test_edits_reach_the_disk_without_being_waited_for(open_desk: OpenDesk, tmp_path: Path) -> None:
    desk = open_desk().start()
    desk.open(film(tmp_path / "film"))

    desk.mark(1)

    assert not desk.state.is_written.value
    desk.wait_until_written()
    assert b"mark 1" in (tmp_path / "film" / "journal.jsonl").read_bytes()
