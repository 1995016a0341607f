"""The window in the user's language: one JSON file a language, from English sentences to translated ones.

A translator needs no tool but an editor, and a sentence without a translation stays English. Where one English word
needs two translations, the key "context|word" goes before "word"; contexts are those of `QCoreApplication.translate`
and, for `self.tr`, the name of the class. Tests hold the files and the code together, placeholders included.
"""

import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator

logger = logging.getLogger("studio")

_FOLDER: Final = files("resources") / "translations"
SYSTEM: Final = "system"


class Translation(QTranslator):
    """Looks sentences up in a table."""

    def __init__(self, sentences: Mapping[str, str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sentences = sentences

    def isEmpty(self) -> bool:  # noqa: N802 - Qt's name
        return not self._sentences

    def translate(self, context: str, source: str, disambiguation: str | None = None, n: int = -1) -> str:
        """The translation, or the source itself where there is none."""
        del disambiguation, n
        return self._sentences.get(f"{context}|{source}") or self._sentences.get(source) or source


def languages() -> list[str]:
    """The codes of the languages that there are files for; English needs none."""
    files = _FOLDER.iterdir() if _FOLDER.is_dir() else ()  # an empty folder is not packed
    return ["en", *sorted(item.name.removesuffix(".json") for item in files if item.name.endswith(".json"))]


def chosen_language(setting: str) -> str:
    """The code for a setting; for "system" the first of the user's languages that there is, else English."""
    if setting != SYSTEM:
        return setting if setting in languages() else "en"
    wanted = (name.split("-")[0] for name in QLocale.system().uiLanguages())
    return next((code for code in wanted if code in languages()), "en")


def read_sentences(code: str) -> dict[str, str]:
    """The table of a language. Raises ValueError for a file that is none."""
    values = json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8"))
    if not isinstance(values, dict) or not all(isinstance(item, str) for pair in values.items() for item in pair):
        raise ValueError(f"{code}.json is no table of sentences")
    return values


def speak(app: QCoreApplication, setting: str) -> str:
    """Let everything that is made from now on speak a language; returns its code.

    Qt's own words, such as those on the buttons of its dialogs, come from Qt's files.
    """
    code = chosen_language(setting)
    if code == "en":
        return code
    try:
        sentences = read_sentences(code)
    except (OSError, ValueError) as error:
        logger.warning("the window stays English: %s", error)
        return "en"
    app.installTranslator(Translation(sentences, app))
    # Asked before ours, which answers for every sentence; it knows none but Qt's own.
    of_qt = QTranslator(app)
    if of_qt.load(QLocale(code), "qtbase", "_", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(of_qt)
    return code
