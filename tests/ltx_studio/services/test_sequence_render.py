"""Sequences as frames and samples. Alone: `pytest tests/ltx_studio/services/test_sequence_render.py`."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError, RequestError
from engine.media.audio import SoundClip
from engine.media.master import master
from engine.media.read import probe_clip, read_audio, read_frames
from engine.types import FrameRange, FrameRate, Size
from ltx_studio.domain.timeline import Clip, Media, Take, Timeline, Track, TrackKind
from ltx_studio.services.sequence_render import (
    SAMPLE_RATE,
    SequenceSound,
    fitted,
    render,
    sequence_frames,
    sequence_size,
)

SMALL = Size(64, 32)
FILM, PAL, NTSC = FrameRate(Fraction(24000, 1001)), FrameRate(Fraction(25)), FrameRate(Fraction(30000, 1001))


def numbered(path: Path, num_frames: int, rate: FrameRate, *, size: Size = SMALL, seed: int = 0) -> Media:
    """A clip of noise whose every frame and sample is unlike any other."""
    chance = np.random.default_rng(seed)
    num_samples = round(num_frames / rate.value * SAMPLE_RATE)
    sound = SoundClip(chance.uniform(-0.4, 0.4, (2, num_samples)).astype(np.float32), SAMPLE_RATE)
    with master(path, size=size, frame_rate=rate, sample_rate=SAMPLE_RATE) as writer:
        for number in range(num_frames):
            frame = chance.integers(0, 256, (size.height, size.width, 3), np.uint8)
            frame[0, 0] = number
            writer.write(frame)
        writer.write_sound(sound)
    return Media(path, num_frames / rate.value, rate, size)


def clip(number: int, media: Media, start: int, length: int, **values: object) -> Clip:
    source_start = values.pop("source_start", Fraction(0))
    return Clip(number, media.path.stem, start, length, source_start, (Take(media),), **values)  # pyright: ignore[reportArgumentType]


def timeline(rate: FrameRate, pictures: list[Clip], sounds: list[Clip], *more: Track) -> Timeline:
    tracks = (Track(1, TrackKind.PICTURE, "V1", tuple(pictures)), Track(2, TrackKind.SOUND, "A1", tuple(sounds)), *more)
    return Timeline(rate, tracks, next_id=100)


@pytest.fixture
def mixed(tmp_path: Path) -> Timeline:
    """Clips of three rates and two sizes with gaps in a sequence of 25 frames a second, picture and sound."""
    film = numbered(tmp_path / "film.mkv", 48, FILM, seed=1)
    fast = numbered(tmp_path / "fast.mkv", 60, NTSC, seed=2)
    tall = numbered(tmp_path / "tall.mkv", 20, PAL, size=Size(30, 50), seed=3)
    pictures = [
        clip(10, film, 3, 20, source_start=Fraction(1001, 24000) * 5),
        clip(11, fast, 23, 17, source_start=Fraction(1, 3)),
        clip(12, tall, 45, 10),
    ]
    sounds = [
        clip(20, film, 3, 20, source_start=Fraction(1001, 24000) * 5, gain_db=-6.0),
        clip(21, fast, 23, 17, source_start=Fraction(1, 3)),
    ]
    return timeline(PAL, pictures, sounds)


def exported(sequence: Timeline, output: Path, size: Size = SMALL) -> list[float]:
    return [event.fraction for event in render(sequence, output, size=size)]


def test_the_exported_master_holds_the_very_frames_and_samples_of_the_preview(mixed: Timeline, tmp_path: Path) -> None:
    fractions = exported(mixed, tmp_path / "out.mkv")

    shown, written = list(sequence_frames(mixed, size=SMALL)), list(read_frames(tmp_path / "out.mkv"))
    assert len(written) == len(shown) == mixed.length == 55
    assert all(np.array_equal(one, other) for one, other in zip(shown, written, strict=True))
    heard, stored = SequenceSound(mixed).frames(0, 55), read_audio(tmp_path / "out.mkv")
    assert np.array_equal(heard.samples, stored.samples)
    assert stored.num_samples == 55 * SAMPLE_RATE // 25
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)


def test_at_every_cut_the_first_and_last_frames_are_the_right_ones(mixed: Timeline) -> None:
    shown = list(sequence_frames(mixed, size=SMALL))

    for one in mixed.tracks[0].clips[:2]:  # those of the sequence's size, which keep their marked pixel
        frames = list(read_frames(one.media.path))
        for frame in range(one.start, one.stop):
            assert np.array_equal(shown[frame], frames[one.media_frame(frame, PAL)]), frame
    for gap in (*range(3), *range(40, 45)):
        assert not shown[gap].any()


@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30000/1001", "50", "60000/1001"])
def test_a_clip_of_the_sequences_rate_is_shown_frame_by_frame(tmp_path: Path, rate: str) -> None:
    frame_rate = FrameRate(Fraction(rate))
    media = numbered(tmp_path / "clip.mkv", 40, frame_rate)
    one = clip(10, media, 2, 30, source_start=7 / frame_rate.value)

    exported(timeline(frame_rate, [one], [one_sound(one)]), tmp_path / "out.mkv")

    numbers = [int(frame[0, 0, 0]) for frame in read_frames(tmp_path / "out.mkv")]
    assert numbers == [0, 0, *range(7, 37)]
    assert probe_clip(tmp_path / "out.mkv").frame_rate == frame_rate
    heard, whole = read_audio(tmp_path / "out.mkv").samples, read_audio(media.path).samples
    begins, source = (round(frame / frame_rate.value * SAMPLE_RATE) for frame in (2, 7))
    assert not heard[:, :begins].any()
    assert np.array_equal(heard[:, begins:], whole[:, source : source + heard.shape[1] - begins])


def one_sound(one: Clip) -> Clip:
    return replace(one, id=one.id + 50)


def test_a_range_is_that_part_of_the_whole(mixed: Timeline) -> None:
    whole = list(sequence_frames(mixed, size=SMALL))
    sound = SequenceSound(mixed)

    for start, stop in [(0, 1), (3, 4), (22, 24), (30, 50), (54, 55)]:
        part = list(sequence_frames(mixed, size=SMALL, frames=FrameRange(start, stop)))
        assert all(np.array_equal(one, other) for one, other in zip(part, whole[start:stop], strict=True))
        samples = sound.frames(start, stop).samples
        assert np.array_equal(samples, sound.frames(0, 55).samples[:, sound.sample_at(start) : sound.sample_at(stop)])


def test_the_chosen_take_is_shown_and_heard_at_its_offset(tmp_path: Path) -> None:
    first, second = numbered(tmp_path / "1.mkv", 20, PAL, seed=1), numbered(tmp_path / "2.mkv", 40, PAL, seed=2)
    takes = (Take(first), Take(second, offset=Fraction(8, 25)))
    picture, sound = (Clip(number, "shot", 0, 10, Fraction(2, 25), takes, chosen=1) for number in (10, 11))
    sequence = timeline(PAL, [picture], [sound])

    frames = list(sequence_frames(sequence, size=SMALL))

    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(10, 20))
    begins = 10 * SAMPLE_RATE // 25
    expected = read_audio(second.path).samples[:, begins : begins + 10 * SAMPLE_RATE // 25]
    assert np.array_equal(SequenceSound(sequence).frames(0, 10).samples, expected)


def test_the_upper_picture_hides_the_lower_and_muted_tracks_are_neither_seen_nor_heard(tmp_path: Path) -> None:
    one, two = numbered(tmp_path / "1.mkv", 10, PAL, seed=1), numbered(tmp_path / "2.mkv", 10, PAL, seed=2)
    upper = Track(3, TrackKind.PICTURE, "V2", (clip(30, two, 4, 3),))
    lower = Track(1, TrackKind.PICTURE, "V1", (clip(10, one, 0, 10),))
    quiet = Track(4, TrackKind.SOUND, "A2", (clip(40, two, 0, 10),), is_muted=True)
    sequence = Timeline(PAL, (upper, lower, quiet), next_id=100)

    frames = list(sequence_frames(sequence, size=SMALL))

    assert np.array_equal(frames[4], next(read_frames(two.path)))
    assert np.array_equal(frames[7], list(read_frames(one.path))[7])
    assert SequenceSound(sequence).is_silent
    hidden = replace(sequence, tracks=(replace(upper, is_muted=True), lower, quiet))
    assert np.array_equal(list(sequence_frames(hidden, size=SMALL))[4], list(read_frames(one.path))[4])


def test_sounds_of_several_tracks_are_added_by_their_gains(tmp_path: Path) -> None:
    one, two = numbered(tmp_path / "1.mkv", 10, PAL, seed=1), numbered(tmp_path / "2.mkv", 10, PAL, seed=2)
    other = Track(4, TrackKind.SOUND, "A2", (clip(40, two, 0, 10, gain_db=-20.0),))
    sequence = timeline(PAL, [], [clip(20, one, 0, 10, gain_db=6.0)], other)

    heard = SequenceSound(sequence).frames(0, 10).samples

    expected = read_audio(one.path).samples * 10 ** (6 / 20) + read_audio(two.path).samples * 0.1
    assert np.abs(heard - expected).max() < 1e-6


def test_another_shape_is_seen_whole_in_the_middle_of_black() -> None:
    white = np.full((50, 30, 3), 255, np.uint8)

    frame = fitted(white, SMALL)

    columns = np.flatnonzero(frame.max(axis=(0, 2)))
    assert (columns[0], columns[-1]) == (22, 40)  # 19 of 64 wide: 30 by 50 scaled to 32 high
    assert (frame[:, 22:41] == 255).all()


def test_the_size_of_a_sequence_is_that_of_its_first_picture_in_even_numbers(mixed: Timeline, tmp_path: Path) -> None:
    odd = Media(tmp_path / "odd.mkv", Fraction(1), PAL, Size(641, 361))

    assert sequence_size(mixed) == SMALL
    assert sequence_size(timeline(PAL, [clip(10, odd, 0, 5)], [])) == Size(640, 360)


def test_a_clip_that_is_shorter_than_it_said_holds_its_last_frame(tmp_path: Path) -> None:
    media = replace(numbered(tmp_path / "clip.mkv", 10, PAL), duration=Fraction(20, 25))

    frames = list(sequence_frames(timeline(PAL, [clip(10, media, 0, 15)], []), size=SMALL))
    late = timeline(PAL, [clip(10, media, 0, 3, source_start=Fraction(14, 25))], [])

    assert [int(frame[0, 0, 0]) for frame in frames] == [*range(10), 9, 9, 9, 9, 9]
    assert [int(frame[0, 0, 0]) for frame in sequence_frames(late, size=SMALL)] == [9, 9, 9]


def test_a_film_for_others_is_as_long_and_close_to_the_preview(mixed: Timeline, tmp_path: Path) -> None:
    exported(mixed, tmp_path / "out.mp4")

    facts = probe_clip(tmp_path / "out.mp4")
    assert (facts.frames, facts.frame_rate, facts.size) == (55, PAL, SMALL)
    assert facts.audio_sample_rate == SAMPLE_RATE


def test_a_missing_file_is_named_before_anything_is_written(mixed: Timeline, tmp_path: Path) -> None:
    (tmp_path / "fast.mkv").unlink()

    with pytest.raises(MediaError, match=r"fast\.mkv.*not there"):
        exported(mixed, tmp_path / "out.mkv")

    assert not (tmp_path / "out.mkv").exists()


def test_stopping_leaves_nothing_behind(mixed: Timeline, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())

    work = render(mixed, tmp_path / "out.mkv", size=SMALL)
    next(work)
    work.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing to export"):
        exported(timeline(PAL, [], []), tmp_path / "out.mkv")
