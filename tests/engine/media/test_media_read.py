"""`pytest tests/engine/media/test_media_read.py`"""

import socket
import struct
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
from av.audio.format import AudioFormat
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.video.reformatter import Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from engine.errors import MediaError
from engine.media.read import cover_resize, h264_round_trip, probe_clip, read_audio, read_frames, read_image
from engine.media.write import ClipWriter, VideoEncoding
from engine.types import FrameRate, Size


def colourful(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 9) * np.cos(y / 13), np.sin(x / 15 + y / 17), np.cos(x / 21 - y / 15)]
    return (128 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def write_numbered_clip(path: Path, num_frames: int, *, key_frame_every: int = 8, rate: int = 24) -> Path:
    """Each frame is a flat grey, four levels for each number; B-frames between key frames that start closed groups."""
    options = {"crf": "0", "g": str(key_frame_every), "bf": "3"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate, options)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(num_frames):
            pixels = np.full((32, 32, 3), 4 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(
    path: Path,
    blocks: list[tuple[int, NDArray[np.generic]]],
    *,
    codec: str,
    sample_format: str,
    layout: str,
    sample_rate: int = 48_000,
    with_picture: bool = False,
) -> Path:
    """Blocks are (first sample, array for PyAV)."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", 24) if with_picture else None
        stream = cast(AudioStream, container.add_stream(codec, sample_rate))
        stream.codec_context.layout = AudioLayout(layout)
        stream.codec_context.format = AudioFormat(sample_format)
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
            for _ in range(24):
                container.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(picture.encode(None))
        for first_sample, samples in blocks:
            frame = av.AudioFrame.from_ndarray(samples, format=sample_format, layout=layout)  # type: ignore[arg-type]
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, first_sample, Fraction(1, sample_rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate_in_header(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Writes a, b, c, d of the display matrix (16.16 fixed point) into the track header, ISO/IEC 14496-12 8.3.2."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    struct.pack_into(">9i", content, start, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


class TestImage:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_applied(self, tmp_path: Path, orientation: int) -> None:
        upright = colourful(24, 40)
        stored = {  # how a camera stores the upright picture, from the EXIF 2.3 orientation table
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)

        np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), upright)

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_transparency_is_dropped(self, tmp_path: Path, mode: str) -> None:
        image = Image.new("RGBA", (4, 4), (90, 90, 90, 0)).convert(mode)
        if mode == "P":
            image.info["transparency"] = 0
        image.save(tmp_path / "logo.png")

        pixels = read_image(tmp_path / "logo.png")

        assert (pixels.shape, pixels.dtype) == ((4, 4, 3), np.uint8)
        assert np.abs(pixels.astype(int) - 90).max() <= 15  # the palette is coarse

    def test_a_colour_profile_is_converted_to_srgb(self, tmp_path: Path) -> None:
        profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")  # swapped primaries: what says red is green
        profile[red : red + 4], profile[green : green + 4] = profile[green : green + 4], profile[red : red + 4]
        image = Image.new("RGB", (4, 4), (200, 30, 60))
        image.save(tmp_path / "photo.png", icc_profile=bytes(profile))

        pixels = read_image(tmp_path / "photo.png")

        assert np.abs(pixels.astype(int) - (30, 200, 60)).max() <= 2

    def test_a_damaged_colour_profile_is_ignored(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4), (200, 30, 60)).save(tmp_path / "photo.png", icc_profile=b"not a profile")

        np.testing.assert_array_equal(read_image(tmp_path / "photo.png")[0, 0], (200, 30, 60))

    def test_sixteen_bits_are_scaled_to_eight(self, tmp_path: Path) -> None:
        Image.fromarray(np.array([[0, 257 * 100, 65_535]], np.uint16)).save(tmp_path / "depth.png")

        np.testing.assert_array_equal(read_image(tmp_path / "depth.png")[0, :, 0], [0, 100, 255])

    def test_unreadable_pictures_are_a_media_error(self, tmp_path: Path) -> None:
        Image.fromarray(colourful(64, 64)).save(tmp_path / "whole.jpg")
        (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
        (tmp_path / "text.png").write_text("not a picture")
        (tmp_path / "empty.png").touch()

        for name in ("half.jpg", "text.png", "empty.png", "missing.png", "."):
            with pytest.raises(MediaError) as caught:
                read_image(tmp_path / name)
            assert caught.value.remedy


class TestClip:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_any_window_equals_the_same_slice_of_the_whole(self, tmp_path: Path, suffix: str) -> None:
        path = write_numbered_clip(tmp_path / f"clip{suffix}", 30)
        whole = [round(int(frame[0, 0, 0]) / 4) for frame in read_frames(path)]
        assert whole == list(range(30))

        for start, stop in [(0, 3), (1, 2), (7, 9), (8, 8), (8, 30), (13, 21), (29, None), (28, 99), (30, 31)]:
            window = [round(int(frame[0, 0, 0]) / 4) for frame in read_frames(path, start=start, stop=stop)]
            assert window == whole[start:stop]

    def test_facts_count_frames_where_the_container_does_not(self, tmp_path: Path) -> None:
        path = write_numbered_clip(tmp_path / "clip.mkv", 30)

        facts = probe_clip(path)

        assert (facts.frames, facts.frame_rate, facts.duration_s) == (30, FrameRate(Fraction(24)), 1.25)
        assert facts.metadata is None

    @pytest.mark.parametrize(
        ("matrix", "turns"),
        [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
        ids=["90 clockwise", "180", "90 counter-clockwise"],
    )
    def test_the_rotation_a_phone_notes_is_applied(
        self, tmp_path: Path, matrix: tuple[int, int, int, int], turns: int
    ) -> None:
        path = tmp_path / "phone.mp4"
        with ClipWriter(
            path, size=Size(48, 32), frame_rate=FrameRate(Fraction(24)), video_encoding=VideoEncoding(crf=0)
        ) as writer:
            writer.write(colourful(32, 48)[None])
        stored = next(read_frames(path))
        rotate_in_header(path, matrix)

        shown = next(read_frames(path))

        np.testing.assert_array_equal(shown, np.rot90(stored, turns))
        assert probe_clip(path).size == Size(shown.shape[1], shown.shape[0])

    @pytest.mark.parametrize(("height", "matrix"), [(720, Colorspace.ITU709), (480, Colorspace.ITU601)])
    def test_untagged_colours_are_guessed_from_the_height(
        self, tmp_path: Path, height: int, matrix: Colorspace
    ) -> None:
        path = tmp_path / "untagged.mp4"
        pixels = np.full((height, 64, 3), (230, 40, 90), np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", 24, {"crf": "0"})
            stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
            tagged = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=matrix
            )
            frame = av.VideoFrame.from_ndarray(tagged.to_ndarray(), format="yuv420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        shown = next(read_frames(path))

        assert np.abs(shown.astype(int) - pixels).max() <= 3

    def test_unreadable_clips_are_a_media_error(self, tmp_path: Path) -> None:
        whole = write_numbered_clip(tmp_path / "whole.mp4", 5).read_bytes()
        (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "text.mp4").write_text("not a clip")
        sound = np.zeros((1, 4800), np.int16)
        write_sound(tmp_path / "sound.wav", [(0, sound)], codec="pcm_s16le", sample_format="s16", layout="mono")

        for name in ("half.mp4", "text.mp4", "missing.mp4", "sound.wav", "."):
            with pytest.raises(MediaError) as probed:
                probe_clip(tmp_path / name)
            with pytest.raises(MediaError):
                list(read_frames(tmp_path / name))
            assert probed.value.remedy

    def test_a_playlist_cannot_reach_the_network(self, tmp_path: Path) -> None:
        playlist = tmp_path / "innocent.mp4"
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"http://127.0.0.1:{server.getsockname()[1]}/segment.ts"
            playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n")
            server.setblocking(False)

            with pytest.raises(MediaError):
                probe_clip(playlist)

            with pytest.raises(BlockingIOError):  # nobody has called
                server.accept()


class TestSound:
    def test_unsigned_eight_bit_sound_has_no_offset(self, tmp_path: Path) -> None:
        levels = np.array([[128, 255, 0, 192]], np.uint8)
        path = write_sound(tmp_path / "old.wav", [(0, levels)], codec="pcm_u8", sample_format="u8", layout="mono")

        sound = read_audio(path)

        np.testing.assert_array_equal(sound.samples, [[0, 127 / 128, -1, 0.5]])

    def test_mono_stays_mono(self, tmp_path: Path) -> None:
        levels = np.array([[16_384, -32_768]], np.int16)
        path = write_sound(
            tmp_path / "a.wav", [(0, levels)], codec="pcm_s16le", sample_format="s16", layout="mono", sample_rate=22_050
        )

        sound = read_audio(path)

        assert sound.sample_rate == 22_050
        np.testing.assert_array_equal(sound.samples, [[0.5, -1]])

    def test_surround_is_mixed_down_with_the_centre_on_both_sides(self, tmp_path: Path) -> None:
        left, right, centre, bass, back_left, back_right = 0.1, 0.2, 0.3, 0.9, 0.4, 0.5
        frame = np.array([left, right, centre, bass, back_left, back_right] * 100, np.float32)[None]
        path = write_sound(tmp_path / "film.wav", [(0, frame)], codec="pcm_f32le", sample_format="flt", layout="5.1")

        sound = read_audio(path)

        half_power = 2**-0.5  # ITU-R BS.775-3: centre and surround at -3 dB, no bass channel
        expected = [left + half_power * (centre + back_left), right + half_power * (centre + back_right)]
        np.testing.assert_allclose(sound.samples, np.repeat(np.array(expected)[:, None], 100, axis=1), atol=1e-5)

    def test_sound_that_starts_late_begins_with_silence(self, tmp_path: Path) -> None:
        levels = np.full((1, 24_000), 16_384, np.int16)
        path = write_sound(
            tmp_path / "late.mkv",
            [(12_000, levels)],
            codec="pcm_s16le",
            sample_format="s16",
            layout="mono",
            with_picture=True,
        )

        samples = read_audio(path).samples[0]

        assert len(samples) == 36_000
        assert not samples[:12_000].any()
        assert (samples[12_000:] == 0.5).all()

    def test_a_hole_in_the_sound_is_silent_and_what_follows_stays_in_place(self, tmp_path: Path) -> None:
        levels = np.full((1, 4_800), 16_384, np.int16)
        path = write_sound(
            tmp_path / "hole.mkv",
            [(0, levels), (24_000, levels)],
            codec="pcm_s16le",
            sample_format="s16",
            layout="mono",
        )

        samples = read_audio(path).samples[0]

        assert len(samples) == 28_800
        assert (samples != 0).nonzero()[0].tolist() == [*range(4_800), *range(24_000, 28_800)]

    def test_a_clip_without_sound_is_a_media_error(self, tmp_path: Path) -> None:
        path = write_numbered_clip(tmp_path / "clip.mp4", 2)

        with pytest.raises(MediaError, match="no sound"):
            read_audio(path)


class TestCompression:
    def test_zero_leaves_the_picture_alone(self) -> None:
        image = colourful(32, 48)

        assert h264_round_trip(image, 0) is image

    def test_odd_sides_lose_their_last_row_and_column(self) -> None:
        image = colourful(33, 47)

        compressed = h264_round_trip(image, 1)

        assert compressed.shape == (32, 46, 3)
        assert np.abs(compressed.astype(int) - image[:32, :46]).mean() < 3

    def test_more_compression_loses_more(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

        losses = [np.abs(h264_round_trip(image, crf).astype(int) - image).mean() for crf in (10, 33, 50)]

        assert losses == sorted(losses)
        assert losses[0] < losses[1] < losses[2]


class TestCoverResize:
    @settings(max_examples=60, deadline=None)
    @given(
        sides=st.tuples(*[st.integers(1, 90)] * 2),
        target=st.tuples(*[st.integers(1, 90)] * 2),
        is_float=st.booleans(),
        seed=st.integers(0, 9),
    )
    def test_it_equals_torch(self, sides: tuple[int, int], target: tuple[int, int], is_float: bool, seed: int) -> None:
        (height, width), (wanted_height, wanted_width) = sides, target
        image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
        scale = max(Fraction(wanted_height, height), Fraction(wanted_width, width))
        scaled = (-(-height * scale // 1), -(-width * scale // 1))
        whole = torch.nn.functional.interpolate(
            torch.from_numpy(image).permute(2, 0, 1)[None].float(),
            size=(int(scaled[0]), int(scaled[1])),
            mode="bilinear",
            align_corners=False,
        )[0].permute(1, 2, 0)
        top, left = (whole.shape[0] - wanted_height) // 2, (whole.shape[1] - wanted_width) // 2
        expected = whole[top : top + wanted_height, left : left + wanted_width].numpy()

        resized = cover_resize(image.astype(np.float64) if is_float else image, Size(wanted_width, wanted_height))

        assert resized.dtype == np.float32
        np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("size", [Size(1280, 704), Size(768, 1344)], ids=str)
    def test_it_equals_torch_at_the_size_of_photographs(self, size: Size) -> None:
        image = np.random.default_rng(0).integers(0, 256, (1500, 2000, 1), dtype=np.uint8)
        scale = max(Fraction(size.height, 1500), Fraction(size.width, 2000))
        whole = torch.nn.functional.interpolate(
            torch.from_numpy(image).permute(2, 0, 1)[None].float(),
            size=(int(-(-1500 * scale // 1)), int(-(-2000 * scale // 1))),
            mode="bilinear",
            align_corners=False,
        )[0].permute(1, 2, 0)
        top, left = (whole.shape[0] - size.height) // 2, (whole.shape[1] - size.width) // 2

        resized = cover_resize(image, size)

        expected = whole[top : top + size.height, left : left + size.width].numpy()
        np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-4)

    def test_the_same_size_changes_nothing(self) -> None:
        image = colourful(32, 48)

        np.testing.assert_array_equal(cover_resize(image, Size(48, 32)), image)
