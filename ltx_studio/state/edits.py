"""Editing what was shot: the draft of an edit, what it would do, the jobs it becomes, and the takes they bring back.

Whoever knows which clip is looked at says so (`look_at`). Planning opens files, so it happens beside the window, the
latest question only. A job that ends becomes a take of the slot it was asked for, in one step of undo; the file alone
says which edit that was, so jobs that ran while the window was closed find their slot as well.
"""

import logging
import operator
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QThreadPool, QTimer, Signal, Slot

from engine.errors import EngineError, RequestError
from engine.hardware import Machine
from engine.jobs.queue import ENDED
from engine.pipelines.edit_values import EditWindow
from engine.pipelines.plan import Plan
from engine.request import Edit, Extend, Foley, GenerationRequest, LipDub, Retake
from engine.types import FrameRange
from ltx_studio.domain.compare import MAX_TAKES, MIN_TAKES
from ltx_studio.domain.compare import Take as ComparedTake
from ltx_studio.domain.edits import (
    EditDraft,
    EditMode,
    Target,
    best_other_takes,
    reject,
    request_of,
    show_take,
    slot_for,
    take_of,
    takes_of,
    with_take,
    zones_on,
)
from ltx_studio.domain.estimate import Estimate, Estimator
from ltx_studio.domain.job import Failed
from ltx_studio.domain.queue import Item, Snapshot
from ltx_studio.domain.timeline import Clip, Take, Timeline
from ltx_studio.state.compare import CompareState
from ltx_studio.state.observable import Observable
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import NUM_SEEDS, Session
from ltx_studio.state.timeline import TimelineState, media_of

logger = logging.getLogger("studio.edits")

PLAN_AFTER_MS = 120  # since something was changed
Estimating = Callable[[GenerationRequest, Machine], Estimate]


def tr(text: str) -> str:
    return QCoreApplication.translate("edits", text)


@dataclass(frozen=True)
class _Asked:
    """An edit that was put into the queue here."""

    edit: Edit
    seed: int
    slot: int | None
    batch: int


@dataclass(frozen=True)
class _Answer:
    """What planning a question said."""

    number: int
    estimate: Estimate
    no_lipdub: str | None  # None: it was not asked


@dataclass(frozen=True)
class _Made:
    """A finished job's file, read. `take` is None where `problem` says why it could not be."""

    job_id: int
    request: GenerationRequest
    take: Take | None
    problem: str = ""


class EditsState(QObject):
    """One for the window; lives in its thread."""

    asked = Signal(object)  # EditMode, or None for any: show the panel
    said = Signal(str)  # something the user should know, in a sentence
    own_prompt_known = Signal(str)  # of the clip that is looked at
    _answered = Signal(object)
    _was_read = Signal(object)

    def __init__(
        self,
        session: Session,
        queue: QueueState,
        timeline: TimelineState,
        compare: CompareState,
        parent: QObject | None = None,
        *,
        estimating: Estimating | None = None,
    ) -> None:
        super().__init__(parent)
        self.draft = Observable(EditDraft(), self)
        self.target = Observable[Target | None](None, self)
        self.estimate = Observable[Estimate | None](None, self, is_same=operator.is_)  # None: not known yet
        self.window = Observable[EditWindow | None](None, self)  # what the plan does to the clip
        self.no_lipdub = Observable("", self)  # why new words cannot be made; empty where they can
        self.batch = Observable[tuple[Item, ...]]((), self)  # the jobs that were asked for last
        self._session = session
        self._queue = queue
        self._timeline = timeline
        self._compare = compare
        self._estimator = Estimator()
        self._estimating = estimating or self._estimator.estimate
        self.is_open = False
        self._is_closed = False
        self._number = 0  # of the latest question
        self._lipdub_known_for: tuple[Path, str | None] | None = None
        self._asked: list[_Asked] = []
        self._num_batches = 0
        self._shown_batches: set[int] = set()  # those of which a take is on show
        self._open_jobs: set[int] = set()  # edits that were seen before they ended
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PLAN_AFTER_MS)
        self._soon.timeout.connect(self._plan)
        self._planner, self._reader = self._pool(), self._pool()
        self._answered.connect(self._take_answer)
        self._was_read.connect(self._take_made)
        session.request.changed.connect(self._ask_again)
        session.machine.changed.connect(self._machine_changed)
        session.is_shown_elsewhere = self.has_slot
        queue.snapshot.changed.connect(self._follow)
        compare.winner_picked.connect(self._show_winner)

    def _pool(self) -> QThreadPool:
        pool = QThreadPool(self)
        pool.setMaxThreadCount(1)
        return pool

    def close(self) -> None:
        """Wait for what is being read; nothing is begun after this."""
        self._is_closed = True
        self._soon.stop()
        for pool in (self._planner, self._reader):
            pool.clear()
            pool.waitForDone()

    # --- what is edited -----------------------------------------------------------------------------------------------

    @Slot(bool)
    def set_open(self, is_open: bool) -> None:
        """Whether the panel is seen: only then is anything planned, and drawn over the clip."""
        if is_open != self.is_open:
            self.is_open = is_open
            self._show_zones()
            self._ask_again()

    def look_at(self, target: Target | None) -> None:
        before, self.target.value = self.target.value, target
        if before == target:
            return
        if before is None or target is None or before.path != target.path:
            self.draft.value = replace(self.draft.value, prompt=None)  # words about one clip are none about another
            self.own_prompt_known.emit("")
        self._ask_again()

    def change(self, **fields: Any) -> None:
        """Fields of the draft; the names are those of `EditDraft`."""
        self.draft.value = replace(self.draft.value, **fields)
        self._ask_again()

    def adopt(self, request: GenerationRequest) -> None:
        """Set what an edit that was asked for before was made with, seed included, for the clip that is looked at."""
        fields: dict[str, Any] = {"prompt": request.prompt, "seed": request.seed, "is_seed_locked": True}
        match request.edit:
            case Retake(_, _, _, picture, sound, strength):
                fields |= {"mode": EditMode.RETAKE, "picture": picture, "sound": sound, "strength": strength}
            case Extend(_, seconds, at):
                fields |= {"mode": EditMode.EXTEND, "seconds": seconds, "at": at}
            case Foley():
                fields |= {"mode": EditMode.FOLEY}
            case LipDub(voice=voice, keep_background=keep):
                fields |= {"mode": EditMode.LIPDUB, "voice": voice, "keep_background": keep}
            case None:
                return
        self.change(**fields)

    def draw_seed(self) -> None:
        """A new seed, kept until it is unlocked."""
        self.change(seed=secrets.randbelow(NUM_SEEDS), is_seed_locked=True)

    def lock_seed(self, is_locked: bool) -> None:
        seed = self.draft.value.seed
        self.change(is_seed_locked=is_locked, seed=secrets.randbelow(NUM_SEEDS) if is_locked and seed is None else seed)

    def why_not(self) -> str:
        """Why nothing can be made now, in sentences; empty where it can."""
        target = self.target.value
        if target is None:
            return tr("Open a clip first, or put the playhead on one.")
        try:
            request_of(self.draft.value, target, self._session.request.value)
        except RequestError as error:
            return str(error)
        estimate = self.estimate.value
        return f"{estimate.message} {estimate.remedy}".rstrip() if isinstance(estimate, Failed) else ""

    # --- what it would do ---------------------------------------------------------------------------------------------

    @Slot()
    def _ask_again(self) -> None:
        if self.is_open and not self._is_closed:
            self._soon.start()

    @Slot()
    def _machine_changed(self) -> None:
        # While a job runs, what is free says more about that job than about the next one.
        if self.estimate.value is None or not self._session.is_running.value:
            self._ask_again()

    @Slot()
    def models_changed(self) -> None:
        if self._is_closed:
            return
        self._planner.start(self._estimator.forget_models)
        self._lipdub_known_for = None
        self._ask_again()

    @Slot()
    def _plan(self) -> None:
        """Ask the planner, beside the window; answers to earlier questions are dropped."""
        self._number += 1
        target, machine, draft = self.target.value, self._session.machine.value, self.draft.value
        if target is None or machine is None:
            self._show_answer(None)
            return
        base, number = self._session.request.value, self._number
        probe: GenerationRequest | None = None
        if self._lipdub_known_for != (target.path, base.model):
            self._lipdub_known_for = (target.path, base.model)
            probe = GenerationRequest("words", model=base.model, edit=LipDub(target.path))
        try:
            request = request_of(draft, target, base)
        except RequestError as error:
            # Whether new words are possible is still to be found out.
            self._start(number, None, Failed.of(error), probe, machine)
            return
        self._start(number, request, None, probe, machine)

    def _start(
        self,
        number: int,
        request: GenerationRequest | None,
        failed: Failed | None,
        probe: GenerationRequest | None,
        machine: Machine,
    ) -> None:
        def work() -> None:
            lipdub = None if probe is None else self._estimating(probe, machine)
            no_lipdub = None
            if lipdub is not None:
                no_lipdub = f"{lipdub.message} {lipdub.remedy}".rstrip() if isinstance(lipdub, Failed) else ""
            estimate = failed if request is None else self._estimating(request, machine)
            assert estimate is not None
            self._answered.emit(_Answer(number, estimate, no_lipdub))

        self._planner.start(work)

    @Slot(object)
    def _take_answer(self, answer: _Answer) -> None:
        if answer.no_lipdub is not None:
            self.no_lipdub.value = answer.no_lipdub
            if answer.no_lipdub and self.draft.value.mode is EditMode.LIPDUB:
                self.change(mode=EditMode.RETAKE)
                return
        if answer.number == self._number:
            self._show_answer(answer.estimate)

    def _show_answer(self, estimate: Estimate | None) -> None:
        self.window.value = estimate.edit_window if isinstance(estimate, Plan) else None
        self.estimate.value = estimate
        draft = self.draft.value
        if draft.prompt is None and draft.mode is EditMode.LIPDUB:
            self.own_prompt_known.emit("")  # it may hold the words that are to go
        elif draft.prompt is None and isinstance(estimate, Plan):
            self.own_prompt_known.emit(estimate.request.prompt)
        self._show_zones()

    def _show_zones(self) -> None:
        target, window = self.target.value, self.window.value
        shown = self.is_open and target is not None and window is not None
        self._timeline.zones.value = zones_on(target, window) if shown and target and window else None

    # --- making -------------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Put the takes into the queue, as one batch; where that cannot be done, say why."""
        reason = self.why_not()
        target, draft = self.target.value, self.draft.value
        if reason or target is None:
            self.said.emit(reason)
            return
        if not draft.is_seed_locked or draft.seed is None:
            self.draft.value = draft = replace(draft, seed=secrets.randbelow(NUM_SEEDS))
        request = request_of(draft, target, self._session.request.value)
        estimate = self.estimate.value
        if not request.prompt and isinstance(estimate, Plan) and estimate.edit is not None:
            is_same = estimate.edit.source.path == target.path
            request = replace(request, prompt=estimate.request.prompt if is_same else "")  # so that it has a name
        assert draft.seed is not None
        self._add(takes_of(request, draft.seed, draft.num_takes, NUM_SEEDS), target.slot)

    def roll_again(self) -> None:
        """The take on show is rejected, and made again with another seed."""
        clip = self.clip_in_hand()
        if clip is None:
            self.said.emit(tr("Put the playhead on a clip of the timeline first."))
            return
        request = clip.take.request
        if not self._timeline.edit(tr("reject take"), reject, clip.id):
            return
        assert request is not None
        self._add([replace(request, seed=secrets.randbelow(NUM_SEEDS))], clip.id)
        self.said.emit(tr("The take is rejected, and made again with another seed."))

    def _add(self, requests: list[GenerationRequest], slot: int | None) -> None:
        self._num_batches += 1
        for request in requests:
            assert request.edit is not None and request.seed is not None
            self._asked.append(_Asked(request.edit, request.seed, slot, self._num_batches))
        if slot is not None:
            self._timeline.keep()  # what comes back belongs to this clip, whatever is opened meanwhile
        self._queue.add(requests)

    # --- takes --------------------------------------------------------------------------------------------------------

    def clip_in_hand(self) -> Clip | None:
        """The timeline's clip that is edited."""
        target = self.target.value
        if target is None or target.slot is None:
            return None
        return next((clip for clip in self._timeline.timeline.value.clips() if clip.id == target.slot), None)

    def show_take(self, index: int) -> None:
        clip = self.clip_in_hand()
        if clip is not None and index != clip.chosen:
            self._timeline.edit(tr("choose take"), show_take, clip.id, index)

    def step_take(self, step: int) -> None:
        """To another take, and around at the ends."""
        clip = self.clip_in_hand()
        if clip is not None:
            self.show_take((clip.chosen + step) % len(clip.takes))

    def compare_takes(self) -> None:
        """The take on show beside the newest others."""
        clip = self.clip_in_hand()
        takes = () if clip is None else best_other_takes(clip, MAX_TAKES)
        if clip is None or len(takes) < MIN_TAKES:
            self.said.emit(tr("There is only one take to look at. Make another one first."))
            return
        self._compare.open(
            [
                ComparedTake(
                    take.media.path,
                    tr("Take {number}").format(number=clip.takes.index(take) + 1),
                    None if take.request is None else take.request.to_dict(),
                )
                for take in takes
            ]
        )

    @Slot(object)
    def _show_winner(self, winner: ComparedTake) -> None:
        clip = self.clip_in_hand()
        if clip is not None and winner.entry_id is None:
            paths = [take.media.path for take in clip.takes]
            if winner.path in paths:
                self.show_take(paths.index(winner.path))

    # --- what comes back ----------------------------------------------------------------------------------------------

    def has_slot(self, request: GenerationRequest) -> bool:
        """Whether the result of a job goes to the timeline."""
        return request.edit is not None and self._slot_of(request) is not None

    @Slot(object)
    def _follow(self, snapshot: Snapshot) -> None:
        """Read the files of edits that ended since the last snapshot."""
        if self._is_closed:
            return
        edits = [item for item in snapshot.items if item.request is not None and item.request.edit is not None]
        for item in edits:
            if item.state not in ENDED:
                self._open_jobs.add(item.id)
            elif item.id in self._open_jobs:
                self._open_jobs.discard(item.id)
                if item.state == "done":
                    self._read(item)
        self.batch.value = tuple(
            item for item in edits if (asked := self._asked_for(item.request)) and asked.batch == self._num_batches
        )

    def _read(self, item: Item) -> None:
        request, path, job_id = item.request, item.job.path, item.id
        assert request is not None
        seams = self._seams_of(request)
        self._reader.start(lambda: self._was_read.emit(_read(job_id, request, path, seams)))

    def _seams_of(self, request: GenerationRequest) -> Callable[[], tuple[FrameRange, ...]]:
        """Where the seams of a result are, to be worked out beside the window."""
        machine, estimating = self._session.machine.value, Estimator().estimate

        def seams() -> tuple[FrameRange, ...]:
            plan = None if machine is None else estimating(request, machine)
            return plan.edit.seams if isinstance(plan, Plan) and plan.edit is not None else ()

        return seams

    def _asked_for(self, request: GenerationRequest | None) -> _Asked | None:
        if request is None:
            return None
        return next((item for item in self._asked if (item.edit, item.seed) == (request.edit, request.seed)), None)

    def _slot_of(self, request: GenerationRequest) -> Clip | None:
        asked = self._asked_for(request)
        if request.edit is None or (asked is not None and asked.slot is None):
            return None
        return slot_for(self._timeline.timeline.value, request.edit, None if asked is None else asked.slot)

    @Slot(object)
    def _take_made(self, made: _Made) -> None:
        clip, edit = self._slot_of(made.request), made.request.edit
        if made.take is None:
            self.said.emit(made.problem)
            return
        if clip is None or edit is None:
            return  # it was made of a clip in the player, which shows it, or its slot is gone; the library has it
        asked = self._asked_for(made.request)
        batch = 0 if asked is None else asked.batch
        is_first = batch not in self._shown_batches or batch == 0
        take = take_of(clip, edit, made.take, self._timeline.timeline.value.rate)
        names = {"Retake": tr("retake"), "Extend": tr("extend"), "Foley": tr("new sound"), "LipDub": tr("new words")}

        def place(timeline: Timeline) -> Timeline:
            return with_take(timeline, clip.id, take, choose=is_first)

        if self._timeline.edit(names[type(edit).__name__], place):
            self._shown_batches.add(batch)
            number = len(clip.takes) + 1
            self.said.emit(tr("Take {number} of “{name}” is ready.").format(number=number, name=clip.name))


def _read(job_id: int, request: GenerationRequest, path: Path, seams: Callable[[], tuple[FrameRange, ...]]) -> _Made:
    """On the pool's thread: what the timeline has to know of a file, and how visible its seams are."""
    from engine.media.read import probe_clip  # noqa: PLC0415 - PyAV; the window opens without
    from engine.media.seams import measure_seams  # noqa: PLC0415

    try:
        media = media_of(path, probe_clip(path))
        found = seams()
        score = max((seam.worst for seam in measure_seams(path, found)), default=None) if found else None
    except EngineError as error:
        logger.warning("job %d made a file that is no take: %s", job_id, error)
        return _Made(job_id, request, None, str(error))
    return _Made(job_id, request, Take(media, request, seam_score=score))
