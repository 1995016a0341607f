"""The part of a sound or a clip that a card uses. Alone: `pytest tests/ltx_studio/ui/test_reference_trim.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from engine.request import WHOLE, Trim
from ltx_studio.domain.references import Role
from ltx_studio.ui.reference_preview import Waveform
from tests.fakes.clips import write_numbered_clip
from tests.fakes.studio import OFFSCREEN_REMARK
from tests.ltx_studio.services.test_reference_probe import write_sound
from tests.ltx_studio.test_references_panel import References, files

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


@pytest.fixture
def references(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[References]:
    opened = References(tmp_path, qapp, qtbot)
    yield opened
    opened.panel.close_threads()
    opened.panel.close()
    opened.panel.deleteLater()
    opened.session.deleteLater()


def named_field(references: References, name: str) -> QLineEdit:
    fields = references.card().findChildren(QLineEdit)
    return next(field for field in fields if field.accessibleName() == name and field.isVisible())


def write_into(references: References, name: str, text: str) -> None:
    field = named_field(references, name)
    field.setFocus()
    field.selectAll()
    references.qtbot.keyClicks(field, text)
    references.press(field, Qt.Key.Key_Return)


def test_the_part_of_a_sound_that_is_followed_is_typed_and_undone(references: References) -> None:
    references.drop(files(write_sound(references.folder / "voice.wav", 4.0)))
    assert references.session.request.value.audio_trim == WHOLE

    write_into(references, "From", "1.5s")
    write_into(references, "To", "00:00:03:00")

    assert references.session.request.value.audio_trim == Trim(1.5, 3.0)
    assert "After 1.5 s the clip is silent." in references.words()
    assert "uses 38 % of it" in references.card().findChild(Waveform).accessibleName()  # pyright: ignore
    references.click("Undo")
    assert references.session.request.value.audio_trim == Trim(1.5)
    references.click("Undo")
    assert references.session.request.value.audio_trim == WHOLE


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("From", "9s", "outside the clip"),
        ("From", "soon", "is no time"),
        ("To", "0", "has to begin before its end"),
        ("From", "96", "outside the clip"),
    ],
)
def test_a_part_that_cannot_be_is_said_on_the_card_and_changes_nothing(
    references: References, name: str, text: str, said: str
) -> None:
    references.drop(files(write_sound(references.folder / "voice.wav", 4.0)))

    write_into(references, name, text)

    assert said in references.words()
    assert references.session.request.value.audio_trim == WHOLE


def test_the_part_of_a_clip_is_counted_in_its_own_frames(references: References) -> None:
    references.drop(files(write_numbered_clip(references.folder / "walk.mp4", 60)))
    references.state.set_role(references.state.cards[0], Role.VIDEO)
    references.wait()

    write_into(references, "From", "6")

    assert references.state.cards[0].trim == Trim(0.25)
    assert named_field(references, "To").text() == "00:00:02:12"


def test_pictures_have_no_part(references: References) -> None:
    references.add("a.png")

    fields = references.card().findChildren(QLineEdit)
    assert not [field for field in fields if field.accessibleName() in {"From", "To"} and field.isVisible()]


def test_another_file_is_used_from_its_beginning(references: References) -> None:
    references.drop(files(write_sound(references.folder / "voice.wav", 4.0)))
    write_into(references, "From", "1.5s")
    references.to_choose = [write_sound(references.folder / "other.wav", 1.0)]

    references.press(references.card(), Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    references.wait()

    assert references.names() == ["other.wav"]
    assert references.session.request.value.audio_trim == WHOLE
