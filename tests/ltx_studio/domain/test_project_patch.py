"""Differences of JSON values. Alone: `pytest tests/ltx_studio/domain/test_project_patch.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_studio.domain.project_patch import PatchMismatch, difference, patched

SIMPLE = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0.25, 2) | st.text("ab", max_size=2)
JSON = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["id", "a", "b", "at", "put"]), inner, max_size=4)
        | st.lists(st.fixed_dictionaries({"id": st.integers(0, 5), "x": inner}), max_size=6)
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_a_patch_turns_the_one_value_into_the_other(before: Any, after: Any) -> None:
    patch = json.loads(json.dumps(difference(before, after)))

    # As text, since 1, 1.0 and True are equal in Python and are not the same in a file.
    assert json.dumps(patched(before, patch), sort_keys=True) == json.dumps(after, sort_keys=True)


@given(JSON)
def test_equal_values_have_no_difference(value: Any) -> None:
    assert difference(value, json.loads(json.dumps(value))) == []


def test_applying_a_patch_leaves_the_old_value_as_it_was() -> None:
    before = {"clips": [{"id": 1, "start": 0}, {"id": 2, "start": 9}]}

    after = patched(before, difference(before, {"clips": [{"id": 1, "start": 4}, {"id": 2, "start": 9}]}))

    assert before == {"clips": [{"id": 1, "start": 0}, {"id": 2, "start": 9}]}
    assert after["clips"][1] is before["clips"][1]


def test_taking_out_one_clip_of_many_is_a_small_patch() -> None:
    before = [{"id": number, "name": "a clip", "start": 10 * number} for number in range(200)]
    after = [*before[:50], *before[51:]]

    assert difference(before, after) == [{"at": [50], "cut": 1, "insert": []}]


def test_moving_the_start_of_one_clip_of_many_is_a_small_patch() -> None:
    before = [{"id": number, "start": 10 * number} for number in range(200)]
    after = [{**clip, "start": 505} if clip["id"] == 50 else clip for clip in before]

    assert difference(before, after) == [{"at": [50, "start"], "put": 505}]


@pytest.mark.parametrize(
    "patch",
    [
        [{"at": ["clips", 3, "start"], "put": 1}],
        [{"at": ["clips", 0], "cut": 5, "insert": []}],
        [{"at": ["sounds", 0], "cut": 0, "insert": []}],
        [{"at": ["markers"], "drop": True}],
        [{"where": []}],
    ],
)
def test_a_patch_for_another_value_is_refused(patch: list[dict[str, Any]]) -> None:
    with pytest.raises(PatchMismatch):
        patched({"clips": [{"start": 0}]}, patch)
