"""Install LTX Studio from an offline pack, without opening a connection: what a package carries as `unpack.py`.

    PYTHON -I unpack.py PACK [--target linux-cpu] [--only-check]

Every file of the pack is compared with the hash in its pack.json before anything is installed. Then both stages are
installed from the pack's wheels and its models are copied. What is there already is left, so a second run goes on where
the first one was stopped. Standard library only.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

PACK_FILE = "pack.json"
FORMAT = 1
HERE = Path(__file__).resolve().parent
INSTALLER = HERE / "kit" / "installers" / "install.py"
_BLOCK_BYTES = 1 << 20
_TELL_BYTES = 1 << 30


class UnpackError(Exception):
    """The message says what happened and what to do."""


def say(text: str) -> None:
    print(f"[ltx-studio] {text}", flush=True)


def read_pack(folder: Path) -> dict[str, Any]:
    """What pack.json says. Raises UnpackError."""
    try:
        values = json.loads((folder / PACK_FILE).read_text(encoding="utf-8"))
        is_known = values["format"] == FORMAT and isinstance(values["targets"], list)
    except FileNotFoundError:
        raise UnpackError(
            f"{folder} is no offline pack: it has no {PACK_FILE}. Choose the pack's own folder."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UnpackError(f"{folder / PACK_FILE} cannot be read. Copy the pack again.") from None
    if not is_known:
        raise UnpackError("The pack was made by another version. Use the installer that lies in it.")
    return values


def check_files(folder: Path, files: Sequence[dict[str, Any]]) -> None:
    """Compare every file with its hash. Raises UnpackError that names the first few that differ."""
    total_bytes = sum(entry["size_bytes"] for entry in files)
    say(f"Checking {len(files)} files of the pack, {total_bytes / 1e9:.2f} GB")
    wrong: list[str] = []
    done_bytes = told_bytes = 0
    for entry in files:
        name = entry["path"]
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\\" in name:
            raise UnpackError(f"{PACK_FILE} names {name}, which is outside the pack. Get the pack from whom you trust.")
        if _sha256(folder / name, entry["size_bytes"]) != entry["sha256"]:
            wrong.append(name)
        done_bytes += entry["size_bytes"]
        if done_bytes - told_bytes >= _TELL_BYTES:
            told_bytes = done_bytes
            say(f"  {done_bytes / 1e9:.1f} of {total_bytes / 1e9:.1f} GB")
    if wrong:
        more = f" and {len(wrong) - 3} others" if len(wrong) > 3 else ""
        raise UnpackError(
            f"The pack is damaged: {', '.join(wrong[:3])}{more} differ from what was packed. Copy the pack again."
        )


def _sha256(path: Path, size_bytes: int) -> str:
    digest = hashlib.sha256()
    try:
        if path.stat().st_size != size_bytes:
            return ""
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def choose_target(offered: Sequence[str], fitting: str) -> str:
    """The engine for this machine out of the pack's, else the processor's. Raises UnpackError."""
    platform = fitting.rpartition("-")[0].removesuffix("-nvidia")
    for target in (fitting, f"{platform}-cpu"):
        if target in offered:
            return target
    raise UnpackError(
        f"The pack holds {', '.join(offered) or 'no engine'}, and this machine needs {fitting}. "
        f"Make it again with --target {fitting}."
    )


def fitting_target() -> str:
    """What the installer finds for this machine's hardware. Raises UnpackError."""
    command = [sys.executable, "-I", str(INSTALLER), "hardware", "--json"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    for line in result.stdout.splitlines():
        try:
            values = json.loads(line).get("values", {})
        except ValueError:
            continue
        if "target" in values:
            return str(values["target"])
    raise UnpackError((result.stderr.strip() or "The hardware could not be told.") + " Name the engine with --target.")


def install(folder: Path, target: str, *, has_models: bool) -> None:
    """Both stages and the models. Raises UnpackError."""
    wheels = ["--wheels", str(folder / "wheels"), "--offline"]
    steps = [
        ("Installing what the window needs", ["shell", *wheels]),
        (f"Installing the engine ({target})", ["engine", "--target", target, *wheels]),
    ]
    if has_models:
        arguments = ["models", "import", str(folder / "models"), "--progress", "none", "--sealed"]
        steps.append(("Copying the models", ["launch", "--offline", "--", *arguments]))
    for words, arguments in steps:
        say(words)
        if subprocess.run([sys.executable, "-I", str(INSTALLER), *arguments], check=False).returncode != 0:
            raise UnpackError(f"{words} did not succeed; the lines above say why. Run this again once that is mended.")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="unpack", description="Install LTX Studio from an offline pack.")
    parser.add_argument("pack", type=Path, help="the pack's folder")
    parser.add_argument("--target", help="the engine, such as linux-cpu; default: what fits this machine")
    parser.add_argument("--only-check", action="store_true", help="compare every file with its hash, install nothing")
    options = parser.parse_args(arguments)
    folder = Path(os.path.abspath(options.pack))  # noqa: PTH100 - as it was named: a link may be the disk's name
    try:
        values = read_pack(folder)
        check_files(folder, values["files"])
        if not options.only_check:
            target = options.target or choose_target(values["targets"], fitting_target())
            if target not in values["targets"]:
                raise UnpackError(f"The pack does not hold {target}, but {', '.join(values['targets'])}.")
            install(folder, target, has_models=(folder / "models" / "manifest.json").is_file())
    except UnpackError as error:
        print(f"ltx-studio: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("ltx-studio: stopped; run it again to go on.", file=sys.stderr)
        return 130
    say("Everything in the pack is right." if options.only_check else "LTX Studio is ready. Nothing was fetched.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
