"""Rules of the house that no other tool checks. Alone: `pytest tests/test_project.py`."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 500

# The rooms of the tree, by folder. Folders below these are free, resources/ being data and tests/ a mirror.
ROOMS = {
    ".": {".ci", ".github", "docs", "engine", "ltx_studio", "resources", "installers", "tests"},
    "engine": {"media", "model", "weights", "sampling", "pipelines", "jobs", "training"},
    "ltx_studio": {"domain", "installation", "state", "services", "ui"},
    "resources": {"icons", "keymaps", "models", "presets", "starter", "themes", "translations"},
    "installers": {"locks", "windows", "macos", "linux"},
    "tests": {"engine", "ltx_studio", "installers", "parity", "benchmarks", "fakes", "media"},
}
MADE_BY_TOOLS = {
    *(".git", ".venv", ".ruff_cache", ".hypothesis", ".import_linter_cache", ".pytest_cache"),
    *("__pycache__", "build", "dist"),
}

# Spelled in pieces, so that this file passes its own tests.
MOCKS = re.compile("unittest" + r"\.mock|Magic" + r"Mock|\bmock" + r"er\b")
FOREIGN_PATHS = re.compile(r"(?<![\w.$}>-])(?:/wo" + r"rk/|/ro" + r"ot/|/ho" + r"me/\w|/Us" + r"ers/\w)")
WORKPLACE_WORDS = re.compile(r"\b(?:session" + r" helper|helper" + r" session)s?\b", re.IGNORECASE)


def folders_and_files() -> Iterator[tuple[Path, list[str], list[str]]]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE_BY_TOOLS and not name.endswith(".egg-info")]
        yield Path(folder), folders, files


def project_files(suffix: str = "") -> list[Path]:
    return sorted(folder / name for folder, _, files in folders_and_files() for name in files if name.endswith(suffix))


def texts(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Path relative to the project and text, of the files that hold text."""
    for file in files:
        content = file.read_bytes()
        if b"\0" not in content:
            yield file.relative_to(ROOT).as_posix(), content.decode("utf-8", errors="replace")


def matches(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [f"{name}: {found[0]}" for name, text in texts(files) for found in pattern.finditer(text)]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules_after(statement: str) -> set[str]:
    """Top-level names of the modules a fresh interpreter holds after `statement`."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_tests_use_fakes_and_no_mocks() -> None:
    assert matches(MOCKS, project_files(".py")) == []


@pytest.mark.parametrize("package", ["engine", "ltx_studio"])
def test_importing_a_package_loads_neither_torch_nor_qt(package: str) -> None:
    loaded = modules_after(f"import {package}")

    assert package in loaded
    assert loaded & {"torch", "transformers", "PySide6"} == set()


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert matches(FOREIGN_PATHS, project_files()) == []


def test_no_file_talks_about_how_it_was_written() -> None:
    assert matches(WORKPLACE_WORDS, project_files()) == []


def test_a_python_file_past_500_lines_says_why_in_its_docstring() -> None:
    unexplained: list[str] = []
    for name, text in texts(project_files(".py")):
        if text.count("\n") > MAX_LINES and f"{MAX_LINES} lines" not in (ast.get_docstring(ast.parse(text)) or ""):
            unexplained.append(f"{name}: split it, or say why it is longer than {MAX_LINES} lines")
    assert unexplained == []


def test_every_folder_is_one_of_the_rooms_of_the_design() -> None:
    found = {
        folder.relative_to(ROOT).as_posix(): set(folders)
        for folder, folders, _ in folders_and_files()
        if folder.relative_to(ROOT).as_posix() in ROOMS
    }

    assert {parent: folders - ROOMS[parent] for parent, folders in found.items() if folders - ROOMS[parent]} == {}


def test_the_wheel_takes_every_folder_with_code() -> None:
    with_code = {
        ".".join(file.relative_to(ROOT).parent.parts)
        for package in ("engine", "ltx_studio", "resources")
        for file in project_files(".py")
        if file.is_relative_to(ROOT / package)
    }

    include = pyproject()["tool"]["setuptools"]["packages"]["find"]["include"]

    assert set(find_packages(str(ROOT), include=include)) == with_code


def test_every_dependency_is_explained() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    declared = [index for index, line in enumerate(lines) if re.fullmatch(r'    "[\w-]+[><=!~].*', line)]
    names = {re.split(r"[><=!~]", lines[index].strip(' "'))[0] for index in declared}
    project = pyproject()["project"]

    unexplained = [
        lines[index].strip()
        for index in declared
        if "#" not in lines[index] and not lines[index - 1].lstrip().startswith("#")
    ]

    assert len(names) == len(project["dependencies"]) + len(project["optional-dependencies"]["test"])
    assert unexplained == []


def test_the_notices_name_every_dependency() -> None:
    project = pyproject()["project"]
    requirements: list[str] = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    named = set(re.findall(r"[\w-]+", (ROOT / "NOTICES.md").read_text(encoding="utf-8")))

    assert {re.split(r"[><=!~]", requirement)[0] for requirement in requirements} - named == set()


def test_the_two_commands_stand_at_the_top_of_the_readme() -> None:
    before_first_section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    first_block = before_first_section.split("```")[1]

    assert [line.split()[:3] for line in first_block.strip().splitlines()] == [
        ["python3", "installers/bootstrap.py", "generate"],
        ["python3", "installers/bootstrap.py", "test"],
    ]


def test_continuous_integration_runs_the_readmes_test_command_and_the_checks() -> None:
    script = ROOT / ".ci" / "run"
    commands = re.findall(r"^python3 installers/bootstrap\.py (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(commands) == ["check", "test"]
    assert os.name == "nt" or os.access(script, os.X_OK)
