"""Prompt embeddings on disk: the same bits back, or nothing.

Alone: `pytest tests/engine/weights/test_embeddings.py`.
"""

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from engine.folders import cache_folder
from engine.weights.embeddings import EmbeddingCache, EmbeddingSource, PromptEmbedding, identity

SOURCE = EmbeddingSource("encoder", "connectors", 128, "plain", "torch.bfloat16", "cpu")
KEY = SOURCE.key("a red ball")


def embedding(seed: int = 0) -> PromptEmbedding:
    generator = torch.Generator().manual_seed(seed)
    video, audio = (torch.randn(1, 8, width, generator=generator).bfloat16() for width in (6, 4))
    return PromptEmbedding(video, audio, num_dropped=3)


def entry() -> Path:
    (path,) = (cache_folder() / "prompts").iterdir()
    return path


def test_an_entry_comes_back_bit_for_bit() -> None:
    EmbeddingCache().keep(KEY, embedding())

    found = EmbeddingCache().find(KEY)

    assert found is not None
    assert torch.equal(found.video, embedding().video)
    assert torch.equal(found.audio, embedding().audio)
    assert found.num_dropped == 3


def test_what_was_never_kept_is_not_found() -> None:
    assert EmbeddingCache().find(KEY) is None


@pytest.mark.parametrize("damage", ["flipped bit", "cut off", "empty", "rubbish"])
def test_a_damaged_entry_is_as_good_as_none_and_is_replaced(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    EmbeddingCache().keep(KEY, embedding())
    content = bytearray(entry().read_bytes())
    content[-1] ^= 1
    damaged = {"flipped bit": bytes(content), "cut off": bytes(content[:-1]), "empty": b"", "rubbish": b"not this"}
    entry().write_bytes(damaged[damage])

    assert EmbeddingCache().find(KEY) is None
    assert "damaged" in caplog.text
    EmbeddingCache().keep(KEY, embedding())
    assert EmbeddingCache().find(KEY) is not None


def test_the_least_recently_used_entries_go_first() -> None:
    cache = EmbeddingCache()
    keys = [SOURCE.key(text) for text in ("first", "second", "third")]
    for seconds, key in enumerate(keys[:2]):
        cache.keep(key, embedding())
        os.utime(cache_folder() / "prompts" / f"{key}.safetensors", (seconds, seconds))
    size = (cache_folder() / "prompts" / f"{keys[0]}.safetensors").stat().st_size
    cache.find(keys[0])

    EmbeddingCache(most_bytes=2 * size).keep(keys[2], embedding())

    assert [cache.find(key) is not None for key in keys] == [True, False, True]


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "a file"))

    EmbeddingCache().keep(KEY, embedding())

    assert "not kept" in caplog.text
    assert EmbeddingCache().find(KEY) is None


@pytest.mark.parametrize("field", [item.name for item in fields(EmbeddingSource)])
def test_everything_that_changes_the_numbers_changes_the_key(field: str) -> None:
    other = 256 if field == "num_tokens" else "another"

    assert replace(SOURCE, **{field: other}).key("a red ball") != KEY


def test_texts_have_keys_of_their_own_and_white_space_around_them_has_none() -> None:
    assert SOURCE.key("a blue ball") != KEY
    assert SOURCE.key("  a red ball\n") == KEY


def test_a_file_that_changed_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = identity([tmp_path])
    assert identity([tmp_path]) == before

    (tmp_path / "model.safetensors").write_bytes(b"another")

    assert identity([tmp_path]) != before
