"""What an export says before it is made. Alone: `pytest tests/engine/media/test_export_plan.py`."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestError
from engine.media.export_plan import ExportPlan, default_output, plan_export
from engine.media.export_presets import export_presets, find_preset, own_presets_folder, save_preset
from engine.media.export_request import AddedAudio, ExportRequest, ExportSettings, Fit, Format
from engine.media.export_source import Packet, Picture, Sound, Source
from engine.types import FrameRate, Size

CLIP = Path("/clips/a.mp4")
WIDE = Size(1280, 704)


def source(
    *,
    size: Size = WIDE,
    frames: int = 121,
    rate: str = "24",
    codec: str = "h264",
    keys: int = 121,
    has_sound: bool = True,
    channels: int = 2,
    has_alpha: bool = False,
    bits: int = 8,
) -> Source:
    """A clip in numbers; `keys` is how far apart its key frames are."""
    frame_rate = FrameRate.parse(rate)
    packets = tuple(Packet(number, number, number % keys == 0, 5000) for number in range(frames))
    picture = Picture(
        codec=codec,
        pixel_format="yuv420p",
        stored=size,
        shown=size,
        quarter_turns=0,
        frame_rate=frame_rate,
        num_frames=frames,
        bits=bits,
        has_alpha=has_alpha,
        is_hdr=False,
        primaries=1,
        transfer=1,
        matrix=1,
        is_full_range=False,
        time_base=1 / frame_rate.value,
        packets=packets,
        times=None,
    )
    sound = Sound("aac", 48_000, channels, 160_000, frame_rate.seconds(frames)) if has_sound else None
    return Source(CLIP, picture, sound, {})


def planned(clip: Source | None = None, *, suffix: str | None = None, **settings: Any) -> ExportPlan:
    request = ExportRequest(CLIP, ExportSettings(**settings))
    return plan_export(request, clip or source(), suffix=suffix)


def codes(plan: ExportPlan) -> list[str]:
    return [note.code for note in plan.notes]


def test_planning_loads_no_torch() -> None:
    code = "import engine.media.export_plan, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unchanged_clip_is_copied_and_weighs_the_same() -> None:
    plan = planned()

    assert plan.is_copied
    assert plan.estimated_bytes == pytest.approx(121 * 5000 + 160_000, rel=0.02)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"format": Format.AV1}, "the clip is h264"),
        ({"size": Size(640, 352)}, "its size changes"),
        ({"frame_rate": FrameRate.parse(30)}, "its frame rate changes"),
    ],
)
def test_what_is_encoded_again_says_why(settings: dict[str, Any], reason: str) -> None:
    plan = planned(**settings)

    assert any(note.code == "encoded" and reason in note.message for note in plan.notes)


def test_a_cut_is_copied_from_key_frame_to_key_frame_alone() -> None:
    clip = source(frames=120, keys=24)

    def cut(start: int, end: int) -> bool:
        plan = plan_export(ExportRequest(CLIP, start_s=start / 24, end_s=end / 24), clip)
        assert plan.picture is not None
        return plan.picture.is_copied

    assert cut(24, 72)
    assert cut(48, 120)
    assert not cut(24, 70)
    assert not cut(25, 72)


def test_the_length_is_in_whole_frames_of_the_new_rate() -> None:
    plan = planned(frame_rate=FrameRate.parse("30000/1001"))

    assert plan.picture is not None
    assert plan.picture.num_frames == round(Fraction(121, 24) * Fraction(30000, 1001))
    assert plan.duration == plan.picture.num_frames / Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("fit", "scaled", "size"),
    [
        (Fit.FIT, Size(1080, 594), Size(1080, 594)),
        (Fit.WITHIN, Size(1080, 594), Size(1080, 594)),
        (Fit.PAD, Size(1080, 594), Size(1080, 1920)),
        (Fit.FILL, Size(3491, 1920), Size(1080, 1920)),
    ],
)
def test_an_upright_size_of_a_wide_clip(fit: Fit, scaled: Size, size: Size) -> None:
    plan = planned(size=Size(1080, 1920), fit=fit)

    assert plan.picture is not None
    assert (plan.picture.scaled, plan.picture.size) == (scaled, size)


def test_at_most_leaves_a_small_clip_as_it_is() -> None:
    plan = planned(size=Size(1920, 1920), fit=Fit.WITHIN)

    assert plan.picture is not None
    assert plan.picture.size == Size(1280, 704)
    assert plan.picture.is_copied


@pytest.mark.parametrize(
    ("clip", "settings", "code"),
    [
        (source(), {"size": Size(1920, 1080)}, "enlarged"),
        (source(size=Size(101, 57)), {"quality": 50}, "odd_size"),
        (source(), {"size": Size(641, 353), "fit": Fit.FILL}, "odd_size"),
        (source(), {"size": Size(1080, 1920), "fit": Fit.FILL}, "cut"),
        (source(has_alpha=True), {"format": Format.PRORES}, "alpha"),
        (source(bits=10), {"quality": 50}, "bits"),
        (source(channels=6), {"format": Format.WAV}, "surround"),
        (source(), {"format": Format.GIF}, "no_sound"),
        (source(rate="60"), {"format": Format.GIF}, "gif_rate"),
        (source(), {"frame_rate": FrameRate.parse(12)}, "rate"),
    ],
)
def test_what_the_user_should_know_is_said(clip: Source, settings: dict[str, Any], code: str) -> None:
    assert code in codes(planned(clip, **settings))


def test_a_small_picture_is_said_nothing_about() -> None:
    assert codes(planned(size=Size(640, 352), quality=70)) == []


@pytest.mark.parametrize(
    ("settings", "suffix", "words"),
    [
        ({"quality": 0}, None, "Choose 1 to 100"),
        ({"quality": 50, "bit_rate": 10**6}, None, "Both a quality and a bit rate"),
        ({"format": Format.PRORES, "quality": 50}, None, "has no quality to choose"),
        ({"size": Size(8, 8)}, None, "Choose 16 to 16384"),
        ({"format": Format.H265, "size": Size(48, 48)}, None, "with a side of 64 pixels"),
        ({"size": Size(20_000, 100)}, None, "Choose 16 to 16384"),
        ({"frame_rate": FrameRate.parse(500)}, None, "Choose 1 to 240"),
        ({"loudness_lufs": 3.0}, None, "Choose -36 to -6 LUFS"),
        ({"format": Format.PRORES}, ".mp4", ".mov or .mkv"),
        ({}, ".avi", ".mp4 or .mov or .mkv"),
        ({"format": Format.PNG}, ".png", "without an ending"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_remedy(settings: dict[str, Any], suffix: str | None, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        planned(suffix=suffix, **settings)
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("start_s", "end_s", "words"),
    [
        (-1.0, None, "outside the clip"),
        (9.0, None, "outside the clip"),
        (2.0, 2.0, "not after its start"),
        (0.0, 9.0, "after the clip"),
        (1.0, 1.001, "holds no frame"),
    ],
)
def test_a_range_that_is_none_is_refused(start_s: float, end_s: float | None, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        plan_export(ExportRequest(CLIP, start_s=start_s, end_s=end_s), source())


def test_a_bit_rate_gives_the_size() -> None:
    plan = planned(source(has_sound=False, frames=240), bit_rate=8_000_000)

    assert plan.estimated_bytes == pytest.approx(10_000_000, rel=0.02)


def test_a_preset_of_every_purpose_can_be_planned() -> None:
    names = set(export_presets())

    assert {"original", "reels", "tiktok", "shorts", "hd", "master-4k", "prores", "gif", "wav"} <= names
    for name in names:
        plan = plan_export(ExportRequest(CLIP, find_preset(name).settings), source())
        assert plan.estimated_bytes > 0


def test_an_own_preset_is_found_and_a_damaged_one_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    own_presets_folder().mkdir(parents=True)
    content = '{"title": "Festival", "settings": {"format": "prores", "frame_rate": "25"}}'
    (own_presets_folder() / "festival.json").write_text(content, encoding="utf-8")
    (own_presets_folder() / "broken.json").write_text('{"title": "Broken", "settings": {"size": 7}}', encoding="utf-8")

    assert find_preset("festival").settings.frame_rate == FrameRate.parse(25)
    assert "broken" not in export_presets()
    assert "broken.json" in caplog.text


def test_settings_are_kept_as_a_preset_whatever_it_is_called() -> None:
    settings = ExportSettings(format=Format.PRORES, frame_rate=FrameRate.parse(25))

    for title in ("Festival", "節日 🎬", "../../x", " a  b "):
        preset = save_preset(title, settings)
        assert find_preset(preset.name).settings == settings
        assert find_preset(preset.name).title == " ".join(title.split())

    assert len(list(own_presets_folder().iterdir())) == 4
    with pytest.raises(RequestError, match="needs a name"):
        save_preset(" ... ", settings)


def test_a_preset_of_the_same_name_is_replaced_and_a_shipped_one_is_not() -> None:
    save_preset("reels", ExportSettings(format=Format.GIF))
    save_preset("Reels", ExportSettings(format=Format.PRORES))

    assert find_preset("own-reels").settings.format is Format.PRORES
    assert find_preset("reels").settings.format is Format.H264


def test_a_preset_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(RequestError, match="reels"):
        find_preset("cinema")


def test_a_request_comes_back_from_json_as_it_was() -> None:
    settings = ExportSettings(
        Format.H265, Size(640, 360), Fit.PAD, FrameRate.parse("24000/1001"), None, 5_000_000, True, True, -14.0, -2.0
    )
    request = ExportRequest(CLIP, settings, 1.5, 3.0, -3.0, AddedAudio(Path("/music.wav"), -2.0, 4.0))

    assert ExportRequest.from_dict(request.to_dict()) == request


@pytest.mark.parametrize(
    "values",
    [
        {"clip": "a.mp4", "schema": 99},
        {"clip": "a.mp4", "colour": "red"},
        {"clip": "a.mp4", "settings": {"format": "betamax"}},
        {"settings": {}},
    ],
)
def test_a_request_of_another_program_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        ExportRequest.from_dict(values)


def test_an_export_is_named_for_its_clip() -> None:
    folder = Path("/exports")

    assert default_output(CLIP, folder, planned(format=Format.PRORES)) == folder / "a.mov"
    assert default_output(CLIP, folder, planned(format=Format.PNG)) == folder / "a-frames"
