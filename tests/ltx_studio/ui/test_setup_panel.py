"""The engine on the first page, over a scripted installer. Alone: `pytest tests/ltx_studio/ui/test_setup_panel.py`."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractButton, QComboBox
from pytestqt.qtbot import QtBot

from ltx_studio.installation.messages import Done, Facts, Failed, Mended, Message, Progress, Step
from ltx_studio.installation.state import Part
from ltx_studio.settings import LOOK_FOR_UPDATES, SEALED
from ltx_studio.ui.setup_panel import SetupPanel
from tests.fakes.installer import WAIT, FakeInstaller, status
from tests.fakes.studio import OFFSCREEN_REMARK, OpenStudio, Studio, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
FETCHING = Progress(Part.ENGINE, Step.FETCHING, "torch.whl", 120_000_000, 375_000_000, 12_000_000, 21.0)


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeInstaller:
    """The studio, as if this installer had started it in an environment without torch."""
    fake = FakeInstaller(tmp_path)
    for name, value in fake.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ltx_studio.ui.setup_wiring.has_engine", lambda: False)
    return fake


def welcome(open_studio: OpenStudio) -> Studio:
    studio = open_studio()
    studio.window.show_welcome()
    return studio


def panel(studio: Studio) -> SetupPanel:
    return studio.window.findChildren(SetupPanel)[0]


def wait_for(studio: Studio, name: str) -> QAbstractButton:
    studio.qtbot.waitUntil(
        lambda: any(
            item.accessibleName() == name and item.isVisible() for item in panel(studio).findChildren(QAbstractButton)
        ),
        timeout=10_000,
    )
    return studio.button(name)


def test_what_fits_is_offered_with_its_size_and_the_room_there_is(
    installer: FakeInstaller, open_studio: OpenStudio
) -> None:
    studio = welcome(open_studio)

    wait_for(studio, "Install the engine")
    studio.qtbot.waitUntil(lambda: "100.0 GB are free" in texts_of(panel(studio)), timeout=10_000)

    assert studio.find(QComboBox, "Engine").currentText() == "NVIDIA graphics, current driver (3.0 GB to fetch)"


def test_an_engine_without_a_list_of_packages_cannot_be_asked_for_and_says_why(
    installer: FakeInstaller, open_studio: OpenStudio
) -> None:
    studio = welcome(open_studio)
    button = wait_for(studio, "Install the engine")
    box = studio.find(QComboBox, "Engine")

    box.setCurrentIndex(1)
    box.activated.emit(1)

    assert not button.isEnabled()
    assert "no list of packages" in button.toolTip()


def test_progress_pause_resume_and_the_end(installer: FakeInstaller, open_studio: OpenStudio) -> None:
    installer.answer("engine", FETCHING, WAIT)
    studio = welcome(open_studio)
    wait_for(studio, "Install the engine").click()
    studio.qtbot.waitUntil(lambda: "120 of 375 MB" in texts_of(panel(studio)), timeout=10_000)
    assert "12 MB/s" in texts_of(panel(studio))
    assert "about 21 s left" in texts_of(panel(studio))

    wait_for(studio, "Pause the installation").click()
    wait_for(studio, "Resume the installation")
    installer.answer("engine", FETCHING, Done(must_restart=True))
    studio.click("Resume the installation")

    wait_for(studio, "Start the studio again")
    engines = [command[:3] for command in installer.asked if command[0] == "engine"]
    assert engines == [["engine", "--target", "linux-nvidia"]] * 2


def test_the_window_is_usable_meanwhile_and_says_how_far_it_is(
    installer: FakeInstaller, open_studio: OpenStudio, qtbot: QtBot
) -> None:
    installer.answer("engine", FETCHING, WAIT)
    studio = welcome(open_studio)
    wait_for(studio, "Install the engine").click()
    qtbot.waitUntil(lambda: "120 of 375 MB" in studio.window.status_line.currentMessage(), timeout=10_000)

    studio.window.actions_by_name["write_prompt"].trigger()
    studio.write_prompt("a red ball")

    assert studio.window.prompt_panel.prompt.toPlainText() == "a red ball"
    wait_end(studio, installer)


def wait_end(studio: Studio, installer: FakeInstaller) -> None:
    """Stop what runs, so that nothing is left when the window goes."""
    studio.window.show_welcome()
    wait_for(studio, "Pause the installation").click()
    wait_for(studio, "Resume the installation")


def test_a_failure_shows_its_remedy_and_can_be_tried_again(installer: FakeInstaller, open_studio: OpenStudio) -> None:
    installer.answer("engine", Failed("disk-full", "The disk is full.", "Free some space."), code=3)
    studio = welcome(open_studio)
    wait_for(studio, "Install the engine").click()

    wait_for(studio, "Try again")

    assert "The disk is full. Free some space." in texts_of(panel(studio))


def test_an_installer_that_breaks_is_said_in_a_sentence(installer: FakeInstaller, open_studio: OpenStudio) -> None:
    installer.answer("engine", code=1)
    studio = welcome(open_studio)
    wait_for(studio, "Install the engine").click()

    wait_for(studio, "Try again")

    assert "The installer ended early." in texts_of(panel(studio))


def test_repair_says_what_it_looked_at(
    installer: FakeInstaller, open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_studio.ui.setup_wiring.has_engine", lambda: True)
    installer.answer("status", status(engine="ready", target="linux-cpu"))
    installer.answer("repair", Mended(Part.SHELL, 10, ("a", "b")), Mended(Part.ENGINE, 20, ()))
    studio = welcome(open_studio)

    wait_for(studio, "Repair the installation").click()

    studio.qtbot.waitUntil(lambda: "30 files were looked at, and 2 mended." in texts_of(panel(studio)), timeout=10_000)


UPDATE: Message = Facts(
    {"version": "0.1", "offer": {"version": "0.2", "notes": "Faster.", "shell_bytes": 25_000_000, "engine_bytes": 0}}
)


def test_updates_are_looked_for_only_when_that_was_allowed(installer: FakeInstaller, open_studio: OpenStudio) -> None:
    installer.answer("updates", UPDATE)
    studio = welcome(open_studio)
    wait_for(studio, "Install the engine")
    assert "updates" not in installer.verbs()
    studio.close()

    second = open_studio()
    second.preferences.put(LOOK_FOR_UPDATES, True)
    second.window.show_welcome()
    wait_for(second, "Update LTX Studio")

    assert "Version 0.2 is there (25 MB)." in texts_of(panel(second))
    assert "Faster." in texts_of(panel(second))


def test_sealed_nothing_is_looked_for_and_the_installer_is_told_to_stay_offline(
    installer: FakeInstaller, open_studio: OpenStudio
) -> None:
    installer.answer("engine", Failed("offline", "The network is not to be used.", ""), code=3)
    studio = open_studio()
    studio.preferences.put(LOOK_FOR_UPDATES, True)
    studio.preferences.put(SEALED, True)
    studio.window.show_welcome()

    wait_for(studio, "Install the engine").click()
    wait_for(studio, "Try again")

    assert "updates" not in installer.verbs()
    assert all("--offline" in command for command in installer.asked)


def test_without_an_installer_and_with_an_engine_nothing_is_said(open_studio: OpenStudio) -> None:
    assert welcome(open_studio).window.findChildren(SetupPanel) == []
