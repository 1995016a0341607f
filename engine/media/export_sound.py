"""The sound of an export: the clip's own, cut to the range, with another one mixed in, at a wanted loudness.

Loudness and true peak are measured by FFmpeg's `ebur128` (EBU R 128, ITU-R BS.1770). A sound that would pass the true
peak limit on its way to the target goes through FFmpeg's look-ahead limiter at four times the rate, where the peaks
between samples can be seen, and is measured again. Generators yield between blocks, so that a caller can stop them.

Sound is held in memory: clips last seconds to minutes.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.error import BlockingIOError, EOFError  # noqa: A004 - FFmpeg's, not Python's
from av.filter import Graph

from engine.media.audio import Samples, SoundClip
from engine.media.export_plan import ExportPlan, Note
from engine.media.export_source import Source
from engine.media.read import read_audio

_SILENCE_LUFS = -69.9  # at and below -70 LUFS the standard's gate hears nothing
_SHORT_S = 3.0  # below this the end of a sound, where the meter's blocks are cut, would weigh in the result
_CLOSE_ENOUGH_LU = 0.1
_MAX_PASSES = 8
_MAX_STEEPNESS = 6.0
_MAX_LIMITED_DB = 30.0  # how far a sound is driven into the limiter before the target is given up
_LIMITER_MARGIN_DB = 0.2  # coming down from four times the rate, peaks grow by about this much
_OVERSAMPLING = 4
_BLOCK_S = 1.0


@dataclass(frozen=True)
class Loudness:
    """As EBU R 128 measures it."""

    integrated_lufs: float
    true_peak_db: float  # relative to full scale


@dataclass(frozen=True)
class PreparedSound:
    """What goes into the encoder."""

    clip: SoundClip
    loudness: Loudness | None  # None: nobody asked
    notes: tuple[Note, ...] = ()


def prepare_sound(plan: ExportPlan, source: Source) -> Generator[None, None, PreparedSound]:
    """Exactly as long as the export. Yields between blocks of work. Raises MediaError."""
    assert plan.sound is not None
    request, rate = plan.request, plan.sound.sample_rate
    num_samples = round(plan.duration * rate)
    yield
    parts: list[SoundClip] = []
    if source.sound is not None:
        own = read_audio(source.path).resampled(rate)
        parts.append(_amplified(_shifted(own, round(plan.start * rate), num_samples), request.gain_db))
    if request.added is not None:
        yield
        added = read_audio(request.added.path).resampled(rate)
        start = -round(Fraction(request.added.start_s) * rate)
        parts.append(_amplified(_shifted(added, start, num_samples), request.added.gain_db))
    mixed = parts[0] if len(parts) == 1 else _mixed(parts)
    if request.settings.loudness_lufs is not None:
        return (yield from _normalised(mixed, request.settings.loudness_lufs, request.settings.true_peak_db))
    peak = float(np.abs(mixed.samples).max(initial=0.0))
    if peak > 1.0 and (len(parts) > 1 or request.gain_db > 0):
        over_db = 20 * math.log10(peak)
        message = f"The sound is {over_db:.1f} dB too loud and is clipped: turn it down, or choose a loudness."
        return PreparedSound(mixed, None, (Note("clipped", message),))
    return PreparedSound(mixed, None)


def measure_loudness(sound: SoundClip) -> Generator[None, None, Loudness]:
    """Of the whole sound. A short one is repeated: the standard measures in blocks of 0.4 s, and one needs some."""
    samples = sound.samples
    if 0 < sound.num_samples < _SHORT_S * sound.sample_rate:
        samples = np.tile(samples, (1, math.ceil(_SHORT_S * sound.sample_rate / sound.num_samples)))
    # Silence at the end, because the filter reports whole blocks of a tenth of a second; the gate does not hear it.
    samples = np.pad(samples, ((0, 0), (0, sound.sample_rate // 10)))
    graph = _graph(SoundClip(samples, sound.sample_rate), ("ebur128", "metadata=1:peak=true:framelog=quiet"))
    integrated, peak = -math.inf, 0.0
    for frame in _pulled(graph, SoundClip(samples, sound.sample_rate)):
        if frame is None:
            yield
            continue
        values = frame.metadata
        integrated = float(values.get("lavfi.r128.I", integrated))
        peak = max(peak, float(values.get("lavfi.r128.true_peak", 0.0)))
    return Loudness(integrated, 20 * math.log10(peak) if peak > 0 else -math.inf)


def _normalised(sound: SoundClip, target_lufs: float, peak_db: float) -> Generator[None, None, PreparedSound]:
    level = yield from measure_loudness(sound)
    if level.integrated_lufs <= _SILENCE_LUFS or not math.isfinite(level.integrated_lufs):
        return PreparedSound(sound, level, (Note("silent", "There is nothing to hear, so the loudness stays."),))
    gain_db = target_lufs - level.integrated_lufs
    if level.true_peak_db + gain_db <= peak_db:
        made = _amplified(sound, gain_db)
        return PreparedSound(made, (yield from measure_loudness(made)))
    made, limit_db, steepness = sound, gain_db + _MAX_LIMITED_DB, 1.0
    before: tuple[float, float] | None = None  # gain and what it reached
    for _ in range(_MAX_PASSES):
        made = yield from _limited(_amplified(sound, gain_db), peak_db - _LIMITER_MARGIN_DB)
        level = yield from measure_loudness(made)
        miss_db = target_lufs - level.integrated_lufs
        if abs(miss_db) <= _CLOSE_ENOUGH_LU or gain_db >= limit_db:
            break
        # The limiter takes part of each decibel away, the more the louder: the last step tells how much.
        if before is not None and level.integrated_lufs - before[1] > _CLOSE_ENOUGH_LU / 2:
            steepness = min(max((gain_db - before[0]) / (level.integrated_lufs - before[1]), 1.0), _MAX_STEEPNESS)
        before = (gain_db, level.integrated_lufs)
        gain_db = min(gain_db + miss_db * steepness, limit_db)
    over_db = level.true_peak_db - peak_db
    if over_db > 0:
        made = _amplified(made, -over_db)
        level = yield from measure_loudness(made)
    reached = f"{level.integrated_lufs:.1f} LUFS"
    if abs(target_lufs - level.integrated_lufs) > 0.5:
        message = f"The sound reaches {reached}, not {target_lufs:g}: more would pass the peak limit of {peak_db:g} dB."
        return PreparedSound(made, level, (Note("loudness_missed", message),))
    message = f"Peaks were limited to {peak_db:g} dB to reach {reached}."
    return PreparedSound(made, level, (Note("limited", message),))


def _limited(sound: SoundClip, limit_db: float) -> Generator[None, None, SoundClip]:
    """No louder than the limit between samples either; as long as before, and in time with it."""
    high = sound.sample_rate * _OVERSAMPLING
    limit = math.pow(10, limit_db / 20)
    graph = _graph(
        sound,
        ("aresample", str(high)),
        ("alimiter", f"limit={limit:.6f}:attack=5:release=60:level=false:latency=true"),
        ("aresample", f"{sound.sample_rate}:filter_size=64"),
        ("aformat", "sample_fmts=fltp"),
    )
    blocks: list[Samples] = []
    for frame in _pulled(graph, sound):
        if frame is None:
            yield
        else:
            blocks.append(cast(Samples, frame.to_ndarray()).astype(np.float32, copy=False))
    joined = np.concatenate(blocks, axis=1) if blocks else np.zeros_like(sound.samples)
    return SoundClip(joined, sound.sample_rate).fitted(sound.num_samples)


def _graph(sound: SoundClip, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    layout = "mono" if sound.num_channels == 1 else "stereo"
    last = graph.add_abuffer(
        sample_rate=sound.sample_rate, format="fltp", layout=layout, time_base=Fraction(1, sound.sample_rate)
    )
    for name, arguments in filters:
        step = graph.add(name, arguments)
        last.link_to(step)
        last = step
    last.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _pulled(graph: Graph, sound: SoundClip) -> Generator[av.AudioFrame | None, None, None]:
    """What comes out of a graph for a sound; None after each block that went in."""
    layout = "mono" if sound.num_channels == 1 else "stereo"
    size = round(_BLOCK_S * sound.sample_rate)
    for start in range(0, sound.num_samples, size):
        block = np.ascontiguousarray(sound.samples[:, start : start + size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate, start, Fraction(1, sound.sample_rate)
        graph.push(frame)
        yield from _ready(graph)
        yield None
    graph.push(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Generator[av.AudioFrame, None, None]:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        yield frame


def _shifted(sound: SoundClip, start: int, num_samples: int) -> SoundClip:
    """`num_samples` from sample `start` on; silence where there are none, before its beginning too."""
    lead = min(max(-start, 0), num_samples)
    part = sound.samples[:, max(start, 0) : max(start + num_samples, 0)]
    padded = np.pad(part, ((0, 0), (lead, 0)))
    return SoundClip(padded, sound.sample_rate).fitted(num_samples)


def _amplified(sound: SoundClip, gain_db: float) -> SoundClip:
    if gain_db == 0:
        return sound
    return SoundClip(sound.samples * np.float32(math.pow(10, gain_db / 20)), sound.sample_rate)


def _mixed(parts: list[SoundClip]) -> SoundClip:
    stereo = [part.to_stereo() for part in parts]
    samples = stereo[0].samples
    for part in stereo[1:]:
        samples = samples + part.samples
    return SoundClip(samples, stereo[0].sample_rate)
