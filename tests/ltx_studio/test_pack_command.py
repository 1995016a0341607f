"""`ltx-studio pack`, with small wheels from a folder. Alone: `pytest tests/ltx_studio/test_pack_command.py`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from installers.package_unpack import check_files, read_pack
from ltx_studio import __version__
from ltx_studio.cli import run_command_line
from ltx_studio.installation.layout import INSTALLER_VARIABLE
from ltx_studio.installation.locks import Lock, Wheel

ARCHIVE = f"ltx-studio-{__version__}-linux-x86_64.tar.gz"


def wheel(name: str, folder: Path) -> Wheel:
    content = name.encode() * 1000
    file = f"{name}-1.0-py3-none-any.whl"
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    return Wheel(name, "1.0", file, f"https://example.org/{file}", hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed kit with locks of two wheels, which lie in the folder `here`, and a package in `packages`."""
    root = tmp_path / "kit"
    locks = root / "installers" / "locks"
    qt, torch = wheel("qt", tmp_path / "here"), wheel("torch", tmp_path / "here")
    for part, target, wheels in (
        ("shell", "linux", (qt,)),
        ("shell", "windows", (qt,)),
        ("engine", "linux-cpu", (qt, torch)),
        ("engine", "windows-cpu", (qt, torch)),
    ):
        (locks / part).mkdir(parents=True, exist_ok=True)
        values = Lock(target, "3.11", "", wheels).to_dict()
        (locks / part / f"{target}.json").write_text(json.dumps(values), encoding="utf-8")
    (root / "installers" / "fetching.py").touch()
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / ARCHIVE).write_bytes(b"an archive")
    (tmp_path / "packages" / "ltx-studio-9.9.9-linux-x86_64.tar.gz").write_bytes(b"another version's")
    monkeypatch.setenv(INSTALLER_VARIABLE, str(root / "installers" / "install.py"))
    return tmp_path


def pack(root: Path, *more: str, targets: tuple[str, ...] = ("linux-cpu",)) -> int:
    arguments = ["--wheels", str(root / "here"), "--packages", str(root / "packages"), "-o", str(root / "pack")]
    named = [argument for target in targets for argument in ("--target", target)]
    return run_command_line(["pack", *named, *arguments, "--progress", "none", "--json", *more])


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_a_pack_holds_wheels_once_packages_and_a_list_that_the_other_machine_accepts(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(root) == 0

    num_files = answer(capsys)["num_files"]
    folder = root / "pack"
    values = read_pack(folder)
    check_files(folder, values["files"])
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "pack.json",
        "README.txt",
        "install.sh",
        f"packages/{ARCHIVE}",
        "wheels/qt-1.0-py3-none-any.whl",
        "wheels/torch-1.0-py3-none-any.whl",
    }
    assert (values["targets"], num_files) == (["linux-cpu"], 5)


def test_a_sealed_studio_packs_what_is_here_and_fetches_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "here" / "torch-1.0-py3-none-any.whl").unlink()

    assert pack(root, "--sealed") == 2

    error = answer(capsys)["error"]
    assert "torch" in error["message"]
    assert not (root / "pack" / "pack.json").exists()


def test_a_wheel_that_is_not_the_locks_is_not_packed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "here" / "torch-1.0-py3-none-any.whl").write_bytes(b"something else")

    assert pack(root, "--sealed") == 2
    assert not (root / "pack" / "pack.json").exists()
    assert answer(capsys)["error"]["remedy"]


def test_packing_again_keeps_what_is_whole(root: Path) -> None:
    pack(root)
    first = (root / "pack" / "wheels" / "torch-1.0-py3-none-any.whl").stat()
    (root / "pack" / "wheels" / "old-0.1-py3-none-any.whl").write_bytes(b"of an earlier version")

    assert pack(root) == 0

    again = (root / "pack" / "wheels" / "torch-1.0-py3-none-any.whl").stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert not (root / "pack" / "wheels" / "old-0.1-py3-none-any.whl").exists()


def test_an_engine_that_does_not_exist_is_a_mistake_of_the_request(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(root, targets=("linux-toaster",)) == 2
    assert "linux-nvidia" in answer(capsys)["error"]["remedy"]


def test_a_package_that_is_not_here_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(root, targets=("windows-cpu",)) == 2
    assert "windows-x86_64-setup.exe" in answer(capsys)["error"]["message"]


def test_a_pack_for_windows_without_python_says_what_is_missing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "packages" / f"LTX-Studio-{__version__}-windows-x86_64-setup.exe").write_bytes(b"a program")

    assert pack(root, targets=("windows-cpu",)) == 0

    assert answer(capsys)["missing"] == ["A Python 3.11 for Windows is not in the pack."]
    assert "A Python 3.11 for Windows" in (root / "pack" / "README.txt").read_text(encoding="utf-8")


def test_a_python_that_is_given_goes_into_the_pack(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "packages" / f"LTX-Studio-{__version__}-windows-x86_64-setup.exe").write_bytes(b"a program")
    (root / "python").mkdir()
    (root / "python" / "python.exe").write_bytes(b"a program")

    assert pack(root, "--python", f"windows={root / 'python'}", targets=("windows-cpu",)) == 0

    assert answer(capsys)["missing"] == []
    assert (root / "pack" / "python" / "windows" / "python.exe").read_bytes() == b"a program"


def test_a_folder_without_a_python_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(root, "--python", f"windows={root}", targets=("windows-cpu",)) == 2
    assert "python.exe is not there" in answer(capsys)["error"]["message"]


def test_models_are_packed_as_the_model_manager_packs_them(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(root, "--model", "ltx-2.3-distilled") == 3
    assert "is not installed" in answer(capsys)["error"]["message"]
