"""Playback of one clip: frames decoded beside the window, sound as the master clock, every frame by its number.

Decoding, opening the sound device and closing it happen on a thread of their own (`clip_reader`). The window's side
keeps the decoded frames around the playhead, and shows frame n when the clock says n, never by counting timer ticks.
Sound is heard forwards at the clip's own speed; at other speeds and backwards the clock is silent.
"""

from pathlib import Path

from PySide6.QtCore import QObject, QSize, Qt, QThread, QTimer, Signal, Slot
from PySide6.QtGui import QImage

from ltx_studio.domain.playback import Levels, Route, next_speed
from ltx_studio.services.clip_reader import (
    Clip,
    ClipReader,
    Decode,
    Decoded,
    Hear,
    Heard,
    NotOpened,
    Open,
    Opened,
    SoundTaken,
    StartSound,
    StopSound,
)
from ltx_studio.services.frame_cache import BYTES_PER_PIXEL, FrameCache, Proxies, Want, proxy_size
from ltx_studio.services.speaker import Clock, SilentClock, SoundOutput, Speaker, SystemOutput

__all__ = ["CACHE_BYTES", "Clip", "Player"]

CACHE_BYTES = 512 * 2**20
_TICK_MS = 8  # twice as often as the fastest common clip (60 fps) changes its frame
_REST_MS = 80  # a playhead that stands still for this long gets its picture in full
_CLOCK_ROUNDING_S = 1e-6  # so that a clock just short of a frame's time by rounding shows that frame
_METER_WINDOW_S = 1 / 30
_BACKWARDS_FRAMES = 48  # decoded together, because decoding goes forwards


class Player(QObject):
    """One clip, one playhead. Lives in the window's thread."""

    clip_opened = Signal(object)  # Clip
    clip_refused = Signal(str)  # what is wrong with the file, in a sentence
    frame_changed = Signal(int)
    # QImage of the current frame, later than `frame_changed` when not decoded yet. Of a clip that is too large for the
    # cache it may come twice: small at first, in full when the playhead rests.
    picture_changed = Signal(object)
    playing_changed = Signal(bool)
    speed_changed = Signal(int)  # 0 paused, below 0 backwards
    marks_changed = Signal()
    looping_changed = Signal(bool)
    sound_changed = Signal()  # what is heard is another file's, or nothing
    volume_changed = Signal()  # or muted
    dropped_changed = Signal(int)  # frames that were due and not shown since playback began
    ended = Signal()  # the thread
    _commanded = Signal(object)
    _reported = Signal(object)

    def __init__(
        self, parent: QObject | None = None, *, output: SoundOutput | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        super().__init__(parent)
        self.clip: Clip | None = None
        self.frame = 0
        self.speed = 0
        self.is_muted = False
        self.volume = 1.0  # as the ear judges it, 0 to 1
        self.is_looping = False
        self.in_frame: int | None = None
        self.out_frame: int | None = None  # the last one that is played
        self.num_dropped = 0
        self.silent_because: str | None = None
        self._levels: Levels | None = None
        self._cache_bytes = cache_bytes
        self._serial = 0  # of the clip being opened or open
        self._play_id = 0  # of the latest start of playback
        self._cache: FrameCache[QImage] = FrameCache(1, 1)
        self._proxies: Proxies[QImage] | None = None
        self._proxy_size: QSize | None = None
        self._wanted: Want | None = None  # what the reader is decoding
        self._clock: Clock | None = None
        self._bounds = (0, 0)  # first and last frame of what is being played
        self._is_marked_only = False  # playing from in to out
        self._is_shown = False  # a picture of the current frame
        self._decoding_speed = 0
        self._thread = QThread(self)
        self._thread.setObjectName("player")
        self._reader = ClipReader(self._reported.emit, output or SystemOutput())
        self._reader.moveToThread(self._thread)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._decode_ahead)
        self._thread.finished.connect(self.ended)
        self._commanded.connect(self._reader.obey)
        self._reported.connect(self._take)

    @property
    def last_frame(self) -> int:
        return 0 if self.clip is None else self.clip.facts.frames - 1

    @property
    def is_playing(self) -> bool:
        return self.speed != 0

    @property
    def marked(self) -> tuple[int, int]:
        """The first and the last frame between the marks; the clip's own where there is none."""
        first = 0 if self.in_frame is None else self.in_frame
        return first, self.last_frame if self.out_frame is None else self.out_frame

    def open(self, path: Path) -> None:
        """Show this clip, paused at its first frame, as soon as it is read."""
        if not self._thread.isRunning():
            self._thread.start()
        self.pause()
        self._serial += 1
        self._commanded.emit(Open(self._serial, path))

    def hear(self, path: Path) -> None:
        """Play another file's sound to this picture, from where it is now."""
        self._commanded.emit(Hear(self._serial, path))

    def close(self) -> None:
        """Stop for good, and wait until the thread has ended."""
        self.end()
        self.wait()

    def end(self) -> None:
        """Stop for good; the thread ends by itself, once it is done with the frame it is decoding (`ended`)."""
        self.pause()
        self._rest.stop()
        self._serial += 1  # what is being decoded is no longer wanted
        self._commanded.emit(Open(self._serial, None))
        self._thread.quit()

    def wait(self) -> None:
        """Until the thread has ended, less than a second after `end`."""
        self._thread.wait()

    # --- playing ------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """From the playhead; from the beginning when it is at the end."""
        if not self.is_playing:
            self._play(1)

    def play_marked(self) -> None:
        """From the in point to the out point."""
        if self.clip is not None:
            self.pause()
            self._is_marked_only = True
            self.seek(self.marked[0])
            self._play(1)

    def shuttle(self, direction: int) -> None:
        """Forwards (1) or backwards (-1); each further time faster."""
        speed = next_speed(self.speed, direction)
        if self.clip is not None and speed != self.speed:
            self._stop_clock()
            self._play(speed)

    def pause(self) -> None:
        if self.is_playing:
            self._timer.stop()
            self._stop_clock()
            self._is_marked_only = False
            self._set_speed(0)
            self._decode_ahead()

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

    def _play(self, speed: int) -> None:
        if self.clip is None:
            return
        is_at_end = self.frame == (self.last_frame if speed > 0 else 0)
        if is_at_end and not self.is_playing and not self.is_looping:
            if speed < 0:
                return
            self._go(0)
        self.num_dropped = 0
        self.dropped_changed.emit(0)
        self._set_speed(speed)
        self._start_clock()
        self._timer.start()

    def _set_speed(self, speed: int) -> None:
        was_playing = self.is_playing
        self.speed = self._decoding_speed = speed
        self.speed_changed.emit(speed)
        if was_playing != self.is_playing:
            self.playing_changed.emit(self.is_playing)

    # --- marks and sound ----------------------------------------------------------------------------------------------

    def set_in(self, frame: int | None) -> None:
        """Where to begin; None takes the mark away. An out point that lies before it goes."""
        self.in_frame = None if frame is None else min(max(frame, 0), self.last_frame)
        if self.in_frame is not None and self.out_frame is not None and self.out_frame < self.in_frame:
            self.out_frame = None
        self._marks_moved()

    def set_out(self, frame: int | None) -> None:
        """The last frame to play; None takes the mark away. An in point that lies after it goes."""
        self.out_frame = None if frame is None else min(max(frame, 0), self.last_frame)
        if self.in_frame is not None and self.out_frame is not None and self.out_frame < self.in_frame:
            self.in_frame = None
        self._marks_moved()

    def clear_marks(self) -> None:
        self.in_frame = self.out_frame = None
        self._marks_moved()

    def set_looping(self, is_looping: bool) -> None:
        """Again and again: what is between the marks, or the whole clip."""
        if is_looping != self.is_looping:
            self.is_looping = is_looping
            self.looping_changed.emit(is_looping)
            self._restart_clock()

    def set_muted(self, is_muted: bool) -> None:
        self.is_muted = is_muted
        self._set_gain()

    def set_volume(self, volume: float) -> None:
        """0 to 1, as the ear judges it."""
        self.volume = min(max(volume, 0.0), 1.0)
        self._set_gain()

    def peaks(self) -> tuple[float, float]:
        """How loud left and right are now, full scale being 1; 0 while nothing is played."""
        if self.speed != 1 or self._clock is None or self._levels is None:
            return 0.0, 0.0
        position_s = self._clock.position_s()
        left, right = self._levels.between(position_s - _METER_WINDOW_S, position_s)
        return left * self._gain, right * self._gain

    def _marks_moved(self) -> None:
        self.marks_changed.emit()
        if self.is_looping or self._is_marked_only:
            self._restart_clock()

    @property
    def _gain(self) -> float:
        return 0.0 if self.is_muted else self.volume**2  # half way up sounds about half as loud

    def _set_gain(self) -> None:
        if isinstance(self._clock, Speaker):
            self._clock.gain = self._gain
        self.volume_changed.emit()

    # --- for those who play several clips -----------------------------------------------------------------------------

    def follow_speed(self, speed: int) -> None:
        """Decode as one who plays at this speed; the playhead is moved by somebody else."""
        self._decoding_speed = speed
        self._decode_ahead()

    def picture_at(self, frame: int) -> QImage | None:
        """What there is of a frame, in full or small."""
        picture = self._cache.get(frame)
        return self._proxies.get(frame) if picture is None and self._proxies is not None else picture

    # --- the playhead -------------------------------------------------------------------------------------------------

    def _go(self, frame: int) -> None:
        self.frame = frame
        self._is_shown = False
        self.frame_changed.emit(frame)
        picture = self._cache.get(frame)
        proxy = None if self._proxies is None or picture is not None else self._proxies.get(frame)
        if picture is not None:
            self._show_picture(picture)
        elif proxy is not None:
            self._show_picture(proxy)
        if proxy is not None and self._decoding_speed != 1:
            self._rest.start()  # where the mouse is on its way to somewhere else, the small picture is enough
        else:
            self._decode_ahead()

    def _show_picture(self, picture: QImage) -> None:
        self._is_shown = True
        self.picture_changed.emit(picture)

    @Slot()
    def _tick(self) -> None:
        if self.clip is None or self._clock is None:
            return
        first, last = self._bounds
        is_over = self._clock.is_over()
        rate = float(self.clip.facts.frame_rate)
        at = int((self._clock.position_s() + _CLOCK_ROUNDING_S) * rate)
        frame = min(max(at, first), last)
        if frame != self.frame:
            self._count_dropped(frame)
            self._go(frame)
        if is_over:
            self.pause()

    def _count_dropped(self, frame: int) -> None:
        """At the clip's own speed every frame is to be seen."""
        if self.speed != 1:
            return
        first, last = self._bounds
        moved = frame - self.frame if frame > self.frame else last - self.frame + frame - first + 1
        dropped = moved - 1 + (not self._is_shown)
        if dropped > 0:
            self.num_dropped += dropped
            self.dropped_changed.emit(self.num_dropped)

    def _start_clock(self) -> None:
        assert self.clip is not None
        self._play_id += 1
        route = self._route()
        if self.speed == 1 and self.silent_because is None:
            self._commanded.emit(StartSound(self._serial, self._play_id, route, self._gain))
        else:
            self._clock = SilentClock(route)

    def _route(self) -> Route:
        assert self.clip is not None
        is_within_marks = self.is_looping or self._is_marked_only
        first, last = self.marked if is_within_marks else (0, self.last_frame)
        self._bounds = first, last
        if not first <= self.frame <= last:
            self._go(first if self.speed > 0 else last)
        seconds = self.clip.facts.frame_rate.seconds
        # Backwards a frame is entered at its end.
        start_s = seconds(self.frame) if self.speed > 0 else seconds(self.frame + 1) - 2 * _CLOCK_ROUNDING_S
        return Route(start_s, seconds(first), seconds(last + 1), speed=self.speed, loops=self.is_looping)

    def _stop_clock(self) -> None:
        self._play_id += 1  # sound that is being started reports too late
        if self.clip is not None:
            self._commanded.emit(StopSound())
        self._clock = None

    def _restart_clock(self) -> None:
        if self.is_playing:
            self._stop_clock()
            self._start_clock()

    # --- the reader ---------------------------------------------------------------------------------------------------

    @Slot()
    def _decode_ahead(self) -> None:
        want = self._next_want()
        coming = self._wanted
        if want is None or self.clip is None:
            return
        # What is wanted is on its way, and near.
        if coming is not None and coming.start <= want.start < min(coming.start + _BACKWARDS_FRAMES, coming.stop):
            return
        self._wanted = want
        self._commanded.emit(Decode(self._serial, want, self._proxy_size))

    def _next_want(self) -> Want | None:
        """Frames in full where they are looked at, then small ones for wherever the mouse may go."""
        gap = None if self._proxies is None else self._proxies.next_gap(self.frame)
        speed = self._decoding_speed
        if speed in (0, 1) or self._cache.holds_all:
            return self._cache.next_want(self.frame) or gap
        if self._proxies is not None:
            return gap
        return (
            self._cache.want_behind(self.frame, _BACKWARDS_FRAMES) if speed < 0 else self._cache.next_want(self.frame)
        )

    @Slot(object)
    def _take(self, report: object) -> None:
        match report:
            case Opened(serial, clip, levels) if serial == self._serial:
                self._show(clip, levels)
            case NotOpened(serial, message) if serial == self._serial:
                self.clip_refused.emit(message)
            case Decoded(serial, frame, picture, proxy) if serial == self._serial:
                self._decoded(frame, picture, proxy)
            case Heard(play_id, speaker) if play_id == self._play_id and self.clip is not None:
                if speaker is not None:
                    speaker.gain = self._gain
                self._clock = SilentClock(self._route()) if speaker is None else speaker
            case SoundTaken(serial) if serial == self._serial:
                self._sound_taken(report)
            case _:
                pass

    def _decoded(self, frame: int, picture: QImage, proxy: QImage | None) -> None:
        self._cache.put(frame, picture, playhead=self.frame)
        if proxy is not None and self._proxies is not None:
            self._proxies.put(frame, proxy)
        if frame == self.frame:
            self._show_picture(picture)
        coming = self._wanted
        if coming is not None and coming.start <= frame:
            self._wanted = Want(frame + 1, coming.stop) if frame + 1 < coming.stop else None
        if self._wanted is None and not self._rest.isActive():
            self._decode_ahead()

    def _show(self, clip: Clip, levels: Levels | None) -> None:
        self.clip = clip
        self.frame = 0
        self.in_frame = self.out_frame = None
        self.num_dropped = 0
        self.silent_because, self._levels = clip.silent_because, levels
        self._is_shown = False
        self._wanted = None
        self._make_caches(clip)
        self.clip_opened.emit(clip)
        self.sound_changed.emit()
        self.marks_changed.emit()
        self.dropped_changed.emit(0)
        self.frame_changed.emit(0)
        self._decode_ahead()

    def _make_caches(self, clip: Clip) -> None:
        width, height, frames = clip.facts.size.width, clip.facts.size.height, clip.facts.frames
        picture_bytes = width * height * BYTES_PER_PIXEL
        self._proxies, self._proxy_size = None, None
        fitting = self._cache_bytes // picture_bytes
        if fitting < frames:
            small = proxy_size(width, height, frames, self._cache_bytes // 2)
            if small is not None:
                self._proxies, self._proxy_size = Proxies(frames), QSize(*small)
                fitting //= 2
        self._cache = FrameCache(frames, fitting)

    def _sound_taken(self, report: SoundTaken) -> None:
        was_silent = self.silent_because is not None
        self.silent_because, self._levels = report.silent_because, report.levels
        self.sound_changed.emit()
        if report.needs_restart or was_silent != (report.silent_because is not None):
            self._restart_clock()
