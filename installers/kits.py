"""Put a kit together: what a package of LTX Studio carries (see README.md), whole or not at all."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import remove_tree, sha256_of, write_json
from ltx_studio.installation.kit import KIT_FILE

# What the installer is made of on a user's machine; the rest of this folder makes locks and packages.
INSTALLER_CODE = (
    "bootstrap.py",
    "building.py",
    "fetching.py",
    "hardware.py",
    "install.py",
    "launching.py",
    "removing.py",
    "smoke.py",
    "updating.py",
    "work.py",
)


def kit_files(root: Path) -> list[Path]:
    """Every file of a kit that comes from a checkout, relative to it."""
    shared = (root / "ltx_studio" / "installation").glob("*.py")
    locks = (root / "installers" / "locks").glob("*/*.json")
    return [
        *(Path("installers", name) for name in INSTALLER_CODE),
        Path("ltx_studio", "__init__.py"),
        *sorted(file.relative_to(root) for file in (*shared, *locks)),
    ]


def make_kit(
    folder: Path,
    *,
    root: Path,
    studio_wheel: Path,
    uv: Path | None = None,
    python: Path | None = None,
    updates: str | None = None,
    wheels: Iterable[Path] = (),
) -> None:
    """Write the kit of a checkout into a folder that is not there yet. `python` is a folder. Raises InstallError."""
    partial = folder.with_name(f"{folder.name}.part")
    try:
        remove_tree(partial)
        for file in kit_files(root):
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, partial / file)
        (partial / "wheels").mkdir()
        for wheel in (studio_wheel, *wheels):
            shutil.copyfile(wheel, partial / "wheels" / wheel.name)
        if uv is not None:
            (partial / "bin").mkdir()
            shutil.copy(uv, partial / "bin" / uv.name)
        if python is not None:
            shutil.copytree(python, partial / "python", symlinks=True)
        version = studio_wheel.name.split("-")[1]
        studio = {"file": studio_wheel.name, "sha256": sha256_of(studio_wheel)}
        write_json(partial / KIT_FILE, {"version": version, "studio_wheel": studio, "updates": updates})
        partial.rename(folder)
    except (OSError, IndexError) as error:
        raise InstallError("not-written", f"{folder} cannot be written: {error}.") from error
