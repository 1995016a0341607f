"""Playback of one clip: frames decoded beside the window, sound as the master clock, every frame by its number.

Decoding, opening the sound device and closing it happen on a thread of their own. The window's side keeps the decoded
frames around the playhead, and shows frame n when the clock says n, never by counting timer ticks.
"""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot
from PySide6.QtGui import QImage

from engine.errors import EngineError
from ltx_studio.services.frame_cache import FrameCache, Want
from ltx_studio.services.speaker import Clock, SilentClock, Speaker, sound_output_problem

if TYPE_CHECKING:
    from engine.media.audio import SoundClip
    from engine.media.read import ClipFacts, Pixels

logger = logging.getLogger("studio.player")

CACHE_BYTES = 512 * 2**20
_TICK_MS = 8  # twice as often as the fastest common clip (60 fps) changes its frame
_CLOCK_ROUNDING_S = 1e-6  # so that a clock just short of a frame's time by rounding shows that frame


@dataclass(frozen=True)
class Clip:
    """A clip that is open for playback."""

    path: Path
    facts: "ClipFacts"
    silent_because: str | None  # why nothing is heard, None when something is


# --- what crosses the thread: commands to the reader ------------------------------------------------------------------


@dataclass(frozen=True)
class _Open:
    serial: int
    path: Path | None  # None: close what is open


@dataclass(frozen=True)
class _Decode:
    serial: int
    want: Want


@dataclass(frozen=True)
class _StartSound:
    serial: int
    play_id: int
    start_s: float
    is_muted: bool


@dataclass(frozen=True)
class _StopSound:
    pass


# --- and its reports --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Opened:
    serial: int
    clip: Clip


@dataclass(frozen=True)
class _NotOpened:
    serial: int
    message: str


@dataclass(frozen=True)
class _Decoded:
    serial: int
    frame: int
    picture: QImage


@dataclass(frozen=True)
class _Heard:
    play_id: int
    speaker: Speaker | None  # None when the device refused


class Player(QObject):
    """One clip, one playhead. Lives in the window's thread."""

    clip_opened = Signal(object)  # Clip
    clip_refused = Signal(str)  # what is wrong with the file, in a sentence
    frame_changed = Signal(int)
    picture_changed = Signal(object)  # QImage of the current frame, later than `frame_changed` when not decoded yet
    playing_changed = Signal(bool)
    _commanded = Signal(object)
    _reported = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.clip: Clip | None = None
        self.frame = 0
        self.is_playing = False
        self.is_muted = False
        self._serial = 0  # of the clip being opened or open
        self._play_id = 0  # of the latest start of playback
        self._cache: FrameCache[QImage] = FrameCache(1, 1)
        self._wanted: Want | None = None  # what the reader is decoding
        self._clock: Clock | None = None
        self._thread = QThread(self)
        self._thread.setObjectName("player")
        self._reader = _Reader(self._reported.emit)
        self._reader.moveToThread(self._thread)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._commanded.connect(self._reader.obey)
        self._reported.connect(self._take)

    @property
    def last_frame(self) -> int:
        return 0 if self.clip is None else self.clip.facts.frames - 1

    def open(self, path: Path) -> None:
        """Show this clip, paused at its first frame, as soon as it is read."""
        if not self._thread.isRunning():
            self._thread.start()
        self.pause()
        self._serial += 1
        self._commanded.emit(_Open(self._serial, path))

    def play(self) -> None:
        """From the playhead; from the beginning when it is at the end."""
        if self.clip is None or self.is_playing:
            return
        if self.frame == self.last_frame:
            self._go(0)
        self._set_playing(True)
        self._start_clock()
        self._timer.start()

    def pause(self) -> None:
        if self.is_playing:
            self._timer.stop()
            self._stop_clock()
            self._set_playing(False)

    def toggle(self) -> None:
        if self.is_playing:
            self.pause()
        else:
            self.play()

    def seek(self, frame: int) -> None:
        """Go to a frame, the nearest one for a number outside the clip."""
        frame = min(max(frame, 0), self.last_frame)
        if self.clip is None or frame == self.frame:
            return
        self._go(frame)
        if self.is_playing:
            self._stop_clock()
            self._start_clock()

    def step(self, frames: int) -> None:
        """Pause, and move by this many frames."""
        self.pause()
        self.seek(self.frame + frames)

    def set_muted(self, is_muted: bool) -> None:
        self.is_muted = is_muted
        if isinstance(self._clock, Speaker):
            self._clock.is_muted = is_muted

    def close(self) -> None:
        """Stop for good."""
        self.pause()
        self._serial += 1  # what is being decoded is no longer wanted
        self._commanded.emit(_Open(self._serial, None))
        self._thread.quit()
        self._thread.wait()

    # --- the playhead -------------------------------------------------------------------------------------------------

    def _go(self, frame: int) -> None:
        self.frame = frame
        self.frame_changed.emit(frame)
        picture = self._cache.get(frame)
        if picture is not None:
            self.picture_changed.emit(picture)
        self._decode_ahead()

    @Slot()
    def _tick(self) -> None:
        if self.clip is None or self._clock is None:
            return
        rate = float(self.clip.facts.frame_rate)
        frame = int((self._clock.position_s() + _CLOCK_ROUNDING_S) * rate)
        if frame > self.last_frame:
            if self.frame != self.last_frame:
                self._go(self.last_frame)
            self.pause()
        elif frame != self.frame:
            self._go(frame)

    def _start_clock(self) -> None:
        assert self.clip is not None
        self._play_id += 1
        start_s = self.clip.facts.frame_rate.seconds(self.frame)
        if self.clip.silent_because is None:
            self._commanded.emit(_StartSound(self._serial, self._play_id, start_s, self.is_muted))
        else:
            self._clock = SilentClock(start_s)

    def _stop_clock(self) -> None:
        self._play_id += 1  # sound that is being started reports too late
        if self.clip is not None and self.clip.silent_because is None:
            self._commanded.emit(_StopSound())
        self._clock = None

    def _set_playing(self, is_playing: bool) -> None:
        self.is_playing = is_playing
        self.playing_changed.emit(is_playing)

    # --- the reader ---------------------------------------------------------------------------------------------------

    def _decode_ahead(self) -> None:
        want = self._cache.next_want(self.frame)
        coming = self._wanted
        if want is not None and (coming is None or not coming.start <= want.start < coming.stop):
            self._wanted = want
            self._commanded.emit(_Decode(self._serial, want))

    @Slot(object)
    def _take(self, report: object) -> None:
        match report:
            case _Opened(serial, clip) if serial == self._serial:
                self._show(clip)
            case _NotOpened(serial, message) if serial == self._serial:
                self.clip_refused.emit(message)
            case _Decoded(serial, frame, picture) if serial == self._serial:
                self._cache.put(frame, picture, playhead=self.frame)
                if self._wanted is not None and frame == self._wanted.start:
                    is_last = frame + 1 >= self._wanted.stop
                    self._wanted = None if is_last else Want(frame + 1, self._wanted.stop)
                if frame == self.frame:
                    self.picture_changed.emit(picture)
            case _Heard(play_id, speaker) if play_id == self._play_id and self.clip is not None:
                start_s = self.clip.facts.frame_rate.seconds(self.frame)
                self._clock = SilentClock(start_s) if speaker is None else speaker
            case _:
                pass

    def _show(self, clip: Clip) -> None:
        self.clip = clip
        self.frame = 0
        picture_bytes = clip.facts.size.width * clip.facts.size.height * 4
        self._cache = FrameCache(clip.facts.frames, CACHE_BYTES // picture_bytes)
        self._wanted = None
        self.clip_opened.emit(clip)
        self.frame_changed.emit(0)
        self._decode_ahead()


class _Reader(QObject):
    """The player's thread: one frame at a time, so that a command waits no longer than one frame takes."""

    def __init__(self, report: Callable[[object], None]) -> None:
        super().__init__()
        self._report = report
        self._clip: Clip | None = None
        self._serial = 0
        self._sound: SoundClip | None = None
        self._speaker: Speaker | None = None
        self._frames: Generator[Pixels, None, None] | None = None
        self._position = 0  # of the frame that `_frames` yields next
        self._stop = 0
        self._is_decoding = False

    @Slot(object)
    def obey(self, command: object) -> None:
        match command:
            case _Open(serial, path):
                self._close()
                self._serial = serial
                if path is not None:
                    self._open(path)
            case _Decode(serial, want) if serial == self._serial:
                self._decode(want)
            case _StartSound(serial, play_id, start_s, is_muted) if serial == self._serial:
                self._start_sound(play_id, start_s, is_muted=is_muted)
            case _StopSound():
                self._stop_sound()
            case _:
                pass

    def _open(self, path: Path) -> None:
        from engine.media.read import probe_clip, read_audio  # noqa: PLC0415 - brings FFmpeg, not needed to open a window

        try:
            facts = probe_clip(path)
            self._sound = None if facts.audio_sample_rate is None else read_audio(path)
        except EngineError as error:
            self._report(_NotOpened(self._serial, str(error)))
            return
        silent_because = "This clip has no sound." if self._sound is None else sound_output_problem()
        self._clip = Clip(path, facts, silent_because)
        self._report(_Opened(self._serial, self._clip))

    def _close(self) -> None:
        self._stop_sound()
        if self._frames is not None:
            self._frames.close()
        self._frames, self._clip, self._sound, self._stop = None, None, None, 0

    def _decode(self, want: Want) -> None:
        from engine.media.read import read_frames  # noqa: PLC0415 - see above

        assert self._clip is not None
        if self._frames is None or self._position != want.start:
            if self._frames is not None:
                self._frames.close()
            self._frames = cast("Generator[Pixels, None, None]", read_frames(self._clip.path, start=want.start))
            self._position = want.start
        self._stop = want.stop
        if not self._is_decoding:
            self._is_decoding = True
            self._decode_one()

    @Slot()
    def _decode_one(self) -> None:
        """Decode a frame and come back for the next once waiting commands were obeyed."""
        self._is_decoding = False
        if self._frames is None or self._position >= self._stop:
            return
        try:
            pixels = next(self._frames, None)
        except EngineError as error:
            logger.warning("%s", error)
            pixels = None
        if pixels is None:
            self._frames = None
            return
        self._report(_Decoded(self._serial, self._position, _to_image(pixels)))
        self._position += 1
        self._is_decoding = True
        QTimer.singleShot(0, self._decode_one)

    def _start_sound(self, play_id: int, start_s: float, *, is_muted: bool) -> None:
        self._stop_sound()
        assert self._sound is not None
        try:
            self._speaker = Speaker(self._sound, start_s)
            self._speaker.is_muted = is_muted
        except Exception as error:  # PortAudio's own type cannot be named without loading it
            logger.warning("the sound device refused: %s", error)
        self._report(_Heard(play_id, self._speaker))

    def _stop_sound(self) -> None:
        if self._speaker is not None:
            self._speaker.close()
            self._speaker = None


def _to_image(pixels: "Pixels") -> QImage:
    """A picture of its own memory, in the format that is fastest to draw."""
    height, width, _ = pixels.shape
    view = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return view.convertToFormat(QImage.Format.Format_RGB32)
