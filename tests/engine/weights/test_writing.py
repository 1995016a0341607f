"""Tensors are written whole or not at all.

Alone: `pytest tests/engine/weights/test_writing.py`.
"""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import TensorSpec
from engine.weights.writing import write_tensors, writing_in_order


def test_what_was_written_reads_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2, 3)}, {"note": "hello"})

    checkpoint = Checkpoint.open(tmp_path / "x.safetensors")
    assert (checkpoint.shapes, checkpoint.metadata) == ({"a": (2, 3)}, {"note": "hello"})
    assert [item.name for item in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_tensors(tmp_path / "missing" / "x.safetensors", {"a": torch.ones(1)}, {})


# --- tensor by tensor -------------------------------------------------------------------------------------------------

TENSORS = {
    "late.in.the.alphabet": torch.arange(6.0).view(2, 3).to(torch.float8_e4m3fn),
    "early": torch.arange(4).view(2, 2).to(torch.int8),
    "number": torch.tensor(0.25),
    "nothing": torch.empty(0, 3),
    "matrix": torch.randn(3, 5).bfloat16().t(),
}
SPECS = {name: TensorSpec(tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}


def test_tensors_lie_in_the_order_in_which_they_were_announced(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"

    with writing_in_order(path, SPECS, {"note": "hello"}) as writer:
        for name, tensor in TENSORS.items():
            writer.write(name, tensor)

    checkpoint = Checkpoint.open(path)
    starts = [checkpoint.tensors[name].start for name in TENSORS]
    assert starts == sorted(starts)
    assert starts[0] % 8 == 0
    assert checkpoint.metadata == {"note": "hello"}
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    read = load_file(path)
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name].float(), tensor.float())


def test_a_file_that_is_not_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    def write_one_and_stop() -> None:
        with writing_in_order(tmp_path / "x.safetensors", SPECS, {}) as writer:
            writer.write("late.in.the.alphabet", TENSORS["late.in.the.alphabet"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_one_and_stop()

    assert not list(tmp_path.iterdir())


def test_a_tensor_that_is_missing_or_out_of_order_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), writing_in_order(tmp_path / "x.safetensors", SPECS, {}) as writer:
        writer.write("early", TENSORS["early"])
    with pytest.raises(AssertionError, match="5 announced"), writing_in_order(tmp_path / "x.safetensors", SPECS, {}):
        pass

    assert not list(tmp_path.iterdir())
