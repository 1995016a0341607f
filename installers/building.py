"""An environment from wheels on this disk, by uv: nothing is resolved, nothing is fetched, every hash is required.

uv never reaches for the network here, except to fetch a Python where neither the package nor the system has the right
one, and that only when the network may be used.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from installers.fetching import Access, StoppedError
from installers.hardware import NO_WINDOW
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import remove_tree
from ltx_studio.installation.layout import packages_of, python_of
from ltx_studio.installation.locks import Lock

_POLL_S = 0.2
_TAIL_LINES = 12
# Settings for other Pythons that would reach into ours.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "LD_PRELOAD")
_FOREIGN_PREFIXES = ("UV_", "PIP_", "CONDA_")


def clean_environ(**more: str) -> dict[str, str]:
    """This process's variables without what belongs to another Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
    }
    return {**kept, "PYTHONNOUSERSITE": "1", **more}


def find_python(version: str, kit: Path, home: Path, uv: Path, access: Access, log: Path) -> Path:
    """A Python of this version: the kit's, this one, the system's, one that uv fetched. Raises InstallError."""
    name = "python.exe" if os.name == "nt" else f"bin/python{version}"
    own = kit / "python" / name
    if own.is_file():
        return own
    running = Path(sys.executable)
    # One inside an environment would leave with it.
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version and sys.prefix == sys.base_prefix:
        return running
    fetched = home / "python"
    environ = clean_environ(UV_PYTHON_INSTALL_DIR=str(fetched), UV_SYSTEM_CERTS="1", UV_NATIVE_TLS="1")
    if access.proxy is not None:
        environ.update(HTTPS_PROXY=access.proxy, HTTP_PROXY=access.proxy)
    if access.certificates is not None:
        environ["SSL_CERT_FILE"] = str(access.certificates)
    find = [str(uv), "python", "find", "--no-config", "--no-project", "--no-python-downloads", version]
    found = subprocess.run(find, capture_output=True, text=True, env=environ, check=False)
    if found.returncode != 0 and access.is_allowed:
        install = [str(uv), "python", "install", "--no-config", "--no-bin", version]
        run_logged(install, log, environ, f"Python {version} could not be fetched.")
        found = subprocess.run(find, capture_output=True, text=True, env=environ, check=False)
    if found.returncode != 0:
        raise InstallError(
            "no-python",
            f"Python {version} is not here.",
            remedy=f"Install Python {version}, or get a package of LTX Studio that brings it.",
        )
    return Path(found.stdout.strip())


def build(
    environment: Path, lock: Lock, wheels: Sequence[Path], *, python: Path, uv: Path, log: Path, stop: threading.Event
) -> Generator[int]:
    """Make the environment anew; yields how many packages are in. Raises InstallError and StoppedError."""
    try:
        remove_tree(environment)
        environment.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallError(
            "not-written", f"{environment.parent} cannot be written: {error}.", remedy="Choose another folder."
        ) from error
    with tempfile.TemporaryDirectory(prefix=".uv-", dir=environment.parent) as cache:
        environ = clean_environ(UV_CACHE_DIR=cache, UV_PYTHON_DOWNLOADS="never")
        make = [str(uv), "venv", "--no-config", "--no-project", "--offline", "--python", str(python), str(environment)]
        run_logged(make, log, environ, "The environment could not be made.", stop=stop)
        asked = Path(cache, "requirements.txt")
        asked.write_text(lock.requirements_text(), encoding="utf-8")
        install = [str(uv), "pip", "install", "--no-config", "--offline", "--no-index", "--no-deps", "--require-hashes"]
        install += ["--python", str(python_of(environment))]
        for folder in sorted({str(wheel.parent) for wheel in wheels}):
            install += ["--find-links", folder]
        install += ["--requirement", str(asked)]
        packages = packages_of(environment, lock.python)
        ended = threading.Event()
        failures: list[Exception] = []

        def work() -> None:
            try:
                run_logged(install, log, environ, "The packages could not be installed.", stop=stop)
            except Exception as error:  # handed to the iterating thread, which raises it
                failures.append(error)
            ended.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while not ended.wait(_POLL_S):
            yield sum(1 for _ in packages.glob("*.dist-info/RECORD"))
        thread.join()
        if failures:
            raise failures[0]
    yield len(lock.wheels)


def run_logged(
    command: Sequence[str],
    log: Path,
    environ: Mapping[str, str],
    failure: str,
    *,
    stop: threading.Event | None = None,
    hear: Callable[[str], None] | None = None,
) -> None:
    """Run quietly, into the log. Raises InstallError with the last lines in the log, and StoppedError after `stop`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                close_fds=os.name == "nt",  # elsewhere it holds the installation's lock until it ends, whoever dies
                creationflags=NO_WINDOW,
            )
        except OSError as error:
            raise InstallError("not-run", f"{failure} {error}.", remedy="Get the package again.") from error
        while True:
            try:
                code = process.wait(_POLL_S)
                break
            except subprocess.TimeoutExpired:
                if stop is not None and stop.is_set():
                    process.kill()
                    process.wait()
                    raise StoppedError from None
        output.seek(0)
        said = output.read()
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n{said}\n")
    if hear is not None:
        hear(said)
    if code != 0:
        tail = " ".join(line.strip() for line in said.strip().splitlines()[-_TAIL_LINES:])
        raise InstallError("not-installed", f"{failure} {tail[-400:]}", remedy="Start again; the log has the details.")
