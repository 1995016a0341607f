"""The library as a user meets it: real clips, real keys, real mouse.

Alone: `pytest tests/ltx_studio/test_library_panel.py`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.request import GenerationRequest
from ltx_studio.domain.library import Flag, Label, Marks, Order, Query, Verdict
from ltx_studio.domain.library_store import LibraryStore
from ltx_studio.ui.theme import DARK, LIGHT, contrast
from tests.fakes.library import facts_of
from tests.fakes.library_panel import Library
from tests.fakes.studio import OFFSCREEN_REMARK, texts_of

pytestmark = pytest.mark.qt_log_ignore(OFFSCREEN_REMARK, "does not support (raise|grabbing the keyboard)")


@pytest.fixture
def library(tmp_path: Path, qapp: QApplication, qtbot: QtBot) -> Iterator[Library]:
    opened = Library(tmp_path, qapp, qtbot)
    yield opened
    opened.close()


# --- finding ----------------------------------------------------------------------------------------------------------


def test_an_empty_library_says_what_comes_here_and_offers_the_one_thing_to_do(library: Library) -> None:
    assert "Every clip you make appears here" in texts_of(library.panel)


def test_typing_finds_clips_and_escape_brings_all_back(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4", prompt="la pelota rebota")
    library.add("b.mp4", prompt="something else")
    search = library.panel.filters.search
    library.press(Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert search.hasFocus()

    qtbot.keyClicks(search, "rebo")
    qtbot.waitUntil(lambda: library.names() == ["a.mp4"])
    qtbot.keyClick(search, Qt.Key.Key_Return)

    assert library.view.hasFocus()
    library.press(Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: library.names() == ["a.mp4", "b.mp4"])
    assert search.text() == ""


def test_what_matches_nothing_can_be_left_again(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4")
    library.state.ask(text="xyzzy", min_rating=5)
    assert "No clip matches" in texts_of(library.panel)

    button = next(item for item in library.panel.findChildren(QWidget) if item.accessibleName() == "Show all clips")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    assert library.names() == ["a.mp4"]


def test_filters_show_what_the_query_is(library: Library) -> None:
    library.add("a.mp4")
    library.state.retag([library.state.hits[0].id], add=["night"], remove=[])
    library.state.ask(min_rating=0, tag="night", label=Label.NONE)

    assert library.panel.filters.tag.currentText() == "night"
    assert library.panel.filters.clear.isEnabled()
    library.panel.filters.clear_filters()
    assert library.state.query.value == Query(order=Order.NAME)


def test_takes_are_grouped_opened_and_left(library: Library) -> None:
    library.add("a.mp4", "b.mp4")
    library.add("c.mp4", prompt="another")
    library.panel.filters.groups.click()
    assert library.names() == ["a.mp4", "c.mp4"]
    library.view.select_row(0)

    library.press(Qt.Key.Key_T, Qt.KeyboardModifier.ShiftModifier)
    assert library.names() == ["a.mp4", "b.mp4"]
    assert "Takes of a red ball" in texts_of(library.panel)

    library.press(Qt.Key.Key_Escape)
    assert library.names() == ["a.mp4", "c.mp4"]


# --- marking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "marks"),
    [
        (Qt.Key.Key_4, Marks(rating=4)),
        (Qt.Key.Key_P, Marks(flag=Flag.PICK)),
        (Qt.Key.Key_X, Marks(flag=Flag.REJECT)),
        (Qt.Key.Key_8, Marks(label=Label.GREEN)),
    ],
)
def test_a_key_marks_the_clip_and_undo_takes_it_back(library: Library, key: Qt.Key, marks: Marks) -> None:
    library.add("a.mp4")

    library.press(key)
    assert library.marks() == marks
    library.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    assert library.marks() == Marks()
    assert library.state.undo_stack.canRedo()


def test_all_chosen_clips_are_marked_at_once_and_the_undo_says_how_many(library: Library) -> None:
    library.add("a.mp4", "b.mp4", "c.mp4")
    library.view.selectAll()

    library.press(Qt.Key.Key_3)

    assert [library.marks(row).rating for row in range(3)] == [3, 3, 3]
    assert library.state.undo_stack.undoText() == "rating (3 clips)"


def test_a_click_on_a_star_rates_and_a_second_one_takes_it_away(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4")
    tile = library.view.visualRect(library.panel.model.index(0))
    star = library.view.tiles.geometry.star(tile, 2).center()

    qtbot.mouseClick(library.view.viewport(), Qt.MouseButton.LeftButton, pos=star)
    assert library.marks().rating == 2
    qtbot.mouseClick(library.view.viewport(), Qt.MouseButton.LeftButton, pos=star)

    assert library.marks().rating == 0


def test_a_rated_clip_stays_where_it_is_and_a_filtered_one_makes_room(library: Library) -> None:
    library.add("a.mp4", "b.mp4", "c.mp4")
    library.state.ask(order=Order.RATING)
    names = library.names()
    library.view.select_row(2)

    library.press(Qt.Key.Key_5)
    assert library.names() == names
    library.state.ask(min_rating=0, verdict=Verdict.NOT_REJECTED)
    library.view.select_row(1)
    library.press(Qt.Key.Key_X)

    assert len(library.names()) == 2
    assert library.view.currentIndex().row() == 1  # the next one took its place, and is chosen
    assert len(library.view.selected_ids()) == 1


def test_tags_are_added_to_all_and_those_of_one_stay(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4", "b.mp4")
    library.state.retag([library.state.hits[0].id], add=["mine"], remove=[])
    library.view.selectAll()

    library.press(Qt.Key.Key_T)
    field = library.panel.tag_line.field
    qtbot.keyClicks(field, "Night, client a,")
    qtbot.keyClick(field, Qt.Key.Key_Return)

    assert library.marks(0).tags == ("client a", "mine", "Night")
    assert library.marks(1).tags == ("client a", "Night")
    assert library.view.hasFocus()


def test_escape_gives_up_writing_tags(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4")
    library.press(Qt.Key.Key_T)
    qtbot.keyClicks(library.panel.tag_line.field, "night")

    qtbot.keyClick(library.panel.tag_line.field, Qt.Key.Key_Escape)

    assert library.marks() == Marks()
    assert not library.panel.tag_line.isVisible()


# --- using ------------------------------------------------------------------------------------------------------------


def test_the_settings_of_a_clip_can_be_used_again(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4", prompt="a blue whale")

    with qtbot.waitSignal(library.panel.use_settings_requested) as asked:
        library.press(Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)

    assert asked.args is not None
    assert GenerationRequest.from_dict(asked.args[0]) == GenerationRequest("a blue whale", seed=1, model="starter")


def test_return_opens_the_clip(library: Library, qtbot: QtBot) -> None:
    [path] = library.add("a.mp4")

    with qtbot.waitSignal(library.panel.open_requested) as asked:
        library.press(Qt.Key.Key_Return)

    assert asked.args == [path]


def test_several_clips_or_the_takes_of_one_are_compared(library: Library, qtbot: QtBot) -> None:
    paths = library.add("a.mp4", "b.mp4")

    with qtbot.waitSignal(library.panel.compare_requested) as takes:
        library.press(Qt.Key.Key_C)
    library.view.selectAll()
    with qtbot.waitSignal(library.panel.compare_requested) as chosen:
        library.press(Qt.Key.Key_C)

    assert takes.args is not None
    assert chosen.args is not None
    assert sorted(takes.args[0]) == paths
    assert chosen.args[0] == paths


def test_a_clip_that_cannot_be_revealed_says_where_it_is(library: Library) -> None:
    [path] = library.add("a.mp4")

    library.press(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    assert library.revealed == [path]
    assert "No file manager answered" in texts_of(library.panel)


def test_what_is_dragged_out_are_the_files(library: Library) -> None:
    paths = library.add("a.mp4", "b.mp4")
    model = library.panel.model

    data = model.mimeData([model.index(1), model.index(0)])

    assert [Path(url.toLocalFile()) for url in data.urls()] == paths
    assert model.supportedDragActions() == Qt.DropAction.CopyAction


def test_an_action_that_cannot_be_used_says_why(library: Library) -> None:
    library.store.add([facts_of("absent.mp4")])
    library.state.refresh()
    library.qtbot.waitUntil(lambda: library.names() == ["absent.mp4"])
    library.qtbot.waitUntil(lambda: library.state.entries([library.state.hits[0].id])[0].is_missing)
    library.view.select_row(0)

    reveal = library.panel.actions_of_view.named("reveal")

    assert not reveal.isEnabled()
    assert reveal.toolTip() == "Its file is not there."


# --- looking, keys, names ---------------------------------------------------------------------------------------------


def test_moving_over_a_picture_shows_other_frames(library: Library, qtbot: QtBot) -> None:
    library.add("a.mp4")
    tile = library.view.visualRect(library.panel.model.index(0))
    picture = library.view.tiles.geometry.picture(tile)

    library.move_mouse(QPoint(picture.right(), picture.center().y()))
    scrub = library.view.tiles.scrub
    assert scrub is not None
    assert scrub.fraction == pytest.approx(1)
    library.move_mouse(QPoint(picture.left(), picture.bottom() + 10))

    assert library.view.tiles.scrub is None


def test_a_clip_can_be_scrubbed_by_keys(library: Library) -> None:
    library.add("a.mp4")

    for _ in range(3):
        library.press(Qt.Key.Key_Period)
    library.press(Qt.Key.Key_Comma)

    scrub = library.view.tiles.scrub
    assert scrub is not None
    assert scrub.fraction == pytest.approx(1.5 / 16)


def test_pictures_fill_the_width_at_every_size(library: Library, qtbot: QtBot) -> None:
    library.add(*(f"{number}.mp4" for number in range(6)))
    for width in (120, 200, 320):
        library.view.set_tile_width(width)
        qtbot.waitUntil(lambda: library.view.visualRect(library.panel.model.index(0)).isValid())
        top = library.view.visualRect(library.panel.model.index(0)).top()
        num_in_row = sum(
            library.view.visualRect(library.panel.model.index(row)).top() == top for row in range(len(library.names()))
        )
        assert num_in_row == min(library.view.num_columns(), 6)
        assert width <= library.view.tiles.geometry.size.width() + 1


def test_every_control_of_the_panel_has_a_name(library: Library) -> None:
    library.add("a.mp4")
    nameless = [
        type(widget).__name__
        for widget in library.panel.findChildren(QWidget)
        if type(widget).__module__.startswith("ltx_studio")
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not (widget.accessibleName() or getattr(widget, "text", str)())
    ]

    assert nameless == []


def test_a_screen_reader_hears_everything_a_tile_shows(library: Library) -> None:
    library.add("a.mp4", "b.mp4")
    key = library.state.hits[0].id
    library.state.rate([key], 4)
    library.state.flag([key], Flag.PICK)
    library.state.label([key], Label.RED)
    library.state.ask(groups_takes=True)

    spoken = library.panel.model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)

    assert spoken == "a red ball, 0.1 s, 4 stars, picked, label Red, 2 takes"


def test_the_model_keeps_qts_laws(library: Library, qtmodeltester: object) -> None:
    library.add("a.mp4", "b.mp4")
    tester = QAbstractItemModelTester(library.panel.model, QAbstractItemModelTester.FailureReportingMode.Warning)

    library.state.ask(text="nothing")
    library.state.ask(text="")
    library.press(Qt.Key.Key_5)

    assert tester.model() is library.panel.model


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_colour_labels_can_be_seen_on_everything_they_stand_on(theme: object) -> None:
    colours = DARK if theme is DARK else LIGHT

    assert len(colours.labels) == len(Label) - 1
    assert min(contrast(label, under) for label in colours.labels for under in (colours.surface, colours.raised)) >= 3


def test_a_thousand_clips_open_without_reading_more_than_what_is_shown(
    tmp_path: Path, qapp: QApplication, qtbot: QtBot, make_library: Callable[[Path], Library]
) -> None:
    with LibraryStore(tmp_path / "library.sqlite3") as store:
        store.add([facts_of(f"{number}.mp4", seed=number, age_s=number) for number in range(1000)])

    library = make_library(tmp_path)

    assert 0 < library.state.num_cached <= 192
    assert len(library.state.hits) == 1000


@pytest.fixture
def make_library(qapp: QApplication, qtbot: QtBot) -> Iterator[Callable[[Path], Library]]:
    made: list[Library] = []

    def make(folder: Path) -> Library:
        made.append(Library(folder, qapp, qtbot))
        return made[-1]

    yield make
    for library in made:
        library.close()
