"""Files that people really bring, exported from the panel.

Alone: `pytest tests/ltx_studio/ui/test_hostile_exports.py`.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractButton, QApplication
from pytestqt.qtbot import QtBot

from tests.fakes.export_panel import ExportDesk
from tests.fakes.exports import facts, write_clip
from tests.fakes.hostile_inputs import INPUTS, Hostile, errors_in, is_clear
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
by_name = pytest.mark.parametrize("hostile", INPUTS, ids=lambda hostile: hostile.name)
NOWHERE = Path("/proc/made.mp4")  # a folder that not even an administrator may write into


@pytest.fixture
def desk(qapp: QApplication, qtbot: QtBot) -> Iterator[ExportDesk]:
    opened = ExportDesk(qapp, qtbot)
    yield opened
    opened.close()


def problem(desk: ExportDesk) -> str:
    return desk.text("Why it cannot be exported")


@by_name
def test_a_file_is_exported_or_refused_in_a_sentence(
    desk: ExportDesk, tmp_path: Path, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    path = hostile.make(tmp_path / "brought")
    before = path.read_bytes()
    desk.open(path)

    if not desk.find(QAbstractButton, "Export").isEnabled():
        assert hostile.kind in {"nothing", "sound"} or hostile.size.width > 8192, problem(desk)
        assert is_clear(problem(desk)), problem(desk)
    else:
        assert hostile.kind != "nothing"
        desk.state.name_output(tmp_path / "made" / desk.state.output.value.name)
        desk.click("Export")
        desk.wait_for("done")
        found = facts(tmp_path / "made" / desk.state.output.value.name)
        if hostile.kind != "sound":
            plan = desk.state.plan.value
            assert plan is not None and plan.picture is not None
            assert found["size"] == (plan.picture.size.width, plan.picture.size.height)
            seconds = Fraction(hostile.num_frames) / hostile.frame_rate
            assert found["frames"] / found["rate"] == pytest.approx(float(seconds), rel=0.25) or hostile.num_frames == 1
        assert ("sound" in found) == hostile.has_sound
    assert path.read_bytes() == before
    assert errors_in(caplog.records) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the folder that nobody may write into is Linux's")
def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(
    desk: ExportDesk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk.open(write_clip(tmp_path / "clip.mp4"))
    desk.state.name_output(NOWHERE)

    desk.click("Export")
    desk.wait(lambda: bool(desk.state.problem.value))

    assert is_clear(problem(desk)), problem(desk)
    assert errors_in(caplog.records) == []


def test_a_clip_whose_drive_is_unplugged_before_the_button_is_pressed_is_refused_in_a_sentence(
    desk: ExportDesk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    desk.open(path)
    desk.state.name_output(tmp_path / "made.mp4")
    path.unlink()

    desk.click("Export")
    desk.wait(lambda: bool(desk.state.problem.value))

    assert "there is no such file" in problem(desk)
    assert is_clear(problem(desk))
    assert not (tmp_path / "made.mp4").exists()
    assert errors_in(caplog.records) == []


def test_a_clip_whose_drive_is_unplugged_while_it_waits_fails_in_a_sentence(
    desk: ExportDesk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    desk.open(path)
    desk.state.name_output(tmp_path / "made.mp4")
    desk.queue.set_paused(True)
    desk.click("Export")
    desk.wait_for("waiting")
    path.unlink()

    desk.queue.set_paused(False)
    desk.wait_for("failed")

    assert is_clear(desk.text("The last export")), desk.text("The last export")
    assert not (tmp_path / "made.mp4").exists()
    assert errors_in(caplog.records) == []
