"""What packages are made of, small and without the registry: uv, launcher stubs, and a wheel of the studio."""

import struct
import zipfile
from pathlib import Path

import pytest

from installers import package_tree, package_windows
from installers.package_tree import Build
from ltx_studio.installation.targets import Platform

EPOCH = 1_700_000_000


def windows_program(*, subsystem: int, machine: int = 0x8664) -> bytes:
    """The header of a 64-bit Windows program without code."""
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<H", optional, 68, subsystem)
    header = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 0, 0, 0, 0, len(optional), 0x22)
    return b"MZ" + b"\0" * 58 + struct.pack("<I", 64) + header + bytes(optional)


def uv(platform: Platform) -> bytes:
    match platform:
        case Platform.WINDOWS:
            return windows_program(subsystem=3)
        case Platform.MACOS:
            return b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" + b"\0" * 24
        case _:
            machine = b"\xb7\x00" if platform is Platform.LINUX_ARM64 else b"\x3e\x00"
            return b"\x7fELF\2\1\1" + b"\0" * 9 + b"\2\0" + machine + b"\0" * 44


def _launcher_stub(*, has_console: bool, cache: Path) -> bytes:
    del cache
    return windows_program(subsystem=3 if has_console else 2)


def make_build(work: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build of this project's files that asks the registry for nothing."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    monkeypatch.setattr(package_tree, "uv_binary", lambda platform, _tools: uv(platform))
    monkeypatch.setattr(package_tree, "uv_without_console", lambda _tools: windows_program(subsystem=2))
    monkeypatch.setattr(package_windows, "launcher_stub", _launcher_stub)
    wheel = work / "wheel" / "ltx_studio-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(zipfile.ZipInfo("ltx_studio/__init__.py"), '__version__ = "0.1.0"\n')
    return Build(work, work / "tools", wheel)
