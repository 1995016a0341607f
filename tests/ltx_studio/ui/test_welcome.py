"""The first run: what the machine can do, one press to begin.

Alone: `pytest tests/ltx_studio/ui/test_welcome.py`.
"""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from engine.folders import models_folder
from engine.hardware import GIB, Device, Machine, current_machine
from ltx_studio.domain.outlook import outlooks
from ltx_studio.settings import HAS_SEEN_WELCOME, SHOW_WELCOME, SettingsFile
from ltx_studio.ui.welcome_page import WelcomePage
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

CARD = Device("cuda", 0, "a card", 24 * GIB, 23 * GIB)
WITH_CARD = Machine((CARD, Device("cpu", 0, "a processor", 64 * GIB, 60 * GIB)), 64 * GIB, 60 * GIB, 8)


def welcomed(open_studio: OpenStudio, machine: Machine | None = None) -> Studio:
    studio = open_studio()
    studio.window.show_welcome()
    if machine is not None:
        studio.session.machine.value = machine
    return studio


def page(studio: Studio) -> WelcomePage:
    return studio.window.findChildren(WelcomePage)[0]


def start_button(studio: Studio) -> QAbstractButton:
    return next(
        item for item in page(studio).findChildren(QAbstractButton) if item.accessibleName().startswith("Start")
    )


def test_it_says_what_the_machine_has_and_where_models_go(open_studio: OpenStudio) -> None:
    studio = welcomed(open_studio, WITH_CARD)

    texts = texts_of(page(studio))

    assert "a card with 24.0 GB of its own memory; 64.0 GB of main memory, 8 processor cores." in texts
    assert str(models_folder()) in texts.replace("\N{ZERO WIDTH SPACE}", "")
    assert "free" in texts


def test_it_says_of_each_model_whether_it_fits_as_the_planner_does(open_studio: OpenStudio) -> None:
    studio = welcomed(open_studio, WITH_CARD)

    texts = texts_of(page(studio))

    for outlook in outlooks(WITH_CARD):
        assert outlook.title in texts
    assert "Fits: " in texts or "Just fits: " in texts or "Does not fit: " in texts


def test_the_starter_model_is_first_and_the_large_ones_say_their_download() -> None:
    found = outlooks(current_machine())

    assert (found[0].name, found[0].download_bytes) == ("starter", 0)
    assert all(outlook.download_bytes > 20 * GIB for outlook in found[1:])


def test_one_press_leads_to_the_prompt_and_it_does_not_come_back(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = welcomed(open_studio)
    assert not studio.window.prompt_panel.isVisible()

    qtbot.mouseClick(start_button(studio), Qt.MouseButton.LeftButton)

    assert studio.window.prompt_panel.prompt.hasFocus()
    assert not page(studio).isVisible()
    assert SettingsFile().get(HAS_SEEN_WELCOME)


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Escape])
def test_the_keyboard_begins_too(key: Qt.Key, open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = welcomed(open_studio)
    assert start_button(studio).hasFocus()

    qtbot.keyClick(start_button(studio), key)

    assert studio.window.prompt_panel.isVisible()


def test_it_can_be_asked_for_again_and_leaves_the_layout_as_it_was(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.actions_by_name["show_monitor"].trigger()

    studio.window.actions_by_name["welcome"].trigger()
    studio.qtbot.mouseClick(start_button(studio), Qt.MouseButton.LeftButton)

    assert studio.window.actions_by_name["show_monitor"].isChecked()
    assert studio.window.prompt_panel.isVisible()


def test_closing_the_window_meanwhile_keeps_the_layout(open_studio: OpenStudio, studio_home: Path) -> None:
    first = welcomed(open_studio)
    first.close()

    second = open_studio()

    assert (studio_home / "window.ini").exists()
    assert second.window.prompt_panel.isVisible()


def test_it_can_be_wanted_at_each_start(open_studio: OpenStudio) -> None:
    studio = welcomed(open_studio)

    studio.click("Show this page each time the studio starts")

    assert studio.preferences.get(SHOW_WELCOME)
