"""Every command of the library in one place: its words, its keys, when it can be used and why not.

Keys follow the photo libraries that editors know: 0 to 5 rate, P picks, X rejects, U takes either back, 6 to 9 colour.
"""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from ltx_studio.domain.library import MAX_RATING, Entry, Flag, Label
from ltx_studio.state.library import LibraryState, is_live
from ltx_studio.ui import library_words
from ltx_studio.ui.library_model import LibraryModel
from ltx_studio.ui.library_view import LibraryView

MAX_COMPARED = 4
_LABEL_KEYS = {Label.RED: "6", Label.YELLOW: "7", Label.GREEN: "8", Label.BLUE: "9"}


class LibraryActions(QObject):
    """Builds the actions of a view and its context menu, and keeps them in step with what is chosen."""

    open_asked = Signal(object)  # Entry
    use_settings_asked = Signal(object)  # Entry
    export_asked = Signal(object)  # Entry
    reveal_asked = Signal(object)  # Entry
    compare_asked = Signal(object)  # list of Entry
    takes_asked = Signal(object)  # Entry
    tags_asked = Signal()
    search_asked = Signal()
    back_asked = Signal()

    def __init__(self, state: LibraryState, model: LibraryModel, view: LibraryView) -> None:
        super().__init__(view)
        self._state = state
        self._model = model
        self._view = view
        self._menu = QMenu(view)
        self._menu.setToolTipsVisible(True)
        self._by_name: dict[str, QAction] = {}
        self._build()
        view.menu = self._menu
        self._menu.aboutToShow.connect(self._update)
        view.selectionModel().selectionChanged.connect(self._update)
        model.modelReset.connect(self._update)
        model.dataChanged.connect(self._update)
        self._update()

    def named(self, name: str) -> QAction:
        return self._by_name[name]

    # --- building -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        menu = self._menu
        self._add(menu, "open", self.tr("Open"), "Return", self._open, "Enter")
        self._add(menu, "use_settings", self.tr("Use these settings"), "Shift+Return", self._use_settings)
        self._add(menu, "compare", self.tr("Compare"), "C", self._compare)
        self._add(menu, "takes", self.tr("Show all takes"), "Shift+T", self._show_takes)
        menu.addSeparator()
        self._build_marks(menu)
        self._add(menu, "tags", self.tr("Edit tags"), "T", self.tags_asked.emit)
        menu.addSeparator()
        self._add(menu, "export", self.tr("Export"), "Shift+E", self._export)
        self._add(menu, "reveal", self.tr("Reveal in folder"), "Ctrl+Shift+R", self._reveal)
        self._add(menu, "restore", self.tr("Restore from trash"), "", self._on_chosen(self._state.restore))
        self._add(menu, "forget", self.tr("Remove from library"), "", self._on_chosen(self._state.forget))
        self._add(menu, "trash", self.tr("Move to trash"), "Del", self._on_chosen(self._state.put_in_trash))
        menu.addSeparator()
        for name, action, keys in (
            ("undo", self._state.undo_stack.createUndoAction(self), "Ctrl+Z"),
            ("redo", self._state.undo_stack.createRedoAction(self), "Ctrl+Shift+Z"),
        ):
            self._register(menu, name, action, keys)
        self._add(None, "search", self.tr("Search"), "Ctrl+F", self.search_asked.emit, "/")
        self._add(None, "back", self.tr("Back"), "Esc", self.back_asked.emit)

    def _build_marks(self, menu: QMenu) -> None:
        ratings = menu.addMenu(self.tr("Rating"))
        for rating in range(MAX_RATING, -1, -1):
            text = library_words.rating_name(rating)
            self._add(ratings, f"rate_{rating}", text, str(rating), partial(self._rate, rating))
        marks = menu.addMenu(self.tr("Mark"))
        for flag, text, key in (
            (Flag.PICK, self.tr("Pick"), "P"),
            (Flag.REJECT, self.tr("Reject"), "X"),
            (Flag.NONE, self.tr("No mark"), "U"),
        ):
            self._add(marks, f"flag_{flag or 'none'}", text, key, partial(self._flag, flag))
        labels = menu.addMenu(self.tr("Colour label"))
        for label in (*list(Label)[1:], Label.NONE):
            text = library_words.label_name(label)
            self._add(labels, f"label_{label or 'none'}", text, _LABEL_KEYS.get(label, ""), partial(self._label, label))

    def _add(
        self, menu: QMenu | None, name: str, text: str, keys: str, react: Callable[[], object], *more: str
    ) -> None:
        action = QAction(text, self)
        action.triggered.connect(lambda _is_checked=False: react())
        self._register(menu, name, action, keys, *more)

    def _register(self, menu: QMenu | None, name: str, action: QAction, *keys: str) -> None:
        action.setShortcuts([QKeySequence(item) for item in keys if item])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self._by_name[name] = action
        self._view.addAction(action)
        if menu is not None:
            menu.addAction(action)

    # --- when they can be used ----------------------------------------------------------------------------------------

    @Slot()
    def _update(self) -> None:
        entry = self._view.current_entry()
        chosen = self._view.selected_ids()
        one = entry if entry is not None and entry.id in chosen else None
        nothing = self.tr("Choose a clip first.") if not chosen else ""
        gone = self.tr("Its file is not there.") if one is not None and not is_live(one) else ""
        self._allow("open", nothing or self._only_one(one) or gone)
        self._allow("export", nothing or self._only_one(one) or gone)
        self._allow("reveal", nothing or self._only_one(one) or gone)
        no_request = self.tr("The file does not say how it was made.")
        knows = one is not None and one.facts.request is not None
        self._allow("use_settings", nothing or self._only_one(one) or ("" if knows else no_request))
        num_takes = self._num_takes(one)
        num_compared = len(chosen) if len(chosen) > 1 else num_takes
        self._allow(
            "compare",
            nothing
            or ("" if num_compared >= 2 else self.tr("Choose two to four clips, or a clip with several takes."))
            or ("" if len(chosen) <= MAX_COMPARED else self.tr("At most four clips can be compared.")),
        )
        self._allow("takes", nothing or ("" if num_takes > 1 else self.tr("There is one take of it.")))
        for name in ("tags", "forget", *(item for item in self._by_name if item.startswith(("rate", "flag", "label")))):
            self._allow(name, nothing)
        are_trashed = one is not None and one.is_trashed
        self._allow("restore", nothing or ("" if are_trashed else self.tr("It is not in the trash.")))
        self._allow("trash", nothing or (self.tr("It is in the trash already.") if are_trashed else ""))
        self.named("restore").setVisible(are_trashed)
        self.named("trash").setVisible(not are_trashed)

    def _allow(self, name: str, reason: str) -> None:
        """An action that cannot be used says why."""
        action = self.named(name)
        action.setEnabled(not reason)
        action.setToolTip(reason or action.text())

    def _only_one(self, one: Entry | None) -> str:
        return "" if one is not None else self.tr("Choose one clip.")

    def _num_takes(self, one: Entry | None) -> int:
        if one is None:
            return 0
        row = self._model.row_of(one.id)
        if row is not None and self._state.query.value.groups_takes:
            return self._state.hits[row].num_takes
        return self._state.num_takes_of(one)

    # --- what they do -------------------------------------------------------------------------------------------------

    def _on_chosen(self, react: Callable[[list[int]], None]) -> Callable[[], None]:
        return lambda: react(self._view.selected_ids())

    def _rate(self, rating: int) -> None:
        self._state.rate(self._view.selected_ids(), rating)

    def _flag(self, flag: Flag) -> None:
        self._state.flag(self._view.selected_ids(), flag)

    def _label(self, label: Label) -> None:
        self._state.label(self._view.selected_ids(), label)

    def _with_current(self, signal: Callable[[Entry], None]) -> None:
        entry = self._view.current_entry()
        if entry is not None:
            signal(entry)

    def _open(self) -> None:
        self._with_current(self.open_asked.emit)

    def _use_settings(self) -> None:
        self._with_current(self.use_settings_asked.emit)

    def _export(self) -> None:
        self._with_current(self.export_asked.emit)

    def _reveal(self) -> None:
        self._with_current(self.reveal_asked.emit)

    def _show_takes(self) -> None:
        self._with_current(self.takes_asked.emit)

    def _compare(self) -> None:
        chosen = self._state.entries(self._view.selected_ids())
        if len(chosen) == 1:
            chosen = self._state.takes_of(chosen[0])
        live = [entry for entry in chosen if is_live(entry)][:MAX_COMPARED]
        if len(live) > 1:
            self.compare_asked.emit(live)
