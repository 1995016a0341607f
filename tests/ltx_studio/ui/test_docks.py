"""Panels and their places: saved, restored, reset. Alone: `pytest tests/ltx_studio/ui/test_docks.py`."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget
from pytestqt.qtbot import QtBot

from ltx_studio.ui.docks import PANELS, commands_with
from ltx_studio.ui.monitor_panel import MonitorPanel
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


def dock(studio: Studio, name: str) -> QDockWidget:
    found = studio.window.findChild(QDockWidget, name)
    assert isinstance(found, QDockWidget)
    return found


def test_every_panel_has_a_name_and_a_command_of_its_own() -> None:
    names = [panel.name for panel in PANELS]
    commands = [command.name for command in commands_with(PANELS)]

    assert len(names) == len(set(names))
    assert len(commands) == len(set(commands))
    assert {f"show_{name}" for name in names} <= set(commands)


def test_a_closed_panel_is_not_made_before_it_is_opened(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    assert studio.window.findChildren(MonitorPanel) == []

    qtbot.keyClick(studio.window, Qt.Key.Key_F9)

    assert [panel.isVisible() for panel in studio.window.findChildren(MonitorPanel)] == [True]
    assert studio.window.actions_by_name["show_monitor"].isChecked()


def test_a_key_closes_a_panel_and_opens_it_with_the_keyboard_in_it(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()

    qtbot.keyClick(studio.window, Qt.Key.Key_F2)
    assert not dock(studio, "prompt").isVisible()
    qtbot.keyClick(studio.window, Qt.Key.Key_F2)

    assert studio.window.prompt_panel.prompt.hasFocus()


def test_the_panel_with_the_keyboard_can_be_detached_and_attached(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.prompt_panel.prompt.setFocus()

    studio.window.actions_by_name["detach_panel"].trigger()
    assert dock(studio, "prompt").isFloating()
    dock(studio, "prompt").setFloating(False)

    assert not dock(studio, "prompt").isFloating()


def test_the_layout_is_saved_soon_after_a_change_and_not_only_on_closing(
    open_studio: OpenStudio, studio_home: Path, qtbot: QtBot
) -> None:
    studio = open_studio()
    studio.window.actions_by_name["show_monitor"].trigger()

    qtbot.waitUntil((studio_home / "window.ini").exists)

    assert dock(open_studio(), "monitor").isVisible()


def test_a_panel_that_was_moved_comes_back_where_it_was(open_studio: OpenStudio) -> None:
    first = open_studio()
    first.window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock(first, "prompt"))
    first.close()

    second = open_studio()

    area = second.window.dockWidgetArea(dock(second, "prompt"))
    assert area == Qt.DockWidgetArea.RightDockWidgetArea


def test_reset_brings_every_panel_to_its_declared_place(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock(studio, "prompt"))
    studio.window.actions_by_name["show_monitor"].trigger()

    studio.window.actions_by_name["reset_layout"].trigger()

    for panel in PANELS:
        assert studio.window.dockWidgetArea(dock(studio, panel.name)) == panel.area
        assert dock(studio, panel.name).isHidden() is not panel.is_open


def test_a_damaged_layout_file_leaves_the_window_at_its_first_layout(
    open_studio: OpenStudio, studio_home: Path
) -> None:
    (studio_home / "window.ini").write_text("[General]\nstate=@ByteArray(rubbish)\ngeometry=7\n", encoding="utf-8")

    studio = open_studio()

    assert dock(studio, "prompt").isVisible()
    assert not dock(studio, "monitor").isVisible()


def test_opening_and_closing_a_panel_makes_nothing_new(open_studio: OpenStudio, qtbot: QtBot) -> None:
    studio = open_studio()
    action = studio.window.actions_by_name["show_monitor"]
    action.trigger()
    action.trigger()
    before = len(studio.window.findChildren(QDockWidget)), len(studio.window.findChildren(MonitorPanel))

    for _ in range(50):
        action.trigger()

    assert (len(studio.window.findChildren(QDockWidget)), len(studio.window.findChildren(MonitorPanel))) == before
