"""Look into finished packages for systems that are not at hand: every path, launcher, lock, icon and hash inside.

    python -m installers.package check dist/*

Each function returns sentences about what is wrong, none when all is right. Nothing of a package is run.
"""

import io
import json
import plistlib
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installers.icons import read_icns, read_ico
from installers.package_dmg import read_udif
from installers.package_files import MANIFEST
from ltx_studio.installation.locks import Lock

AMD64: Final = 0x8664
GUI, CONSOLE = 2, 3  # subsystems of Windows programs
MACHO_ARM64: Final = b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01"  # 64 bit, little-endian, arm64
_LONGEST_WINDOWS_PATH: Final = 140  # of 260, so that the user's folder and `.part` names have room
_RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_SIZE_OF_ICO: Final = {16, 32, 48, 256}
_NAMES_OF_ICNS: Final = {"ic07", "ic08", "ic09", "ic10"}

Files = Mapping[str, bytes]  # of a package, by path with slashes


@dataclass(frozen=True)
class Program:
    """What a Windows program's header says."""

    machine: int
    subsystem: int
    has_version: bool


def read_program(content: bytes) -> Program:
    """Raises ValueError for anything else than a 64-bit Windows program."""
    if content[:2] != b"MZ" or len(content) < 0x40:
        raise ValueError("no Windows program")
    start = struct.unpack_from("<I", content, 0x3C)[0]
    if content[start : start + 4] != b"PE\0\0":
        raise ValueError("no Windows program")
    machine, num_sections = struct.unpack_from("<HH", content, start + 4)
    size_of_optional = struct.unpack_from("<H", content, start + 20)[0]
    optional = start + 24
    if struct.unpack_from("<H", content, optional)[0] != 0x20B:
        raise ValueError("not a 64-bit program")
    subsystem = struct.unpack_from("<H", content, optional + 68)[0]
    resources = struct.unpack_from("<I", content, optional + 112 + 2 * 8)[0]  # the third directory
    sections = [
        struct.unpack_from("<8sIIII", content, optional + size_of_optional + 40 * i) for i in range(num_sections)
    ]
    for _, virtual_size, address, raw_size, raw_start in sections:
        if address <= resources < address + max(virtual_size, raw_size) and resources:
            at = raw_start + resources - address
            named, numbered = struct.unpack_from("<HH", content, at + 12)
            kinds = [struct.unpack_from("<I", content, at + 16 + 8 * i)[0] for i in range(named + numbered)]
            return Program(machine, subsystem, has_version=16 in kinds)  # RT_VERSION
    return Program(machine, subsystem, has_version=False)


# --- What every package has


def check_manifest(files: Files) -> Iterator[str]:
    """Every file is listed with its hash, and nothing else is."""
    import hashlib  # noqa: PLC0415 - only here

    if MANIFEST not in files:
        yield f"{MANIFEST} is missing"
        return
    listed = {entry["path"]: entry for entry in json.loads(files[MANIFEST])["files"]}
    for name, content in files.items():
        if name == MANIFEST:
            continue
        entry = listed.pop(name, None)
        if entry is None:
            yield f"{name} is not in {MANIFEST}"
        elif entry["sha256"] != hashlib.sha256(content).hexdigest() or entry["size_bytes"] != len(content):
            yield f"{name} is not what {MANIFEST} says"
    yield from (f"{name} is in {MANIFEST} and not in the package" for name in listed)


def check_kit(files: Files, *, platform: str, wheel_tag: str, uv: str) -> Iterator[str]:
    """The kit is whole, and has a lock whose wheels are for this platform. Paths start at the kit."""
    for name in ("kit.json", "installers/install.py", uv, "ltx_studio/__init__.py", "ltx_studio/installation/state.py"):
        if name not in files:
            yield f"kit/{name} is missing"
    if "kit.json" in files:
        studio = json.loads(files["kit.json"])["studio_wheel"]["file"]
        if f"wheels/{Path(studio).name}" not in files:
            yield f"kit/wheels/{studio}, which kit.json names, is missing"
    locks = [
        name for name in files if re.fullmatch(rf"installers/locks/(shell|engine)/{platform}(-[\w-]+)?\.json", name)
    ]
    if platform == "linux":
        locks = [name for name in locks if "arm64" not in name]
    for part in ("shell", "engine"):
        if not any(name.startswith(f"installers/locks/{part}/") for name in locks):
            yield f"the kit has no lock of the {part} for {platform}"
    for name in locks:
        try:
            lock = Lock.from_dict(json.loads(files[name]))
        except (ValueError, KeyError, TypeError) as error:
            yield f"kit/{name} cannot be read: {error}"
            continue
        for wheel in lock.wheels:
            is_fitting = wheel.file.endswith(("-any.whl", f"{wheel_tag}.whl")) or re.search(wheel_tag, wheel.file)
            if not is_fitting:
                yield f"kit/{name} names {wheel.file}, which is not for {platform}"
            if not re.fullmatch(r"[0-9a-f]{64}", wheel.sha256) or not wheel.url.startswith("https://"):
                yield f"kit/{name} names {wheel.file} without a whole hash or a secure address"
    yield from (f"kit/{name} is a cache" for name in files if "__pycache__" in name or name.endswith(".pyc"))


def below(files: Files, folder: str) -> dict[str, bytes]:
    return {
        name.removeprefix(f"{folder}/"): content for name, content in files.items() if name.startswith(f"{folder}/")
    }


# --- Windows


def check_windows_tree(files: Files) -> Iterator[str]:
    """The tree that the Windows installer puts on the disk."""
    yield from check_manifest(files)
    yield from check_windows_names(list(files))
    yield from check_kit(below(files, "kit"), platform="windows", wheel_tag="win_amd64", uv="bin/uv.exe")
    programs = {
        "LTX Studio.exe": (GUI, "pythonw.exe"),
        "ltx-studio-cli.exe": (CONSOLE, "python.exe"),
        "kit/bin/uv.exe": (CONSOLE, None),
        "kit/bin/uvw.exe": (GUI, None),
    }
    for name, (subsystem, python) in programs.items():
        if name not in files:
            yield f"{name} is missing"
            continue
        yield from check_program(name, files[name], subsystem=subsystem)
        if python is not None:
            yield from check_launcher(name, files[name], python=python)
    for name in ("icons/ltx-studio.ico", "icons/ltx-studio-project.ico"):
        try:
            sizes = {pixels for pixels, png in read_ico(files[name]) if png.startswith(b"\x89PNG\r\n")}
        except (KeyError, ValueError) as error:
            yield f"{name}: {error}"
            continue
        if not sizes >= _SIZE_OF_ICO:
            yield f"{name} has no picture of {sorted(_SIZE_OF_ICO - sizes)} pixels"
    for name in ("start.py", "unpack.py", "LICENSE.txt"):
        if name not in files:
            yield f"{name} is missing"


def check_windows_names(names: Sequence[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in names:
        for part in name.split("/"):
            if _RESERVED.match(part) or _FORBIDDEN.search(part) or part.endswith((".", " ")):
                yield f"{name} cannot be a name on Windows"
        if len(name) > _LONGEST_WINDOWS_PATH:
            yield f"{name} is too long for Windows"
        if seen.setdefault(name.lower(), name) != name:
            yield f"{name} and {seen[name.lower()]} are one file on Windows"


def check_program(name: str, content: bytes, *, subsystem: int) -> Iterator[str]:
    try:
        program = read_program(content)
    except (ValueError, struct.error) as error:
        yield f"{name}: {error}"
        return
    if program.machine != AMD64:
        yield f"{name} is for machine {program.machine:#x}"
    if program.subsystem != subsystem:
        yield f"{name} {'opens a console' if program.subsystem == CONSOLE else 'has no console'}"


def check_launcher(name: str, content: bytes, *, python: str) -> Iterator[str]:
    """Behind the stub: the interpreter, then a zip file with code that compiles."""
    expected = f"#!<launcher_dir>\\kit\\python\\{python} -I\n".encode()
    if content.count(expected) != 1:
        yield f"{name} does not start {python} of the kit"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
            compile(archive.read("__main__.py"), name, "exec")
    except (zipfile.BadZipFile, KeyError, SyntaxError, ValueError) as error:
        yield f"{name} holds no code: {error}"
        return
    if damaged is not None:
        yield f"{name}: {damaged} is damaged"


def check_setup(name: str, content: bytes) -> Iterator[str]:
    """The compiled installer, as far as its header goes; what is inside was checked as a tree."""
    yield from check_program(name, content, subsystem=GUI)
    try:
        if not read_program(content).has_version:
            yield f"{name} has no version"
    except (ValueError, struct.error):
        return
    if b"NullsoftInst" not in content:
        yield f"{name} holds no NSIS archive"
    if b"requireAdministrator" in content or b'level="asInvoker"' not in content:
        yield f"{name} asks for an administrator"


# --- macOS


def check_bundle(files: Files, executables: set[str]) -> Iterator[str]:
    """`LTX Studio.app`, its paths starting at Contents; `executables` are those with an execute bit."""
    try:
        values = plistlib.loads(files["Info.plist"])
    except (KeyError, ValueError, plistlib.InvalidFileException) as error:
        yield f"Info.plist: {error}"
        return
    required = {
        "CFBundleIdentifier": r"[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+",
        "CFBundleExecutable": r"\S+",
        "CFBundlePackageType": r"APPL",
        "CFBundleShortVersionString": r"\d+(\.\d+){0,2}",
        "CFBundleVersion": r"\d+(\.\d+){0,2}",
        "CFBundleInfoDictionaryVersion": r"6\.0",
        "LSMinimumSystemVersion": r"\d+\.\d+",
        "LSApplicationCategoryType": r"public\.app-category\.[a-z-]+",
    }
    for key, pattern in required.items():
        if not re.fullmatch(pattern, str(values.get(key, ""))):
            yield f"Info.plist says {key} is {values.get(key)!r}"
    program = f"MacOS/{values.get('CFBundleExecutable')}"
    if program not in files or program not in executables:
        yield f"{program} is missing or cannot be executed"
    if files.get("PkgInfo") != b"APPL????":
        yield "PkgInfo is wrong"
    icons = [
        values.get("CFBundleIconFile"),
        *(kind.get("CFBundleTypeIconFile") for kind in values["CFBundleDocumentTypes"]),
    ]
    for icon in icons:
        try:
            entries = read_icns(files[f"Resources/{icon}"])
        except (KeyError, ValueError) as error:
            yield f"Resources/{icon}: {error}"
            continue
        if not {name for name, _ in entries} >= _NAMES_OF_ICNS or not all(png[:4] == b"\x89PNG" for _, png in entries):
            yield f"Resources/{icon} lacks sizes"
    exported = {declared["UTTypeIdentifier"] for declared in values["UTExportedTypeDeclarations"]}
    for kind in values["CFBundleDocumentTypes"]:
        if not set(kind["LSItemContentTypes"]) <= exported:
            yield f"Info.plist opens {kind['LSItemContentTypes']} and does not say what that is"
    uv = "Resources/kit/bin/uv"
    if not files.get(uv, b"").startswith(MACHO_ARM64) or uv not in executables:
        yield f"{uv} is no program for Apple silicon that can be executed"
    resources = below(files, "Resources")
    yield from check_manifest(resources)
    yield from check_kit(
        below(resources, "kit"), platform="macos", wheel_tag=r"macosx_\d+_\d+_(arm64|universal2)", uv="bin/uv"
    )


# --- Whole packages


def check_package(path: Path) -> list[str]:
    """What is wrong with one finished package, each sentence with its name in front."""
    findings: list[str] = []
    match path.name:
        case name if name.endswith("-setup.exe"):
            findings += check_setup(name, path.read_bytes())
        case name if name.endswith("windows-x86_64.zip"):
            files, _ = _zip_files(path)
            findings += check_windows_tree(_without_top(files))
        case name if name.endswith("macos-arm64.zip"):
            files, executables = _zip_files(path)
            contents = {each.removeprefix("LTX Studio.app/Contents/"): content for each, content in files.items()}
            findings += check_bundle(contents, {each.removeprefix("LTX Studio.app/Contents/") for each in executables})
        case name if name.endswith(".dmg"):
            findings += check_dmg(path)
        case name if name.endswith(".tar.gz"):
            findings += check_linux_archive(path)
        case name if name.endswith(".cdx.json"):
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.get("bomFormat") != "CycloneDX" or not values.get("components"):
                findings.append("is no CycloneDX document")
        case _:
            pass
    return [f"{path.name}: {finding}" for finding in findings]


def check_dmg(path: Path) -> Iterator[str]:
    try:
        image = read_udif(path)
    except (ValueError, struct.error) as error:
        yield str(error)
        return
    if image[0x8001:0x8006] != b"CD001":
        yield "holds no ISO 9660 volume"


def check_linux_archive(path: Path) -> Iterator[str]:
    files: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            if (entry.uid, entry.gid) != (0, 0) or entry.mode & 0o022:
                yield f"{entry.name} belongs to somebody, or everybody may change it"
            if entry.isfile():
                content = archive.extractfile(entry)
                assert content is not None
                files[entry.name] = content.read()
    inner = _without_top(files)
    yield from check_manifest(inner)
    is_arm = "arm64" in path.name
    platform = "linux-arm64" if is_arm else "linux"
    tag = rf"linux\w*_{'aarch64' if is_arm else 'x86_64'}"
    yield from check_kit(below(inner, "kit"), platform=platform, wheel_tag=tag, uv="bin/uv")
    machine = b"\xb7\x00" if is_arm else b"\x3e\x00"
    uv = inner.get("kit/bin/uv", b"")
    if uv[:4] != b"\x7fELF" or uv[18:20] != machine:
        yield "kit/bin/uv is no program for this architecture"


def _zip_files(path: Path) -> tuple[dict[str, bytes], set[str]]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        files = {entry.filename: archive.read(entry) for entry in entries}
        return files, {entry.filename for entry in entries if entry.external_attr >> 16 & 0o100}


def _without_top(files: Files) -> dict[str, bytes]:
    return {name.partition("/")[2]: content for name, content in files.items()}
