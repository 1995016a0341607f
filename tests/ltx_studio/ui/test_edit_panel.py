"""Editing a clip in the window, with mouse and keys. Alone: `pytest tests/ltx_studio/ui/test_edit_panel.py`.

The planner is the real one, over the starter model; the engine is a script.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit, QListWidget

from engine.errors import MediaError
from engine.events import Finished
from engine.request import Extend, Foley, Retake
from ltx_studio.domain.edits import REJECTED, EditMode
from ltx_studio.domain.timeline import Clip
from ltx_studio.domain.timeline_zones import ZoneKind
from ltx_studio.ui.controls import Segment
from ltx_studio.ui.edit_panel import EditPanel
from tests.fakes.clips import write_numbered_clip
from tests.fakes.engine import Line, ScriptedEngine, progress, result
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

FRAMES = 49
WORDS = "a ball spins"
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was shot: 49 frames with sound."""
    return write_numbered_clip(tmp_path_factory.mktemp("shot") / "shot.mp4", FRAMES, has_sound=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes back."""
    return write_numbered_clip(tmp_path_factory.mktemp("made") / "made.mp4", FRAMES, has_sound=True, level=0.2)


def run_that_made(clip: Path) -> list[Line]:
    return [progress(0.5), Finished(result(clip))]


class EditDesk:
    """A studio with a clip open, and the Edit panel in front."""

    def __init__(self, studio: Studio, clip: Path) -> None:
        self.studio = studio
        self.window = studio.window
        self.state = studio.window.edits.state
        self.timeline = studio.window.timeline.state
        self.said: list[str] = []
        self.state.said.connect(self.said.append)
        self.open(clip)
        assert self.window.timeline.panel is not None
        self.lanes = self.window.timeline.panel.lanes
        self.lanes.setFocus()
        self.key(Qt.Key.Key_T)
        self.wait(lambda: self.state.is_open)

    def open(self, clip: Path) -> None:
        self.window.player.open(clip)
        self.wait(lambda: self.window.player.clip is not None and self.window.player.clip.path == clip)

    @property
    def panel(self) -> EditPanel:
        panel = self.window.findChild(EditPanel)
        assert panel is not None
        return panel

    def wait(self, condition: Callable[[], bool]) -> None:
        self.studio.qtbot.waitUntil(condition, timeout=15_000)

    def key(self, key: Qt.Key, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """With the keyboard in the timeline."""
        QTest.keyClick(self.lanes, key, keys)

    def mark(self, start: int, stop: int) -> None:
        """With I and O, as everywhere; the frame at O belongs to the range."""
        self.window.timeline.playback.seek(start)
        self.key(Qt.Key.Key_I)
        self.window.timeline.playback.seek(stop - 1)
        self.key(Qt.Key.Key_O)

    def wait_for_plan(self) -> None:
        self.wait(lambda: self.state.window.value is not None and not self.state.why_not())

    def write_prompt(self, text: str) -> None:
        self.panel.prompt.setFocus()
        self.panel.prompt.selectAll()
        self.studio.qtbot.keyClicks(self.panel.prompt, text)

    def make(self) -> None:
        """With the key, from the prompt."""
        self.wait_for_plan()
        QTest.keyClick(self.panel.prompt, Qt.Key.Key_Return, CONTROL)

    def clip(self) -> Clip:
        clip = self.state.clip_in_hand()
        assert clip is not None
        return clip

    def wait_for_takes(self, count: int) -> None:
        self.wait(lambda: len(self.clip().takes) == count)

    def text(self, name: str) -> str:
        return self.studio.find(QLabel, name).text()

    def shown(self) -> str:
        """The name of the file in the player."""
        clip = self.window.player.clip
        return "" if clip is None else clip.path.name


@pytest.fixture
def scripts(made: Path) -> list[list[Line]]:
    return [run_that_made(made) for _ in range(4)]


@pytest.fixture
def engine(scripts: list[list[Line]]) -> ScriptedEngine:
    return ScriptedEngine(list(scripts))


@pytest.fixture
def desk(open_studio: OpenStudio, engine: ScriptedEngine, shot: Path) -> EditDesk:
    return EditDesk(open_studio(engine=engine), shot)


@pytest.fixture
def marked(desk: EditDesk) -> EditDesk:
    """The middle second is marked."""
    desk.mark(12, 36)
    return desk


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_without_a_clip_the_panel_says_what_goes_here(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.actions_by_name["edit_retake"].trigger()

    assert studio.button("Open the library").isVisible()

    studio.click("Open the library")

    studio.qtbot.waitUntil(lambda: not studio.window.edits.state.is_open)


def test_the_clip_on_the_timeline_is_named(desk: EditDesk) -> None:
    assert desk.text("Clip") == "shot"
    assert desk.text("What the clip is") == "on the timeline, 00:00:02:01, with sound"


def test_while_nothing_is_marked_the_button_says_what_to_do(desk: EditDesk) -> None:
    button = desk.studio.button("Retake")

    assert not button.isEnabled()
    assert "Mark what is to be made again with I and O." in button.toolTip()


def test_i_and_o_mark_what_is_made_again(marked: EditDesk) -> None:
    assert marked.studio.find(QLineEdit, "From").text() == "00:00:00:12"
    assert marked.studio.find(QLineEdit, "To").text() == "00:00:01:12"
    assert marked.text("Length of the range") == "1.00 s, 24 frames"


def test_the_zones_are_drawn_over_the_clip_and_said(marked: EditDesk) -> None:
    marked.wait_for_plan()

    zones = marked.timeline.zones.value
    assert zones is not None
    assert zones.clip_id == marked.clip().id
    kinds = [zone.kind for zone in zones.zones]
    assert kinds == [ZoneKind.KEPT, ZoneKind.BLENDED, ZoneKind.NEW, ZoneKind.BLENDED, ZoneKind.KEPT]
    new = zones.zones[2].span
    assert new.start <= 12 and new.stop >= 36
    assert "all else stays identical" in marked.text("What stays and what is made, in words")


def test_zones_go_with_the_panel(marked: EditDesk) -> None:
    marked.wait_for_plan()

    marked.window.actions_by_name["show_library"].trigger()

    assert marked.timeline.zones.value is None


def test_what_it_takes_is_said_before_it_begins(marked: EditDesk) -> None:
    marked.wait_for_plan()
    marked.state.change(num_takes=3)

    marked.wait(lambda: any("3 takes: about" in label.text() for label in marked.panel.findChildren(QLabel)))
    assert marked.studio.button("Make 3 takes").isEnabled()


def test_only_the_picture_can_be_made_again(marked: EditDesk) -> None:
    marked.wait_for_plan()

    marked.studio.click("Sound")

    marked.wait(lambda: "sound" not in marked.text("What stays and what is made, in words"))


def test_nothing_to_be_made_is_refused_in_words(marked: EditDesk) -> None:
    marked.studio.click("Sound")
    marked.studio.click("Picture")

    marked.wait(lambda: "Nothing is to be made again." in marked.state.why_not())
    assert not marked.studio.button("Retake").isEnabled()


def test_new_words_are_greyed_with_the_reason_where_the_model_cannot(marked: EditDesk) -> None:
    marked.wait_for_plan()
    reason = "This model has no LoRA for lips."
    marked.state.no_lipdub.value = reason
    button = marked.studio.find(Segment, "Edit: New words")

    assert not button.isEnabled()
    assert button.toolTip() == reason

    marked.window.actions_by_name["edit_lipdub"].trigger()

    assert marked.window.status_line.currentMessage() == reason
    assert marked.state.draft.value.mode is EditMode.RETAKE


# --- the range --------------------------------------------------------------------------------------------------------


def test_times_that_are_written_are_marks_of_the_timeline(marked: EditDesk) -> None:
    field = marked.studio.find(QLineEdit, "To")
    field.setFocus()
    field.selectAll()

    marked.studio.qtbot.keyClicks(field, "1.25s\r")

    assert marked.timeline.timeline.value.mark_out == 30
    assert marked.window.actions_by_name["undo"].text() == "Undo mark range"


def test_an_end_before_the_beginning_is_refused_in_words(marked: EditDesk) -> None:
    field = marked.studio.find(QLineEdit, "To")
    field.setFocus()
    field.selectAll()

    marked.studio.qtbot.keyClicks(field, "3\r")

    assert marked.text("Why that is no time of the clip") == "The range has to end after its beginning."
    assert marked.timeline.timeline.value.mark_out == 36


def test_a_second_around_the_playhead_is_one_click(desk: EditDesk) -> None:
    desk.window.timeline.playback.seek(24)

    desk.studio.click("One second here")

    timeline = desk.timeline.timeline.value
    assert (timeline.mark_in, timeline.mark_out) == (12, 36)


# --- making -----------------------------------------------------------------------------------------------------------


def test_a_retake_becomes_a_take_of_the_same_slot(marked: EditDesk, engine: ScriptedEngine) -> None:
    slot = marked.clip().id
    marked.write_prompt(WORDS)

    marked.make()
    marked.wait_for_takes(2)

    request = engine.requests[0]
    assert isinstance(request.edit, Retake)
    assert (request.prompt, request.edit.start_s, request.edit.end_s) == (WORDS, 0.5, 1.5)
    clip = marked.clip()
    assert (clip.id, clip.chosen, clip.span.stop) == (slot, 1, FRAMES)
    assert clip.take.seam_score is not None
    marked.wait(lambda: marked.shown() == clip.media.path.name)
    assert marked.said == ["Take 2 of “shot” is ready."]


def test_a_take_goes_with_one_undo_and_comes_with_one_redo(marked: EditDesk) -> None:
    marked.make()
    marked.wait_for_takes(2)
    assert marked.window.actions_by_name["undo"].text() == "Undo retake"

    marked.key(Qt.Key.Key_Z, CONTROL)
    assert len(marked.clip().takes) == 1

    marked.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert (len(marked.clip().takes), marked.clip().chosen) == (2, 1)


def test_keys_and_the_list_switch_takes(marked: EditDesk) -> None:
    marked.make()
    marked.wait_for_takes(2)

    marked.key(Qt.Key.Key_BracketLeft)
    assert marked.clip().chosen == 0

    takes = marked.studio.find(QListWidget, "Takes of this clip")
    place = takes.visualItemRect(takes.item(1)).center()
    QTest.mouseClick(takes.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert marked.clip().chosen == 1

    marked.studio.click("Previous take")
    assert marked.clip().chosen == 0
    marked.wait(lambda: marked.shown() == "shot.mp4")


def test_several_takes_are_a_batch_of_which_the_first_is_shown(marked: EditDesk, engine: ScriptedEngine) -> None:
    marked.state.change(num_takes=3, seed=7, is_seed_locked=True)

    marked.make()
    marked.wait_for_takes(4)

    assert [request.seed for request in engine.requests] == [7, 8, 9]
    assert len(marked.studio.queue.snapshot.value.batches) == 1
    assert marked.clip().chosen == 1
    assert marked.text("The takes that were asked for last") == "All 3 takes are ready."


def test_without_a_lock_each_press_draws_another_seed(marked: EditDesk, engine: ScriptedEngine) -> None:
    marked.make()
    marked.wait_for_takes(2)
    marked.make()
    marked.wait_for_takes(3)

    first, second = engine.requests
    assert first.seed != second.seed


def test_one_key_rejects_a_take_and_rolls_again(marked: EditDesk, engine: ScriptedEngine) -> None:
    marked.write_prompt(WORDS)
    marked.make()
    marked.wait_for_takes(2)

    marked.key(Qt.Key.Key_T, SHIFT)
    assert (marked.clip().chosen, marked.clip().takes[1].rating) == (0, REJECTED)
    marked.wait_for_takes(3)

    first, second = engine.requests
    assert (second.edit, second.prompt) == (first.edit, first.prompt)
    assert second.seed != first.seed
    assert marked.clip().chosen == 2


def test_a_job_that_is_duplicated_comes_back_into_the_panel(marked: EditDesk, engine: ScriptedEngine) -> None:
    marked.write_prompt(WORDS)
    marked.state.change(strength=0.5, seed=7, is_seed_locked=True)
    marked.make()
    marked.wait_for_takes(2)
    marked.state.change(strength=1.0, seed=8, prompt="a cat")

    marked.window.queue_panel.duplicate_asked.emit(engine.requests[0])

    draft = marked.state.draft.value
    assert (draft.strength, draft.seed, draft.prompt) == (0.5, 7, WORDS)
    assert marked.panel.prompt.toPlainText() == WORDS
    assert marked.studio.session.request.value.edit is None


def test_footage_cannot_be_rolled_again(desk: EditDesk) -> None:
    desk.key(Qt.Key.Key_T, SHIFT)

    assert desk.studio.queue.snapshot.value.items == ()
    assert "This take was not made by an edit." in desk.window.status_line.currentMessage()


def test_takes_are_compared_in_place_and_the_winner_is_shown(marked: EditDesk) -> None:
    marked.make()
    marked.wait_for_takes(2)

    marked.key(Qt.Key.Key_T, CONTROL)

    assert [take.title for take in marked.window.compare.takes.value] == ["Take 2", "Take 1"]
    marked.window.compare.focus_on(1)
    marked.window.compare.pick()
    assert marked.clip().chosen == 0
    marked.window.compare.close()


def test_a_failed_take_is_said_in_the_panel(open_studio: OpenStudio, shot: Path) -> None:
    broken = MediaError("voice.wav", "it cannot be read.", remedy="Choose another one.")
    desk = EditDesk(open_studio(engine=ScriptedEngine([[broken]])), shot)
    desk.mark(12, 36)

    desk.make()

    desk.wait(lambda: desk.studio.states() == ["failed"])
    assert "voice.wav: it cannot be read." in desk.text("The takes that were asked for last")
    assert len(desk.clip().takes) == 1


def test_another_clip_that_is_opened_meanwhile_does_not_take_the_slot_away(
    marked: EditDesk, engine: ScriptedEngine, made: Path
) -> None:
    slot = marked.clip().id
    marked.make()
    marked.open(made)

    marked.wait(lambda: len(marked.timeline.timeline.value.find(slot).takes) == 2)


# --- the other modes --------------------------------------------------------------------------------------------------


def test_an_extension_makes_the_clip_longer(
    open_studio: OpenStudio, shot: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    longer = write_numbered_clip(tmp_path_factory.mktemp("longer") / "longer.mp4", FRAMES + 12, has_sound=True)
    engine = ScriptedEngine([run_that_made(longer)])
    desk = EditDesk(open_studio(engine=engine), shot)

    desk.studio.click("Edit: Extend")
    desk.state.change(seconds=0.5)
    desk.make()
    desk.wait_for_takes(2)

    assert isinstance(engine.requests[0].edit, Extend)
    assert desk.timeline.timeline.value.length == FRAMES + 12
    assert desk.window.actions_by_name["undo"].text() == "Undo extend"


def test_new_sound_for_a_silent_clip_is_heard(
    open_studio: OpenStudio, made: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    silent = write_numbered_clip(tmp_path_factory.mktemp("silent") / "silent.mp4", FRAMES)
    engine = ScriptedEngine([run_that_made(made)])
    desk = EditDesk(open_studio(engine=engine), silent)
    assert not desk.studio.button("Sound").isEnabled()

    desk.studio.click("Edit: New sound")
    desk.make()
    desk.wait_for_takes(2)

    assert isinstance(engine.requests[0].edit, Foley)
    timeline = desk.timeline.timeline.value
    assert [len(track.clips) for track in timeline.tracks] == [1, 1]


def test_a_clip_that_is_only_looked_at_is_edited_in_the_player(
    open_studio: OpenStudio, shot: Path, made: Path, tmp_path: Path
) -> None:
    other = write_numbered_clip(tmp_path / "other.mp4", FRAMES, has_sound=True)
    engine = ScriptedEngine([run_that_made(made)])
    desk = EditDesk(open_studio(engine=engine), shot)
    desk.timeline.keep()
    desk.open(other)
    desk.wait(lambda: desk.text("Clip") == "other")
    assert desk.text("What the clip is").startswith("in the player")

    desk.window.player.seek(24)
    desk.studio.click("One second here")
    assert (desk.window.player.in_frame, desk.window.player.out_frame) == (12, 35)
    desk.make()

    desk.wait(lambda: desk.shown().startswith("clip"))  # the result
    edit = engine.requests[0].edit
    assert isinstance(edit, Retake) and edit.clip == other
    timeline = desk.timeline.timeline.value
    assert all(len(clip.takes) == 1 for clip in timeline.clips())
