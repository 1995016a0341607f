"""The command line's `queue`: what it prints, its exit codes, and that mistakes end in a sentence.

Alone: `pytest tests/ltx_studio/test_queue_command.py`.
"""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from engine.events import Event
from engine.jobs import runner
from engine.jobs.lease import claim
from engine.jobs.owner import Owner
from engine.jobs.store import JobStore
from engine.media.read import probe_clip
from ltx_studio.cli import run_command_line
from tests.fakes.queue import progress

MODEL = "ltx-2.3-distilled"  # in the catalogue: planned without its files, and cannot be run
SMALL = ["--preset", "draft", "--size", "128x64", "--frames", "9", "--silent", "--seed", "3"]

Queue = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _undisturbed_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Audit hooks stay for the life of a process; tests of the command line do not add one each."""
    monkeypatch.setattr("sys.addaudithook", lambda _hook: None)


@pytest.fixture
def queue(capsys: pytest.CaptureFixture[str]) -> Queue:
    """Runs a verb with --json and gives what it printed."""

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert run_command_line(["queue", *arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def add(queue: Queue, prompt: str = "a red ball", *more: str) -> dict[str, Any]:
    return queue("add", prompt, "--model", MODEL, *more)


def states(queue: Queue) -> dict[int, str]:
    return {job["id"]: job["state"] for job in queue("list")["jobs"]}


# --- adding and listing -----------------------------------------------------------------------------------------------


def test_an_empty_queue_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["queue", "list"]) == 0

    assert capsys.readouterr().out == "nothing waits\n"


def test_a_job_that_is_added_is_listed_with_its_time(queue: Queue, tmp_path: Path) -> None:
    added = add(queue, "a red ball", "-o", str(tmp_path / "clip.mp4"), "--priority", "high")

    listed = queue("list")

    assert added["batch"] is None
    (job,) = listed["jobs"]
    assert job["output"] == str(tmp_path / "clip.mp4")
    assert (job["state"], job["priority"], job["title"]) == ("waiting", "high", "a red ball")
    assert job["eta_s"] == listed["eta_s"] == job["predicted_s"] > 0


def test_variations_presets_and_seeds_become_one_batch(queue: Queue) -> None:
    added = add(queue, "a {red|blue} ball", "--seeds", "1,4-5", "--presets", "draft,fast")

    listed = queue("list")

    assert len(added["jobs"]) == 12
    assert listed["batches"] == [{"id": 1, "title": "a {red|blue} ball", "jobs": [job["id"] for job in added["jobs"]]}]
    with JobStore() as store:
        made = {(request.prompt, request.preset, request.seed) for request in map(store.request, states(queue))}
    assert len(made) == 12
    assert {seed for _, _, seed in made} == {1, 4, 5}


def test_takes_have_seeds_in_a_row(queue: Queue) -> None:
    add(queue, "a ball", "--seed", "8", "--takes", "3")

    with JobStore() as store:
        assert [store.request(job_id).seed for job_id in (1, 2, 3)] == [8, 9, 10]


def test_a_job_is_told_in_words_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_command_line(["queue", "add", "a ball", "--model", MODEL, "-o", str(tmp_path / "clip.mp4")])
    run_command_line(["queue", "list"])

    words = capsys.readouterr().out
    assert f"job 1: {tmp_path / 'clip.mp4'}, about " in words
    assert "waiting    normal  done in " in words
    assert "1 to make, done in " in words


# --- changing ---------------------------------------------------------------------------------------------------------


def test_jobs_are_paused_resumed_cancelled_retried_and_removed_by_number(queue: Queue) -> None:
    add(queue)

    for verb, state in (("pause", "paused"), ("resume", "waiting"), ("cancel", "cancelled"), ("retry", "waiting")):
        assert queue(verb, "1")["jobs"][0]["state"] == state
    assert queue("remove", "1") == {"removed": 1}
    assert states(queue) == {}


def test_a_batch_is_named_by_its_letter_and_number(queue: Queue) -> None:
    add(queue)
    add(queue, "a {red|blue} ball")
    queue("pause", "2")

    queue("cancel", "b1")

    assert states(queue) == {1: "waiting", 2: "cancelled", 3: "cancelled"}


def test_of_all_jobs_those_that_can_are_taken(queue: Queue) -> None:
    add(queue, "a {red|blue} ball")
    queue("cancel", "1")

    changed = queue("pause", "all")

    assert [job["id"] for job in changed["jobs"]] == [2]
    assert states(queue) == {2: "paused", 1: "cancelled"}


def test_pausing_without_a_job_pauses_the_queue(queue: Queue) -> None:
    add(queue)

    assert queue("pause") == {"paused": True}
    assert queue("run") == {"done": [], "failed": [], "cancelled": [], "paused": [], "paused_queue": True}
    assert queue("list")["paused"]
    assert queue("resume") == {"paused": False}
    assert states(queue) == {1: "waiting"}


def test_what_the_window_does_when_the_queue_is_done_is_set(queue: Queue) -> None:
    assert queue("when-done", "sleep") == {"when_done": "sleep"}

    assert queue("list")["when_done"] == "sleep"


def test_jobs_are_put_in_order(queue: Queue) -> None:
    for _ in range(3):
        add(queue)

    queue("priority", "3", "top")
    assert list(states(queue)) == [3, 1, 2]
    queue("priority", "3", "after", "1")
    assert list(states(queue)) == [1, 3, 2]
    assert queue("priority", "2", "high")["jobs"][0]["priority"] == "high"
    assert list(states(queue)) == [2, 1, 3]


def test_what_ended_is_cleared(queue: Queue) -> None:
    add(queue, "a {red|blue} ball")
    queue("cancel", "1")

    assert queue("clear", "--state", "done") == {"removed": 0}
    assert queue("clear") == {"removed": 1}
    assert states(queue) == {2: "waiting"}


def test_cancelling_a_job_that_another_process_runs_asks_that_process(
    queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    add(queue)
    with JobStore() as store:
        lease = claim(store, Owner.new(), "generation", None)
        assert lease is not None

        assert run_command_line(["queue", "cancel", "1"]) == 0
        assert lease.wish() == "cancel"

    assert capsys.readouterr().out == "job 1 is running, and is about to be cancelled\n"


# --- running ----------------------------------------------------------------------------------------------------------


def test_the_queue_is_run_and_its_clips_are_there(queue: Queue, tiny_model: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    queue("add", "a {red|blue} ball", "--model", str(tiny_model), "-o", str(clip), *SMALL)

    ended = queue("run", "--progress", "none")

    assert [job["output"] for job in ended["done"]] == [str(clip), str(tmp_path / "clip-2.mp4")]
    assert probe_clip(clip).frames == probe_clip(tmp_path / "clip-2.mp4").frames == 9
    assert sorted(item.name for item in tmp_path.iterdir()) == ["clip-2.mp4", "clip.mp4"]


def test_running_tells_each_job_on_stderr_and_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["queue", "add", "a ball", "--model", MODEL, "-o", str(tmp_path / "clip.mp4")])
    capsys.readouterr()

    code = run_command_line(["queue", "run", "--progress", "json"])

    assert code == 3, "as the verb generate without the model"
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["id"]) for line in said] == [("job_started", 1), ("job_failed", 1)]
    assert said[-1]["error"]["code"] == "checkpoint"


def test_a_failure_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["queue", "add", "a ball", "--model", MODEL, "-o", str(tmp_path / "clip.mp4")])

    run_command_line(["queue", "run", "--progress", "none"])
    run_command_line(["queue", "run", "--progress", "none"])

    words = capsys.readouterr().out
    assert "job 1 starts: a ball" in words
    assert "job 1 failed: " in words
    assert words.endswith("Nothing waits.\n")


def test_ctrl_c_lets_the_job_wait_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __call__(self, _task: runner.Task) -> Generator[Event, None, None]:
            yield progress(1)
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "GenerationEngine", Interrupted)
    add(queue)

    assert queue("run", "--progress", "none", code=130)["error"]["code"] == "cancelled"
    assert states(queue) == {1: "waiting"}


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: VERB"),
        (["dance"], "invalid choice"),
        (["cancel"], "required: JOB"),
        (["cancel", "9"], "There is no job 9"),
        (["cancel", "-1"], "'-1' is not a job"),
        (["cancel", "b9"], "There is no batch b9"),
        (["cancel", "first"], "'first' is not a job"),
        (["cancel", "99999999999999999999"], "is not a job"),
        (["resume", "1"], "Job 1 is waiting and cannot be resumed"),
        (["priority", "1", "before"], "needs the job to stand next to"),
        (["priority", "1", "top", "1"], "takes no other job"),
        (["priority", "1", "before", "1"], "cannot stand next to itself"),
        (["priority", "1", "urgent"], "invalid choice"),
        (["priority", "one", "top"], "'one' is not the number of a job"),
        (["add", " "], "The prompt is empty"),
        (["add", "a ball", "-o", "clip.gif"], ".gif"),
        (["add", "a ball", "-o", "/nowhere/clip.mp4"], "/nowhere"),
        (["add", "a ball", "--frames", "0"], "0 frames"),
        (["add", "a ball", "--seeds", "1,x"], "not a list of seeds"),
        (["add", "a ball", "--seeds", "9-1"], "not a list of 1 to 1,000 seeds"),
        (["add", "a ball", "--seeds", "1-99999999999"], "not a list of 1 to 1,000 seeds"),
        (["add", "a ball", "--seed", "1", "--seeds", "2"], "Both a seed and a list"),
        (["add", "a ball", "--takes", "0"], "0 takes"),
        (["add", "a ball", "--takes", "2", "--seeds", "2"], "not allowed with"),
        (["add", "a ball", "--presets", "draft,ultra"], "not a list of presets"),
        (["add", "{a|b}" * 30], "a batch holds up to 1,000"),
    ],
)
def test_a_mistake_ends_in_a_sentence(
    queue: Queue, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    add(queue)
    model = ["--model", MODEL] if arguments[:1] == ["add"] else []

    assert run_command_line(["queue", *arguments, *model]) == 2

    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert states(queue) == {1: "waiting"}


def test_a_mistake_with_json_is_one_object(queue: Queue) -> None:
    error = queue("cancel", "9", code=2)["error"]

    assert error["code"] == "queue"
    assert error["remedy"]


def test_a_damaged_queue_is_said(queue: Queue, studio_home: Path) -> None:
    (studio_home / "queue").mkdir()
    (studio_home / "queue" / "queue.sqlite3").write_bytes(b"not a database" * 1000)

    assert "damaged" in queue("list", code=2)["error"]["message"]
