"""Key maps as data, and changing keys by hand. Alone: `pytest tests/ltx_studio/ui/test_keymaps.py`."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QKeySequenceEdit, QLabel, QTableView

from ltx_studio.settings import KEY_CHANGES, KEY_MAP, Page
from ltx_studio.ui.docks import PANELS, commands_with
from ltx_studio.ui.keymaps import OWN, clash_sentence, find_clashes, key_maps, keys_in_use, portable
from ltx_studio.ui.settings_page import SettingsWindow
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

COMMANDS = {command.name: command.text for command in commands_with(PANELS)}
every_map = pytest.mark.parametrize("name", list(key_maps()))


# --- the data ---------------------------------------------------------------------------------------------------------


def test_our_own_map_comes_first_and_the_settings_offer_every_map() -> None:
    assert next(iter(key_maps())) == OWN == KEY_MAP.default
    assert {option.value: option.label for option in KEY_MAP.options} == {
        name: key_map.title for name, key_map in key_maps().items()
    }


@every_map
def test_a_map_names_commands_that_there_are(name: str) -> None:
    assert set(key_maps()[name].keys) - set(COMMANDS) == set()


@every_map
def test_a_map_gives_no_key_twice(name: str) -> None:
    assert find_clashes(key_maps()[name].keys, COMMANDS) == []


@every_map
def test_every_key_of_a_map_is_one_in_qts_own_spelling(name: str) -> None:
    spellings = [spelling for keys in key_maps()[name].keys.values() for spelling in keys]

    assert [portable(spelling) for spelling in spellings] == spellings


def test_a_map_that_is_based_on_another_keeps_what_it_does_not_name() -> None:
    assert key_maps()["premiere"].keys["back_five_frames"] == ("Shift+Left",)
    assert key_maps()["premiere"].keys["play"] == key_maps()[OWN].keys["play"]


def test_the_users_changes_lie_on_top_of_any_map() -> None:
    keys = keys_in_use("resolve", {"mute": "M", "play": ""})

    assert (keys["mute"], keys["play"], keys["last_frame"]) == (("M",), (), ("End", "'"))


def test_a_clash_is_said_in_words() -> None:
    clashes = find_clashes({"mute": ("ctrl+k",), "palette": ("Ctrl+K",)}, COMMANDS)

    assert [clash_sentence(clash, COMMANDS) for clash in clashes] == [
        "Ctrl+K is the key of “Mute” and of “Command palette”; neither works."
    ]


# --- in the window ----------------------------------------------------------------------------------------------------


class Keyboard:
    """The keyboard page of the settings."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        studio.window.actions_by_name["keyboard"].trigger()
        self.table = studio.find(QTableView, "Commands and their keys")
        self.field = studio.find(QKeySequenceEdit, "New keys")

    def choose(self, command: str) -> None:
        model = self.table.model()
        rows = [row for row in range(model.rowCount()) if model.index(row, 0).data() == COMMANDS[command]]
        self.table.selectRow(rows[0])

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.studio.qtbot.keyClick(self.field, key, modifier)

    def sentence(self) -> str:
        return self.studio.find(QLabel, "About these keys").text()


def test_another_map_changes_the_keys_at_once(open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.preferences.put(KEY_MAP, "premiere")

    assert studio.window.actions_by_name["full_screen"].shortcut().toString() == "Ctrl+`"
    assert studio.window.actions_by_name["mute"].shortcut().toString() == ""


def test_a_free_key_is_given_to_a_command(open_studio: OpenStudio) -> None:
    studio = open_studio()
    keyboard = Keyboard(studio)
    keyboard.choose("mute")

    keyboard.press(Qt.Key.Key_H)
    said = keyboard.sentence()
    studio.click("Use these keys")

    assert said == "H is free."
    assert studio.window.actions_by_name["mute"].shortcut().toString() == "H"
    assert studio.preferences.get(KEY_CHANGES) == {"mute": "H"}


def test_a_taken_key_names_its_owner_and_changes_hands_only_when_told(open_studio: OpenStudio) -> None:
    studio = open_studio()
    keyboard = Keyboard(studio)
    keyboard.choose("mute")

    keyboard.press(Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)

    assert "is the key of “Command palette”" in keyboard.sentence()
    assert studio.window.actions_by_name["palette"].shortcut().toString() == "Ctrl+K"
    studio.click("Use these keys")
    assert studio.window.actions_by_name["palette"].shortcut().toString() == ""
    assert studio.window.actions_by_name["mute"].shortcut().toString() == "Ctrl+K"


def test_escape_cannot_be_given_away(open_studio: OpenStudio) -> None:
    studio = open_studio()
    keyboard = Keyboard(studio)
    keyboard.choose("mute")

    keyboard.press(Qt.Key.Key_Escape)

    assert "stays what it is" in keyboard.sentence()
    assert not studio.button("Use these keys").isEnabled()


def test_a_changed_key_can_be_reset(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.preferences.put(KEY_CHANGES, {"mute": "M"})
    keyboard = Keyboard(studio)
    keyboard.choose("mute")

    studio.click("Reset")

    assert studio.window.actions_by_name["mute"].shortcut().toString() == "Ctrl+M"
    assert not studio.button("Reset").isEnabled()


def test_a_change_that_clashes_with_another_map_is_said(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.preferences.put(KEY_CHANGES, {"mute": "Ctrl+`"})
    keyboard = Keyboard(studio)
    keyboard.choose("play")

    studio.preferences.put(KEY_MAP, "premiere")

    assert "is the key of “Mute” and of “Full screen”; neither works." in keyboard.sentence()


def test_the_tooltip_of_stop_follows_the_key(open_studio: OpenStudio) -> None:
    studio = open_studio()

    studio.preferences.put(KEY_CHANGES, {"stop": "Ctrl+B"})

    assert "(Ctrl+B)" in " ".join(
        button.toolTip() for button in studio.window.job_bar.findChildren(type(studio.button("Mute")))
    )


def test_the_page_is_named_as_the_menu_says(open_studio: OpenStudio) -> None:
    studio = open_studio()
    Keyboard(studio)

    windows = studio.window.findChildren(SettingsWindow)

    assert Page.KEYBOARD in [label.text() for label in windows[0].findChildren(QLabel) if label.isVisible()]
