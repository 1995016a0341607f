"""The state machine and its file. Alone: `pytest tests/ltx_studio/installation/test_installation_state.py`."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.state import FILE_NAME, Build, Installation, Part, Problem, Record, Slot, State

OLD, NEW = Build("old", "a" * 64, "linux-cpu"), Build("new", "b" * 64, "linux-cpu")
READY = Slot().begin(OLD).built().passed()


def test_an_environment_is_used_once_it_passed() -> None:
    begun = Slot().begin(NEW)

    assert [begun.is_usable, begun.built().is_usable, begun.built().passed().is_usable] == [False, False, True]


def test_the_one_before_is_used_while_another_is_made() -> None:
    assert READY.begin(NEW).current == OLD
    assert READY.begin(NEW).built().is_usable


def test_what_passed_is_used_and_what_was_used_can_be_gone_back_to() -> None:
    updated = READY.begin(NEW).built().passed()

    assert (updated.current, updated.previous, updated.wanted) == (NEW, OLD, None)
    assert (updated.roll_back().current, updated.roll_back().previous) == (OLD, NEW)


def test_there_is_nothing_to_go_back_to_after_the_first() -> None:
    with pytest.raises(InstallError, match="no earlier version"):
        READY.roll_back()


def test_a_failure_keeps_the_state_so_that_it_goes_on_from_there() -> None:
    failed = READY.begin(NEW).built().failed(Problem("smoke-test", "It does not work."))

    assert (failed.state, failed.wanted, failed.current) == (State.VERIFYING, NEW, OLD)


def test_giving_up_keeps_what_was_there() -> None:
    assert READY.begin(NEW).give_up() == READY


def test_what_is_being_mended_is_not_started() -> None:
    assert not READY.repair().is_usable
    assert READY.repair().repaired() == READY


def test_an_engine_that_does_not_go_with_the_studio_any_more_still_exists() -> None:
    outdated = READY.outdated()

    assert (outdated.state, outdated.current) == (State.UPDATE_REQUIRED, OLD)


def test_nothing_begins_while_it_is_removed() -> None:
    with pytest.raises(InstallError, match="being removed"):
        READY.uninstall().begin(NEW)


@pytest.mark.parametrize("step", ["built", "passed", "repaired"])
def test_a_step_that_is_not_next_is_a_mistake_of_the_program(step: str) -> None:
    with pytest.raises(AssertionError):
        getattr(READY, step)()


@given(st.lists(st.sampled_from(["begin", "built", "passed", "failed", "give_up", "repair", "repaired", "roll_back"])))
def test_whatever_happens_only_what_passed_is_ever_used(steps: list[str]) -> None:
    slot, number, has_passed = Slot(), 0, set[Build | None]([None])
    for step in steps:
        number += 1
        arguments = {"begin": [Build(f"{number}", "c" * 64, "linux-cpu")], "failed": [Problem("x", "y")]}
        is_verified = slot.state is State.VERIFYING and step == "passed"
        wanted = slot.wanted
        try:
            slot = getattr(slot, step)(*arguments.get(step, []))
        except (AssertionError, InstallError):
            continue
        if is_verified:
            has_passed.add(wanted)
        assert slot.current in has_passed
        assert slot.previous in has_passed


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    installation = Installation(engine=READY.begin(NEW), engine_folder="engine", skipped_version="0.2")

    Record(tmp_path).write(installation)

    assert Record(tmp_path).read() == installation


def test_where_nothing_is_a_new_installation_begins(tmp_path: Path) -> None:
    assert Record(tmp_path).read() == Installation()


def test_a_record_is_replaced_whole(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.write(Installation())
    (tmp_path / f"{FILE_NAME}.new").write_text('{"half', encoding="utf-8")  # a kill while writing

    assert record.read() == Installation()
    record.change(Part.SHELL, READY)
    assert record.read().shell == READY


def test_what_a_later_version_wrote_beside_is_kept(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.write(Installation())
    values = json.loads(record.path.read_text(encoding="utf-8"))
    record.path.write_text(json.dumps({**values, "later": [1]}), encoding="utf-8")

    record.change(Part.ENGINE, READY)

    assert json.loads(record.path.read_text(encoding="utf-8"))["later"] == [1]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"shell": {"state": "asleep"}, "engine": {}}'])
def test_a_record_that_cannot_be_read_is_said_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="utf-8")

    with pytest.raises(InstallError) as failure:
        Record(tmp_path).read()

    assert failure.value.code == "damaged-record"
    assert failure.value.remedy
