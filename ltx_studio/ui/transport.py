"""The controls below the picture: frame by frame, play, the playhead, the time, the sound, the file."""

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ltx_studio.services.player import Clip, Player
from ltx_studio.ui import words
from ltx_studio.ui.actions import keys_of
from ltx_studio.ui.controls import IconButton, Label, ScrubSlider, describe
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, GRID, PADDING, WIDE_GAP, Appearance


class Transport(QWidget):
    """Shows the player's state and steers it. Disabled, with the reason, while there is no clip."""

    def __init__(
        self, player: Player, actions: dict[str, QAction], appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._player = player
        self._actions = actions
        self._first = self._button("first_frame", "mdi6.skip-backward-outline", appearance)
        self._previous = self._button("previous_frame", "mdi6.step-backward", appearance)
        self._play = self._button("play", "mdi6.play", appearance)
        self._next = self._button("next_frame", "mdi6.step-forward", appearance)
        self._last = self._button("last_frame", "mdi6.skip-forward-outline", appearance)
        self._mute = self._button("mute", "mdi6.volume-high", appearance)
        self._reveal = self._button("reveal", "mdi6.folder-outline", appearance)
        self._slider = ScrubSlider(self.tr("Playhead"), player.seek, self)
        self._time = Label(parent=self)
        self._time.setAccessibleName(self.tr("Time"))
        self._length = Label(role="secondary", parent=self)
        self._arrange()
        self._connect()
        self.show_no_clip()

    def _button(self, command: str, icon_name: str, appearance: Appearance) -> IconButton:
        action = self._actions[command]
        button = IconButton(icon_name, action.text(), appearance, self)
        button.clicked.connect(action.trigger)
        return button

    def _arrange(self) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(PADDING, GAP, PADDING, GAP)
        layout.setSpacing(GRID)
        for button in (self._first, self._previous, self._play, self._next, self._last):
            layout.addWidget(button)
        layout.addSpacing(GAP)
        layout.addWidget(self._slider, 1)
        layout.addSpacing(GAP)
        layout.addWidget(self._time)
        layout.addWidget(self._length)
        layout.addSpacing(WIDE_GAP)
        layout.addWidget(self._mute)
        layout.addWidget(self._reveal)
        self.setMinimumHeight(CONTROL_HEIGHT + 2 * GAP)

    def _connect(self) -> None:
        self._player.clip_opened.connect(self._show_clip)
        self._player.frame_changed.connect(self._show_frame)
        self._player.playing_changed.connect(self._show_playing)

    def show_no_clip(self) -> None:
        reason = self.tr("There is no clip yet")
        self._enable(False, reason)
        describe(self._slider, self.tr("Playhead"), reason)
        self._slider.setRange(0, 0)
        self._time.setText("00:00:00:00")
        self._length.setText("")

    def show_muted(self, is_muted: bool) -> None:
        self._mute.set_icon_name("mdi6.volume-off" if is_muted else "mdi6.volume-high")
        if self._mute.isEnabled():
            name = self.tr("Unmute") if is_muted else self.tr("Mute")
            describe(self._mute, name, f"{name} ({keys_of(self._actions['mute'])})")

    @Slot(object)
    def _show_clip(self, clip: Clip) -> None:
        self._enable(True, "")
        describe(self._slider, self.tr("Playhead"), self.tr("Drag to move through the clip"))
        self._slider.setRange(0, clip.facts.frames - 1)
        self._slider.setValue(0)
        length = words.timecode(clip.facts.frames, clip.facts.frame_rate)
        self._length.setText(self.tr("of {length}").format(length=length))
        can_be_heard = clip.silent_because is None
        self._mute.setEnabled(can_be_heard)
        self._actions["mute"].setEnabled(can_be_heard)
        self._mute.set_icon_name("mdi6.volume-high" if can_be_heard else "mdi6.volume-off")
        if clip.silent_because is not None:
            describe(self._mute, self.tr("Sound"), clip.silent_because)
        else:
            self.show_muted(self._player.is_muted)

    def _enable(self, is_enabled: bool, reason: str) -> None:
        for command, button in (
            ("first_frame", self._first),
            ("previous_frame", self._previous),
            ("play", self._play),
            ("next_frame", self._next),
            ("last_frame", self._last),
            ("mute", self._mute),
            ("reveal", self._reveal),
        ):
            action = self._actions[command]
            action.setEnabled(is_enabled)
            button.setEnabled(is_enabled)
            describe(button, action.text(), reason or f"{action.text()} ({keys_of(action)})")
        self._slider.setEnabled(is_enabled)
        self._time.setEnabled(is_enabled)

    @Slot(int)
    def _show_frame(self, frame: int) -> None:
        if self._player.clip is not None:
            self._slider.setValue(frame)
            self._time.setText(words.timecode(frame, self._player.clip.facts.frame_rate))

    @Slot(bool)
    def _show_playing(self, is_playing: bool) -> None:
        self._play.set_icon_name("mdi6.pause" if is_playing else "mdi6.play")
