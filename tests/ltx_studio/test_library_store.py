"""The library on disk: what is kept, what is found, and what outlives what. No Qt.

Alone: `pytest tests/ltx_studio/test_library_store.py`.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from ltx_studio.domain.library import (
    Flag,
    Hit,
    Label,
    LibraryError,
    Marks,
    Order,
    Place,
    Query,
    Verdict,
    cleaned_tags,
    take_group_of,
)
from ltx_studio.domain.library_files import check, read_facts, scan
from ltx_studio.domain.library_schema import MIGRATIONS, open_database
from ltx_studio.domain.library_store import LibraryStore, open_or_renew
from tests.fakes.library import facts_of, write_clip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LibraryStore]:
    with LibraryStore(tmp_path / "library.sqlite3") as opened:
        yield opened


def found(store: LibraryStore, text: str = "", **fields: object) -> list[str]:
    """The names of the files that a query finds."""
    hits = store.search(Query(text=text, **fields))  # pyright: ignore[reportArgumentType] - any field of a query
    entries = store.entries([hit.id for hit in hits])
    return [entries[hit.id].path.name for hit in hits]


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was(store: LibraryStore) -> None:
    facts = facts_of("a.mp4", "Eine Straße im Regen, 夜晚 😀", images=[{"path": "/x/face.png", "frame": 0}])

    [key] = store.add([facts])

    entry = store.entries([key])[key]
    assert entry.facts == facts
    assert entry.marks == Marks()
    assert (entry.is_missing, entry.is_trashed, entry.trashed_to) == (False, False, None)


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    code = (
        "import os, sys; from pathlib import Path; from ltx_studio.domain.library import Marks\n"
        "from ltx_studio.domain.library_store import LibraryStore; from tests.fakes.library import facts_of\n"
        "store = LibraryStore(Path(sys.argv[1])); [key] = store.add([facts_of('a.mp4')])\n"
        "store.set_marks({key: Marks(rating=4)}); os.kill(os.getpid(), 9)\n"
    )

    subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    with LibraryStore(path) as store:
        assert found(store, min_rating=4) == ["a.mp4"]


def test_reading_a_file_again_keeps_its_marks(store: LibraryStore) -> None:
    [key] = store.add([facts_of("a.mp4")])
    store.set_marks({key: Marks(3, Flag.PICK, Label.TEAL, ("night",))})

    assert store.add([facts_of("a.mp4", age_s=5)]) == [key]

    assert store.marks([key])[key] == Marks(3, Flag.PICK, Label.TEAL, ("night",))


def test_another_clip_under_the_same_name_starts_without_marks(store: LibraryStore) -> None:
    [key] = store.add([facts_of("a.mp4")])
    store.set_marks({key: Marks(3, Flag.PICK, Label.TEAL, ("night",))})

    assert store.add([facts_of("a.mp4", "something else")]) == [key]

    assert store.marks([key])[key] == Marks()


def test_a_file_that_was_moved_keeps_its_entry(store: LibraryStore, tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.mp4")
    [key] = store.add([read_facts(first)])
    store.set_marks({key: Marks(rating=5)})
    moved = first.rename(tmp_path / "b.mp4")

    assert store.add([read_facts(moved)]) == [key]

    assert found(store, min_rating=5) == ["b.mp4"]


def test_a_copy_is_an_entry_of_its_own(store: LibraryStore, tmp_path: Path) -> None:
    first = read_facts(write_clip(tmp_path / "a.mp4"))

    store.add([first, replace(first, path=tmp_path / "b.mp4")])

    assert store.count() == 2


def test_what_was_forgotten_can_be_brought_back(store: LibraryStore) -> None:
    keys = store.add([facts_of("a.mp4"), facts_of("b.mp4", seed=2)])
    store.set_marks({keys[0]: Marks(rating=2)})

    forgotten = store.forget(keys[:1])
    assert found(store, "red") == ["b.mp4"]
    store.remember(forgotten)

    assert found(store, "red", min_rating=2) == ["a.mp4"]


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryStore]:
    """Four clips; for reading only."""
    with LibraryStore(tmp_path_factory.mktemp("filled") / "library.sqlite3") as store:
        fill(store)
        yield store


def fill(store: LibraryStore) -> None:
    keys = store.add(
        [
            facts_of("ball.mp4", "La pelota roja rebota en el patio de la estación", age_s=1, model="starter"),
            facts_of("rain.mp4", "Night street in the rain, slow dolly forward", seed=4711, age_s=2),
            facts_of("fox.mp4", "夜晚的海边一只狐狸在沙滩上奔跑", seed=3, age_s=3, negative_prompt="blurry"),
            facts_of("quotes.mp4", 'a man says "good night, Vienna" and leaves', seed=4, age_s=4),
        ]
    )
    store.set_marks(
        {
            keys[0]: Marks(5, Flag.PICK, Label.RED, ("Client A", "night")),
            keys[1]: Marks(3, Flag.REJECT, Label.GREEN),
            keys[2]: Marks(1, tags=("animals",)),
        }
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("rebo", ["ball.mp4"]),
        ("REBO pelo", ["ball.mp4"]),
        ("estacion", ["ball.mp4"]),  # without its accent
        ("night", ["ball.mp4", "rain.mp4", "quotes.mp4"]),  # a tag, and two prompts
        ("seed 4711", ["rain.mp4"]),
        ("blurry", ["fox.mp4"]),
        ("starter", ["ball.mp4"]),
        ("quotes.mp4", ["quotes.mp4"]),
        ('"slow dolly"', ["rain.mp4"]),
        ('"dolly slow"', []),
        ("狐狸", ["fox.mp4"]),  # inside a sentence without spaces
        ("client", ["ball.mp4"]),
        ("nothing like this", []),
        ("", ["ball.mp4", "rain.mp4", "fox.mp4", "quotes.mp4"]),
        ("   ", ["ball.mp4", "rain.mp4", "fox.mp4", "quotes.mp4"]),
        ('"', ["ball.mp4", "rain.mp4", "fox.mp4", "quotes.mp4"]),
        ("rain OR pelota", []),  # words, not operators
        ('"good night', ["quotes.mp4"]),  # still being typed
    ],
)
def test_a_search_finds(filled: LibraryStore, text: str, names: list[str]) -> None:
    assert found(filled, text) == names


@pytest.mark.parametrize(
    "text",
    [
        "NOT",
        "AND OR",
        'a"b"c',
        "NEAR(a b)",
        "prompt:x",
        "-x",
        "x*",
        "^x",
        "(",
        ")",
        "'; DROP TABLE entries; --",
        "{a b}",
    ],
)
def test_operators_and_quotes_never_fail(filled: LibraryStore, text: str) -> None:
    found(filled, text)

    assert filled.count() == 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(text=st.text())
def test_no_text_at_all_makes_a_search_fail(filled: LibraryStore, text: str) -> None:
    filled.search(Query(text=text))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"min_rating": 3}, ["ball.mp4", "rain.mp4"]),
        ({"verdict": Verdict.PICKED}, ["ball.mp4"]),
        ({"verdict": Verdict.NOT_REJECTED}, ["ball.mp4", "fox.mp4", "quotes.mp4"]),
        ({"verdict": Verdict.REJECTED}, ["rain.mp4"]),
        ({"label": Label.GREEN}, ["rain.mp4"]),
        ({"tag": "animals"}, ["fox.mp4"]),
        ({"order": Order.OLDEST}, ["quotes.mp4", "fox.mp4", "rain.mp4", "ball.mp4"]),
        ({"order": Order.RATING}, ["ball.mp4", "rain.mp4", "fox.mp4", "quotes.mp4"]),
        ({"order": Order.NAME}, ["ball.mp4", "fox.mp4", "quotes.mp4", "rain.mp4"]),
        ({"text": "night", "min_rating": 4}, ["ball.mp4"]),
    ],
)
def test_filters_and_orders(filled: LibraryStore, fields: dict[str, object], names: list[str]) -> None:
    assert found(filled, **fields) == names  # pyright: ignore[reportArgumentType]


def test_tags_are_listed_once_whatever_they_are_on(filled: LibraryStore) -> None:
    assert filled.tags() == ["animals", "Client A", "night"]


def test_tags_are_cleaned() -> None:
    assert cleaned_tags([" night ", "Night", "", "client  A"]) == ("client A", "night")


# --- takes ------------------------------------------------------------------------------------------------------------


def test_takes_of_a_shot_become_one_hit_with_their_number(store: LibraryStore) -> None:
    keys = store.add([facts_of(f"{seed}.mp4", seed=seed, age_s=seed) for seed in range(3)] + [facts_of("x", "other")])

    hits = store.search(Query(groups_takes=True))

    assert sorted(hits) == [Hit(keys[0], 3), Hit(keys[3], 1)]


def test_the_pick_stands_for_its_shot_and_else_the_best_rated(store: LibraryStore) -> None:
    keys = store.add([facts_of(f"{seed}.mp4", seed=seed, age_s=seed) for seed in range(4)])
    store.set_marks({keys[2]: Marks(rating=4)})
    by_rating = store.search(Query(groups_takes=True))
    store.set_marks({keys[3]: Marks(flag=Flag.PICK)})

    assert by_rating == [Hit(keys[2], 4)]
    assert store.search(Query(groups_takes=True)) == [Hit(keys[3], 4)]


def test_requests_that_differ_in_more_than_the_seed_are_no_takes_of_each_other() -> None:
    first, other_seed = facts_of("a", seed=1), facts_of("b", seed=2)
    longer, elsewhere = facts_of("c", seed=1, frames=49), facts_of("d", seed=3, device="cpu", memory="resident")

    assert take_group_of(first) == take_group_of(other_seed) == take_group_of(elsewhere)
    assert take_group_of(first) != take_group_of(longer)


def test_a_stated_group_wins_over_the_request(store: LibraryStore) -> None:
    store.add([facts_of("a.mp4", "one")], group="shot 7")
    store.add([facts_of("b.mp4", "another", seed=2)], group="shot 7")

    assert len(store.search(Query(groups_takes=True))) == 1


def test_a_group_can_be_opened(store: LibraryStore) -> None:
    keys = store.add([facts_of("a.mp4"), facts_of("b.mp4", seed=2), facts_of("c.mp4", "other")])
    group = store.entries(keys)[keys[0]].take_group

    assert sorted(found(store, take_group=group, groups_takes=True)) == ["a.mp4", "b.mp4"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_library_is_made_again_from_the_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    write_clip(folder / "a.mp4", "the first", seed=7)
    write_clip(folder / "deeper" / "b.mkv", "the second", seed=8)
    (folder / "notes.txt").write_text("no clip")
    (folder / "broken.mp4").write_bytes(b"no clip either")

    with LibraryStore(tmp_path / "new.sqlite3") as store:
        *_, progress = scan(store, [folder])

        assert progress.num_added == 2
        assert sorted(found(store, "the")) == ["a.mp4", "b.mkv"]
        assert found(store, "seed 8") == ["b.mkv"]


def test_a_second_scan_reads_nothing_again(store: LibraryStore, tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "a.mp4")
    list(scan(store, [tmp_path / "clips"]))

    assert [progress.num_files for progress in scan(store, [tmp_path / "clips"])] == [0]


def test_a_missing_file_is_noted_and_found_again(store: LibraryStore, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    store.add([read_facts(path)])
    away = path.rename(tmp_path / "away.mp4")
    list(check(store))
    missing = found(store, place=Place.MISSING)
    away.rename(path)
    list(check(store))

    assert missing == ["a.mp4"]
    assert found(store, place=Place.MISSING) == []
    assert found(store) == ["a.mp4"]


def test_an_entry_in_the_trash_is_kept_until_the_trash_is_emptied(store: LibraryStore, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    [key] = store.add([read_facts(path)])
    (tmp_path / "trash").mkdir()
    store.set_trashed({key: path.rename(tmp_path / "trash" / "a.mp4")})
    list(check(store))
    kept = found(store, place=Place.TRASH)
    (tmp_path / "trash" / "a.mp4").unlink()
    list(check(store))

    assert kept == ["a.mp4"]
    assert store.count() == 0


def test_an_unplugged_trash_is_not_an_empty_one(store: LibraryStore, tmp_path: Path) -> None:
    [key] = store.add([facts_of("a.mp4", folder=tmp_path)])
    store.set_trashed({key: tmp_path / "drive" / "trash" / "a.mp4"})

    list(check(store))

    assert found(store, place=Place.TRASH) == ["a.mp4"]


def test_a_move_to_the_trash_that_never_happened_is_undone(store: LibraryStore, tmp_path: Path) -> None:
    [key] = store.add([read_facts(write_clip(tmp_path / "a.mp4"))])
    store.set_trashed({key: None})  # and then the power went

    list(check(store))

    assert found(store) == ["a.mp4"]


def test_a_file_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()

    for name in ("empty.mp4", "absent.mp4"):
        with pytest.raises(EngineError, match=name):
            read_facts(tmp_path / name)


# --- the database file ------------------------------------------------------------------------------------------------


def test_an_older_library_is_copied_aside_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with LibraryStore(path) as store:
        store.add([facts_of("a.mp4")])

    connection = open_database(path, (*MIGRATIONS, "ALTER TABLE entries ADD COLUMN notes TEXT NOT NULL DEFAULT '';"))

    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) + 1
    assert connection.execute("SELECT name, notes FROM entries").fetchall() == [("a.mp4", "")]
    assert (tmp_path / f"library.sqlite3.v{len(MIGRATIONS)}").exists()
    connection.close()


def test_a_newer_library_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(LibraryError, match="newer version"):
        LibraryStore(path)


def test_a_damaged_library_is_moved_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    path.write_bytes(b"this is no database, whatever its name says" * 100)

    store, aside = open_or_renew(path)

    assert store.count() == 0
    assert aside is not None
    assert aside.read_bytes().startswith(b"this is no database")
    store.close()


def test_the_search_index_agrees_with_the_entries_after_many_changes(store: LibraryStore) -> None:
    fill(store)
    hits = store.search(Query())
    store.set_marks({hit.id: Marks(tags=("changed",)) for hit in hits})
    store.remember(store.forget([hits[0].id]))

    connection = sqlite3.connect(store.path)
    connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
    connection.close()
    assert len(found(store, "changed")) == 4
