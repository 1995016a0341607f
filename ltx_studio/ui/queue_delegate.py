"""Painting one row of the queue: a small picture or the state's sign, what is made, and how far it is."""

import qtawesome
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from engine.jobs.queue import State
from ltx_studio.domain.queue import Group, Row
from ltx_studio.ui import queue_words
from ltx_studio.ui.queue_model import Role
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, SECONDARY_PIXELS, WIDE_GAP, Appearance, Theme, ui_font

ROW_PIXELS = 44
TILE = QSize(64, 36)
_BAR_PIXELS = 6


class QueueDelegate(QStyledItemDelegate):
    """Reads the theme when it paints."""

    def __init__(self, appearance: Appearance, font: QFont, parent: QObject) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._font = ui_font(font)
        self._small_font = ui_font(font, SECONDARY_PIXELS)
        self._metrics = QFontMetrics(self._font)
        self._small_metrics = QFontMetrics(self._small_font)
        self._icons: dict[tuple[str, str, float], QPixmap] = {}

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802 - Qt's name
        return QSize(0, ROW_PIXELS)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row: Row | None = index.data(Role.ROW)
        if row is None:
            return
        # PySide's stubs leave out what a style option is about.
        place: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        is_mirrored = option.direction == Qt.LayoutDirection.RightToLeft  # pyright: ignore[reportAttributeAccessIssue]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if index.column() == 0:
            self._paint_clip(painter, place, row, index, is_mirrored=is_mirrored)
        else:
            self._paint_progress(painter, place, row, index)
        painter.restore()

    # --- what is made -------------------------------------------------------------------------------------------------

    def _paint_clip(
        self,
        painter: QPainter,
        place: QRect,
        row: Row,
        index: QModelIndex | QPersistentModelIndex,
        *,
        is_mirrored: bool,
    ) -> None:
        theme = self._appearance.theme.value
        tile = QRect(place.left(), place.top() + (place.height() - TILE.height()) // 2, TILE.width(), TILE.height())
        text = place.adjusted(TILE.width() + WIDE_GAP, 0, -WIDE_GAP, 0)
        if is_mirrored:
            tile.moveRight(place.right())
            text = place.adjusted(WIDE_GAP, 0, -TILE.width() - WIDE_GAP, 0)
        self._paint_tile(painter, tile, row, index.data(Role.PREVIEW), theme)
        is_over = row.state in {"done", "cancelled"}
        first, second = _lines(text)
        self._paint_text(painter, first, queue_words.title(row), theme.text_dim if is_over else theme.text)
        error = queue_words.error(row)
        if error:
            self._paint_text(painter, second, error, theme.danger, is_small=True)
        else:
            self._paint_text(painter, second, queue_words.facts(row), theme.text_dim, is_small=True)

    def _paint_tile(self, painter: QPainter, tile: QRect, row: Row, preview: QImage | None, theme: Theme) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.background))
        painter.drawRoundedRect(tile, GRID, GRID)
        if preview is not None:
            shown = QRectF(tile)
            scale = min(tile.width() / preview.width(), tile.height() / preview.height())
            shown.setSize(QRectF(0, 0, preview.width() * scale, preview.height() * scale).size())
            shown.moveCenter(QRectF(tile).center())
            painter.drawImage(shown, preview)
            return
        name = "mdi6.layers-outline" if isinstance(row, Group) else queue_words.state_icon(row.state)
        colour = theme.text_dim if isinstance(row, Group) else _colour(row.state, theme)
        self._paint_icon(painter, name, colour, tile)

    # --- how far it is ------------------------------------------------------------------------------------------------

    def _paint_progress(
        self, painter: QPainter, place: QRect, row: Row, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        theme = self._appearance.theme.value
        live = index.data(Role.LIVE)
        first, second = _lines(place.adjusted(0, 0, -WIDE_GAP, 0))
        is_unfinished = row.state == "running" or (isinstance(row, Group) and row.state in {"waiting", "paused"})
        state, time = queue_words.doing(row, live), queue_words.time_of(row, index.data(Role.DONE_IN_S), live)
        colour = theme.text if row.state == "running" else _colour(row.state, theme)
        if not is_unfinished:
            self._paint_text(painter, first, state, colour)
            self._paint_text(painter, second, time, theme.text_dim, is_small=True)
            return
        width = min(self._small_metrics.horizontalAdvance(time) + 1, first.width() // 2)
        self._paint_text(painter, first.adjusted(0, 0, -width - GAP, 0), state, colour)
        end = first.adjusted(first.width() - width, 0, 0, 0)
        self._paint_text(painter, end, time, theme.text_dim, is_small=True)
        groove = QRect(second.left(), second.center().y() - _BAR_PIXELS // 2, second.width(), _BAR_PIXELS)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.background))
        painter.drawRoundedRect(groove, _BAR_PIXELS / 2, _BAR_PIXELS / 2)
        groove.setWidth(round(groove.width() * queue_words.fraction_of(row, live)))
        if groove.width() >= _BAR_PIXELS:
            painter.setBrush(QColor(theme.text_dim))
            painter.drawRoundedRect(groove, _BAR_PIXELS / 2, _BAR_PIXELS / 2)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _paint_text(self, painter: QPainter, place: QRect, text: str, colour: str, *, is_small: bool = False) -> None:
        metrics = self._small_metrics if is_small else self._metrics
        painter.setFont(self._small_font if is_small else self._font)
        painter.setPen(QColor(colour))
        shown = metrics.elidedText(text[: place.width()], Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)

    def _paint_icon(self, painter: QPainter, name: str, colour: str, place: QRect) -> None:
        """Drawn from a pixmap that is made once for each colour and screen."""
        ratio = painter.device().devicePixelRatioF()
        key = (name, colour, ratio)
        if key not in self._icons:
            drawn = qtawesome.icon(name, color=QColor(colour))
            self._icons[key] = drawn.pixmap(QSize(ICON_PIXELS, ICON_PIXELS), ratio)
        spot = QRect(0, 0, ICON_PIXELS, ICON_PIXELS)
        spot.moveCenter(place.center())
        painter.drawPixmap(spot.topLeft(), self._icons[key])


def _lines(place: QRect) -> tuple[QRect, QRect]:
    """The two lines of text in a row."""
    half = (place.height() - GRID) // 2
    top = QRect(place.left(), place.top() + GRID // 2, place.width(), half)
    return top, top.translated(0, half)


def _colour(state: State, theme: Theme) -> str:
    match state:
        case "done":
            return theme.ok
        case "failed":
            return theme.danger
        case "paused":
            return theme.warn
        case "running":
            return theme.text
        case "waiting" | "cancelled":
            return theme.text_dim
