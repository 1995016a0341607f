"""What this machine can do with which model, by the planner's own call: a clip of the model's usual size."""

from dataclasses import dataclass

from engine.errors import EngineError
from engine.hardware import Machine
from engine.pipelines.plan import Plan, plan
from engine.request import GenerationRequest, Preset
from engine.weights.catalog import STARTER, CatalogueEntry, catalogue, is_installed, places
from ltx_studio.domain.job import Failed


@dataclass(frozen=True)
class Outlook:
    """One model on this machine. `plan` is None where nothing can be said before the model is there."""

    name: str
    title: str
    is_installed: bool
    download_bytes: int  # of the files whose size is known
    is_all_counted: bool  # whether that is every file
    plan: Plan | Failed | None


def outlooks(machine: Machine) -> tuple[Outlook, ...]:
    """The starter model, then the fast ones of the newest generation in the catalogue."""
    entries = catalogue()
    newest = next(iter(entries.values())).generation
    fast = (entry for entry in entries.values() if entry.generation == newest and entry.kind == "distilled")
    names = dict.fromkeys([STARTER, *(entry.name for entry in fast)])
    return tuple(_outlook(entries[name], machine) for name in names)


def _outlook(entry: CatalogueEntry, machine: Machine) -> Outlook:
    has_files = is_installed(entry)
    sizes = [] if entry.is_bundled else [place.file.size_bytes for place in places(entry.name)]
    return Outlook(
        name=entry.name,
        title=entry.title,
        is_installed=has_files,
        download_bytes=sum(size for size in sizes if size is not None),
        is_all_counted=None not in sizes,
        plan=None if entry.is_bundled and not has_files else _plan(entry.name, machine),
    )


def _plan(name: str, machine: Machine) -> Plan | Failed:
    try:
        return plan(GenerationRequest("any", model=name, preset=Preset.FAST), machine)
    except EngineError as error:
        return Failed.of(error)
