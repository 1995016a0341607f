"""How far picture and sound drift apart: prints one JSON object.

    python -m tests.benchmarks.av_sync [--seconds 20]

The player plays a clip to a sound device without sound, whose clock runs a thousandth fast, exact, or a thousandth slow
(real devices: a tenth of that), in small and large blocks. At every frame that is shown, what the device is playing at
that moment by its own clock is set against the frame's time. Fails where the offset is ever more than half a frame in
95 of 100 frames, or its mean drifts by more than that from the first second to the last.
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from engine.media.audio import SoundClip
from engine.media.write import ClipWriter
from engine.types import FrameRate, Size
from ltx_studio.services.player import Player
from tests.fakes.sound_device import DriftingOutput

RATE = FrameRate.parse(24)
LIMIT_S = 0.5 / 24
DEVICES = {
    "fast": DriftingOutput(rate_error=1e-3),
    "exact": DriftingOutput(),
    "slow": DriftingOutput(rate_error=-1e-3),
    "slow, large blocks": DriftingOutput(rate_error=-1e-3, block=4096, latency_s=0.3),
}


@dataclass(frozen=True)
class Shown:
    """A frame, and by how much the sound was ahead of it when it appeared."""

    frame: int
    offset_s: float


def write_clip(path: Path, num_frames: int) -> None:
    sound = SoundClip(np.zeros((2, num_frames * 2000), np.float32), 48_000)
    with ClipWriter(path, size=Size(448, 256), frame_rate=RATE, audio=sound) as writer:
        for number in range(num_frames):
            writer.write(np.full((1, 256, 448, 3), number % 256, np.uint8))


def play(path: Path, device: DriftingOutput) -> tuple[list[Shown], int]:
    """Every frame that was shown, and how many were dropped."""
    player, loop, shown = Player(output=device), QEventLoop(), list[Shown]()
    player.clip_opened.connect(loop.quit)
    player.open(path)
    loop.exec()
    QTimer.singleShot(500, loop.quit)
    loop.exec()
    wanted = -1

    def note(_image: object) -> None:
        nonlocal wanted
        if player.is_playing and player.frame != wanted and device.streams:
            wanted = player.frame
            shown.append(Shown(wanted, device.streams[-1].heard_s() - RATE.seconds(wanted)))

    player.picture_changed.connect(note)
    player.playing_changed.connect(lambda is_playing: None if is_playing else loop.quit())
    player.play()
    loop.exec()
    player.close()
    return shown, player.num_dropped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    app = QApplication([])
    assert app is not None
    report: dict[str, object] = {"seconds": arguments.seconds, "limit_ms": round(1000 * LIMIT_S, 1)}
    is_within = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, round(arguments.seconds * 24) + 1)
        for name, device in DEVICES.items():
            shown, num_dropped = play(path, device)
            offsets = sorted(abs(item.offset_s) for item in shown)
            first = statistics.median(item.offset_s for item in shown if item.frame <= 24)
            last = statistics.median(item.offset_s for item in shown if item.frame >= shown[-1].frame - 24)
            p95 = offsets[int(len(offsets) * 0.95)]
            is_within = is_within and p95 <= LIMIT_S and abs(last - first) <= LIMIT_S
            report[name] = {
                "frames_shown": len(shown),
                "dropped": num_dropped,
                "median_ms": round(1000 * statistics.median(offsets), 1),
                "p95_ms": round(1000 * p95, 1),
                "worst_ms": round(1000 * offsets[-1], 1),
                "drift_ms": round(1000 * (last - first), 1),
            }
    report["is_within_limit"] = is_within
    print(json.dumps(report, indent=2))
    if not is_within:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
