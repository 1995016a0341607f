"""A window over a scripted engine, driven as a user would: by the names of its controls."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from engine.folders import data_folder
from engine.jobs.prepare import title_of
from engine.jobs.runner import Engine
from engine.jobs.store import NewJob
from engine.request import GenerationRequest
from ltx_studio.domain.estimate import first_request
from ltx_studio.services.engine_bridge import EngineBridge
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import Planned, QueueState
from ltx_studio.state.session import Session
from ltx_studio.ui.main_window import MainWindow
from ltx_studio.ui.theme import Appearance
from tests.fakes.engine import Line, WorkUntilClosed, preview, progress, whole_run

PROMPT = "a red ball bounces"
# What the offscreen platform says about every window, for the mark `qt_log_ignore`.
OFFSCREEN_REMARK = r"does not support (propagateSizeHints|raise)"
WORKING: list[Line] = [progress(0.3), preview(), WorkUntilClosed(progress(0.4))]
Widget = TypeVar("Widget", bound=QWidget)


class Studio:
    """A window that is open, and what a user finds in it."""

    def __init__(self, engine: Engine, app: QApplication, qtbot: QtBot, *, may_quit: bool = True) -> None:
        self.qtbot = qtbot
        self.is_closed = False
        self.bridge = EngineBridge(engine)
        self.session = Session(first_request())
        self.queue = QueueState(planner=planned_at_once)
        self.appearance = Appearance(app)
        self.preferences = Preferences()
        self.window = MainWindow(
            self.session, self.queue, self.bridge, self.appearance, self.preferences, may_quit=lambda _parent: may_quit
        )
        self.window.show()
        self.queue.open()
        with qtbot.waitActive(self.window):
            self.window.activateWindow()

    def find(self, kind: type[Widget], name: str) -> Widget:
        """A visible control by its accessible name."""
        found = [item for item in self.window.findChildren(kind) if item.accessibleName() == name and item.isVisible()]
        assert found, f"no visible {kind.__name__} is named {name!r}"
        return found[0]

    def button(self, name: str) -> QAbstractButton:
        return self.find(QAbstractButton, name)

    def click(self, name: str) -> None:
        self.qtbot.mouseClick(self.button(name), Qt.MouseButton.LeftButton)

    def write_prompt(self, text: str = PROMPT) -> None:
        self.qtbot.keyClicks(self.window.prompt_panel.prompt, text)

    def wait_until_done(self, timeout_ms: int = 5000) -> None:
        self.qtbot.waitUntil(self._is_over, timeout=timeout_ms)

    def _is_over(self) -> bool:
        """Nothing is on its way into the queue, waits or runs, and the session knows how the last job ended."""
        queue, job = self.queue, self.session.job.value
        is_empty = not queue.is_adding.value and queue.snapshot.value.num_to_make == 0
        return is_empty and job is not None and not job.is_running

    def clip_name(self) -> str:
        """Of the clip to look at."""
        assert self.session.result.value is not None
        return self.session.result.value.path.name

    def states(self) -> list[str]:
        """What the jobs of the queue are, in the list's order."""
        return [item.state for item in self.queue.snapshot.value.items]

    def close(self) -> None:
        """Close the window and end its threads; harmless twice."""
        if not self.is_closed:
            self.is_closed = True
            self.window.close()
            self.queue.close()
            assert self.bridge.close()
            self.window.deleteLater()

    def words(self) -> str:
        """What the job bar says."""
        return texts_of(self.window.job_bar)


def planned_at_once(requests: Sequence[GenerationRequest]) -> Planned:
    """Jobs without a model, planned without looking at the machine."""
    folder = data_folder() / "clips"
    folder.mkdir(exist_ok=True)
    jobs = [
        NewJob(request.to_dict(), title_of(request.prompt), folder / "clip.mp4", "fake", predicted_s=20.0)
        for request in requests
    ]
    return Planned(jobs, [])


OpenStudio = Callable[..., Studio]


def finished(clip: Path) -> list[Line]:
    """The script of a run that made `clip`."""
    return whole_run(GenerationRequest(PROMPT, seed=7), clip)


def texts_of(widget: QWidget) -> str:
    """Every text shown in a panel."""
    return " | ".join(item.text() for item in widget.findChildren(QLabel))
