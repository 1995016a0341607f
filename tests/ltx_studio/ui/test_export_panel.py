"""The export panel, used as a user would. Alone: `pytest tests/ltx_studio/ui/test_export_panel.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QLineEdit, QSpinBox, QWidget
from pytestqt.qtbot import QtBot

from engine.jobs.store import JobStore
from engine.media.export_request import Format
from engine.types import Size
from ltx_studio.ui import words
from tests.fakes.export_panel import ExportDesk
from tests.fakes.exports import FRAMES, SIZE, facts, write_clip
from tests.fakes.library_panel import Library
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def desk(qapp: QApplication, qtbot: QtBot) -> Iterator[ExportDesk]:
    opened = ExportDesk(qapp, qtbot)
    yield opened
    opened.close()


def test_without_a_clip_the_panel_says_what_goes_here(desk: ExportDesk) -> None:
    assert "A clip you export" in desk.shown()
    with desk.qtbot.waitSignal(desk.panel.clip_wanted):
        desk.click("Export the clip on show")


def test_a_clip_is_named_and_what_will_be_made_is_said(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)

    assert desk.text("Clip") == "clip.mp4"
    size = words.size(SIZE)
    assert desk.text("What the clip is") == f"{size} · 24 fps · 1 s · with sound"
    assert desk.text("What will be made").startswith(f"H.264 · {size} · 24 fps · 1 s · about ")
    assert "copied as it is" in desk.text("Notes on the export")


def test_a_file_that_is_no_clip_is_refused_in_words(desk: ExportDesk, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a clip", encoding="utf-8")

    desk.open(tmp_path / "text.mp4")

    assert "cannot be decoded" in desk.text("Why it cannot be exported")
    assert not desk.find(QAbstractButton, "Export").isEnabled()


def test_a_preset_fills_the_form_and_a_change_makes_it_the_users_own(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)

    desk.choose("Preset", "Square post")

    square = words.size(Size(1080, 1080))
    assert desk.find(QComboBox, "Size").currentText() == square
    assert desk.find(QComboBox, "Loudness").currentText() == "-14 LUFS, web"
    assert desk.text("What will be made").startswith(f"H.264 · {square}")
    assert "enlarged" in desk.text("Notes on the export")

    desk.choose("Frame rate", "30 fps")

    assert desk.find(QComboBox, "Preset").currentText() == "Own settings"
    assert "30 fps" in desk.text("What will be made")


def save_as(desk: ExportDesk, name: str) -> None:
    desk.click("Save as preset")
    field = desk.find(QLineEdit, "Name of the preset")
    desk.qtbot.keyClicks(field, name)
    desk.qtbot.keyClick(field, Qt.Key.Key_Return)


def test_settings_are_saved_as_a_preset_and_are_there_the_next_time(
    desk: ExportDesk, clip: Path, qapp: QApplication, qtbot: QtBot
) -> None:
    desk.open(clip)
    desk.choose("Frame rate", "30 fps")

    save_as(desk, "Festival 25 / 30")

    assert desk.find(QComboBox, "Preset").currentText() == "Festival 25 / 30"
    desk.choose("Preset", "Square post")
    desk.choose("Preset", "Festival 25 / 30")
    assert "30 fps" in desk.text("What will be made")
    again = ExportDesk(qapp, qtbot)
    again.open(clip)
    again.choose("Preset", "Festival 25 / 30")
    assert "30 fps" in again.text("What will be made")
    again.close()


def test_a_preset_cannot_be_saved_again_and_the_button_says_why(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    desk.choose("Preset", "Square post")

    button = desk.find(QAbstractButton, "Save as preset")
    assert not button.isEnabled()
    assert "already" in button.toolTip()


def test_esc_leaves_the_name_of_a_preset_and_saves_nothing(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    desk.choose("Frame rate", "30 fps")
    desk.click("Save as preset")
    assert not desk.find(QAbstractButton, "Save the preset").isEnabled()

    desk.qtbot.keyClicks(desk.find(QLineEdit, "Name of the preset"), "Festival")
    desk.qtbot.keyClick(desk.find(QLineEdit, "Name of the preset"), Qt.Key.Key_Escape)

    choice = desk.find(QComboBox, "Preset")
    assert choice.currentText() == "Own settings"
    assert choice.findText("Festival") == -1


def test_a_name_without_letters_is_refused_in_words(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    desk.choose("Frame rate", "30 fps")

    save_as(desk, "...")

    assert "needs a name" in desk.text("Why it cannot be exported")


def test_a_range_is_typed_in_the_clips_own_frames(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)

    for name, text in (("From", "6"), ("To", "00:00:00:18")):
        field = desk.find(QLineEdit, name)
        field.selectAll()
        desk.qtbot.keyClicks(field, text)
        desk.qtbot.keyClick(field, Qt.Key.Key_Return)

    assert desk.state.range == (6, 18)
    assert desk.text("Length of the range") == "00:00:00:12, 12 frames"
    desk.click("Whole clip")
    assert desk.state.range == (0, FRAMES)


def test_a_range_that_ends_before_it_begins_is_refused(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    desk.state.set_range(6, 12)
    field = desk.find(QLineEdit, "From")
    field.selectAll()

    desk.qtbot.keyClicks(field, "20")
    desk.qtbot.keyClick(field, Qt.Key.Key_Return)

    assert "begin before its end" in desk.text("Why it cannot be exported")
    assert desk.state.range == (6, 12)


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("ProRes 422 HQ", "Compression", "ProRes 422 HQ has no quality to choose."),
        ("WAV, sound alone", "Size", "There is no picture in this format."),
        ("GIF", "Loudness", "This format has no sound."),
        ("H.264", "Amount", "Choose quality or bit rate first."),
        ("H.264", "Other shapes", "The size is the clip's, so nothing has to fit."),
        ("ProRes 422 HQ", "Encode on the graphics card", "This format is always encoded by the processor."),
    ],
)
def test_what_cannot_be_chosen_says_why(desk: ExportDesk, clip: Path, kind: str, name: str, reason: str) -> None:
    desk.open(clip)

    desk.choose("Format", kind)

    control = desk.find(QWidget, name)
    assert not control.isEnabled()
    assert control.toolTip() == reason


def test_another_size_is_typed(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    desk.choose("Size", "Other")
    width = desk.find(QSpinBox, "Width")

    width.setValue(32)

    assert desk.state.request.value.settings.size == Size(32, 48)
    assert desk.find(QSpinBox, "Width").isVisible()


def test_the_files_ending_follows_the_format_and_its_name_stays(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)
    field = desk.find(QLineEdit, "File name")
    field.selectAll()
    desk.qtbot.keyClicks(field, "premiere.mp4")
    desk.qtbot.keyClick(field, Qt.Key.Key_Return)

    desk.choose("Format", "ProRes 422 HQ")

    assert desk.find(QLineEdit, "File name").text() == "premiere.mov"


def test_an_export_runs_in_the_background_and_is_revealed(desk: ExportDesk, clip: Path, tmp_path: Path) -> None:
    desk.open(clip)
    desk.choose("Compression", "Quality")
    desk.files_to_choose = [tmp_path / "out.mp4"]
    desk.click("Choose where to save it")

    desk.click("Export")
    desk.wait_for("done")

    assert facts(tmp_path / "out.mp4")["frames"] == FRAMES
    assert desk.text("The last export") == "out.mp4 is done"
    desk.click("Reveal file")
    assert desk.revealed == [tmp_path / "out.mp4"]
    desk.wait(lambda: desk.said == ["out.mp4 is exported."])


def test_the_bar_goes_on_between_two_entries_in_the_queues_file_and_never_back(
    desk: ExportDesk, clip: Path, tmp_path: Path
) -> None:
    desk.open(clip)
    desk.state.name_output(tmp_path / "out.mp4")
    desk.queue.set_paused(True)
    desk.click("Export")
    desk.wait_for("waiting")
    item = desk.state.job.value
    assert item is not None

    def write(fraction: float) -> None:
        with JobStore() as store, store.transaction():  # as its runner does, in another process
            owner = '["elsewhere", 1, 0.0, "token"]'
            store.update(item.id, state="running", owner=owner, heartbeat_s=store.now(), fraction=fraction)
        desk.queue.refresh()
        desk.wait(lambda: desk.queue.snapshot.value.by_id[item.id].job.fraction == fraction)

    seen: list[str] = []
    write(0.2)
    for fraction in (0.5, 0.6):
        desk.state.show_progress(item.id, fraction)
        seen.append(desk.text("The last export"))
    write(0.55)
    seen.append(desk.text("The last export"))
    write(0.8)
    seen.append(desk.text("The last export"))

    assert seen == [f"Exporting out.mp4, {percent} %" for percent in (50, 60, 60, 80)]


def test_an_export_is_cancelled_from_the_panel(desk: ExportDesk, tmp_path: Path) -> None:
    desk.open(write_clip(tmp_path / "long.mp4", num_frames=200, size=Size(320, 240), grain=60))
    desk.choose("Format", "VP9")
    desk.state.name_output(tmp_path / "exports" / "out.webm")
    desk.click("Export")
    desk.wait_for("running")

    desk.click("Cancel this export")
    desk.wait_for("cancelled")

    assert list((tmp_path / "exports").iterdir()) == []
    assert desk.text("The last export") == "out.webm was cancelled"


def test_a_failed_export_says_why(desk: ExportDesk, tmp_path: Path) -> None:
    lost = write_clip(tmp_path / "lost.mp4", num_frames=3)
    desk.open(lost)
    desk.state.name_output(tmp_path / "out.mp4")
    with JobStore() as store:
        store.set_paused(True)
    desk.click("Export")
    desk.wait_for("waiting")
    lost.unlink()

    desk.queue.set_paused(False)
    desk.wait_for("failed")

    assert "there is no such file" in desk.text("The last export")


def test_a_name_in_a_folder_that_cannot_be_made_is_said(desk: ExportDesk, clip: Path, tmp_path: Path) -> None:
    desk.open(clip)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    desk.state.name_output(tmp_path / "file" / "out.mp4")

    desk.click("Export")

    assert "cannot be made" in desk.text("Why it cannot be exported")


def test_added_sound_is_shown_and_taken_away(desk: ExportDesk, clip: Path, tmp_path: Path) -> None:
    desk.open(clip)
    desk.files_to_choose = [tmp_path / "music.wav"]

    desk.click("Add a sound file")
    assert "music.wav" in desk.shown()
    desk.click("Take the added sound away")

    assert desk.state.request.value.added is None
    assert "music.wav" not in desk.shown()


def test_the_settings_of_the_last_export_are_there_the_next_time(
    qapp: QApplication, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    first = ExportDesk(qapp, qtbot)
    first.open(clip)
    first.choose("Format", "ProRes 422 HQ")
    first.click("Leave out how it was made")
    first.state.name_output(tmp_path / "out.mov")
    first.click("Export")
    first.wait_for("done")
    first.close()

    again = ExportDesk(qapp, qtbot)
    again.open(clip)

    settings = again.state.request.value.settings
    assert (settings.format, settings.keeps_metadata) == (Format.PRORES, False)
    assert again.state.output.value == tmp_path / "clip.mov"
    again.close()


def test_every_control_has_a_name(desk: ExportDesk, clip: Path) -> None:
    desk.open(clip)

    kinds = (QAbstractButton, QComboBox, QLineEdit, QSpinBox)
    controls = [item for kind in kinds for item in desk.panel.findChildren(kind)]
    nameless = [
        item
        for item in controls
        if item.focusPolicy() != Qt.FocusPolicy.NoFocus and item.isVisible() and not item.accessibleName()
    ]
    assert [item for item in nameless if not isinstance(item.parent(), QSpinBox)] == []


def test_the_command_opens_the_panel_with_the_clip_and_its_marks(
    open_studio: OpenStudio, clip: Path, qtbot: QtBot
) -> None:
    studio = open_studio()
    studio.window.player.open(clip)
    qtbot.waitUntil(lambda: studio.window.player.clip is not None)
    studio.window.player.set_in(4)
    studio.window.player.set_out(9)

    studio.window.actions_by_name["export"].trigger()
    state = studio.window.exports.state
    qtbot.waitUntil(lambda: state.plan.value is not None)

    assert studio.find(QLabel, "Clip").text() == "clip.mp4"
    assert state.range == (4, 10)


def test_an_export_is_a_row_of_the_queue(open_studio: OpenStudio, clip: Path, tmp_path: Path, qtbot: QtBot) -> None:
    studio = open_studio()
    state = studio.window.exports.state
    state.ask(clip)
    qtbot.waitUntil(lambda: state.plan.value is not None)
    state.choose_preset("wav")
    state.name_output(tmp_path / "out.wav")

    state.export()
    qtbot.waitUntil(lambda: studio.states() == ["done"], timeout=20_000)

    model = studio.window.queue_panel.view.model()
    assert model.index(0, 0).data() == "Export of clip.mp4"
    spoken = model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "WAV, sound alone" in spoken
    assert "out.wav is done" in texts_of(studio.window)


def test_a_clip_of_the_library_is_exported_from_its_menu(qapp: QApplication, qtbot: QtBot, tmp_path: Path) -> None:
    library = Library(tmp_path, qapp, qtbot)
    (path,) = library.add("clip.mp4")

    with qtbot.waitSignal(library.panel.export_requested) as asked:
        library.press(Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)

    assert asked.args == [path]
    library.close()
