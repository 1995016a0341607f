"""Make `installers/locks/` from `pyproject.toml`: one lock for each shell platform and each engine target.

    python installers/make_locks.py                  every lock whose indexes can be reached; says which were not made
    python installers/make_locks.py linux-cpu        only these
    python installers/make_locks.py --check          fails when pyproject.toml asks for something the locks do not have

Resolving happens here, never on a user's machine. It needs `uv` and `packaging`, reads package metadata by ranges and
downloads no wheel. The shell of a platform is resolved first, and its versions hold for the engines of that platform,
so that the studio meets the same libraries in both.

torch comes from PyPI where PyPI's wheel is the right one (CUDA 13 on Linux, plain on Windows and macOS), else from
PyTorch's own indexes. `LTX_STUDIO_TORCH_WHEELS` names a folder with torch's wheels to use where those cannot be
reached: a wheel's address in the lock is that of PyTorch's index all the same, so the file must be the one published
there.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere

from installers.bootstrap import TORCH_VERSION, TORCH_WHEELS  # noqa: E402
from ltx_studio.installation.errors import InstallError  # noqa: E402
from ltx_studio.installation.files import write_json  # noqa: E402
from ltx_studio.installation.kit import find_uv  # noqa: E402
from ltx_studio.installation.locks import Lock, Wheel, lock_path, read_lock  # noqa: E402
from ltx_studio.installation.targets import BACKENDS, Backend, Platform  # noqa: E402

PYTHON = "3.11"
LOCKS = ROOT / "installers" / "locks"
PYPI = "https://pypi.org/simple"
WHEELS_VARIABLE = "LTX_STUDIO_TORCH_WHEELS"
ENGINE_ALONE = {"torch", "transformers"}  # what the window opens without
# The oldest systems that wheels of PySide6 and PyAV run on: glibc 2.34 is Debian 12 and Ubuntu 22.04, 2.39 is Debian 13
# and Ubuntu 24.04.
GLIBC_MINOR = {Platform.LINUX: 34, Platform.LINUX_ARM64: 39}
MACOS = (14, 0)
_SYSTEMS = {
    Platform.WINDOWS: "x86_64-pc-windows-msvc",
    Platform.LINUX: f"x86_64-manylinux_2_{GLIBC_MINOR[Platform.LINUX]}",
    Platform.LINUX_ARM64: f"aarch64-manylinux_2_{GLIBC_MINOR[Platform.LINUX_ARM64]}",
    Platform.MACOS: "aarch64-apple-darwin",
}
_INDEXES = {Backend.NVIDIA: "cu130", Backend.NVIDIA_OLDER: "cu126", Backend.AMD: "rocm7.2", Backend.INTEL: "xpu"}
_FROM_PYPI = {
    (Platform.LINUX, Backend.NVIDIA),
    (Platform.LINUX_ARM64, Backend.NVIDIA),
    (Platform.WINDOWS, Backend.CPU),
    (Platform.MACOS, Backend.APPLE),
}


@dataclass(frozen=True)
class Order:
    """One lock to be made. `index` is the part of PyTorch's address after /whl/, or "" for PyPI's torch."""

    part: str
    target: str
    platform: Platform
    index: str = ""


def orders() -> list[Order]:
    """Every lock there should be, each shell before its engines."""
    found: list[Order] = []
    for platform, backends in BACKENDS.items():
        found.append(Order("shell", platform, platform))
        for backend in backends:
            is_plain = (platform, backend) in _FROM_PYPI
            index = "" if is_plain else _INDEXES.get(backend, "cpu")
            found.append(Order("engine", f"{platform}-{backend}", platform, index))
    return found


def requirements() -> list[str]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(project["dependencies"])


def requirements_digest(part: str) -> str:
    """Equal for locks that can stand in for each other."""
    return hashlib.sha256("\n".join([PYTHON, *_wanted(part)]).encode()).hexdigest()


def _wanted(part: str) -> list[str]:
    wanted = [line for line in requirements() if part == "engine" or _name(line) not in ENGINE_ALONE]
    return [f"torch=={TORCH_VERSION}" if _name(line) == "torch" else line for line in wanted]


def _name(requirement: str) -> str:
    return requirement.partition(";")[0].partition("[")[0].split("=")[0].rstrip("<>!~ ").split("<")[0].split(">")[0]


def make(order: Order, wheels_folder: Path | None) -> Lock:
    """Resolve one lock. Raises InstallError when an index cannot be reached or lacks something."""
    wanted = _wanted(order.part)
    sources = ["--default-index", PYPI]
    address = f"{TORCH_WHEELS}/{order.index}"
    if order.index:
        # Its local version tells PyTorch's wheel from PyPI's of the same number.
        wanted = [f"torch=={TORCH_VERSION}+{order.index}" if _name(line) == "torch" else line for line in wanted]
        if wheels_folder is not None and any(wheels_folder.glob(f"torch-{TORCH_VERSION}+{order.index}-*.whl")):
            sources += ["--find-links", str(wheels_folder)]
        else:
            sources += ["--index", address, "--index-strategy", "unsafe-best-match"]
    with tempfile.TemporaryDirectory() as folder:
        asked, bounds = Path(folder, "asked.in"), Path(folder, "bounds.txt")
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        shell = () if order.part == "shell" else read_lock(LOCKS, "shell", order.platform).wheels
        bounds.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in shell), encoding="utf-8")
        command = [str(find_uv()), "pip", "compile", "--no-config", "--quiet", "--format", "pylock.toml"]
        command += ["--python-version", PYTHON, "--python-platform", _SYSTEMS[order.platform]]
        command += ["--only-binary", ":all:", "--constraint", str(bounds), *sources, str(asked)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        environ["MACOSX_DEPLOYMENT_TARGET"] = f"{MACOS[0]}.{MACOS[1]}"
        result = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if result.returncode != 0:
        raise InstallError("not-resolved", result.stderr.strip().splitlines()[-1] if result.stderr else "uv failed")
    packages = tomllib.loads(result.stdout)["packages"]
    with ThreadPoolExecutor(8) as pool:
        wheels = tuple(pool.map(lambda package: _wheel(package, order, address, wheels_folder), packages))
    return Lock(order.target, PYTHON, requirements_digest(order.part), wheels)


def _wheel(package: dict[str, Any], order: Order, address: str, wheels_folder: Path | None) -> Wheel:
    """The best of a package's wheels for this system."""
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415 - of the test environment, not of Python

    ranks = {tag: rank for rank, tag in enumerate(_tags(order.platform))}
    best: tuple[int, dict[str, Any], str] | None = None
    for wheel in package["wheels"]:
        source = wheel.get("url") or wheel.get("path")
        file = unquote(urlsplit(source).path.rpartition("/")[2]) if "url" in wheel else Path(source).name
        rank = min((ranks[tag] for tag in parse_wheel_filename(file)[3] if tag in ranks), default=None)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, wheel, file
    if best is None:
        raise InstallError("no-wheel", f"{package['name']} {package['version']} has no wheel for {order.platform}.")
    _, wheel, file = best
    url = wheel.get("url", "")
    if not url.startswith("https://"):
        url = f"{address}/{quote(file)}"
    local = None if wheels_folder is None else wheels_folder / file
    size_bytes = wheel.get("size") or (local.stat().st_size if local and local.is_file() else _size_of(url))
    return Wheel(package["name"], package["version"], file, url, wheel["hashes"]["sha256"], size_bytes)


def _tags(platform: Platform) -> list[Any]:
    from packaging import tags  # noqa: PLC0415

    version = tuple(int(number) for number in PYTHON.split("."))
    match platform:
        case Platform.WINDOWS:
            systems = ["win_amd64"]
        case Platform.MACOS:
            systems = list(tags.mac_platforms(MACOS, "arm64"))
        case _:
            machine = "x86_64" if platform is Platform.LINUX else "aarch64"
            systems = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR[platform], 4, -1)]
            legacy = {"2014": 17, "2010": 12, "1": 5} if platform is Platform.LINUX else {"2014": 17}
            systems += [f"manylinux{name}_{machine}" for name in legacy]
            systems.append(f"linux_{machine}")
    interpreter = f"cp{version[0]}{version[1]}"
    return [
        *tags.cpython_tags(version, [interpreter], systems),
        *tags.compatible_tags(version, interpreter, systems),
    ]


def _size_of(url: str) -> int:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "ltx-studio"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.headers["Content-Length"])


def check() -> int:
    """Whether the locks there are are those of today's pyproject.toml."""
    stale = [
        f"{order.part}/{order.target}"
        for order in orders()
        if lock_path(LOCKS, order.part, order.target).exists()
        and read_lock(LOCKS, order.part, order.target).requirements != requirements_digest(order.part)
    ]
    if stale:
        print(f"pyproject.toml changed since these locks were made: {', '.join(stale)}")
    return 1 if stale else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="such as linux-cpu, or linux for its shell")
    parser.add_argument("--check", action="store_true", help="make nothing, and say whether the locks are current")
    options = parser.parse_args(arguments)
    if options.check:
        return check()
    folder = os.environ.get(WHEELS_VARIABLE)
    missing: list[str] = []
    for order in orders():
        if options.targets and order.target not in options.targets:
            continue
        try:
            lock = make(order, Path(folder) if folder else None)
        except (InstallError, OSError, urllib.error.URLError, KeyError) as error:
            missing.append(order.target)
            print(f"{order.part}/{order.target}: not made: {error}", file=sys.stderr)
            continue
        write_json(lock_path(LOCKS, order.part, order.target), lock.to_dict())
        print(f"{order.part}/{order.target}: {len(lock.wheels)} wheels, {lock.size_bytes / 1e6:.0f} MB")
    if missing:
        print(json.dumps({"not made": missing}), file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
