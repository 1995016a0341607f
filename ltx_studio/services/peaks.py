"""The outlines of sounds for the timeline: read once on a thread of its own, kept on disk, never waited for.

An outline is the lowest and the highest sample of every thousandth of a second, both channels as one, with coarser
levels made from it, so that drawing costs the same at every zoom. Whoever paints asks and gets it, or nothing yet;
`changed` says when it is there.
"""

import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QThread, QThreadPool, Signal, Slot

from engine.errors import EngineError
from engine.folders import cache_folder
from engine.media.read import read_audio
from engine.media.thumbnails import sound_peaks
from ltx_studio.services.thumbnails import Source

logger = logging.getLogger("studio.peaks")

COLUMNS_PER_S = 1000  # of the finest level: a frame of 24 fps at the largest zoom is 48 pixels wide, of 42 columns
LEVEL_STEP = 16  # each level is this much coarser than the one before
NUM_LEVELS = 3
DISK_BYTES = 128 * 2**20  # a minute takes 240 kB


@dataclass(frozen=True, eq=False)
class Outline:
    """`levels[n]` is float32 (2, columns), lowest and highest, `COLUMNS_PER_S / LEVEL_STEP**n` columns a second."""

    levels: tuple[NDArray[np.float32], ...]

    @classmethod
    def of_finest(cls, finest: NDArray[np.float32]) -> "Outline":
        """With the coarser levels, from (2, columns)."""
        levels = [finest]
        for _ in range(NUM_LEVELS - 1):
            starts = np.arange(0, levels[-1].shape[1], LEVEL_STEP)
            lowest = np.minimum.reduceat(levels[-1][0], starts)
            levels.append(np.stack([lowest, np.maximum.reduceat(levels[-1][1], starts)]))
        return cls(tuple(levels))


@dataclass(frozen=True, eq=False)
class _Made:
    source: Source
    outline: Outline | None  # None: it has no sound that can be read


class Peaks(QObject):
    """Lives in the window's thread."""

    changed = Signal(object)  # Source: its outline is there
    _finished = Signal(object)  # _Made

    def __init__(self, folder: Path | None = None, parent: QObject | None = None) -> None:
        """`folder` is where outlines are kept, by default in the cache folder."""
        super().__init__(parent)
        self._folder = folder or cache_folder() / "peaks"
        self._outlines: dict[Source, Outline | None] = {}
        self._asked: set[Source] = set()
        self._must_stop = Event()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._pool.setThreadPriority(QThread.Priority.LowPriority)
        self._pool.start(self._prune)
        self._finished.connect(self._keep)

    def outline(self, source: Source) -> Outline | None:
        """None until it is there, and for what has no sound."""
        if source not in self._outlines and source not in self._asked:
            self._asked.add(source)
            self._pool.start(lambda: self._make(source))
        return self._outlines.get(source)

    def close(self) -> None:
        """End the thread; nothing is asked of this afterwards."""
        self._must_stop.set()
        self._pool.clear()
        self._pool.waitForDone()

    @Slot(object)
    def _keep(self, made: _Made) -> None:
        self._asked.discard(made.source)
        self._outlines[made.source] = made.outline
        self.changed.emit(made.source)

    # --- on the pool's thread -----------------------------------------------------------------------------------------

    def _make(self, source: Source) -> None:
        if self._must_stop.is_set():
            return
        place = self._folder / f"{source.key}.npy"
        finest = _kept(place)
        if finest is None:
            try:
                sound = read_audio(source.path)
            except EngineError as error:
                logger.info("no outline for the timeline: %s", error)
                self._finished.emit(_Made(source, None))
                return
            peaks = sound_peaks(sound, max(round(sound.duration_s * COLUMNS_PER_S), 1))
            finest = np.stack([peaks[..., 0].min(0), peaks[..., 1].max(0)])
            self._save(finest, place)
        self._finished.emit(_Made(source, Outline.of_finest(finest)))

    def _save(self, finest: NDArray[np.float32], place: Path) -> None:
        """Complete or not at all; a full disk costs only the time to make it again."""
        part = place.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, np.clip(np.round(finest * 127), -127, 127).astype(np.int8))
            part.replace(place)
        except OSError as error:
            logger.info("an outline is not kept: %s", error)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Remove the oldest outlines where there are too many."""
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in found) - DISK_BYTES
        for _, size, path in sorted(found):
            if excess <= 0 or self._must_stop.is_set():
                return
            with suppress(OSError):
                path.unlink()
            excess -= size


def _kept(place: Path) -> NDArray[np.float32] | None:
    """What was made before; None where there is nothing, or something else."""
    try:
        kept = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_ours = kept.dtype == np.int8 and kept.ndim == 2 and kept.shape[0] == 2 and kept.shape[1] > 0
    return (kept.astype(np.float32) / 127) if is_ours else None
