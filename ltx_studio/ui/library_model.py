"""The library's results as an item model: an adapter, the truth being `LibraryState`."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, QUrl, Slot

from ltx_studio.domain.library import Entry
from ltx_studio.state.library import LibraryState, is_live
from ltx_studio.ui import library_words

Index = QModelIndex | QPersistentModelIndex
_FLAGS = (
    Qt.ItemFlag.ItemIsSelectable
    | Qt.ItemFlag.ItemIsEnabled
    | Qt.ItemFlag.ItemIsDragEnabled
    | Qt.ItemFlag.ItemNeverHasChildren
)


class Role(IntEnum):
    """What else there is to ask of a row."""

    ENTRY = Qt.ItemDataRole.UserRole  # Entry
    NUM_TAKES = Qt.ItemDataRole.UserRole + 1


class LibraryModel(QAbstractListModel):
    """One row for each hit."""

    def __init__(self, state: LibraryState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._hits = state.hits  # until the reset that says they are others
        self._rows: dict[int, int] | None = None  # of entries' numbers, made when first asked for
        state.results_changed.connect(self._results_changed)
        state.entries_changed.connect(self._entries_changed)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's name and default
        return 0 if parent.isValid() else len(self._hits)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entry(index)
        if entry is None:
            return None
        match role:
            case Role.ENTRY:
                return entry
            case Role.NUM_TAKES:
                return self._hits[index.row()].num_takes
            case Qt.ItemDataRole.DisplayRole:
                return library_words.title(entry)
            case Qt.ItemDataRole.AccessibleTextRole:
                return library_words.spoken(entry, self._hits[index.row()].num_takes)
            case Qt.ItemDataRole.ToolTipRole:
                return library_words.tip(entry)
            case _:
                return None

    def entry(self, index: Index) -> Entry | None:
        if not index.isValid() or index.row() >= len(self._hits):
            return None
        return self._state.entry_of(self._hits, index.row())

    def row_of(self, entry_id: int) -> int | None:
        """Where an entry is shown."""
        if self._rows is None:
            self._rows = {hit.id: row for row, hit in enumerate(self._hits)}
        return self._rows.get(entry_id)

    def entry_id(self, row: int) -> int:
        return self._hits[row].id

    # --- dragging out -------------------------------------------------------------------------------------------------

    def flags(self, index: Index) -> Qt.ItemFlag:
        """The same for every row: Qt asks for each chosen one of ten thousand. `mimeData` leaves out what is gone."""
        return _FLAGS if index.isValid() else Qt.ItemFlag.NoItemFlags

    def supportedDragActions(self) -> Qt.DropAction:  # noqa: N802 - Qt's name
        """Copying alone: whoever takes the file must not move it out of the library."""
        return Qt.DropAction.CopyAction

    def mimeTypes(self) -> list[str]:  # noqa: N802 - Qt's name
        return ["text/uri-list"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802 - Qt's name
        """The files themselves, as any program takes them."""
        entries = [self.entry(index) for index in sorted(indexes, key=QModelIndex.row)]
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(entry.path)) for entry in entries if entry is not None and is_live(entry)])
        return data

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot()
    def _results_changed(self) -> None:
        self.beginResetModel()
        self._hits = self._state.hits
        self._rows = None
        self.endResetModel()

    @Slot(object)
    def _entries_changed(self, ids: set[int]) -> None:
        rows = sorted(row for row in (self.row_of(entry_id) for entry_id in ids) if row is not None)
        if rows:
            self.dataChanged.emit(self.index(rows[0]), self.index(rows[-1]))
