"""What a patch changes in a clip, and that nothing else does. `pytest tests/engine/pipelines/test_composite.py`"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import MediaError, RequestError
from engine.media.audio import SoundClip
from engine.media.patch import NewSoundtrack, Patch, PicturePatch, PutBack, Route, SoundPatch, with_blend
from engine.media.seams import measure_seams
from engine.media.source import SourceClip, open_source, read_window
from engine.pipelines.composite import plan_put_back, put_back, seams_of
from engine.types import FrameRange, Size
from tests.fakes.hostile_clips import (
    ClipRecipe,
    SoundRecipe,
    decoded_samples,
    make_clip,
    packet_hashes,
    plane_hashes,
)

NTSC_FILM, NTSC_VIDEO = Fraction(24000, 1001), Fraction(30000, 1001)

# Camera footage of every kind: 24 frames each, the pictures that change are 8 to 15.
WINDOW = FrameRange(8, 16)
PCM = SoundRecipe(codec="pcm_s16le", sample_format="s16")
FOOTAGE = {
    "film-rate.mp4": ClipRecipe(rate=NTSC_FILM, sound=SoundRecipe()),
    "video-rate-portrait.mov": ClipRecipe(rate=NTSC_VIDEO, size=Size(48, 80), sound=SoundRecipe(layout="mono")),
    "fifty-surround.mp4": ClipRecipe(rate=Fraction(50), sound=SoundRecipe(layout="5.1")),
    "turned.mp4": ClipRecipe(quarter_turns=1, sound=SoundRecipe()),
    "ten-bits.mp4": ClipRecipe(pixel_format="yuv420p10le"),
    "prores.mov": ClipRecipe(codec="prores_ks", pixel_format="yuv422p10le", options={}, sound=PCM),
    "full-range.mov": ClipRecipe(codec="mjpeg", pixel_format="yuvj420p", options={"qmin": "2", "qmax": "2"}),
    "colour-planes.mkv": ClipRecipe(codec="libx264rgb", pixel_format="rgb24", options={"crf": "0"}),
    "old.avi": ClipRecipe(codec="mpeg4", options={"qmin": "2", "qmax": "2"}, sound=PCM),
    "eight-bit-sound.mkv": ClipRecipe(sound=SoundRecipe(codec="pcm_u8", sample_format="u8", layout="mono")),
    "interlaced.mp4": ClipRecipe(rate=Fraction(25), options={"x264-params": "tff=1", "g": "8", "crf": "18"}),
    "variable.mp4": ClipRecipe(
        time_base=Fraction(1, 90_000),
        ticks=tuple(3750 * (number + number // 5 * 2) for number in range(24)),
        sound=SoundRecipe(),
    ),
    "late.mp4": ClipRecipe(
        time_base=Fraction(1, 24_000),
        ticks=tuple(36_000 + 1000 * number for number in range(24)),
        sound=SoundRecipe(num_samples=120_000),
    ),
}


def footage(folder: Path, name: str) -> SourceClip:
    return open_source(make_clip(folder / name, FOOTAGE[name]))


def inverted(source: SourceClip, frames: FrameRange) -> Iterator[NDArray[np.uint8]]:
    return (255 - pixels for pixels in read_window(source, frames))


def finished(source: SourceClip, patch: Patch, output: Path) -> tuple[PutBack, SourceClip]:
    running = put_back(source, patch, output, metadata={"seed": 7})
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value, open_source(output)


def retake(source: SourceClip, *, with_sound: bool = True) -> Patch:
    """A window of other pictures and, where there is sound, a constant one."""
    sound = None
    if source.sound is not None and with_sound:
        first, stop = source.sample_at(WINDOW.start), source.sample_at(WINDOW.stop)
        level = np.full((2, stop - first), 0.25, np.float32)
        sound = SoundPatch(first, SoundClip(level, source.sound.sample_rate), fade_s=0.01)
    return Patch(PicturePatch(WINDOW.start, len(WINDOW), inverted(source, WINDOW), blend_frames=2), sound)


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    error = float(((first.astype(np.float64) - second) ** 2).mean())
    return 10 * np.log10(255**2 / error) if error else 99.0


def rgb(source: SourceClip) -> list[NDArray[np.uint8]]:
    return list(read_window(source, FrameRange(0, source.num_frames)))


def assert_same_clip(source: SourceClip, result: SourceClip) -> None:
    assert result.num_frames == source.num_frames
    assert result.frame_rate == source.frame_rate
    assert (result.size, result.quarter_turns) == (source.size, source.quarter_turns)
    assert result.metadata == {"seed": 7}
    starts = [abs(result.frame_start(n) - source.frame_start(n)) for n in range(source.num_frames + 1)]
    assert max(starts) <= Fraction(1, 1000)


class TestLossless:
    @pytest.mark.parametrize("name", FOOTAGE)
    def test_everything_outside_the_window_is_identical(self, tmp_path: Path, name: str) -> None:
        source = footage(tmp_path, name)

        plan, result = finished(source, retake(source), tmp_path / "result.mkv")

        assert (plan.route, len(plan.encoded)) == (Route.LOSSLESS, 0)
        assert_same_clip(source, result)
        old, new = plane_hashes(source.path), plane_hashes(result.path)
        assert [n for n in range(24) if old[n] != new[n]] == list(range(WINDOW.start, WINDOW.stop))
        if source.sound is not None:
            first, stop = (source.sample_at(n) - source.sound.start_sample for n in (WINDOW.start, WINDOW.stop))
            before, after = decoded_samples(source.path), decoded_samples(result.path)
            assert (before.dtype, before.shape) == (after.dtype, after.shape)
            changed = np.flatnonzero((before != after).any(axis=0))
            assert first <= changed[0] and changed[-1] < stop
            assert result.sound is not None and abs(result.sound.start_sample - source.sound.start_sample) <= 48

    def test_new_pictures_come_out_as_they_went_in(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        _, result = finished(source, retake(source), tmp_path / "result.mkv")

        made, wanted = rgb(result), list(inverted(source, WINDOW))
        assert min(psnr(made[WINDOW.start + n], wanted[n]) for n in range(2, 6)) > 40

    def test_the_blend_zone_lies_between_old_and_new(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "ten-bits.mp4")
        white = np.full((48, 64, 3), 255, np.uint8)

        finished(source, Patch(PicturePatch(8, 8, [white] * 8, blend_frames=3)), tmp_path / "result.mkv")

        old = [float(pixels.mean()) for pixels in rgb(source)]
        new = [float(pixels.mean()) for pixels in rgb(open_source(tmp_path / "result.mkv"))]
        shares = [(new[n] - old[n]) / (255 - old[n]) for n in range(24)]
        expected = [0.0] * 8 + [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25] + [0.0] * 8
        np.testing.assert_allclose(shares, expected, atol=0.02)

    def test_a_window_at_the_start_of_a_clip_has_no_seam_there(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "ten-bits.mp4")
        white = np.full((48, 64, 3), 255, np.uint8)

        _, result = finished(source, Patch(PicturePatch(0, 8, [white] * 8)), tmp_path / "result.mkv")

        assert rgb(result)[0].mean() > 254

    def test_sound_is_faded_at_equal_power(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "old.avi")
        first = source.sample_at(8)
        silence = SoundClip(np.zeros((2, 9600), np.float32), 48_000)

        finished(source, Patch(None, SoundPatch(first, silence, fade_s=0.05)), tmp_path / "result.mkv")

        before = decoded_samples(source.path).astype(np.float64)[0]
        after = decoded_samples(tmp_path / "result.mkv").astype(np.float64)[0]
        middle = slice(first + 1150, first + 1250)  # of a fade of 2400 samples
        loud = np.abs(before[middle]) > 1000
        np.testing.assert_allclose((after[middle] / before[middle])[loud], np.sqrt(0.5), atol=0.06)
        assert not after[first + 2400 : first + 7200].any()

    def test_a_silent_clip_gets_sound_where_it_is_patched(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "ten-bits.mp4")
        tone = SoundClip(np.full((2, 12_000), 0.5, np.float32), 48_000)

        _, result = finished(source, Patch(None, SoundPatch(24_000, tone, fade_s=0)), tmp_path / "result.mkv")

        samples = decoded_samples(result.path)
        assert plane_hashes(result.path) == plane_hashes(source.path)
        assert samples.shape == (2, 48_000)
        assert np.flatnonzero(samples[0]).tolist() == list(range(24_000, 36_000))

    def test_a_whole_new_track_leaves_the_picture_untouched(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        tone = SoundClip(np.full((2, 96_000), 0.5, np.float32), 48_000)

        _, result = finished(source, Patch(None, NewSoundtrack(tone)), tmp_path / "result.mkv")

        assert plane_hashes(result.path) == plane_hashes(source.path)
        assert decoded_samples(result.path).shape == (2, round(source.duration_s * 48_000))


class TestCopiedPackets:
    @pytest.mark.parametrize("name", [name for name in FOOTAGE if name.endswith((".mp4", ".mov"))])
    def test_only_the_groups_that_hold_the_window_are_encoded_again(self, tmp_path: Path, name: str) -> None:
        source = footage(tmp_path, name)

        plan, result = finished(source, retake(source), tmp_path / f"result{Path(name).suffix}")

        assert plan.route is Route.COPIED
        assert (plan.encoded.start, plan.encoded.stop) == (8, 16)
        assert_same_clip(source, result)
        assert result.pts == source.pts
        old, new = plane_hashes(source.path), plane_hashes(result.path)
        assert all(old[n] == new[n] for n in range(24) if n not in plan.encoded)
        packets = packet_hashes(source.path, "video"), packet_hashes(result.path, "video")
        assert [n for n in range(24) if packets[0][n] != packets[1][n]] == list(range(8, 16))

    @pytest.mark.parametrize("name", ["film-rate.mp4", "ten-bits.mp4", "interlaced.mp4", "turned.mp4"])
    def test_what_shares_a_group_with_the_window_keeps_48_decibels(self, tmp_path: Path, name: str) -> None:
        source = footage(tmp_path, name)
        window = FrameRange(11, 13)
        patch = Patch(PicturePatch(11, 2, inverted(source, window), blend_frames=0))

        _, result = finished(source, patch, tmp_path / "result.mp4")

        old, new = rgb(source), rgb(result)
        assert min(psnr(old[n], new[n]) for n in range(24) if n not in window) >= 48
        assert min(psnr(255 - old[n], new[n]) for n in (11, 12)) > 35

    def test_sound_that_is_not_changed_is_copied(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        _, result = finished(source, retake(source, with_sound=False), tmp_path / "result.mp4")

        assert packet_hashes(result.path, "audio") == packet_hashes(source.path, "audio")
        assert result.sound == source.sound

    def test_only_the_packets_of_sound_around_the_patch_are_new(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        patch = retake(source)

        plan, result = finished(source, patch, tmp_path / "result.mp4")

        assert plan.reason == ""
        old, new = packet_hashes(source.path, "audio"), packet_hashes(result.path, "audio")
        changed = [n for n in range(len(old)) if old[n] != new[n]]
        first, stop = source.sample_at(WINDOW.start), source.sample_at(WINDOW.stop)
        assert len(old) == len(new)
        assert changed == list(range(first // 1024, -(-stop // 1024) + 1))  # one block of priming before sample 0
        before, after = decoded_samples(source.path), decoded_samples(result.path)
        error = np.abs(before.astype(np.float32) - after.astype(np.float32)).max(axis=0)
        assert error[: first - 16].max() < 0.01 and error[stop + 16 :].max() < 0.01
        assert np.abs(after[:, first + 600 : stop - 600].astype(np.float32) - 0.25).max() < 0.01

    def test_a_whole_new_track_copies_every_picture(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        tone = SoundClip(np.full((2, 96_000), 0.5, np.float32), 48_000)

        _, result = finished(source, Patch(None, NewSoundtrack(tone)), tmp_path / "result.mp4")

        assert packet_hashes(result.path, "video") == packet_hashes(source.path, "video")
        assert result.sound is not None and result.sound.sample_rate == 48_000

    def test_both_encoders_parameter_sets_are_in_the_header(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        _, result = finished(source, retake(source), tmp_path / "result.mp4")

        with av.open(str(result.path)) as container:
            record = container.streams.video[0].codec_context.extradata
        assert record is not None and record[5] & 0x1F == 2

    @pytest.mark.parametrize(
        ("recipe", "words"),
        [
            (ClipRecipe(codec="libx265", options={"x265-params": "log-level=error"}), "hevc"),
            (ClipRecipe(codec="mpeg4", options={"qmin": "2", "qmax": "2"}), "mpeg4"),
        ],
        ids=["another codec", "an old codec"],
    )
    def test_a_clip_that_cannot_be_cut_is_encoded_again_and_says_so(
        self, tmp_path: Path, recipe: ClipRecipe, words: str
    ) -> None:
        source = open_source(make_clip(tmp_path / "clip.mp4", recipe))

        plan, result = finished(source, retake(source), tmp_path / "result.mp4")

        assert plan.route is Route.ENCODED
        assert words in plan.reason and ".mkv" in plan.reason
        assert_same_clip(source, result)
        old, new = rgb(source), rgb(result)
        assert min(psnr(old[n], new[n]) for n in range(24) if n not in WINDOW) >= 48

    def test_groups_that_lean_on_the_patched_one_are_encoded_with_it(self, tmp_path: Path) -> None:
        options = {"g": "8", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}
        source = open_source(make_clip(tmp_path / "clip.mp4", ClipRecipe(options=options)))

        plan, result = finished(source, retake(source), tmp_path / "result.mp4")

        assert plan.route is Route.COPIED
        assert plan.encoded.stop == 24
        assert plane_hashes(source.path)[: plan.encoded.start] == plane_hashes(result.path)[: plan.encoded.start]
        old, new = rgb(source), rgb(result)
        assert min(psnr(old[n], new[n]) for n in range(24) if n not in WINDOW) >= 48

    def test_the_beginning_of_a_long_group_is_kept(self, tmp_path: Path) -> None:
        options = {"g": "250", "bf": "3", "x264-params": "scenecut=0:b-pyramid=normal"}
        source = open_source(make_clip(tmp_path / "clip.mp4", ClipRecipe(num_frames=40, options=options)))
        window = FrameRange(21, 23)
        patch = Patch(PicturePatch(21, 2, inverted(source, window), blend_frames=0))

        plan, result = finished(source, patch, tmp_path / "result.mp4")

        assert 16 <= plan.encoded.start <= 21
        assert plan.encoded.stop == 40
        old, new = plane_hashes(source.path), plane_hashes(result.path)
        assert old[: plan.encoded.start] == new[: plan.encoded.start]
        assert result.pts == source.pts
        before, after = rgb(source), rgb(result)
        assert min(psnr(before[n], after[n]) for n in range(40) if n not in window) >= 48


class TestExtend:
    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    def test_pictures_and_sound_go_on_after_the_end(self, tmp_path: Path, suffix: str) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        assert source.sound is not None
        white = np.full((48, 64, 3), 255, np.uint8)
        overlap = source.sample_at(20)
        tone = SoundClip(np.full((2, source.sample_at(44) - overlap), 0.25, np.float32), 48_000)
        patch = Patch(PicturePatch(20, 24, [white] * 24, blend_frames=3), SoundPatch(overlap, tone))

        plan, result = finished(source, patch, tmp_path / f"result{suffix}")

        assert (plan.num_frames, result.num_frames, result.frame_rate) == (44, 44, source.frame_rate)
        assert result.duration_s == pytest.approx(44 * 1001 / 24000, abs=0.002)
        old, new = plane_hashes(source.path), plane_hashes(result.path)
        untouched = 20 if suffix == ".mkv" else 16  # the last whole group before the patch
        assert old[:untouched] == new[:untouched]
        assert rgb(result)[-1].mean() > 250
        assert result.sound is not None
        assert result.sound.stop_sample >= source.sample_at(44) - 24

    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    def test_pictures_and_sound_begin_before_the_start(self, tmp_path: Path, suffix: str) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        assert source.sound is not None
        white = np.full((48, 64, 3), 255, np.uint8)
        lead = source.sample_at(-12)
        tone = SoundClip(np.full((2, source.sample_at(4) - lead), 0.25, np.float32), 48_000)
        patch = Patch(PicturePatch(-12, 16, [white] * 16, blend_frames=3), SoundPatch(lead, tone))

        plan, result = finished(source, patch, tmp_path / f"result{suffix}")

        assert (plan.num_frames, result.num_frames, result.frame_rate) == (36, 36, source.frame_rate)
        old, new = plane_hashes(source.path), plane_hashes(result.path)
        first_untouched = 4 if suffix == ".mkv" else 8
        assert old[first_untouched:] == new[first_untouched + 12 :]
        assert rgb(result)[0].mean() > 250
        if suffix == ".mkv":
            before, after = decoded_samples(source.path), decoded_samples(result.path)
            start = source.sample_at(4)
            np.testing.assert_array_equal(before[:, start:], after[:, start - lead :])

    def test_without_overlap_every_old_packet_is_copied(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "ten-bits.mp4")
        white = np.full((48, 64, 3), 255, np.uint8)

        plan, result = finished(source, Patch(PicturePatch(24, 8, [white] * 8, blend_frames=0)), tmp_path / "r.mp4")

        assert (plan.encoded.start, plan.encoded.stop) == (24, 32)
        assert packet_hashes(result.path, "video")[:24] == packet_hashes(source.path, "video")


class TestFile:
    def test_a_cancelled_write_leaves_nothing_behind(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        for name in ("result.mkv", "result.mp4"):
            (tmp_path / name).write_text("older")
            running = put_back(source, retake(source), tmp_path / name)
            next(running)

            running.close()

            assert (tmp_path / name).read_text() == "older"
        assert sorted(item.name for item in tmp_path.iterdir()) == ["film-rate.mp4", "result.mkv", "result.mp4"]

    def test_a_clip_can_be_replaced_by_its_own_retake(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        before = plane_hashes(source.path)

        finished(source, retake(source), source.path)

        after = plane_hashes(source.path)
        assert [n for n in range(24) if before[n] != after[n]] == list(range(8, 16))

    def test_progress_ends_with_every_frame(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        for name in ("result.mkv", "result.mp4"):
            steps = list(put_back(source, retake(source), tmp_path / name))
            assert (steps[-1].num_done, steps[-1].num_total) == (24, 24)
            assert [step.num_done for step in steps] == sorted(step.num_done for step in steps)

    def test_a_name_that_is_not_a_clips_is_refused(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        with pytest.raises(RequestError) as caught:
            plan_put_back(source, Patch(), tmp_path / "result.wav")

        assert caught.value.remedy

    def test_a_source_that_is_gone_is_a_media_error(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        patch = retake(source)
        source.path.unlink()

        with pytest.raises(MediaError, match="no such file"):
            list(put_back(source, patch, tmp_path / "result.mp4"))


class TestSeams:
    def test_a_hard_cut_scores_far_worse_than_a_seamless_window(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")
        scores: list[float] = []
        for pictures in (read_window(source, WINDOW), inverted(source, WINDOW)):
            patch = Patch(PicturePatch(WINDOW.start, len(WINDOW), pictures, blend_frames=0))
            _, result = finished(source, patch, tmp_path / "result.mkv")
            scores.append(max(score.worst for score in measure_seams(result.path, seams_of(source, patch))))

        assert scores[0] < 1.5
        assert scores[1] > 5

    def test_seams_are_named_in_the_frames_of_the_result(self, tmp_path: Path) -> None:
        source = footage(tmp_path, "film-rate.mp4")

        assert seams_of(source, retake(source)) == (FrameRange(8, 11), FrameRange(14, 17))
        lead = Patch(PicturePatch(-12, 16, [], blend_frames=3))
        assert seams_of(source, lead) == (FrameRange(13, 17),)

    def test_a_blend_zone_grows_outward_and_stays_in_the_clip(self) -> None:
        assert with_blend(FrameRange(8, 16), 24, 3) == FrameRange(5, 19)
        assert with_blend(FrameRange(1, 23), 24, 3) == FrameRange(0, 24)
