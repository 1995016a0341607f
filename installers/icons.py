"""The program's icons in every form a system wants, drawn from the SVG files of `resources/icons`.

PNG for Linux, ICO for Windows, ICNS for macOS. Both containers are a few bytes of header around PNG files, so they are
written here. Nothing is kept in the repository but the SVG files: a package draws what it needs when it is built.

Alone: `python -m installers.icons OUT` writes all of them into a folder, to be looked at.
"""

import struct
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from PySide6.QtCore import QBuffer, QIODevice, QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SOURCES: Final = Path(__file__).resolve().parent.parent / "resources" / "icons"
APP, PROJECT = "ltx-studio", "ltx-studio-project"  # stems in SOURCES

PNG_SIZES: Final = (16, 22, 24, 32, 48, 64, 128, 256, 512)  # the sizes of the hicolor theme
ICO_SIZES: Final = (16, 20, 24, 32, 40, 48, 64, 256)  # Windows' sizes at 100, 125, 150 and 200 %
# Apple's four-letter names of the entries that hold PNG, with their pixels; ic11 to ic14 are the doubled ones.
ICNS_ENTRIES: Final = (
    *(("icp4", 16), ("icp5", 32), ("ic11", 32), ("icp6", 64), ("ic12", 64), ("ic07", 128)),
    *(("ic13", 256), ("ic08", 256), ("ic14", 512), ("ic09", 512), ("ic10", 1024)),
)
# Apple's template keeps a margin of 100 pixels of 1024 around the plate, and ours of 32 is in the drawing already.
MACOS_SCALE: Final = 824 / 960

_ICO_HEADER = struct.Struct("<HHH")
_ICO_ENTRY = struct.Struct("<BBBBHHII")
_ICNS_HEADER = struct.Struct(">4sI")


@cache  # several packages of one run hold the same pictures
def draw_png(source: Path, pixels: int, *, scale: float = 1.0) -> bytes:
    """The drawing, `pixels` wide and high, as a PNG file; `scale` shrinks it around its centre."""
    renderer = QSvgRenderer(str(source))
    assert renderer.isValid(), source
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    margin = pixels * (1 - scale) / 2
    renderer.render(painter, QRectF(margin, margin, pixels * scale, pixels * scale))
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    is_saved = image.convertToFormat(QImage.Format.Format_ARGB32).save(buffer, "PNG")  # pyright: ignore[reportArgumentType, reportCallIssue] - the stub wants bytes
    assert is_saved
    return bytes(buffer.data().data())


def make_ico(pngs: Sequence[tuple[int, bytes]]) -> bytes:
    """A Windows icon of (pixels, PNG file) pairs."""
    offset = _ICO_HEADER.size + _ICO_ENTRY.size * len(pngs)
    entries: list[bytes] = []
    for pixels, png in pngs:
        side = pixels % 256  # 0 stands for 256
        entries.append(_ICO_ENTRY.pack(side, side, 0, 0, 1, 32, len(png), offset))
        offset += len(png)
    return b"".join((_ICO_HEADER.pack(0, 1, len(pngs)), *entries, *(png for _, png in pngs)))


def make_icns(pngs: Sequence[tuple[str, bytes]]) -> bytes:
    """A macOS icon of (entry name, PNG file) pairs."""
    body = b"".join(_ICNS_HEADER.pack(name.encode(), _ICNS_HEADER.size + len(png)) + png for name, png in pngs)
    return _ICNS_HEADER.pack(b"icns", _ICNS_HEADER.size + len(body)) + body


def read_ico(content: bytes) -> list[tuple[int, bytes]]:
    """What `make_ico` was given. Raises ValueError for anything else."""
    if len(content) < _ICO_HEADER.size:
        raise ValueError("no Windows icon")
    reserved, kind, count = _ICO_HEADER.unpack_from(content)
    if (reserved, kind) != (0, 1) or len(content) < _ICO_HEADER.size + count * _ICO_ENTRY.size:
        raise ValueError("no Windows icon")
    entries = [_ICO_ENTRY.unpack_from(content, _ICO_HEADER.size + i * _ICO_ENTRY.size) for i in range(count)]
    if any(offset + size > len(content) for *_, size, offset in entries):
        raise ValueError("a truncated Windows icon")
    return [(entry[0] or 256, content[entry[7] : entry[7] + entry[6]]) for entry in entries]


def read_icns(content: bytes) -> list[tuple[str, bytes]]:
    """What `make_icns` was given. Raises ValueError for anything else."""
    size = _ICNS_HEADER.size
    if content[:4] != b"icns" or len(content) < size or _ICNS_HEADER.unpack_from(content)[1] != len(content):
        raise ValueError("no macOS icon")
    entries: list[tuple[str, bytes]] = []
    at = _ICNS_HEADER.size
    while at + _ICNS_HEADER.size <= len(content):
        name, size = _ICNS_HEADER.unpack_from(content, at)
        if size < _ICNS_HEADER.size or at + size > len(content):
            raise ValueError("a truncated macOS icon")
        entries.append((name.decode("ascii"), content[at + _ICNS_HEADER.size : at + size]))
        at += size
    return entries


def windows_icon(stem: str) -> bytes:
    return make_ico([(pixels, draw_png(SOURCES / f"{stem}.svg", pixels)) for pixels in ICO_SIZES])


def macos_icon(stem: str) -> bytes:
    scale = MACOS_SCALE if stem == APP else 1.0
    source = SOURCES / f"{stem}.svg"
    return make_icns([(name, draw_png(source, pixels, scale=scale)) for name, pixels in ICNS_ENTRIES])


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("Give the folder that the icons go into.\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for stem in (APP, PROJECT):
        for pixels in PNG_SIZES:
            (folder / f"{stem}-{pixels}.png").write_bytes(draw_png(SOURCES / f"{stem}.svg", pixels))
        (folder / f"{stem}.ico").write_bytes(windows_icon(stem))
        (folder / f"{stem}.icns").write_bytes(macos_icon(stem))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
