"""Small pictures of the library's files: made on threads of their own, kept on disk, never waited for.

Whoever paints asks for a picture and gets it, or nothing yet; `changed` says when it is there. The latest question is
answered first, and questions nobody repeats are dropped, so that flying past a thousand clips decodes what one stops
at. On disk a picture is known by its file's path, time and size: a file that changed gets a new one, and one whose
drive is unplugged still shows what it was.
"""

import hashlib
import logging
import os
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Event, Lock
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QObject, QPoint, QRect, QSize, Qt, QThread, QThreadPool, Signal, Slot
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap

from engine.errors import EngineError
from engine.folders import cache_folder
from engine.media.read import read_audio
from engine.media.thumbnails import Peaks, filmstrip, first_picture, sound_peaks
from engine.types import Size

logger = logging.getLogger("studio.thumbnails")

NUM_STRIP_PICTURES = 16
PICTURE_BOX = Size(512, 512)  # sharp at 2x in the largest tiles; about 20 kB as JPEG
STRIP_BOX = Size(320, 320)
WAVEFORM_SIZE = QSize(512, 288)
MEMORY_BYTES = 96 * 2**20  # of decoded pictures: about 700 at 256x144
DISK_BYTES = 512 * 2**20
MAX_WAITING = 120  # two screens of the smallest tiles
_JPEG_QUALITY = 85
_NUM_THREADS = 2
_NEARLY = 0.05  # 768x448 differs by 3.6 % from 16:9, 1280x704 by 2.3 %


class Problem(Enum):
    """Why there is no picture."""

    MISSING = "missing"
    UNREADABLE = "unreadable"


class Content(Enum):
    """What is asked for."""

    PICTURE = "picture"
    STRIP = "strip"


@dataclass(frozen=True)
class Source:
    """A file, as the library knows it."""

    path: Path
    mtime_ns: int
    size_bytes: int
    is_sound: bool = False

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.path}\n{self.mtime_ns}\n{self.size_bytes}".encode()).hexdigest()[:32]


class _Wish(NamedTuple):
    source: Source
    content: Content
    width: int
    height: int


class _Made(NamedTuple):
    wish: _Wish
    pictures: list[QImage]
    problem: Problem | None


class Thumbnails(QObject):
    """Answers for one view; lives in the window's thread."""

    changed = Signal(object)  # Source: there is more to show of it than before
    _finished = Signal(object)  # _Made

    def __init__(self, folder: Path | None = None, parent: QObject | None = None) -> None:
        """`folder` is where pictures are kept, by default in the cache folder."""
        super().__init__(parent)
        self._maker = _Maker(folder or cache_folder() / "thumbnails")
        self._pictures: OrderedDict[_Wish, list[QPixmap]] = OrderedDict()
        self._num_bytes = 0
        self._problems: dict[Source, Problem] = {}
        self._hopeless: set[Source] = set()  # those of them that have no picture from earlier times either
        self._sound_colour = QColor()
        self._waiting: dict[_Wish, None] = {}
        self._being_made: set[_Wish] = set()
        self._lock = Lock()  # of the two above
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(_NUM_THREADS)
        self._pool.setThreadPriority(QThread.Priority.LowPriority)
        self._pool.start(self._maker.prune)
        self._finished.connect(self._keep)

    def picture(self, source: Source, box: QSize) -> QPixmap | None:
        """As large as fits into `box`, in pixels of the screen; None until it is there, or where there is a problem."""
        found = self._ask(_Wish(source, Content.PICTURE, box.width(), box.height()))
        return found[0] if found else None

    def strip_picture(self, source: Source, box: QSize, fraction: float) -> QPixmap | None:
        """What a clip shows after this fraction of its time, 0 to 1."""
        found = self._ask(_Wish(source, Content.STRIP, box.width(), box.height()))
        return found[min(int(fraction * len(found)), len(found) - 1)] if found else None

    @property
    def num_bytes(self) -> int:
        """What is kept in memory, at most `MEMORY_BYTES`."""
        return self._num_bytes

    def problem(self, source: Source) -> Problem | None:
        return self._problems.get(source)

    @Slot()
    def forget_problems(self) -> None:
        """Files may be back, or be whole now: look again when they are asked for."""
        self._problems.clear()
        self._hopeless.clear()

    def set_sound_colour(self, colour: QColor) -> None:
        """What waveforms are drawn in."""
        if colour != self._sound_colour:
            self._sound_colour = colour
            for wish in [item for item in self._pictures if item.source.is_sound]:
                self._drop(wish)

    def close(self) -> None:
        """End the threads; nothing is asked of this afterwards."""
        self._maker.must_stop.set()
        with self._lock:
            self._waiting.clear()
        self._pool.clear()
        self._pool.waitForDone()

    # --- in the window's thread ---------------------------------------------------------------------------------------

    def _ask(self, wish: _Wish) -> list[QPixmap] | None:
        found = self._pictures.get(wish)
        if found is not None:
            self._pictures.move_to_end(wish)
            return found
        if wish.source in self._hopeless or wish.width <= 0 or wish.height <= 0:
            return None
        with self._lock:
            if wish in self._being_made:
                return None
            is_new = wish not in self._waiting
            self._waiting.pop(wish, None)
            self._waiting[wish] = None  # the latest at the end
            if len(self._waiting) > MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
        if is_new:
            self._pool.start(self._make_latest)
        return None

    @Slot(object)
    def _keep(self, made: _Made) -> None:
        if made.problem is not None:
            self._problems[made.wish.source] = made.problem
            if not made.pictures:
                self._hopeless.add(made.wish.source)
        if made.pictures:
            show = self._tinted if made.wish.source.is_sound else QPixmap.fromImage
            pictures = [show(image) for image in made.pictures]
            self._pictures[made.wish] = pictures
            self._num_bytes += _num_bytes(pictures)
            while self._num_bytes > MEMORY_BYTES and len(self._pictures) > 1:
                self._drop(next(iter(self._pictures)))
        self.changed.emit(made.wish.source)

    def _drop(self, wish: _Wish) -> None:
        self._num_bytes -= _num_bytes(self._pictures.pop(wish))

    def _tinted(self, waveform: QImage) -> QPixmap:
        """Waveforms are kept as how much of the colour there is, so that they follow the theme."""
        mask = waveform.convertToFormat(QImage.Format.Format_Grayscale8)
        mask.reinterpretAsFormat(QImage.Format.Format_Alpha8)
        image = mask.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
        painter = QPainter(image)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
        painter.fillRect(image.rect(), self._sound_colour)
        painter.end()
        return QPixmap.fromImage(image)

    # --- on the pool's threads ----------------------------------------------------------------------------------------

    def _make_latest(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            wish, _ = self._waiting.popitem()
            self._being_made.add(wish)
        try:
            made = self._maker.make(wish)
        finally:
            with self._lock:
                self._being_made.discard(wish)
        if made is not None:
            self._finished.emit(made)


class _Maker:
    """Pictures from files, by way of the disk cache. Used on several threads at once; knows no state but the disk's."""

    def __init__(self, folder: Path) -> None:
        self.must_stop = Event()
        self._folder = folder

    def make(self, wish: _Wish) -> _Made | None:
        """None when it was stopped."""
        source = wish.source
        kept = self._place(source, wish.content)
        image = QImage(str(kept))
        problem = None if source.path.exists() else Problem.MISSING
        if image.isNull():
            if problem is not None:
                return _Made(wish, [], problem)
            try:
                made = self._read(source, wish.content)
            except EngineError as error:
                logger.info("no picture for the library: %s", error)
                return _Made(wish, [], Problem.UNREADABLE)
            if made is None:
                return None
            image = made
            self._save(image, kept)
        elif problem is None:
            with suppress(OSError):
                os.utime(kept)  # what was not looked at for longest is removed first
        parts = NUM_STRIP_PICTURES if wish.content is Content.STRIP else 1
        height = image.height() // parts
        pictures = [image.copy(QRect(0, index * height, image.width(), height)) for index in range(parts)]
        box = QSize(wish.width, wish.height)
        return _Made(wish, [_scaled(picture, box) for picture in pictures], problem)

    def prune(self) -> None:
        """Remove the pictures that were not looked at for longest, where there are too many."""
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in found) - DISK_BYTES
        for _, size, path in sorted(found):
            if excess <= 0 or self.must_stop.is_set():
                return
            with suppress(OSError):
                path.unlink()
            excess -= size

    def _place(self, source: Source, content: Content) -> Path:
        suffix = "png" if source.is_sound else "jpg"
        return self._folder / source.key[:2] / f"{source.key[2:]}.{content.value}.{suffix}"

    def _read(self, source: Source, content: Content) -> QImage | None:
        if source.is_sound:
            return _waveform(sound_peaks(read_audio(source.path), WAVEFORM_SIZE.width()))
        if content is Content.PICTURE:
            return _image(first_picture(source.path, PICTURE_BOX))
        pictures: list[np.ndarray] = []
        for picture in filmstrip(source.path, NUM_STRIP_PICTURES, STRIP_BOX):
            if self.must_stop.is_set():
                return None
            pictures.append(picture)
        missing = NUM_STRIP_PICTURES - len(pictures)  # a damaged clip ends early
        return _image(np.concatenate([*pictures, *[pictures[-1]] * missing]))

    def _save(self, image: QImage, place: Path) -> None:
        """Complete or not at all; a full disk costs only the time to make it again."""
        part = place.with_suffix(f".{secrets.token_hex(4)}.part{place.suffix}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if image.save(str(part), quality=_JPEG_QUALITY):
                part.replace(place)
        except OSError as error:
            logger.info("a thumbnail is not kept: %s", error)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _image(pixels: np.ndarray) -> QImage:
    """An image with memory of its own, from (height, width, 3)."""
    height, width, _ = pixels.shape
    contiguous = np.ascontiguousarray(pixels)
    return QImage(contiguous.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _waveform(peaks: Peaks) -> QImage:
    """White between the lowest and the highest sample of each column, both channels as one; else black."""
    height, width = WAVEFORM_SIZE.height(), WAVEFORM_SIZE.width()
    half = height / 2
    top = np.floor(half - peaks[..., 1].max(0) * half).clip(0, height / 2 - 1)
    bottom = np.ceil(half - peaks[..., 0].min(0) * half).clip(height / 2 + 1, height)
    rows = np.arange(height)[:, None]
    levels = np.where((rows >= top) & (rows < bottom), 255, 0).astype(np.uint8)
    return QImage(levels.data, width, height, width, QImage.Format.Format_Grayscale8).copy()


def _scaled(image: QImage, box: QSize) -> QImage:
    """As large as fits, in a format that needs no conversion to be shown.

    The model's sizes are multiples of 32 and thus not quite 16:9: of such a picture the edge is cut, because bars of
    two pixels look like a fault.
    """
    fills = abs(image.width() * box.height() / (image.height() * box.width()) - 1) < _NEARLY
    mode = Qt.AspectRatioMode.KeepAspectRatioByExpanding if fills else Qt.AspectRatioMode.KeepAspectRatio
    scaled = image.scaled(box, mode, Qt.TransformationMode.SmoothTransformation)
    if fills:
        corner = QPoint((scaled.width() - box.width()) // 2, (scaled.height() - box.height()) // 2)
        scaled = scaled.copy(QRect(corner, box))
    return scaled.convertToFormat(QImage.Format.Format_RGB32)


def _num_bytes(pictures: list[QPixmap]) -> int:
    return sum(pixmap.width() * pixmap.height() * 4 for pixmap in pictures)
