"""The command line's `queue`: add jobs, see them, put them in order, run them.

A job is named by its number, a batch with all its jobs by `b` and its number, every job by `all`. A job that was named
by its number and cannot do what is asked is an error; of a batch, or of all, those that can are taken.
"""

import argparse
import json
import re
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.errors import RequestError
from engine.request import GenerationRequest, Preset

if TYPE_CHECKING:
    from engine.events import Event
    from engine.jobs.queue import Action, Job, Place, State
    from engine.jobs.runner import QueueEvent
    from engine.jobs.store import JobStore

MAX_SEEDS = 1000
WHEN_DONE = ("nothing", "notify", "sleep")
LEVELS = ("low", "normal", "high")
_REFERENCE = re.compile(r"b?[1-9]\d{0,15}|all")
_SEEDS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
# What a failed job means to a script: what the verb that makes the same clip would have returned.
_EXIT_CODES = {"checkpoint": 3, "download": 3, "out_of_memory": 4, "storage_full": 4, "internal": 1}
_EXIT_REQUEST = 2


@dataclass(frozen=True)
class SharedOptions:
    """What the command line's other verbs have already."""

    add_common_arguments: Callable[[argparse.ArgumentParser], None]
    add_request_arguments: Callable[[argparse.ArgumentParser], None]
    request: Callable[[argparse.Namespace], GenerationRequest]
    display: Callable[[argparse.Namespace], tuple[Callable[["Event"], None], Any]]


def add_queue_verbs(queue: argparse.ArgumentParser, shared: SharedOptions) -> None:
    """Give the parser of `queue` its verbs; each sets `command`, which returns the exit code."""
    verbs = queue.add_subparsers(metavar="VERB", required=True, parser_class=type(queue))

    def add_verb(name: str, command: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=words)
        parser.set_defaults(command=lambda options, _network: command(options))
        return parser

    def add_jobs_verb(
        action: "Action", words: str, *, whole_queue: Callable[[argparse.Namespace], int] | None = None
    ) -> None:
        def command(options: argparse.Namespace) -> int:
            return _act(action, options) if options.jobs or whole_queue is None else whole_queue(options)

        parser = add_verb(action, command, words)
        parser.add_argument("jobs", nargs="+" if whole_queue is None else "*", type=_reference, metavar="JOB")
        shared.add_common_arguments(parser)

    listing = add_verb("list", _list, "what runs, waits and has ended")
    shared.add_common_arguments(listing)

    add = add_verb("add", lambda options: _add(options, shared.request(options)), "put clips into the queue")
    shared.add_request_arguments(add)
    add.add_argument("-o", "--output", type=Path, help="a name that is taken gets a number")
    add.add_argument("--priority", choices=LEVELS, default="normal")
    seeds = add.add_mutually_exclusive_group()
    seeds.add_argument("--takes", type=int, metavar="N", help="this many seeds, from --seed on or from a new one")
    seeds.add_argument("--seeds", type=_seeds, metavar="LIST", help="such as 1,2,5-8")
    add.add_argument("--presets", type=_presets, default=(), metavar="LIST", help="such as draft,fast")

    run = add_verb("run", lambda options: _run(options, shared), "make what waits, until nothing does")
    run.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")
    shared.add_common_arguments(run)

    add_jobs_verb("cancel", "give jobs up, also one that runs")
    add_jobs_verb("pause", "keep jobs from running; without any, start no further job", whole_queue=_set_paused)
    add_jobs_verb("resume", "let paused jobs run; without any, start jobs again", whole_queue=_set_resumed)
    add_jobs_verb("retry", "let failed or cancelled jobs wait again")

    priority = add_verb("priority", _prioritise, "put a job somewhere else in the line")
    priority.add_argument("job", type=_job_number, metavar="JOB")
    priority.add_argument("place", choices=(*LEVELS, "top", "bottom", "before", "after"))
    priority.add_argument("other", nargs="?", type=_job_number, metavar="OTHER", help="for before and after")
    shared.add_common_arguments(priority)

    remove = add_verb("remove", _remove, "forget jobs that do not run; files they made stay")
    remove.add_argument("jobs", nargs="+", type=_reference, metavar="JOB")
    shared.add_common_arguments(remove)

    when_done = add_verb("when-done", _set_when_done, "what the studio's window does when nothing is left to make")
    when_done.add_argument("action", choices=WHEN_DONE)
    shared.add_common_arguments(when_done)

    clear = add_verb("clear", _clear, "forget jobs that are done, failed or cancelled")
    clear.add_argument("--state", choices=("done", "failed", "cancelled"), action="append", default=[])
    shared.add_common_arguments(clear)


# --- verbs ------------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from engine.jobs.queue import forecast  # noqa: PLC0415 - psutil and SQLite, not needed for --help

    with _queue() as store:
        jobs, batches = store.jobs(), store.batches()
        is_paused, when_done = store.is_paused, store.when_done
    ahead = forecast(jobs, time.time())
    if options.json:
        children: dict[int | None, list[int]] = defaultdict(list)
        for job in jobs:
            children[job.batch_id].append(job.id)
        return _print_json(
            {
                "paused": is_paused,
                "when_done": when_done,
                "eta_s": _rounded(ahead.total_s),
                "jobs": [{**_facts(job), "eta_s": _rounded(ahead.done_in_s.get(job.id))} for job in jobs],
                "batches": [{"id": item.id, "title": item.title, "jobs": children[item.id]} for item in batches],
            }
        )
    for job in jobs:
        _print(_line(job, ahead.done_in_s.get(job.id)))
    unfinished = sum(job.state in {"waiting", "running"} for job in jobs)
    state = "; the queue is paused" if is_paused else ""
    _print((f"{unfinished} to make, done in {_duration(ahead.total_s)}" if unfinished else "nothing waits") + state)
    return 0


def _add(options: argparse.Namespace, request: GenerationRequest) -> int:
    from engine.jobs.batch import expand  # noqa: PLC0415
    from engine.jobs.prepare import prepare, title_of  # noqa: PLC0415
    from engine.jobs.queue import Priority  # noqa: PLC0415
    from engine.media.write import check_writable  # noqa: PLC0415
    from ltx_studio.starter import with_model  # noqa: PLC0415

    if options.output is not None:
        check_writable(options.output)
    request, notice = with_model(request)
    if notice is not None:
        _print(f"note: {notice.message}", file=sys.stderr)
    requests = expand(request, seeds=_chosen_seeds(options), presets=options.presets)
    new = prepare(requests, options.output, priority=Priority[options.priority.upper()])
    with _queue() as store:
        jobs = store.add(new, batch_title=title_of(request.prompt) if len(new) > 1 else None)
    if options.json:
        return _print_json({"jobs": [_facts(job) for job in jobs], "batch": jobs[0].batch_id})
    if jobs[0].batch_id is not None:
        _print(f"batch b{jobs[0].batch_id}: {len(jobs)} jobs, about {_duration(sum(job.predicted_s for job in jobs))}")
    for job in jobs:
        _print(f"job {job.id}: {job.path}, about {_duration(job.predicted_s)}")
    return 0


def _run(options: argparse.Namespace, shared: SharedOptions) -> int:
    from engine.jobs.runner import JobEvent  # noqa: PLC0415

    ended: dict[str, list[dict[str, Any]]] = {"done": [], "failed": [], "cancelled": [], "paused": []}
    show, display = shared.display(options)
    with _queue() as store, display, closing(_every_lane(store)) as events:
        for event in events:
            if isinstance(event, JobEvent):
                show(event.event)
                continue
            job, name = event.job, type(event).__name__.removeprefix("Job").lower()
            if job.state in ended:
                ended[job.state].append(_facts(job))
            if options.progress == "json":
                _print(json.dumps({"event": f"job_{name}", **_facts(job)}), file=sys.stderr)
            elif not options.json:
                _print(f"job {job.id} {_outcome(job, name)}")
        is_paused = store.is_paused
    if options.json:
        _print_json({**ended, "paused_queue": is_paused})
    elif not any(ended.values()):
        _print("The queue is paused; resume it first." if is_paused else "Nothing waits.")
    codes = [_EXIT_CODES.get(job["error"]["code"], _EXIT_REQUEST) for job in ended["failed"]]
    return codes[0] if codes else 0


def _every_lane(store: "JobStore") -> Generator["QueueEvent", None, None]:
    """The clips that wait, then the exports, which may be of those clips."""
    from engine.jobs.exports import LANE, ExportEngine  # noqa: PLC0415
    from engine.jobs.runner import GenerationEngine, run_queue  # noqa: PLC0415

    yield from run_queue(store, GenerationEngine())
    yield from run_queue(store, ExportEngine(), lane=LANE)


def _act(action: "Action", options: argparse.Namespace) -> int:
    with _queue() as store:
        change: Callable[[int], Job] = getattr(store, action)
        jobs = [change(job_id) for job_id in _chosen(store, options.jobs, action)]
    if options.json:
        return _print_json({"jobs": [_facts(job) for job in jobs]})
    for job in jobs:
        wish = f", and is about to be {_WISHED[job.wish]}" if job.wish else ""
        _print(f"job {job.id} is {job.state}{wish}")
    return 0


def _set_paused(options: argparse.Namespace) -> int:
    return _set_queue_paused(options, paused=True)


def _set_resumed(options: argparse.Namespace) -> int:
    return _set_queue_paused(options, paused=False)


def _set_queue_paused(options: argparse.Namespace, *, paused: bool) -> int:
    with _queue() as store:
        store.set_paused(paused)
    if options.json:
        return _print_json({"paused": paused})
    _print("No further job is started; one that runs goes on." if paused else "Jobs are started again.")
    return 0


def _set_when_done(options: argparse.Namespace) -> int:
    with _queue() as store:
        store.set_when_done(options.action)
    if options.json:
        return _print_json({"when_done": options.action})
    does = {"nothing": "does nothing", "notify": "notifies you", "sleep": "puts the computer to sleep"}
    _print(f"When nothing is left to make, the studio's window {does[options.action]}.")
    return 0


def _prioritise(options: argparse.Namespace) -> int:
    from engine.jobs.queue import After, Before, Priority  # noqa: PLC0415

    is_relative = options.place in {"before", "after"}
    if is_relative != (options.other is not None):
        wanted = "needs the job to stand next to" if is_relative else "takes no other job"
        raise RequestError("other", f"'{options.place}' {wanted}.", remedy="Such as: queue priority 3 before 2.")
    with _queue() as store:
        if options.place in LEVELS:
            job = store.set_priority(options.job, Priority[options.place.upper()])
        else:
            sides = {"before": Before, "after": After}
            place = sides[options.place](options.other) if is_relative else cast("Place", options.place)
            job = store.move(options.job, place)
    if options.json:
        return _print_json({"jobs": [_facts(job)]})
    beside = "" if options.other is None else f" job {options.other}"
    _print(f"job {job.id} has {LEVELS[job.priority]} priority: {options.place}{beside}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    with _queue() as store:
        job_ids = _chosen(store, options.jobs, None)
        store.remove(job_ids)
    return _say_removed(options, len(job_ids))


def _clear(options: argparse.Namespace) -> int:
    from engine.jobs.queue import ENDED  # noqa: PLC0415

    with _queue() as store:
        count = store.clear(cast("list[State]", options.state) or ENDED)
    return _say_removed(options, count)


def _say_removed(options: argparse.Namespace, count: int) -> int:
    if options.json:
        return _print_json({"removed": count})
    _print(f"{count} removed")
    return 0


# --- jobs as they are named and shown ---------------------------------------------------------------------------------

_WISHED = {"cancel": "cancelled", "pause": "paused"}


@contextmanager
def _queue() -> Generator["JobStore", None, None]:
    """The queue, with what dead processes left in it settled."""
    from engine.jobs.lease import recover  # noqa: PLC0415
    from engine.jobs.store import JobStore  # noqa: PLC0415

    with JobStore() as store:
        recover(store)
        yield store


def _chosen(store: "JobStore", references: Iterable[str], action: "Action | None") -> list[int]:
    """Numbers of the jobs that are meant, each once; without an action, of a batch or of all those that do not run."""
    from engine.jobs.queue import TRANSITIONS  # noqa: PLC0415

    chosen: dict[int, None] = {}
    for reference in references:
        if reference[0].isdigit():
            chosen[store.job(int(reference)).id] = None
            continue
        jobs = store.jobs() if reference == "all" else store.jobs(batch_id=int(reference[1:]))
        if reference != "all" and not jobs:
            raise RequestError("jobs", f"There is no batch {reference}.", remedy="See which the queue lists.")
        for job in jobs:
            can = job.state != "running" if action is None else (job.state, action) in TRANSITIONS
            if can:
                chosen[job.id] = None
    return list(chosen)


def _facts(job: "Job") -> dict[str, Any]:
    """A job as scripts see it."""
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message, "remedy": job.error_remedy}
    return {
        "id": job.id,
        "batch": job.batch_id,
        "lane": job.lane,
        "state": job.state,
        "priority": LEVELS[job.priority],
        "title": job.title,
        "output": job.output,
        "predicted_s": _rounded(job.predicted_s),
        "fraction": round(job.fraction, 3),
        "interruptions": job.interruptions,
        "wish": job.wish,
        "error": error,
    }


def _line(job: "Job", done_in_s: float | None) -> str:
    words = [f"{job.id:>5}", f"{job.state:9}", f"{LEVELS[job.priority]:6}"]
    if job.state == "running":
        words.append(f"{job.fraction:.0%}")
    if done_in_s is not None:
        words.append(f"done in {_duration(done_in_s)}")
    if job.batch_id is not None:
        words.append(f"b{job.batch_id}")
    words.append(job.error_message or (job.output if job.state == "done" else job.title))
    return "  ".join(words)


def _outcome(job: "Job", name: str) -> str:
    match name:
        case "started":
            return f"starts: {job.title}"
        case "finished":
            return f"is done: {job.path}"
        case "failed":
            return f"failed: {job.error_message} {job.error_remedy}".rstrip()
        case "recovered":
            return f"was interrupted, and is {job.state}"
        case _:
            return f"is {job.state}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _print(text: str, *, file: Any = None) -> None:
    print(text, file=file, flush=True)


def _print_json(values: dict[str, Any]) -> int:
    _print(json.dumps(values))
    return 0


# --- arguments --------------------------------------------------------------------------------------------------------


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a job, such as 3, a batch, such as b2, or 'all'")
    return text


def _job_number(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,15}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a job")
    return int(text)


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        match = _SEEDS.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds such as 1,2,5-8")
        first = int(match[1])
        run = range(first, int(match[2] or first) + 1)
        if not run or len(seeds) + len(run) > MAX_SEEDS:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of 1 to {MAX_SEEDS:,} seeds")
        seeds.extend(run)
    return seeds


def _presets(text: str) -> tuple[Preset, ...]:
    try:
        return tuple(Preset(part.strip()) for part in text.split(","))
    except ValueError as error:
        known = ", ".join(item.value for item in Preset)
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of presets out of {known}") from error


def _chosen_seeds(options: argparse.Namespace) -> Sequence[int]:
    if options.seeds is not None:
        if options.seed is not None:
            raise RequestError("seeds", "Both a seed and a list of seeds are given.", remedy="Give one of them.")
        return options.seeds
    if options.takes is None:
        return ()
    if not 1 <= options.takes <= MAX_SEEDS:
        raise RequestError("takes", f"{options.takes:,} takes cannot be made.", remedy=f"Choose 1 to {MAX_SEEDS:,}.")
    first = secrets.randbelow(2**31 - MAX_SEEDS) if options.seed is None else options.seed
    return range(first, first + options.takes)
