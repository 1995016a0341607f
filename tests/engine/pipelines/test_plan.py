"""Plans: what a request becomes, and which requests become none.

Alone: `pytest tests/engine/pipelines/test_plan.py`.
"""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import CheckpointError, RequestError
from engine.hardware import GIB, Device, Machine
from engine.pipelines.facts import ModelFacts, model_facts
from engine.pipelines.plan import Plan, plan
from engine.pipelines.speed import KINDS, Speeds
from engine.request import GenerationRequest, ImageReference, LoraReference, Preset, VideoReference
from engine.types import FrameRate, Size
from tests.fakes.loras import write_random_lora

DISTILLED, DEV = "ltx-2.3-distilled", "ltx-2.3-dev"


def machine(vram_gib: float) -> Machine:
    gpu = Device("cuda", 0, "a GPU", int(vram_gib * GIB), int(vram_gib * GIB))
    cpu = Device("cpu", 0, "a processor", 64 * GIB, 64 * GIB)
    return Machine((gpu, cpu), 64 * GIB, 64 * GIB, 8)


BIG = machine(80)


def planned(model: str = DISTILLED, **fields: Any) -> Plan:
    request = replace(GenerationRequest("a red ball bounces", model=model), **fields)
    return plan(request, BIG, speeds=Speeds())


def test_fast_runs_eight_distilled_steps_at_half_size_and_three_at_full_size() -> None:
    base, refine = planned(preset=Preset.FAST).stages

    assert (base.size, len(base.sigmas) - 1, base.guidance.is_neutral()) == (Size(640, 352), 8, True)
    assert (refine.size, refine.sigmas) == (Size(1280, 704), (0.909375, 0.725, 0.421875, 0.0))
    assert base.distilled_strength == refine.distilled_strength == 0


def test_draft_stops_at_half_size() -> None:
    result = planned(preset=Preset.DRAFT)

    assert [stage.name for stage in result.stages] == ["base"]
    assert result.size == Size(640, 352)


def test_standard_guides_the_dev_model_and_refines_with_the_distilled_lora() -> None:
    base, refine = planned(DEV, preset=Preset.STANDARD).stages

    assert (base.num_steps, base.sampler, base.distilled_strength) == (30, "euler", 0)
    assert (base.guidance.video.cfg, base.guidance.audio.cfg, base.guidance.stg_blocks) == (3, 7, (28,))
    assert (refine.distilled_strength, refine.guidance.is_neutral(), refine.sound) == (1, True, "keep")


def test_high_counts_the_tokens_of_its_first_stage_in_its_schedule() -> None:
    base, refine = planned(DEV, preset=Preset.HIGH, size=Size(1920, 1088)).stages

    # 16 x 17 x 30 tokens: the published schedule of the high-quality pipeline.
    assert base.sigmas[1] == pytest.approx(0.993491, abs=1e-6)
    assert (base.sampler, base.num_predictions, base.num_steps) == ("res_2s", 31, 16)
    assert (base.distilled_strength, refine.distilled_strength) == (0.25, 0.5)


def test_a_dev_model_becomes_fast_with_its_distilled_lora() -> None:
    assert [stage.distilled_strength for stage in planned(DEV, preset=Preset.FAST).stages] == [1, 1]


@pytest.mark.parametrize("preset", [Preset.STANDARD, Preset.HIGH])
def test_guided_presets_refuse_a_distilled_model(preset: Preset) -> None:
    with pytest.raises(RequestError, match="needs a dev model"):
        planned(DISTILLED, preset=preset)


def test_sizes_and_frames_off_the_grid_are_snapped_and_said() -> None:
    result = planned(size=Size(1000, 700), frames=100)

    assert (result.size, result.frames) == (Size(1024, 704), 97)
    assert "1000x700 became 1024x704" in result.warnings[1]
    assert "100 frames became 97" in result.warnings[0]


def test_seconds_become_frames_at_the_exact_rate() -> None:
    result = planned(seconds=5.0, frame_rate=FrameRate.parse("23.976"))

    assert (result.frames, result.duration_s) == (121, pytest.approx(5.0467, abs=1e-3))


def test_an_image_at_a_negative_frame_counts_from_the_end() -> None:
    images = (ImageReference(Path("last.png"), -1),)

    assert planned(images=images, frames=49).request.images[0].frame == 48


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"frames": 0}, "frames"),
        ({"frames": -8}, "frames"),
        ({"frames": 10_000}, "frames"),
        ({"seconds": 0.0}, "frames"),
        ({"seconds": 1e9}, "frames"),
        ({"frames": 9, "seconds": 1.0}, "frames"),
        ({"frame_rate": FrameRate.parse(1000)}, "frame_rate"),
        ({"size": Size(0, 100)}, "size"),
        ({"size": Size(100_000, 64)}, "size"),
        ({"prompt": "x" * 100_000}, "prompt"),
        ({"prompt": "  \n"}, "prompt"),
        ({"negative_prompt": "x" * 100_000}, "negative_prompt"),
        ({"steps": 0}, "steps"),
        ({"steps": 100_000}, "steps"),
        ({"video_guidance": -1.0}, "video_guidance"),
        ({"modality_guidance": 1e6}, "modality_guidance"),
        ({"device": "cuda:7"}, "device"),
        ({"model": "ltx-9"}, "model"),
        ({"images": (ImageReference(Path("a.png"), 500),)}, "images"),
        ({"silent": True, "audio": Path("voice.wav")}, "audio"),
        ({"images": (ImageReference(Path("a.png"), 0, 1.5),)}, "images"),
    ],
)
def test_a_request_that_cannot_be_honoured_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        planned(**fields)

    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.usefixtures("without_starter")
def test_an_installed_model_whose_files_are_gone_is_said() -> None:
    with pytest.raises(CheckpointError, match="not installed"):
        model_facts("starter")


def test_a_model_that_fits_is_green_and_one_that_does_not_is_red() -> None:
    request = GenerationRequest("a red ball", model=DISTILLED)

    assert plan(request, machine(80), speeds=Speeds()).light == "green"
    small = plan(request, machine(4), speeds=Speeds())
    assert (small.light, small.fits) == ("red", False)
    assert "more memory" in small.warnings[-1]


def test_the_catalogue_knows_the_size_of_models_that_are_not_installed() -> None:
    facts: ModelFacts = model_facts(DEV)

    assert facts.parameters["transformer"] == 18_988_838_144
    assert facts.files is None


def test_the_json_form_has_what_scripts_rely_on() -> None:
    values = planned().to_dict()

    promised = {"fits", "light", "peak_vram_bytes", "peak_ram_bytes", "seconds", "stages", "choices", "warnings"}
    assert promised <= set(values)
    assert [stage["name"] for stage in values["stages"]] == ["text", "base", "refine", "decode"]
    assert all({"name", "seconds", "residency", "precision"} == set(stage) for stage in values["stages"])


def test_more_work_takes_longer_and_a_faster_device_shorter() -> None:
    short, long = planned(frames=49), planned(frames=121)
    request = GenerationRequest("a red ball", model=DISTILLED)
    faster = plan(request, BIG, speeds=Speeds({"cuda:a GPU": dict.fromkeys(KINDS, 1e15)}))

    assert short.estimate.seconds < long.estimate.seconds
    assert faster.estimate.seconds < long.estimate.seconds


def test_references_and_loras_are_part_of_what_a_run_costs(tmp_path: Path, tiny_model: Path) -> None:
    lora = next(tiny_model.parent.glob("*lora*.safetensors"))
    plain = planned()

    keyframe = planned(images=(ImageReference(Path("a.png"), 24),))
    reference = planned(reference_videos=(VideoReference(tmp_path / "clip.mp4"),), loras=(LoraReference(lora),))
    adapted = planned(loras=(LoraReference(lora),))

    assert [load.video_tokens for load in plain.task.stages] == [3520, 14_080]
    assert keyframe.task.stages[1].video_tokens == 14_080 + 880
    assert reference.task.stages[1].video_tokens == 2 * 14_080
    assert adapted.task.lora_bytes == lora.stat().st_size


def test_a_lora_that_is_not_there_costs_nothing_in_a_plan_and_is_named() -> None:
    result = planned(loras=(LoraReference(Path("missing.safetensors")),))

    assert result.task.lora_bytes == 0
    assert "The LoRA missing.safetensors does not exist." in result.warnings


def test_a_plan_says_what_a_lora_acts_on_and_how_strongly_in_each_stage(tiny_model: Path, tmp_path: Path) -> None:
    lora = write_random_lora(tiny_model, tmp_path / "style.safetensors")
    stray = tmp_path / "stray.safetensors"
    tensors = load_file(lora)
    tensors |= {
        key.replace("transformer_blocks.0", "transformer_blocks.99"): value
        for key, value in load_file(lora).items()
        if "transformer_blocks.0.attn1.to_q" in key
    }
    save_file(tensors, stray)

    result = plan(
        GenerationRequest(
            "a ball", model=str(tiny_model), loras=(LoraReference(lora, 0.8, 0.4), LoraReference(stray, -1.0))
        ),
        BIG,
        speeds=Speeds(),
    )

    said = {choice.what: choice for choice in result.choices if choice.what.startswith("LoRA")}
    assert [choice.value for choice in said.values()] == ["0.8, then 0.4", "-1"]
    num_layers = len(tensors) // 2
    assert f"{num_layers - 1} of its {num_layers - 1} layers fit" in said["LoRA style.safetensors"].why
    assert any(f"stray.safetensors: only {num_layers - 1} of its {num_layers}" in text for text in result.warnings)


def test_a_lora_that_fits_nowhere_is_an_error_before_anything_runs(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"unet.to_q.lora_A.weight": torch.zeros(2, 8), "unet.to_q.lora_B.weight": torch.zeros(8, 2)}, path)

    with pytest.raises(CheckpointError, match="fits no layer"):
        plan(GenerationRequest("a ball", model=str(tiny_model), loras=(LoraReference(path),)), BIG, speeds=Speeds())


def test_facts_are_read_again_when_a_file_changed(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model.parent, tmp_path / "model")
    before = model_facts(str(folder))
    (upsampler,) = folder.glob("*upscaler*")
    upsampler.unlink()

    after = model_facts(str(folder))

    assert (before.has_spatial_upsampler, after.has_spatial_upsampler) == (True, False)


def test_planning_takes_less_than_five_milliseconds(tiny_model: Path) -> None:
    """Of processor time, for requests never seen before: what else the machine does is not the planner's."""
    requests = [
        GenerationRequest("a ball", model=model, size=Size(64 * side, 704), frames=8 * side + 1)
        for model in (str(tiny_model), DISTILLED)
        for side in range(8, 16)
    ]
    plan(requests[0], machine(8))
    plan(requests[-1], machine(8))

    seconds: list[float] = []
    for request in requests:
        began = time.process_time()
        plan(request, machine(8))
        seconds.append(time.process_time() - began)

    assert sorted(seconds)[len(seconds) // 2] < 0.005
