"""The queue's second lane: exports, which run beside generation. No torch.

An export that was interrupted starts again: it is made from a finished clip in one go, and nothing of it is kept but
the finished file.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from engine.events import Event
from engine.jobs.queue import Lane, Priority
from engine.jobs.runner import Task
from engine.jobs.store import NewJob
from engine.media.export import Exported, check_output, export, output_suffix
from engine.media.export_plan import ExportPlan, plan_export
from engine.media.export_request import ExportRequest
from engine.media.export_source import Source, read_source

LANE: Lane = "export"
_WARM_KEY = "export"  # nothing is kept in memory from one to the next, so they run in their order


def prepare_export(
    request: ExportRequest, output: Path, *, source: Source | None = None, priority: Priority = Priority.NORMAL
) -> NewJob:
    """A job that can wait, checked as it would be run now. Raises RequestError and MediaError, as the export does."""
    request = _with_absolute_paths(request)  # whoever runs the job may be anywhere
    source = source or read_source(request.clip)
    plan = plan_export(request, source, suffix=output_suffix(request.settings.format, output))
    check_output(plan, output)
    return new_job(plan, output, priority=priority)


def new_job(plan: ExportPlan, output: Path, *, priority: Priority = Priority.NORMAL) -> NewJob:
    """The job of a plan."""
    request = plan.request
    return NewJob(
        work=request.to_dict(),
        title=request.clip.name,
        output=output,
        warm_key=_WARM_KEY,
        predicted_s=plan.predicted_s,
        lane=LANE,
        priority=priority,
    )


def _with_absolute_paths(request: ExportRequest) -> ExportRequest:
    added = request.added
    return replace(
        request,
        clip=request.clip.absolute(),
        added=None if added is None else replace(added, path=added.path.absolute()),
    )


class ExportEngine:
    """Runs jobs of the lane."""

    def __call__(self, task: Task) -> Generator[Event, None, None]:
        with closing(export(ExportRequest.from_dict(task.work), task.output)) as events:
            for event in events:
                if not isinstance(event, Exported):
                    yield event
