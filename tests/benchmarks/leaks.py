"""What the window leaves behind: opens and closes every panel, dialog and page, makes clips, and counts what grew.

    python -m tests.benchmarks.leaks [--rounds 50] [--jobs 100]

One window, the real panels, the fake engine. Then clips are compared, exports asked for and projects begun. The first
rounds are for what is made once (caches, imports, threads of a pool). Counted: threads, widgets, open files, and the
memory that this process alone holds beside the small pictures that it keeps for a while.
"""

import argparse
import ctypes
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.screens import Driver, pause

WARM_UP_ROUNDS, WARM_UP_JOBS = 10, 20
POOL_REST_MS, NUM_QUIET = 100, 5


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


def measure(home: Path, num_rounds: int, num_jobs: int) -> None:  # noqa: PLR0915 - one after the other
    import psutil
    from PySide6.QtCore import QEvent, QPoint, QThreadPool
    from PySide6.QtWidgets import QApplication

    from engine.request import GenerationRequest
    from engine.types import Size
    from ltx_studio.services.fake_engine import FakeEngine
    from ltx_studio.services.thumbnails import Thumbnails
    from ltx_studio.ui.docks import Dock
    from tests.screens import Driver, pause

    app = QApplication(sys.argv[:1])
    process = psutil.Process()
    studio = Driver(app, "dark", home / "screens", engine=FakeEngine(seconds=0.02))
    window = studio.window

    # Threads that a pool keeps for a while without work are no leak, and no reason to wait for half a minute.
    for pool in (QThreadPool.globalInstance(), *app.findChildren(QThreadPool), *window.findChildren(QThreadPool)):
        pool.setExpiryTimeout(POOL_REST_MS)

    def count() -> Count:
        """Once what was begun has ended: pictures and outlines of the last clip are made beside the window."""
        before, num_quiet = (0, 0, 0), 0
        while num_quiet < NUM_QUIET:
            pause(2 * POOL_REST_MS)
            app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            gc.collect()
            now = (process.num_threads(), len(app.allWidgets()), process.num_fds())
            before, num_quiet = now, num_quiet + 1 if now == before else 0
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what the allocator keeps for later is not held
        # Small pictures are kept up to a limit of their own, which a hundred clips do not reach.
        kept = sum(thumbnails.num_bytes for thumbnails in window.findChildren(Thumbnails))
        return Count(*before, (process.memory_full_info().uss - kept) / 2**20)

    def open_everything() -> None:
        for dock in window.findChildren(Dock):
            dock.hide()
            pause(5)
            dock.show()
            dock.raise_()
            pause(5)
        for name in ("palette", "settings", "keyboard", "welcome"):
            window.actions_by_name[name].trigger()
            pause(5)
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
    clips = [item.job.path for item in studio.queue.snapshot.value.items[:2]]
    for number in range(WARM_UP_ROUNDS):
        use(studio, clips, number)
    before = count()
    for number in range(num_rounds):
        use(studio, clips, number)
    report(f"{num_rounds} comparisons, exports and projects", count(), before)
    studio.close()


def use(studio: "Driver", clips: list[Path], number: int) -> None:
    """What opens something for a while: the player, a comparison, an export, another project, a menu."""

    from ltx_studio.domain.compare import Take

    window = studio.window
    window.player.open(clips[number % len(clips)])
    window.compare.open([Take(path, path.name) for path in clips])
    pause(100)
    window.compare.close()
    window.exports.state.ask(clips[number % len(clips)])
    window.projects.state.new()
    studio.click("When done")
    menu = studio.app.activePopupWidget()
    assert menu is not None
    menu.close()
    window.when_done.warning.show_seconds(30)
    window.when_done.warning.hide()
    pause(100)


if __name__ == "__main__":
    main()
