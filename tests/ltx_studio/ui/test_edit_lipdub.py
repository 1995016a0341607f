"""New words on the lips of a clip, set in the Edit panel. Alone: `pytest tests/ltx_studio/ui/test_edit_lipdub.py`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from engine.hardware import Machine, current_machine
from engine.request import GenerationRequest, LipDub, Retake
from engine.types import FrameRate
from ltx_studio.domain.edits import target_in_player
from ltx_studio.domain.estimate import Estimate, Estimator, first_request
from ltx_studio.state.compare import CompareState
from ltx_studio.state.edits import EditsState
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.state.timeline import TimelineState
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, IconButton, Segment
from ltx_studio.ui.edit_panel import EditPanel
from ltx_studio.ui.theme import Appearance
from tests.fakes.clips import write_numbered_clip
from tests.fakes.studio import OFFSCREEN_REMARK, Widget, planned_at_once

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

FRAMES = 49


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """49 frames with sound."""
    return write_numbered_clip(tmp_path_factory.mktemp("shot") / "shot.mp4", FRAMES, has_sound=True)


class Lips:
    """The panel alone, over a planner that takes new words for a retake, as models do that have learned them."""

    def __init__(self, app: QApplication, qtbot: QtBot, clip: Path) -> None:
        self.qtbot = qtbot
        self.session = Session(first_request())
        self.session.machine.value = current_machine()
        self.queue = QueueState(planner=planned_at_once)
        self.queue.open()
        self.timeline, self.compare = TimelineState(), CompareState()
        self.state = EditsState(self.session, self.queue, self.timeline, self.compare, estimating=self._estimate)
        self.estimator = Estimator()
        self.voices: list[Path | None] = []
        self.panel = EditPanel(self.state, Appearance(app), ask_voice=lambda *_: self.voices.pop(0))
        marks = (12, 35)
        self.state.look_at(
            target_in_player(clip, rate=FrameRate.parse(24), num_frames=FRAMES, has_sound=True, marks=marks)
        )
        self.panel.resize(380, 900)
        with qtbot.waitExposed(self.panel):
            self.panel.show()
        self.state.set_open(True)
        segment = next(item for item in self.panel.findChildren(Segment) if item.text() == "New words")
        qtbot.waitUntil(lambda: self.state.window.value is not None, timeout=15_000)
        qtbot.mouseClick(segment, Qt.MouseButton.LeftButton)

    def _estimate(self, request: GenerationRequest, machine: Machine) -> Estimate:
        if isinstance(request.edit, LipDub):
            edit = request.edit
            request = replace(request, edit=Retake(edit.clip, edit.start_s or 0.0, edit.end_s or 1.0))
        return self.estimator.estimate(request, machine)

    def find(self, kind: type[Widget], name: str) -> Widget:
        return next(item for item in self.panel.findChildren(kind) if item.accessibleName() == name)

    def close(self) -> None:
        self.panel.close_threads()
        self.state.close()
        self.queue.close()
        self.panel.deleteLater()


@pytest.fixture
def lips(qapp: QApplication, qtbot: QtBot, shot: Path) -> Iterator[Lips]:
    opened = Lips(qapp, qtbot, shot)
    yield opened
    opened.close()


def test_a_line_is_said_in_a_language_over_the_range(lips: Lips, shot: Path) -> None:
    lips.qtbot.keyClicks(lips.find(QLineEdit, "New words"), "No.")
    lips.qtbot.keyClicks(lips.find(QLineEdit, "Language"), "French")
    lips.qtbot.mouseClick(lips.find(CheckBox, "Keep the background sound"), Qt.MouseButton.LeftButton)

    lips.qtbot.waitUntil(lambda: not lips.state.why_not())
    lips.qtbot.mouseClick(lips.find(Button, "Make new words"), Qt.MouseButton.LeftButton)

    lips.qtbot.waitUntil(lambda: len(lips.queue.snapshot.value.items) == 1)
    request = lips.queue.snapshot.value.items[0].request
    assert request is not None
    assert request.edit == LipDub(shot, 0.5, 1.5, None, keep_background=False)
    assert request.prompt == 'The person says in French: "No."'
    assert lips.panel.prompt.toPlainText() == ""


def test_without_words_the_panel_asks_for_them(lips: Lips) -> None:
    assert "Write the line, or choose a file with the voice." in lips.find(Button, "Make new words").toolTip()


def test_a_voice_file_is_chosen_and_given_back(lips: Lips) -> None:
    lips.voices.append(Path("voice.wav"))
    lips.qtbot.mouseClick(lips.find(Button, "Choose a voice file"), Qt.MouseButton.LeftButton)

    assert lips.state.draft.value.voice == Path("voice.wav")
    assert lips.find(QLabel, "Voice").text() == "voice.wav"

    lips.qtbot.mouseClick(lips.find(IconButton, "Use the clip's own voice"), Qt.MouseButton.LeftButton)

    assert lips.state.draft.value.voice is None


def test_the_clips_voice_is_drawn_and_the_mouth_is_said_to_be_missing(lips: Lips) -> None:
    envelope = lips.panel.lipdub.envelope

    lips.qtbot.waitUntil(lambda: len(envelope.loudness) > 0, timeout=15_000)

    assert envelope.loudness.max() == pytest.approx(0.1, abs=0.05)
    assert envelope.accessibleDescription() == "New words from 0.50 to 1.50 s"
    assert any("cannot be measured on real faces" in label.text() for label in lips.panel.findChildren(QLabel))
