"""The queue in the window, as a user meets it. Alone: `pytest tests/ltx_studio/test_queue.py`.

More than 500 lines: one queue, and every way in which a user may handle it, with the same few helpers.
"""

import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QMenu
from pytestqt.qtbot import QtBot

from engine.errors import RequestError
from engine.jobs.queue import Priority
from engine.jobs.store import JobStore
from engine.request import GenerationRequest
from ltx_studio.domain.queue import Group, Item
from ltx_studio.state.queue import MAX_INTERRUPTIONS
from ltx_studio.ui.queue_model import QueueModel
from ltx_studio.ui.queue_view import QueueView
from tests.fakes.engine import Line, ScriptedEngine, WorkUntilClosed, progress
from tests.fakes.queue import new_job
from tests.fakes.studio import OFFSCREEN_REMARK, PROMPT, WORKING, OpenStudio, Studio, finished, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
ALT = Qt.KeyboardModifier.AltModifier


@contextmanager
def no_double_clicks() -> Generator[None]:
    """A second clip within the time of a double click is not meant, and a test has no time to wait."""
    interval_ms = QApplication.doubleClickInterval()
    QApplication.setDoubleClickInterval(0)
    yield
    QApplication.setDoubleClickInterval(interval_ms)


class Queue:
    """The queue of an open window, whose engine works on its first job until it is stopped."""

    def __init__(self, studio: Studio, qtbot: QtBot) -> None:
        self.studio = studio
        self.qtbot = qtbot
        self.view: QueueView = studio.window.queue_panel.view
        model = self.view.model()
        assert isinstance(model, QueueModel)
        self.model = model

    def generate(self, *prompts: str) -> None:
        """Jobs, one for each prompt, in the queue."""
        for prompt in prompts:
            before = len(self.studio.states())
            self.studio.session.edit(prompt=prompt)
            with no_double_clicks():
                self.studio.window.actions_by_name["generate"].trigger()
            self.qtbot.waitUntil(lambda before=before: len(self.studio.states()) == before + 1)

    def titles(self, state: str = "") -> list[str]:
        items = self.studio.queue.snapshot.value.items
        return [item.job.title for item in items if not state or item.state == state]

    def item(self, title: str) -> Item:
        return next(item for item in self.studio.queue.snapshot.value.items if item.job.title == title)

    def choose(self, title: str) -> None:
        self.view.setFocus()
        self.view.choose(("job", self.item(title).id))

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.qtbot.keyClick(self.view, key, modifier)

    def wait_for(self, *titles: str, state: str = "waiting") -> None:
        self.qtbot.waitUntil(lambda: self.titles(state) == list(titles))

    def spoken(self, title: str) -> str:
        index = self.model.index_of(("job", self.item(title).id))
        return index.data(Qt.ItemDataRole.AccessibleTextRole)


@pytest.fixture
def queue(open_studio: OpenStudio, qtbot: QtBot) -> Queue:
    """The first job runs, the second to the fourth wait."""
    queue = Queue(open_studio(WORKING, WORKING, WORKING, WORKING), qtbot)
    queue.generate("first")
    queue.wait_for("first", state="running")
    queue.generate("second", "third", "fourth")
    return queue


def make_all(studio: Studio) -> None:
    """Press the button that appears once the wordings are counted."""
    studio.qtbot.waitUntil(lambda: "Make all" in buttons_of(studio))
    studio.click("Make all wordings")


def buttons_of(studio: Studio) -> list[str]:
    buttons = studio.window.prompt_panel.findChildren(QAbstractButton)
    return [button.text() for button in buttons if button.isVisible()]


# --- adding -----------------------------------------------------------------------------------------------------------


def test_generate_queues_another_clip_while_one_is_made(queue: Queue) -> None:
    assert queue.titles("running") == ["first"]
    assert queue.titles("waiting") == ["second", "third", "fourth"]
    assert "4 clips to make, about" in texts_of(queue.studio.window.queue_panel)


def test_a_job_is_on_the_disk_when_the_window_shows_it(queue: Queue) -> None:
    with JobStore() as store:
        assert [job.title for job in store.jobs()] == ["first", "second", "third", "fourth"]


def test_prompts_are_remembered_when_they_are_queued(queue: Queue) -> None:
    entries = queue.studio.window.prompt_panel.state.history.search("")

    assert [entry.prompt.text for entry in entries] == ["fourth", "third", "second", "first"]


def test_all_wordings_of_a_prompt_are_one_batch(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt("a {red|blue} ball")

    make_all(studio)

    qtbot.waitUntil(lambda: len(studio.states()) == 2)
    (batch,) = studio.queue.snapshot.value.rows
    assert isinstance(batch, Group)
    requests = [item.request for item in batch.items if item.request]
    assert [request.prompt for request in requests] == ["a red ball", "a blue ball"]
    assert len({request.seed for request in requests}) == 1


def test_one_clip_of_a_prompt_with_choices_is_made_from_the_wording_its_seed_draws(
    open_studio: OpenStudio, qtbot: QtBot
) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt("a {red|blue} ball")

    studio.click("Generate")

    qtbot.waitUntil(lambda: len(studio.states()) == 1)
    assert studio.queue.snapshot.value.items[0].job.title in {"a red ball", "a blue ball"}


def test_four_takes_are_a_batch_of_four_seeds(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt()

    studio.window.actions_by_name["generate_takes"].trigger()

    qtbot.waitUntil(lambda: len(studio.states()) == 4)
    (batch,) = studio.queue.snapshot.value.rows
    assert len({item.request.seed for item in batch.items if item.request}) == 4


def test_a_request_that_cannot_be_planned_is_refused_in_a_sentence(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()

    def refuse(_requests: object) -> None:
        raise RequestError("size", "That picture cannot be made.", remedy="Choose a smaller one.")

    studio.queue._planner = refuse  # pyright: ignore
    studio.write_prompt()
    studio.click("Generate")

    qtbot.waitUntil(lambda: "cannot be made. Choose a smaller" in studio.window.status_line.currentMessage())
    assert studio.states() == []


def test_the_clip_shown_is_the_one_that_was_asked_for_last(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    held: list[Line] = [WorkUntilClosed(progress(0.3))]
    studio = open_studio(held, finished(clip), finished(clip))
    queue = Queue(studio, qtbot)
    queue.generate("first")
    queue.wait_for("first", state="running")
    queue.generate("second", "third")
    queue.choose("third")
    queue.press(Qt.Key.Key_Home, ALT)
    queue.wait_for("third", "second")

    studio.window.actions_by_name["stop"].trigger()
    studio.wait_until_done()

    assert studio.session.result.value is not None
    assert studio.session.result.value.path == queue.item("third").job.path


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "order"),
    [
        (Qt.Key.Key_Up, ["third", "second", "fourth"]),
        (Qt.Key.Key_Down, ["second", "fourth", "third"]),
        (Qt.Key.Key_Home, ["third", "second", "fourth"]),
        (Qt.Key.Key_End, ["second", "fourth", "third"]),
    ],
)
def test_alt_and_a_key_move_a_job(queue: Queue, key: Qt.Key, order: list[str]) -> None:
    queue.choose("third")

    queue.press(key, ALT)

    queue.wait_for(*order)
    assert [queue.model.data(index) for index in queue.view.selectionModel().selectedRows()] == ["third"]


def test_a_job_that_is_dropped_between_two_others_stands_there(queue: Queue) -> None:
    model = queue.model
    data = model.mimeData([model.index_of(("job", queue.item("fourth").id))])

    model.dropMimeData(data, Qt.DropAction.MoveAction, 2, 0, QModelIndex())

    queue.wait_for("second", "fourth", "third")


def test_a_job_that_is_dropped_above_what_runs_is_the_next_one(queue: Queue) -> None:
    data = QMimeData()
    data.setData("application/x-ltx-studio-jobs", json.dumps([queue.item("fourth").id]).encode())

    queue.model.dropMimeData(data, Qt.DropAction.MoveAction, 0, 0, QModelIndex())

    queue.wait_for("fourth", "second", "third")


def test_a_key_gives_a_job_priority_and_the_row_says_so(queue: Queue) -> None:
    queue.choose("fourth")

    queue.press(Qt.Key.Key_1)

    queue.wait_for("fourth", "second", "third")
    assert queue.item("fourth").job.priority == Priority.HIGH
    assert "High priority" in queue.spoken("fourth")


def test_a_batch_moves_as_one(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    queue = Queue(studio, qtbot)
    queue.generate("first")
    queue.wait_for("first", state="running")
    queue.generate("second")
    studio.write_prompt(" {red|blue}")
    make_all(studio)
    qtbot.waitUntil(lambda: len(studio.states()) == 4)
    batch = studio.queue.snapshot.value.rows[-1]
    assert isinstance(batch, Group)
    queue.view.setFocus()
    queue.view.choose(("batch", batch.batch.id))

    queue.press(Qt.Key.Key_Home, ALT)

    qtbot.waitUntil(lambda: queue.titles("waiting")[-1] == "second")


# --- what becomes of jobs ---------------------------------------------------------------------------------------------


def test_cancelling_the_running_job_lets_the_next_one_begin(queue: Queue) -> None:
    queue.choose("first")

    queue.press(Qt.Key.Key_X)

    queue.wait_for("second", state="running")
    queue.wait_for("first", state="cancelled")


def test_a_cancelled_job_can_be_tried_again(queue: Queue) -> None:
    queue.choose("third")
    queue.press(Qt.Key.Key_X)
    queue.wait_for("third", state="cancelled")

    queue.press(Qt.Key.Key_R)

    queue.wait_for("second", "third", "fourth")


def test_the_clip_of_a_job_that_is_tried_again_is_shown(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio([RequestError("size", "No.")], finished(clip), finished(clip))
    queue = Queue(studio, qtbot)
    queue.generate("first", "second")
    studio.wait_until_done()
    queue.choose("first")

    queue.press(Qt.Key.Key_R)
    queue.wait_for("first", "second", state="done")

    assert studio.session.result.value is not None
    assert studio.session.result.value.path == queue.item("first").job.path


def test_delete_removes_a_job_and_not_one_that_runs(queue: Queue) -> None:
    queue.choose("first")
    queue.press(Qt.Key.Key_Delete)
    queue.choose("third")
    queue.press(Qt.Key.Key_Delete)

    queue.wait_for("first", "second", "fourth", state="")


def test_pausing_all_puts_the_running_job_back_and_resuming_goes_on(queue: Queue) -> None:
    queue.studio.click("Pause all")
    queue.wait_for("first", "second", "third", "fourth")
    assert "Paused, 4 clips to make" in texts_of(queue.studio.window.queue_panel)

    queue.studio.click("Resume all")

    queue.wait_for("first", state="running")


def test_a_paused_job_is_left_out_until_it_is_resumed(queue: Queue) -> None:
    queue.choose("second")
    queue.press(Qt.Key.Key_P)
    queue.wait_for("second", state="paused")

    queue.press(Qt.Key.Key_P, Qt.KeyboardModifier.ShiftModifier)

    queue.wait_for("second", "third", "fourth")


def test_a_failed_job_says_what_happened_and_what_to_do_and_the_queue_goes_on(
    open_studio: OpenStudio, clip: Path, qtbot: QtBot
) -> None:
    trouble = RequestError("size", "That picture cannot be made.", remedy="Choose a smaller one.")
    studio = open_studio([trouble], finished(clip))
    queue = Queue(studio, qtbot)
    queue.generate("first", "second")

    studio.wait_until_done()

    queue.wait_for("first", state="failed")
    queue.wait_for("second", state="done")
    assert "Failed" in queue.spoken("first")
    assert "That picture cannot be made. Choose a smaller one." in queue.spoken("first")


def test_finished_jobs_can_be_cleared_away(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    studio.click("Generate")
    studio.wait_until_done()
    made = studio.queue.snapshot.value.items[0].job.path

    studio.click("Clear finished")

    qtbot.waitUntil(lambda: studio.states() == [])
    assert made.is_file()
    assert studio.button("Go to the prompt").isVisible()


# --- editing ----------------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_edited_in_the_prompt_panel_and_put_back_at_its_place(queue: Queue) -> None:
    queue.studio.session.edit(prompt="what I was writing")
    queue.choose("third")
    queue.press(Qt.Key.Key_E)
    assert queue.studio.session.request.value.prompt == "third"
    queue.studio.session.edit(prompt="third, but better")

    queue.studio.click("Put back in the queue")

    queue.wait_for("second", "third, but better", "fourth")
    assert queue.studio.session.request.value.prompt == "what I was writing"


def test_a_job_that_is_being_edited_does_not_begin(queue: Queue) -> None:
    queue.choose("second")
    queue.press(Qt.Key.Key_E)
    queue.wait_for("second", state="paused")
    queue.choose("first")
    queue.press(Qt.Key.Key_X)

    queue.wait_for("third", state="running")


def test_editing_can_be_given_up(queue: Queue) -> None:
    queue.choose("third")
    queue.press(Qt.Key.Key_E)
    queue.wait_for("third", state="paused")
    queue.studio.session.edit(prompt="worse")

    queue.studio.click("Leave it as it was")

    queue.wait_for("second", "third", "fourth")
    assert queue.studio.session.request.value.prompt == "fourth"


def test_a_duplicate_has_the_seed_of_its_original_and_waits_for_changes(queue: Queue) -> None:
    original = queue.item("second").request
    assert original is not None
    queue.choose("second")

    queue.press(Qt.Key.Key_D)

    assert queue.studio.session.request.value == original
    assert queue.studio.session.is_seed_locked.value
    assert len(queue.titles()) == 4


# --- the list ---------------------------------------------------------------------------------------------------------


def test_what_runs_shows_its_step_and_preview(queue: Queue, qtbot: QtBot) -> None:
    index = queue.model.index_of(("job", queue.item("first").id))

    qtbot.waitUntil(lambda: "Making the clip, step 3 of 8" in queue.spoken("first"))

    assert "40 %" in queue.spoken("first")
    assert "about 12 s left" in queue.spoken("first")
    assert index.data(Qt.ItemDataRole.UserRole + 3) is not None


def test_a_row_says_its_state_what_it_makes_and_when_it_is_done(queue: Queue) -> None:
    spoken = queue.spoken("second")

    assert spoken.startswith("Waiting. second. ")
    assert "Fast" in spoken
    assert "seed" in spoken
    assert "done in about" in spoken


def test_an_open_batch_stays_open_and_chosen_when_jobs_come_and_go(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    queue = Queue(studio, qtbot)
    studio.write_prompt("a {red|blue} ball")
    make_all(studio)
    qtbot.waitUntil(lambda: len(studio.states()) == 2)
    queue.view.setFocus()
    queue.press(Qt.Key.Key_Right)
    queue.press(Qt.Key.Key_Down)

    queue.generate("another")

    assert queue.view.isExpanded(queue.model.index(0, 0))
    assert [row.items[0].job.title for row in queue.view.chosen_rows()] == ["a red ball"]


def test_an_action_that_cannot_be_used_says_why(queue: Queue) -> None:
    queue.choose("first")

    assert queue.studio.button("Edit").toolTip() == "Only a job that waits can be edited."
    assert not queue.studio.button("Edit").isEnabled()


def test_the_menu_key_offers_every_action(queue: Queue) -> None:
    queue.choose("second")

    menu = queue.view.menu
    assert isinstance(menu, QMenu)
    texts = [action.text() for action in menu.actions() if action.text()]
    assert {"Edit", "Move to top", "Cancel", "Remove from queue", "Priority", "Try again"} <= set(texts)


def test_a_thousand_jobs_are_shown_without_holding_the_window_up(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    with JobStore() as store:
        store.set_paused(True)
        store.add([new_job(store.folder / "clip.mp4", work=GenerationRequest("a ball").to_dict())] * 1000)
    studio.queue.refresh()
    qtbot.waitUntil(lambda: len(studio.states()) == 1000)

    started_s = time.perf_counter()
    studio.window.queue_panel._model.show_snapshot(studio.queue.snapshot.value)  # pyright: ignore
    QApplication.processEvents()

    assert time.perf_counter() - started_s < 1.0  # 20 ms on an idle machine


# --- after the program ended ------------------------------------------------------------------------------------------

_DIES = """
import os, sys
from pathlib import Path
from engine.jobs.runner import JobEvent, run_queue
from engine.jobs.store import JobStore
from tests.fakes.queue import FileEngine
with JobStore() as store:
    for event in run_queue(store, FileEngine(Path(sys.argv[1]))):
        if isinstance(event, JobEvent):
            os._exit(9)
"""


def test_what_a_killed_program_left_is_made_at_the_next_start(
    open_studio: OpenStudio, clip: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    with JobStore() as store:
        work = GenerationRequest(PROMPT, seed=7).to_dict()
        store.add([new_job(tmp_path / f"{name}.mp4", title=name, work=work) for name in ("first", "second")])
    subprocess.run([sys.executable, "-c", _DIES, str(tmp_path / "log")], check=False)

    studio = open_studio(engine=ScriptedEngine([finished(clip), finished(clip)]))
    studio.wait_until_done()

    assert studio.states() == ["done", "done"]


def test_a_job_under_which_the_program_ended_again_and_again_is_paused(open_studio: OpenStudio, qtbot: QtBot) -> None:
    with JobStore() as store:
        (job,) = store.add([new_job(store.folder / "clip.mp4", work=GenerationRequest(PROMPT).to_dict())])
        with store.transaction():
            owner = json.dumps(["gone", 1, 0.0, "token"])
            store.update(job.id, state="running", owner=owner, heartbeat_s=0.0, interruptions=MAX_INTERRUPTIONS - 1)

    studio = open_studio()

    qtbot.waitUntil(lambda: studio.states() == ["paused"])
    assert f"ended {MAX_INTERRUPTIONS} times" in studio.window.status_line.currentMessage()


def test_jobs_that_another_process_adds_are_made_too(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))

    with JobStore() as store:
        store.add([new_job(store.folder / "clip.mp4", work=GenerationRequest(PROMPT, seed=7).to_dict())])

    studio.wait_until_done(8000)
    assert studio.states() == ["done"]
