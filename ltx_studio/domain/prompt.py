"""A prompt whose text and structured parts are one value, so that they cannot disagree. Pure.

The text is cut into runs, and each run knows whose it is: written freely by the user, the words of a part, what we put
around those words, or a separator. Joining the runs is the text; joining the runs of a part is its field. Editing the
text cuts runs where it was cut; editing a part replaces its run. Nothing is ever parsed back or rewritten, so nothing
the user typed can be lost.

Separators are live: their text follows from what stands left and right of them, until the user edits there; from then
on that spot is left alone. A part or preset is removed by removing its runs. Since live separators depend on nothing
but their neighbours, the text is then what it would be had the part never been there, and characters that the user
typed into a preset's words stay, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ltx_studio.domain.prompt_runs import Kind, Run, Runs, between, joined, rendered, settled, split
from ltx_studio.domain.prompt_words import (
    DIALOGUE,
    LABELS,
    PUNCTUATION,
    SENTENCE_ENDS,
    Part,
    Slot,
    Zone,
    spoken,
    zone_of,
)


@dataclass(frozen=True)
class Prompt:
    """A text and its parts. Make one with `of`, and every other one from it."""

    runs: Runs = ()

    @classmethod
    def of(cls, text: str) -> "Prompt":
        """Text that nobody has cut into parts yet."""
        return cls((Run(text),) if text else ())

    @property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)

    def value(self, slot: Slot) -> str:
        """The words of a part, as they stand in the text; empty where it has none."""
        return "".join(run.text for run in self.runs if run.slot == slot and run.kind is Kind.VALUE)

    def values(self) -> dict[Slot, str]:
        """Every part that has words, in the order of the text."""
        slots = dict.fromkeys(run.slot for run in self.runs if run.kind is Kind.VALUE and run.slot is not None)
        return {slot: self.value(slot) for slot in slots}

    @property
    def presets(self) -> tuple[str, ...]:
        """The names of the presets of which any words are left."""
        return tuple(dict.fromkeys(run.slot.which for run in self.runs if run.slot and run.part is Part.PRESET))

    @property
    def free_text(self) -> str:
        """What belongs to no part."""
        return "".join(run.text for run in self.runs if run.kind is Kind.FREE)

    # --- editing the text ---------------------------------------------------------------------------------------------

    def edit(self, start: int, end: int, inserted: str) -> "Prompt":
        """Replace the characters [start, end), as an editor does."""
        owner = self._owner_of(start, end, inserted)
        left, here, _ = split(self.runs, start)
        _, there, right = split(self.runs, end)
        if start == end:  # empty separators stay with the text before, which has a neighbour now
            here, there = (here, []) if start else ([], there)
        return Prompt(settled(joined([*left, *here, replace(owner, text=inserted), *there, *right])))

    def with_text(self, text: str, cursor: int | None = None) -> "Prompt":
        """This prompt once its text was edited to `text`; `cursor` is where the edit ended, if anybody knows."""
        old = self.text
        return self if old == text else self.edit(*difference(old, text, cursor))

    def assign(self, start: int, end: int, slot: Slot) -> "Prompt":
        """Make the characters [start, end) the words of a part; the text stays as it is.

        What the part held before becomes free text, and whatever else was in there belongs to the part.
        """
        freed = tuple(Run(run.text) if run.slot == slot else run for run in self.runs)
        words = "".join(run.text for run in between(freed, start, end))
        left, right = split(freed, start)[0], split(freed, end)[2]
        return Prompt(settled(joined([*left, Run(words, Kind.VALUE, slot), *right])))

    def _owner_of(self, start: int, end: int, inserted: str) -> Run:
        """Whose the inserted characters are."""
        left = next((run for run in reversed(split(self.runs, start)[0]) if run.text), None)
        right = next((run for run in split(self.runs, end)[2] if run.text), None)
        match between(self.runs, start, end):
            case [Run(_, Kind.VALUE) as words]:  # some words of a part are replaced by others
                return words
            case _:
                pass
        if left is None or left.slot is None:
            return Run("")
        follows = right.kind if right is not None and right.slot == left.slot else None
        if left.kind is Kind.VALUE and (follows in {Kind.VALUE, Kind.AFTER} or _goes_on(left, inserted)):
            return left  # inside it, before its closing quote, or going on at its end
        if left.kind is Kind.BEFORE and left.part is not Part.PRESET and follows is not Kind.BEFORE:
            has_no_words = not any(run.slot == left.slot and run.kind is Kind.VALUE for run in self.runs)
            if follows is not None or has_no_words:
                return Run("", Kind.VALUE, left.slot)  # behind a label or an opening quote
        return Run("")

    # --- editing the parts --------------------------------------------------------------------------------------------

    def with_value(self, slot: Slot, value: str) -> "Prompt":
        """This prompt once a part has these words; empty removes it with everything we put around it."""
        if slot.part in DIALOGUE:
            return self._with_spoken(slot, value)
        if not value:
            return self.without(slot)
        if any(run.slot == slot and run.is_content for run in self.runs):
            return self._with_words(slot, value)
        label = Run(LABELS.get(slot.part, ""), Kind.BEFORE, slot)
        return self._with_content(slot, [label, Run(value, Kind.VALUE, slot)])

    def with_preset(self, name: str, words: str) -> "Prompt":
        """This prompt with a preset's words at its start, behind those of other presets; once is enough."""
        if name in self.presets:
            return self
        slot = Slot(Part.PRESET, name)
        return self._with_content(slot, [Run(words, Kind.BEFORE, slot)])

    def without_preset(self, name: str) -> "Prompt":
        """Take out the characters that the preset put in and that are still there, and nothing else."""
        return self.without(Slot(Part.PRESET, name))

    def without(self, slot: Slot) -> "Prompt":
        """Take out a part with everything we put around it."""
        others = {Slot(part, slot.which) for part in DIALOGUE} - {slot} if slot.part in DIALOGUE else set[Slot]()
        heir = next((run.slot for run in self.runs if run.slot in others and run.is_content), None)
        runs: list[Run] = []
        for run in self.runs:
            if run.slot != slot:
                runs.append(run)
            elif heir is not None and not run.is_content:  # what is left of the sentence is still set apart
                runs.append(replace(run, slot=heir))
        return Prompt(rendered(joined(runs)))

    def _with_words(self, slot: Slot, value: str) -> "Prompt":
        """Replace words that are there, or give words to a label whose words were deleted."""
        own = [index for index, run in enumerate(self.runs) if run.slot == slot]
        words = [index for index in own if self.runs[index].kind is Kind.VALUE]
        labels = [index for index in own if self.runs[index].kind is Kind.BEFORE]
        at = words[0] if words else (labels[-1] + 1 if labels else own[0])
        kept = [(index, run) for index, run in enumerate(self.runs) if index not in words]
        runs = [run for index, run in kept if index < at]
        runs += [Run(value, Kind.VALUE, slot), *(run for index, run in kept if index >= at)]
        return Prompt(rendered(joined(runs)))

    def _with_content(self, slot: Slot, content: Sequence[Run]) -> "Prompt":
        at = self._place_for(slot)
        runs = [*self.runs[:at], _separator(slot), *content, _separator(slot), *self.runs[at:]]
        return Prompt(rendered(joined(runs)))

    def _place_for(self, slot: Slot) -> int:
        """The index of the run before which a part goes: in reading order among the parts of its zone."""
        zone = zone_of(slot.part)
        placed = [
            (zone_of(run.slot.part), run.slot.place, index)
            for index, run in enumerate(self.runs)
            if run.slot is not None and run.is_content
        ]
        earlier = [index for other, place, index in placed if other is zone and place <= slot.place]
        if earlier:
            return earlier[-1] + 1
        if zone is Zone.LEADING:
            return 0
        later = [index for other, place, index in placed if other >= zone and place > slot.place]
        return later[0] if later else len(self.runs)

    def _with_spoken(self, slot: Slot, value: str) -> "Prompt":
        """Speaker, language and line make one sentence, which is written anew unless its frame was edited."""
        words = {part: self.value(Slot(part, slot.which)) for part in DIALOGUE}
        wanted = _sentence(slot.which, {**words, slot.part: value})
        slots = {Slot(part, slot.which) for part in DIALOGUE}
        own = [index for index, run in enumerate(self.runs) if run.slot in slots and run.is_content]
        if not own:
            return self._with_content(wanted[0].slot or slot, wanted) if wanted else self
        first, last = own[0], own[-1] + 1
        if list(self.runs[first:last]) == _sentence(slot.which, words):
            if not wanted:
                return Prompt(rendered(joined(run for run in self.runs if run.slot not in slots)))
            # The separators stay with the sentence when the part that brought them goes.
            around = [
                replace(run, slot=wanted[0].slot) if run.slot in slots and not run.is_content else run
                for run in self.runs
            ]
            return Prompt(rendered(joined([*around[:first], *wanted, *around[last:]])))
        if not value:
            return self.without(slot)
        if any(run.slot == slot for run in self.runs):
            return self._with_words(slot, value)
        frame = {Part.SPEAKER: ", says ", Part.LANGUAGE: ", in ", Part.LINE: ': "'}[slot.part]
        content = [Run(frame, Kind.BEFORE, slot), Run(value, Kind.VALUE, slot)]
        content += [Run('"', Kind.AFTER, slot)] if slot.part is Part.LINE else []
        return Prompt(rendered(joined([*self.runs[:last], *content, *self.runs[last:]])))

    # --- keeping it ---------------------------------------------------------------------------------------------------

    def to_json(self) -> list[list[str]]:
        """A JSON value; `from_json` reads it back to an equal prompt."""
        return [[run.kind.value, "" if run.slot is None else str(run.slot), run.text] for run in self.runs]

    @classmethod
    def from_json(cls, values: Any) -> "Prompt":
        """Raises ValueError for anything that `to_json` did not write."""
        runs: list[Run] = []
        try:
            for kind, slot, text in values:
                if not isinstance(text, str):
                    raise TypeError(text)
                runs.append(Run(text, Kind(kind), Slot.parse(slot) if slot else None))
        except (TypeError, AttributeError) as error:
            raise ValueError("this is no prompt") from error
        return cls(settled(joined(runs)))


def difference(old: str, new: str, cursor: int | None = None) -> tuple[int, int, str]:
    """The edit that makes `new` of `old`: the characters [start, end) and what replaces them.

    Several may; the one that ends at `cursor`, a place in `new`, is taken where it is one of them.
    """
    if cursor is not None and 0 <= cursor <= len(new) and old.endswith(new[cursor:]):
        num_kept = len(new) - cursor
    else:
        num_kept = _num_common(old[::-1], new[::-1])
    start = min(_num_common(old, new), len(old) - num_kept, len(new) - num_kept)
    return start, len(old) - num_kept, new[start : len(new) - num_kept]


def _num_common(first: str, second: str) -> int:
    """How many characters two texts share at their start."""
    length = min(len(first), len(second))
    return next((index for index in range(length) if first[index] != second[index]), length)


def _goes_on(words: Run, inserted: str) -> bool:
    """Whether text typed at the end of a part's words belongs to them: it goes on with their last word, and where
    words have a label before them, with the sentence."""
    if not inserted:
        return False
    if words.part in LABELS:
        return inserted[0] not in SENTENCE_ENDS
    return not inserted[0].isspace() and inserted[0] not in PUNCTUATION and inserted[0] not in "\"'"


def _separator(slot: Slot) -> Run:
    return Run("", Kind.SEPARATOR, slot)


def _sentence(which: str, words: dict[Part, str]) -> list[Run]:
    pieces = spoken(speaker=words[Part.SPEAKER], language=words[Part.LANGUAGE], line=words[Part.LINE])
    runs: list[Run] = []
    for part, before, value, after in pieces:
        slot = Slot(part, which)
        runs += [Run(before, Kind.BEFORE, slot), Run(value, Kind.VALUE, slot), Run(after, Kind.AFTER, slot)]
    return [run for run in runs if run.text]
