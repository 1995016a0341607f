"""How the parts of a prompt read: their order, what stands before, between and after them. Pure.

The model was trained on flowing descriptions in the order style, picture, camera, sound, with speech in quotes, so that
is how parts are put together. What the user writes is never changed; only what stands between is ours.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Part(StrEnum):
    """What a piece of a prompt says, in reading order."""

    PRESET = "preset"  # the words of a style preset
    STYLE = "style"
    SHOT = "shot"
    SUBJECT = "subject"
    ACTION = "action"
    SETTING = "setting"
    LIGHT = "light"
    LENS = "lens"
    CAMERA = "camera"
    SPEAKER = "speaker"
    LANGUAGE = "language"
    LINE = "line"  # what is said, verbatim
    AMBIENCE = "ambience"
    EFFECTS = "effects"
    MUSIC = "music"


ORDER = {part: index for index, part in enumerate(Part)}
DIALOGUE = (Part.SPEAKER, Part.LANGUAGE, Part.LINE)
LABELS = {Part.AMBIENCE: "Ambience: ", Part.EFFECTS: "Sound effects: ", Part.MUSIC: "Music: "}

_LEADING = frozenset({Part.PRESET, Part.STYLE, Part.SHOT})
_OWN_SENTENCE = frozenset({*DIALOGUE, *LABELS})
_ONE_CLAUSE = frozenset(
    {(Part.SUBJECT, Part.ACTION), (Part.SUBJECT, Part.SETTING), (Part.ACTION, Part.SETTING)}  # a man | walks | in rain
)
_QUOTES = "\"'”’»"  # noqa: RUF001 - the quotes that end speech
SENTENCE_ENDS = ".!?…。！？؟।\n"  # noqa: RUF001 - also of Chinese, Arabic and Hindi
CLAUSE_ENDS = ",;:،、，；：—"  # noqa: RUF001
PUNCTUATION = SENTENCE_ENDS + CLAUSE_ENDS


class Zone(IntEnum):
    """Where a part goes when none of its neighbours is there."""

    LEADING = 0  # before what the user wrote freely
    CLAUSES = 1  # after it
    SENTENCES = 2  # at the end


def zone_of(part: Part) -> Zone:
    if part in _LEADING:
        return Zone.LEADING
    return Zone.SENTENCES if part in _OWN_SENTENCE else Zone.CLAUSES


@dataclass(frozen=True)
class Slot:
    """One place for words: a part, and which one of those that may be there more than once."""

    part: Part
    which: str = ""  # the number of a dialogue line, the name of a preset

    def __str__(self) -> str:
        return f"{self.part}:{self.which}" if self.which else self.part.value

    @classmethod
    def parse(cls, text: str) -> "Slot":
        """What `str` wrote. Raises ValueError."""
        part, _, which = text.partition(":")
        return cls(Part(part), which)

    @property
    def place(self) -> tuple[int, int]:
        """Its place in reading order. The three pieces of a spoken line stay together."""
        is_numbered = self.part in DIALOGUE and self.which.isdecimal()
        return ORDER[Part.SPEAKER if self.part in DIALOGUE else self.part], int(self.which) if is_numbered else 0


def separator(left: str, left_part: Part | None, right: str, right_part: Part | None) -> str:
    """What stands between two pieces of which at least one is ours; a part of None is text the user wrote freely.

    `left` is everything before, `right` the next piece.
    """
    if not left or not right or left[-1].isspace() or right[0].isspace() or right[0] in PUNCTUATION:
        return ""
    if left.rstrip(_QUOTES)[-1:] in tuple(SENTENCE_ENDS) or left[-1] in CLAUSE_ENDS:
        return " "
    if left_part in _OWN_SENTENCE or right_part in _OWN_SENTENCE or left_part is Part.PRESET:
        return ". "
    if right_part is None and right[0].isupper():
        return ". "
    if (left_part, right_part) in _ONE_CLAUSE:
        return " "
    return ", "


def spoken(*, speaker: str, language: str, line: str) -> list[tuple[Part, str, str, str]]:
    """A spoken line as (part, before, words, after), in order; parts without words are left out."""
    pieces: list[tuple[Part, str, str, str]] = []
    if speaker:
        pieces.append((Part.SPEAKER, "", speaker, " says" if line else " speaks"))
    if language:
        pieces.append((Part.LANGUAGE, " in " if speaker else "In ", language, ""))
    if line:
        pieces.append((Part.LINE, ': "' if pieces else '"', line, '"'))
    return pieces
