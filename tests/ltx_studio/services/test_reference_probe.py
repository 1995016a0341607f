"""Files that are to be references, whole and hostile ones.

Alone: `pytest tests/ltx_studio/services/test_reference_probe.py`.
"""

import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QThread
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from engine.media.write import write_wav
from engine.types import FrameRate, Size
from ltx_studio.domain.references import Kind, MediaFacts, Unreadable
from ltx_studio.services.reference_probe import NUM_PEAKS, Probed, ReferenceProbe, look_at
from tests.fakes.clips import write_numbered_clip


def write_picture(path: Path, size: tuple[int, int] = (64, 32)) -> Path:
    Image.new("RGB", size, (200, 40, 40)).save(path, format="PNG")
    return path


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    time = np.arange(round(48_000 * seconds)) / 48_000
    write_wav(path, (np.sin(2 * np.pi * 220 * time) / 2).astype(np.float32)[None], 48_000)
    return path


def cut_in_half(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """A header that promises pixels, and nothing after it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b""))
    return path


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def wave_that_lasts(path: Path, seconds: int) -> Path:
    """Eight samples a second, so that an hour is small."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8)
        file.writeframes(b"\x80" * 8 * seconds)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- what can be used -------------------------------------------------------------------------------------------------


def test_a_picture_is_known_by_its_content_whatever_its_name_says(tmp_path: Path) -> None:
    facts, preview = look_at(write_picture(tmp_path / "holiday.mp4", (640, 320)))

    assert facts == MediaFacts(Kind.PICTURE, Size(640, 320))
    assert preview.picture is not None
    assert (preview.picture.width(), preview.picture.height()) == (320, 160)
    assert preview.picture.pixelColor(5, 5) == QColor(200, 40, 40)


def test_a_picture_is_shown_upright_as_cameras_mark_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    Image.new("RGB", (64, 32)).save(tmp_path / "a.jpg", exif=exif)

    facts, _ = look_at(tmp_path / "a.jpg")

    assert facts == MediaFacts(Kind.PICTURE, Size(32, 64))


def test_an_animation_says_that_it_is_one(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 90, 180)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])

    facts, _ = look_at(tmp_path / "a.gif")

    assert facts == MediaFacts(Kind.PICTURE, Size(8, 8), is_animated=True)


def test_a_sound_has_a_length_and_an_outline(tmp_path: Path) -> None:
    facts, preview = look_at(write_sound(tmp_path / "🎤 voice.wav"))

    assert facts == MediaFacts(Kind.SOUND, sound_s=0.5)
    assert preview.picture is None
    assert preview.peaks is not None
    assert preview.peaks.shape == (NUM_PEAKS, 2)
    assert preview.peaks.max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("has_sound", [True, False])
def test_a_clip_says_what_it_has(tmp_path: Path, has_sound: bool) -> None:
    facts, preview = look_at(write_numbered_clip(tmp_path / "a.mp4", 9, has_sound=has_sound))

    assert isinstance(facts, MediaFacts)
    assert (facts.kind, facts.size, facts.frame_rate, facts.frames) == (
        Kind.CLIP,
        Size(64, 32),
        FrameRate.parse(24),
        9,
    )
    assert (facts.sound_s is not None) == has_sound == (preview.peaks is not None)
    assert preview.picture is not None


# --- what cannot ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: written(folder / "a.png", b""), "it is empty"),
        (lambda folder: folder / "gone.png", "there is no such file"),
        (lambda folder: folder, "it is a folder"),
        (lambda folder: cut_in_half(write_picture(folder / "a.png", (400, 400))), "it is damaged"),
        (lambda folder: cut_in_half(write_numbered_clip(folder / "a.mp4", 9)), "its video track holds no"),
        (lambda folder: written(folder / "a.png", b"hello world\n" * 99), "it is damaged, or not what its name says"),
        (lambda folder: written(folder / "a.txt", b"hello world\n" * 99), "it is no picture, clip or sound"),
        (lambda folder: written(folder / "a.wav", bytes(range(256)) * 9), "it is no picture, clip or sound"),
        (lambda folder: written(folder / "a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhi\n"), "it is no picture"),
        (lambda folder: png_that_claims(folder / "a.png", 16_384, 16_384), "it has 16,384 by 16,384 pixels"),
        (lambda folder: png_that_claims(folder / "a.png", 20_000, 10), "it has 20,000 by 10 pixels"),
        (lambda folder: wave_that_lasts(folder / "a.wav", 7200), "it lasts 120 minutes"),
        (lambda folder: written(folder / "a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n"), "it"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_reason_and_a_remedy(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    finding, preview = look_at(make(tmp_path))

    assert isinstance(finding, Unreadable)
    assert finding.reason.startswith(reason)
    assert finding.remedy
    assert str(tmp_path) not in finding.reason
    assert (preview.picture, preview.peaks) == (None, None)


def test_a_clip_with_too_long_a_sound_can_still_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltx_studio.services.reference_probe.MAX_SOUND_S", 0.1)

    facts, _ = look_at(write_numbered_clip(tmp_path / "a.mp4", 9, has_sound=True))

    assert isinstance(facts, MediaFacts)
    assert facts.sound_s is None


# --- the thread -------------------------------------------------------------------------------------------------------


@pytest.fixture
def probe(qtbot: QtBot) -> Iterator[ReferenceProbe]:
    probe = ReferenceProbe()
    yield probe
    probe.close()


def test_answers_come_in_the_order_of_the_questions_to_the_windows_thread(
    probe: ReferenceProbe, tmp_path: Path, qtbot: QtBot
) -> None:
    answers: list[Probed] = []
    threads: list[QThread] = []
    probe.answered.connect(answers.append)
    probe.answered.connect(lambda _answer: threads.append(QThread.currentThread()))
    tickets = [probe.read(path) for path in (write_picture(tmp_path / "a.png"), tmp_path / "b", tmp_path / "c")]
    assert probe.waiting == ("a.png", "b", "c")

    qtbot.waitUntil(lambda: len(answers) == 3)

    assert [answer.ticket for answer in answers] == tickets
    assert isinstance(answers[0].finding, MediaFacts)
    assert isinstance(answers[1].finding, Unreadable)
    assert threads == [probe.thread()] * 3
    assert probe.waiting == ()


def test_nothing_is_answered_after_stopping(probe: ReferenceProbe, tmp_path: Path, qtbot: QtBot) -> None:
    answers: list[Probed] = []
    probe.answered.connect(answers.append)
    for number in range(5):
        probe.read(write_picture(tmp_path / f"{number}.png"))
    probe.stop()
    assert probe.waiting == ()

    last = probe.read(tmp_path / "0.png")
    qtbot.waitUntil(lambda: bool(answers))

    assert [answer.ticket for answer in answers] == [last]


def test_pasted_pixels_become_one_file_however_often_they_are_pasted(
    probe: ReferenceProbe, studio_home: Path, qtbot: QtBot
) -> None:
    image = QImage(40, 20, QImage.Format.Format_ARGB32)
    image.fill(QColor(10, 200, 30))
    answers: list[Probed] = []
    probe.answered.connect(answers.append)
    probe.keep_pasted(image)
    probe.keep_pasted(image)
    qtbot.waitUntil(lambda: len(answers) == 2)

    first, second = answers
    assert first.path == second.path
    assert first.finding == MediaFacts(Kind.PICTURE, Size(40, 20))
    assert [path.name for path in (studio_home / "references").iterdir()] == [first.path.name if first.path else ""]


def test_pixels_that_cannot_be_saved_are_refused_with_the_folder(
    probe: ReferenceProbe, studio_home: Path, qtbot: QtBot
) -> None:
    (studio_home / "references").write_text("in the way")
    image = QImage(4, 4, QImage.Format.Format_RGB32)
    image.fill(0)
    with qtbot.waitSignal(probe.answered) as caught:
        probe.keep_pasted(image)

    assert caught.args is not None
    answer = caught.args[0]
    assert answer.path is None
    assert str(studio_home / "references") in answer.finding.reason
    assert answer.preview.picture is None
