"""The themes: enough contrast everywhere, greys without a tint, and no colour outside the one file.

Alone: `pytest tests/ltx_studio/test_theme.py`.
"""

import re
from dataclasses import asdict
from pathlib import Path

import pytest

import ltx_studio
from ltx_studio.ui.theme import DARK, LIGHT, Theme, contrast, palette, style_sheet

STUDIO = Path(ltx_studio.__file__).parent
BACKGROUNDS = ("background", "field", "surface", "raised", "raised_hover", "raised_pressed")
TEXTS = ("text", "text_dim", "ok", "warn", "danger")
PAIRS = [
    *((text, background) for text in TEXTS for background in BACKGROUNDS),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_accent", "accent_pressed"),
    ("on_selection", "selection"),
]
GREYS = (*BACKGROUNDS, "divider", "line", "text", "text_dim", "text_disabled")
# Hexadecimal colours, Qt's named ones, and the calls that make one from numbers.
COLOUR = re.compile(
    r"#[0-9a-fA-F]{3,8}\b|GlobalColor|QColor\(\s*[\d\"']|(?<!\.)rgba?\(|\bQt\.(?:white|black|red|green|blue)\b"
)

both = pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@both
@pytest.mark.parametrize(("text", "background"), PAIRS)
def test_text_can_be_read_on_everything_it_stands_on(theme: Theme, text: str, background: str) -> None:
    assert contrast(getattr(theme, text), getattr(theme, background)) >= 4.5


@both
@pytest.mark.parametrize("background", ["background", "surface", "field"])
@pytest.mark.parametrize("mark", ["line", "accent"])
def test_lines_that_carry_meaning_can_be_seen(theme: Theme, mark: str, background: str) -> None:
    assert contrast(getattr(theme, mark), getattr(theme, background)) >= 3


@both
def test_greys_have_no_tint(theme: Theme) -> None:
    tinted = [name for name in GREYS if len({getattr(theme, name)[start : start + 2] for start in (1, 3, 5)}) != 1]

    assert tinted == []


def test_the_dark_surface_is_dark_grey_not_black() -> None:
    lightness = int(DARK.surface[1:3], 16) / 255

    assert 0.12 <= lightness <= 0.20


@both
def test_the_style_sheet_takes_every_colour_from_the_theme(theme: Theme) -> None:
    used = set(re.findall(r"#[0-9a-f]{6}", style_sheet(theme)))

    assert used <= set(asdict(theme).values())
    assert "$" not in style_sheet(theme)


@both
def test_native_dialogs_get_the_same_colours(theme: Theme) -> None:
    colours = palette(theme)

    assert colours.window().color().name() == theme.surface
    assert colours.windowText().color().name() == theme.text
    assert colours.highlight().color().name() == theme.selection


def test_no_file_but_the_theme_names_a_colour() -> None:
    found = [
        f"{file.relative_to(STUDIO)}: {match[0]}"
        for file in STUDIO.rglob("*.py")
        if file.name != "theme.py"
        for match in COLOUR.finditer(file.read_text(encoding="utf-8"))
    ]

    assert found == []
