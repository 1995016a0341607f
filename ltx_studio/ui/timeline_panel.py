"""The timeline below the player: tools and times, the ruler, the tracks, and a bar to scroll by.

While there is nothing to show it says what goes here. Pictures and outlines are loaded when the first clip is there, so
that the window opens without FFmpeg.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import (
    QAction,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMenu,
    QScrollArea,
    QScrollBar,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.domain.edits import show_take
from ltx_studio.domain.timecode import TimeUnit, spelled
from ltx_studio.domain.timeline import Timeline
from ltx_studio.domain.timeline_details import set_in, set_out
from ltx_studio.state.observable import bind
from ltx_studio.state.timeline import tr
from ltx_studio.ui.actions import with_keys
from ltx_studio.ui.controls import IconButton, Label, describe, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, GRID, PADDING, Appearance
from ltx_studio.ui.timeline_accessible import install_timeline_accessible
from ltx_studio.ui.timeline_field import TimelineField
from ltx_studio.ui.timeline_geometry import (
    LANE_GAP_PIXELS,
    LOW_PICTURE_LANE_PIXELS,
    LOW_SOUND_LANE_PIXELS,
    RULER_PIXELS,
    Hit,
    Target,
)
from ltx_studio.ui.timeline_headers import HEADER_PIXELS, TrackHeaders
from ltx_studio.ui.timeline_playback import TimelinePlayback
from ltx_studio.ui.timeline_screen import TimelineScreen
from ltx_studio.ui.timeline_view import TimelineLanes, TimelineRuler

_TOOLS = (
    ("tool_select", "mdi6.cursor-default-outline"),
    ("tool_blade", "mdi6.content-cut"),
    ("tool_slip", "mdi6.arrow-left-right"),
)
_MODES = (("ripple_mode", "mdi6.arrow-collapse-left"), ("snapping", "mdi6.magnet"))
_ZOOMS = (
    ("timeline_zoom_out", "mdi6.magnify-minus-outline"),
    ("timeline_fit", "mdi6.arrow-expand-horizontal"),
    ("timeline_zoom_in", "mdi6.magnify-plus-outline"),
)
_MENU_OF_CLIP = (
    *("cut_clip", "trim_start", "trim_end", "", "delete_clips", "ripple_delete", "", "mark_clip", "link_clips"),
    *("clip_louder", "clip_quieter", "", "insert_clip", "append_clip"),
    *("", "edit_retake", "edit_extend", "edit_foley", "edit_lipdub", "", "compare_takes", "roll_again"),
)
_MENU_OF_EMPTY = (
    "add_marker",
    "",
    "insert_clip",
    "overwrite_clip",
    "append_clip",
    "",
    "add_picture_track",
    "add_sound_track",
)
_SCROLL_STEPS_PER_FRAME = 8  # the bar counts in whole numbers


class _Closing(Protocol):
    def close(self) -> None: ...


class _Length(Label):
    """Words that give way: half of a time would be another time."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        if self.fontMetrics().horizontalAdvance(self.text()) <= self.width():
            super().paintEvent(event)


class TimelinePanel(QWidget):
    """Shows one `TimelineScreen`."""

    dropped = Signal(object, int, bool)  # paths of files, at which frame, whether over what is there

    def __init__(
        self,
        screen: TimelineScreen,
        playback: TimelinePlayback,
        actions: Mapping[str, QAction],
        appearance: Appearance,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._screen = screen
        self._state = screen.state
        self._playback = playback
        self._actions = actions
        self._appearance = appearance
        self._threads: Sequence[_Closing] = ()
        self.ruler = TimelineRuler(screen, self)
        self.lanes = TimelineLanes(screen, self)
        self.headers = TrackHeaders(screen, appearance, self)
        self.position = TimelineField(
            tr("Playhead"), tr("Where the playhead is on the timeline."), screen.state, may_be_empty=False, parent=self
        )
        self.mark_in = TimelineField(
            tr("In"), tr("The first frame of the marked range."), screen.state, may_be_empty=True, parent=self
        )
        self.mark_out = TimelineField(
            tr("Out"), tr("The last frame of the marked range."), screen.state, may_be_empty=True, parent=self
        )
        self._length = _Length(role="secondary", parent=self)
        self._unit = QToolButton(self)
        self._buttons = {name: self._button(name, icon) for name, icon in (*_TOOLS, *_MODES, *_ZOOMS)}
        self.scroll_bar = QScrollBar(Qt.Orientation.Horizontal, self)
        self._pages = QStackedWidget(self)
        self.setAcceptDrops(True)
        install_timeline_accessible()
        self._arrange()
        self._connect()

    def _button(self, command: str, icon_name: str) -> IconButton:
        action = self._actions[command]
        button = IconButton(icon_name, action.text(), self._appearance, self)
        button.clicked.connect(action.trigger)
        if action.isCheckable():
            button.setCheckable(True)
            button.setChecked(action.isChecked())
            action.toggled.connect(button.setChecked)
            # A click toggles the button before the command decides: show what the command decided.
            button.clicked.connect(lambda: button.setChecked(action.isChecked()))
        action.changed.connect(lambda: describe(button, action.text(), with_keys(action.text(), action)))
        return button

    def _arrange(self) -> None:
        set_role(self._unit, "status")
        self._unit.setFixedSize(HEADER_PIXELS - GAP, RULER_PIXELS - GRID)
        self.scroll_bar.setAccessibleName(tr("Scroll the timeline"))
        tools = QHBoxLayout()
        tools.setContentsMargins(PADDING, GRID, PADDING, GRID)
        tools.setSpacing(GRID)
        for group in (_TOOLS, _MODES):
            for name, _ in group:
                tools.addWidget(self._buttons[name])
            tools.addSpacing(GAP)
        tools.addStretch(1)
        for field in (self.position, self.mark_in, self.mark_out):
            tools.addWidget(field)
        self._length.setMinimumWidth(0)
        self._length.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        tools.addWidget(self._length, 4)
        for name, _ in _ZOOMS:
            tools.addWidget(self._buttons[name])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(tools)
        layout.addWidget(self._pages, 1)
        self._pages.addWidget(self._invitation())
        self._pages.addWidget(self._sequence())
        lowest = LOW_PICTURE_LANE_PIXELS + LOW_SOUND_LANE_PIXELS + 3 * LANE_GAP_PIXELS
        self.setMinimumHeight(CONTROL_HEIGHT + 2 * GRID + RULER_PIXELS + lowest + self.scroll_bar.sizeHint().height())

    def _invitation(self) -> QWidget:
        page = QWidget(self)
        page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        set_role(page, "canvas")
        text = Label(tr("Open a clip, and its picture and sound are laid out here to be marked, cut and put in a row."))
        text.setWordWrap(True)
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        set_role(text, "secondary")
        layout = QVBoxLayout(page)
        layout.addWidget(text)
        return page

    def _sequence(self) -> QWidget:
        page = QWidget(self)
        above = QHBoxLayout()
        above.setContentsMargins(GRID, 0, 0, 0)
        above.setSpacing(0)
        above.addWidget(self._unit)
        above.addSpacing(HEADER_PIXELS - GRID - self._unit.width())
        above.addWidget(self.ruler, 1)
        tracks = QWidget(page)
        middle = QHBoxLayout(tracks)
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.headers, 0, Qt.AlignmentFlag.AlignTop)
        middle.addWidget(self.lanes, 1, Qt.AlignmentFlag.AlignTop)
        area = QScrollArea(page)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(tracks)
        below = QHBoxLayout()
        below.setContentsMargins(HEADER_PIXELS, 0, 0, 0)
        below.addWidget(self.scroll_bar)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(above)
        layout.addWidget(area, 1)
        layout.addLayout(below)
        return page

    def _connect(self) -> None:
        screen, state = self._screen, self._state
        screen.seek_asked.connect(self._playback.seek)
        screen.changed.connect(self._show_scroll)
        self.scroll_bar.valueChanged.connect(self._scrolled)
        self.lanes.menu_asked.connect(self._open_menu)
        self._unit.clicked.connect(self._actions["time_unit"].trigger)
        self.position.entered.connect(self._playback.seek)
        self.mark_in.entered.connect(self._enter_in)
        self.mark_out.entered.connect(self._enter_out)
        for field in (self.position, self.mark_in, self.mark_out):
            field.left.connect(self.lanes.setFocus)
        bind(state.timeline, self._show_timeline)
        state.playhead.changed.connect(self._show_times)
        bind(screen.unit, self._show_unit)
        for action in self._actions.values():
            action.changed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._give_room()

    # --- files from elsewhere -----------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        if _local_files(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802 - Qt's name
        self._screen.show_drop(self._drop_frame(event))
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802 - Qt's name
        self._screen.show_drop(None)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Files are inserted; with Ctrl they are laid over what is there."""
        self._screen.show_drop(None)
        is_over = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        self.dropped.emit(_local_files(event), self._drop_frame(event), is_over)
        event.acceptProposedAction()

    def _drop_frame(self, event: QDropEvent) -> int:
        if self._state.timeline.value.length == 0:
            return 0
        x = self.lanes.mapFrom(self, event.position().toPoint()).x()
        is_free = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        return max(self._screen.cut_frame(x, is_free=is_free), 0)

    def _give_room(self) -> None:
        above = CONTROL_HEIGHT + 2 * GRID + RULER_PIXELS
        self._screen.set_room(self.height() - above - self.scroll_bar.sizeHint().height())

    def close_threads(self) -> None:
        """Nothing is shown after this."""
        for closing in self._threads:
            closing.close()

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_timeline(self, timeline: Timeline) -> None:
        has_clips = timeline.length > 0
        if has_clips and self._screen.pictures is None:
            self._load_pictures(timeline)
        self._pages.setCurrentIndex(1 if has_clips else 0)
        self._give_room()
        for field in (self.position, self.mark_in, self.mark_out):
            field.setEnabled(has_clips)
        self._show_times()

    def _load_pictures(self, timeline: Timeline) -> None:
        from ltx_studio.services.peaks import Peaks  # noqa: PLC0415 - these bring FFmpeg, not needed to open a window
        from ltx_studio.services.thumbnails import Thumbnails  # noqa: PLC0415
        from ltx_studio.ui.timeline_pictures import ClipPictures  # noqa: PLC0415

        thumbnails, peaks = Thumbnails(parent=self), Peaks(parent=self)
        self._threads = (thumbnails, peaks)
        pictures = ClipPictures(thumbnails, peaks, self)
        pictures.look_at(timeline)
        pictures.changed.connect(self._screen.changed)
        self._screen.pictures = pictures

    def _show_times(self, _frame: object = None) -> None:
        timeline, unit = self._state.timeline.value, self._screen.unit.value
        has_clips = timeline.length > 0
        self.position.show_frame(self._state.playhead.value if has_clips else None, unit)
        self.mark_in.show_frame(timeline.mark_in, unit)
        self.mark_out.show_frame(None if timeline.mark_out is None else timeline.mark_out - 1, unit)
        marked = timeline.marked
        length = spelled(timeline.length if marked is None else len(marked), timeline.rate, unit)
        words = tr("of {length}") if marked is None else tr("{length} marked")
        self._length.setText(words.format(length=length) if has_clips else "")

    def _show_unit(self, unit: TimeUnit) -> None:
        words = {TimeUnit.TIMECODE: tr("Timecode"), TimeUnit.FRAMES: tr("Frames"), TimeUnit.SECONDS: tr("Seconds")}
        self._unit.setText(words[unit])
        describe(self._unit, tr("Time in {unit}").format(unit=words[unit].lower()), tr("Show times in another unit"))
        self._show_times()

    def _show_scroll(self) -> None:
        screen = self._screen
        view, length = screen.view, screen.timeline.length
        steps = _SCROLL_STEPS_PER_FRAME
        is_all_seen = view.first == 0 and view.last >= length
        self.scroll_bar.blockSignals(True)
        self.scroll_bar.setRange(0, 0 if is_all_seen else int(view.furthest(length) * steps))
        self.scroll_bar.setPageStep(max(int(view.num_frames * steps), 1))
        self.scroll_bar.setSingleStep(max(int(view.num_frames * steps / 10), 1))
        self.scroll_bar.setValue(round(view.first * steps))
        self.scroll_bar.blockSignals(False)

    # --- reactions ----------------------------------------------------------------------------------------------------

    def _scrolled(self, value: int) -> None:
        view = self._screen.view
        self._screen.scroll((value / _SCROLL_STEPS_PER_FRAME - view.first) * view.pixels_per_frame)

    @Slot(object)
    def _enter_in(self, frame: int | None) -> None:
        self._state.edit(tr("mark in"), set_in, frame)

    @Slot(object)
    def _enter_out(self, frame: int | None) -> None:
        self._state.edit(tr("mark out"), set_out, None if frame is None else frame + 1)

    @Slot(object, QPoint)
    def _open_menu(self, hit: Hit, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        is_clip = hit.target in (Target.CLIP, Target.EDGE) and hit.clip_id is not None
        for name in _MENU_OF_CLIP if is_clip else _MENU_OF_EMPTY:
            if not name:
                menu.addSeparator()
            elif name in self._actions:  # a timeline on its own has none to edit clips with
                menu.addAction(self._actions[name])
        if is_clip and hit.clip_id is not None:
            self._add_takes(menu, hit.clip_id)
        menu.popup(at)

    def _add_takes(self, menu: QMenu, clip_id: int) -> None:
        """One line for each take of the clip, the shown one marked."""
        clip = self._state.timeline.value.find(clip_id)
        if len(clip.takes) < 2:
            return
        takes = menu.addMenu(tr("Takes"))
        for index, take in enumerate(clip.takes):
            words = tr("Take {number}: {name}").format(number=index + 1, name=take.media.path.name)
            action = takes.addAction(words)
            action.setCheckable(True)
            action.setChecked(index == clip.chosen)
            action.triggered.connect(
                lambda _is_checked, index=index: self._state.edit(tr("choose take"), show_take, clip_id, index)
            )


def _local_files(event: QDropEvent) -> list[Path]:
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
