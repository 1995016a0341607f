"""The grid of the library: tiles that fill the width, the mouse over a clip showing its frames, and its keys.

A list view in icon mode with tiles of one size: it asks for what is on the screen and nothing else.
"""

from typing import cast

from PySide6.QtCore import QEvent, QItemSelectionModel, QKeyCombination, QModelIndex, QPoint, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPalette,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QMenu, QWidget

from ltx_studio.domain.library import Entry
from ltx_studio.services.thumbnails import NUM_STRIP_PICTURES, Source, Thumbnails
from ltx_studio.ui.library_delegate import Scrub, TileDelegate, source_of
from ltx_studio.ui.library_model import LibraryModel
from ltx_studio.ui.library_tile import INSET
from ltx_studio.ui.theme import GRID, PADDING, Appearance

SMALLEST_TILE, FIRST_TILE, LARGEST_TILE = 112, 150, 320  # pixels; tiles grow from these to fill the width
_WHEEL_PIXELS = 48
_KEYS = frozenset(
    {
        *(Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down),
        *(Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown),
        *(Qt.Key.Key_Comma, Qt.Key.Key_Period),
    }
)
_Modifier = Qt.KeyboardModifier
_SELECTING = _Modifier.ShiftModifier | _Modifier.ControlModifier | _Modifier.KeypadModifier
_SCRUB_KEYS = {Qt.Key.Key_Comma: -1, Qt.Key.Key_Period: 1}


class LibraryView(QListView):
    """Shows a `LibraryModel`. The actions added to it are its keys and its context menu is `menu`."""

    rated = Signal(list, int)  # numbers of entries, and the star that was clicked
    tile_width_changed = Signal(int)

    def __init__(
        self, model: LibraryModel, thumbnails: Thumbnails, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._library = model
        self._thumbnails = thumbnails
        self._wanted_width = FIRST_TILE
        self._selected_before: list[int] = []
        self._current_before: tuple[int, int] | None = None  # row, number
        self.menu: QMenu | None = None
        self.tiles = TileDelegate(thumbnails, appearance, self.font(), self)
        self.setAccessibleName(self.tr("Library"))
        self._set_up()
        self.setModel(model)
        self.setItemDelegate(self.tiles)
        model.modelAboutToBeReset.connect(self._remember)
        model.modelReset.connect(self._recall)
        thumbnails.changed.connect(self._thumbnail_changed)
        appearance.theme.changed.connect(self._repaint)

    def _set_up(self) -> None:
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setWrapping(True)
        self.setSpacing(0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setDragEnabled(True)  # after setMovement, which takes it away
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always there, invisible while there is nothing to scroll: else tiles would change their size as it comes.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(_WHEEL_PIXELS)
        self.verticalScrollBar().rangeChanged.connect(self._show_scroll_bar)
        self._show_scroll_bar(0, 0)
        self.setViewportMargins(PADDING - INSET, 0, -GRID // 2, 0)  # pictures in line with the panel's controls
        self.viewport().setMouseTracking(True)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Window)
        self.setTabKeyNavigation(False)

    # --- what is chosen -----------------------------------------------------------------------------------------------

    def selected_ids(self) -> list[int]:
        """The numbers of the chosen entries, in the order they are shown in."""
        # By ranges: `selectedIndexes` asks the model about every single one.
        selection = self.selectionModel().selection()
        ranges = [selection.at(number) for number in range(selection.size())]
        rows = sorted(row for item in ranges for row in range(item.top(), item.bottom() + 1))
        return [self._library.entry_id(row) for row in rows]

    def current_entry(self) -> Entry | None:
        return self._library.entry(self.currentIndex())

    def select_row(self, row: int) -> None:
        """Choose one row alone, and scroll to it."""
        index = self._library.index(row)
        self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.scrollTo(index)

    @Slot()
    def _remember(self) -> None:
        self._selected_before = self.selected_ids()
        current = self.currentIndex()
        self._current_before = (current.row(), self._library.entry_id(current.row())) if current.isValid() else None

    @Slot()
    def _recall(self) -> None:
        """The same entries stay chosen; where none of them is left, the one that took their place."""
        self.tiles.scrub = None
        model, selection = self._library, self.selectionModel()
        rows = [row for row in map(model.row_of, self._selected_before) if row is not None]
        for row in rows:
            selection.select(model.index(row), QItemSelectionModel.SelectionFlag.Select)
        if self._current_before is None or model.rowCount() == 0:
            return
        row_before, entry_id = self._current_before
        row = model.row_of(entry_id)
        if row is None:
            row = rows[0] if rows else min(row_before, model.rowCount() - 1)
        flag = QItemSelectionModel.SelectionFlag
        selection.setCurrentIndex(model.index(row), flag.NoUpdate if rows else flag.ClearAndSelect)
        self.scrollTo(model.index(row))

    # --- tiles --------------------------------------------------------------------------------------------------------

    @property
    def tile_width(self) -> int:
        """The least width of a tile; as many columns as fit share the room."""
        return self._wanted_width

    def set_tile_width(self, width: int) -> None:
        width = min(max(width, SMALLEST_TILE), LARGEST_TILE)
        if width != self._wanted_width:
            self._wanted_width = width
            self._fit_tiles()
            self.scrollTo(self.currentIndex())
            self.tile_width_changed.emit(width)

    def num_columns(self) -> int:
        return max(self.viewport().width() // self._wanted_width, 1)

    def _fit_tiles(self) -> None:
        width = max((self.viewport().width() - 1) // self.num_columns(), SMALLEST_TILE // 2)
        geometry = self.tiles.geometry_of_width(width)
        if geometry != self.tiles.geometry:
            self.tiles.geometry = geometry
            self.setGridSize(geometry.size)
            self.scheduleDelayedItemsLayout()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        self._fit_tiles()
        super().resizeEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.set_tile_width(self._wanted_width + (16 if event.angleDelta().y() > 0 else -16))
            event.accept()
            return
        super().wheelEvent(event)

    @Slot(int, int)
    def _show_scroll_bar(self, lowest: int, highest: int) -> None:
        self.verticalScrollBar().setEnabled(highest > lowest)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(2 * FIRST_TILE + self.verticalScrollBar().sizeHint().width() + 1, 400)

    @Slot(object)
    def _thumbnail_changed(self, source: Source) -> None:
        """Repaint the tile that shows it, if any does: only those on the screen are looked at."""
        self.tiles.redraw(source)
        for row in self.visible_rows():
            index = self._library.index(row)
            entry = self._library.entry(index)
            if entry is not None and source_of(entry) == source:
                self.update(index)

    def visible_rows(self) -> range:
        """The rows on the screen, the first to the last."""
        size, num_columns = self.tiles.geometry.size, self.num_columns()
        top = self.verticalScrollBar().value()
        first = top // size.height() * num_columns
        last = (top + self.viewport().height()) // size.height() * num_columns + num_columns
        return range(first, min(last, self._library.rowCount()))

    @Slot(object)
    def _repaint(self, _theme: object) -> None:
        self.tiles.redraw_all()
        self.viewport().update()

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.buttons() == Qt.MouseButton.NoButton:
            self._scrub_at(event.position().toPoint())
        super().mouseMoveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        star, index = self._star_at(event.position().toPoint())
        if star and event.button() == Qt.MouseButton.LeftButton and not event.modifiers():
            entry = self._library.entry(index)
            if entry is not None:
                chosen = self.selected_ids()
                ids = chosen if entry.id in chosen else [entry.id]
                self.rated.emit(ids, 0 if entry.marks.rating == star else star)  # the same star again takes it away
            return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if self._star_at(event.position().toPoint())[0]:
            self.mousePressEvent(event)
        else:
            super().mouseDoubleClickEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        self._scrub_at(None)
        super().leaveEvent(event)

    def _star_at(self, point: QPoint) -> tuple[int, QModelIndex]:
        index = self.indexAt(point)
        return (self.tiles.geometry.star_at(self.visualRect(index), point) if index.isValid() else 0), index

    def _scrub_at(self, point: QPoint | None) -> None:
        index = QModelIndex() if point is None else self.indexAt(point)
        scrub = None
        if point is not None and index.isValid():
            fraction = self.tiles.geometry.fraction_at(self.visualRect(index), point)
            scrub = None if fraction is None else Scrub(index.row(), fraction)
        self._set_scrub(scrub)

    def _set_scrub(self, scrub: Scrub | None) -> None:
        before, self.tiles.scrub = self.tiles.scrub, scrub
        if scrub != before:
            for row in {item.row for item in (before, scrub) if item is not None}:
                self.update(self._library.index(row))

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        self.tiles.has_focus = True
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        self.tiles.has_focus = False
        super().focusOutEvent(event)
        self.viewport().update()

    # --- the keyboard -------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Keys of ours are ours while the grid has the focus, whatever they do elsewhere in the window."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._has_use_for(event):
            event.accept()
            return True
        return super().event(event)

    def _has_use_for(self, event: QKeyEvent) -> bool:
        return (event.key() in _KEYS and not event.modifiers() & ~_SELECTING) or self._action_of(event) is not None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        action = self._action_of(event)
        if action is not None:
            if action.isEnabled():
                action.trigger()
            return
        key = cast(Qt.Key, event.key())
        if key in _SCRUB_KEYS and not event.modifiers():
            self._scrub_by(_SCRUB_KEYS[key])
            return
        super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:  # noqa: N802 - Qt's name
        """Letters are commands here; the search field finds words."""

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        if self.menu is None:
            return
        place = event.globalPos()
        if event.reason() == QContextMenuEvent.Reason.Keyboard and self.currentIndex().isValid():
            place = self.viewport().mapToGlobal(self.visualRect(self.currentIndex()).center())
        self.menu.popup(place)

    def _action_of(self, event: QKeyEvent) -> QAction | None:
        """The action that has this key. The number pad's figures are figures."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        pressed = QKeySequence(QKeyCombination(modifiers, Qt.Key(event.key())))
        return next((action for action in self.actions() if pressed in action.shortcuts()), None)

    def _scrub_by(self, step: int) -> None:
        current = self.currentIndex()
        if not current.isValid():
            return
        scrub = self.tiles.scrub
        fraction = scrub.fraction if scrub is not None and scrub.row == current.row() else -0.5 / NUM_STRIP_PICTURES
        moved = min(max(fraction + step / NUM_STRIP_PICTURES, 0.0), 1.0)
        self._set_scrub(Scrub(current.row(), moved))

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:  # type: ignore[override]  # noqa: N802
        super().currentChanged(current, previous)
        if self.tiles.scrub is not None and self.tiles.scrub.row != current.row() and not self.underMouse():
            self._set_scrub(None)
