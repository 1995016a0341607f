"""Opens files that are to be references, on a thread of its own: what each is and a preview, or why it cannot be read.

What a file is comes from its content, as the engine reads it, not from its name. Whatever is refused here the engine
could not use either, or only by filling the memory.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image
from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QObject, QThread, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage, QImageReader

from engine.errors import EngineError, MediaError
from engine.folders import data_folder
from engine.media.audio import SoundClip
from engine.media.read import Pixels, probe_clip, read_audio, read_image
from engine.media.thumbnails import Peaks, first_picture, fitted, sound_peaks
from engine.types import Size
from ltx_studio.domain.references import Kind, MediaFacts, Unreadable

logger = logging.getLogger("studio.references")

PREVIEW_BOX = Size(320, 320)  # sharp at 2x and more on a card
NUM_PEAKS = 512  # columns of a waveform, more than a card has pixels at 1x
MAX_PICTURE_SIDE = 16_384  # of x264, which the engine passes every picture through
MAX_PICTURE_PIXELS = 89_478_485  # from here on Pillow warns that reading may fill the memory
MAX_SOUND_S = 20 * 60.0  # the engine reads a sound as a whole: 460 MB for this long in stereo at 48 kHz
_TEXT_FORMAT = "tty"  # FFmpeg shows text files as pictures of a terminal


def tr(text: str) -> str:
    return QCoreApplication.translate("reference_probe", text)


@dataclass(frozen=True, eq=False)
class Preview:
    """What a card shows of its file. `peaks` is (columns, 2): the lowest and the highest sample of each stretch."""

    picture: QImage | None = None
    peaks: Peaks | None = None


@dataclass(frozen=True, eq=False)
class Probed:
    """The answer to one question. `path` is None where pasted pixels could not be saved."""

    ticket: int
    path: Path | None
    finding: MediaFacts | Unreadable
    preview: Preview


class ReferenceProbe(QObject):
    """Answers questions in their order; lives in the window's thread."""

    answered = Signal(object)  # Probed
    waiting_changed = Signal()
    _finished = Signal(object)  # Probed

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[int, str] = {}  # ticket -> name, in the order of the questions
        self._last_ticket = 0
        self._must_stop = Event()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._pool.setThreadPriority(QThread.Priority.LowPriority)
        self._finished.connect(self._answer)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The names of the files that are not read yet, the one being read first."""
        return tuple(self._waiting.values())

    def read(self, path: Path) -> int:
        """Look at a file; the answer carries the number that is returned."""
        return self._ask(path.name, lambda ticket: _probed(ticket, path))

    def keep_pasted(self, image: QImage) -> int:
        """Save pixels from the clipboard as a file in the data folder, and look at that."""
        return self._ask(tr("the pasted picture"), lambda ticket: _kept(ticket, image))

    @Slot()
    def stop(self) -> None:
        """Give up what is not answered yet. The file being read is read to its end, for nobody."""
        self._must_stop.set()
        self._must_stop = Event()
        self._pool.clear()
        self._waiting.clear()
        self.waiting_changed.emit()

    @Slot()
    def close(self) -> None:
        """End the thread; nothing is asked of this afterwards."""
        self._must_stop.set()
        self._pool.clear()
        self._pool.waitForDone()

    def _ask(self, name: str, work: Callable[[int], Probed]) -> int:
        self._last_ticket += 1
        ticket, must_stop = self._last_ticket, self._must_stop
        self._waiting[ticket] = name

        def run() -> None:
            if not must_stop.is_set():
                answer = work(ticket)
                if not must_stop.is_set():
                    self._finished.emit(answer)

        self._pool.start(run)
        self.waiting_changed.emit()
        return ticket

    @Slot(object)
    def _answer(self, probed: Probed) -> None:
        if self._waiting.pop(probed.ticket, None) is not None:
            self.waiting_changed.emit()
            self.answered.emit(probed)


# --- on the pool's thread ---------------------------------------------------------------------------------------------


def _probed(ticket: int, path: Path) -> Probed:
    finding, preview = look_at(path)
    return Probed(ticket, path, finding, preview)


def _kept(ticket: int, image: QImage) -> Probed:
    """The same pixels pasted twice are one file."""
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    is_encoded = image.save(buffer, "PNG")  # pyright: ignore[reportCallIssue, reportArgumentType] - PySide's stub lacks it
    data = content.data()
    path = data_folder() / "references" / f"pasted-{hashlib.sha256(data).hexdigest()[:12]}.png"
    part = path.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        if not is_encoded:
            raise OSError(tr("it cannot be written as PNG"))
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        reason = tr("it could not be saved in {folder} ({reason})")
        words = reason.format(folder=path.parent, reason=error.strerror or error)
        return Probed(ticket, None, Unreadable(words, tr("Make room there, or save it elsewhere.")), Preview())
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return _probed(ticket, path)


def look_at(path: Path) -> tuple[MediaFacts | Unreadable, Preview]:
    """What a file is, and its preview. Reads a picture or a sound as a whole, of a clip the headers and a frame."""
    try:
        refusal = _refusal_unopened(path)
        if refusal is not None:
            return refusal, Preview()
        return _picture(path) if _is_picture(path) else _clip_or_sound(path)
    except MediaError as error:
        logger.info("a reference cannot be read: %s", error)
        if isinstance(error.__cause__, FFmpegError) or _is_named_picture(path):
            remedy = tr("Copy it again, or convert it to PNG, MP4 or WAV.")
            return Unreadable(tr("it is damaged, or not what its name says"), remedy), Preview()
        return Unreadable(error.message.removeprefix(f"{path}: ").rstrip("."), error.remedy), Preview()
    except (EngineError, MemoryError, ValueError, OverflowError) as error:  # numpy on what a damaged header promises
        logger.info("a reference cannot be read: %s: %r", path, error)
        return Unreadable(tr("it cannot be read"), tr("It may be damaged; choose another file.")), Preview()


def _is_named_picture(path: Path) -> bool:
    """One that Qt would read by its name. FFmpeg opens any file of such a name as a clip of one picture."""
    readable = {bytes(name.data()).decode() for name in QImageReader.supportedImageFormats()}
    return path.suffix.lower().lstrip(".") in readable


def _refusal_unopened(path: Path) -> Unreadable | None:
    """What can be told without decoding."""
    try:
        if path.is_dir():
            return Unreadable(tr("it is a folder"), tr("Add the files in it instead."))
        if not path.exists():
            return Unreadable(tr("there is no such file"), tr("Connect its drive, or choose another file."))
        if not path.is_file():
            return Unreadable(tr("it is not a file"), tr("Choose another file."))
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        words = tr("it cannot be opened ({reason})").format(reason=error.strerror or error)
        return Unreadable(words, tr("Check that you may read it, or choose another file."))
    if is_empty:
        return Unreadable(tr("it is empty"), tr("Copy it again, or choose another file."))
    reader = QImageReader(str(path))
    reader.setDecideFormatFromContent(True)
    size = reader.size()
    if max(size.width(), size.height()) > MAX_PICTURE_SIDE or size.width() * size.height() > MAX_PICTURE_PIXELS:
        words = tr("it has {width} by {height} pixels, more than can be read").format(
            width=f"{size.width():,}", height=f"{size.height():,}"
        )
        remedy = tr("Save a smaller copy; twice the clip's size is plenty.")
        return Unreadable(words, remedy)
    return None


def _is_picture(path: Path) -> bool:
    """Whether the content is that of a picture file. Pillow also knows MPEG clips, but cannot read them."""
    try:
        with Image.open(path) as opened:
            return opened.format != "MPEG"
    except Exception:
        return False


def _picture(path: Path) -> tuple[MediaFacts, Preview]:
    try:
        pixels = read_image(path)
    except MediaError as error:
        raise MediaError(
            path, tr("it is damaged, or only a part of it is there."), remedy=tr("Copy it again, or convert it to PNG.")
        ) from error
    height, width, _ = pixels.shape
    with Image.open(path) as opened:
        is_animated = getattr(opened, "n_frames", 1) > 1 and opened.format in {"GIF", "PNG", "WEBP"}
    small = fitted(Size(width, height), PREVIEW_BOX)
    # Pillow copies what it is given while holding the interpreter's lock, and of 24 million pixels the window notices.
    every = max(max(width, height) // (4 * max(PREVIEW_BOX.width, PREVIEW_BOX.height)), 1)
    shrunk = Image.fromarray(np.ascontiguousarray(pixels[::every, ::every])).resize(
        (small.width, small.height), Image.Resampling.BOX
    )
    facts = MediaFacts(Kind.PICTURE, size=Size(width, height), is_animated=is_animated)
    return facts, Preview(_image(np.asarray(shrunk)))


@dataclass(frozen=True)
class _Outline:
    """What a container's header says."""

    has_picture: bool
    has_sound: bool
    duration_s: float  # 0 where it does not say


def _clip_or_sound(path: Path) -> tuple[MediaFacts | Unreadable, Preview]:
    outline = _outline(path)
    if not outline.has_picture and not outline.has_sound:
        return Unreadable(tr("it is no picture, clip or sound"), tr("Choose another file.")), Preview()
    is_too_long = outline.duration_s > MAX_SOUND_S
    if outline.has_picture:
        clip = probe_clip(path)
        facts = MediaFacts(Kind.CLIP, size=clip.size, frame_rate=clip.frame_rate, frames=clip.frames)
        preview = Preview(_image(first_picture(path, PREVIEW_BOX)))
        if not outline.has_sound or is_too_long:
            return facts, preview
        try:
            sound = read_audio(path)
        except MediaError as error:  # its picture can still be used
            logger.info("the sound of a reference cannot be read: %s", error)
            return facts, preview
        return replace(facts, sound_s=sound.duration_s), replace(preview, peaks=_peaks(sound))
    if is_too_long:
        words = tr("it lasts {minutes} minutes, and sounds of up to {most} minutes can be read")
        words = words.format(minutes=round(outline.duration_s / 60), most=round(MAX_SOUND_S / 60))
        return Unreadable(words, tr("Cut out the part you need.")), Preview()
    sound = read_audio(path)
    return MediaFacts(Kind.SOUND, sound_s=sound.duration_s), Preview(peaks=_peaks(sound))


def _outline(path: Path) -> _Outline:
    """Raises MediaError where FFmpeg does not know the format, or takes text for a picture."""
    unknown = MediaError(
        path, tr("it is no picture, clip or sound that can be read."), remedy=tr("Convert it to PNG, MP4 or WAV.")
    )
    try:
        with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
            if container.format.name == _TEXT_FORMAT:
                raise unknown
            videos = [item for item in container.streams.video if not item.disposition & item.disposition.attached_pic]
            duration = container.duration or 0
            return _Outline(bool(videos), bool(container.streams.audio), duration / av.time_base)
    except (FFmpegError, OSError) as error:
        logger.info("FFmpeg does not open %s: %s", path, error.strerror)
        raise unknown from None


def _peaks(sound: SoundClip) -> Peaks:
    """Both channels as one."""
    peaks = sound_peaks(sound, NUM_PEAKS)
    return np.stack([peaks[..., 0].min(0), peaks[..., 1].max(0)], axis=-1)


def _image(pixels: Pixels) -> QImage:
    """An image with memory of its own, from (height, width, 3)."""
    height, width, _ = pixels.shape
    contiguous = np.ascontiguousarray(pixels)
    return QImage(contiguous.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
