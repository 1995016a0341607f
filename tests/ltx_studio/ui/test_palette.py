"""The command palette, driven by the keyboard. Alone: `pytest tests/ltx_studio/ui/test_palette.py`."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QListView

from ltx_studio.settings import RECENT_COMMANDS, SettingsFile
from tests.fakes.studio import OFFSCREEN_REMARK, PROMPT, OpenStudio, Studio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


class Palette:
    """The palette of an open window."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        studio.qtbot.keyClick(studio.window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
        self.field = studio.find(QLineEdit, "Search the commands")

    def lines(self) -> list[str]:
        model = self.studio.window.palette_box.findChildren(QListView)[0].model()
        return [str(model.index(row, 0).data()) for row in range(model.rowCount())]

    def type(self, text: str) -> None:
        self.studio.qtbot.keyClicks(self.field, text)

    def press(self, key: Qt.Key) -> None:
        self.studio.qtbot.keyClick(self.field, key)


def test_typing_and_return_run_a_command(open_studio: OpenStudio) -> None:
    studio = open_studio()
    palette = Palette(studio)

    palette.type("light")
    palette.press(Qt.Key.Key_Return)

    assert studio.window.actions_by_name["light"].isChecked()
    assert not studio.window.palette_box.isVisible()


def test_arrows_choose_among_what_was_found(open_studio: OpenStudio) -> None:
    studio = open_studio()
    palette = Palette(studio)
    palette.type("panel")
    found = palette.lines()

    for _ in range(found.index("Monitor panel (off)")):
        palette.press(Qt.Key.Key_Down)
    palette.press(Qt.Key.Key_Return)

    assert "Prompt panel (on)" in found
    assert studio.window.actions_by_name["show_monitor"].isChecked()


def test_what_was_used_last_comes_first_also_after_a_restart(open_studio: OpenStudio) -> None:
    studio = open_studio()
    for query in ("reset", "dark"):
        palette = Palette(studio)
        palette.type(query)
        palette.press(Qt.Key.Key_Return)

    lines = Palette(studio).lines()

    assert lines[:2] == ["Dark (on)", "Reset layout"]
    assert SettingsFile().get(RECENT_COMMANDS) == ("dark", "reset_layout")


def test_escape_gives_the_keys_back_to_where_they_were(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.window.prompt_panel.prompt.setFocus()
    palette = Palette(studio)

    palette.press(Qt.Key.Key_Escape)
    focused = QApplication.focusWidget()
    assert focused is not None
    studio.qtbot.keyClicks(focused, PROMPT)

    assert studio.session.request.value.prompt == PROMPT


def test_a_command_that_is_not_possible_says_so_comes_last_and_does_nothing(open_studio: OpenStudio) -> None:
    studio = open_studio()
    palette = Palette(studio)

    palette.type("mute")
    palette.press(Qt.Key.Key_Return)

    assert palette.lines() == ["Mute (not possible now)"]
    assert studio.window.palette_box.isVisible()


def test_other_words_for_a_command_find_it(open_studio: OpenStudio) -> None:
    palette = Palette(open_studio())

    palette.type("preferences")

    assert palette.lines() == ["Settings"]


def test_lines_say_their_keys_to_screen_readers(open_studio: OpenStudio) -> None:
    studio = open_studio()
    palette = Palette(studio)
    palette.type("go to the prompt")
    model = studio.window.palette_box.findChildren(QListView)[0].model()

    said = model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole)

    assert said == "Go to the prompt, View, Ctrl+L"


def test_typing_in_it_runs_no_shortcut(open_studio: OpenStudio) -> None:
    studio = open_studio()
    palette = Palette(studio)

    palette.type("a b")
    palette.press(Qt.Key.Key_Home)

    assert palette.field.text() == "a b"
    assert not studio.window.player.is_playing


def test_a_click_elsewhere_closes_it(open_studio: OpenStudio) -> None:
    studio = open_studio()
    Palette(studio)

    studio.window.prompt_panel.prompt.setFocus(Qt.FocusReason.MouseFocusReason)

    assert not studio.window.palette_box.isVisible()
