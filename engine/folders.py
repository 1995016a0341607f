"""Where this program keeps its data: where the system says, or under `LTX_STUDIO_HOME` when that is set."""

import os
from pathlib import Path

import platformdirs

APP_NAME = "ltx-studio"
HOME_VARIABLE = "LTX_STUDIO_HOME"
MODELS_VARIABLE = "LTX_STUDIO_MODELS"


def data_folder() -> Path:
    """Settings, queue, projects and models; not created here."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() if home else Path(platformdirs.user_data_dir(APP_NAME, appauthor=False))


def models_folder() -> Path:
    """One folder for each installed model; in the data folder unless the user chose another."""
    chosen = os.environ.get(MODELS_VARIABLE)
    return Path(chosen).expanduser() if chosen else data_folder() / "models"


def cache_folder() -> Path:
    """What can be made again: previews' colour maps, prompt embeddings, converted weights."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() / "cache" if home else Path(platformdirs.user_cache_dir(APP_NAME, appauthor=False))


def runs_folder() -> Path:
    """Latents saved after each stage of a run, until its clip is written."""
    return data_folder() / "runs"
