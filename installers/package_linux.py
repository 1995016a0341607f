"""The Linux packages: a portable `.tar.gz` that runs from any folder as any user, and a `.deb`.

Both hold the same tree. The `.deb` adds the desktop entry, icons, the project's file type and AppStream metadata, and
is put together by `dpkg-deb`. The AppImage's tree is made here too; its runtime comes with appimagetool, in CI alone.
"""

import datetime
import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Final

from installers import icons
from installers.package_files import (
    PackageError,
    fill,
    folder_bytes,
    make_tar,
    set_times,
    sha256_of,
    tree,
    write,
    write_manifest,
)
from installers.package_tree import PROJECT_EXTENSION, Build, finish, make_tree
from ltx_studio.installation.targets import Platform

TEMPLATES: Final = Path(__file__).resolve().parent / "linux"
ARCHITECTURES: Final = {Platform.LINUX: ("x86_64", "amd64"), Platform.LINUX_ARM64: ("arm64", "arm64")}  # ours, Debian's
GLIBC: Final = {Platform.LINUX: "2.34", Platform.LINUX_ARM64: "2.39"}  # what the locks' wheels ask for
DEB_FOLDER: Final = "usr/lib/ltx-studio"


def archive_name(platform: Platform, version: str) -> str:
    return f"ltx-studio-{version}-linux-{ARCHITECTURES[platform][0]}.tar.gz"


def deb_name(platform: Platform, version: str) -> str:
    return f"ltx-studio_{version}_{ARCHITECTURES[platform][1]}.deb"


def make_linux_tree(folder: Path, platform: Platform, build: Build) -> None:
    """What both packages hold."""
    make_tree(folder, platform, build)
    write(folder / "ltx-studio", (TEMPLATES / "ltx-studio.sh").read_text(encoding="utf-8"), executable=True)


def make_archive(out: Path, platform: Platform, build: Build) -> Path:
    """The portable archive, the same bytes for the same files."""
    archive = out / archive_name(platform, build.version)
    folder = build.work / platform.value / archive.name.removesuffix(".tar.gz")
    make_linux_tree(folder, platform, build)
    write(folder / "README.txt", fill(TEMPLATES / "README.txt", version=build.version))
    # The places are filled in where it was unpacked, by `--add-to-menu`.
    entry = (TEMPLATES / "ltx-studio.desktop").read_text(encoding="utf-8").replace("@FILES@", "%f")
    write(folder / "share" / "ltx-studio.desktop", entry)
    write(folder / "share" / "ltx-studio.xml", fill(TEMPLATES / "mime.xml", extension=PROJECT_EXTENSION))
    finish(folder, build)
    write_manifest(folder)
    out.mkdir(parents=True, exist_ok=True)
    make_tar(folder, archive, epoch=build.epoch)
    return archive


def make_deb(out: Path, platform: Platform, build: Build) -> Path:
    """The Debian package. Raises PackageError where dpkg-deb is missing."""
    if shutil.which("dpkg-deb") is None:
        raise PackageError("dpkg-deb is missing, which puts .deb files together: sudo apt-get install dpkg")
    package = out / deb_name(platform, build.version)
    root = build.work / platform.value / "deb"
    folder = root / DEB_FOLDER
    make_linux_tree(folder, platform, build)
    (folder / "LICENSE.txt").unlink()  # Debian keeps it in doc/.../copyright
    (folder / "NOTICES.md").unlink()
    _add_desktop_files(root, build)
    _add_documents(root, build)
    finish(folder, build)
    write_manifest(folder)
    kibibytes = folder_bytes(root) // 1024
    control = fill(
        TEMPLATES / "control",
        version=build.version,
        architecture=ARCHITECTURES[platform][1],
        kibibytes=str(kibibytes),
        glibc=GLIBC[platform],
    )
    sums = "".join(
        f"{_md5(path)}  {path.relative_to(root).as_posix()}\n" for path in tree(root) if not path.is_symlink()
    )
    write(root / "DEBIAN" / "control", control)
    write(root / "DEBIAN" / "md5sums", sums)
    for name in ("prerm", "postrm"):
        write(root / "DEBIAN" / name, (TEMPLATES / name).read_text(encoding="utf-8"), executable=True)
    set_times(root, build.epoch)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{package.name}.part"
    environ = {"SOURCE_DATE_EPOCH": str(build.epoch), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(partial)]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PackageError(f"dpkg-deb could not build {package.name}: {result.stderr.strip()}")
    partial.replace(package)
    return package


def make_appimage_tree(folder: Path, platform: Platform, build: Build) -> None:
    """What appimagetool makes an AppImage of. It needs a Python of its own: there is no package manager to ask."""
    if build.python is None:
        raise PackageError("An AppImage carries its own Python: give the folder of one with --python.")
    make_linux_tree(folder / "usr" / "lib" / "ltx-studio", platform, build)
    _add_desktop_files(folder, build)
    (folder / "ltx-studio.desktop").symlink_to("usr/share/applications/ltx-studio.desktop")
    write(folder / "ltx-studio.png", icons.draw_png(icons.SOURCES / f"{icons.APP}.svg", 256))
    write(folder / "AppRun", (TEMPLATES / "AppRun").read_text(encoding="utf-8"), executable=True)
    finish(folder, build)
    write_manifest(folder / "usr" / "lib" / "ltx-studio")


def _add_desktop_files(root: Path, build: Build) -> None:
    share = root / "usr" / "share"
    program = root / "usr" / "bin" / "ltx-studio"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.symlink_to("../lib/ltx-studio/ltx-studio")
    date = datetime.datetime.fromtimestamp(build.epoch, datetime.UTC).strftime("%Y-%m-%d")
    desktop = fill(TEMPLATES / "ltx-studio.desktop", exec="ltx-studio", tryexec="ltx-studio", files="%f")
    write(share / "applications" / "ltx-studio.desktop", desktop)
    write(
        share / "metainfo" / "io.github.ltx_studio.LtxStudio.metainfo.xml",
        fill(TEMPLATES / "metainfo.xml", version=build.version, date=date),
    )
    write(share / "mime" / "packages" / "ltx-studio.xml", fill(TEMPLATES / "mime.xml", extension=PROJECT_EXTENSION))
    theme = share / "icons" / "hicolor"
    for stem, kind in ((icons.APP, "apps"), (icons.PROJECT, "mimetypes")):
        source = icons.SOURCES / f"{stem}.svg"
        for pixels in icons.PNG_SIZES:
            write(theme / f"{pixels}x{pixels}" / kind / f"{stem}.png", icons.draw_png(source, pixels))
        write(theme / "scalable" / kind / f"{stem}.svg", source.read_bytes())


def _add_documents(root: Path, build: Build) -> None:
    documents = root / "usr" / "share" / "doc" / "ltx-studio"
    moment = datetime.datetime.fromtimestamp(build.epoch, datetime.UTC)
    changes = fill(TEMPLATES / "changelog", version=build.version, date=moment.strftime("%a, %d %b %Y %H:%M:%S +0000"))
    write(documents / "changelog.gz", gzip.compress(changes.encode(), 9, mtime=0))
    notices = (build.root / "NOTICES.md").read_text(encoding="utf-8")
    write(documents / "copyright", (TEMPLATES / "copyright").read_text(encoding="utf-8"))
    write(documents / "NOTICES.md.gz", gzip.compress(notices.encode(), 9, mtime=0))
    manual = (TEMPLATES / "ltx-studio.1").read_text(encoding="utf-8")
    write(root / "usr" / "share" / "man" / "man1" / "ltx-studio.1.gz", gzip.compress(manual.encode(), 9, mtime=0))
    for package, tags in (("ltx-studio", (TEMPLATES / "lintian-overrides").read_text(encoding="utf-8")),):
        write(root / "usr" / "share" / "lintian" / "overrides" / package, tags)


def _md5(path: Path) -> str:
    import hashlib  # noqa: PLC0415 - the format of md5sums wants it, nothing else here does

    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def describe(paths: list[Path]) -> str:
    """Lines as sha256sum writes them."""
    return "".join(f"{sha256_of(path)}  {path.name}\n" for path in paths)
