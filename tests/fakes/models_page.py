"""The model page over a small catalogue and a hub on this machine, driven by the names of its controls."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from engine.request import GenerationRequest
from engine.weights.workers import Pace
from ltx_studio.domain.models import ModelRow
from ltx_studio.services.model_worker import ModelWorker
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.session import Session
from ltx_studio.ui.models_card import ModelCard
from ltx_studio.ui.models_panel import ModelsPanel
from ltx_studio.ui.theme import Appearance

ONE, TWO, READER = "The model of one.safetensors", "The model of two.safetensors", "Reads prompts"
QUICK = Pace(connections=2, piece_bytes=1 << 14, pieces_per_range=4, first_delay_s=0.01)
LOTS_BYTES = 10**12


class _Window(QObject):
    closing = Signal()


class ModelsPage:
    """The page, shown, and what a user finds on it."""

    def __init__(self, app: QApplication, qtbot: QtBot, *, free_bytes: int = LOTS_BYTES) -> None:
        self.qtbot = qtbot
        self.folder: Path | None = None  # what the user picks next
        self.asked: list[ModelRow] = []  # models whose removal was asked about
        self.preferences = Preferences()
        self.session = Session(GenerationRequest(""))
        self._window = _Window()
        self.panel = ModelsPanel(
            self.session,
            self.preferences,
            Appearance(app),
            self._window.closing,
            worker=ModelWorker(pace=QUICK, free_bytes=lambda _folder: free_bytes),
            ask_folder=lambda _parent, _title: self.folder,
            may_remove=self._may_remove,
        )
        self.panel.resize(400, 900)
        qtbot.addWidget(self.panel)
        self.panel.show()
        self.wait_until_idle()

    def _may_remove(self, _parent: QWidget, row: ModelRow) -> bool:
        self.asked.append(row)
        return True

    def button(self, name: str) -> QAbstractButton:
        """A visible button by its accessible name, as soon as there is one."""
        self.wait_until(lambda: self.has_button(name))
        buttons = self.panel.findChildren(QAbstractButton)
        return next(item for item in buttons if item.accessibleName() == name and item.isVisible())

    def has_button(self, name: str) -> bool:
        buttons = self.panel.findChildren(QAbstractButton)
        return any(item.accessibleName() == name and item.isVisible() for item in buttons)

    def click(self, name: str) -> None:
        self.qtbot.mouseClick(self.button(name), Qt.MouseButton.LeftButton)

    def do(self, name: str) -> None:
        """Press a button and wait for what comes of it."""
        self.click(name)
        self.wait_until_idle()

    def state_of(self, title: str) -> str:
        """What the page says about how far a model is."""
        name = f"State of {title}"
        return next(label.text() for label in self.panel.findChildren(QLabel) if label.accessibleName() == name)

    def words(self) -> str:
        """Everything that can be read."""
        return " | ".join(label.text() for label in self.panel.findChildren(QLabel) if label.isVisible())

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(is_so, timeout=5000)

    def wait_until_idle(self) -> None:
        self.wait_until(lambda: self.panel.shelf.is_idle)
        self.panel.draw_now()
        cards = self.panel.findChildren(ModelCard)
        self.wait_until(lambda: all(card.isVisible() for card in cards))  # Qt shows new widgets a moment later

    def close(self) -> None:
        """As when the window goes; harmless twice."""
        self._window.closing.emit()
