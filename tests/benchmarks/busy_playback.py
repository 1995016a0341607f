"""Playback while the engine makes a clip on the processor: prints one JSON object.

    python -m tests.benchmarks.busy_playback [--seconds 20] [--compare 2]

The studio's window, a real generation of the starter model in it, and a clip of 448x256 at 24 frames a second. Counts
the frames that were due and not shown, and how late events of the window are handled. With `--compare` so many clips
are compared at the same time instead. `alone` is the same before anything is generated: what this machine can do with
whatever else it is busy with. Fails where a hundredth of the frames is dropped, or where events are more than
50 ms late at p95.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.types import FrameRate, Size
from ltx_studio.domain.compare import Take
from ltx_studio.domain.estimate import first_request
from ltx_studio.services.engine_bridge import EngineBridge, WarmEngine
from ltx_studio.services.player import Player
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.ui.main_window import MainWindow
from ltx_studio.ui.theme import Appearance

MOST_DROPPED, MOST_LATE_S = 0.01, 0.050
_BEAT_MS = 5


def write_clip(path: Path, seconds: float) -> None:
    num_frames = round(seconds * 24) + 1
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 255, (32, 56, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    sound = SoundClip(np.zeros((2, num_frames * 2000), np.float32), 48_000)
    with ClipWriter(path, size=Size(448, 256), frame_rate=FrameRate.parse(24), audio=sound) as writer:
        for number in range(num_frames):
            writer.write(np.roll(ground, (number, 2 * number), (0, 1))[None])


class Heart(QTimer):
    """Beats in the window's thread, and notes how late each beat is."""

    def __init__(self) -> None:
        super().__init__()
        self.late_s: list[float] = []
        self._due = 0.0
        self.setTimerType(Qt.TimerType.PreciseTimer)
        self.setInterval(_BEAT_MS)
        self.timeout.connect(self._beat)

    def _beat(self) -> None:
        now = time.perf_counter()
        if self._due:
            self.late_s.append(max(now - self._due, 0.0))
        self._due = now + _BEAT_MS / 1000


def spin(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


@dataclass(frozen=True)
class Played:
    """What came of playing for a while."""

    num_due: int
    num_dropped: int
    late_p95_s: float
    late_worst_s: float

    def as_json(self) -> dict[str, float]:
        return {
            "frames_due": self.num_due,
            "frames_dropped": self.num_dropped,
            "dropped_share": round(self.num_dropped / max(self.num_due, 1), 4),
            "event_delay_p95_ms": round(1000 * self.late_p95_s, 1),
            "event_delay_worst_ms": round(1000 * self.late_worst_s, 1),
        }


def play(player: Player, seconds: float) -> Played:
    heart, num_frames = Heart(), 0

    def count(_frame: int) -> None:
        nonlocal num_frames
        num_frames += player.is_playing

    player.frame_changed.connect(count)
    heart.start()
    player.play()
    spin(seconds)
    player.pause()
    heart.stop()
    player.frame_changed.disconnect(count)
    late = sorted(heart.late_s)
    return Played(num_frames + player.num_dropped, player.num_dropped, late[int(len(late) * 0.95)], late[-1])


def wait_for_a_run(session: Session) -> None:
    end = time.perf_counter() + 120
    while not session.is_running.value or session.preview.value is None:
        spin(0.1)
        assert time.perf_counter() < end, "the generation did not begin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--compare", type=int, default=0, choices=(0, 2, 3, 4))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LTX_STUDIO_HOME"] = home
        is_within = measure(arguments.seconds, arguments.compare, Path(home))
    if not is_within:
        raise SystemExit(1)


def measure(seconds: float, num_compared: int, home: Path) -> bool:
    """Prints what was found; whether it is within the limits."""
    app = QApplication([])
    bridge, session, queue = EngineBridge(WarmEngine()), Session(first_request()), QueueState()
    window = MainWindow(session, queue, bridge, Appearance(app), Preferences(), may_quit=lambda _parent: True)
    window.show()
    queue.open()
    path = home / "played.mp4"
    write_clip(path, seconds)
    player: Player = window.player
    if num_compared:
        window.compare.open([Take(path, f"{number}") for number in range(num_compared)])
        spin(3)
        player = window.stage.player
    else:
        player.open(path)
        spin(3)
    alone = play(player, seconds / 2)
    session.edit(prompt="a red ball bounces on the floor", seconds=5.0, seed=3)
    spin(0.5)
    for _ in range(8):  # enough that one runs all the time
        queue.add([session.request_to_run()])
    wait_for_a_run(session)
    player.seek(0)
    busy = play(player, seconds)
    report = {
        "seconds": seconds,
        "compared": num_compared,
        "was_generating_to_the_end": session.is_running.value,
        "alone": alone.as_json(),
        "generating": busy.as_json(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    is_within = busy.num_dropped <= MOST_DROPPED * busy.num_due and busy.late_p95_s <= MOST_LATE_S
    report["is_within_limit"] = is_within
    window.close()
    queue.close()
    bridge.close()
    print(json.dumps(report, indent=2))
    return is_within


if __name__ == "__main__":
    main()
