"""The export panel, open, with the lane behind it, and what a user does with it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.ui.export_panel import ExportPanel
from ltx_studio.ui.export_wiring import Exports
from ltx_studio.ui.theme import Appearance

Widget = TypeVar("Widget", bound=QWidget)


class ExportDesk:
    """A panel over a queue of its own."""

    def __init__(self, app: QApplication, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.revealed: list[Path] = []
        self.files_to_choose: list[Path | None] = []
        self.said: list[str] = []
        self.queue = QueueState()
        self.exports = Exports(self.queue, Preferences())
        self.exports.said.connect(self.said.append)
        self.state = self.exports.state
        self.panel = ExportPanel(
            self.state, Appearance(app), ask_sound=self._ask, ask_name=self._ask, show_in_folder=self._reveal
        )
        self.panel.resize(380, 900)
        self.panel.show()
        self.queue.open()
        with qtbot.waitActive(self.panel):
            self.panel.activateWindow()

    def _ask(self, parent: QWidget, title: str, start: Path) -> Path | None:
        return self.files_to_choose.pop(0)

    def _reveal(self, path: Path) -> bool:
        self.revealed.append(path)
        return True

    def open(self, clip: Path) -> None:
        self.state.ask(clip)
        self.qtbot.waitUntil(lambda: not self.state.is_reading.value)

    def find(self, kind: type[Widget], name: str) -> Widget:
        """A visible control by its accessible name."""
        found = [item for item in self.panel.findChildren(kind) if item.accessibleName() == name and item.isVisible()]
        assert found, f"no visible {kind.__name__} is named {name!r}"
        return found[0]

    def click(self, name: str) -> None:
        self.qtbot.mouseClick(self.find(QAbstractButton, name), Qt.MouseButton.LeftButton)

    def choose(self, name: str, text: str) -> None:
        """Pick an entry of a list as the mouse would."""
        choice = self.find(QComboBox, name)
        index = choice.findText(text)
        assert index >= 0, [choice.itemText(number) for number in range(choice.count())]
        choice.setCurrentIndex(index)
        choice.activated.emit(index)

    def text(self, name: str) -> str:
        """What a label says."""
        return self.find(QLabel, name).text()

    def shown(self) -> str:
        """Every text in the panel that can be seen."""
        return " | ".join(item.text() for item in self.panel.findChildren(QLabel) if item.isVisible())

    def wait(self, condition: Callable[[], bool], timeout_ms: int = 20_000) -> None:
        self.qtbot.waitUntil(condition, timeout=timeout_ms)

    def wait_for(self, state: str) -> None:
        """Until the export that was asked for last is done, failed, ..."""
        self.wait(lambda: self.state.job.value is not None and self.state.job.value.state == state)

    def close(self) -> None:
        self.exports.close()
        self.queue.close()
        self.panel.close()
        self.panel.deleteLater()
