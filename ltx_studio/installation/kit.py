"""What a package of LTX Studio carries, found from where the installer's code lies.

In a checkout there is no wheel of the studio, and its code is used where it lies.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ltx_studio import __version__
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import read_json

KIT_FILE = "kit.json"
_EXECUTABLE = ".exe" if os.name == "nt" else ""


@dataclass(frozen=True)
class Kit:
    folder: Path
    version: str
    studio_wheel: str | None  # None: a checkout, whose code is used where it lies
    studio_sha256: str
    updates: str | None  # address of the release feed

    @property
    def locks(self) -> Path:
        return self.folder / "installers" / "locks"

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def script(self) -> Path:
        return self.folder / "installers" / "install.py"


def read_kit(folder: Path) -> Kit:
    """Raises InstallError where kit.json is damaged."""
    try:
        values = read_json(folder / KIT_FILE)
        if values is None:
            return Kit(folder, __version__, None, "", None)
        studio = values["studio_wheel"]
        updates = values.get("updates")
        return Kit(
            folder,
            str(values["version"]),
            Path(studio["file"]).name,
            str(studio["sha256"]),
            None if updates is None else str(updates),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstallError(
            "damaged-kit", f"{folder / KIT_FILE} cannot be read.", remedy="Get the package again."
        ) from error


def find_uv(*kits: Path) -> Path:
    """The one in a kit, beside this Python, or on the PATH. Raises InstallError."""
    places = [
        *(kit / "bin" / f"uv{_EXECUTABLE}" for kit in kits),
        Path(sys.executable).parent / f"uv{_EXECUTABLE}",
    ]
    for place in places:
        if place.is_file():
            return place
    found = shutil.which("uv")
    if found is None:
        raise InstallError(
            "no-uv",
            "uv, which installs the packages, is not part of this copy.",
            remedy="Get the package again, or install uv (pip install uv).",
        )
    return Path(found)
