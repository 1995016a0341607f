"""Every file of an environment with its hash: made once it was checked against the wheels, and what Repair goes by.

A wheel carries its own list (`RECORD`), and the wheel as a whole is named by the lock; so what was installed can be
compared with what was published, whoever wrote it to the disk. The few files that come from no wheel (the commands, the
environment's settings, the installer's own notes) are kept inside the manifest, so that they can be written again.
"""

import base64
import csv
import hashlib
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import read_json, sha256_of, write_json, write_whole

FORMAT = 1
_MAX_KEPT_BYTES = 4 << 20  # a launcher of Windows has some 50 kB; the Python that uv puts there some 300
_BROKEN_WHEEL = (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError)


@dataclass(frozen=True)
class Entry:
    """One file. Either a member of a wheel, or its own `content` (base64), or the target of a `link`."""

    sha256: str
    size_bytes: int
    wheel: str = ""
    member: str = ""
    content: str = ""
    link: str = ""
    is_executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """Files by their path below the environment, with forward slashes."""

    files: Mapping[str, Entry]

    @property
    def digest(self) -> str:
        """Of what the environment contains, so that two can be compared."""
        lines = (f"{path} {entry.sha256 or entry.link}" for path, entry in sorted(self.files.items()))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.files.values())

    def write(self, path: Path) -> None:
        """Raises OSError."""
        files = {name: _sparse(entry) for name, entry in self.files.items()}
        write_json(path, {"format": FORMAT, "digest": self.digest, "files": files})

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None where there is none, or one that is damaged."""
        try:
            values = read_json(path)
            if values is None or values["format"] != FORMAT:
                return None
            manifest = cls({name: Entry(**entry) for name, entry in values["files"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return manifest if manifest.digest == values["digest"] else None


def _sparse(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in vars(entry).items() if value or name in {"sha256", "size_bytes"}}


Tell = Callable[[str, int], None]  # a file, and how many bytes of it were looked at


def take(environment: Path, packages: Path, wheels: Sequence[Path], tell: Tell) -> Manifest:
    """Compare all of an environment with its wheels, and list it. Raises InstallError for any file that differs."""
    files: dict[str, Entry] = {}
    published = {path: entry for wheel in wheels for path, entry in members(wheel, environment, packages)}
    for path in walk(environment):
        name = path.relative_to(environment).as_posix()
        if path.is_symlink():
            files[name] = Entry("", 0, link=str(path.readlink()))
            continue
        found = sha256_of(path)
        size_bytes = path.stat().st_size
        is_executable = os.name != "nt" and bool(path.stat().st_mode & stat.S_IXUSR)
        entry = published.pop(name, None)
        if entry is None:
            if size_bytes > _MAX_KEPT_BYTES:
                raise _differs(name, "no package brings it")
            content = base64.b64encode(path.read_bytes()).decode()
            files[name] = Entry(found, size_bytes, content=content, is_executable=is_executable)
        elif entry.sha256 != found:
            raise _differs(name, "it is not what its package contains")
        else:
            files[name] = Entry(found, size_bytes, entry.wheel, entry.member, is_executable=is_executable)
        tell(name, size_bytes)
    if published:
        raise _differs(min(published), "it is missing")
    return Manifest(files)


def _differs(name: str, why: str) -> InstallError:
    return InstallError(
        "not-as-published", f"{name} was not installed as it should be: {why}.", remedy="Start the installation again."
    )


def damaged(environment: Path, manifest: Manifest, tell: Tell) -> Iterator[str]:
    """The files that are missing or not as they were."""
    for name, entry in manifest.files.items():
        if not _is_right(environment / name, entry):
            yield name
        tell(name, entry.size_bytes)


def _is_right(path: Path, entry: Entry) -> bool:
    try:
        if entry.link:
            return path.is_symlink() and str(path.readlink()) == entry.link
        if path.is_symlink() or path.stat().st_size != entry.size_bytes or sha256_of(path) != entry.sha256:
            return False
        return os.name == "nt" or not entry.is_executable or bool(path.stat().st_mode & stat.S_IXUSR)
    except OSError:
        return False


def mend(environment: Path, name: str, entry: Entry, find_wheel: Callable[[str], Path]) -> None:
    """Write one file again. Raises InstallError where its content cannot be had, OSError where it is in use."""
    path = environment / name
    if path.is_dir() and not path.is_symlink():
        raise InstallError("not-mended", f"{name} is a folder.", remedy="Install again.")
    if entry.link:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(entry.link)
        return
    content = base64.b64decode(entry.content) if entry.content or not entry.wheel else _member(entry, find_wheel)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise InstallError("not-mended", f"{name} cannot be made again.", remedy="Install again.")
    write_whole(path, content, mode=0o755 if entry.is_executable else None)


def _member(entry: Entry, find_wheel: Callable[[str], Path]) -> bytes:
    try:
        with zipfile.ZipFile(find_wheel(entry.wheel)) as archive:
            return archive.read(entry.member)
    except _BROKEN_WHEEL as error:
        raise InstallError("damaged-wheel", f"{entry.wheel} cannot be read.", remedy="Install again.") from error


def members(wheel: Path, environment: Path, packages: Path) -> Iterator[tuple[str, Entry]]:
    """Path below the environment and hash of each file of a wheel, by the wheel's own list. Raises InstallError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            # At the top: setuptools carries other packages whole, with theirs.
            record = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name))
            rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
            data = f"{record.partition('.dist-info/')[0]}.data"
            for member, hashed, size in ((row[0], row[1], row[2]) for row in rows if len(row) >= 3):
                if not hashed or member.endswith(".pyc"):  # the list itself, which installing rewrites, and caches
                    continue
                place = _place(PurePosixPath(member), data, packages.relative_to(environment))
                if place is None:
                    continue
                kind, _, value = hashed.partition("=")
                sha256 = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
                if kind != "sha256":
                    sha256 = hashlib.sha256(archive.read(member)).hexdigest()
                yield place, Entry(sha256, int(size or 0), wheel.name, member)
    except (*_BROKEN_WHEEL, StopIteration, IndexError) as error:
        raise InstallError(
            "damaged-wheel", f"{wheel.name} cannot be read.", remedy="Start the installation again."
        ) from error


def _place(member: PurePosixPath, data: str, packages: Path) -> str | None:
    """Where installing puts a member; None for scripts, whose first line installing may rewrite."""
    if member.parts[0] != data:
        return (PurePosixPath(packages.as_posix()) / member).as_posix()
    match member.parts[1], PurePosixPath(*member.parts[2:]):
        case (("purelib" | "platlib"), rest):
            return (PurePosixPath(packages.as_posix()) / rest).as_posix()
        case "data", rest:
            return rest.as_posix()
        case _:
            return None


def walk(environment: Path) -> Iterator[Path]:
    """Every file but Python's own caches, which are made again as needed; in a stable order."""
    for folder, folders, names in os.walk(environment):
        here = Path(folder)
        for name in [name for name in folders if (here / name).is_symlink()]:
            folders.remove(name)
            names.append(name)
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (here / name for name in sorted(names) if not name.endswith(".pyc"))
