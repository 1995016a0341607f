"""A prompt and its parts stay in step, whatever is done to either.

Alone: `pytest tests/ltx_studio/domain/test_prompt.py`.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_studio.domain.prompt import Prompt, difference
from ltx_studio.domain.prompt_recognition import Recogniser, with_assigned
from ltx_studio.domain.prompt_runs import Kind
from ltx_studio.domain.prompt_words import Part, Slot

LIGHT, SHOT, SUBJECT, ACTION = Slot(Part.LIGHT), Slot(Part.SHOT), Slot(Part.SUBJECT), Slot(Part.ACTION)
CAMERA, AMBIENCE = Slot(Part.CAMERA), Slot(Part.AMBIENCE)
SPEAKER, LANGUAGE, LINE = (Slot(part, "0") for part in (Part.SPEAKER, Part.LANGUAGE, Part.LINE))
PRESETS = {"noir": "Film noir, hard shadows", "clay": "Stop motion with clay figures.", "wash": "Watercolour"}
RECOGNISER = Recogniser({Part.CAMERA: ["dolly in", "pan left"], Part.SHOT: ["close-up", "wide shot"], Part.LIGHT: []})


@dataclass(frozen=True)
class TextEdit:
    """Replace a stretch, given as shares of the text's length, by other characters."""

    start: float
    length: float
    inserted: str

    def apply(self, prompt: Prompt) -> Prompt:
        start, end = self.within(len(prompt.text))
        return prompt.edit(start, end, self.inserted)

    def within(self, length: int) -> tuple[int, int]:
        start = round(self.start * length)
        return start, min(start + round(self.length * length), length)


@dataclass(frozen=True)
class PartEdit:
    slot: Slot
    value: str

    def apply(self, prompt: Prompt) -> Prompt:
        return prompt.with_value(self.slot, self.value)


@dataclass(frozen=True)
class Apply:
    name: str

    def apply(self, prompt: Prompt) -> Prompt:
        return prompt.with_preset(self.name, PRESETS[self.name])


@dataclass(frozen=True)
class Remove:
    name: str

    def apply(self, prompt: Prompt) -> Prompt:
        return prompt.without_preset(self.name)


@dataclass(frozen=True)
class Assign:
    start: float
    length: float
    slot: Slot

    def apply(self, prompt: Prompt) -> Prompt:
        start, end = TextEdit(self.start, self.length, "").within(len(prompt.text))
        return with_assigned(prompt, start, end, self.slot) if start < end else prompt


@dataclass(frozen=True)
class Recognise:
    def apply(self, prompt: Prompt) -> Prompt:
        return RECOGNISER.recognise(prompt)


words = st.text(alphabet='ab. ,:"\n\N{HEBREW LETTER SHIN}\N{CLAPPER BOARD}dolly in', max_size=8)
shares = st.floats(0, 1)
slots = st.one_of(
    st.sampled_from([Slot(part) for part in (*list(Part)[1:9], Part.AMBIENCE, Part.EFFECTS, Part.MUSIC)]),
    st.builds(Slot, st.sampled_from([Part.SPEAKER, Part.LANGUAGE, Part.LINE]), st.sampled_from(["0", "1"])),
)
text_edits = st.builds(TextEdit, shares, st.floats(0, 0.5), words)
part_edits = st.builds(PartEdit, slots, words)
edits = st.one_of(
    text_edits,
    part_edits,
    st.builds(Apply, st.sampled_from(sorted(PRESETS))),
    st.builds(Remove, st.sampled_from(sorted(PRESETS))),
    st.builds(Assign, shares, st.floats(0, 0.3), slots),
    st.just(Recognise()),
)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """What any row of edits makes."""
    prompt = Prompt.of(draw(words))
    for edit in draw(st.lists(edits, max_size=8)):
        prompt = edit.apply(prompt)
    return prompt


# --- the text is what was typed ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prompts(), text_edits)
def test_editing_the_text_gives_exactly_that_text(prompt: Prompt, edit: TextEdit) -> None:
    start, end = edit.within(len(prompt.text))

    edited = edit.apply(prompt)

    assert edited.text == prompt.text[:start] + edit.inserted + prompt.text[end:]


@settings(deadline=None)
@given(prompts(), words)
def test_any_new_text_is_taken_as_it_is(prompt: Prompt, text: str) -> None:
    assert prompt.with_text(text).text == text


@settings(deadline=None)
@given(prompts())
def test_recognising_parts_leaves_the_text_alone(prompt: Prompt) -> None:
    assert RECOGNISER.recognise(prompt).text == prompt.text


@settings(deadline=None)
@given(prompts(), st.builds(Assign, shares, shares, slots))
def test_assigning_a_selection_leaves_the_text_alone(prompt: Prompt, assign: Assign) -> None:
    assert assign.apply(prompt).text == prompt.text


@settings(deadline=None)
@given(words, words, words)
def test_the_difference_of_two_texts_makes_one_of_the_other(start: str, middle: str, end: str) -> None:
    old, new = start + end, start + middle + end

    for cursor in (None, len(start + middle)):
        first, last, inserted = difference(old, new, cursor)
        assert old[:first] + inserted + old[last:] == new


def test_the_cursor_tells_which_of_two_equal_characters_was_typed() -> None:
    assert difference("aa", "aaa", 1) == (0, 0, "a")
    assert difference("aa", "aaa", 3) == (2, 2, "a")


# --- the parts are what was typed -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prompts(), slots, words)
def test_a_field_holds_what_was_written_into_it(prompt: Prompt, slot: Slot, value: str) -> None:
    edited = prompt.with_value(slot, value)

    assert edited.value(slot) == value
    assert value in edited.text


@settings(deadline=None)
@given(prompts(), slots, words)
def test_writing_one_field_changes_no_other_and_no_free_text(prompt: Prompt, slot: Slot, value: str) -> None:
    edited = prompt.with_value(slot, value)

    assert edited.free_text == prompt.free_text
    assert {**edited.values(), slot: ""} == {**prompt.values(), slot: ""}


@settings(deadline=None)
@given(prompts(), slots, st.lists(words, max_size=4))
def test_filling_and_clearing_an_empty_field_leaves_the_text_as_it_was(
    prompt: Prompt, slot: Slot, values: list[str]
) -> None:
    prompt = prompt.without(slot)

    edited = prompt
    for value in values:
        edited = edited.with_value(slot, value)

    assert edited.with_value(slot, "").text == prompt.text


@settings(deadline=None)
@given(prompts())
def test_a_prompt_is_read_back_from_json_as_it_was(prompt: Prompt) -> None:
    assert Prompt.from_json(prompt.to_json()) == prompt


@pytest.mark.parametrize(
    "values", [None, 3, [1], [["free", ""]], [["free", "", 3]], [["x", "", "a"]], [["value", "y", "a"]]]
)
def test_json_that_is_no_prompt_is_refused(values: object) -> None:
    with pytest.raises(ValueError):
        Prompt.from_json(values)


# --- presets ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prompts(), st.sampled_from(sorted(PRESETS)))
def test_applying_and_removing_a_preset_gives_the_very_same_text(prompt: Prompt, name: str) -> None:
    prompt = prompt.without_preset(name)

    applied = prompt.with_preset(name, PRESETS[name])

    assert PRESETS[name] in applied.text
    assert applied.without_preset(name).text == prompt.text


@settings(deadline=None)
@given(prompts(), st.sampled_from(sorted(PRESETS)), st.lists(part_edits, max_size=4))
def test_fields_written_under_a_preset_are_as_without_it_once_it_is_removed(
    prompt: Prompt, name: str, fields: list[PartEdit]
) -> None:
    without = prompt.without_preset(name)
    under = without.with_preset(name, PRESETS[name])
    for field in fields:
        without, under = field.apply(without), field.apply(under)

    assert under.without_preset(name).text == without.text


@settings(deadline=None)
@given(words, st.sampled_from(sorted(PRESETS)), st.lists(text_edits, max_size=4))
def test_what_is_typed_anywhere_under_a_preset_stays_when_it_is_removed(
    text: str, name: str, typing: list[TextEdit]
) -> None:
    """Every character of the user's, in order; and nothing else. Kept beside the prompt, character by character."""
    before = Prompt.of(text)
    under = before.with_preset(name, PRESETS[name])
    preset = Slot(Part.PRESET, name)
    owners = [run.slot == preset for run in under.runs for _ in run.text]
    for edit in typing:
        start, end = edit.within(len(under.text))
        owners[start:end] = [False] * len(edit.inserted)
        under = edit.apply(under)
    typed = "".join(character for character, is_ours in zip(under.text, owners, strict=True) if not is_ours)

    assert under.without_preset(name).text == typed


def test_two_presets_come_off_in_any_order() -> None:
    both = Prompt.of("A cat").with_preset("noir", PRESETS["noir"]).with_preset("wash", PRESETS["wash"])

    assert both.text == "Film noir, hard shadows. Watercolour. A cat"
    assert both.presets == ("noir", "wash")
    assert both.without_preset("noir").text == "Watercolour. A cat"
    assert both.without_preset("noir").without_preset("wash").text == "A cat"


# --- how it reads -----------------------------------------------------------------------------------------------------


def filled(**fields: str) -> Prompt:
    prompt = Prompt()
    for name, value in fields.items():
        prompt = prompt.with_value(Slot(Part(name)), value)
    return prompt


def test_parts_read_as_one_description_in_whatever_order_they_are_written() -> None:
    forward = filled(
        style="Handheld documentary",
        shot="close-up",
        subject="an old fisherman",
        action="mends a net",
        setting="on a pier",
        light="golden hour",
        ambience="gulls",
    )
    backward = filled(
        ambience="gulls",
        light="golden hour",
        setting="on a pier",
        action="mends a net",
        subject="an old fisherman",
        shot="close-up",
        style="Handheld documentary",
    )

    assert (
        forward.text
        == "Handheld documentary, close-up, an old fisherman mends a net on a pier, golden hour. Ambience: gulls"
    )
    assert backward.text == forward.text


def test_sound_goes_to_the_end_even_behind_a_shot_that_was_typed_there() -> None:
    prompt = RECOGNISER.recognise(Prompt.of("A cat sleeps, wide shot"))

    assert prompt.with_value(AMBIENCE, "rain").text == "A cat sleeps, wide shot. Ambience: rain"


def test_a_sentence_in_a_field_is_not_followed_by_a_comma() -> None:
    assert filled(subject="A woman waits.", light="dusk").text == "A woman waits. dusk"


def test_a_spoken_line_reads_as_a_sentence_with_whatever_is_known() -> None:
    prompt = filled(light="dusk").with_value(LINE, "Hola.")
    assert prompt.text == 'dusk. "Hola."'

    prompt = prompt.with_value(LANGUAGE, "Spanish").with_value(SPEAKER, "The man")
    assert prompt.text == 'dusk. The man says in Spanish: "Hola."'

    assert prompt.with_value(LINE, "").text == "dusk. The man speaks in Spanish"


def test_typing_inside_a_parts_words_changes_its_field() -> None:
    prompt = filled(shot="close-up", light="dusk")

    edited = prompt.with_text("close-up, deep dusk".replace("deep dusk", "dusky"), 15)

    assert edited.value(LIGHT) == "dusky"


def test_a_sentence_typed_after_the_parts_is_free_text() -> None:
    prompt = filled(light="dusk")
    for character in ". Then it rains":
        prompt = prompt.edit(len(prompt.text), len(prompt.text), character)

    assert (prompt.value(LIGHT), prompt.free_text) == ("dusk", ". Then it rains")


def test_a_label_keeps_the_words_typed_behind_it() -> None:
    prompt = filled(ambience="waves")
    prompt = prompt.edit(len("Ambience: "), len(prompt.text), "")
    for character in "wind, far gulls":
        prompt = prompt.edit(len(prompt.text), len(prompt.text), character)

    assert prompt.value(AMBIENCE) == "wind, far gulls"


def test_deleting_a_parts_words_in_the_text_empties_its_field() -> None:
    assert filled(shot="close-up", light="dusk").with_text("close-up").values() == {SHOT: "close-up"}


# --- recognising ------------------------------------------------------------------------------------------------------


def test_phrases_lines_and_labels_are_found_in_pasted_text() -> None:
    text = 'A man waits, wide shot, dolly in. The man says in French: "Bonjour." Ambience: rain. Music: slow jazz'

    prompt = RECOGNISER.recognise(Prompt.of(text))

    assert prompt.values() == {
        SHOT: "wide shot",
        CAMERA: "dolly in",
        SPEAKER: "The man",
        LANGUAGE: "French",
        LINE: "Bonjour.",
        AMBIENCE: "rain",
        Slot(Part.MUSIC): "slow jazz",
    }


def test_a_recognised_part_goes_with_its_comma() -> None:
    prompt = RECOGNISER.recognise(Prompt.of("A man waits, dolly in. It rains"))

    assert prompt.with_value(CAMERA, "").text == "A man waits. It rains"


def test_a_phrase_within_a_word_is_none() -> None:
    assert RECOGNISER.recognise(Prompt.of("an ungodly dolly inside")).values() == {}


def test_a_selection_becomes_a_part_and_its_old_words_are_free() -> None:
    prompt = filled(subject="a dog").with_text("a dog in the rain")
    prompt = with_assigned(prompt, 6, 17, SUBJECT)

    assert prompt.values() == {SUBJECT: "in the rain"}
    assert [run.kind for run in prompt.runs if run.is_content] == [Kind.FREE, Kind.VALUE]
