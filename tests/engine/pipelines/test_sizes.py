"""Weights counted from the architecture against published numbers and against files.

Alone: `pytest tests/engine/pipelines/test_sizes.py`.
"""

from pathlib import Path

import pytest

from engine.pipelines.facts import model_facts
from engine.pipelines.sizes import WeightPrecision, block_size, distilled_lora_bytes

DEV = "ltx-2.3-dev"


def test_a_block_of_the_22b_has_the_published_number_of_weights() -> None:
    block = block_size(model_facts(DEV).transformer)

    assert block.weights == 386_695_360
    assert block.in_matrices == 386_465_792
    assert block.num_matrices == 34


@pytest.mark.parametrize(("precision", "num_bytes"), [("bf16", 773_587_328), ("fp8", 387_121_808)])
def test_a_block_of_the_22b_takes_the_published_bytes(precision: WeightPrecision, num_bytes: int) -> None:
    assert block_size(model_facts(DEV).transformer).stored_bytes(precision) == num_bytes


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [(DEV, 46.148), ("ltx-2.3-dev-fp8", 29.53), ("ltx-2.3-distilled-fp8", 29.53)],
)
def test_files_that_are_not_here_have_the_published_size(model: str, gigabytes: float) -> None:
    assert model_facts(model).file_bytes / 1e9 == pytest.approx(gigabytes, abs=0.01)


def test_a_block_of_a_file_has_the_counted_bytes(tiny_model: Path) -> None:
    facts = model_facts(str(tiny_model))

    counted = block_size(facts.transformer).stored_bytes("bf16")
    assert facts.stored_block_bytes == (counted,) * facts.transformer.num_layers
    assert facts.stored_precision == "bf16"


def test_the_distilled_lora_touches_every_matrix_of_every_block() -> None:
    facts = model_facts(DEV)

    # 219,328 inputs and outputs in a block, rank 384, 48 blocks, two bytes.
    assert distilled_lora_bytes(facts.transformer) == 219_328 * 384 * 48 * 2
