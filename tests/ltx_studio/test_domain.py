"""Jobs, sizes and words. Alone: `pytest tests/ltx_studio/test_domain.py`."""

from pathlib import Path

import pytest

from engine.events import Finished, Notice, Preview, Started
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from ltx_studio.domain.job import Cancelled, Failed, Job
from ltx_studio.domain.sizes import Scale, Shape, find_size, size_of
from ltx_studio.ui import words
from tests.fakes.engine import preview, progress, result

REQUEST = GenerationRequest("a red ball bounces")


def test_a_job_adds_up_its_events(tmp_path: Path) -> None:
    job = Job(1, REQUEST)
    last = result(tmp_path / "clip.mp4")
    for event in (Started(REQUEST.with_seed(4), {}), Notice("a", "Noise."), progress(0.4), preview(), Finished(last)):
        job = job.after(event)

    assert (job.request.seed, job.notices, job.progress, job.outcome) == (4, ("Noise.",), progress(0.4), last)


@pytest.mark.parametrize("ending", [Failed("request", "No.", "Try."), Cancelled()])
def test_a_job_that_ends_badly_runs_no_more(ending: Failed | Cancelled) -> None:
    job = Job(1, REQUEST).after(ending)

    assert (job.is_running, job.outcome) == (False, ending)


def test_a_preview_leaves_a_job_as_it_is() -> None:
    job = Job(1, REQUEST)

    assert isinstance(preview(), Preview)
    assert job.after(preview()) is job


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("scale", list(Scale))
def test_every_size_is_on_the_grid_and_close_to_its_shape(shape: Shape, scale: Scale) -> None:
    size = size_of(shape, scale)
    width, height = (int(side) for side in shape.value.split(":"))

    assert size.snapped(64) == size
    assert size.width / size.height == pytest.approx(width / height, rel=0.04)
    assert find_size(size) == (shape, scale)


def test_a_size_of_ones_own_has_no_shape() -> None:
    assert find_size(Size(128, 64)) is None


@pytest.mark.parametrize(
    ("frame", "rate", "text"),
    [
        (0, "24", "00:00:00:00"),
        (31, "24", "00:00:01:07"),
        (24 * 3661, "24", "01:01:01:00"),
        (30, "30000/1001", "00:00:01:00"),
        (3, "1/2", "00:00:03:00"),
    ],
)
def test_time_is_told_in_frames_of_the_clip(frame: int, rate: str, text: str) -> None:
    assert words.timecode(frame, FrameRate.parse(rate)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (9.96, "10.0 s"), (41.2, "41 s"), (300.0, "5 min"), (7800.0, "2 h 10 min"), (3e5, "3 days")],
)
def test_durations_read_as_one_would_say_them(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
