"""The list of everything a package brings or fetches, as CycloneDX 1.6 JSON, made from the locks and the pinned tools.

One component for each file, by the hash that is checked before it is installed; which locks name it is a property.
"""

import datetime
import json
import uuid
from pathlib import Path
from typing import Any, Final

from installers.package_tools import PINS
from ltx_studio.installation.locks import Lock, Wheel

_NAMESPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122's, of addresses


def sbom_name(version: str) -> str:
    return f"ltx-studio-{version}.cdx.json"


def write_sbom(out: Path, *, root: Path, version: str, epoch: int) -> Path:
    """Raises OSError, and ValueError for a lock that cannot be read."""
    path = out / sbom_name(version)
    out.mkdir(parents=True, exist_ok=True)
    values = make_sbom(read_locks(root / "installers" / "locks"), version=version, epoch=epoch)
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def read_locks(folder: Path) -> dict[str, Lock]:
    """Every lock by its part and target, such as "engine/linux-cpu"."""
    paths = sorted(folder.glob("*/*.json"))
    return {
        f"{path.parent.name}/{path.stem}": Lock.from_dict(json.loads(path.read_text(encoding="utf-8")))
        for path in paths
    }


def make_sbom(locks: dict[str, Lock], *, version: str, epoch: int) -> dict[str, Any]:
    """The document; the same locks make the same one."""
    named_by: dict[Wheel, list[str]] = {}
    for name, lock in locks.items():
        for wheel in lock.wheels:
            named_by.setdefault(wheel, []).append(name)
    wheels = sorted(named_by, key=lambda wheel: (wheel.name, wheel.file, wheel.url))
    components = [_wheel_component(wheel, named_by[wheel]) for wheel in wheels] + _tool_components()
    own = f"pkg:pypi/ltx-studio@{version}"
    identity = uuid.uuid5(_NAMESPACE, json.dumps([own, components], sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "ltx-studio",
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": sorted(component["bom-ref"] for component in components)}],
    }


def _wheel_component(wheel: Wheel, locks: list[str]) -> dict[str, Any]:
    purl = f"pkg:pypi/{wheel.name}@{wheel.version.replace('+', '%2B')}?file_name={wheel.file.replace('+', '%2B')}"
    return {
        "type": "library",
        "bom-ref": f"{purl}#{wheel.sha256[:12]}",
        "name": wheel.name,
        "version": wheel.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "externalReferences": [{"type": "distribution", "url": wheel.url}],
        "properties": [{"name": "ltx-studio:lock", "value": name} for name in locks],
    }


def _tool_components() -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = []
    for name, tool in sorted(json.loads(PINS.read_text(encoding="utf-8")).items()):
        for platform, wheel in sorted(tool["wheels"].items()):
            purl = f"pkg:pypi/{name}@{tool['version']}?file_name={wheel['file']}"
            components.append(
                {
                    "type": "application",
                    "bom-ref": f"{purl}#{platform}",
                    "name": name,
                    "version": tool["version"],
                    "purl": purl,
                    "hashes": [{"alg": "SHA-256", "content": wheel["sha256"]}],
                    "properties": [{"name": "ltx-studio:package", "value": platform}],
                }
            )
    return components
