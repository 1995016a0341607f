"""Edits as values: targets, requests, zones and takes. Alone: `pytest tests/ltx_studio/domain/test_edits.py`."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from engine.errors import RequestError
from engine.pipelines.edit_values import EditWindow
from engine.pipelines.edit_values import Zone as EngineZone
from engine.pipelines.edit_values import ZoneKind as EngineKind
from engine.request import Edit, Extend, Foley, GenerationRequest, LipDub, LoraReference, Preset, Retake
from engine.types import FrameRange, FrameRate
from ltx_studio.domain.edits import (
    REJECTED,
    EditDraft,
    EditMode,
    Target,
    best_other_takes,
    edit_of,
    prompt_of,
    reject,
    request_of,
    show_take,
    slot_for,
    take_of,
    takes_of,
    target_in_player,
    target_on,
    with_take,
    zones_on,
)
from ltx_studio.domain.timeline import Edge, EditRefused, Take, Timeline, TrackKind
from ltx_studio.domain.timeline_details import add_take, mark_range, set_in, set_locked
from ltx_studio.domain.timeline_edits import blade, trim
from ltx_studio.domain.timeline_placing import append
from ltx_studio.domain.timeline_zones import ZoneKind
from tests.fakes.timelines import RATE, material, media, picture, sequence, sound, spans, trimmed_sequence

RETAKE = Retake(Path("a.mp4"), 0.5, 1.5)


def made(name: str = "new", frames: int = 121, edit: Edit = RETAKE, seed: int = 1) -> Take:
    return Take(media(name, frames), GenerationRequest("a ball spins", seed=seed, edit=edit))


def target(timeline: Timeline, index: int = 0) -> Target:
    return target_on(timeline, timeline.find(picture(timeline, index)))


# --- what is edited ---------------------------------------------------------------------------------------------------


def test_marks_on_the_timeline_are_times_of_the_file() -> None:
    timeline = mark_range(trimmed_sequence(2, length=24, handle=24), 30, 36)

    found = target(timeline, 1)

    assert found.marked == FrameRange(30, 36)
    assert found.marked_s == pytest.approx((30 / 24, 36 / 24))  # the clip begins at 24 and shows its file from 24 on
    assert found.whole_s == pytest.approx((1.0, 2.0))


def test_only_what_is_marked_of_the_clip_counts() -> None:
    timeline = mark_range(sequence(24, 24), 20, 30)

    assert target(timeline, 0).marked == FrameRange(20, 24)
    assert target(timeline, 1).marked == FrameRange(24, 30)
    assert target(mark_range(timeline, 0, 10), 1).marked is None


def test_with_only_an_in_point_the_clip_is_marked_to_its_end() -> None:
    assert target(set_in(sequence(48), 12)).marked == FrameRange(12, 48)


def test_a_sound_stands_for_the_picture_it_is_linked_to() -> None:
    timeline = sequence(48)

    assert target_on(timeline, timeline.find(sound(timeline, 0))).slot == picture(timeline, 0)


def test_times_of_a_take_that_begins_earlier_are_those_of_its_own_file() -> None:
    timeline = mark_range(sequence(48), 12, 24)
    longer = replace(made(frames=72), offset=Fraction(1))

    timeline = add_take(timeline, picture(timeline, 0), longer)

    assert target(timeline).marked_s == pytest.approx((1.5, 2.0))


def test_in_the_player_the_last_marked_frame_belongs_to_the_range() -> None:
    rate = FrameRate.parse(23.976)

    found = target_in_player(Path("a.mp4"), rate=rate, num_frames=48, has_sound=True, marks=(12, 23))

    assert found.marked == FrameRange(12, 24)
    assert found.marked_s == pytest.approx((12 * 1001 / 24000, 24 * 1001 / 24000))
    assert found.slot is None


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_each_mode_asks_for_its_own_edit() -> None:
    marked = target(mark_range(sequence(48), 12, 24))
    draft = EditDraft(sound=False, strength=0.6, seconds=3, at="start", line="No.", voice=Path("v.wav"))

    edits = [edit_of(replace(draft, mode=mode), marked) for mode in EditMode]

    clip = Path("a.mp4")
    assert edits == [
        Retake(clip, 0.5, 1.0, picture=True, sound=False, strength=0.6),
        Extend(clip, 3, "start"),
        Foley(clip),
        LipDub(clip, 0.5, 1.0, Path("v.wav")),
    ]


def test_new_words_without_marks_are_for_the_whole_clip() -> None:
    edit = edit_of(EditDraft(EditMode.LIPDUB, line="No."), target(sequence(48)))

    assert edit == LipDub(Path("a.mp4"))


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        (EditDraft(), "Nothing of this clip is marked."),
        (EditDraft(EditMode.LIPDUB), "There are no new words yet."),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(draft: EditDraft, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        edit_of(draft, target(sequence(48)))

    assert refused.value.remedy


def test_a_line_becomes_a_sentence_of_the_prompt() -> None:
    draft = EditDraft(EditMode.LIPDUB, prompt="a man at a window", line="Go.", language="German")

    assert prompt_of(draft) == 'The person says in German: "Go." a man at a window'
    assert prompt_of(replace(draft, mode=EditMode.RETAKE)) == "a man at a window"
    assert prompt_of(EditDraft()) == ""


def test_an_edit_is_made_by_the_model_that_is_in_use_and_nothing_else_of_what_is_written() -> None:
    base = GenerationRequest(
        "a cat", model="starter", preset=Preset.HIGH, seconds=3.0, loras=(LoraReference(Path("l")),)
    )

    request = request_of(EditDraft(EditMode.FOLEY), target(sequence(48)), base)

    assert (request.model, request.preset, request.loras) == (base.model, base.preset, base.loras)
    assert (request.prompt, request.seconds, request.size) == ("", None, None)


def test_several_takes_have_successive_seeds() -> None:
    requests = takes_of(GenerationRequest("a"), 9, 3, num_seeds=11)

    assert [request.seed for request in requests] == [9, 10, 0]


# --- zones ------------------------------------------------------------------------------------------------------------


def test_zones_lie_where_the_clip_is_on_the_timeline() -> None:
    timeline = trimmed_sequence(2, length=24, handle=24)
    picture_zones = (
        EngineZone(EngineKind.KEPT, 0.0, 1.25),
        EngineZone(EngineKind.BLENDED, 1.25, 1.375),
        EngineZone(EngineKind.NEW, 1.375, 2.0),
    )
    sound_zones = (EngineZone(EngineKind.BLENDED, 1.25, 1.26), EngineZone(EngineKind.NEW, 1.26, 2.0))

    zones = zones_on(target(timeline, 1), EditWindow(picture_zones, sound_zones, ()))

    assert zones is not None and zones.sound_zones is not None
    assert zones.clip_id == picture(timeline, 1)
    assert [(zone.kind, zone.span.start, zone.span.stop) for zone in zones.zones] == [
        (ZoneKind.KEPT, 0, 30),
        (ZoneKind.BLENDED, 30, 33),
        (ZoneKind.NEW, 33, 48),
    ]
    assert zones.sound_zones[0].span == FrameRange(30, 31)  # shorter than a frame, and seen


def test_a_clip_in_the_player_has_no_zones_on_the_timeline() -> None:
    shown = target_in_player(Path("a"), rate=RATE, num_frames=9, has_sound=True, marks=(None, None))

    assert zones_on(shown, EditWindow((), (), ())) is None


# --- takes ------------------------------------------------------------------------------------------------------------


def test_a_result_belongs_to_the_slot_it_was_asked_for() -> None:
    timeline = blade(sequence(48), 24)
    second = picture(timeline, 1)

    found = slot_for(timeline, RETAKE, second)

    assert found is not None and found.id == second


def test_a_result_nobody_remembers_goes_to_a_slot_that_shows_what_was_edited() -> None:
    timeline = sequence(48, 48)

    found = slot_for(timeline, Retake(Path("b.mp4"), 0, 1), None)

    assert found is not None and found.id == picture(timeline, 1)
    assert slot_for(timeline, Retake(Path("c.mp4"), 0, 1), None) is None


def test_a_retake_is_shown_in_its_slot_with_its_sound() -> None:
    timeline = sequence(121)
    slot = picture(timeline, 0)

    after = with_take(timeline, slot, made(), choose=True)

    assert [clip.media.path.name for clip in after.linked(slot)] == ["new.mp4", "new.mp4"]
    assert spans(after) == spans(timeline)


def test_a_take_may_wait_until_it_is_chosen() -> None:
    timeline = sequence(121)

    after = with_take(timeline, picture(timeline, 0), made(), choose=False)

    clip = after.find(picture(timeline, 0))
    assert (clip.chosen, len(clip.takes)) == (0, 2)


def test_the_rounding_of_a_container_does_not_make_a_take_too_short() -> None:
    timeline = sequence(121)
    slot = timeline.find(picture(timeline, 0))
    short = made()
    short = replace(short, media=replace(short.media, duration=short.media.duration - Fraction(1, 1000)))

    take = take_of(slot, RETAKE, short, timeline.rate)

    assert take.media.duration == slot.media.duration
    assert with_take(timeline, slot.id, take, choose=True).find(slot.id).chosen == 1


@pytest.mark.parametrize("edit", [Extend(Path("a.mp4"), 1.0, "start"), Extend(Path("a.mp4"), 1.0, "end")])
def test_an_extension_is_seen_and_what_comes_later_moves(edit: Extend) -> None:
    timeline = sequence(48, 24)
    slot = timeline.find(picture(timeline, 0))

    take = take_of(slot, edit, made(frames=72, edit=edit), timeline.rate)
    after = with_take(timeline, slot.id, take, choose=True)

    clip = after.find(slot.id)
    assert spans(after) == [("a", 0, 72), ("b", 72, 96)]
    assert spans(after, TrackKind.SOUND) == spans(after)
    # What was there is still seen at the same moment of its shot.
    old = 24 if edit.at == "start" else 0
    assert clip.media_frame(old, after.rate) == (24 if edit.at == "start" else 0)
    assert clip.take.offset == (1 if edit.at == "start" else 0)


def test_going_back_to_a_shorter_take_takes_away_what_was_added() -> None:
    timeline = sequence(48, 24)
    slot = timeline.find(picture(timeline, 0))
    for at in ("start", "end"):
        edit = Extend(Path("a.mp4"), 1.0, at)
        take = take_of(slot, edit, made(f"longer-{at}", frames=72, edit=edit), timeline.rate)
        longer = with_take(timeline, slot.id, take, choose=True)

        back = show_take(longer, slot.id, 0)
        again = show_take(back, slot.id, 1)

        assert spans(back) == spans(timeline)
        assert back.find(slot.id).source_start == slot.source_start
        assert again.tracks == longer.tracks


def test_an_extension_of_an_end_that_was_cut_away_leaves_the_cut_alone() -> None:
    timeline = sequence(48)
    slot = picture(timeline, 0)
    timeline = trim(timeline, slot, Edge.END, 30)
    edit = Extend(Path("a.mp4"), 1.0)

    after = with_take(timeline, slot, made(frames=72, edit=edit), choose=True)

    assert spans(after) == [("a", 0, 30)]
    assert after.find(slot).chosen == 1


def test_new_sound_for_a_silent_clip_gets_a_place_on_the_sound_track() -> None:
    timeline = append(sequence(), material("a", 48, has_sound=False))
    slot = picture(timeline, 0)
    edit = Foley(Path("a.mp4"))

    after = with_take(timeline, slot, made(frames=48, edit=edit), choose=True)

    assert spans(after, TrackKind.SOUND) == [("a", 0, 48)]
    assert after.find(sound(after, 0)).media.path.name == "new.mp4"
    assert {clip.id for clip in after.linked(slot)} == {slot, sound(after, 0)}


def test_without_room_for_a_sound_the_picture_still_gets_its_take() -> None:
    timeline = append(sequence(), material("a", 48, has_sound=False))
    timeline = set_locked(timeline, timeline.tracks_of(TrackKind.SOUND)[0].id, is_locked=True)

    after = with_take(timeline, picture(timeline, 0), made(frames=48), choose=True)

    assert spans(after, TrackKind.SOUND) == []
    assert after.find(picture(after, 0)).chosen == 1


def test_rejecting_a_take_shows_what_it_was_made_from() -> None:
    timeline = sequence(121)
    slot = picture(timeline, 0)
    timeline = with_take(timeline, slot, made(), choose=True)

    clip = reject(timeline, slot).find(slot)

    assert (clip.chosen, clip.takes[1].rating) == (0, REJECTED)


def test_footage_is_not_rejected() -> None:
    timeline = sequence(121)

    with pytest.raises(EditRefused, match="not made by an edit"):
        reject(timeline, picture(timeline, 0))


def test_the_take_on_show_is_compared_with_the_newest_that_were_not_rejected() -> None:
    timeline = sequence(121)
    slot = picture(timeline, 0)
    for index in range(4):
        timeline = with_take(timeline, slot, made(f"new{index}", seed=index), choose=index == 0)
    timeline = reject(timeline, slot)

    names = [take.media.path.stem for take in best_other_takes(timeline.find(slot), 3)]

    assert names == ["a", "new3", "new2"]
