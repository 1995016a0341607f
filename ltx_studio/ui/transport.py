"""The controls below the picture: the time, the playhead, frame by frame, play, the marks, the sound, the file."""

from PySide6.QtCore import QPointF, QRectF, Qt, Slot
from PySide6.QtGui import QAction, QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSlider, QStyle, QVBoxLayout, QWidget

from ltx_studio.services.player import Clip, Player
from ltx_studio.ui import words
from ltx_studio.ui.actions import with_keys
from ltx_studio.ui.controls import IconButton, Label, ScrubSlider, describe
from ltx_studio.ui.level_meter import LevelMeter
from ltx_studio.ui.playback_actions import PLAYBACK
from ltx_studio.ui.theme import GAP, GRID, PADDING, WIDE_GAP, Appearance
from ltx_studio.ui.time_field import TimeField

_VOLUME_WIDTH = 72
_BUTTONS = (
    ("mark_in", "mdi6.ray-start"),
    ("mark_out", "mdi6.ray-end"),
    ("play_marked", "mdi6.play-box-outline"),
    ("loop", "mdi6.repeat"),
    ("first_frame", "mdi6.skip-backward-outline"),
    ("previous_frame", "mdi6.step-backward"),
    ("play", "mdi6.play"),
    ("next_frame", "mdi6.step-forward"),
    ("last_frame", "mdi6.skip-forward-outline"),
    ("mute", "mdi6.volume-high"),
    ("cinema", "mdi6.fullscreen"),
    ("reveal", "mdi6.folder-outline"),
)


class Transport(QWidget):
    """Shows a player's state and steers it. Disabled, with the reason, while there is no clip."""

    def __init__(
        self, player: Player, actions: dict[str, QAction], appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._player = player
        self._actions = actions
        self._buttons = {name: self._button(name, icon, appearance) for name, icon in _BUTTONS}
        self._buttons["loop"].setCheckable(True)
        self._slider = PlayheadSlider(player, appearance, self)
        self.time = TimeField(player, self)
        self._length = Label(role="secondary", parent=self)
        self._speed = Label(role="secondary", parent=self)
        self._dropped = Label(role="warn-small", parent=self)
        self._volume = QSlider(Qt.Orientation.Horizontal, self)
        self._volume.setRange(0, 100)
        self._volume.setFixedWidth(_VOLUME_WIDTH)
        self._meter = LevelMeter(player.peaks, appearance, self)
        self._arrange()
        self._connect()
        if player.clip is None:
            self.show_no_clip()
        else:
            self._show_clip(player.clip)

    def _button(self, command: str, icon_name: str, appearance: Appearance) -> IconButton:
        action = self._actions[command]
        button = IconButton(icon_name, action.text(), appearance, self)
        button.clicked.connect(action.trigger)
        return button

    def _arrange(self) -> None:
        above = QHBoxLayout()
        above.setSpacing(WIDE_GAP)
        above.addWidget(self.time)
        above.addWidget(self._slider, 1)
        above.addWidget(self._length)
        marks, middle, right = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for row, names in (
            (marks, ("mark_in", "mark_out", "play_marked", "loop")),
            (middle, ("first_frame", "previous_frame", "play", "next_frame", "last_frame")),
            (right, ("mute",)),
        ):
            row.setSpacing(GRID)
            for name in names:
                row.addWidget(self._buttons[name])
        marks.addSpacing(GRID)
        marks.addWidget(self._speed)
        marks.addWidget(self._dropped)
        marks.addStretch(1)
        right.insertStretch(0, 1)
        right.addWidget(self._volume)
        right.addSpacing(GRID)
        right.addWidget(self._meter)
        right.addSpacing(GAP)
        right.addWidget(self._buttons["cinema"])
        right.addWidget(self._buttons["reveal"])
        below = QHBoxLayout()
        below.addLayout(marks, 1)
        below.addLayout(middle)
        below.addLayout(right, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, GAP, PADDING, GAP)
        layout.setSpacing(GRID)
        layout.addLayout(above)
        layout.addLayout(below)

    def _connect(self) -> None:
        player = self._player
        player.clip_opened.connect(self._show_clip)
        player.speed_changed.connect(self._show_speed)
        player.looping_changed.connect(self._show_looping)
        player.sound_changed.connect(self._show_sound)
        player.volume_changed.connect(self._show_sound)
        player.dropped_changed.connect(self._show_dropped)
        self._volume.valueChanged.connect(self._volume_moved)

    def show_no_clip(self) -> None:
        reason = self.tr("There is no clip yet")
        for name in (*PLAYBACK, "cinema"):
            self._allow(name, reason)
        for control in (self._slider, self.time, self._volume):
            control.setEnabled(False)
        describe(self._slider, self.tr("Playhead"), reason)
        describe(self._volume, self.tr("Volume"), reason)
        self._slider.setRange(0, 0)
        self._length.setText("")

    def refresh(self) -> None:
        """The actions may have served another player in between."""
        if self._player.clip is None:
            self.show_no_clip()
        else:
            self._show_clip(self._player.clip)

    def forbid(self, name: str, reason: str) -> None:
        """Take a command away from where it has no sense."""
        self._allow(name, reason)

    def _allow(self, name: str, reason: str) -> None:
        action = self._actions[name]
        action.setEnabled(not reason)
        if name in self._buttons:
            self._buttons[name].setEnabled(not reason)
            describe(self._buttons[name], action.text(), reason or with_keys(action.text(), action))

    @Slot(object)
    def _show_clip(self, clip: Clip) -> None:
        for name in (*PLAYBACK, "cinema"):
            self._allow(name, "")
        for control in (self._slider, self.time, self._volume):
            control.setEnabled(True)
        describe(self._slider, self.tr("Playhead"), self.tr("Drag to move through the clip"))
        self._slider.setRange(0, clip.facts.frames - 1)
        self._slider.setValue(self._player.frame)
        length = words.timecode(clip.facts.frames, clip.facts.frame_rate)
        self._length.setText(self.tr("of {length}").format(length=length))
        self._show_looping(self._player.is_looping)
        self._show_speed(self._player.speed)
        self._show_dropped(self._player.num_dropped)
        self._show_sound()

    @Slot()
    def _show_sound(self) -> None:
        player, button, action = self._player, self._buttons["mute"], self._actions["mute"]
        if player.clip is None:
            return
        reason = player.silent_because or ""
        action.setChecked(player.is_muted)
        self._allow("mute", reason)
        self._actions["louder"].setEnabled(not reason)
        self._actions["quieter"].setEnabled(not reason)
        is_off = bool(reason) or player.is_muted
        button.set_icon_name("mdi6.volume-off" if is_off else "mdi6.volume-high")
        if reason:
            describe(button, self.tr("Sound"), reason)
        else:
            name = self.tr("Unmute") if player.is_muted else self.tr("Mute")
            describe(button, name, with_keys(name, action))
        self._volume.setEnabled(not reason)
        percent = round(100 * player.volume)
        describe(self._volume, self.tr("Volume"), reason or self.tr("Volume {percent} %").format(percent=percent))
        was_blocked = self._volume.blockSignals(True)
        self._volume.setValue(percent)
        self._volume.blockSignals(was_blocked)

    @Slot(int)
    def _volume_moved(self, percent: int) -> None:
        self._player.set_volume(percent / 100)
        if self._player.is_muted:
            self._player.set_muted(False)

    @Slot(int)
    def _show_speed(self, speed: int) -> None:
        self._buttons["play"].set_icon_name("mdi6.pause" if speed else "mdi6.play")
        self._meter.set_running(speed == 1)
        text = ""
        if speed not in (0, 1):
            text = self.tr("{speed}\N{MULTIPLICATION SIGN}, silent").format(speed=speed).replace("-", "\N{MINUS SIGN}")
        self._speed.setText(text)
        self._speed.setToolTip(self.tr("Sound is heard forwards at normal speed.") if text else "")

    @Slot(bool)
    def _show_looping(self, is_looping: bool) -> None:
        self._buttons["loop"].setChecked(is_looping)
        self._actions["loop"].setChecked(is_looping)

    @Slot(int)
    def _show_dropped(self, number: int) -> None:
        self._dropped.setText(self.tr("{number} dropped").format(number=number) if number else "")
        self._dropped.setToolTip(
            self.tr("Frames that this machine was too busy to show since playback began.") if number else ""
        )


class PlayheadSlider(ScrubSlider):
    """The playhead of a player, with what lies between the marks."""

    def __init__(self, player: Player, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Playhead"), player.seek, parent)
        self._player = player
        self._appearance = appearance
        player.frame_changed.connect(self.setValue)
        player.marks_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        super().paintEvent(event)
        player = self._player
        if player.in_frame is None and player.out_frame is None:
            return
        first, last = player.marked
        left, right = self._x(first), self._x(last)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(self._appearance.theme.value.text)
        bottom = self.height() - 2.0
        painter.fillRect(QRectF(left, bottom - 2, max(right - left, 2), 2), colour)
        # A bracket stands where there is a mark; without one the line runs to the end of the clip.
        for x, frame, way in ((left, player.in_frame, 1), (right, player.out_frame, -1)):
            if frame is not None:
                painter.setBrush(colour)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.drawPolygon([QPointF(x, bottom - 8), QPointF(x, bottom), QPointF(x + 6 * way, bottom)])

    def _x(self, frame: int) -> float:
        handle = self.style().pixelMetric(QStyle.PixelMetric.PM_SliderLength, None, self)
        span = max(self.width() - handle, 1)
        return handle / 2 + QStyle.sliderPositionFromValue(self.minimum(), self.maximum(), frame, span)
