"""Styles, moves and phrases as data. Alone: `pytest tests/ltx_studio/domain/test_prompt_presets.py`."""

import json
import logging

import pytest

from engine.errors import MediaError
from ltx_studio.domain.prompt_presets import (
    PATTERNS,
    camera_moves,
    phrases,
    save_style,
    style_presets,
    styles_folder,
)
from ltx_studio.domain.prompt_words import Part


def test_at_least_24_styles_ship_each_with_a_swatch() -> None:
    styles = style_presets()

    assert len(styles) >= 24
    assert len({style.name for style in styles}) == len(styles)
    assert all(len(style.colours) == 4 and style.pattern in PATTERNS for style in styles)


def test_camera_moves_are_known_by_name_and_recognised_by_their_words() -> None:
    names = [move.name for move in camera_moves()]

    assert {"Dolly in", "Pan left", "Orbit", "Static"} <= set(names)
    assert len(set(names)) == len(names)
    assert phrases().by_part[Part.CAMERA] == tuple(move.words for move in camera_moves())


def test_own_styles_are_kept_and_come_last() -> None:
    save_style("My look: №1", "Lavender haze")

    style = style_presets()[-1]

    assert (style.name, style.words, style.is_own) == ("My look: №1", "Lavender haze", True)


def test_an_own_style_wins_over_a_shipped_one_of_its_file_name() -> None:
    save_style("Film noir", "Mine")

    assert [style.words for style in style_presets() if style.name == "Film noir"] == ["Mine"]


@pytest.mark.parametrize(
    "values", [[], {"name": "x"}, {"name": "", "words": "a"}, {"name": "x", "words": "a", "colours": ["red"]}]
)
def test_a_file_that_is_no_style_is_left_out_and_logged(values: object, caplog: pytest.LogCaptureFixture) -> None:
    styles_folder().mkdir(parents=True)
    (styles_folder() / "bad.json").write_text(json.dumps(values))

    with caplog.at_level(logging.WARNING):
        assert all(not style.is_own for style in style_presets())

    assert "bad.json is no style preset" in caplog.text


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence() -> None:
    styles_folder().parent.mkdir(parents=True, exist_ok=True)
    styles_folder().write_text("")

    with pytest.raises(MediaError, match="style cannot be written"):
        save_style("x", "y")
