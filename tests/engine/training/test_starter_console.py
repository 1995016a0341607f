"""What a training command says: a live line, and a sentence instead of a traceback.

Alone: `pytest tests/engine/training/test_starter_console.py`.
"""

from pathlib import Path

import pytest

from engine.training import assemble, transformer
from engine.training.console import live_line, run_command
from engine.training.loop import StepReading


def test_the_live_line_shows_where_a_training_is(capsys: pytest.CaptureFixture[str]) -> None:
    show = live_line("transformer")
    for step in (8, 9, 10):
        show(StepReading(step, 10, 0.5, 1.25, 1e-3, 0.2))
    shown = capsys.readouterr().err
    assert "transformer 10/10" in shown
    assert "loss 0.5000" in shown
    assert shown.endswith("\n")


def test_a_missing_part_ends_in_a_sentence_and_the_code_of_a_missing_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nothing.safetensors")
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: transformer.main(["--data", nowhere, "--parts", nowhere, "--out", str(tmp_path / "out")]))
    assert ended.value.code == 3
    assert "nothing.safetensors" in capsys.readouterr().err


def test_stopping_a_command_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_command(stopped)
    assert ended.value.code == 130
    assert "Stopped" in capsys.readouterr().err


def test_an_option_that_is_missing_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        assemble.main([])
    assert ended.value.code == 2
    assert "--parts" in capsys.readouterr().err
