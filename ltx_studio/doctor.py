"""What works on this machine, as a report."""

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.errors import RequestError
from engine.folders import data_folder, models_folder
from engine.hardware import current_machine
from engine.network import NetworkRecord, refused_connections
from engine.weights.access import find_access
from engine.weights.catalog import catalogue, is_installed
from ltx_studio import __version__


def examine(network: NetworkRecord) -> dict[str, Any]:
    """The facts that `doctor` prints. Looks at everything it names; imports neither torch nor Qt."""
    machine = current_machine()
    # Sealed processes before this one kept what they refused; so did this one, if it is sealed.
    attempts = [item.target for item in refused_connections(data_folder())]
    attempts += [] if network.is_sealed else network.attempts
    return {
        "version": __version__,
        "python": platform.python_version(),
        "torch": _version_of("torch"),
        "devices": [
            {
                "name": device.name,
                "kind": device.kind,
                "device": device.torch_name,
                "total_bytes": device.total_bytes,
                "free_bytes": device.free_bytes,
            }
            for device in machine.devices
        ],
        "models": [
            {"name": entry.name, "title": entry.title, "installed": is_installed(entry), "folder": str(entry.folder)}
            for entry in catalogue().values()
        ],
        "checks": [
            _check("video encoder", _encodes_video),
            _check("sound output", _plays_sound),
            *_folder_checks(),
            _check("model downloads", lambda: _says_where_models_come_from(network)),
        ],
        "network": {"sealed": network.is_sealed, "attempts": len(attempts)},
        "attempted_connections": attempts,
    }


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _check(what: str, probe: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"what": what, "works": True, "detail": probe()}
    except Exception as error:
        return {"what": what, "works": False, "detail": str(error)}


def _encodes_video() -> str:
    import av  # noqa: PLC0415

    codec = av.Codec("libx264", "w")
    return f"{codec.long_name}, PyAV {av.__version__}"


def _plays_sound() -> str:
    import sounddevice  # noqa: PLC0415 - fails to import where PortAudio is missing

    return str(sounddevice.query_devices(kind="output")["name"])


def _says_where_models_come_from(network: NetworkRecord) -> str:
    access = find_access()
    if network.is_sealed:
        raise RequestError("network", "sealed mode forbids them")
    proxy = "through the proxy that is set" if access.proxy else "directly or through the system's proxy"
    return f"from {access.endpoint}, {proxy}, {'with' if access.token else 'without'} a token"


def _folder_checks() -> list[dict[str, Any]]:
    def writable() -> str:
        folder = data_folder()
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-probe"
        probe.touch()
        probe.unlink()
        return f"{folder} (models in {models_folder()})"

    return [_check("data folder", writable)]
