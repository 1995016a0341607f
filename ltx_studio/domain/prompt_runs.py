"""Runs: the characters of a prompt by owner, and the separators between them. Pure; `prompt` says what they are for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from ltx_studio.domain.prompt_words import Part, Slot, separator


class Kind(StrEnum):
    """Whose characters a run holds."""

    FREE = "free"  # the user's, belonging to no part
    VALUE = "value"  # the user's words for a part
    BEFORE = "before"  # ours: a label, an opening quote, the words of a preset, an edited separator
    AFTER = "after"  # ours: a closing quote
    SEPARATOR = "separator"  # ours and live; may be empty


@dataclass(frozen=True)
class Run:
    """Neighbouring characters of one owner; `slot` is None for free text alone."""

    text: str
    kind: Kind = Kind.FREE
    slot: Slot | None = None

    @property
    def part(self) -> Part | None:
        return None if self.slot is None else self.slot.part

    @property
    def is_content(self) -> bool:
        return self.kind is not Kind.SEPARATOR


Runs = tuple[Run, ...]


def split(runs: Runs, at: int) -> tuple[list[Run], list[Run], list[Run]]:
    """The runs before a place in the text, the empty separators there, and those after.

    A separator that is cut through stops being live.
    """
    left: list[Run] = []
    here: list[Run] = []
    right: list[Run] = []
    position = 0
    for run in runs:
        end = position + len(run.text)
        if not run.text and position == at:
            here.append(run)
        elif end <= at:
            left.append(run)
        elif position >= at:
            right.append(run)
        else:
            piece = run if run.is_content else replace(run, kind=Kind.BEFORE)
            left.append(replace(piece, text=run.text[: at - position]))
            right.append(replace(piece, text=run.text[at - position :]))
        position = end
    return left, here, right


def between(runs: Runs, start: int, end: int) -> list[Run]:
    """The runs of the characters [start, end)."""
    _, _, rest = split(runs, start)
    return split(tuple(rest), end - start)[0]


def joined(runs: Iterable[Run]) -> Runs:
    """Without empty runs, but for separators, and with neighbours of one owner as one run."""
    result: list[Run] = []
    for run in runs:
        if not run.text and run.is_content:
            continue
        last = result[-1] if result else None
        if last is not None and run.is_content and (last.kind, last.slot) == (run.kind, run.slot):
            result[-1] = replace(last, text=last.text + run.text)
        else:
            result.append(run)
    return tuple(result)


def rendered(runs: Runs) -> Runs:
    """Every live separator with the text that its neighbours call for."""
    result: list[Run] = []
    for group, text in _groups(runs):
        if group[0].is_content:
            result += group
        else:
            result += [replace(group[0], text=text), *(replace(run, text="") for run in group[1:])]
    return tuple(result)


def settled(runs: Runs) -> Runs:
    """Separators that do not read as their neighbours call for were edited, or these were: they stay as they are."""
    result: list[Run] = []
    for group, text in _groups(runs):
        if group[0].is_content or "".join(run.text for run in group) == text:
            result += group
        else:
            result += [replace(run, kind=Kind.BEFORE) for run in group if run.text]
    return joined(result)


def _groups(runs: Runs) -> Iterator[tuple[list[Run], str]]:
    """Content and separators in turn, and for separators the text they should have together."""
    groups = [list(group) for _, group in groupby(runs, key=lambda run: run.is_content)]
    before = ""
    for index, group in enumerate(groups):
        is_inside = 0 < index < len(groups) - 1
        if is_inside and not group[0].is_content:
            left, right = groups[index - 1][-1], groups[index + 1][0]
            yield group, separator(before, left.part, right.text, right.part)
        else:
            yield group, ""
        if group[0].is_content:
            before = "".join(run.text for run in group)
