"""How long until the frame under the mouse is seen: prints one JSON object.

    python -m tests.benchmarks.scrubbing [--size 1920x1080] [--seconds 5] [--moves 200]

The mouse is dragged along the playhead's slider, at 60 moves a second, back and forth and in jumps. A move counts from
the event until the picture of that very frame has been painted; a frame that another move overtook counts as long as
it was waited for. `warm` begins when the clip has been read through, `cold` half a second after it was opened.
Fails where a warm scrub takes longer than the limit at p95.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEvent, QEventLoop, QPointF, QSize, Qt, QTimer
from PySide6.QtGui import QImage, QMouseEvent, QPaintEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.types import FrameRate, Size
from ltx_studio.services.player import Player
from ltx_studio.ui.picture_view import PictureView
from ltx_studio.ui.theme import Appearance
from ltx_studio.ui.transport import PlayheadSlider

LIMIT_S = 0.040
MOVE_S = 1 / 60
BITS, STRIP = 10, 0.1  # the frame's number is written into the top of the picture in black and white


def write_counted_clip(path: Path, size: Size, num_frames: int) -> None:
    """Moving texture, as hard to decode as a filmed picture, whose frames carry their number."""
    rng = np.random.default_rng(0)
    texture = rng.integers(60, 200, (size.height // 8 + 1, size.width // 8 + 1, 3), np.uint8)
    ground = np.kron(texture, np.ones((8, 8, 1), np.uint8))[: size.height, : size.width]
    sound = SoundClip(np.zeros((2, num_frames * 2000), np.float32), 48_000)
    with ClipWriter(path, size=size, frame_rate=FrameRate.parse(24), audio=sound) as writer:
        for number in range(num_frames):
            frame = np.roll(ground, (number * 3, number * 5), (0, 1))
            for bit in range(BITS):
                left, right = (size.width * at // BITS for at in (bit, bit + 1))
                frame[: int(size.height * STRIP), left:right] = 255 if number >> bit & 1 else 0
            writer.write(frame[None])


def number_in(image: QImage) -> int:
    """Which frame a picture is of."""
    y = int(image.height() * STRIP / 2)
    bits = [image.pixelColor(int(image.width() * (bit + 0.5) / BITS), y).red() > 128 for bit in range(BITS)]
    return sum(is_set << bit for bit, is_set in enumerate(bits))


class TimedView(PictureView):
    """Notes when which frame had been painted."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__(appearance)
        self.image: QImage | None = None
        self.painted: list[tuple[float, int]] = []

    def take(self, image: QImage) -> None:
        self.image = image
        self.show_frame(image, QSize(1920, 1080))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        super().paintEvent(event)
        if self.image is not None:
            self.painted.append((time.perf_counter(), number_in(self.image)))


def spin_until(is_done: Callable[[], bool], timeout_s: float = 60.0) -> None:
    loop, timer, end = QEventLoop(), QTimer(), time.perf_counter() + timeout_s
    timer.timeout.connect(lambda: loop.quit() if is_done() or time.perf_counter() > end else None)
    timer.start(2)
    loop.exec()
    assert is_done(), "it took too long"


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    spin_until(lambda: time.perf_counter() >= end)


def path_of_the_mouse(moves: int, last: int) -> Iterator[int]:
    """To the end and back slowly, then jumps from place to place."""
    rng = np.random.default_rng(1)
    swept = moves * 2 // 3
    for index in range(swept):
        yield round(last * (1 - abs(2 * index / swept - 1)))
    yield from (int(frame) for frame in rng.integers(0, last + 1, moves - swept))


def scrub(player: Player, slider: PlayheadSlider, view: TimedView, moves: int) -> list[float]:
    """Seconds of each move."""
    asked: list[tuple[float, int]] = []
    began = time.perf_counter()
    view.painted.clear()
    for index, wanted in enumerate(path_of_the_mouse(moves, player.last_frame)):
        spin(max(began + index * MOVE_S - time.perf_counter(), 0))
        span = slider.width() - 12
        place = QPointF(6 + span * wanted / player.last_frame, slider.height() / 2)
        event = QMouseEvent(
            *(QEvent.Type.MouseMove, place, slider.mapToGlobal(place), Qt.MouseButton.NoButton),
            *(Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier),
        )
        before, at = player.frame, time.perf_counter()
        QApplication.sendEvent(slider, event)
        if player.frame != before:
            asked.append((at, player.frame))
    spin(2)
    return [waited(asked, view.painted, index) for index in range(len(asked))]


def waited(asked: list[tuple[float, int]], painted: list[tuple[float, int]], index: int) -> float:
    at, frame = asked[index]
    overtaken_at = asked[index + 1][0] if index + 1 < len(asked) else float("inf")
    seen_at = next((when for when, number in painted if when >= at and number == frame), float("inf"))
    # What was overtaken unseen has kept the user waiting until a later frame was seen.
    later = next((when for when, _ in painted if when >= overtaken_at), float("inf"))
    return min(seen_at, later if seen_at > overtaken_at else seen_at) - at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=Size.parse, default=Size(1920, 1080))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--moves", type=int, default=300)
    arguments = parser.parse_args()
    app = QApplication([])
    appearance = Appearance(app)
    player = Player()
    window = QWidget()
    view, slider = TimedView(appearance), PlayheadSlider(player, appearance)
    layout = QVBoxLayout(window)
    layout.addWidget(view)
    layout.addWidget(slider)
    window.resize(1280, 800)
    window.show()
    player.picture_changed.connect(view.take)
    player.clip_opened.connect(lambda clip: slider.setRange(0, clip.facts.frames - 1))
    report: dict[str, object] = {"size": str(arguments.size), "seconds": arguments.seconds, "limit_s": LIMIT_S}
    warm_p95 = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_counted_clip(path, arguments.size, round(arguments.seconds * 24) + 1)
        for name in ("cold", "warm"):
            opened_at = time.perf_counter()
            player.open(path)
            spin_until(lambda: bool(view.painted))
            first_s = time.perf_counter() - opened_at
            if name == "cold":
                spin(0.5)
            else:
                spin_until(lambda: all(player.picture_at(frame) for frame in range(player.last_frame + 1)))
                report["read_through_s"] = round(time.perf_counter() - opened_at, 2)
            taken = sorted(scrub(player, slider, view, arguments.moves))
            p95 = taken[int(len(taken) * 0.95)]
            report[name] = {
                "first_picture_ms": round(1000 * first_s),
                "moves": len(taken),
                "median_ms": round(1000 * statistics.median(taken), 1),
                "p95_ms": round(1000 * p95, 1),
                "worst_ms": round(1000 * taken[-1], 1),
            }
            warm_p95 = p95
            view.painted.clear()
    player.close()
    report["is_within_limit"] = warm_p95 <= LIMIT_S
    print(json.dumps(report, indent=2))
    if not report["is_within_limit"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
