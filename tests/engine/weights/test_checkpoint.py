"""Headers of good and damaged files, and tensors read by offset."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from engine.errors import CheckpointError
from engine.weights import reading
from engine.weights.checkpoint import Checkpoint, some_of
from engine.weights.reading import TORCH_DTYPES, TensorSpec, allocate, read_into

TENSORS = {
    "matrix": torch.arange(12.0).view(3, 4).to(torch.bfloat16),
    "number": torch.tensor(2.5),
    "nothing": torch.empty(0, 3),
    "flags": torch.tensor([True, False, True]),
    "counts": torch.tensor([1, -2], dtype=torch.int64),
    "fp8": torch.tensor([0.5, -448.0]).to(torch.float8_e4m3fn),
}
GOOD = save(TENSORS, {"config": json.dumps({"transformer": {"num_layers": 2}}), "model_version": "2.3.0"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD)
    return path


def raw_file(path: Path, header: Any, payload: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + payload)
    return path


def entry(dtype: str = "U8", shape: Any = (1,), offsets: Any = (0, 1)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


# --- headers ----------------------------------------------------------------------------------------------------------


def test_a_header_lists_every_tensor_with_its_type_shape_and_place(path: Path) -> None:
    checkpoint = Checkpoint.open(path)

    assert checkpoint.shapes == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
    assert {name: TORCH_DTYPES[entry.dtype] for name, entry in checkpoint.tensors.items()} == {
        name: tensor.dtype for name, tensor in TENSORS.items()
    }
    assert {name: entry.num_bytes for name, entry in checkpoint.tensors.items()} == {
        name: tensor.nbytes for name, tensor in TENSORS.items()
    }


def test_config_and_version_come_from_the_metadata(path: Path) -> None:
    checkpoint = Checkpoint.open(path)

    assert checkpoint.config.section("transformer").integer("num_layers") == 2
    assert checkpoint.model_version == "2.3.0"


def test_a_file_without_a_config_is_said_not_to_be_an_ltx_checkpoint(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "other.safetensors")

    with pytest.raises(CheckpointError, match="not an LTX checkpoint"):
        _ = checkpoint.config
    assert checkpoint.model_version is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x01\x02", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04" + b"\xff" * 16, "pickled PyTorch"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 16, "GGUF"),
        (struct.pack("<Q", 100) + b'{"x": ', "ends after 6 of its header's 100 bytes"),
        (GOOD[:50], "ends after"),
        (GOOD[:-1], "cut off"),
        (GOOD + b"\0", "1 bytes too many"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the file's own bytes are not the same every time
)
def test_a_damaged_file_is_named_with_what_is_wrong_and_what_to_do(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=message) as raised:
        Checkpoint.open(path)

    assert raised.value.path == path
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"not json", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        ([1], "not a JSON object"),
        ({"__metadata__": {"config": {}}}, "metadata is damaged"),
        ({"__metadata__": "text"}, "metadata is damaged"),
        ({"x": 1}, "entry of tensor 'x' is damaged"),
        ({"x": {"dtype": "U8", "shape": [1]}}, "entry of tensor 'x' is damaged"),
        ({"x": entry(shape=[-1])}, "entry of tensor 'x' is damaged"),
        ({"x": entry(shape=[True])}, "entry of tensor 'x' is damaged"),
        ({"x": entry(offsets=[0])}, "entry of tensor 'x' is damaged"),
        ({"x": entry(offsets=[1, 0])}, "has -1 bytes"),
        ({"x": entry("F4")}, "unknown type 'F4'"),
        ({"x": entry(shape=[2])}, r"shape \(2,\) has 1 bytes"),
        ({"x": entry(), "y": entry()}, "'y' overlaps another tensor"),
        ({"x": entry(), "y": entry(offsets=[2, 3])}, "'y' follows a gap"),
        ({"x": entry(offsets=[0, 10**12], shape=[10**12])}, "cut off"),
    ],
)
def test_a_damaged_header_is_named_with_what_is_wrong(tmp_path: Path, header: Any, message: str) -> None:
    path = raw_file(tmp_path / "damaged.safetensors", header, b"\0")

    with pytest.raises(CheckpointError, match=message):
        Checkpoint.open(path)


def test_a_folder_and_a_missing_file_are_errors_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        Checkpoint.open(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        Checkpoint.open(tmp_path / "missing.safetensors")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), length=st.integers(0, len(GOOD)))
def test_any_damage_either_opens_or_is_a_checkpoint_error(
    tmp_path: Path, position: int, value: int, length: int
) -> None:
    damaged = bytearray(GOOD)
    damaged[position] = value
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged[:length])

    try:
        checkpoint = Checkpoint.open(path)
    except CheckpointError:
        return
    assert sum(entry.num_bytes for entry in checkpoint.tensors.values()) < length


def test_a_message_names_at_most_three_keys() -> None:
    assert some_of(["a", "b", "c"]) == "'a', 'b', 'c'"
    assert some_of(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"


# --- models in several files ------------------------------------------------------------------------------------------


def save_part(path: Path, config: dict[str, Any], **tensors: torch.Tensor) -> Path:
    save_file(tensors, path, {"config": json.dumps(config)})
    return path


def test_component_files_read_like_one_checkpoint(tmp_path: Path) -> None:
    a = save_part(tmp_path / "a.safetensors", {"transformer": {"num_layers": 1}}, x=torch.tensor([1.0]))
    b = save_part(tmp_path / "b.safetensors", {"vae": {"dims": 3}}, y=torch.tensor([2.0]))

    checkpoint = Checkpoint.open_many([a, b])
    targets = {"x": torch.empty(1), "y": torch.empty(1)}
    read_into(checkpoint, targets)

    assert checkpoint.config.values == {"transformer": {"num_layers": 1}, "vae": {"dims": 3}}
    assert (targets["x"].item(), targets["y"].item()) == (1.0, 2.0)


def test_files_that_hold_the_same_tensor_are_refused(tmp_path: Path) -> None:
    a = save_part(tmp_path / "a.safetensors", {}, x=torch.zeros(1))
    b = save_part(tmp_path / "b.safetensors", {}, x=torch.zeros(1))

    with pytest.raises(CheckpointError, match=r"'x' is also in a\.safetensors"):
        Checkpoint.open_many([a, b])


def test_files_of_different_models_are_refused(tmp_path: Path) -> None:
    a = save_part(tmp_path / "a.safetensors", {"vae": {"dims": 3}}, x=torch.zeros(1))
    b = save_part(tmp_path / "b.safetensors", {"vae": {"dims": 2}}, y=torch.zeros(1))

    with pytest.raises(CheckpointError, match="section 'vae' differs"):
        Checkpoint.open_many([a, b])


def write_index(folder: Path, weight_map: Any) -> Path:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return index


def test_shards_are_found_by_their_index(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "1.safetensors")
    save_file({"y": torch.zeros(2)}, tmp_path / "2.safetensors")
    index = write_index(tmp_path, {"x": "1.safetensors", "y": "2.safetensors"})

    assert Checkpoint.open_sharded(index).shapes == {"x": (1,), "y": (2,)}


def test_a_shard_without_a_promised_tensor_is_named(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "1.safetensors")
    index = write_index(tmp_path, {"x": "1.safetensors", "y": "1.safetensors"})

    with pytest.raises(CheckpointError, match=r"1\.safetensors: lacks 'y'"):
        Checkpoint.open_sharded(index)


@pytest.mark.parametrize("weight_map", [None, [], {"x": 1}, {}])
def test_a_damaged_index_is_refused(tmp_path: Path, weight_map: Any) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.open_sharded(write_index(tmp_path, weight_map))


# --- reading ----------------------------------------------------------------------------------------------------------


def targets_for(checkpoint: Checkpoint, dtype_of: Callable[[torch.dtype], torch.dtype]) -> dict[str, torch.Tensor]:
    return allocate(
        {
            name: TensorSpec(dtype_of(TORCH_DTYPES[entry.dtype]), entry.shape)
            for name, entry in checkpoint.tensors.items()
        }
    )


def test_tensors_are_read_bit_for_bit_in_their_own_type(path: Path) -> None:
    checkpoint = Checkpoint.open(path)
    targets = targets_for(checkpoint, lambda dtype: dtype)

    read_into(checkpoint, targets)

    for name, expected in TENSORS.items():
        assert targets[name].shape == expected.shape
        assert torch.equal(targets[name].view(-1).view(torch.uint8), expected.view(-1).view(torch.uint8)), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_are_converted_to_the_type_of_their_target(path: Path, dtype: torch.dtype) -> None:
    checkpoint = Checkpoint.open(path)
    targets = targets_for(checkpoint, lambda _: dtype)

    read_into(checkpoint, targets)

    for name, expected in TENSORS.items():
        assert torch.equal(targets[name], expected.to(dtype)), name


def test_a_tensor_of_many_pieces_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 16)
    tensors = {name: torch.randn(size) for name, size in (("a", 1000), ("b", 3), ("c", 777))}
    save_file(tensors, tmp_path / "m.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "m.safetensors")
    same, narrow = targets_for(checkpoint, lambda dtype: dtype), targets_for(checkpoint, lambda _: torch.bfloat16)

    read_into(checkpoint, same)
    read_into(checkpoint, narrow, multipliers={"a": 0.5})

    for name, expected in tensors.items():
        assert torch.equal(same[name], expected)
    assert torch.equal(narrow["b"], tensors["b"].to(torch.bfloat16))
    assert torch.equal(narrow["a"], tensors["a"].to(torch.bfloat16) * 0.5)


def test_only_the_tensors_asked_for_are_read(path: Path) -> None:
    number = torch.empty(())

    read_into(Checkpoint.open(path), {"number": number})

    assert number.item() == 2.5


def test_a_file_that_shrank_after_it_was_opened_is_an_error(path: Path) -> None:
    checkpoint = Checkpoint.open(path)
    targets = targets_for(checkpoint, lambda dtype: dtype)
    path.write_bytes(GOOD[:-60])

    with pytest.raises(CheckpointError, match="ends before byte"):
        read_into(checkpoint, targets)


def test_a_file_that_vanished_after_it_was_opened_is_an_error(path: Path) -> None:
    checkpoint = Checkpoint.open(path)
    path.unlink()

    with pytest.raises(CheckpointError, match="cannot be read"):
        read_into(checkpoint, {"number": torch.empty(())})


def test_reading_that_is_cancelled_stops_before_the_next_piece(path: Path) -> None:
    number = torch.tensor(7.0)

    read_into(Checkpoint.open(path), {"number": number}, is_cancelled=lambda: True)

    assert number.item() == 7


def test_allocated_tensors_do_not_overlap_and_are_aligned() -> None:
    specs = {
        "a": TensorSpec(torch.bfloat16, (3,)),
        "b": TensorSpec(torch.float32, (5, 2)),
        "c": TensorSpec(torch.uint8, ()),
    }

    tensors = allocate(specs)
    for number, tensor in enumerate(tensors.values()):
        tensor.fill_(number)

    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()} == {
        name: (spec.dtype, spec.shape) for name, spec in specs.items()
    }
    assert [tensor.float().unique().tolist() for tensor in tensors.values()] == [[0.0], [1.0], [2.0]]
    assert all(tensor.data_ptr() % reading.ALIGNMENT_BYTES == 0 for tensor in tensors.values())
