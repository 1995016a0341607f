"""Tensors are written whole or not at all.

Alone: `pytest tests/engine/weights/test_writing.py`.
"""

from pathlib import Path

import pytest
import torch

from engine.weights.checkpoint import Checkpoint
from engine.weights.writing import write_tensors


def test_what_was_written_reads_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2, 3)}, {"note": "hello"})

    checkpoint = Checkpoint.open(tmp_path / "x.safetensors")
    assert (checkpoint.shapes, checkpoint.metadata) == ({"a": (2, 3)}, {"note": "hello"})
    assert [item.name for item in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_tensors(tmp_path / "missing" / "x.safetensors", {"a": torch.ones(1)}, {})
