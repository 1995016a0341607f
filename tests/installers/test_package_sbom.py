"""The list of everything that is brought or fetched. Alone: `pytest tests/installers/test_package_sbom.py`."""

import json
from pathlib import Path

from installers.package_files import ROOT
from installers.package_sbom import make_sbom, read_locks, write_sbom
from installers.package_tools import PINS
from ltx_studio.installation.locks import Lock, Wheel

TORCH = Wheel("torch", "2.13.0+cpu", "torch-2.13.0+cpu-cp311-linux_x86_64.whl", "https://x.org/torch.whl", "a" * 64, 9)
NUMPY = Wheel("numpy", "2.4.6", "numpy-2.4.6-cp311-any.whl", "https://x.org/numpy.whl", "b" * 64, 5)
LOCKS = {
    "engine/linux-cpu": Lock("linux-cpu", "3.11", "", (TORCH, NUMPY)),
    "shell/linux": Lock("linux", "3.11", "", (NUMPY,)),
}


def test_every_wheel_is_a_component_with_its_hash_and_the_locks_that_name_it() -> None:
    components = make_sbom(LOCKS, version="1.0", epoch=0)["components"]

    numpy = next(component for component in components if component["name"] == "numpy")
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert [item["value"] for item in numpy["properties"]] == ["engine/linux-cpu", "shell/linux"]


def test_a_local_version_is_escaped_in_its_address() -> None:
    components = make_sbom(LOCKS, version="1.0", epoch=0)["components"]

    torch = next(component for component in components if component["name"] == "torch")
    assert torch["purl"].startswith("pkg:pypi/torch@2.13.0%2Bcpu?")


def test_the_tools_inside_the_packages_are_components_too() -> None:
    components = make_sbom(LOCKS, version="1.0", epoch=0)["components"]

    names = [component["name"] for component in components]
    assert names.count("uv") == len(json.loads(PINS.read_text(encoding="utf-8"))["uv"]["wheels"])
    assert "distlib" in names


def test_the_same_locks_make_the_same_document_and_others_another() -> None:
    first, again = (make_sbom(LOCKS, version="1.0", epoch=0) for _ in range(2))
    other = make_sbom({"shell/linux": LOCKS["shell/linux"]}, version="1.0", epoch=0)

    assert first == again
    assert first["serialNumber"] != other["serialNumber"]


def test_the_projects_own_locks_make_a_document_whose_references_are_whole(tmp_path: Path) -> None:
    path = write_sbom(tmp_path, root=ROOT, version="0.1.0", epoch=0)

    values = json.loads(path.read_text(encoding="utf-8"))
    references = [component["bom-ref"] for component in values["components"]]
    wheels = {wheel for lock in read_locks(ROOT / "installers" / "locks").values() for wheel in lock.wheels}
    assert (values["bomFormat"], values["specVersion"]) == ("CycloneDX", "1.6")
    assert len(references) == len(set(references))
    assert set(values["dependencies"][0]["dependsOn"]) == set(references)
    assert len([component for component in values["components"] if component["type"] == "library"]) == len(wheels)
