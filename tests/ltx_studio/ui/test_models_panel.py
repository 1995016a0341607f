"""The model page, used against a hub on this machine. Alone: `pytest tests/ltx_studio/ui/test_models_panel.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from engine.weights.access import find_access
from engine.weights.catalog import places
from ltx_studio.settings import SEALED
from tests.fakes.catalogue import CONTENTS, MODELS, TERMS, small_catalogue
from tests.fakes.hub import FakeHub
from tests.fakes.models_page import ONE, READER, TWO, ModelsPage
from tests.fakes.studio import OFFSCREEN_REMARK

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK)
OpenPage = Callable[..., ModelsPage]


@pytest.fixture(autouse=True)
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch, small_catalogue(tmp_path_factory.mktemp("data"), monkeypatch):
        monkeypatch.delenv("LTX_STUDIO_SEALED", raising=False)
        yield


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(dict(CONTENTS)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def open_page(qapp: QApplication, qtbot: QtBot) -> Iterator[OpenPage]:
    pages: list[ModelsPage] = []

    def open_page(*, free_bytes: int = 10**12) -> ModelsPage:
        pages.append(ModelsPage(qapp, qtbot, free_bytes=free_bytes))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def fetched_bytes(page: ModelsPage) -> int:
    running = page.panel.shelf.queue.value.running
    return 0 if running is None else running.done_bytes


def test_what_is_not_there_is_named_with_its_size(open_page: OpenPage) -> None:
    page = open_page()

    assert page.state_of(ONE) == "Not installed: 350 kB to fetch, and the text encoder"
    assert page.has_button(f"Get: {ONE}")
    assert not page.has_button(f"Verify: {ONE}")


def test_get_installs_a_model_with_its_text_encoder(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()

    page.do(f"Get: {ONE}")

    assert page.state_of(ONE) == "Installed and verified: 350 kB"
    assert page.state_of(READER) == "Installed and verified: 90 kB"
    assert f"{ONE} is installed and verified; 440 kB fetched." in page.words()
    assert not page.has_button(f"Get: {ONE}")


def test_room_is_said_before_the_first_byte(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    hub.bytes_per_s = 50_000

    page.click(f"Get: {ONE}")
    page.wait_until(lambda: "440 kB to fetch, 1000.0 GB free on this disk." in page.words())

    assert "Fetching" in page.state_of(ONE) or "Asking" in page.state_of(ONE)


def test_a_disk_without_room_is_said_and_nothing_is_fetched(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page(free_bytes=1000)
    assert "Not enough room: 350 kB to fetch, 1.0 kB free on this disk." in page.words()

    page.do(f"Get: {ONE}")

    assert "free on this disk" in page.words()
    assert hub.sent_bytes == 0
    assert page.state_of(ONE).startswith("Not installed")


def test_a_pause_keeps_what_was_fetched_and_the_next_start_goes_on(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    hub.bytes_per_s = 100_000
    page.click(f"Get: {ONE}")
    page.wait_until(lambda: fetched_bytes(page) > 60_000)
    page.do(f"Pause: {ONE}")
    assert page.state_of(ONE).startswith("Paused")
    page.close()

    page = open_page()
    state, sent_bytes = page.state_of(ONE), hub.sent_bytes
    hub.bytes_per_s = None
    page.do(f"Resume: {ONE}")

    assert state.startswith("Partly fetched: ")
    assert page.state_of(ONE) == "Installed and verified: 350 kB"
    assert hub.sent_bytes - sent_bytes < 440_000 - 30_000


def test_resuming_while_it_still_stops_goes_on(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    hub.bytes_per_s = 200_000
    page.click(f"Get: {ONE}")
    page.wait_until(lambda: fetched_bytes(page) > 0)

    page.panel.shelf.pause()
    page.panel.shelf.resume()
    page.wait_until_idle()

    assert page.state_of(ONE) == "Installed and verified: 350 kB"


def test_several_models_wait_in_a_queue_and_one_can_leave_it(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    hub.bytes_per_s = 100_000
    page.click(f"Get: {ONE}")
    page.click(f"Get: {TWO}")
    page.click(f"Get: {READER}")
    page.wait_until(lambda: page.state_of(TWO) == "Waits for its turn" == page.state_of(READER))

    page.click(f"Take out of the queue: {TWO}")
    hub.bytes_per_s = None
    page.wait_until_idle()

    assert page.state_of(ONE).startswith("Installed")
    assert page.state_of(TWO).startswith("Not installed")
    assert page.state_of(READER).startswith("Installed")
    assert f"{MODELS}/two.safetensors" not in " ".join(hub.requests)


def test_verify_says_that_every_byte_is_right(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")

    page.do(f"Verify: {ONE}")

    assert f"{ONE}: every byte of 4 files is right." in page.words()


def test_a_damaged_file_is_put_aside_and_only_it_is_fetched_again(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")
    checkpoint = places("one")[0].path
    checkpoint.write_bytes(bytes(300_000))

    page.do(f"Verify: {ONE}")
    assert "one.safetensors has a wrong hash; it was put aside" in page.words()
    sent_bytes = hub.sent_bytes
    page.do(f"Get the rest: {ONE}")

    assert page.state_of(ONE) == "Installed and verified: 350 kB"
    assert hub.sent_bytes - sent_bytes == 300_000


def test_a_pack_carries_a_model_to_another_start_without_a_network(
    open_page: OpenPage, hub: FakeHub, tmp_path: Path
) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")
    page.folder = tmp_path / "pack"
    page.do(f"Export: {ONE}")
    page.do(f"Remove: {ONE}")
    page.preferences.put(SEALED, True)

    page.do("Import a pack")

    assert page.state_of(ONE) == "Installed and verified: 350 kB"
    assert "The pack is installed: 4 files, 2 of them new (350 kB)." in page.words()


def test_removing_asks_first_and_says_how_much_it_frees(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")

    page.do(f"Remove: {ONE}")

    assert [row.removable_bytes for row in page.asked] == [350_000]
    assert f"{ONE} is removed; 350 kB freed. Its text encoder stays, for other models." in page.words()
    assert not places("one")[0].path.exists()


def test_nothing_is_removed_while_a_clip_is_made(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")

    page.session.is_running.value = True
    page.panel.draw_now()

    assert not page.button(f"Remove: {ONE}").isEnabled()
    assert "A clip is being made" in page.button(f"Remove: {ONE}").toolTip()


@pytest.mark.qt_log_ignore(OFFSCREEN_REMARK, r"does not support grabbing the keyboard")
def test_files_of_a_chosen_folder_are_taken_over(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    for name in ("one", "upsampler"):
        (tmp_path / f"renamed-{name}").write_bytes(CONTENTS[f"{MODELS}/{name}.safetensors"])
    page.folder = tmp_path

    page.click("Use files that are here")
    menu = QApplication.activePopupWidget()
    assert menu is not None
    page.qtbot.keyClick(menu, Qt.Key.Key_Up)
    page.qtbot.keyClick(menu, Qt.Key.Key_Return)
    page.wait_until_idle()

    assert page.state_of(ONE) == "Its own files are installed; its text encoder is not yet"
    assert "3 files taken over" in page.words()  # the upsampler belongs to two models


def test_sealed_mode_stops_fetching_and_says_so(open_page: OpenPage) -> None:
    page = open_page()

    page.preferences.put(SEALED, True)
    page.preferences.put(SEALED, False)  # what was refused stays refused until the next start
    page.panel.draw_now()

    assert "Sealed: every connection of this program is refused." in page.words()
    assert not page.button(f"Get: {ONE}").isEnabled()
    assert "Sealed" in page.button(f"Get: {ONE}").toolTip()
    assert page.button("Import a pack").isEnabled()


def test_a_gated_model_says_where_to_accept_its_terms_and_takes_a_token(open_page: OpenPage, hub: FakeHub) -> None:
    hub.required_token = "hf_secret"
    page = open_page()
    page.do(f"Get: {READER}")
    assert f"Accept the terms at {hub.url}/{TERMS}, and give a token of that account." in page.words()

    page.panel.card("reader").open_details()
    field = next(item for item in page.panel.findChildren(QLineEdit) if item.isVisible())
    page.qtbot.keyClicks(field, "hf_secret")
    page.qtbot.keyClick(field, Qt.Key.Key_Return)
    page.wait_until_idle()
    page.do(f"Get: {READER}")

    assert find_access().token == "hf_secret"
    assert page.state_of(READER).startswith("Installed")


def test_tab_reaches_every_card_before_the_buttons_below(open_page: OpenPage) -> None:
    page = open_page()
    page.panel.activateWindow()
    names: list[str] = []
    page.button(f"Details: {ONE}").setFocus()

    for _ in range(8):
        focused = page.panel.focusWidget()
        assert focused is not None
        names.append(focused.accessibleName())
        page.qtbot.keyClick(focused, Qt.Key.Key_Tab)

    assert names == [
        f"Details: {ONE}",
        f"Get: {ONE}",
        f"Details: {TWO}",
        f"Get: {TWO}",
        f"Details: {READER}",
        f"Get: {READER}",
        "Use files that are here",
        "Import a pack",
    ]


def test_whatever_takes_the_keyboard_has_a_name(open_page: OpenPage, hub: FakeHub) -> None:
    page = open_page()
    page.do(f"Get: {ONE}")
    for name in ("one", "reader"):
        page.panel.card(name).open_details()

    nameless = [
        item
        for item in page.panel.findChildren(QWidget)
        if item.focusPolicy() & Qt.FocusPolicy.TabFocus and item.isVisible() and not item.accessibleName()
    ]

    assert nameless == []
