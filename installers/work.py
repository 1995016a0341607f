"""Installing, repairing, going back and removing: the state machine driven, step by step.

Every function here is a generator of messages that may be killed between any two instructions. What it is about to do
is on the disk first (`ltx_studio.installation.state`), an environment is built in a folder that nothing uses yet, and
calling the same function again goes on from there. The caller holds the installation's lock.
"""

import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from installers.building import build, clean_environ, find_python, run_logged
from installers.fetching import Access, Gathering, StoppedError
from installers.hardware import find_hardware
from ltx_studio.installation import manifest as manifests
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import flush_all, remove_tree, sha256_of
from ltx_studio.installation.kit import Kit, find_uv
from ltx_studio.installation.layout import Layout, packages_of, python_of
from ltx_studio.installation.locks import Lock, Wheel, read_lock
from ltx_studio.installation.manifest import Manifest
from ltx_studio.installation.messages import Mended, Message, Notice, Planned, Progress, Step
from ltx_studio.installation.state import Build, Part, Problem, Record, Slot, State
from ltx_studio.installation.targets import choose

# What wheels take when they are unpacked, as a multiple of their size: 2.4 for torch with CUDA, 2.9 for Qt and PyAV.
_UNPACKED = 3.0
_TELL_EVERY_S = 0.25
_SMOKE_FAILED = "smoke-test"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Site:
    """One installation, and what work on it may use."""

    home: Path
    kit: Kit
    package: Path  # the folder of the kit that the package brought, with uv and Python; an update's kit has neither
    access: Access = field(default_factory=Access)
    packs: tuple[Path, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def record(self) -> Record:
        return Record(self.home)

    def layout(self) -> Layout:
        return Layout.of(self.home, self.record.read())

    def uv(self) -> Path:
        return find_uv(self.kit.folder, self.package)

    def check_stop(self) -> None:
        if self.stop.is_set():
            raise StoppedError


def install_shell(site: Site) -> Generator[Message]:
    """The first stage for this platform; then says whether the engine still goes with it. Raises as `install`."""
    yield from install(site, Part.SHELL, choose(find_hardware()).platform.value)
    note_updates(site)


def install(site: Site, part: Part, target: str, *, afresh: bool = False) -> Generator[Message]:
    """Bring a part to what the kit's lock says. Does nothing where it is there; `afresh` makes it anew all the same.

    Raises InstallError, whose problem is then in the record, and StoppedError.
    """
    try:
        yield from _install(site, part, target, afresh=afresh)
    except InstallError as error:
        slot = site.record.read().slot(part)
        site.record.change(part, slot.failed(Problem(error.code, error.message, error.remedy)))
        raise


def wanted_build(site: Site, part: Part, lock: Lock, slot: Slot, *, afresh: bool = False) -> Build:
    """What a part should be: what is there where it is made of the same, else one with a name of its own."""
    studio = _studio_name(site.kit) if part is Part.SHELL else ""
    for there in (slot.wanted, slot.current, slot.previous):
        if there is not None and there.lock == lock.digest and not (afresh and there == slot.current):
            return replace(there, studio=studio, target=lock.target, requirements=lock.requirements)
    name = f"{lock.target}-{lock.digest[:12]}"
    taken = {there.environment for there in (slot.current, slot.previous) if there is not None}
    number = 2
    while name in taken:
        name, number = f"{lock.target}-{lock.digest[:12]}-{number}", number + 1
    return Build(name, lock.digest, lock.target, lock.requirements, studio)


def _install(site: Site, part: Part, target: str, *, afresh: bool) -> Generator[Message]:
    record, is_engine = site.record, part is Part.ENGINE
    lock = read_lock(site.kit.locks, part, target)
    slot = record.read().slot(part)
    layout = site.layout()
    wanted = wanted_build(site, part, lock, slot, afresh=afresh)
    environment = layout.environment(wanted, is_engine=is_engine)
    is_there = wanted.environment in {there.environment for there in (slot.current, slot.previous) if there is not None}
    if wanted == slot.current and slot.state in {State.READY, State.UPDATE_REQUIRED}:
        if _looks_there(layout, wanted, is_engine=is_engine):
            if slot.state is not State.READY:
                record.change(part, replace(slot, state=State.READY))
            _prune(site)
            return
        is_there = False  # somebody deleted it
    is_verifying = slot.state is State.VERIFYING and slot.wanted == wanted and environment.is_dir()
    if not is_verifying:
        slot = record.change(part, slot.begin(wanted)).slot(part)
    if wanted.studio:
        yield from _unpack_studio(site, layout, wanted.studio)
    if not is_there:
        gathering = _gathering(site, layout, part, lock)
        needed_bytes = gathering.missing_bytes + (0 if is_verifying else int(_UNPACKED * lock.size_bytes))
        free_bytes = _free_bytes(layout.root(is_engine=is_engine))
        yield Planned(part, target, gathering.missing_bytes, lock.size_bytes, free_bytes)
        if free_bytes < needed_bytes:
            raise InstallError(
                "disk-full",
                f"{needed_bytes / 1e9:.1f} GB are needed and {free_bytes / 1e9:.1f} GB are free "
                f"on the disk of {layout.root(is_engine=is_engine)}.",
                remedy="Free some space, or choose another folder for the engine.",
            )
        yield from gathering.run(site.stop)
        wheels = [gathering.found[wheel.file] for wheel in lock.wheels]
        if not is_verifying:
            yield from _build(site, part, lock, wheels, environment)
            slot = record.change(part, slot.built()).slot(part)
        try:
            yield from _verify(site, part, lock, wheels, environment, layout.manifest(wanted, is_engine=is_engine))
        except InstallError:
            if not is_verifying:
                raise
            # A kill or a power cut in between may have left files that never reached the disk.
            yield Notice("Some files were not whole; installing again.")
            slot = record.change(part, slot.begin(wanted)).slot(part)
            yield from _build(site, part, lock, wheels, environment)
            slot = record.change(part, slot.built()).slot(part)
            yield from _verify(site, part, lock, wheels, environment, layout.manifest(wanted, is_engine=is_engine))
    else:
        slot = record.change(part, slot.built()).slot(part) if slot.state is State.INCOMPLETE else slot
    yield from _smoke_test(site, part, target, environment, wanted.studio)
    flush_all()
    record.change(part, slot.passed())
    _prune(site)


def _looks_there(layout: Layout, there: Build, *, is_engine: bool) -> bool:
    environment = layout.environment(there, is_engine=is_engine)
    has_studio = not there.studio or (layout.studios / there.studio).is_dir()
    return python_of(environment).exists() and has_studio


def _gathering(site: Site, layout: Layout, part: Part, lock: Lock) -> Gathering:
    is_engine = part is Part.ENGINE
    others = [site.kit.wheels, site.package / "wheels", layout.wheels(is_engine=False), layout.wheels(is_engine=True)]
    folder = layout.wheels(is_engine=is_engine)
    return Gathering(lock.wheels, folder, site.access, part=part, others=others, packs=site.packs)


def _free_bytes(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _build(site: Site, part: Part, lock: Lock, wheels: list[Path], environment: Path) -> Iterator[Message]:
    log = site.layout().log
    yield Progress(part, Step.INSTALLING, "", 0, len(lock.wheels))
    uv = site.uv()
    python = find_python(lock.python, site.package, site.home, uv, site.access, log)
    for num_in in build(environment, lock, wheels, python=python, uv=uv, log=log, stop=site.stop):
        yield Progress(part, Step.INSTALLING, "", min(num_in, len(lock.wheels)), len(lock.wheels))


def _verify(
    site: Site, part: Part, lock: Lock, wheels: list[Path], environment: Path, manifest_path: Path
) -> Generator[Message]:
    """Compare everything with the wheels, and write down what is there."""
    total = sum(path.lstat().st_size for path in manifests.walk(environment))
    packages = packages_of(environment, lock.python)
    before = Progress(part, Step.VERIFYING, "", 0, total)
    manifest = yield from _counting(site, before, lambda tell: manifests.take(environment, packages, wheels, tell))
    manifest.write(manifest_path)


def _counting(site: Site, before: Progress, call: Callable[[manifests.Tell], _T]) -> Generator[Message, None, _T]:
    """What `call` returns, or raises; says meanwhile how many bytes it has looked at."""
    yield before
    seen: list[int] = [0]
    is_left = threading.Event()  # nobody waits for the answer any more

    def tell(_name: str, num_bytes: int) -> None:
        seen[0] += num_bytes
        if is_left.is_set():
            raise StoppedError
        site.check_stop()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call, tell)
        try:
            while not wait([answer], timeout=_TELL_EVERY_S).done:
                yield replace(before, done=min(seen[0], before.total))
        finally:
            is_left.set()
        result = answer.result()
    yield replace(before, done=before.total)
    return result


def _smoke_test(site: Site, part: Part, target: str, environment: Path, studio: str) -> Iterator[Message]:
    """Raises InstallError with what does not work."""
    yield Progress(part, Step.TESTING)
    studio = studio or _current_studio(site)
    said: list[str] = []
    environ = clean_environ(PYTHONPATH=str(studio_folder(site, studio)), LTX_STUDIO_SEALED="1", OMP_NUM_THREADS="2")
    environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    script = site.kit.folder / "installers" / "smoke.py"
    command = [str(python_of(environment)), "-P", "-s", str(script), part.value, target]
    try:
        run_logged(command, site.layout().log, environ, "", stop=site.stop, hear=said.append)
    except InstallError as error:
        raise InstallError(
            _SMOKE_FAILED,
            f"What was installed does not work here: {_problem(said[0] if said else '')}",
            remedy="What worked before is still in use. Press Repair, or choose another engine.",
        ) from error


def _problem(said: str) -> str:
    for line in reversed(said.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(line)["problem"])
    return (said.strip().splitlines() or ["it ended without a word."])[-1]


# --- The studio's own code


def _studio_name(kit: Kit) -> str:
    """The folder its code has; nothing for a checkout, whose code is used where it lies."""
    return f"{kit.version}-{kit.studio_sha256[:8]}" if kit.studio_wheel is not None else ""


def _current_studio(site: Site) -> str:
    current = site.record.read().shell.current
    return _studio_name(site.kit) if current is None else current.studio


def studio_folder(site: Site, name: str) -> Path:
    return site.layout().studios / name if name else site.kit.folder


def _unpack_studio(site: Site, layout: Layout, name: str) -> Iterator[Message]:
    """The wheel's content in a folder of its own, under its name only once it is whole and checked."""
    folder = layout.studios / name
    if folder.is_dir() and Manifest.read(_studio_manifest(folder)) is not None:
        return
    yield Progress(Part.SHELL, Step.INSTALLING, "LTX Studio")
    assert site.kit.studio_wheel is not None
    wheel = site.kit.wheels / site.kit.studio_wheel
    partial = folder.with_name(f"{name}.part")
    try:
        if sha256_of(wheel) != site.kit.studio_sha256:
            raise InstallError("damaged-kit", f"{wheel.name} is damaged.", remedy="Get the package again.")
        remove_tree(partial)
        remove_tree(folder)
        partial.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(partial)
        manifest = manifests.take(partial, partial, [wheel], lambda _name, _size: site.check_stop())
        manifest.write(_studio_manifest(folder))
        flush_all()
        partial.rename(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise InstallError(
            "not-written", f"{folder} cannot be written: {error}.", remedy="Check the disk, and start again."
        ) from error


def _studio_manifest(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


# --- Repair


def repair(site: Site, part: Part) -> Generator[Message]:
    """Look at every file, write again what is not as it was, try it out; install anew where that does not help.

    A file that the system holds open stays for the next start. Raises InstallError and StoppedError.
    """
    record = site.record
    slot = record.read().slot(part)
    current = slot.current
    if current is None:
        raise InstallError("not-installed", "There is nothing to repair yet.", remedy="Install it first.")
    if slot.state in {State.INCOMPLETE, State.VERIFYING}:
        slot = record.change(part, slot.give_up()).slot(part)
    slot = record.change(part, slot.repair()).slot(part)
    layout, is_engine = site.layout(), part is Part.ENGINE
    environment = layout.environment(current, is_engine=is_engine)
    trees = [(environment, layout.manifest(current, is_engine=is_engine))]
    if current.studio:
        trees.append((layout.studios / current.studio, _studio_manifest(layout.studios / current.studio)))
    mended: list[str] = []
    num_checked = 0
    try:
        for folder, manifest_path in trees:
            manifest = Manifest.read(manifest_path)
            if manifest is None:
                raise InstallError("no-manifest", "The list of files is damaged.")
            num_checked += len(manifest.files)
            mended += yield from _mend(site, part, folder, manifest)
        for folder, _ in trees:
            _remove_caches(folder)
        yield from _smoke_test(site, part, current.target, environment, current.studio)
    except InstallError as error:
        if error.code == "in-use":
            record.change(part, slot.failed(Problem(error.code, error.message, error.remedy)))
            raise
        yield Notice(f"{error.message} Installing it anew.")
        if current.studio:
            with suppress(OSError):
                _studio_manifest(layout.studios / current.studio).unlink()
        yield from install(site, part, current.target, afresh=True)
        yield Mended(part, num_checked, tuple(mended))
        return
    record.change(part, slot.repaired())
    yield Mended(part, num_checked, tuple(mended))


def _mend(site: Site, part: Part, folder: Path, manifest: Manifest) -> Generator[Message, None, list[str]]:
    before = Progress(part, Step.REPAIRING, "", 0, manifest.size_bytes)
    found = yield from _counting(site, before, lambda tell: list(manifests.damaged(folder, manifest, tell)))
    mended: list[str] = []
    for name in found:
        yield replace(before, name=name, done=manifest.size_bytes)
        try:
            manifests.mend(folder, name, manifest.files[name], lambda file: _wheel_for(site, part, file))
        except OSError as error:
            raise InstallError(
                "in-use",
                f"{name} cannot be written while the studio runs.",
                remedy="Close the studio: the repair goes on when it is started again.",
            ) from error
        mended.append(name)
    return mended


def _wheel_for(site: Site, part: Part, file: str) -> Path:
    """A wheel by its name, from this disk, else fetched again. Its members are compared one by one by the caller."""
    layout = site.layout()
    known = _known_wheels(site, part)
    places = [layout.wheels(is_engine=True), layout.wheels(is_engine=False), site.kit.wheels, site.package / "wheels"]
    for folder in places:
        if (folder / file).is_file() and (file not in known or sha256_of(folder / file) == known[file].sha256):
            return folder / file
    if file not in known:
        raise InstallError("damaged-wheel", f"{file} is not here.")
    folder = layout.wheels(is_engine=part is Part.ENGINE)
    gathering = Gathering([known[file]], folder, site.access, part=part, packs=site.packs)
    for _ in gathering.run(site.stop):
        pass
    return gathering.found[file]


def _known_wheels(site: Site, part: Part) -> dict[str, Wheel]:
    current = site.record.read().slot(part).current
    assert current is not None
    try:
        lock = read_lock(site.kit.locks, part, current.target)
    except InstallError:
        return {}
    return {wheel.file: wheel for wheel in lock.wheels}


def _remove_caches(folder: Path) -> None:
    """Compiled code is made again; nobody could say whether it is right."""
    for cache in list(folder.rglob("__pycache__")):
        with suppress(OSError):
            remove_tree(cache)


# --- Going back, looking ahead, tidying up


def roll_back(site: Site, part: Part) -> None:
    """Use what was used before. Raises InstallError where that is not there any more."""
    record = site.record
    slot = record.read().slot(part)
    layout, is_engine = site.layout(), part is Part.ENGINE
    back = slot.roll_back()
    assert back.current is not None
    if not _looks_there(layout, back.current, is_engine=is_engine):
        raise InstallError("no-previous", "The earlier version is not here any more.")
    installation = record.change(part, back)
    if part is Part.SHELL and slot.current is not None:
        # Else the next start would bring back what was just left.
        left_version = slot.current.studio.rpartition("-")[0] or None
        record.write(replace(installation, skipped_version=left_version))


def note_updates(site: Site) -> None:
    """Say in the record whether the engine that is there goes with this version of the studio."""
    record = site.record
    slot = record.read().engine
    if slot.current is None or slot.state not in {State.READY, State.UPDATE_REQUIRED}:
        return
    try:
        lock = read_lock(site.kit.locks, Part.ENGINE, slot.current.target)
    except InstallError:
        return
    is_required = lock.requirements != slot.current.requirements
    if is_required and slot.state is State.READY:
        record.change(Part.ENGINE, slot.outdated())
    elif not is_required and slot.state is State.UPDATE_REQUIRED:
        record.change(Part.ENGINE, replace(slot, state=State.READY))


def _prune(site: Site) -> None:
    """Delete the environments, studios and wheels that nothing goes back to. What cannot be deleted stays for later."""
    installation, layout = site.record.read(), site.layout()
    kept_wheels: set[str] | None = set()
    studios: set[str] = set()
    environments: dict[Path, set[str]] = {}
    for part in Part:
        is_engine = part is Part.ENGINE
        slot = installation.slot(part)
        kept = environments.setdefault(layout.environments(is_engine=is_engine), set())
        for there in (slot.wanted, slot.current, slot.previous):
            if there is None:
                continue
            kept.add(there.environment)
            studios.add(there.studio)
            manifest = Manifest.read(layout.manifest(there, is_engine=is_engine))
            if manifest is None:
                kept_wheels = None  # what is being fetched must not be deleted
            elif kept_wheels is not None:
                kept_wheels |= {entry.wheel for entry in manifest.files.values()}
    for folder, kept in environments.items():
        _remove_others(folder, {*kept, *(f"{name}.json" for name in kept)})
    _remove_others(layout.studios, {*studios, *(f"{name}.json" for name in studios)})
    if kept_wheels is not None:
        for is_engine in (False, True):
            _remove_others(layout.wheels(is_engine=is_engine), kept_wheels)


def _remove_others(folder: Path, kept: Iterable[str]) -> None:
    names = set(kept)
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.name not in names:
                with suppress(OSError):
                    remove_tree(entry)
