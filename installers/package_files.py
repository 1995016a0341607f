"""The files of a package: which of the project's go in, how they are copied, and archives that come out the same twice.

The list is git's (or, in an unpacked source archive, SOURCES), so neither caches nor environments nor anything else
that happens to lie around gets in. Every time stamp is SOURCE_DATE_EPOCH, or else that of the last commit.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = "SOURCES.txt"  # one path a line, in source archives, which have no git
# What the studio's wheel and the kit are made of. Tests, documents and the build's own settings stay out.
PARTS: Final = (
    "engine",
    "ltx_studio",
    "resources",
    "installers",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICES.md",
)
MANIFEST: Final = "manifest.json"
_EPOCH_OF_ZIP: Final = 315_532_800  # 1980-01-01, the first day a zip file can name


class PackageError(Exception):
    """A package cannot be built; the message is for who builds it."""


def source_files(root: Path = ROOT) -> list[str]:
    """The project's own files below PARTS, sorted, with slashes. Raises PackageError without git and SOURCES."""
    if (root / SOURCES).is_file():
        names = (root / SOURCES).read_text(encoding="utf-8").splitlines()
    else:
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise PackageError(f"git could not be started: {error.strerror}. Install git.") from error
        if result.returncode != 0:
            raise PackageError(f"{root} is neither a git checkout nor a source archive with {SOURCES}.")
        names = result.stdout.split("\0")
    return sorted({name for name in names if name and (root / name).is_file()})


def copy_sources(root: Path, folder: Path) -> None:
    """The listed files, readable by everyone, their execute bit as git has it."""
    for name in source_files(root):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
        target.chmod(0o755 if os.access(root / name, os.X_OK) else 0o644)


def version(root: Path = ROOT) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def source_date_epoch(root: Path = ROOT) -> int:
    """Seconds since 1970 that every file of a package is dated with."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdigit():
            raise PackageError(f"SOURCE_DATE_EPOCH is {given!r}, which is no number of seconds.")
        return int(given)
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return _EPOCH_OF_ZIP
    return int(result.stdout) if result.returncode == 0 and result.stdout.strip().isdigit() else _EPOCH_OF_ZIP


def build_wheel(root: Path, work: Path, *, epoch: int) -> Path:
    """The studio's own wheel, made from the listed files alone and without the network. Raises PackageError."""
    sources, out = work / "sources", work / "wheel"
    copy_sources(root, sources)
    out.mkdir(parents=True, exist_ok=True)
    # The build back-end directly: pip would want to fetch setuptools for each build.
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(max(epoch, _EPOCH_OF_ZIP))}
    command = [sys.executable, "-c", code, str(out)]
    result = subprocess.run(command, cwd=sources, env=environ, capture_output=True, text=True, check=False)
    wheels = sorted(out.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise PackageError(f"The studio's wheel could not be built ({reason}). It needs: pip install 'setuptools>=77'")
    return wheels[0]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> Iterator[Path]:
    """Every file and link below `folder`, sorted by path."""
    yield from sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def write_manifest(folder: Path) -> None:
    """The size and SHA-256 of every file of the package, written last."""
    files = [
        {"path": path.relative_to(folder).as_posix(), "size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in tree(folder)
        if path != folder / MANIFEST
    ]
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "files": files}, indent=1) + "\n", encoding="utf-8")
    (folder / MANIFEST).chmod(0o644)


def write(path: Path, content: bytes | str, *, executable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755 if executable else 0o644)


def fill(template: Path, **values: str) -> str:
    """The text of a template with each `@NAME@` replaced; every value has to be used, every name to be given."""
    text = template.read_text(encoding="utf-8")
    for name, value in values.items():
        mark = f"@{name.upper()}@"
        assert mark in text, (template, mark)
        text = text.replace(mark, value)
    return text


def set_times(folder: Path, epoch: int) -> None:
    """Date every file and folder, and give it the permissions that everyone needs."""
    for path in [folder, *sorted(folder.rglob("*"))]:
        if path.is_symlink():
            continue
        is_program = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
        path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (epoch, epoch))


def make_tar(folder: Path, archive: Path, *, epoch: int) -> None:
    """A `.tar.gz` that holds `folder`; the same files make the same bytes."""

    def normal(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = epoch
        info.mode = 0o755 if info.isdir() or info.mode & stat.S_IXUSR else 0o644
        return info

    partial = archive.with_name(f"{archive.name}.part")
    with (
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            name = path.relative_to(folder.parent).as_posix()
            tar.add(path, arcname=name, recursive=False, filter=normal)
    partial.replace(archive)


def make_zip(folder: Path, archive: Path, *, epoch: int) -> None:
    """A `.zip` that holds `folder`, with links and execute bits as macOS's unpacker reads them."""
    moment = time.gmtime(max(epoch, _EPOCH_OF_ZIP))[:6]
    partial = archive.with_name(f"{archive.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for path in tree(folder):
            info = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), moment)
            info.create_system = 3  # Unix: the attributes below are a mode
            info.compress_type = zipfile.ZIP_DEFLATED
            if path.is_symlink():
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                packed.writestr(info, str(path.readlink()))
                continue
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            info.external_attr = (stat.S_IFREG | mode) << 16
            packed.writestr(info, path.read_bytes())
    partial.replace(archive)


def append_zip(stub: bytes, files: dict[str, str]) -> bytes:
    """A program with a zip file behind it, which Python runs as a script."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        for name, text in files.items():
            packed.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return stub + buffer.getvalue()


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in tree(folder) if not path.is_symlink())
