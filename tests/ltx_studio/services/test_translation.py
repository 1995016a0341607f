"""Translations: every sentence of the window is in every language's file, with its placeholders, and is shown.

Alone: `pytest tests/ltx_studio/services/test_translation.py`.
"""

import re
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication, QWidget

from ltx_studio.services.translation import Translation, chosen_language, languages, read_sentences
from ltx_studio.settings import LANGUAGE
from tests.sentences import sentences

PLACEHOLDER = re.compile(r"\{[^{}]*\}")
TRANSLATED = [code for code in languages() if code != "en"]


@pytest.fixture
def spoken(qapp: QApplication) -> Iterator[Translation]:
    translation = Translation({"Generate": "Generar", "library|Label": "Etiqueta", "Label": "Rótulo"})
    qapp.installTranslator(translation)
    yield translation
    qapp.removeTranslator(translation)


def test_a_language_that_can_be_chosen_has_a_file() -> None:
    assert {option.value for option in LANGUAGE.options} - {"system"} == set(languages())


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_is_translated_and_none_is_left_over(code: str) -> None:
    translated = {key.rpartition("|")[2] for key in read_sentences(code)}

    assert sorted(sentences() - translated) == []
    assert sorted(translated - sentences()) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_keeps_the_placeholders(code: str) -> None:
    wrong = [
        source
        for source, translated in read_sentences(code).items()
        if sorted(PLACEHOLDER.findall(source)) != sorted(PLACEHOLDER.findall(translated))
    ]

    assert wrong == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_empty(code: str) -> None:
    assert [source for source, translated in read_sentences(code).items() if not translated.strip()] == []


@pytest.mark.usefixtures("spoken")
def test_a_widget_speaks_the_language() -> None:
    class Some(QWidget):
        pass

    assert Some().tr("Generate") == "Generar"


@pytest.mark.usefixtures("spoken")
def test_a_context_can_have_a_word_of_its_own() -> None:
    words = [QCoreApplication.translate(context, "Label") for context in ("library", "queue")]

    assert words == ["Etiqueta", "Rótulo"]


@pytest.mark.usefixtures("spoken")
def test_what_is_not_translated_stays_english() -> None:
    assert QCoreApplication.translate("queue", "Top") == "Top"


def test_a_language_without_a_file_is_english() -> None:
    assert chosen_language("xx") == "en"
