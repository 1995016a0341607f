"""What a launcher starts before there is a window. Alone: `pytest tests/installers/test_package_start.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from installers import package_start
from installers.package_start import TerminalView, Work, ZenityView, describe, find_view
from ltx_studio.installation.messages import Done, Failed, Planned, Progress, Step, to_line
from ltx_studio.installation.state import Part


def saying(*lines: str, code: int = 0) -> list[str]:
    """A process that prints these lines and ends."""
    program = f"import sys; [print(line, flush=True) for line in {lines!r}]; sys.exit({code})"
    return [sys.executable, "-c", program]


FETCHING = Progress(Part.SHELL, Step.FETCHING, done=40_000_000, total=160_000_000, bytes_per_s=4e6, left_s=30.0)


def test_fetching_says_how_much_there_is_and_how_long_it_takes() -> None:
    assert describe(FETCHING) == ("Fetching what the window needs: 40 of 160 MB, 30 s left", 25.0)


def test_what_is_to_be_fetched_is_said_before_anything_is() -> None:
    assert describe(Planned(Part.SHELL, "linux", 156_532_639, 156_532_639, 10**12)) == ("157 MB to fetch, once", 0.0)


def test_a_step_of_unknown_length_has_no_percentage() -> None:
    assert describe(Progress(Part.SHELL, Step.TESTING)) == ("Trying it out", None)


def test_every_step_has_words() -> None:
    assert all(describe(Progress(Part.SHELL, step))[0] for step in Step)


def test_the_terminal_tells_each_step_once_and_the_remedy_of_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [to_line(FETCHING), to_line(FETCHING), "no message", to_line(Failed("x", "It broke.", "Mend it."))]

    is_ready = TerminalView().run(Work(saying(*lines, code=3)))

    assert not is_ready
    assert capsys.readouterr().err.splitlines() == [
        "[ltx-studio] Fetching what the window needs 20 %",
        "[ltx-studio] It broke. Mend it.",
    ]


def test_a_stage_that_ends_well_is_ready() -> None:
    assert TerminalView().run(Work(saying(to_line(Done()))))


def test_a_dialog_is_fed_percentages_and_words(tmp_path: Path) -> None:
    zenity = tmp_path / "zenity"
    zenity.write_text(f"#!/bin/sh\ncat > {tmp_path}/said\n", encoding="utf-8")
    zenity.chmod(0o755)

    assert ZenityView(str(zenity)).run(Work(saying(to_line(FETCHING), to_line(Done()))))

    said = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert said == ["25", "# Fetching what the window needs: 40 of 160 MB, 30 s left"]


def test_pressing_the_dialogs_button_stops_the_stage(tmp_path: Path) -> None:
    zenity = tmp_path / "zenity"
    zenity.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    zenity.chmod(0o755)
    line = to_line(FETCHING)
    waiting = f"import sys; print({line!r}, flush=True)\nfor _ in range(50): print({line!r}, flush=True)\n"
    waiting += "said = sys.stdin.readline(); sys.exit(130 if said.strip() in ('stop', '') else 0)"

    assert not ZenityView(str(zenity)).run(Work([sys.executable, "-c", waiting]))


def test_without_a_display_the_terminal_is_used() -> None:
    assert isinstance(find_view(has_display=False), TerminalView)


def test_a_fresh_home_needs_the_first_stage(studio_home: Path) -> None:
    assert not package_start.is_shell_ready()
    assert not (studio_home / "installation").exists()


def test_where_answers_from_a_process_of_its_own(studio_home: Path) -> None:
    said = subprocess.run(
        [sys.executable, package_start.__file__, "--where"],
        capture_output=True,
        text=True,
        check=True,
        env={"LTX_STUDIO_HOME": str(studio_home), "PYTHONPATH": str(Path(package_start.__file__).parent.parent)},
    ).stdout

    assert json.loads(said)["data"] == str(studio_home)
