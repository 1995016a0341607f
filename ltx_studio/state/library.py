"""The library as the window shows it: a query, its results, and what the user does to them, undoable by name.

Searching takes milliseconds and happens here, in the window's thread; reading files does not, and happens in `Intake`.
Entries are read when they are looked at, a block around the row at a time. An edit never changes the order of what is
shown: a clip that is being rated stays under the cursor, whatever the sorting, until the next search.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QUndoStack

from engine.errors import EngineError
from ltx_studio.domain.library import Entry, Flag, Hit, Label, Marks, Place, Query, cleaned_tags
from ltx_studio.domain.library_files import Scanned
from ltx_studio.domain.library_store import Forgotten, LibraryStore
from ltx_studio.state.library_edits import Edit
from ltx_studio.state.library_intake import Intake
from ltx_studio.state.observable import Observable

BLOCK_ROWS = 64  # read together: two screens of large pictures
MAX_CACHED_ENTRIES = 4096
UNDO_STEPS = 200


class Trash(Protocol):
    """The system's trash. Both raise LibraryError."""

    def put(self, path: Path) -> Path | None:
        """Move a file there; where it lies then, None where the system does not say."""
        ...

    def take(self, trashed: Path, destination: Path) -> None:
        """Move a file back out of it."""
        ...


class LibraryState(QObject):
    """Owns the store, which is open as long as this is, and the undo stack of the library."""

    results_changed = Signal()  # `hits` is another list
    entries_changed = Signal(object)  # set of the numbers of entries that are no longer what they were
    noticed = Signal(str)  # something the user should know, in sentences

    def __init__(self, store: LibraryStore, trash: Trash, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._trash = trash
        self._is_closed = False
        self._entries: dict[int, Entry] = {}
        self.hits: list[Hit] = store.search(Query())
        self.query = Observable(Query(), self)
        self.tags = Observable[tuple[str, ...]](tuple(store.tags()), self)
        self.num_entries = Observable(store.count(), self)
        self.scanning = Observable[Scanned | None](None, self)
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(UNDO_STEPS)
        self._intake = Intake(store.path, self)
        self._intake.added.connect(self._added)
        self._intake.scanned.connect(self._scanned)
        self._intake.ended.connect(self._scan_ended)
        self._intake.refused.connect(self.noticed)
        self.query.changed.connect(self._search)

    # --- looking ------------------------------------------------------------------------------------------------------

    def ask(self, **fields: Any) -> None:
        """Change the query: `ask(text="ball", min_rating=3)`."""
        self.query.value = replace(self.query.value, **fields)

    def entry_of(self, hits: Sequence[Hit], row: int) -> Entry | None:
        """The entry in a row of `hits`, read with those around it; None when another program has removed it."""
        entry_id = hits[row].id
        if entry_id not in self._entries:
            start = row // BLOCK_ROWS * BLOCK_ROWS
            self._read([hit.id for hit in hits[start : start + BLOCK_ROWS]])
        return self._entries.get(entry_id)

    def entries(self, ids: Iterable[int]) -> list[Entry]:
        """These entries, in this order; those that are gone are left out."""
        ids = list(ids)
        self._read([entry_id for entry_id in ids if entry_id not in self._entries])
        return [self._entries[entry_id] for entry_id in ids if entry_id in self._entries]

    @property
    def num_cached(self) -> int:
        """How many entries are in memory."""
        return len(self._entries)

    def takes_of(self, entry: Entry) -> list[Entry]:
        """Every take of an entry's shot, the newest first."""
        return self.entries(hit.id for hit in self._store.search(Query(take_group=entry.take_group)))

    def num_takes_of(self, entry: Entry) -> int:
        return len(self._store.search(Query(take_group=entry.take_group)))

    def _read(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        if len(self._entries) + len(ids) > MAX_CACHED_ENTRIES:
            self._entries.clear()
        try:
            self._entries.update(self._store.entries(ids))
        except EngineError as error:
            self.noticed.emit(str(error))

    @Slot(object)
    def _search(self, _query: object = None) -> None:
        try:
            self.hits = self._store.search(self.query.value)
        except EngineError as error:
            self.noticed.emit(str(error))
            return
        self.results_changed.emit()

    # --- files come and go --------------------------------------------------------------------------------------------

    def add(self, path: Path, *, group: str | None = None) -> None:
        """Read a file and add it, on another thread; `noticed` says why when it cannot be."""
        self._intake.add(path, group=group)

    def scan(self, folder: Path) -> None:
        """Add every clip of the studio in a folder, on another thread; `scanning` says how far that is."""
        self._intake.scan(folder)

    def stop_scan(self) -> None:
        self._intake.stop()

    def refresh(self) -> None:
        """Look at the disks again, on another thread: what is missing, what is back, what is new."""
        self._intake.refresh()

    def note_missing(self, entry_id: int) -> None:
        """Whoever looked for a file did not find it. That it is back, `refresh` finds out."""
        entry = self._entries.get(entry_id)
        if entry is not None and not entry.is_missing:
            self._edited([entry_id], lambda: self._store.set_missing({entry_id: True}))

    def close(self) -> None:
        """End the thread and close the file; nothing is asked of this afterwards."""
        self._is_closed = True
        self._intake.close()
        self._store.close()

    @Slot(object)
    def _added(self, ids: Sequence[int]) -> None:
        if self._is_closed:  # it was on its way
            return
        self._entries.clear()
        self._update_summary()
        self._search()
        self.entries_changed.emit(set(ids))

    @Slot(object)
    def _scanned(self, progress: Scanned) -> None:
        self.scanning.value = progress

    @Slot(object)
    def _scan_ended(self, progress: Scanned | None) -> None:
        self.scanning.value = None
        if progress is not None and not progress.num_added:
            self.noticed.emit(self.tr("No new clips of the studio were found in that folder."))

    # --- marking ------------------------------------------------------------------------------------------------------

    def rate(self, ids: Iterable[int], rating: int) -> None:
        self._mark(ids, self.tr("rating"), lambda marks: replace(marks, rating=rating))

    def flag(self, ids: Iterable[int], flag: Flag) -> None:
        words = {Flag.PICK: self.tr("pick"), Flag.REJECT: self.tr("reject"), Flag.NONE: self.tr("no mark")}
        self._mark(ids, words[flag], lambda marks: replace(marks, flag=flag))

    def label(self, ids: Iterable[int], label: Label) -> None:
        self._mark(ids, self.tr("colour label"), lambda marks: replace(marks, label=label))

    def retag(self, ids: Iterable[int], *, add: Iterable[str], remove: Iterable[str]) -> None:
        """Tags to add to each of these entries, and to take from each."""
        added, removed = tuple(add), {tag.casefold() for tag in remove}

        def tagged(marks: Marks) -> Marks:
            kept = [tag for tag in marks.tags if tag.casefold() not in removed]
            return replace(marks, tags=cleaned_tags([*kept, *added]))

        self._mark(ids, self.tr("tags"), tagged)

    def _mark(self, ids: Iterable[int], what: str, change: Callable[[Marks], Marks]) -> None:
        before = self._marks_of(ids)
        after = {key: change(marks) for key, marks in before.items()}
        differing = [key for key in before if before[key] != after[key]]
        if differing:
            old, new = {key: before[key] for key in differing}, {key: after[key] for key in differing}
            text = self._counted(what, len(differing))
            self.undo_stack.push(Edit(text, lambda: self._set_marks(new), lambda: self._set_marks(old)))

    def _marks_of(self, ids: Iterable[int]) -> dict[int, Marks]:
        try:
            return self._store.marks(list(ids))
        except EngineError as error:
            self.noticed.emit(str(error))
            return {}

    def _set_marks(self, marks: Mapping[int, Marks]) -> bool:
        return self._edited(marks, lambda: self._store.set_marks(marks))

    # --- removing -----------------------------------------------------------------------------------------------------

    def put_in_trash(self, ids: Iterable[int]) -> None:
        """Move the files to the system's trash. Their entries stay, and can be restored until it is emptied."""
        chosen = [entry.id for entry in self.entries(ids) if not entry.is_trashed]
        if chosen:
            text = self._counted(self.tr("move to trash"), len(chosen))
            self.undo_stack.push(Edit(text, lambda: self._put(chosen), lambda: self._take(chosen)))

    def restore(self, ids: Iterable[int]) -> None:
        """Take files back out of the trash."""
        chosen = [entry.id for entry in self.entries(ids) if entry.is_trashed]
        if chosen:
            text = self._counted(self.tr("restore"), len(chosen))
            self.undo_stack.push(Edit(text, lambda: self._take(chosen), lambda: self._put(chosen)))

    def forget(self, ids: Iterable[int]) -> None:
        """Drop entries; their files stay where they are."""
        chosen = list(ids)
        if not chosen:
            return
        forgotten: list[Forgotten] = []

        def drop() -> bool:
            return self._edited(chosen, lambda: forgotten.append(self._store.forget(chosen)))

        def bring_back() -> bool:
            return self._edited(chosen, lambda: self._store.remember(forgotten.pop()))

        text = self._counted(self.tr("remove from library"), len(chosen))
        self.undo_stack.push(Edit(text, drop, bring_back))

    def _put(self, ids: Sequence[int]) -> bool:
        """Written before it is done: after a crash in between, the entry is found as one on its way to the trash."""
        return self._moved(ids, self._put_one)

    def _put_one(self, entry: Entry) -> None:
        self._store.set_trashed({entry.id: None})
        try:
            place = self._trash.put(entry.path)
        except EngineError:
            self._store.set_restored([entry.id])
            raise
        self._store.set_trashed({entry.id: place})

    def _take(self, ids: Sequence[int]) -> bool:
        return self._moved(ids, self._take_one)

    def _take_one(self, entry: Entry) -> None:
        if entry.trashed_to is not None and not entry.path.exists():
            self._trash.take(entry.trashed_to, entry.path)
        self._store.set_restored([entry.id])

    def _moved(self, ids: Sequence[int], move: Callable[[Entry], None]) -> bool:
        """Move what can be moved; the first reason why one could not be is said. Whether any was."""
        self._forget_cached(ids)
        reasons: list[EngineError] = []
        entries = self.entries(ids)
        for entry in entries:
            try:
                move(entry)
            except EngineError as error:
                reasons.append(error)
        self._show_edited(ids)
        if reasons:
            self.noticed.emit(str(reasons[0]))
        return len(reasons) < len(entries)

    # --- after an edit ------------------------------------------------------------------------------------------------

    def _edited(self, ids: Iterable[int], write: Callable[[], object]) -> bool:
        """Write, and show what came of it; False, with the reason said, when it could not be written."""
        try:
            write()
        except EngineError as error:
            self.noticed.emit(str(error))
            return False
        self._show_edited(ids)
        return True

    def _show_edited(self, ids: Iterable[int]) -> None:
        changed = set(ids)
        self._forget_cached(changed)
        self._update_summary()
        fresh = self._store.search(self.query.value)
        if set(fresh) != set(self.hits):
            self.hits = fresh
            self.results_changed.emit()
        self.entries_changed.emit(changed)

    def _forget_cached(self, ids: Iterable[int]) -> None:
        for entry_id in ids:
            self._entries.pop(entry_id, None)

    def _update_summary(self) -> None:
        self.tags.value = tuple(self._store.tags())
        self.num_entries.value = self._store.count()

    def _counted(self, what: str, number: int) -> str:
        if number == 1:
            return what
        return self.tr("{what} ({number} clips)").format(what=what, number=number)


def is_live(entry: Entry) -> bool:
    """Whether its file is where it should be, as far as is known."""
    return not entry.is_missing and not entry.is_trashed


def shows_everything(query: Query) -> bool:
    """Whether nothing keeps an entry of the library away."""
    return not query.text.strip() and not query.is_filtered and query.place is Place.LIBRARY
