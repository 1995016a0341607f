"""How long painting the timeline takes with 200 clips on it, pictures and outlines included.

    python -m tests.benchmarks.timeline_paint [--ratio 2]

Paints the ruler and the lanes as the window does, 1440 pixels wide, into a pixmap: everything at once, and a part of
it, as if nothing were kept; then the lanes themselves, which keep the clips they have drawn; and the two strips of a
playhead that moves. The budget is 4 ms a frame. Times are of the processor, for the thread that paints, since other
programs run.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QRect, QSize, QTimer
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QApplication

from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.types import FrameRate, Size
from ltx_studio.domain.timeline import Media, Take, Timeline, empty_timeline
from ltx_studio.domain.timeline_details import mark_range
from ltx_studio.domain.timeline_placing import Material, append
from ltx_studio.services.peaks import Peaks
from ltx_studio.services.thumbnails import Thumbnails
from ltx_studio.state.timeline import TimelineState
from ltx_studio.ui.theme import DARK, Appearance
from ltx_studio.ui.timeline_geometry import PICTURE_LANE_PIXELS, RULER_PIXELS, lanes_height
from ltx_studio.ui.timeline_painting import NAME_PIXELS, paint_lanes, paint_ruler, playhead_area
from ltx_studio.ui.timeline_pictures import ClipPictures
from ltx_studio.ui.timeline_screen import TimelineScreen
from ltx_studio.ui.timeline_view import TimelineLanes

NUM_CLIPS, NUM_FILES = 200, 8
WIDTH = 1440
BUDGET_MS = 4.0
RATE = FrameRate.parse(24)
FRAMES = 121
REPEATS = 60
FILM_PIXELS = PICTURE_LANE_PIXELS - NAME_PIXELS


def write_clips(folder: Path) -> list[Media]:
    """Small, coloured and noisy."""
    drawn = np.random.default_rng(7)
    found: list[Media] = []
    for index in range(NUM_FILES):
        path = folder / f"clip-{index}.mp4"
        sound = SoundClip(drawn.normal(0, 0.2, (2, FRAMES * 2000)).astype(np.float32), 48_000)
        with ClipWriter(path, size=Size(192, 112), frame_rate=RATE, audio=sound) as writer:
            for _ in range(FRAMES):
                writer.write(np.full((1, 112, 192, 3), drawn.integers(0, 255, 3), np.uint8))
        found.append(Media(path, FRAMES / RATE.value, RATE, Size(192, 112)))
    return found


def sequence(media: list[Media]) -> Timeline:
    """Clips of two to four seconds, a few selected, a range marked."""
    timeline = empty_timeline(RATE)
    for index in range(NUM_CLIPS):
        material = Material(
            f"Shot {index}", (Take(media[index % NUM_FILES]),), 0, Fraction(index % 20, 24), 48 + 7 * index % 48
        )
        timeline = append(timeline, material)
    return mark_range(timeline, timeline.length // 4, timeline.length // 2)


def measure(name: str, paint: Callable[[int], None]) -> float:
    """Median and 95th percentile, in milliseconds."""
    for index in range(5):
        paint(index)
    times: list[float] = []
    for index in range(REPEATS):
        start = time.thread_time()
        paint(index)
        times.append((time.thread_time() - start) * 1000)
    times.sort()
    median, high = statistics.median(times), times[int(0.95 * len(times))]
    print(f"{name:44} median {median:6.2f} ms   95 % {high:6.2f} ms")
    return high


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--ratio", type=float, default=1.0, help="pixels of the screen for each of the window")
    ratio = arguments.parse_args().ratio
    app = QApplication([])
    appearance = Appearance(app)
    appearance.choose(DARK)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LTX_STUDIO_HOME"] = folder
        state = TimelineState()
        screen = TimelineScreen(state, appearance)
        state.load(sequence(write_clips(Path(folder))))
        state.select([clip.id for clip in list(state.timeline.value.clips())[:6]])
        thumbnails, peaks = Thumbnails(), Peaks()
        screen.pictures = ClipPictures(thumbnails, peaks)
        screen.pictures.look_at(state.timeline.value)
        high = _run(screen, ratio)
        thumbnails.close()
        peaks.close()
    print(f"the budget is {BUDGET_MS} ms: {'kept' if high <= BUDGET_MS else 'missed'}")
    return 0 if high <= BUDGET_MS else 1


def _run(screen: TimelineScreen, ratio: float) -> float:
    height = lanes_height(screen.lanes)
    lanes, ruler = _pixmap(WIDTH, height, ratio), _pixmap(WIDTH, RULER_PIXELS, ratio)
    everything = QRect(0, 0, WIDTH, height)
    screen.resize(WIDTH)

    def paint(area: QRect) -> None:
        scene = screen.scene()
        for target, draw in ((lanes, paint_lanes), (ruler, paint_ruler)):
            painter = QPainter(target)
            painter.setClipRect(area)
            draw(painter, scene, area)
            painter.end()

    def load() -> None:
        """Until every picture and outline is there."""
        assert screen.pictures is not None
        screen.fit()
        clips = list(screen.timeline.clips())
        while any(screen.pictures.strip(clip, FILM_PIXELS, ratio) is None for clip in clips):
            paint(everything)
            _wait(100)
        _wait(1000)

    def near() -> None:
        screen.fit()
        screen.zoom(12, 0)

    load()
    screen.fit()
    worst = measure("all 200 clips", lambda _index: paint(everything))
    worst = max(worst, measure("all 200 clips, zooming", lambda index: (_zoom(screen, index), paint(everything))[1]))
    near()
    worst = max(worst, measure("17 clips", lambda _index: paint(everything)))
    worst = max(worst, measure("17 clips, scrolling", lambda _index: (screen.scroll(13), paint(everything))[1]))
    screen.fit()
    widget = TimelineLanes(screen)
    widget.resize(WIDTH, height)
    worst = max(
        worst, measure("all 200 clips, the playhead moves (widget)", lambda index: _render(widget, lanes, index))
    )
    near()
    worst = max(worst, measure("17 clips, scrolling (widget)", lambda index: _scroll(widget, lanes)))
    measure("the playhead from frame to frame", lambda index: _move_playhead(screen, paint, height, index))
    return worst


def _zoom(screen: TimelineScreen, index: int) -> None:
    screen.zoom(1.01 if index % 2 else 1 / 1.01, WIDTH / 2)


def _move_playhead(screen: TimelineScreen, paint: Callable[[QRect], None], height: int, index: int) -> None:
    frame = screen.view.frame_at(WIDTH / 2) + index
    for place in (frame, frame + 1):
        paint(playhead_area(screen.view, place, height))


def _render(widget: TimelineLanes, target: QPixmap, index: int) -> None:
    """As the window paints it, with the clips that were kept from the time before."""
    widget.screen_.state.playhead.value = index
    widget.render(target)


def _scroll(widget: TimelineLanes, target: QPixmap) -> None:
    widget.screen_.scroll(13)
    widget.render(target)


def _pixmap(width: int, height: int, ratio: float) -> QPixmap:
    pixmap = QPixmap(QSize(round(width * ratio), round(height * ratio)))
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def _wait(ms: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


if __name__ == "__main__":
    raise SystemExit(main())
