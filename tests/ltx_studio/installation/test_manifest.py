"""Every file by its hash, and mending. Alone: `pytest tests/ltx_studio/installation/test_manifest.py`."""

import os
import zipfile
from pathlib import Path

import pytest

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.manifest import Manifest, damaged, members, mend, take
from tests.fakes.wheels import write_wheel

FILES = {"thing/__init__.py": b"value = 1\n", "thing/data.bin": bytes(5000), "thing-1.0.data/data/share/note": b"hello"}


class Installed:
    """A wheel, unpacked as an installer does, with a command that no wheel brings."""

    def __init__(self, folder: Path) -> None:
        self.environment = folder / "environment"
        self.packages = self.environment / "lib" / "site-packages"
        self.wheel = folder / "wheels" / write_wheel(folder / "wheels", "thing", FILES).file
        with zipfile.ZipFile(self.wheel) as archive:
            for name in archive.namelist():
                place = self.packages / name
                if name.startswith("thing-1.0.data/data/"):
                    place = self.environment / name.removeprefix("thing-1.0.data/data/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(name))
        command = self.environment / "bin" / "thing"
        command.parent.mkdir()
        command.write_text("#!python\n", encoding="utf-8")
        command.chmod(0o755)

    def take(self) -> Manifest:
        return take(self.environment, self.packages, [self.wheel], lambda _name, _size: None)

    def damaged(self, manifest: Manifest) -> list[str]:
        return list(damaged(self.environment, manifest, lambda _name, _size: None))

    def mend(self, manifest: Manifest, name: str) -> None:
        mend(self.environment, name, manifest.files[name], lambda file: self.wheel.parent / file)


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_everything_as_published_is_listed_and_nothing_is_damaged(installed: Installed) -> None:
    manifest = installed.take()

    assert installed.damaged(manifest) == []
    assert {"bin/thing", "share/note", "lib/site-packages/thing/data.bin"} <= set(manifest.files)


def test_a_file_that_is_not_what_its_wheel_contains_is_refused(installed: Installed) -> None:
    (installed.packages / "thing" / "data.bin").write_bytes(bytes(4999) + b"x")

    with pytest.raises(InstallError, match=r"data\.bin was not installed as it should be"):
        installed.take()


def test_a_file_that_is_missing_is_refused(installed: Installed) -> None:
    (installed.packages / "thing" / "data.bin").unlink()

    with pytest.raises(InstallError, match="it is missing"):
        installed.take()


@pytest.mark.parametrize("name", ["lib/site-packages/thing/data.bin", "share/note", "bin/thing"])
@pytest.mark.parametrize("how", ["changed", "deleted", "shortened"])
def test_any_file_is_found_and_mended_alone(installed: Installed, name: str, how: str) -> None:
    manifest = installed.take()
    path = installed.environment / name
    before = path.read_bytes()
    match how:
        case "changed":
            path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        case "deleted":
            path.unlink()
        case _:
            path.write_bytes(before[:-1])

    assert installed.damaged(manifest) == [name]
    installed.mend(manifest, name)

    assert path.read_bytes() == before
    assert installed.damaged(manifest) == []


@pytest.mark.skipif(os.name == "nt", reason="links and permissions are POSIX's")
def test_links_and_permissions_are_mended_too(installed: Installed) -> None:
    link = installed.environment / "bin" / "python"
    link.symlink_to("somewhere")
    manifest = installed.take()
    link.unlink()
    (installed.environment / "bin" / "thing").chmod(0o644)

    found = installed.damaged(manifest)
    for name in found:
        installed.mend(manifest, name)

    assert sorted(found) == ["bin/python", "bin/thing"]
    assert installed.damaged(manifest) == []


def test_pythons_caches_are_nobodys_concern(installed: Installed) -> None:
    manifest = installed.take()
    cache = installed.packages / "thing" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"anything")

    assert installed.damaged(manifest) == []
    assert installed.take().digest == manifest.digest


def test_a_wheel_that_changed_meanwhile_mends_nothing(installed: Installed) -> None:
    manifest = installed.take()
    write_wheel(installed.wheel.parent, "thing", {**FILES, "thing/data.bin": b"other"})

    with pytest.raises(InstallError, match="cannot be made again"):
        installed.mend(manifest, "lib/site-packages/thing/data.bin")


def test_what_was_written_is_read_again_and_a_damaged_list_is_no_list(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    manifest = installed.take()

    manifest.write(path)
    assert Manifest.read(path) == manifest

    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("share/note", "share/other"), encoding="utf-8")
    assert Manifest.read(path) is None


def test_the_list_at_the_top_of_a_wheel_counts_not_that_of_a_package_inside_it(tmp_path: Path) -> None:
    inner = {"outer/_vendor/inner-1.0.dist-info/RECORD": b"inner/gone.py,sha256=AAAA,1\n", "outer/__init__.py": b""}
    wheel = tmp_path / write_wheel(tmp_path, "outer", inner).file

    names = [name for name, _ in members(wheel, tmp_path, tmp_path)]

    assert "inner/gone.py" not in names
    assert "outer/__init__.py" in names
