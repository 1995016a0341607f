"""A log bundle for support: what happened and on what machine, and nothing about whom or what they make.

Paths of the home folder, the user's and the machine's name, addresses with logins, tokens and prompts are taken out of
every line, and only files that are named here go in at all.
"""

import getpass
import json
import platform
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import read_json
from ltx_studio.installation.layout import default_data_folder
from ltx_studio.installation.state import FILE_NAME

_LAST_BYTES = 500_000
_MIN_NAME = 3  # a shorter name is found inside other words
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_TOKEN = re.compile(r"\b(?:hf_|ghp_|gho_|sk-|Bearer\s+)[\w.-]{8,}")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b")
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
# Folders of users, whoever's they are: the log may come from a disk that was moved.
_HOMES = re.compile(r"""(?i)((?:[a-z]:)?[\\/]+(?:users|home)[\\/]+)[^\\/\s"'<>|:]+""")
# Prompts and what else a person wrote: the value of these fields, in JSON, Python and as options of a command.
_WRITTEN = "prompt|negative|negative_prompt|title|caption|text|speech|notes"
_QUOTED = re.compile(rf"""(?i)(["']?\b(?:{_WRITTEN})["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_REQUEST = re.compile(r"""GenerationRequest\(("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_COMMAND = re.compile(r"(?i)\b(generate|plan|retake|extend|lipdub|foley)\s+(\"[^\"]*\"|'[^']*')")
_UNQUOTED = re.compile(rf"(?i)^(.*\b(?:{_WRITTEN})\s*[=:]\s*)[^\s\"'\[{{].*$", re.MULTILINE)
# Media, projects and models of the user carry names that say what they are about.
_FILES = re.compile(
    r"""(?i)[^\\/"'<>|:\n]+(?=\.(?:mp4|mov|mkv|webm|wav|flac|mp3|m4a|png|jpe?g|exr|tiff?|webp|gif|srt|ltxproject)\b)"""
)


def write_bundle(path: Path, home: Path, facts: Mapping[str, Any]) -> None:
    """A zip of logs, the installation's state and `facts`. Raises InstallError when it cannot be written."""
    data = default_data_folder()
    scrub = scrubber(places={"<installation>": home, "<data>": data, "<home>": Path.home()})
    files = {"install.log": home / "logs" / "install.log", "studio.log": data / "logs" / "studio.log"}
    machine = {"system": platform.platform(), "machine": platform.machine(), **facts}
    with suppress(OSError, ValueError):
        machine["installation"] = read_json(home / FILE_NAME)
    partial = path.with_name(f"{path.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("machine.json", scrub(json.dumps(machine, indent=1, default=str)))
            for name, file in files.items():
                text = _tail(file)
                if text:
                    archive.writestr(name, scrub(text))
        partial.replace(path)
    except OSError as error:
        raise InstallError(
            "not-written", f"{path} cannot be written: {error.strerror}.", remedy="Choose another place."
        ) from error


class scrubber:  # noqa: N801 - used like the function it makes
    """Takes what is private out of a text. `places` are folders by what stands for them, the innermost first."""

    def __init__(self, *, places: Mapping[str, Path], user: str | None = None, node: str | None = None) -> None:
        self._places = [(re.compile(_any_slash(str(folder)), re.IGNORECASE), name) for name, folder in places.items()]
        names = {_user() if user is None else user: "<user>", (platform.node() if node is None else node): "<machine>"}
        self._names = [
            (re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE), stand_in)
            for name, stand_in in names.items()
            if len(name) >= _MIN_NAME
        ]

    def __call__(self, text: str) -> str:
        for folder, stand_in in self._places:
            text = folder.sub(stand_in, text)
        text = _HOMES.sub(r"\1<user>", text)
        for pattern in (_REQUEST,):
            text = pattern.sub('GenerationRequest("<text>"', text)
        text = _QUOTED.sub(r'\1"<text>"', text)
        text = _COMMAND.sub(r'\1 "<text>"', text)
        text = _UNQUOTED.sub(r"\1<text>", text)
        text = _LOGIN.sub("<login>@", text)
        text = _TOKEN.sub("<token>", text)
        text = _MAIL.sub("<mail>", text)
        text = _ADDRESS.sub("<address>", text)
        text = _FILES.sub("<name>", text)
        for name, stand_in in self._names:
            text = name.sub(stand_in, text)
        return text


def _any_slash(folder: str) -> str:
    """A pattern for a path as any system, or JSON, writes it; only whole names."""
    parts = [re.escape(part) for part in re.split(r"[\\/]+", folder.rstrip("\\/"))]
    return r"[\\/]+".join(parts) + r"(?![\w-])" if any(parts) else r"(?!)"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            start = max(0, file.tell() - _LAST_BYTES)
            file.seek(start)
            content = file.read()
    except OSError:
        return ""
    # A line that begins in the middle could hide what it is about.
    return (content.partition(b"\n")[2] if start else content).decode("utf-8", errors="replace")
