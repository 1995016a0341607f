"""The Windows package: a tree with two launchers, and an installer for one user that NSIS makes of it.

The launchers are distlib's stubs: a program that starts the interpreter named behind it, with itself (a zip file's end
is what counts) as the script. That interpreter is `kit\\python`, which the installer has put there before they are run.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from installers import icons
from installers.package_files import PackageError, append_zip, folder_bytes, make_zip, tree, write, write_manifest
from installers.package_tools import launcher_stub
from installers.package_tree import PROJECT_EXTENSION, Build, finish, make_tree
from ltx_studio.installation.targets import Platform

SCRIPT: Final = Path(__file__).resolve().parent / "windows" / "installer.nsi"
LAUNCHERS: Final = {"LTX Studio.exe": "pythonw.exe", "ltx-studio-cli.exe": "python.exe"}  # and the Python each starts
LAUNCHER_CODE: Final = """\
# Inside LTX Studio's Windows launchers: go on with the start.py beside them.
import os
import runpy
import sys

start = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "start.py")
sys.argv[0] = start
runpy.run_path(start, run_name="__main__")
"""


def setup_name(version: str) -> str:
    return f"LTX-Studio-{version}-windows-x86_64-setup.exe"


def zip_name(version: str) -> str:
    return f"LTX-Studio-{version}-windows-x86_64.zip"


def make_launcher(python: str, tools: Path) -> bytes:
    """A program that starts this Python of `kit\\python`, wherever the program lies."""
    shebang = f"#!<launcher_dir>\\kit\\python\\{python} -I\n"
    stub = launcher_stub(has_console=python == "python.exe", cache=tools)
    return append_zip(stub + shebang.encode(), {"__main__.py": LAUNCHER_CODE})


def make_windows_tree(folder: Path, build: Build) -> None:
    """Everything that is installed, but Python unless the build has one."""
    make_tree(folder, Platform.WINDOWS, build)
    for name, python in LAUNCHERS.items():
        write(folder / name, make_launcher(python, build.tools), executable=True)
    for stem in (icons.APP, icons.PROJECT):
        write(folder / "icons" / f"{stem}.ico", icons.windows_icon(stem))
    finish(folder, build)
    write_manifest(folder)


def make_setup(out: Path, folder: Path, build: Build) -> Path:
    """The installer, compiled by makensis from the tree. Raises PackageError."""
    if shutil.which("makensis") is None:
        raise PackageError("makensis is missing, which compiles the installer: sudo apt-get install nsis")
    files = build.work / "tree_files.nsh"
    files.write_text(_uninstall_lines(folder), encoding="utf-8")
    setup = out / setup_name(build.version)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{setup.name}.part"
    numbers = [*build.version.split("."), "0", "0", "0"][:4]
    values = {
        "TREE": folder,
        "TREE_FILES": files,
        "OUT": partial,
        "VERSION": build.version,
        "VERSION4": ".".join("".join(c for c in number if c.isdigit()) or "0" for number in numbers),
        "KIBIBYTES": folder_bytes(folder) // 1024,
        "EXTENSION": PROJECT_EXTENSION,
    }
    command = [
        "makensis",
        "-V2",
        "-WX",
        "-INPUTCHARSET",
        "UTF8",
        *(f"-D{name}={value}" for name, value in values.items()),
    ]
    environ = {"SOURCE_DATE_EPOCH": str(build.epoch), "PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C.UTF-8"}
    result = subprocess.run([*command, str(SCRIPT)], env=environ, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stdout + result.stderr).strip()
        raise PackageError(f"makensis could not compile {SCRIPT.name}: {said[-2000:]}")
    partial.replace(setup)
    return setup


def make_zip_archive(out: Path, folder: Path, build: Build) -> Path:
    """The same tree without an installer, for offline packs that are made where NSIS is not."""
    archive = out / zip_name(build.version)
    out.mkdir(parents=True, exist_ok=True)
    make_zip(folder, archive, epoch=build.epoch)
    return archive


def _uninstall_lines(folder: Path) -> str:
    """A line for every file at the top; folders are deleted whole by the script."""
    lines = [f'  Delete "$INSTDIR\\{path.name}"' for path in tree(folder) if path.parent == folder]
    return "".join(f"{line}\n" for line in lines)
