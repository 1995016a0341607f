"""From requests to jobs that can wait: checked, with their model and seed settled and their time predicted."""

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.folders import data_folder
from engine.hardware import Machine, current_machine
from engine.jobs.queue import Priority
from engine.jobs.store import NewJob
from engine.pipelines.facts import ModelFacts, model_facts
from engine.pipelines.plan import plan
from engine.request import GenerationRequest

TITLE_LENGTH = 80


def prepare(
    requests: Sequence[GenerationRequest],
    output: Path | None = None,
    *,
    priority: Priority = Priority.NORMAL,
    machine: Machine | None = None,
) -> list[NewJob]:
    """One job for each request, planned as it would be run now.

    Model and seed are settled here, so that an interrupted or repeated job makes the same clip. Where `output` is
    None, files get new names in the data folder. Raises RequestError and CheckpointError, as the plan does.
    """
    machine = machine or current_machine()
    facts: dict[str | None, ModelFacts] = {}
    jobs: list[NewJob] = []
    for request in requests:
        if request.model not in facts:
            facts[request.model] = model_facts(request.model)
        # The plan's public form, which scripts rely on too: what it decides inside is its own affair.
        planned = plan(request, machine, model=facts[request.model])
        values = planned.to_dict()
        precisions = dict.fromkeys(stage["precision"] for stage in values["stages"])
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        settled = replace(request, seed=seed, model=planned.request.model)
        jobs.append(
            NewJob(
                work=settled.to_dict(),
                title=_title(planned.request),
                output=output or _default_output(request, seed),
                warm_key=f"{settled.model} {'+'.join(precisions)} {values['device']}",
                predicted_s=values["seconds"],
                priority=priority,
            )
        )
    return jobs


def _title(request: GenerationRequest) -> str:
    """The prompt's beginning; of an edit without one, the clip's name."""
    title = title_of(request.prompt)
    return title if title or request.edit is None else request.edit.clip.name


def title_of(prompt: str) -> str:
    """The beginning of a prompt, on one line."""
    line = " ".join(prompt.split())
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1]}…"


def _default_output(request: GenerationRequest, seed: int) -> Path:
    folder = data_folder() / "clips"
    with suppress(OSError):  # said when the job begins
        folder.mkdir(parents=True, exist_ok=True)
    # Matroska keeps what an edit leaves alone exactly as it was.
    suffix = ".mp4" if request.edit is None else ".mkv"
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}{suffix}"
