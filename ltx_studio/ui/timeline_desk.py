"""The timeline in the window: its state, its commands and its place below the picture, put together.

The window makes one of these, gives it the commands' reactions it wraps, and puts `below(...)` into its middle.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QSplitter, QWidget

from ltx_studio.domain.timeline import Timeline
from ltx_studio.domain.timeline_placing import insert, length_of, overwrite
from ltx_studio.services.media_probe import MediaProbe, Probed
from ltx_studio.services.player import Player
from ltx_studio.state.timeline import TimelineState, material_of, tr
from ltx_studio.ui.theme import Appearance
from ltx_studio.ui.timeline_commands import LOCAL, TimelineCommands
from ltx_studio.ui.timeline_panel import TimelinePanel
from ltx_studio.ui.timeline_playback import Reactions, TimelinePlayback
from ltx_studio.ui.timeline_screen import TimelineScreen

_FIRST_HEIGHT = 192  # two lanes, the ruler, the tools and the scroll bar
_PICTURE_SHARE, _TIMELINE_SHARE = 1, 0  # who gets what is left when the window grows


class TimelineDesk(QObject):
    """One for each window. `panel` is there once `below` was called."""

    said = Signal(str)  # why something was not done, in a sentence

    def __init__(self, player: Player, appearance: Appearance, parent: QObject) -> None:
        super().__init__(parent)
        self._player = player
        self._appearance = appearance
        self.state = TimelineState(self)
        self.screen = TimelineScreen(self.state, appearance, self)
        self.playback = TimelinePlayback(self.state, player, self)
        self.commands = TimelineCommands(self.screen, self.playback, player)
        self.panel: TimelinePanel | None = None
        self.split: QSplitter | None = None
        self._probe = MediaProbe(self)
        self.state.refused.connect(self.said)
        self._probe.probed.connect(self._place)

    def reactions(self, playback: Reactions, current: Callable[[], Player]) -> Reactions:
        """The timeline's own commands, and those of playback that it answers while its clip is looked at."""
        return {**playback, **self.playback.reactions(playback, current), **self.commands.reactions()}

    def below(self, picture: QWidget, actions: dict[str, QAction], parent: QWidget) -> QSplitter:
        """The picture with the timeline below it; the line between them can be moved."""
        self.panel = TimelinePanel(self.screen, self.playback, actions, self._appearance, parent)
        self.panel.dropped.connect(self._files_dropped)
        self.commands.follow(actions)
        for name in LOCAL:
            actions[name].setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.panel.addAction(actions[name])
        split = QSplitter(Qt.Orientation.Vertical, parent)
        split.setObjectName("picture_and_timeline")
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.addWidget(picture)
        split.addWidget(self.panel)
        split.setStretchFactor(0, _PICTURE_SHARE)
        split.setStretchFactor(1, _TIMELINE_SHARE)
        self.split = split
        self.reset_heights()
        return split

    def reset_heights(self) -> None:
        """The timeline as high as it needs to be, the rest for the picture."""
        if self.split is not None:
            whole = max(self.split.height(), 3 * _FIRST_HEIGHT)
            self.split.setSizes([whole - _FIRST_HEIGHT, _FIRST_HEIGHT])

    def close_threads(self) -> None:
        self._probe.close()
        if self.panel is not None:
            self.panel.close_threads()

    @Slot(object, int, bool)
    def _files_dropped(self, paths: list[Path], frame: int, is_over: bool) -> None:
        self._probe.ask(paths, (frame, is_over))

    @Slot(object)
    def _place(self, probed: Probed) -> None:
        """One after the other, as one edit; onto an empty timeline at the rate of the first picture."""
        for refusal in probed.refusals:
            self.said.emit(refusal)
        if not probed.media:
            return
        frame, is_over = cast(tuple[int, bool], probed.where)
        materials = [material_of(media) for media in probed.media]
        rate = next((media.frame_rate for media in probed.media if media.frame_rate is not None), None)

        def edit(timeline: Timeline) -> Timeline:
            at = frame
            if timeline.length == 0 and rate is not None:
                timeline = replace(timeline, rate=rate)
            for material in materials:
                timeline = (overwrite if is_over else insert)(timeline, material, at)
                at += length_of(material, timeline.rate)
            return timeline

        if self.state.edit(tr("insert"), edit):
            self.playback.seek(frame)
