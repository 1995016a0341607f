"""Giving commands other keys: the list of all commands, and a field that takes the next key that is pressed.

The user's changes lie on top of the chosen map and stay when another one is chosen. A key that is taken is said to
be, by whom, before it is given away.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Slot,
)
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.settings import KEY_CHANGES, KEY_MAP
from ltx_studio.state.preferences import Preferences
from ltx_studio.ui import keymaps
from ltx_studio.ui.controls import Button, Label, describe, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP

_NOT_TO_GIVE_AWAY = {"Esc", "Tab", "Shift+Tab"}
_FIELD_WIDTH = 160
_TABLE_HEIGHT = 220
Index = QModelIndex | QPersistentModelIndex


class KeyEditor(QWidget):
    """Shows the keys in use, and puts changes into the settings."""

    def __init__(
        self,
        preferences: Preferences,
        actions: Mapping[str, QAction],
        report: Callable[[Callable[[], None]], bool],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._titles = {name: action.text() for name, action in actions.items()}
        self._report = report
        self._model = _Keys(self._titles, self)
        self._found = QSortFilterProxyModel(self)
        self._found.setSourceModel(self._model)
        self._found.setFilterKeyColumn(-1)
        self._found.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._table = QTableView(self)
        self._field = QKeySequenceEdit(self)
        self._use = Button(self.tr("&Use these keys"), parent=self)
        self._none = Button(self.tr("&No key"), parent=self)
        self._reset = Button(self.tr("&Reset"), parent=self)
        self._sentence = Label(" ", "secondary", self)
        self._sentence.setAccessibleName(self.tr("About these keys"))
        self._sentence.setWordWrap(True)
        self._build_table()
        self._arrange()
        self._connect()

    def _build_table(self) -> None:
        table = self._table
        describe(table, self.tr("Commands and their keys"))
        table.setModel(self._found)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setMinimumHeight(_TABLE_HEIGHT)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(CONTROL_HEIGHT)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_Column.COMMAND, QHeaderView.ResizeMode.Stretch)

    def _arrange(self) -> None:
        describe(self._field, self.tr("New keys"), self.tr("Click here, then press the keys"))
        self._field.setMaximumSequenceLength(1)
        line_of_field = self._field.findChild(QLineEdit)
        assert line_of_field is not None
        line_of_field.setProperty("role", "field")
        self._field.setFixedSize(_FIELD_WIDTH, CONTROL_HEIGHT)
        for button, tip in (
            (self._use, self.tr("Give these keys to the command")),
            (self._none, self.tr("Take the command's keys away")),
            (self._reset, self.tr("Back to the key map's own keys for this command")),
        ):
            describe(button, button.text().replace("&", ""), tip)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        line.addWidget(self._field)
        line.addWidget(self._use)
        line.addStretch(1)
        line.addWidget(self._none)
        line.addWidget(self._reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._table, 1)
        layout.addLayout(line)
        layout.addWidget(self._sentence)

    def _connect(self) -> None:
        self._table.selectionModel().currentRowChanged.connect(self._command_chosen)
        self._field.keySequenceChanged.connect(self._keys_pressed)
        self._use.clicked.connect(self._use_keys)
        self._none.clicked.connect(self._take_keys)
        self._reset.clicked.connect(self._reset_keys)
        self._preferences.watch(KEY_MAP, self._show_keys, self)
        self._preferences.watch(KEY_CHANGES, self._show_keys, self)

    def show_found(self, query: str) -> int:
        """Show the commands that a search finds; how many. A search for the page's own name finds all of them."""
        self._found.setFilterFixedString(query)
        return self._found.rowCount()

    # --- what is chosen -----------------------------------------------------------------------------------------------

    def _command(self) -> str | None:
        index = self._found.mapToSource(self._table.currentIndex())
        return self._model.command(index) if index.isValid() else None

    def _keys(self) -> dict[str, tuple[str, ...]]:
        keys = keymaps.keys_in_use(self._preferences.get(KEY_MAP), self._preferences.get(KEY_CHANGES))
        return {name: keys.get(name, ()) for name in self._titles}

    def _pressed(self) -> str:
        return self._field.keySequence().toString(QKeySequence.SequenceFormat.PortableText)

    @Slot()
    def _command_chosen(self) -> None:
        self._field.clear()
        self._judge()

    @Slot()
    def _keys_pressed(self) -> None:
        self._judge()

    def _show_keys(self, _value: object) -> None:
        self._model.show_keys(self._keys(), self._preferences.get(KEY_CHANGES))
        self._judge()

    def _judge(self) -> None:
        """Say what the pressed keys do now, and enable what can be done."""
        command, pressed = self._command(), self._pressed()
        owner = next((name for name, keys in self._keys().items() if pressed in map(keymaps.portable, keys)), None)
        changes = self._preferences.get(KEY_CHANGES)
        self._use.setEnabled(
            command is not None and bool(pressed) and owner != command and pressed not in _NOT_TO_GIVE_AWAY
        )
        self._none.setEnabled(command is not None and bool(self._keys()[command]))
        self._reset.setEnabled(command is not None and command in changes)
        self._field.setEnabled(command is not None)
        set_role(self._sentence, "secondary")
        if command is None:
            self._sentence.setText(self.tr("Choose a command to change its keys."))
        elif not pressed:
            self._sentence.setText(self._clashes() or self.tr("Click into the field and press the new keys."))
        elif pressed in _NOT_TO_GIVE_AWAY:
            self._warn(self.tr("{keys} is needed to step back or to move on, and stays what it is."), pressed)
        elif owner is not None and owner != command:
            self._warn(
                self.tr("{keys} is the key of “{owner}”. If you use it here, that one has no key."), pressed, owner
            )
        else:
            self._sentence.setText(self.tr("{keys} is free.").format(keys=keymaps.shown(pressed)))

    def _warn(self, sentence: str, pressed: str, owner: str = "") -> None:
        set_role(self._sentence, "warn")
        self._sentence.setText(sentence.format(keys=keymaps.shown(pressed), owner=self._titles.get(owner, "")))

    def _clashes(self) -> str:
        """Changes made on one map can clash with another one's keys."""
        clashes = keymaps.find_clashes(self._keys(), self._titles)
        if clashes:
            set_role(self._sentence, "warn")
        return " ".join(keymaps.clash_sentence(clash, self._titles) for clash in clashes)

    # --- changing -----------------------------------------------------------------------------------------------------

    @Slot()
    def _use_keys(self) -> None:
        command, pressed = self._command(), self._pressed()
        if command is None or not pressed:
            return
        taken = {
            name: ""
            for name, keys in self._keys().items()
            if name != command and pressed in map(keymaps.portable, keys)
        }
        self._put({**self._preferences.get(KEY_CHANGES), **taken, command: pressed})

    @Slot()
    def _take_keys(self) -> None:
        command = self._command()
        if command is not None:
            self._put({**self._preferences.get(KEY_CHANGES), command: ""})

    @Slot()
    def _reset_keys(self) -> None:
        command = self._command()
        self._put({name: keys for name, keys in self._preferences.get(KEY_CHANGES).items() if name != command})

    def _put(self, changes: Mapping[str, str]) -> None:
        self._field.clear()
        self._report(lambda: self._preferences.put(KEY_CHANGES, changes))


class _Column(IntEnum):
    COMMAND = 0
    KEYS = 1
    CHANGED = 2


class _Keys(QAbstractTableModel):
    """Every command, its keys, and whether they are the user's own."""

    def __init__(self, titles: Mapping[str, str], parent: QObject) -> None:
        super().__init__(parent)
        self._titles = titles
        self._names = list(titles)
        self._keys: Mapping[str, tuple[str, ...]] = {}
        self._changes: Mapping[str, str] = {}

    def show_keys(self, keys: Mapping[str, tuple[str, ...]], changes: Mapping[str, str]) -> None:
        self._keys, self._changes = keys, changes
        self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1))

    def command(self, index: Index) -> str:
        return self._names[index.row()]

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def columnCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(_Column)

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return [self.tr("Command"), self.tr("Keys"), self.tr("Yours")][section]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        name = self._names[index.row()]
        match index.column():
            case _Column.COMMAND:
                return self._titles[name]
            case _Column.KEYS:
                return ", ".join(map(keymaps.shown, self._keys.get(name, ())))
            case _:
                return self.tr("changed") if name in self._changes else ""
