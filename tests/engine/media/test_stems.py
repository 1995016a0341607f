"""A voice apart from its background, measured on sounds that are known apart.

Alone: `pytest tests/engine/media/test_stems.py`.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.media.audio import SoundClip
from engine.media.stems import split_voice

RATE = 48_000
TIMES_S = np.arange(3 * RATE) / RATE
Sound = NDArray[np.float64]


def voice() -> Sound:
    """Syllables with a gliding pitch and pauses, in the middle."""
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * TIMES_S)) / RATE
    harmonics = np.stack([np.sin(number * phase) / number for number in range(1, 25)]).sum(axis=0)
    syllables = np.sqrt(np.clip(np.sin(2 * np.pi * 2.1 * TIMES_S), 0, 1))
    return np.stack([0.12 * harmonics * syllables] * 2)


def wide_noise() -> Sound:
    return 0.05 * np.random.default_rng(0).standard_normal((2, len(TIMES_S)))


def wide_music() -> Sound:
    """A chord on each side, of which each comes and goes by itself."""
    rng = np.random.default_rng(1)
    sides: list[Sound] = []
    for offset in (0, 2):
        tones = [0.03 * np.sin(2 * np.pi * pitch * TIMES_S + rng.uniform(0, 6)) for pitch in (220, 277, 330, 440)]
        sides.append(np.stack(tones).sum(axis=0) * (np.sin(2 * np.pi * 1.3 * TIMES_S + offset) > 0))
    return np.stack(sides)


def steady() -> Sound:
    hum = 0.03 * np.sin(2 * np.pi * 100 * TIMES_S) + 0.01 * np.random.default_rng(2).standard_normal(len(TIMES_S))
    return np.stack([hum, hum])


def decibels(signal: Sound, error: Sound) -> float:
    return float(10 * np.log10((signal**2).sum() / (error**2).sum()))


@pytest.mark.parametrize(
    ("background", "least_kept_db", "least_gone_db"),
    [(wide_noise(), 13, 15), (wide_music(), 14, 20), (steady(), 5, 13)],
    ids=["wide noise", "wide music", "steady"],
)
def test_the_background_stays_and_the_voice_goes(background: Sound, least_kept_db: float, least_gone_db: float) -> None:
    """Kept: the background over what is wrong in it. Gone: the voice over what is left of it."""
    mixed = SoundClip((voice() + background).astype(np.float32), RATE)

    stems = split_voice(mixed)

    error = stems.background.samples - background
    assert decibels(background, error) > least_kept_db
    assert decibels(voice(), error) > least_gone_db


def test_both_stems_add_up_to_the_original() -> None:
    mixed = SoundClip((voice() + wide_noise()).astype(np.float32), RATE)

    stems = split_voice(mixed)

    assert np.abs(stems.voice.samples + stems.background.samples - mixed.samples).max() < 1e-6


def test_a_voice_alone_is_all_voice() -> None:
    stems = split_voice(SoundClip(voice().astype(np.float32), RATE))

    assert decibels(voice(), stems.background.samples.astype(np.float64)) > 30


def test_a_long_sound_in_pieces_has_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = SoundClip((voice() + wide_noise()).astype(np.float32), RATE)
    whole = split_voice(mixed)
    for piece_s in (2, 1):
        monkeypatch.setattr("engine.media.stems._PIECE_S", piece_s)
        monkeypatch.setattr("engine.media.stems._OVERLAP_S", piece_s / 4)
        pieces = split_voice(mixed)

        difference = pieces.voice.samples - whole.voice.samples
        assert decibels(whole.voice.samples.astype(np.float64), difference.astype(np.float64)) > 10
        steps = np.abs(np.diff(pieces.background.samples.astype(np.float64), axis=1)).max()
        assert steps < 1.2 * np.abs(np.diff(whole.background.samples.astype(np.float64), axis=1)).max()


@pytest.mark.parametrize(("channels", "num_samples"), [(1, RATE), (2, 100), (2, 0)])
def test_mono_short_and_empty_sounds_come_back_stereo_and_as_long(channels: int, num_samples: int) -> None:
    stems = split_voice(SoundClip(np.full((channels, num_samples), 0.1, np.float32), RATE))

    assert stems.voice.samples.shape == stems.background.samples.shape == (2, num_samples)
    assert np.isfinite(stems.voice.samples).all()
