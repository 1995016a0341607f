"""`pytest tests/engine/media/test_media_audio.py`"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.media.audio import SoundClip


def sine(*, hertz: float, sample_rate: int, seconds: float = 1.0, channels: int = 1) -> SoundClip:
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = (0.5 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)
    return SoundClip(np.tile(wave, (channels, 1)), sample_rate)


def decibels(signal: np.ndarray, reference: np.ndarray) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(signal**2)) / np.sqrt(np.mean(reference**2))))


def test_the_duration_is_samples_over_rate() -> None:
    assert SoundClip(np.zeros((2, 12_000), np.float32), 48_000).duration_s == 0.25


def test_mono_goes_to_both_sides_at_full_level() -> None:
    clip = SoundClip(np.array([[0.5, -0.25]], np.float32), 48_000)

    stereo = clip.to_stereo()

    np.testing.assert_array_equal(stereo.samples, [[0.5, -0.25], [0.5, -0.25]])


def test_stereo_stays_what_it_is() -> None:
    clip = SoundClip(np.zeros((2, 3), np.float32), 48_000)

    assert clip.to_stereo() is clip


@given(num_samples=st.integers(0, 50), wanted=st.integers(0, 60))
def test_fitting_cuts_the_end_or_appends_silence(num_samples: int, wanted: int) -> None:
    clip = SoundClip(np.ones((2, num_samples), np.float32), 48_000)

    fitted = clip.fitted(wanted)

    assert fitted.num_samples == wanted
    assert fitted.samples.sum() == 2 * min(num_samples, wanted)
    assert not fitted.samples[:, num_samples:].any()


@pytest.mark.parametrize(
    ("source_rate", "target_rate"), [(44_100, 48_000), (48_000, 16_000), (16_000, 48_000), (48_000, 44_100)]
)
def test_a_resampled_sine_is_the_same_sine_at_the_same_time(source_rate: int, target_rate: int) -> None:
    expected = sine(hertz=7_500, sample_rate=target_rate)

    resampled = sine(hertz=7_500, sample_rate=source_rate).resampled(target_rate)

    inner = slice(target_rate // 10, -target_rate // 10)  # away from the ends, where the filter sees silence
    error = (resampled.samples - expected.samples)[0, inner]
    assert decibels(error, expected.samples[0, inner]) < -70  # measured -76 dB at worst


def test_sound_the_lower_rate_cannot_hold_does_not_fold_back() -> None:
    clip = sine(hertz=9_000, sample_rate=48_000)

    resampled = clip.resampled(16_000)

    assert decibels(resampled.samples[0, 500:-500], clip.samples[0]) < -90  # measured -100 dB


@settings(max_examples=40, deadline=None)
@given(
    num_samples=st.integers(0, 3_000),
    source_rate=st.sampled_from([8_000, 22_050, 44_100, 48_000]),
    target_rate=st.sampled_from([16_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
)
def test_resampling_gives_the_nearest_number_of_samples(
    num_samples: int, source_rate: int, target_rate: int, channels: int
) -> None:
    clip = SoundClip(np.zeros((channels, num_samples), np.float32), source_rate)

    resampled = clip.resampled(target_rate)

    assert resampled.sample_rate == target_rate
    assert resampled.num_channels == channels
    assert abs(resampled.num_samples - num_samples * target_rate / source_rate) <= 0.5


def test_the_same_rate_changes_nothing() -> None:
    clip = sine(hertz=440, sample_rate=48_000, seconds=0.1)

    assert clip.resampled(48_000) is clip
