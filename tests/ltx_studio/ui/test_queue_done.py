"""What happens when the queue is done, with a real command on the path that stands for the system's.

Alone: `pytest tests/ltx_studio/ui/test_queue_done.py`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from engine.errors import RequestError
from engine.jobs.store import JobStore, WhenDone
from ltx_studio.services.sleep import sleep_commands
from ltx_studio.ui.queue_done import WhenDoneButton
from tests.fakes.queue import new_job
from tests.fakes.studio import OFFSCREEN_REMARK, WORKING, OpenStudio, Studio, finished

pytestmark = [
    pytest.mark.qt_log_ignore(OFFSCREEN_REMARK, r"does not support grabbing the keyboard"),
    pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="the command stands for those of Linux"),
]
Commands = Callable[..., Path]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Puts programs that write down their arguments, and end with this code, on a path of their own."""
    folder, log = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(**exit_codes: int) -> Path:
        for name, code in exit_codes.items():
            program = folder / name
            program.write_text(f'#!/bin/sh\necho "{name} $@" >> "{log}"\nexit {code}\n', encoding="utf-8")
            program.chmod(0o755)
        return log

    return make


def set_up(studio: Studio, action: WhenDone, *, warning_s: int = 1) -> None:
    studio.window.when_done.warning_s = warning_s
    studio.queue.set_when_done(action)
    studio.qtbot.waitUntil(lambda: studio.queue.snapshot.value.when_done == action)


def make_a_clip(studio: Studio) -> None:
    studio.write_prompt()
    studio.window.generate()


def warning_is_shown(studio: Studio) -> bool:
    return studio.window.when_done.warning.isVisible()


def test_the_computer_goes_to_sleep_when_the_last_clip_is_made(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot
) -> None:
    asked = commands(systemctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep")

    make_a_clip(studio)
    qtbot.waitUntil(asked.exists)

    assert asked.read_text() == "systemctl suspend\n"
    assert studio.states() == ["done"]
    assert not warning_is_shown(studio)


def test_a_clip_that_failed_keeps_nobody_awake(open_studio: OpenStudio, commands: Commands, qtbot: QtBot) -> None:
    asked = commands(systemctl=0)
    studio = open_studio([RequestError("prompt", "It cannot be made.", remedy="Change it.")])
    set_up(studio, "sleep")

    make_a_clip(studio)

    qtbot.waitUntil(asked.exists)


def test_where_one_command_fails_the_next_is_tried(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot
) -> None:
    asked = commands(systemctl=1, loginctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep")

    make_a_clip(studio)

    qtbot.waitUntil(lambda: asked.exists() and "loginctl" in asked.read_text())
    assert asked.read_text() == "systemctl suspend\nloginctl suspend\n"


@pytest.mark.parametrize("exit_codes", [{}, {"systemctl": 1}], ids=["no command", "a command that fails"])
def test_where_nothing_works_a_sentence_says_so(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot, exit_codes: dict[str, int]
) -> None:
    commands(**exit_codes)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep")

    make_a_clip(studio)

    qtbot.waitUntil(lambda: "refused to go to sleep" in studio.window.status_line.currentMessage())


def test_before_that_the_status_line_offers_to_stay_awake(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot
) -> None:
    asked = commands(systemctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep", warning_s=30)
    make_a_clip(studio)
    qtbot.waitUntil(lambda: warning_is_shown(studio))
    assert "sleep in 30 s" in studio.window.when_done.warning.accessibleName()

    studio.click("Stay awake")

    assert not warning_is_shown(studio)
    assert not studio.window.when_done.is_counting
    assert not asked.exists()


def test_a_new_clip_calls_the_sleep_off(open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot) -> None:
    commands(systemctl=0)
    studio = open_studio(finished(clip), WORKING)
    set_up(studio, "sleep", warning_s=30)
    make_a_clip(studio)
    qtbot.waitUntil(lambda: warning_is_shown(studio))

    studio.queue.add([studio.session.request_to_run()])

    assert not warning_is_shown(studio)
    qtbot.waitUntil(lambda: "running" in studio.states())
    assert not studio.window.when_done.is_counting


def test_another_choice_calls_the_sleep_off(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot
) -> None:
    commands(systemctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep", warning_s=30)
    make_a_clip(studio)
    qtbot.waitUntil(lambda: warning_is_shown(studio))

    studio.queue.set_when_done("nothing")

    qtbot.waitUntil(lambda: not warning_is_shown(studio))


def test_a_queue_that_was_cancelled_puts_nothing_to_sleep(
    open_studio: OpenStudio, commands: Commands, qtbot: QtBot
) -> None:
    asked = commands(systemctl=0)
    studio = open_studio(WORKING)
    set_up(studio, "sleep", warning_s=0)
    make_a_clip(studio)
    qtbot.waitUntil(lambda: studio.states() == ["running"])

    studio.window.stop()
    qtbot.waitUntil(lambda: studio.states() == ["cancelled"])

    assert not studio.window.when_done.is_counting
    assert not asked.exists()


def test_editing_the_last_job_that_waits_puts_nothing_to_sleep(
    open_studio: OpenStudio, commands: Commands, qtbot: QtBot
) -> None:
    commands(systemctl=0)
    studio = open_studio()
    set_up(studio, "sleep")
    studio.queue.set_paused(True)
    studio.queue.add([studio.session.request_to_run()])
    qtbot.waitUntil(lambda: studio.states() == ["waiting"])

    studio.queue.take_out(studio.queue.snapshot.value.items[0])
    qtbot.waitUntil(lambda: studio.states() == ["paused"])

    assert not studio.window.when_done.is_counting


def test_an_export_that_still_waits_keeps_the_computer_awake(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot, tmp_path: Path
) -> None:
    commands(systemctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep")
    with JobStore() as store:
        (job,) = store.add([new_job(tmp_path / "export.mp4", title="export", lane="export")])
        store.pause(job.id)
        with store.transaction():  # as its runner writes it, in another process
            store.update(job.id, state="running", owner='["elsewhere", 1, 0.0, "token"]', heartbeat_s=store.now())

    make_a_clip(studio)
    qtbot.waitUntil(lambda: sorted(studio.states()) == ["done", "running"])

    assert not studio.window.when_done.is_counting


def test_notify_says_that_the_queue_is_done(open_studio: OpenStudio, clip: Path, qtbot: QtBot) -> None:
    studio = open_studio(finished(clip))
    set_up(studio, "notify")

    make_a_clip(studio)

    qtbot.waitUntil(lambda: studio.window.status_line.currentMessage() == "The queue is done.")


def test_closing_the_window_calls_the_sleep_off(
    open_studio: OpenStudio, clip: Path, commands: Commands, qtbot: QtBot
) -> None:
    commands(systemctl=0)
    studio = open_studio(finished(clip))
    set_up(studio, "sleep", warning_s=30)
    make_a_clip(studio)
    qtbot.waitUntil(lambda: studio.window.when_done.is_counting)

    studio.close()

    assert not studio.window.when_done.is_counting


# --- the choice -------------------------------------------------------------------------------------------------------


def menu_of(studio: Studio) -> QMenu:
    studio.click("When done")
    menu = studio.find(WhenDoneButton, "When done").menu_of_choices
    studio.qtbot.waitUntil(menu.isVisible)
    return menu


@pytest.mark.parametrize("number", [1, 2], ids=["notify", "sleep"])
def test_the_choice_is_made_in_a_menu_and_remembered(
    open_studio: OpenStudio, commands: Commands, qtbot: QtBot, number: int
) -> None:
    commands(systemctl=0)
    studio = open_studio()

    menu = menu_of(studio)
    centre: QPoint = menu.actionGeometry(menu.actions()[number]).center()
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=centre)

    chosen = ("nothing", "notify", "sleep")[number]
    qtbot.waitUntil(lambda: studio.queue.snapshot.value.when_done == chosen)
    assert [action.isChecked() for action in menu.actions()] == [number == 0, number == 1, number == 2]


def test_sleep_cannot_be_chosen_where_the_system_has_no_command(open_studio: OpenStudio, commands: Commands) -> None:
    commands()
    sleep = menu_of(open_studio()).actions()[2]

    assert not sleep.isEnabled()
    assert "no command" in sleep.toolTip()


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux", "systemctl suspend"), ("win32", "rundll32.exe powrprof.dll,SetSuspendState 0,1,0")],
)
def test_each_system_has_a_command_of_its_own(commands: Commands, platform: str, expected: str) -> None:
    commands(systemctl=0, **{"rundll32.exe": 0})

    assert [" ".join(command) for command in sleep_commands(platform)] == [expected]
