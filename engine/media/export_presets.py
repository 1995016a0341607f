"""Export settings by the name of what they are for, from data files; the user adds their own in the data folder.

A preset is a JSON file: a title, what it is in a few words, the group it is listed in, and the settings that differ
from the defaults. An own one wins over a shipped one of the same name.
"""

import json
import logging
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.folders import data_folder
from engine.media.export_request import ExportSettings
from engine.media.write import named_errors, published

log = logging.getLogger("engine.media")

_LONGEST_NAME = 80
_LAST = 10_000  # where presets without a place go


@dataclass(frozen=True)
class ExportPreset:
    """One of them. `name` is its file's."""

    name: str
    title: str
    about: str
    group: str
    settings: ExportSettings
    order: int = _LAST


def own_presets_folder() -> Path:
    """Where the user's own lie."""
    return data_folder() / "presets" / "export"


def export_presets() -> dict[str, ExportPreset]:
    """By name, in the order they are listed. A file that is none is left out and logged."""
    found: dict[str, ExportPreset] = {}
    shipped = Path(str(files("resources"))) / "presets" / "export"
    for folder in (shipped, own_presets_folder()):
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                found[path.stem] = _parsed(path.stem, json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RequestError) as error:
                log.warning("%s is no export preset: %s", path, error)
    return {preset.name: preset for preset in sorted(found.values(), key=lambda item: (item.order, item.title))}


def find_preset(name: str) -> ExportPreset:
    """Raises RequestError for one that is not there."""
    presets = export_presets()
    if name not in presets:
        raise RequestError(
            "preset", f"There is no export preset '{name}'.", remedy=f"Choose one of {', '.join(presets)}."
        )
    return presets[name]


def save_preset(title: str, settings: ExportSettings) -> ExportPreset:
    """An own preset on the disk; one of the same title is replaced. Raises RequestError, MediaError and StorageFull."""
    title = " ".join(title.split())
    slug = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")[:_LONGEST_NAME]
    if not slug:
        raise RequestError("preset", "A preset needs a name.", remedy="Write one with letters or digits.")
    name = f"own-{slug}"  # never that of a shipped one
    path = own_presets_folder() / f"{name}.json"
    values = {"title": title, "about": "", "group": "", "settings": settings.to_dict()}
    with named_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with published(path) as part:
        part.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
    return _parsed(name, values)


def _parsed(name: str, values: dict[str, Any]) -> ExportPreset:
    return ExportPreset(
        name=name,
        title=str(values["title"]),
        about=str(values.get("about", "")),
        group=str(values.get("group", "")),
        settings=ExportSettings.from_dict(values["settings"]),
        order=int(values.get("order", _LAST)),
    )
