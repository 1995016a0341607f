"""Prompts that were used before, with search; those with a star stay at hand for good."""

from collections.abc import Sequence
from typing import Any

import qtawesome
from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.domain.prompt_history import Entry
from ltx_studio.state.prompt import PromptState
from ltx_studio.ui.controls import Button, IconButton, Label, describe, keeps
from ltx_studio.ui.theme import GAP, GRID, Appearance

_KEYS = frozenset({Qt.Key.Key_Space, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End})
_TIP_CHARACTERS = 600
_Index = QModelIndex | QPersistentModelIndex


class PastModel(QAbstractListModel):
    """Entries of the history, newest first; favourites carry a star."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._entries: Sequence[Entry] = ()
        self._appearance = appearance

    def set_entries(self, entries: Sequence[Entry]) -> None:
        self.beginResetModel()
        self._entries = entries
        self.endResetModel()

    def entry(self, index: _Index) -> Entry:
        return self._entries[index.row()]

    def rowCount(self, parent: _Index | None = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entry(index)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return " ".join(entry.prompt.text.split())
            case Qt.ItemDataRole.ToolTipRole:
                return entry.prompt.text[:_TIP_CHARACTERS]
            case Qt.ItemDataRole.DecorationRole:
                name = "mdi6.star" if entry.is_favourite else "mdi6.star-outline"
                theme = self._appearance.theme.value
                return qtawesome.icon(name, color=QColor(theme.text), color_selected=QColor(theme.on_selection))
            case Qt.ItemDataRole.AccessibleTextRole:
                text = self.tr("{prompt}, favourite") if entry.is_favourite else "{prompt}"
                return text.format(prompt=entry.prompt.text)
            case _:
                return None


class _PastView(QListView):
    """Return uses an entry, Space stars it, Delete forgets it."""

    use_asked = Signal()
    star_asked = Signal()
    forget_asked = Signal()

    def event(self, event: QEvent) -> bool:
        return keeps(event, _KEYS | {Qt.Key.Key_Delete}) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        asked = {
            Qt.Key.Key_Return: self.use_asked,
            Qt.Key.Key_Enter: self.use_asked,
            Qt.Key.Key_Space: self.star_asked,
            Qt.Key.Key_Delete: self.forget_asked,
        }.get(Qt.Key(event.key()))
        if asked is not None and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            asked.emit()
        else:
            super().keyPressEvent(event)


class PastPage(QWidget):
    """The history and its search."""

    def __init__(self, state: PromptState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.search = QLineEdit(self)
        self.search.setProperty("role", "field")
        self.search.setClearButtonEnabled(True)
        self.search.setPlaceholderText(self.tr("Search prompts"))
        describe(self.search, self.tr("Search prompts"))
        self._favourites = IconButton("mdi6.star-outline", self.tr("Favourites only"), appearance, self)
        self._favourites.setCheckable(True)
        self._model = PastModel(appearance, self)
        self.view = _PastView(self)
        describe(self.view, self.tr("Earlier prompts"), " ")
        self.view.setModel(self._model)
        self.view.setUniformItemSizes(True)
        self.view.setFrameShape(QFrame.Shape.NoFrame)
        self.view.setSpacing(GRID // 2)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._note = Label(role="secondary", parent=self)
        self._note.setWordWrap(True)
        self._use = Button(self.tr("Use this prompt"), parent=self)
        describe(self._use, self._use.text(), self.tr("Replaces the prompt; Ctrl+Z brings the old one back (Return)"))
        self._star = IconButton("mdi6.star-outline", self.tr("Favourite (Space)"), appearance, self)
        self._forget = IconButton("mdi6.delete-outline", self.tr("Forget this prompt (Delete)"), appearance, self)
        self._arrange()
        self.search.textChanged.connect(self.show_entries)
        self._favourites.toggled.connect(self._favourites_toggled)
        self.view.doubleClicked.connect(self._use_entry)
        self.view.use_asked.connect(self._use_entry)
        self.view.star_asked.connect(self._star_entry)
        self.view.forget_asked.connect(self._forget_entry)
        self._use.clicked.connect(self._use_entry)
        self._star.clicked.connect(self._star_entry)
        self._forget.clicked.connect(self._forget_entry)
        self.view.selectionModel().currentChanged.connect(self._show_buttons)
        state.history_changed.connect(self._history_changed)

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(GAP)
        top.addWidget(self.search, 1)
        top.addWidget(self._favourites)
        bottom = QHBoxLayout()
        bottom.setSpacing(GAP)
        bottom.addWidget(self._use)
        bottom.addStretch(1)
        bottom.addWidget(self._star)
        bottom.addWidget(self._forget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(top)
        layout.addWidget(self._note)
        layout.addWidget(self.view, 1)
        layout.addLayout(bottom)

    def controls(self) -> list[QWidget]:
        return [self.search, self._favourites, self.view, self._use, self._star, self._forget]

    def show_entries(self, _value: object = None) -> None:
        """Search again. Keeps the place in the list where that is still there."""
        row = self.view.currentIndex().row()
        favourites_only, query = self._favourites.isChecked(), self.search.text()
        entries = self._state.history.search(query, favourites_only=favourites_only)
        self._model.set_entries(entries)
        if entries:
            self.view.setCurrentIndex(self._model.index(min(max(row, 0), len(entries) - 1)))
        if query.strip():
            empty = self.tr("No prompt has these words.")
        elif favourites_only:
            empty = self.tr("Prompts that you star are kept here.")
        else:
            empty = self.tr("Prompts appear here once you have generated with them.")
        self._note.setText("" if entries else empty)
        self._note.setVisible(not entries)
        self.view.setVisible(bool(entries))
        self._show_buttons()

    def _current(self) -> Entry | None:
        index = self.view.currentIndex()
        return self._model.entry(index) if index.isValid() else None

    def _show_buttons(self, _index: object = None) -> None:
        entry = self._current()
        for button in (self._use, self._star, self._forget):
            button.setEnabled(entry is not None)
        self._star.set_icon_name("mdi6.star" if entry is not None and entry.is_favourite else "mdi6.star-outline")

    def _favourites_toggled(self, is_on: bool) -> None:
        self._favourites.set_icon_name("mdi6.star" if is_on else "mdi6.star-outline")
        self.show_entries()

    def _history_changed(self) -> None:
        if self.isVisible():
            self.show_entries()

    def _use_entry(self, _value: object = None) -> None:
        entry = self._current()
        if entry is not None:
            self._state.restore(entry)

    def _star_entry(self) -> None:
        entry = self._current()
        if entry is not None:
            self._state.set_favourite(entry, not entry.is_favourite)

    def _forget_entry(self) -> None:
        entry = self._current()
        if entry is not None:
            self._state.forget(entry)
