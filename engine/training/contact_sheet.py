"""One picture of many clips: for each its prompt, a few of its frames and its waveform."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.training.toyworld_law import FloatArray

_COLUMNS: Final = 2
_FRAMES: Final = 5  # of a clip
_HEIGHT_PX: Final = 84  # of a frame on the sheet
_WAVE_PX: Final = 150  # width of a waveform
_CAPTION_PX: Final = 20
_MARGIN_PX: Final = 10
_CELL_PX: Final = 5 * 112 + _WAVE_PX + _FRAMES * 4  # room for frames of 4:3
_PAPER: Final = (24, 24, 28)
_INK: Final = (222, 222, 226)
_WAVE: Final = (110, 170, 250)


class SheetClip(NamedTuple):
    """One cell of the sheet."""

    prompt: str
    frames: NDArray[np.uint8]  # (F, H, W, 3)
    audio: FloatArray  # (2, samples)


def write_contact_sheet(clips: Sequence[SheetClip], path: Path) -> None:
    """Write a PNG with the clips in rows, from left to right."""
    rows = -(-len(clips) // _COLUMNS)
    cell_height = _HEIGHT_PX + _CAPTION_PX + _MARGIN_PX
    size = (_COLUMNS * (_CELL_PX + _MARGIN_PX) + _MARGIN_PX, rows * cell_height + _MARGIN_PX)
    sheet = Image.new("RGB", size, _PAPER)
    for index, clip in enumerate(clips):
        row, column = divmod(index, _COLUMNS)
        _draw_clip(sheet, clip, _MARGIN_PX + column * (_CELL_PX + _MARGIN_PX), _MARGIN_PX + row * cell_height)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _draw_clip(sheet: Image.Image, clip: SheetClip, left: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    font = _font(13)
    caption = clip.prompt
    while draw.textlength(caption, font) > _CELL_PX:
        caption = caption.removesuffix("\u2026")[:-1] + "\u2026"
    draw.text((left, top), caption, fill=_INK, font=font)
    top += _CAPTION_PX
    height, width = clip.frames.shape[1:3]
    width_px = min(round(width * _HEIGHT_PX / height), (_CELL_PX - _WAVE_PX) // _FRAMES - 4)
    height_px = round(height * width_px / width)
    for index, frame in enumerate(np.linspace(0, len(clip.frames) - 1, _FRAMES).round().astype(int)):
        picture = Image.fromarray(clip.frames[frame]).resize((width_px, height_px), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + index * (width_px + 4), top))
    _draw_wave(draw, clip.audio.mean(axis=0), left + _CELL_PX - _WAVE_PX, top + _HEIGHT_PX // 2)


def _draw_wave(draw: ImageDraw.ImageDraw, samples: FloatArray, left: int, middle: int) -> None:
    """The lowest and highest sample of each column, full scale to the height of a frame."""
    for column, piece in enumerate(np.array_split(samples, _WAVE_PX)):
        low, high = (float(np.clip(edge, -1, 1)) * _HEIGHT_PX / 2 for edge in (piece.min(), piece.max()))
        draw.line([(left + column, middle - high), (left + column, middle - low)], fill=_WAVE)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One with accents where the system has it; Pillow's own has none."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)
