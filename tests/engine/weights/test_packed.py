"""Eight-bit copies of a checkpoint: what is in them, and when they are made again.

Alone: `pytest tests/engine/weights/test_packed.py`.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from engine.errors import CheckpointError, StorageFull
from engine.folders import cache_folder
from engine.model.quantised import quantise_fp8, quantise_int8
from engine.weights import packed
from engine.weights.checkpoint import Checkpoint
from engine.weights.keymap import Role, entries_for
from engine.weights.packed import QUANTISED, packed_checkpoint
from engine.weights.reading import TORCH_DTYPES, read_into
from engine.weights.residency import Precision
from tests.fakes.checkpoints import PREFIX, write_transformer

NUM_BLOCKS = 11  # so that block 10 follows block 9 only where numbers are compared
EIGHT_BITS = pytest.mark.parametrize("precision", [Precision.FP8, Precision.INT8])


class Outcome(NamedTuple):
    checkpoint: Checkpoint
    num_steps: int  # 0 when nothing had to be converted


def pack(checkpoint: Checkpoint, precision: Precision = Precision.FP8) -> Outcome:
    packing = packed_checkpoint(checkpoint, entries_for(checkpoint, Role.TRANSFORMER), precision)
    fractions: list[float] = []
    while True:
        try:
            fractions.append(next(packing))
        except StopIteration as finished:
            assert fractions == sorted(fractions)
            assert not fractions or fractions[-1] == 1
            return Outcome(finished.value, len(fractions))


def tensors_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    tensors = {
        key: torch.empty(entry.shape, dtype=TORCH_DTYPES[entry.dtype]) for key, entry in checkpoint.tensors.items()
    }
    read_into(checkpoint, tensors)
    return tensors


def cached_files() -> set[str]:
    folder = cache_folder() / "weights"
    return {item.suffix for item in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def source(tmp_path: Path) -> Checkpoint:
    return write_transformer(tmp_path / "model.safetensors", num_layers=2)


# --- what is in a copy ------------------------------------------------------------------------------------------------


@EIGHT_BITS
def test_the_large_matrices_of_the_blocks_are_converted_and_nothing_else(
    source: Checkpoint, precision: Precision
) -> None:
    originals, copies = tensors_of(source), tensors_of(pack(source, precision).checkpoint)

    converted = {key for key in originals if QUANTISED.fullmatch(key.removeprefix(PREFIX))}
    assert len(converted) == 2 * 28  # a block's six attentions with four, its two feed-forwards with two
    assert copies.keys() == originals.keys() | {f"{key.removesuffix('.weight')}.weight_scale" for key in converted}
    for key, original in originals.items():
        if key not in converted:
            assert torch.equal(copies[key], original)
            continue
        values, scale = (quantise_fp8 if precision is Precision.FP8 else quantise_int8)(original.float())
        assert copies[key].dtype == (torch.float8_e4m3fn if precision is Precision.FP8 else torch.int8)
        assert torch.equal(copies[key].view(torch.uint8), values.view(torch.uint8))
        assert torch.equal(copies[f"{key.removesuffix('.weight')}.weight_scale"], torch.as_tensor(scale))


def test_the_layers_of_a_gemma_are_converted_too() -> None:
    assert QUANTISED.fullmatch("layers.11.self_attn.q_proj.weight")
    assert QUANTISED.fullmatch("layers.0.mlp.down_proj.weight")
    assert not QUANTISED.fullmatch("embed_tokens.weight")
    assert not QUANTISED.fullmatch("layers.0.self_attn.q_norm.weight")
    assert not QUANTISED.fullmatch("transformer_blocks.0.attn1.to_gate_logits.weight")


def test_each_block_lies_in_one_run_in_the_order_of_the_network(tmp_path: Path) -> None:
    copy = pack(write_transformer(tmp_path / "deep.safetensors", num_layers=NUM_BLOCKS)).checkpoint

    in_file_order = sorted(copy.tensors, key=lambda key: copy.tensors[key].start)
    blocks = [match and int(match[1]) for match in (re.search(r"_blocks\.(\d+)\.", key) for key in in_file_order)]
    runs = [block for index, block in enumerate(blocks) if index == 0 or block != blocks[index - 1]]
    assert runs == [None, *range(NUM_BLOCKS)]


def test_a_copy_still_says_which_model_it_is(source: Checkpoint) -> None:
    assert pack(source).checkpoint.metadata == source.metadata


def test_plain_weights_need_no_copy(source: Checkpoint) -> None:
    assert pack(source, Precision.PLAIN) == (source, 0)


def test_an_official_fp8_file_is_taken_as_it_is(tmp_path: Path) -> None:
    official = write_transformer(tmp_path / "fp8.safetensors", num_layers=3, fp8_blocks=(1,))

    assert pack(official, Precision.FP8) == (official, 0)
    assert not cached_files()


def test_an_fp8_file_is_multiplied_out_before_it_becomes_int8(tmp_path: Path) -> None:
    official = write_transformer(tmp_path / "fp8.safetensors", num_layers=2, fp8_blocks=(1,))
    originals = tensors_of(official)
    name = f"{PREFIX}transformer_blocks.1.attn1.to_q"

    copies = tensors_of(pack(official, Precision.INT8).checkpoint)

    values, scale = quantise_int8(originals[f"{name}.weight"].float() * originals[f"{name}.weight_scale"])
    assert torch.equal(copies[f"{name}.weight"], values)
    assert torch.equal(copies[f"{name}.weight_scale"], scale)
    gate = f"{PREFIX}transformer_blocks.1.attn1.to_gate_logits"
    gate_weight = originals[f"{gate}.weight"].float() * originals[f"{gate}.weight_scale"]
    assert torch.equal(copies[f"{gate}.weight"], gate_weight.bfloat16())


# --- when it is made --------------------------------------------------------------------------------------------------


@EIGHT_BITS
def test_a_copy_is_made_once(source: Checkpoint, precision: Precision) -> None:
    first, second = pack(source, precision), pack(source, precision)

    assert first.num_steps > 0
    assert second == (first.checkpoint, 0)
    assert cached_files() == {".safetensors", ".json"}


def test_each_precision_has_a_copy_of_its_own(source: Checkpoint) -> None:
    fp8 = pack(source, Precision.FP8).checkpoint

    assert pack(source, Precision.INT8).checkpoint.path != fp8.path
    assert pack(source, Precision.FP8) == (fp8, 0)


def test_a_copy_of_a_file_that_changed_is_made_again(source: Checkpoint) -> None:
    pack(source)
    changed = write_transformer(source.path, num_layers=3)

    copy, num_steps = pack(changed)

    assert num_steps > 0
    assert any("transformer_blocks.2." in key for key in copy.tensors)
    assert pack(changed).num_steps == 0


def test_a_copy_of_a_file_that_was_only_rewritten_is_made_again(source: Checkpoint) -> None:
    pack(source)
    stat = source.path.stat()
    os.utime(source.path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))

    assert pack(source).num_steps > 0


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # the clock of some disks is coarse


def damage_the_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(20)
        file.write(b"\0")
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def lose_the_record(path: Path) -> None:
    path.with_suffix(".json").unlink()


def damage_the_record(path: Path) -> None:
    path.with_suffix(".json").write_text("[1]")


@pytest.mark.parametrize(
    "damage", [flip_a_byte, damage_the_header, cut, lose_the_record, damage_the_record, Path.unlink]
)
def test_a_damaged_copy_is_made_again(source: Checkpoint, damage: type[Path]) -> None:
    path = pack(source).checkpoint.path
    good = path.read_bytes()
    damage(path)

    copy, num_steps = pack(source)

    assert num_steps > 0
    assert copy.path.read_bytes() == good
    assert pack(source).num_steps == 0


def test_a_copy_that_was_only_touched_is_known_by_its_hash(source: Checkpoint) -> None:
    path = pack(source).checkpoint.path
    os.utime(path, ns=(0, 0))

    assert pack(source).num_steps == 0
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["mtime_ns"] == 0  # next time it need not be hashed


def test_a_copy_that_is_given_up_leaves_nothing_behind(source: Checkpoint) -> None:
    packing = packed_checkpoint(source, entries_for(source, Role.TRANSFORMER), Precision.FP8)
    next(packing)
    next(packing)

    packing.close()

    assert not cached_files()
    assert pack(source).num_steps > 0


def test_a_full_disk_is_said_before_the_first_byte(source: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(source.path.parent)
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _path: usage._replace(free=2**20))

    with pytest.raises(StorageFull, match=r"needs 1\.0 GiB on this disk, and 0\.0 GiB are free") as raised:
        pack(source)

    assert raised.value.remedy
    assert not cached_files()


def test_a_cache_folder_that_cannot_be_made_is_said(source: Checkpoint, studio_home: Path) -> None:
    (studio_home / "cache").write_text("in the way")

    with pytest.raises(CheckpointError, match="cannot be written"):
        pack(source)


def test_a_copy_that_another_process_is_writing_is_left_alone(source: Checkpoint) -> None:
    other = packed_checkpoint(source, entries_for(source, Role.TRANSFORMER), Precision.FP8)
    next(other)

    with pytest.raises(CheckpointError, match="being written by another process"):
        pack(source)

    assert list(other)[-1] == 1
    assert pack(source).num_steps == 0
