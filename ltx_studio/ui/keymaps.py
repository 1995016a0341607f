"""Which keys run which command: maps as data (`resources/keymaps`), the user's own changes, and what clashes.

A map that is based on another one holds the differences alone. Keys are in Qt's portable spelling, in which Ctrl is
Command on a Mac.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QKeySequence

OWN = "studio"


@dataclass(frozen=True)
class KeyMap:
    """One map, complete. A command may have several keys, or none."""

    name: str
    title: str
    keys: Mapping[str, tuple[str, ...]]  # by command


@dataclass(frozen=True)
class Clash:
    """Two commands that want the same key."""

    keys: str
    first: str
    second: str


@cache
def key_maps() -> Mapping[str, KeyMap]:
    """Every map that ships with the program, our own first."""
    folder = files("resources") / "keymaps"
    names = sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))
    names.sort(key=lambda name: name != OWN)
    maps: dict[str, KeyMap] = {}
    for name in names:
        content: Mapping[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        base = maps[content["based_on"]].keys if "based_on" in content else {}
        own = {command: tuple(keys) for command, keys in content["keys"].items()}
        maps[name] = KeyMap(name, content["title"], {**base, **own})
    return maps


def keys_in_use(map_name: str, changes: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The keys of every command: those of a map, but for what the user changed. An empty text takes a key away."""
    own = {command: (keys,) if keys else () for command, keys in changes.items()}
    return {**key_maps()[map_name].keys, **own}


def find_clashes(keys: Mapping[str, Iterable[str]], commands: Iterable[str]) -> list[Clash]:
    """Keys that more than one of `commands` has, in their order; each says which command has it already."""
    taken: dict[str, str] = {}
    clashes: list[Clash] = []
    for command in commands:
        for spelling in keys.get(command, ()):
            key = portable(spelling)
            if key in taken:
                clashes.append(Clash(key, taken[key], command))
            else:
                taken[key] = command
    return clashes


def portable(spelling: str) -> str:
    """One spelling for one key, however it was written; empty for what is no key."""
    return QKeySequence(spelling).toString(QKeySequence.SequenceFormat.PortableText)


def shown(spelling: str) -> str:
    """As this system writes it."""
    return QKeySequence(spelling).toString(QKeySequence.SequenceFormat.NativeText)


def clash_sentence(clash: Clash, titles: Mapping[str, str]) -> str:
    """What is the matter, by the commands' titles."""
    sentence = QCoreApplication.translate("keymaps", "{keys} is the key of “{first}” and of “{second}”; neither works.")
    return sentence.format(keys=shown(clash.keys), first=titles[clash.first], second=titles[clash.second])
