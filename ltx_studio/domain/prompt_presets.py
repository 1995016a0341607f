"""What the prompt builder offers: style presets, camera moves and phrases, from data files. The user adds their own.

A style is a JSON file of its own: a name, the words it puts before the prompt, and a swatch, four to six colours from
which its picture is drawn. Own ones lie in the data folder under `styles` and win over a shipped one of the same name.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.errors import MediaError
from engine.folders import data_folder
from ltx_studio.domain.prompt_words import Part

logger = logging.getLogger("studio.prompts")

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PHRASED = {"shots": Part.SHOT, "lights": Part.LIGHT, "lenses": Part.LENS}
PATTERNS = ("horizon", "rays", "grain", "blocks", "figure", "waves")


@dataclass(frozen=True)
class StylePreset:
    """One style. `id` is its file's name and never shown."""

    id: str
    name: str
    words: str
    colours: tuple[str, ...]  # #rrggbb, from the back of the swatch to its front
    pattern: str  # one of `PATTERNS`: how the swatch is drawn
    is_own: bool = False


@dataclass(frozen=True)
class CameraMove:
    """A move by its name among filmmakers and the words that the model knows it by."""

    name: str
    words: str


@dataclass(frozen=True)
class Phrases:
    """Words to choose from by part, and languages for speech."""

    by_part: Mapping[Part, tuple[str, ...]]
    languages: tuple[str, ...]


def styles_folder() -> Path:
    """Where the user's own styles lie."""
    return data_folder() / "styles"


def style_presets() -> tuple[StylePreset, ...]:
    """Shipped styles in their order, then the user's own by name. A file that is none is left out and logged."""
    found: dict[str, StylePreset] = {}
    shipped = sorted((_presets_folder() / "styles").glob("*.json"))
    own = sorted(styles_folder().glob("*.json")) if styles_folder().is_dir() else []
    for path in (*shipped, *own):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = _parse_style(path.stem, values, is_own=path in own)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s is no style preset: %s", path, error)
    return tuple(sorted(found.values(), key=lambda style: (style.is_own, style.name.casefold())))


def save_style(name: str, words: str) -> Path:
    """Keep a style of the user's own; one of the same name is replaced. Raises MediaError."""
    identifier = re.sub(r"[^\w-]+", "-", name.strip().casefold()).strip("-") or "style"
    path = styles_folder() / f"{identifier}.json"
    values = {"name": name.strip(), "words": words.strip()}
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise MediaError(
            path,
            f"the style cannot be written: {error.strerror}.",
            remedy="Free some space or make the folder writable.",
        ) from error
    return path


@cache
def camera_moves() -> tuple[CameraMove, ...]:
    return tuple(CameraMove(item["name"], item["words"]) for item in _read("cameras.json")["moves"])


@cache
def phrases() -> Phrases:
    values = _read("phrases.json")
    by_part = {part: tuple(values[name]) for name, part in _PHRASED.items()}
    by_part[Part.CAMERA] = tuple(move.words for move in camera_moves())
    return Phrases(by_part, tuple(values["languages"]))


def _presets_folder() -> Path:
    return Path(str(files("resources"))) / "presets"


def _read(name: str) -> Any:
    return json.loads((_presets_folder() / name).read_text(encoding="utf-8"))


def _parse_style(identifier: str, values: Mapping[str, Any], *, is_own: bool) -> StylePreset:
    """Raises ValueError or KeyError."""
    name, words = str(values["name"]).strip(), str(values["words"]).strip()
    colours = tuple(str(colour) for colour in values.get("colours", ()))
    pattern = str(values.get("pattern", "blocks"))
    if not name or not words:
        raise ValueError("a style needs a name and words")
    if not all(_COLOUR.fullmatch(colour) for colour in colours) or pattern not in PATTERNS:
        raise ValueError(f"colours are #rrggbb and the pattern is one of {', '.join(PATTERNS)}")
    return StylePreset(identifier, name, words, colours, pattern, is_own)
