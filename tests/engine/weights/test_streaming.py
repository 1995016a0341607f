"""Blocks whose weights pass through memory, against the same network resident.

Alone: `pytest tests/engine/weights/test_streaming.py`; on a CUDA GPU with `-m gpu`.
"""

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.folders import cache_folder
from engine.model.transformer import Pass, Transformer, rope_tables
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load, load_module
from engine.weights.keymap import Role
from engine.weights.lora import attach
from engine.weights.lora_file import LoraFile
from engine.weights.packed import packed_checkpoint
from engine.weights.residency import RESIDENT, Precision, Residency
from engine.weights.streaming import NUM_SLOTS, BlockStream, spread
from tests.fakes.checkpoints import PREFIX, write_lora, write_transformer
from tests.fakes.tiny_transformer import inputs, positions

DISK = Residency("disk")
NUM_BLOCKS = 5
# A step's guidance passes, which go through each block together.
PASSES = [
    Pass(),
    Pass(skip_video_attention=frozenset({1}), skip_audio_attention=frozenset({3})),
    Pass(isolate_streams=True),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streamed")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return write_transformer(folder / "bf16.safetensors", num_layers=NUM_BLOCKS)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    yield
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "weights-ahead"]


def network_of(
    checkpoint: Checkpoint,
    residency: Residency = RESIDENT,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    keeps_fp8: bool = False,
) -> Transformer:
    module = load(checkpoint, Role.TRANSFORMER, dtype=dtype, device=device, keeps_fp8=keeps_fp8, residency=residency)
    return cast("Transformer", module)


def blocks_of(network: Transformer) -> BlockStream:
    assert isinstance(network.transformer_blocks, BlockStream)
    return network.transformer_blocks


@torch.no_grad()
def velocities(network: Transformer, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    """One prediction with all guidance passes."""
    like = network.proj_out.weight
    video, audio = (
        replace(
            stream,
            latent=stream.latent.to(like),
            context=stream.context.to(like),
            timesteps=stream.timesteps.to(like.device),
            sigma=stream.sigma.to(like.device),
        )
        for stream in inputs(network, 0.7, 0.7, 0.7, seed=seed)
    )
    video_positions, audio_positions = (item.to(like.device) for item in positions())
    tables = rope_tables(network.config, video_positions, audio_positions, like.dtype)
    picture, sound = network(video, audio, tables, PASSES)
    return picture, sound


def assert_same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.isfinite().all()
        assert torch.equal(a, b)


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("num_resident", [0, 2, NUM_BLOCKS])
def test_a_streamed_network_equals_a_resident_one_bit_for_bit(
    checkpoint: Checkpoint, dtype: torch.dtype, num_resident: int
) -> None:
    expected = velocities(network_of(checkpoint, dtype=dtype))

    streamed = network_of(checkpoint, Residency("disk", num_resident), dtype=dtype)

    assert len(blocks_of(streamed).streamed) == NUM_BLOCKS - num_resident
    assert_same(velocities(streamed), expected)


def test_every_sweep_brings_the_weights_again(checkpoint: Checkpoint) -> None:
    resident, streamed = network_of(checkpoint), network_of(checkpoint, DISK)

    for seed in (1, 2, 3):
        assert_same(velocities(streamed, seed=seed), velocities(resident, seed=seed))


@pytest.mark.parametrize("keeps_fp8", [True, False])
def test_a_file_whose_blocks_are_partly_fp8_streams_as_it_is_resident(folder: Path, *, keeps_fp8: bool) -> None:
    mixed = write_transformer(folder / "mixed.safetensors", num_layers=NUM_BLOCKS, fp8_blocks=(1, 2, 4))
    multiplied_out = velocities(network_of(mixed))

    for residency in (RESIDENT, DISK, Residency("disk", 2)):
        assert_same(velocities(network_of(mixed, residency, keeps_fp8=keeps_fp8)), multiplied_out)


@pytest.mark.parametrize("num_resident", [0, 2])
def test_loras_come_and_go_with_their_blocks(folder: Path, checkpoint: Checkpoint, num_resident: int) -> None:
    loras = [LoraFile.open(write_lora(folder / f"{seed}.safetensors", rank=2 + seed, seed=seed)) for seed in (1, 2)]
    resident, streamed = network_of(checkpoint), network_of(checkpoint, Residency("disk", num_resident))
    base = velocities(resident)
    handles = [
        [attach(network, lora, dtype=torch.bfloat16, device="cpu") for lora in loras]
        for network in (resident, streamed)
    ]

    for strengths in ((1.0, 0.5), (0.0, 0.7), (0.0, 0.0), (-0.3, 0.0)):
        for pair in handles:
            for handle, strength in zip(pair, strengths, strict=True):
                handle.strength = strength
        expected = velocities(resident)
        assert torch.equal(expected[0], base[0]) == (strengths == (0.0, 0.0))
        assert_same(velocities(streamed), expected)

    for pair in handles:
        for handle in pair:
            handle.detach()
    assert_same(velocities(streamed), base)


def test_a_language_model_of_transformers_streams_layer_by_layer(tiny_model: Path) -> None:
    from engine.weights import text_encoder

    source = tiny_model.parent / "text_encoder"
    weights = text_encoder._open_weights(source)  # pyright: ignore[reportPrivateUsage]
    entries = text_encoder._language_model_entries(weights)  # pyright: ignore[reportPrivateUsage]

    def states(residency: Residency) -> tuple[Tensor, ...]:
        empty = text_encoder._language_model(source)  # pyright: ignore[reportPrivateUsage]
        model = load_module(empty, weights, entries, blocks="layers", residency=residency).to("cpu")
        with torch.inference_mode():
            ids = torch.arange(12)[None] % 7
            return model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states

    expected, streamed = states(RESIDENT), states(DISK)

    assert len(streamed) == len(expected) > 2
    assert all(torch.equal(one, other) for one, other in zip(streamed, expected, strict=True))


def test_a_language_model_in_eight_bits_streams_as_it_is_resident(tiny_model: Path) -> None:
    from engine.weights import text_encoder

    source = tiny_model.parent / "text_encoder"
    weights = text_encoder._open_weights(source)  # pyright: ignore[reportPrivateUsage]
    packing = packed_checkpoint(
        weights,
        text_encoder._language_model_entries(weights),  # pyright: ignore[reportPrivateUsage]
        Precision.FP8,
    )
    assert list(packing)[-1] == 1
    copy = Checkpoint.open(next((cache_folder() / "weights").glob("*.safetensors")))
    entries = text_encoder._language_model_entries(copy)  # pyright: ignore[reportPrivateUsage]

    def states(residency: Residency) -> tuple[Tensor, ...]:
        empty = text_encoder._language_model(source)  # pyright: ignore[reportPrivateUsage]
        model = load_module(empty, copy, entries, keeps_fp8=True, blocks="layers", residency=residency)
        with torch.inference_mode():
            ids = torch.arange(12)[None] % 7
            return model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states

    assert all(torch.equal(one, other) for one, other in zip(states(DISK), states(RESIDENT), strict=True))


# --- memory -----------------------------------------------------------------------------------------------------------


def test_no_more_than_two_blocks_have_memory(checkpoint: Checkpoint) -> None:
    network = network_of(checkpoint, DISK)
    blocks = blocks_of(network)
    block_bytes = max(
        sum(entry.num_bytes + 64 for key, entry in checkpoint.tensors.items() if f"transformer_blocks.{index}." in key)
        for index in range(NUM_BLOCKS)
    )

    velocities(network)

    assert all(parameter.is_meta for parameter in blocks.parameters())
    assert sum(slot.memory.nbytes for slot in blocks._slots) <= NUM_SLOTS * block_bytes  # pyright: ignore[reportPrivateUsage]


def test_only_the_block_whose_turn_it_is_has_weights(checkpoint: Checkpoint) -> None:
    blocks = blocks_of(network_of(checkpoint, Residency("disk", 1)))

    for current, _ in enumerate(blocks):
        held = {index for index in range(NUM_BLOCKS) if not next(blocks[index].parameters()).is_meta}
        assert held == {0, current}


@pytest.mark.parametrize(
    ("num_resident", "num_blocks", "expected"),
    [(0, 8, set()), (1, 8, {0}), (2, 8, {0, 4}), (4, 8, {0, 2, 4, 6}), (3, 4, {0, 1, 2}), (9, 3, {0, 1, 2})],
)
def test_resident_blocks_are_spread_evenly(num_resident: int, num_blocks: int, expected: set[int]) -> None:
    assert spread(num_resident, num_blocks) == expected


def test_a_network_that_moves_leaves_its_stream_where_it_is(checkpoint: Checkpoint) -> None:
    network = network_of(checkpoint, DISK)
    expected = velocities(network)

    network.to("cpu").to(torch.bfloat16)

    assert_same(velocities(network), expected)


def test_printing_a_streamed_network_reads_no_weights(tmp_path: Path) -> None:
    source = write_transformer(tmp_path / "gone.safetensors", num_layers=2)
    network = network_of(source, DISK)
    source.path.unlink()

    assert "AVBlock" in repr(network)


# --- when a sweep does not end ----------------------------------------------------------------------------------------


def test_leaving_a_sweep_ends_its_thread_and_the_next_one_is_whole(checkpoint: Checkpoint) -> None:
    network, expected = network_of(checkpoint, DISK), velocities(network_of(checkpoint))
    sweep = iter(network.transformer_blocks)
    next(sweep)
    next(sweep)

    sweep.close()  # pyright: ignore[reportAttributeAccessIssue] - a generator

    assert not [thread for thread in threading.enumerate() if thread.name == "weights-ahead"]
    assert all(parameter.is_meta for parameter in blocks_of(network).parameters())
    assert_same(velocities(network), expected)


def test_closing_a_walk_through_the_network_closes_its_sweep(checkpoint: Checkpoint) -> None:
    network = network_of(checkpoint, DISK, dtype=torch.float32)
    video, audio = inputs(network, 0.5)
    walk = network.walk(video, audio, rope_tables(network.config, *positions()))
    with torch.no_grad():
        assert next(walk) == 0
        assert next(walk) == 1

    walk.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "weights-ahead"]


def test_a_new_sweep_ends_one_that_was_left_standing(checkpoint: Checkpoint) -> None:
    network = network_of(checkpoint, DISK)
    standing = iter(network.transformer_blocks)
    next(standing)

    assert_same(velocities(network), velocities(network_of(checkpoint)))

    with pytest.raises(AssertionError, match="another sweep began"):
        next(standing)


@pytest.mark.parametrize("num_resident", [0, 2])
def test_a_file_that_changed_is_said_in_the_loop(tmp_path: Path, num_resident: int) -> None:
    source = write_transformer(tmp_path / "cut.safetensors", num_layers=NUM_BLOCKS)
    network = network_of(source, Residency("disk", num_resident))
    last = max(entry.stop for key, entry in source.tensors.items() if key.startswith(f"{PREFIX}transformer_blocks.4."))
    with source.path.open("r+b") as file:
        file.truncate(last - 100)

    with pytest.raises(CheckpointError, match=r"cut\.safetensors: ends before byte .* it changed") as raised:
        velocities(network)

    assert raised.value.remedy


def test_a_file_that_is_gone_is_said_in_the_loop(tmp_path: Path) -> None:
    source = write_transformer(tmp_path / "gone.safetensors", num_layers=2)
    network = network_of(source, DISK)
    source.path.unlink()

    with pytest.raises(CheckpointError, match="cannot be read"):
        velocities(network)


def test_part_of_the_blocks_cannot_be_streamed(checkpoint: Checkpoint) -> None:
    blocks: nn.ModuleList = network_of(checkpoint, DISK).transformer_blocks

    with pytest.raises(AssertionError, match="only all blocks stream"):
        _ = blocks[1:]
    assert blocks[:NUM_BLOCKS] is blocks


# --- CUDA -------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["stream", "disk"])
@pytest.mark.parametrize("num_resident", [0, 2])
def test_a_streamed_network_equals_a_resident_one_on_a_gpu(
    folder: Path, checkpoint: Checkpoint, kind: str, num_resident: int
) -> None:
    lora = LoraFile.open(write_lora(folder / "gpu.safetensors"))
    resident = network_of(checkpoint, device="cuda")
    streamed = network_of(checkpoint, Residency(kind, num_resident), device="cuda")  # pyright: ignore[reportArgumentType]
    for network in (resident, streamed):
        attach(network, lora, strength=0.5, dtype=torch.bfloat16, device="cuda")

    for seed in (1, 2, 3):
        assert_same(velocities(streamed, seed=seed), velocities(resident, seed=seed))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["stream", "disk"])
def test_leaving_a_sweep_on_a_gpu_spoils_nothing_that_follows(checkpoint: Checkpoint, kind: str) -> None:
    network = network_of(checkpoint, Residency(kind), device="cuda")  # pyright: ignore[reportArgumentType]
    expected = velocities(network_of(checkpoint, device="cuda"))
    for _ in range(3):
        next(iter(network.transformer_blocks))

        assert_same(velocities(network), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["stream", "disk"])
def test_fp8_blocks_stream_to_a_gpu_as_they_are_resident(folder: Path, kind: str) -> None:
    mixed = write_transformer(folder / "gpu.safetensors", num_layers=NUM_BLOCKS, fp8_blocks=(1, 2, 4))
    resident = network_of(mixed, device="cuda", keeps_fp8=True)
    streamed = network_of(mixed, Residency(kind), device="cuda", keeps_fp8=True)  # pyright: ignore[reportArgumentType]

    assert_same(velocities(streamed), velocities(resident))
