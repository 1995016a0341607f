"""Installing from an offline pack, up to the installer. Alone: `pytest tests/installers/test_package_unpack.py`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from installers import package_unpack
from installers.package_unpack import UnpackError, check_files, choose_target, main, read_pack


def make_pack(folder: Path, **changes: Any) -> Path:
    content = b"a wheel"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "a.whl").write_bytes(content)
    entry = {"path": "wheels/a.whl", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    values = {"format": 1, "version": "0.1.0", "targets": ["linux-cpu"], "files": [entry], **changes}
    (folder / "pack.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def test_a_whole_pack_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(make_pack(tmp_path / "pack")), "--only-check"]) == 0
    assert "Everything in the pack is right." in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"A wheel", b"a whee", None])
def test_a_damaged_file_is_named_before_anything_is_installed(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = make_pack(tmp_path / "pack")
    if content is None:
        (pack / "wheels" / "a.whl").unlink()
    else:
        (pack / "wheels" / "a.whl").write_bytes(content)

    assert main([str(pack), "--target", "linux-cpu"]) == 3

    said = capsys.readouterr()
    assert "The pack is damaged: wheels/a.whl differ" in said.err
    assert "Installing" not in said.out


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\\..\\b"])
def test_a_pack_that_names_files_outside_is_refused(tmp_path: Path, name: str) -> None:
    entry = {"path": name, "size_bytes": 1, "sha256": "0" * 64}

    with pytest.raises(UnpackError, match="outside the pack"):
        check_files(tmp_path, [entry])


def test_a_folder_without_a_pack_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="Choose the pack's"):
        read_pack(tmp_path)


def test_a_pack_of_a_later_format_asks_for_its_own_installer(tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="Use the installer that lies in it"):
        read_pack(make_pack(tmp_path / "pack", format=2))


@pytest.mark.parametrize(
    ("offered", "fitting", "chosen"),
    [
        (["linux-cpu", "linux-nvidia"], "linux-nvidia", "linux-nvidia"),
        (["linux-cpu"], "linux-nvidia-older", "linux-cpu"),
        (["linux-cpu", "windows-cpu"], "windows-nvidia", "windows-cpu"),
        (["linux-arm64-cpu", "linux-cpu"], "linux-arm64-nvidia", "linux-arm64-cpu"),
    ],
)
def test_the_engine_is_that_of_the_machine_else_the_processors(offered: list[str], fitting: str, chosen: str) -> None:
    assert choose_target(offered, fitting) == chosen


def test_a_pack_without_a_fitting_engine_says_which_it_should_hold() -> None:
    with pytest.raises(UnpackError, match="--target macos-apple"):
        choose_target(["linux-cpu"], "macos-apple")


def test_a_target_that_is_not_in_the_pack_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(make_pack(tmp_path / "pack")), "--target", "windows-cpu"]) == 3
    assert "does not hold windows-cpu" in capsys.readouterr().err


def test_the_steps_stop_at_the_first_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = tmp_path / "install.py"
    said = str(tmp_path / "said")
    code = f"import sys\nwith open({said!r}, 'a') as file: file.write(sys.argv[1] + ' ')\n"
    code += "sys.exit(sys.argv[1] == 'engine')"
    installer.write_text(code, encoding="utf-8")
    monkeypatch.setattr(package_unpack, "INSTALLER", installer)

    with pytest.raises(UnpackError, match="linux-cpu"):
        package_unpack.install(tmp_path, "linux-cpu", has_models=True)

    assert (tmp_path / "said").read_text(encoding="utf-8").split() == ["shell", "engine"]
