"""From a fresh checkout to a running studio, with nothing but a Python to start from.

    python3 installers/bootstrap.py                                the studio window
    python3 installers/bootstrap.py generate "..." -o clip.mp4     any `ltx-studio` command
    python3 installers/bootstrap.py test [pytest arguments]        the test suite
    python3 installers/bootstrap.py check                          lint, format, types, import contracts
    python3 installers/bootstrap.py setup VERB                     what packages do, from this checkout (README.md)

The first run makes `.venv`, installs torch for the hardware it finds, then the project, and hands over; later runs find
the stamp of a finished set-up and hand over at once. Only the standard library is used here, and every line down to the
version check has to parse on an old Python, because that is what tells its owner to bring a newer one.

Environment: `LTX_STUDIO_TORCH_INDEX` names the package index torch comes from, whatever the hardware.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file meets whatever `python3` happens to be
    sys.exit(
        "LTX Studio needs Python 3.11 or newer, and this is {}.{}: "
        "install a newer one and run the same command with it.".format(*sys.version_info[:2])
    )

import contextlib
import ctypes.util
import enum
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TORCH_VERSION = "2.13.0"  # the version the suite is run with; pyproject.toml says what the code can live with
TORCH_WHEELS = "https://download.pytorch.org/whl"
TORCH_CUDA = "cu130"  # the CUDA that torch 2.13's Linux wheels on PyPI carry; PyPI's Windows wheels carry none
PROBE_SECONDS = 3.0
LOG_TAIL_LINES = 15
MAX_TEST_WORKERS = 8  # each holds its own torch and Qt, some 0.7 GB


class SetupError(Exception):
    """Set-up cannot go on: the message is for the user, `output` is what a command said before it failed."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def say(text: str) -> None:
    print(f"[ltx-studio] {text}", file=sys.stderr, flush=True)


# --- The environment on disk


class TorchBuild(enum.Enum):
    NVIDIA = "nvidia"
    APPLE = "apple"
    CPU = "cpu"


class Extra(enum.Enum):
    """What is installed beside the product itself."""

    NONE = ""
    TEST = "test"


@dataclass(frozen=True)
class Environment:
    """The checkout's `.venv`. Everything set-up writes is inside it, so deleting it undoes everything."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / ".venv"

    @property
    def lock(self) -> Path:
        return self.folder / "bootstrap.lock"

    @property
    def log(self) -> Path:
        return self.folder / "bootstrap.log"

    @property
    def torch_source(self) -> Path:
        """Says which torch was installed from where, so that a change of hardware replaces it."""
        return self.folder / "bootstrap.torch"

    def stamp(self, extra: Extra) -> Path:
        return self.folder / f"bootstrap.ready{extra.value and '-' + extra.value}"

    def executable(self, name: str) -> str:
        scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")
        return str(scripts / (f"{name}.exe" if os.name == "nt" else name))

    def fingerprint(self, extra: Extra, torch_source: str) -> str:
        """Changes whenever a finished set-up has to be done again."""
        digest = hashlib.sha256()
        for file in (self.root / "pyproject.toml", Path(__file__)):
            digest.update(file.read_bytes())
        digest.update(f"{sys.version_info[:2]} {torch_source} {extra.value}".encode())
        return digest.hexdigest()

    def is_ready(self, extra: Extra, torch_source: str) -> bool:
        """Whether a set-up that covers `extra` was finished; the one for tests covers the product too."""
        if not Path(self.executable("python")).exists():  # also false for a link to a Python that was removed
            return False
        return any(
            _read(self.stamp(installed)) == self.fingerprint(installed, torch_source)
            for installed in {extra, Extra.TEST}
        )

    def mark_ready(self, extra: Extra, torch_source: str) -> None:
        partial = self.stamp(extra).with_suffix(".part")
        partial.write_text(self.fingerprint(extra, torch_source), encoding="utf-8")
        partial.replace(self.stamp(extra))

    def mark_unfinished(self) -> None:
        for extra in Extra:
            self.stamp(extra).unlink(missing_ok=True)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def exclusive(lock: Path) -> Generator[None]:
    """Only one process at a time gets past here; the system lets go of the lock when its holder dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        if not try_lock(file):
            say("Another set-up of this folder is running; waiting for it.")
            while not try_lock(file):
                time.sleep(0.5)
        yield


def try_lock(file: IO[str]) -> bool:
    """Take the lock that closing `file` gives back; False when another open file holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists on Windows alone

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - exists on POSIX alone

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- Which torch


def find_torch_build() -> TorchBuild:
    """From the driver's files where possible: asking `nvidia-smi` costs a second."""
    if sys.platform == "darwin":
        return TorchBuild.APPLE
    driver_files = (
        Path("/proc/driver/nvidia/version"),
        Path("/usr/lib/wsl/lib/libcuda.so.1"),
        Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvcuda.dll"),
    )
    if any(file.exists() for file in driver_files) or nvidia_smi_answers():
        return TorchBuild.NVIDIA
    return TorchBuild.CPU


def nvidia_smi_answers() -> bool:
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    try:
        answer = subprocess.run([command, "-L"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and b"GPU" in answer.stdout


def describe_torch_source(found: TorchBuild, override: str, installed: str) -> str:
    """What `bootstrap.torch` should say.

    A CUDA build also runs without a GPU, so one that is out of sight for a while (a driver update, an unplugged dock)
    does not swap gigabytes of packages.
    """
    wanted = f"{TORCH_VERSION} {found.value} {override}".rstrip()
    with_gpu = f"{TORCH_VERSION} {TorchBuild.NVIDIA.value} {override}".rstrip()
    return installed if found is TorchBuild.CPU and installed == with_gpu else wanted


def torch_index(
    build: TorchBuild, *, override: str, platform_name: str, cpu_index_answers: Callable[[], bool]
) -> str | None:
    """The package index to take torch from; None is whatever pip is set to."""
    if override:
        return override
    if build is TorchBuild.NVIDIA and platform_name == "win32":
        return f"{TORCH_WHEELS}/{TORCH_CUDA}"
    # PyPI's Linux wheels bring gigabytes of CUDA. Where this index is out of reach, pip may have a source of its own.
    if build is TorchBuild.CPU and platform_name == "linux" and cpu_index_answers():
        return f"{TORCH_WHEELS}/cpu"
    return None


def answers(url: str) -> bool:
    """Whether a web server answers within PROBE_SECONDS, name look-up included (which has no time-out of its own)."""
    replied = threading.Event()

    def ask() -> None:
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=PROBE_SECONDS):
            replied.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return replied.is_set()


# --- System libraries (Linux)


INSTALL_COMMANDS = {
    "apt-get": "apt-get install -y --no-install-recommends",
    "dnf": "dnf install -y",
    "pacman": "pacman -S --needed --noconfirm",
    "zypper": "zypper --non-interactive install",
}
# What PySide6-Essentials' libraries link to (objdump -p) and what sounddevice loads, each with the package that brings
# it, in the order of the package managers above.
LIBRARIES = {
    "EGL": "libegl1 libglvnd-egl libglvnd Mesa-libEGL1",
    "GL": "libgl1 libglvnd-glx libglvnd Mesa-libGL1",
    "xkbcommon": "libxkbcommon0 libxkbcommon libxkbcommon libxkbcommon0",
    "dbus-1": "libdbus-1-3 dbus-libs dbus libdbus-1-3",
    "fontconfig": "libfontconfig1 fontconfig fontconfig libfontconfig1",
    "glib-2.0": "libglib2.0-0 glib2 glib2 libglib-2_0-0",
    "portaudio": "libportaudio2 portaudio portaudio libportaudio2",
}
# What Qt's plugin for X11 adds; a machine without a display does without.
DISPLAY_LIBRARIES = {
    "xcb-cursor": "libxcb-cursor0 xcb-util-cursor xcb-util-cursor libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4 xcb-util-wm xcb-util-wm libxcb-icccm4",
    "xcb-keysyms": "libxcb-keysyms1 xcb-util-keysyms xcb-util-keysyms libxcb-keysyms1",
    "xkbcommon-x11": "libxkbcommon-x11-0 libxkbcommon-x11 libxkbcommon-x11 libxkbcommon-x11-0",
}
A_FONT = "fonts-dejavu-core dejavu-sans-fonts ttf-dejavu dejavu-fonts"


def missing_packages(
    manager: str, *, find_library: Callable[[str], str | None], has_font: bool, has_display: bool
) -> list[str]:
    """Packages of `manager` that bring what is not there yet, in the order of the tables."""
    libraries = {**LIBRARIES, **(DISPLAY_LIBRARIES if has_display else {})}
    rows = [packages for library, packages in libraries.items() if find_library(library) is None]
    if not has_font:
        rows.append(A_FONT)
    column = list(INSTALL_COMMANDS).index(manager)
    return list(dict.fromkeys(row.split()[column] for row in rows))


def has_font() -> bool:
    folders = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")
    return any(file.suffix in {".ttf", ".otf", ".ttc"} for folder in folders for file in folder.rglob("*"))


def has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def install_system_packages(log: Path) -> None:
    """Sound and windows need them, `generate` does not: whatever goes wrong here is said, and set-up goes on."""
    manager = next((name for name in INSTALL_COMMANDS if shutil.which(name)), None)
    if manager is None:
        return
    packages = missing_packages(
        manager, find_library=ctypes.util.find_library, has_font=has_font(), has_display=has_display()
    )
    if manager == "apt-get" and importlib.util.find_spec("ensurepip") is None:  # Debian takes it out of Python
        packages.append(f"python3.{sys.version_info.minor}-venv")
    if not packages:
        return
    command = f"{INSTALL_COMMANDS[manager]} {' '.join(packages)}"
    if not is_root():
        say(f"Windows and sound need system packages that are missing. To add them, run: sudo {command}")
        return
    say(f"Installing system packages: {' '.join(packages)}")
    with contextlib.suppress(SetupError):
        if manager == "apt-get":
            run_logged(["apt-get", "update"], log, "apt-get update failed.")
        run_logged(shlex.split(command), log, "The system packages could not be installed.")
        return
    say(f"They could not be installed (see {log}), which only windows and sound need. To try again, run: {command}")


def is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


# --- Installing


def run_logged(command: Sequence[str], log: Path, failure: str) -> None:
    """Run quietly. Raises SetupError with the end of what the command printed and the sentence `failure`."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("a", encoding="utf-8", errors="replace") as output:
        output.write(f"\n$ {shlex.join(command)}\n")
        output.flush()
        try:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ, check=False
            )
        except OSError as error:
            raise SetupError(f"{failure} {error}") from error
    if result.returncode != 0:
        with log.open(encoding="utf-8", errors="replace") as output:
            tail = "".join(deque(output, maxlen=LOG_TAIL_LINES))
        raise SetupError(f"{failure} The whole output is in {log}.", output=tail)


def install_python_packages(environment: Environment, extra: Extra, torch_source: str, index: str | None) -> None:
    """Bring `.venv` to what pyproject.toml asks for. Interrupted at any point, it leaves no stamp behind."""
    environment.mark_unfinished()
    python = environment.executable("python")
    pip = [python, "-m", "pip", "install", "--no-input", "--progress-bar", "off", "--disable-pip-version-check"]

    if not is_healthy(python):
        say(f"Making {environment.folder} with Python {platform.python_version()}")
        empty(environment)
        run_logged(
            [sys.executable, "-m", "venv", str(environment.folder)],
            environment.log,
            f"Python could not make a virtual environment. On Debian and Ubuntu, run: "
            f"sudo apt-get install python3.{sys.version_info.minor}-venv",
        )

    say(f"Installing torch {TORCH_VERSION} ({torch_source.split()[1]}) from {index or 'where pip takes packages from'}")
    torch = [*pip, f"torch=={TORCH_VERSION}", *(["--index-url", index] if index else [])]
    if _read(environment.torch_source) not in {"", torch_source}:
        torch.append("--force-reinstall")  # to pip, the build that is there already satisfies the version
    advice = "Check the network and the free disk space, then run the same command again."
    run_logged(torch, environment.log, f"torch could not be installed. {advice}")
    environment.torch_source.write_text(torch_source, encoding="utf-8")

    say(f"Installing LTX Studio{' and its test tools' if extra is Extra.TEST else ''}")
    project = f"{environment.root}[{extra.value}]" if extra.value else str(environment.root)
    run_logged([*pip, "--editable", project], environment.log, f"LTX Studio could not be installed. {advice}")

    environment.mark_ready(extra, torch_source)


def is_healthy(python: str) -> bool:
    """Whether `.venv` has a Python of our version that can run pip: making it may have been interrupted."""
    code = f"import sys, pip._internal.cli.main; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def empty(environment: Environment) -> None:
    """Delete all of `.venv` but the lock we hold and the log we write."""
    for entry in environment.folder.iterdir():
        if entry in {environment.lock, environment.log}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def prepare(environment: Environment, extra: Extra) -> None:
    """Return with `.venv` ready, installing only if something changed. Raises SetupError."""
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise SetupError(
            "LTX Studio needs a Mac with Apple silicon and a Python made for it: torch no longer supports Intel."
        )
    override = os.environ.get("LTX_STUDIO_TORCH_INDEX", "")
    build = find_torch_build()
    torch_source = describe_torch_source(build, override, _read(environment.torch_source))
    if environment.is_ready(extra, torch_source):
        return
    with exclusive(environment.lock):
        if environment.is_ready(extra, torch_source):  # the set-up we waited for was the one we need
            return
        started = time.monotonic()
        environment.log.unlink(missing_ok=True)
        if sys.platform == "linux":
            install_system_packages(environment.log)
        index = torch_index(
            build,
            override=override,
            platform_name=sys.platform,
            cpu_index_answers=lambda: answers(f"{TORCH_WHEELS}/cpu/torch/"),
        )
        install_python_packages(environment, extra, torch_source, index)
        say(f"Ready after {time.monotonic() - started:.0f} s")


# --- Handing over


def hand_over(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become `command` where the system allows it, else run it; the exit status is its own."""
    if os.name != "nt":
        os.execve(command[0], list(command), dict(environ))
    try:
        return subprocess.run(command, env=dict(environ), check=False).returncode
    except KeyboardInterrupt:  # the console sent it to the command as well, which has ended by now
        return 130


def run_tests(environment: Environment, arguments: Sequence[str]) -> int:
    os.chdir(environment.root)
    num_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    environ = {"PYTEST_XDIST_AUTO_NUM_WORKERS": str(min(num_cores, MAX_TEST_WORKERS)), **os.environ}
    # By file: tests of one file share its costly fixtures. Arguments of the user come last and win.
    command = [environment.executable("python"), "-m", "pytest", "-n", "auto", "--dist", "loadfile", *arguments]
    return hand_over(command, environ)


def run_checks(environment: Environment) -> int:
    """All of them, even after one failed; 1 if any did."""
    os.chdir(environment.root)
    checks = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["basedpyright"],
        ["lint-imports", "--no-cache"],
    )
    failed: list[str] = []
    for name, *arguments in checks:
        command = shlex.join([name, *arguments])
        say(command)
        if subprocess.run([environment.executable(name), *arguments], check=False).returncode != 0:
            failed.append(command)
    say(f"Failed: {', '.join(failed)}" if failed else "All checks passed")
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    environment = Environment(Path(__file__).resolve().parent.parent)
    verb = arguments[0] if arguments else ""
    if verb == "setup":  # the locked environments of packages, with their own state; nothing of `.venv` is used
        installer = Path(__file__).resolve().parent / "install.py"
        return hand_over([sys.executable, "-I", str(installer), *arguments[1:]], os.environ)
    try:
        prepare(environment, Extra.TEST if verb in {"test", "check"} else Extra.NONE)
        if verb == "test":
            return run_tests(environment, arguments[1:])
        if verb == "check":
            return run_checks(environment)
        # -P: a file of the user's folder that is called like one of our packages is not imported in its place.
        return hand_over([environment.executable("python"), "-P", "-m", "ltx_studio", *arguments], os.environ)
    except SetupError as error:
        sys.stderr.write(error.output)
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped. Run the same command again to go on.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
