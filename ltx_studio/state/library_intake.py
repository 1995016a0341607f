"""Bringing files into the library beside the window: one thread, one task after the other, each with its own store."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

from PySide6.QtCore import QObject, QThreadPool, Signal

from engine.errors import EngineError
from ltx_studio.domain.library_files import Scanned, check, clips_folder, read_facts, scan
from ltx_studio.domain.library_store import LibraryStore

Task = Callable[[LibraryStore, Event], None]  # the event: stop at the next file


class Intake(QObject):
    """Reads files and writes what they say. Its signals come when everything they tell of is on the disk."""

    added = Signal(object)  # list of the numbers of entries that were added or read again
    scanned = Signal(object)  # Scanned: how far a scan is
    ended = Signal(object)  # Scanned or None: a scan is over, with nothing more to come
    refused = Signal(str)  # why a file could not be added, in a sentence

    def __init__(self, store_path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store_path = store_path
        self._must_stop = Event()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)

    def add(self, path: Path, *, group: str | None = None) -> None:
        """Add one file; `group` names the shot it is a take of, for files whose requests do not tell."""
        self._begin(lambda store, _stop: self._add(store, path, group))

    def scan(self, folder: Path) -> None:
        """Add what the studio made, from this folder and those in it."""
        self._begin(lambda store, stop: self._scan(store, stop, [folder], is_shown=True))

    def refresh(self) -> None:
        """Look which files are missing or back, and for new ones where clips go; says nothing while it does."""
        self._begin(self._refresh)

    def stop(self) -> None:
        """Give up what is being done, at the next file, and what waits."""
        self._must_stop.set()
        self._must_stop = Event()  # for what begins from now on
        self._pool.clear()

    def close(self) -> None:
        self.stop()
        self._pool.waitForDone()

    # --- on the pool's thread -----------------------------------------------------------------------------------------

    def _begin(self, task: Task) -> None:
        must_stop = self._must_stop
        self._pool.start(lambda: self._run(task, must_stop))

    def _run(self, task: Task, must_stop: Event) -> None:
        try:
            with LibraryStore(self._store_path) as store:
                task(store, must_stop)
        except EngineError as error:
            self.refused.emit(str(error))

    def _add(self, store: LibraryStore, path: Path, group: str | None) -> None:
        self.added.emit(store.add([read_facts(path)], group=group))

    def _scan(self, store: LibraryStore, must_stop: Event, folders: list[Path], *, is_shown: bool) -> None:
        progress = None
        try:
            for progress in scan(store, folders):
                if is_shown:
                    self.scanned.emit(progress)
                if must_stop.is_set():
                    break
        finally:
            if is_shown:
                self.ended.emit(progress)
        self._say_added(progress)

    def _refresh(self, store: LibraryStore, must_stop: Event) -> None:
        for _ in check(store):
            if must_stop.is_set():
                return
        self._scan(store, must_stop, [clips_folder()], is_shown=False)
        self.added.emit([])  # files may be missing, or back

    def _say_added(self, progress: Scanned | None) -> None:
        if progress is not None and progress.num_added:
            self.added.emit([])
