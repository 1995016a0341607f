"""Files that people really bring, as references of jobs that are really made, by a tiny untrained model.

Alone: `pytest tests/engine/jobs/test_hostile_references.py`.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import RequestError
from engine.jobs.prepare import prepare
from engine.jobs.queue import Job
from engine.jobs.runner import GenerationEngine, JobFailed, run_queue
from engine.jobs.store import JobStore
from engine.media.read import probe_clip, read_audio
from engine.request import GenerationRequest, ImageReference, Preset
from engine.types import Size
from tests.fakes.hostile_inputs import HUGE_PROMPT, INPUTS, RIGHT_TO_LEFT, Hostile, errors_in, is_clear

by_name = pytest.mark.parametrize("hostile", INPUTS, ids=lambda hostile: hostile.name)


@pytest.fixture(scope="module")
def engine() -> GenerationEngine:
    """What it loads stays loaded, as in the studio."""
    return GenerationEngine()


@pytest.fixture
def request_for(tiny_model: Path) -> GenerationRequest:
    return GenerationRequest(
        "a red ball", model=str(tiny_model), size=Size(128, 64), frames=9, seed=7, preset=Preset.DRAFT
    )


def made(request: GenerationRequest, engine: GenerationEngine, folder: Path) -> Job:
    """The job's end, after a look whether the queue lives on."""
    with JobStore(folder / "queue.sqlite3") as store:
        (job,) = store.add(prepare([request], folder / "made.mp4"))
        failures = [event for event in run_queue(store, engine) if isinstance(event, JobFailed)]
        job = store.job(job.id)
    assert [event.job.id for event in failures] == ([] if job.state == "done" else [job.id])
    return job


def assert_failed_in_words(job: Job, name: str) -> None:
    assert job.state == "failed"
    assert job.error_code == "media"
    words = f"{job.error_message} {job.error_remedy}"
    assert is_clear(words), words
    assert name in words
    assert not job.path.exists()


@by_name
def test_a_sound_is_followed_or_the_job_fails_in_words(
    request_for: GenerationRequest,
    engine: GenerationEngine,
    tmp_path: Path,
    hostile: Hostile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = hostile.make(tmp_path / "brought")

    job = made(replace(request_for, audio=path), engine, tmp_path)

    if hostile.has_sound:
        assert job.state == "done"
        heard, given = read_audio(job.path), read_audio(path).to_stereo()
        assert heard.duration_s == pytest.approx(9 / 24, abs=0.03)
        loudness = np.sqrt((given.fitted(heard.num_samples).samples ** 2).mean())
        assert np.sqrt((heard.samples**2).mean()) == pytest.approx(loudness, rel=0.05)
    else:
        assert_failed_in_words(job, path.name)
    assert errors_in(caplog.records) == []


@by_name
def test_a_picture_is_shown_or_the_job_fails_in_words(
    request_for: GenerationRequest,
    engine: GenerationEngine,
    tmp_path: Path,
    hostile: Hostile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = hostile.make(tmp_path / "brought")

    job = made(replace(request_for, images=(ImageReference(path),), silent=True), engine, tmp_path)

    if hostile.kind == "picture":
        assert job.state == "done"
        assert probe_clip(job.path).frames == 9
    else:
        assert_failed_in_words(job, path.name)
    assert errors_in(caplog.records) == []


def test_a_picture_wider_than_a_codec_takes_is_shown_or_refused_in_words(
    request_for: GenerationRequest, engine: GenerationEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (20_000, 64), (200, 30, 60)).save(tmp_path / "panorama.png")
    image = ImageReference(tmp_path / "panorama.png")

    job = made(replace(request_for, images=(image,), silent=True), engine, tmp_path)

    assert_failed_in_words(job, "panorama.png")
    assert errors_in(caplog.records) == []


def test_a_prompt_in_another_script_is_made_and_kept(
    request_for: GenerationRequest, engine: GenerationEngine, tmp_path: Path
) -> None:
    job = made(replace(request_for, prompt=RIGHT_TO_LEFT, silent=True), engine, tmp_path)

    assert job.state == "done"
    metadata = probe_clip(job.path).metadata
    assert metadata is not None
    assert metadata["prompt"] == RIGHT_TO_LEFT


def test_a_huge_prompt_is_refused_in_words_before_it_waits(request_for: GenerationRequest, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        prepare([replace(request_for, prompt=HUGE_PROMPT)], tmp_path / "made.mp4")

    assert is_clear(str(caught.value))


def test_a_file_that_is_gone_when_its_turn_comes_fails_in_words_and_is_made_once_it_is_back(
    request_for: GenerationRequest, engine: GenerationEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path, away = INPUTS[-1].make(tmp_path / "drive"), tmp_path / "away.wav"
    with JobStore(tmp_path / "queue.sqlite3") as store:
        (job,) = store.add(prepare([replace(request_for, audio=path)], tmp_path / "made.mp4"))
        path.rename(away)
        list(run_queue(store, engine))
        failed = store.job(job.id)
        away.rename(path)
        store.retry(job.id)
        list(run_queue(store, engine))
        done = store.job(job.id)

    assert_failed_in_words(failed._replace(output=str(tmp_path / "no such file")), path.name)
    assert "there is no such file" in (failed.error_message or "")
    assert done.state == "done"
    assert errors_in(caplog.records) == []
