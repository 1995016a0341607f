"""What files are, for the timeline: read on a thread of its own, in the order they were given."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from engine.errors import EngineError
from ltx_studio.domain.timeline import Media


@dataclass(frozen=True)
class Probed:
    """The files that can be used, and a sentence for each that cannot. `where` is what the question came with."""

    media: tuple[Media, ...]
    refusals: tuple[str, ...]
    where: object


class MediaProbe(QObject):
    """Lives in the window's thread."""

    probed = Signal(object)  # Probed
    _finished = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._must_stop = Event()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._finished.connect(self._report)

    def ask(self, paths: Sequence[Path], where: object) -> None:
        self._pool.start(lambda: self._probe(tuple(paths), where))

    def close(self) -> None:
        """End the thread; nothing is asked of this afterwards."""
        self._must_stop.set()
        self._pool.clear()
        self._pool.waitForDone()

    @Slot(object)
    def _report(self, probed: Probed) -> None:
        self.probed.emit(probed)

    def _probe(self, paths: tuple[Path, ...], where: object) -> None:
        media: list[Media] = []
        refusals: list[str] = []
        for path in paths:
            if self._must_stop.is_set():
                return
            try:
                media.append(media_in(path))
            except EngineError as error:
                refusals.append(str(error))
        self._finished.emit(Probed(tuple(media), tuple(refusals), where))


def media_in(path: Path) -> Media:
    """A clip, or a sound, which is decoded to know its length. Raises MediaError."""
    from engine.media.read import probe_clip, read_audio  # noqa: PLC0415 - brings FFmpeg, not needed to open a window

    try:
        facts = probe_clip(path)
    except EngineError as no_picture:
        try:
            sound = read_audio(path)
        except EngineError:
            raise no_picture from None
        return Media(path, Fraction(max(sound.num_samples, 1), sound.sample_rate))
    duration = facts.frames / facts.frame_rate.value
    return Media(path, duration, facts.frame_rate, facts.size, facts.audio_sample_rate is not None)
