"""The toy world's sound: every sound follows from what is seen, unless the prompt asks for another.

Stereo float32 at 48 kHz, always within -1..1. Frame f is shown from f/24 s, which is sample 2000 f: a thud
starts exactly on its contact frame.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.toyworld_law import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    FloatArray,
    MovingObject,
    Scene,
    screen_track,
)
from engine.training.toyworld_voice import speak

LOW_TONE_HZ: Final = 220.0
STEADY_TONE_HZ: Final = 440.0
HIGH_TONE_HZ: Final = 880.0
THUD_S: Final = 0.08

_STEADY_LEVEL: Final = 0.12
_TONE_LEVEL: Final = 0.22
_WHOOSH_RMS: Final = 0.11
_THUD_LEVEL: Final = 0.8
_FADE_S: Final = 0.02


def pitch_at_height(y: FloatArray) -> FloatArray:
    """The tone of an object at `y` of the frame's height: 220 Hz at the bottom (1), 880 Hz at the top (0), log."""
    return LOW_TONE_HZ * (HIGH_TONE_HZ / LOW_TONE_HZ) ** (1 - y)


def scene_sound(scene: Scene, rng: np.random.Generator) -> FloatArray:
    """The clip's sound: (2, N), N = 2000 samples for each frame."""
    match scene.sound:
        case "with no sound":
            return np.zeros((2, scene.num_samples), np.float32)
        case "with a low tone":
            return _centred(_tone(np.full(scene.num_samples, LOW_TONE_HZ), _TONE_LEVEL))
        case "with a high tone":
            return _centred(_tone(np.full(scene.num_samples, HIGH_TONE_HZ), _TONE_LEVEL))
        case "by cause":
            pass
    if scene.face is not None:
        return _centred(speak(scene.face, scene.num_samples, rng))
    sound = np.zeros((2, scene.num_samples), np.float32)
    for item in scene.objects:
        if not item.makes_steady_tone:
            sound += _moving_sound(scene, item, rng)
    if any(item.makes_steady_tone for item in scene.objects):
        sound += _centred(_tone(np.full(scene.num_samples, STEADY_TONE_HZ), _STEADY_LEVEL))
    return sound.clip(-1, 1)  # two thuds may fall together


def _moving_sound(scene: Scene, item: MovingObject, rng: np.random.Generator) -> FloatArray:
    track = screen_track(scene, item)
    match item.motion:
        case "moves up" | "moves down":
            pitch_hz = pitch_at_height(track.y_px / scene.size.height)
            return _centred(_tone(_per_sample(pitch_hz), _TONE_LEVEL))
        case "moves left" | "moves right":
            return _whoosh(_per_sample(track.x_px / scene.size.width), rng)
        case _:
            return _centred(_thuds(item.contact_frames(scene.frames), scene.num_samples, rng))


def _tone(frequency_hz: NDArray[np.float64], level: float) -> FloatArray:
    """A sine whose frequency is given at every sample, faded at both ends."""
    phase = 2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE_HZ
    return (level * np.sin(phase) * _fades(len(phase))).astype(np.float32)


def _thuds(contact_frames: tuple[int, ...], num_samples: int, rng: np.random.Generator) -> FloatArray:
    """At each contact a burst of 80 ms that falls from 170 to 75 Hz with a little dull noise."""
    num_burst = round(THUD_S * SAMPLE_RATE_HZ)
    time_s = np.arange(num_burst) / SAMPLE_RATE_HZ
    frequency_hz = 75 + 95 * np.exp(-time_s / 0.02)
    body = np.sin(2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE_HZ)
    shape = (1 - np.exp(-time_s / 0.001)) * np.exp(-time_s / 0.03) * np.clip((THUD_S - time_s) / 0.015, 0, 1)
    sound = np.zeros(num_samples, np.float32)
    for frame in contact_frames:
        noise = np.convolve(rng.standard_normal(num_burst), np.ones(96) / np.sqrt(96), mode="same")
        burst = _THUD_LEVEL * shape * (0.9 * body + 0.1 * noise.clip(-1, 1))
        start = frame * SAMPLES_PER_FRAME
        stop = min(start + num_burst, num_samples)
        sound[start:stop] += burst[: stop - start]
    return sound


def _whoosh(x: NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
    """Air: noise around 900 Hz that swells and ebbs, panned with equal power from x = 0 (left) to 1 (right)."""
    spectrum = np.fft.rfft(rng.standard_normal(len(x)))
    frequency_hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(frequency_hz, 1.0) / 900)
    noise = np.fft.irfft(spectrum * np.exp(-0.5 * (octaves / 0.8) ** 2), len(x))
    noise *= _WHOOSH_RMS / np.sqrt(np.mean(noise**2))
    swell = 0.4 + 0.6 * np.sin(np.pi * np.linspace(0, 1, len(x))) ** 2
    mono = noise * swell * _fades(len(x))
    angle = x.clip(0, 1) * (np.pi / 2)
    return np.stack([mono * np.cos(angle), mono * np.sin(angle)]).astype(np.float32)


def _per_sample(per_frame: FloatArray) -> NDArray[np.float64]:
    """Linear between frames; the last frame's value is held while it is shown."""
    samples = np.arange(len(per_frame) * SAMPLES_PER_FRAME) / SAMPLES_PER_FRAME
    return np.interp(samples, np.arange(len(per_frame)), per_frame)


def _fades(num_samples: int) -> FloatArray:
    num_fade = round(_FADE_S * SAMPLE_RATE_HZ)
    gain = np.ones(num_samples, np.float32)
    ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(num_fade) / num_fade)).astype(np.float32)
    gain[:num_fade] = ramp
    gain[-num_fade:] = ramp[::-1]
    return gain


def _centred(mono: FloatArray) -> FloatArray:
    return np.stack([mono, mono])
