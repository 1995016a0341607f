"""What the library is about, without Qt: entries, the marks a user gives them, and what a search asks for.

An entry is one file. What the file says (`Facts`) can be read from it again at any time; what the user says (`Marks`)
lives in the library alone. `library_store` keeps both, `library_files` reads the first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from engine.errors import EngineError
from engine.types import FrameRate, Size

MAX_RATING = 5

# What two takes of one shot may differ in: the seed, and where and how sparingly they were made.
_NOT_OF_THE_SHOT = frozenset({"seed", "device", "memory"})
# Found through a column of its own, or of no use to a search.
_NOT_SEARCHED = frozenset({"prompt", "schema"})


class LibraryError(EngineError):
    """The library's file cannot be used, or one of its files cannot be moved."""

    code = "library"


class Kind(StrEnum):
    """What a file holds."""

    CLIP = "clip"
    SOUND = "sound"


class Flag(StrEnum):
    """The user's verdict."""

    NONE = ""
    PICK = "pick"
    REJECT = "reject"


class Label(StrEnum):
    """A colour that means what the user wants it to; always shown with its name."""

    NONE = ""
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    TEAL = "teal"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says about itself. `request` is what made it, in the request's own JSON form."""

    path: Path
    kind: Kind
    mtime_ns: int
    size_bytes: int
    size: Size | None = None  # of the picture
    frames: int = 0
    frame_rate: FrameRate | None = None
    duration_s: float = 0.0
    has_sound: bool = False
    request: Mapping[str, Any] | None = None  # None in files of other programs

    @property
    def created_s(self) -> float:
        """Seconds since the epoch. A copy that keeps its time keeps its place."""
        return self.mtime_ns / 1e9

    @property
    def prompt(self) -> str:
        return _text_of(self.request, "prompt")

    @property
    def seed(self) -> int | None:
        value = self.request.get("seed") if self.request else None
        return value if isinstance(value, int) else None

    @property
    def model(self) -> str:
        return PurePath(_text_of(self.request, "model")).name


@dataclass(frozen=True, slots=True)
class Marks:
    """What the user said about an entry."""

    rating: int = 0  # 0: not rated, 1 to 5
    flag: Flag = Flag.NONE
    label: Label = Label.NONE
    tags: tuple[str, ...] = ()  # in the order of the alphabet, each once

    def __post_init__(self) -> None:
        assert 0 <= self.rating <= MAX_RATING, self.rating


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the library."""

    id: int
    facts: Facts
    marks: Marks
    take_group: str  # entries of one group are takes of one shot
    is_missing: bool = False  # its disk is unplugged, or another program moved it
    trashed_to: Path | None = None  # where in the system's trash it lies
    is_trashed: bool = False

    @property
    def path(self) -> Path:
        return self.facts.path


class Hit(NamedTuple):
    """One result of a search: an entry, and of how many takes it is the one shown."""

    id: int
    num_takes: int = 1


class Order(StrEnum):
    """How results are sorted."""

    NEWEST = "newest"
    OLDEST = "oldest"
    RATING = "rating"
    NAME = "name"
    LONGEST = "longest"


class Place(StrEnum):
    """Which of the entries a search looks at."""

    LIBRARY = "library"
    MISSING = "missing"
    TRASH = "trash"


class Verdict(StrEnum):
    """Which flags a search lets through."""

    ANY = ""
    PICKED = "picked"
    NOT_REJECTED = "not rejected"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Query:
    """What to show. The defaults show everything, the newest first."""

    text: str = ""
    order: Order = Order.NEWEST
    place: Place = Place.LIBRARY
    verdict: Verdict = Verdict.ANY
    min_rating: int = 0
    label: Label = Label.NONE  # NONE: any
    tag: str = ""  # empty: any
    groups_takes: bool = False  # one result for all takes of a shot
    take_group: str = ""  # the takes of this shot alone

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the search's words keeps entries away."""
        return (self.place, self.verdict, self.min_rating, self.label, self.tag, self.take_group) != (
            *(Place.LIBRARY, Verdict.ANY, 0, Label.NONE, ""),
            "",
        )


def cleaned_tags(tags: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Without spaces around them, each once whatever its capitals, in the order of the alphabet."""
    kept: dict[str, str] = {}
    for tag in tags:
        words = " ".join(tag.split())
        if words:
            kept.setdefault(words.casefold(), words)
    return tuple(kept[key] for key in sorted(kept))


def take_group_of(facts: Facts) -> str:
    """The same for files whose requests differ in nothing but the seed; a file without a request is its own group."""
    if facts.request is None:
        return f"file:{facts.path}"
    shot = {name: value for name, value in facts.request.items() if name not in _NOT_OF_THE_SHOT}
    return hashlib.sha256(json.dumps(shot, sort_keys=True).encode()).hexdigest()[:24]


def settings_words(facts: Facts) -> str:
    """What a search finds an entry by besides its prompt: `seed 42`, `1280x704`, the names of its references."""
    words: list[str] = []
    for name, value in (facts.request or {}).items():
        if name not in _NOT_SEARCHED:
            words += [name.replace("_", " "), *_words_in(value)]
    if facts.size is not None:
        words.append(str(facts.size))
    return " ".join(words)


def _words_in(value: object) -> list[str]:
    match value:
        case dict():
            return [word for item in value.values() for word in _words_in(item)]
        case list() | tuple():
            return [word for item in value for word in _words_in(item)]
        case bool() | None:
            return []
        case str():
            return [PurePath(value).name if "/" in value or "\\" in value else value]
        case _:
            return [str(value)]


def _text_of(request: Mapping[str, Any] | None, name: str) -> str:
    value = request.get(name) if request else None
    return value if isinstance(value, str) else ""
