"""The lane of exports. Alone: `pytest tests/engine/jobs/test_exports.py`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestError
from engine.jobs.exports import LANE, ExportEngine, prepare_export
from engine.jobs.lease import claim, recover
from engine.jobs.owner import Owner
from engine.jobs.queue import Job
from engine.jobs.runner import JobEvent, JobFinished, run_queue
from engine.jobs.store import JobStore
from engine.media.export_request import ExportRequest, ExportSettings, Format
from tests.fakes.exports import FRAMES, SIZE, facts, write_clip
from tests.fakes.queue import new_job

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "queue" / "queue.sqlite3") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where exports go."""
    made = tmp_path / "exports"
    made.mkdir()
    return made


def add(store: JobStore, clip: Path, output: Path, **settings: Any) -> Job:
    request = ExportRequest(clip, ExportSettings(**settings))
    (job,) = store.add([prepare_export(request, output)])
    return job


def run(store: JobStore) -> None:
    for _event in run_queue(store, ExportEngine(), lane=LANE):
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_export_waits_in_its_lane_and_becomes_a_file(store: JobStore, clip: Path, folder: Path) -> None:
    job = add(store, clip, folder / "a.mp4", quality=70)
    assert (job.lane, job.state, job.title) == ("export", "waiting", "clip.mp4")

    run(store)

    assert store.job(job.id).state == "done"
    assert facts(folder / "a.mp4")["frames"] == FRAMES
    assert names(folder) == ["a.mp4"]


def test_exports_run_while_a_clip_is_generated(store: JobStore, clip: Path, folder: Path) -> None:
    store.add([new_job(folder / "generated.mp4")])
    generation = claim(store, Owner.new(), "generation", None)
    assert generation is not None
    export = add(store, clip, folder / "a.mp4", quality=70)

    run(store)

    assert store.job(export.id).state == "done"
    assert store.job(generation.job.id).state == "running"


def test_the_lane_makes_one_export_at_a_time_in_their_order(store: JobStore, clip: Path, folder: Path) -> None:
    jobs = [add(store, clip, folder / f"{number}.mp4", quality=70) for number in range(3)]
    done: list[int] = []

    for event in run_queue(store, ExportEngine(), lane=LANE):
        assert len(store.jobs(["running"])) <= 1
        if isinstance(event, JobFinished):
            done.append(event.job.id)

    assert done == [job.id for job in jobs]


def test_pictures_are_a_folder_that_appears_whole(store: JobStore, clip: Path, folder: Path) -> None:
    job = add(store, clip, folder / "pictures", format=Format.PNG)

    for event in run_queue(store, ExportEngine(), lane=LANE):
        if isinstance(event, JobEvent):
            assert not (folder / "pictures").exists()

    assert store.job(job.id).state == "done"
    assert len(list((folder / "pictures").iterdir())) == FRAMES
    assert names(folder) == ["pictures"]


def test_a_name_that_is_taken_gets_a_number(store: JobStore, clip: Path, folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"mine")

    job = add(store, clip, folder / "a.mp4", quality=70)
    run(store)

    assert (folder / "a.mp4").read_bytes() == b"mine"
    assert job.path == folder / "a-2.mp4"
    assert facts(job.path)["frames"] == FRAMES


def test_a_running_export_is_cancelled_between_frames(store: JobStore, clip: Path, folder: Path) -> None:
    job = add(store, clip, folder / "a.mp4", quality=70)

    for event in run_queue(store, ExportEngine(), lane=LANE):
        if isinstance(event, JobEvent):
            store.cancel(job.id)

    assert store.job(job.id).state == "cancelled"
    assert names(folder) == []


def test_an_export_whose_clip_is_gone_fails_in_words_and_the_next_is_made(
    store: JobStore, clip: Path, folder: Path, tmp_path: Path
) -> None:
    lost = write_clip(tmp_path / "lost.mp4", num_frames=3)
    first, second = add(store, lost, folder / "a.mp4", quality=70), add(store, clip, folder / "b.mp4", quality=70)
    lost.unlink()

    run(store)

    failed = store.job(first.id)
    assert (failed.state, failed.error_code) == ("failed", "media")
    assert "there is no such file" in (failed.error_message or "")
    assert store.job(second.id).state == "done"
    assert names(folder) == ["b.mp4"]


def test_what_cannot_be_made_is_refused_before_it_waits(clip: Path, folder: Path) -> None:
    with pytest.raises(RequestError, match="Choose 1 to 100"):
        prepare_export(ExportRequest(clip, ExportSettings(quality=500)), folder / "a.mp4")
    with pytest.raises(RequestError, match="the clip itself"):
        prepare_export(ExportRequest(clip, ExportSettings(quality=50)), clip)


def test_a_job_knows_its_clip_wherever_it_is_run(clip: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)

    job = prepare_export(ExportRequest(Path(clip.name)), folder / "a.mp4")

    assert job.work["clip"] == str(clip)


def test_after_a_kill_the_export_starts_again_and_no_half_file_is_left(
    store: JobStore, folder: Path, tmp_path: Path
) -> None:
    long = write_clip(tmp_path / "long.mp4", num_frames=120, grain=40)
    job = add(store, long, folder / "a.mp4", quality=90)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.exports", str(store.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 10:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert not (folder / "a.mp4").exists()

    assert [item.state for item in recover(store)] == ["waiting"]
    run(store)

    assert store.job(job.id).state == "done"
    assert store.job(job.id).interruptions == 1
    found = facts(folder / "a.mp4")
    assert (found["frames"], found["size"]) == (120, (SIZE.width, SIZE.height))
    assert names(folder) == ["a.mp4"]
