"""The prompt builder as a user meets it. Alone: `pytest tests/ltx_studio/ui/test_prompt_builder.py`."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from engine.hardware import current_machine
from ltx_studio.domain.estimate import first_request
from ltx_studio.domain.prompt_presets import camera_moves
from ltx_studio.domain.prompt_words import Part, Slot
from ltx_studio.domain.wildcards import wildcards_folder
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.session import Session
from ltx_studio.ui.prompt_panel import PromptPanel
from ltx_studio.ui.prompt_parts import PartField
from ltx_studio.ui.theme import Appearance
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
NOIR = "Black and white film noir"


class Bench:
    """A panel on its own, and what a user does with it."""

    def __init__(self, qtbot: QtBot, app: QApplication) -> None:
        self.qtbot = qtbot
        self.session = Session(first_request())
        self.panel = PromptPanel(self.session, Forecast(self.session, self.session), Appearance(app))
        self.panel.resize(336, 820)
        qtbot.addWidget(self.panel)
        self.panel.show()
        with qtbot.waitActive(self.panel):
            self.panel.activateWindow()

    @property
    def text(self) -> str:
        """What the request holds, which is what the field shows."""
        shown = self.panel.prompt.document().toRawText().replace("\u2029", "\n")
        assert shown == self.session.request.value.prompt == self.panel.state.prompt.value.text
        return shown

    def field(self, part: Part, which: str = "") -> PartField:
        return self.panel.builder.parts.field(part, which)

    def type(self, text: str, into: QWidget | None = None) -> None:
        self.qtbot.keyClicks(into or self.panel.prompt, text)

    def key(self, key: Qt.Key, on: QWidget, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.qtbot.keyClick(on, key, modifier)

    def undo(self, on: QWidget) -> None:
        self.key(Qt.Key.Key_Z, on, Qt.KeyboardModifier.ControlModifier)

    def button(self, name: str) -> QAbstractButton:
        found = [item for item in self.panel.findChildren(QAbstractButton) if item.accessibleName() == name]
        return found[0]

    def click(self, name: str) -> None:
        self.qtbot.mouseClick(self.button(name), Qt.MouseButton.LeftButton)

    def click_style(self, name: str) -> None:
        view = self.panel.builder.styles.view
        model = view.model()
        index = next(model.index(row, 0) for row in range(model.rowCount()) if model.index(row, 0).data() == name)
        view.scrollTo(index)
        self.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())

    def paste(self, text: str) -> None:
        QApplication.clipboard().setText(text)
        self.panel.prompt.paste()

    def words(self) -> str:
        return " | ".join(label.text() for label in self.panel.builder.findChildren(QLabel) if label.isVisible())


@pytest.fixture
def bench(qtbot: QtBot, qapp: QApplication) -> Bench:
    return Bench(qtbot, qapp)


# --- text and parts ---------------------------------------------------------------------------------------------------


def test_typing_into_a_field_writes_the_text(bench: Bench) -> None:
    bench.type("An old man waits")
    bench.type("golden hour", bench.field(Part.LIGHT))

    assert bench.text == "An old man waits, golden hour"


def test_typing_into_the_text_fills_the_fields_that_it_names(bench: Bench) -> None:
    bench.type('A man, close-up. He says in French: "Salut"')

    assert bench.field(Part.SHOT).text() == "close-up"
    assert bench.field(Part.SPEAKER, "0").text() == "He"
    assert bench.field(Part.LANGUAGE, "0").text() == "French"
    assert bench.field(Part.LINE, "0").text() == "Salut"


def test_clearing_a_field_takes_its_words_out_of_the_text(bench: Bench) -> None:
    bench.type("a man")
    bench.type("dusk", bench.field(Part.LIGHT))
    bench.field(Part.LIGHT).selectAll()

    bench.key(Qt.Key.Key_Delete, bench.field(Part.LIGHT))

    assert bench.text == "a man"


def test_the_cursor_stays_with_its_words_while_a_field_is_written(bench: Bench) -> None:
    bench.type("a man waits")
    cursor = bench.panel.prompt.textCursor()
    cursor.setPosition(5)
    bench.panel.prompt.setTextCursor(cursor)

    bench.type("close-up", bench.field(Part.SHOT))

    assert bench.text == "close-up, a man waits"
    assert bench.panel.prompt.textCursor().position() == len("close-up, ") + 5


def test_a_selection_becomes_a_part(bench: Bench) -> None:
    bench.type("an old man waits")
    cursor = bench.panel.prompt.textCursor()
    cursor.setPosition(0)
    cursor.setPosition(len("an old man"), QTextCursor.MoveMode.KeepAnchor)
    bench.panel.prompt.setTextCursor(cursor)
    menu = bench.panel.prompt.assign_menu(bench.panel)

    next(action for action in menu.actions() if action.text() == "Subject").trigger()

    assert bench.field(Part.SUBJECT).text() == "an old man"
    assert bench.text == "an old man waits"


def test_camera_moves_are_chosen_by_name_with_the_keyboard(bench: Bench) -> None:
    field = bench.field(Part.CAMERA)
    menu = field.choices_menu()

    next(action for action in menu.actions() if action.text() == "Orbit").trigger()

    assert bench.text == "the camera orbits the subject"
    assert {action.text() for action in menu.actions()} == {move.name for move in camera_moves()}
    assert [action.text() for action in field.choices_menu().actions() if action.isChecked()] == ["Orbit"]


def test_another_line_can_be_spoken(bench: Bench) -> None:
    bench.type("The man", bench.field(Part.SPEAKER, "0"))
    bench.type("Hello.", bench.field(Part.LINE, "0"))

    bench.click("Add a spoken line")
    focused = QApplication.focusWidget()
    bench.type("The dog", focused)
    bench.type("Woof.", bench.field(Part.LINE, "1"))

    assert bench.text == 'The man says: "Hello." The dog says: "Woof."'


def test_right_to_left_text_and_emoji_survive_both_ways(bench: Bench) -> None:
    bench.paste("איש זקן 🎬👨‍👩‍👧 ")
    bench.type("x")
    QApplication.clipboard().setText("שקיעה 🌅")
    bench.field(Part.LIGHT).paste()
    bench.type("!", bench.panel.prompt)

    assert bench.text == "איש זקן 🎬👨‍👩‍👧 x!, שקיעה 🌅"
    assert bench.field(Part.LIGHT).text() == "שקיעה 🌅"


def test_a_prompt_set_from_elsewhere_shows_its_parts(bench: Bench) -> None:
    bench.session.edit(prompt="A red ball, wide shot. Music: jazz")

    assert bench.text == "A red ball, wide shot. Music: jazz"
    assert (bench.field(Part.SHOT).text(), bench.field(Part.MUSIC).text()) == ("wide shot", "jazz")


def test_a_huge_prompt_is_taken(bench: Bench) -> None:
    bench.paste("word " * 20_000)

    assert len(bench.text) == 100_000
    bench.qtbot.waitUntil(lambda: "Too long" in bench.words())


# --- undo -------------------------------------------------------------------------------------------------------------


def test_undo_in_the_text_brings_a_cleared_part_back_as_a_part(bench: Bench) -> None:
    bench.type("a man")
    bench.type("dusk", bench.field(Part.LIGHT))
    bench.panel.prompt.selectAll()
    bench.key(Qt.Key.Key_Delete, bench.panel.prompt)
    assert bench.field(Part.LIGHT).text() == ""

    bench.undo(bench.panel.prompt)

    assert bench.text == "a man, dusk"
    assert bench.field(Part.LIGHT).text() == "dusk"


def test_undo_in_a_field_undoes_that_field(bench: Bench) -> None:
    bench.type("a man")
    bench.type("dusk", bench.field(Part.LIGHT))
    bench.type("close-up", bench.field(Part.SHOT))
    assert bench.text == "close-up, a man, dusk"

    bench.undo(bench.field(Part.LIGHT))

    assert bench.field(Part.LIGHT).text() == ""
    assert bench.text == "close-up, a man"


# --- styles -----------------------------------------------------------------------------------------------------------


def test_a_style_comes_and_goes_with_a_click_and_leaves_what_was_typed_between(bench: Bench) -> None:
    bench.type("a man")
    bench.click("Show: Styles")

    bench.click_style("Film noir")
    assert bench.text.startswith(NOIR)
    bench.panel.prompt.moveCursor(QTextCursor.MoveOperation.End)
    bench.type(" waits")
    bench.click_style("Film noir")

    assert bench.text == "a man waits"


def test_styles_are_searched_and_applied_with_the_keyboard(bench: Bench) -> None:
    styles = bench.panel.builder.styles
    bench.click("Show: Styles")
    bench.type("noir", styles.search)
    styles.view.setFocus(Qt.FocusReason.TabFocusReason)
    styles.view.setCurrentIndex(styles.view.model().index(0, 0))

    bench.key(Qt.Key.Key_Space, styles.view)

    assert bench.panel.state.prompt.value.presets == ("film-noir",)
    assert styles.view.model().index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole) == "Film noir, applied"


def test_the_words_of_the_style_field_become_a_style_of_ones_own(bench: Bench) -> None:
    bench.click("Show: Styles")
    assert not bench.button("Keep the style").isEnabled()
    bench.panel.state.set_part(Slot(Part.STYLE), "lavender haze")
    name = next(item for item in bench.panel.findChildren(QLineEdit) if item.accessibleName() == "Name of a new style")
    bench.type("Haze", name)

    bench.click("Keep the style")
    bench.click_style("Haze")

    assert bench.text == "lavender haze. lavender haze"


# --- history ----------------------------------------------------------------------------------------------------------


def test_a_prompt_of_the_history_comes_back_with_its_parts(bench: Bench) -> None:
    bench.type("a man")
    bench.type("dusk", bench.field(Part.LIGHT))
    bench.panel.state.remember()
    bench.session.edit(prompt="something else")
    bench.click("Show: Earlier")

    bench.key(Qt.Key.Key_Return, bench.panel.builder.past.view)

    assert bench.text == "a man, dusk"
    assert bench.field(Part.LIGHT).text() == "dusk"


def test_a_favourite_is_kept_before_it_was_ever_used(bench: Bench) -> None:
    bench.type("a keeper")

    bench.click("Keep this prompt")

    assert [entry.prompt.text for entry in bench.panel.state.history.search("", favourites_only=True)] == ["a keeper"]


def test_space_stars_and_delete_forgets(bench: Bench) -> None:
    bench.type("a man")
    bench.panel.state.remember()
    bench.click("Show: Earlier")
    view = bench.panel.builder.past.view

    bench.key(Qt.Key.Key_Space, view)
    assert bench.panel.state.history.entries()[0].is_favourite
    bench.key(Qt.Key.Key_Delete, view)

    assert bench.panel.state.history.entries() == []
    assert "Prompts appear here" in bench.words()


def test_a_history_that_cannot_be_written_is_said_and_the_prompt_stays(bench: Bench, studio_home: Path) -> None:
    (studio_home / "prompts.jsonl").mkdir(parents=True)
    bench.type("a man")

    bench.click("Keep this prompt")

    assert "history cannot be written" in bench.words()
    assert bench.text == "a man"


# --- variations, tokens, enhancement ----------------------------------------------------------------------------------


def test_variations_are_counted_and_made_as_a_batch(bench: Bench) -> None:
    wildcards_folder().mkdir(parents=True)
    (wildcards_folder() / "place.txt").write_text("pier\nforest\n")
    bench.type("a {red|blue} ball in a __place__")
    bench.qtbot.waitUntil(lambda: "4 wordings" in bench.words())

    with bench.qtbot.waitSignal(bench.panel.batch_asked) as asked:
        bench.click("Make all wordings")

    assert asked.args == [
        ("a red ball in a pier", "a red ball in a forest", "a blue ball in a pier", "a blue ball in a forest")
    ]


def test_a_single_clip_is_made_from_one_wording_drawn_by_its_seed(bench: Bench) -> None:
    bench.type("a {red|blue|green} ball")

    drawn = {bench.panel.state.wording_for(seed) for seed in range(30)}

    assert drawn == {"a red ball", "a blue ball", "a green ball"}
    assert bench.panel.state.wording_for(7) == bench.panel.state.wording_for(7)


def test_an_unknown_wildcard_is_said_in_a_sentence(bench: Bench) -> None:
    bench.type("a __place__")

    bench.qtbot.waitUntil(lambda: "no wildcard named 'place'" in bench.words())


def test_without_a_model_the_tokens_are_an_estimate_and_say_so(bench: Bench) -> None:
    bench.type("a red ball")

    assert "about 4 of 1,024 tokens" in bench.words()


def test_the_limit_is_that_of_the_model_that_will_read_it(bench: Bench) -> None:
    bench.type("a red ball")

    bench.session.machine.value = current_machine()

    bench.qtbot.waitUntil(lambda: "of 64 tokens" in bench.words())


def test_enhancement_is_greyed_with_its_reason(bench: Bench) -> None:
    button = bench.button("Enhance the prompt")

    assert not button.isEnabled()
    assert "none is installed" in button.toolTip()


# --- names, keys, room ------------------------------------------------------------------------------------------------


def test_every_field_has_a_name_and_tab_goes_through_them_in_order(bench: Bench) -> None:
    bench.type("a")
    names: list[str] = []
    for _ in range(24):
        focused = QApplication.focusWidget()
        assert focused is not None
        names.append(focused.accessibleName())
        bench.key(Qt.Key.Key_Tab, focused)

    fields = ["Shot", "Subject", "Action", "Setting", "Light", "Lens", "Camera", "Style"]
    assert names[: 4 + len(fields)] == ["Prompt", "Keep this prompt", "What to avoid", "Show: Parts", *fields]
    sound = ["Speaker", "Language", "Says", "Add a spoken line", "Ambience", "Effects", "Music", "Quality: Fast"]
    assert names[4 + len(fields) : 4 + len(fields) + len(sound)] == sound


@pytest.mark.parametrize("width", [300, 336, 760])
def test_nothing_is_cut_off(bench: Bench, width: int) -> None:
    bench.panel.resize(width, 700)
    bench.qtbot.wait(1)

    too_small = [
        item.accessibleName() or item.text()
        for kind in (QAbstractButton, QLabel)
        for item in bench.panel.findChildren(kind)
        if item.isVisible()
        and not getattr(item, "wordWrap", lambda: False)()
        and item.width() < item.minimumSizeHint().width()
    ]
    assert too_small == []


def test_the_text_and_its_parts_are_side_by_side_where_there_is_room(bench: Bench) -> None:
    def left(widget: QWidget) -> int:
        return widget.mapTo(bench.panel, widget.rect().topLeft()).x()

    assert left(bench.panel.builder.parts) == left(bench.panel.prompt)
    bench.panel.resize(800, 700)
    bench.qtbot.waitUntil(lambda: left(bench.panel.builder.parts) > left(bench.panel.prompt))
