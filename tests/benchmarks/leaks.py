"""What the window leaves behind: opens and closes every panel, dialog and page, makes clips, and counts what grew.

    python -m tests.benchmarks.leaks [--rounds 50] [--jobs 100]

One window, the real panels, the fake engine. The first rounds are for what is made once (caches, imports, threads of a
pool). Counted: threads, widgets, open files, and the memory that this process alone holds.
"""

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

WARM_UP_ROUNDS, WARM_UP_JOBS = 10, 20


class Count(NamedTuple):
    """What a process holds."""

    threads: int
    widgets: int
    files: int
    memory_mib: float

    def grown(self, before: "Count") -> str:
        def change(name: str, now: float, then: float) -> str:
            return f"{name} {then:.0f} -> {now:.0f} ({now - then:+.0f}, {100 * (now / then - 1):+.1f} %)"

        return "   ".join(change(*values) for values in zip(self._fields, self, before, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=100)
    options = parser.parse_args()
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["LTX_STUDIO_HOME"] = home
        measure(Path(home), options.rounds, options.jobs)


def measure(home: Path, num_rounds: int, num_jobs: int) -> None:
    import psutil
    from PySide6.QtCore import QEvent, QPoint, QThreadPool
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    from engine.request import GenerationRequest
    from engine.types import Size
    from ltx_studio.services.fake_engine import FakeEngine
    from ltx_studio.ui.docks import Dock
    from tests.screens import Driver

    app = QApplication(sys.argv[:1])
    process = psutil.Process()
    studio = Driver(app, "dark", home / "screens", engine=FakeEngine(seconds=0.02))
    window = studio.window

    def count() -> Count:
        QThreadPool.globalInstance().waitForDone(5000)
        for _ in range(3):
            QTest.qWait(50)
            app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            gc.collect()
        memory = process.memory_full_info().uss / 2**20
        return Count(process.num_threads(), len(app.allWidgets()), process.num_fds(), memory)

    def open_everything() -> None:
        for dock in window.findChildren(Dock):
            dock.hide()
            QTest.qWait(5)
            dock.show()
            dock.raise_()
            QTest.qWait(5)
        for name in ("palette", "settings", "keyboard", "welcome"):
            window.actions_by_name[name].trigger()
            QTest.qWait(5)
            for other in app.topLevelWidgets():
                if other is not window and other.isVisible():
                    other.close()
        window.actions_by_name["reset_layout"].trigger()
        window.move(QPoint(0, 0))

    def make(number: int) -> None:
        before = sum(item.state == "done" for item in studio.queue.snapshot.value.items)
        studio.queue.add([GenerationRequest(f"a red ball, take {number}", size=Size(128, 96), seconds=0.4)])
        studio.wait(
            lambda: sum(item.state == "done" for item in studio.queue.snapshot.value.items) > before,
            "the clip is made",
        )

    def report(name: str, after: Count, before: Count) -> None:
        sys.stdout.write(f"{name}: {after.grown(before)}\n")
        sys.stdout.flush()

    for _ in range(WARM_UP_ROUNDS):
        open_everything()
    before = count()
    for _ in range(num_rounds):
        open_everything()
    report(f"{num_rounds} rounds of panels", count(), before)
    for number in range(WARM_UP_JOBS):
        make(number)
    before = count()
    for number in range(num_jobs):
        make(number)
    report(f"{num_jobs} clips", count(), before)
    studio.close()


if __name__ == "__main__":
    main()
