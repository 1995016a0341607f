"""A catalogue of two small models that share an upsampler and a text encoder, in the place of the real one."""

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.weights import catalog
from tests.fakes.hub import content_of

MODELS, TERMS = "Somebody/Small", "somebody/reads-prompts"
CONTENTS = {
    f"{MODELS}/one.safetensors": content_of(300_000, seed=11),
    f"{MODELS}/two.safetensors": content_of(200_000, seed=12),
    f"{MODELS}/upsampler.safetensors": content_of(50_000, seed=13),
    f"{TERMS}/model.safetensors": content_of(90_000, seed=14),
    f"{TERMS}/config.json": b'{"kind": "reads prompts"}',
}
DEFAULTS = {"size": "128x64", "frames": 9}


@contextmanager
def small_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Inside this block the models are `one` and `two`, whose hash only the hub knows, and the encoder `reader`."""

    def file(name: str, *, is_known: bool) -> dict[str, object]:
        content = CONTENTS[f"{MODELS}/{name}"]
        known = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} if is_known else {}
        return {"repository": MODELS, "purpose": "to be tested", **known}

    def model(checkpoint: str) -> dict[str, object]:
        files = {"checkpoint": checkpoint, "spatial_upsampler": "upsampler.safetensors"}
        common = {"kind": "dev", "generation": "2.3", "text_encoder": "reader", "defaults": DEFAULTS}
        return {"title": f"The model of {checkpoint}", "files": files, **common}

    values = {
        "repositories": {
            MODELS: {"licence": "none", "has_terms": False},
            TERMS: {"licence": "terms", "has_terms": True},
        },
        "files": {
            "one.safetensors": file("one.safetensors", is_known=True),
            "two.safetensors": file("two.safetensors", is_known=False),
            "upsampler.safetensors": file("upsampler.safetensors", is_known=True),
        },
        "text_encoders": {
            "reader": {
                "title": "Reads prompts",
                "repository": TERMS,
                "folder": "reader",
                "parameters": 1000,
                "purpose": "reads the prompt",
                "files": ["model.safetensors", "config.json"],
            }
        },
        "models": {"one": model("one.safetensors"), "two": model("two.safetensors")},
    }
    (folder / "catalogue.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setattr(catalog, "bundled_folder", lambda: folder)
    _forget()
    try:
        yield
    finally:
        monkeypatch.undo()
        _forget()


def _forget() -> None:
    catalog.catalogue.cache_clear()
    catalog._data.cache_clear()  # pyright: ignore[reportPrivateUsage] - there is no other catalogue to read
