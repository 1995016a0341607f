"""Reference cards: what is done to them, taking it back, and the session's request following.

Alone: `pytest tests/ltx_studio/test_references_state.py`.
"""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.request import GenerationRequest, ImageReference, LoraReference, VideoReference
from engine.types import FrameRate, Size
from ltx_studio.domain.reference_rules import Code
from ltx_studio.domain.references import Kind, MediaFacts, Parts, Role, Unreadable
from ltx_studio.state.references import ReferencesState
from ltx_studio.state.session import Session

PICTURE = MediaFacts(Kind.PICTURE, Size(448, 256))
SOUND = MediaFacts(Kind.SOUND, sound_s=10.0)
CLIP = MediaFacts(Kind.CLIP, Size(448, 256), FrameRate.parse(24), frames=200, sound_s=8.0)
A, B, C = Path("/a.png"), Path("/b.png"), Path("/c.png")
VOICE = Path("/voice.wav")


@pytest.fixture
def session(qapp: QApplication) -> Session:
    return Session(GenerationRequest("a red ball", size=Size(448, 256), seconds=2.0))


@pytest.fixture
def state(session: Session) -> ReferencesState:
    return ReferencesState(session, session)


def names(state: ReferencesState) -> list[str]:
    return [card.path.name for card in state.cards]


def test_cards_are_in_the_sessions_request_at_once(state: ReferencesState, session: Session) -> None:
    state.add(A, PICTURE)
    state.add(B, PICTURE)
    state.add(VOICE, SOUND)

    request = session.request.value
    assert request.images == (ImageReference(A, 0), ImageReference(B, -1))
    assert request.audio == VOICE
    assert request.prompt == "a red ball"


def test_every_edit_can_be_undone_by_name_and_done_again(state: ReferencesState, session: Session) -> None:
    stack = state.undo_stack
    state.add(A, PICTURE)
    state.add(B, PICTURE)
    state.set_role(state.cards[1], Role.KEYFRAME)
    state.set_frame(state.cards[1], 12)
    state.set_strength(state.cards[1], 0.5)
    state.replace(state.cards[1], C, PICTURE)
    state.move(state.cards[1], 0)
    state.remove(state.cards[1])
    after = (state.cards, session.request.value)
    texts = [stack.text(index) for index in range(stack.count())]

    for _ in range(stack.count()):
        stack.undo()
    assert state.cards == ()
    assert Parts.of(session.request.value) == Parts()

    for _ in range(stack.count()):
        stack.redo()
    assert (state.cards, session.request.value) == after
    assert session.request.value.images == (ImageReference(C, 12, 0.5),)
    assert texts == [
        "Add a.png",
        "Add b.png",
        "Change the role of b.png",
        "Change the time of b.png",
        "Change the strength of b.png",
        "Replace b.png",
        "Move c.png",
        "Remove a.png",
    ]


def test_a_drag_of_the_strength_is_one_step_and_the_next_drag_another(state: ReferencesState) -> None:
    state.add(A, PICTURE)
    for percent in (90, 80, 70):
        state.set_strength(state.cards[0], percent / 100)
    state.end_gesture()
    state.set_strength(state.cards[0], 0.2)

    state.undo_stack.undo()
    assert state.cards[0].strength == 0.7
    state.undo_stack.undo()
    assert state.cards[0].strength == 1.0


def test_files_that_came_together_go_together(state: ReferencesState) -> None:
    for path in (A, B, C):
        state.add(path, PICTURE, batch=1)
    assert state.undo_stack.undoText() == "Add several references"

    state.undo_stack.undo()

    assert state.cards == ()


@pytest.mark.parametrize(
    ("moved", "index", "expected"),
    [(0, 3, "bca"), (0, 2, "bac"), (2, 0, "cab"), (1, 1, "abc"), (1, 2, "abc")],
)
def test_a_card_moves_to_before_another(state: ReferencesState, moved: int, index: int, expected: str) -> None:
    for path in (A, B, C):
        state.add(path, PICTURE)
    num_steps = state.undo_stack.count()

    state.move(state.cards[moved], index)

    assert names(state) == [f"{letter}.png" for letter in expected]
    assert state.undo_stack.count() - num_steps == (expected != "abc")


def test_a_replacement_keeps_role_strength_and_time_where_it_can(state: ReferencesState) -> None:
    state.add(A, PICTURE)
    state.set_role(state.cards[0], Role.KEYFRAME)
    state.set_frame(state.cards[0], 7)
    state.set_strength(state.cards[0], 0.4)

    state.replace(state.cards[0], B, PICTURE)
    kept = state.cards[0]
    assert (kept.path, kept.role, kept.frame, kept.strength) == (B, Role.KEYFRAME, 7, 0.4)

    state.replace(state.cards[0], VOICE, SOUND)
    assert state.cards[0].role is Role.SOUND


def test_other_settings_fill_the_cards_and_ask_for_their_files(
    state: ReferencesState, session: Session, qtbot: QtBot
) -> None:
    wanted: list[Path] = []
    state.wanted.connect(wanted.append)
    state.add(C, PICTURE)
    session.request.value = GenerationRequest(
        "other",
        frames=121,
        images=(ImageReference(A, 0, 0.5), ImageReference(B, 60)),
        audio=VOICE,
        reference_videos=(VideoReference(A, 0.8),),
        loras=(LoraReference(Path("l")),),
    )

    assert [(card.path, card.role, card.strength, card.frame) for card in state.cards] == [
        (A, Role.FIRST_FRAME, 0.5, 0),
        (B, Role.KEYFRAME, 1.0, 60),
        (A, Role.VIDEO, 0.8, 0),
        (VOICE, Role.SOUND, 1.0, 0),
    ]
    assert wanted == [A, B, VOICE]
    state.undo_stack.undo()
    assert names(state) == ["c.png"]
    assert session.request.value.images == (ImageReference(C, 0),)
    assert session.request.value.prompt == "other"


def test_a_file_that_is_missing_is_said_and_left_out_until_it_is_back(state: ReferencesState, session: Session) -> None:
    session.request.value = GenerationRequest("other", frames=9, images=(ImageReference(A), ImageReference(B, 4)))
    state.found(A, Unreadable("there is no such file", "Choose another file."))
    state.found(B, PICTURE)

    assert state.remarks(state.cards[0])[0].code is Code.UNREADABLE
    assert session.request.value.images == (ImageReference(B, 4),)
    assert (state.num_left_out(), len(state.cards)) == (1, 2)

    state.found(A, PICTURE)
    assert session.request.value.images == (ImageReference(A), ImageReference(B, 4))


def test_cards_follow_the_clips_length_and_come_back_with_it(
    state: ReferencesState, session: Session, qtbot: QtBot
) -> None:
    state.add(A, PICTURE)
    state.set_role(state.cards[0], Role.KEYFRAME)
    state.set_frame(state.cards[0], 40)

    session.edit(seconds=1.0)
    assert state.remarks(state.cards[0])[0].code is Code.OUTSIDE
    qtbot.waitUntil(lambda: session.request.value.images == ())

    session.edit(seconds=2.0)
    qtbot.waitUntil(lambda: session.request.value.images == (ImageReference(A, 40),))


def test_listeners_of_the_request_hear_the_newest_last(state: ReferencesState, session: Session, qtbot: QtBot) -> None:
    state.add(A, PICTURE)
    state.set_role(state.cards[0], Role.KEYFRAME)
    state.set_frame(state.cards[0], 40)
    heard: list[GenerationRequest] = []
    session.request.changed.connect(heard.append)

    session.edit(seconds=1.0)
    qtbot.waitUntil(lambda: len(heard) == 2)

    assert heard[-1] == session.request.value


def test_other_settings_with_a_file_known_to_be_missing_reach_listeners_in_order(
    state: ReferencesState, session: Session, qtbot: QtBot
) -> None:
    session.request.value = GenerationRequest("first", frames=9, images=(ImageReference(A),))
    state.found(A, Unreadable("there is no such file", "Choose another file."))
    heard: list[GenerationRequest] = []
    session.request.changed.connect(heard.append)

    session.request.value = GenerationRequest("second", frames=9, images=(ImageReference(A),))
    qtbot.waitUntil(lambda: session.request.value.images == ())

    assert [request.images for request in heard] == [(ImageReference(A),), ()]


def test_any_request_can_be_given_the_cards(state: ReferencesState) -> None:
    state.add(VOICE, SOUND)
    state.add(A, PICTURE)

    loud = state.with_references(GenerationRequest("x", images=(ImageReference(C),)))
    silent = state.with_references(GenerationRequest("x", silent=True))

    assert Parts.of(loud) == Parts((ImageReference(A),), VOICE)
    assert Parts.of(silent) == Parts((ImageReference(A),))


def test_a_clip_needs_a_lora_to_be_a_reference(state: ReferencesState, session: Session, qtbot: QtBot) -> None:
    state.add(Path("/walk.mp4"), CLIP)
    state.set_role(state.cards[0], Role.VIDEO)
    assert state.remarks(state.cards[0])[0].code is Code.NO_READER
    assert session.request.value.reference_videos == ()

    session.edit(loras=(LoraReference(Path("/depth.safetensors")),))

    qtbot.waitUntil(lambda: session.request.value.reference_videos == (VideoReference(Path("/walk.mp4")),))
