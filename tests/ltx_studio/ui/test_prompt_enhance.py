"""Enhancing a prompt from its button: a real process writes, and the prompt changes only when the text is whole.

Alone: `pytest tests/ltx_studio/ui/test_prompt_enhance.py`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.estimate import first_request
from ltx_studio.state.session import Session
from ltx_studio.ui.prompt_enhance import EnhanceButton, installed_writer
from ltx_studio.ui.theme import Appearance
from tests.fakes.models import make_chat_model
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
START_MS = 60_000  # of a process that loads torch, on a busy machine


class Bench:
    """A session with a prompt, and the button."""

    def __init__(self, qtbot: QtBot, app: QApplication, find_writer: Callable[[str | None], str | None]) -> None:
        self.qtbot = qtbot
        self.session = Session(first_request())
        self.session.edit(prompt="a red ball")
        self.button = EnhanceButton(self.session, Appearance(app), find_writer=find_writer)
        self.problems: list[str] = []
        self.button.failed.connect(self.problems.append)
        qtbot.addWidget(self.button)
        self.button.show()

    @property
    def prompt(self) -> str:
        return self.session.request.value.prompt

    def press(self) -> None:
        self.qtbot.mouseClick(self.button, Qt.MouseButton.LeftButton)


@pytest.fixture
def chat_model(tmp_path: Path) -> str:
    return str(make_chat_model(tmp_path))


def test_the_text_that_was_written_becomes_the_prompt(qtbot: QtBot, qapp: QApplication, chat_model: str) -> None:
    bench = Bench(qtbot, qapp, lambda _model: chat_model)

    bench.press()
    assert bench.button.accessibleName() == "Stop enhancing"
    with qtbot.waitSignal(bench.button.wrote, timeout=START_MS, check_params_cb=lambda words: words > 0):
        pass
    assert bench.prompt == "a red ball"
    qtbot.waitUntil(lambda: not bench.button.is_writing, timeout=START_MS)

    assert bench.prompt != "a red ball"
    assert bench.button.accessibleName() == "Enhance the prompt"
    assert bench.problems == []


def test_stopping_leaves_the_prompt_as_it_was(qtbot: QtBot, qapp: QApplication, chat_model: str) -> None:
    bench = Bench(qtbot, qapp, lambda _model: chat_model)
    bench.press()

    bench.press()

    assert not bench.button.is_writing
    assert bench.prompt == "a red ball"


def test_a_text_encoder_that_cannot_write_is_said_in_a_sentence(qtbot: QtBot, qapp: QApplication) -> None:
    bench = Bench(qtbot, qapp, lambda _model: "starter")

    with qtbot.waitSignal(bench.button.failed, timeout=START_MS):
        bench.press()

    assert "can read prompts but not write them" in bench.problems[0]
    assert bench.prompt == "a red ball"


def test_without_a_model_that_writes_it_is_greyed_with_its_reason(qtbot: QtBot, qapp: QApplication) -> None:
    bench = Bench(qtbot, qapp, installed_writer)

    assert not bench.button.isEnabled()
    assert "Gemma 3" in bench.button.toolTip()


def test_while_a_clip_is_made_it_waits(qtbot: QtBot, qapp: QApplication, chat_model: str) -> None:
    bench = Bench(qtbot, qapp, lambda _model: chat_model)

    bench.session.is_running.value = True

    assert not bench.button.isEnabled()
    assert "A clip is being made" in bench.button.toolTip()


def test_an_empty_prompt_has_nothing_to_enhance(qtbot: QtBot, qapp: QApplication, chat_model: str) -> None:
    bench = Bench(qtbot, qapp, lambda _model: chat_model)

    bench.session.edit(prompt=" ")

    assert bench.button.toolTip() == "Write a few words first."
