"""The command line's `models`: what there is, fetching, checking, adopting, carrying offline, removing."""

import argparse
import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from engine.weights.adopt import Adopted, Passed
    from engine.weights.catalog import Place
    from engine.weights.fetch import FetchEvent
    from engine.weights.installed import Checked, CheckProgress
    from engine.weights.pack import Copied

    ModelsEvent = FetchEvent | Adopted | Passed | Checked | CheckProgress | Copied

GB = 1e9
_STATES = ("missing", "partial", "unverified", "verified")  # a model is as far as the least of its files


def add_models_verbs(models: argparse.ArgumentParser, add_common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Give the parser of `models` its verbs; each sets `command`, which returns the exit code."""
    verbs = models.add_subparsers(metavar="VERB", required=True, parser_class=type(models))

    def add_verb(
        name: str, command: Callable[[argparse.Namespace], int], words: str, *, names: str | None = None
    ) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=words)
        parser.set_defaults(command=lambda options, _network: command(options))
        if names is not None:
            parser.add_argument("names", nargs=names, metavar="NAME", help="as `models list` shows them")
        if name not in {"list", "remove", "access"}:
            parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")
        add_common(parser)
        return parser

    add_verb("list", _list, "every model, its files, and whether it fits this machine")
    get = add_verb("get", _get, "fetch models; goes on where it was stopped", names="+")
    get.add_argument("--mirror", metavar="URL", help="instead of huggingface.co; default: HF_ENDPOINT")
    get.add_argument("--proxy", metavar="URL", help="default: HTTPS_PROXY")
    add_verb("verify", _verify, "read installed files and compare their hashes", names="*")
    adopt = add_verb("adopt", _adopt, "take files that other programs already brought, without copying")
    adopt.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="default: where they usually are")
    export = add_verb("export", _export, "put models into a folder, for machines without a network", names="+")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    add_verb("import", _import, "install what an exported folder holds").add_argument(
        "folder", type=Path, metavar="FOLDER"
    )
    add_verb("remove", _remove, "delete models", names="+")
    access = add_verb("access", _access, "which hub, proxy and token are used")
    access.add_argument("--mirror", metavar="URL", help="use this hub from now on; '' for the usual one")
    access.add_argument("--proxy", metavar="URL", help="use this proxy from now on; '' for the system's")
    access.add_argument("--token", action="store_true", help="keep the token that comes on stdin; nothing forgets it")


# --- list -------------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from engine.weights.catalog import downloadable, loras  # noqa: PLC0415 - not needed for --help

    rows, lora_rows = [_describe(name) for name in downloadable()], [_describe(name) for name in loras()]
    if options.json:
        _say(json.dumps({"models": rows, "loras": lora_rows}))
        return 0
    for row in (*rows, *lora_rows):
        size = f"{row['total_bytes'] / GB:.1f} GB" if row["total_bytes"] is not None else "size unknown"
        fit = {"green": ", fits", "amber": ", just fits", "red": ", does not fit"}.get(row["light"] or "", "")
        _say(f"{row['name']:22} {row['state']:10} {size:>12}{fit}  {row['title']}")
        for file in row["files"]:
            if row["state"] not in {"missing", "verified"}:
                _say(f"  {file['state']:10} {file['name']}")
    return 0


def _describe(name: str) -> dict[str, Any]:
    from engine.weights.catalog import catalogue, places, title_of  # noqa: PLC0415
    from engine.weights.installed import state_of  # noqa: PLC0415

    all_places = places(name)
    files = [{**asdict(place.file), "path": str(place.path), "state": state_of(place)} for place in all_places]
    own_folder = all_places[0].path.parent  # its text encoder, in another folder, has a row of its own
    sizes = [place.file.size_bytes for place in all_places if place.path.parent == own_folder]
    known_sizes = [size for size in sizes if size is not None]
    light_by_preset = _lights(name) if name in catalogue() else {}
    return {
        "name": name,
        "title": title_of(name),
        "state": min((file["state"] for file in files), key=_STATES.index),
        "total_bytes": sum(known_sizes) if len(known_sizes) == len(sizes) else None,
        "light": light_by_preset.get("fast"),
        "presets": light_by_preset,
        "files": files,
    }


def _lights(name: str) -> dict[str, str]:
    """Whether each preset that the model knows fits this machine, at its usual size."""
    from engine.hardware import current_machine  # noqa: PLC0415
    from engine.pipelines.plan import plan  # noqa: PLC0415
    from engine.request import GenerationRequest, Preset  # noqa: PLC0415

    machine = current_machine()
    lights: dict[str, str] = {}
    for preset in Preset:
        try:
            request = GenerationRequest("a clip", model=name, preset=preset)
            lights[preset.value] = plan(request, machine).to_dict()["light"]
        except EngineError:
            continue  # not a preset of this model
    return lights


# --- what brings and checks files -------------------------------------------------------------------------------------


def _get(options: argparse.Namespace) -> int:
    from engine.weights.access import find_access  # noqa: PLC0415
    from engine.weights.catalog import places  # noqa: PLC0415
    from engine.weights.fetch import FileInstalled, fetch  # noqa: PLC0415

    wanted = _unique(place for name in options.names for place in places(name))
    access = find_access(endpoint=options.mirror, proxy=options.proxy)
    done = [event for event in _shown(fetch(wanted, access), options) if isinstance(event, FileInstalled)]
    fetched_bytes = sum(event.fetched_bytes for event in done)
    _answer(
        options,
        {
            "models": options.names,
            "files": [{**asdict(event), "path": str(event.path)} for event in done],
            "fetched_bytes": fetched_bytes,
        },
        f"{', '.join(options.names)}: installed, {fetched_bytes / GB:.1f} GB fetched",
    )
    return 0


def _verify(options: argparse.Namespace) -> int:
    from engine.weights.catalog import downloadable, places  # noqa: PLC0415
    from engine.weights.installed import Checked, verify  # noqa: PLC0415

    wanted = _unique(place for name in options.names or downloadable() for place in places(name))
    if not options.names:
        wanted = [place for place in wanted if place.path.is_file()]
    checked: list[Checked] = []
    for place in wanted:
        checked += [event for event in _shown(verify(place), options) if isinstance(event, Checked)]
    bad = [item for item in checked if item.state in {"wrong", "missing"}]
    if bad:
        others = f" Neither are {len(bad) - 1} others right." if len(bad) > 1 else ""
        raise CheckpointError(
            bad[0].place.path,
            f"{bad[0].message}.{others}",
            remedy="Fetch the model again: only what is missing or wrong is fetched.",
        )
    files = [{"path": str(item.place.path), "state": item.state, "message": item.message} for item in checked]
    _answer(options, {"files": files}, f"{len(checked)} files are right" if checked else "No model is installed.")
    return 0


def _adopt(options: argparse.Namespace) -> int:
    from engine.weights.adopt import Adopted, adopt, usual_folders  # noqa: PLC0415
    from engine.weights.installed import all_places  # noqa: PLC0415

    folders: Sequence[Path] = options.folders or usual_folders()
    events = _shown(adopt(folders, _unique(all_places())), options)
    taken = [event for event in events if isinstance(event, Adopted)]
    _answer(
        options,
        {
            "folders": [str(folder) for folder in folders],
            "files": [{"path": str(item.place.path), "source": str(item.source), "how": item.how} for item in taken],
        },
        f"{len(taken)} files adopted from {len(folders)} folders",
    )
    return 0


def _export(options: argparse.Namespace) -> int:
    from engine.weights.pack import Copied, export_pack  # noqa: PLC0415

    events = _shown(export_pack(options.names, options.output), options)
    _answer_copied(options, [event for event in events if isinstance(event, Copied)], f"in {options.output}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from engine.weights.pack import Copied, import_pack  # noqa: PLC0415

    events = _shown(import_pack(options.folder), options)
    _answer_copied(options, [event for event in events if isinstance(event, Copied)], "installed")
    return 0


def _answer_copied(options: argparse.Namespace, copied: "list[Copied]", where: str) -> None:
    new = [item for item in copied if not item.was_there]
    size = sum(item.size_bytes for item in new)
    files = [{**asdict(item), "path": str(item.path)} for item in copied]
    _answer(options, {"files": files}, f"{len(copied)} files {where}, {len(new)} of them new ({size / GB:.1f} GB)")


# --- remove and access ------------------------------------------------------------------------------------------------


def _remove(options: argparse.Namespace) -> int:
    from engine.weights.installed import remove  # noqa: PLC0415

    removed = [remove(name) for name in options.names]
    freed_bytes = sum(item.freed_bytes for item in removed)
    kept = sorted({item.kept_text_encoder for item in removed if item.kept_text_encoder})
    words = f"{', '.join(options.names)}: removed, {freed_bytes / GB:.1f} GB freed"
    if kept:
        words += f"; the text encoder stays, `models remove {kept[0]}` deletes it too"
    files = [str(path) for item in removed for path in item.files]
    _answer(options, {"freed_bytes": freed_bytes, "files": files, "kept_text_encoders": kept}, words)
    return 0


def _access(options: argparse.Namespace) -> int:
    from engine.weights.access import find_access, save_settings, save_token, saved_settings  # noqa: PLC0415

    if options.token:
        save_token(sys.stdin.readline().strip() or None)
    if options.mirror is not None or options.proxy is not None:
        before = saved_settings()
        mirror = before.get("endpoint") if options.mirror is None else options.mirror
        proxy = before.get("proxy") if options.proxy is None else options.proxy
        save_settings(endpoint=mirror or None, proxy=proxy or None)
    access = find_access()
    values = {"endpoint": access.endpoint, "proxy": access.proxy is not None, "token": access.token is not None}
    _answer(
        options,
        values,
        f"{access.endpoint}, {'a proxy of its own' if access.proxy else 'the proxy of the system, if any'}, "
        f"{'with' if access.token else 'without'} a token",
    )
    return 0


# --- showing ----------------------------------------------------------------------------------------------------------


def _shown(events: "Generator[ModelsEvent]", options: argparse.Namespace) -> "Iterator[ModelsEvent]":
    """The same events, shown as they pass; ending the iteration ends their work."""
    with closing(events) as running, _display(options.progress) as show:
        for event in running:
            show(event)
            yield event


@contextmanager
def _display(how: str) -> "Generator[Callable[[ModelsEvent], None]]":
    if how == "none":
        yield lambda _event: None
    elif how == "json":
        yield _write_json_event
    else:
        with _bar() as show:
            yield show


def _write_json_event(event: "ModelsEvent") -> None:
    values = {name: _plain(value) for name, value in vars(event).items()}
    sys.stderr.write(json.dumps({"event": type(event).__name__.lower(), **values}) + "\n")
    sys.stderr.flush()


def _plain(value: Any) -> Any:
    from engine.weights.catalog import Place  # noqa: PLC0415

    match value:
        case Place(file, path):
            return {"file": file.name, "path": str(path)}
        case Path():
            return str(value)
        case _:
            return value


@contextmanager
def _bar() -> "Generator[Callable[[ModelsEvent], None]]":
    """One line on stderr: the file, how far everything is, how fast, and what is left."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    from engine.weights.adopt import Passed  # noqa: PLC0415
    from engine.weights.fetch import FetchProgress, QueueReady  # noqa: PLC0415
    from engine.weights.installed import CheckProgress  # noqa: PLC0415
    from engine.weights.workers import FetchNotice  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None, pace="")

        def show(event: "ModelsEvent") -> None:
            match event:
                case FetchProgress():
                    left = "" if event.eta_s is None else f", {_duration(event.eta_s)} left"
                    pace = f"{event.bytes_per_s / 1e6:.1f} MB/s{left}"
                    doing = f"{event.phase} {event.file}"
                    bar.update(task, description=doing, completed=event.done_bytes, total=event.total_bytes, pace=pace)
                case CheckProgress(file, file_bytes, file_total_bytes):
                    bar.update(task, description=f"reading {file}", completed=file_bytes, total=file_total_bytes)
                case FetchNotice(file, message):
                    console.print(f"note: {file}: {message}", markup=False, highlight=False)
                case Passed(source, message):
                    console.print(f"note: {source} {message}", markup=False, highlight=False)
                case QueueReady(files, total_bytes, kept_bytes) if files:
                    kept = f", {kept_bytes / GB:.1f} GB of them already here" if kept_bytes else ""
                    words = f"{len(files)} files, {total_bytes / GB:.1f} GB{kept}"
                    console.print(words, markup=False, highlight=False)
                case _:
                    pass

        yield show


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _answer(options: argparse.Namespace, values: dict[str, Any], words: str) -> None:
    _say(json.dumps(values) if options.json else words)


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")


def _unique(wanted: "Iterable[Place]") -> "list[Place]":
    """Each place once: models share their text encoder."""
    return list({place.path: place for place in wanted}.values())
