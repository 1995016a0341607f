"""The toy world's voice: syllables with an envelope that the mouth follows, over a two-formant buzz.

The sound is the envelope times a carrier of constant loudness, so a mouth that opens with the envelope is in
step with what is heard by construction.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from engine.training.toyworld_law import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Face,
    FloatArray,
    Syllable,
    Voice,
)

VOICE_PITCH_HZ: Final[dict[Voice, float]] = {"low": 120.0, "high": 220.0}
LOUDEST_RMS: Final = 0.16  # leaves the buzz's peaks below full scale

# First and second formant of each vowel and of the nasal, in Hz: textbook values of an adult, rounded.
_FORMANTS_HZ: Final = {"a": (750, 1250), "o": (480, 900), "i": (300, 2250), "u": (320, 750), "m": (250, 1000)}
# Open vowels are louder, as in speech: with the mouth following the envelope they are also more open.
_VOWEL_PEAK: Final = {"a": 1.0, "o": 0.85, "i": 0.65, "u": 0.6}
_SOFT_CONSONANTS: Final = "ml"
_BREATHY_CONSONANTS: Final = "tk"
_SOFT_ATTACK_S: Final = 0.06
_STOP_ATTACK_S: Final = 0.025
_RELEASE_S: Final = 0.10
_SOUNDING_PART: Final = 0.88  # of a syllable's period; then silence, so that the mouth closes
_BREATH_S: Final = 0.03
_TABLE_LENGTH: Final = 2048


def voice_envelope(face: Face, num_samples: int) -> FloatArray:
    """Loudness of the voice, 0 to 1, at every sample: (num_samples,)."""
    envelope = np.zeros(num_samples, np.float32)
    for start, stop, syllable in _syllable_spans(face, num_samples):
        time_s = np.arange(stop - start, dtype=np.float32) / SAMPLE_RATE_HZ
        attack_s = _SOFT_ATTACK_S if syllable[0] in _SOFT_CONSONANTS else _STOP_ATTACK_S
        length_s = face.syllable_period_s * _SOUNDING_PART
        rise = np.clip(time_s / attack_s, 0, 1)
        fall = np.clip((length_s - time_s) / _RELEASE_S, 0, 1)
        envelope[start:stop] = _VOWEL_PEAK[syllable[1]] * _smooth(rise) * _smooth(fall)
    return envelope


def mouth_opening(face: Face, frames: int) -> FloatArray:
    """The envelope's mean over each frame's time on screen: (frames,)."""
    return voice_envelope(face, frames * SAMPLES_PER_FRAME).reshape(frames, SAMPLES_PER_FRAME).mean(axis=1)


def syllable_per_frame(face: Face, frames: int) -> list[Syllable]:
    """The syllable whose time each frame's middle falls in; the nearest one before the first and after the last."""
    middle_s = (np.arange(frames) + 0.5) * SAMPLES_PER_FRAME / SAMPLE_RATE_HZ
    index = np.floor((middle_s - face.first_syllable_s) / face.syllable_period_s).astype(int)
    return [face.syllables[i] for i in index.clip(0, len(face.syllables) - 1)]


def speak(face: Face, num_samples: int, rng: np.random.Generator) -> FloatArray:
    """The voice, mono: (num_samples,)."""
    carrier = np.zeros(num_samples, np.float32)
    phase = np.arange(num_samples, dtype=np.float64) * (VOICE_PITCH_HZ[face.voice] / SAMPLE_RATE_HZ)
    place = (phase % 1 * _TABLE_LENGTH).astype(np.int64)
    for start, stop, syllable in _syllable_spans(face, num_samples):
        vowel = _wavetable(face.voice, syllable[1])[place[start:stop]]
        time_s = np.arange(stop - start, dtype=np.float32) / SAMPLE_RATE_HZ
        onset_share = 1 - _smooth(np.clip((time_s - 0.02) / 0.04, 0, 1))
        if syllable[0] == "m":
            onset = _wavetable(face.voice, "m")[place[start:stop]]
        elif syllable[0] in _BREATHY_CONSONANTS:
            onset_share = 1 - _smooth(np.clip((time_s - _BREATH_S / 2) / _BREATH_S, 0, 1))
            onset = rng.standard_normal(stop - start, dtype=np.float32)
        else:
            onset = vowel
        carrier[start:stop] = vowel + onset_share * (onset - vowel)
    return LOUDEST_RMS * voice_envelope(face, num_samples) * carrier


def _syllable_spans(face: Face, num_samples: int) -> list[tuple[int, int, Syllable]]:
    spans: list[tuple[int, int, Syllable]] = []
    for index, syllable in enumerate(face.syllables):
        start_s = face.first_syllable_s + index * face.syllable_period_s
        start = round(start_s * SAMPLE_RATE_HZ)
        stop = round((start_s + face.syllable_period_s * _SOUNDING_PART) * SAMPLE_RATE_HZ)
        spans.append((min(start, num_samples), min(stop, num_samples), syllable))
    return spans


@lru_cache
def _wavetable(voice: Voice, sound: str) -> FloatArray:
    """One period of the buzz with unit RMS; Schroeder phases keep its peaks low."""
    pitch_hz = VOICE_PITCH_HZ[voice]
    harmonics = np.arange(1, int(4000 / pitch_hz) + 1)
    frequency_hz = harmonics * pitch_hz
    first_hz, second_hz = _FORMANTS_HZ[sound]
    amplitude = (
        np.exp(-0.5 * ((frequency_hz - first_hz) / 130) ** 2)
        + 0.6 * np.exp(-0.5 * ((frequency_hz - second_hz) / 180) ** 2)
        + 0.25 / harmonics  # the fundamental stays audible whatever the formants
    )
    phases = -np.pi * harmonics * (harmonics - 1) / len(harmonics)
    angle = 2 * np.pi * np.arange(_TABLE_LENGTH)[:, None] / _TABLE_LENGTH * harmonics + phases
    wave = np.sin(angle) @ amplitude
    return (wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def _smooth(value: FloatArray) -> FloatArray:
    """A raised cosine from 0 to 1."""
    return 0.5 - 0.5 * np.cos(np.pi * value)
