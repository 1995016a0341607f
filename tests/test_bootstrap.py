"""What set-up decides, and its stamps and lock, without installing. Alone: `pytest tests/test_bootstrap.py`."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from installers import bootstrap
from installers.bootstrap import Environment, Extra, SetupError, TorchBuild

CPU_TORCH = bootstrap.describe_torch_source(TorchBuild.CPU, "", "")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A checkout whose `.venv` is there but was never finished."""
    environment = Environment(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    python = Path(environment.executable("python"))
    python.parent.mkdir(parents=True)
    python.touch()
    return environment


def index_for(
    build: TorchBuild, platform_name: str, *, override: str = "", cpu_index_answers: bool = True
) -> str | None:
    return bootstrap.torch_index(
        build, override=override, platform_name=platform_name, cpu_index_answers=lambda: cpu_index_answers
    )


def test_the_file_parses_on_a_python_too_old_to_run_it() -> None:
    source = Path(bootstrap.__file__).read_text(encoding="utf-8")

    ast.parse(source, feature_version=(3, 7))  # the oldest grammar `ast` still knows


def test_the_version_check_comes_before_any_import_an_old_python_may_lack() -> None:
    body = ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8")).body
    before_check = body[: next(index for index, node in enumerate(body) if isinstance(node, ast.If))]

    imported = [alias.name for node in before_check if isinstance(node, ast.Import) for alias in node.names]
    assert imported == ["sys"]


def test_only_the_standard_library_is_used() -> None:
    nodes = list(ast.walk(ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_fresh_environment_is_not_ready(environment: Environment) -> None:
    assert not environment.is_ready(Extra.NONE, CPU_TORCH)


@pytest.mark.parametrize(
    ("installed", "asked", "is_ready"),
    [
        (Extra.NONE, Extra.NONE, True),
        (Extra.TEST, Extra.TEST, True),
        (Extra.TEST, Extra.NONE, True),
        (Extra.NONE, Extra.TEST, False),
    ],
)
def test_a_finished_set_up_serves_what_it_covers(
    environment: Environment, installed: Extra, asked: Extra, is_ready: bool
) -> None:
    environment.mark_ready(installed, CPU_TORCH)

    assert environment.is_ready(asked, CPU_TORCH) is is_ready


def test_an_edit_of_pyproject_asks_for_set_up_again(environment: Environment) -> None:
    environment.mark_ready(Extra.NONE, CPU_TORCH)

    (environment.root / "pyproject.toml").write_text("[project]\nname = 'another'\n", encoding="utf-8")

    assert not environment.is_ready(Extra.NONE, CPU_TORCH)


def test_another_torch_asks_for_set_up_again(environment: Environment) -> None:
    environment.mark_ready(Extra.NONE, CPU_TORCH)

    assert not environment.is_ready(Extra.NONE, bootstrap.describe_torch_source(TorchBuild.NVIDIA, "", CPU_TORCH))


def test_a_python_that_was_removed_asks_for_set_up_again(environment: Environment) -> None:
    environment.mark_ready(Extra.NONE, CPU_TORCH)

    Path(environment.executable("python")).unlink()

    assert not environment.is_ready(Extra.NONE, CPU_TORCH)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
def test_an_install_that_fails_leaves_no_stamp_and_shows_the_end_of_what_pip_said(environment: Environment) -> None:
    environment.mark_ready(Extra.NONE, CPU_TORCH)
    # A Python that is healthy, and whose pip fails.
    script = '#!/bin/sh\ncase "$*" in *torch==*) echo no room left; exit 1;; esac\n'
    python = Path(environment.executable("python"))
    python.write_text(script, encoding="utf-8")
    python.chmod(0o755)

    with pytest.raises(SetupError, match="torch could not be installed") as failure:
        bootstrap.install_python_packages(environment, Extra.NONE, CPU_TORCH, None)

    assert failure.value.output.endswith("no room left\n")
    assert not environment.is_ready(Extra.NONE, CPU_TORCH)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
def test_torch_is_asked_for_by_its_exact_version_before_the_project(environment: Environment) -> None:
    python = Path(environment.executable("python"))
    python.write_text('#!/bin/sh\necho "$@" >> "$0.calls"\n', encoding="utf-8")
    python.chmod(0o755)

    bootstrap.install_python_packages(environment, Extra.TEST, CPU_TORCH, None)

    installs = [
        line.rpartition("--disable-pip-version-check ")[2]
        for line in Path(f"{python}.calls").read_text(encoding="utf-8").splitlines()
        if "pip install" in line
    ]
    assert installs == ["torch==2.13.0", f"--editable {environment.root}[test]"]
    assert environment.is_ready(Extra.TEST, CPU_TORCH)


def test_emptying_a_half_made_environment_keeps_the_lock_that_is_held(environment: Environment) -> None:
    with bootstrap.exclusive(environment.lock):
        bootstrap.empty(environment)

    assert [entry.name for entry in environment.folder.iterdir()] == [environment.lock.name]


def test_a_second_set_up_waits_for_the_lock_of_the_first(environment: Environment) -> None:
    with environment.lock.open("a") as second:
        with bootstrap.exclusive(environment.lock):
            taken_while_held = bootstrap.try_lock(second)

        assert not taken_while_held
        assert bootstrap.try_lock(second)


def test_without_a_gpu_linux_takes_the_cpu_index_when_it_answers() -> None:
    assert index_for(TorchBuild.CPU, "linux") == "https://download.pytorch.org/whl/cpu"


@pytest.mark.parametrize(
    ("build", "platform_name", "cpu_index_answers"),
    [
        (TorchBuild.CPU, "linux", False),
        (TorchBuild.NVIDIA, "linux", True),
        (TorchBuild.APPLE, "darwin", True),
        (TorchBuild.CPU, "win32", True),
    ],
)
def test_everywhere_else_pip_decides(build: TorchBuild, platform_name: str, cpu_index_answers: bool) -> None:
    assert index_for(build, platform_name, cpu_index_answers=cpu_index_answers) is None


def test_nvidia_on_windows_needs_the_index_with_cuda_builds() -> None:
    assert index_for(TorchBuild.NVIDIA, "win32") == "https://download.pytorch.org/whl/cu130"


@pytest.mark.parametrize("build", TorchBuild)
def test_the_users_index_wins_whatever_the_hardware(build: TorchBuild) -> None:
    assert index_for(build, "linux", override="https://mirror.example/torch") == "https://mirror.example/torch"


def test_a_cuda_build_stays_when_the_gpu_is_out_of_sight() -> None:
    with_gpu = bootstrap.describe_torch_source(TorchBuild.NVIDIA, "", "")

    assert bootstrap.describe_torch_source(TorchBuild.CPU, "", with_gpu) == with_gpu


def test_a_cpu_build_makes_way_when_a_gpu_appears() -> None:
    assert bootstrap.describe_torch_source(TorchBuild.NVIDIA, "", CPU_TORCH) != CPU_TORCH


def test_nothing_is_missing_where_every_library_is_found() -> None:
    missing = bootstrap.missing_packages("apt-get", find_library=str, has_font=True, has_display=True)

    assert missing == []


def test_a_bare_debian_without_a_display_needs_qts_and_the_sound_library_and_a_font() -> None:
    missing = bootstrap.missing_packages("apt-get", find_library=lambda _: None, has_font=False, has_display=False)

    assert missing == [
        *("libegl1", "libgl1", "libxkbcommon0", "libdbus-1-3", "libfontconfig1", "libglib2.0-0", "libportaudio2"),
        "fonts-dejavu-core",
    ]


@pytest.mark.parametrize("manager", bootstrap.INSTALL_COMMANDS)
def test_every_package_manager_is_asked_once_for_each_package(manager: str) -> None:
    missing = bootstrap.missing_packages(manager, find_library=lambda _: None, has_font=False, has_display=True)

    assert len(missing) == len(set(missing))
    assert len(missing) >= len(bootstrap.DISPLAY_LIBRARIES)


def test_a_server_that_does_not_answer_is_noticed() -> None:
    assert not bootstrap.answers("http://127.0.0.1:9/")  # the discard port, where nothing listens


def test_setup_is_the_packages_installer_with_its_own_state(tmp_path: Path) -> None:
    command = [sys.executable, bootstrap.__file__, "setup", "status", "--home", str(tmp_path), "--json"]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 11  # the shell is not installed
    assert '"state": "incomplete"' in result.stdout


def test_handing_over_ends_with_the_commands_own_status() -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    code = f"import os; from installers.bootstrap import hand_over; raise SystemExit(hand_over({command}, os.environ))"

    result = subprocess.run([sys.executable, "-c", code], cwd=Path(bootstrap.__file__).parent.parent, check=False)

    assert result.returncode == 7
