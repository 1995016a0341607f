"""The queue as the window knows it: a snapshot of its file, and commands that are written before they are acknowledged.

A commit waits for the disk (8 to 95 ms measured on a laptop), and planning a job reads the machine and the model's
header, so both happen beside the window, one command after the other. What runs the jobs is the engine's bridge; it is
told by `has_work` that something waits and by `put_back_asked` that what runs is to wait again.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QObject, QThreadPool, QTimer, Signal, SignalInstance, Slot

from engine.errors import EngineError, RequestError
from engine.jobs import files
from engine.jobs.lease import recover
from engine.jobs.prepare import prepare, title_of
from engine.jobs.queue import ENDED, TRANSITIONS, Action, After, Job, Lane, Place, Priority, forecast
from engine.jobs.store import FILE_NAME, JobStore, NewJob, WhenDone
from engine.media.export_request import ExportRequest
from engine.request import GenerationRequest
from ltx_studio.domain.job import JobUpdate
from ltx_studio.domain.queue import Item, Snapshot, in_order, ran_out
from ltx_studio.starter import with_model
from ltx_studio.state.observable import Observable

logger = logging.getLogger("studio.queue")

LOOK_MS = (
    2000  # how often the file is looked at for what other processes changed; the run writes its progress there too
)
MAX_INTERRUPTIONS = 10  # a job under which the program ended so often is not begun again by itself
Change = Callable[[JobStore], object]


@dataclass(frozen=True)
class Planned:
    """Requests as jobs, and what the user should know about them."""

    jobs: list[NewJob]
    notices: list[str]


Planner = Callable[[Sequence[GenerationRequest]], Planned]


def planned(requests: Sequence[GenerationRequest]) -> Planned:
    """With a model that can run, and planned for this machine as it is now. Raises EngineError."""
    settled = [with_model(request) for request in requests]
    notices = dict.fromkeys(notice.message for _, notice in settled if notice is not None)
    return Planned(prepare([request for request, _ in settled]), list(notices))


class QueueState(QObject):
    """Lists and changes the queue. Every command returns at once; `snapshot` shows what came of it."""

    has_work = Signal()  # jobs wait and may be run
    has_exports = Signal()  # the same of the lane of exports
    export_added = Signal(int)  # the number of an export that now waits
    export_refused = Signal(str)  # why one does not, in sentences
    put_back_asked = Signal()  # the queue is paused: what runs is to wait
    added = Signal(object)  # list of the numbers of jobs that now wait because the user asked for them
    noticed = Signal(str)  # something the user should know, in sentences
    emptied = Signal()  # the last job that ran or waited was made or has failed; not when somebody took it away
    _was_read = Signal(object)  # Snapshot
    _was_added = Signal(object)
    _add_ended = Signal()

    def __init__(self, parent: QObject | None = None, *, path: Path | None = None, planner: Planner = planned) -> None:
        """`path` is the queue's file, by default the one in the data folder. Nothing is read before `open`."""
        super().__init__(parent)
        self.snapshot = Observable(Snapshot(), self)
        self.is_adding = Observable(False, self)
        self.editing = Observable[Item | None](None, self)  # the job that was taken out of line to be changed
        self._planner = planner
        self._path = path or files.queue_folder() / FILE_NAME
        self._requests: dict[int, GenerationRequest | None] = {}  # used by the pool's one thread alone
        self._stamp: list[str | None] = []
        self._exports: dict[int, ExportRequest | None] = {}  # the same
        self._woken_for: dict[Lane, frozenset[int]] = {}
        self._num_adding = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._look_at_file)
        self._was_read.connect(self._show)
        self._was_added.connect(self._acknowledge)
        self._add_ended.connect(self._stop_adding)

    def open(self) -> None:
        """Put what a dead process left in order, and read the queue."""
        self._begin(self._recover)
        self._look.start()

    def close(self) -> None:
        """Wait until every command is written."""
        self._look.stop()
        self._pool.waitForDone()

    @Slot(object)
    def apply(self, update: JobUpdate) -> None:
        """An event of the engine: when a job begins or ends, the list is another one."""
        if update.changes_queue:
            self.refresh()

    def refresh(self) -> None:
        self._begin(lambda _store: None)

    # --- adding -------------------------------------------------------------------------------------------------------

    def add(self, requests: Sequence[GenerationRequest]) -> None:
        """Put jobs at the end; several are a batch, named for the first one's prompt. `added` says that they are in."""

        def change(store: JobStore) -> None:
            title = title_of(requests[0].prompt) if len(requests) > 1 else None
            jobs = store.add(self._plan(requests), batch_title=title)
            self._was_added.emit([job.id for job in jobs])

        self._num_adding += 1
        self.is_adding.value = True
        self._begin(change, then=self._add_ended.emit)

    def add_export(self, request: ExportRequest, output: Path) -> None:
        """Put an export at the end of its lane; `export_added` or `export_refused` says what came of it."""

        def change(store: JobStore) -> None:
            from engine.jobs.exports import prepare_export  # noqa: PLC0415 - PyAV; the window opens without

            try:
                (job,) = store.add([prepare_export(request, output)])
            except EngineError as error:
                self.export_refused.emit(str(error))
            else:
                self.export_added.emit(job.id)

        self._begin(change)

    def _plan(self, requests: Sequence[GenerationRequest]) -> list[NewJob]:
        """On the pool's thread."""
        plan = self._planner(requests)
        for notice in plan.notices:
            self.noticed.emit(notice)
        return plan.jobs

    # --- a waiting job's request --------------------------------------------------------------------------------------

    def take_out(self, item: Item) -> None:
        """Hold a job that is in line, to change what it makes; `put_back` or `give_up` ends that."""
        self.editing.value = item
        if item.state == "waiting":
            self._begin(lambda store: store.pause(item.id))

    def put_back(self, request: GenerationRequest) -> None:
        """The job that was taken out makes this instead, at its old place."""
        item = self.editing.value
        assert item is not None
        self.editing.value = None

        def change(store: JobStore) -> None:
            try:
                (new,) = self._plan([request])
                store.edit(item.id, new)
                self._requests.pop(item.id, None)
            finally:
                _let_go(store, item)

        self._begin(change)

    def give_up(self) -> None:
        """The job that was taken out goes back as it was."""
        item = self.editing.value
        if item is not None:
            self.editing.value = None
            self._begin(lambda store: _let_go(store, item))

    # --- order --------------------------------------------------------------------------------------------------------

    def move(self, job_ids: Sequence[int], place: Place) -> None:
        """Put jobs of the line somewhere, one behind the other in the order given."""

        def change(store: JobStore) -> None:
            chosen = list(job_ids)
            if not chosen:
                return
            if place == "top":
                for job_id in reversed(chosen):
                    store.move(job_id, "top")
                return
            store.move(chosen[0], place)
            for before, job_id in pairwise(chosen):
                store.move(job_id, "bottom" if place == "bottom" else After(before))

        self._begin(change)

    def set_priority(self, job_ids: Iterable[int], priority: Priority) -> None:
        chosen = list(job_ids)

        def change(store: JobStore) -> None:
            for job_id in chosen:
                store.set_priority(job_id, priority)

        self._begin(change)

    # --- what becomes of jobs -----------------------------------------------------------------------------------------

    def pause(self, job_ids: Iterable[int]) -> None:
        self._each("pause", job_ids)

    def resume(self, job_ids: Iterable[int]) -> None:
        self._each("resume", job_ids)

    def cancel(self, job_ids: Iterable[int]) -> None:
        """Give jobs up; one that runs is stopped within one block, tile or packet."""
        self._each("cancel", job_ids)

    def retry(self, job_ids: Iterable[int]) -> None:
        """Let failed or cancelled jobs wait again; `added` says that they do."""
        chosen = list(job_ids)
        self._each("retry", chosen, then=lambda: self._was_added.emit(chosen))

    def remove(self, job_ids: Iterable[int]) -> None:
        """Forget jobs that do not run; files they made stay."""
        chosen = list(job_ids)
        self._begin(lambda store: store.remove([job_id for job_id in chosen if store.job(job_id).state != "running"]))

    def clear(self) -> None:
        """Forget what has ended."""
        self._begin(lambda store: store.clear(ENDED))

    def set_paused(self, is_paused: bool) -> None:
        """Pause all, what runs included, which waits at its place with what its stages made; or go on."""

        def change(store: JobStore) -> None:
            store.set_paused(is_paused)
            if is_paused:
                self.put_back_asked.emit()

        self._begin(change)

    def set_when_done(self, action: WhenDone) -> None:
        self._begin(lambda store: store.set_when_done(action))

    def _each(self, action: Action, job_ids: Iterable[int], *, then: Callable[[], None] | None = None) -> None:
        """For those that can: others may have ended since they were chosen."""
        chosen = list(job_ids)

        def change(store: JobStore) -> None:
            actions: dict[Action, Callable[[int], Job]] = {
                "pause": store.pause,
                "resume": store.resume,
                "cancel": store.cancel,
                "retry": store.retry,
            }
            for job_id in chosen:
                if (store.job(job_id).state, action) in TRANSITIONS:
                    actions[action](job_id)

        self._begin(change, then=then)

    # --- on the pool's thread -----------------------------------------------------------------------------------------

    def _begin(self, change: Change, *, then: Callable[[], None] | None = None) -> None:
        self._pool.start(lambda: self._run(change, then))

    def _run(self, change: Change, then: Callable[[], None] | None) -> None:
        """Errors are said; what the file holds then is read in any case, and `then` comes last."""
        try:
            with JobStore(self._path) as store:
                try:
                    change(store)
                except EngineError as error:
                    self.noticed.emit(str(error))
                self._was_read.emit(self._snapshot(store))
        except EngineError as error:
            self.noticed.emit(str(error))
        except Exception:
            # The outermost boundary of this thread.
            logger.exception("a command of the queue failed")
            self.noticed.emit(self.tr("Something unexpected went wrong with the queue. The log has the details."))
        finally:
            if then is not None:
                then()

    def _recover(self, store: JobStore) -> None:
        """What dead processes left waits again, except what the program ended under again and again."""
        for job in recover(store):
            if job.state == "waiting" and job.interruptions >= MAX_INTERRUPTIONS:
                store.pause(job.id)
                words = self.tr("LTX Studio ended {count} times while it made “{title}”, so that job is paused.")
                self.noticed.emit(words.format(count=job.interruptions, title=job.title))

    def _snapshot(self, store: JobStore) -> Snapshot:
        jobs = in_order(store.jobs())
        self._read_requests(store, jobs)
        items = tuple(Item(job, self._requests.get(job.id), self._exports.get(job.id)) for job in jobs)
        now_s = store.now()
        return Snapshot(
            items, tuple(store.batches()), store.is_paused, store.when_done, forecast(jobs, now_s), taken_s=now_s
        )

    def _read_requests(self, store: JobStore, jobs: Sequence[Job]) -> None:
        """Those that were not read before: work is long, and nobody else edits it."""
        lanes = {job.id: job.lane for job in jobs if job.id not in self._requests and job.id not in self._exports}
        if not lanes:
            return
        for job_id, work in store.rows("SELECT id, work FROM jobs WHERE id >= ?", (min(lanes),)):
            match lanes.get(job_id):
                case "generation":
                    self._requests[job_id] = _request(job_id, work)
                case "export":
                    self._exports[job_id] = _export(job_id, work)
                case _:
                    pass

    # --- in the window's thread ---------------------------------------------------------------------------------------

    @Slot()
    def _look_at_file(self) -> None:
        """Another process may have added jobs, and the run writes how far it is."""
        write_ahead_log = self._path.with_name(f"{self._path.name}-wal")
        stamp = [files.fingerprint(path) for path in (self._path, write_ahead_log)]
        if stamp != self._stamp:
            self._stamp = stamp
            self.refresh()

    @Slot(object)
    def _show(self, snapshot: Snapshot) -> None:
        before, self.snapshot.value = self.snapshot.value, snapshot
        lanes: tuple[tuple[Lane, SignalInstance], ...] = (("generation", self.has_work), ("export", self.has_exports))
        for lane, wake in lanes:
            waiting = frozenset(item.id for item in snapshot.items if item.state == "waiting" and item.job.lane == lane)
            is_new = not snapshot.is_paused and not waiting <= self._woken_for.get(lane, frozenset())
            self._woken_for[lane] = frozenset() if snapshot.is_paused else waiting
            if is_new:
                wake.emit()
        if ran_out(before, snapshot):
            self.emptied.emit()

    @Slot(object)
    def _acknowledge(self, job_ids: list[int]) -> None:
        self.added.emit(job_ids)

    @Slot()
    def _stop_adding(self) -> None:
        self._num_adding -= 1
        self.is_adding.value = self._num_adding > 0


def _let_go(store: JobStore, item: Item) -> None:
    """A job that waited before it was taken out waits again."""
    if item.state == "waiting" and store.job(item.id).state == "paused":
        store.resume(item.id)


def _export(job_id: int, work: str) -> ExportRequest | None:
    try:
        return ExportRequest.from_dict(json.loads(work))
    except RequestError as error:
        logger.warning("job %d: %s", job_id, error)
        return None


def _request(job_id: int, work: str) -> GenerationRequest | None:
    try:
        return GenerationRequest.from_dict(json.loads(work))
    except RequestError as error:
        logger.warning("job %d: %s", job_id, error)
        return None
