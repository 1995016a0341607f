"""The player's thread: decodes a clip frame by frame, and opens and closes the sound device.

It obeys commands and reports, both frozen values. Of several wishes for frames the latest counts, and one frame is
decoded at a time, so that a command waits no longer than one frame takes.
"""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QImage

from engine.errors import EngineError
from ltx_studio.domain.playback import Levels, Route
from ltx_studio.services.frame_cache import Want
from ltx_studio.services.speaker import SoundOutput, Speaker

if TYPE_CHECKING:
    from engine.media.audio import SoundClip
    from engine.media.read import ClipFacts, Pixels

logger = logging.getLogger("studio.player")

# Decoding on to a frame this far ahead is quicker than opening the file anew and decoding from its key frame.
SKIPPED_AT_MOST = 96


@dataclass(frozen=True)
class Clip:
    """A clip that is open for playback."""

    path: Path
    facts: "ClipFacts"
    silent_because: str | None  # why nothing is heard, None when something is


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Open:
    serial: int
    path: Path | None  # None: close what is open


@dataclass(frozen=True)
class Decode:
    serial: int
    want: Want
    proxy: QSize | None = None  # of the small pictures, None where there are none


@dataclass(frozen=True)
class Hear:
    """Take the sound of another file; at once if it is being played."""

    serial: int
    path: Path


@dataclass(frozen=True)
class StartSound:
    serial: int
    play_id: int
    route: Route
    gain: float


@dataclass(frozen=True)
class StopSound:
    pass


# --- reports ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    serial: int
    clip: Clip
    levels: Levels | None  # None without sound


@dataclass(frozen=True)
class NotOpened:
    serial: int
    message: str


@dataclass(frozen=True)
class Decoded:
    serial: int
    frame: int
    picture: QImage
    proxy: QImage | None


@dataclass(frozen=True)
class Heard:
    play_id: int
    speaker: Speaker | None  # None when the device refused


@dataclass(frozen=True)
class SoundTaken:
    """`needs_restart`: the device that plays cannot go on with it."""

    serial: int
    path: Path
    silent_because: str | None
    levels: Levels | None
    needs_restart: bool


class ClipReader(QObject):
    """Lives in the player's thread. `report` may be called from there."""

    def __init__(self, report: Callable[[object], None], output: SoundOutput) -> None:
        super().__init__()
        self._report = report
        self._output = output
        self._clip: Clip | None = None
        self._serial = 0
        self._sound: SoundClip | None = None
        self._sounds: dict[Path, SoundClip | None] = {}  # that were heard with this clip
        self._speaker: Speaker | None = None
        self._frames: Generator[Pixels, None, None] | None = None
        self._position = 0  # of the frame that `_frames` yields next
        self._want: Want | None = None
        self._proxy: QSize | None = None
        self._is_decoding = False

    @Slot(object)
    def obey(self, command: object) -> None:
        match command:
            case Open(serial, path):
                self._close()
                self._serial = serial
                if path is not None:
                    self._open(path)
            case Decode(serial, want, proxy) if serial == self._serial:
                self._want, self._proxy = want, proxy
                self._decode_soon()
            case Hear(serial, path) if serial == self._serial:
                self._hear(path)
            case StartSound(serial, play_id, route, gain) if serial == self._serial:
                self._start_sound(play_id, route, gain)
            case StopSound():
                self._stop_sound()
            case _:
                pass

    def _open(self, path: Path) -> None:
        from engine.media.read import probe_clip, read_audio  # noqa: PLC0415 - brings FFmpeg, not needed to open a window

        try:
            facts = probe_clip(path)
            self._sound = None if facts.audio_sample_rate is None else read_audio(path)
        except EngineError as error:
            self._report(NotOpened(self._serial, str(error)))
            return
        self._sounds = {path: self._sound}
        self._clip = Clip(path, facts, self._silent_because())
        self._report(Opened(self._serial, self._clip, self._levels()))

    def _close(self) -> None:
        self._stop_sound()
        if self._frames is not None:
            self._frames.close()
        self._frames, self._clip, self._sound, self._want = None, None, None, None
        self._sounds = {}

    # --- pictures -----------------------------------------------------------------------------------------------------

    def _decode_soon(self) -> None:
        """Once the commands that wait were obeyed."""
        if not self._is_decoding:
            self._is_decoding = True
            QTimer.singleShot(0, self._decode_one)

    @Slot()
    def _decode_one(self) -> None:
        self._is_decoding = False
        want = self._want
        if want is None or self._clip is None:
            return
        if self._frames is None or not 0 <= want.start - self._position <= SKIPPED_AT_MOST:
            self._seek(want.start)
        frame = self._position
        pixels = self._next_pixels()
        if pixels is None:
            self._frames, self._want = None, None
            return
        self._position += 1
        if frame >= want.start:
            self._want = Want(frame + 1, want.stop) if frame + 1 < want.stop else None
        picture = _to_image(pixels)
        self._report(Decoded(self._serial, frame, picture, self._to_proxy(picture)))
        self._decode_soon()

    def _seek(self, frame: int) -> None:
        from engine.media.read import read_frames  # noqa: PLC0415 - see above

        assert self._clip is not None
        if self._frames is not None:
            self._frames.close()
        self._frames = cast("Generator[Pixels, None, None]", read_frames(self._clip.path, start=frame))
        self._position = frame

    def _next_pixels(self) -> "Pixels | None":
        assert self._frames is not None
        try:
            return next(self._frames, None)
        except EngineError as error:
            logger.warning("%s", error)
            return None

    def _to_proxy(self, picture: QImage) -> QImage | None:
        if self._proxy is None:
            return None
        shape, smooth = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
        return picture.scaled(self._proxy, shape, smooth)

    # --- sound --------------------------------------------------------------------------------------------------------

    def _silent_because(self) -> str | None:
        return "This clip has no sound." if self._sound is None else self._output.problem()

    def _levels(self) -> Levels | None:
        return None if self._sound is None else Levels.measured(self._sound.samples, self._sound.sample_rate)

    def _hear(self, path: Path) -> None:
        from engine.media.read import probe_clip, read_audio  # noqa: PLC0415 - see above

        if path not in self._sounds:
            try:
                self._sounds[path] = None if probe_clip(path).audio_sample_rate is None else read_audio(path)
            except EngineError as error:
                logger.warning("%s", error)
                self._sounds[path] = None
        self._sound = self._sounds[path]
        is_taken = self._speaker is None or (self._sound is not None and self._speaker.replace_sound(self._sound))
        self._report(SoundTaken(self._serial, path, self._silent_because(), self._levels(), needs_restart=not is_taken))

    def _start_sound(self, play_id: int, route: Route, gain: float) -> None:
        self._stop_sound()
        assert self._sound is not None
        try:
            self._speaker = Speaker(self._sound, route, self._output, gain=gain)
        except Exception as error:  # PortAudio's own type cannot be named without loading it
            logger.warning("the sound device refused: %s", error)
        self._report(Heard(play_id, self._speaker))

    def _stop_sound(self) -> None:
        if self._speaker is not None:
            self._speaker.close()
            self._speaker = None


def _to_image(pixels: "Pixels") -> QImage:
    """A picture of its own memory, in the format that is fastest to draw."""
    height, width, _ = pixels.shape
    view = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return view.convertToFormat(QImage.Format.Format_RGB32)
