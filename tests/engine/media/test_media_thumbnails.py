"""Thumbnails, filmstrips and waveforms. Alone: `pytest tests/engine/media/test_media_thumbnails.py`."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError
from engine.media import thumbnails
from engine.media.audio import SoundClip
from engine.media.thumbnails import filmstrip, first_picture, fitted, sound_peaks
from engine.media.write import ClipWriter
from engine.types import FrameRate, Size
from tests.fakes.clips import number_of, write_numbered_clip

BOX = Size(32, 32)


def numbers(path: Path, num_pictures: int) -> list[int]:
    return [number_of(int(picture.mean())) for picture in filmstrip(path, num_pictures, BOX)]


def test_the_first_picture_is_the_first_frame_in_the_box(tmp_path: Path) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 9)

    picture = first_picture(clip, BOX)

    assert picture.shape == (16, 32, 3)  # of 64 x 32 pixels
    assert number_of(int(picture.mean())) == 0


def test_pictures_are_never_enlarged(tmp_path: Path) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 2)

    assert first_picture(clip, Size(500, 500)).shape == (32, 64, 3)


def test_a_filmstrip_goes_from_the_first_frame_to_the_last_in_even_steps(tmp_path: Path) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mkv", 17)

    assert numbers(clip, 5) == [0, 4, 8, 12, 16]


def test_a_clip_with_few_frames_shows_them_more_than_once(tmp_path: Path) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 2)

    assert numbers(clip, 4) == [0, 0, 1, 1]


def test_a_long_clip_shows_its_key_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_numbered_clip(tmp_path / "clip.mp4", 17)
    monkeypatch.setattr(thumbnails, "MAX_FRAMES_IN_ONE_PASS", 10)

    assert numbers(clip, 3) == [0, 0, 0]  # x264 makes one key frame in seventeen


@pytest.mark.parametrize("content", [b"", b"no clip at all" * 50])
def test_a_file_that_is_no_clip_is_refused_with_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    with pytest.raises(MediaError, match=r"clip\.mp4"):
        first_picture(path, BOX)


def test_a_clip_cut_short_still_gives_every_picture(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    noise = np.random.default_rng(0).integers(0, 255, (24, 64, 128, 3), np.uint8)
    with ClipWriter(path, size=Size(128, 64), frame_rate=FrameRate.parse(24)) as writer:
        writer.write(noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])

    assert len(list(filmstrip(path, 6, BOX))) == 6


def test_fitting_keeps_the_proportions() -> None:
    assert fitted(Size(1280, 704), Size(320, 320)) == Size(320, 176)
    assert fitted(Size(704, 1280), Size(320, 320)) == Size(176, 320)
    assert fitted(Size(4000, 1), Size(40, 40)) == Size(40, 1)


def test_peaks_are_the_lowest_and_highest_sample_of_each_stretch() -> None:
    samples = np.array([[0.1, -0.2, 0.3, 0.4, -0.5, 0.6]], np.float32)

    peaks = sound_peaks(SoundClip(samples, 48_000), 3)

    assert peaks.shape == (1, 3, 2)
    np.testing.assert_allclose(peaks[0], [[-0.2, 0.1], [0.3, 0.4], [-0.5, 0.6]])


@pytest.mark.parametrize("num_samples", [0, 1, 5])
def test_a_sound_shorter_than_its_picture_has_peaks_too(num_samples: int) -> None:
    peaks = sound_peaks(SoundClip(np.full((2, num_samples), 0.5, np.float32), 48_000), 16)

    assert peaks.shape == (2, 16, 2)
    assert np.all(peaks == (0.5 if num_samples else 0))
