"""The locks that ship, and reading them. Alone: `pytest tests/ltx_studio/installation/test_locks.py`."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from installers.bootstrap import TORCH_VERSION
from installers.make_locks import LOCKS, check
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.locks import Lock, Wheel, lock_path, read_lock, targets_with_locks
from ltx_studio.installation.targets import TARGETS, Platform

SHIPPED = sorted((path.parent.name, path.stem) for path in LOCKS.glob("*/*.json"))
WHEEL = Wheel("einops", "0.8", "einops-0.8-py3-none-any.whl", "https://files.pythonhosted.org/x", "a" * 64, 100)
LOCK = Lock("linux-cpu", "3.11", "", (WHEEL, replace(WHEEL, name="rich", file="rich-1-py3-none-any.whl")))


@pytest.mark.parametrize(("part", "target"), SHIPPED)
def test_every_wheel_comes_from_a_public_place_with_hash_and_size(part: str, target: str) -> None:
    for wheel in read_lock(LOCKS, part, target).wheels:
        address = urlsplit(wheel.url)
        assert address.scheme == "https"
        assert address.hostname in {"files.pythonhosted.org", "download.pytorch.org", "download-r2.pytorch.org"}
        assert unquote(address.path).endswith(f"/{wheel.file}")
        assert re.fullmatch("[0-9a-f]{64}", wheel.sha256)
        assert wheel.size_bytes > 0


@pytest.mark.parametrize(("part", "target"), SHIPPED)
def test_a_lock_is_for_a_target_there_is(part: str, target: str) -> None:
    known = set(TARGETS) if part == "engine" else {platform.value for platform in Platform}

    assert target in known
    assert read_lock(LOCKS, part, target).target == target


@pytest.mark.parametrize("target", [target for part, target in SHIPPED if part == "engine"])
def test_an_engine_has_every_wheel_of_its_shell_and_the_tested_torch(target: str) -> None:
    engine = {wheel.name: wheel for wheel in read_lock(LOCKS, "engine", target).wheels}
    shell = read_lock(LOCKS, "shell", target.rpartition("-")[0].removesuffix("-nvidia")).wheels

    assert {wheel.file for wheel in shell} <= {wheel.file for wheel in engine.values()}
    assert engine["torch"].version.partition("+")[0] == TORCH_VERSION


@pytest.mark.parametrize("target", [target for part, target in SHIPPED if part == "shell"])
def test_the_shell_has_no_torch_and_is_small(target: str) -> None:
    lock = read_lock(LOCKS, "shell", target)

    assert {"torch", "transformers", "triton"} & {wheel.name for wheel in lock.wheels} == set()
    assert lock.size_bytes < 200e6


def test_every_platform_has_a_shell_and_the_locks_are_those_of_pyproject() -> None:
    assert {target for part, target in SHIPPED if part == "shell"} == {platform.value for platform in Platform}
    assert check() == 0


def test_the_targets_of_a_copy_are_those_it_has_locks_for() -> None:
    assert set(targets_with_locks(LOCKS)) == {target for part, target in SHIPPED if part == "engine"}


def test_a_lock_reads_as_it_was_written() -> None:
    assert Lock.from_dict(json.loads(json.dumps(LOCK.to_dict()))) == LOCK


def test_the_digest_changes_with_any_hash_and_not_with_the_order() -> None:
    other = replace(LOCK, wheels=(replace(WHEEL, sha256="b" * 64), *LOCK.wheels[1:]))

    assert replace(LOCK, wheels=LOCK.wheels[::-1]).digest == LOCK.digest
    assert other.digest != LOCK.digest


def test_every_requirement_is_asked_for_by_its_hash() -> None:
    assert LOCK.requirements_text().splitlines()[0] == f"einops==0.8 --hash=sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "no-lock"),
        ("{", "damaged-kit"),
        (json.dumps({**LOCK.to_dict(), "format": 99}), "damaged-kit"),
        (json.dumps({**LOCK.to_dict(), "wheels": [{"name": "x"}]}), "damaged-kit"),
        (json.dumps(replace(LOCK, wheels=(replace(WHEEL, file="../x.whl"),)).to_dict()), "damaged-kit"),
    ],
)
def test_a_lock_that_is_missing_or_damaged_is_said(tmp_path: Path, content: str | None, code: str) -> None:
    path = lock_path(tmp_path, "engine", "linux-cpu")
    path.parent.mkdir()
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(InstallError) as failure:
        read_lock(tmp_path, "engine", "linux-cpu")

    assert failure.value.code == code
