"""What the timeline draws inside clips: frames of the film strip, and the outline of the sound. Never waits.

Files are looked at when the timeline changes, not when it is painted; pictures and outlines come from the caches of
`services.thumbnails` and `services.peaks` as they become ready.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QRectF, QSize, Signal
from PySide6.QtGui import QColor, QImage, QPixmap

from engine.types import FrameRate
from ltx_studio.domain.timeline import Clip, Timeline, Track
from ltx_studio.services.peaks import COLUMNS_PER_S, LEVEL_STEP, NUM_LEVELS, Peaks
from ltx_studio.services.thumbnails import NUM_STRIP_PICTURES, Problem, Source, Thumbnails
from ltx_studio.ui.timeline_geometry import SEPARATED_FROM_PIXELS, View

_MOST_COLUMNS_PER_PIXEL = LEVEL_STEP
_LEAST_PIXELS = 8.0  # of a frame of the strip, however narrow the picture is
_LOUDEST = 0.94  # of half the lane, so that full scale does not touch its border


@dataclass(frozen=True, eq=False)
class _Bank:
    """The outlines of a track's clips, one after the other, so that all of a lane is reduced at once."""

    levels: tuple[NDArray[np.float32], ...]  # (2, columns), at least one
    bases: tuple[NDArray[np.int64], ...]  # by level and clip: where its medium begins, -1 where there is none yet
    ends: tuple[NDArray[np.int64], ...]  # by level and clip: where its medium ends
    starts: NDArray[np.float64]  # by clip, frames
    stops: NDArray[np.float64]
    media_s: NDArray[np.float64]  # by clip: where in its medium it begins
    gains: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Strip:
    """What a clip's film strip is drawn from. Fractions are of its medium's time."""

    clip: Clip
    height: float
    ratio: float
    width: float  # of one frame
    frames: list[QPixmap]
    whole: QRectF  # of a frame, in its own pixels
    first_fraction: float  # where the clip begins
    fraction_per_frame: float  # of the timeline


class ClipPictures(QObject):
    """Answers for one timeline view."""

    changed = Signal()  # there is more to draw than before

    def __init__(self, thumbnails: Thumbnails, peaks: Peaks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self._peaks = peaks
        self._sources: dict[Path, Source] = {}
        self._banks: dict[int, tuple[tuple[Clip, ...], _Bank]] = {}  # by track, with the clips it is of
        self._strips: dict[int, Strip] = {}  # by clip
        self._frames_of: dict[tuple[Source, int, int], list[QPixmap]] = {}
        self._rate = FrameRate(Fraction(24))
        self.version = 0  # raised when there is something else to draw
        thumbnails.changed.connect(self._thumbnail_changed)
        peaks.changed.connect(self._peaks_changed)

    def look_at(self, timeline: Timeline) -> None:
        """Get to know files that are new to the timeline."""
        if timeline.rate != self._rate:
            self._rate = timeline.rate
            self._strips.clear()
        paths = {clip.media.path for clip in timeline.clips()}
        for path in paths - self._sources.keys():
            try:
                status = path.stat()
                self._sources[path] = Source(path, status.st_mtime_ns, status.st_size)
            except OSError:
                self._sources[path] = Source(path, 0, 0)

    def forget(self) -> None:
        """Files may have come back, or be others now."""
        self.version += 1
        self._sources.clear()
        self._strips.clear()
        self._frames_of.clear()
        self._thumbnails.forget_problems()

    def strip(self, clip: Clip, height: float, ratio: float) -> "Strip | None":
        """The frames to draw a clip with, at this height; None until they are there."""
        found = self._strips.get(clip.id)
        if found is None or found.clip is not clip or (found.height, found.ratio) != (height, ratio):
            found = self._make_strip(clip, height, ratio)
            if found is None:
                return None
            self._strips[clip.id] = found
        return found

    def is_missing(self, clip: Clip) -> bool:
        source = self._sources.get(clip.media.path)
        return source is None or source.size_bytes == 0 or self._thumbnails.problem(source) is Problem.MISSING

    def _make_strip(self, clip: Clip, height: float, ratio: float) -> "Strip | None":
        media, source = clip.media, self._sources.get(clip.media.path)
        if source is None:
            return None
        width = max(height * (16 / 9 if media.size is None else media.size.width / media.size.height), _LEAST_PIXELS)
        frames = self._frames(source, QSize(round(width * ratio), round(height * ratio)))
        if not frames:
            return None
        duration = float(media.duration)
        first = float(clip.source_start + clip.take.offset) / duration
        whole = QRectF(frames[0].rect())
        return Strip(clip, height, ratio, width, frames, whole, first, 1 / (duration * float(self._rate.value)))

    def _frames(self, source: Source, size: QSize) -> list[QPixmap]:
        """All frames of a file's strip, at one size."""
        key = (source, size.width(), size.height())
        found = self._frames_of.get(key)
        if found is None:
            if self._thumbnails.strip_picture(source, size, 0.0) is None:
                return []  # asked for; the others come with it
            places = ((index + 0.5) / NUM_STRIP_PICTURES for index in range(NUM_STRIP_PICTURES))
            frames = [self._thumbnails.strip_picture(source, size, place) for place in places]
            found = [frame for frame in frames if frame is not None]
            if found:
                self._frames_of[key] = found
        return found

    def wave(
        self,
        track: Track,
        view: View,
        rate: FrameRate,
        columns: tuple[int, int],
        height: int,
        ratio: float,
        colour: QColor,
    ) -> QImage | None:
        """The sound of a track between two pixels, as high as asked; None where there is nothing of it to be seen."""
        bank = self._bank(track)
        if bank is None:
            return None
        first, last = (round(column * ratio) for column in columns)
        peaks = _reduced(bank, view, rate, np.arange(first, last), ratio)
        return None if peaks is None else _drawn(peaks, round(height * ratio), ratio, colour)

    def _bank(self, track: Track) -> _Bank | None:
        if not track.clips:
            return None
        clips, bank = self._banks.get(track.id, ((), None))
        if bank is None or clips is not track.clips:
            bank = self._make_bank(track.clips)
            self._banks[track.id] = (track.clips, bank)
        return bank

    def _make_bank(self, clips: tuple[Clip, ...]) -> _Bank:
        outlines = {
            path: self._peaks.outline(source)
            for path in dict.fromkeys(clip.media.path for clip in clips)
            if (source := self._sources.get(path)) is not None
        }
        levels: list[NDArray[np.float32]] = []
        bases: list[NDArray[np.int64]] = []
        ends: list[NDArray[np.int64]] = []
        for level in range(NUM_LEVELS):
            found = {path: outline.levels[level] for path, outline in outlines.items() if outline is not None}
            parts = [*found.values(), np.zeros((2, 1), np.float32)]
            places = np.cumsum([0, *(part.shape[1] for part in parts)])
            begin = dict(zip(found, places[:-2].tolist(), strict=True))
            end = dict(zip(found, places[1:-1].tolist(), strict=True))
            levels.append(np.concatenate(parts, axis=1))
            bases.append(np.array([begin.get(clip.media.path, -1) for clip in clips], np.int64))
            ends.append(np.array([end.get(clip.media.path, -1) for clip in clips], np.int64))
        return _Bank(
            tuple(levels),
            tuple(bases),
            tuple(ends),
            np.array([clip.start for clip in clips], np.float64),
            np.array([clip.stop for clip in clips], np.float64),
            np.array([float(clip.source_start + clip.take.offset) for clip in clips], np.float64),
            np.array([10 ** (clip.gain_db / 20) for clip in clips], np.float32),
        )

    def _thumbnail_changed(self, _source: object) -> None:
        self.version += 1
        self.changed.emit()

    def _peaks_changed(self, _source: object) -> None:
        self.version += 1
        self._banks.clear()
        self.changed.emit()


def _reduced(
    bank: _Bank, view: View, rate: FrameRate, pixels: NDArray[np.intp], ratio: float
) -> NDArray[np.float32] | None:
    """(2, pixels): the lowest and the highest sample of each device pixel of a lane, NaN where there is no sound."""
    per_second = float(rate.value)
    step = 1 / (view.pixels_per_frame * ratio)  # frames a device pixel
    positions = view.first + pixels * step
    clip = np.searchsorted(bank.starts, positions, side="right") - 1
    level = _level_for(step / per_second * COLUMNS_PER_S)
    scale = COLUMNS_PER_S / LEVEL_STEP**level
    base, end = bank.bases[level][clip], bank.ends[level][clip]
    at_s = bank.media_s[clip] + (positions - bank.starts[clip]) / per_second
    start = base + np.floor(at_s * scale).astype(np.int64)
    stop = base + np.ceil((at_s + step / per_second) * scale).astype(np.int64)
    is_separate = (bank.stops - bank.starts) * view.pixels_per_frame >= SEPARATED_FROM_PIXELS
    stops = bank.stops - is_separate / view.pixels_per_frame
    is_heard = (clip >= 0) & (positions < stops[clip]) & (base >= 0) & (start < end) & (start >= base)
    if not is_heard.any():
        return None
    start = np.where(is_heard, start, 0)
    stop = np.where(is_heard, np.minimum(np.maximum(stop, start + 1), end), 1)
    # A few columns for each pixel: picking them is quicker than reducing stretches, which lie all over the bank.
    picked = np.minimum(start[:, None] + np.arange((stop - start).max()), stop[:, None] - 1)
    lowest, highest = bank.levels[level]
    gain = np.where(is_heard, bank.gains[clip], np.nan).astype(np.float32)
    return np.stack([lowest[picked].min(1) * gain, highest[picked].max(1) * gain])


def _level_for(columns_per_pixel: float) -> int:
    """The finest level that is not read through for nothing."""
    level = 0
    while columns_per_pixel > _MOST_COLUMNS_PER_PIXEL and level + 1 < NUM_LEVELS:
        level += 1
        columns_per_pixel /= LEVEL_STEP
    return level


def _drawn(peaks: NDArray[np.float32], height: int, ratio: float, colour: QColor) -> QImage:
    """Coloured from the lowest to the highest sample of each column, at least a line; nothing where they are NaN."""
    half = height / 2
    is_heard = ~np.isnan(peaks[0])
    levels = np.where(is_heard, peaks, 0).clip(-1, 1) * half * _LOUDEST
    top = np.floor(half - levels[1]).astype(np.int16)
    bottom = np.where(is_heard, np.maximum(np.ceil(half - levels[0]), top + 1), top).astype(np.int16)
    rows = np.arange(height, dtype=np.int16)[:, None]
    pixels = np.multiply((rows >= top) & (rows < bottom), np.uint32(colour.rgba()), dtype=np.uint32)
    image = QImage(pixels.data, pixels.shape[1], height, 4 * pixels.shape[1], QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    return image
