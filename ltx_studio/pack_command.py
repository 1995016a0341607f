"""`ltx-studio pack`: everything another machine needs, on a disk that is carried there."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import RequestError
from engine.network import NetworkRecord

if TYPE_CHECKING:
    from ltx_studio.installation.targets import Platform


def add_pack_arguments(parser: argparse.ArgumentParser, add_common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Give the parser of `pack` its options and its command."""
    parser.add_argument(
        "--target", action="append", required=True, metavar="ENGINE", help="such as windows-nvidia or linux-cpu; repeat"
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="an installed model; repeat")
    parser.add_argument(
        "--packages", action="append", default=[], type=Path, metavar="FOLDER", help="where the studio's packages are"
    )
    parser.add_argument(
        "--wheels", action="append", default=[], type=Path, metavar="FOLDER", help="take wheels from there first"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="SYSTEM=FOLDER",
        help="a Python 3.11 for windows, macos or linux",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--progress", choices=("text", "none"), default="text", help="on stderr")
    add_common(parser)
    parser.set_defaults(command=_pack)


def _pack(options: argparse.Namespace, network: NetworkRecord) -> int:
    from ltx_studio.installation.errors import InstallError  # noqa: PLC0415 - not needed for --help
    from ltx_studio.installation.messages import Progress  # noqa: PLC0415
    from ltx_studio.offline_pack import Packed, PackStep, Wanted, installer_root, make_pack  # noqa: PLC0415

    wanted = Wanted(
        tuple(dict.fromkeys(options.target)),
        tuple(dict.fromkeys(options.model)),
        tuple(options.packages),
        tuple(options.wheels),
        dict(_python(text) for text in options.python),
    )
    is_checkout = (installer_root() / "installers" / "package.py").is_file()
    packed: Packed | None = None
    told = ""
    try:
        for event in make_pack(
            wanted, options.output, may_fetch=not network.is_sealed, build=_build if is_checkout else None
        ):
            if isinstance(event, Packed):
                packed = event
            elif options.progress == "text":
                words = event.words if isinstance(event, PackStep) else ""
                if isinstance(event, Progress) and event.total:
                    words = f"  {10 * (10 * event.done // event.total)} % of {event.total / 1e9:.2f} GB"
                if words and words != told:
                    sys.stderr.write(f"{words}\n")
                    told = words
    except InstallError as error:
        raise RequestError("pack", error.message, remedy=error.remedy) from error
    assert packed is not None
    if options.json:
        sys.stdout.write(json.dumps({**asdict(packed), "folder": str(packed.folder)}) + "\n")
    else:
        sys.stdout.write(f"{packed.folder}: {packed.num_files} files, {packed.size_bytes / 1e9:.2f} GB\n")
        for sentence in packed.missing:
            sys.stdout.write(f"note: {sentence} Name one with --python, or take a package that brings it.\n")
    return 0


def _python(text: str) -> "tuple[Platform, Path]":
    from ltx_studio.installation.targets import Platform  # noqa: PLC0415

    name, mark, folder = text.partition("=")
    if not mark or name not in list(Platform):
        known = ", ".join(Platform)
        raise RequestError(
            "python", f"{text!r} is not a system and a folder.", remedy=f"Such as {known}, '=', a folder."
        )
    return Platform(name), Path(folder).expanduser()


def _build(platforms: "list[Platform]", folder: Path) -> None:
    """The packages of a checkout, as its build script makes them."""
    from importlib import import_module  # noqa: PLC0415

    package: Any = import_module("installers.package")
    files: Any = import_module("installers.package_files")
    try:
        with tempfile.TemporaryDirectory(prefix="ltx-studio-package-") as work:
            package.build_for_pack(platforms, folder, Path(work))
    except files.PackageError as error:
        raise RequestError("packages", str(error)) from error
