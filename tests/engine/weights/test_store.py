"""The store obeys its placement: precision, residency, LoRAs. Alone: `pytest tests/engine/weights/test_store.py`."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.model.linear import Linear
from engine.model.quantised import Fp8Linear, Int8Linear, QuantisedLinear
from engine.model.transformer import Transformer, rope_tables
from engine.types import Size
from engine.weights.catalog import ModelDefaults, ModelFiles
from engine.weights.keymap import Role
from engine.weights.lora_file import LoraFile
from engine.weights.residency import Precision, Residency
from engine.weights.store import SPARE_BLOCKS, ModelStore, Placement
from engine.weights.streaming import BlockStream
from tests.fakes.checkpoints import write_lora, write_transformer
from tests.fakes.tiny_transformer import inputs, positions

CPU_FP32 = Placement(torch.device("cpu"), torch.float32)
EIGHT_BITS = [Precision.FP8, Precision.INT8]
EVERYWHERE = [Residency(), Residency("stream", 1)]


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    write_transformer(tmp_path / "model.safetensors", num_layers=3)
    return files_of(tmp_path / "model.safetensors")


def files_of(checkpoint: Path) -> ModelFiles:
    return ModelFiles("tiny", "dev", checkpoint, None, None, None, ModelDefaults(Size(64, 64), 9))


def store_of(files: ModelFiles, placement: Placement) -> ModelStore:
    store = ModelStore()
    store.use(files, placement)
    return store


def transformer_of(store: ModelStore) -> Transformer:
    return cast("Transformer", store.module(Role.TRANSFORMER))


@torch.no_grad()
def velocity(network: Transformer) -> Tensor:
    dtype = network.proj_out.weight.dtype
    video, audio = (
        replace(stream, latent=stream.latent.to(dtype), context=stream.context.to(dtype))
        for stream in inputs(network, 0.6)
    )
    picture, _ = network(video, audio, rope_tables(network.config, *positions(), dtype))
    return picture


def unpacked(network: Transformer) -> Transformer:
    """The network with ordinary layers that hold what its eight-bit ones stand for."""
    dtype = network.proj_out.weight.dtype
    for name, layer in list(network.named_modules()):
        if isinstance(layer, QuantisedLinear):
            plain = Linear(layer.in_features, layer.out_features).requires_grad_(False)
            plain.weight = nn.Parameter(layer.unpacked(dtype), requires_grad=False)
            plain.bias = layer.bias
            network.set_submodule(name, plain)
    return network


def fold_in(network: Transformer, lora: LoraFile, strength: float) -> None:
    """Add the product of a LoRA's matrices to the weights of a network in fp32."""
    from engine.weights.reading import read_into

    for name, pair in lora.pairs.items():
        shapes = {key: lora.checkpoint.tensors[key].shape for key in (pair.down, pair.up)}
        matrices = {key: torch.empty(shape) for key, shape in shapes.items()}
        read_into(lora.checkpoint, matrices)
        network.get_parameter(f"{name}.weight").add_(strength / 2 * matrices[pair.up] @ matrices[pair.down])  # alpha


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residency", EVERYWHERE, ids=lambda item: item.kind)
@pytest.mark.parametrize(("precision", "kind"), [(Precision.FP8, Fp8Linear), (Precision.INT8, Int8Linear)])
def test_weights_in_eight_bits_compute_what_they_stand_for_wherever_they_are(
    files: ModelFiles, precision: Precision, kind: type[nn.Module], residency: Residency
) -> None:
    placement = Placement(torch.device("cpu"), torch.bfloat16, precision, residency)
    plain = velocity(transformer_of(store_of(files, replace(placement, precision=Precision.PLAIN))))
    expected = velocity(unpacked(transformer_of(store_of(files, replace(placement, residency=Residency())))))

    network = transformer_of(store_of(files, placement))

    assert sum(isinstance(layer, kind) for layer in network.modules()) == 3 * 28
    result = velocity(network)
    assert torch.equal(result, expected)
    assert 0 < (result - plain).norm() / plain.norm() < 0.1


@pytest.mark.parametrize("precision", EIGHT_BITS)
def test_eight_bits_halve_the_memory_of_the_blocks(files: ModelFiles, precision: Precision) -> None:
    def block_bytes(chosen: Precision) -> int:
        placement = Placement(torch.device("cpu"), torch.bfloat16, chosen)
        large = [
            layer
            for layer in transformer_of(store_of(files, placement)).transformer_blocks.modules()
            if isinstance(layer, nn.Linear) and layer.out_features > 2  # not the gates
        ]
        return sum(layer.weight.nbytes for layer in large)

    assert block_bytes(precision) == block_bytes(Precision.PLAIN) / 2


@pytest.mark.parametrize("residency", EVERYWHERE, ids=lambda item: item.kind)
@pytest.mark.parametrize("precision", list(Precision))
def test_a_lora_is_exact_on_every_precision_wherever_the_weights_are(
    files: ModelFiles, tmp_path: Path, precision: Precision, residency: Residency
) -> None:
    path = write_lora(tmp_path / "lora.safetensors", num_layers=3)
    placement = replace(CPU_FP32, precision=precision)
    folded = unpacked(transformer_of(store_of(files, placement)))
    fold_in(folded, LoraFile.open(path), strength=0.8)
    store = store_of(files, replace(placement, residency=residency))

    store.set_loras([(path, 0.8)])

    assert torch.allclose(velocity(transformer_of(store)), velocity(folded), rtol=1e-4, atol=1e-5)
    store.set_loras([])
    assert torch.equal(velocity(transformer_of(store)), velocity(transformer_of(store_of(files, placement))))


def test_loras_that_are_no_longer_named_are_taken_off_and_the_order_is_the_requests(
    files: ModelFiles, tmp_path: Path
) -> None:
    first, second = (write_lora(tmp_path / f"{seed}.safetensors", num_layers=3, seed=seed) for seed in (1, 2))
    store = store_of(files, replace(CPU_FP32))
    store.set_loras([(first, 0.5), (second, 0.25), (first, 0.25)])
    expected = velocity(transformer_of(store))
    store.set_loras([(second, 1.0)])
    assert list(store.loras) == [second]

    store.set_loras([(first, 0.75), (second, 0.25)])

    assert list(store.loras) == [first, second]
    assert torch.equal(velocity(transformer_of(store)), expected)


def test_a_strength_that_falls_to_zero_between_stages_leaves_exactly_the_base(
    files: ModelFiles, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "lora.safetensors", num_layers=3)
    store = store_of(files, replace(CPU_FP32))
    base = velocity(transformer_of(store))
    store.set_loras([(path, 1.0)])
    assert not torch.equal(velocity(transformer_of(store)), base)

    store.set_loras([(path, 0.0)])

    assert torch.equal(velocity(transformer_of(store)), base)
    assert list(store.loras) == [path]


def test_a_lora_that_ends_too_early_leaves_nothing_on_a_streamed_network(files: ModelFiles, tmp_path: Path) -> None:
    path = write_lora(tmp_path / "lora.safetensors", num_layers=3)
    store = store_of(files, replace(CPU_FP32, residency=Residency("disk", 1)))
    base = velocity(transformer_of(store))
    lora = LoraFile.open(path)
    with path.open("r+b") as file:
        file.truncate(lora.checkpoint.tensors[next(iter(lora.pairs.values())).up].start)

    with pytest.raises(CheckpointError):
        store.set_loras([(path, 1.0)])

    assert torch.equal(velocity(transformer_of(store)), base)


# --- placement --------------------------------------------------------------------------------------------------------


def test_conversion_can_be_watched_and_is_done_once(files: ModelFiles) -> None:
    store = store_of(files, replace(CPU_FP32, precision=Precision.FP8))

    fractions = list(store.prepare())

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert list(store.prepare()) == []
    assert list(store_of(files, store.placement).prepare()) == []


def test_another_residency_gives_back_the_transformer_alone(files: ModelFiles, tiny_model: Path) -> None:
    store = store_of(files_of(tiny_model), CPU_FP32)
    decoder = store.module(Role.VIDEO_DECODER)
    resident = transformer_of(store)

    store.use(files_of(tiny_model), replace(CPU_FP32, residency=Residency("disk")))

    assert store.module(Role.VIDEO_DECODER) is decoder
    assert transformer_of(store) is not resident
    assert isinstance(transformer_of(store).transformer_blocks, BlockStream)


def test_another_model_gives_back_everything(files: ModelFiles, tiny_model: Path) -> None:
    store = store_of(files, CPU_FP32)
    store.module(Role.TRANSFORMER)

    store.use(files_of(tiny_model), CPU_FP32)

    assert store.loaded_roles == frozenset()


def test_the_same_placement_keeps_what_is_loaded(files: ModelFiles) -> None:
    store = store_of(files, replace(CPU_FP32, residency=Residency("disk")))
    network = transformer_of(store)

    store.use(files, replace(CPU_FP32, residency=Residency("disk")))

    assert transformer_of(store) is network


def test_a_few_blocks_more_are_not_worth_loading_again(files: ModelFiles) -> None:
    store = store_of(files, replace(CPU_FP32, residency=Residency("disk", 0)))
    network = transformer_of(store)

    store.use(files, replace(CPU_FP32, residency=Residency("disk", 2)))
    assert transformer_of(store) is network
    assert store.placement.residency == Residency("disk", 0)

    store.use(files, replace(CPU_FP32, residency=Residency("disk", 2 + SPARE_BLOCKS)))
    assert transformer_of(store) is not network


def test_fewer_blocks_are_obeyed_at_once(files: ModelFiles) -> None:
    store = store_of(files, replace(CPU_FP32, residency=Residency("disk", 2)))
    network = transformer_of(store)

    store.use(files, replace(CPU_FP32, residency=Residency("disk", 1)))

    assert transformer_of(store) is not network


def test_another_place_of_the_text_encoder_gives_back_nothing_else(tiny_model: Path) -> None:
    files = replace(files_of(tiny_model), text_encoder=tiny_model.parent / "text_encoder")
    store = store_of(files, CPU_FP32)
    transformer, encoder = store.module(Role.TRANSFORMER), store.text_encoder(num_tokens=32)

    store.use(files, replace(CPU_FP32, text_residency=Residency("disk")))

    assert store.module(Role.TRANSFORMER) is transformer
    assert store.text_encoder(num_tokens=32) is not encoder


def test_only_what_is_named_is_kept(tiny_model: Path) -> None:
    files = replace(files_of(tiny_model), text_encoder=tiny_model.parent / "text_encoder")
    store = store_of(files, CPU_FP32)
    for role in (Role.TRANSFORMER, Role.VIDEO_DECODER):
        store.module(role)
    store.text_encoder(num_tokens=32)

    store.keep_only([Role.VIDEO_DECODER, Role.VOCODER], keeps_text_encoder=False)

    assert store.loaded_roles == {Role.VIDEO_DECODER}
    assert not store.is_text_encoder_loaded


def test_memory_is_counted_wherever_blocks_are(files: ModelFiles) -> None:
    resident = store_of(files, CPU_FP32)
    weights = transformer_of(resident)
    assert resident.ram_bytes >= sum(parameter.nbytes for parameter in weights.parameters())

    streamed = store_of(files, replace(CPU_FP32, residency=Residency("disk")))
    velocity(transformer_of(streamed))

    assert 0 < streamed.ram_bytes < resident.ram_bytes
