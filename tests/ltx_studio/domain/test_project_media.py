"""Files of a project that moved, and collecting them. Alone: `pytest tests/ltx_studio/domain/test_project_media.py`."""

from pathlib import Path

import pytest

from ltx_studio.domain.project import FileMark, ProjectError
from ltx_studio.domain.project_media import Found, copy_into, copy_tree, mark_of, missing, outside, search


def written(path: Path, content: bytes = b"a film") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_known_again_under_another_name(tmp_path: Path) -> None:
    old = tmp_path / "gone" / "ball.mkv"
    new = written(tmp_path / "disk" / "deep" / "renamed.mkv")
    written(tmp_path / "disk" / "ball2.mkv", b"b film")

    found = search(tmp_path / "disk", {old: mark_of(new)})

    assert found == Found({old: new}, {}, 2)


def test_a_file_of_the_same_name_that_is_another_one_is_only_alike(tmp_path: Path) -> None:
    old = tmp_path / "gone" / "ball.mkv"
    other = written(tmp_path / "disk" / "Ball.MKV", b"another film")

    found = search(tmp_path / "disk", {old: FileMark(6, "00")})

    assert found.same == {}
    assert found.alike == {old: other}


def test_of_several_files_of_the_same_name_the_one_in_folders_named_alike_is_taken(tmp_path: Path) -> None:
    old = tmp_path / "old" / "day 2" / "take.mkv"
    written(tmp_path / "new" / "day 1" / "take.mkv", b"1")
    right = written(tmp_path / "new" / "day 2" / "take.mkv", b"2")

    assert search(tmp_path / "new", {old: None}).alike == {old: right}


def test_the_two_ends_of_a_file_tell_it_from_one_of_the_same_length(tmp_path: Path) -> None:
    first = written(tmp_path / "a", b"x" * 300_000 + b"1")
    second = written(tmp_path / "b", b"x" * 300_000 + b"2")

    assert mark_of(first) != mark_of(second)
    assert mark_of(first) == mark_of(written(tmp_path / "c", first.read_bytes()))
    assert mark_of(tmp_path / "nothing") is None


def test_a_search_that_is_cancelled_stops(tmp_path: Path) -> None:
    written(tmp_path / "a.mkv")

    assert search(tmp_path, {tmp_path / "x" / "a.mkv": None}, is_cancelled=lambda: True) == Found()


def test_collecting_copies_what_is_outside_and_keeps_names_apart(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    inside = written(folder / "media" / "take.mkv", b"inside")
    one = written(tmp_path / "1" / "take.mkv", b"one")
    two = written(tmp_path / "2" / "Take.mkv", b"two")
    gone = tmp_path / "3" / "gone.mkv"

    copied = list(copy_into(folder, outside([inside, one, two, gone], folder)))

    targets = [item.target for item in copied]
    assert [None if path is None else path.name for path in targets] == ["take 2.mkv", "Take 3.mkv", None]
    assert [path.read_bytes() for path in targets if path is not None] == [b"one", b"two"]
    assert [(item.done, item.total) for item in copied] == [(1, 3), (2, 3), (3, 3)]
    assert inside.read_bytes() == b"inside"


def test_collecting_twice_copies_nothing_twice(tmp_path: Path) -> None:
    folder, one = tmp_path / "film", written(tmp_path / "1" / "take.mkv", b"one")
    folder.mkdir()

    first = list(copy_into(folder, [one]))
    second = list(copy_into(folder, [one]))

    assert first == second
    assert [path.name for path in (folder / "media").iterdir()] == ["take.mkv"]


def test_a_folder_that_cannot_be_written_is_a_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    one = written(tmp_path / "1" / "take.mkv")
    (tmp_path / "film").write_bytes(b"")

    with pytest.raises(ProjectError, match="media"):
        list(copy_into(tmp_path / "film", [one]))


def test_saving_elsewhere_takes_the_files_of_the_folder_along(tmp_path: Path) -> None:
    inside = written(tmp_path / "film" / "media" / "take.mkv", b"inside")
    beside = written(tmp_path / "take.mkv")

    copied = list(copy_tree(tmp_path / "film", tmp_path / "copy", [inside, beside]))

    assert [item.target for item in copied] == [tmp_path / "copy" / "media" / "take.mkv"]
    assert (tmp_path / "copy" / "media" / "take.mkv").read_bytes() == b"inside"


def test_files_that_are_not_there_are_missing(tmp_path: Path) -> None:
    there = written(tmp_path / "a")

    assert missing([there, tmp_path / "b"]) == [tmp_path / "b"]
