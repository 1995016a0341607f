"""LoRAs in whole runs: a strength for each kind of stage, stacks, and what is said of them.

Alone: `pytest tests/engine/pipelines/test_run_loras.py`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import GenerationRequest, run
from engine.errors import CheckpointError, RequestError
from engine.events import Event, Notice
from engine.folders import runs_folder
from engine.media.write import ClipWriter
from engine.request import LoraReference, Preset, VideoReference
from engine.types import FrameRate, Size
from tests.fakes.loras import write_random_lora

SIZE = Size(128, 128)


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_lora(tiny_model, tmp_path_factory.mktemp("loras") / "style.safetensors", metadata={})


@pytest.fixture
def make(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Latents by stage, and the events of a run."""

    def run_once(name: str, *loras: LoraReference, **fields: Any) -> tuple[dict[str, torch.Tensor], list[Event]]:
        monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / name))
        request = GenerationRequest(
            "a ball", model=str(tiny_model), size=SIZE, frames=9, seed=7, silent=True, loras=loras
        )
        events = list(run(replace(request, **fields), tmp_path / f"{name}.mp4"))
        (folder,) = runs_folder().iterdir()
        return {path.stem: load_file(path)["video"] for path in folder.glob("*.safetensors")}, events

    return run_once


def write_reference(path: Path) -> VideoReference:
    pixels = np.random.default_rng(1).integers(0, 255, (9, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    with ClipWriter(path, size=SIZE, frame_rate=FrameRate.parse(24)) as writer:
        writer.write(pixels)
    return VideoReference(path)


def test_a_strength_for_the_second_stage_leaves_the_first_as_it_was(make: Any, lora: Path) -> None:
    plain, _ = make("plain")
    second, events = make("second", LoraReference(lora, 0.0, 1.0))

    assert torch.equal(plain["base"], second["base"])
    assert not torch.equal(plain["refine"], second["refine"])
    said = [event.message for event in events if isinstance(event, Notice) and event.code == "lora"]
    assert len(said) == 1
    assert said[0].startswith("LoRA style.safetensors: ")
    assert " layers fit, of " in said[0]


def test_the_same_lora_twice_is_as_strong_as_both(make: Any, lora: Path) -> None:
    once, _ = make("once", LoraReference(lora, 0.75), preset=Preset.DRAFT)
    twice, _ = make("twice", LoraReference(lora, 0.5), LoraReference(lora, 0.25), preset=Preset.DRAFT)

    assert torch.equal(once["base"], twice["base"])


def test_two_ic_loras_that_want_the_same_reference_stack_and_others_do_not(
    make: Any, tiny_model: Path, tmp_path: Path
) -> None:
    def ic_lora(name: str, factor: int) -> LoraReference:
        path = tmp_path / f"{name}.safetensors"
        return LoraReference(write_random_lora(tiny_model, path, metadata={"reference_downscale_factor": str(factor)}))

    references = (write_reference(tmp_path / "pose.mp4"),)
    one, two, other = ic_lora("one", 2), ic_lora("two", 2), ic_lora("other", 1)

    stacked, _ = make("stacked", one, two, preset=Preset.DRAFT, reference_videos=references)
    alone, _ = make("alone", one, preset=Preset.DRAFT, reference_videos=references)

    assert not torch.equal(stacked["base"], alone["base"])
    with pytest.raises(RequestError, match="different sizes or rates"):
        make("mixed", one, other, preset=Preset.DRAFT, reference_videos=references)


def test_a_dora_stops_a_run_before_it_begins(make: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "dora.safetensors"
    save_file({"transformer_blocks.0.attn1.to_q.dora_scale": torch.ones(32, 1)}, path)

    with pytest.raises(CheckpointError, match="DoRA"):
        make("dora", LoraReference(path))
