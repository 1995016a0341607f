"""The queue as an item model: an adapter, the truth being a `Snapshot` and the run's own last words."""

import json
import time
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QImage

from engine.events import Preview
from engine.jobs.queue import After, Before, Place
from ltx_studio.domain import job as run
from ltx_studio.domain.queue import Group, Item, Row, Snapshot, movable
from ltx_studio.ui import queue_words

Index = QModelIndex | QPersistentModelIndex
NUM_COLUMNS = 2  # what is made; how far it is
_MIME_TYPE = "application/x-ltx-studio-jobs"
_TOP_LEVEL = 0  # internal id of rows that are in no batch; of the others, one more than the batch's row


class Role(IntEnum):
    """What else there is to ask of a row."""

    ROW = Qt.ItemDataRole.UserRole  # Row
    LIVE = Qt.ItemDataRole.UserRole + 1  # the run, as `ltx_studio.domain.job.Job`, where it is this row's
    DONE_IN_S = Qt.ItemDataRole.UserRole + 2  # float from now, or None
    PREVIEW = Qt.ItemDataRole.UserRole + 3  # QImage, or None


class QueueModel(QAbstractItemModel):
    """Jobs, and batches with their jobs below them."""

    move_asked = Signal(list, object)  # numbers of jobs, and the Place they were dropped at

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._snapshot = Snapshot()
        self._rows: tuple[Row, ...] = ()
        self._live: run.Job | None = None
        self._preview: QImage | None = None

    # --- what is shown ------------------------------------------------------------------------------------------------

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """The same jobs at the same places are changed, anything else is a reset."""
        before, self._snapshot = self._rows, snapshot
        if _places(before) == _places(snapshot.rows):
            self._rows = snapshot.rows
            for number, (old, new) in enumerate(zip(before, self._rows, strict=True)):
                if old != new or new.state in {"waiting", "running"}:
                    self._changed(self.index(number, 0), len(new.items) if isinstance(new, Group) else 0)
            return
        self.beginResetModel()
        self._rows = snapshot.rows
        self.endResetModel()

    def show_live(self, job: run.Job | None) -> None:
        """How far the run is."""
        self._live = job
        self._running_changed()

    def show_preview(self, preview: Preview | None) -> None:
        self._preview = None
        if preview is not None:
            height, width, _ = preview.frame.shape
            image = QImage(preview.frame.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
            self._preview = image.convertToFormat(QImage.Format.Format_RGB32)
        self._running_changed()

    def _running_changed(self) -> None:
        for number, row in enumerate(self._rows):
            if row.state == "running":
                self._changed(self.index(number, 0), len(row.items) if isinstance(row, Group) else 0)
            else:
                break  # what runs is listed first

    def _changed(self, index: QModelIndex, num_children: int) -> None:
        self.dataChanged.emit(index, index.siblingAtColumn(NUM_COLUMNS - 1))
        if num_children:
            last = self.index(num_children - 1, NUM_COLUMNS - 1, index)
            self.dataChanged.emit(self.index(0, 0, index), last)

    # --- Qt's questions -----------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's name and default
        if not parent.isValid():
            return len(self._rows)
        row = self.row(parent)
        return len(row.items) if isinstance(row, Group) and parent.column() == 0 else 0

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's name and default
        return NUM_COLUMNS

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008 - Qt's default
        if not (0 <= row < self.rowCount(parent) and 0 <= column < NUM_COLUMNS):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else _TOP_LEVEL)

    def parent(self, index: Index = QModelIndex()) -> QModelIndex:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: B008 - Qt has two of this name
        if not index.isValid() or index.internalId() == _TOP_LEVEL:
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, _TOP_LEVEL)

    def row(self, index: Index) -> Row | None:
        if not index.isValid():
            return None
        if index.internalId() == _TOP_LEVEL:
            return self._rows[index.row()] if index.row() < len(self._rows) else None
        number = index.internalId() - 1
        items = self._rows[number].items if number < len(self._rows) else ()
        return items[index.row()] if index.row() < len(items) else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row(index)
        if row is None:
            return None
        match role:
            case Role.ROW:
                return row
            case Role.LIVE:
                return self._live
            case Role.DONE_IN_S:
                return self._done_in_s(row)
            case Role.PREVIEW:
                return self._preview if row.state == "running" else None
            case Qt.ItemDataRole.DisplayRole:
                if index.column() == 0:
                    return queue_words.title(row)
                return queue_words.doing(row, self._live)
            case Qt.ItemDataRole.AccessibleTextRole:
                return queue_words.spoken(row, self._done_in_s(row), self._live)
            case Qt.ItemDataRole.ToolTipRole:
                prompt = row.request.prompt if isinstance(row, Item) and row.request else queue_words.title(row)
                return "\n".join(part for part in (prompt, queue_words.facts(row), queue_words.error(row)) if part)
            case _:
                return None

    def _done_in_s(self, row: Row) -> float | None:
        if self._snapshot.is_paused:
            return None
        seconds = self._snapshot.done_in_s(row)
        return None if seconds is None else max(seconds - (time.time() - self._snapshot.taken_s), 0.0)

    def seconds_left(self) -> float:
        """Until the whole queue is done, from now."""
        return max(self._snapshot.ahead.total_s - (time.time() - self._snapshot.taken_s), 0.0)

    def index_of(self, key: tuple[str, int]) -> QModelIndex:
        """Where a row is, by its `key_of`."""
        for number, row in enumerate(self._rows):
            if key_of(row) == key:
                return self.index(number, 0)
            if isinstance(row, Group):
                for child, item in enumerate(row.items):
                    if key_of(item) == key:
                        return self.index(child, 0, self.index(number, 0))
        return QModelIndex()

    # --- dragging -----------------------------------------------------------------------------------------------------

    def flags(self, index: Index) -> Qt.ItemFlag:
        row = self.row(index)
        if row is None:
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        if movable(row):
            flags |= Qt.ItemFlag.ItemIsDragEnabled
        return flags | (Qt.ItemFlag.ItemIsDropEnabled if isinstance(row, Group) else Qt.ItemFlag.ItemNeverHasChildren)

    def supportedDropActions(self) -> Qt.DropAction:  # noqa: N802 - Qt's name
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:  # noqa: N802 - Qt's name
        return [_MIME_TYPE]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802 - Qt's name
        """The numbers of the jobs, those of the line alone."""
        rows = [row for index in indexes if index.column() == 0 and (row := self.row(index)) is not None]
        data = QMimeData()
        data.setData(_MIME_TYPE, json.dumps(ordered(movable(row) for row in rows)).encode())
        return data

    def dropMimeData(self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index) -> bool:  # noqa: N802 - Qt's name
        """Always refused: the rows are not moved here, but by the queue, and come back with its next snapshot."""
        if data.hasFormat(_MIME_TYPE):
            job_ids: list[int] = json.loads(bytes(data.data(_MIME_TYPE).data()))
            rows = self._rows if not parent.isValid() else self._children(parent)
            place = place_at(rows, len(rows) if row < 0 else row, job_ids)
            if job_ids and place is not None:
                self.move_asked.emit(job_ids, place)
        return False

    def _children(self, parent: Index) -> tuple[Item, ...]:
        row = self.row(parent)
        return () if row is None else row.items


def key_of(row: Row) -> tuple[str, int]:
    """What a row is known by from one snapshot to the next."""
    return ("batch", row.batch.id) if isinstance(row, Group) else ("job", row.id)


def ordered(job_ids: Any) -> list[int]:
    """Each once, in order: a batch may be chosen together with its jobs."""
    return list(dict.fromkeys(job_id for group in job_ids for job_id in group))


def place_at(rows: Sequence[Row], gap: int, moved: Sequence[int]) -> Place | None:
    """The place of a gap between rows: before what stands there, else behind what stands above; None for no line."""
    own = set(moved)
    below = [job_id for row in rows[gap:] for job_id in movable(row) if job_id not in own]
    if below:
        return Before(below[0])
    above = [job_id for row in rows[:gap] for job_id in movable(row) if job_id not in own]
    return After(above[-1]) if above else None


def _places(rows: Sequence[Row]) -> list[tuple[tuple[str, int], ...]]:
    return [(key_of(row), *(key_of(item) for item in row.items)) for row in rows]
