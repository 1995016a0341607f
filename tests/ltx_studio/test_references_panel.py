"""The references panel as a user meets it: real files, real drops, real keys.

Alone: `pytest tests/ltx_studio/test_references_panel.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QAction,
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from engine.request import GenerationRequest, ImageReference
from engine.types import FrameRate, Size
from ltx_studio.domain.references import Role
from ltx_studio.state.references import ReferencesState
from ltx_studio.state.session import Session
from ltx_studio.ui.reference_card import ReferenceCard, card_data
from ltx_studio.ui.reference_notes import EmptyReferences
from ltx_studio.ui.reference_time import TimeField, parse_time
from ltx_studio.ui.references_panel import ReferencesPanel
from ltx_studio.ui.theme import DARK, LIGHT, Appearance
from tests.fakes.clips import write_numbered_clip
from tests.fakes.studio import OFFSCREEN_REMARK
from tests.ltx_studio.services.test_reference_probe import write_picture, write_sound

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

BUTTON, KEYS = Qt.MouseButton.LeftButton, Qt.KeyboardModifier
ACTIONS = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
END = QPoint(100, 690)


class References:
    """A panel that is open, and what a user does with it."""

    def __init__(self, folder: Path, app: QApplication, qtbot: QtBot) -> None:
        self.folder = folder
        self.qtbot = qtbot
        self.to_choose: list[Path] = []
        self.revealed: list[Path] = []
        self.session = Session(GenerationRequest("a red ball", size=Size(448, 256), seconds=2.0))
        self.state = ReferencesState(self.session, self.session)
        self.appearance = Appearance(app)
        self.panel = self.make_panel()
        self.panel.resize(320, 700)
        self.panel.show()
        with qtbot.waitActive(self.panel):
            self.panel.activateWindow()

    def make_panel(self) -> ReferencesPanel:
        return ReferencesPanel(
            self.state, self.appearance, choose=lambda _parent: self.to_choose, show_in_folder=self._reveal
        )

    def _reveal(self, path: Path) -> bool:
        self.revealed.append(path)
        return False

    def picture(self, name: str) -> Path:
        return write_picture(self.folder / name)

    def drop(self, data: QMimeData, point: QPoint = END) -> bool:
        """Whether the panel took it."""
        press = (BUTTON, KEYS.NoModifier)
        enter = QDragEnterEvent(point, ACTIONS, data, *press)
        QApplication.sendEvent(self.panel, enter)
        if not enter.isAccepted():
            return False
        QApplication.sendEvent(self.panel, QDragMoveEvent(point, ACTIONS, data, *press))
        drop = QDropEvent(QPointF(point), ACTIONS, data, *press)
        QApplication.sendEvent(self.panel, drop)
        self.wait()
        return drop.isAccepted()

    def add(self, *names: str) -> None:
        self.drop(files(*[self.picture(name) for name in names]))

    def wait(self) -> None:
        self.qtbot.waitUntil(lambda: not self.panel.probe.waiting)
        self.qtbot.wait(1)  # cards are laid out

    def names(self) -> list[str]:
        return [card.path.name for card in self.state.cards]

    def card(self, index: int = 0) -> ReferenceCard:
        return self.panel.list.cards()[index]

    def point_in(self, index: int, fraction: float) -> QPoint:
        """On a card, this far down."""
        widget = self.card(index)
        return widget.mapTo(self.panel, QPoint(60, round(widget.height() * fraction)))

    def field(self, kind: type, index: int = 0) -> QWidget:
        return next(item for item in self.card(index).findChildren(kind) if item.isVisible())

    def press(self, widget: QWidget, key: Qt.Key, modifier: Qt.KeyboardModifier = KEYS.NoModifier) -> None:
        self.qtbot.keyClick(widget, key, modifier)

    def click(self, name: str) -> None:
        found = [item for item in self.panel.findChildren(QWidget) if item.accessibleName() == name]
        self.qtbot.mouseClick(next(item for item in found if item.isVisible()), BUTTON)

    def words(self) -> str:
        """What can be read in the panel."""
        shown = [label.text() for label in self.panel.findChildren(QLabel) if label.isVisible()]
        return " | ".join(shown).replace("\u200b", "")


def files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


@pytest.fixture
def references(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[References]:
    opened = References(tmp_path, qapp, qtbot)
    yield opened
    opened.panel.close_threads()
    opened.panel.close()
    opened.panel.deleteLater()
    opened.session.deleteLater()


# --- coming in --------------------------------------------------------------------------------------------------------


def test_an_empty_panel_says_what_goes_here_and_offers_the_one_thing_to_do(references: References) -> None:
    assert "Drop pictures, clips or a sound here" in references.words()
    references.to_choose = [references.picture("a.png")]

    references.click("Choose files")
    references.wait()

    assert references.names() == ["a.png"]


def test_dropped_files_become_cards_that_say_what_will_be_done(references: References) -> None:
    sound = write_sound(references.folder / "voice.wav", 1.0)
    clip = write_numbered_clip(references.folder / "walk 🎬.mp4", 9)

    assert references.drop(files(references.picture("a.png"), references.picture("b.png"), sound, clip))

    assert references.names() == ["a.png", "b.png", "voice.wav", "walk 🎬.mp4"]
    words = references.words()
    assert "The clip begins with it." in words
    assert "The clip ends on it." in words
    assert "After 1.0 s the clip is silent." in words
    assert "Left out: a clip needs an IC-LoRA" in words
    assert "1 of 4 left out of the next clip" in words
    assert references.session.request.value.audio == sound


def test_a_drop_of_several_files_is_one_step_to_undo(references: References) -> None:
    references.add("a.png", "b.png")

    references.click("Undo")

    assert references.names() == []
    references.click("Redo")
    assert references.names() == ["a.png", "b.png"]


def test_hostile_files_are_refused_each_with_a_sentence_and_the_rest_is_taken(references: References) -> None:
    empty, text = references.folder / "empty.png", references.folder / "notes.txt"
    empty.write_bytes(b"")
    text.write_text("no media\n" * 50)

    references.drop(files(empty, references.picture("good.png"), text, references.folder / "gone.wav"))

    assert references.names() == ["good.png"]
    words = references.words()
    assert "empty.png was not added: it is empty." in words
    assert "notes.txt was not added: it is no picture, clip or sound" in words
    assert "gone.wav was not added: there is no such file." in words
    references.click("Close the message")
    references.qtbot.waitUntil(lambda: "was not added" not in references.words())


def test_many_refusals_are_counted(references: References) -> None:
    references.drop(files(*[references.folder / f"gone{number}.png" for number in range(9)]))

    assert "Others that were not added: 5." in references.words()


def test_what_is_no_file_is_not_taken(references: References) -> None:
    data = QMimeData()
    data.setText("hello")
    web = QMimeData()
    web.setUrls([QUrl("https://example.org/a.png")])

    assert not references.drop(data)
    assert not references.drop(web)


def test_a_pasted_picture_is_kept_in_the_data_folder(references: References, studio_home: Path) -> None:
    image = QImage(40, 20, QImage.Format.Format_RGB32)
    image.fill(QColor(10, 200, 30))
    QGuiApplication.clipboard().setImage(image)

    references.click("Paste")
    references.wait()

    assert references.state.cards[0].path.parent == studio_home / "references"
    assert references.session.request.value.images[0].path.is_file()


def test_files_are_pasted_by_keys_and_an_empty_clipboard_is_said(references: References) -> None:
    clipboard = QGuiApplication.clipboard()
    clipboard.clear()
    references.press(references.panel, Qt.Key.Key_V, KEYS.ControlModifier)
    assert "no picture and no file on the clipboard" in references.words()

    clipboard.setMimeData(files(references.picture("a.png")))
    references.press(references.panel, Qt.Key.Key_V, KEYS.ControlModifier)
    references.wait()

    assert references.names() == ["a.png"]
    assert "clipboard" not in references.words()


def test_a_long_reading_is_shown_and_can_be_stopped(references: References) -> None:
    references.panel.add_files([write_picture(references.folder / "large.png", (3000, 2000))] * 12)
    references.qtbot.waitUntil(lambda: "more to come" in references.words())

    references.click("Stop reading files")

    assert "Reading" not in references.words()
    assert len(references.names()) < 12


def test_stopping_says_which_cards_were_not_read(references: References) -> None:
    path = write_picture(references.folder / "large.png", (3000, 2000))
    references.session.request.value = GenerationRequest("other", frames=9, images=(ImageReference(path),))

    references.panel.stop_reading()

    assert "Left out: reading it was stopped." in references.words()


def test_a_drag_over_the_empty_panel_shows_that_it_would_land(references: References) -> None:
    def border() -> QColor:
        empty = references.panel.findChild(EmptyReferences)
        assert empty is not None
        return empty.grab().toImage().pixelColor(empty.width() // 2, 1)

    data, before = files(references.picture("a.png")), border()
    QApplication.sendEvent(references.panel, QDragEnterEvent(END, ACTIONS, data, BUTTON, KEYS.NoModifier))
    assert border() == QColor(references.appearance.theme.value.accent)

    QApplication.sendEvent(references.panel, QDragLeaveEvent())
    assert border() == before


# --- landing ----------------------------------------------------------------------------------------------------------


def test_a_file_dropped_between_cards_lands_there(references: References) -> None:
    references.add("a.png", "b.png")

    references.drop(files(references.picture("c.png"), references.picture("d.png")), references.point_in(1, 0.02))

    assert references.names() == ["a.png", "c.png", "d.png", "b.png"]


def test_a_file_dropped_on_a_card_replaces_it(references: References) -> None:
    references.add("a.png", "b.png")

    references.drop(files(references.picture("c.png"), references.picture("d.png")), references.point_in(0, 0.5))

    assert references.names() == ["c.png", "d.png", "b.png"]
    assert references.state.cards[0].role is Role.FIRST_FRAME


def test_a_bad_file_dropped_on_a_card_replaces_nothing(references: References) -> None:
    references.add("a.png")

    references.drop(files(references.folder / "gone.png"), references.point_in(0, 0.5))

    assert references.names() == ["a.png"]
    assert "gone.png was not added" in references.words()


def test_a_card_can_be_dragged_to_another_place(references: References) -> None:
    references.add("a.png", "b.png", "c.png")

    references.drop(card_data(references.state.cards[2]), references.point_in(0, 0.1))

    assert references.names() == ["c.png", "a.png", "b.png"]


# --- editing ----------------------------------------------------------------------------------------------------------


def test_everything_is_done_by_keys_alone(references: References) -> None:
    references.add("a.png", "b.png")
    first = references.card(0)
    first.setFocus()

    references.press(first, Qt.Key.Key_Down)
    assert references.card(1).hasFocus()
    references.press(references.card(1), Qt.Key.Key_Up, KEYS.ControlModifier)
    assert references.names() == ["b.png", "a.png"]
    references.press(references.card(0), Qt.Key.Key_Tab)
    references.press(references.card(0).focusWidget() or references.card(0), Qt.Key.Key_Tab)
    assert isinstance(QApplication.focusWidget(), QComboBox)
    references.card(0).setFocus()
    references.press(references.card(0), Qt.Key.Key_Delete)
    assert references.names() == ["a.png"]
    assert references.card(0).hasFocus()
    references.press(references.card(0), Qt.Key.Key_Delete)
    assert references.names() == []
    references.press(QApplication.focusWidget() or references.panel, Qt.Key.Key_Z, KEYS.ControlModifier)
    assert references.names() == ["a.png"]


def test_a_keyframe_has_a_time_that_can_be_typed(references: References) -> None:
    references.add("a.png")
    role = references.field(QComboBox)
    role.setFocus()
    references.press(role, Qt.Key.Key_Down)
    assert references.state.cards[0].role is Role.KEYFRAME

    time = references.field(TimeField)
    assert isinstance(time, QLineEdit)
    time.setFocus()
    for text, frame in (("1.5s", 36), ("00:00:01:02", 26), ("+10", 36), ("-5f", 31), ("12", 12)):
        time.selectAll()
        references.qtbot.keyClicks(time, text)
        references.press(time, Qt.Key.Key_Return)
        assert references.session.request.value.images == (ImageReference(references.folder / "a.png", frame),)
    assert time.text() == "00:00:00:12"
    references.press(time, Qt.Key.Key_Up)
    assert time.text() == "00:00:00:13"


@pytest.mark.parametrize(("text", "said"), [("99s", "is outside the clip"), ("soon", "is no time")])
def test_a_time_that_cannot_be_is_said_on_the_card_and_changes_nothing(
    references: References, text: str, said: str
) -> None:
    references.add("a.png")
    references.state.set_role(references.state.cards[0], Role.KEYFRAME)
    before, time = references.state.cards, references.field(TimeField)
    assert isinstance(time, QLineEdit)
    time.setFocus()
    time.selectAll()
    references.qtbot.keyClicks(time, text)
    references.press(time, Qt.Key.Key_Return)

    assert said in references.words()
    assert references.state.cards == before
    assert time.text() == "00:00:01:00"


def test_the_strength_is_edited_in_per_cent(references: References) -> None:
    references.add("a.png")
    field = references.field(QAbstractSpinBox)
    field.setFocus()
    references.press(field, Qt.Key.Key_Down)

    assert references.session.request.value.images[0].strength == 0.99
    assert "The clip begins close to it." in references.words()


@pytest.mark.parametrize("kind", [QComboBox, QAbstractSpinBox])
def test_the_wheel_changes_no_field_that_it_passes(references: References, kind: type) -> None:
    references.add("a.png")
    before, field = references.state.cards, references.field(kind)
    references.card().setFocus()
    place, pixels = QPointF(field.rect().center()), QPoint(0, -120)
    turn = QWheelEvent(
        place,
        field.mapToGlobal(place),
        pixels,
        pixels,
        Qt.MouseButton.NoButton,
        KEYS.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(field, turn)

    assert references.state.cards == before


def test_two_cards_in_each_others_way_say_so_in_words(references: References) -> None:
    references.add("a.png", "b.png")
    references.state.set_role(references.state.cards[1], Role.FIRST_FRAME)

    assert "Left out: a.png is at the same frame." in references.words()
    assert references.card(1).accessibleDescription().startswith("Left out: a.png")


def test_a_folder_that_cannot_be_shown_is_said(references: References) -> None:
    references.add("a.png")
    show = next(action for action in references.card().actions() if action.text() == "Show in folder")
    assert isinstance(show, QAction)
    show.trigger()

    assert references.revealed == [references.folder / "a.png"]
    assert "could not be shown" in references.words()


# --- from elsewhere ---------------------------------------------------------------------------------------------------


def test_other_settings_show_their_files_and_say_which_are_missing_until_they_are_back(references: References) -> None:
    there, gone = references.picture("there.png"), references.folder / "gone.png"
    references.session.request.value = GenerationRequest(
        "other", seconds=2.0, images=(ImageReference(there), ImageReference(gone, -1))
    )
    references.wait()
    assert "Left out: there is no such file." in references.words()
    assert references.session.request.value.images == (ImageReference(there),)

    references.picture("gone.png")
    references.panel.hide()
    references.panel.show()
    references.wait()

    assert "Left out" not in references.words()
    assert references.session.request.value.images == (ImageReference(there), ImageReference(gone, -1))


def test_another_panel_of_the_same_session_shows_the_same(references: References, qtbot: QtBot) -> None:
    references.add("a.png")
    second = references.make_panel()
    qtbot.addWidget(second)
    qtbot.waitUntil(lambda: not second.probe.waiting)

    assert [item.card for item in second.list.cards()] == list(references.state.cards)
    second.close_threads()


def test_every_control_has_a_name_in_both_themes(references: References) -> None:
    references.add("a.png", "b.png", "c.png")
    for theme in (DARK, LIGHT):
        references.appearance.choose(theme)
        nameless = [
            item
            for item in references.panel.findChildren(QWidget)
            if item.focusPolicy() & Qt.FocusPolicy.TabFocus
            and item.isVisible()
            and not item.accessibleName()
            and not isinstance(item.parent(), QAbstractSpinBox)  # which has the name
        ]
        assert nameless == []
    references.appearance.choose(None)


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("12", 12),
        ("12f", 12),
        ("1.5s", 36),
        ("1,5 s", 36),
        ("00:00:01:12", 36),
        ("1:00", 24),
        ("1:00:00", 24 * 60),
        ("+10", 15),
        ("-5f", 0),
        ("-1s", -19),
        ("0.5", None),
        ("", None),
        ("1:2:3:4:5", None),
        ("١٢", None),
        ("9" * 5000, None),
    ],
)
def test_times_are_read_as_editors_write_them(text: str, frame: int | None) -> None:
    assert parse_time(text, 5, FrameRate.parse(24)) == frame
