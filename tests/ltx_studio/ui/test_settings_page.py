"""The settings window: drawn from the declarations. Alone: `pytest tests/ltx_studio/ui/test_settings_page.py`."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QSpinBox, QWidget

from ltx_studio.settings import MONITOR_MINUTES, MOTION, SETTINGS, SHOW_WELCOME, THEME, Page, SettingsFile
from ltx_studio.ui.settings_page import SettingsWindow
from ltx_studio.ui.theme import LIGHT
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


def open_settings(studio: Studio) -> SettingsWindow:
    studio.window.actions_by_name["settings"].trigger()
    return studio.window.findChildren(SettingsWindow)[0]


def search(studio: Studio, query: str) -> list[str]:
    """The names of the settings that a search shows."""
    field = studio.find(QLineEdit, "Search the settings")
    field.clear()
    studio.qtbot.keyClicks(field, query)
    names = {setting.words.label for setting in SETTINGS if setting.words is not None}
    window = studio.window.findChildren(SettingsWindow)[0]
    return sorted(label.text() for label in window.findChildren(QLabel) if label.isVisible() and label.text() in names)


def test_every_declared_setting_has_a_control(open_studio: OpenStudio) -> None:
    window = open_settings(open_studio())
    wanted = {setting.words.label for setting in SETTINGS if setting.words is not None}

    named = {widget.accessibleName() for widget in window.findChildren(QWidget)}

    assert wanted - named == set()


def test_a_choice_is_in_force_and_on_the_disk_at_once(open_studio: OpenStudio) -> None:
    studio = open_studio()
    open_settings(studio)

    studio.qtbot.keyClick(studio.find(QComboBox, "Colours"), Qt.Key.Key_End)

    assert studio.appearance.theme.value is LIGHT
    assert SettingsFile().get(THEME) == "light"
    assert studio.window.actions_by_name["light"].isChecked()


def test_the_menu_and_the_settings_show_the_same(open_studio: OpenStudio) -> None:
    studio = open_studio()
    open_settings(studio)

    studio.window.actions_by_name["dark"].trigger()

    assert studio.find(QComboBox, "Colours").currentText() == "Dark"


def test_a_setting_can_be_reset_once_it_was_changed(open_studio: OpenStudio) -> None:
    studio = open_studio()
    open_settings(studio)
    assert not studio.button("Reset “Motion”").isEnabled()
    studio.preferences.put(MOTION, "reduced")

    studio.click("Reset “Motion”")

    assert studio.preferences.get(MOTION) == MOTION.default
    assert not studio.button("Reset “Motion”").isEnabled()


def test_a_number_and_a_switch_change_their_settings(open_studio: OpenStudio) -> None:
    studio = open_studio()
    open_settings(studio).open_at(Page.MONITOR)

    studio.qtbot.keyClick(studio.find(QSpinBox, "Time shown"), Qt.Key.Key_Up)
    open_settings(studio).open_at(Page.START)
    studio.qtbot.keyClick(studio.find(QCheckBox, "Show the welcome page"), Qt.Key.Key_Space)

    assert studio.preferences.get(MONITOR_MINUTES) == MONITOR_MINUTES.default + 1
    assert studio.preferences.get(SHOW_WELCOME)


@pytest.mark.parametrize(
    ("query", "found"),
    [("network", ["Sealed mode"]), ("NIGHT", ["Colours"]), ("animation", ["Motion"]), ("hotkeys", ["Key map"])],
)
def test_a_search_finds_settings_on_every_page_by_other_words_too(
    query: str, found: list[str], open_studio: OpenStudio
) -> None:
    studio = open_studio()
    open_settings(studio)

    assert search(studio, query) == found


def test_a_search_that_finds_nothing_says_so_and_clearing_it_brings_the_page_back(open_studio: OpenStudio) -> None:
    studio = open_studio()
    window = open_settings(studio)

    assert search(studio, "zebra") == []
    assert "No setting is called that." in [item.text() for item in window.findChildren(QLabel) if item.isVisible()]
    assert search(studio, "") == ["Colours", "Language", "Motion"]


def test_a_setting_that_cannot_be_saved_goes_back_and_says_why(open_studio: OpenStudio) -> None:
    studio = open_studio()
    open_settings(studio)
    folder = SettingsFile().path
    folder.unlink(missing_ok=True)
    folder.mkdir()  # nothing can be renamed to a folder's name

    studio.qtbot.keyClick(studio.find(QComboBox, "Colours"), Qt.Key.Key_End)

    assert "could not be saved" in studio.find(QLabel, "What went wrong").text()
    assert studio.find(QComboBox, "Colours").currentText() == "As the system"
    assert not studio.window.actions_by_name["light"].isChecked()


def test_reduced_motion_stops_the_docks_and_menus(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.preferences.put(MOTION, "full")
    assert studio.window.isAnimated()

    studio.preferences.put(MOTION, "reduced")

    assert not studio.window.isAnimated()


def test_escape_closes_the_settings(open_studio: OpenStudio) -> None:
    studio = open_studio()
    window = open_settings(studio)

    studio.qtbot.keyClick(window, Qt.Key.Key_Escape)

    assert not window.isVisible()
