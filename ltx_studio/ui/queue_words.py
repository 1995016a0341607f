"""Jobs of the queue in words, for eyes and for screen readers."""

from PySide6.QtCore import QCoreApplication

from engine.jobs.queue import Priority, State
from engine.request import GenerationRequest, Preset
from ltx_studio.domain import job as run
from ltx_studio.domain.queue import Group, Item, Row
from ltx_studio.ui import export_words, words

_SEPARATOR = "  \N{MIDDLE DOT}  "


def tr(text: str) -> str:
    return QCoreApplication.translate("queue", text)


def state_name(state: State) -> str:
    match state:
        case "waiting":
            return tr("Waiting")
        case "running":
            return tr("Running")
        case "paused":
            return tr("Paused")
        case "done":
            return tr("Done")
        case "failed":
            return tr("Failed")
        case "cancelled":
            return tr("Cancelled")


def state_icon(state: State) -> str:
    """Each state has a shape of its own."""
    return {
        "waiting": "mdi6.clock-outline",
        "running": "mdi6.play-circle-outline",
        "paused": "mdi6.pause-circle-outline",
        "done": "mdi6.check-circle-outline",
        "failed": "mdi6.alert-outline",
        "cancelled": "mdi6.cancel",
    }[state]


def preset_name(preset: Preset) -> str:
    return {
        Preset.DRAFT: tr("Draft"),
        Preset.FAST: tr("Fast"),
        Preset.STANDARD: tr("Standard"),
        Preset.HIGH: tr("High"),
    }[preset]


def priority_name(priority: int) -> str:
    return {
        Priority.LOW: tr("Low priority"),
        Priority.NORMAL: tr("Normal priority"),
        Priority.HIGH: tr("High priority"),
    }[Priority(priority)]


def title(row: Row) -> str:
    """The beginning of the prompt; of an export, the clip."""
    if isinstance(row, Item) and row.export is not None:
        return export_words.job_title(row.export)
    return row.batch.title if isinstance(row, Group) else row.job.title


def facts(row: Row) -> str:
    """What is made: of a batch, what all of its jobs share."""
    items = row.items
    parts: list[str] = []
    if isinstance(row, Group):
        parts.append(tr("Batch of {count}").format(count=len(items)))
    priorities = {item.job.priority for item in items if item.state in {"waiting", "paused"}}
    if len(priorities) == 1 and (priority := priorities.pop()) != Priority.NORMAL:
        parts.append(priority_name(priority))
    if isinstance(row, Item) and row.export is not None:
        parts.append(export_words.job_facts(row.export))
    requests = [item.request for item in items]
    for describe in (_size, _length, _preset, _seed):
        said = {describe(request) if request else "" for request in requests}
        if len(said) == 1 and (text := said.pop()):
            parts.append(text)
    return _SEPARATOR.join(parts)


def _size(request: GenerationRequest) -> str:
    return words.size(request.size) if request.size else ""


def _length(request: GenerationRequest) -> str:
    if request.seconds is not None:
        return tr("{seconds} s").format(seconds=f"{request.seconds:.2f}".rstrip("0").rstrip("."))
    return tr("{frames} frames").format(frames=request.frames) if request.frames else ""


def _preset(request: GenerationRequest) -> str:
    return preset_name(request.preset)


def _seed(request: GenerationRequest) -> str:
    return "" if request.seed is None else tr("seed {seed}").format(seed=request.seed)


def error(row: Row) -> str:
    """What happened and what to do; of a batch, for the first of its jobs that failed."""
    job = next((item.job for item in row.items if item.state == "failed"), None)
    return "" if job is None else f"{job.error_message or ''} {job.error_remedy or ''}".strip()


def doing(row: Row, live: run.Job | None) -> str:
    """The state in words; of what runs, what is being done."""
    if isinstance(row, Group):
        return _doing_batch(row)
    if row.state == "running" and live is not None and live.id == row.id:
        if live.is_stopping:
            return tr("Stopping")
        return tr("Starting the engine") if live.progress is None else words.doing(live.progress)
    if row.job.wish == "cancel":
        return tr("Stopping")
    if row.state == "running" and row.job.lane == "export":
        return tr("Exporting")
    return state_name(row.state)


def _doing_batch(group: Group) -> str:
    parts = [tr("{done} of {count} done").format(done=group.num_by_state["done"], count=len(group.items))]
    others: tuple[tuple[State, str], ...] = (
        ("failed", tr("{count} failed")),
        ("cancelled", tr("{count} cancelled")),
        ("paused", tr("{count} paused")),
    )
    for state, text in others:
        if group.num_by_state[state]:
            parts.append(text.format(count=group.num_by_state[state]))
    return ", ".join(parts)


def time_of(row: Row, done_in_s: float | None, live: run.Job | None) -> str:
    """When it will be done, or how long it took."""
    if row.state == "running" and isinstance(row, Item):
        own = live.progress.eta_s if live is not None and live.id == row.id and live.progress else None
        return words.time_left(done_in_s if own is None else own)
    if done_in_s is not None:
        return tr("done in about {time}").format(time=words.duration(max(done_in_s, 1.0)))
    if isinstance(row, Item) and row.state == "done" and row.job.started_s and row.job.finished_s:
        return tr("took {time}").format(time=words.duration(row.job.finished_s - row.job.started_s))
    return ""


def spoken(row: Row, done_in_s: float | None, live: run.Job | None) -> str:
    """The whole row, for screen readers."""
    fraction = fraction_of(row, live)
    percent = tr("{percent} %").format(percent=round(fraction * 100)) if row.state == "running" else ""
    parts = [state_name(row.state), title(row), facts(row).replace(_SEPARATOR, ", "), doing(row, live), percent]
    return ". ".join(part for part in (*parts, time_of(row, done_in_s, live), error(row)) if part)


def fraction_of(row: Row, live: run.Job | None) -> float:
    """Made so far, 0 to 1, with what the run said last."""
    fractions = [
        live.progress.fraction
        if live is not None and live.id == item.id and live.is_running and live.progress is not None
        else item.fraction
        for item in row.items
    ]
    return sum(fractions) / len(fractions)


def summary(num_to_make: int, seconds_left: float, *, is_paused: bool) -> str:
    """Of the whole queue."""
    if not num_to_make:
        return tr("Paused. Nothing waits.") if is_paused else tr("Nothing waits.")
    counted = tr("1 clip to make") if num_to_make == 1 else tr("{count} clips to make").format(count=num_to_make)
    if is_paused:
        return tr("Paused, {counted}").format(counted=counted)
    return tr("{counted}, about {time}").format(counted=counted, time=words.duration(max(seconds_left, 1.0)))
