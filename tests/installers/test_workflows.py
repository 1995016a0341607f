"""The workflows call files and options that are there. Alone: `pytest tests/installers/test_workflows.py`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from installers.package import ALL, KINDS
from installers.package_files import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted([*ROOT.glob("installers/*/*.sh"), ROOT / "installers" / "linux" / "AppRun"])
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)


def test_every_script_that_a_workflow_starts_is_there() -> None:
    named = set(re.findall(r"installers/[\w/]+\.(?:sh|ps1|py)", TEXT))

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_kind_of_package_that_a_workflow_builds_exists() -> None:
    calls = re.findall(r"python -m installers\.package ([a-z -]+?) -", TEXT)

    kinds = {kind for call in calls for kind in call.split()}
    assert {"deb", "tar", "windows", "macos"} <= kinds <= {*KINDS, "all"}
    assert set(ALL) <= set(KINDS)


def test_packages_start_on_all_three_systems_before_a_release() -> None:
    packages = (ROOT / ".github" / "workflows" / "packages.yml").read_text(encoding="utf-8")

    for system in ("linux", "windows", "macos"):
        assert f"  smoke-{system}:" in packages
    assert "needs: [build, smoke-linux, sign-windows, sign-macos]" in packages


def test_signing_is_skipped_where_there_is_no_secret() -> None:
    assert "if: env.CERTIFICATE != ''" in TEXT
    assert 'if [ -n "${CERTIFICATE:-}" ]' in (ROOT / "installers" / "macos" / "sign.sh").read_text(encoding="utf-8")


def test_no_workflow_may_write_but_the_release() -> None:
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert "\npermissions:\n  contents: read\n" in text
        assert text.count("contents: write") <= 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_shell_script_parses(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False).stderr == ""
