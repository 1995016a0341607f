"""Files of every kind that people drop: the right result, or one sentence.

Alone: `pytest tests/engine/media/test_hostile.py`
"""

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engine.errors import MediaError
from engine.media.read import probe_clip, read_audio, read_frames, read_image
from engine.media.source import open_source
from engine.media.write import write_wav
from engine.types import Size
from tests.fakes.hostile_clips import ClipRecipe, SoundRecipe, make_clip, picture, truncated

READERS: dict[str, Callable[[Path], object]] = {
    "facts": probe_clip,
    "pictures": lambda path: list(read_frames(path)),
    "sound": read_audio,
    "source": open_source,
}
PCM = SoundRecipe(codec="pcm_s16le", sample_format="s16")


def is_one_sentence_with_a_remedy(error: MediaError) -> bool:
    return "\n" not in str(error) and bool(error.remedy) and error.message.endswith(".")


class TestDamage:
    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize("name", ["empty.mp4", "noise.mp4", "text.mov", "zeros.mkv", "folder.mp4", "gone.mp4"])
    def test_what_is_no_clip_is_refused(self, tmp_path: Path, name: str, reader: str) -> None:
        contents = {
            "empty.mp4": b"",
            "noise.mp4": np.random.default_rng(0).bytes(5000),
            "text.mov": b"this is a letter " * 100,
            "zeros.mkv": bytes(5000),
        }
        if name in contents:
            (tmp_path / name).write_bytes(contents[name])
        (tmp_path / "folder.mp4").mkdir()

        with pytest.raises(MediaError) as caught:
            READERS[reader](tmp_path / name)

        assert is_one_sentence_with_a_remedy(caught.value)

    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize("kept", [0.02, 0.5])
    def test_a_truncated_mp4_is_refused(self, tmp_path: Path, kept: float, reader: str) -> None:
        path = truncated(make_clip(tmp_path / "clip.mp4", ClipRecipe(sound=SoundRecipe())), kept=kept)

        with pytest.raises(MediaError) as caught:  # its index is at the end
            READERS[reader](path)

        assert is_one_sentence_with_a_remedy(caught.value)

    @pytest.mark.parametrize("reader", READERS)
    def test_an_mp4_with_half_an_index_is_read_or_refused(self, tmp_path: Path, reader: str) -> None:
        whole = make_clip(tmp_path / "clip.mp4", ClipRecipe(sound=SoundRecipe())).read_bytes()
        index_size = len(whole) - whole.index(b"moov")

        for part in (0.2, 0.5, 0.8, 0.95):
            (tmp_path / "clip.mp4").write_bytes(whole[: len(whole) - round(index_size * (1 - part))])
            with suppress(MediaError):
                READERS[reader](tmp_path / "clip.mp4")

    @pytest.mark.parametrize("suffix", [".mkv", ".ts"])
    def test_of_a_truncated_stream_what_is_there_is_read(self, tmp_path: Path, suffix: str) -> None:
        sound = PCM if suffix == ".mkv" else SoundRecipe(codec="mp2", sample_format="s16")
        recipe = ClipRecipe(num_frames=48, sound=sound, options={"g": "8", "bf": "2", "crf": "5"})
        path = truncated(make_clip(tmp_path / f"clip{suffix}", recipe), kept=0.4)

        num_frames = len(list(read_frames(path)))
        source = open_source(path)

        assert 0 < num_frames < 48
        assert abs(source.num_frames - num_frames) <= 2
        assert abs(probe_clip(path).frames - num_frames) <= 2

    def test_pictures_damaged_amid_a_clip_do_not_stop_it(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "clip.mkv", ClipRecipe(num_frames=48, size=Size(160, 120)))
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 400] = np.random.default_rng(1).bytes(400)
        path.write_bytes(content)

        source = open_source(path)

        assert 40 <= len(list(read_frames(path))) <= 48
        assert source.num_frames <= 48

    @pytest.mark.parametrize("reader", ["facts", "pictures", "source"])
    def test_sound_alone_is_no_clip(self, tmp_path: Path, reader: str) -> None:
        path = tmp_path / "song.mp4"
        make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=PCM))
        sound = read_audio(tmp_path / "clip.mkv")
        write_wav(tmp_path / "song.wav", sound.samples, sound.sample_rate)
        (tmp_path / "song.wav").rename(path)

        with pytest.raises(MediaError, match="no picture"):
            READERS[reader](path)


class TestName:
    def test_a_clip_is_read_by_its_content_and_not_its_name(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=PCM)).rename(tmp_path / "clip.avi")

        assert probe_clip(path).frames == open_source(path).num_frames == 24
        assert read_audio(path).num_samples == 48_000

    def test_a_clip_that_is_called_a_picture_is_refused_as_one(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "clip.mp4").rename(tmp_path / "photo.jpg")

        with pytest.raises(MediaError) as caught:
            read_image(path)

        assert is_one_sentence_with_a_remedy(caught.value)

    def test_a_picture_that_is_called_a_clip_is_a_clip_of_one_frame(self, tmp_path: Path) -> None:
        Image.fromarray(picture(0, Size(64, 48))).save(tmp_path / "photo.png")
        path = (tmp_path / "photo.png").rename(tmp_path / "clip.mp4")

        assert (probe_clip(path).frames, probe_clip(path).size) == (1, Size(64, 48))

    def test_names_in_any_script_are_opened(self, tmp_path: Path) -> None:
        path = make_clip(
            tmp_path / "ein Clip \N{CLAPPER BOARD} \u05e9\u05dc\u05d5\u05dd: #1 %20.mkv", ClipRecipe(sound=PCM)
        )

        assert probe_clip(path).frames == 24
        assert read_audio(path).num_samples == 48_000


class TestSize:
    def test_a_picture_of_sixteen_thousand_pixels_is_read(self, tmp_path: Path) -> None:
        Image.new("RGB", (16_384, 2048), (200, 30, 60)).save(tmp_path / "wide.bmp")

        pixels = read_image(tmp_path / "wide.bmp")

        assert pixels.shape == (2048, 16_384, 3)
        assert pixels[-1, -1].tolist() == [200, 30, 60]

    def test_a_picture_that_would_not_fit_into_memory_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "bomb.pgm").write_bytes(b"P5 60000 60000 255\n")

        with pytest.raises(MediaError) as caught:
            read_image(tmp_path / "bomb.pgm")

        assert "60000" in caught.value.message
        assert is_one_sentence_with_a_remedy(caught.value)

    def test_sides_that_are_odd_are_kept(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "clip.mkv", ClipRecipe(codec="ffv1", size=Size(33, 47), options={}))

        assert probe_clip(path).size == open_source(path).size == Size(33, 47)
        assert next(read_frames(path)).shape == (47, 33, 3)


class TestRate:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    @pytest.mark.parametrize("rate", [1, 240, Fraction(24000, 1001), Fraction(60000, 1001), Fraction(25, 2)])
    def test_any_frame_rate_is_read_exactly(self, tmp_path: Path, rate: Fraction | int, suffix: str) -> None:
        recipe = ClipRecipe(rate=Fraction(rate), num_frames=12, options={"g": "8", "bf": "2", "crf": "18"})
        path = make_clip(tmp_path / f"clip{suffix}", recipe)

        facts, source = probe_clip(path), open_source(path)

        assert facts.frame_rate.value == source.frame_rate.value == rate
        assert facts.frames == source.num_frames == len(list(read_frames(path))) == 12

    def test_a_variable_rate_shows_each_frame_once(self, tmp_path: Path) -> None:
        ticks = tuple(3750 * (number + number // 5 * 2) for number in range(24))
        path = make_clip(tmp_path / "phone.mp4", ClipRecipe(time_base=Fraction(1, 90_000), ticks=ticks))

        source = open_source(path)

        assert source.has_variable_rate
        assert probe_clip(path).frames == len(list(read_frames(path))) == 24
        assert [round(source.frame_start(number) * 90_000) for number in range(24)] == list(ticks)


class TestSound:
    @pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
    @pytest.mark.parametrize("suffix", [".mkv", ".mov"])
    def test_any_number_of_channels_is_heard_in_at_most_two(self, tmp_path: Path, layout: str, suffix: str) -> None:
        sound = SoundRecipe(codec="pcm_s16le", sample_format="s16", layout=layout)
        path = make_clip(tmp_path / f"clip{suffix}", ClipRecipe(sound=sound))

        heard = read_audio(path)

        assert heard.num_channels == (1 if layout == "mono" else 2)
        assert heard.num_samples == 48_000
        assert 0.1 < np.abs(heard.samples).max() <= 1.5
        facts = open_source(path).sound
        assert facts is not None and facts.layout == layout

    def test_eight_bits_have_no_offset(self, tmp_path: Path) -> None:
        sound = SoundRecipe(codec="pcm_u8", sample_format="u8", layout="mono")
        path = make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=sound))

        assert abs(read_audio(path).samples.mean()) < 0.01

    def test_a_clip_without_sound_has_none(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "clip.mp4")

        assert probe_clip(path).audio_channels is None
        assert open_source(path).sound is None
        with pytest.raises(MediaError, match="no sound"):
            read_audio(path)

    def test_a_track_of_a_single_sample_is_read(self, tmp_path: Path) -> None:
        sound = SoundRecipe(codec="pcm_s16le", sample_format="s16", num_samples=1)
        path = make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=sound))

        assert read_audio(path).num_samples == 1


class TestPicture:
    @pytest.mark.parametrize("turns", [1, 2, 3])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_a_turned_clip_is_shown_upright(self, tmp_path: Path, suffix: str, turns: int) -> None:
        straight = make_clip(tmp_path / "straight.mkv", ClipRecipe(codec="ffv1", options={}))
        turned = make_clip(
            tmp_path / f"turned{suffix}", ClipRecipe(options={"crf": "0", "g": "8"}, quarter_turns=turns)
        )

        shown = next(read_frames(turned))

        np.testing.assert_array_equal(shown, np.rot90(next(read_frames(straight)), turns))
        assert open_source(turned).quarter_turns == turns
        size = Size(64, 48) if turns == 2 else Size(48, 64)
        assert probe_clip(turned).size == open_source(turned).size == size

    def test_interlaced_pictures_are_read_as_whole_frames(self, tmp_path: Path) -> None:
        options = {"x264-params": "tff=1", "g": "8", "crf": "5"}
        path = make_clip(tmp_path / "tape.mp4", ClipRecipe(rate=Fraction(25), options=options))

        frames = list(read_frames(path))

        assert len(frames) == 24
        assert np.abs(frames[10].astype(int) - picture(10, Size(64, 48))).mean() < 6

    @pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75)], ids=["PQ", "HLG"])
    def test_high_dynamic_range_is_shown_in_the_standard_one(self, tmp_path: Path, transfer: int, white: float) -> None:
        tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 1}
        path = tmp_path / "hdr.mkv"
        level = round(64 + white * (940 - 64))  # reference white, ITU-R BT.2408
        write_flat_hdr(path, level, tags)

        shown = next(read_frames(path))

        assert shown.std() < 1
        assert shown.mean() > 200


def write_flat_hdr(path: Path, level: int, tags: dict[str, int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        for plane, value in zip(frame.planes, (level, 512, 512), strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
