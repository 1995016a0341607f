"""The ruler and the lanes: what the mouse, the wheel and Esc do there, and when which part is drawn anew.

Where things are is `timeline_geometry`'s, what a drag does `timeline_drag`'s, how it looks `timeline_painting`'s.
"""

from dataclasses import replace

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from ltx_studio.domain.timeline import Edge, TrackKind
from ltx_studio.domain.timeline_details import mark_range
from ltx_studio.domain.timeline_edits import blade
from ltx_studio.state.timeline import tr
from ltx_studio.ui.timeline_drag import Drag, DragKind, begin_drag
from ltx_studio.ui.timeline_geometry import RULER_PIXELS, Hit, Target, hit_lanes, hit_ruler, lanes_height
from ltx_studio.ui.timeline_painting import Scene, paint_clips, paint_hint, paint_over, paint_ruler, playhead_area
from ltx_studio.ui.timeline_screen import ZOOM_STEP, TimelineScreen, Tool

_NOTCH = 120  # eighths of a degree of one step of a wheel
_NOTCH_PIXELS = 96
_EDGE_SCROLL_MS, _EDGE_SCROLL_SHARE = 30, 0.2  # of how far the mouse is outside, each time
_SAME_PIXEL = 0.01
_Modifier = Qt.KeyboardModifier


class _Canvas(QWidget):
    """What the ruler and the lanes have in common."""

    def __init__(self, screen: TimelineScreen, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.screen_ = screen
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        screen.changed.connect(self.update)
        screen.playhead_moved.connect(self._playhead_moved)
        self._outside = QTimer(self)
        self._outside.setInterval(_EDGE_SCROLL_MS)
        self._outside.timeout.connect(self._scroll_on)
        self._pan_from: QPointF | None = None
        self._last = QPointF()  # where the mouse was

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """With Ctrl it zooms around the mouse, else it scrolls; with Shift it is for whoever scrolls up and down."""
        turned, pixels = event.angleDelta(), event.pixelDelta()
        if event.modifiers() & _Modifier.ControlModifier:
            self.screen_.zoom(ZOOM_STEP ** (turned.y() / _NOTCH), event.position().x())
        elif event.modifiers() & _Modifier.ShiftModifier:
            event.ignore()
            return
        elif not pixels.isNull():
            self.screen_.scroll(-(pixels.x() or pixels.y()))
        else:
            self.screen_.scroll(-(turned.x() or turned.y()) / _NOTCH * _NOTCH_PIXELS)
        event.accept()

    def _playhead_moved(self, before: int, after: int) -> None:
        """Two narrow strips, not everything."""
        for frame in (before, after):
            self.update(playhead_area(self.screen_.view, frame, self.height()))

    def _watch_outside(self, position: QPointF) -> None:
        """A drag past the side scrolls on by itself."""
        if 0 <= position.x() <= self.width():
            self._outside.stop()
        elif not self._outside.isActive():
            self._outside.start()

    def _scroll_on(self) -> None:
        x = self._last.x()
        self.screen_.scroll((min(x, 0) + max(x - self.width(), 0)) * _EDGE_SCROLL_SHARE)
        self.drag_on(self._last, QApplication.keyboardModifiers())

    def drag_on(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        """The mouse is here, or what is under it has moved."""
        raise NotImplementedError


class TimelineRuler(_Canvas):
    """Dragging moves the playhead; marks and markers can be dragged; with Shift a range is marked."""

    def __init__(self, screen: TimelineScreen, parent: QWidget | None = None) -> None:
        super().__init__(screen, parent)
        self._is_scrubbing = False
        self.setFixedHeight(RULER_PIXELS)
        self.setAccessibleName(tr("Time ruler"))
        self.setToolTip(tr("Drag to move the playhead; hold Shift to mark a range, Alt not to snap"))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.setClipRect(event.rect())
        paint_ruler(painter, self.screen_.scene(), event.rect())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() != Qt.MouseButton.LeftButton:
            return
        screen, x = self.screen_, event.position().x()
        timeline, position = screen.state.timeline.value, screen.view.position_at(x)
        if event.modifiers() & _Modifier.ShiftModifier:
            screen.begin(Drag(DragKind.MARK_RANGE, timeline, position, playhead=screen.state.playhead.value))
            return
        drag = begin_drag(timeline, hit_ruler(timeline, screen.view, x), position, playhead=screen.state.playhead.value)
        if drag is not None:
            screen.begin(drag)
        else:
            self._is_scrubbing = True
            screen.seek(x, is_free=_is_free(event.modifiers()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        self._last = event.position()
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.drag_on(event.position(), event.modifiers())
            self._watch_outside(event.position())
        else:
            hit = hit_ruler(self.screen_.state.timeline.value, self.screen_.view, event.position().x())
            is_handle = hit.target in (Target.IN, Target.OUT, Target.MARKER)
            self.setCursor(Qt.CursorShape.SizeHorCursor if is_handle else Qt.CursorShape.ArrowCursor)

    def drag_on(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        if self._is_scrubbing:
            self.screen_.seek(position.x(), is_free=_is_free(modifiers))
        else:
            self.screen_.drag_to(position.x(), is_free=_is_free(modifiers))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        self._outside.stop()
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if self._is_scrubbing:
            self._is_scrubbing = False
            self.screen_.scrub_ended.emit()
        else:
            self.screen_.end_drag()


class TimelineLanes(_Canvas):
    """Clips on their tracks. The keyboard's place on the timeline."""

    menu_asked = Signal(object, QPoint)  # Hit, where on the screen

    def __init__(self, screen: TimelineScreen, parent: QWidget | None = None) -> None:
        super().__init__(screen, parent)
        self.accessible: object = None  # kept for `timeline_accessible`
        self._clips = KeptClips()
        self._pressed_at: QPointF | None = None
        self._pressed_hit: Hit | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Timeline"))
        screen.changed.connect(self._lanes_changed)
        screen.hint_changed.connect(self.update)
        screen.playhead_moved.connect(self._tell_screen_reader)
        self._lanes_changed()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(400, lanes_height(self.screen_.lanes))

    def _lanes_changed(self) -> None:
        height = lanes_height(self.screen_.lanes)
        if height != self.minimumHeight():
            self.setMinimumHeight(height)
            self.updateGeometry()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.screen_.resize(self.width())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        scene = self.screen_.scene()
        clips = self._clips.drawn(scene, self.size(), self.devicePixelRatioF())
        painter = QPainter(self)
        painter.setClipRect(event.rect())
        painter.drawPixmap(0, 0, clips)
        paint_over(painter, scene, event.rect())
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self.screen_.colours.accent, 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        if self.screen_.hint:
            at = QPointF(self.screen_.hint_x, 0 if self._pressed_at is None else self._last.y())
            paint_hint(painter, self.screen_.hint, at, self.rect(), self.screen_.colours)

    def _tell_screen_reader(self) -> None:
        if QAccessible.isActive() and self.hasFocus():
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.ValueChanged))

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def hit(self, position: QPointF) -> Hit:
        screen = self.screen_
        return hit_lanes(screen.state.timeline.value, screen.view, screen.lanes, position.x(), position.y())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        self._last = event.position()
        if event.button() == Qt.MouseButton.MiddleButton:
            self._pan_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if event.button() != Qt.MouseButton.LeftButton:
            return
        hit = self.hit(event.position())
        self._pressed_hit, self._pressed_at = hit, event.position()
        if self.screen_.tool.value is Tool.BLADE and not event.modifiers() & _Modifier.ShiftModifier:
            self._cut(hit, event)
        elif hit.clip_id is not None:
            self._press_clip(hit.clip_id, event.modifiers())
        elif hit.target is Target.GAP and hit.track_id is not None:
            self.screen_.select_gap(hit.track_id, hit.frame)
        else:
            self.screen_.gap = None
            self.screen_.state.selection.value = ()
            self.screen_.changed.emit()

    def _press_clip(self, clip_id: int, modifiers: Qt.KeyboardModifier) -> None:
        state = self.screen_.state
        selected = state.selection.value
        if modifiers & _Modifier.ControlModifier and self._pressed_hit and self._pressed_hit.target is Target.CLIP:
            group = {clip.id for clip in state.timeline.value.linked(clip_id)}
            rest = [other for other in selected if other not in group]
            state.select(rest if clip_id in selected else [*selected, clip_id])
        elif clip_id not in selected:
            state.select([clip_id])

    def _cut(self, hit: Hit, event: QMouseEvent) -> None:
        self._pressed_at = None
        if hit.clip_id is not None:
            frame = self.screen_.cut_frame(event.position().x(), is_free=_is_free(event.modifiers()))
            self.screen_.state.edit(tr("cut"), blade, frame, [hit.clip_id])
            self.screen_.show_blade(None)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        self._last = event.position()
        if self._pan_from is not None:
            self.screen_.scroll(self._pan_from.x() - event.position().x())
            self._pan_from = event.position()
        elif event.buttons() & Qt.MouseButton.LeftButton and self._pressed_at is not None:
            if self.screen_.drag is None:
                way = event.position() - self._pressed_at
                if way.manhattanLength() < QApplication.startDragDistance():
                    return
                self._begin(event.modifiers())
            self.drag_on(event.position(), event.modifiers())
            self._watch_outside(event.position())
        else:
            self._hover(event.position(), event.modifiers())

    def _begin(self, modifiers: Qt.KeyboardModifier) -> None:
        """From where the mouse was pressed, so that nothing jumps."""
        screen = self.screen_
        assert self._pressed_at is not None and self._pressed_hit is not None
        timeline, position = screen.state.timeline.value, screen.view.position_at(self._pressed_at.x())
        playhead = screen.state.playhead.value
        has_shift = bool(modifiers & _Modifier.ShiftModifier)
        if has_shift and self._pressed_hit.target is not Target.EDGE:
            screen.begin(Drag(DragKind.MARK_RANGE, timeline, position, playhead=playhead))
            return
        drag = begin_drag(
            timeline,
            self._pressed_hit,
            position,
            selected=screen.state.selection.value,
            playhead=playhead,
            ripple=screen.is_rippling.value != bool(modifiers & _Modifier.ControlModifier),
            rolls=has_shift,
            slips=screen.tool.value is Tool.SLIP,
        )
        if drag is None:
            self._pressed_at = None
        else:
            screen.begin(drag)

    def drag_on(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        drag = self.screen_.drag
        if drag is not None:
            lanes = self._lanes_moved(drag, position) if drag.kind is DragKind.MOVE else 0
            self.screen_.drag_to(position.x(), lanes=lanes, is_free=_is_free(modifiers))

    def _lanes_moved(self, drag: Drag, position: QPointF) -> int:
        """How many tracks of its kind further down the mouse is than the clip it took."""
        timeline = drag.timeline
        track, _ = timeline.place_of(drag.clip_ids[0])
        lanes = [lane for lane in self.screen_.lanes if lane.kind is track.kind]
        own = next(index for index, lane in enumerate(lanes) if lane.track_id == track.id)
        over = [index for index, lane in enumerate(lanes) if lane.top <= position.y() < lane.bottom]
        if over:
            return over[0] - own
        is_above = position.y() < lanes[0].top
        return (0 if is_above else len(lanes) - 1) - own

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        self._outside.stop()
        if event.button() == Qt.MouseButton.MiddleButton:
            self._pan_from = None
            self.unsetCursor()
        elif event.button() == Qt.MouseButton.LeftButton:
            self._pressed_at = None
            if self.screen_.drag is not None:
                self.screen_.end_drag()
            self._hover(event.position(), event.modifiers())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A clip is marked from its beginning to its end."""
        hit = self.hit(event.position())
        if event.button() == Qt.MouseButton.LeftButton and hit.clip_id is not None:
            clip = self.screen_.state.timeline.value.find(hit.clip_id)
            self.screen_.state.edit(tr("mark range"), mark_range, clip.start, clip.stop)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        """With the mouse what is under it is selected first; with the keyboard it is about what is in hand."""
        state = self.screen_.state
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            hit = self.hit(QPointF(event.pos()))
            if hit.clip_id is not None and hit.clip_id not in state.selection.value:
                state.select([hit.clip_id])
            self.menu_asked.emit(hit, event.globalPos())
            return
        clip = state.clip_in_hand()
        hit = Hit(Target.NOTHING, state.playhead.value)
        if clip is not None:
            state.select([clip.id])
            hit = Hit(Target.CLIP, state.playhead.value, clip.id, None, state.timeline.value.place_of(clip.id)[0].id)
        x = min(max(self.screen_.view.x_of(state.playhead.value), 0), self.width())
        self.menu_asked.emit(hit, self.mapToGlobal(QPoint(round(x), self.height() // 2)))

    # --- hovering and keys --------------------------------------------------------------------------------------------

    def _hover(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        """The shape of the mouse says what pressing would do; the blade shows where it would cut."""
        hit, screen = self.hit(position), self.screen_
        if screen.tool.value is Tool.BLADE:
            self.setCursor(Qt.CursorShape.CrossCursor)
            if hit.clip_id is None:
                screen.show_blade(None)
            else:
                timeline = screen.state.timeline.value
                tracks = {timeline.place_of(clip.id)[0].id for clip in timeline.linked(hit.clip_id)}
                screen.show_blade((screen.cut_frame(position.x(), is_free=_is_free(modifiers)), frozenset(tracks)))
            return
        screen.show_blade(None)
        if hit.target is Target.EDGE:
            self.setCursor(Qt.CursorShape.SizeHorCursor)
            self._tell(hit)
        elif hit.target is Target.CLIP and screen.tool.value is Tool.SLIP:
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            self.unsetCursor()
            self._tell(hit)

    def _tell(self, hit: Hit) -> None:
        """What the mouse can do here, in a tooltip."""
        if hit.target is Target.EDGE:
            side = tr("beginning") if hit.edge is Edge.START else tr("end")
            text = tr("Drag the {side}: trim. Ctrl: ripple. Shift: move the cut. Alt: do not snap.").format(side=side)
        elif hit.clip_id is not None:
            track, clip = self.screen_.state.timeline.value.place_of(hit.clip_id)
            kind = tr("picture") if track.kind is TrackKind.PICTURE else tr("sound")
            text = tr("{name}, {kind}. Drag to move, double-click to mark all of it.").format(name=clip.name, kind=kind)
        else:
            text = ""
        if text != self.toolTip():
            self.setToolTip(text)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().leaveEvent(event)
        self.screen_.show_blade(None)

    def event(self, event: QEvent) -> bool:
        """Esc is for the timeline while something is going on here."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._can_step_back(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if not self._can_step_back(event):
            super().keyPressEvent(event)
            return
        if self.screen_.drag is not None:
            self._pressed_at = None
            self.screen_.drop_drag()
        elif self.screen_.tool.value is not Tool.SELECT:
            self.screen_.tool.value = Tool.SELECT
            self.screen_.show_blade(None)
        else:
            self.screen_.gap = None
            self.screen_.state.selection.value = ()
            self.screen_.changed.emit()

    def _can_step_back(self, event: QKeyEvent) -> bool:
        screen = self.screen_
        is_something = screen.drag is not None or screen.tool.value is not Tool.SELECT
        is_selected = bool(screen.state.selection.value) or screen.gap is not None
        return event.key() == Qt.Key.Key_Escape and (is_something or is_selected)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusOutEvent(event)
        self.update()


class KeptClips:
    """The clips as they were drawn, until they change: what moves over them is drawn on a copy.

    Scrolled by whole pixels, they are moved and only what comes into sight is drawn.
    """

    def __init__(self) -> None:
        self._pixmap = QPixmap()
        self._scene: Scene | None = None
        self._version = 0

    def drawn(self, scene: Scene, size: QSize, ratio: float) -> QPixmap:
        """Of the size of the lanes, up to date."""
        version = 0 if scene.pictures is None else scene.pictures.version
        pixels = QSize(round(size.width() * ratio), round(size.height() * ratio))
        kept, self._scene = self._scene, scene
        if self._pixmap.size() != pixels or self._pixmap.devicePixelRatio() != ratio:
            self._pixmap = QPixmap(pixels)
            self._pixmap.setDevicePixelRatio(ratio)
            kept = None
        everything = QRect(QPoint(0, 0), size)
        if kept is None or version != self._version or not _are_same_clips(kept, scene):
            self._paint(scene, everything)
        elif kept.view != scene.view:
            moved = (kept.view.first - scene.view.first) * scene.view.pixels_per_frame
            is_scrolled = kept.view == replace(scene.view, first=kept.view.first)
            if is_scrolled and abs(moved - round(moved)) < _SAME_PIXEL and abs(moved) < size.width():
                self._scroll(scene, size, round(moved), ratio)
            else:
                self._paint(scene, everything)
        self._version = version
        return self._pixmap

    def _scroll(self, scene: Scene, size: QSize, pixels: int, ratio: float) -> None:
        self._pixmap.scroll(round(pixels * ratio), 0, self._pixmap.rect())
        left = 0 if pixels > 0 else size.width() + pixels
        self._paint(scene, QRect(left, 0, abs(pixels), size.height()))

    def _paint(self, scene: Scene, area: QRect) -> None:
        painter = QPainter(self._pixmap)
        painter.setClipRect(area)
        paint_clips(painter, scene, area)
        painter.end()


def _are_same_clips(one: Scene, other: Scene) -> bool:
    return (
        one.timeline.tracks is other.timeline.tracks
        and one.lanes is other.lanes
        and one.colours is other.colours
        and (one.shows_groups, one.gap) == (other.shows_groups, other.gap)
        and one.pictures is other.pictures
    )


def _is_free(modifiers: Qt.KeyboardModifier) -> bool:
    """Alt suspends snapping."""
    return bool(modifiers & _Modifier.AltModifier)
