"""The middle of the window: the player's picture, or the comparison in its place. The keys of playback serve both."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QStackedWidget, QWidget

from ltx_studio.services.player import Player
from ltx_studio.state.compare import CompareState
from ltx_studio.ui.playback_actions import playback_reactions
from ltx_studio.ui.theme import Appearance
from ltx_studio.ui.viewer import Viewer

if TYPE_CHECKING:
    from ltx_studio.ui.compare_view import CompareView


class Stage(QStackedWidget):
    """The comparison is made when something is first compared."""

    comparing_changed = Signal(bool)

    def __init__(
        self,
        viewer: Viewer,
        player: Player,
        state: CompareState,
        actions: dict[str, QAction],
        appearance: Appearance,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._player = player
        self._state = state
        self._actions = actions
        self._appearance = appearance
        self.comparison: CompareView | None = None
        self.addWidget(viewer)
        state.takes.changed.connect(self._takes_changed)

    @property
    def player(self) -> Player:
        """Whose the commands of playback are."""
        compared = None if self.comparison is None else self.comparison.player
        return self._player if compared is None else compared

    @property
    def is_comparing(self) -> bool:
        return self.comparison is not None and self.currentWidget() is self.comparison

    def zoom(self, command: str) -> None:
        shown = self.comparison if self.comparison is not None and self.is_comparing else self._viewer
        shown.zoom_reactions()[command]()

    def ask_time(self) -> None:
        shown = self.comparison if self.comparison is not None and self.is_comparing else self._viewer
        shown.ask_time()

    def toggle_cinema(self) -> None:
        if not self.is_comparing:
            self._viewer.toggle_cinema()

    @Slot()
    def close_threads(self) -> None:
        """End what the comparison runs; harmless twice."""
        self._state.close()
        if self.comparison is not None:
            self.comparison.wait()

    @Slot(object)
    def _takes_changed(self, takes: tuple[object, ...]) -> None:
        if takes:
            self._player.pause()
            if self.comparison is None:
                from ltx_studio.ui.compare_view import CompareView  # noqa: PLC0415 - not needed to open a window

                self.comparison = CompareView(self._state, self._actions, self._appearance, self)
                self.addWidget(self.comparison)
            self.setCurrentWidget(self.comparison)
            self.comparison.canvas.setFocus()
        else:
            self.setCurrentWidget(self._viewer)
            self._viewer.refresh()
        self.comparing_changed.emit(bool(takes))


def stage_reactions(stage: Callable[[], Stage]) -> dict[str, Callable[[], None]]:
    """What the commands of playback and zooming do, by name, whatever is on the stage by then."""

    def zoom(command: str) -> Callable[[], None]:
        return lambda: stage().zoom(command)

    return {
        **playback_reactions(lambda: stage().player),
        "go_to_time": lambda: stage().ask_time(),
        "cinema": lambda: stage().toggle_cinema(),
        **{name: zoom(name) for name in ("enlarge_picture", "reduce_picture", "fit_picture", "actual_size")},
    }
