"""The fake engine: it writes a real clip, and every state of a job can be had by a word in the prompt.

Alone: `pytest tests/ltx_studio/services/test_fake_engine.py`.
"""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import CheckpointError, MediaError, OutOfMemory
from engine.events import Event, Finished, Notice, Preview, Progress
from engine.jobs.runner import Task
from engine.media.read import probe_clip, read_audio, read_frames
from engine.request import GenerationRequest
from engine.types import Size
from ltx_studio.services.fake_engine import FakeEngine, Twist, twists_of

ENGINE = FakeEngine(seconds=0.05, silence_s=0.0)


def task_of(folder: Path, request: GenerationRequest) -> Task:
    return Task(request.to_dict(), folder / "clip.mp4", folder)


def told(folder: Path, prompt: str) -> list[Event]:
    return list(ENGINE(task_of(folder, GenerationRequest(prompt))))


def test_it_makes_the_clip_that_was_asked_for(tmp_path: Path) -> None:
    request = GenerationRequest("a disc", size=Size(128, 96), seconds=1.0, seed=3)

    *_, last = ENGINE(task_of(tmp_path, request))

    assert isinstance(last, Finished)
    facts = probe_clip(last.result.path)
    frames = np.stack(list(read_frames(last.result.path)))
    assert (facts.size, len(frames), last.result.seed) == (Size(128, 96), 24, 3)
    assert read_audio(last.result.path).duration_s == pytest.approx(1.0, abs=0.05)
    brightest = frames.astype(int).sum(axis=(1, 3)).argmax(axis=1)
    assert brightest[-1] > brightest[len(frames) // 2] > brightest[0]


def test_progress_only_grows(tmp_path: Path) -> None:
    fractions = [event.fraction for event in told(tmp_path, "a disc") if isinstance(event, Progress)]

    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9


def test_each_step_is_clearer_than_the_one_before(tmp_path: Path) -> None:
    previews = [event.frame.astype(float) for event in told(tmp_path, "a disc") if isinstance(event, Preview)]

    distances = [np.abs(picture - previews[-1]).mean() for picture in previews]
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize(
    ("word", "error"),
    [("memory", OutOfMemory), ("media", MediaError), ("model", CheckpointError), ("fails", RuntimeError)],
)
def test_a_word_in_brackets_lets_it_fail_and_no_file_is_left(word: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        told(tmp_path, f"a disc [{word}]")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("word", "code"), [("notes", "prompt_cut"), ("less", "less_memory")])
def test_a_word_in_brackets_lets_it_say_something(word: str, code: str, tmp_path: Path) -> None:
    assert code in [event.code for event in told(tmp_path, f"[{word}] a disc") if isinstance(event, Notice)]


def test_other_words_in_brackets_mean_nothing() -> None:
    assert twists_of("a [red] ball [SLOW]") == {Twist.SLOW}


def test_a_closed_story_leaves_no_file(tmp_path: Path) -> None:
    events = ENGINE(task_of(tmp_path, GenerationRequest("a disc")))
    for event in events:
        if isinstance(event, Progress) and event.phase == "decode" and event.step == 3:
            break

    events.close()

    assert list(tmp_path.iterdir()) == []
