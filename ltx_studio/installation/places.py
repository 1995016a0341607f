"""What speaks against a folder for the engine, models or projects, and how much room is really there.

Pure but for `look_at`, which asks the disk. Kinds of file systems are those of `/proc/mounts` on Linux, `mount` on
macOS and `GetDriveType` on Windows.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

_NETWORK_SYSTEMS = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "webdav", "davfs", "9p", "ceph", "afs", "lustre", "glusterfs"),
    *("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.gvfsd-fuse"),
}
_SYNCED_NAMES = (
    "onedrive",
    "dropbox",
    "google drive",
    "googledrive",
    "icloud drive",
    "icloudrive",
    "nextcloud",
    "box sync",
)
_SYNCED_PARTS = ("com~apple~clouddocs", "cloudstorage")  # inside Library on macOS
# The longest path inside an environment is some 170 letters (torch's headers); Windows ends at 260 unless told
# otherwise.
_LONGEST_INSIDE = 170
_WINDOWS_PATH = 260


class Use(StrEnum):
    ENGINE = "engine"
    MODELS = "models"
    PROJECTS = "projects"


class Remark(StrEnum):
    """`is_fatal` ones must be changed, the others are warnings."""

    NOT_WRITABLE = "not-writable"
    NETWORK = "network"
    SYNCED = "synced"
    LONG_PATH = "long-path"
    NOT_ENOUGH_ROOM = "not-enough-room"
    NOT_ABSOLUTE = "not-absolute"


@dataclass(frozen=True)
class Place:
    """What is known of a folder that is there, or will be."""

    folder: PurePath
    free_bytes: int | None
    file_system: str = ""
    is_writable: bool = True
    is_windows: bool = False
    takes_long_paths: bool = True


@dataclass(frozen=True)
class Verdict:
    remark: Remark
    is_fatal: bool
    sentence: str


def verdicts(place: Place, use: Use, *, needed_bytes: int = 0) -> Iterator[Verdict]:
    """What the user should know before choosing this folder, the worst first."""
    name = str(place.folder)
    is_engine = use is Use.ENGINE
    if not place.folder.is_absolute():
        yield Verdict(
            Remark.NOT_ABSOLUTE, True, f"{name} is not a whole path. Choose a folder from the disk's root on."
        )
        return
    if not place.is_writable:
        yield Verdict(Remark.NOT_WRITABLE, True, f"{name} cannot be written. Choose another folder.")
    if place.free_bytes is not None and place.free_bytes < needed_bytes:
        sentence = f"{needed_bytes / 1e9:.1f} GB are needed and {place.free_bytes / 1e9:.1f} GB are free there."
        yield Verdict(Remark.NOT_ENOUGH_ROOM, True, f"{sentence} Free some space, or choose another disk.")
    if _is_on_network(place):
        end = "The engine would start slowly and break when the network does." if is_engine else "It will be slow."
        yield Verdict(Remark.NETWORK, is_engine, f"{name} is on a network. {end}")
    if _is_synced(place.folder):
        end = (
            "Thousands of files would be uploaded and locked while they are. Choose a folder outside it."
            if is_engine
            else "Large files would be uploaded, and may be taken off this disk again."
        )
        yield Verdict(Remark.SYNCED, is_engine, f"{name} is kept in step with a cloud. {end}")
    if is_engine and place.is_windows and not place.takes_long_paths and len(name) + _LONGEST_INSIDE > _WINDOWS_PATH:
        limit = _WINDOWS_PATH - _LONGEST_INSIDE
        yield Verdict(
            Remark.LONG_PATH, True, f"{name} is too long for Windows. Choose a folder of at most {limit} letters."
        )


def _is_on_network(place: Place) -> bool:
    return place.file_system.lower() in _NETWORK_SYSTEMS or str(place.folder).startswith("\\\\")


def _is_synced(folder: PurePath) -> bool:
    parts = [part.lower() for part in folder.parts]
    return any(part.startswith(_SYNCED_NAMES) or part in _SYNCED_PARTS for part in parts)


def look_at(folder: Path) -> Place:
    """Asks the disk under the nearest folder that exists; makes nothing."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free_bytes = None
    with suppress(OSError):
        free_bytes = shutil.disk_usage(there).free
    return Place(
        folder,
        free_bytes,
        file_system=_file_system(there.resolve()),
        is_writable=_is_writable(there),
        is_windows=sys.platform == "win32",
        takes_long_paths=_takes_long_paths(),
    )


def _is_writable(folder: Path) -> bool:
    """By trying: permissions do not tell of disks that are mounted read-only, nor of what Windows protects."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _file_system(folder: Path) -> str:
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - `windll` exists on Windows alone

        remote = 4  # DRIVE_REMOTE
        return "smb3" if ctypes.windll.kernel32.GetDriveTypeW(folder.anchor) == remote else ""
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=10, check=True).stdout
            return file_system_of(folder, _mac_mounts(said))
        return ""
    with suppress(OSError):
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
        return file_system_of(folder, [(row[1].replace("\\040", " "), row[2]) for row in map(str.split, lines)])
    return ""


def _mac_mounts(said: str) -> list[tuple[str, str]]:
    """From lines such as `//me@host/share on /Volumes/share (smbfs, nodev)`."""
    rows: list[tuple[str, str]] = []
    for line in said.splitlines():
        _, _, rest = line.partition(" on ")
        point, _, kinds = rest.rpartition(" (")
        rows.append((point, kinds.partition(",")[0].rstrip(")")))
    return rows


def file_system_of(folder: PurePath, mounts: Sequence[tuple[str, str]]) -> str:
    """The kind of the innermost of these mount points (and kinds) that a folder is in."""
    inside = [(len(PurePath(point).parts), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(inside, default=(0, ""), key=lambda found: found[0])[1]


def _takes_long_paths() -> bool:
    if sys.platform != "win32":
        return True
    import winreg  # noqa: PLC0415 - exists on Windows alone

    with (
        suppress(OSError),
        winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key,
    ):
        return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    return os.name != "nt"
