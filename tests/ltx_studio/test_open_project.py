"""Which argument is a project that a file manager opens. Alone: `pytest tests/ltx_studio/test_open_project.py`."""

from pathlib import Path

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from ltx_studio.domain import project_files, project_place
from ltx_studio.domain.project_files import PROJECT_FILE
from ltx_studio.domain.project_place import project_at
from ltx_studio.services.file_opening import FileOpening


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "My film"
    folder.mkdir()
    (folder / PROJECT_FILE).write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["", PROJECT_FILE, "My film.ltxproject"])
def test_a_project_is_named_by_its_folder_or_a_file_of_it(project: Path, name: str) -> None:
    assert project_at(str(project / name)) == project


@pytest.mark.parametrize("argument", ["generate", "--help", "missing/project.json", "."])
def test_anything_else_is_a_command(argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert project_at(argument) is None


def test_both_places_know_the_project_by_the_same_names() -> None:
    assert project_place.PROJECT_FILE == project_files.PROJECT_FILE
    assert project_place.DOUBLE_CLICK_SUFFIX == project_files.DOUBLE_CLICK_SUFFIX


def test_an_event_of_macos_asks_for_the_project(project: Path, qapp: QApplication) -> None:
    asked: list[object] = []
    opening = FileOpening(qapp)
    opening.project_asked_for.connect(asked.append)

    for path in (project / "My film.ltxproject", project / "media" / "a.mp4"):
        QApplication.sendEvent(qapp, QFileOpenEvent(QUrl.fromLocalFile(str(path))))
    qapp.removeEventFilter(opening)
    opening.deleteLater()

    assert asked == [project]
