"""Observable values and their bindings. Alone: `pytest tests/ltx_studio/test_observable.py`."""

import operator

import numpy as np
import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from ltx_studio.state.observable import Observable, bind


@pytest.fixture
def owner(qapp: object) -> QObject:
    return QObject()


def test_a_new_value_is_announced(owner: QObject) -> None:
    seed = Observable(1, owner)
    announced: list[int] = []
    seed.changed.connect(announced.append)

    seed.value = 2

    assert (seed.value, announced) == (2, [2])


def test_an_equal_value_is_no_change(owner: QObject) -> None:
    words = Observable(("a", "b"), owner)
    announced: list[object] = []
    words.changed.connect(announced.append)

    words.value = ("a", "b")

    assert announced == []


def test_values_that_do_not_compare_are_the_same_only_when_they_are_one(owner: QObject) -> None:
    first, second = np.zeros(3), np.zeros(3)
    picture = Observable(first, owner, is_same=operator.is_)
    announced: list[object] = []
    picture.changed.connect(announced.append)

    picture.value = first
    picture.value = second

    assert len(announced) == 1
    assert announced[0] is second


def test_binding_shows_the_value_at_once_and_at_every_change(owner: QObject) -> None:
    seed = Observable(1, owner)
    shown: list[int] = []

    bind(seed, shown.append)
    seed.value = 2

    assert shown == [1, 2]


def test_a_released_binding_shows_nothing_more(owner: QObject) -> None:
    seed = Observable(1, owner)
    shown: list[int] = []
    binding = bind(seed, shown.append)

    binding.release()
    seed.value = 2

    assert shown == [1]


def test_two_values_that_follow_each_other_come_to_rest(owner: QObject) -> None:
    first, second = Observable(1, owner), Observable(1, owner)
    bind(first, lambda value: setattr(second, "value", value))
    bind(second, lambda value: setattr(first, "value", value))

    second.value = 5

    assert (first.value, second.value) == (5, 5)


def test_an_error_in_a_slot_is_not_swallowed(owner: QObject, qtbot: QtBot) -> None:
    """Every test of the window relies on this: pytest-qt turns what a slot raises into a failure."""

    def fail(_value: int) -> None:
        raise ValueError("a slot that fails")

    seed = Observable(1, owner)
    seed.changed.connect(fail)

    with qtbot.captureExceptions() as errors:
        seed.value = 2

    assert [str(error[1]) for error in errors] == ["a slot that fails"]
