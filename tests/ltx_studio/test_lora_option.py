"""LoRAs on the command line: by path or by name, with a strength for each kind of stage.

Alone: `pytest tests/ltx_studio/test_lora_option.py`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.weights.catalog import loras
from ltx_studio.cli import EXIT_OK, run_command_line
from tests.fakes.loras import write_random_lora


@pytest.fixture(autouse=True)
def _undisturbed_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Audit hooks stay for the life of a process; tests of the command line do not add one each."""
    monkeypatch.setattr("sys.addaudithook", lambda _hook: None)


def planned(model: Path | str, lora: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run_command_line(["plan", "a ball", "--model", str(model), "--lora", lora, "--json"]) == EXIT_OK
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("strengths", "said"), [("", "1"), (":0.8", "0.8"), (":0.8:0.4", "0.8, then 0.4"), (":0:1.5", "0, then 1.5")]
)
def test_strengths_follow_the_path(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], strengths: str, said: str
) -> None:
    path = write_random_lora(tiny_model, tmp_path / "style.safetensors", metadata={})

    values = planned(tiny_model, f"{path}{strengths}", capsys)

    (choice,) = [item for item in values["choices"] if item["what"] == "LoRA style.safetensors"]
    assert choice["value"] == said
    assert "layers fit" in choice["why"]


def test_a_name_of_the_catalogue_is_its_file(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = loras()["union-control"]
    missing = planned(tiny_model, "union-control:0.9", capsys)["warnings"]
    assert f"The LoRA {entry.path.name} does not exist." in missing

    entry.path.parent.mkdir(parents=True, exist_ok=True)
    write_random_lora(tiny_model, entry.path, metadata={"reference_downscale_factor": "2"})

    values = planned(tiny_model, "union-control:0.9", capsys)

    (choice,) = [item for item in values["choices"] if item["what"].startswith("LoRA")]
    assert choice["value"] == "0.9"
    assert "reference at 1/2 of the picture's size" in choice["why"]
