"""Interrupted runs go on where they were and make the same.

Alone: `pytest tests/engine/pipelines/test_resume.py`.
"""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine import GenerationRequest, run
from engine.events import Finished, Progress
from engine.media.read import probe_clip
from engine.model.transformer import Transformer
from engine.pipelines import resume
from engine.pipelines.resume import OrderedNoise
from engine.request import Preset
from engine.sampling.latents import ReferenceNoise
from engine.types import Size


@pytest.fixture
def small_request(tiny_model: Path) -> GenerationRequest:
    return GenerationRequest(
        "a red ball bounces",
        model=str(tiny_model),
        size=Size(128, 64),
        frames=9,
        seed=7,
        preset=Preset.DRAFT,
        silent=True,
    )


@pytest.fixture(autouse=True)
def always_save(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    monkeypatch.setattr(resume, "SAVE_INTERVAL_S", 0.0)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each forward pass that was finished."""
    done: list[int] = []
    walk = Transformer.walk

    def counted(network: Transformer, *inputs: Any) -> Generator[int, None, Any]:
        result = yield from walk(network, *inputs)
        done.append(1)
        return result

    monkeypatch.setattr(Transformer, "walk", counted)
    return done


def make(request: GenerationRequest, folder: Path) -> None:
    events = list(run(request, folder.with_suffix(".mp4"), folder=folder))
    assert isinstance(events[-1], Finished)


def interrupt(request: GenerationRequest, folder: Path, stage: str, *, after: int) -> None:
    """Stop a run within the step that follows `after` steps of a stage."""
    events: Any = run(request, folder.with_suffix(".mp4"), folder=folder)
    reached = 0
    for event in events:
        if isinstance(event, Progress) and (event.phase, event.stage, event.step) == ("denoise", stage, after):
            reached += 1
            if reached == 2:  # the step itself, then the first block of the next one
                break
    assert reached == 2
    events.close()


def latents(folder: Path, stage: str = "base") -> dict[str, Tensor]:
    return load_file(folder / f"{stage}.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("noise", ["counter", "reference"])
@pytest.mark.parametrize(("preset", "num_predictions"), [(Preset.DRAFT, 8), (Preset.HIGH, 2 * 3 + 1 + 3 * 2 + 1)])
def test_a_run_that_was_stopped_within_a_stage_ends_in_the_same_latents(
    small_request: GenerationRequest, tmp_path: Path, walks: list[int], preset: Preset, num_predictions: int, noise: Any
) -> None:
    steps = 3 if preset is Preset.HIGH else None
    request = replace(small_request, preset=preset, steps=steps, noise=noise, silent=preset is Preset.DRAFT)
    make(request, tmp_path / "whole")
    assert len(walks) == num_predictions
    walks.clear()

    interrupt(request, tmp_path / "twice", "base", after=2)
    make(request, tmp_path / "twice")

    assert same(latents(tmp_path / "twice"), latents(tmp_path / "whole"))
    if preset is Preset.HIGH:
        assert same(latents(tmp_path / "twice", "refine"), latents(tmp_path / "whole", "refine"))
    assert len(walks) == num_predictions  # what was finished is not done again
    assert not list((tmp_path / "twice").glob("*unfinished*"))


def test_finished_stages_are_not_done_again(small_request: GenerationRequest, tmp_path: Path, walks: list[int]) -> None:
    request = replace(small_request, preset=Preset.FAST, silent=False)
    make(request, tmp_path / "run")
    expected = latents(tmp_path / "run", "refine")
    (tmp_path / "run" / "refine.safetensors").unlink()
    walks.clear()

    make(request, tmp_path / "run")

    assert len(walks) == 3
    assert same(latents(tmp_path / "run", "refine"), expected)


def test_a_run_whose_stages_are_all_finished_only_decodes(
    small_request: GenerationRequest, tmp_path: Path, walks: list[int]
) -> None:
    make(small_request, tmp_path / "run")
    (tmp_path / "run.mp4").unlink()
    walks.clear()

    make(small_request, tmp_path / "run")

    assert walks == []
    assert probe_clip(tmp_path / "run.mp4").frames == 9


@pytest.mark.parametrize("change", ["seed", "prompt", "damage"])
def test_latents_of_another_request_or_damaged_ones_are_not_gone_on_from(
    small_request: GenerationRequest, tmp_path: Path, walks: list[int], change: str
) -> None:
    make(small_request, tmp_path / "run")
    walks.clear()
    request = small_request
    match change:
        case "seed":
            request = replace(request, seed=8)
        case "prompt":
            request = replace(request, prompt="a blue ball bounces")
        case _:
            path = tmp_path / "run" / "base.safetensors"
            path.write_bytes(path.read_bytes()[:-1])

    make(request, tmp_path / "run")

    assert len(walks) == 8


def test_ordered_noise_goes_back_to_any_of_its_draws() -> None:
    noise, official = OrderedNoise(3), ReferenceNoise(3)

    def draw(source: OrderedNoise | ReferenceNoise) -> list[Tensor]:
        first = source.initial((2, 3), stage=0, stream="video", dtype=torch.bfloat16)
        return [first, *(source.step((2, 3), stage=0, stream="video", index=index) for index in range(2))]

    expected = draw(official)
    assert all(torch.equal(*pair) for pair in zip(draw(noise), expected, strict=True))
    draws = noise.draws

    draw(noise)
    noise.go_to(draws[:1])

    again = [noise.step((2, 3), stage=0, stream="video", index=index) for index in range(2)]
    assert all(torch.equal(*pair) for pair in zip(again, expected[1:], strict=True))
    assert noise.draws == draws
