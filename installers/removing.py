"""Uninstalling: what this program wrote goes, but for what its user keeps and what was never its own.

The record goes last, so that removing goes on when it was interrupted. Folders that the user chose outside the data
folder are emptied of what the installer put there; models and projects in such a folder are the user's, and stay.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from installers.work import Site
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.files import remove_tree
from ltx_studio.installation.layout import default_cache_folder, default_data_folder
from ltx_studio.installation.messages import Message, Notice, Progress, Step
from ltx_studio.installation.state import FILE_NAME, Part

# What of the data folder is the user's work, and what is models.
KEPT = {"models": ("models",), "projects": ("projects", "clips", "exports", "references", "library.sqlite3")}
# The rest that the studio writes there. By name, because LTX_STUDIO_HOME may name a folder that holds other things too.
TRACES = (
    *("settings.json", "window.ini", "network.json", "hub-token", "refused-connections.jsonl", "prompts.jsonl"),
    *("cache", "Cache", "logs", "presets", "queue", "queue.sqlite3", "runs", "styles", "wildcards"),
)


def uninstall(site: Site, keep: frozenset[str]) -> Iterator[Message]:
    """Raises InstallError for what cannot be deleted; calling it again goes on."""
    record = site.record
    installation = record.read()
    for part in Part:
        installation = record.change(part, installation.slot(part).uninstall())
    layout = site.layout()
    data = default_data_folder()
    removed = (*TRACES, *(name for group, names in KEPT.items() if group not in keep for name in names))
    stayed: list[Path] = []
    for path in (
        *(layout.environments(is_engine=is_engine) for is_engine in (True, False)),
        *(layout.wheels(is_engine=is_engine) for is_engine in (True, False)),
        *(site.home / name for name in ("studio", "kits", "python", "logs")),
    ):
        yield Progress(Part.ENGINE, Step.REMOVING, path.name)
        _remove(path, stayed)
    if layout.engine != layout.home:
        with suppress(OSError):
            layout.engine.rmdir()  # only when nothing of the user's is in it
    for name in (installation.models_folder, installation.projects_folder):
        if name is not None and not Path(name).is_relative_to(data) and Path(name).is_dir():
            yield Notice(f"{name} was chosen by you, and stays.")
    if data in {Path.home(), Path(data.anchor)}:
        yield Notice(f"{data} holds more than LTX Studio, so models, projects and settings in it stay.")
    elif data.is_dir():
        for entry in sorted(data.iterdir()):
            if _is_one_of(entry.name, removed) and not site.home.is_relative_to(entry):
                yield Progress(Part.ENGINE, Step.REMOVING, entry.name)
                _remove(entry, stayed)
    cache = default_cache_folder()
    if not cache.is_relative_to(data):
        _remove(cache, stayed)
    if stayed:
        raise InstallError(
            "in-use", f"{stayed[0]} cannot be deleted.", remedy="Close the studio, then uninstall again: it goes on."
        )
    (site.home / FILE_NAME).unlink(missing_ok=True)


def remove_last(home: Path) -> None:
    """The lock, and the folders that are empty now; call it when the lock is free."""
    for path in (home / "installation.lock", home / f"{FILE_NAME}.new"):
        with suppress(OSError):
            path.unlink()
    for folder in (home, default_data_folder()):
        with suppress(OSError):
            folder.rmdir()


def _is_one_of(name: str, names: Sequence[str]) -> bool:
    """A database comes with its journal beside it, and settings that could not be read with a number."""
    files = [own for own in names if "." in own]
    return name in names or any(name.startswith((f"{own}-", f"{own}.")) for own in files)


def _remove(path: Path, stayed: list[Path]) -> None:
    try:
        remove_tree(path)
    except OSError:
        stayed.append(path)
