"""`pytest tests/engine/media/test_source.py`"""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.media import planes
from engine.media.audio import SoundClip
from engine.media.avc import AvcHeader, packet_of, units_in_packet
from engine.media.patch import SoundPatch
from engine.media.read import read_audio, read_frames
from engine.media.soundtrack import Piece, SoundFormat, patched
from engine.media.source import SourceClip, decoded_frames, open_source, read_sound_window, read_window
from engine.media.tone import to_standard_range
from engine.types import FrameRange, FrameRate
from tests.fakes.hostile_clips import ClipRecipe, SoundRecipe, make_clip

PCM = SoundRecipe(codec="pcm_s16le", sample_format="s16")


def numbered(clip: SourceClip, frames: FrameRange) -> list[bytes]:
    return [pixels.tobytes() for pixels in read_window(clip, frames)]


class TestPictures:
    @pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi"])
    def test_any_window_equals_the_same_slice_of_the_whole(self, tmp_path: Path, name: str) -> None:
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        clip = open_source(make_clip(tmp_path / name, ClipRecipe(codec=codec, options={"g": "8", "bf": "2"})))
        whole = [pixels.tobytes() for pixels in read_frames(clip.path)]

        assert clip.num_frames == len(whole) == len(set(whole)) == 24
        for start, stop in [(0, 3), (7, 9), (8, 8), (13, 21), (23, 24), (0, 24)]:
            assert numbered(clip, FrameRange(start, stop)) == whole[start:stop]

    def test_a_picture_survives_the_way_to_rgb_and_back(self, tmp_path: Path) -> None:
        clip = open_source(make_clip(tmp_path / "clip.mp4"))  # its chroma lies to the left, as most cameras' does
        frame = next(decoded_frames(clip, FrameRange(5, 6)))
        pixels = next(read_window(clip, FrameRange(5, 6)))

        again = planes.from_upright(pixels, frame, quarter_turns=0)

        luma, *chroma = zip(planes.planes(frame), planes.planes(again), strict=True)
        assert np.abs(luma[0].astype(int) - luma[1]).mean() < 0.5
        assert max(np.abs(old.astype(int) - new).mean() for old, new in chroma) < 0.6


class TestTimes:
    def test_a_late_start_and_variable_times_are_kept(self, tmp_path: Path) -> None:
        ticks = tuple(90_000 + 3750 * (number + number // 5 * 2) for number in range(24))
        recipe = ClipRecipe(time_base=Fraction(1, 90_000), ticks=ticks, sound=PCM)

        clip = open_source(make_clip(tmp_path / "clip.mov", recipe))

        assert clip.has_variable_rate
        assert clip.pts[0] * clip.time_base == 1
        assert [round(clip.frame_start(number) * 90_000) for number in range(24)] == [tick - 90_000 for tick in ticks]
        assert clip.sound is not None
        assert (clip.sound.start_sample, clip.sound.num_samples) == (-48_000, 48_000)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    @pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50)])
    def test_a_window_in_seconds_becomes_the_frames_shown_in_it(
        self, tmp_path: Path, rate: Fraction, suffix: str
    ) -> None:
        clip = open_source(make_clip(tmp_path / f"clip{suffix}", ClipRecipe(rate=rate)))

        assert not clip.has_variable_rate
        for start in range(24):
            for stop in range(start + 1, 25):
                exact = clip.frames_between(float(start / rate), float(stop / rate))
                assert exact == FrameRange(start, stop)
        assert clip.frames_between(float(Fraction(5, 2) / rate), float(Fraction(7, 2) / rate)) == FrameRange(2, 4)
        assert clip.frames_between(-1, 99) == FrameRange(0, 24)
        assert len(clip.frames_between(3, 2)) == len(clip.frames_between(99, 100)) == 0

    def test_frames_beyond_both_ends_go_on_at_the_frame_rate(self, tmp_path: Path) -> None:
        clip = open_source(
            make_clip(tmp_path / "clip.mp4", ClipRecipe(rate=Fraction(30000, 1001), sound=SoundRecipe()))
        )

        assert clip.frame_rate == FrameRate(Fraction(30000, 1001))
        assert clip.frame_start(-30) == Fraction(-1001, 1000)
        assert clip.frame_start(54) == Fraction(1001 * 54, 30000)
        assert clip.sample_at(30) == 48_048


class TestSoundWindows:
    def test_a_window_is_exact_to_the_sample(self, tmp_path: Path) -> None:
        clip = open_source(make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=PCM)))
        whole = read_audio(clip.path).samples

        window = read_sound_window(clip, 12_345, 6789)

        np.testing.assert_array_equal(window.samples, whole[:, 12_345 : 12_345 + 6789])

    def test_outside_the_track_there_is_silence(self, tmp_path: Path) -> None:
        clip = open_source(make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=PCM)))
        whole = read_audio(clip.path).samples

        window = read_sound_window(clip, -100, 48_200).samples

        assert not window[:, :100].any()
        np.testing.assert_array_equal(window[:, 100:48_100], whole)
        assert not window[:, 48_100:].any()

    def test_surround_is_mixed_as_for_the_model(self, tmp_path: Path) -> None:
        sound = SoundRecipe(codec="pcm_s16le", sample_format="s16", layout="5.1")
        clip = open_source(make_clip(tmp_path / "clip.mkv", ClipRecipe(sound=sound)))

        window = read_sound_window(clip, 1000, 2000)

        np.testing.assert_allclose(window.samples, read_audio(clip.path).samples[:, 1000:3000], atol=1e-4)


class TestSoundPatch:
    @settings(max_examples=60, deadline=None)
    @given(
        lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
        start=st.integers(-30, 150),
        num_new=st.integers(2, 120),
        fade=st.integers(0, 30),
    )
    def test_what_lies_outside_stays_whatever_the_pieces(
        self, lengths: list[int], start: int, num_new: int, fade: int
    ) -> None:
        form = SoundFormat(1000, "stereo", "s16")
        total = sum(lengths)
        old = np.random.default_rng(0).integers(-30_000, 30_000, (2, total)).astype(np.int16)
        edges = np.cumsum([0, *lengths])
        pieces = [Piece(a, old[:, a:b]) for a, b in pairwise(edges.tolist())]
        patch = SoundPatch(start, SoundClip(np.full((2, num_new), 0.5, np.float32), 1000), fade_s=fade / 1000)

        made = list(patched(iter(pieces), patch, form, track=(0, total)))

        begin, end = min(start, 0), max(start + num_new, total)
        assert made[0].start == begin
        assert all(before.stop == after.start for before, after in pairwise(made))
        assert made[-1].stop == end
        result = np.concatenate([piece.samples for piece in made], axis=1)
        assert result.dtype == np.int16
        inside = np.zeros(end - begin, bool)
        inside[start - begin : start - begin + num_new] = True
        within = slice(-begin, total - begin)
        kept = ~inside[within]
        np.testing.assert_array_equal(result[:, within][:, kept], old[:, kept])
        fade = min(fade, num_new // 2)
        solid = slice(start - begin + fade, start - begin + num_new - fade)
        assert (result[:, solid] == 16_384).all()


class TestParameterSets:
    def test_a_header_reads_and_writes_back_the_same(self) -> None:
        record = bytes.fromhex("0164001fffe1000467640029010003 68ee3cfdf8f800".replace(" ", ""))

        header = AvcHeader.parse(record)

        assert header is not None
        assert header.to_bytes() == record
        assert header.length_size == 4

    def test_what_is_no_header_is_none(self) -> None:
        for record in (None, b"", b"\1\2", b"\0\0\0\1gd", b"\1d\0\x1f\xff\xe1\xff\xff"):
            assert AvcHeader.parse(record) is None

    def test_units_of_a_packet_go_back_into_one(self) -> None:
        units = [b"\x65abc", b"\x41", b"\x06" * 300]

        assert units_in_packet(packet_of(units, 4), 4) == units


class TestTone:
    def test_reference_white_is_bright_and_black_stays_black(self) -> None:
        # ITU-R BT.2408: reference white is at 58 % of a PQ signal and at 75 % of an HLG one.
        for transfer, white in ((16, 0.5807), (18, 0.75)):
            steps = np.array([0, white / 2, white, 1])
            signal = np.repeat(np.rint(steps * 65_535).astype(np.uint16)[None, :, None], 3, axis=2)

            shown = to_standard_range(signal, transfer)[0, :, 0].astype(int).tolist()

            assert shown[0] == 0
            assert shown == sorted(shown)
            assert 225 <= shown[2] <= 245
            assert shown[3] >= 254
