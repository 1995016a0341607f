"""The library of results: find what was made, see what it was made with, judge it, and take it out as a file."""

import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QSlider,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.domain.library import Entry, Place, Query
from ltx_studio.domain.library_files import Scanned
from ltx_studio.services.desktop import reveal
from ltx_studio.services.thumbnails import Problem, Source, Thumbnails
from ltx_studio.state.library import LibraryState, shows_everything
from ltx_studio.state.observable import bind
from ltx_studio.ui import library_words
from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.library_actions import LibraryActions
from ltx_studio.ui.library_delegate import source_of
from ltx_studio.ui.library_filters import LibraryFilters
from ltx_studio.ui.library_model import LibraryModel
from ltx_studio.ui.library_tags import TagLine
from ltx_studio.ui.library_view import LARGEST_TILE, SMALLEST_TILE, LibraryView
from ltx_studio.ui.theme import GAP, GRID, PADDING, WIDE_GAP, Appearance, Theme

_SLIDER_WIDTH = 72
_RIGHT = PADDING + GRID  # where pictures end beside the scroll bar


class LibraryPanel(QWidget):
    """Owns the thumbnails and their threads; call `close_threads` before it goes."""

    use_settings_requested = Signal(object)  # the request that made a clip, as a dict in its JSON form
    open_requested = Signal(object)  # Path
    export_requested = Signal(object)  # Path
    compare_requested = Signal(object)  # list of two to four Paths

    def __init__(
        self,
        state: LibraryState,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        show_in_folder: Callable[[Path], bool] = reveal,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._show_in_folder = show_in_folder
        self.thumbnails = Thumbnails(parent=self)
        self.model = LibraryModel(state, self)
        self.filters = LibraryFilters(state, appearance, self)
        self.view = LibraryView(self.model, self.thumbnails, appearance, self)
        self.actions_of_view = LibraryActions(state, self.model, self.view)
        self.tag_line = TagLine(state, self)
        self._back = Button(self.tr("Back"), "", self)
        self._shown_takes = _OneLine(self)
        self._takes_bar = QWidget(self)
        self._empty = _EmptyState(self)
        self._pages = QStackedWidget(self)
        self._notice = _Notice(appearance, self)
        self._scan_bar = _ScanBar(self)
        self._count = Label("", "secondary", self)
        self._size = QSlider(Qt.Orientation.Horizontal, self)
        self._arrange()
        self._connect(appearance)

    # --- building -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        takes = QHBoxLayout(self._takes_bar)
        takes.setContentsMargins(0, 0, 0, 0)
        takes.setSpacing(GAP)
        takes.addWidget(self._back)
        takes.addWidget(self._shown_takes, 1)
        self._pages.addWidget(self.view)
        self._pages.addWidget(self._empty)
        describe(self._size, self.tr("Size of the pictures"), self.tr("Size of the pictures (Ctrl+wheel)"))
        self._size.setRange(SMALLEST_TILE, LARGEST_TILE)
        self._size.setSingleStep(16)
        self._size.setPageStep(48)
        self._size.setValue(self.view.tile_width)
        self._size.setFixedWidth(_SLIDER_WIDTH)
        foot = QHBoxLayout()
        foot.setContentsMargins(PADDING, 0, _RIGHT, 0)
        foot.setSpacing(GAP)
        foot.addWidget(self._count, 1)
        foot.addWidget(self._size)
        head = QVBoxLayout()
        head.setContentsMargins(PADDING, 0, _RIGHT, 0)
        head.setSpacing(GAP)
        for widget in (self.filters, self._takes_bar, self._notice, self._scan_bar):
            head.addWidget(widget)
        tags = QVBoxLayout()
        tags.setContentsMargins(PADDING, 0, _RIGHT, 0)
        tags.addWidget(self.tag_line)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, PADDING, 0, PADDING)
        layout.setSpacing(GAP)
        layout.addLayout(head)
        layout.addWidget(self._pages, 1)
        layout.addLayout(tags)
        layout.addLayout(foot)

    def _connect(self, appearance: Appearance) -> None:
        state, actions = self._state, self.actions_of_view
        state.results_changed.connect(self._show_results)
        state.noticed.connect(self._notice.say)
        state.undo_stack.indexChanged.connect(self._notice.hide)
        state.entries_changed.connect(self.thumbnails.forget_problems)
        self.thumbnails.changed.connect(self._thumbnail_changed)
        self.filters.search.left.connect(self._go_to_results)
        self.view.doubleClicked.connect(self._double_clicked)
        self.view.rated.connect(self._rated)
        self.view.selectionModel().selectionChanged.connect(self._show_count)
        self.view.tile_width_changed.connect(self._size.setValue)
        self._size.valueChanged.connect(self.view.set_tile_width)
        self.tag_line.closed.connect(self.view.setFocus)
        self._back.clicked.connect(self._leave_takes)
        self._empty.asked.connect(self._help_out)
        self._scan_bar.stop_asked.connect(state.stop_scan)
        actions.open_asked.connect(self._open)
        actions.export_asked.connect(lambda entry: self.export_requested.emit(entry.path))
        actions.use_settings_asked.connect(self._use_settings)
        actions.reveal_asked.connect(self._reveal)
        actions.compare_asked.connect(self._compare)
        actions.takes_asked.connect(self._show_takes)
        actions.tags_asked.connect(self._edit_tags)
        actions.search_asked.connect(self.focus_search)
        actions.back_asked.connect(self._step_back)
        bind(appearance.theme, self._show_theme)
        bind(state.query, self._show_query)
        bind(state.scanning, self._scan_bar.show_progress)
        bind(state.num_entries, self._show_results)

    # --- for the window -----------------------------------------------------------------------------------------------

    @Slot()
    def focus_search(self) -> None:
        self.filters.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filters.search.selectAll()

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder, and add the clips of the studio that are in it."""
        dialog = QFileDialog(self, self.tr("Add clips from a folder"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._scan)
        dialog.open()

    def close_threads(self) -> None:
        """End the threads that make thumbnails; harmless twice."""
        self.thumbnails.close()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(336, 640)

    # --- showing ------------------------------------------------------------------------------------------------------

    def _show_theme(self, theme: Theme) -> None:
        self.thumbnails.set_sound_colour(QColor(theme.sound))

    def _show_query(self, query: Query) -> None:
        self._takes_bar.setVisible(bool(query.take_group))
        self.filters.setVisible(not query.take_group)

    @Slot()
    def _show_results(self, _number: object = None) -> None:
        self._show_count()
        self._pages.setCurrentIndex(0 if self._state.hits else 1)
        if not self._state.hits:
            self._empty.show_for(self._state.query.value, is_library_empty=self._state.num_entries.value == 0)

    @Slot()
    def _show_count(self, *_selections: object) -> None:
        text = library_words.count(len(self._state.hits), self._total())
        num_selected = len(self.view.selected_ids())
        if num_selected > 1:
            text = self.tr("{count}, {number} chosen").format(count=text, number=num_selected)
        self._count.setText(text)

    def _total(self) -> int:
        """What the results are a part of; groups and the trash count for themselves."""
        query = self._state.query.value
        is_part = not shows_everything(query) and query.place is Place.LIBRARY and not query.groups_takes
        return self._state.num_entries.value if is_part else len(self._state.hits)

    @Slot(object)
    def _thumbnail_changed(self, source: Source) -> None:
        """Who looked for a file found that it is not there."""
        if self.thumbnails.problem(source) is not Problem.MISSING:
            return
        for row in self.view.visible_rows():
            entry = self.model.entry(self.model.index(row))
            if entry is not None and not entry.is_trashed and source_of(entry) == source:
                self._state.note_missing(entry.id)
                return

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot()
    def _go_to_results(self) -> None:
        if self._state.hits:
            self.view.setFocus(Qt.FocusReason.ShortcutFocusReason)
            if not self.view.selected_ids():
                self.view.select_row(0)

    def _double_clicked(self, _index: object) -> None:
        action = self.actions_of_view.named("open")
        if action.isEnabled():
            action.trigger()

    @Slot(list, int)
    def _rated(self, ids: list[int], rating: int) -> None:
        self._state.rate(ids, rating)

    @Slot(object)
    def _open(self, entry: Entry) -> None:
        self.open_requested.emit(entry.path)

    @Slot(object)
    def _use_settings(self, entry: Entry) -> None:
        self.use_settings_requested.emit(dict(entry.facts.request or {}))

    @Slot(object)
    def _reveal(self, entry: Entry) -> None:
        if not self._show_in_folder(entry.path):
            self._notice.say(self.tr("No file manager answered. The clip is {path}").format(path=entry.path))

    @Slot(object)
    def _compare(self, entries: list[Entry]) -> None:
        self.compare_requested.emit([entry.path for entry in entries])

    @Slot(object)
    def _show_takes(self, entry: Entry) -> None:
        self._shown_takes.setText(self.tr("Takes of {title}").format(title=library_words.title(entry)))
        self._state.ask(take_group=entry.take_group)
        self.view.setFocus()

    @Slot()
    def _leave_takes(self) -> None:
        self._state.ask(take_group="")
        self.view.setFocus()

    @Slot()
    def _edit_tags(self) -> None:
        self.tag_line.edit(self._state.entries(self.view.selected_ids()))

    @Slot()
    def _step_back(self) -> None:
        """From takes to the library, from a search to everything."""
        query = self._state.query.value
        if query.take_group:
            self._leave_takes()
        elif query.text:
            self._state.ask(text="")
        elif query.is_filtered:
            self.filters.clear_filters()

    @Slot()
    def _help_out(self) -> None:
        if self._state.num_entries.value == 0:
            self.choose_folder()
        else:
            self._state.ask(text="")
            self.filters.clear_filters()

    @Slot(str)
    def _scan(self, folder: str) -> None:
        self._state.scan(Path(folder))


class _OneLine(Label):
    """Text that is shortened to the room there is, instead of asking for more."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        words = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        side = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        self.style().drawItemText(QPainter(self), self.rect(), side, self.palette(), self.isEnabled(), words)


class _EmptyState(QWidget):
    """Says why there is nothing to see, and offers the one thing to do about it."""

    asked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = Label(parent=self)
        self._words.setWordWrap(True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._button = Button("", "", self)
        self._button.clicked.connect(self.asked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * PADDING, PADDING, 2 * PADDING, PADDING)
        layout.setSpacing(WIDE_GAP)
        layout.addStretch(1)
        layout.addWidget(self._words)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(2)

    def show_for(self, query: Query, *, is_library_empty: bool) -> None:
        if is_library_empty:
            words = self.tr("Every clip you make appears here, with the settings it was made with.")
            offer = self.tr("Add clips from a folder")
        elif query.place is Place.TRASH:
            words, offer = self.tr("No clip of the library is in the trash."), self.tr("Show all clips")
        elif query.place is Place.MISSING:
            words, offer = self.tr("No file is missing."), self.tr("Show all clips")
        else:
            words, offer = self.tr("No clip matches the search and the filters."), self.tr("Show all clips")
        self._words.setText(words)
        self._button.setText(offer)
        describe(self._button, offer)


class _Notice(QWidget):
    """One sentence about what happened, until it is closed or the next thing happens."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = Label("", "warn", self)
        self._words.setWordWrap(True)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        close = IconButton("mdi6.close", self.tr("Close the message"), appearance, self)
        close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._words, 1)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    @Slot(str)
    def say(self, words: str) -> None:
        # A long path may be broken at each folder; else it would widen the panel.
        self._words.setText(re.sub(r"([/\\])", "\\1\u200b", words))
        self.show()


class _ScanBar(QWidget):
    """How far a scan of a folder is, and the way to stop it."""

    stop_asked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = Label("", "secondary", self)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress of adding clips"))
        stop = Button(self.tr("Stop"), "", self)
        stop.clicked.connect(self.stop_asked)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(self._words)
        column.addWidget(self._bar)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(column, 1)
        layout.addWidget(stop)
        self.hide()

    def show_progress(self, progress: Scanned | None) -> None:
        self.setVisible(progress is not None)
        if progress is not None:
            self._bar.setRange(0, progress.num_files)
            self._bar.setValue(progress.num_done)
            words = self.tr("Adding clips: {done} of {files} files read, {added} added")
            self._words.setText(
                words.format(done=progress.num_done, files=progress.num_files, added=progress.num_added)
            )
