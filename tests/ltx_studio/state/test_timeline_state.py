"""The timeline as state: shown, selected, undone. Alone: `pytest tests/ltx_studio/state/test_timeline_state.py`."""

from ltx_studio.domain.project import MAX_STEPS
from ltx_studio.domain.timeline import Edge, Timeline
from ltx_studio.domain.timeline_details import add_marker, mark_range
from ltx_studio.domain.timeline_edits import blade, delete, move, trim
from ltx_studio.domain.timeline_zones import Zones
from ltx_studio.state.timeline import TimelineState
from tests.fakes.timelines import media, picture, sequence, sound, spans


def shown(state: TimelineState) -> list[tuple[str, int, int]]:
    return spans(state.timeline.value)


def test_a_clip_is_mirrored_until_something_is_edited() -> None:
    state = TimelineState()

    state.mirror(media("a", 50))
    state.mirror(media("b", 60))
    assert (shown(state), state.is_sequence.value) == ([("b", 0, 60)], False)
    state.edit("cut", blade, 20)
    state.mirror(media("c", 70))

    assert (shown(state), state.is_sequence.value) == ([("b", 0, 20), ("b", 20, 60)], True)


def test_undoing_every_edit_makes_it_a_mirror_again() -> None:
    state = TimelineState()
    state.mirror(media("a", 50))
    state.edit("cut", blade, 20)

    state.stack.undo()

    assert not state.is_sequence.value


def test_marks_alone_make_no_sequence() -> None:
    state = TimelineState()
    state.mirror(media("a", 50))

    state.edit("mark", mark_range, 10, 20)

    assert not state.is_sequence.value


def test_a_kept_clip_stays() -> None:
    state = TimelineState()
    state.mirror(media("a", 50))

    state.keep()
    state.mirror(media("b", 60))

    assert shown(state) == [("a", 0, 50)]
    state.clear()
    state.mirror(media("b", 60))
    assert shown(state) == [("b", 0, 60)]


def test_steps_are_told_as_they_are_made_and_undone() -> None:
    state = TimelineState()
    state.load(sequence(50))
    stepped: list[tuple[str, bool]] = []
    moved: list[int] = []
    state.stepped.connect(lambda name, _after, replaces: stepped.append((name, replaces)))
    state.moved.connect(moved.append)
    clip = picture(state.timeline.value, 0)

    state.edit("trim", trim, clip, Edge.END, 40)
    state.edit_on("nudge", "move", move, [clip], 1)
    state.edit_on("nudge", "move", move, [clip], 1)
    state.stack.undo()
    state.stack.redo()

    assert stepped == [("trim", False), ("move", False), ("move", True)]
    assert moved == [1, 2]


def test_a_history_that_is_full_tells_new_steps_as_new() -> None:
    state = TimelineState()
    state.load(sequence(2 * MAX_STEPS + 10))
    stepped: list[bool] = []
    state.stepped.connect(lambda _name, _after, replaces: stepped.append(replaces))

    for frame in range(MAX_STEPS + 3):
        state.edit_on("" if frame % 2 else str(frame), "mark", add_marker, frame)

    assert not any(stepped)
    assert len(state.steps) == MAX_STEPS


def test_a_history_is_taken_up_where_it_was_left() -> None:
    before = TimelineState()
    before.load(sequence(50))
    for frame in (10, 20, 30):
        before.edit(f"cut {frame}", blade, frame)
    before.stack.undo()
    steps: tuple[tuple[str, Timeline], ...] = before.steps

    after = TimelineState()
    after.load(sequence(50), steps, 2)

    assert after.timeline.value is before.timeline.value
    assert after.stack.redoText() == "cut 30" and after.stack.undoText() == "cut 20"
    after.stack.redo()
    assert after.timeline.value is steps[2][1]
    assert after.steps == steps


def test_selecting_a_clip_selects_what_is_linked_to_it_until_it_is_gone() -> None:
    state = TimelineState()
    state.load(sequence(50, 50))
    first = picture(state.timeline.value, 0)

    state.select([first])
    assert set(state.selection.value) == {first, sound(state.timeline.value, 0)}
    state.edit("delete", delete, [first])

    assert state.selection.value == ()


def test_the_clip_in_hand_is_the_selected_one_or_what_is_under_the_playhead() -> None:
    state = TimelineState()
    state.load(sequence(50, 50))
    state.playhead.value = 60

    under = state.clip_in_hand()
    state.select([sound(state.timeline.value, 0)])
    selected = state.clip_in_hand()

    assert under is not None and under.name == "b"
    assert selected is not None and selected.id == picture(state.timeline.value, 0)


def test_zones_go_with_their_clip() -> None:
    state = TimelineState()
    state.load(sequence(50))
    clip = picture(state.timeline.value, 0)
    state.zones.value = Zones(clip, ())

    state.edit("delete", delete, [clip])

    assert state.zones.value is None
