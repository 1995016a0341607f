"""An offline pack: installers, wheels, Python, models and a list of hashes in a folder, for machines without a network.

    FOLDER/
      pack.json     version, targets, what could not be brought, and every other file's size and SHA-256; written last
      packages/     the studio's packages for the targets' systems
      wheels/       every wheel of the targets' locks
      python/       a Python 3.11 for a system, where one was given: python/windows, python/macos, python/linux
      models/       as `engine.weights.pack` writes them
      install.sh  install.command  README.txt

Fetching is the installer's business (`installers/fetching.py`), and so is installing from a pack (a package's
`unpack.py`).
"""

import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.errors import RequestError, StorageFull
from engine.weights.installed import free_disk_bytes
from ltx_studio import __version__
from ltx_studio.installation.layout import INSTALLER_VARIABLE
from ltx_studio.installation.locks import Lock, Wheel, read_lock, targets_with_locks
from ltx_studio.installation.state import Part
from ltx_studio.installation.targets import BACKENDS, TARGETS, Platform

if TYPE_CHECKING:
    from ltx_studio.installation.messages import Notice, Progress

PACK_FILE: Final = "pack.json"
FORMAT: Final = 1
_PLATFORM_OF_TARGET: Final = {
    f"{platform}-{backend}": platform for platform, backends in BACKENDS.items() for backend in backends
}
_PACKAGES: Final = {
    Platform.WINDOWS: ("*windows-x86_64-setup.exe", "*windows-x86_64.zip"),
    Platform.LINUX: ("*linux-x86_64.tar.gz", "*_amd64.deb"),
    Platform.LINUX_ARM64: ("*linux-arm64.tar.gz", "*_arm64.deb"),
    Platform.MACOS: ("*macos-arm64.zip", "*macos-arm64.dmg"),
}
_NEEDS_PYTHON: Final = {
    Platform.WINDOWS: "A Python 3.11 for Windows is not in the pack.",
    Platform.MACOS: "A Python 3.11 for macOS is not in the pack.",
}


@dataclass(frozen=True)
class Wanted:
    """What goes into a pack. `pythons` are unpacked folders; in `packages` and `wheels` some of those lie already."""

    targets: tuple[str, ...]
    models: tuple[str, ...] = ()
    packages: tuple[Path, ...] = ()
    wheels: tuple[Path, ...] = ()
    pythons: Mapping[Platform, Path] = field(default_factory=dict[Platform, Path])

    @property
    def platforms(self) -> list[Platform]:
        return sorted({platform_of(target) for target in self.targets})


@dataclass(frozen=True)
class PackStep:
    """A part of the work begins."""

    words: str


@dataclass(frozen=True)
class Packed:
    """The pack is whole. `missing` are sentences about what the other machine has to bring itself."""

    folder: Path
    num_files: int
    size_bytes: int
    missing: tuple[str, ...]


def platform_of(target: str) -> Platform:
    """The system of an engine. Raises RequestError for what is no engine."""
    if target not in _PLATFORM_OF_TARGET:
        raise RequestError("target", f"There is no engine '{target}'.", remedy=f"Choose from {', '.join(TARGETS)}.")
    return _PLATFORM_OF_TARGET[target]


def installer_root() -> Path:
    """The folder above the `installers` that this studio came with. Raises RequestError."""
    script = os.environ.get(INSTALLER_VARIABLE)
    root = Path(script).parent.parent if script else Path(__file__).resolve().parent.parent
    if not (root / "installers" / "fetching.py").is_file():
        raise RequestError(
            "target", "This copy of LTX Studio has no installer.", remedy="Run the command from an installed studio."
        )
    return root


def locks_of(wanted: Wanted, root: Path) -> dict[str, Lock]:
    """The locks of the shells and engines by part and name. Raises RequestError where one is missing."""
    folder = root / "installers" / "locks"
    here = targets_with_locks(folder)
    for target in wanted.targets:
        platform_of(target)
        if target not in here:
            remedy = f"Choose from {', '.join(here)}."
            raise RequestError("target", f"The engine '{target}' is not among those this copy can pack.", remedy=remedy)
    shells = {f"shell/{platform}": read_lock(folder, Part.SHELL, platform) for platform in wanted.platforms}
    return shells | {f"engine/{target}": read_lock(folder, Part.ENGINE, target) for target in wanted.targets}


def wheels_of(locks: Iterable[Lock]) -> list[Wheel]:
    """Each wheel once: systems share those of pure Python, engines those of the window."""
    return list({(wheel.file, wheel.sha256): wheel for lock in locks for wheel in lock.wheels}.values())


def make_pack(
    wanted: Wanted, folder: Path, *, may_fetch: bool, build: Callable[[list[Platform], Path], None] | None = None
) -> Generator[Any]:
    """Write the pack; what a pack in the folder has already is kept, so an interrupted one is gone on with.

    `build` makes packages into a folder. Raises RequestError, CheckpointError, StorageFull, InstallError.
    """
    root = installer_root()
    wheels = wheels_of(locks_of(wanted, root).values())
    for platform, python in wanted.pythons.items():
        _check_python(platform, python)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError("folder", f"{folder} cannot be made: {error.strerror}.", remedy="Choose another.") from error
    (folder / PACK_FILE).unlink(missing_ok=True)  # until the end this is no pack
    yield PackStep(f"{len(wheels)} wheels, {sum(wheel.size_bytes for wheel in wheels) / 1e9:.2f} GB")
    yield from _gather(wheels, folder / "wheels", wanted.wheels, root, may_fetch=may_fetch)
    yield PackStep("the studio's packages")
    _bring_packages(wanted, folder / "packages", build)
    for platform, python in wanted.pythons.items():
        yield PackStep(f"Python for {platform}")
        _replace_tree(python, folder / "python" / platform.value)
    if wanted.models:
        from engine.weights.pack import export_pack  # noqa: PLC0415 - not needed without models

        yield PackStep(f"models: {', '.join(wanted.models)}")
        yield from export_pack(wanted.models, folder / "models")
    missing = tuple(
        sentence
        for platform, sentence in _NEEDS_PYTHON.items()
        if platform in wanted.platforms and platform not in wanted.pythons
    )
    _write_scripts(folder, wanted)
    yield PackStep("the hash of every file")
    entries = [_entry(folder, path) for path in _files(folder)]
    values = {
        "format": FORMAT,
        "version": __version__,
        "targets": list(wanted.targets),
        "models": list(wanted.models),
        "missing": list(missing),
        "files": entries,
    }
    new = folder / f".{PACK_FILE}.new"
    new.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    new.replace(folder / PACK_FILE)
    yield Packed(folder, len(entries), sum(entry["size_bytes"] for entry in entries), missing)


def _gather(
    wheels: Sequence[Wheel], folder: Path, others: Sequence[Path], root: Path, *, may_fetch: bool
) -> Generator["Progress | Notice"]:
    if str(root) not in sys.path:
        sys.path.append(str(root))
    fetching = import_module("installers.fetching")
    access = fetching.Access(is_allowed=may_fetch)
    gathering = fetching.Gathering(wheels, folder, access, part=Part.ENGINE, packs=others)
    needed, free = gathering.missing_bytes, free_disk_bytes(folder)
    if needed > free:
        sentence = f"The wheels need {needed / 1e9:.1f} GB more and {free / 1e9:.1f} GB are free there."
        raise StorageFull(folder, sentence, remedy="Free some space, or use another disk.")
    folder.mkdir(parents=True, exist_ok=True)
    yield from gathering.run(threading.Event())
    known = {wheel.file for wheel in wheels}
    for path in folder.iterdir():
        if path.name not in known:  # of an earlier version, or a part of one
            path.unlink()


def _bring_packages(wanted: Wanted, folder: Path, build: Callable[[list[Platform], Path], None] | None) -> None:
    """Those that were given; what is missing is built where that is possible. Raises RequestError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = [path for source in wanted.packages for path in (sorted(source.iterdir()) if source.is_dir() else [source])]
    for path in given:
        fits = [each for each in wanted.platforms if any(path.match(pattern) for pattern in _PACKAGES[each])]
        if fits and f"{__version__}" in path.name:
            shutil.copyfile(path, folder / path.name)
    lacking = [each for each in wanted.platforms if not any(folder.glob(_PACKAGES[each][0]))]
    if lacking and build is not None:
        build(lacking, folder)
        lacking = []
    if lacking:
        names = ", ".join(_PACKAGES[each][0].lstrip("*") for each in lacking)
        raise RequestError(
            "packages",
            f"The studio's own packages of version {__version__} for {', '.join(lacking)} are not here ({names}).",
            remedy="Get them where you got LTX Studio, and name their folder with the packages.",
        )


def _check_python(platform: Platform, folder: Path) -> None:
    name = "python.exe" if platform is Platform.WINDOWS else "bin/python3.11"
    if not (folder / name).exists():
        raise RequestError(
            "python",
            f"{folder} holds no Python 3.11 for {platform}: {name} is not there.",
            remedy="Name the folder of an unpacked python-build-standalone (install_only), as uv fetches them.",
        )


def _replace_tree(source: Path, target: Path) -> None:
    """Links become files: disks for carrying things around often have none."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != PACK_FILE)


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path.relative_to(folder).as_posix(), "size_bytes": path.stat().st_size, "sha256": digest}


# --- What the person at the other machine starts


_INSTALL_SH = """\
#!/bin/sh
# Installs LTX Studio for this user from the pack beside this file, without a network.
set -eu
pack=$(cd "$(dirname "$0")" && pwd -P)
target="${LTX_STUDIO_PROGRAM:-$HOME/.local/lib/ltx-studio}"
case "$(uname -m)" in
    x86_64) kind=linux-x86_64 platform=linux ;;
    aarch64 | arm64) kind=linux-arm64 platform=linux-arm64 ;;
    *) echo "LTX Studio: this pack has nothing for $(uname -m)." >&2; exit 2 ;;
esac
archive=$(ls "$pack"/packages/*-"$kind".tar.gz 2>/dev/null | head -n 1)
if [ -z "$archive" ]; then
    echo "LTX Studio: this pack holds no package for $kind." >&2
    exit 2
fi
rm -rf "$target.new"
mkdir -p "$target.new"
tar -xzf "$archive" -C "$target.new" --strip-components 1
if [ -d "$pack/python/$platform" ]; then
    mkdir -p "$target.new/kit/python"
    cp -R "$pack/python/$platform/." "$target.new/kit/python/"
    chmod +x "$target.new/kit/python/bin/"*
fi
rm -rf "$target"
mv "$target.new" "$target"
"$target/ltx-studio" --unpack "$pack" "$@"
"$target/ltx-studio" --add-to-menu
echo "LTX Studio is installed in $target. Start it from the menu, or with $target/ltx-studio"
"""

_INSTALL_COMMAND = """\
#!/bin/sh
# Installs LTX Studio for this user from the pack beside this file, without a network.
set -eu
pack=$(cd "$(dirname "$0")" && pwd -P)
mkdir -p "$HOME/Applications"
rm -rf "$HOME/Applications/LTX Studio.app"
ditto -x -k "$(ls "$pack"/packages/*-macos-arm64.zip | head -n 1)" "$HOME/Applications"
if [ -d "$pack/python/macos" ]; then
    home="$HOME/Library/Application Support/ltx-studio/installation/python/cpython-3.11-pack"
    rm -rf "$home"
    mkdir -p "$home"
    cp -R "$pack/python/macos/." "$home/"
    chmod +x "$home/bin/"*
fi
"$HOME/Applications/LTX Studio.app/Contents/MacOS/ltx-studio" --unpack "$pack" "$@"
open "$HOME/Applications/LTX Studio.app"
"""

_README = """\
LTX Studio {version}: an offline pack for {targets}

Nothing here needs a network. Every file is compared with its hash in pack.json before anything is installed.

Windows   start the setup program in the folder packages; it notices the pack and takes everything from it
Linux     sh install.sh
          It needs the libraries that Qt asks the system for; with a package manager at hand,
          sudo apt install ./packages/ltx-studio_*.deb  brings them, then: ltx-studio --unpack THIS-FOLDER
macOS     open a terminal here and run  sh install.command

Only to check the pack, on a machine with LTX Studio:  ltx-studio --unpack THIS-FOLDER --only-check
{missing}"""


def _write_scripts(folder: Path, wanted: Wanted) -> None:
    scripts: dict[str, str] = {}
    platforms = wanted.platforms
    if {Platform.LINUX, Platform.LINUX_ARM64} & set(platforms):
        scripts["install.sh"] = _INSTALL_SH
    if Platform.MACOS in platforms:
        scripts["install.command"] = _INSTALL_COMMAND
    missing = [
        sentence + " Its machine needs one, or a package that brings it."
        for platform, sentence in _NEEDS_PYTHON.items()
        if platform in platforms and platform not in wanted.pythons
    ]
    scripts["README.txt"] = _README.format(
        version=__version__, targets=", ".join(wanted.targets), missing="\n".join(["", *missing, ""]) if missing else ""
    )
    for name, text in scripts.items():
        path = folder / name
        path.write_bytes(text.encode())
        path.chmod(0o644 if name.endswith(".txt") else 0o755)
