"""Files that people really bring, opened in the player.

Alone: `pytest tests/ltx_studio/services/test_hostile_playback.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ltx_studio.services.player import Player
from tests.fakes.clips import write_numbered_clip
from tests.fakes.hostile_inputs import INPUTS, Hostile, errors_in, is_clear

by_name = pytest.mark.parametrize("hostile", INPUTS, ids=lambda hostile: hostile.name)
CLIPS = [hostile for hostile in INPUTS if hostile.kind in {"clip", "picture"}]


class Viewer:
    """What somebody in front of the player sees and is told."""

    def __init__(self, player: Player, qtbot: QtBot) -> None:
        self.player, self.qtbot = player, qtbot
        self.refusals: list[str] = []
        self.pictures: list[QImage] = []
        player.clip_refused.connect(self.refusals.append)
        player.picture_changed.connect(self.pictures.append)

    def open(self, path: Path) -> None:
        """Until it is shown or refused."""
        self.pictures.clear()
        self.player.open(path)
        self.qtbot.waitUntil(lambda: bool(self.refusals or self.pictures))


@pytest.fixture
def viewer(qapp: object, qtbot: QtBot, tmp_path: Path) -> Iterator[Viewer]:
    """With a good clip on show, which a bad one may not cost."""
    player = Player()
    viewer = Viewer(player, qtbot)
    viewer.open(write_numbered_clip(tmp_path / "good.mp4", 9))
    yield viewer
    player.close()


@by_name
def test_a_file_is_shown_or_refused_in_a_sentence(
    viewer: Viewer, tmp_path: Path, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    path = hostile.make(tmp_path / "brought")

    viewer.open(path)

    clip = viewer.player.clip
    assert clip is not None
    if hostile.kind in {"nothing", "sound"}:
        (words,) = viewer.refusals
        assert is_clear(words), words
        assert clip.path.name == "good.mp4"
    else:
        assert clip.path == path
        assert (clip.facts.size, clip.facts.frames) == (hostile.size, hostile.num_frames)
        assert (clip.facts.audio_sample_rate is not None) == hostile.has_sound
        assert viewer.pictures[-1].height() == hostile.size.height
    assert errors_in(caplog.records) == []


@pytest.mark.parametrize("hostile", CLIPS, ids=lambda hostile: hostile.name)
def test_every_frame_of_what_is_shown_can_be_gone_to(viewer: Viewer, tmp_path: Path, hostile: Hostile) -> None:
    viewer.open(hostile.make(tmp_path / "brought"))

    for frame in (hostile.num_frames - 1, hostile.num_frames // 2, 0):
        if frame != viewer.player.frame:
            viewer.pictures.clear()
            viewer.player.seek(frame)
            viewer.qtbot.waitUntil(lambda: bool(viewer.pictures))
        assert viewer.player.frame == frame


def test_a_clip_whose_drive_is_unplugged_stays_as_far_as_it_was_read(
    viewer: Viewer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_numbered_clip(tmp_path / "drive.mp4", 9)
    viewer.open(path)
    path.unlink()

    viewer.player.seek(8)
    viewer.player.play()
    viewer.player.pause()
    viewer.open(path)

    (words,) = viewer.refusals
    assert "there is no such file" in words
    assert is_clear(words)
    assert viewer.player.clip is not None
    assert errors_in(caplog.records) == []
