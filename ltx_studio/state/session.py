"""What the window is about right now: the request being edited, the job that runs, and the last clip.

No widgets and no engine: commands change these values, the engine's events arrive through `apply`.
"""

import operator
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.events import Preview, Result
from engine.hardware import Machine
from engine.request import GenerationRequest
from ltx_studio.domain.job import Begun, Job, JobUpdate
from ltx_studio.state.observable import Observable

NUM_SEEDS = 2**31  # what a spin box can show, and what the engine draws from


class Session(QObject):
    """The studio's state, shared by every panel."""

    clip_made = Signal(object)  # Result of every finished job, shown or not

    def __init__(self, request: GenerationRequest, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.request = Observable(request, self)
        self.is_seed_locked = Observable(False, self)
        self.job = Observable[Job | None](None, self)  # the one that runs, or the last one
        self.is_running = Observable(False, self)
        self.preview = Observable[Preview | None](None, self, is_same=operator.is_)
        self.result = Observable[Result | None](None, self, is_same=operator.is_)  # the clip to look at
        self.machine = Observable[Machine | None](None, self)  # None until it was first read
        self._turns: dict[int, int] = {}  # by job that was asked for and is not made yet
        self._num_turns = 0
        self._turn_shown = 0
        # Whether a job's clip has another place than the player: what is on the timeline stays there.
        self.is_shown_elsewhere: Callable[[GenerationRequest], bool] = lambda _request: False

    def edit(self, **fields: Any) -> None:
        """Change fields of the request. The names are those of `GenerationRequest`."""
        self.request.value = replace(self.request.value, **fields)

    def draw_seed(self) -> None:
        """A new seed, kept until it is unlocked."""
        self.edit(seed=secrets.randbelow(NUM_SEEDS))
        self.is_seed_locked.value = True

    def take_settings(self, made_by: Mapping[str, Any]) -> None:
        """Edit the request that made a clip, given as it is stored in the clip's file. Raises RequestError.

        Of a clip that was edited, what is written here is for a new one.
        """
        self.request.value = replace(GenerationRequest.from_dict(made_by), edit=None)

    def request_to_run(self) -> GenerationRequest:
        """The request as it is, with a new seed unless that is locked."""
        if not self.is_seed_locked.value or self.request.value.seed is None:
            self.edit(seed=secrets.randbelow(NUM_SEEDS))
        return self.request.value

    def asked_for(self, job_ids: Iterable[int]) -> None:
        """The user wants these now, in this order: the clip of the latest one is shown when it is made.

        Clips of earlier ones are shown until then; one that was asked for before the clip on show never replaces it.
        """
        for job_id in job_ids:
            self._num_turns += 1
            self._turns[job_id] = self._num_turns

    def begin(self, job_id: int, request: GenerationRequest) -> None:
        """The engine took a job up."""
        self.preview.value = None
        self._set_job(Job(job_id, request))

    def stopping(self) -> None:
        """The user asked the running job to stop."""
        job = self.job.value
        if job is not None and job.is_running:
            self._set_job(replace(job, is_stopping=True))

    @Slot(object)
    def apply(self, update: JobUpdate) -> None:
        """An event of the engine. Those of a job that is not the current one are late and dropped."""
        if isinstance(update.event, Begun):
            self.begin(update.job_id, update.event.request)
            return
        job = self.job.value
        if job is None or update.job_id != job.id:
            return
        if isinstance(update.event, Preview):
            self.preview.value = update.event
            return
        job = job.after(update.event)
        if isinstance(job.outcome, Result):
            self._made(job, job.outcome)
        if not job.is_running:
            self.preview.value = None
        self._set_job(job)

    def _made(self, job: Job, result: Result) -> None:
        turn = self._turns.pop(job.id, 0)
        if turn >= self._turn_shown and not self.is_shown_elsewhere(job.request):
            self._turn_shown = turn
            self.result.value = result
        self.clip_made.emit(result)

    def _set_job(self, job: Job) -> None:
        self.job.value = job
        self.is_running.value = job.is_running
