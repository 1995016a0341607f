"""Many prompts from one: `{red|blue}` is either, `__animal__` any line of the file of that name. Pure but for reading.

Groups and wildcards may lie within each other, an option may be empty, and whatever is no group stays as it is
written: a group without a bar, a brace without its partner, a wildcard that nobody has. Groups mean what they mean in
`engine.jobs.batch`. All wordings have a number, the last choice counting fastest, so any one can be made alone: some
are drawn by seed out of millions without making the others.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from engine.errors import RequestError
from engine.folders import data_folder

MAX_WORDINGS = 1000  # as many as a batch of the queue holds
MAX_NESTING = 20
_SUFFIX = ".txt"
_TOKENS = re.compile(r"__([^\W_](?:[^\W_]|-|_(?!_))*)__|[{|}]|[^{|}_]+|_")

Wildcards = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Wordings:
    """Prompts made of one. `note` says in a sentence what the user should know; empty when there is nothing."""

    texts: tuple[str, ...]
    total: int  # how many there are in all
    note: str


@dataclass(frozen=True)
class _Choice:
    """One of these."""

    options: tuple["_Text", ...]
    total: int


@dataclass(frozen=True)
class _Text:
    """Pieces that follow each other."""

    pieces: tuple[str | _Choice, ...]
    total: int


def wildcards_folder() -> Path:
    """Where the user keeps wildcards: one text file each, one option a line."""
    return data_folder() / "wildcards"


def read_wildcards(folder: Path) -> dict[str, tuple[str, ...]]:
    """Options by name. Empty lines and lines that start with # are left out, and so are files that cannot be read."""
    result: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        except OSError:
            continue
        result[path.stem] = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return result


def has_choices(text: str) -> bool:
    """Whether a text may have more than one wording; cheap."""
    return "{" in text or "__" in text


def wordings(text: str, wildcards: Wildcards, *, seed: int = 0, limit: int = MAX_WORDINGS) -> Wordings:
    """All wordings in order; of more than `limit`, that many different ones, drawn by `seed`. 0 only counts them.

    Raises RequestError for wildcards that name themselves, and for groups too deep within each other to be meant.
    """
    parser = _Parser(wildcards)
    parsed = parser.parse(text)
    notes = [
        f"There is no wildcard named '{name}'; it stays as it is written." for name in dict.fromkeys(parser.unknown)
    ]
    if parsed.total <= limit:
        numbers: Sequence[int] = range(parsed.total)
    else:
        numbers = _drawn(parsed.total, limit, seed)
        if limit:
            notes.append(f"These are {limit:,} of {parsed.total:,} wordings, drawn by the seed {seed}.")
    return Wordings(tuple(_wording(parsed, number) for number in numbers), parsed.total, " ".join(notes))


def _drawn(total: int, count: int, seed: int) -> list[int]:
    """Different numbers below `total`, in order; `random.sample` takes no total that a machine word cannot hold."""
    generator = random.Random(seed)
    drawn: set[int] = set()
    while len(drawn) < count:
        drawn.add(generator.randrange(total))
    return sorted(drawn)


def _wording(text: _Text, number: int) -> str:
    """The wording of a number below the text's total."""
    result: list[str] = []
    for piece in reversed(text.pieces):
        if isinstance(piece, str):
            result.append(piece)
            continue
        number, own = divmod(number, piece.total)
        for option in piece.options:
            if own < option.total:
                result.append(_wording(option, own))
                break
            own -= option.total
    return "".join(reversed(result))


def _text(pieces: Sequence[str | _Choice]) -> _Text:
    return _Text(tuple(pieces), prod(piece.total for piece in pieces if isinstance(piece, _Choice)))


def _choice(options: Sequence[_Text]) -> _Choice:
    return _Choice(tuple(options), sum(option.total for option in options))


class _Parser:
    """Reads each wildcard once; what it does not know is in `unknown`."""

    def __init__(self, wildcards: Wildcards) -> None:
        self.unknown: list[str] = []
        self._wildcards = wildcards
        self._parsed: dict[str, _Choice] = {}
        self._open: list[str] = []  # the wildcards that are being read, from the outside in

    def parse(self, text: str) -> _Text:
        groups: list[list[list[str | _Choice]]] = []
        pieces: list[str | _Choice] = []
        for match in _TOKENS.finditer(text):
            token = match[0]
            if token == "{":
                if len(groups) == MAX_NESTING:
                    raise RequestError(
                        "prompt",
                        f"The prompt has braces more than {MAX_NESTING} deep within each other.",
                        remedy="Write it flatter.",
                    )
                groups.append([pieces])
                pieces = []
            elif token == "|" and groups:
                groups[-1].append(pieces)
                pieces = []
            elif token == "}" and groups:
                outer, *options = (*groups.pop(), pieces)
                outer += [_choice([_text(item) for item in options])] if len(options) > 1 else ["{", *options[0], "}"]
                pieces = outer
            else:
                pieces.append(self._wildcard(match[1]) if match[1] else token)
        while groups:  # a brace that is never closed is a brace
            outer, *options = (*groups.pop(), pieces)
            outer.append("{")
            for index, option in enumerate(options):
                outer += ["|", *option] if index else option
            pieces = outer
        return _text(pieces)

    def _wildcard(self, name: str) -> str | _Choice:
        if name in self._open:
            chain = " → ".join((*self._open[self._open.index(name) :], name))
            raise RequestError(
                "prompt", f"The wildcard '{name}' leads back to itself ({chain}).", remedy="Edit its text file."
            )
        if not self._wildcards.get(name):
            self.unknown.append(name)
            return f"__{name}__"
        if name not in self._parsed:
            self._open.append(name)
            self._parsed[name] = _choice([self.parse(line) for line in self._wildcards[name]])
            self._open.pop()
        return self._parsed[name]
