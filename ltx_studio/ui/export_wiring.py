"""Exports and the rest of the window: the lane is woken by the queue, the queue follows the lane."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from ltx_studio.domain.exports import ExportUpdate
from ltx_studio.services.desktop import reveal
from ltx_studio.services.export_lane import ExportLane
from ltx_studio.services.player import Player
from ltx_studio.state.export import ExportState
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.ui.throttle import Throttle

if TYPE_CHECKING:
    from ltx_studio.ui.docks import Dock

_REDRAW_MS = 100
_LOOK_MS = 500  # how often the queue is read while an export runs; its runner writes how far it is once a second


class Exports(QObject):
    """Owns the panel's state and the lane's thread, for as long as the window."""

    said = Signal(str)  # something the user should know, in sentences

    def __init__(self, queue: QueueState, preferences: Preferences, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = ExportState(queue, preferences, self)
        self._queue = queue
        self._lane = ExportLane(self)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(queue.refresh)
        self._latest: ExportUpdate | None = None
        self._redraw = Throttle(_REDRAW_MS, self._show_latest, self)
        queue.has_exports.connect(self._lane.wake)
        queue.put_back_asked.connect(self._lane.put_back)
        self._lane.happened.connect(self._happened)

    @property
    def is_running(self) -> bool:
        return self._lane.is_running

    def show_in(self, dock: "Dock", before: Callable[[], None]) -> None:
        """Bring the panel to the front of its dock when somebody wants to export; `before` makes room for it."""

        def show() -> None:
            before()
            dock.show()
            dock.raise_()
            dock.content.setFocus(Qt.FocusReason.ShortcutFocusReason)

        self.state.asked.connect(show)

    def ask_for_clip(self, player: Player) -> None:
        """The clip in the player, from its in to its out point; without a clip, the panel says what to do."""
        if player.clip is None:
            self.state.asked.emit()
            return
        is_marked = player.in_frame is not None or player.out_frame is not None
        first, last = player.marked
        self.state.ask(player.clip.path, frames=(first, last + 1) if is_marked else None)

    @Slot(object)
    def reveal_file(self, path: Path) -> None:
        if not reveal(path):
            self.said.emit(self.tr("No file manager answered. The file is {path}").format(path=path))

    @Slot()
    def close(self) -> None:
        """Put what runs back; it starts again with the studio."""
        self._look.stop()
        self._lane.happened.disconnect(self._happened)
        self._lane.close()
        self.state.close()

    def _show_soon(self, update: ExportUpdate) -> None:
        if update.progress is not None:
            self._latest = update
            self._redraw.request()

    @Slot()
    def _show_latest(self) -> None:
        if self._latest is not None and self._latest.progress is not None:
            self.state.show_progress(self._latest.job_id, self._latest.progress.fraction)

    @Slot(object)
    def _happened(self, update: ExportUpdate) -> None:
        if update.problem:
            self.said.emit(update.problem)
        job = update.job
        if job is None:
            self._show_soon(update)
            return
        self._queue.refresh()
        if job.state == "running":
            self._look.start()
            return
        self._look.stop()
        if job.state == "done":
            self.said.emit(self.tr("{name} is exported.").format(name=job.path.name))
        elif job.state == "failed":
            self.said.emit(f"{job.error_message or ''} {job.error_remedy or ''}".strip())
