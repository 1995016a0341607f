"""The part of a package that is alike on every system: the kit, what starts it, what unpacks an offline pack, icons.

NAME/
  kit/            see README.md
  start.py        what the launcher runs (package_start.py)
  unpack.py       installs from an offline pack (package_unpack.py)
  icons/          drawn from resources/icons
  LICENSE.txt  NOTICES.md
  manifest.json   size and SHA-256 of every file above, and of what each system adds
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installers import icons
from installers.kits import make_kit
from installers.package_files import ROOT, set_times, source_date_epoch, version, write
from installers.package_tools import uv_binary, uv_without_console
from ltx_studio.installation.targets import Platform

PROJECT_EXTENSION: Final = "ltxproject"
SMALL_ICON_PIXELS: Final = (16, 32, 48, 128, 256)


@dataclass(frozen=True)
class Build:
    """What all packages of one run share. `python` is a folder with a Python 3.11 for the platform, or None."""

    work: Path
    tools: Path
    studio_wheel: Path
    python: Path | None = None
    updates: str | None = None
    root: Path = ROOT

    @property
    def version(self) -> str:
        return version(self.root)

    @property
    def epoch(self) -> int:
        return source_date_epoch(self.root)


def make_tree(folder: Path, platform: Platform, build: Build) -> None:
    """Fill an empty folder with what is alike; the caller adds its own, then writes the manifest and the times."""
    is_windows = platform is Platform.WINDOWS
    uv = build.work / "uv" / platform.value / ("uv.exe" if is_windows else "uv")
    write(uv, uv_binary(platform, build.tools), executable=True)
    make_kit(
        folder / "kit",
        root=build.root,
        studio_wheel=build.studio_wheel,
        uv=uv,
        python=build.python,
        updates=build.updates,
    )
    if is_windows:
        write(folder / "kit" / "bin" / "uvw.exe", uv_without_console(build.tools), executable=True)
    here = build.root / "installers"
    for source, name in ((here / "package_start.py", "start.py"), (here / "package_unpack.py", "unpack.py")):
        shutil.copyfile(source, folder / name)
    shutil.copyfile(build.root / "LICENSE", folder / "LICENSE.txt")
    shutil.copyfile(build.root / "NOTICES.md", folder / "NOTICES.md")
    for stem in (icons.APP, icons.PROJECT):
        for pixels in SMALL_ICON_PIXELS:
            png = icons.draw_png(icons.SOURCES / f"{stem}.svg", pixels)
            write(folder / "icons" / f"{stem}-{pixels}.png", png)


def finish(folder: Path, build: Build) -> None:
    """Caches out, times and permissions set; nothing may change the folder after this."""
    for cache in sorted(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    set_times(folder, build.epoch)
