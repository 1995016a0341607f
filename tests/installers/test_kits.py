"""What a package carries. Alone: `pytest tests/installers/test_kits.py`."""

import ast
import sys
from pathlib import Path

import pytest

from installers.kits import kit_files, make_kit
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.kit import read_kit
from tests.fakes.wheels import write_wheel

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = [file for file in kit_files(ROOT) if file.suffix == ".py"]
# What the environment's own Python runs, with everything installed.
RUN_INSIDE = {Path("installers/smoke.py")}


@pytest.mark.parametrize("file", CODE, ids=str)
def test_the_installer_needs_nothing_but_a_python_and_itself(file: Path) -> None:
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    own = {name for name in imported if name.partition(".")[0] in {"installers", "ltx_studio"}}
    outside = {name.partition(".")[0] for name in imported - own}

    if file not in RUN_INSIDE:
        assert outside <= sys.stdlib_module_names
        modules = {".".join(code.with_suffix("").parts).removesuffix(".__init__") for code in CODE}
        assert own - {"ltx_studio", "ltx_studio.installation"} <= modules


def test_a_kit_says_what_is_in_it(tmp_path: Path) -> None:
    studio = tmp_path / write_wheel(tmp_path, "ltx_studio", {}, version="3.1").file

    make_kit(tmp_path / "kit", root=ROOT, studio_wheel=studio, updates="https://releases.example/feed")

    kit = read_kit(tmp_path / "kit")
    assert (kit.version, kit.studio_wheel, kit.updates) == ("3.1", studio.name, "https://releases.example/feed")
    assert all((kit.folder / file).is_file() for file in kit_files(ROOT))
    assert (kit.wheels / studio.name).read_bytes() == studio.read_bytes()


def test_a_kit_that_cannot_be_whole_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InstallError):
        make_kit(tmp_path / "kit", root=ROOT, studio_wheel=tmp_path / "ltx_studio-1.0-none.whl")

    assert not (tmp_path / "kit").exists()


def test_a_checkout_is_a_kit_without_a_wheel() -> None:
    assert read_kit(ROOT).studio_wheel is None


@pytest.mark.parametrize("content", ["{}", "[", '{"version": "1", "studio_wheel": "x"}'])
def test_a_damaged_kit_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "kit.json").write_text(content, encoding="utf-8")

    with pytest.raises(InstallError, match="cannot be read"):
        read_kit(tmp_path)
