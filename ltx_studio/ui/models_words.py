"""The model page in words: how far a model is, whether it fits, what is being done, and what came of it."""

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from engine.pipelines.plan import SLOW_SECONDS, Plan
from ltx_studio.domain.job import Failed
from ltx_studio.domain.model_tasks import (
    Activity,
    Adopt,
    Done,
    Export,
    Get,
    Import,
    KeepToken,
    Queue,
    Remove,
    Stopped,
    Task,
    Verify,
)
from ltx_studio.domain.models import FileRow, Inventory, ModelRow
from ltx_studio.ui import words
from ltx_studio.ui.fit_line import memory_free, memory_needed

_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))  # as hubs and disks count


def tr(text: str) -> str:
    return QCoreApplication.translate("models", text)


@dataclass(frozen=True)
class Said:
    """A sentence, the role of the style sheet it is shown in, and a shape for who cannot tell the colours."""

    text: str
    role: str = "secondary"  # secondary, ok, warn, danger
    icon: str = ""

    @property
    def small_role(self) -> str:
        return self.role if self.role == "secondary" else f"{self.role}-small"


OK_ICON, WARN_ICON, DANGER_ICON = "mdi6.check-circle-outline", "mdi6.alert-outline", "mdi6.close-octagon-outline"
_LIGHTS = {"green": ("ok", OK_ICON), "amber": ("warn", WARN_ICON), "red": ("danger", DANGER_ICON)}


def amount(num_bytes: int) -> str:
    """47.1 GB, 520 MB, 3.2 kB, 17 bytes."""
    for size, unit in _UNITS:
        if num_bytes >= size:
            value = num_bytes / size
            has_fraction = unit == "GB" or value < 10
            return tr("{value} {unit}").format(value=f"{value:.1f}" if has_fraction else f"{value:.0f}", unit=unit)
    return tr("{count} bytes").format(count=num_bytes)


def of(done_bytes: int, total_bytes: int) -> str:
    """12.3 of 47.1 GB, and 300 MB of 47.1 GB."""
    done, total = amount(done_bytes), amount(total_bytes)
    if done.rpartition(" ")[2] == total.rpartition(" ")[2]:
        done = done.rpartition(" ")[0]
    return tr("{done} of {total}").format(done=done, total=total)


def breakable(text: str) -> str:
    """Names of files and paths may go on in the next line after each of their marks."""
    for mark in "/\\-_.":
        text = text.replace(mark, f"{mark}\N{ZERO WIDTH SPACE}")
    return text


# --- how far a model is -----------------------------------------------------------------------------------------------


def state(row: ModelRow, inventory: Inventory, queue: Queue) -> Said:
    """What is done with a model now, or how far its files are."""
    running = queue.running
    if running is not None and getattr(running.task, "name", None) == row.name:
        return Said(_running(running), "secondary", "mdi6.progress-clock")
    waiting = queue.doing(row.name)
    if isinstance(waiting, Get) and queue.is_paused:
        return Said(_paused(row), "warn", "mdi6.pause-circle-outline")
    if waiting is not None:
        return Said(tr("Waits for its turn"), "secondary", "mdi6.timer-sand")
    return _resting(row, inventory)


def _running(activity: Activity) -> str:
    if activity.fraction is None:
        return short_title(activity)
    return tr("{doing}, {percent} %").format(doing=short_title(activity), percent=int(activity.fraction * 100))


def _paused(row: ModelRow) -> str:
    if row.here_bytes == 0:
        return tr("Paused")
    return tr("Paused: {amount} here").format(amount=of(row.here_bytes, row.known_bytes))


def _resting(row: ModelRow, inventory: Inventory) -> Said:
    match row.state:
        case "bundled":
            return Said(tr("In the box"), "ok", OK_ICON)
        case "absent":
            return Said(tr("Not part of this copy"), "secondary", "mdi6.minus-circle-outline")
        case "verified" if not inventory.is_complete(row.name):
            return Said(tr("Its own files are installed; its text encoder is not yet"), "warn", WARN_ICON)
        case "verified":
            return Said(tr("Installed and verified: {amount}").format(amount=amount(row.here_bytes)), "ok", OK_ICON)
        case "unverified":
            return Said(tr("Here, but not verified: it counts once its hash was read"), "warn", WARN_ICON)
        case "partial" | "missing" if row.here_bytes > 0 and row.is_size_known:
            sentence = tr("Partly fetched: {amount}") if row.state == "partial" else tr("Partly here: {amount}")
            here = of(row.here_bytes, row.known_bytes)
            return Said(sentence.format(amount=here), "warn", "mdi6.progress-download")
        case "partial" | "missing" if row.here_bytes > 0:
            sentence = tr("Partly here: {amount}, and files whose size the hub says")
            return Said(sentence.format(amount=amount(row.here_bytes)), "warn", "mdi6.progress-download")
        case "partial" | "missing":
            return Said(_to_fetch(row), "secondary", "mdi6.tray-arrow-down")


def _to_fetch(row: ModelRow) -> str:
    if not row.known_bytes:
        return tr("Not installed. The hub says its size before the first byte.")
    sentence = tr("Not installed: {amount} to fetch")
    if not row.is_size_known:
        sentence = tr("Not installed: {amount} to fetch, and files whose size the hub says")
    elif row.text_encoder is not None:
        sentence = tr("Not installed: {amount} to fetch, and the text encoder")
    return sentence.format(amount=amount(row.known_bytes))


def file_state(file: FileRow) -> Said:
    match file.state:
        case "verified":
            return Said(tr("installed"), "ok", OK_ICON)
        case "unverified":
            return Said(tr("not verified"), "warn", WARN_ICON)
        case "partial" if file.size_bytes is not None:
            return Said(of(file.here_bytes, file.size_bytes), "warn", "mdi6.progress-download")
        case "partial":
            return Said(tr("partly fetched"), "warn", "mdi6.progress-download")
        case "missing":
            return Said(tr("missing"), "secondary", "mdi6.tray-arrow-down")


def file_size(file: FileRow) -> str:
    return tr("size unknown") if file.size_bytes is None else amount(file.size_bytes)


def room(row: ModelRow, inventory: Inventory) -> str:
    """Empty while there is room for what is missing."""
    needed = inventory.missing_bytes(row.name)
    if needed <= inventory.free_bytes:
        return ""
    return tr("Not enough room: {needed} to fetch, {free} free on this disk.").format(
        needed=amount(needed), free=amount(inventory.free_bytes)
    )


# --- whether it fits --------------------------------------------------------------------------------------------------


def fit(row: ModelRow) -> Said | None:
    """The planner's verdict on a clip of the model's usual size, and the one reason that matters most."""
    match row.plan:
        case None:
            return None
        case Failed() if row.state != "verified":
            return Said(tr("Whether it fits is known once it is here."), "secondary", "mdi6.help-circle-outline")
        case Failed(_, message, remedy):
            return Said(breakable(f"{message} {remedy}".rstrip()), "danger", DANGER_ICON)
        case Plan() as plan:
            verdicts = {
                "green": tr("Fits this machine: {seconds} s of {size} in about {time}. {reason}"),
                "amber": tr("Just fits this machine: {seconds} s of {size} in about {time}. {reason}"),
                "red": tr("Does not fit this machine: {seconds} s of {size} take {memory}; {free} are free."),
            }
            text = verdicts[plan.light].format(
                seconds=f"{plan.duration_s:.0f}" if plan.duration_s >= 3 else f"{plan.duration_s:.1f}",
                size=words.size(plan.size),
                time=words.duration(plan.estimate.seconds),
                reason=_reason(plan),
                memory=memory_needed(plan),
                free=memory_free(plan),
            )
            return Said(text, *_LIGHTS[plan.light])


def _reason(plan: Plan) -> str:
    match plan.policy.transformer.kind:
        case "disk":
            return tr("Memory is too small for all of it, so parts are read from the disk again and again.")
        case "stream":
            return tr("Parts wait in main memory until the graphics card needs them.")
        case "resident" if plan.estimate.seconds > SLOW_SECONDS:
            return tr("It stays in memory; this machine computes slowly.")
        case "resident" if plan.light == "amber":
            return tr("It stays in memory and leaves little free: close other programs first.")
        case "resident":
            return tr("It stays in memory while it works.")


# --- what is being done -----------------------------------------------------------------------------------------------


def short_title(activity: Activity) -> str:
    """What is being done, without with what."""
    if activity.is_stopping:
        return tr("Stopping") if activity.is_dropped else tr("Pausing")
    match activity.task:
        case Get() if activity.phase in {"starting", "waiting"}:
            return tr("Asking the hub")
        case Get() if activity.phase == "checking":
            return tr("Checking what was fetched")
        case Get():
            return tr("Fetching")
        case Verify():
            return tr("Verifying")
        case Export():
            return tr("Exporting")
        case Import():
            return tr("Importing")
        case Adopt():
            return tr("Looking for model files")
        case Remove():
            return tr("Removing")
        case KeepToken():
            return tr("Keeping the token")


def title(activity: Activity, name: str) -> str:
    """What is being done with which model; `name` is empty where it is none in particular."""
    return tr("{doing}: {model}").format(doing=short_title(activity), model=name) if name else short_title(activity)


def numbers(activity: Activity) -> str:
    """How much, how fast, how long."""
    if not activity.total_bytes:
        return ""
    parts = [of(activity.done_bytes, activity.total_bytes)]
    if activity.bytes_per_s > 0:
        parts.append(tr("{amount}/s").format(amount=amount(round(activity.bytes_per_s))))
    left = words.time_left(activity.eta_s)
    return " · ".join([*parts, left] if left else parts)


def room_said(activity: Activity) -> str:
    """What was said before the first byte."""
    found = activity.room
    if found is None or not found.total_bytes:
        return ""
    sentence = tr("{left} to fetch, {free} free on this disk.")
    if found.kept_bytes:
        sentence = tr("{left} to fetch, {kept} here from before, {free} free on this disk.")
    left = amount(found.total_bytes - found.kept_bytes)
    return sentence.format(left=left, kept=amount(found.kept_bytes), free=amount(found.free_bytes))


# --- what came of it --------------------------------------------------------------------------------------------------


def outcome(activity: Activity, name: str) -> Said:
    """How a task ended; `name` as in `title`."""
    match activity.outcome:
        case Failed(_, message, remedy):
            return Said(f"{message} {remedy}".rstrip(), "danger", DANGER_ICON)
        case Stopped():
            return Said(_stopped(activity.task, name), "secondary", "mdi6.stop-circle-outline")
        case Done() | None:
            return _done(activity, name)


def _stopped(task: Task, name: str) -> str:
    if isinstance(task, Get):
        return tr("Stopped fetching {model}. What was fetched is kept.").format(model=name)
    return tr("Stopped.")


def _done(activity: Activity, name: str) -> Said:
    match activity.task:
        case Get():
            sentence = tr("{model} is installed and verified; {amount} fetched.")
            return Said(sentence.format(model=name, amount=amount(activity.fetched_bytes)), "ok", OK_ICON)
        case Verify():
            return _verified(activity, name)
        case Adopt():
            if not activity.adopted:
                return Said(tr("No missing model file was found there."), "secondary", "mdi6.information-outline")
            sentence = tr("{count} files taken over, without a second copy where the disk allows it.")
            return Said(sentence.format(count=len(activity.adopted)), "ok", OK_ICON)
        case Export(_, folder):
            sentence = tr("{model} is in the pack {folder}: {count} files.")
            text = sentence.format(model=name, folder=breakable(str(folder)), count=len(activity.copied))
            return Said(text, "ok", OK_ICON)
        case Import():
            new = [item for item in activity.copied if not item.was_there]
            sentence = tr("The pack is installed: {count} files, {new} of them new ({amount}).")
            size = amount(sum(item.size_bytes for item in new))
            return Said(sentence.format(count=len(activity.copied), new=len(new), amount=size), "ok", OK_ICON)
        case Remove():
            return _removed(activity, name)
        case KeepToken(None):
            return Said(tr("The token is forgotten."), "ok", OK_ICON)
        case KeepToken():
            return Said(tr("The token is kept where only you can read it."), "ok", OK_ICON)


def _verified(activity: Activity, name: str) -> Said:
    wrong = [item for item in activity.checked if item.state == "wrong"]
    unknown = [item for item in activity.checked if item.state == "unknown"]
    if wrong:
        first = f"{wrong[0].place.file.name} {wrong[0].message}."
        sentence = tr("{first} Get the model again: only what is missing is fetched.")
        if len(wrong) > 1:
            sentence = tr("{first} So are {count} others. Get the model again: only what is missing is fetched.")
        return Said(sentence.format(first=first, count=len(wrong) - 1), "danger", DANGER_ICON)
    if unknown:
        sentence = tr("{model}: nobody here knows what the hash of {file} should be. Get it to ask the hub.")
        return Said(sentence.format(model=name, file=unknown[0].place.file.name), "warn", WARN_ICON)
    sentence = tr("{model}: every byte of {count} files is right.")
    return Said(sentence.format(model=name, count=len(activity.checked)), "ok", OK_ICON)


def _removed(activity: Activity, name: str) -> Said:
    removed = activity.removed
    freed = amount(removed.freed_bytes if removed is not None else 0)
    sentence = tr("{model} is removed; {freed} freed.")
    if removed is not None and removed.kept_text_encoder is not None:
        sentence = tr("{model} is removed; {freed} freed. Its text encoder stays, for other models.")
    return Said(sentence.format(model=name, freed=freed), "ok", OK_ICON)
