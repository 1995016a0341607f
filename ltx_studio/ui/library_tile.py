"""Where things are in one tile of the library: pure geometry, shared by painting and by what the mouse hits."""

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QRect, QSize
from PySide6.QtGui import QFontMetrics

from ltx_studio.domain.library import MAX_RATING
from ltx_studio.ui.theme import GRID

MARGIN = GRID // 2  # around a tile's frame, half of the gap between two
PADDING = GRID  # inside the frame
INSET = MARGIN + PADDING  # from a tile's edge to its picture
STAR_PIXELS = 14
BADGE_PIXELS = 20


@dataclass(frozen=True)
class TileGeometry:
    """The measures of every tile: `size` is what a tile takes up in the grid, gaps included."""

    size: QSize
    title_height: int
    marks_height: int

    @classmethod
    def of_width(cls, width: int, title: QFontMetrics, marks: QFontMetrics) -> "TileGeometry":
        """Tiles of this width, with a 16:9 picture and two lines in these fonts."""
        title_height, marks_height = title.height(), max(marks.height(), STAR_PIXELS)
        frame = 2 * INSET
        height = frame + (width - frame) * 9 // 16 + GRID + title_height + GRID // 2 + marks_height
        return cls(QSize(width, height), title_height, marks_height)

    @property
    def picture_size(self) -> QSize:
        return self.picture(QRect(QPoint(0, 0), self.size)).size()

    def frame(self, tile: QRect) -> QRect:
        return tile.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)

    def picture(self, tile: QRect) -> QRect:
        inside = self._inside(tile)
        return QRect(inside.left(), inside.top(), inside.width(), inside.width() * 9 // 16)

    def title(self, tile: QRect) -> QRect:
        inside = self._inside(tile)
        return QRect(inside.left(), self.picture(tile).bottom() + 1 + GRID, inside.width(), self.title_height)

    def marks(self, tile: QRect) -> QRect:
        title = self.title(tile)
        return QRect(title.left(), title.bottom() + 1 + GRID // 2, title.width(), self.marks_height)

    def star(self, tile: QRect, number: int) -> QRect:
        """The place of star 1 to 5."""
        marks = self.marks(tile)
        top = marks.top() + (marks.height() - STAR_PIXELS) // 2
        return QRect(marks.left() + (number - 1) * STAR_PIXELS, top, STAR_PIXELS, STAR_PIXELS)

    def star_at(self, tile: QRect, point: QPoint) -> int:
        """Which star is there, 0 where none is."""
        return next((number for number in range(1, MAX_RATING + 1) if self.star(tile, number).contains(point)), 0)

    def label(self, tile: QRect) -> QRect:
        """What is left of the last line beside the stars."""
        marks = self.marks(tile)
        return marks.adjusted(MAX_RATING * STAR_PIXELS + GRID, 0, 0, 0)

    def fraction_at(self, tile: QRect, point: QPoint) -> float | None:
        """How far from the left the point is in the picture, 0 to 1; None outside of it."""
        picture = self.picture(tile)
        if not picture.contains(point):
            return None
        return (point.x() - picture.left()) / max(picture.width() - 1, 1)

    def _inside(self, tile: QRect) -> QRect:
        return self.frame(tile).adjusted(PADDING, PADDING, -PADDING, -PADDING)
