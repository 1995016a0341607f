"""The macOS packages: `LTX Studio.app` for Apple silicon, in a zip and in a disk image, made without a Mac.

The bundle is unsigned; `codesign` and `notarytool` run on a Mac, in CI, where the secrets are (see macos/sign.sh). The
disk image is ISO 9660 with Rock Ridge, which macOS reads with links and execute bits, packed as UDIF with zlib (what
Apple calls UDZO): plain HFS, all that genisoimage writes of Apple's own, is read by no macOS since 10.15.
"""

import os
import plistlib
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from installers import icons
from installers.package_dmg import make_udif
from installers.package_files import PackageError, make_zip, set_times, write, write_manifest
from installers.package_tree import PROJECT_EXTENSION, Build, finish, make_tree
from ltx_studio.installation.targets import Platform

TEMPLATES: Final = Path(__file__).resolve().parent / "macos"
BUNDLE: Final = "LTX Studio.app"
IDENTIFIER: Final = "io.github.ltx-studio.LtxStudio"
PROJECT_TYPE: Final = f"{IDENTIFIER}.project"
PROGRAM: Final = "ltx-studio"
# What PySide6 6.11's and torch's wheels for arm64 ask for.
MINIMUM_SYSTEM: Final = "14.0"


def zip_name(version: str) -> str:
    return f"LTX-Studio-{version}-macos-arm64.zip"


def dmg_name(version: str) -> str:
    return f"LTX-Studio-{version}-macos-arm64.dmg"


def info(version: str, epoch: int) -> dict[str, Any]:
    """The bundle's Info.plist."""
    year = time.gmtime(epoch).tm_year
    return {
        "CFBundleDevelopmentRegion": "en",
        "CFBundleLocalizations": ["en", "de"],
        "CFBundleDisplayName": "LTX Studio",
        "CFBundleName": "LTX Studio",
        "CFBundleExecutable": PROGRAM,
        "CFBundleIconFile": "ltx-studio.icns",
        "CFBundleIdentifier": IDENTIFIER,
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundlePackageType": "APPL",
        "CFBundleSignature": "????",
        "CFBundleShortVersionString": version,
        "CFBundleVersion": version,
        "CFBundleSupportedPlatforms": ["MacOSX"],
        "LSApplicationCategoryType": "public.app-category.video",
        "LSArchitecturePriority": ["arm64"],
        "LSRequiresNativeExecution": True,
        "LSMinimumSystemVersion": MINIMUM_SYSTEM,
        "NSHighResolutionCapable": True,
        "NSSupportsAutomaticGraphicsSwitching": True,
        "NSHumanReadableCopyright": f"Copyright {year} The LTX Studio authors. Apache License 2.0.",
        "NSMicrophoneUsageDescription": "To record a voice that a clip is dubbed with.",
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": "LTX Studio project",
                "CFBundleTypeRole": "Editor",
                "CFBundleTypeIconFile": "ltx-studio-project.icns",
                "LSHandlerRank": "Owner",
                "LSItemContentTypes": [PROJECT_TYPE],
            }
        ],
        "UTExportedTypeDeclarations": [
            {
                "UTTypeIdentifier": PROJECT_TYPE,
                "UTTypeDescription": "LTX Studio project",
                "UTTypeConformsTo": ["public.data", "public.json"],
                "UTTypeIconFile": "ltx-studio-project.icns",
                "UTTypeTagSpecification": {
                    "public.filename-extension": [PROJECT_EXTENSION],
                    "public.mime-type": ["application/x-ltx-studio-project"],
                },
            }
        ],
    }


def make_bundle(folder: Path, build: Build) -> Path:
    """`LTX Studio.app` inside `folder`."""
    bundle = folder / BUNDLE
    contents = bundle / "Contents"
    resources = contents / "Resources"
    make_tree(resources, Platform.MACOS, build)
    program = (TEMPLATES / "ltx-studio.sh").read_text(encoding="utf-8")
    write(contents / "MacOS" / PROGRAM, program, executable=True)
    write(contents / "Info.plist", plistlib.dumps(info(build.version, build.epoch)))
    write(contents / "PkgInfo", "APPL????")
    write(resources / "ltx-studio.icns", icons.macos_icon(icons.APP))
    write(resources / "ltx-studio-project.icns", icons.macos_icon(icons.PROJECT))
    for language, words in (("en", "LTX Studio project"), ("de", "LTX-Studio-Projekt")):
        text = f'"LTX Studio project" = "{words}";\n'
        write(resources / f"{language}.lproj" / "InfoPlist.strings", text.encode("utf-16"))
    finish(bundle, build)
    write_manifest(resources)
    set_times(bundle, build.epoch)
    return bundle


def make_zip_archive(out: Path, bundle: Path, build: Build) -> Path:
    archive = out / zip_name(build.version)
    out.mkdir(parents=True, exist_ok=True)
    make_zip(bundle, archive, epoch=build.epoch)
    return archive


def make_dmg(out: Path, bundle: Path, build: Build) -> Path:
    """A disk image with the bundle and a link to the Applications folder to drag it onto."""
    if shutil.which("genisoimage") is None:
        raise PackageError("genisoimage is missing, which writes disk images: sudo apt-get install genisoimage")
    staging = build.work / "dmg"
    staging.mkdir(parents=True)
    shutil.copytree(bundle, staging / BUNDLE, symlinks=True)
    (staging / "Applications").symlink_to("/Applications")
    set_times(staging, build.epoch)
    image = build.work / "ltx-studio.iso"
    # -r: Rock Ridge with everything readable and owned by root; names as they are, however deep.
    command = ["genisoimage", "-quiet", "-r", "-D", "-V", "LTX Studio", "-sysid", "", "-appid", "", "-o", str(image)]
    result = subprocess.run([*command, str(staging)], capture_output=True, text=True, env={**os.environ}, check=False)
    if result.returncode != 0:
        raise PackageError(f"genisoimage could not write the disk image: {result.stderr.strip()}")
    archive = out / dmg_name(build.version)
    out.mkdir(parents=True, exist_ok=True)
    make_udif(image, archive)
    return archive
