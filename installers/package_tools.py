"""What a package carries that is not ours: uv's binary for each system, and distlib's Windows launcher stubs.

Both come from the package registry as wheels, whose versions and hashes `package_tools.json` pins, so that one machine
builds for every system. Nothing of the wheels is run while a package is built.
"""

import json
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installers.package_files import PackageError, sha256_of
from ltx_studio.installation.targets import Platform

PINS: Final = Path(__file__).with_name("package_tools.json")


@dataclass(frozen=True)
class Pin:
    """One wheel of the registry."""

    name: str
    version: str
    file: str
    platform: str  # as pip spells it; "any" for wheels of pure Python
    sha256: str


def pin_of(name: str, platform: Platform) -> Pin:
    values = json.loads(PINS.read_text(encoding="utf-8"))[name]
    wheel = values["wheels"][platform.value]
    return Pin(name, values["version"], wheel["file"], wheel["platform"], wheel["sha256"])


def fetch(pin: Pin, cache: Path) -> Path:
    """The wheel, fetched once and checked every time. Raises PackageError."""
    path = cache / pin.file
    if not path.is_file() or sha256_of(path) != pin.sha256:
        cache.mkdir(parents=True, exist_ok=True)
        requirements = cache / f"{pin.name}-{pin.platform}.txt"
        requirements.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--require-hashes", "--dest", str(cache), "--requirement", str(requirements)]
        command += [] if pin.platform == "any" else ["--platform", pin.platform]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        requirements.unlink()
        if result.returncode != 0 or not path.is_file():
            reason = (result.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise PackageError(f"{pin.file} could not be fetched ({reason}). Tried: {shlex.join(command)}")
    if sha256_of(path) != pin.sha256:
        raise PackageError(f"{path} is not the pinned file: its hash is another. Delete it and try again.")
    return path


def member(wheel: Path, name: str) -> bytes:
    """One file of a wheel by the end of its path. Raises PackageError when it is not there once."""
    with zipfile.ZipFile(wheel) as archive:
        found = [entry for entry in archive.namelist() if entry == name or entry.endswith(f"/{name}")]
        if len(found) != 1:
            raise PackageError(f"{wheel.name} holds {name} {len(found)} times, and once is expected.")
        return archive.read(found[0])


def uv_binary(platform: Platform, cache: Path) -> bytes:
    return member(fetch(pin_of("uv", platform), cache), "uv.exe" if platform is Platform.WINDOWS else "uv")


def uv_without_console(cache: Path) -> bytes:
    """uv's Windows binary that opens no console; it starts the `uv.exe` beside it."""
    return member(fetch(pin_of("uv", Platform.WINDOWS), cache), "uvw.exe")


def launcher_stub(*, has_console: bool, cache: Path) -> bytes:
    """distlib's Windows program that starts the interpreter named behind it, with itself as the script."""
    return member(fetch(pin_of("distlib", Platform.WINDOWS), cache), "t64.exe" if has_console else "w64.exe")
