"""The installer's process: what a package starts, and what the studio asks for engines. See README.md for its verbs.

    PYTHON -I KIT/installers/install.py VERB [options]

Standard library only, any Python from 3.11 on. With `--json` every line on stdout is one message; without, a person is
told in words. It may be killed at any moment: the same command goes on from there.
"""

import argparse
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

KIT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(KIT))  # -I leaves out the script's own folder, and the kit is not installed anywhere

from installers.fetching import MIRROR_VARIABLE, SEALED_VARIABLE, Access, StoppedError  # noqa: E402
from installers.hardware import find_hardware  # noqa: E402
from installers.launching import launch, locked  # noqa: E402
from installers.removing import remove_last, uninstall  # noqa: E402
from installers.updating import fetch_kit, look  # noqa: E402
from installers.work import Site, install, install_shell, note_updates, repair, roll_back  # noqa: E402
from ltx_studio.installation.errors import InstallError  # noqa: E402
from ltx_studio.installation.kit import read_kit  # noqa: E402
from ltx_studio.installation.layout import default_home  # noqa: E402
from ltx_studio.installation.locks import Lock, read_lock, targets_with_locks  # noqa: E402
from ltx_studio.installation.messages import (  # noqa: E402
    Done,
    Facts,
    Failed,
    Mended,
    Message,
    Notice,
    Planned,
    Progress,
    Step,
    Stopped,
    to_line,
)
from ltx_studio.installation.places import Use, look_at, verdicts  # noqa: E402
from ltx_studio.installation.state import Installation, Part  # noqa: E402
from ltx_studio.installation.support import write_bundle  # noqa: E402
from ltx_studio.installation.targets import TARGETS, choose  # noqa: E402

WHEELS_VARIABLE = "LTX_STUDIO_WHEELS"  # folders to take wheels from, as --wheels names them
EXIT_FAILED, EXIT_ENGINE_MISSING, EXIT_SHELL_MISSING, EXIT_STOPPED = 3, 10, 11, 130
_STEP_WORDS = {
    Step.WAITING: "Waiting for another start",
    Step.FETCHING: "Fetching",
    Step.INSTALLING: "Installing",
    Step.VERIFYING: "Checking every file",
    Step.TESTING: "Trying it out",
    Step.REPAIRING: "Looking at every file",
    Step.REMOVING: "Removing",
}
Verb = Callable[[Site, argparse.Namespace], Generator[Message]]


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    tell = _tell_json if options.json else _Words().tell
    stop = threading.Event()
    if options.attended:
        threading.Thread(target=_listen, args=(sys.stdin, stop), daemon=True).start()
    try:
        site = _site(options, stop)
        if options.verb == "launch":
            return launch(site, _passed_on(options), options.arguments, tell)
        code = _run(site, options, tell)
        if options.verb == "uninstall" and code == 0:
            remove_last(site.home)
        return code
    except InstallError as error:
        tell(Failed.of(error))
        return EXIT_FAILED
    except (StoppedError, KeyboardInterrupt):
        tell(Stopped())
        return EXIT_STOPPED
    except OSError as error:
        tell(Failed("system", f"{error.filename or 'The system'}: {error.strerror or error}.", "Check the disk."))
        return EXIT_FAILED


def _run(site: Site, options: argparse.Namespace, tell: Callable[[Message], None]) -> int:
    """One verb, with the lock where it changes anything. The last message is told here."""
    verb, is_change = _VERBS[options.verb]
    waiting = contextlib.nullcontext() if not is_change else locked(site, tell)
    with waiting:
        before = site.record.read() if is_change else None
        for message in verb(site, options):
            tell(message)
            site.check_stop()
        must_restart = before is not None and _in_use(before) != _in_use(site.record.read())
        tell(Done(must_restart=must_restart))
    if options.verb == "status":
        installation = site.record.read()
        if not installation.shell.is_usable:
            return EXIT_SHELL_MISSING
        return 0 if installation.engine.is_usable else EXIT_ENGINE_MISSING
    return 0


def _in_use(installation: Installation) -> tuple[object, object]:
    return installation.shell.current, installation.engine.current


def _site(options: argparse.Namespace, stop: threading.Event) -> Site:
    home = Path(options.home).absolute() if options.home else default_home()
    own = read_kit(KIT)
    package = Path(options.package).absolute() if options.package else KIT
    is_sealed = os.environ.get(SEALED_VARIABLE, "0") not in {"", "0"}
    access = Access(
        is_allowed=not (options.offline or is_sealed),
        proxy=options.proxy,
        certificates=Path(options.certificates) if options.certificates else None,
        mirror=os.environ.get(MIRROR_VARIABLE) or None,
    )
    given = [*options.wheels, *filter(None, os.environ.get(WHEELS_VARIABLE, "").split(os.pathsep))]
    packs = tuple(Path(folder).absolute() for folder in given)
    return Site(home, own, package, access, packs, stop)


# --- Verbs


def _shell(site: Site, _options: argparse.Namespace) -> Generator[Message]:
    yield from install_shell(site)


def _engine(site: Site, options: argparse.Namespace) -> Generator[Message]:
    record = site.record
    if options.folder is not None:
        _choose_engine_folder(site, Path(options.folder))
    if not record.read().shell.is_usable:
        yield from _shell(site, options)
    yield from install(site, Part.ENGINE, _engine_target(site, options))


def _engine_target(site: Site, options: argparse.Namespace) -> str:
    """What is asked for, else what was begun or is there, else what fits this machine."""
    slot = site.record.read().engine
    begun = slot.wanted or slot.current
    if options.target is not None:
        return str(options.target)
    return choose(find_hardware()).target if begun is None else begun.target


def _choose_engine_folder(site: Site, folder: Path) -> None:
    """Raises InstallError for a folder that cannot be one."""
    place = look_at(folder)
    for verdict in verdicts(place, Use.ENGINE):
        if verdict.is_fatal:
            raise InstallError(verdict.remark.value, verdict.sentence)
    installation = site.record.read()
    if Path(installation.engine_folder or site.home) == folder:
        return
    if installation.engine.current is not None:
        raise InstallError(
            "engine-there", "The engine is installed already.", remedy="Uninstall it to choose another folder."
        )
    # What was begun elsewhere would never be found again.
    chosen = replace(installation, engine_folder=str(folder), engine=type(installation.engine)())
    site.record.write(chosen)


def _choose(site: Site, options: argparse.Namespace) -> Generator[Message]:
    """Keep the folders that the user chose; none leaves one as it is."""
    yield from ()
    if options.engine is not None:
        _choose_engine_folder(site, Path(options.engine))
    installation = site.record.read()
    for use in (Use.MODELS, Use.PROJECTS):
        folder = getattr(options, use.value)
        if folder is None:
            continue
        for verdict in verdicts(look_at(Path(folder)), use):
            if verdict.is_fatal:
                raise InstallError(verdict.remark.value, verdict.sentence)
        name = f"{use.value}_folder"
        installation = replace(installation, **{name: folder})
    site.record.write(installation)


def _status(site: Site, _options: argparse.Namespace) -> Generator[Message]:
    installation = site.record.read()
    layout = site.layout()
    parts: dict[str, Any] = {}
    for part in Part:
        slot = installation.slot(part)
        current = slot.current
        parts[part.value] = {
            "state": slot.state.value,
            "is_usable": slot.is_usable,
            "target": None if current is None else current.target,
            "environment": None if current is None else str(layout.environment(current, is_engine=part is Part.ENGINE)),
            "can_roll_back": slot.previous is not None,
            "problem": None if slot.problem is None else asdict(slot.problem),
        }
    facts = {"version": site.kit.version, "home": str(site.home), "engine_folder": str(layout.engine), **parts}
    yield Facts(facts)


def _hardware(site: Site, _options: argparse.Namespace) -> Generator[Message]:
    found = find_hardware()
    choice = choose(found)
    targets = [target for target in TARGETS if target.startswith(f"{choice.platform}-")]
    if choice.platform == "linux":
        targets = [target for target in targets if not target.startswith("linux-arm64-")]
    known = targets_with_locks(site.kit.locks)
    yield Facts(
        {
            "target": choice.target,
            "why": choice.why,
            "advice": choice.advice,
            "has_lock": choice.target in known,
            "targets": [{"target": target, **_sizes(site, target)} for target in targets],
        }
    )


def _sizes(site: Site, target: str) -> dict[str, Any]:
    """What an engine would fetch; None where this copy has no lock for it."""
    try:
        lock = read_lock(site.kit.locks, Part.ENGINE, target)
    except InstallError:
        return {"fetch_bytes": None}
    layout = site.layout()
    folders = [*site.packs, site.kit.wheels, layout.wheels(is_engine=False), layout.wheels(is_engine=True)]
    missing = [wheel for wheel in lock.wheels if not any((folder / wheel.file).is_file() for folder in folders)]
    return {"fetch_bytes": sum(wheel.size_bytes for wheel in missing), "total_bytes": lock.size_bytes}


def _check(_site: Site, options: argparse.Namespace) -> Generator[Message]:
    use = Use(options.use)
    folders: list[dict[str, Any]] = []
    for name in options.folders or [str(default_home())]:
        place = look_at(Path(name).expanduser())
        found = [asdict(verdict) for verdict in verdicts(place, use, needed_bytes=options.needed_bytes)]
        folders.append({"folder": str(place.folder), "free_bytes": place.free_bytes, "verdicts": found})
    yield Facts({"folders": folders})


def _repair(site: Site, options: argparse.Namespace) -> Generator[Message]:
    installation = site.record.read()
    parts = [Part(options.part)] if options.part else [part for part in Part if installation.slot(part).current]
    if not parts:
        raise InstallError("not-installed", "There is nothing to repair yet.", remedy="Install it first.")
    for part in parts:
        yield from repair(site, part)
    note_updates(site)


def _rollback(site: Site, options: argparse.Namespace) -> Generator[Message]:
    yield from ()
    roll_back(site, Part(options.part or Part.SHELL))
    note_updates(site)


def _updates(site: Site, options: argparse.Namespace) -> Generator[Message]:
    if options.skip is not None:
        site.record.write(replace(site.record.read(), skipped_version=options.skip))
        return
    if not options.allowed:
        raise InstallError(
            "not-allowed", "Looking for new versions was not allowed.", remedy="Allow it in the settings first."
        )
    release, found = look(site)
    yield Facts({"version": site.kit.version, "offer": None if found is None else asdict(found)})
    if found is None or not options.apply:
        return
    folder = yield from fetch_kit(site, release)
    updated = replace(site, kit=read_kit(folder))
    yield from _shell(updated, options)
    # Only now: until its shell passed, the next start is that of the version before.
    site.record.write(replace(site.record.read(), kit_version=release.version, skipped_version=None))


def _support(site: Site, options: argparse.Namespace) -> Generator[Message]:
    path = Path(options.out)
    facts = {"hardware": asdict(find_hardware()), "kit": site.kit.version, "python": sys.version.split()[0]}
    write_bundle(path, site.home, facts)
    yield Facts({"path": str(path)})


def _uninstall(site: Site, options: argparse.Namespace) -> Generator[Message]:
    keep = frozenset(name for name in options.keep.split(",") if name)
    if not keep <= {"models", "projects"}:
        raise InstallError("usage", f"Only models and projects can be kept, not {', '.join(sorted(keep))}.")
    yield from uninstall(site, keep)


def _needs(site: Site, options: argparse.Namespace) -> Generator[Message]:
    choice = choose(find_hardware())
    target = options.target or choice.target
    platform = target.rpartition("-")[0] if target.count("-") else target
    lock: Lock = read_lock(site.kit.locks, Part.ENGINE, target)
    yield Facts({"target": target, "platform": platform, "wheels": [asdict(wheel) for wheel in lock.wheels]})


_VERBS: Mapping[str, tuple[Verb, bool]] = {
    "shell": (_shell, True),
    "engine": (_engine, True),
    "choose": (_choose, True),
    "status": (_status, False),
    "hardware": (_hardware, False),
    "check": (_check, False),
    "repair": (_repair, True),
    "rollback": (_rollback, True),
    "updates": (_updates, True),
    "support": (_support, False),
    "uninstall": (_uninstall, True),
    "needs": (_needs, False),
}


# --- Talking


def _tell_json(message: Message) -> None:
    print(to_line(message), flush=True)


class _Words:
    """What a person reads in a terminal: a line for each step, not for each quarter of a second."""

    def __init__(self) -> None:
        self._line = ""

    def tell(self, message: Message) -> None:
        match message:
            case Progress(part, step, name, done, total):
                percent = f" {done * 10 // total * 10} %" if total else ""
                self._say(f"{_STEP_WORDS[step]} ({part}){percent or (f' {name}' if name else '')}")
            case Planned(part, target, fetch_bytes):
                self._say(f"{part} for {target}: {fetch_bytes / 1e6:.0f} MB to fetch")
            case Notice(text):
                self._say(text)
            case Mended(part, num_checked, files):
                self._say(f"{part}: {num_checked} files looked at, {len(files)} mended")
            case Facts(values):
                print(json.dumps(values, indent=1), flush=True)
            case Failed(_, text, remedy):
                self._say(f"{text} {remedy}".rstrip())
            case Stopped():
                self._say("Stopped. The same command goes on from here.")
            case Done():
                pass

    def _say(self, line: str) -> None:
        if line != self._line:
            self._line = line
            print(f"[ltx-studio] {line}", file=sys.stderr, flush=True)


def _listen(lines: IO[str], stop: threading.Event) -> None:
    """Until somebody says stop, or is gone."""
    for line in lines:
        if line.strip() == "stop":
            break
    stop.set()


def _passed_on(options: argparse.Namespace) -> list[str]:
    passed: list[str] = []
    for name in ("home", "proxy", "certificates"):
        if value := getattr(options, name):
            passed += [f"--{name}", str(value)]
    for folder in options.wheels:
        passed += ["--wheels", str(folder)]
    return [*passed, *(["--offline"] if options.offline else []), *(["--json"] if options.json else [])]


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", metavar="FOLDER", help="where the installation is")
    common.add_argument("--package", metavar="FOLDER", help=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="one message a line on stdout")
    common.add_argument("--wheels", action="append", default=[], metavar="FOLDER", help="take wheels from there")
    common.add_argument("--offline", action="store_true", help="never open a connection")
    common.add_argument("--proxy", metavar="URL")
    common.add_argument("--certificates", metavar="FILE", help="in PEM format, beside those of the system")
    common.add_argument("--attended", action="store_true", help="stop when stdin says `stop`, or closes")
    parser = argparse.ArgumentParser(prog="install.py", description="Install, start, repair and remove LTX Studio.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    adds = {name: verbs.add_parser(name, parents=[common]) for name in (*_VERBS, "launch")}
    adds["launch"].add_argument("arguments", nargs="*")
    for name in ("engine", "needs"):
        adds[name].add_argument("--target", choices=TARGETS)
    adds["engine"].add_argument("--folder", metavar="FOLDER", help="for the engine's large files")
    for name in ("engine", "models", "projects"):
        adds["choose"].add_argument(f"--{name}", metavar="FOLDER")
    adds["check"].add_argument("folders", nargs="*", metavar="FOLDER")
    adds["check"].add_argument("--use", choices=[use.value for use in Use], default=Use.ENGINE.value)
    adds["check"].add_argument("--needed-bytes", type=int, default=0)
    for name in ("repair", "rollback"):
        adds[name].add_argument("--part", choices=[part.value for part in Part])
    adds["updates"].add_argument("--allowed", action="store_true", help="the user allowed to ask")
    adds["updates"].add_argument("--apply", action="store_true")
    adds["updates"].add_argument("--skip", metavar="VERSION")
    adds["support"].add_argument("out", metavar="OUT.zip")
    adds["uninstall"].add_argument("--keep", default="", metavar="models,projects")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
