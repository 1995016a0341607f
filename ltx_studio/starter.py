"""Which model a request without one gets: the best installed, else the starter model, else an untrained one."""

import shutil
from dataclasses import replace
from pathlib import Path

from engine.errors import RequestError
from engine.events import Notice
from engine.folders import HOME_VARIABLE, models_folder
from engine.request import GenerationRequest
from engine.types import Size
from engine.weights.catalog import STARTER, catalogue, is_installed

UNTRAINED = "untrained"


def with_model(request: GenerationRequest) -> tuple[GenerationRequest, Notice | None]:
    """The request with a model that can run, and what to tell the user when it is not a real one.

    Where no trained model is installed, an untrained one with the starter's defaults is made once and used, so that
    the whole path can be tried.
    """
    entries = catalogue()
    if request.model not in {None, STARTER} or is_installed(entries[STARTER]):
        return request, None
    if request.model is None and any(is_installed(entry) for entry in entries.values()):
        return request, None
    from engine.training.blank import CHECKPOINT_NAME  # noqa: PLC0415 - brings torch

    folder = models_folder() / UNTRAINED
    if not folder.is_dir():
        _make_untrained(folder)
    defaults = entries[STARTER].defaults
    frames = defaults.frames if request.frames is None and request.seconds is None else request.frames
    size = request.size or Size(defaults.size.width, defaults.size.height)
    notice = Notice(UNTRAINED, "No trained model is installed: these weights are untrained, the clip will be noise.")
    model = str(folder / CHECKPOINT_NAME)
    if request.edit is not None:  # the clip says how large and how long
        return replace(request, model=model), notice
    return replace(request, model=model, size=size, frames=frames), notice


def _make_untrained(folder: Path) -> None:
    """All of its files or none. Raises RequestError where the data folder cannot be written."""
    from engine.training.blank import make_model, small_shape  # noqa: PLC0415 - brings torch

    partial = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        make_model(partial, small_shape())
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RequestError(
            "model",
            f"The untrained model cannot be written to {folder}: {error}.",
            remedy=f"Free some space, or set {HOME_VARIABLE} to a folder that can be written.",
        ) from error
