"""Edges as a control signal. Alone: `pytest tests/engine/media/test_canny.py`."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engine.errors import MediaError, RequestError
from engine.media.canny import edges, write_edges
from engine.media.read import probe_clip, read_frames
from engine.media.write import ClipWriter, VideoEncoding
from engine.types import FrameRate, Size

Pixels = NDArray[np.uint8]


def pattern() -> Pixels:
    """Curves, stripes and a disc, in whole numbers."""
    rows, columns = np.mgrid[:90, :120]
    return np.stack(
        [
            (columns * columns * 7 + rows * rows * 3 + columns * rows) // 37 % 256,
            (columns * 5 + rows * 11) // 3 % 256,
            ((columns - 60) ** 2 + (rows - 45) ** 2 < 900) * 190 + columns // 3,
        ],
        axis=2,
    ).astype(np.uint8)


def disc(radius: int = 30) -> Pixels:
    rows, columns = np.mgrid[:100, :120]
    return np.where((columns - 60) ** 2 + (rows - 50) ** 2 < radius**2, 200, 20).astype(np.uint8)


def write_clip(path: Path, pictures: Pixels) -> Path:
    size = Size(pictures.shape[2], pictures.shape[1])
    encoding = VideoEncoding(codec="libx264rgb", pixel_format="rgb24", crf=0)
    with ClipWriter(path, size=size, frame_rate=FrameRate.parse("30000/1001"), video_encoding=encoding) as writer:
        writer.write(pictures)
    return path


@pytest.mark.parametrize(
    ("low", "high", "num_pixels", "digest"),
    [
        (100, 200, 1259, "b7d78c13fe2ed4d2"),
        (400, 700, 147, "5a4591e84bcaf182"),
        (30, 60, 2286, "61e7ca71b2c04447"),
    ],
)
def test_every_pixel_is_that_of_opencv(low: int, high: int, num_pixels: int, digest: str) -> None:
    """What cv2.Canny 5.0.0 makes of cv2.cvtColor(pattern, COLOR_RGB2GRAY)."""
    drawn = edges(pattern(), low=low, high=high) > 0

    assert drawn.sum() == num_pixels
    assert hashlib.sha256(np.packbits(drawn).tobytes()).hexdigest()[:16] == digest


def test_the_edge_of_a_disc_is_a_thin_closed_ring_where_the_disc_ends() -> None:
    drawn = edges(disc())

    rows, columns = np.nonzero(drawn)
    radii = np.hypot(columns - 60, rows - 50)
    assert np.abs(radii - 29.5).max() < 1.2
    assert 2 * np.pi * 29.5 * 0.8 < len(rows) < 2 * np.pi * 29.5 * 1.2
    angles = np.sort(np.arctan2(rows - 50, columns - 60))
    assert np.diff(angles).max() < 0.1


def test_a_flat_picture_has_no_edge() -> None:
    assert not edges(np.full((20, 30, 3), 77, np.uint8)).any()


def test_weak_edges_count_only_where_they_go_on_from_strong_ones() -> None:
    picture = np.zeros((60, 40), np.uint8)
    picture[:30, 10:] = np.arange(30, 0, -1)[:, None] * 3  # a step that fades downward
    picture[40:, 25:] = 30  # as weak as its middle, and alone

    drawn = edges(picture, low=60, high=200)

    assert drawn[5:19, 9:11].any(axis=1).all()
    assert not drawn[40:].any()


def test_a_clip_becomes_a_clip_of_as_many_frames_at_the_same_rate(tmp_path: Path) -> None:
    pictures = np.stack([np.repeat(disc(radius)[..., None], 3, axis=2) for radius in (20, 25, 30)])
    source = write_clip(tmp_path / "clip.mkv", pictures)

    progress = list(write_edges(source, tmp_path / "edges.mp4"))

    facts = probe_clip(tmp_path / "edges.mp4")
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert (facts.size, facts.frames, str(facts.frame_rate)) == (Size(120, 100), 3, "30000/1001")
    for drawn, radius in zip(read_frames(tmp_path / "edges.mp4"), (20, 25, 30), strict=True):
        assert np.array_equal(drawn[..., 0] > 127, edges(disc(radius)) > 0)


def test_a_picture_becomes_a_picture_or_a_clip_that_stands_still(tmp_path: Path) -> None:
    Image.fromarray(disc()[:99, :119]).save(tmp_path / "disc.png")

    list(write_edges(tmp_path / "disc.png", tmp_path / "edges.png"))
    list(write_edges(tmp_path / "disc.png", tmp_path / "edges.mp4", num_frames=9))

    with Image.open(tmp_path / "edges.png") as drawn:
        assert np.array_equal(np.array(drawn), edges(disc()[:99, :119]))
    facts = probe_clip(tmp_path / "edges.mp4")
    assert (facts.size, facts.frames) == (Size(118, 98), 9)


def test_what_cannot_be_drawn_gets_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mkv", np.zeros((2, 16, 16, 3), np.uint8))

    with pytest.raises(RequestError, match="thresholds"):
        list(write_edges(source, tmp_path / "a.mp4", low=200, high=100))
    with pytest.raises(RequestError, match="edges of a clip are a clip"):
        list(write_edges(source, tmp_path / "a.png"))
    with pytest.raises(MediaError):
        list(write_edges(tmp_path / "nothing.mp4", tmp_path / "a.mp4"))
    stopped = write_edges(source, tmp_path / "b.mp4")
    next(stopped)
    stopped.close()
    assert list(tmp_path.iterdir()) == [source]
