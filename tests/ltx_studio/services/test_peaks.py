"""Outlines of sounds. Alone: `pytest tests/ltx_studio/services/test_peaks.py`."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.media.write import write_wav
from ltx_studio.services.peaks import COLUMNS_PER_S, LEVEL_STEP, NUM_LEVELS, Outline, Peaks
from ltx_studio.services.thumbnails import Source


@pytest.fixture
def peaks(tmp_path: Path) -> Iterator[Peaks]:
    peaks = Peaks(tmp_path / "peaks")
    yield peaks
    peaks.close()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A second of silence, then one of full scale on one side and half on the other."""
    samples = np.zeros((2, 96_000), np.float32)
    samples[0, 48_000:] = 0.999
    samples[1, 48_000:] = -0.5
    path = tmp_path / "step.wav"
    write_wav(path, samples, 48_000)
    status = path.stat()
    return Source(path, status.st_mtime_ns, status.st_size)


def outline_of(peaks: Peaks, source: Source, qtbot: QtBot) -> Outline:
    with qtbot.waitSignal(peaks.changed):
        assert peaks.outline(source) is None
    outline = peaks.outline(source)
    assert outline is not None
    return outline


def test_an_outline_is_of_both_sides_and_comes_when_it_is_ready(peaks: Peaks, source: Source, qtbot: QtBot) -> None:
    lowest, highest = outline_of(peaks, source, qtbot).levels[0]

    assert len(lowest) == 2 * COLUMNS_PER_S
    assert (lowest[:999] == 0).all() and (highest[:999] == 0).all()
    assert highest[1500] == pytest.approx(1, abs=0.02) and lowest[1500] == pytest.approx(-0.5, abs=0.02)


def test_coarser_levels_lose_no_extreme() -> None:
    finest = np.random.default_rng(3).uniform(-1, 1, (2, 5000)).astype(np.float32)

    levels = Outline.of_finest(finest).levels

    assert len(levels) == NUM_LEVELS
    for finer, coarser in pairwise(levels):
        assert coarser.shape[1] == -(-finer.shape[1] // LEVEL_STEP)
        assert coarser[0].min() == finest[0].min() and coarser[1].max() == finest[1].max()


def test_an_outline_is_kept_for_the_next_time(peaks: Peaks, source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    before = outline_of(peaks, source, qtbot)
    source.path.unlink()
    again = Peaks(tmp_path / "peaks")

    after = outline_of(again, source, qtbot)
    again.close()

    assert np.abs(after.levels[0] - before.levels[0]).max() < 1 / 127


def test_a_damaged_one_is_made_again(peaks: Peaks, source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    outline_of(peaks, source, qtbot)
    for kept in (tmp_path / "peaks").iterdir():
        kept.write_bytes(b"damaged")
    again = Peaks(tmp_path / "peaks")

    outline = outline_of(again, source, qtbot)
    again.close()

    assert outline.levels[0].shape[1] == 2 * COLUMNS_PER_S


def test_what_has_no_sound_has_no_outline(peaks: Peaks, tmp_path: Path, qtbot: QtBot) -> None:
    gone = Source(tmp_path / "gone.mp4", 0, 0)

    with qtbot.waitSignal(peaks.changed):
        peaks.outline(gone)

    assert peaks.outline(gone) is None
