"""The files of a package and its archives. Alone: `pytest tests/installers/test_package_files.py`."""

import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from installers.package_files import (
    PackageError,
    append_zip,
    fill,
    make_tar,
    make_zip,
    set_times,
    sha256_of,
    source_date_epoch,
    source_files,
    write,
    write_manifest,
)

EPOCH = 1_700_000_000


def checkout(folder: Path) -> Path:
    """A git checkout with code, a test, a cache and an ignored environment."""
    for name in ("engine/a.py", "tests/test_a.py", "engine/__pycache__/a.pyc", ".venv/bin/python", "pyproject.toml"):
        write(folder / name, "x = 1\n")
    write(folder / ".gitignore", "__pycache__/\n.venv/\n")
    write(folder / "installers" / "run.sh", "#!/bin/sh\n", executable=True)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def tree(folder: Path) -> Path:
    write(folder / "bin" / "run", "#!/bin/sh\n", executable=True)
    write(folder / "text.txt", "words\n" * 1000)
    (folder / "link").symlink_to("text.txt")
    return folder


def test_a_package_takes_listed_code_and_no_cache_test_or_environment(tmp_path: Path) -> None:
    assert source_files(checkout(tmp_path)) == ["engine/a.py", "installers/run.sh", "pyproject.toml"]


def test_a_source_archive_says_itself_what_belongs_to_it(tmp_path: Path) -> None:
    write(tmp_path / "engine" / "a.py", "")
    write(tmp_path / "engine" / "stray.py", "")
    write(tmp_path / "SOURCES.txt", "engine/a.py\n")

    assert source_files(tmp_path) == ["engine/a.py"]


def test_without_git_and_without_a_list_there_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="neither a git checkout nor a source archive"):
        source_files(tmp_path)


def test_two_archives_of_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    made: list[bytes] = []
    for number in (1, 2):
        folder = tree(tmp_path / str(number) / "studio")
        os.utime(folder / "text.txt", (number, number))  # what a checkout's files differ in
        set_times(folder, EPOCH)
        make_tar(folder, tmp_path / f"{number}.tar.gz", epoch=EPOCH)
        made.append((tmp_path / f"{number}.tar.gz").read_bytes())

    assert made[0] == made[1]


def test_an_archive_belongs_to_root_and_keeps_programs_and_links(tmp_path: Path) -> None:
    make_tar(tree(tmp_path / "studio"), tmp_path / "a.tar.gz", epoch=EPOCH)

    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = {entry.name: entry for entry in archive}
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, EPOCH)}
    assert entries["studio/bin/run"].mode == 0o755
    assert entries["studio/text.txt"].mode == 0o644
    assert entries["studio/link"].linkname == "text.txt"


def test_a_zip_file_keeps_programs_and_links_for_macos(tmp_path: Path) -> None:
    make_zip(tree(tmp_path / "Studio.app"), tmp_path / "a.zip", epoch=EPOCH)

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert archive.read("Studio.app/link") == b"text.txt"
    assert {name: oct(mode) for name, mode in modes.items()} == {
        "Studio.app/bin/run": "0o100755",
        "Studio.app/link": "0o120777",
        "Studio.app/text.txt": "0o100644",
    }


def test_the_manifest_lists_every_other_file_with_its_hash(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b.txt", "words")

    write_manifest(tmp_path)

    (entry,) = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert entry == {"path": "a/b.txt", "size_bytes": 5, "sha256": sha256_of(tmp_path / "a" / "b.txt")}


def test_files_are_dated_by_the_variable_that_reproducible_builds_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    assert source_date_epoch() == EPOCH

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(PackageError, match="no number of seconds"):
        source_date_epoch()


def test_a_template_is_filled_in_wholly(tmp_path: Path) -> None:
    write(tmp_path / "control", "Version: @VERSION@\nAlso: @VERSION@\n")

    assert fill(tmp_path / "control", version="1.2") == "Version: 1.2\nAlso: 1.2\n"
    with pytest.raises(AssertionError):
        fill(tmp_path / "control", versoin="1.2")


def test_code_behind_a_program_is_found_from_its_end(tmp_path: Path) -> None:
    write(tmp_path / "program.exe", append_zip(b"MZ" + b"\0" * 500 + b"#!python\n", {"__main__.py": "print(6 * 7)"}))

    said = subprocess.run(["python3", str(tmp_path / "program.exe")], capture_output=True, text=True, check=True).stdout

    assert said == "42\n"
