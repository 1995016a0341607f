"""Exported files, opened again. Alone: `pytest tests/engine/media/test_export.py`."""

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from engine.errors import MediaError, RequestError, StorageFull
from engine.events import Progress
from engine.media import write
from engine.media.export import export
from engine.media.export_request import AddedAudio, ExportRequest, ExportSettings, Fit, Format
from engine.media.read import read_audio, read_frames
from engine.media.write import write_wav
from engine.types import FrameRate, Size
from tests.fakes import exports
from tests.fakes.exports import FRAMES, SECRET, facts, made, notes_of, packets, request_in, tone, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def asked(clip: Path, **settings: Any) -> ExportRequest:
    return ExportRequest(clip, ExportSettings(**settings))


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path)))


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "codec", "profile", "pixel_format", "sound"),
    [
        (Format.H264, "a.mp4", "h264", "High", "yuv420p", "aac"),
        (Format.H264, "a.mkv", "h264", "High", "yuv420p", "aac"),
        (Format.H265, "a.mov", "hevc", "Main", "yuv420p", "aac"),
        (Format.PRORES, "a.mov", "prores", "HQ", "yuv422p10le", "pcm_s24le"),
        (Format.AV1, "a.mp4", "libdav1d", "Main", "yuv420p", "aac"),
        (Format.VP9, "a.webm", "vp9", "Profile 0", "yuv420p", "opus"),
        (Format.FFV1, "a.mkv", "ffv1", None, "yuv420p", "pcm_s24le"),
    ],
)
def test_a_format_is_what_it_says_frame_for_frame(
    clip: Path, tmp_path: Path, kind: Format, name: str, codec: str, profile: str | None, pixel_format: str, sound: str
) -> None:
    quality = 90 if kind.is_lossy else None

    result = made(asked(clip, format=kind, quality=quality), tmp_path / name)

    found = facts(result.path)
    assert (found["codec"], found["pixel_format"]) == (codec, pixel_format)
    assert profile is None or found["profile"] == profile
    assert found["frames"] == result.frames == FRAMES
    assert found["rate"] == Fraction(24)
    assert found["sound"] == sound
    assert found["samples"] == pytest.approx(48_000, abs=1200)  # lossy codecs fill their last block
    assert (found["matrix"], found["range"]) == (1, 1)  # BT.709, limited
    assert psnr(frames_of(result.path), frames_of(clip)) > 32


def test_lossless_is_lossless(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, format=Format.FFV1), tmp_path / "a.mkv")

    assert np.array_equal(frames_of(result.path), frames_of(clip))


def test_h265_in_mp4_has_the_name_that_apple_plays(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, format=Format.H265), tmp_path / "a.mp4")

    assert b"hvc1" in result.path.read_bytes()


def test_png_files_are_the_decoded_frames(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, format=Format.PNG), tmp_path / "frames")

    files = sorted(result.path.iterdir())
    assert [file.name for file in files[:2]] == ["clip_000001.png", "clip_000002.png"]
    pictures = np.stack([np.asarray(Image.open(file)) for file in files])
    assert np.array_equal(pictures, frames_of(clip))


def test_a_gif_keeps_time_and_stays_close_to_the_picture(clip: Path, tmp_path: Path) -> None:
    rate = FrameRate.parse(12)

    result = made(asked(clip, format=Format.GIF, frame_rate=rate), tmp_path / "a.gif")

    with Image.open(result.path) as opened:
        assert getattr(opened, "n_frames", 1) == 12
        assert opened.info["loop"] == 0
        shown = np.asarray(opened.convert("RGB"))
    assert psnr(shown, frames_of(clip)[0]) > 22  # 256 colours, dithered


@pytest.mark.parametrize(("kind", "name"), [(Format.WAV, "a.wav"), (Format.FLAC, "a.flac")])
def test_sound_alone_is_the_clips_sound_to_the_sample(clip: Path, tmp_path: Path, kind: Format, name: str) -> None:
    result = made(asked(clip, format=kind), tmp_path / name)

    sound, own = read_audio(result.path), read_audio(clip)
    assert sound.num_samples == 48_000
    assert np.abs(sound.samples - own.fitted(48_000).samples).max() < 2**-23


def test_sound_that_is_plain_already_is_taken_out_of_a_lossless_clip(clip: Path, tmp_path: Path) -> None:
    lossless = made(asked(clip, format=Format.FFV1), tmp_path / "lossless.mkv").path

    sound = read_audio(made(asked(lossless, format=Format.WAV), tmp_path / "a.wav").path)

    assert np.array_equal(sound.samples, read_audio(lossless).samples)


def test_sound_alone_of_a_silent_clip_is_refused(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", num_frames=2, has_sound=False)

    with pytest.raises(RequestError, match="has no sound"):
        made(asked(silent, format=Format.WAV), tmp_path / "a.wav")


def test_more_quality_makes_a_larger_and_better_file(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", has_sound=False, grain=60)
    low = made(asked(clip, quality=20), tmp_path / "low.mp4")
    high = made(asked(clip, quality=95), tmp_path / "high.mp4")

    assert high.bytes > 1.5 * low.bytes
    assert psnr(frames_of(high.path), frames_of(clip)) > psnr(frames_of(low.path), frames_of(clip)) + 3


def test_a_bit_rate_is_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", num_frames=72, size=Size(160, 96), has_sound=False, grain=60)

    result = made(asked(clip, bit_rate=400_000), tmp_path / "a.mp4")

    assert result.bytes * 8 / 3 == pytest.approx(400_000, rel=0.2)


# --- range, rate and shape --------------------------------------------------------------------------------------------


def test_a_range_holds_exactly_its_frames_and_its_sound(clip: Path, tmp_path: Path) -> None:
    request = ExportRequest(clip, ExportSettings(format=Format.FFV1), start_s=5 / 24, end_s=17 / 24)

    result = made(request, tmp_path / "a.mkv")

    assert np.array_equal(frames_of(result.path), frames_of(clip)[5:17])
    sound = read_audio(result.path)
    assert sound.num_samples == 24_000
    own = read_audio(clip).samples[:, 10_000:34_000]
    assert np.abs(sound.samples - own).max() < 2**-22


def test_a_range_between_frames_goes_to_the_nearest(clip: Path, tmp_path: Path) -> None:
    request = ExportRequest(clip, ExportSettings(format=Format.FFV1), start_s=5.4 / 24, end_s=9.6 / 24)

    assert np.array_equal(frames_of(made(request, tmp_path / "a.mkv").path), frames_of(clip)[5:10])


def test_a_slower_rate_leaves_frames_out_and_keeps_the_length(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, format=Format.FFV1, frame_rate=FrameRate.parse(12)), tmp_path / "a.mkv")

    assert result.duration_s == 1.0
    assert np.array_equal(frames_of(result.path), frames_of(clip)[::2])


def test_a_faster_rate_repeats_frames_and_keeps_the_length(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, format=Format.FFV1, frame_rate=FrameRate.parse(48)), tmp_path / "a.mkv")

    assert result.duration_s == 1.0
    assert np.array_equal(frames_of(result.path), np.repeat(frames_of(clip), 2, axis=0))


def test_an_ntsc_rate_is_exact(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, frame_rate=FrameRate.parse("30000/1001")), tmp_path / "a.mp4")

    assert facts(result.path)["rate"] == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("fit", "size"), [(Fit.FIT, (96, 72)), (Fit.WITHIN, (64, 48)), (Fit.FILL, (96, 96)), (Fit.PAD, (96, 96))]
)
def test_another_shape_is_fitted_as_asked(clip: Path, tmp_path: Path, fit: Fit, size: tuple[int, int]) -> None:
    result = made(asked(clip, size=Size(96, 96), fit=fit, quality=90), tmp_path / "a.mp4")

    assert facts(result.path)["size"] == (result.width, result.height) == size


def test_bars_are_black_and_the_picture_between_them_is_whole(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, size=Size(64, 96), fit=Fit.PAD, format=Format.PNG), tmp_path / "frames")

    picture = np.asarray(Image.open(min(result.path.iterdir())))
    assert picture[:24].max() < 3
    assert picture[72:].max() < 3
    assert psnr(picture[24:72], frames_of(clip)[0]) > 40


def test_filling_cuts_around_the_centre(clip: Path, tmp_path: Path) -> None:
    result = made(asked(clip, size=Size(48, 48), fit=Fit.FILL, format=Format.PNG), tmp_path / "frames")

    picture = np.asarray(Image.open(min(result.path.iterdir())))
    assert psnr(picture, frames_of(clip)[0][:, 8:56]) > 40


def test_an_odd_side_loses_a_line_where_the_format_needs_it(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "odd.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 24)
        stream.width, stream.height, stream.pix_fmt = 33, 17, "yuv444p"
        picture = np.full((17, 33, 3), 90, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv444p")))
        container.mux(stream.encode(None))

    events = list(export(asked(tmp_path / "odd.mkv"), tmp_path / "a.mp4"))

    assert facts(tmp_path / "a.mp4")["size"] == (32, 16)
    assert "odd_size" in notes_of(events)


def test_a_sideways_clip_is_exported_upright(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "sideways.mp4"), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        stream.set_display_rotation(90)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)

    result = made(asked(tmp_path / "sideways.mp4", format=Format.FFV1), tmp_path / "a.mkv")

    assert facts(result.path)["size"] == (48, 64)
    assert psnr(frames_of(result.path), frames_of(tmp_path / "sideways.mp4")) > 40


def test_frames_of_a_variable_rate_keep_their_moments(tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 500, 540, 1000]
    with av.open(str(tmp_path / "variable.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            picture = np.full((32, 32, 3), 40 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    result = made(
        asked(tmp_path / "variable.mkv", format=Format.FFV1, frame_rate=FrameRate.parse(25)), tmp_path / "a.mkv"
    )

    shown = [round(float(frame.mean()) / 40) for frame in read_frames(result.path)]
    assert shown[:15] == [0, 1, *[2] * 11, 3, 4]
    assert shown[25] == 5


# --- copying ----------------------------------------------------------------------------------------------------------


def test_where_nothing_changes_the_picture_is_copied_byte_for_byte(clip: Path, tmp_path: Path) -> None:
    events = list(export(asked(clip), tmp_path / "a.mp4"))

    result = exports.result_of(events)
    assert (result.encoder, result.sound) == ("copy", "copy")
    assert "copied" in notes_of(events)
    assert packets(result.path) == packets(clip)
    assert np.array_equal(frames_of(result.path), frames_of(clip))


def test_a_cut_at_key_frames_is_copied_with_its_sound_encoded(tmp_path: Path) -> None:
    clip = write_keyed_clip(tmp_path / "keyed.mp4", every=8)
    request = ExportRequest(clip, start_s=8 / 24, end_s=16 / 24)

    result = made(request, tmp_path / "a.mp4")

    assert (result.encoder, result.sound) == ("copy", "aac")
    assert np.array_equal(frames_of(result.path), frames_of(clip)[8:16])
    assert read_audio(result.path).num_samples == 16_000


def test_a_cut_between_key_frames_is_encoded_and_says_why(tmp_path: Path) -> None:
    clip = write_keyed_clip(tmp_path / "keyed.mp4", every=8)

    events = list(export(ExportRequest(clip, start_s=8 / 24, end_s=15 / 24), tmp_path / "a.mp4"))

    assert exports.result_of(events).encoder == "libx264"
    assert "encoded" in notes_of(events)
    assert facts(tmp_path / "a.mp4")["frames"] == 7


def write_keyed_clip(path: Path, *, every: int) -> Path:
    """B-frames included, as encoders do by themselves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 24, {"g": str(every), "keyint_min": str(every), "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", 48_000)
        sound.layout = "stereo"
        for number in range(FRAMES):
            picture = np.full((48, 64, 3), 10 * number, np.uint8)
            picture[:, number : number + 20] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(tone(1.0), format="fltp", layout="stereo")
        block.sample_rate, block.pts = 48_000, 0
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


# --- sound ------------------------------------------------------------------------------------------------------------


def test_the_clips_volume_is_changed_by_decibels(clip: Path, tmp_path: Path) -> None:
    request = ExportRequest(clip, ExportSettings(format=Format.WAV), gain_db=-6.0206)

    sound = read_audio(made(request, tmp_path / "a.wav").path)

    assert np.abs(sound.samples - read_audio(clip).fitted(48_000).samples / 2).max() < 1e-5


def test_added_sound_begins_where_it_is_told_at_its_own_volume(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", has_sound=False)
    write_wav(tmp_path / "music.wav", np.full((2, 48_000), 0.25, np.float32), 48_000)
    added = AddedAudio(tmp_path / "music.wav", start_s=0.5, gain_db=-6.0206)

    sound = read_audio(
        made(ExportRequest(silent, ExportSettings(format=Format.WAV), added=added), tmp_path / "a.wav").path
    )

    assert np.all(sound.samples[:, :24_000] == 0)
    assert sound.samples[:, 24_000:] == pytest.approx(0.125, abs=1e-4)


def test_added_sound_that_begins_before_the_clip_loses_its_beginning(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", has_sound=False)
    steps = np.repeat(np.linspace(0, 0.9, 10, dtype=np.float32), 24_000)
    write_wav(tmp_path / "music.wav", np.stack([steps, steps]), 48_000)
    request = ExportRequest(
        silent, ExportSettings(format=Format.WAV), added=AddedAudio(tmp_path / "music.wav", start_s=-1.5)
    )

    sound = read_audio(made(request, tmp_path / "a.wav").path)

    assert sound.samples[0, [10, 30_000]] == pytest.approx([0.3, 0.4], abs=1e-3)


def test_added_sound_is_mixed_below_the_picture(clip: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "music.wav", np.full((1, 48_000), 0.25, np.float32), 48_000)
    request = ExportRequest(clip, added=AddedAudio(tmp_path / "music.wav"))

    result = made(request, tmp_path / "a.mp4")

    assert (result.encoder, result.sound) == ("copy", "aac")
    assert read_audio(result.path).samples.mean() == pytest.approx(0.25, abs=0.01)


def test_the_picture_alone_has_no_sound_track(clip: Path, tmp_path: Path) -> None:
    assert "sound" not in facts(made(asked(clip, has_sound=False), tmp_path / "a.mp4").path)


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.flac"])
def test_the_request_that_made_the_clip_is_kept(clip: Path, tmp_path: Path, name: str) -> None:
    kind = {".webm": Format.VP9, ".flac": Format.FLAC}.get(Path(name).suffix, Format.H264)

    result = made(asked(clip, format=kind), tmp_path / name)

    assert request_in(result.path) == {"schema": 1, "prompt": SECRET}


@pytest.mark.parametrize(
    ("kind", "name", "quality"),
    [
        (Format.H264, "a.mp4", None),
        (Format.H264, "a.mkv", 70),
        (Format.H265, "a.mov", 70),
        (Format.PRORES, "a.mov", None),
        (Format.VP9, "a.webm", 70),
        (Format.GIF, "a.gif", None),
        (Format.WAV, "a.wav", None),
        (Format.FLAC, "a.flac", None),
    ],
)
def test_nothing_of_how_it_was_made_is_left_when_that_is_asked(
    clip: Path, tmp_path: Path, kind: Format, name: str, quality: int | None
) -> None:
    result = made(asked(clip, format=kind, quality=quality, keeps_metadata=False), tmp_path / name)

    content = result.path.read_bytes()
    for remark in (SECRET.encode(), b"ltx_studio", b"LTX_STUDIO", b"x264", b"x265", b"Lavf6", b"Lavc6"):
        assert remark not in content, remark


def test_png_files_without_metadata_have_no_text(clip: Path, tmp_path: Path) -> None:
    kept = made(asked(clip, format=Format.PNG), tmp_path / "kept")
    bare = made(asked(clip, format=Format.PNG, keeps_metadata=False), tmp_path / "bare")

    assert SECRET.encode() in min(kept.path.iterdir()).read_bytes()
    assert all(SECRET.encode() not in file.read_bytes() for file in bare.path.iterdir())


# --- how it goes, and what goes wrong ---------------------------------------------------------------------------------


def test_progress_rises_to_the_whole(clip: Path, tmp_path: Path) -> None:
    settings = ExportSettings(quality=70, loudness_lufs=-14.0)

    events = list(export(ExportRequest(clip, settings), tmp_path / "a.mp4"))

    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(fractions) >= FRAMES


@pytest.mark.parametrize(("kind", "name"), [(Format.H264, "a.mp4"), (Format.PNG, "frames"), (Format.GIF, "a.gif")])
def test_a_stopped_export_leaves_nothing(clip: Path, tmp_path: Path, kind: Format, name: str) -> None:
    quality = 70 if kind.is_lossy else None

    with closing(export(asked(clip, format=kind, quality=quality), tmp_path / name)) as events:
        for event in events:
            if isinstance(event, Progress) and event.step >= 5:
                break

    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_whole(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"older")

    with closing(export(asked(clip, quality=70), tmp_path / "a.mp4")) as events:
        next(event for event in events if isinstance(event, Progress) and event.step >= 5)
        assert (tmp_path / "a.mp4").read_bytes() == b"older"
    assert (tmp_path / "a.mp4").read_bytes() == b"older"

    made(asked(clip, quality=70), tmp_path / "a.mp4")
    assert facts(tmp_path / "a.mp4")["frames"] == FRAMES


def test_the_clip_itself_is_never_overwritten(clip: Path) -> None:
    before = clip.read_bytes()

    with pytest.raises(RequestError, match="the clip itself"):
        made(asked(clip, quality=50), clip)

    assert clip.read_bytes() == before


def test_a_folder_with_files_in_it_is_not_taken_for_pictures(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "mine.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(RequestError, match="not empty"):
        made(asked(clip, format=Format.PNG), tmp_path / "frames")


def test_a_folder_that_is_not_there_is_said_before_anything_is_read(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        made(asked(clip, quality=70), tmp_path / "gone" / "a.mp4")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(destination: Path) -> Path:
        part = destination.with_name(f".{destination.name}.part")
        part.symlink_to("/dev/full")
        return part

    monkeypatch.setattr(write, "partial_path", full)

    with pytest.raises(StorageFull, match="the disk is full"):
        made(asked(clip, quality=70), tmp_path / "a.mkv")
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="there is no such file"):
        made(asked(tmp_path / "gone.mp4"), tmp_path / "a.mp4")


def test_a_file_that_is_no_clip_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a clip", encoding="utf-8")

    with pytest.raises(MediaError, match="cannot be decoded"):
        made(asked(tmp_path / "text.mp4"), tmp_path / "a.mp4")
