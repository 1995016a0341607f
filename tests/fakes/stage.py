"""The middle of the window alone, with every command's keys: the player, and the comparison in its place."""

from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from engine.request import GenerationRequest
from ltx_studio.services.player import Player
from ltx_studio.state.compare import CompareState
from ltx_studio.state.session import Session
from ltx_studio.ui.actions import COMMANDS, assign_keys, build_menus
from ltx_studio.ui.compare_view import CompareView
from ltx_studio.ui.keymaps import OWN, keys_in_use
from ltx_studio.ui.stage import Stage, stage_reactions
from ltx_studio.ui.theme import Appearance
from ltx_studio.ui.viewer import Viewer

Widget = TypeVar("Widget", bound=QWidget)


class StageWindow:
    """Commands that are none of the stage's do nothing here."""

    def __init__(self, app: QApplication, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.window = QMainWindow()
        self.appearance = Appearance(app)
        self.player = Player(self.window)
        self.compare = CompareState(self.window)
        reactions: dict[str, Callable[[], None]] = defaultdict(lambda: lambda: None)
        reactions.update(stage_reactions(lambda: self.stage))
        self.actions_by_name = build_menus(self.window, COMMANDS, reactions)
        assign_keys(self.actions_by_name, keys_in_use(OWN, {}))
        session = Session(GenerationRequest("a red ball"), self.window)
        self.viewer = Viewer(session, self.player, self.actions_by_name, self.appearance)
        self.stage = Stage(self.viewer, self.player, self.compare, self.actions_by_name, self.appearance)
        self.window.setCentralWidget(self.stage)
        self.window.resize(1000, 800)
        self.window.show()
        with qtbot.waitActive(self.window):
            self.window.activateWindow()

    @property
    def comparison(self) -> CompareView:
        assert self.stage.comparison is not None
        return self.stage.comparison

    def find(self, kind: type[Widget], name: str) -> Widget:
        """A visible control by its accessible name."""
        found = [item for item in self.window.findChildren(kind) if item.accessibleName() == name and item.isVisible()]
        assert found, f"no visible {kind.__name__} is named {name!r}"
        return found[0]

    def click(self, name: str) -> None:
        self.qtbot.mouseClick(self.find(QAbstractButton, name), Qt.MouseButton.LeftButton)

    def close(self) -> None:
        self.stage.close_threads()
        self.player.close()
        self.window.close()
        self.window.deleteLater()
