"""`pytest tests/engine/media/test_media_write.py`"""

import os
import stat
import subprocess
import sys
import textwrap
import wave
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import MediaError, RequestError
from engine.media.audio import SoundClip
from engine.media.read import probe_clip, read_audio, read_frames
from engine.media.write import ClipWriter, VideoEncoding, check_writable, write_wav
from engine.types import FrameRate, Size

RATE_24 = FrameRate(Fraction(24))
NTSC_FILM = FrameRate(Fraction(24_000, 1001))
LOSSLESS = VideoEncoding(crf=0)
BROKEN = VideoEncoding(preset="no such preset")
SMALL = Size(48, 32)


def moving_picture(num_frames: int, size: Size = SMALL) -> NDArray[np.uint8]:
    y, x = np.mgrid[0 : size.height, 0 : size.width]
    frames = [np.stack([x * 3 + 5 * i, y * 5 + 2 * i, x + y], axis=-1) for i in range(num_frames)]
    return (np.stack(frames) % 256).astype(np.uint8)


def noise(seconds: float, *, sample_rate: int = 48_000, channels: int = 2) -> SoundClip:
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (channels, round(seconds * sample_rate)))
    return SoundClip(samples.astype(np.float32), sample_rate)


def write_clip(
    path: Path,
    frames: NDArray[np.uint8] | NDArray[np.floating],
    *,
    frame_rate: FrameRate = RATE_24,
    audio: SoundClip | None = None,
    metadata: dict[str, object] | None = None,
    encoding: VideoEncoding | None = None,
) -> Path:
    size = Size(frames.shape[2], frames.shape[1])
    with ClipWriter(
        path, size=size, frame_rate=frame_rate, audio=audio, metadata=metadata, video_encoding=encoding
    ) as writer:
        for start in range(0, len(frames), 5):
            writer.write(frames[start : start + 5])
    return path


def write_until(error: type[BaseException], path: Path) -> None:
    with ClipWriter(path, size=SMALL, frame_rate=RATE_24, audio=noise(1)) as writer:
        writer.write(moving_picture(20))
        raise error


def stream_durations_s(path: Path) -> dict[str, float]:
    with av.open(str(path)) as container:
        return {stream.type: float(stream.duration * stream.time_base) for stream in container.streams}  # type: ignore[operator]


def decoded_planes(path: Path, size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Luma, blue and red difference of the first frame."""
    with av.open(str(path)) as container:
        planes = next(container.decode(container.streams.video[0])).to_ndarray().astype(np.float64)
    luma, chroma = planes[: size.height], planes[size.height :].reshape(2, size.height // 2, size.width // 2)
    return luma, chroma[0], chroma[1]


def exact_bt709(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ITU-R BT.709-6 items 3.2 to 3.4, limited range, before rounding; chroma is the mean of 2x2 pixels."""
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))

    return 16 + 219 * luma, 128 + 224 * halved((blue - luma) / 1.8556), 128 + 224 * halved((red - luma) / 1.5748)


def top_level_boxes(path: Path) -> list[str]:
    content, position, names = path.read_bytes(), 0, []
    while position < len(content):
        names.append(content[position + 4 : position + 8].decode())
        position += int.from_bytes(content[position : position + 4])
    return names


class TestClip:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    @pytest.mark.parametrize("frame_rate", [RATE_24, NTSC_FILM, FrameRate(Fraction(60_000, 1001))], ids=str)
    def test_frame_count_and_rate_come_back_exactly(self, tmp_path: Path, suffix: str, frame_rate: FrameRate) -> None:
        path = write_clip(tmp_path / f"clip{suffix}", moving_picture(13), frame_rate=frame_rate, audio=noise(1))

        facts = probe_clip(path)

        assert (facts.frames, facts.frame_rate, facts.size) == (13, frame_rate, SMALL)

    def test_a_clip_of_one_frame_lasts_one_frame(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", moving_picture(1), audio=noise(1))

        assert probe_clip(path).frames == 1
        assert stream_durations_s(path) == pytest.approx({"video": 1 / 24, "audio": 1 / 24}, abs=1e-5)

    def test_colours_are_tagged_completely(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", moving_picture(2))

        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (1, 1, 1, 1)  # FFmpeg's numbers for BT.709 three times, and limited range

    def test_every_sample_is_bt709_to_half_a_level_even_in_detail(self, tmp_path: Path) -> None:
        rgb = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), dtype=np.uint8)

        path = write_clip(tmp_path / "clip.mp4", rgb, encoding=LOSSLESS)

        for decoded, exact in zip(decoded_planes(path, SMALL), exact_bt709(rgb[0]), strict=True):
            assert np.abs(decoded - exact).max() < 0.52  # half a level is perfect rounding

    @pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 40)])
    def test_flat_colours_come_back_within_three_levels(self, tmp_path: Path, colour: tuple[int, int, int]) -> None:
        frames = np.full((3, 32, 48, 3), colour, np.uint8)

        path = write_clip(tmp_path / "clip.mp4", frames, encoding=VideoEncoding(crf=1))

        for frame in read_frames(path):
            assert np.abs(frame.astype(int) - colour).max() <= 3

    def test_a_grey_ramp_comes_back_within_three_levels(self, tmp_path: Path) -> None:
        frames = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (3, 32, 256, 3))

        path = write_clip(tmp_path / "clip.mp4", frames, encoding=VideoEncoding(crf=1))

        for frame in read_frames(path):
            assert np.abs(frame.astype(int) - frames[0]).max() <= 3

    def test_float_frames_are_rounded_and_clipped(self, tmp_path: Path) -> None:
        levels = np.array([-0.5, 0.0, 99.6 / 255, 1.0, 1.5], np.float32)
        frames = np.broadcast_to(levels[:, None, None, None], (5, 32, 48, 3))

        path = write_clip(tmp_path / "clip.mp4", frames, encoding=LOSSLESS)

        assert [int(frame[0, 0, 0]) for frame in read_frames(path)] == [0, 0, 100, 255, 255]

    def test_frames_read_and_written_again_do_not_drift(self, tmp_path: Path) -> None:
        pale = (
            moving_picture(3) // 2 + 64
        )  # what compression puts outside RGB is clipped, and may come back one level off
        first = write_clip(tmp_path / "first.mp4", pale, encoding=VideoEncoding(crf=20))
        decoded = np.stack(list(read_frames(first)))

        again = write_clip(tmp_path / "again.mp4", decoded, encoding=LOSSLESS)

        np.testing.assert_array_equal(np.stack(list(read_frames(again))), decoded)

    def test_the_caller_may_reuse_its_buffer(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        buffer = np.zeros((4, 32, 48, 3), np.uint8)

        with ClipWriter(path, size=SMALL, frame_rate=RATE_24, video_encoding=LOSSLESS) as writer:
            for level in (40, 80, 120):
                buffer[:] = level
                writer.write(buffer)
                buffer[:] = 255

        assert [int(frame[0, 0, 0]) for frame in read_frames(path)] == [40] * 4 + [80] * 4 + [120] * 4

    @pytest.mark.parametrize("suffix", [".mp4", ".mov"])
    def test_the_index_comes_before_the_data(self, tmp_path: Path, suffix: str) -> None:
        path = write_clip(tmp_path / f"clip{suffix}", moving_picture(3), audio=noise(1))

        boxes = top_level_boxes(path)

        assert boxes.index("moov") < boxes.index("mdat")

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    def test_metadata_comes_back_with_every_character(self, tmp_path: Path, suffix: str) -> None:
        metadata: dict[str, object] = {"prompt": 'l\'été à 日本 🎬\n"cut"', "seed": 2**63, "loras": [], "crf": None}

        path = write_clip(tmp_path / f"clip{suffix}", moving_picture(1), metadata=metadata)

        assert probe_clip(path).metadata == metadata

    def test_a_relative_name_with_a_colon_is_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if os.name == "nt":
            pytest.skip("Windows does not allow colons in names")
        monkeypatch.chdir(tmp_path)

        write_clip(Path("http:take.mp4"), moving_picture(1))

        assert probe_clip(tmp_path / "http:take.mp4").frames == 1


class TestSound:
    @pytest.mark.parametrize("seconds", [0.1, 5.0], ids=["too short", "too long"])
    @pytest.mark.parametrize("suffix", [".mp4", ".mov"])
    def test_sound_is_exactly_as_long_as_the_picture(self, tmp_path: Path, seconds: float, suffix: str) -> None:
        path = write_clip(tmp_path / f"clip{suffix}", moving_picture(50), frame_rate=NTSC_FILM, audio=noise(seconds))

        durations_s = stream_durations_s(path)

        assert durations_s["audio"] == pytest.approx(durations_s["video"], abs=1e-4)
        assert read_audio(path).num_samples == 100_100  # 50 frames of 2002 samples

    def test_padding_is_silent(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", moving_picture(24), audio=noise(0.5))

        samples = read_audio(path).samples

        assert np.abs(samples[:, :20_000]).max() > 0.2
        assert np.abs(samples[:, 27_000:]).max() < 1e-3

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_mono_at_another_rate_keeps_its_place_in_time(self, tmp_path: Path, suffix: str) -> None:
        click = np.zeros((1, 44_100), np.float32)
        click[0, 22_050] = 1

        path = write_clip(tmp_path / f"clip{suffix}", moving_picture(24), audio=SoundClip(click, 44_100))

        sound = read_audio(path)
        assert (sound.sample_rate, sound.num_channels) == (48_000, 2)
        assert np.abs(np.abs(sound.samples).argmax(axis=1) - 24_000).max() <= 1

    def test_without_sound_there_is_no_sound_track(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", moving_picture(3), audio=None)

        facts = probe_clip(path)

        assert (facts.audio_sample_rate, facts.audio_channels) == (None, None)

    @pytest.mark.parametrize(("frames_per_second", "seconds", "largest_gap_s"), [(24, 12, 1), (1, 40, 3)])
    def test_picture_and_sound_are_interleaved(
        self, tmp_path: Path, frames_per_second: int, seconds: int, largest_gap_s: int
    ) -> None:
        path = write_clip(
            tmp_path / "clip.mp4",
            moving_picture(seconds * frames_per_second, Size(16, 16)),
            frame_rate=FrameRate(Fraction(frames_per_second)),
            audio=noise(seconds),
        )

        with av.open(str(path)) as container:
            packets = [
                (packet.pos, packet.stream.type, float(packet.dts * packet.time_base))
                for packet in container.demux()
                if packet.pos is not None and packet.dts is not None
            ]
        latest_s: dict[str, float] = {}
        for _, stream, time_s in sorted(packets):  # in the order of the file, not the demuxer's
            latest_s[stream] = time_s
            if len(latest_s) == 2:
                assert abs(latest_s["video"] - latest_s["audio"]) < largest_gap_s  # 3 s is three frames


class TestFailure:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, OSError, ValueError])
    def test_an_exception_in_the_middle_leaves_nothing(self, tmp_path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error):
            write_until(error, tmp_path / "clip.mp4")

        assert list(tmp_path.iterdir()) == []

    def test_closing_a_generator_that_writes_leaves_nothing(self, tmp_path: Path) -> None:
        def run() -> Iterator[None]:
            with ClipWriter(tmp_path / "clip.mp4", size=SMALL, frame_rate=RATE_24) as writer:
                while True:
                    writer.write(moving_picture(2))
                    yield

        steps = run()
        next(steps)
        next(steps)
        steps.close()  # type: ignore[attr-defined]

        assert list(tmp_path.iterdir()) == []

    def test_an_older_file_stays_until_the_new_one_is_complete(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"older")

        with ClipWriter(path, size=SMALL, frame_rate=RATE_24) as writer:
            writer.write(moving_picture(2))
            while_writing = path.read_bytes()

        assert while_writing == b"older"
        assert probe_clip(path).frames == 2
        assert list(tmp_path.iterdir()) == [path]

    def test_an_older_file_survives_a_failure(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"older")

        with pytest.raises(RuntimeError):
            write_until(RuntimeError, path)

        assert path.read_bytes() == b"older"
        assert list(tmp_path.iterdir()) == [path]

    def test_an_encoder_error_surfaces_on_a_later_write(self, tmp_path: Path) -> None:
        num_written = 0

        def write_on() -> None:
            nonlocal num_written
            with ClipWriter(tmp_path / "clip.mp4", size=SMALL, frame_rate=RATE_24, video_encoding=BROKEN) as writer:
                while num_written < 10:
                    writer.write(moving_picture(1))
                    num_written += 1

        with pytest.raises(MediaError, match=r"clip\.mp4"):
            write_on()

        assert num_written <= 2  # one chunk encoding, one waiting, then the error
        assert list(tmp_path.iterdir()) == []

    def test_an_encoder_error_that_was_swallowed_still_prevents_a_clip_with_a_hole(self, tmp_path: Path) -> None:
        def swallow() -> None:
            with ClipWriter(tmp_path / "clip.mp4", size=SMALL, frame_rate=RATE_24, video_encoding=BROKEN) as writer:
                for _ in range(5):
                    with suppress(MediaError):
                        writer.write(moving_picture(1))

        with pytest.raises(MediaError):
            swallow()

        assert list(tmp_path.iterdir()) == []

    def test_an_encoder_error_surfaces_on_close(self, tmp_path: Path) -> None:
        with (
            pytest.raises(MediaError),
            ClipWriter(tmp_path / "clip.mp4", size=SMALL, frame_rate=RATE_24, video_encoding=BROKEN) as writer,
        ):
            writer.write(moving_picture(1))

        assert list(tmp_path.iterdir()) == []

    def test_an_odd_size_is_refused_before_work(self, tmp_path: Path) -> None:
        with (
            pytest.raises(RequestError) as caught,
            ClipWriter(tmp_path / "clip.mp4", size=Size(33, 32), frame_rate=RATE_24),
        ):
            pass

        assert caught.value.field == "size"

    def test_the_file_gets_the_usual_permissions(self, tmp_path: Path) -> None:
        usual = tmp_path / "usual"
        usual.touch()

        path = write_clip(tmp_path / "clip.mp4", moving_picture(1))

        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


FILL_THE_DISK = """
    import sys
    from fractions import Fraction
    from pathlib import Path
    import numpy as np
    from engine.errors import StorageFull
    from engine.media.write import ClipWriter, write_wav
    from engine.types import FrameRate, Size

    folder = Path(sys.argv[1])
    {limit}
    (folder / "clip.mp4").write_bytes(b"older")
    frames = np.random.default_rng(0).integers(0, 256, (300, 64, 96, 3), dtype=np.uint8)  # some 1.1 MB encoded
    refused = []
    try:
        with ClipWriter(folder / "clip.mp4", size=Size(96, 64), frame_rate=FrameRate(Fraction(24))) as writer:
            for start in range(0, 300, 50):
                writer.write(frames[start : start + 50])
    except StorageFull:
        refused.append("clip")
    try:
        write_wav(folder / "sound.wav", np.zeros((2, 300_000), np.float32), 48_000)
    except StorageFull:
        refused.append("sound")
    left = {{path.name: path.read_bytes() for path in folder.iterdir()}}
    assert refused == ["clip", "sound"], refused
    assert left == {{"clip.mp4": b"older"}}, left.keys()
"""


class TestDiskFull:
    @pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a process's files")
    def test_reaching_the_largest_possible_file_is_reported_and_leaves_nothing(self, tmp_path: Path) -> None:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
        script = textwrap.dedent(FILL_THE_DISK).format(limit=limit)

        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr

    @pytest.mark.skipif(sys.platform != "linux", reason="a small disk of one's own needs Linux namespaces")
    def test_a_full_disk_is_reported_and_leaves_nothing(self, tmp_path: Path) -> None:
        own_disk = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        mount = f"mount -t tmpfs -o size=1m none '{tmp_path}'"
        if subprocess.run([*own_disk, mount], capture_output=True, check=False).returncode != 0:
            pytest.skip("this system does not let us mount a small disk")
        script = textwrap.dedent(FILL_THE_DISK).format(limit="")

        done = subprocess.run(
            [*own_disk, f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr


class TestDestination:
    @pytest.mark.parametrize("name", ["clip.mp4", "CLIP.MOV", "clip.mkv", "sound.wav"])
    def test_a_good_destination_passes_and_is_not_created(self, tmp_path: Path, name: str) -> None:
        check_writable(tmp_path / name)

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["clip", "clip.avi", "clip.mp4.txt", "missing/clip.mp4", "folder.mp4"])
    def test_a_bad_destination_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "folder.mp4").mkdir()

        with pytest.raises(RequestError) as caught:
            check_writable(tmp_path / name)

        assert caught.value.field == "output"
        assert caught.value.remedy

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder where even root cannot create a file")
    def test_a_folder_that_refuses_files_is_refused(self) -> None:
        with pytest.raises(RequestError, match="cannot be written"):
            check_writable("/proc/clip.mp4")

    def test_a_clip_is_not_written_as_sound(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError), ClipWriter(tmp_path / "clip.wav", size=SMALL, frame_rate=RATE_24):
            pass


class TestWav:
    def test_samples_are_rounded_and_clipped_to_16_bits(self, tmp_path: Path) -> None:
        samples = np.array([[0, 1.6 / 32768, 1, -2], [0.5, -1.4 / 32768, 2, -1]], np.float32)

        write_wav(tmp_path / "sound.wav", samples, 44_100)

        with wave.open(str(tmp_path / "sound.wav")) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 44_100)
            levels = np.frombuffer(file.readframes(4), "<i2").reshape(4, 2).T
        np.testing.assert_array_equal(levels, [[0, 2, 32767, -32768], [16384, -1, 32767, -32768]])

    def test_sound_that_came_from_16_bits_goes_back_unchanged(self, tmp_path: Path) -> None:
        levels = np.random.default_rng(0).integers(-32768, 32768, (2, 1000))
        samples = (levels / 32768).astype(np.float32)

        write_wav(tmp_path / "sound.wav", samples, 48_000)

        np.testing.assert_array_equal(read_audio(tmp_path / "sound.wav").samples, samples)
