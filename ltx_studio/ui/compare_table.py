"""What differs between the requests of compared takes, one setting in each row."""

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStackedWidget, QTableView, QWidget

from ltx_studio.domain.compare import Difference, differences
from ltx_studio.state.compare import CompareState
from ltx_studio.ui import compare_words
from ltx_studio.ui.controls import Label
from ltx_studio.ui.theme import CONTROL_HEIGHT, GRID

_TALLEST = 148  # more is scrolled
_Index = QModelIndex | QPersistentModelIndex


class DifferencesModel(QAbstractTableModel):
    """Rows are settings; the first column names them, the others are the takes in their own order."""

    def __init__(self, state: CompareState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.rows: tuple[Difference, ...] = ()
        state.takes.changed.connect(self._take)
        self._take()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's name and default
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's name and default
        return 0 if parent.isValid() or not self.rows else self._state.num_sides + 1

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        row = self.rows[index.row()]
        if index.column() == 0:
            return compare_words.setting_name(row.field)
        take = index.column() - 1
        if self._state.takes.value[take].request is None:
            return compare_words.tr("not known")
        return compare_words.setting_value(row.field, row.values[take])

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or orientation == Qt.Orientation.Vertical:
            return None
        if section == 0:
            return compare_words.tr("Setting")
        take = self._state.takes.value[section - 1]
        letter = compare_words.side_letter(section - 1)
        return compare_words.tr("{letter}  {title}").format(letter=letter, title=take.title)

    def _take(self, _takes: object = None) -> None:
        self.beginResetModel()
        self.rows = differences([take.request for take in self._state.takes.value])
        self.endResetModel()


class DifferencesTable(QStackedWidget):
    """The table, or a sentence where there is nothing for it."""

    def __init__(self, state: CompareState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.model = DifferencesModel(state, self)
        self._table = QTableView(self)
        self._table.setModel(self.model)
        self._table.setAccessibleName(self.tr("What differs between the requests"))
        self._table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self._table.setShowGrid(False)
        self._table.setWordWrap(True)
        self._table.setTabKeyNavigation(False)
        self._table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self._table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._table.verticalHeader().hide()
        self._sentence = Label(role="secondary", parent=self)
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._sentence.setWordWrap(True)
        self.addWidget(self._table)
        self.addWidget(self._sentence)
        self.model.modelReset.connect(self._show)
        state.ballot.changed.connect(self._show)
        self._show()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(320, self.height())

    def _show(self, _what: object = None) -> None:
        num_known = sum(take.request is not None for take in self._state.takes.value)
        if self._state.ballot.value is not None:
            words = self.tr("What differs is shown when the blind comparison is over.")
        elif num_known < 2:
            words = self.tr("The files do not say how they were made, so there is nothing to set side by side.")
        elif not self.model.rows:
            words = self.tr("All were made with the same settings.")
        else:
            self.setCurrentWidget(self._table)
            rows = sum(self._table.rowHeight(row) for row in range(self.model.rowCount()))
            self.setFixedHeight(min(self._table.horizontalHeader().sizeHint().height() + rows + GRID, _TALLEST))
            return
        self._sentence.setText(words)
        self.setCurrentWidget(self._sentence)
        self.setFixedHeight(CONTROL_HEIGHT)
