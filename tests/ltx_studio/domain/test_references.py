"""Which references go together, what becomes of each, and their way into a request and back.

Alone: `pytest tests/ltx_studio/domain/test_references.py`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipelines.plan import DEFAULT_FRAME_RATE, plan
from engine.request import WHOLE, GenerationRequest, ImageReference, LoraReference, Trim, VideoReference
from engine.types import FrameRate, Size
from ltx_studio.domain.reference_rules import Code, judge, parts_of
from ltx_studio.domain.references import (
    PICTURE_ROLES,
    Card,
    Finding,
    Kind,
    MediaFacts,
    Parts,
    Role,
    Target,
    Unreadable,
    cards_of,
    frame_count_within,
    free_frame,
    suggested,
)

PICTURE = MediaFacts(Kind.PICTURE, Size(448, 256))
SOUND = MediaFacts(Kind.SOUND, sound_s=10.0)
CLIP = MediaFacts(Kind.CLIP, Size(448, 256), FrameRate.parse(24), frames=100, sound_s=4.2)
MUTE_CLIP = replace(CLIP, sound_s=None)
TARGET = Target(frames=49, frame_rate=FrameRate.parse(24), size=Size(448, 256), is_silent=False, num_loras=1)

First, Key, Last = Role.FIRST_FRAME, Role.KEYFRAME, Role.LAST_FRAME


@pytest.mark.parametrize(
    ("role", "finding", "trim", "expected"),
    [
        (Role.SOUND, SOUND, Trim(9.0), [Code.SOUND, Code.SOUND_ENDS_EARLY]),
        (Role.SOUND, SOUND, Trim(2.0, 2.5), [Code.SOUND, Code.SOUND_ENDS_EARLY]),
        (Role.SOUND, SOUND, Trim(2.0), [Code.SOUND]),
        (Role.SOUND, SOUND, Trim(10.0), [Code.NOTHING_LEFT]),
        (Role.VIDEO, CLIP, Trim(1.0), [Code.VIDEO]),
        (Role.VIDEO, CLIP, Trim(3.0), [Code.TOO_SHORT]),
        (Role.VIDEO, CLIP, Trim(0.0, 1.0), [Code.TOO_SHORT]),
    ],
)
def test_what_is_said_is_about_the_part_that_is_used(
    role: Role, finding: MediaFacts, trim: Trim, expected: list[Code]
) -> None:
    card = Card(1, Path("a"), role, trim=trim)

    remarks = judge([card], {card.path: finding}, TARGET)[1]

    assert [remark.code for remark in remarks] == expected


def codes(*cards: tuple[Role, int, Finding], target: Target = TARGET) -> list[list[Code]]:
    """What is said about cards of these roles, frames and files."""
    made = [Card(number, Path(f"{number}.x"), role, frame=frame) for number, (role, frame, _) in enumerate(cards)]
    findings = {Path(f"{number}.x"): finding for number, (_, _, finding) in enumerate(cards)}
    remarks = judge(made, findings, target)
    return [[remark.code for remark in remarks[card.id]] for card in made]


@pytest.mark.parametrize(
    ("cards", "target", "expected"),
    [
        ([(First, 0, PICTURE), (Last, 0, PICTURE)], TARGET, [[Code.FIRST_FRAME], [Code.LAST_FRAME]]),
        ([(First, 0, PICTURE), (First, 0, PICTURE)], TARGET, [[Code.FIRST_FRAME], [Code.SAME_FRAME]]),
        ([(First, 0, PICTURE), (Key, 0, PICTURE)], TARGET, [[Code.FIRST_FRAME], [Code.SAME_FRAME]]),
        ([(Key, 48, PICTURE), (Last, 0, PICTURE)], TARGET, [[Code.KEYFRAME], [Code.SAME_FRAME]]),
        ([(Key, -1, PICTURE), (Last, 0, PICTURE)], TARGET, [[Code.KEYFRAME], [Code.SAME_FRAME]]),
        ([(Key, 49, PICTURE)], TARGET, [[Code.OUTSIDE]]),
        ([(Key, -50, PICTURE)], TARGET, [[Code.OUTSIDE]]),
        ([(Key, 900, PICTURE)], replace(TARGET, frames=None), [[Code.KEYFRAME]]),
        ([(First, 0, PICTURE), (Last, 0, PICTURE)], replace(TARGET, frames=1), [[Code.FIRST_FRAME], [Code.SAME_FRAME]]),
        ([(Role.SOUND, 0, SOUND), (Role.SOUND, 0, SOUND)], TARGET, [[Code.SOUND], [Code.SECOND_SOUND]]),
        ([(Role.SOUND, 0, SOUND)], replace(TARGET, is_silent=True), [[Code.SILENT]]),
        ([(Role.SOUND, 0, replace(SOUND, sound_s=1.0))], TARGET, [[Code.SOUND, Code.SOUND_ENDS_EARLY]]),
        ([(Role.SOUND, 0, replace(SOUND, sound_s=49 / 24 - 0.01))], TARGET, [[Code.SOUND]]),
        ([(Role.SOUND, 0, MUTE_CLIP)], TARGET, [[Code.WRONG_KIND]]),
        ([(First, 0, SOUND)], TARGET, [[Code.WRONG_KIND]]),
        ([(Role.VIDEO, 0, CLIP)], TARGET, [[Code.VIDEO]]),
        ([(Role.VIDEO, 0, CLIP)], replace(TARGET, num_loras=0), [[Code.NO_READER]]),
        ([(Role.VIDEO, 0, replace(CLIP, frames=48))], TARGET, [[Code.TOO_SHORT]]),
        ([(Role.VIDEO, 0, replace(CLIP, frame_rate=FrameRate.parse(60)))], TARGET, [[Code.VIDEO, Code.SLOWER]]),
        ([(Role.VIDEO, 0, replace(CLIP, frame_rate=FrameRate.parse(1)))], TARGET, [[Code.VIDEO, Code.FASTER]]),
        ([(First, 0, replace(PICTURE, size=Size(1920, 1080)))], TARGET, [[Code.FIRST_FRAME]]),
        ([(First, 0, replace(PICTURE, size=Size(100, 100)))], TARGET, [[Code.FIRST_FRAME, Code.HEIGHT_CUT]]),
        ([(First, 0, replace(PICTURE, size=Size(400, 100)))], TARGET, [[Code.FIRST_FRAME, Code.WIDTH_CUT]]),
        ([(First, 0, replace(PICTURE, is_animated=True))], TARGET, [[Code.FIRST_FRAME, Code.FIRST_PICTURE_ONLY]]),
        ([(First, 0, Unreadable("it is empty", ""))], TARGET, [[Code.UNREADABLE]]),
        ([(First, 0, None)], TARGET, [[Code.READING]]),
    ],
)
def test_cards_are_judged_as_the_engine_would(
    cards: list[tuple[Role, int, Finding]], target: Target, expected: list[list[Code]]
) -> None:
    assert codes(*cards, target=target) == expected


def test_a_card_that_is_left_out_is_in_nobodys_way() -> None:
    assert codes((First, 0, Unreadable("", "")), (First, 0, PICTURE)) == [[Code.UNREADABLE], [Code.FIRST_FRAME]]


def test_a_conflict_names_the_card_in_the_way() -> None:
    first, second = Card(1, Path("a"), First), Card(2, Path("b"), First)

    remark = judge([first, second], {Path("a"): PICTURE, Path("b"): PICTURE}, TARGET)[2][0]

    assert (remark.other, remark.number) == (first, 0)


def test_a_cut_says_how_much_is_lost() -> None:
    facts = replace(PICTURE, size=Size(896, 256))
    remarks = judge([Card(1, Path("a"), First)], {Path("a"): facts}, TARGET)[1]

    assert (remarks[1].code, remarks[1].number) == (Code.WIDTH_CUT, 0.5)


def test_pictures_are_given_the_beginning_then_the_end_then_the_widest_gap() -> None:
    cards: list[Card] = []
    for number in range(5):
        role, frame = suggested(PICTURE, cards, TARGET)
        cards.append(Card(number, Path(f"{number}"), role, frame=frame))

    assert [(card.role, card.frame) for card in cards] == [(First, 0), (Last, 0), (Key, 24), (Key, 12), (Key, 36)]


@pytest.mark.parametrize(
    ("facts", "cards", "target", "role"),
    [
        (SOUND, [], TARGET, Role.SOUND),
        (CLIP, [], TARGET, Role.VIDEO),
        (CLIP, [], replace(TARGET, num_loras=0), Role.SOUND),
        (CLIP, [Card(1, Path("a"), Role.SOUND)], replace(TARGET, num_loras=0), Role.VIDEO),
        (CLIP, [], replace(TARGET, num_loras=0, is_silent=True), Role.VIDEO),
        (MUTE_CLIP, [], replace(TARGET, num_loras=0), Role.VIDEO),
    ],
)
def test_other_files_are_given_what_they_can_be_used_for(
    facts: MediaFacts, cards: list[Card], target: Target, role: Role
) -> None:
    assert suggested(facts, cards, target)[0] is role


def test_a_free_frame_exists_in_a_clip_of_one_frame() -> None:
    assert free_frame([], replace(TARGET, frames=1)) == 0


@pytest.mark.parametrize(("frames", "longest"), [(0, 1), (1, 1), (8, 1), (9, 9), (40, 33), (41, 41)])
def test_the_longest_clip_of_some_frames_is_on_the_models_grid(frames: int, longest: int) -> None:
    assert frame_count_within(frames) == longest


def test_a_target_is_what_the_planner_would_make_of_the_request() -> None:
    request = GenerationRequest("a", seconds=2.0, loras=(LoraReference(Path("l")), LoraReference(Path("m"), 0.0)))

    assert Target.of(request) == Target(49, DEFAULT_FRAME_RATE, None, is_silent=False, num_loras=1)
    assert Target.of(GenerationRequest("a")).frames is None


strengths = st.floats(0.01, 1.0)
trims = st.builds(Trim, st.floats(0.0, 5.0), st.none() | st.floats(5.5, 20.0))
paths = st.sampled_from([Path("a.png"), Path("ümlaut 🎬.png"), Path("b.wav")])


@given(
    images=st.lists(st.builds(ImageReference, paths, st.integers(-49, 48), strengths), max_size=4),
    audio=st.none() | paths,
    videos=st.lists(st.builds(VideoReference, paths, strengths, trims), max_size=2),
    trim=trims,
)
def test_what_a_request_carries_survives_being_cards(
    images: list[ImageReference], audio: Path | None, videos: list[VideoReference], trim: Trim
) -> None:
    frames = {image.frame % 49: image for image in images}
    parts = Parts(tuple(frames.values()), audio, tuple(videos), WHOLE if audio is None else trim)

    cards = cards_of(parts, 1)

    assert parts_of(cards, judge(cards, {}, TARGET)) == parts
    assert Parts.of(parts.put_into(GenerationRequest("a"))) == parts


@settings(deadline=None)  # the first plan reads the model's header
@given(
    cards=st.lists(
        st.tuples(
            st.sampled_from(Role),
            st.integers(-60, 60),
            strengths,
            st.sampled_from([PICTURE, SOUND, CLIP, MUTE_CLIP, None]),
        ),
        max_size=6,
    ),
    frames=st.sampled_from([1, 9, 49]),
    is_silent=st.booleans(),
)
def test_whatever_the_cards_are_the_planner_takes_what_they_put_into_a_request(
    tiny_model: Path, cards: list[tuple[Role, int, float, Finding]], frames: int, is_silent: bool
) -> None:
    request = GenerationRequest("a red ball", model=str(tiny_model), size=Size(64, 64), frames=frames, silent=is_silent)
    made = [Card(number, Path(str(number)), role, strength, at) for number, (role, at, strength, _) in enumerate(cards)]
    findings = {Path(str(number)): item[3] for number, item in enumerate(cards)}
    parts = parts_of(made, judge(made, findings, Target.of(request)))

    planned = plan(parts.put_into(request)).request

    shown = [image.frame for image in planned.images]
    assert len(set(shown)) == len(shown)
    assert not planned.reference_videos  # no LoRA to read them


def test_strengths_that_no_request_may_have_are_mended() -> None:
    cards = cards_of(Parts((ImageReference(Path("a"), 0, 7.0), ImageReference(Path("b"), 3, 0.0))), 5)

    assert [(card.id, card.role, card.strength) for card in cards] == [(5, First, 1.0), (6, Key, 0.01)]


def test_files_offer_the_roles_they_can_have() -> None:
    assert PICTURE.roles == PICTURE_ROLES
    assert CLIP.roles == (Role.VIDEO, Role.SOUND)
    assert MUTE_CLIP.roles == (Role.VIDEO,)
    assert SOUND.roles == (Role.SOUND,)
