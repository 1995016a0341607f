"""The library panel, open, and what a user does with it."""

from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ltx_studio.domain.library import Marks, Order
from ltx_studio.domain.library_files import read_facts
from ltx_studio.domain.library_store import LibraryStore
from ltx_studio.state.library import LibraryState
from ltx_studio.ui.library_panel import LibraryPanel
from ltx_studio.ui.theme import Appearance
from tests.fakes.library import FolderTrash, write_clip

NO_MODIFIER = Qt.KeyboardModifier.NoModifier


class Library:
    """A panel over a library in a folder, and what a user does with it."""

    def __init__(self, folder: Path, app: QApplication, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.folder = folder
        self.revealed: list[Path] = []
        self.store = LibraryStore(folder / "library.sqlite3")
        self.trash = FolderTrash(folder / "trash")
        self.state = LibraryState(self.store, self.trash)
        self.appearance = Appearance(app)
        self.panel = LibraryPanel(self.state, self.appearance, show_in_folder=self._reveal)
        self.view = self.panel.view
        self.panel.resize(500, 700)
        self.panel.show()
        with qtbot.waitActive(self.panel):
            self.panel.activateWindow()
        self.view.setFocus()

    def _reveal(self, path: Path) -> bool:
        self.revealed.append(path)
        return False

    def add(self, *names: str, prompt: str = "a red ball") -> list[Path]:
        """Real clips, the first one the newest."""
        paths = [write_clip(self.folder / name, prompt, seed=seed) for seed, name in enumerate(names, 1)]
        self.store.add([read_facts(path) for path in reversed(paths)])
        self.state.ask(order=Order.NAME)
        with self.qtbot.waitSignal(self.state.entries_changed):
            self.state.refresh()
        self.view.select_row(0)
        return paths

    def names(self) -> list[str]:
        return [entry.path.name for entry in self.state.entries(hit.id for hit in self.state.hits)]

    def marks(self, row: int = 0) -> Marks:
        return self.state.entries([self.state.hits[row].id])[0].marks

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NO_MODIFIER) -> None:
        self.qtbot.keyClick(self.view, key, modifier)

    def move_mouse(self, point: QPoint) -> None:
        viewport = self.view.viewport()
        place, nothing = QPointF(point), Qt.MouseButton.NoButton
        event = QMouseEvent(
            QEvent.Type.MouseMove, place, viewport.mapToGlobal(place), nothing, nothing, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(viewport, event)

    def close(self) -> None:
        self.panel.close_threads()
        self.panel.close()
        self.panel.deleteLater()
        self.state.close()
