"""Projects on the disk. Alone: `pytest tests/ltx_studio/domain/test_project_store.py`."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.types import Size
from ltx_studio.domain.project import MAX_STEPS, FileMark, Project, ProjectError, Step, files_of, with_files_moved
from ltx_studio.domain.project_files import MAX_BACKUPS, add_backup, backups_of
from ltx_studio.domain.project_opening import CHANGED_OUTSIDE, Source
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import empty_timeline
from tests.benchmarks.project_kills import kill_at_random_moments
from tests.fakes.project import NTSC, numbered_edits, random_edit, rich_timeline, with_clip

DAY_S = 86_400.0


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "My film"


class Desk:
    """Opens projects, and gives all of them back in the end."""

    def __init__(self) -> None:
        self._stores: list[ProjectStore] = []

    def open(self, folder: Path, *, now: Callable[[], float] = time.time) -> ProjectStore:
        self._stores.append(ProjectStore.open(folder, now=now))
        return self._stores[-1]

    def create(
        self, folder: Path, project: Project | None = None, *, now: Callable[[], float] = time.time
    ) -> ProjectStore:
        project = project or Project(folder.name, empty_timeline(NTSC))
        self._stores.append(ProjectStore.create(folder, project, now=now))
        return self._stores[-1]

    def close(self) -> None:
        for store in self._stores:
            store.abandon()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def test_a_project_comes_back_as_it_was_saved(desk: Desk, folder: Path) -> None:
    marks = {
        folder / "media" / "ball.mkv": FileMark(12, "ab"),
        folder.parent / "footage" / "sea.wav": FileMark(3, "cd"),
    }
    project = Project("My film", rich_timeline(folder), Size(640, 360), marks)
    desk.create(folder, project).close()

    assert desk.open(folder).project == project


def test_the_undo_history_comes_back_with_its_names_and_its_place(desk: Desk, folder: Path) -> None:
    steps = numbered_edits(folder, 120)
    store = desk.create(folder)
    for step in steps:
        store.edit(step)
    store.move(110)
    store.close()

    history = desk.open(folder).history

    assert history.steps == tuple(steps)
    assert history.position == 110
    assert history.now == steps[109].after


def test_every_edit_that_returned_is_there_after_a_kill(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    for step in (steps := numbered_edits(folder, 5)):
        store.edit(step)
    store.abandon()

    opened = desk.open(folder)

    assert opened.recovery is not None
    assert opened.recovery.names == tuple(f"edit {number}" for number in range(1, 6))
    assert opened.project.timeline == steps[-1].after


def test_recovered_edits_are_not_asked_about_again(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    store.edit(numbered_edits(folder, 1)[0])
    store.abandon()
    store = desk.open(folder)
    store.recover(is_wanted=True)
    store.abandon()

    opened = desk.open(folder)

    assert opened.recovery is None
    assert len(opened.history.steps) == 1


def test_refused_edits_are_kept_as_a_backup_and_not_asked_about_again(desk: Desk, folder: Path) -> None:
    steps = numbered_edits(folder, 3)
    store = desk.create(folder)
    store.edit(steps[0])
    store.save()
    store.edit(steps[1])
    store.edit(steps[2])
    store.abandon()
    store = desk.open(folder)

    store.recover(is_wanted=False)

    assert store.project.timeline == steps[0].after
    assert store.history.steps == (steps[0],)
    kept = next(backup for backup in store.backups() if "not-restored" in backup.path.name)
    assert store.read_backup(kept.path) == steps[2].after
    store.abandon()
    assert desk.open(folder).recovery is None


def test_after_a_saved_session_nothing_is_asked(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    store.edit(numbered_edits(folder, 1)[0])
    store.save()
    store.abandon()

    assert desk.open(folder).recovery is None


def test_a_journal_line_that_was_cut_off_is_dropped(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    steps = numbered_edits(folder, 2)
    store.edit(steps[0])
    before = (folder / "journal.jsonl").stat().st_size
    store.edit(steps[1])
    store.abandon()
    after = (folder / "journal.jsonl").stat().st_size

    for size in (*range(before, after, 23), after - 1):
        os.truncate(folder / "journal.jsonl", size)
        opened = desk.open(folder)
        assert opened.project.timeline == steps[0].after
        opened.abandon()
        (folder / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes() + b"0" * (after - before))
    assert not list(folder.glob("*damaged*"))


def test_random_edits_undos_and_redos_come_back(desk: Desk, folder: Path) -> None:
    chance = random.Random(0)
    store = desk.create(folder)
    for number in range(150):
        if chance.random() < 0.3:
            store.move(chance.randint(0, len(store.history.steps)))
        else:
            after = random_edit(store.history.now, folder, chance)
            store.edit(Step(f"edit {number}", after, 0.0), replaces=chance.random() < 0.2)
        if chance.random() < 0.1:
            store.save()
    expected = store.history
    store.abandon()

    assert desk.open(folder).history == expected


def test_only_the_newest_steps_are_kept(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    steps = numbered_edits(folder, MAX_STEPS + 5)
    for step in steps:
        store.edit(step)
    store.abandon()

    history = desk.open(folder).history

    assert history.base == steps[4].after
    assert history.steps == tuple(steps[5:])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": "x"}', b"\xff\xfe", b'{"format": "ltx-studio-project"}']
)
def test_a_damaged_project_file_is_repaired_from_the_journal(desk: Desk, folder: Path, content: bytes) -> None:
    store = desk.create(folder)
    for step in (steps := numbered_edits(folder, 3)):
        store.edit(step)
    store.close()
    (folder / "project.json").write_bytes(content)

    opened = desk.open(folder)

    assert opened.repair is not None
    assert opened.repair.source is Source.JOURNAL
    assert opened.repair.aside is not None
    assert opened.repair.aside.read_bytes() == content
    assert opened.history.steps == tuple(steps)
    opened.abandon()
    assert desk.open(folder).repair is None


def test_with_the_journal_damaged_too_the_newest_backup_that_can_be_read_is_used(
    desk: Desk, folder: Path, clock: Clock
) -> None:
    store = desk.create(folder, now=clock)
    for step in (steps := numbered_edits(folder, 3)):
        clock.now_s += 60
        store.edit(step)
        store.save(keeps_backup=True)
    store.abandon()
    newest = backups_of(folder)[0].path
    for path in (folder / "project.json", folder / "journal.jsonl", newest):
        path.write_bytes(path.read_bytes()[:40])

    opened = desk.open(folder, now=clock)

    assert opened.repair is not None
    assert opened.repair.source is Source.BACKUP
    assert opened.project.timeline == steps[1].after


def test_a_project_without_anything_that_can_be_read_is_left_alone(desk: Desk, folder: Path) -> None:
    desk.create(folder).close()
    for path in [folder / "project.json", folder / "journal.jsonl", *(folder / "backups").iterdir()]:
        path.write_bytes(b"?")

    with pytest.raises(ProjectError, match="damaged"):
        desk.open(folder)

    assert (folder / "project.json").read_bytes() == b"?"


def test_without_the_journal_the_project_opens_without_its_history(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    store.edit(numbered_edits(folder, 1)[0])
    store.close()
    (folder / "journal.jsonl").unlink()

    opened = desk.open(folder)

    assert opened.project.timeline == numbered_edits(folder, 1)[0].after
    assert opened.history.steps == ()


def test_a_project_file_that_was_changed_by_hand_is_believed_and_can_be_undone(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    step = numbered_edits(folder, 1)[0]
    store.edit(step)
    store.close()
    text = (folder / "project.json").read_text(encoding="utf-8")
    (folder / "project.json").write_text(text.replace('"name": "clip 1"', '"name": "opening"'), encoding="utf-8")

    history = desk.open(folder).history

    assert [clip.name for clip in history.now.clips()] == ["opening"]
    assert history.steps[-1].name == CHANGED_OUTSIDE
    assert history.at(1) == step.after


def test_two_windows_do_not_write_the_same_project(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)

    with pytest.raises(ProjectError, match="open in another window"):
        desk.open(folder)
    store.close()

    desk.open(folder).close()


def test_a_project_of_a_newer_version_is_refused_and_left_alone(desk: Desk, folder: Path) -> None:
    desk.create(folder).close()
    document = json.loads((folder / "project.json").read_text(encoding="utf-8"))
    (folder / "project.json").write_text(json.dumps({**document, "version": 99}), encoding="utf-8")

    with pytest.raises(ProjectError, match="newer version"):
        desk.open(folder)

    assert json.loads((folder / "project.json").read_text(encoding="utf-8"))["version"] == 99


def test_a_new_project_is_not_put_over_another(desk: Desk, folder: Path) -> None:
    desk.create(folder).close()

    with pytest.raises(ProjectError, match="already"):
        desk.create(folder)


def test_a_folder_without_a_project_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not a project"):
        desk.open(tmp_path)
    with pytest.raises(ProjectError, match="no folder"):
        desk.open(tmp_path / "nothing")


def test_a_folder_that_was_moved_takes_its_files_along(desk: Desk, folder: Path, tmp_path: Path) -> None:
    project = Project("My film", rich_timeline(folder))
    desk.create(folder, project).close()
    there = tmp_path / "elsewhere" / "Renamed"
    there.parent.mkdir()
    folder.rename(there)

    opened = desk.open(there).project

    assert opened.name == "Renamed"
    assert there / "media" / "ball.mkv" in set(opened.files())
    assert tmp_path / "footage" / "Caf\N{LATIN SMALL LETTER E WITH ACUTE}.mov" in set(opened.files())


def test_footage_that_moved_together_with_the_project_is_found(desk: Desk, tmp_path: Path) -> None:
    footage = tmp_path / "old" / "footage" / "sea.mkv"
    footage.parent.mkdir(parents=True)
    footage.touch()
    folder = tmp_path / "old" / "film"
    store = desk.create(folder)
    store.edit(replace(numbered_edits(folder, 1)[0], after=with_clip(empty_timeline(NTSC), footage)))
    store.change(replace(store.project, marks={footage: FileMark(0, "")}))
    store.close()
    (tmp_path / "old").rename(tmp_path / "new")

    store = desk.open(tmp_path / "new" / "film")

    assert set(store.project.files()) == {tmp_path / "new" / "footage" / "sea.mkv"}
    assert set(store.history.files()) == {tmp_path / "new" / "footage" / "sea.mkv"}


def test_ten_backups_are_kept_dense_lately_and_sparse_before(desk: Desk, folder: Path, clock: Clock) -> None:
    store = desk.create(folder, now=clock)
    began_s = clock.now_s
    for step in numbered_edits(folder, 60):
        clock.now_s += DAY_S / 8
        store.edit(step)
        store.save()

    ages_h = [round((clock.now_s - backup.made_s) / 3600) for backup in store.backups()]

    assert len(ages_h) == MAX_BACKUPS
    assert ages_h[:3] == [0, 3, 6]
    assert ages_h[-1] == round((clock.now_s - began_s) / 3600)
    assert ages_h == sorted(ages_h)


def test_saving_again_and_again_makes_a_backup_every_five_minutes(desk: Desk, folder: Path, clock: Clock) -> None:
    store = desk.create(folder, now=clock)
    for step in numbered_edits(folder, 12):
        clock.now_s += 60
        store.edit(step)
        store.save()

    assert len(store.backups()) == 1 + 12 * 60 // 300


def test_two_backups_of_one_second_are_both_kept(folder: Path) -> None:
    folder.mkdir()
    add_backup(folder, b"first", now_s=1_700_000_000.0)
    add_backup(folder, b"second", now_s=1_700_000_000.0)

    assert [backup.path.read_bytes() for backup in backups_of(folder)] == [b"second", b"first"]


def test_edits_go_on_after_the_journal_could_not_be_written(desk: Desk, folder: Path) -> None:
    steps = numbered_edits(folder, 3)
    store = desk.create(folder)
    store.edit(steps[0])
    refuse_writing(store)

    with pytest.raises(ProjectError, match="full"):
        store.edit(steps[1])
    store.edit(steps[2])
    store.abandon()

    assert desk.open(folder).history.steps == tuple(steps)


def refuse_writing(store: ProjectStore) -> None:
    """The next append finds the disk full, having written half a line."""
    journal = store._journal  # pyright: ignore[reportPrivateUsage]
    assert journal is not None
    file = journal._file  # pyright: ignore[reportPrivateUsage]

    class Full:
        def write(self, line: bytes) -> int:
            return file.write(line[: len(line) // 2])

        def close(self) -> None:
            file.close()

    journal._file = Full()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def test_partial_files_of_a_killed_process_are_swept_up(desk: Desk, folder: Path) -> None:
    desk.create(folder).close()
    (folder / ".project.json.12345678.part").write_bytes(b"half")

    desk.open(folder).close()

    assert not list(folder.glob(".*.part"))


def test_files_that_moved_are_moved_in_every_state_of_the_history(desk: Desk, folder: Path) -> None:
    store = desk.create(folder)
    for step in numbered_edits(folder, 3):
        store.edit(step)
    moved = {folder / "media" / "clip 1.mkv": folder / "media" / "found.mkv"}

    store.change_history(store.project, lambda history: history.changed(lambda it: with_files_moved(it, moved)))
    store.abandon()

    history = desk.open(folder).history
    assert folder / "media" / "clip 1.mkv" not in set(history.files())
    assert set(files_of(history.at(1))) == {folder / "media" / "found.mkv"}


def test_killing_a_process_that_edits_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Three kills of `tests.benchmarks.project_kills`, which makes thirty."""
    report = kill_at_random_moments(tmp_path / "film", num_kills=3, seed=1)

    assert report.num_kills == 3
    assert report.num_acknowledged > 0
