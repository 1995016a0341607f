"""Files that people really bring, dropped on the references panel.

Alone: `pytest tests/ltx_studio/ui/test_hostile_references.py`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.references import Kind, MediaFacts
from ltx_studio.ui.reference_notes import Refusals
from tests.fakes.hostile_inputs import HUGE_PROMPT, INPUTS, RIGHT_TO_LEFT, Hostile, errors_in, is_clear
from tests.fakes.studio import OFFSCREEN_REMARK
from tests.ltx_studio.test_references_panel import References, files

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
by_name = pytest.mark.parametrize("hostile", INPUTS, ids=lambda hostile: hostile.name)


@pytest.fixture
def references(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[References]:
    """With one good picture in it, which nothing may cost."""
    opened = References(tmp_path, qapp, qtbot)
    opened.add("good.png")
    yield opened
    opened.panel.close_threads()
    opened.panel.close()
    opened.panel.deleteLater()
    opened.session.deleteLater()


def refusals(references: References) -> str:
    (notes,) = references.panel.findChildren(Refusals)
    return notes.accessibleName() if notes.isVisible() else ""


@by_name
def test_a_file_becomes_a_card_or_is_refused_in_a_sentence(
    references: References, tmp_path: Path, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    path = hostile.make(tmp_path / "brought")

    references.drop(files(path))

    if hostile.kind == "nothing":
        assert references.names() == ["good.png"]
        assert is_clear(refusals(references)), refusals(references)
        assert path.name in refusals(references)
    else:
        assert references.names() == ["good.png", path.name]
        facts = references.state.finding(path)
        assert isinstance(facts, MediaFacts)
        assert facts.kind is Kind(hostile.kind)
        assert (facts.sound_s is not None) == hostile.has_sound
        if facts.kind is not Kind.SOUND:
            assert facts.size == hostile.size
        if facts.kind is Kind.CLIP:
            assert facts.frame_rate is not None
            assert (facts.frames, facts.frame_rate.value) == (hostile.num_frames, hostile.frame_rate)
        assert refusals(references) == ""
    assert errors_in(caplog.records) == []


def test_all_of_them_at_once_leave_what_can_be_used(references: References, tmp_path: Path) -> None:
    paths = [hostile.make(tmp_path / f"brought {number}") for number, hostile in enumerate(INPUTS)]

    references.drop(files(*paths))

    usable = [path.name for path, hostile in zip(paths, INPUTS, strict=True) if hostile.kind != "nothing"]
    assert references.names() == ["good.png", *usable]
    references.click("Undo")
    assert references.names() == ["good.png"]


def test_a_file_whose_drive_is_unplugged_keeps_its_card_and_is_refused_when_it_is_brought_again(
    references: References, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drive = tmp_path / "drive"
    path = INPUTS[-1].make(drive)
    references.drop(files(path))
    shutil.rmtree(drive)

    references.drop(files(path))

    assert references.names() == ["good.png", path.name]
    assert "there is no such file" in refusals(references)
    assert is_clear(refusals(references))
    assert errors_in(caplog.records) == []


@pytest.mark.parametrize("prompt", [HUGE_PROMPT, RIGHT_TO_LEFT], ids=["huge", "right to left"])
def test_a_prompt_of_any_kind_leaves_the_references_alone(references: References, prompt: str) -> None:
    references.session.edit(prompt=prompt)

    assert references.session.request.value.prompt == prompt
    assert [image.path.name for image in references.session.request.value.images] == ["good.png"]
