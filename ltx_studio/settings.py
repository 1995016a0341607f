"""Every setting of the studio, declared once, and the file they are kept in. No Qt: the command line may read them.

A declaration says what a setting is called, what it is for, what it may be and what it is at first. The settings
window is drawn from the declarations, the file is checked against them, and whoever uses a setting names its
declaration, so its type is known. What is no choice of the user but has to be remembered is declared here as well,
without words.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.errors import RequestError
from engine.folders import HOME_VARIABLE, data_folder

logger = logging.getLogger("studio.settings")

T = TypeVar("T")
FILE_NAME = "settings.json"
FORMAT_VERSION = 1


class Page(StrEnum):
    """Where the settings window shows a setting, in order."""

    APPEARANCE = "Appearance"
    START = "Start"
    KEYBOARD = "Keyboard"
    PRIVACY = "Privacy"
    MONITOR = "Monitor"


@dataclass(frozen=True)
class Words:
    """What the settings window says about a setting, in English; translated when shown."""

    page: Page
    label: str
    help: str
    also_found_by: str = ""  # other words for the same thing


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One setting. `parse` turns what the file holds into a value; it raises ValueError for anything else."""

    key: str
    default: T
    words: Words | None  # None: remembered, not chosen
    parse: Callable[[Any], T] = field(repr=False)


@dataclass(frozen=True)
class Switch(Setting[bool]):
    """On or off."""


@dataclass(frozen=True)
class Option:
    """One of the values of a `OneOf`."""

    value: str
    label: str


@dataclass(frozen=True)
class OneOf(Setting[str]):
    """One of a few."""

    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Amount(Setting[int]):
    """A whole number with a unit."""

    lowest: int = 0
    highest: int = 0
    unit: str = ""


def _parse_switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _switch(key: str, default: bool, words: Words) -> Switch:
    return Switch(key, default, words, _parse_switch)


def _one_of(key: str, options: tuple[Option, ...], words: Words) -> OneOf:
    """The first option is the default."""
    values = {option.value for option in options}

    def parse(value: Any) -> str:
        if value not in values:
            raise ValueError(f"{value!r} is none of {sorted(values)}")
        return str(value)

    return OneOf(key, options[0].value, words, parse, options)


def _amount(key: str, default: int, limits: tuple[int, int], unit: str, words: Words) -> Amount:
    lowest, highest = limits

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"{value!r} is no whole number from {lowest} to {highest}")
        return value

    return Amount(key, default, words, parse, lowest, highest, unit)


def _parse_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{value!r} is no list of texts")
    return tuple(value)


def _parse_text_by_text(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise ValueError(f"{value!r} is no table of texts")
    return dict(value)


def _parse_percent(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise ValueError(f"{value!r} is no share of a hundred")
    return value


def _parse_table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no table")
    return dict(value)


# --- the settings -----------------------------------------------------------------------------------------------------

THEME = _one_of(
    "theme",
    (Option("system", "As the system"), Option("dark", "Dark"), Option("light", "Light")),
    Words(Page.APPEARANCE, "Colours", "Dark is made for judging pictures.", "theme light dark night colors"),
)
MOTION = _one_of(
    "motion",
    (Option("system", "As the system"), Option("full", "Animated"), Option("reduced", "Reduced")),
    Words(Page.APPEARANCE, "Motion", "Reduced: panels and menus appear at once.", "animation accessibility"),
)
LANGUAGE = _one_of(
    "language",
    (Option("system", "As the system"), Option("en", "English"), Option("es", "Español"), Option("zh", "简体中文")),
    Words(Page.APPEARANCE, "Language", "Takes effect at the next start.", "translation english spanish chinese"),
)
SHOW_WELCOME = _switch(
    "show_welcome",
    False,
    Words(Page.START, "Show the welcome page", "Each time the studio starts; otherwise only the first time.", "first"),
)
KEY_MAP = _one_of(
    "key_map",
    (Option("studio", "LTX Studio"), Option("resolve", "DaVinci Resolve"), Option("premiere", "Premiere Pro")),
    Words(Page.KEYBOARD, "Key map", "Keys you changed yourself stay as they are.", "shortcuts keys hotkeys"),
)
SEALED = _switch(
    "sealed",
    False,
    Words(
        Page.PRIVACY,
        "Sealed mode",
        "Refuses every connection of this program. Switching it off takes effect at the next start.",
        "network offline internet security",
    ),
)
LOOK_FOR_UPDATES = _switch(
    "look_for_updates",
    False,
    Words(
        Page.PRIVACY,
        "Look for new versions",
        "Asks once at each start whether there is a new version. Nothing is fetched by itself, and never when sealed.",
        "update release",
    ),
)
MONITOR_MINUTES = _amount(
    "monitor_minutes",
    2,
    (1, 30),
    "min",
    Words(Page.MONITOR, "Time shown", "How far back the plots reach.", "vram memory plot history"),
)
HAS_SEEN_WELCOME = Setting[bool]("has_seen_welcome", False, None, _parse_switch)
KEY_CHANGES = Setting[Mapping[str, str]]("key_changes", {}, None, _parse_text_by_text)  # keys by command
LAST_EXPORT = Setting[Mapping[str, Any]]("last_export", {}, None, _parse_table)  # the export panel, as it was left
VOLUME = Setting[int]("volume", 100, None, _parse_percent)  # of the player
RECENT_COMMANDS = Setting[tuple[str, ...]]("recent_commands", (), None, _parse_texts)  # names, latest first
RECENT_PROJECTS = Setting[tuple[str, ...]]("recent_projects", (), None, _parse_texts)  # folders, latest first

SETTINGS: tuple[Setting[Any], ...] = (
    THEME,
    MOTION,
    LANGUAGE,
    SHOW_WELCOME,
    KEY_MAP,
    SEALED,
    LOOK_FOR_UPDATES,
    MONITOR_MINUTES,
    HAS_SEEN_WELCOME,
    KEY_CHANGES,
    LAST_EXPORT,
    VOLUME,
    RECENT_COMMANDS,
    RECENT_PROJECTS,
)


# --- the file ---------------------------------------------------------------------------------------------------------


class SettingsFile:
    """Values by key. Every change is on the disk before `put` returns; keys that nobody declared are kept."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads the file. One that cannot be read is set aside beside it, and every setting is at its default."""
        self.path = path or data_folder() / FILE_NAME
        self._values: dict[str, Any] = self._read()

    def get(self, setting: Setting[T]) -> T:
        """The value in the file, or the default where there is none that the declaration allows."""
        if setting.key in self._values:
            try:
                return setting.parse(self._values[setting.key])
            except ValueError as error:
                logger.warning("setting %s: %s; using %r", setting.key, error, setting.default)
        return setting.default

    def put(self, setting: Setting[T], value: T) -> None:
        """Keep a value. Raises RequestError, with the file as it was, where it cannot be written."""
        values = {**self._values, setting.key: setting.parse(value)}
        if value == setting.default:
            del values[setting.key]
        self._write(values)
        self._values = values

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            values = content["values"]
            if not isinstance(values, dict):
                raise TypeError("the values are no table")
            return dict(values)
        except FileNotFoundError:
            return {}
        except OSError as error:
            logger.warning("the settings cannot be read: %s", error)
            return {}
        except (ValueError, KeyError, TypeError) as error:
            aside = self.path.with_suffix(".damaged.json")
            logger.warning("the settings file is damaged (%s); it is kept as %s", error, aside)
            with suppress(OSError):
                self.path.replace(aside)
            return {}

    def _write(self, values: Mapping[str, Any]) -> None:
        partial = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                json.dump({"version": FORMAT_VERSION, "values": values}, file, indent=1, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise RequestError(
                "settings",
                f"The setting could not be saved to {self.path}, so it is as it was: {error.strerror or error}.",
                remedy=f"Free some space, or set {HOME_VARIABLE} to a folder that can be written.",
            ) from error
