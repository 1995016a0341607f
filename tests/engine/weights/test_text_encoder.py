"""The text encoder's own sweep over its layers: the numbers of `transformers`, from anywhere, and stoppable.

Alone: `pytest tests/engine/weights/test_text_encoder.py`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.weights.residency import Precision, Residency
from engine.weights.text_encoder import TextEncoder, TokenizedText, prepared_weights

NUM_TOKENS = 32
SHORT, LONG = "a red ball", "two blue squares drift apart while a bell rings"  # the second one is cut
DISK = Residency("disk", 1)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A text encoder whose window is shorter than its texts."""
    copy = tmp_path / "text_encoder"
    shutil.copytree(tiny_model.parent / "text_encoder", copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    kinds = ["sliding_attention", "full_attention"]
    config |= {"sliding_window": 8, "layer_types": kinds * (config["num_hidden_layers"] // 2)}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return copy


def load(folder: Path, **options: Any) -> TextEncoder:
    return TextEncoder.load(folder, num_tokens=NUM_TOKENS, **options)


def by_transformers(encoder: TextEncoder, text: TokenizedText) -> Tensor:
    with torch.inference_mode():
        output = encoder.model(input_ids=text.ids, attention_mask=text.mask, output_hidden_states=True, use_cache=False)
    return torch.stack(output.hidden_states, dim=-1)


def finish(encoder: TextEncoder, texts: list[TokenizedText]) -> list[Tensor]:
    sweep = encoder.walk(texts)
    while True:
        try:
            next(sweep)
        except StopIteration as finished:
            return finished.value


@pytest.mark.parametrize("prompt", [SHORT, LONG])
def test_the_states_are_those_of_transformers(folder: Path, prompt: str) -> None:
    encoder = load(folder)
    text = encoder.tokenize([prompt])

    states = encoder.hidden_states(text)

    is_text = text.mask.bool()
    torch.testing.assert_close(states[is_text], by_transformers(encoder, text)[is_text], rtol=1e-5, atol=1e-5)


def test_prompts_that_share_a_sweep_get_the_numbers_they_get_alone(folder: Path) -> None:
    encoder = load(folder, residency=DISK)
    texts = [encoder.tokenize([prompt]) for prompt in (SHORT, LONG)]

    together = finish(encoder, texts)

    assert all(torch.equal(one, encoder.hidden_states(text)) for one, text in zip(together, texts, strict=True))


@pytest.mark.parametrize("precision", [Precision.PLAIN, Precision.FP8])
def test_layers_and_embeddings_on_disk_change_no_bit(folder: Path, precision: Precision) -> None:
    packing = prepared_weights(folder, precision)
    weights = None
    while weights is None:
        try:
            next(packing)
        except StopIteration as finished:
            weights = finished.value
    options: dict[str, Any] = {"dtype": torch.bfloat16, "weights": weights, "keeps_fp8": precision is Precision.FP8}
    resident, streamed = load(folder, **options), load(folder, residency=DISK, **options)
    text = resident.tokenize([SHORT])

    assert torch.equal(streamed.hidden_states(text), resident.hidden_states(text))
    assert "embed_tokens.weight" not in dict(streamed.model.named_parameters())


def test_a_sweep_stops_between_two_layers_and_the_next_one_is_whole(folder: Path) -> None:
    encoder = load(folder, residency=DISK)
    text = encoder.tokenize([SHORT])
    expected = encoder.hidden_states(text)
    sweep = encoder.walk([text])

    assert next(sweep) == (1, 4)
    sweep.close()

    assert torch.equal(encoder.hidden_states(text), expected)


def test_a_plain_precision_is_the_folders_own_file(folder: Path) -> None:
    packing = prepared_weights(folder, Precision.PLAIN)

    with pytest.raises(StopIteration) as finished:
        next(packing)
    assert finished.value.value.path == folder / "model.safetensors"
