"""Which folder is where in an installation, and which Python in an environment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ltx_studio.installation.state import Build, Installation

HOME_VARIABLE = "LTX_STUDIO_HOME"  # as in engine.folders, which needs a library that may not be there yet
# What the studio is started with, so that it finds its installer.
INSTALLATION_VARIABLE = "LTX_STUDIO_INSTALLATION"
INSTALLER_VARIABLE = "LTX_STUDIO_INSTALLER"
INSTALLER_PYTHON_VARIABLE = "LTX_STUDIO_INSTALLER_PYTHON"
PACKAGE_VARIABLE = "LTX_STUDIO_PACKAGE"
MODELS_VARIABLE = "LTX_STUDIO_MODELS"
PROJECTS_VARIABLE = "LTX_STUDIO_PROJECTS"

_NAME = "ltx-studio"


def default_data_folder() -> Path:
    """The same as `engine.folders.data_folder`, without platformdirs."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / _NAME
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    share = os.environ.get("XDG_DATA_HOME", "").strip()
    return (Path(share) if share else Path.home() / ".local" / "share") / _NAME


def default_cache_folder() -> Path:
    """The same as `engine.folders.cache_folder`."""
    if os.environ.get(HOME_VARIABLE):
        return default_data_folder() / "cache"
    if sys.platform == "win32":
        return default_data_folder() / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _NAME
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(cache) if cache else Path.home() / ".cache") / _NAME


def default_home() -> Path:
    return default_data_folder() / "installation"


@dataclass(frozen=True)
class Layout:
    """`home` holds the record and the shell, `engine` the large part; they are the same unless the user chose."""

    home: Path
    engine: Path

    @classmethod
    def of(cls, home: Path, installation: Installation) -> "Layout":
        return cls(home, Path(installation.engine_folder) if installation.engine_folder else home)

    @property
    def lock(self) -> Path:
        return self.home / "installation.lock"

    @property
    def log(self) -> Path:
        return self.home / "logs" / "install.log"

    @property
    def studios(self) -> Path:
        return self.home / "studio"

    @property
    def kits(self) -> Path:
        return self.home / "kits"

    def root(self, *, is_engine: bool) -> Path:
        return self.engine if is_engine else self.home

    def wheels(self, *, is_engine: bool) -> Path:
        return self.root(is_engine=is_engine) / "wheels"

    def environments(self, *, is_engine: bool) -> Path:
        return self.root(is_engine=is_engine) / "environments"

    def environment(self, build: Build, *, is_engine: bool) -> Path:
        return self.environments(is_engine=is_engine) / build.environment

    def manifest(self, build: Build, *, is_engine: bool) -> Path:
        return self.environments(is_engine=is_engine) / f"{build.environment}.json"


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def packages_of(environment: Path, python: str) -> Path:
    """Where its packages are; `python` is the version such as "3.11"."""
    return environment / ("Lib/site-packages" if os.name == "nt" else f"lib/python{python}/site-packages")
