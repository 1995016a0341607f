"""The list of the queue: rows that keep their place in the user's eye from one snapshot to the next, and its keys."""

from typing import Any

from PySide6.QtCore import QEvent, QItemSelectionModel, QKeyCombination, QModelIndex, QPoint, QRect, QSize, Qt, Slot
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QIcon,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPalette,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QMenu, QTreeView, QWidget

from ltx_studio.domain.queue import Group, Row
from ltx_studio.ui.controls import icon
from ltx_studio.ui.queue_delegate import QueueDelegate
from ltx_studio.ui.queue_model import Index, QueueModel, key_of
from ltx_studio.ui.theme import ICON_PIXELS, Appearance, Theme

_PROGRESS_PIXELS, _PROGRESS_SHARE = 300, 0.42
_INDENT = 20
_MARK_PIXELS = 2  # of the current row, at its beginning
_MOVES = frozenset(
    {Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right}
    | {Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Space}
)


class QueueView(QTreeView):
    """Shows a `QueueModel`. The actions added to it are its keys, and `menu` is its context menu."""

    def __init__(self, model: QueueModel, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queue = model
        self._appearance = appearance
        self._chosen_before: list[tuple[str, int]] = []
        self._current_before: tuple[str, int] | None = None
        self._top_before = 0
        self._open: set[tuple[str, int]] = set()  # batches that are expanded
        self.menu: QMenu | None = None
        self.setAccessibleName(self.tr("Queue"))
        self._set_up()
        self.setModel(model)
        self.setItemDelegate(QueueDelegate(appearance, self.font(), self))
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        model.modelAboutToBeReset.connect(self._remember)
        model.modelReset.connect(self._recall)
        self.expanded.connect(self._expanded)
        self.collapsed.connect(self._collapsed)
        appearance.theme.changed.connect(self._show_theme)
        self._show_theme(appearance.theme.value)

    def _set_up(self) -> None:
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        self.setIndentation(_INDENT)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setExpandsOnDoubleClick(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setDropIndicatorShown(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Window)
        self.setTabKeyNavigation(False)

    @Slot(object)
    def _show_theme(self, theme: Theme) -> None:
        """A chosen row is raised in `drawRow`, so that its own colours stay readable on it; the style adds nothing."""
        nothing = QColor(theme.raised)
        nothing.setAlpha(0)
        colours = self.palette()
        colours.setColor(QPalette.ColorRole.Highlight, nothing)
        self.setPalette(colours)
        self.viewport().update()

    # --- what is chosen -----------------------------------------------------------------------------------------------

    def chosen_rows(self) -> list[Row]:
        """In the order they are shown in."""
        indexes = self.selectionModel().selectedRows(0)
        indexes.sort(key=lambda index: (self.visualRect(index).top(), index.row()))
        rows = [self._queue.row(index) for index in indexes]
        return [row for row in rows if row is not None]

    def choose(self, key: tuple[str, int]) -> None:
        """Choose one row alone, and scroll to it."""
        index = self._queue.index_of(key)
        if index.isValid():
            flag = QItemSelectionModel.SelectionFlag
            self.selectionModel().setCurrentIndex(index, flag.ClearAndSelect | flag.Rows)
            self.scrollTo(index)

    @Slot()
    def _remember(self) -> None:
        self._chosen_before = [key_of(row) for row in self.chosen_rows()]
        current = self._queue.row(self.currentIndex())
        self._current_before = None if current is None else key_of(current)
        self._top_before = self.verticalScrollBar().value()

    @Slot()
    def _recall(self) -> None:
        """The same rows stay chosen and open; where the current one is gone, the first is current."""
        for key in self._open:
            self.setExpanded(self._queue.index_of(key), True)
        selection, flag = self.selectionModel(), QItemSelectionModel.SelectionFlag
        for key in self._chosen_before:
            index = self._queue.index_of(key)
            if index.isValid():
                selection.select(index, flag.Select | flag.Rows)
        current = QModelIndex() if self._current_before is None else self._queue.index_of(self._current_before)
        selection.setCurrentIndex(current if current.isValid() else self._queue.index(0, 0), flag.NoUpdate)
        self.verticalScrollBar().setValue(self._top_before)

    @Slot(QModelIndex)
    def _expanded(self, index: QModelIndex) -> None:
        row = self._queue.row(index)
        if row is not None:
            self._open.add(key_of(row))

    @Slot(QModelIndex)
    def _collapsed(self, index: QModelIndex) -> None:
        row = self._queue.row(index)
        if row is not None:
            self._open.discard(key_of(row))

    # --- painting -----------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        share = round(self.viewport().width() * _PROGRESS_SHARE)
        self.header().resizeSection(1, min(_PROGRESS_PIXELS, share))
        super().resizeEvent(event)

    def drawRow(self, painter: QPainter, option: Any, index: Index) -> None:  # noqa: N802 - Qt's name
        if self.selectionModel().isRowSelected(index.row(), index.parent()):
            painter.fillRect(option.rect, QColor(self._appearance.theme.value.raised))
        super().drawRow(painter, option, index)
        if (
            self.hasFocus()
            and index.row() == self.currentIndex().row()
            and index.parent() == (self.currentIndex().parent())
        ):
            left = option.rect.right() + 1 - _MARK_PIXELS if self.isRightToLeft() else option.rect.left()
            mark = QRect(left, option.rect.top(), _MARK_PIXELS, option.rect.height())
            painter.fillRect(mark, QColor(self._appearance.theme.value.accent))

    def drawBranches(self, painter: QPainter, rect: QRect, index: Index) -> None:  # noqa: N802 - Qt's name
        """An arrow for batches; nothing else."""
        if not isinstance(self._queue.row(index), Group):
            return
        closed = "mdi6.chevron-left" if self.isRightToLeft() else "mdi6.chevron-right"
        arrow: QIcon = icon("mdi6.chevron-down" if self.isExpanded(index) else closed, self._appearance.theme.value)
        spot = QRect(QPoint(0, 0), QSize(ICON_PIXELS, ICON_PIXELS))
        spot.moveCenter(rect.center())
        arrow.paint(painter, spot)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusInEvent(event)
        if not self.currentIndex().isValid():
            flag = QItemSelectionModel.SelectionFlag
            self.selectionModel().setCurrentIndex(self._queue.index(0, 0), flag.ClearAndSelect | flag.Rows)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusOutEvent(event)
        self.viewport().update()

    # --- the keyboard -------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Keys of ours are ours while the list has the focus, whatever they do elsewhere in the window."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            is_move = event.key() in _MOVES and not event.modifiers() & Qt.KeyboardModifier.AltModifier
            if is_move or self._action_of(event) is not None:
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        action = self._action_of(event)
        if action is None:
            super().keyPressEvent(event)
        elif action.isEnabled():
            action.trigger()

    def keyboardSearch(self, search: str) -> None:  # noqa: N802 - Qt's name
        """Letters are commands here."""

    def _action_of(self, event: QKeyEvent) -> QAction | None:
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        pressed = QKeySequence(QKeyCombination(modifiers, Qt.Key(event.key())))
        return next((action for action in self.actions() if pressed in action.shortcuts()), None)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        if self.menu is not None and self.currentIndex().isValid():
            by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
            below_row = self.viewport().mapToGlobal(self.visualRect(self.currentIndex()).bottomLeft())
            self.menu.popup(below_row if by_key else event.globalPos())
