"""Reading the toy world's sound back, from samples alone: silence, thuds, tones, whooshes and the voice.

Per-frame values are over the time a frame is on screen, 2000 samples at 48 kHz, so that they line up with what is seen.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.training.toyworld_law import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, FloatArray, Voice
from engine.training.toyworld_voice import VOICE_PITCH_HZ

SoundKind = Literal["silence", "thuds", "tone", "whoosh", "voice"]

_SILENCE_RMS: Final = 0.008  # -42 dBFS; the softest sound of the world, the steady tone, is at -21
_QUIET: Final = 0.12  # of the loudest frame: below it a frame has no pitch and no direction
_PITCH_WINDOW: Final = 2048  # 43 ms, a frame's time: short enough for a tone that glides two octaves in 0.7 s
_PITCH_PADDING: Final = 8  # times the window: 2.9 Hz between bins
_PITCH_RANGE_HZ: Final = (60.0, 2000.0)
_STEP: Final = 240  # 5 ms, of the loudness that onsets are found in
_BURST_S: Final = 0.11  # a thud has died away by then, a syllable or a tone has not
_LOW_BAND_HZ: Final = 300.0
_LEAST_THUD: Final = 0.03  # of full scale; the world's thuds reach 0.5
_LEAST_GAP_S: Final = 0.2  # between two thuds; the law has 0.4 or more
_TONAL: Final = 0.6  # share of a frame's power around its loudest frequency
_COMB_HZ: Final = 12.0  # half width around each harmonic: syllables spread a partial by a few Hz
_VOICED: Final = 0.25  # share of the power on a voice's harmonics, beyond what noise would put there


@dataclass(frozen=True)
class SoundReading:
    """What is heard. Tracks have one value for each frame; pitch and pan are NaN where it is too quiet to tell."""

    kind: SoundKind
    level_dbfs: float  # of the whole clip, RMS; -inf for digital silence
    envelope: FloatArray  # RMS
    pitch_hz: FloatArray  # of the loudest partial
    pan: FloatArray  # 0 left, 1 right, by equal power
    thud_onsets_s: FloatArray  # empty unless the kind is thuds
    voice: Voice | None


def read_sound(audio: FloatArray) -> SoundReading:
    """Read (2, 2000 F) samples at 48 kHz."""
    assert audio.ndim == 2, audio.shape
    assert audio.shape[0] == 2, audio.shape
    mono = audio.mean(axis=0, dtype=np.float64)
    frames = audio.shape[1] // SAMPLES_PER_FRAME
    power = (audio[:, : frames * SAMPLES_PER_FRAME].reshape(2, frames, -1).astype(np.float64) ** 2).mean(axis=2)
    envelope = np.sqrt(power.mean(axis=0))
    rms = float(np.sqrt(power.mean()))
    audible = (envelope > _QUIET * envelope.max()) & (envelope > _SILENCE_RMS)
    pan = np.where(audible, np.arctan2(np.sqrt(power[1]), np.sqrt(power[0])) * 2 / np.pi, np.nan)
    pitch_hz, tonal_shares = _pitch(mono, frames)
    tonal_share = float(np.median(tonal_shares[audible])) if audible.any() else 0.0
    onsets_s = _thud_onsets(mono)
    comb_shares = _comb_shares(mono)
    voice = max(comb_shares, key=lambda name: comb_shares[name])
    kind = _kind(envelope, tonal_share, len(onsets_s), comb_shares[voice])
    return SoundReading(
        kind=kind,
        level_dbfs=20 * float(np.log10(rms)) if rms > 0 else float("-inf"),
        envelope=envelope,
        pitch_hz=np.where(audible, pitch_hz, np.nan),
        pan=pan,
        thud_onsets_s=onsets_s if kind == "thuds" else np.zeros(0),
        voice=voice if kind == "voice" else None,
    )


def _kind(envelope: FloatArray, tonal_share: float, num_thuds: int, comb_share: float) -> SoundKind:
    if envelope.max() < _SILENCE_RMS:
        return "silence"
    if num_thuds > 0:
        return "thuds"
    if tonal_share > _TONAL:
        return "tone"
    return "voice" if comb_share > _VOICED else "whoosh"


def _pitch(mono: NDArray[np.float64], frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The loudest frequency of each frame, and the share of the frame's power that lies around it."""
    margin = (_PITCH_WINDOW - SAMPLES_PER_FRAME) // 2
    padded = np.pad(mono[: frames * SAMPLES_PER_FRAME], margin)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[::SAMPLES_PER_FRAME]
    num_padded = _PITCH_WINDOW * _PITCH_PADDING
    power = np.abs(np.fft.rfft(windows * np.hanning(_PITCH_WINDOW), num_padded)) ** 2
    frequency_hz = np.fft.rfftfreq(num_padded, 1 / SAMPLE_RATE_HZ)
    lowest, highest = np.searchsorted(frequency_hz, _PITCH_RANGE_HZ)
    peak = lowest + power[:, lowest:highest].argmax(axis=1)
    rows = np.arange(frames)
    before, at, after = (np.log(power[rows, peak + step] + 1e-20) for step in (-1, 0, 1))
    # The top of the parabola through the three bins around the peak.
    offset = np.clip(0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-9), -0.5, 0.5)
    pitch_hz = (peak + offset) * (SAMPLE_RATE_HZ / num_padded)
    width_hz = np.maximum(0.1 * pitch_hz, 60)[:, None]  # 60 Hz: the window's own spread
    around = np.abs(frequency_hz - pitch_hz[:, None]) < width_hz
    return pitch_hz, (power * around).sum(axis=1) / np.maximum(power.sum(axis=1), 1e-20)


def _thud_onsets(mono: NDArray[np.float64]) -> NDArray[np.float64]:
    """Starts, in seconds, of short low bursts: quiet before, loud within 30 ms, gone after 110."""
    spectrum = np.fft.rfft(mono)
    spectrum[np.fft.rfftfreq(len(mono), 1 / SAMPLE_RATE_HZ) > _LOW_BAND_HZ] = 0
    low = np.abs(np.fft.irfft(spectrum, len(mono)))
    # Peaks over 15 ms, longer than a period of anything in the world, so that a steady sound has a steady level.
    num_steps = len(low) // _STEP
    peaks = np.pad(low[: num_steps * _STEP].reshape(num_steps, _STEP).max(axis=1), (0, 2))
    level = np.maximum(np.maximum(peaks[:-2], peaks[1:-1]), peaks[2:])
    attack, burst, gap = (round(time_s * SAMPLE_RATE_HZ / _STEP) for time_s in (0.03, _BURST_S, _LEAST_GAP_S))
    threshold = max(0.35 * level.max(), _LEAST_THUD)
    onsets: list[int] = []
    for step in np.flatnonzero((level[1:] > threshold) & (level[:-1] <= threshold)) + 1:
        peak = level[step : step + attack].max()
        after = level[step + burst : step + burst + 4]
        if len(after) == 0 or max(after.mean(), level[max(step - 3, 0)]) > 0.3 * peak:
            continue
        start = int(step) * _STEP
        onset = start + int(np.argmax(low[start : start + attack * _STEP] > 0.2 * peak))
        if not onsets or onset - onsets[-1] >= gap * _STEP:
            onsets.append(onset)
    return np.asarray(onsets) / SAMPLE_RATE_HZ


def _comb_shares(mono: NDArray[np.float64]) -> dict[Voice, float]:
    """For each voice, the share of the power up to 4 kHz on its harmonics, less what noise would put there."""
    power = np.abs(np.fft.rfft(mono)) ** 2
    frequency_hz = np.fft.rfftfreq(len(mono), 1 / SAMPLE_RATE_HZ)
    heard = (frequency_hz > 60) & (frequency_hz < 4000)
    power, frequency_hz = power[heard], frequency_hz[heard]
    shares: dict[Voice, float] = {}
    for voice, pitch_hz in VOICE_PITCH_HZ.items():
        away = np.abs((frequency_hz + pitch_hz / 2) % pitch_hz - pitch_hz / 2)
        share = float(power[away < _COMB_HZ].sum() / max(power.sum(), 1e-20))
        shares[voice] = share - 2 * _COMB_HZ / pitch_hz
    return shares
