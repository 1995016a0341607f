"""The window as a user meets it: real events, a scripted engine, and once the engine itself.

Alone: `pytest tests/ltx_studio/test_main_window.py`.
"""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.errors import RequestError
from engine.media.read import probe_clip
from engine.request import Preset
from engine.types import Size
from ltx_studio.domain.job import Cancelled, Failed
from ltx_studio.services.engine_bridge import WarmEngine
from ltx_studio.ui.theme import DARK, LIGHT
from tests.fakes.engine import progress
from tests.fakes.studio import OFFSCREEN_REMARK, PROMPT, WORKING, OpenStudio, finished, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


# --- running ----------------------------------------------------------------------------------------------------------


def test_a_run_shows_previews_and_progress_then_the_clip(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()

    qtbot.keyClick(studio.window.prompt_panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    studio.wait_until_done()

    assert "Done in 3.2 s" in studio.words()
    assert "The clip will be noise." in studio.words()
    qtbot.waitUntil(lambda: studio.window.player.clip is not None)
    assert studio.window.player.last_frame == 8
    assert studio.button("Play or pause").isEnabled()


def test_while_it_runs_the_window_says_what_is_done_and_what_is_left(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt()

    studio.click("Generate")

    qtbot.waitUntil(lambda: "40 %" in studio.words())
    assert "Making the clip, step 3 of 8" in studio.words()
    assert "about 12 s left" in studio.words()
    assert studio.session.preview.value is not None
    assert "Preview of what is being made" in texts_of(studio.window.viewer)


def test_stop_ends_the_run_and_leaves_everything_as_it_was(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt()
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.session.preview.value is not None)

    studio.click("Stop making this clip")
    studio.wait_until_done()

    job = studio.session.job.value
    assert job is not None
    assert isinstance(job.outcome, Cancelled)
    assert "Stopped." in studio.words()
    assert studio.session.request.value.prompt == PROMPT
    assert studio.button("Generate").isEnabled()


def test_a_double_click_on_generate_asks_for_one_clip(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING)
    studio.write_prompt()

    qtbot.mouseDClick(studio.button("Generate"), Qt.MouseButton.LeftButton)
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.states() == ["running"])


def test_a_failure_says_what_happened_and_what_to_do(open_studio: OpenStudio, clip: Path) -> None:
    trouble = RequestError("size", "That picture cannot be made.", remedy="Choose a smaller one.")
    studio = open_studio([progress(0.1), trouble], finished(clip))
    studio.write_prompt()

    studio.click("Generate")
    studio.wait_until_done()

    job = studio.session.job.value
    assert job is not None
    assert isinstance(job.outcome, Failed)
    assert "That picture cannot be made." in studio.words()
    assert "Choose a smaller one." in studio.words()


def test_after_a_failure_the_next_run_makes_a_clip(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio([RequestError("size", "No.")], finished(clip))
    studio.write_prompt()
    studio.click("Generate")
    studio.wait_until_done()

    studio.click("Generate")
    studio.wait_until_done()

    assert studio.session.result.value is not None


def test_a_stopped_run_brings_the_last_clip_back(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip), WORKING)
    studio.write_prompt()
    studio.click("Generate")
    studio.wait_until_done()
    made = studio.clip_name()
    qtbot.waitUntil(lambda: made in texts_of(studio.window.viewer))
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.session.preview.value is not None)

    studio.window.actions_by_name["stop"].trigger()
    studio.wait_until_done()

    assert made in texts_of(studio.window.viewer)


def test_the_engine_itself_makes_a_clip_from_the_window(
    open_studio: OpenStudio, tiny_model: Path, qtbot: QtBot
) -> None:
    studio = open_studio(engine=WarmEngine())
    studio.session.edit(model=str(tiny_model), size=Size(128, 64), seconds=9 / 24, preset=Preset.DRAFT, silent=True)
    studio.write_prompt()
    qtbot.waitUntil(lambda: "Fits" in texts_of(studio.window.prompt_panel))

    studio.click("Generate")
    studio.wait_until_done(60_000)

    result = studio.session.result.value
    assert result is not None, studio.words()
    assert probe_clip(result.path).frames == 9
    qtbot.waitUntil(lambda: studio.window.player.clip is not None)
    assert result.seed == studio.session.request.value.seed


# --- keys, names, layout ----------------------------------------------------------------------------------------------


def test_space_plays_the_clip_unless_a_text_is_being_written(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.window.player.clip is not None)

    qtbot.keyClick(studio.window.prompt_panel.prompt, Qt.Key.Key_Space)
    assert not studio.window.player.is_playing
    studio.window.prompt_panel.prompt.clearFocus()
    with qtbot.waitSignal(studio.window.player.playing_changed):
        qtbot.keyClick(studio.window, Qt.Key.Key_Space)

    assert studio.session.request.value.prompt == f"{PROMPT} "


def test_space_presses_the_button_that_the_keyboard_is_on(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    button = studio.button("Generate")
    button.setFocus(Qt.FocusReason.TabFocusReason)

    qtbot.keyClick(button, Qt.Key.Key_Space)

    qtbot.waitUntil(lambda: studio.session.job.value is not None)


def test_arrows_move_by_a_frame(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.window.player.clip is not None)
    studio.window.prompt_panel.prompt.clearFocus()

    for _ in range(3):
        qtbot.keyClick(studio.window, Qt.Key.Key_Right)
    qtbot.keyClick(studio.window, Qt.Key.Key_Left)

    assert studio.window.player.frame == 2


def test_a_click_on_the_picture_plays_it_and_takes_the_keys(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    studio.write_prompt()
    studio.click("Generate")
    studio.wait_until_done()
    qtbot.waitUntil(lambda: studio.clip_name() in texts_of(studio.window.viewer))
    picture = studio.find(QWidget, "Picture")

    with qtbot.waitSignal(studio.window.player.playing_changed):
        qtbot.mouseClick(picture, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(picture, Qt.MouseButton.LeftButton)
    qtbot.keyClick(picture, Qt.Key.Key_End)

    assert (studio.window.player.frame, studio.window.player.is_playing) == (8, False)
    assert not studio.window.prompt_panel.prompt.hasFocus()


def test_every_control_has_a_name(open_studio: OpenStudio) -> None:
    studio = open_studio()
    nameless = [
        widget
        for widget in studio.window.findChildren(QWidget)
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not widget.accessibleName()
        and not is_part_of_a_control(widget)
    ]

    assert nameless == []


def test_tab_reaches_every_control_and_leaves_the_prompt(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    studio.write_prompt()
    wanted = {
        widget.accessibleName()
        for widget in studio.window.prompt_panel.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.accessibleName() and widget.isVisible()
        if widget.isEnabled()
    }

    reached: set[str] = set()
    for _ in range(40):
        focused = QApplication.focusWidget()
        assert focused is not None
        reached.add(focused.accessibleName())
        qtbot.keyClick(focused, Qt.Key.Key_Tab)

    assert wanted - reached == set()


def test_the_layout_comes_back_and_can_be_reset(open_studio: OpenStudio) -> None:
    first = open_studio()
    first.window.actions_by_name["show_prompt"].trigger()
    first.close()

    second = open_studio()
    assert not second.window.prompt_panel.isVisible()
    second.window.actions_by_name["reset_layout"].trigger()

    assert second.window.prompt_panel.isVisible()


@pytest.mark.parametrize("may_quit", [True, False])
def test_closing_while_a_clip_is_made_asks_first(may_quit: bool, open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio(WORKING, may_quit=may_quit)
    studio.write_prompt()
    studio.click("Generate")
    qtbot.waitUntil(lambda: studio.session.is_running.value)

    studio.window.close()

    assert studio.window.isVisible() is not may_quit


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_theme_changes_while_the_window_is_open(open_studio: OpenStudio, theme: object, qtbot: QtBot) -> None:
    studio = open_studio()
    name = "dark" if theme is DARK else "light"

    studio.window.actions_by_name[name].trigger()

    centre = studio.window.centralWidget()
    assert centre is not None
    picture = centre.grab().toImage()
    expected = DARK.background if theme is DARK else LIGHT.background
    assert picture.pixelColor(picture.width() - 40, picture.height() // 4).name() == expected


def is_part_of_a_control(widget: QWidget) -> bool:
    """Qt's own inner widgets, named through the control that they are part of."""
    return widget.objectName().startswith("qt_") or not type(widget).__module__.startswith("ltx_studio")
