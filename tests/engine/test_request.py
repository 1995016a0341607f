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
    Trim,
    VideoReference,
)
from engine.types import FrameRange, FrameRate, Size

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
    audio_trim=Trim(1.5, 4.25),
    reference_videos=(VideoReference(Path("pose.mp4"), 0.8), VideoReference(Path("edge.mp4"), trim=Trim(2.0))),
    loras=(LoraReference(Path("style.safetensors"), 0.7), LoraReference(Path("ic.safetensors"), 1.0, 0.0)),
    precision="fp32",
    memory="resident",
    device="cpu",
    noise="reference",
)


@pytest.mark.parametrize("request_", [FULL, GenerationRequest("a ball")])
def test_a_request_survives_json(request_: GenerationRequest) -> None:
    values = json.loads(json.dumps(request_.to_dict()))

    assert GenerationRequest.from_dict(values) == request_


def test_a_request_without_trims_is_written_as_before_there_were_any() -> None:
    request = GenerationRequest("a ball", audio=Path("a.wav"), reference_videos=(VideoReference(Path("b.mp4")),))
    old = {
        "schema": 1,
        "prompt": "a ball",
        "audio": "a.wav",
        "reference_videos": [{"path": "b.mp4", "strength": 1.0}],
    }

    assert request.to_dict() == old
    assert GenerationRequest.from_dict(old) == request


@pytest.mark.parametrize(
    ("trim", "frames"),
    [
        (Trim(), (0, 48)),
        (Trim(0.5), (12, 48)),
        (Trim(0.5, 1.0), (12, 24)),
        (Trim(1.0, 9.0), (24, 48)),
        (Trim(9.0), (48, 48)),
    ],
)
def test_a_trim_is_frames_of_a_clip_as_far_as_it_goes(trim: Trim, frames: tuple[int, int]) -> None:
    assert trim.frames(FrameRate.parse(24), 48) == FrameRange(*frames)


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
