"""What the timeline's widgets share: what part is seen, which tool is in hand, and the drag that is going on.

The document is `state.timeline`'s; nothing here outlives the window. The ruler and the lanes paint `scene()` and report
what the mouse does; a drag is previewed here and becomes one edit when it ends.
"""

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine.types import FrameRange
from ltx_studio.domain.timecode import TimeUnit, spelled, timecode
from ltx_studio.domain.timeline import Timeline, Track
from ltx_studio.domain.timeline_edits import close_gap, gap_at
from ltx_studio.state.observable import Observable
from ltx_studio.state.timeline import TimelineState, tr
from ltx_studio.ui.theme import Appearance
from ltx_studio.ui.timeline_drag import Change, Drag, DragKind, groups_are_seen, preview
from ltx_studio.ui.timeline_geometry import Lane, View, lanes_height, lanes_of, snap_points, snapped
from ltx_studio.ui.timeline_painting import Colours, Scene

if TYPE_CHECKING:
    from ltx_studio.ui.timeline_pictures import ClipPictures

ZOOM_STEP = 1.25


class Tool(StrEnum):
    """What the mouse does to a clip."""

    SELECT = "select"
    BLADE = "blade"
    SLIP = "slip"


class TimelineScreen(QObject):
    """One for each timeline panel."""

    changed = Signal()  # all of it is to be drawn anew
    playhead_moved = Signal(int, int)  # from one frame to another: two strips are
    hint_changed = Signal()  # what a drag says beside the mouse
    seek_asked = Signal(int)  # the user puts the playhead on this frame of the timeline
    scrub_ended = Signal()

    def __init__(self, state: TimelineState, appearance: Appearance, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.view = View()
        self.tool = Observable(Tool.SELECT, self)
        self.is_snapping = Observable(True, self)
        self.is_rippling = Observable(False, self)
        self.unit = Observable(TimeUnit.TIMECODE, self)
        self.hint = ""
        self.hint_x = 0.0
        self.pictures: ClipPictures | None = None
        self.drag: Drag | None = None
        self.gap: tuple[int, FrameRange] | None = None  # a track and an empty stretch of it that is selected
        self.blade: tuple[int, frozenset[int]] | None = None  # where the blade would cut, and which tracks
        self.drop_frame: int | None = None  # where files that are dragged here would go
        self._appearance = appearance
        self._colours = Colours.of(appearance.theme.value)
        self._change: Change | None = None
        self._preview: Timeline | None = None
        self._lanes_of: tuple[Track, ...] | None = None  # what the lanes were reckoned from
        self._lanes: tuple[Lane, ...] = ()
        self._is_low = False
        self._is_fitted = True
        self._drawn_playhead = state.playhead.value
        state.timeline.changed.connect(self._timeline_changed)
        state.renewed.connect(self.fit)
        state.selection.changed.connect(self._repaint)
        state.zones.changed.connect(self._repaint)
        state.playhead.changed.connect(self._playhead_changed)
        appearance.theme.changed.connect(self._theme_changed)
        for value in (self.tool, self.unit):
            value.changed.connect(self._repaint)

    # --- what is drawn ------------------------------------------------------------------------------------------------

    @property
    def timeline(self) -> Timeline:
        """The one that is drawn: what a drag would make of it, while one is going on."""
        return self.state.timeline.value if self._preview is None else self._preview

    @property
    def lanes(self) -> tuple[Lane, ...]:
        timeline = self.timeline
        if timeline.tracks is not self._lanes_of:
            self._lanes_of, self._lanes = timeline.tracks, lanes_of(timeline, is_low=self._is_low)
        return self._lanes

    def set_room(self, height: int) -> None:
        """How high the lanes may be in sight: where they do not fit, they are lower."""
        is_low = lanes_height(lanes_of(self.timeline)) > height
        if is_low != self._is_low:
            self._is_low, self._lanes_of = is_low, None
            self.changed.emit()

    @property
    def colours(self) -> Colours:
        return self._colours

    def scene(self) -> Scene:
        state, timeline = self.state, self.timeline
        blade_frame, blade_lanes = (None, frozenset[int]()) if self.blade is None else self.blade
        return Scene(
            timeline,
            self.view,
            self.lanes,
            self._colours,
            self.unit.value,
            frozenset(state.selection.value),
            state.playhead.value,
            self.pictures,
            state.zones.value,
            self.drop_frame if self._change is None or self._change.snap is None else self._change.snap.frame,
            blade_frame,
            blade_lanes,
            groups_are_seen(timeline, self.view),
            self.gap,
        )

    # --- what part is seen --------------------------------------------------------------------------------------------

    def set_view(self, view: View) -> None:
        if view != self.view:
            self._is_fitted = False
            self.view = view
            self.changed.emit()

    def resize(self, width: int) -> None:
        """A timeline that is seen whole stays so."""
        self.view = self.view.resized(width)
        if self._is_fitted:
            self.fit()
        else:
            self.changed.emit()

    def fit(self) -> None:
        timeline = self.state.timeline.value
        self.view = self.view.fitted(timeline.length, timeline.rate)
        self._is_fitted = True
        self.changed.emit()

    def zoom(self, factor: float, x: float | None = None) -> None:
        """Around a pixel; by default around the playhead where it is seen, else the middle."""
        if x is None:
            at = self.view.x_of(self.state.playhead.value)
            x = at if 0 <= at <= self.view.width else self.view.width / 2
        self.set_view(self.view.zoomed(factor, x))

    def scroll(self, pixels: float) -> None:
        """By whole pixels, so that what was drawn can be used again."""
        scale = self.view.pixels_per_frame
        moved = self.view.scrolled(pixels / scale, self.timeline.length)
        moved = replace(moved, first=round(moved.first * scale) / scale)
        was_fitted = self._is_fitted
        self.set_view(moved)
        self._is_fitted = was_fitted and moved.first == 0

    def show_playhead(self) -> None:
        """Scroll to it where it is out of sight."""
        if self.drag is None:
            shown = self.view.showing(self.state.playhead.value)
            if shown != self.view:
                self.set_view(shown)

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def seek(self, x: float, *, is_free: bool) -> None:
        """Put the playhead where the mouse is; it snaps as everything does."""
        position = self.view.position_at(x)
        snap = None
        if self.is_snapping.value and not is_free:
            snap = snapped(snap_points(self.state.timeline.value), self.view, position)
        last = max(self.state.timeline.value.length - 1, 0)
        frame = self.view.frame_at(x) if snap is None else snap.frame
        self.seek_asked.emit(min(max(frame, 0), last))

    def cut_frame(self, x: float, *, is_free: bool) -> int:
        """Where the blade would cut."""
        if self.is_snapping.value and not is_free:
            points = snap_points(self.state.timeline.value, playhead=self.state.playhead.value)
            snap = snapped(points, self.view, self.view.position_at(x))
            if snap is not None:
                return snap.frame
        return self.view.boundary_at(x)

    def show_blade(self, blade: tuple[int, frozenset[int]] | None) -> None:
        if blade != self.blade:
            self.blade = blade
            self.changed.emit()

    def show_drop(self, frame: int | None) -> None:
        if frame != self.drop_frame:
            self.drop_frame = frame
            self.changed.emit()

    def select_gap(self, track_id: int, frame: int) -> None:
        """So that it can be closed."""
        gap = gap_at(self.state.timeline.value, track_id, frame)
        self.state.selection.value = ()
        self.gap = None if gap is None else (track_id, gap)
        self.changed.emit()

    def close_selected_gap(self) -> bool:
        """False where none is selected."""
        if self.gap is None:
            return False
        track_id, gap = self.gap
        return self.state.edit(tr("close gap"), close_gap, track_id, gap.start)

    # --- a drag -------------------------------------------------------------------------------------------------------

    def begin(self, drag: Drag) -> None:
        self.drag = drag
        self._change = None

    def drag_to(self, x: float, *, lanes: int = 0, is_free: bool = False) -> None:
        """Show what ending the drag here would do."""
        if self.drag is None:
            return
        is_free = is_free or not self.is_snapping.value
        self.hint_x = x
        self._change = self.drag.change(self.view, self.view.position_at(x), lanes=lanes, is_free=is_free)
        before = self.state.timeline.value
        found = preview(before, self._change)
        self._preview = found if isinstance(found, Timeline) else None
        self._say(found if isinstance(found, str) else self._words(before))
        self.changed.emit()

    def end_drag(self) -> None:
        """Make the edit that is shown."""
        change = self._change
        self.drop_drag()
        if change is not None:
            self.state.edit(name_of(change.kind), change.edit)

    def drop_drag(self) -> None:
        """Leave everything as it was."""
        self.drag, self._change, self._preview = None, None, None
        self._say("")
        self.changed.emit()

    def _words(self, before: Timeline) -> str:
        """How far, and where something is now."""
        change = self._change
        if change is None:
            return ""
        rate = before.rate
        match change.kind:
            case DragKind.MARK_IN | DragKind.MARK_OUT:
                return spelled(change.frames, rate, self.unit.value)
            case DragKind.MARK_RANGE:
                return tr("{length} marked").format(length=self._length(change.frames))
            case _:
                sign = "+" if change.frames > 0 else "\N{MINUS SIGN}" if change.frames < 0 else "\N{PLUS-MINUS SIGN}"
                return sign + self._length(abs(change.frames))

    def _length(self, frames: int) -> str:
        rate = self.state.timeline.value.rate
        match self.unit.value:
            case TimeUnit.FRAMES:
                return tr("{number} frames").format(number=frames)
            case TimeUnit.SECONDS:
                return tr("{seconds} s").format(seconds=f"{float(frames / rate.value):.2f}")
            case TimeUnit.TIMECODE:
                return timecode(frames, rate)

    def _say(self, hint: str) -> None:
        if hint != self.hint:
            self.hint = hint
            self.hint_changed.emit()

    # --- reactions ----------------------------------------------------------------------------------------------------

    def _timeline_changed(self, timeline: Timeline) -> None:
        self.gap = None
        if self.drag is not None and self.drag.timeline is not timeline:
            self.drop_drag()
        if self.pictures is not None:
            self.pictures.look_at(timeline)
        self.changed.emit()

    def _playhead_changed(self, frame: int) -> None:
        before, self._drawn_playhead = self._drawn_playhead, frame
        self.playhead_moved.emit(before, frame)
        self.show_playhead()

    def _theme_changed(self, _theme: object) -> None:
        self._colours = Colours.of(self._appearance.theme.value)
        self.changed.emit()

    def _repaint(self, _value: object) -> None:
        if self.state.selection.value:
            self.gap = None
        self.changed.emit()


def name_of(kind: DragKind) -> str:
    """What undo calls the edit."""
    match kind:
        case DragKind.MOVE:
            return tr("move")
        case DragKind.TRIM:
            return tr("trim")
        case DragKind.RIPPLE_TRIM:
            return tr("ripple trim")
        case DragKind.ROLL:
            return tr("roll")
        case DragKind.SLIP:
            return tr("slip")
        case DragKind.MARK_IN:
            return tr("mark in")
        case DragKind.MARK_OUT:
            return tr("mark out")
        case DragKind.MARK_RANGE:
            return tr("mark range")
        case DragKind.MARKER:
            return tr("move marker")
