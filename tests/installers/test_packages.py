"""Packages for every system, made of small stand-ins. Alone: `pytest tests/installers/test_packages.py`."""

import json
import os
import plistlib
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from installers import package_linux, package_macos, package_windows
from installers.package_check import (
    check_bundle,
    check_kit,
    check_launcher,
    check_package,
    check_program,
    check_windows_names,
    check_windows_tree,
)
from installers.package_dmg import make_udif, read_udif
from installers.package_files import PackageError
from installers.package_tree import Build
from ltx_studio.installation.targets import Platform
from tests.fakes.packages import make_build, windows_program

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="a shell script")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return make_build(tmp_path / "work", monkeypatch)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def executables(folder: Path) -> set[str]:
    return {name for name in contents(folder) if os.access(folder / name, os.X_OK)}


# --- Linux


def test_the_same_files_make_the_same_portable_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        package_linux.make_archive(
            tmp_path / name, Platform.LINUX, make_build(tmp_path / f"work-{name}", monkeypatch)
        ).read_bytes()
        for name in ("first", "second")
    ]

    assert made[0] == made[1]


def test_both_portable_archives_pass_the_checks(tmp_path: Path, build: Build) -> None:
    for platform in (Platform.LINUX, Platform.LINUX_ARM64):
        assert check_package(package_linux.make_archive(tmp_path, platform, build)) == []


@POSIX_ONLY
def test_the_portable_archive_starts_from_a_folder_with_a_space(tmp_path: Path, build: Build) -> None:
    with tarfile.open(package_linux.make_archive(tmp_path, Platform.LINUX, build)) as archive:
        archive.extractall(tmp_path / "my programs", filter="data")
    (program,) = (tmp_path / "my programs").glob("*/ltx-studio")

    said = subprocess.run([program, "--where"], capture_output=True, text=True, check=True).stdout

    assert json.loads(said)["package"] == str(program.parent)


@POSIX_ONLY
def test_a_folder_named_data_keeps_everything_with_the_portable_archive(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LTX_STUDIO_HOME")
    with tarfile.open(package_linux.make_archive(tmp_path, Platform.LINUX, build)) as archive:
        archive.extractall(tmp_path / "disk", filter="data")
    (program,) = (tmp_path / "disk").glob("*/ltx-studio")
    (program.parent / "data").mkdir()

    said = subprocess.run([program, "--where"], capture_output=True, text=True, check=True).stdout

    assert json.loads(said)["data"] == str(program.parent / "data")


@POSIX_ONLY
def test_the_portable_archive_goes_into_the_menu_and_out_again(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share"
    monkeypatch.setenv("XDG_DATA_HOME", str(share))
    with tarfile.open(package_linux.make_archive(tmp_path, Platform.LINUX, build)) as archive:
        archive.extractall(tmp_path / "my programs", filter="data")
    (program,) = (tmp_path / "my programs").glob("*/ltx-studio")

    subprocess.run([program, "--add-to-menu"], capture_output=True, check=True)
    entry = (share / "applications" / "ltx-studio.desktop").read_text(encoding="utf-8")
    icons = list((share / "icons").rglob("*.png"))
    subprocess.run([program, "--remove-from-menu"], capture_output=True, check=True)

    assert f'Exec="{program}" %f' in entry.splitlines()
    assert len(icons) == 10
    assert [path for path in share.rglob("ltx-studio*") if path.is_file()] == []


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_debian_package_holds_what_desktops_look_for(tmp_path: Path, build: Build) -> None:
    package = package_linux.make_deb(tmp_path, Platform.LINUX, build)

    listing = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    names = {line.split()[5].removeprefix("./") for line in listing.splitlines()}
    owners = {line.split()[1] for line in listing.splitlines()}
    assert owners == {"root/root"}
    assert {
        "usr/bin/ltx-studio",
        "usr/lib/ltx-studio/kit/installers/install.py",
        "usr/share/applications/ltx-studio.desktop",
        "usr/share/metainfo/io.github.ltx_studio.LtxStudio.metainfo.xml",
        "usr/share/mime/packages/ltx-studio.xml",
        "usr/share/icons/hicolor/48x48/apps/ltx-studio.png",
        "usr/share/icons/hicolor/scalable/mimetypes/ltx-studio-project.svg",
        "usr/share/doc/ltx-studio/copyright",
    } <= names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_same_files_make_the_same_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        package_linux.make_deb(
            tmp_path / name, Platform.LINUX, make_build(tmp_path / f"work-{name}", monkeypatch)
        ).read_bytes()
        for name in ("first", "second")
    ]

    assert made[0] == made[1]


def test_a_tool_that_is_missing_is_named_with_how_to_get_it(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PackageError, match="apt-get install dpkg"):
        package_linux.make_deb(tmp_path, Platform.LINUX, build)
    with pytest.raises(PackageError, match="apt-get install nsis"):
        package_windows.make_setup(tmp_path, tmp_path, build)
    with pytest.raises(PackageError, match="apt-get install genisoimage"):
        package_macos.make_dmg(tmp_path, tmp_path, build)


def test_an_appimage_needs_a_python_of_its_own(tmp_path: Path, build: Build) -> None:
    with pytest.raises(PackageError, match="--python"):
        package_linux.make_appimage_tree(tmp_path / "AppDir", Platform.LINUX, build)


def test_an_appimages_folder_has_what_appimagetool_looks_for(tmp_path: Path, build: Build) -> None:
    (tmp_path / "python" / "bin").mkdir(parents=True)
    (tmp_path / "python" / "bin" / "python3.11").write_bytes(b"a program")
    folder = tmp_path / "AppDir"

    package_linux.make_appimage_tree(folder, Platform.LINUX, replace(build, python=tmp_path / "python"))

    assert os.access(folder / "AppRun", os.X_OK)
    assert (folder / "ltx-studio.desktop").read_text(encoding="utf-8").startswith("[Desktop Entry]")
    assert (folder / "ltx-studio.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "usr" / "lib" / "ltx-studio" / "kit" / "python" / "bin" / "python3.11").is_file()


# --- Windows


def test_the_windows_tree_passes_the_checks(tmp_path: Path, build: Build) -> None:
    package_windows.make_windows_tree(tmp_path / "LTX Studio", build)

    assert list(check_windows_tree(contents(tmp_path / "LTX Studio"))) == []


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("LTX Studio.exe", "LTX Studio.exe is missing"),
        ("kit/bin/uv.exe", "kit/bin/uv.exe is missing"),
        ("icons/ltx-studio.ico", "icons/ltx-studio.ico"),
        ("kit/installers/locks/shell/windows.json", "no lock of the shell"),
        ("kit/wheels/ltx_studio-0.1.0-py3-none-any.whl", "which kit.json names, is missing"),
    ],
)
def test_a_file_that_is_missing_from_the_windows_tree_is_named(
    tmp_path: Path, build: Build, name: str, finding: str
) -> None:
    package_windows.make_windows_tree(tmp_path / "LTX Studio", build)
    files = contents(tmp_path / "LTX Studio")
    del files[name]

    assert finding in "\n".join(check_windows_tree(files))


def test_a_changed_file_is_found_by_the_manifest(tmp_path: Path, build: Build) -> None:
    package_windows.make_windows_tree(tmp_path / "LTX Studio", build)
    files = contents(tmp_path / "LTX Studio")
    files["start.py"] += b"\n"
    files["stray.txt"] = b""

    assert list(check_windows_tree(files)) == [
        "start.py is not what manifest.json says",
        "stray.txt is not in manifest.json",
    ]


def test_names_that_windows_does_not_take_are_found() -> None:
    names = ["a/CON.txt", "b/what?.py", "c/end.", "d/Case.py", "d/case.py", "e/" + "x" * 200, "fine/name.py"]

    assert [finding.split()[0] for finding in check_windows_names(names)] == [
        "a/CON.txt",
        "b/what?.py",
        "c/end.",
        "d/case.py",
        "e/" + "x" * 200,
    ]


def test_a_launcher_with_a_console_or_for_another_processor_is_found() -> None:
    assert list(check_program("a.exe", windows_program(subsystem=3), subsystem=2)) == ["a.exe opens a console"]
    arm = windows_program(subsystem=2, machine=0xAA64)
    assert list(check_program("a.exe", arm, subsystem=2)) == ["a.exe is for machine 0xaa64"]
    assert list(check_program("a.exe", b"#!/bin/sh\n", subsystem=2)) == ["a.exe: no Windows program"]


def test_a_launcher_that_starts_something_else_is_found(tmp_path: Path, build: Build) -> None:
    launcher = package_windows.make_launcher("pythonw.exe", build.tools)

    assert list(check_launcher("a.exe", launcher, python="pythonw.exe")) == []
    assert list(check_launcher("a.exe", launcher, python="python.exe")) == [
        "a.exe does not start python.exe of the kit"
    ]
    assert "holds no code" in "\n".join(check_launcher("a.exe", launcher[:-30], python="pythonw.exe"))


@pytest.mark.skipif(shutil.which("makensis") is None, reason="needs makensis")
def test_the_installer_compiles_and_asks_for_no_administrator(tmp_path: Path, build: Build) -> None:
    package_windows.make_windows_tree(tmp_path / "LTX Studio", build)

    setup = package_windows.make_setup(tmp_path, tmp_path / "LTX Studio", build)

    assert check_package(setup) == []


# --- macOS


def test_the_bundle_passes_the_checks_and_keeps_them_in_the_zip(tmp_path: Path, build: Build) -> None:
    bundle = package_macos.make_bundle(tmp_path, build)

    assert list(check_bundle(contents(bundle / "Contents"), executables(bundle / "Contents"))) == []
    assert check_package(package_macos.make_zip_archive(tmp_path, bundle, build)) == []


def test_the_property_list_says_what_macos_asks_for(tmp_path: Path, build: Build) -> None:
    bundle = package_macos.make_bundle(tmp_path, build)

    values = plistlib.loads((bundle / "Contents" / "Info.plist").read_bytes())

    assert values["CFBundleExecutable"] == "ltx-studio"
    assert values["CFBundleShortVersionString"] == build.version
    assert values["UTExportedTypeDeclarations"][0]["UTTypeTagSpecification"]["public.filename-extension"] == [
        "ltxproject"
    ]


def test_a_bundle_whose_program_cannot_be_executed_is_found(tmp_path: Path, build: Build) -> None:
    bundle = package_macos.make_bundle(tmp_path, build)
    allowed = executables(bundle / "Contents") - {"MacOS/ltx-studio"}

    found = list(check_bundle(contents(bundle / "Contents"), allowed))

    assert found == ["MacOS/ltx-studio is missing or cannot be executed"]


@pytest.mark.skipif(shutil.which("genisoimage") is None, reason="needs genisoimage")
def test_the_disk_image_holds_the_bundle(tmp_path: Path, build: Build) -> None:
    dmg = package_macos.make_dmg(tmp_path, package_macos.make_bundle(tmp_path, build), build)

    assert check_package(dmg) == []
    image = read_udif(dmg)
    assert b"LTX Studio.app" in image
    assert b"CFBundleIdentifier" in image


def test_a_disk_image_is_read_back_as_it_was(tmp_path: Path) -> None:
    raw = os.urandom(300_000) + bytes(600_000) + b"words" * 20_000
    raw += bytes(-len(raw) % 512)
    (tmp_path / "raw").write_bytes(raw)

    make_udif(tmp_path / "raw", tmp_path / "a.dmg")

    assert read_udif(tmp_path / "a.dmg") == raw
    assert (tmp_path / "a.dmg").stat().st_size < 320_000


def test_a_damaged_disk_image_is_found(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(os.urandom(5120))
    make_udif(tmp_path / "raw", tmp_path / "a.dmg")
    content = bytearray((tmp_path / "a.dmg").read_bytes())
    content[100] ^= 1
    (tmp_path / "a.dmg").write_bytes(content)

    with pytest.raises(ValueError, match="damaged"):
        read_udif(tmp_path / "a.dmg")


# --- Locks


def test_a_wheel_of_another_system_in_a_lock_is_found(tmp_path: Path, build: Build) -> None:
    package_windows.make_windows_tree(tmp_path / "LTX Studio", build)
    files = contents(tmp_path / "LTX Studio" / "kit")
    files["installers/locks/shell/windows.json"] = files["installers/locks/shell/linux.json"]

    found = list(check_kit(files, platform="windows", wheel_tag="win_amd64", uv="bin/uv.exe"))

    assert any("which is not for windows" in finding for finding in found)
