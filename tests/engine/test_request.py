"""Requests keep their meaning through JSON, and refuse what they cannot mean.

Alone: `pytest tests/engine/test_request.py`.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from engine.errors import RequestError
from engine.request import (
    Edit,
    Extend,
    Foley,
    GenerationRequest,
    ImageReference,
    LipDub,
    LoraReference,
    Preset,
    Retake,
    VideoReference,
)
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
    audio_fit="loop",
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


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (Retake(Path("a b.mkv"), 1.25, 2.5), "retake"),
        (Retake(Path("a b.mkv"), 0, 2.5, picture=False, strength=0.5), "retake"),
        (Retake(Path("a b.mkv"), 0, 2.5, sound=False), "retake"),
        (Extend(Path("ñ.mp4"), 5.0), "extend"),
        (Extend(Path("ñ.mp4"), 5.0, "start"), "extend"),
        (LipDub(Path("face.mov")), "lipdub"),
        (LipDub(Path("face.mov"), 1.0, 3.0, Path("voice.wav"), keep_background=False), "lipdub"),
        (Foley(Path("silent.mp4")), "foley"),
    ],
)
def test_an_edit_survives_json_and_names_its_kind(edit: Edit, kind: str) -> None:
    request = GenerationRequest("a ball", edit=edit)

    values = json.loads(json.dumps(request.to_dict()))

    assert values["edit"]["kind"] == kind
    assert GenerationRequest.from_dict(values) == request


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"kind": "melt", "clip": "a.mp4"},
        {"kind": "foley"},
        {"kind": "foley", "clip": 3},
        {"kind": "foley", "clip": "a.mp4", "seconds": 3},
        {"kind": "retake", "clip": "a.mp4", "start_s": 1.0},
        {"kind": "retake", "clip": "a.mp4", "start_s": 1.0, "end_s": 2.0, "sound": "no"},
        {"kind": "extend", "clip": "a.mp4", "seconds": 2.0, "at": "middle"},
        {"kind": "lipdub", "clip": "a.mp4", "start_s": "soon"},
        "foley",
    ],
)
def test_an_impossible_edit_is_refused(edit: object) -> None:
    with pytest.raises(RequestError) as caught:
        GenerationRequest.from_dict({"prompt": "x", "edit": edit})

    assert caught.value.field == "edit"


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
        ({"prompt": "x", "audio_fit": "stretch"}, "audio_fit"),
        ({}, "prompt"),
        ({"prompt": 3}, "prompt"),
    ],
)
def test_an_impossible_field_is_named(values: dict[str, object], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        GenerationRequest.from_dict(values)

    assert caught.value.field == field
