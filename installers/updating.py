"""Releases: what the feed offers, and a new kit onto this disk. Asked for only by name, and never when sealed."""

import subprocess
import sys
import zipfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from installers.fetching import Gathering, read_feed
from installers.work import Site
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import flush_all, remove_tree
from ltx_studio.installation.kit import Kit, read_kit
from ltx_studio.installation.messages import Message, Planned
from ltx_studio.installation.state import Installation, Part
from ltx_studio.installation.updates import Offer, Release, numbers, offer


def look(site: Site) -> tuple[Release, Offer | None]:
    """Ask the feed. Raises InstallError where the network may not be used, or this copy knows of no feed."""
    if not site.access.is_allowed:
        raise InstallError(
            "offline", "The network is not to be used.", remedy="Allow it, or bring a new package from elsewhere."
        )
    if site.kit.updates is None:
        raise InstallError(
            "no-feed",
            "This copy does not know where new versions are published.",
            remedy="Get a new package where this one came from.",
        )
    release = Release.parse(read_feed(site.kit.updates, site.access))
    return release, offer(release, site.record.read(), site.kit.version)


def fetch_kit(site: Site, release: Release) -> Generator[Message, None, Path]:
    """The release's kit, unpacked under its version; returns its folder. Raises InstallError and StoppedError."""
    kits = site.layout().kits
    folder = kits / release.version
    if not (folder / "kit.json").is_file():
        gathering = Gathering([release.kit], kits, replace(site.access, mirror=None), part=Part.SHELL)
        yield Planned(Part.SHELL, "shell", gathering.missing_bytes, release.kit.size_bytes, 0)
        yield from gathering.run(site.stop)
        _unpack(gathering.found[release.kit.file], folder)
        gathering.found[release.kit.file].unlink()
    kit = read_kit(folder)
    if kit.version != release.version:
        raise InstallError("bad-kit", f"The release {release.version} contains {kit.version}.")
    return folder


def _unpack(archive_path: Path, folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.part")
    try:
        remove_tree(partial)
        remove_tree(folder)
        with zipfile.ZipFile(archive_path) as archive:
            for name in archive.namelist():
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise InstallError("bad-kit", "The release has files outside its folder, and is not used.")
            archive.extractall(partial)
        flush_all()
        partial.rename(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise InstallError("bad-kit", f"The release cannot be unpacked: {error}.", remedy="Try again.") from error


def newest_kit(site: Site, installation: Installation) -> Kit:
    """The one an update brought, where it is newer than the package's own and was not left by a rollback."""
    version = installation.kit_version
    if version is None or version == installation.skipped_version:
        return site.kit
    folder = site.home / "kits" / version
    try:
        is_newer = numbers(version) > numbers(site.kit.version)
    except ValueError:
        return site.kit
    return read_kit(folder) if is_newer and (folder / "kit.json").is_file() else site.kit


def run_in(kit: Kit, arguments: Sequence[str]) -> int:
    """Let a kit's own code do something; its messages go where this process's would."""
    command = [sys.executable, "-I", str(kit.script), *arguments]
    return subprocess.run(command, check=False).returncode
