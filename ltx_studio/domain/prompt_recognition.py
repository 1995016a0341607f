"""Finding parts in text that the user wrote freely: spoken lines, labelled sounds, and phrases of the lists. Pure.

It only says whose characters are; the text stays as it is. Who the subject is and what it does cannot be told from
words alone without guessing, so those parts are filled in their fields or assigned from a selection.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_runs import Kind, Run, joined, settled
from ltx_studio.domain.prompt_words import DIALOGUE, LABELS, Part, Slot, separator

_SPOKEN = re.compile(
    r"(?P<verb> (?:says|asks|whispers|shouts|replies))"
    r"(?:(?P<into> in )(?P<language>[^\W\d_]+(?: [^\W\d_]+)?))?"
    r'(?P<opening>: ?["“])(?P<line>[^"”\n]+)(?P<closing>["”])'
)
_SPEAKER = re.compile(r'[^\s.!?,;:"“”][^.!?,;:"“”\n]*\Z')
_NUM_SPEAKER_CHARACTERS = 80
_LABELLED = re.compile(
    "|".join(f"(?P<{part}_label>{re.escape(label)})(?P<{part}>[^.\n]+)" for part, label in LABELS.items()),
    re.IGNORECASE,
)
MAX_CHARACTERS = 20_000  # beyond it nobody wrote this by hand, and looking would take longer than a frame
_SEPARATORS = (". ", ", ", " ")


class Recogniser:
    """Knows the phrases that say a part by themselves, such as "dolly in"."""

    def __init__(self, phrases: Mapping[Part, Sequence[str]]) -> None:
        self._patterns = {
            part: re.compile(
                r"(?<!\w)(?:" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + r")(?!\w)",
                re.IGNORECASE,
            )
            for part, words in phrases.items()
            if words
        }

    def recognise(self, prompt: Prompt) -> Prompt:
        """The same text with more of it known. A part that has words keeps them."""
        if len(prompt.text) > MAX_CHARACTERS:
            return prompt
        runs: list[Run] = []
        taken = {run.slot for run in prompt.runs if run.slot is not None}
        for run in prompt.runs:
            runs += self._parts_of(run.text, taken) if run.kind is Kind.FREE else [run]
        found = Prompt(joined(runs))
        return found if found == prompt else Prompt(settled(joined(_with_separators(found.runs))))

    def _parts_of(self, text: str, taken: set[Slot]) -> list[Run]:
        """A free text as runs; the slots found are added to `taken`."""
        match = _SPOKEN.search(text)
        start = 0 if match is None else max(match.start() - _NUM_SPEAKER_CHARACTERS, 0)
        speaker = None if match is None else _SPEAKER.search(text[start : match.start()])
        if match is not None and speaker is not None:
            which = str(max((int(slot.which) for slot in taken if slot.part in DIALOGUE), default=-1) + 1)
            found = _spoken_runs(speaker[0], match, which)
            return self._around(text, start + speaker.start(), found, match.end(), taken)
        match = _LABELLED.search(text)
        if match is not None:
            part = Part(str(match.lastgroup))
            slot = Slot(part)
            if slot not in taken:
                label = Run(match[f"{part}_label"], Kind.BEFORE, slot)
                found = [label, Run(match[part], Kind.VALUE, slot)]
                return self._around(text, match.start(), found, match.end(), taken)
        for part, pattern in self._patterns.items():
            match = None if Slot(part) in taken else pattern.search(text)
            if match is not None:
                found = [Run(match[0], Kind.VALUE, Slot(part))]
                return self._around(text, match.start(), found, match.end(), taken)
        return [Run(text)]

    def _around(self, text: str, start: int, found: list[Run], end: int, taken: set[Slot]) -> list[Run]:
        taken |= {run.slot for run in found if run.slot is not None}
        return [*self._parts_of(text[:start], taken), *found, *self._parts_of(text[end:], taken)]


def with_assigned(prompt: Prompt, start: int, end: int, slot: Slot) -> Prompt:
    """As `Prompt.assign`, and a separator of the user's that reads like one of ours becomes one."""
    return Prompt(settled(joined(_with_separators(prompt.assign(start, end, slot).runs))))


def _spoken_runs(name: str, match: re.Match[str], which: str) -> list[Run]:
    speaker, language, line = (Slot(part, which) for part in DIALOGUE)
    runs = [Run(name, Kind.VALUE, speaker), Run(match["verb"], Kind.AFTER, speaker)]
    if match["language"]:
        runs += [Run(match["into"], Kind.BEFORE, language), Run(match["language"], Kind.VALUE, language)]
    return [
        *runs,
        Run(match["opening"], Kind.BEFORE, line),
        Run(match["line"], Kind.VALUE, line),
        Run(match["closing"], Kind.AFTER, line),
    ]


def _with_separators(runs: Sequence[Run]) -> list[Run]:
    """Where the user put just what we would put before a part, it is ours, and goes when the part goes."""
    result: list[Run] = []
    for run in runs:
        last = result[-1] if result else None
        is_first = run.kind is Kind.VALUE or (run.kind is Kind.BEFORE and run.part is not Part.PRESET)
        if last is not None and last.kind is Kind.FREE and is_first and run.slot is not None:
            for text in _SEPARATORS:
                left = last.text.removesuffix(text)
                if left and left != last.text and separator(left, None, run.text, run.part) == text:
                    result[-1] = replace(last, text=left)
                    result.append(Run(text, Kind.SEPARATOR, run.slot))
                    break
        result.append(run)
    return result
