"""What takes a while with a whole sequence, beside the window: writing it as one file, reading another editor's."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from engine.errors import EngineError
from engine.types import FrameRate, Size
from ltx_studio.domain.interchange import load
from ltx_studio.domain.timeline import Media, Timeline


class SequenceJobs(QObject):
    """One thing at a time. Signals arrive in the window's thread."""

    progressed = Signal(float)  # of a file being written, 0 to 1
    rendered = Signal(object)  # Path
    imported = Signal(object)  # Imported
    rate_needed = Signal(object)  # Path of an edit list, which does not say its rate
    failed = Signal(str)  # in a sentence
    ended = Signal()  # whatever came of it

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._num_running = 0
        self._is_cancelled = False
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self.ended.connect(self._stopped)

    @property
    def is_running(self) -> bool:
        return self._num_running > 0

    def render(self, timeline: Timeline, output: Path, *, size: Size | None = None) -> None:
        """Write the sequence as one file, as `sequence_render.render` does."""
        from ltx_studio.services import sequence_render  # noqa: PLC0415 - it loads FFmpeg, which opening a window does not

        def work() -> None:
            steps = sequence_render.render(timeline, output, size=size)
            percent = -1
            for step in steps:
                if self._is_cancelled:
                    steps.close()
                    return
                if int(100 * step.fraction) > percent:
                    percent = int(100 * step.fraction)
                    self.progressed.emit(step.fraction)
            self.rendered.emit(output)

        self._begin(work)

    def import_file(self, path: Path, *, rate: FrameRate | None = None) -> None:
        """Read a timeline of another editor, and look at the media it names."""
        from ltx_studio.domain.interchange_edl import says_its_rate  # noqa: PLC0415 - not needed to open a window

        def work() -> None:
            if rate is None and path.suffix.lower() == ".edl" and not says_its_rate(path):
                self.rate_needed.emit(path)
                return
            self.imported.emit(load(path, probe=probe_media, rate=rate))

        self._begin(work)

    def cancel(self) -> None:
        """Stop soon; nothing is left behind."""
        self._is_cancelled = True

    def close(self) -> None:
        """Stop, and wait for it."""
        self.cancel()
        self._pool.waitForDone()

    def _begin(self, work: Callable[[], None]) -> None:
        self._num_running += 1
        self._is_cancelled = False

        def guarded() -> None:
            try:
                work()
            except EngineError as error:
                self.failed.emit(str(error))
            finally:
                self.ended.emit()

        self._pool.start(guarded)

    @Slot()
    def _stopped(self) -> None:
        self._num_running -= 1


def probe_media(path: Path) -> Media | None:
    """The facts about a file; None for one that is not there or cannot be read."""
    from engine.media.export_source import read_source  # noqa: PLC0415 - it loads FFmpeg

    try:
        source = read_source(path)
    except EngineError:
        return None
    picture, sound = source.picture, source.sound
    if picture is not None:
        return Media(path, picture.duration, picture.frame_rate, picture.shown, sound is not None)
    seconds = Fraction(sound.duration_s or 0).limit_denominator(192_000) if sound is not None else Fraction(0)
    return Media(path, seconds) if seconds > 0 else None
