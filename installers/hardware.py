"""What an engine's choice depends on, asked of this machine: drivers and graphics, without any library.

Nothing here decides (`ltx_studio.installation.targets` does), and whatever a machine does not answer is taken as not
there.
"""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ltx_studio.installation.targets import Hardware, Nvidia, Platform, platform_of

NO_WINDOW = 0x0800_0000 if sys.platform == "win32" else 0  # of Windows' process creation flags
_ASK_S = 15.0
_INTEL = "0x8086"
_GPU_NODES = Path("/sys/class/kfd/kfd/topology/nodes")  # the kernel's compute driver for AMD


def find_hardware() -> Hardware:
    """Takes a second or two where NVIDIA's driver sleeps. Raises InstallError on a system torch is not made for."""
    here = platform_of(platform.system(), platform.machine())
    return Hardware(here, _nvidia(), tuple(_amd(_GPU_NODES)), _has_intel(here))


def _nvidia() -> Nvidia | None:
    """By `nvidia-smi`, which comes with every driver."""
    command = shutil.which("nvidia-smi") or next(
        (
            path
            for path in ("/usr/lib/wsl/lib/nvidia-smi", r"C:\Windows\System32\nvidia-smi.exe")
            if Path(path).exists()
        ),
        None,
    )
    if command is None:
        return None
    said = _ask([command, "--query-gpu=driver_version,compute_cap", "--format=csv,noheader"])
    if said is None:
        # Drivers before 2021 do not know compute_cap.
        said = _ask([command, "--query-gpu=driver_version", "--format=csv,noheader"])
    return None if said is None else parse_nvidia(said)


def parse_nvidia(said: str) -> Nvidia | None:
    """Lines such as `580.65.06, 8.9`, one for each GPU."""
    driver: tuple[int, ...] = ()
    capabilities: list[tuple[int, int]] = []
    for line in said.splitlines():
        version, _, capability = (part.strip() for part in line.partition(","))
        if re.fullmatch(r"\d+(\.\d+)*", version):
            driver = tuple(int(number) for number in version.split("."))
        if found := re.fullmatch(r"(\d+)\.(\d+)", capability):
            capabilities.append((int(found[1]), int(found[2])))
    return Nvidia(driver, tuple(capabilities)) if driver else None


def _amd(nodes: Path) -> list[str]:
    found: list[str] = []
    with suppress(OSError):
        for node in sorted(nodes.iterdir()):
            with suppress(OSError):
                name = parse_amd((node / "properties").read_text(encoding="utf-8"))
                if name:
                    found.append(name)
    return found


def parse_amd(properties: str) -> str:
    """`gfx1100` from a node's `gfx_target_version 110000`; nothing for a processor, whose version is 0."""
    found = re.search(r"^gfx_target_version (\d+)$", properties, re.MULTILINE)
    version = int(found[1]) if found else 0
    major, minor, stepping = version // 10000, version // 100 % 100, version % 100
    return f"gfx{major}{minor:x}{stepping:x}" if version else ""


def _has_intel(here: Platform) -> bool:
    """Graphics that Intel's XPU runs on: Arc cards, and processors from Meteor Lake on, whose driver is named Arc."""
    if here is Platform.WINDOWS:
        said = _ask(["powershell", "-NoProfile", "-Command", "(Get-CimInstance Win32_VideoController).Name"]) or ""
        return is_arc(said.splitlines())
    if here is not Platform.LINUX or shutil.which("clinfo") is None:
        # Without Intel's compute runtime torch sees no device; it brings `clinfo`'s platform.
        return _has_xe_driver()
    return is_arc((_ask(["clinfo", "-l"]) or "").splitlines()) or _has_xe_driver()


def _has_xe_driver() -> bool:
    """The kernel's driver for the graphics that XPU runs on, and the library torch reaches them by."""
    libraries = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
    if not any(Path(folder, "libze_intel_gpu.so.1").exists() for folder in libraries):
        return False
    cards = Path("/sys/class/drm")
    with suppress(OSError):
        for card in cards.glob("card*/device"):
            with suppress(OSError):
                is_xe = (card / "driver").resolve().name == "xe"
                if is_xe and (card / "vendor").read_text(encoding="utf-8").strip() == _INTEL:
                    return True
    return False


def is_arc(names: Iterable[str]) -> bool:
    return any(re.search(r"Intel.*\bArc\b", name) for name in names)


def _ask(command: list[str]) -> str | None:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_S, check=False, creationflags=NO_WINDOW
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return answer.stdout if answer.returncode == 0 else None
