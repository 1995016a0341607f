"""Starting the studio: what was interrupted is finished, then this process becomes the window.

The window runs in the engine's environment once there is one that goes with this version, else in the shell's. One
process at a time works on an installation; looking at it takes no lock, so that a start costs nothing.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence

from installers.bootstrap import try_lock
from installers.updating import newest_kit, run_in
from installers.work import Site, install_shell, repair, studio_folder, wanted_build
from ltx_studio.installation import layout as places_on_disk
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.layout import python_of
from ltx_studio.installation.locks import read_lock
from ltx_studio.installation.messages import Failed, Message, Progress, Step
from ltx_studio.installation.state import Installation, Part, State

_LOCK_POLL_S = 0.2
Tell = Callable[[Message], None]


@contextlib.contextmanager
def locked(site: Site, tell: Tell) -> Generator[None]:
    """One process at a time. Programs that this one starts hold the lock too, should this one be killed."""
    lock = site.layout().lock
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        os.set_inheritable(file.fileno(), True)
        if not try_lock(file):
            tell(Progress(Part.SHELL, Step.WAITING))
            while not try_lock(file):
                site.check_stop()
                time.sleep(_LOCK_POLL_S)
        yield


def launch(site: Site, passed_on: Sequence[str], arguments: Sequence[str], tell: Tell) -> int:
    """Finish what was interrupted, then become the studio. `passed_on` are this process's options."""
    installation = site.record.read()
    kit = newest_kit(site, installation)
    if kit.folder != site.kit.folder:
        command = ["launch", *passed_on, "--package", str(site.package), "--", *arguments]
        return run_in(kit, command) if os.name == "nt" else _become([sys.executable, "-I", str(kit.script), *command])
    if _must_prepare(site, installation):
        with locked(site, tell):
            _prepare(site, tell)
    installation = site.record.read()
    part = _part_to_start(site, installation)
    current = installation.slot(part).current
    studio = installation.shell.current
    assert current is not None
    assert studio is not None
    environment = site.layout().environment(current, is_engine=part is Part.ENGINE)
    environ = _studio_environ(site, installation, studio.studio)
    return _become([str(python_of(environment)), "-P", "-s", "-m", "ltx_studio", *arguments], environ)


def _must_prepare(site: Site, installation: Installation) -> bool:
    shell = installation.shell
    if not shell.is_usable or any(installation.slot(part).state is State.REPAIRING for part in Part):
        return True
    was_left = installation.skipped_version == site.kit.version
    return not was_left and _is_shell_old(site, installation)


def _is_shell_old(site: Site, installation: Installation) -> bool:
    current = installation.shell.current
    assert current is not None
    lock = read_lock(site.kit.locks, Part.SHELL, current.target)
    return wanted_build(site, Part.SHELL, lock, installation.shell) != current


def _prepare(site: Site, tell: Tell) -> None:
    for part in Part:
        if site.record.read().slot(part).state is State.REPAIRING:
            try:
                for message in repair(site, part):
                    tell(message)
            except InstallError as error:
                if part is Part.SHELL:
                    raise
                tell(Failed.of(error))  # the window opens without an engine, and says so
    if _must_prepare(site, site.record.read()):
        try:
            for message in install_shell(site):
                tell(message)
        except InstallError as error:
            if not site.record.read().shell.is_usable:
                raise
            tell(Failed.of(error))  # what was there before still opens


def _part_to_start(site: Site, installation: Installation) -> Part:
    """The engine's environment where it is whole and goes with this version."""
    engine = installation.engine
    if not engine.is_usable or engine.state is State.UPDATE_REQUIRED:
        return Part.SHELL
    assert engine.current is not None
    return Part.ENGINE if python_of(site.layout().environment(engine.current, is_engine=True)).exists() else Part.SHELL


def _studio_environ(site: Site, installation: Installation, studio: str) -> dict[str, str]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    }
    environ.update(
        {
            "PYTHONPATH": str(studio_folder(site, studio)),
            "PYTHONNOUSERSITE": "1",
            places_on_disk.INSTALLATION_VARIABLE: str(site.home),
            places_on_disk.INSTALLER_VARIABLE: str(site.kit.script),
            places_on_disk.INSTALLER_PYTHON_VARIABLE: sys.executable,
            places_on_disk.PACKAGE_VARIABLE: str(site.package),
        }
    )
    for variable, folder in (
        (places_on_disk.MODELS_VARIABLE, installation.models_folder),
        (places_on_disk.PROJECTS_VARIABLE, installation.projects_folder),
    ):
        if folder is not None:
            environ.setdefault(variable, folder)
    return environ


def _become(command: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Replace this process where the system can; else run the command, and end as it does."""
    variables = dict(os.environ if environ is None else environ)
    if os.name != "nt":
        os.execve(command[0], list(command), variables)
    return subprocess.run(command, env=variables, check=False).returncode
