"""Requests keep their meaning through JSON, and refuse what they cannot mean.

Alone: `pytest tests/engine/test_request.py`.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from engine.errors import RequestError
from engine.request import GenerationRequest, ImageReference, LoraReference, Preset, VideoReference
from engine.types import FrameRate, Size

FULL = GenerationRequest(
    prompt="ñandú 走る",
    negative_prompt="",
    model="starter",
    preset=Preset.HIGH,
    size=Size(768, 512),
    frames=49,
    frame_rate=FrameRate(Fraction(24000, 1001)),
    seed=7,
    steps=12,
    video_guidance=3.5,
    audio_guidance=7.0,
    modality_guidance=1.0,
    silent=True,
    images=(ImageReference(Path("a b.png"), -1, 0.5),),
    audio=Path("voice.wav"),
    reference_videos=(VideoReference(Path("pose.mp4"), 0.8),),
    loras=(LoraReference(Path("style.safetensors"), 0.7),),
    precision="fp32",
    memory="resident",
    device="cpu",
    noise="reference",
)


@pytest.mark.parametrize("request_", [FULL, GenerationRequest("a ball")])
def test_a_request_survives_json(request_: GenerationRequest) -> None:
    values = json.loads(json.dumps(request_.to_dict()))

    assert GenerationRequest.from_dict(values) == request_


def test_only_what_differs_from_the_default_is_written() -> None:
    assert GenerationRequest("a ball").to_dict() == {"schema": 1, "prompt": "a ball"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prompt": "x", "schema": 99}, "schema"),
        ({"prompt": "x", "colour": "red"}, "colour"),
        ({"prompt": "x", "preset": "ultra"}, "preset"),
        ({"prompt": "x", "size": "wide"}, "size"),
        ({"prompt": "x", "frame_rate": "0"}, "frame_rate"),
        ({"prompt": "x", "images": [{"frame": 1}]}, "images"),
        ({"prompt": "x", "loras": 3}, "loras"),
        ({}, "prompt"),
        ({"prompt": 3}, "prompt"),
    ],
)
def test_an_impossible_field_is_named(values: dict[str, object], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        GenerationRequest.from_dict(values)

    assert caught.value.field == field
