"""What a run holds in memory, what it does when memory runs out, and what it need not load.

Alone: `pytest tests/engine/pipelines/test_run_memory.py`.
"""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from engine import GenerationRequest, run
from engine.errors import OutOfMemory
from engine.events import Event, Finished, Notice, Progress
from engine.folders import cache_folder, runs_folder
from engine.media.write import ClipWriter
from engine.model.tiling import decode_tiled
from engine.model.transformer import Transformer
from engine.model.video_vae import VideoDecoder
from engine.pipelines import run as run_module
from engine.pipelines import stages
from engine.pipelines.plan import Plan, plan
from engine.pipelines.policy import Layers
from engine.pipelines.residency import smaller_tilings
from engine.pipelines.shortfall import Shortfall, learned_shortfall
from engine.request import Preset
from engine.types import Size
from engine.weights.keymap import Role
from engine.weights.store import ModelStore
from engine.weights.streaming import BlockStream
from engine.weights.text_encoder import TextEncoder


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


def make(request: GenerationRequest, output: Path, **options: Any) -> list[Event]:
    return list(run(request, output, **options))


def newest_latents() -> Tensor:
    folder = max(runs_folder().iterdir(), key=lambda item: item.stat().st_mtime_ns)
    return load_file(folder / "base.safetensors")["video"]


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice) and event.code == "less_memory"]


class Walks:
    """Counts forward passes, and lets memory run out where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: Any) -> None:
        self.num_begun = self.num_done = 0
        walk = Transformer.walk

        def counted(network: Transformer, *inputs: Any) -> Generator[int, None, Any]:
            self.num_begun += 1
            if fails(network, self):
                raise torch.OutOfMemoryError("the test says so")
            result = yield from walk(network, *inputs)
            self.num_done += 1
            return result

        monkeypatch.setattr(Transformer, "walk", counted)


def is_streamed(network: Transformer) -> bool:
    return isinstance(network.transformer_blocks, BlockStream)


# --- the ladder -------------------------------------------------------------------------------------------------------


def test_a_run_that_runs_out_of_memory_goes_on_from_its_last_step_and_makes_the_same(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(replace(small_request, memory="disk", precision="fp32"), tmp_path / "undisturbed.mp4")
    expected = newest_latents()
    walks = Walks(monkeypatch, fails=lambda network, walks: walks.num_begun > 3 and not is_streamed(network))

    events = make(small_request, tmp_path / "clip.mp4")

    assert torch.equal(newest_latents(), expected)
    assert walks.num_done == 8  # no step was done twice
    said = notices(events)
    assert len(said) == 2
    assert "only the part at work" in said[0]
    assert "1 of 2 blocks stay in memory" in said[1]
    last = events[-1]
    assert isinstance(last, Finished)
    assert any("disk" in stage["residency"] for stage in last.result.plan["stages"])
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)


def test_below_the_last_rung_the_user_is_told_and_the_planner_has_learnt(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Walks(monkeypatch, fails=lambda *_: True)
    before = plan(small_request)
    assert learned_shortfall(before.device, before.model) == Shortfall()

    with pytest.raises(OutOfMemory, match="denoise"):
        make(small_request, tmp_path / "clip.mp4")

    assert list(tmp_path.iterdir()) == []
    assert learned_shortfall(before.device, before.model).ram_share < 1
    assert any(choice.what == "free memory" for choice in plan(small_request).choices)


def test_a_text_encoder_that_does_not_fit_comes_layer_by_layer(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(small_request, tmp_path / "undisturbed.mp4")
    expected = newest_latents()
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "home"))
    walk = TextEncoder.walk

    def walk_if_streamed(encoder: TextEncoder, texts: Any) -> Generator[Any, None, list[Tensor]]:
        if not any(isinstance(part, BlockStream) for part in encoder.model.modules()):
            raise MemoryError
        return (yield from walk(encoder, texts))

    monkeypatch.setattr(TextEncoder, "walk", walk_if_streamed)

    events = make(small_request, tmp_path / "clip.mp4")

    assert len(notices(events)) == 1
    assert "reading the prompt" in notices(events)[0]
    assert torch.equal(newest_latents(), expected)


def test_an_error_that_is_not_about_memory_passes(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_network: Transformer, *_inputs: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Transformer, "walk", broken)

    with pytest.raises(RuntimeError, match="shapes do not match"):
        make(small_request, tmp_path / "clip.mp4")


def test_a_decoder_that_runs_out_of_memory_gets_smaller_tiles(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(small_request, size=Size(640, 384))  # a draft is made at half of it
    size, written = Size(320, 192), list[NDArray[np.uint8]]()
    tiling = next(smaller_tilings(size, 9, plan(request).policy.tiling))
    forward, write = VideoDecoder.forward, ClipWriter.write

    def narrow(decoder: VideoDecoder, latents: Tensor) -> Tensor:
        if latents.shape[-1] * 32 > tiling.width:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(decoder, latents)

    def recorded(writer: ClipWriter, frames: NDArray[np.uint8]) -> None:
        written.append(frames)
        write(writer, frames)

    monkeypatch.setattr(VideoDecoder, "forward", narrow)
    monkeypatch.setattr(ClipWriter, "write", recorded)
    store = ModelStore()

    events = make(request, tmp_path / "clip.mp4", store=store)

    assert f"tiles of {tiling.width}x{tiling.height} pixels" in notices(events)[-1]
    decoder = cast("VideoDecoder", store.module(Role.VIDEO_DECODER))
    with torch.no_grad():
        chunks = [tile.chunk for tile in decode_tiled(decoder, newest_latents(), tiling) if tile.chunk is not None]
    expected = np.concatenate([stages.to_frames(chunk) for chunk in chunks])
    assert np.array_equal(np.concatenate(written), expected)


# --- what is loaded ---------------------------------------------------------------------------------------------------


def test_a_prompt_that_was_read_once_needs_no_text_encoder_any_more(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(small_request, prompt="a red ball " * 40)
    first = make(request, tmp_path / "a.mp4")
    expected = newest_latents()

    def opened(*_: Any, **__: Any) -> TextEncoder:
        raise AssertionError("the text encoder was opened")

    monkeypatch.setattr(TextEncoder, "load", opened)
    second = make(request, tmp_path / "b.mp4")

    assert torch.equal(newest_latents(), expected)
    for events in (first, second):
        assert "prompt_cut" in [event.code for event in events if isinstance(event, Notice)]


def test_a_damaged_embedding_is_computed_again(small_request: GenerationRequest, tmp_path: Path) -> None:
    make(small_request, tmp_path / "a.mp4")
    expected = newest_latents()
    for entry in (cache_folder() / "prompts").iterdir():
        entry.write_bytes(entry.read_bytes()[:-1])

    make(small_request, tmp_path / "b.mp4")

    assert torch.equal(newest_latents(), expected)


def test_the_prompt_can_be_stopped_between_two_layers(small_request: GenerationRequest, tmp_path: Path) -> None:
    events = make(small_request, tmp_path / "clip.mp4")

    parts = [event for event in events if isinstance(event, Progress) and event.phase == "text"]
    assert len(parts) == 1 + 4  # the beginning, and four layers


def one_at_a_time(request: GenerationRequest, *arguments: Any) -> Plan:
    """As `plan`, where nothing may wait for the next run."""
    result = plan(request, *arguments)
    layers = Layers("disk", 0, result.policy.text_encoder.num_blocks)
    policy = replace(result.policy, kept=frozenset(), text_encoder=layers, prompts_at_once=1)
    return replace(result, policy=policy)


def test_where_parts_do_not_fit_together_no_two_are_loaded_at_once(
    small_request: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(small_request, preset=Preset.FAST, silent=False)
    make(request, tmp_path / "together.mp4")
    expected = newest_latents()
    monkeypatch.setattr(run_module, "make_plan", one_at_a_time)
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "home"))
    store, seen = ModelStore(), list[frozenset[Role]]()

    for _ in run(request, tmp_path / "apart.mp4", store=store):
        seen.append(store.loaded_roles)
        assert not (store.is_text_encoder_loaded and store.loaded_roles)

    large = {Role.TRANSFORMER, Role.VIDEO_DECODER, Role.VIDEO_ENCODER, Role.TEXT_PROJECTION, Role.AUDIO_DECODER}
    assert max(len(roles & large) for roles in seen) == 1
    assert store.loaded_roles == frozenset()
    assert torch.equal(newest_latents(), expected)


def test_what_a_warm_store_holds_counts_as_free(small_request: GenerationRequest, tmp_path: Path) -> None:
    store = ModelStore()
    make(small_request, tmp_path / "clip.mp4", store=store)

    assert store.ram_bytes > 1_000_000  # some of 1.4 million weights, in fp32
    store.unload()
    assert store.ram_bytes == 0


def test_eight_bits_that_are_asked_for_hold_for_the_text_encoder_too(
    small_request: GenerationRequest, tmp_path: Path
) -> None:
    events = make(replace(small_request, precision="fp8"), tmp_path / "clip.mp4")

    copies = {path.stem.split("-")[0] for path in (cache_folder() / "weights").glob("*-fp8-*.safetensors")}
    assert copies == {"model", "untrained"}
    assert "converting" in [event.code for event in events if isinstance(event, Notice)]
