"""What few clips need: every field is the quality's until it is set, and LoRAs come and go.

Alone: `pytest tests/ltx_studio/ui/test_prompt_more.py`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox
from pytestqt.qtbot import QtBot

from engine.request import LoraReference
from engine.types import FrameRate
from ltx_studio.domain.estimate import first_request
from ltx_studio.state.session import Session
from ltx_studio.ui.prompt_more import LoraRow, MorePage
from ltx_studio.ui.theme import Appearance
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


class Bench:
    """The page on its own, and what a user does with it."""

    def __init__(self, qtbot: QtBot, app: QApplication) -> None:
        self.qtbot = qtbot
        self.session = Session(first_request())
        self.page = MorePage(self.session, Appearance(app))
        self.page.resize(312, 400)
        qtbot.addWidget(self.page)
        self.page.show()
        with qtbot.waitActive(self.page):
            self.page.activateWindow()

    def write(self, name: str, text: str) -> None:
        field = next(item for item in self.page.findChildren(QAbstractSpinBox) if item.accessibleName() == name)
        field.selectAll()
        self.qtbot.keyClicks(field, text)
        self.qtbot.keyClick(field, Qt.Key.Key_Return)

    def choose(self, name: str, text: str) -> None:
        box = next(item for item in self.page.findChildren(QComboBox) if item.accessibleName() == name)
        box.setFocus()
        while box.currentText() != text:
            before = box.currentIndex()
            self.qtbot.keyClick(box, Qt.Key.Key_Down)
            assert box.currentIndex() > before, f"{name} has no {text!r}"

    def click(self, name: str) -> None:
        button = next(item for item in self.page.findChildren(QAbstractButton) if item.accessibleName() == name)
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def rows(self) -> list[LoraRow]:
        return [row for row in self.page.findChildren(LoraRow) if not row.isHidden()]


@pytest.fixture
def bench(qtbot: QtBot, qapp: QApplication) -> Bench:
    return Bench(qtbot, qapp)


def test_what_is_not_touched_is_the_qualitys(bench: Bench) -> None:
    request = bench.session.request.value

    assert (request.steps, request.video_guidance, request.frame_rate, request.model, request.loras) == (
        *(None, None, None, None),
        (),
    )


def test_steps_and_guidance_are_set_and_given_back(bench: Bench) -> None:
    bench.write("Steps", "12")
    bench.write("Prompt in picture", "3.5")
    bench.write("Sound with picture", "0")
    request = bench.session.request.value
    assert (request.steps, request.video_guidance, request.modality_guidance) == (12, 3.5, 0.0)

    bench.write("Steps", "0")
    bench.write("Prompt in picture", "-0.05")

    request = bench.session.request.value
    assert (request.steps, request.video_guidance, request.modality_guidance) == (None, None, 0.0)


def test_a_frame_rate_is_exact(bench: Bench) -> None:
    bench.choose("Frame rate", "29.97 fps")

    assert bench.session.request.value.frame_rate == FrameRate.parse("30000/1001")


def test_an_installed_model_can_be_chosen(bench: Bench) -> None:
    box = next(item for item in bench.page.findChildren(QComboBox) if item.accessibleName() == "Model")

    bench.choose("Model", box.itemText(1))

    assert bench.session.request.value.model == "starter"


def test_loras_are_added_once_weighed_and_taken_off(bench: Bench, tmp_path: Path) -> None:
    first, second = tmp_path / "noir.safetensors", tmp_path / "grain.safetensors"

    bench.page.add_loras([first, second, first])
    bench.page.add_loras([second])
    bench.write("Strength of noir", "0.6")
    assert bench.session.request.value.loras == (LoraReference(first, 0.6), LoraReference(second, 1.0))

    bench.click("Take off noir")

    assert bench.session.request.value.loras == (LoraReference(second, 1.0),)


def test_a_request_from_elsewhere_is_shown(bench: Bench, tmp_path: Path) -> None:
    request = bench.session.request.value
    loras = (LoraReference(tmp_path / "a.safetensors", -0.5),)

    bench.session.request.value = replace(request, steps=7, frame_rate=FrameRate.parse(12), loras=loras)

    shown = {item.accessibleName(): item.text() for item in bench.page.findChildren(QAbstractSpinBox)}
    rates = [box.currentText() for box in bench.page.findChildren(QComboBox) if box.accessibleName() == "Frame rate"]
    assert (shown["Steps"], shown["Strength of a"], rates) == ("7", "-0.50", ["12 fps"])
    assert bench.session.request.value.loras == loras
