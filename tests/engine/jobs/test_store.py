"""The queue as it is written down. Alone: `pytest tests/engine/jobs/test_store.py`."""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from engine.errors import RequestError
from engine.jobs import files
from engine.jobs.lease import Lease, LeaseLost, claim
from engine.jobs.owner import Owner
from engine.jobs.prepare import prepare
from engine.jobs.queue import MAX_OVERTAKEN, TRANSITIONS, Action, After, Before, Place, Priority, QueueError, State
from engine.jobs.schema import MIGRATIONS, open_database
from engine.jobs.store import JobStore
from engine.request import GenerationRequest
from tests.fakes.queue import add_jobs, new_job, titles

MODEL = "ltx-2.3-distilled"  # planning needs its facts, not its files


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "queue.sqlite3") as opened:
        yield opened


# --- what is written stays --------------------------------------------------------------------------------------------


def test_a_job_is_there_for_whoever_opens_the_queue_next(store: JobStore, tmp_path: Path) -> None:
    (added,) = store.add([new_job(tmp_path / "clip.mp4", work={"prompt": "a ball", "seed": 3})])

    with JobStore(store.path) as other:
        assert other.jobs() == [added]
        assert other.request(added.id) == GenerationRequest("a ball", seed=3)


def test_the_queue_is_in_the_data_folder(studio_home: Path) -> None:
    with JobStore() as store:
        assert store.path == studio_home / "queue" / "queue.sqlite3"
        assert store.path.is_file()


def test_jobs_are_added_all_or_none(store: JobStore, tmp_path: Path) -> None:
    impossible = new_job(tmp_path / "b.mp4", work={"prompt": object()})

    with pytest.raises(TypeError):
        store.add([new_job(tmp_path / "a.mp4"), impossible], batch_title="two")

    assert (store.jobs(), store.batches()) == ([], [])


def test_the_children_of_a_batch_know_it_and_it_goes_with_the_last_of_them(store: JobStore, tmp_path: Path) -> None:
    jobs = store.add([new_job(tmp_path / "a.mp4"), new_job(tmp_path / "b.mp4")], batch_title="balls")
    (batch,) = store.batches()

    assert batch.title == "balls"
    assert store.jobs(batch_id=batch.id) == jobs
    store.remove([jobs[0].id])
    assert store.batches() == [batch]
    store.remove([jobs[1].id])
    assert store.batches() == []


def test_settings_of_the_queue_are_kept(store: JobStore) -> None:
    before = (store.is_paused, store.when_done)
    store.set_paused(True)
    store.set_when_done("sleep")

    with JobStore(store.path) as other:
        assert before == (False, "nothing")
        assert (other.is_paused, other.when_done) == (True, "sleep")


# --- names of files ---------------------------------------------------------------------------------------------------


def test_a_name_that_a_file_or_a_job_has_gets_a_number(store: JobStore, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()

    jobs = store.add([new_job(tmp_path / "clip.mp4"), new_job(tmp_path / "Clip.mp4")])
    (later,) = store.add([new_job(tmp_path / "clip.mp4")])

    assert [job.path.name for job in (*jobs, later)] == ["clip-2.mp4", "Clip-3.mp4", "clip-4.mp4"]


def test_a_thousand_jobs_of_one_name_are_added_at_once(store: JobStore, tmp_path: Path) -> None:
    began = time.perf_counter()

    jobs = store.add([new_job(tmp_path / "clip.mp4")] * 1000)

    assert len({job.output for job in jobs}) == 1000
    assert time.perf_counter() - began < 5  # takes 0.1 s; searching each name from the start took a minute


# --- order ------------------------------------------------------------------------------------------------------------


def test_jobs_stand_by_priority_and_then_as_they_were_added(store: JobStore, tmp_path: Path) -> None:
    for title, priority in (("a", Priority.LOW), ("b", Priority.NORMAL), ("c", Priority.HIGH), ("d", Priority.NORMAL)):
        store.add([new_job(tmp_path / "clip.mp4", title=title, priority=priority)])

    assert titles(store.jobs()) == ["c", "b", "d", "a"]


@pytest.mark.parametrize(
    ("place", "expected"),
    [("top", "3124"), ("bottom", "1243"), (Before(2), "1324"), (After(4), "1243"), (Before(4), "1234")],
)
def test_a_job_is_put_by_hand(store: JobStore, tmp_path: Path, place: Place, expected: str) -> None:
    add_jobs(store, tmp_path, 4)

    moved = store.move(3, place)

    assert [job.id for job in store.jobs()] == [int(digit) for digit in expected]
    assert moved.overtaken == MAX_OVERTAKEN


def test_a_job_put_next_to_another_takes_its_priority(store: JobStore, tmp_path: Path) -> None:
    store.add([new_job(tmp_path / "clip.mp4", title="high", priority=Priority.HIGH)])
    store.add([new_job(tmp_path / "clip.mp4", title="low", priority=Priority.LOW)])

    store.move(2, Before(1))

    assert titles(store.jobs()) == ["low", "high"]
    assert store.job(2).priority == Priority.HIGH


def test_the_line_is_numbered_anew_when_a_gap_is_full(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 3)

    expected = [1, 2, 3]
    for number in range(100):  # each halves the gap behind job 1
        moved = expected[2 - number % 2 if number % 3 else 2]
        store.move(moved, After(1))
        expected.remove(moved)
        expected.insert(1, moved)
        assert [job.id for job in store.jobs()] == expected


def test_a_job_of_a_higher_level_comes_first_and_is_back_in_its_place_afterwards(
    store: JobStore, tmp_path: Path
) -> None:
    add_jobs(store, tmp_path, 3)

    store.set_priority(2, Priority.HIGH)
    raised = [job.id for job in store.jobs()]
    store.set_priority(2, Priority.NORMAL)

    assert raised == [2, 1, 3]
    assert [job.id for job in store.jobs()] == [1, 2, 3]


def test_a_job_cannot_stand_next_to_one_of_the_other_lane(store: JobStore, tmp_path: Path) -> None:
    store.add([new_job(tmp_path / "a.mp4"), new_job(tmp_path / "b.mp4", lane="export")])

    with pytest.raises(QueueError, match="different lines"):
        store.move(1, After(2))
    with pytest.raises(QueueError, match="next to itself"):
        store.move(1, After(1))


def test_a_moved_job_is_not_overtaken_by_one_that_keeps_the_model_warm(store: JobStore, tmp_path: Path) -> None:
    store.add([new_job(tmp_path / "a.mp4"), new_job(tmp_path / "b.mp4", model="large")])
    store.move(2, "top")

    lease = claim(store, Owner.new(), "generation", "small")

    assert lease is not None
    assert lease.job.id == 2


# --- changing ---------------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_edited_in_its_place(store: JobStore, tmp_path: Path) -> None:
    first, second = add_jobs(store, tmp_path, 2)

    edited = store.edit(first.id, new_job(tmp_path / "other.mp4", title="a cube", model="large", predicted_s=3))

    assert (edited.title, edited.warm_key, edited.predicted_s) == ("a cube", "large", 3)
    assert (edited.output, edited.rank) == (first.output, first.rank)
    assert store.request(first.id).prompt == "a cube"
    assert store.jobs()[1] == second


def test_a_running_job_cannot_be_edited_or_removed(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 1)
    claim(store, Owner.new(), "generation", None)

    with pytest.raises(QueueError, match="Job 1 is running and cannot be edited"):
        store.edit(1, new_job(tmp_path / "clip.mp4"))
    with pytest.raises(QueueError, match=r"Job 1 is running\. Cancel it first"):
        store.remove([1])


def test_a_job_that_is_not_there_is_said(store: JobStore) -> None:
    with pytest.raises(QueueError, match="There is no job 5"):
        store.cancel(5)


def test_clearing_forgets_what_ended_and_nothing_else(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 3)
    store.cancel(1)
    store.pause(2)

    assert store.clear() == 1
    assert [job.id for job in store.jobs()] == [2, 3]


def test_a_number_is_never_used_for_another_job(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 1)
    store.remove([1])

    (later,) = add_jobs(store, tmp_path, 1)

    assert later.id == 2


def test_a_job_is_duplicated_with_changes(store: JobStore, tmp_path: Path) -> None:
    (first,) = store.add(prepare([GenerationRequest("a ball", model=MODEL)], tmp_path / "clip.mp4"))

    (second,) = store.add(prepare([replace(store.request(first.id), prompt="a cube")], first.path))

    assert second.path.name == "clip-2.mp4"
    assert store.request(second.id) == replace(store.request(first.id), prompt="a cube")


# --- preparing --------------------------------------------------------------------------------------------------------


def test_a_prepared_job_has_its_seed_model_and_time_settled(tmp_path: Path) -> None:
    request = GenerationRequest("a ball\nbounces", model=MODEL, precision="fp32", device="cpu")

    (job,) = prepare([request], tmp_path / "clip.mp4")

    settled = GenerationRequest.from_dict(job.work)
    assert settled.seed is not None
    assert settled.model == MODEL
    assert (job.title, job.warm_key) == ("a ball bounces", f"{MODEL} fp32 cpu")
    assert job.predicted_s > 0


def test_without_an_output_the_file_gets_a_name_in_the_data_folder(studio_home: Path) -> None:
    (job,) = prepare([GenerationRequest("a ball", model=MODEL, seed=7)])

    assert job.output.parent == studio_home / "clips"
    assert job.output.name.endswith("-7.mp4")


def test_a_request_that_cannot_be_honoured_is_refused_before_it_waits() -> None:
    with pytest.raises(RequestError, match="empty"):
        prepare([GenerationRequest(" ", model=MODEL)])


# --- the file ---------------------------------------------------------------------------------------------------------


def test_commits_go_to_the_disk_and_readers_do_not_wait(store: JobStore) -> None:
    assert store.rows("PRAGMA journal_mode") == [("wal",)]
    assert store.rows("PRAGMA synchronous") == [(2,)]


def test_an_older_file_is_brought_up_to_date_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    with JobStore(path) as store:
        add_jobs(store, tmp_path, 2)

    newer = open_database(path, (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN colour TEXT;"))

    assert newer.execute("SELECT id, colour FROM jobs").fetchall() == [(1, None), (2, None)]
    assert newer.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    newer.close()
    with JobStore(tmp_path / f"queue.sqlite3.v{len(MIGRATIONS)}") as kept:
        assert len(kept.jobs()) == 2


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    JobStore(path).close()

    with pytest.raises(sqlite3.OperationalError):
        open_database(path, (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN colour TEXT;\nALTER TABLE nothing RENAME TO x;"))

    with JobStore(path) as store:
        assert store.jobs() == []
        assert ("colour",) not in store.rows("SELECT name FROM pragma_table_info('jobs')")


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    open_database(path, (*MIGRATIONS, "CREATE TABLE more (id);")).close()

    with pytest.raises(QueueError, match="newer version"):
        JobStore(path)


def test_a_damaged_file_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(QueueError, match="damaged"):
        JobStore(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(QueueError, match="cannot be made"):
        JobStore(tmp_path / "file" / "queue" / "queue.sqlite3")


def test_ten_thousand_jobs_are_listed_in_an_instant(store: JobStore, tmp_path: Path) -> None:
    work = {"prompt": "a ball " * 100}
    store.add([new_job(tmp_path / f"{number}.mp4", work=work) for number in range(10_000)])

    def seconds() -> float:
        began = time.thread_time()  # of this thread alone: other programs take their share of the wall clock
        assert len(store.jobs()) == 10_000
        return time.thread_time() - began

    assert min(seconds() for _ in range(5)) < 0.05


# --- every way through ------------------------------------------------------------------------------------------------


class QueueMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, the store follows the table of transitions and loses nothing."""

    jobs = Bundle[int]("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = JobStore(Path(self.folder.name) / "queue.sqlite3")
        self.owner = Owner.new()
        self.leases: dict[int, Lease] = {}
        self.expected: dict[int, State] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(target=jobs, priority=st.sampled_from(Priority))
    def add(self, priority: Priority) -> int:
        (job,) = self.store.add([new_job(Path(self.folder.name) / "clip.mp4", priority=priority)])
        assert job.id not in self.expected
        self.expected[job.id] = "waiting"
        return job.id

    @rule(job_id=jobs, action=st.sampled_from(["pause", "cancel", "resume", "retry"]))
    def act(self, job_id: int, action: Literal["pause", "cancel", "resume", "retry"]) -> None:
        state = self.expected[job_id]
        change = getattr(self.store, action)
        if (state, action) not in TRANSITIONS:
            with pytest.raises(QueueError):
                change(job_id)
        else:
            assert change(job_id).id == job_id
            if state == "running":
                assert self.leases[job_id].wish() == action
            else:
                self.expected[job_id] = TRANSITIONS[state, action]

    @rule(job_id=jobs, other_id=jobs, kind=st.sampled_from([Before, After]))
    def move(self, job_id: int, other_id: int, kind: type[Before] | type[After]) -> None:
        if job_id != other_id:
            self.store.move(job_id, kind(other_id))
            order = [job.id for job in sorted(self.store.jobs(), key=lambda job: job.rank)]
            assert order.index(job_id) - order.index(other_id) == (1 if kind is After else -1)

    @rule()
    def claim(self) -> None:
        waiting = [job for job in self.store.jobs() if job.state == "waiting"]
        lease = claim(self.store, self.owner, "generation", None)
        assert (lease is None) == (not waiting)
        if lease is not None:
            assert lease.job.id == waiting[0].id
            self.leases[lease.job.id] = lease
            self.expected[lease.job.id] = "running"

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), action=st.sampled_from(["finish", "fail", "interrupt", "cancel", "pause"]))
    def end(self, data: st.DataObject, action: Action) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.leases)))
        lease = self.leases.pop(job_id)
        match action:
            case "finish":
                files.make_folders(self.store.folder, lease.job)
                files.work_file(lease.job).write_bytes(b"made")
                job = lease.finish(None)
                assert job.path.read_bytes() == b"made"
            case "fail":
                job = lease.fail(RequestError("prompt", "No."))
            case "interrupt":
                job = lease.interrupt()
            case "cancel":
                job = lease.cancel()
            case _:
                job = lease.pause()
        assert job.wish is None
        self.expected[job_id] = TRANSITIONS["running", action]
        with pytest.raises(LeaseLost):
            lease.interrupt()

    @rule(job_id=consumes(jobs))
    def remove(self, job_id: int) -> None:
        if self.expected[job_id] == "running":
            self.leases.pop(job_id).cancel()
        self.store.remove([job_id])
        del self.expected[job_id]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert {job.id: job.state for job in self.store.jobs()} == self.expected


TestEveryWay = QueueMachine.TestCase
TestEveryWay.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
