"""The right to run a job, and what becomes of it when its process dies at any step.

Alone: `pytest tests/engine/jobs/test_lease.py`.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engine.errors import MediaError
from engine.jobs import files
from engine.jobs.lease import Lease, LeaseLost, claim, recover
from engine.jobs.owner import FOREIGN_SILENCE_S, Owner
from engine.jobs.queue import Job
from engine.jobs.store import JobStore
from tests.fakes.queue import add_jobs, new_job

HERE = Owner.new()
# The number of this process, used by one that started long ago and is no more.
DEAD = HERE._replace(process_started_s=1.0)


class Killed(BaseException):
    """The process ends here: nothing that follows is run."""


@dataclass
class Clock:
    """Stands still until it is set."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    (tmp_path / "clips").mkdir()
    with JobStore(tmp_path / "queue" / "queue.sqlite3", now=clock) as opened:
        yield opened


def claimed(store: JobStore, tmp_path: Path, owner: Owner = DEAD) -> Lease:
    """A job that has begun."""
    store.add([new_job(tmp_path / "clips" / "clip.mp4")])
    lease = claim(store, owner, "generation", None)
    assert lease is not None
    files.make_folders(store.folder, lease.job)
    (files.run_folder(store.folder, lease.job) / "base.safetensors").write_bytes(b"latents")
    return lease


def write(lease: Lease, content: bytes = b"whole") -> None:
    """What an engine does last."""
    files.work_file(lease.job).write_bytes(content)


def clips(tmp_path: Path) -> dict[str, bytes]:
    """Everything in the output folder, hidden things too; folders as nothing."""
    return {item.name: item.read_bytes() if item.is_file() else b"" for item in (tmp_path / "clips").iterdir()}


def has_latents(store: JobStore, job: Job) -> bool:
    return (files.run_folder(store.folder, job) / "base.safetensors").exists()


# --- owners -----------------------------------------------------------------------------------------------------------


def test_this_process_is_alive_and_an_earlier_one_of_its_number_is_not() -> None:
    assert HERE.is_alive(silent_s=1e6)
    assert not DEAD.is_alive(silent_s=0)


def test_a_process_that_ended_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = HERE._replace(pid=process.pid)
    process.wait()

    assert not owner.is_alive(silent_s=0)


def test_a_killed_process_nobody_has_asked_about_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner(HERE.host, process.pid, psutil.Process(process.pid).create_time(), "")
        was_alive = owner.is_alive(silent_s=0)
        process.kill()
        deadline_s = time.monotonic() + 5
        while owner.is_alive(silent_s=0) and time.monotonic() < deadline_s:
            pass  # until it is dead, but still in the system's list of processes

        assert was_alive
        assert not owner.is_alive(silent_s=0)


def test_a_process_that_is_heard_of_is_alive_though_the_clock_was_set() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        owner = HERE._replace(pid=process.pid, process_started_s=1.0)

        assert owner.is_alive(silent_s=10)
        assert not owner.is_alive(silent_s=100)
        process.kill()


def test_a_process_of_another_host_is_taken_for_alive_while_it_is_heard_of() -> None:
    elsewhere = HERE._replace(host="elsewhere")

    assert elsewhere.is_alive(silent_s=FOREIGN_SILENCE_S - 1)
    assert not elsewhere.is_alive(silent_s=FOREIGN_SILENCE_S)


def test_an_owner_survives_being_written_down() -> None:
    assert Owner.from_text(HERE.to_text()) == HERE


# --- claims -----------------------------------------------------------------------------------------------------------


def test_a_job_is_claimed_once(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 1)

    with JobStore(store.path) as other:
        first = claim(store, HERE, "generation", None)
        second = claim(other, Owner.new(), "generation", None)

    assert first is not None
    assert first.job.state == "running"
    assert second is None


def test_a_paused_queue_gives_nothing_out(store: JobStore, tmp_path: Path) -> None:
    add_jobs(store, tmp_path, 1)
    store.set_paused(True)

    assert claim(store, HERE, "generation", None) is None


def test_each_lane_has_its_own_line(store: JobStore, tmp_path: Path) -> None:
    store.add([new_job(tmp_path / "a.mp4", lane="export")])

    assert claim(store, HERE, "generation", None) is None
    assert claim(store, HERE, "export", None) is not None


def test_those_that_are_overtaken_are_remembered(store: JobStore, tmp_path: Path) -> None:
    store.add([new_job(tmp_path / "a.mp4", model="large"), new_job(tmp_path / "b.mp4", model="small")])

    lease = claim(store, HERE, "generation", "small")

    assert lease is not None
    assert lease.job.id == 2
    assert store.job(1).overtaken == 1


# --- while it runs ----------------------------------------------------------------------------------------------------


def test_how_far_a_job_is_is_written_down_once_a_second(store: JobStore, tmp_path: Path, clock: Clock) -> None:
    lease = claimed(store, tmp_path, HERE)

    lease.beat(0.1, 50.0)
    too_soon = store.job(1)
    clock.now_s += 1
    lease.beat(0.2, 40.0)

    assert (too_soon.fraction, too_soon.eta_s) == (0, None)
    job = store.job(1)
    assert (job.fraction, job.eta_s, job.heartbeat_s) == (0.2, 40.0, clock.now_s)


def test_a_full_disk_at_a_heartbeat_is_logged_and_the_run_goes_on(
    store: JobStore, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lease = claimed(store, tmp_path, HERE)
    store.connection.execute("PRAGMA query_only = ON")  # every write is refused
    clock.now_s += 1

    lease.beat(0.5, None)

    assert "job 1" in caplog.text


def test_what_somebody_wishes_of_a_running_job_reaches_its_runner(store: JobStore, tmp_path: Path) -> None:
    lease = claimed(store, tmp_path, HERE)

    with JobStore(store.path) as other:
        assert other.cancel(1).state == "running"

    assert lease.wish() == "cancel"


def test_who_lost_a_job_cannot_write_to_it(store: JobStore, tmp_path: Path, clock: Clock) -> None:
    lease = claimed(store, tmp_path)
    write(lease)
    recover(store, HERE)
    clock.now_s += 10

    with pytest.raises(LeaseLost):
        lease.beat(0.5, None)
    with pytest.raises(LeaseLost):
        lease.interrupt()


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_finished_file_gets_its_name_and_nothing_else_stays(store: JobStore, tmp_path: Path) -> None:
    lease = claimed(store, tmp_path, HERE)
    write(lease)

    job = lease.finish({"seed": 7})

    assert (job.state, job.fraction, store.result(1)) == ("done", 1.0, {"seed": 7})
    assert clips(tmp_path) == {"clip.mp4": b"whole"}
    assert not has_latents(store, job)


def test_a_file_that_came_under_the_name_meanwhile_is_not_overwritten(store: JobStore, tmp_path: Path) -> None:
    lease = claimed(store, tmp_path, HERE)
    write(lease)
    (tmp_path / "clips" / "clip.mp4").write_bytes(b"somebody's")

    job = lease.finish(None)

    assert job.path.name == "clip-2.mp4"
    assert clips(tmp_path) == {"clip.mp4": b"somebody's", "clip-2.mp4": b"whole"}


def test_a_file_whose_name_is_refused_waits_for_the_retry(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = claimed(store, tmp_path, HERE)
    write(lease)

    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(MediaError, match="could not be given its name") as refused:
            lease.finish({"seed": 7})
    lease.fail(refused.value)
    store.retry(1)
    again = claim(store, HERE, "generation", None)
    assert again is not None
    job = again.settle()

    assert job is not None
    assert job.state == "done"
    assert clips(tmp_path) == {"clip.mp4": b"whole"}
    assert store.result(1) == {"seed": 7}


@pytest.mark.parametrize("ending", ["cancel", "pause", "interrupt"])
def test_a_job_that_was_stopped_leaves_nothing_where_clips_are(store: JobStore, tmp_path: Path, ending: str) -> None:
    lease = claimed(store, tmp_path, HERE)
    files.work_folder(lease.job).joinpath("half.part").write_bytes(b"ha")

    job: Job = getattr(lease, ending)()

    assert clips(tmp_path) == {}
    assert has_latents(store, job) == (ending != "cancel")


@pytest.mark.parametrize("ending", ["cancel", "pause", "interrupt"])
def test_folders_are_removed_while_nobody_else_can_have_the_job(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    lease = claimed(store, tmp_path, HERE)
    was_held: list[bool] = []
    monkeypatch.setattr(files, "discard_work", lambda _job: was_held.append(store.connection.in_transaction))

    getattr(lease, ending)()

    assert was_held == [True]


def test_a_missing_output_folder_is_said(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.add([new_job(tmp_path / "unplugged" / "clip.mp4")])

    with pytest.raises(MediaError, match="unplugged: the folder is not there"):
        files.make_folders(store.folder, job)


# --- after a kill -----------------------------------------------------------------------------------------------------


def test_a_job_whose_process_died_waits_again_with_its_latents(store: JobStore, tmp_path: Path) -> None:
    lease = claimed(store, tmp_path)
    files.work_folder(lease.job).joinpath(".clip.1234.part").write_bytes(b"half a file")

    (job,) = recover(store, HERE)

    assert (job.state, job.interruptions) == ("waiting", 1)
    assert clips(tmp_path) == {}
    assert has_latents(store, job)


def test_a_job_whose_process_lives_is_left_alone(store: JobStore, tmp_path: Path) -> None:
    claimed(store, tmp_path, HERE)

    assert recover(store, Owner.new()) == []
    assert store.job(1).state == "running"


@pytest.mark.parametrize("last_step", ["work_file", "made", "publish", "discard_work", "discard_run"])
def test_whichever_step_of_finishing_was_the_last_the_file_is_there_once_and_the_job_done(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    lease = claimed(store, tmp_path)
    write(lease)
    if last_step != "work_file":
        with monkeypatch.context() as patch:
            _die(patch, last_step)
            with pytest.raises(Killed):
                lease.finish({"seed": 7})

    recover(store, HERE)

    assert store.job(1).state == "done"
    assert clips(tmp_path) == {"clip.mp4": b"whole"}
    assert store.result(1) == (None if last_step == "work_file" else {"seed": 7})
    assert not has_latents(store, lease.job)


def _die(patch: pytest.MonkeyPatch, last_step: str) -> None:
    """Be killed right after a step."""
    name = "publish" if last_step == "made" else last_step
    step = getattr(files, name)

    def killed(*arguments: object) -> None:
        if last_step != "made":
            step(*arguments)
        raise Killed

    patch.setattr(files, name, killed)


def test_who_dies_while_recovering_is_recovered_from(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(claimed(store, tmp_path))
    with monkeypatch.context() as patch:
        _die(patch, "publish")
        with pytest.raises(Killed):
            recover(store, DEAD._replace(token="another"))

    (job,) = recover(store, HERE)

    assert job.state == "done"
    assert clips(tmp_path) == {"clip.mp4": b"whole"}


def test_a_file_of_somebody_else_under_the_name_is_no_reason_to_call_the_job_done(
    store: JobStore, tmp_path: Path
) -> None:
    claimed(store, tmp_path)
    (tmp_path / "clips" / "clip.mp4").write_bytes(b"somebody's")

    (job,) = recover(store, HERE)

    assert job.state == "waiting"


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_was_wished_of_a_job_before_its_process_died_is_done(
    store: JobStore, tmp_path: Path, wish: str, state: str
) -> None:
    claimed(store, tmp_path)
    getattr(store, wish)(1)

    (job,) = recover(store, HERE)

    assert (job.state, job.wish) == (state, None)


def test_latents_of_jobs_that_are_no_more_are_removed(store: JobStore, tmp_path: Path) -> None:
    lease = claimed(store, tmp_path, HERE)
    orphan = store.folder / "runs" / "of-no-job"
    orphan.mkdir()

    recover(store, HERE)

    assert not orphan.exists()
    assert has_latents(store, lease.job)
