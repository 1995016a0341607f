"""The volume that is remembered. Alone: `pytest tests/ltx_studio/ui/test_volume_memory.py`."""

import json

import pytest

from ltx_studio.settings import VOLUME, SettingsFile
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)


def test_the_volume_is_as_it_was_when_the_studio_was_closed(open_studio: OpenStudio) -> None:
    first = open_studio()
    first.window.player.set_volume(0.35)
    first.close()

    again = open_studio()

    assert again.window.player.volume == pytest.approx(0.35)


def test_a_volume_that_rests_is_written_before_the_studio_is_closed(open_studio: OpenStudio) -> None:
    studio = open_studio()

    for volume in (0.9, 0.7, 0.5):  # as a slider on its way
        studio.window.player.set_volume(volume)

    studio.qtbot.waitUntil(lambda: SettingsFile().get(VOLUME) == 50)


def test_a_muted_player_is_heard_at_the_next_start(open_studio: OpenStudio) -> None:
    first = open_studio()
    first.window.player.set_muted(True)
    first.close()

    assert not open_studio().window.player.is_muted


@pytest.mark.parametrize("written", ["loud", -1, 101, True, 0.5])
def test_a_volume_that_cannot_be_counts_as_none(open_studio: OpenStudio, written: object) -> None:
    file = SettingsFile()
    file.path.write_text(json.dumps({"volume": written}), encoding="utf-8")

    assert open_studio().window.player.volume == 1.0
