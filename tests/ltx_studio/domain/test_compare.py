"""Comparing without a window. Alone: `pytest tests/ltx_studio/domain/test_compare.py`."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.request import GenerationRequest, LoraReference, Preset, Retake
from engine.types import FrameRate
from ltx_studio.domain.compare import (
    Ballot,
    Difference,
    Lock,
    differences,
    frame_of,
    is_on_wipe,
    panes,
    wipe_parts,
    wipe_position,
)
from ltx_studio.domain.framing import Rect

VIEW = Rect(0, 0, 1200, 600)
lengths, aspects = st.floats(200, 3000), st.floats(0.4, 2.5)


# --- where they lie ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 4), lengths, lengths, aspects)
def test_panes_are_equal_inside_the_view_and_apart(number: int, width: float, height: float, aspect: float) -> None:
    found = panes(number, Rect(5, 7, width, height), aspect, 2.0)

    assert len(found) == number
    assert len({(round(pane.width, 6), round(pane.height, 6)) for pane in found}) == 1
    for index, pane in enumerate(found):
        assert pane.x >= 5 - 1e-6 and pane.right <= 5 + width + 1e-6
        assert pane.y >= 7 - 1e-6 and pane.bottom <= 7 + height + 1e-6
        for other in found[index + 1 :]:
            is_beside = pane.right <= other.x + 1e-6 or other.right <= pane.x + 1e-6
            assert is_beside or pane.bottom <= other.y + 1e-6


@pytest.mark.parametrize(
    ("number", "aspect", "columns"), [(2, 16 / 9, 2), (2, 9 / 16, 2), (3, 9 / 16, 3), (4, 16 / 9, 2), (4, 9 / 16, 4)]
)
def test_pictures_come_out_as_large_as_they_can(number: int, aspect: float, columns: int) -> None:
    assert len({round(pane.x) for pane in panes(number, VIEW, aspect, 2.0)}) == columns


def test_in_a_tall_view_wide_pictures_lie_below_each_other() -> None:
    first, second = panes(2, Rect(0, 0, 500, 900), 16 / 9, 2.0)

    assert first.x == second.x
    assert second.y > first.bottom


@given(st.floats(-100, 1300))
def test_the_wipes_line_follows_the_mouse_and_stays_in_the_view(x: float) -> None:
    position = wipe_position(VIEW, x)
    left, right = wipe_parts(VIEW, position)

    assert left.right == pytest.approx(min(max(x, 0), 1200))
    assert left.width + right.width == pytest.approx(VIEW.width)
    assert right.x == pytest.approx(left.right)


def test_the_line_is_taken_beside_it_and_not_far_from_it() -> None:
    assert is_on_wipe(VIEW, 0.25, 306)
    assert not is_on_wipe(VIEW, 0.25, 320)


# --- one playhead -----------------------------------------------------------------------------------------------------

FILM, FAST = FrameRate.parse(24), FrameRate.parse(48)


def test_at_one_rate_every_take_is_at_the_same_frame_and_a_shorter_one_at_its_last() -> None:
    assert frame_of(40, FILM, FILM, 121, Lock.TIME) == 40
    assert frame_of(40, FILM, FILM, 30, Lock.TIME) == 29


def test_at_several_rates_the_lock_decides_between_the_moment_and_the_number() -> None:
    assert frame_of(10, FILM, FAST, 200, Lock.TIME) == 20
    assert frame_of(10, FILM, FAST, 200, Lock.FRAMES) == 10


@given(st.integers(0, 5000), st.sampled_from(["24000/1001", "25", "30000/1001", "60"]))
def test_locked_by_time_the_other_take_shows_what_belongs_to_that_moment(frame: int, rate: str) -> None:
    other = FrameRate.parse(rate)
    found = frame_of(frame, FILM, other, 10**6, Lock.TIME)

    assert 0 <= frame / FILM.value - found / other.value < 1 / other.value


# --- what differs -----------------------------------------------------------------------------------------------------


def test_only_what_is_not_the_same_everywhere_is_a_difference() -> None:
    one = GenerationRequest("a ball", seed=1, steps=8, preset=Preset.FAST).to_dict()
    two = GenerationRequest("a ball", seed=2, steps=8, preset=Preset.HIGH).to_dict()

    assert {item.field: item.values for item in differences([one, two])} == {
        "preset": (None, "high"),
        "seed": (1, 2),
    }


def test_parts_of_a_setting_are_compared_each_for_itself() -> None:
    requests = [GenerationRequest("a", edit=Retake(Path("clip.mp4"), 0.0, end)).to_dict() for end in (1.0, 2.0)]

    assert differences(requests) == (Difference("edit.end_s", (1.0, 2.0)),)


def test_a_take_that_does_not_say_how_it_was_made_makes_no_differences() -> None:
    one, two = GenerationRequest("a", seed=1).to_dict(), GenerationRequest("a", seed=2).to_dict()

    assert differences([one, None]) == ()
    assert differences([one, None, two]) == (Difference("seed", (1, None, 2)),)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)), min_size=2, max_size=4))
def test_each_difference_is_one_and_none_is_missed(requests: list[dict[str, int]]) -> None:
    found = {item.field: item.values for item in differences(requests)}

    for field in "abcd":
        values = [request.get(field) for request in requests]
        assert (field in found) == (len(set(values)) > 1)


def test_lists_are_compared_as_they_are() -> None:
    with_lora = GenerationRequest("a", loras=(LoraReference(Path("x.safetensors"), 0.5),)).to_dict()

    assert [item.field for item in differences([with_lora, GenerationRequest("a").to_dict()])] == ["loras"]


# --- blind ------------------------------------------------------------------------------------------------------------


@given(st.integers(2, 4), st.integers(0, 2**32), st.lists(st.integers(0, 3), max_size=30))
def test_every_vote_goes_to_the_take_behind_the_side(number: int, seed: int, sides: list[int]) -> None:
    rng = Random(seed)
    ballot = Ballot.opened(number, rng)
    expected = [0] * number
    for side in (side % number for side in sides):
        expected[ballot.order[side]] += 1
        ballot = ballot.voted(side, rng)
        assert sorted(ballot.order) == list(range(number))

    assert ballot.votes == tuple(expected)
    assert ballot.num_votes == len(sides)


def test_those_with_the_most_votes_lead_and_nobody_before_the_first_vote() -> None:
    assert Ballot((0, 1, 2), (2, 0, 2)).leaders == (0, 2)
    assert Ballot((0, 1), (0, 0)).leaders == ()


def test_sides_are_shuffled_fairly() -> None:
    rng = Random(4)
    ballot, on_the_left = Ballot.opened(2, rng), 0
    for _ in range(400):
        ballot = ballot.voted(0, rng)
        on_the_left += ballot.order[0] == 0

    assert 150 < on_the_left < 250
