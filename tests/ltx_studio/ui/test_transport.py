"""Playing, marking, zooming and going to times by hand. Alone: `pytest tests/ltx_studio/ui/test_transport.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from ltx_studio.domain.playback import SILENCE_DB
from ltx_studio.ui.cinema import Cinema
from ltx_studio.ui.level_meter import LevelMeter
from ltx_studio.ui.picture_view import PictureView
from ltx_studio.ui.theme import Appearance
from tests.fakes.clips import write_numbered_clip
from tests.fakes.stage import StageWindow
from tests.fakes.studio import OFFSCREEN_REMARK, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)

NUM_FRAMES = 60


@pytest.fixture
def studio(qapp: QApplication, tmp_path: Path, qtbot: QtBot) -> Iterator[StageWindow]:
    """A window with a clip of two and a half seconds in its player; the keys go to the picture."""
    studio = StageWindow(qapp, qtbot)
    with qtbot.waitSignal(studio.player.clip_opened):
        studio.player.open(write_numbered_clip(tmp_path / "clip.mp4", NUM_FRAMES))
    qtbot.waitUntil(lambda: "clip.mp4" in texts_of(studio.viewer))
    picture_of(studio).setFocus()
    yield studio
    studio.close()


def picture_of(studio: StageWindow) -> PictureView:
    return studio.find(PictureView, "Picture")


def press(studio: StageWindow, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    studio.qtbot.keyClick(QApplication.focusWidget() or studio.window, key, modifier)


def turn_wheel(picture: QWidget, place: QPoint, notches: int) -> None:
    event = QWheelEvent(
        *(QPointF(place), QPointF(picture.mapToGlobal(place)), QPoint(), QPoint(0, 120 * notches)),
        *(Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False),
    )
    QApplication.sendEvent(picture, event)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_j_k_and_l_shuttle_and_the_window_says_how_fast(studio: StageWindow) -> None:
    player = studio.player
    press(studio, Qt.Key.Key_L)
    press(studio, Qt.Key.Key_L)
    assert player.speed == 2
    assert "2\N{MULTIPLICATION SIGN}, silent" in texts_of(studio.viewer)
    press(studio, Qt.Key.Key_J)
    assert player.speed == -1
    press(studio, Qt.Key.Key_K)

    assert player.speed == 0


def test_shift_with_an_arrow_moves_by_a_second(studio: StageWindow) -> None:
    press(studio, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    press(studio, Qt.Key.Key_Right)
    assert studio.player.frame == 25
    press(studio, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)

    assert studio.player.frame == 1


def test_i_and_o_mark_and_are_cleared(studio: StageWindow) -> None:
    player = studio.player
    player.seek(10)
    press(studio, Qt.Key.Key_I)
    player.seek(30)
    press(studio, Qt.Key.Key_O)
    assert (player.in_frame, player.out_frame) == (10, 30)
    press(studio, Qt.Key.Key_I, Qt.KeyboardModifier.ShiftModifier)
    assert player.frame == 10
    press(studio, Qt.Key.Key_X, Qt.KeyboardModifier.AltModifier)

    assert player.marked == (0, NUM_FRAMES - 1)


def test_the_loop_is_seen_on_its_button(studio: StageWindow) -> None:
    button = studio.find(QToolButton, "Loop")
    studio.click("Loop")
    assert studio.player.is_looping and button.isChecked()
    press(studio, Qt.Key.Key_Slash, Qt.KeyboardModifier.ControlModifier)

    assert not studio.player.is_looping and not button.isChecked()


# --- a time that is typed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "frame"), [("12", 12), ("1.5s", 36), ("00:00:01:12", 36), ("+10", 15), ("-5f", 0)])
def test_a_time_can_be_typed_in_every_way(studio: StageWindow, typed: str, frame: int, qtbot: QtBot) -> None:
    studio.player.seek(5)
    press(studio, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    field = QApplication.focusWidget()
    assert isinstance(field, QLineEdit)

    qtbot.keyClicks(field, typed)
    qtbot.keyClick(field, Qt.Key.Key_Return)

    assert studio.player.frame == frame
    assert QApplication.focusWidget() is picture_of(studio)


def test_a_time_that_is_none_is_refused_and_esc_leaves_all_as_it_was(studio: StageWindow, qtbot: QtBot) -> None:
    studio.player.seek(5)
    field = studio.find(QLineEdit, "Time")
    field.setFocus()
    qtbot.keyClicks(field, "soon")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert "is not a time" in field.accessibleDescription()
    qtbot.keyClick(field, Qt.Key.Key_Escape)

    assert studio.player.frame == 5
    assert field.text() == "00:00:00:05"


# --- the picture ------------------------------------------------------------------------------------------------------


def test_the_wheel_zooms_around_the_mouse_and_a_double_click_fits_again(studio: StageWindow, qtbot: QtBot) -> None:
    picture = picture_of(studio)
    fitted = picture.picture_rect()
    place = fitted.center().toPoint() + QPoint(round(fitted.width() / 4), round(fitted.height() / 8))
    under_mouse = (place.x() - fitted.x()) / fitted.width()

    turn_wheel(picture, place, 6)
    zoomed = picture.picture_rect()
    assert zoomed.width() == pytest.approx(8 * fitted.width(), rel=0.01)
    assert (place.x() - zoomed.x()) / zoomed.width() == pytest.approx(under_mouse)
    qtbot.mouseDClick(picture, Qt.MouseButton.LeftButton, pos=place)

    assert picture.picture_rect() == fitted


def test_a_drag_pans_and_does_not_play(studio: StageWindow, qtbot: QtBot) -> None:
    picture = picture_of(studio)
    turn_wheel(picture, picture.rect().center(), 10)
    before = picture.picture_rect().x()
    start = picture.rect().center()

    qtbot.mousePress(picture, Qt.MouseButton.LeftButton, pos=start)
    for x in (10, 30, 50):
        qtbot.mouseMove(picture, start + QPoint(x, 0))
    qtbot.mouseRelease(picture, Qt.MouseButton.LeftButton, pos=start + QPoint(50, 0))

    assert picture.picture_rect().x() == pytest.approx(before + 50)
    assert not studio.player.is_playing


def test_the_size_is_said_and_a_press_shows_100_percent(studio: StageWindow) -> None:
    button = studio.find(QToolButton, "Size of the picture")
    assert button.text().startswith("Fit")
    studio.click("Size of the picture")

    assert button.text() == "100 %"
    assert picture_of(studio).picture_rect().width() * picture_of(studio).devicePixelRatioF() == pytest.approx(64)


def test_f_shows_the_picture_alone_the_keys_work_there_and_esc_leaves(studio: StageWindow, qtbot: QtBot) -> None:
    press(studio, Qt.Key.Key_F)
    cinema = studio.window.findChild(Cinema)
    assert cinema is not None
    qtbot.waitUntil(lambda: QApplication.activeWindow() is cinema)
    assert cinema.isFullScreen()
    qtbot.keyClick(cinema.picture, Qt.Key.Key_Right)
    assert studio.player.frame == 1
    qtbot.keyClick(cinema.picture, Qt.Key.Key_Escape)

    assert not cinema.isVisible()


# --- sound ------------------------------------------------------------------------------------------------------------


def test_a_clip_without_sound_says_so_where_the_volume_is(studio: StageWindow) -> None:
    volume = studio.find(QWidget, "Volume")

    assert not volume.isEnabled()
    assert volume.toolTip() == "This clip has no sound."


def test_the_meter_rises_with_the_sound_and_says_it_in_words(qapp: QApplication, qtbot: QtBot) -> None:
    level = (0.5, 0.0)
    meter = LevelMeter(lambda: level, Appearance(qapp))
    qtbot.addWidget(meter)
    meter.set_running(True)
    qtbot.waitUntil(lambda: meter.needles[0].shown_db > -7)
    assert meter.toolTip() == "Left -6 dB, right silent, of full scale"
    level = (0.0, 0.0)
    meter.set_running(False)

    qtbot.waitUntil(lambda: meter.needles[0].shown_db == SILENCE_DB, timeout=10_000)
