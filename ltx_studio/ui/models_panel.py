"""The model page: every model, what it needs, how far it is, and everything that brings, checks or removes it."""

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QUrl, Signal, SignalInstance, Slot
from PySide6.QtGui import QAction, QDesktopServices, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QScrollArea, QVBoxLayout, QWidget

from engine.hardware import Machine
from engine.network import SEALED_VARIABLE
from ltx_studio.domain.model_tasks import Adopt, Export, Get, Import, KeepToken, Remove, Verify
from ltx_studio.domain.models import Inventory, ModelRow
from ltx_studio.services.model_worker import ModelWorker
from ltx_studio.settings import SEALED
from ltx_studio.state.models import ModelShelf
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.session import Session
from ltx_studio.ui import models_words
from ltx_studio.ui.controls import Button, Label, describe
from ltx_studio.ui.models_activity import ModelActivity
from ltx_studio.ui.models_card import ModelCard, SaidLine, Shown
from ltx_studio.ui.models_dialogs import choose_folder, confirm_remove
from ltx_studio.ui.models_words import Said, breakable
from ltx_studio.ui.theme import GAP, GRID, PADDING, Appearance
from ltx_studio.ui.throttle import Throttle

_REDRAW_MS = 60
_SCROLL_BAR_WIDTH = 10  # as the style sheet has it


class ModelsPanel(QWidget):
    """Owns the thread that works on model files; it ends when `closing` is said."""

    models_changed = Signal()  # files came or went: whatever lists models may look again

    def __init__(
        self,
        session: Session,
        preferences: Preferences,
        appearance: Appearance,
        closing: SignalInstance,
        parent: QWidget | None = None,
        *,
        worker: ModelWorker | None = None,
        ask_folder: Callable[[QWidget, str], Path | None] = choose_folder,
        may_remove: Callable[[QWidget, ModelRow], bool] = confirm_remove,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._appearance = appearance
        self._ask_folder = ask_folder
        self._may_remove = may_remove
        self.shelf = ModelShelf(self)
        self.worker = worker or ModelWorker(self)
        self._cards: dict[str, ModelCard] = {}
        self._folder = Label(role="secondary", parent=self)
        self._folder.setAccessibleName(self.tr("Where models go"))
        self._folder.setWordWrap(True)
        self._sealed = SaidLine(appearance, self)
        self._sealed.setAccessibleName(self.tr("Sealed mode"))
        self._activity = ModelActivity(appearance, self)
        self._looking = Label(self.tr("Looking at the models on this machine"), "secondary", self)
        self._adopt = Button(self.tr("Use files that are here"), parent=self)
        describe(
            self._adopt,
            self.tr("Use files that are here"),
            self.tr("Take model files that other programs brought to this machine, without fetching them again"),
        )
        self._folders = QMenu(self._adopt)
        self._import = Button(self.tr("Import a pack"), parent=self)
        describe(
            self._import,
            self.tr("Import a pack"),
            self.tr("Install models from a folder that was exported on another machine"),
        )
        self._area = QScrollArea(self)
        self._body = QWidget(self)
        self._redraw = Throttle(_REDRAW_MS, self.draw_now, self)
        self._arrange()
        self._connect(preferences, closing)

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setContentsMargins(PADDING, PADDING, PADDING, GAP)
        head.setSpacing(GAP)
        for widget in (self._sealed, self._activity, self._folder):
            head.addWidget(widget)
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._looking.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        self._column.addWidget(self._looking)
        self._column.addStretch(1)
        area = self._area
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(self._body)
        foot = QHBoxLayout()
        foot.setContentsMargins(PADDING, GAP, PADDING, PADDING)
        foot.setSpacing(GAP)
        foot.addWidget(self._adopt)
        foot.addWidget(self._import)
        foot.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(_divider(self))
        layout.addWidget(area, 1)
        layout.addWidget(_divider(self))
        layout.addLayout(foot)

    def _connect(self, preferences: Preferences, closing: SignalInstance) -> None:
        shelf, worker = self.shelf, self.worker
        shelf.asked.connect(worker.start)
        shelf.stop_asked.connect(worker.stop)
        shelf.models_changed.connect(self.models_changed)
        worker.happened.connect(shelf.apply)
        closing.connect(worker.close)
        for changed in (shelf.inventory.changed, shelf.queue.changed, shelf.is_sealed.changed):
            changed.connect(self._redraw.request)
        self._session.is_running.changed.connect(self._redraw.request)
        self._session.machine.changed.connect(self._machine_read)
        self._activity.pause_asked.connect(shelf.pause)
        self._activity.resume_asked.connect(shelf.resume)
        self._activity.stop_asked.connect(shelf.drop)
        self._activity.dismissed.connect(shelf.dismiss)
        self._adopt.clicked.connect(self._show_folders)
        self._import.clicked.connect(self._import_pack)
        self.show_sealed(os.environ.get(SEALED_VARIABLE, "0") not in {"", "0"})
        preferences.watch(SEALED, self.show_sealed, self)

    def card(self, name: str) -> ModelCard:
        """The card of a model, by its name in the catalogue, once the page has looked."""
        return self._cards[name]

    def show_sealed(self, is_sealed: bool) -> None:
        """Say that the network is refused. Never the other way: it stays refused until the next start."""
        self.shelf.is_sealed.value = self.shelf.is_sealed.value or is_sealed

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        super().showEvent(event)
        self.shelf.look(self._session.machine.value)
        self.draw_now()

    @Slot(object)
    def _machine_read(self, machine: Machine | None) -> None:
        """What fits is said once the machine is known, and again with every later look."""
        inventory = self.shelf.inventory.value
        if self.isVisible() and inventory is not None and all(row.plan is None for row in inventory.rows):
            self.shelf.look(machine)

    # --- what is shown ------------------------------------------------------------------------------------------------

    @Slot()
    def draw_now(self) -> None:
        """Show the state as it is; changes of it come here by themselves, a little later."""
        shelf = self.shelf
        self._sealed.say(self._sealed_said() if shelf.is_sealed.value else None)
        inventory, queue = shelf.inventory.value, shelf.queue.value
        self._folder.setVisible(inventory is not None)
        if inventory is None:
            return
        self._looking.hide()
        self._folder.setText(self._folder_said(inventory))
        self._activity.show_queue(queue, inventory, is_sealed=shelf.is_sealed.value)
        is_first = not self._cards
        for row in inventory.rows:
            card = self._cards.get(row.name) or self._add_card(row.name)
            is_making = self._session.is_running.value
            card.show_model(Shown(row, inventory, queue, shelf.is_sealed.value, is_making))

        # Nothing is cut off where the panel is made narrower: it stops before.
        self._area.setMinimumWidth(self._body.minimumSizeHint().width() + _SCROLL_BAR_WIDTH)
        if is_first:
            self._order_tabs()

    def _order_tabs(self) -> None:
        """The keyboard meets the buttons below the cards after the cards, which are made later."""
        if self._cards:
            self.setTabOrder(list(self._cards.values())[-1].last_control, self._adopt)
            self.setTabOrder(self._adopt, self._import)

    def _sealed_said(self) -> Said:
        sentence = self.tr(
            "Sealed: every connection of this program is refused. "
            "Models still come from an offline pack, or from files that are here."
        )
        return Said(sentence, "warn", "mdi6.lock")

    def _folder_said(self, inventory: Inventory) -> str:
        sentence = self.tr("Models go to {folder}, with {free} free.")
        return sentence.format(folder=breakable(str(inventory.folder)), free=models_words.amount(inventory.free_bytes))

    def _add_card(self, name: str) -> ModelCard:
        card = self._cards[name] = ModelCard(self._appearance, self)
        if len(self._cards) > 1:
            self._column.insertWidget(self._column.count() - 1, _divider(self))
        self._column.insertWidget(self._column.count() - 1, card)
        shelf = self.shelf
        card.get_asked.connect(lambda name: shelf.do(Get(name)))
        card.verify_asked.connect(lambda name: shelf.do(Verify(name)))
        card.token_given.connect(lambda token: shelf.do(KeepToken(token)))
        card.pause_asked.connect(shelf.pause)
        card.resume_asked.connect(shelf.resume)
        card.drop_asked.connect(shelf.drop)
        card.export_asked.connect(self._export)
        card.remove_asked.connect(self._remove)
        card.page_asked.connect(lambda address: QDesktopServices.openUrl(QUrl(address)))
        return card

    # --- what asks first ----------------------------------------------------------------------------------------------

    @Slot(str)
    def _remove(self, name: str) -> None:
        inventory = self.shelf.inventory.value
        row = None if inventory is None else inventory.row(name)
        if row is not None and self._may_remove(self, row):
            self.shelf.do(Remove(name))

    @Slot(str)
    def _export(self, name: str) -> None:
        folder = self._ask_folder(self, self.tr("Choose a folder for the offline pack"))
        if folder is not None:
            self.shelf.do(Export(name, folder))

    @Slot()
    def _import_pack(self) -> None:
        folder = self._ask_folder(self, self.tr("Choose an offline pack"))
        if folder is not None:
            self.shelf.do(Import(folder))

    @Slot()
    def _show_folders(self) -> None:
        """The usual folders that exist, all of them together first, and any other."""
        inventory = self.shelf.inventory.value
        usual = () if inventory is None else inventory.usual_folders
        self._folders.clear()
        if len(usual) > 1:
            self._add_folders(self.tr("Look in all of these"), usual)
            self._folders.addSeparator()
        for folder in usual:
            self._add_folders(str(folder).replace("&", "&&"), (folder,))
        if usual:
            self._folders.addSeparator()
        choose = QAction(self.tr("Choose a folder..."), self._folders)
        choose.triggered.connect(self._adopt_other)
        self._folders.addAction(choose)
        self._folders.popup(self._adopt.mapToGlobal(self._adopt.rect().topLeft() - self._menu_height()))

    def _menu_height(self) -> QPoint:
        return QPoint(0, self._folders.sizeHint().height() + GRID)

    def _add_folders(self, text: str, folders: tuple[Path, ...]) -> None:
        action = QAction(text, self._folders)
        action.triggered.connect(lambda: self.shelf.do(Adopt(folders)))
        self._folders.addAction(action)

    @Slot()
    def _adopt_other(self) -> None:
        folder = self._ask_folder(self, self.tr("Choose a folder with model files"))
        if folder is not None:
            self.shelf.do(Adopt((folder,)))


def _divider(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setProperty("role", "divider")
    line.setFixedHeight(1)
    return line
