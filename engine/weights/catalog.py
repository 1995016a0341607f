"""Which models there are, which files each consists of, and where those files are on this machine.

The catalogue is data (`resources/models/catalogue.json`). A model is named there, or given as a path to a checkpoint
or its folder; what a path can do is read from the headers of the files beside it. No torch in this module.

Sizes and SHA-256 in the catalogue are what the hub states for Lightricks/LTX-2.3 at revision 5948be4 and
Lightricks/LTX-2.3-fp8 at 1d756cd, as several public manifests that pin those files repeat them. Where none is known
the entry holds null, and the hub's own statement is asked for and kept when the file is fetched.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from engine.errors import CheckpointError, RequestError
from engine.folders import models_folder
from engine.model.header import Section
from engine.types import Size
from engine.weights.checkpoint import Checkpoint

ModelKind = Literal["dev", "distilled"]
LoraKind = Literal["camera", "control", "edit", "lipdub"]
STARTER = "starter"

# Part of the official file names; headers do not tell a distilled model, or its LoRA, from the others.
_DISTILLED_NAME, _DISTILLED_LORA_NAME = "distilled", "distilled-lora"


LARGEST_TRAINED = Size(1920, 1088)  # of the official models


@dataclass(frozen=True)
class ModelDefaults:
    """What a request gets that does not say, and how far the model was trained."""

    size: Size
    frames: int
    longest_s: float = 20.0
    largest: Size = LARGEST_TRAINED


@dataclass(frozen=True)
class PublishedFile:
    """One file of a repository on the hub."""

    repository: str
    name: str
    purpose: str
    licence: str
    has_terms: bool  # only for accounts that accepted them
    size_bytes: int | None  # None: only the hub knows
    sha256: str | None  # None: only the hub knows


@dataclass(frozen=True)
class Place:
    """Where a published file belongs on this machine."""

    file: PublishedFile
    path: Path


@dataclass(frozen=True)
class CatalogueEntry:
    """One named model."""

    name: str
    title: str
    kind: ModelKind
    generation: str
    files: Mapping[str, str]  # file names by part: checkpoint, spatial_upsampler, distilled_lora
    defaults: ModelDefaults
    text_encoder: str | None  # None: in the model's own folder
    parameters: Mapping[str, int]  # published numbers of weights by part, for models that are not installed
    config: Section | None  # the header's config, for models that are not installed
    is_bundled: bool

    @property
    def folder(self) -> Path:
        return bundled_folder() / self.name if self.is_bundled else models_folder() / self.name


@dataclass(frozen=True)
class LoraEntry:
    """One named LoRA. How its reference is encoded is in its own header."""

    name: str
    title: str
    kind: LoraKind
    generation: str  # of the models that it fits
    strength: float  # that its makers recommend
    reads: tuple[str, ...]  # kinds of reference clips that it follows; empty: none
    place: Place

    @property
    def path(self) -> Path:
        return self.place.path


@dataclass(frozen=True)
class ModelFiles:
    """One model on this machine, every part at its path."""

    name: str
    kind: ModelKind
    checkpoint: Path
    text_encoder: Path | None
    spatial_upsampler: Path | None
    distilled_lora: Path | None
    defaults: ModelDefaults


PATH_DEFAULTS = ModelDefaults(Size(1280, 704), 121)


def bundled_folder() -> Path:
    """The models that ship with the program."""
    return Path(str(files("resources"))) / "models"


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Every named model."""
    return {name: _parse_entry(name, entry) for name, entry in _data()["models"].items()}


@cache
def _data() -> Mapping[str, Any]:
    return json.loads((bundled_folder() / "catalogue.json").read_text(encoding="utf-8"))


def _loras() -> Mapping[str, Mapping[str, Any]]:
    return _data().get("loras", {})


def loras() -> Mapping[str, LoraEntry]:
    """Every named LoRA, installed or not."""
    return {name: _parse_lora(name, values) for name, values in _loras().items()}


def loras_folder() -> Path:
    """Where LoRAs are kept that belong to no single model."""
    return models_folder() / "loras"


def _parse_lora(name: str, values: Mapping[str, Any]) -> LoraEntry:
    file = _published(values["file"], values)
    return LoraEntry(
        name=name,
        title=values["title"],
        kind=cast("LoraKind", values["kind"]),
        generation=values["generation"],
        strength=values["strength"],
        reads=tuple(values.get("reads", ())),
        place=Place(file, loras_folder() / file.name),
    )


def downloadable() -> tuple[str, ...]:
    """The names that `places` knows: models that do not ship with the program, and text encoders."""
    return (*(name for name, entry in catalogue().items() if not entry.is_bundled), *_data()["text_encoders"])


def places(name: str) -> tuple[Place, ...]:
    """Every file of a model, its text encoder's last, of a text encoder or a LoRA, installed or not.

    Raises RequestError.
    """
    if name in _loras():
        return (loras()[name].place,)
    if name in _data()["text_encoders"]:
        values = _data()["text_encoders"][name]
        files = (_published(item, values) for item in values["files"])
        return tuple(Place(file, _text_encoder_folder(name) / file.name) for file in files)
    entry = catalogue().get(name)
    if entry is None or entry.is_bundled:
        raise RequestError(
            "model",
            f"The model '{name}' ships with the program." if entry else f"There is no model named '{name}'.",
            remedy=f"Choose one of {', '.join((*downloadable(), *_loras()))}.",
        )
    own = (Place(_published(item, _data()["files"][item]), entry.folder / item) for item in entry.files.values())
    return (*own, *(places(entry.text_encoder) if entry.text_encoder else ()))


def title_of(name: str) -> str:
    """The title of a model, text encoder or LoRA that `places` knows."""
    if name in _loras():
        return str(_loras()[name]["title"])
    text_encoder = _data()["text_encoders"].get(name)
    return text_encoder["title"] if text_encoder else catalogue()[name].title


def is_text_encoder(name: str) -> bool:
    return name in _data()["text_encoders"]


def _published(name: str, values: Mapping[str, Any]) -> PublishedFile:
    repository = _data()["repositories"][values["repository"]]
    return PublishedFile(
        repository=values["repository"],
        name=name,
        purpose=values["purpose"],
        licence=repository["licence"],
        has_terms=repository["has_terms"],
        size_bytes=values.get("size_bytes"),
        sha256=values.get("sha256"),
    )


def _text_encoder_folder(key: str) -> Path:
    return models_folder() / str(_data()["text_encoders"][key]["folder"])


def is_installed(entry: CatalogueEntry) -> bool:
    """Whether the model can be loaded. Files get their names only once their hash matched, or from the user."""
    return all((entry.folder / name).is_file() for name in entry.files.values())


def find_model(model: str | None) -> ModelFiles:
    """The files of a model by catalogue name or path; None is the first installed one, else the starter model.

    Raises RequestError for a name that nobody knows and CheckpointError for a model whose files are not all there.
    """
    entries = catalogue()
    if model is None:
        model = next((name for name, entry in entries.items() if is_installed(entry)), STARTER)
    if model in entries:
        return _installed(entries[model])
    path = Path(model).expanduser()
    if path.exists() or path.suffix or len(path.parts) > 1:
        return _at_path(path)
    raise RequestError(
        "model",
        f"There is no model named '{model}'.",
        remedy=f"Choose one of {', '.join(entries)}, or give the path of a checkpoint.",
    )


def _parse_entry(name: str, entry: Mapping[str, Any]) -> CatalogueEntry:
    config = None
    if "config" in entry:
        path = bundled_folder() / entry["config"]
        config = Section(path, "config", json.loads(path.read_text(encoding="utf-8")))
    encoder = _data()["text_encoders"].get(entry.get("text_encoder"))
    encoder_parameters = {} if encoder is None else {"text_encoder": encoder["parameters"]}
    return CatalogueEntry(
        name=name,
        title=entry["title"],
        kind=cast("ModelKind", entry["kind"]),
        generation=entry["generation"],
        files=entry["files"],
        defaults=_parse_defaults(entry["defaults"]),
        text_encoder=entry.get("text_encoder"),
        parameters={**entry.get("parameters", {}), **encoder_parameters},
        config=config,
        is_bundled=entry.get("bundled", False),
    )


def _parse_defaults(values: Mapping[str, Any]) -> ModelDefaults:
    usual = PATH_DEFAULTS
    return ModelDefaults(
        Size.parse(values["size"]),
        values["frames"],
        values.get("longest_s", usual.longest_s),
        Size.parse(values.get("largest", str(usual.largest))),
    )


def _installed(entry: CatalogueEntry) -> ModelFiles:
    missing = [name for name in entry.files.values() if not (entry.folder / name).is_file()]
    if missing:
        raise CheckpointError(
            entry.folder,
            f"the model '{entry.name}' is not installed: {missing[0]} is missing.",
            remedy="Fetch it, put its files into this folder, or choose another model.",
        )
    paths = {part: entry.folder / name for part, name in entry.files.items()}
    if entry.text_encoder is None:
        text_encoder = _text_encoder_in(entry.folder)
    else:
        text_encoder = _text_encoder_in(_text_encoder_folder(entry.text_encoder))
    return ModelFiles(
        name=entry.name,
        kind=entry.kind,
        checkpoint=paths["checkpoint"],
        text_encoder=text_encoder,
        spatial_upsampler=paths.get("spatial_upsampler"),
        distilled_lora=paths.get("distilled_lora"),
        defaults=entry.defaults,
    )


def _at_path(path: Path) -> ModelFiles:
    """A checkpoint given by path, or the only one in a folder, with what lies beside it."""
    folder = path if path.is_dir() else path.parent
    others = [item for item in sorted(folder.glob("*.safetensors")) if item != path]
    parts: dict[str, Path] = {}
    for item in others:
        part = _part_of(item)
        if part is not None:
            parts.setdefault(part, item)
    checkpoint = parts.get("checkpoint", path) if path.is_dir() else path
    if checkpoint.is_dir():
        raise CheckpointError(path, "no LTX checkpoint is in this folder.", remedy="Choose the .safetensors file.")
    Checkpoint.open(checkpoint)  # a damaged file is said now, not after the text encoder has run
    text_encoder = _text_encoder_in(folder) or next(
        (found for item in sorted(folder.iterdir()) if item.is_dir() and (found := _text_encoder_in(item))), None
    )
    return ModelFiles(
        name=checkpoint.stem,
        kind="distilled" if _DISTILLED_NAME in checkpoint.name else "dev",
        checkpoint=checkpoint,
        text_encoder=text_encoder or _installed_text_encoder(),
        spatial_upsampler=parts.get("spatial_upsampler"),
        distilled_lora=parts.get("distilled_lora"),
        defaults=PATH_DEFAULTS,
    )


def _part_of(path: Path) -> str | None:
    try:
        header = Checkpoint.open(path)
        config = header.config.values if "config" in header.metadata else {}
    except CheckpointError:
        return None  # someone else's file, or one still being fetched
    if "transformer" in config:
        return "checkpoint"
    if config.get("spatial_upsample") and config.get("spatial_scale", 2.0) == 2.0:
        return "spatial_upsampler"
    if _DISTILLED_LORA_NAME in path.name and any(name.endswith(".lora_A.weight") for name in header.tensors):
        return "distilled_lora"
    return None


def _text_encoder_in(folder: Path) -> Path | None:
    """The folder, or its `text_encoder` subfolder, when it holds a Hugging Face model."""
    return next((item for item in (folder / "text_encoder", folder) if (item / "config.json").is_file()), None)


def _installed_text_encoder() -> Path | None:
    return next(
        (found for key in _data()["text_encoders"] if (found := _text_encoder_in(_text_encoder_folder(key)))), None
    )
