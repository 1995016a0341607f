"""What the phases of one run share: its plan, the loaded model, its clock, what it saves, and the way down the ladder.

No phase is in here: see `given`, `denoise` and `run`.
"""

import logging
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import torch

from engine.errors import OutOfMemory
from engine.events import Event, MemoryReading, Notice, Phase, Progress
from engine.folders import runs_folder
from engine.hardware import PeakMemory
from engine.pipelines import stages
from engine.pipelines.clock import RunClock
from engine.pipelines.ladder import Memory, Rung, WorkPhase, next_rung, on_rung, which_memory
from engine.pipelines.plan import Plan
from engine.pipelines.policy import Part
from engine.pipelines.resume import StageRecord, noise_of
from engine.pipelines.shortfall import remember_failure
from engine.weights.catalog import ModelFiles
from engine.weights.residency import Precision
from engine.weights.store import ModelStore, Placement

logger = logging.getLogger("engine.run")
Made = TypeVar("Made")

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_DOING: dict[WorkPhase, str] = {
    "text": "reading the prompt",
    "references": "reading the references",
    "denoise": "denoising",
    "decode": "decoding",
}


def placement_of(plan: Plan) -> Placement:
    """Where a plan wants the model's components, and in which precision."""
    policy = plan.policy
    # Eight bits that are asked for hold for the text encoder too; where they were only chosen to fit, its layers pass
    # through memory one by one and need not be any smaller.
    is_asked_for = plan.request.precision in {"fp8", "int8"}
    return Placement(
        torch.device(plan.device.torch_name),
        _DTYPES[policy.compute],
        precision=policy.storage,
        residency=policy.transformer.residency,
        text_precision=policy.storage if is_asked_for else Precision.PLAIN,
        text_residency=policy.text_encoder.residency,
    )


class Session:
    """One run from its beginning to its end."""

    def __init__(
        self, plan: Plan, files: ModelFiles, seed: int, path: Path, store: ModelStore, folder: Path | None
    ) -> None:
        self.plan = plan  # with less memory after every rung
        self.files = files
        self.request = plan.request
        self.seed = seed
        self.path = path
        self.store = store
        self.clock = RunClock(plan.estimate.stage_seconds)
        self.phase: Phase = "load"
        self.peak_bytes = 0
        self.memory = PeakMemory()
        self.noise = noise_of(self.request, seed)
        self.owns_folder = folder is None
        own_folder = runs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        self.record = StageRecord(folder or own_folder, plan, files, self.noise, is_continued=folder is not None)
        self.is_typical = True  # nothing disturbed it: its seconds say how fast this machine is
        self.has_stepped_down = False
        self.has_read_prompt = False
        self.said_loras = set[Path]()  # whose layers the user was told of
        self._says_unsaved = True

    def out_of_memory(self, phase: WorkPhase | Phase | None = None) -> OutOfMemory:
        """What the user is told; by default about the phase of the last event."""
        return OutOfMemory(
            phase or self.phase,
            needed_bytes=self.plan.estimate.peak_device_bytes,
            free_bytes=self.plan.device.free_bytes,
            remedy="Choose a smaller size, fewer frames or the preset draft, or close other programs.",
        )

    def with_less(
        self, phase: WorkPhase, work: Callable[[], Generator[Event, None, Made]]
    ) -> Generator[Event, None, Made]:
        """Do the work of a phase; where memory runs out, again with less of it, until it is done or no rung is left.

        `work` goes on from what it had saved. Raises OutOfMemory.
        """
        while True:
            try:
                with closing(work()) as events:
                    return (yield from events)
            except (RuntimeError, MemoryError, OutOfMemory) as error:
                memory = which_memory(error)
                if memory is None:
                    raise
                logger.warning("memory ran out while %s: %s", _DOING[phase], error)
                self._remember_failure(memory)
                rung = next_rung(self.plan, phase, memory)
                if rung is None:
                    raise self.out_of_memory(phase) from error
            # Not before the error is gone: its traceback holds everything that the work had in memory.
            yield self._step_down(phase, rung)

    def _step_down(self, phase: WorkPhase, rung: Rung) -> Notice:
        self.plan = on_rung(self.plan, rung)
        self.place()
        self.store.collect()
        return Notice("less_memory", f"Memory ran out while {_DOING[phase]}. The run goes on: {rung.words}.")

    def _remember_failure(self, memory: Memory) -> None:
        self.is_typical, self.has_stepped_down = False, True
        device, machine, cost = self.plan.device, self.plan.machine, self.plan.estimate
        is_ram = memory == "ram" or device.kind != "cuda"
        remember_failure(
            device,
            self.plan.model,
            is_ram=is_ram,
            counted_bytes=cost.peak_ram_bytes if is_ram else cost.peak_device_bytes,
            free_bytes=machine.ram_free_bytes if is_ram else device.free_bytes,
        )

    def place(self) -> None:
        """Let the store hold what the plan says, and nothing else."""
        self.store.use(self.files, placement_of(self.plan))
        stages.release_others(self.store, self.plan)

    def release(self, *parts: Part) -> None:
        stages.release(self.store, self.plan, *parts)

    def saved(self, save: Callable[[], None]) -> Generator[Event, None, None]:
        """Save latents. Failing to is no reason to lose the clip."""
        try:
            save()
        except OSError as error:
            logger.warning("latents were not saved: %s", error)
            if self._says_unsaved:
                self._says_unsaved = False
                yield Notice("latents_not_saved", f"The latents of this run could not be saved: {error}")

    def progress(self, phase: Phase, step: int, num_steps: int, stage: str = "", part: float | None = 0.0) -> Progress:
        """`part` of the stage is done; None when `step` of `num_steps` says it."""
        self.phase = phase
        if part is None:
            part = step / num_steps
        name = stage or ("decode" if phase in {"decode", "write"} else phase)
        fraction = self.clock.fraction(name, part)
        return Progress(phase, stage, step, num_steps, fraction, self.clock.eta_s(fraction))

    def memory_reading(self) -> MemoryReading:
        is_cuda = self.plan.device.kind == "cuda"
        device_bytes = torch.cuda.max_memory_allocated() if is_cuda else 0
        reading = MemoryReading(device_bytes, self.memory.bytes)
        self.peak_bytes = max(self.peak_bytes, reading.device_bytes if is_cuda else reading.process_bytes)
        return reading
