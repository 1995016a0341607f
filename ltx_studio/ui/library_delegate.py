"""Painting one tile of the library: its picture, its first words, and the user's marks."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import qtawesome
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ltx_studio.domain.library import MAX_RATING, Entry, Flag, Kind, Label
from ltx_studio.services.thumbnails import Problem, Source, Thumbnails
from ltx_studio.ui import library_words
from ltx_studio.ui.library_model import Role
from ltx_studio.ui.library_tile import BADGE_PIXELS, STAR_PIXELS, TileGeometry
from ltx_studio.ui.theme import GRID, RADIUS, SECONDARY_PIXELS, Appearance, Theme, ui_font

_DIMMED = 0.35  # opacity of what was rejected or is not there
_BADGE_OPACITY = 0.85
_DRAWN_BYTES = 64 * 2**20  # of tiles kept as they look: 700 of the smallest at 1x, 200 of the largest
_SHOWN_STATES = QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_HasFocus
_DOT_PIXELS = 8
_NUM_NAMED_LABELS = len(Label) - 1


@dataclass(frozen=True)
class Scrub:
    """What the mouse or the keys look at: a row, and a fraction of its clip's time."""

    row: int
    fraction: float


@dataclass(frozen=True)
class _Look:
    """All that a tile's picture depends on besides its entry, the theme and the thumbnail."""

    size: QSize
    state: QStyle.StateFlag
    num_takes: int
    ratio: float
    has_focus: bool  # whether it is chosen and the grid has the keys


class _Drawn(NamedTuple):
    """A tile as it was painted."""

    entry: Entry
    source: Source
    look: _Look
    pixmap: QPixmap


def source_of(entry: Entry) -> Source:
    facts = entry.facts
    return Source(facts.path, facts.mtime_ns, facts.size_bytes, is_sound=facts.kind is Kind.SOUND)


class TileDelegate(QStyledItemDelegate):
    """Reads the theme when it paints; decodes nothing and waits for nothing."""

    def __init__(self, thumbnails: Thumbnails, appearance: Appearance, font: QFont, parent: QObject) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self._appearance = appearance
        self._title_font = ui_font(font)
        self._marks_font = ui_font(font, SECONDARY_PIXELS)
        self._title_metrics = QFontMetrics(self._title_font)
        self._marks_metrics = QFontMetrics(self._marks_font)
        self._icons: dict[tuple[str, str, int, float], QPixmap] = {}
        self._drawn: OrderedDict[int, _Drawn] = OrderedDict()  # by entry, the least recently shown first
        self.scrub: Scrub | None = None
        self.has_focus = False
        self.geometry = self.geometry_of_width(160)

    def geometry_of_width(self, width: int) -> TileGeometry:
        return TileGeometry.of_width(width, self._title_metrics, self._marks_metrics)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802 - Qt's name
        return self.geometry.size

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        entry = index.data(Role.ENTRY)
        if not isinstance(entry, Entry):
            return
        # PySide's stubs leave out what a style option is about.
        place: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        state: QStyle.StateFlag = option.state & _SHOWN_STATES  # pyright: ignore[reportAttributeAccessIssue]
        has_focus = self.has_focus and bool(state & QStyle.StateFlag.State_Selected)
        ratio = painter.device().devicePixelRatioF()
        look = _Look(place.size(), state, index.data(Role.NUM_TAKES), ratio, has_focus)
        if self.scrub is not None and self.scrub.row == index.row():
            painter.translate(place.topLeft())
            self._paint_tile(painter, entry, look, self.scrub)
            painter.translate(-place.topLeft())
            return
        drawn = self._drawn.get(entry.id)
        if drawn is None or drawn.entry is not entry or drawn.look != look:
            drawn = self._draw(entry, look)
        self._drawn.move_to_end(entry.id)
        painter.drawPixmap(place.topLeft(), drawn.pixmap)

    def redraw(self, source: Source) -> None:
        """There is more to show of a file than when its tile was drawn."""
        for entry_id in [key for key, drawn in self._drawn.items() if drawn.source == source]:
            del self._drawn[entry_id]

    def redraw_all(self) -> None:
        self._drawn.clear()

    def _draw(self, entry: Entry, look: _Look) -> _Drawn:
        """Tiles are kept as they look: scrolling and hovering then cost a fifth of painting them again."""
        pixmap = QPixmap(look.size * look.ratio)
        pixmap.setDevicePixelRatio(look.ratio)
        pixmap.fill(QColor(self._appearance.theme.value.surface))
        painter = QPainter(pixmap)
        self._paint_tile(painter, entry, look, None)
        painter.end()
        drawn = self._drawn[entry.id] = _Drawn(entry, source_of(entry), look, pixmap)
        while len(self._drawn) * pixmap.width() * pixmap.height() * 4 > _DRAWN_BYTES and len(self._drawn) > 1:
            self._drawn.popitem(last=False)
        return drawn

    def _paint_tile(self, painter: QPainter, entry: Entry, look: _Look, scrub: Scrub | None) -> None:
        """With its corner at the origin."""
        tile = QRect(QPoint(0, 0), look.size)
        theme = self._appearance.theme.value
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_frame(painter, tile, look, theme)
        self._paint_picture(painter, tile, entry, scrub, theme)
        self._paint_badges(painter, tile, entry, look.num_takes, theme)
        self._paint_words(painter, tile, entry, theme)
        is_hovered = bool(look.state & QStyle.StateFlag.State_MouseOver)
        self._paint_marks(painter, tile, entry, theme, offers_stars=is_hovered)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _paint_frame(self, painter: QPainter, tile: QRect, look: _Look, theme: Theme) -> None:
        """Chosen tiles have a ring: in the accent while the grid has the keys, else in grey."""
        frame = QRectF(self.geometry.frame(tile)).adjusted(1, 1, -1, -1)
        is_selected = bool(look.state & QStyle.StateFlag.State_Selected)
        is_hovered = bool(look.state & QStyle.StateFlag.State_MouseOver)
        is_current = bool(look.state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(Qt.PenStyle.NoPen)
        if is_selected:
            painter.setPen(QPen(QColor(theme.accent if look.has_focus else theme.line), 2))
        elif is_current:
            painter.setPen(QPen(QColor(theme.line), 1, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(theme.raised) if is_selected or is_hovered else QColor(theme.surface))
        painter.drawRoundedRect(frame, RADIUS, RADIUS)

    def _paint_picture(self, painter: QPainter, tile: QRect, entry: Entry, scrub: Scrub | None, theme: Theme) -> None:
        place = self.geometry.picture(tile)
        painter.fillRect(place, QColor(theme.background))
        source = source_of(entry)
        ratio = painter.device().devicePixelRatioF()
        box = QSize(round(place.width() * ratio), round(place.height() * ratio))
        pixmap = None
        if scrub is not None and entry.facts.kind is Kind.CLIP:
            pixmap = self._thumbnails.strip_picture(source, box, scrub.fraction)
        pixmap = pixmap or self._thumbnails.picture(source, box)
        problem = self._thumbnails.problem(source)
        is_gone = problem is Problem.MISSING or entry.is_missing or entry.is_trashed
        if pixmap is not None:
            shown = QRectF(0, 0, pixmap.width() / ratio, pixmap.height() / ratio)
            shown.moveCenter(QRectF(place).center())
            if is_gone or entry.marks.flag is Flag.REJECT:
                painter.setOpacity(_DIMMED)
            painter.drawPixmap(shown, pixmap, QRectF(pixmap.rect()))
            painter.setOpacity(1)
        if is_gone:
            words = library_words.tr("In the trash") if entry.is_trashed else library_words.tr("File missing")
            self._paint_notice(painter, place, "mdi6.trash-can-outline" if entry.is_trashed else "mdi6.link-off", words)
        elif problem is Problem.UNREADABLE:
            words = library_words.tr("Cannot be read")
            self._paint_notice(painter, place, "mdi6.file-alert-outline", words)
        if scrub is not None and not is_gone:
            x = place.left() + scrub.fraction * (place.width() - 1)
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom() + 1))

    def _paint_notice(self, painter: QPainter, place: QRect, icon_name: str, words: str) -> None:
        """An icon and words in the middle of the picture."""
        theme = self._appearance.theme.value
        width = min(self._marks_metrics.horizontalAdvance(words) + BADGE_PIXELS + 2 * GRID, place.width())
        badge = QRect(0, 0, width, BADGE_PIXELS)
        badge.moveCenter(place.center())
        self._paint_badge(painter, badge, theme)
        self._paint_icon(painter, icon_name, theme.text, badge.left() + GRID, badge.center().y(), STAR_PIXELS)
        text = badge.adjusted(BADGE_PIXELS, 0, -GRID, 0)
        self._paint_text(painter, text, words, theme.text, Qt.AlignmentFlag.AlignLeft)

    def _paint_badges(self, painter: QPainter, tile: QRect, entry: Entry, num_takes: int, theme: Theme) -> None:
        place = self.geometry.picture(tile).adjusted(GRID, GRID, -GRID, -GRID)
        if entry.marks.flag is not Flag.NONE:
            badge = QRect(place.left(), place.top(), BADGE_PIXELS, BADGE_PIXELS)
            self._paint_badge(painter, badge, theme)
            is_pick = entry.marks.flag is Flag.PICK
            name, colour = ("mdi6.check-bold", theme.ok) if is_pick else ("mdi6.close-thick", theme.danger)
            inset = (BADGE_PIXELS - STAR_PIXELS) // 2
            self._paint_icon(painter, name, colour, badge.left() + inset, badge.center().y(), STAR_PIXELS)
        if num_takes > 1:
            words = str(num_takes)
            width = self._marks_metrics.horizontalAdvance(words) + STAR_PIXELS + 3 * GRID
            badge = QRect(place.right() + 1 - width, place.top(), width, BADGE_PIXELS)
            self._paint_badge(painter, badge, theme)
            left = badge.left() + GRID
            self._paint_icon(painter, "mdi6.layers-triple-outline", theme.text, left, badge.center().y(), STAR_PIXELS)
            text = badge.adjusted(2 * GRID + STAR_PIXELS, 0, -GRID, 0)
            self._paint_text(painter, text, words, theme.text, Qt.AlignmentFlag.AlignLeft)
        words = library_words.length(entry)
        width = self._marks_metrics.horizontalAdvance(words) + 2 * GRID
        badge = QRect(place.right() + 1 - width, place.bottom() + 1 - BADGE_PIXELS, width, BADGE_PIXELS)
        self._paint_badge(painter, badge, theme)
        self._paint_text(painter, badge, words, theme.text, Qt.AlignmentFlag.AlignHCenter)

    def _paint_badge(self, painter: QPainter, badge: QRect, theme: Theme) -> None:
        colour = QColor(theme.surface)
        colour.setAlphaF(_BADGE_OPACITY)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(badge, GRID, GRID)

    def _paint_words(self, painter: QPainter, tile: QRect, entry: Entry, theme: Theme) -> None:
        place = self.geometry.title(tile)
        # Only as much of a long prompt is measured as could fit.
        words = library_words.title(entry)[: place.width() // 2]
        words = self._title_metrics.elidedText(words, Qt.TextElideMode.ElideRight, place.width())
        painter.setFont(self._title_font)
        painter.setPen(QColor(theme.text))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)

    def _paint_marks(self, painter: QPainter, tile: QRect, entry: Entry, theme: Theme, *, offers_stars: bool) -> None:
        rating = entry.marks.rating
        for number in range(1, (MAX_RATING if offers_stars else rating) + 1):
            place = self.geometry.star(tile, number)
            name, colour = ("mdi6.star", theme.text) if number <= rating else ("mdi6.star-outline", theme.text_dim)
            self._paint_icon(painter, name, colour, place.left(), place.center().y(), STAR_PIXELS)
        if entry.marks.label is Label.NONE:
            return
        name = library_words.label_name(entry.marks.label)
        place = self.geometry.label(tile)
        words = self._marks_metrics.elidedText(name, Qt.TextElideMode.ElideRight, place.width() - _DOT_PIXELS - GRID)
        left = place.right() + 1 - self._marks_metrics.horizontalAdvance(words)
        self._paint_text(painter, place, words, theme.text_dim, Qt.AlignmentFlag.AlignRight)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(label_colour(entry.marks.label, theme)))
        dot = QRect(left - GRID - _DOT_PIXELS, place.center().y() - _DOT_PIXELS // 2 + 1, _DOT_PIXELS, _DOT_PIXELS)
        painter.drawEllipse(dot)

    def _paint_text(self, painter: QPainter, place: QRect, words: str, colour: str, side: Qt.AlignmentFlag) -> None:
        painter.setFont(self._marks_font)
        painter.setPen(QColor(colour))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | side, words)

    def _paint_icon(self, painter: QPainter, name: str, colour: str, left: int, middle: int, pixels: int) -> None:
        """Drawn from a pixmap that is made once for each colour, size and screen."""
        ratio = painter.device().devicePixelRatioF()
        key = (name, colour, pixels, ratio)
        if key not in self._icons:
            drawn = qtawesome.icon(name, color=QColor(colour))
            self._icons[key] = drawn.pixmap(QSize(pixels, pixels), ratio)
        painter.drawPixmap(left, middle - pixels // 2 + 1, self._icons[key])


def label_colour(label: Label, theme: Theme) -> str:
    """A label's colour in a theme."""
    assert len(theme.labels) == _NUM_NAMED_LABELS, theme.labels
    return theme.labels[list(Label).index(label) - 1]
