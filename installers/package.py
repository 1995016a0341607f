"""Build LTX Studio's packages, for all systems, on one Linux machine.

    python -m installers.package all -o dist                      every package this machine can build
    python -m installers.package deb tar -o dist                  only these
    python -m installers.package check dist                       look into finished packages, see package_check.py

Kinds: deb, tar (portable Linux archive), windows (NSIS installer), windows-zip (the same tree), macos (zip and disk
image), appimage-tree (a folder for appimagetool), sbom. Beside the packages come SHA256SUMS and an SBOM.

It runs in the project's own environment (PySide6 draws the icons) and needs git, and for some kinds a Debian package,
which it names when it is missing: dpkg, nsis, genisoimage. The registry is asked for uv and distlib, once, by hash.
Set SOURCE_DATE_EPOCH to date the files; otherwise they have the date of the last commit.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from installers import package_linux, package_macos, package_windows
from installers.package_check import check_package
from installers.package_files import ROOT, PackageError, build_wheel, sha256_of, source_date_epoch, version
from installers.package_sbom import write_sbom
from installers.package_tree import Build
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.targets import Platform

KINDS = ("deb", "tar", "windows", "windows-zip", "macos", "appimage-tree", "sbom")
ALL = ("deb", "tar", "windows", "macos", "sbom")
LIMIT_BYTES = 60_000_000  # of a package without wheels and without a Python


def build_packages(kinds: Sequence[str], out: Path, build: Build, *, architectures: Sequence[Platform]) -> list[Path]:
    """The packages of these kinds, and SHA256SUMS beside them. Raises PackageError."""
    made: list[Path] = []
    for platform in architectures:
        if "tar" in kinds:
            made.append(package_linux.make_archive(out, platform, build))
        if "deb" in kinds:
            made.append(package_linux.make_deb(out, platform, build))
        if "appimage-tree" in kinds:
            folder = out / f"ltx-studio-{platform.value}.AppDir"
            shutil.rmtree(folder, ignore_errors=True)
            package_linux.make_appimage_tree(folder, platform, build)
    if {"windows", "windows-zip"} & set(kinds):
        folder = build.work / "windows" / "LTX Studio"
        package_windows.make_windows_tree(folder, build)
        if "windows" in kinds:
            made.append(package_windows.make_setup(out, folder, build))
        if "windows-zip" in kinds:
            made.append(package_windows.make_zip_archive(out, folder, build))
    if "macos" in kinds:
        bundle = package_macos.make_bundle(build.work / "macos", build)
        made.append(package_macos.make_zip_archive(out, bundle, build))
        made.append(package_macos.make_dmg(out, bundle, build))
    if "sbom" in kinds:
        made.append(write_sbom(out, root=build.root, version=build.version, epoch=build.epoch))
    _write_sums(out, made)
    return made


def build_for_pack(platforms: Sequence[Platform], out: Path, work: Path) -> None:
    """The packages that an offline pack carries for these platforms. Raises PackageError."""
    os.umask(0o022)
    tools = ROOT / "build" / "package-tools"
    build = Build(work, tools, build_wheel(ROOT, work, epoch=source_date_epoch()))
    for platform in platforms:
        match platform:
            case Platform.WINDOWS:
                # Without NSIS the tree itself, for whoever installs by hand.
                kinds = ("windows",) if shutil.which("makensis") else ("windows-zip",)
                build_packages(kinds, out, build, architectures=())
            case Platform.MACOS:
                bundle = package_macos.make_bundle(work / "macos", build)
                package_macos.make_zip_archive(out, bundle, build)
            case _:
                package_linux.make_archive(out, platform, build)
    (out / "SHA256SUMS").unlink(missing_ok=True)  # pack.json has them


def _write_sums(out: Path, made: Sequence[Path]) -> None:
    """Lines as sha256sum reads them, of what is in the folder: an earlier run's packages keep theirs."""
    path = out / "SHA256SUMS"
    before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in before) if (out / name).is_file()}
    sums |= {package.name: sha256_of(package) for package in made}
    partial = path.with_name("SHA256SUMS.part")
    partial.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())), encoding="utf-8")
    partial.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="installers.package", description="Build LTX Studio's packages.")
    parser.add_argument("kinds", nargs="+", metavar="KIND", help=f"all, check, or some of: {', '.join(KINDS)}")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--arch", choices=("x86_64", "arm64", "both"), default="x86_64", help="of the Linux packages")
    parser.add_argument("--python", type=Path, metavar="FOLDER", help="a Python 3.11 for the platform, to go in")
    parser.add_argument("--tools", type=Path, metavar="FOLDER", help="where uv and distlib are kept between builds")
    parser.add_argument("--updates", metavar="URL", help="where installed copies ask for updates, when they may")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    out: Path = options.output.resolve()
    try:
        if options.kinds[0] == "check":
            return _check([Path(name) for name in options.kinds[1:]] or [out])
        kinds = ALL if "all" in options.kinds else tuple(options.kinds)
        unknown = set(kinds) - set(KINDS)
        if unknown:
            raise PackageError(f"There is no kind {sorted(unknown)[0]!r}: choose from {', '.join(KINDS)}, or all.")
        architectures = {
            "x86_64": [Platform.LINUX],
            "arm64": [Platform.LINUX_ARM64],
            "both": list(package_linux.ARCHITECTURES),
        }
        os.umask(0o022)
        with tempfile.TemporaryDirectory(prefix="ltx-studio-package-") as folder:
            work = Path(folder)
            build = Build(
                work,
                tools=options.tools or ROOT / "build" / "package-tools",
                studio_wheel=build_wheel(ROOT, work, epoch=source_date_epoch()),
                python=options.python,
                updates=options.updates,
            )
            made = build_packages(kinds, out, build, architectures=architectures[options.arch])
    except (PackageError, InstallError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    print(f"LTX Studio {version()}, dated {source_date_epoch()}")
    for package in made:
        size = package.stat().st_size
        is_too_large = options.python is None and size > LIMIT_BYTES
        print(f"{size / 1e6:8.1f} MB  {package}{'  TOO LARGE' if is_too_large else ''}")
    return 0


def _check(paths: Sequence[Path]) -> int:
    packages = [item for path in paths for item in (sorted(path.iterdir()) if path.is_dir() else [path])]
    findings = [finding for package in packages for finding in check_package(package)]
    for finding in findings:
        print(finding)
    print(f"{len(packages)} files looked at, {len(findings)} wrong")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
