"""The prompt panel: what it edits, and what it says about it. Alone: `pytest tests/ltx_studio/test_prompt_panel.py`."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QPlainTextEdit, QSpinBox
from pytestqt.qtbot import QtBot

from engine.request import Preset
from engine.types import Size
from ltx_studio.domain.sizes import Scale, Shape, size_of
from tests.fakes.studio import OFFSCREEN_REMARK, PROMPT, OpenStudio, finished, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


# --- before the first clip --------------------------------------------------------------------------------------------


def test_an_empty_prompt_keeps_generate_disabled_and_says_why(open_studio: OpenStudio) -> None:
    button = open_studio().button("Generate")

    assert not button.isEnabled()
    assert button.toolTip() == "Write a prompt first."


def test_the_example_fills_the_prompt_and_enables_generate(open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.click("Write an example prompt")

    assert studio.session.request.value.prompt == studio.window.prompt_panel.prompt.toPlainText() != ""
    assert studio.button("Generate").isEnabled()


def test_the_example_can_be_undone(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.write_prompt()
    studio.click("Write an example prompt")

    studio.window.prompt_panel.prompt.undo()

    assert studio.session.request.value.prompt == PROMPT


@pytest.mark.usefixtures("without_starter")
def test_without_a_model_the_estimate_says_what_will_happen(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()

    qtbot.waitUntil(lambda: studio.window.forecast.estimate.value is not None)

    assert "No model is installed" in texts_of(studio.window.prompt_panel)


def test_the_estimate_follows_the_size(open_studio: OpenStudio, tiny_model: Path, qtbot: QtBot) -> None:
    studio = open_studio()
    studio.session.edit(model=str(tiny_model), size=Size(128, 64))
    qtbot.waitUntil(lambda: "128 \N{MULTIPLICATION SIGN} 64" in texts_of(studio.window.prompt_panel))

    studio.session.edit(size=size_of(Shape.TALL, Scale.SMALL))

    qtbot.waitUntil(lambda: "256 \N{MULTIPLICATION SIGN} 448, " in texts_of(studio.window.prompt_panel))


def test_a_request_that_cannot_be_made_disables_generate_with_the_planners_words(
    open_studio: OpenStudio, tiny_model: Path, qtbot: QtBot
) -> None:
    studio = open_studio()
    studio.write_prompt()

    studio.session.edit(model=str(tiny_model), steps=0)

    qtbot.waitUntil(lambda: "0 steps cannot be run" in studio.button("Generate").toolTip())
    assert not studio.button("Generate").isEnabled()


# --- editing ----------------------------------------------------------------------------------------------------------


def test_the_panel_edits_the_request(open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.write_prompt()
    studio.click("Quality: High")
    studio.click("What to avoid")
    studio.qtbot.keyClicks(studio.find(QPlainTextEdit, "What to avoid"), "text")

    request = studio.session.request.value
    assert (request.prompt, request.preset, request.negative_prompt) == (PROMPT, Preset.HIGH, "text")


def test_arrows_move_the_quality(open_studio: OpenStudio) -> None:
    studio = open_studio()
    chosen = studio.button("Quality: Fast")
    chosen.setFocus(Qt.FocusReason.TabFocusReason)

    studio.qtbot.keyClick(chosen, Qt.Key.Key_Right)

    assert studio.session.request.value.preset is Preset.STANDARD
    assert studio.button("Quality: Standard").hasFocus()


def test_a_portrait_shape_keeps_the_scale(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.session.edit(size=size_of(Shape.WIDE, Scale.LARGE))
    shapes = studio.find(QComboBox, "Shape")

    studio.qtbot.keyClick(shapes, Qt.Key.Key_End)

    assert studio.session.request.value.size == Size(704, 1280)


def test_a_seed_that_is_typed_is_kept(open_studio: OpenStudio, clip: Path) -> None:
    studio = open_studio(finished(clip))
    seed = studio.find(QSpinBox, "Seed")
    seed.selectAll()
    studio.qtbot.keyClicks(seed, "4711")
    studio.write_prompt()

    studio.click("Generate")

    assert studio.session.request.value.seed == 4711


def test_an_unlocked_seed_is_new_for_every_run(open_studio: OpenStudio, clip: Path) -> None:
    studio = open_studio(finished(clip), finished(clip))
    studio.write_prompt()
    seeds: list[int | None] = []
    for _ in range(2):
        studio.click("Generate")
        studio.wait_until_done()
        seeds.append(studio.session.request.value.seed)

    assert None not in seeds
    assert seeds[0] != seeds[1]


def test_the_dice_draws_a_seed_and_keeps_it(open_studio: OpenStudio, clip: Path) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    studio.click("Draw a new seed and keep it")
    seed = studio.session.request.value.seed

    studio.click("Generate")

    assert (studio.session.request.value.seed, seed is None) == (seed, False)
