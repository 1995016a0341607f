"""Every command about chosen jobs in one place: its words, its keys, when it can be used and why not."""

from collections.abc import Callable, Iterable
from functools import partial

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from engine.jobs.queue import TRANSITIONS, Action, Place, Priority
from engine.media.export_request import Format
from ltx_studio.domain.queue import Group, Item, Row, movable
from ltx_studio.state.queue import QueueState
from ltx_studio.ui import queue_words
from ltx_studio.ui.queue_model import QueueModel, key_of, ordered, place_at
from ltx_studio.ui.queue_view import QueueView

_UNPLAYABLE = frozenset({Format.GIF, Format.PNG, Format.WAV, Format.FLAC})


class QueueActions(QObject):
    """Builds the actions of a view and its context menu, and keeps them in step with what is chosen."""

    show_asked = Signal(object)  # Path of a clip
    edit_asked = Signal(object)  # Item that is in line
    duplicate_asked = Signal(object)  # GenerationRequest
    reveal_asked = Signal(object)  # Path of a finished file

    def __init__(self, state: QueueState, model: QueueModel, view: QueueView) -> None:
        super().__init__(view)
        self._state = state
        self._model = model
        self._view = view
        self._menu = QMenu(view)
        self._menu.setToolTipsVisible(True)
        self._by_name: dict[str, QAction] = {}
        self._build()
        view.menu = self._menu
        view.doubleClicked.connect(self._open)
        model.move_asked.connect(self._dropped)
        view.selectionModel().selectionChanged.connect(self.update)
        model.modelReset.connect(self.update)
        model.dataChanged.connect(self.update)
        self.update()

    def named(self, name: str) -> QAction:
        return self._by_name[name]

    # --- building -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._add("open", self.tr("Show clip"), self._open, "Return", "Enter")
        self._add("reveal", self.tr("Reveal in folder"), self._reveal)
        self._add("edit", self.tr("Edit"), self._edit, "E")
        self._add("duplicate", self.tr("Duplicate with changes"), self._duplicate, "D")
        self._menu.addSeparator()
        self._add("top", self.tr("Move to top"), partial(self._move, "top"), "Alt+Home")
        self._add("up", self.tr("Move up"), partial(self._step, -1), "Alt+Up")
        self._add("down", self.tr("Move down"), partial(self._step, 1), "Alt+Down")
        self._add("bottom", self.tr("Move to bottom"), partial(self._move, "bottom"), "Alt+End")
        priorities = self._menu.addMenu(self.tr("Priority"))
        for priority, key in ((Priority.HIGH, "1"), (Priority.NORMAL, "2"), (Priority.LOW, "3")):
            text = queue_words.priority_name(priority)
            self._add(f"priority_{priority.name}", text, partial(self._prioritise, priority), key, menu=priorities)
        self._menu.addSeparator()
        for name, text, change, key in (
            ("pause", self.tr("Pause"), self._state.pause, "P"),
            ("resume", self.tr("Resume"), self._state.resume, "Shift+P"),
            ("retry", self.tr("Try again"), self._state.retry, "R"),
            ("cancel", self.tr("Cancel"), self._state.cancel, "X"),
            ("remove", self.tr("Remove from queue"), self._state.remove, "Del"),
        ):
            self._add(name, text, partial(self._change, change), key)

    def _add(self, name: str, text: str, react: Callable[[], object], *keys: str, menu: QMenu | None = None) -> None:
        action = QAction(text, self)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda _is_checked=False: react())
        self._by_name[name] = action
        self._view.addAction(action)
        (menu or self._menu).addAction(action)

    # --- when they can be used ----------------------------------------------------------------------------------------

    @Slot()
    def update(self) -> None:
        rows = self._view.chosen_rows()
        nothing = "" if rows else self.tr("Choose a job first.")
        items = _items(rows)
        one = rows[0] if len(rows) == 1 and isinstance(rows[0], Item) else None
        single = nothing or ("" if one is not None else self.tr("Choose one job."))
        is_done = one is not None and one.state == "done"
        not_yet = single or ("" if is_done else self.tr("This clip is not made yet."))
        is_playable = one is None or one.export is None or one.export.settings.format not in _UNPLAYABLE
        self._allow("open", not_yet or ("" if is_playable else self.tr("The player shows clips: reveal it instead.")))
        self._allow("reveal", not_yet)
        is_in_line = one is not None and bool(movable(one)) and one.request is not None
        no_edit = self.tr("Only a job that waits can be edited.")
        if one is not None and one.export is not None:
            no_edit = self.tr("Cancel this export and export the clip again with other settings.")
        self._allow("edit", single or ("" if is_in_line else no_edit))
        has_request = one is not None and one.request is not None
        self._allow("duplicate", single or ("" if has_request else self.tr("Its settings cannot be read.")))
        can_move = any(movable(row) for row in rows)
        for name in ("top", "up", "down", "bottom", *(f"priority_{level.name}" for level in Priority)):
            self._allow(name, nothing or ("" if can_move else self.tr("Only jobs that wait have a place in line.")))
        actions: dict[str, tuple[Action, str]] = {
            "pause": ("pause", self.tr("Only jobs that wait or run can be paused.")),
            "resume": ("resume", self.tr("None of these is paused.")),
            "retry": ("retry", self.tr("Only jobs that failed or were cancelled can be tried again.")),
            "cancel": ("cancel", self.tr("These have ended.")),
        }
        for name, (action, reason) in actions.items():
            can = any((item.state, action) in TRANSITIONS for item in items)
            self._allow(name, nothing or ("" if can else reason))
        can_go = any(item.state != "running" for item in items)
        self._allow("remove", nothing or ("" if can_go else self.tr("It runs: cancel it first.")))

    def _allow(self, name: str, reason: str) -> None:
        """An action that cannot be used says why."""
        action = self.named(name)
        action.setEnabled(not reason)
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(reason or f"{action.text()} ({keys})")

    # --- what they do -------------------------------------------------------------------------------------------------

    def _one(self) -> Item | None:
        rows = self._view.chosen_rows()
        return rows[0] if len(rows) == 1 and isinstance(rows[0], Item) else None

    @Slot()
    def _open(self) -> None:
        item = self._one()
        if item is not None and item.state == "done" and self.named("open").isEnabled():
            self.show_asked.emit(item.job.path)
        elif item is not None:
            self._reveal()

    def _reveal(self) -> None:
        item = self._one()
        if item is not None and item.state == "done":
            self.reveal_asked.emit(item.job.path)

    def _edit(self) -> None:
        item = self._one()
        if item is not None:
            self.edit_asked.emit(item)

    def _duplicate(self) -> None:
        item = self._one()
        if item is not None and item.request is not None:
            self.duplicate_asked.emit(item.request)

    def _change(self, change: Callable[[Iterable[int]], None]) -> None:
        change([item.id for item in _items(self._view.chosen_rows())])

    def _move(self, place: Place) -> None:
        self._state.move(self._movable(), place)

    def _prioritise(self, priority: Priority) -> None:
        self._state.set_priority(self._movable(), priority)

    def _movable(self) -> list[int]:
        return ordered(movable(row) for row in self._view.chosen_rows())

    def _step(self, step: int) -> None:
        """Past the next row of the same level that has a place in line."""
        chosen = [row for row in self._view.chosen_rows() if movable(row)]
        if not chosen:
            return
        keys = {key_of(row) for row in chosen}
        siblings = self._siblings(chosen[0])
        line = [row for row in siblings if movable(row)]
        places = [number for number, row in enumerate(line) if key_of(row) in keys]
        gap = min(places) - 1 if step < 0 else max(places) + 2
        place = place_at(line, gap, self._movable()) if 0 <= gap <= len(line) else None
        if place is not None:
            self._state.move(self._movable(), place)

    def _siblings(self, row: Row) -> tuple[Row, ...]:
        parent = self._model.index_of(key_of(row)).parent()
        batch = self._model.row(parent)
        return batch.items if isinstance(batch, Group) else self._state.snapshot.value.rows

    @Slot(list, object)
    def _dropped(self, job_ids: list[int], place: Place) -> None:
        self._state.move(job_ids, place)


def _items(rows: Iterable[Row]) -> list[Item]:
    """Each once: a batch may be chosen together with its jobs."""
    return list({item.id: item for row in rows for item in row.items}.values())
