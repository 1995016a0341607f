"""The pictures of a comparison: side by side, on both sides of a line, as a difference, through each other.

It paints what `Ensemble` shows and `CompareState` says, and turns the mouse into changes of that state. Where things
lie is reckoned in `domain.compare` and `domain.framing`.
"""

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from ltx_studio.domain import framing as framings
from ltx_studio.domain.compare import Mode, is_on_wipe, panes, wipe_parts, wipe_position
from ltx_studio.domain.framing import FIT, STEP, Rect
from ltx_studio.services.ensemble import Ensemble
from ltx_studio.state.compare import CompareState
from ltx_studio.ui.compare_words import mode_name, side_letter
from ltx_studio.ui.controls import icon
from ltx_studio.ui.picture_view import draw_picture
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, PADDING, RADIUS, Appearance

_WHEEL_NOTCH = 120
_HANDLE = QSize(12, 36)  # of the wipe's line
_SHORTEST_NAME = 72


class CompareCanvas(QWidget):
    """Click: hear that side; click again: play. Wheel: zoom. Drag: pan, or move the line. Double click: fit."""

    play_asked = Signal()

    def __init__(self, state: CompareState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._appearance = appearance
        self._ensemble: Ensemble | None = None
        self._problem = ""
        self._drag_from: QPointF | None = None
        self._is_dragged = False
        self._is_wiping = False
        self._was_in_focus = False  # the side that is pressed
        self._difference: tuple[object, QImage] | None = None  # what it was made from, and the picture
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 180)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(self.tr("Clips to compare"))
        for shown in (state.mode, state.focus, state.pair, state.wipe, state.opacity, state.gain, state.framing):
            shown.changed.connect(self._repaint)
        for shown in (state.ballot, state.takes, state.votes, state.picked):
            shown.changed.connect(self._repaint)
        for said in (state.mode, state.focus, state.ballot, state.takes, state.votes, state.picked):
            said.changed.connect(self._describe)
        appearance.theme.changed.connect(self._repaint)

    def show_ensemble(self, ensemble: Ensemble | None) -> None:
        self._ensemble = ensemble
        self._difference = None
        self._problem = ""
        if ensemble is not None:
            ensemble.pictures_changed.connect(self._repaint)
        self.update()

    @Slot(str)
    def show_problem(self, sentence: str) -> None:
        """Why there is nothing to see."""
        self._problem = sentence
        self.setAccessibleDescription(sentence)
        self.update()

    # --- where things are ---------------------------------------------------------------------------------------------

    def sides_shown(self) -> tuple[int, ...]:
        """The sides in view, from left to right."""
        mode = self._state.mode.value
        if mode is Mode.SIDES:
            return tuple(range(self._state.num_sides))
        return self._state.pair.value if mode.shows_pair else (self._state.focus.value,)

    def places(self) -> dict[int, Rect]:
        """Where each side is looked at; in the modes that lay two over each other, both in one place."""
        view = Rect(0, 0, self.width(), self.height())
        sides = self.sides_shown()
        if self._state.mode.value is not Mode.SIDES:
            return dict.fromkeys(sides, view)
        return dict(zip(sides, panes(len(sides), view, self._aspect(), 2.0), strict=True))

    def _aspect(self) -> float:
        clips = () if self._ensemble is None else self._ensemble.clips
        if not clips:
            return 16 / 9
        return max(clip.facts.size.width / clip.facts.size.height for clip in clips)

    def _shape(self, side: int) -> tuple[int, int]:
        assert self._ensemble is not None
        size = self._ensemble.clips[self._state.take_of(side)].facts.size
        return size.width, size.height

    def _side_at(self, point: QPointF) -> int | None:
        if self._state.mode.value is Mode.WIPE:
            left, _right = wipe_parts(Rect(0, 0, self.width(), self.height()), self._state.wipe.value)
            return self._state.pair.value[0 if point.x() < left.right else 1]
        return next((side for side, place in self.places().items() if place.contains(point.x(), point.y())), None)

    def _has_pictures(self) -> bool:
        return self._ensemble is not None and len(self._ensemble.pictures) == self._state.num_sides > 0

    # --- zoom ---------------------------------------------------------------------------------------------------------

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """All sides, around a point of one of them; around the middle where none is given."""
        side = self._state.focus.value if at is None else self._side_at(at)
        places = self.places()
        if side is None or side not in places or not self._has_pictures():
            return
        point = None if at is None else (at.x(), at.y())
        width, height = self._shape(side)
        self._state.framing.value = framings.zoomed(
            self._state.framing.value, factor, places[side], width, height, at=point
        )

    def show_actual_size(self) -> None:
        """One of the pictures' pixels on each of the screen's."""
        places, side = self.places(), self._state.focus.value
        if side in places and self._has_pictures():
            width, height = self._shape(side)
            scale = 1 / self.devicePixelRatioF()
            self._state.framing.value = framings.at_scale(self._state.framing.value, scale, places[side], width, height)

    def fit(self) -> None:
        self._state.framing.value = FIT

    # --- painting -----------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        theme = self._appearance.theme.value
        painter.fillRect(self.rect(), QColor(theme.background))
        if not self._has_pictures():
            painter.setPen(QColor(theme.warn if self._problem else theme.text_dim))
            words = self._problem or (self.tr("Opening the clips") if self._state.takes.value else "")
            room = self.rect().adjusted(2 * PADDING, 0, -2 * PADDING, 0)
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, words)
            return
        match self._state.mode.value:
            case Mode.SIDES | Mode.SINGLE:
                for side, place in self.places().items():
                    self._draw_side(painter, side, place, place)
            case Mode.WIPE:
                self._draw_wipe(painter)
            case Mode.DIFFERENCE:
                self._draw_difference(painter)
            case Mode.ONION:
                left, right = self._state.pair.value
                view = Rect(0, 0, self.width(), self.height())
                self._draw_side(painter, left, view, view)
                painter.setOpacity(self._state.opacity.value)
                self._draw_side(painter, right, view, view)
                painter.setOpacity(1)
        self._draw_names(painter)

    def _picture(self, side: int) -> QImage:
        assert self._ensemble is not None
        return self._ensemble.pictures[self._state.take_of(side)]

    def _area(self, side: int, place: Rect) -> QRectF:
        width, height = self._shape(side)
        found = framings.place(self._state.framing.value, place, width, height)
        return QRectF(found.x, found.y, found.width, found.height)

    def _draw_side(self, painter: QPainter, side: int, place: Rect, clip: Rect) -> None:
        """The side as it lies in its place, as much of it as `clip` lets through."""
        painter.save()
        painter.setClipRect(_to_qt(clip))
        draw_picture(painter, self._area(side, place), self._picture(side), self._state.framing.value)
        painter.restore()

    def _draw_wipe(self, painter: QPainter) -> None:
        view = Rect(0, 0, self.width(), self.height())
        position = self._state.wipe.value
        for side, part in zip(self._state.pair.value, wipe_parts(view, position), strict=True):
            self._draw_side(painter, side, view, part)
        theme = self._appearance.theme.value
        x = view.width * position
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # Dark beside the accent, so that the line is seen on any picture.
        painter.fillRect(QRectF(x - 2, 0, 4, view.height), QColor(theme.on_accent))
        painter.fillRect(QRectF(x - 1, 0, 2, view.height), QColor(theme.accent))
        handle = QRectF(0, 0, _HANDLE.width(), _HANDLE.height())
        handle.moveCenter(QPointF(x, view.height / 2))
        painter.setPen(QPen(QColor(theme.on_accent), 1))
        painter.setBrush(QColor(theme.accent))
        painter.drawRoundedRect(handle, RADIUS, RADIUS)

    def _draw_difference(self, painter: QPainter) -> None:
        left, right = self._state.pair.value
        first, second, gain = self._picture(left), self._picture(right), self._state.gain.value
        made_from = (first.cacheKey(), second.cacheKey(), gain)
        if self._difference is None or self._difference[0] != made_from:
            self._difference = made_from, difference(first, second, gain)
        area = self._area(left, Rect(0, 0, self.width(), self.height()))
        draw_picture(painter, area, self._difference[1], self._state.framing.value)

    def _draw_names(self, painter: QPainter) -> None:
        places, mode = self.places(), self._state.mode.value
        for number, (side, place) in enumerate(places.items()):
            is_right = mode.shows_pair and number == 1
            is_focused = side == self._state.focus.value
            self._draw_name(painter, side, place, is_right=is_right, is_focused=is_focused)
            if mode is Mode.SIDES and is_focused:
                painter.setPen(QPen(QColor(self._appearance.theme.value.accent), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
                painter.drawRect(_to_qt(place).adjusted(1, 1, -1, -1))

    def _draw_name(self, painter: QPainter, side: int, place: Rect, *, is_right: bool, is_focused: bool) -> None:
        theme = self._appearance.theme.value
        metrics = self.fontMetrics()
        room = int(place.width * (0.5 if self._state.mode.value.shows_pair else 1)) - 4 * GAP
        speaker = ICON_PIXELS + GAP if is_focused else 0
        verdict = self.verdict_of(side)
        name_room = room - speaker - metrics.horizontalAdvance(verdict)
        # What is left of a title that is cut to a few letters says nothing.
        name = self.name_of(side) if name_room >= _SHORTEST_NAME else side_letter(side)
        name = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, max(name_room, 0))
        words = metrics.elidedText(name + verdict, Qt.TextElideMode.ElideRight, room - speaker)
        width, height = metrics.horizontalAdvance(words) + speaker + 2 * GAP, metrics.height() + 2 * GRID
        x = place.right - GAP - width if is_right else place.x + GAP
        box = QRect(round(x), round(place.y) + GAP, width, height)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.accent), 2) if is_focused else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(box, RADIUS, RADIUS)
        inside = box.adjusted(GAP, 0, -GAP, 0)
        if is_focused:  # it is the one that is heard
            area = QRect(inside.left(), inside.top(), ICON_PIXELS, inside.height())
            icon("mdi6.volume-high", theme).paint(painter, area)
        painter.setPen(QColor(theme.text))
        painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)

    def name_of(self, side: int) -> str:
        """What is written over a side: a letter alone while the comparison is blind."""
        letter = side_letter(side)
        if self._state.ballot.value is not None:
            return letter
        return self.tr("{letter}  {title}").format(letter=letter, title=self._state.takes.value[side].title)

    def verdict_of(self, side: int) -> str:
        """What follows a name: its votes, and whether it was picked."""
        state = self._state
        if state.ballot.value is not None:
            return ""
        text = ""
        if state.votes.value:
            votes, total = state.votes.value[side], sum(state.votes.value)
            text = self.tr(", {votes} of {total} votes").format(votes=votes, total=total)
        return text + self.tr(", picked") if state.picked.value is state.takes.value[side] else text

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton) or not self._has_pictures():
            return
        self._drag_from, self._is_dragged = event.position(), False
        self._is_wiping = event.button() == Qt.MouseButton.LeftButton and self._is_on_line(event.position())
        side = self._side_at(event.position())
        if side is not None and not self._is_wiping:
            # Where pictures lie over each other there is nothing to choose by the mouse.
            is_choice = self._state.mode.value in (Mode.SIDES, Mode.WIPE)
            self._was_in_focus = side == self._state.focus.value or not is_choice
            if is_choice:
                self._state.focus_on(side)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if self._is_wiping:
            view = Rect(0, 0, self.width(), self.height())
            self._state.wipe.value = wipe_position(view, event.position().x())
        elif self._drag_from is not None and not self._state.framing.value.is_fit:
            way = event.position() - self._drag_from
            if self._is_dragged or way.manhattanLength() >= QApplication.startDragDistance():
                self._is_dragged = True
                self._pan(self._drag_from, way)
                self._drag_from = event.position()
        elif self._drag_from is None:
            shape = Qt.CursorShape.SplitHCursor if self._is_on_line(event.position()) else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        was_click = self._drag_from is not None and not self._is_dragged and not self._is_wiping
        self._drag_from, self._is_wiping = None, False
        if was_click and self._was_in_focus and event.button() == Qt.MouseButton.LeftButton:
            self.play_asked.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """On the line: back to the middle. Elsewhere the first click has played or paused; this takes that back."""
        if self._is_on_line(event.position()):
            self._state.wipe.value = 0.5
        else:
            if self._was_in_focus:
                self.play_asked.emit()
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        self.zoom(STEP ** (event.angleDelta().y() / _WHEEL_NOTCH), event.position())
        event.accept()

    def _is_on_line(self, point: QPointF) -> bool:
        view = Rect(0, 0, self.width(), self.height())
        return self._state.mode.value is Mode.WIPE and is_on_wipe(view, self._state.wipe.value, point.x())

    def _pan(self, at: QPointF, way: QPointF) -> None:
        side = self._side_at(at)
        if side is not None:
            width, height = self._shape(side)
            self._state.framing.value = framings.panned(
                self._state.framing.value, way.x(), way.y(), self.places()[side], width, height
            )

    @Slot()
    def _describe(self, _what: object = None) -> None:
        """What a screen reader says of the pictures."""
        if not self._state.takes.value:
            return
        names = [self.name_of(side) + self.verdict_of(side) for side in range(self._state.num_sides)]
        heard = self.tr("{name} is heard").format(name=names[self._state.focus.value])
        self.setAccessibleDescription("; ".join([mode_name(self._state.mode.value), *names, heard]))

    @Slot()
    def _repaint(self, _what: object = None) -> None:
        self.update()


def difference(first: QImage, second: QImage, gain: int) -> QImage:
    """How far apart two pictures are in each channel, times a power of two, in the first one's size."""
    result = first.convertToFormat(QImage.Format.Format_RGB32)
    painter = QPainter(result)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Difference)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(result.rect(), second)
    painter.end()
    for _doubling in range(gain.bit_length() - 1):
        twice = QImage(result)
        painter = QPainter(twice)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Plus)
        painter.drawImage(0, 0, result)
        painter.end()
        result = twice
    return result


def _to_qt(rect: Rect) -> QRectF:
    return QRectF(rect.x, rect.y, rect.width, rect.height)
