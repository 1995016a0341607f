"""Loudness, measured by another meter than the one under test. Alone: `pytest tests/engine/media/test_export_sound.py`.

The other meter is FFmpeg's `loudnorm`, which has an EBU R 128 implementation of its own and reports what came in.
"""

import json
import math
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import av.logging
import numpy as np
import pytest
from av.error import BlockingIOError, EOFError  # noqa: A004 - FFmpeg's, not Python's
from av.filter import Graph

from engine.events import Notice
from engine.media.audio import SoundClip
from engine.media.export import export
from engine.media.export_request import ExportRequest, ExportSettings, Format
from engine.media.export_sound import measure_loudness
from engine.media.read import read_audio
from engine.media.write import write_wav
from tests.fakes.exports import SOUND_RATE, notes_of, result_of, tone

Value = TypeVar("Value")


def driven(work: Generator[None, None, Value]) -> Value:
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


def other_meter(sound: SoundClip) -> tuple[float, float]:
    """Integrated loudness and true peak as `loudnorm` sees its input."""
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=sound.sample_rate, format="fltp", layout="stereo", time_base=Fraction(1, sound.sample_rate)
    )
    meter = graph.add("loudnorm", "print_format=json")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.to_stereo().samples), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = sound.sample_rate, 0
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as lines:
            graph.push(frame)
            graph.push(None)
            while True:
                try:
                    graph.pull()
                except (BlockingIOError, EOFError):
                    break
            del source, meter, sink, graph
    finally:
        av.logging.set_level(level)
    text = "".join(line[2] for line in lines)
    values = json.loads(text[text.index("{") : text.index("}") + 1])
    return float(values["input_i"]), float(values["input_tp"])


def speech_like(seconds: float = 3.2) -> np.ndarray:
    """Loud and soft passages, with sharp peaks that a limiter has to catch."""
    times = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    noise = np.random.default_rng(3)
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * times), 0, 1) ** 2
    voice = sum(np.sin(2 * np.pi * 140 * harmonic * times) / harmonic for harmonic in range(1, 12))
    sound = 0.1 * syllables * voice + 0.003 * noise.standard_normal(times.size)
    sound[:: SOUND_RATE // 2] += 0.5
    return np.stack([sound, 0.8 * sound]).astype(np.float32)


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.5])
def test_a_tone_has_the_loudness_of_the_standard(amplitude: float) -> None:
    level = driven(measure_loudness(SoundClip(tone(3.0, amplitude), SOUND_RATE)))

    # BS.1770: a 997 Hz sine of 0 dBFS on both channels reads -3.01 LUFS + 3.01 dB.
    assert level.integrated_lufs == pytest.approx(20 * math.log10(amplitude), abs=0.1)
    assert level.true_peak_db == pytest.approx(20 * math.log10(amplitude), abs=0.5)


def test_peaks_between_samples_are_seen() -> None:
    times = np.arange(SOUND_RATE)
    sine = np.sin(2 * np.pi * times / 4 + np.pi / 4).astype(np.float32)  # samples at 0.707 of its peaks
    sound = SoundClip(np.stack([sine, sine]), SOUND_RATE)

    level = driven(measure_loudness(sound))

    assert np.abs(sine).max() == pytest.approx(0.7071, abs=1e-3)
    assert level.true_peak_db == pytest.approx(0.3, abs=0.5)  # a little over, for the sudden beginning


@pytest.mark.parametrize("target", [-23.0, -14.0, -10.0])
@pytest.mark.parametrize(("kind", "name"), [(Format.WAV, "a.wav"), (Format.FLAC, "a.flac")])
def test_the_target_is_met_and_peaks_stay_below_the_limit(
    tmp_path: Path, target: float, kind: Format, name: str
) -> None:
    write_wav(tmp_path / "voice.wav", speech_like(), SOUND_RATE)
    request = ExportRequest(tmp_path / "voice.wav", ExportSettings(format=kind, loudness_lufs=target))

    result = result_of(export(request, tmp_path / name))

    loudness, peak = other_meter(read_audio(tmp_path / name))
    assert loudness == pytest.approx(target, abs=0.5)
    assert peak <= -1.0 + 0.1
    assert result.loudness_lufs == pytest.approx(loudness, abs=0.2)
    assert result.duration_s == pytest.approx(3.2)


def test_what_must_be_limited_is_said(tmp_path: Path) -> None:
    write_wav(tmp_path / "voice.wav", speech_like(), SOUND_RATE)
    request = ExportRequest(tmp_path / "voice.wav", ExportSettings(format=Format.WAV, loudness_lufs=-10.0))

    assert "limited" in notes_of(export(request, tmp_path / "a.wav"))


def test_limiting_does_not_move_the_sound(tmp_path: Path) -> None:
    voice = speech_like()
    write_wav(tmp_path / "voice.wav", voice, SOUND_RATE)
    request = ExportRequest(tmp_path / "voice.wav", ExportSettings(format=Format.WAV, loudness_lufs=-10.0))
    result_of(export(request, tmp_path / "a.wav"))

    made = read_audio(tmp_path / "a.wav").samples[0]

    lags = range(-4, 5)
    likeness = [float(np.dot(np.roll(voice[0], lag)[100:-100], made[100:-100])) for lag in lags]
    assert lags[int(np.argmax(likeness))] == 0


def test_silence_stays_silence_and_says_so(tmp_path: Path) -> None:
    write_wav(tmp_path / "silence.wav", np.zeros((2, SOUND_RATE), np.float32), SOUND_RATE)
    request = ExportRequest(tmp_path / "silence.wav", ExportSettings(format=Format.WAV, loudness_lufs=-14.0))

    assert "silent" in notes_of(export(request, tmp_path / "a.wav"))
    assert not read_audio(tmp_path / "a.wav").samples.any()


def test_a_sound_shorter_than_the_meters_window_is_measured(tmp_path: Path) -> None:
    write_wav(tmp_path / "blip.wav", tone(0.2), SOUND_RATE)
    request = ExportRequest(tmp_path / "blip.wav", ExportSettings(format=Format.WAV, loudness_lufs=-14.0))

    result = result_of(export(request, tmp_path / "a.wav"))

    assert result.loudness_lufs == pytest.approx(-14.0, abs=0.2)
    assert np.abs(read_audio(tmp_path / "a.wav").samples).max() == pytest.approx(0.2, abs=0.01)


def test_too_loud_a_volume_is_said(tmp_path: Path) -> None:
    write_wav(tmp_path / "tone.wav", tone(1.0, 0.5), SOUND_RATE)
    request = ExportRequest(tmp_path / "tone.wav", ExportSettings(format=Format.WAV), gain_db=12.0)

    notices = [event for event in export(request, tmp_path / "a.wav") if isinstance(event, Notice)]

    assert "6.0 dB too loud" in notices[0].message
