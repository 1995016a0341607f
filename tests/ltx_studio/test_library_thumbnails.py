"""Thumbnails in the window: never waited for, kept on disk, and honest about files that are gone.

Alone: `pytest tests/ltx_studio/test_library_thumbnails.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.media.write import write_wav
from ltx_studio.services import thumbnails as module
from ltx_studio.services.thumbnails import Problem, Source, Thumbnails
from tests.fakes.clips import write_numbered_clip
from tests.fakes.library import write_clip

BOX = QSize(64, 36)


@pytest.fixture
def thumbnails(qapp: QApplication, studio_home: Path) -> Iterator[Thumbnails]:
    made = Thumbnails(studio_home / "thumbnails")
    yield made
    made.close()


def source_of(path: Path, *, is_sound: bool = False) -> Source:
    status = path.stat()
    return Source(path, status.st_mtime_ns, status.st_size, is_sound=is_sound)


def wait_for_picture(thumbnails: Thumbnails, source: Source, qtbot: QtBot, box: QSize = BOX) -> QPixmap:
    qtbot.waitUntil(lambda: thumbnails.picture(source, box) is not None)
    picture = thumbnails.picture(source, box)
    assert picture is not None
    return picture


def grey(picture: QPixmap) -> int:
    image = picture.toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2).red()


def test_the_first_question_is_answered_later_and_the_next_at_once(
    thumbnails: Thumbnails, tmp_path: Path, qtbot: QtBot
) -> None:
    source = source_of(write_clip(tmp_path / "a.mp4", grey=120))

    with qtbot.waitSignal(thumbnails.changed) as changed:
        assert thumbnails.picture(source, BOX) is None

    assert changed.args == [source]
    picture = thumbnails.picture(source, BOX)
    assert picture is not None
    assert picture.size() == BOX
    assert abs(grey(picture) - 120) <= 3


def test_a_picture_outlives_the_program_and_the_drive(
    thumbnails: Thumbnails, studio_home: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    path = write_clip(tmp_path / "a.mp4", grey=120)
    source = source_of(path)
    wait_for_picture(thumbnails, source, qtbot)
    thumbnails.close()
    path.unlink()

    later = Thumbnails(studio_home / "thumbnails")
    picture = wait_for_picture(later, source, qtbot)

    assert abs(grey(picture) - 120) <= 3
    assert later.problem(source) is Problem.MISSING
    later.close()


def test_a_file_that_changed_gets_another_picture(thumbnails: Thumbnails, tmp_path: Path, qtbot: QtBot) -> None:
    path = write_clip(tmp_path / "a.mp4", grey=60)
    wait_for_picture(thumbnails, source_of(path), qtbot)
    write_clip(path, "another", grey=200)

    assert abs(grey(wait_for_picture(thumbnails, source_of(path), qtbot)) - 200) <= 3


def test_moving_over_a_clip_shows_its_frames(thumbnails: Thumbnails, tmp_path: Path, qtbot: QtBot) -> None:
    source = source_of(write_numbered_clip(tmp_path / "a.mp4", 33))
    qtbot.waitUntil(lambda: thumbnails.strip_picture(source, BOX, 0.0) is not None)

    shown = [thumbnails.strip_picture(source, BOX, fraction) for fraction in (0.0, 0.5, 1.0)]

    greys = [grey(picture) for picture in shown if picture is not None]
    assert greys == sorted(greys)
    assert greys == pytest.approx([0, 64, 128], abs=14)  # a strip has sixteen pictures of the thirty-three frames


@pytest.mark.parametrize(("content", "problem"), [(b"no clip", Problem.UNREADABLE), (None, Problem.MISSING)])
def test_a_file_without_a_picture_says_why(
    content: bytes | None, problem: Problem, thumbnails: Thumbnails, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content or b"")
    source = source_of(path)
    if content is None:
        path.unlink()

    with qtbot.waitSignal(thumbnails.changed):
        thumbnails.picture(source, BOX)

    assert thumbnails.problem(source) is problem
    assert thumbnails.picture(source, BOX) is None


def test_a_sound_shows_its_waveform_in_the_given_colour(thumbnails: Thumbnails, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, np.full((1, 4800), 0.5, np.float32), 48_000)
    thumbnails.set_sound_colour(QColor("tomato"))

    image = wait_for_picture(thumbnails, source_of(path, is_sound=True), qtbot).toImage()

    assert image.pixelColor(32, 14).name() == QColor("tomato").name()  # between nothing and half of full scale
    assert image.pixelColor(32, 3).alpha() == 0
    assert image.pixelColor(32, 30).alpha() == 0


def test_questions_nobody_repeats_are_dropped(
    thumbnails: Thumbnails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    sources = [source_of(write_clip(tmp_path / f"{number}.mp4")) for number in range(12)]
    answered: list[Source] = []
    thumbnails.changed.connect(answered.append)

    for source in sources:
        thumbnails.picture(source, BOX)

    qtbot.waitUntil(lambda: sources[-1] in answered)
    assert len(answered) < len(sources)


def test_memory_is_bounded_and_what_was_dropped_comes_back_from_disk(
    thumbnails: Thumbnails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 3 * BOX.width() * BOX.height() * 4)
    sources = [source_of(write_clip(tmp_path / f"{number}.mp4")) for number in range(5)]
    for source in sources:
        wait_for_picture(thumbnails, source, qtbot)
    for path in tmp_path.glob("*.mp4"):
        path.rename(path.with_suffix(".away"))

    assert thumbnails.picture(sources[0], BOX) is None
    wait_for_picture(thumbnails, sources[0], qtbot)


def test_the_oldest_pictures_on_disk_make_room(
    qapp: QApplication, studio_home: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    folder = studio_home / "thumbnails" / "ab"
    folder.mkdir(parents=True)
    for age in range(4):
        path = folder / f"{age}.picture.jpg"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - age, 1000 - age))
    monkeypatch.setattr(module, "DISK_BYTES", 250)

    made = Thumbnails(studio_home / "thumbnails")
    qtbot.waitUntil(lambda: len(list(folder.iterdir())) == 2)
    made.close()

    assert sorted(path.name for path in folder.iterdir()) == ["0.picture.jpg", "1.picture.jpg"]
