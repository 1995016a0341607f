"""What stands before each track: its name, and whether it is muted or locked."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from ltx_studio.domain.timeline import Track, TrackKind
from ltx_studio.domain.timeline_details import add_track, remove_track, set_locked, set_muted
from ltx_studio.state.timeline import TimelineState, tr
from ltx_studio.ui.controls import IconButton, Label, describe
from ltx_studio.ui.theme import GAP, GRID, Appearance
from ltx_studio.ui.timeline_geometry import LANE_GAP_PIXELS
from ltx_studio.ui.timeline_screen import TimelineScreen

HEADER_PIXELS = 96


class TrackHeaders(QWidget):
    """One below the other, as high as their lanes."""

    def __init__(self, screen: TimelineScreen, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._screen = screen
        self._state = screen.state
        self._appearance = appearance
        self._headers: list[_Header] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, LANE_GAP_PIXELS, 0, LANE_GAP_PIXELS)
        self._layout.setSpacing(LANE_GAP_PIXELS)
        self.setFixedWidth(HEADER_PIXELS)
        self._shown: tuple[Track, ...] = ()
        screen.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        timeline = self._state.timeline.value
        wanted = [(lane.track_id, lane.height) for lane in self._screen.lanes]
        if self._shown is timeline.tracks and len(wanted) == len(self._headers):
            heights = [header.height() for header in self._headers]
            if heights == [height for _, height in wanted]:
                return
        if len(wanted) != len(timeline.tracks):
            return  # a drag shows other tracks than there are
        self._shown = timeline.tracks
        if wanted != [(header.track_id, header.height()) for header in self._headers]:
            for header in self._headers:
                self._layout.removeWidget(header)
                header.deleteLater()
            self._headers = [_Header(track_id, height, self._state, self._appearance) for track_id, height in wanted]
            for header in self._headers:
                self._layout.addWidget(header)
        for header, track in zip(self._headers, timeline.tracks, strict=True):
            header.show_track(track)


class _Header(QWidget):
    def __init__(self, track_id: int, height: int, state: TimelineState, appearance: Appearance) -> None:
        super().__init__()
        self.track_id = track_id
        self._state = state
        self._track = state.timeline.value.track(track_id)
        self._name = Label(parent=self)
        self._mute = IconButton("mdi6.eye-outline", "", appearance, self)
        self._lock = IconButton("mdi6.lock-open-variant-outline", "", appearance, self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GAP, 0, GRID, 0)
        layout.setSpacing(0)
        layout.addWidget(self._name, 1)
        for button in (self._mute, self._lock):
            button.setCheckable(True)
            layout.addWidget(button)
        self.setFixedHeight(height)
        self._mute.clicked.connect(self._mute_clicked)
        self._lock.clicked.connect(self._lock_clicked)

    def show_track(self, track: Track) -> None:
        self._track = track
        name, is_picture = track.name, track.kind is TrackKind.PICTURE
        self._name.setText(name)
        self._mute.setChecked(track.is_muted)
        self._lock.setChecked(track.is_locked)
        if is_picture:
            self._mute.set_icon_name("mdi6.eye-off-outline" if track.is_muted else "mdi6.eye-outline")
            words = tr("Show {track}") if track.is_muted else tr("Hide {track}")
        else:
            self._mute.set_icon_name("mdi6.volume-off" if track.is_muted else "mdi6.volume-high")
            words = tr("Unmute {track}") if track.is_muted else tr("Mute {track}")
        describe(self._mute, words.format(track=name))
        self._lock.set_icon_name("mdi6.lock-outline" if track.is_locked else "mdi6.lock-open-variant-outline")
        words = tr("Unlock {track}") if track.is_locked else tr("Lock {track}: no edit changes it")
        describe(self._lock, words.format(track=name).partition(":")[0], words.format(track=name))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        self.open_menu(event.globalPos())

    def open_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        state, kind = self._state, self._track.kind
        words = tr("Add a picture track") if kind is TrackKind.PICTURE else tr("Add a sound track")
        menu.addAction(words, lambda: state.edit(tr("add track"), add_track, kind))
        words = tr("Remove {track} with its clips").format(track=self._track.name)
        menu.addAction(words, lambda: state.edit(tr("remove track"), remove_track, self.track_id))
        menu.popup(at)

    def _mute_clicked(self) -> None:
        track = self._track
        text = tr("unmute track") if track.is_muted else tr("mute track")
        self._state.edit(text, set_muted, track.id, not track.is_muted)

    def _lock_clicked(self) -> None:
        track = self._track
        text = tr("unlock track") if track.is_locked else tr("lock track")
        self._state.edit(text, set_locked, track.id, not track.is_locked)
