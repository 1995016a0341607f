"""Drives the studio as a user would, from the first run to an exported clip, and takes a picture of every panel.

    python -m tests.screens                      # both themes at 1x and 2x, into docs/screens
    python -m tests.screens --theme dark --scale 1 --out FOLDER

The window, the engine and the starter model are the real ones, the mouse and the keys are Qt's own test events, and
the home folder is a fresh one. States that a real run shows only when something is wrong (a failed job, memory running
out) come from the fake engine: prompts with a word in square brackets go there. Look at each picture.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from engine.events import Event
from engine.jobs.runner import Engine, Task
from ltx_studio.domain.estimate import first_request
from ltx_studio.services.engine_bridge import EngineBridge, WarmEngine
from ltx_studio.services.fake_engine import FakeEngine, twists_of
from ltx_studio.settings import THEME
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.ui.docks import Dock
from ltx_studio.ui.library_view import LibraryView
from ltx_studio.ui.main_window import MainWindow
from ltx_studio.ui.theme import Appearance

SIZE = (1440, 900)
PATIENCE_S = 180.0  # for one clip of the starter on a busy machine
WidgetKind = TypeVar("WidgetKind", bound=QWidget)


class RealOrTold:
    """The engine itself, but for prompts that ask the fake one for a twist."""

    def __init__(self) -> None:
        self._real, self._told = WarmEngine(), FakeEngine(seconds=3.0)

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        yield from (self._told if twists_of(task.request.prompt) else self._real)(task)


class Driver:
    """A studio, a hand on its mouse and keys, and a camera."""

    def __init__(self, app: QApplication, theme: str, folder: Path, *, engine: Engine | None = None) -> None:
        self.app, self.folder = app, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.preferences = Preferences()
        self.preferences.put(THEME, theme)
        self.bridge = EngineBridge(engine or RealOrTold(), app)
        self.session = Session(first_request(), app)
        self.queue = QueueState(app)
        self.window = MainWindow(
            self.session,
            self.queue,
            self.bridge,
            Appearance(app, app),
            self.preferences,
            is_sealed=True,
            may_quit=lambda _parent: True,
        )
        self.window.resize(*SIZE)
        self.window.show()
        self.queue.open()
        self.window.activateWindow()
        self.settle()

    def settle(self, seconds: float = 0.4) -> None:
        """Let animations end and thumbnails come."""
        pause(int(seconds * 1000))

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > end:
                raise TimeoutError(f"it never came to this: {what}")
            pause(20)

    def find(self, kind: type[WidgetKind], name: str, owner: QWidget | None = None) -> WidgetKind:
        """A visible control by its accessible name, in the window or in a dialog over it."""
        owners = [owner] if owner is not None else [item for item in self.app.topLevelWidgets() if item.isVisible()]
        for place in owners:
            for item in place.findChildren(kind):
                if item.isVisible() and (item.accessibleName() or getattr(item, "text", str)()) == name:
                    return item
        raise LookupError(f"no visible {kind.__name__} is named {name!r}")

    def click(self, name: str, owner: QWidget | None = None) -> None:
        button = self.find(QAbstractButton, name, owner)
        assert button.isEnabled(), f"{name} cannot be pressed: {button.toolTip()}"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.settle(0.2)

    def command(self, name: str) -> None:
        self.window.actions_by_name[name].trigger()
        self.settle()

    def write_prompt(self, text: str) -> None:
        field = self.window.prompt_panel.prompt
        field.setFocus()
        QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(field, Qt.Key.Key_Delete)
        QTest.keyClicks(field, text)
        self.settle()

    def generate(self, prompt: str) -> None:
        """Write a prompt, press the button, and wait until something is being made of it."""
        before = len(self.queue.snapshot.value.items)
        self.write_prompt(prompt)
        self.wait(lambda: not self.window.prompt_panel.why_not(), "the button can be pressed")
        self.settle(0.5)  # two presses in a row count as a double click
        self.command("generate")
        self.wait(lambda: len(self.queue.snapshot.value.items) > before, "the job is in the queue")

    def wait_until_made(self) -> None:
        self.wait(
            lambda: not self.queue.is_adding.value and self.queue.snapshot.value.num_to_make == 0, "the queue is empty"
        )
        self.settle(1.0)

    def show_panel(self, name: str) -> QWidget:
        dock = self.window.findChild(Dock, name)
        assert dock is not None, f"there is no panel {name!r}"
        dock.show()
        dock.raise_()
        self.settle(0.8)
        return dock.content

    def picture(self, name: str) -> None:
        """The window with every dialog over it, as on the screen."""
        self.settle(0.3)
        pixmap = self.window.grab()
        origin = self.window.mapToGlobal(QPoint(0, 0))
        painter = QPainter(pixmap)
        for item in self.app.topLevelWidgets():
            if item.isVisible() and item is not self.window and item.width() > 1:
                painter.drawPixmap(item.mapToGlobal(QPoint(0, 0)) - origin, item.grab())
        painter.end()
        self._save(pixmap, name)

    def panel_picture(self, name: str) -> None:
        self._save(self.show_panel(name).grab(), f"panel-{name}")

    def _save(self, pixmap: QPixmap, name: str) -> None:
        path = self.folder / f"{name}.png"
        assert pixmap.save(str(path)), path
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()

    def close(self) -> None:
        self.window.close()
        self.queue.close()
        self.bridge.close(wait_ms=10_000)


def pause(milliseconds: int) -> None:
    """Let the window live on. `QTest.qWait` would hold Python's lock meanwhile, and the engine's thread starve."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def story(studio: Driver) -> None:
    """First run to an exported clip."""
    studio.window.show_welcome()
    studio.wait(lambda: studio.session.machine.value is not None, "the machine is known")
    studio.settle(1.0)
    studio.picture("01-welcome")
    studio.click("Start with the starter model")
    studio.picture("02-empty")
    studio.generate("a red ball bounces on a navy background")
    studio.wait(lambda: studio.session.preview.value is not None, "a first preview")
    studio.picture("03-making")
    studio.wait_until_made()
    studio.picture("04-made")
    studio.generate("a face says 'ba da mo' in a low voice on a sand background")
    studio.generate("a yellow star moves right on a teal background")
    studio.wait_until_made()
    studio.show_panel("library")
    studio.picture("05-library")
    for name in ("references", "models", "queue", "monitor", "prompt", "library"):
        studio.panel_picture(name)
    compare(studio)
    edit(studio)
    export(studio)
    trouble(studio)
    dialogs(studio)


def compare(studio: Driver) -> None:
    """All takes of the library side by side, then as a wipe."""
    library = studio.show_panel("library")
    view = library.findChild(LibraryView)
    assert view is not None
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    studio.command("compare")
    studio.settle(1.0)
    studio.picture("06-compare")
    QTest.keyClick(studio.window, Qt.Key.Key_Escape)
    studio.window.compare.close()
    studio.settle()


def edit(studio: Driver) -> None:
    """Its second half of a second made again: a new take in the same place."""
    studio.show_panel("edit")
    player = studio.window.player
    player.seek(12)
    studio.command("mark_in")
    player.seek(23)
    studio.command("mark_out")
    studio.command("edit_retake")
    studio.settle(1.0)
    studio.picture("07-retake")
    studio.wait(studio.window.actions_by_name["make_edit"].isEnabled, "the retake can be made")
    studio.command("make_edit")
    studio.wait(lambda: studio.queue.snapshot.value.num_to_make > 0, "the retake is in the queue")
    studio.wait_until_made()
    studio.settle(1.5)
    studio.picture("08-taken-again")
    studio.panel_picture("edit")


def export(studio: Driver) -> None:
    """The clip as a file, to its end."""
    studio.command("export")
    studio.settle(1.0)
    studio.picture("09-export")
    before = set(exported_files(studio))
    studio.click("Export", studio.show_panel("export"))
    studio.wait(lambda: bool(set(exported_files(studio)) - before), "the exported file is there")
    studio.settle(1.5)
    studio.picture("10-exported")


def exported_files(studio: Driver) -> list[Path]:
    """Of exports that are done."""
    items = studio.queue.snapshot.value.items
    return [Path(item.job.output) for item in items if item.export is not None and item.state == "done"]


def trouble(studio: Driver) -> None:
    """A job that fails, and a full queue."""
    studio.generate("a blue ring spins [memory]")
    studio.wait_until_made()
    studio.picture("11-failed")
    studio.command("pause_queue")
    for subject in ("green heart", "white square", "purple triangle"):
        studio.generate(f"a {subject} grows on a black background [slow]")
    studio.show_panel("queue")
    studio.picture("12-queue")


def dialogs(studio: Driver) -> None:
    """The palette, and each page of the settings."""
    studio.command("palette")
    studio.picture("13-palette")
    studio.command("palette")
    studio.command("settings")
    studio.picture("14-settings")
    for window in studio.app.topLevelWidgets():
        if window is not studio.window and window.isVisible():
            window.close()
    studio.command("keyboard")
    studio.picture("15-keyboard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theme", choices=("dark", "light"))
    parser.add_argument("--scale", choices=("1", "2"), default="1")
    parser.add_argument("--out", type=Path, default=Path("docs/screens"))
    options = parser.parse_args()
    if options.theme is None:
        for theme in ("dark", "light"):
            for scale in ("1", "2"):
                command = [sys.executable, "-m", "tests.screens", "--theme", theme, "--scale", scale]
                subprocess.run([*command, "--out", str(options.out)], check=True)
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["LTX_STUDIO_HOME"] = home
        os.environ["QT_SCALE_FACTOR"] = options.scale
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        app = QApplication(sys.argv[:1])
        studio = Driver(app, options.theme, options.out / f"{options.theme}-{options.scale}x")
        try:
            story(studio)
        finally:
            studio.close()


if __name__ == "__main__":
    main()
