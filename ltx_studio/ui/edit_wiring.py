"""The Edit panel and the rest of the window: which clip is edited, where its marks are, and the commands.

The clip is the one in hand on the timeline while the player shows the timeline; a clip that is only looked at in the
player is edited there, and its results are clips of their own.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal, Slot

from engine.request import GenerationRequest
from engine.types import FrameRange
from ltx_studio.domain.edits import EditMode, Target, target_in_player, target_on
from ltx_studio.domain.timeline_details import mark_range
from ltx_studio.services.player import Player
from ltx_studio.state.compare import CompareState
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.ui.timeline_desk import TimelineDesk

if TYPE_CHECKING:
    from ltx_studio.ui.docks import Dock
    from ltx_studio.ui.edit_panel import EditPanel

_MODE_COMMANDS = {
    "edit_retake": EditMode.RETAKE,
    "edit_extend": EditMode.EXTEND,
    "edit_foley": EditMode.FOLEY,
    "edit_lipdub": EditMode.LIPDUB,
}


class Edits(QObject):
    """Owns the panel's state, for as long as the window."""

    said = Signal(str)  # something the user should know, in sentences

    def __init__(
        self,
        session: Session,
        queue: QueueState,
        timeline: TimelineDesk,
        player: Player,
        compare: CompareState,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._timeline = timeline
        self._player = player
        self.state = EditsState(session, queue, timeline.state, compare, self)
        self.state.said.connect(self.said)
        self._docks: Mapping[str, Dock] = {}
        self._make_room: Callable[[], None] = lambda: None
        for changed in (
            timeline.state.timeline.changed,
            timeline.state.selection.changed,
            timeline.state.playhead.changed,
            timeline.playback.looked_at_changed,
            player.clip_opened,
            player.marks_changed,
        ):
            changed.connect(self._look)
        self._look()

    def reactions(self) -> dict[str, Callable[[], None]]:
        """By command of `ltx_studio.ui.actions`."""
        return {
            **{name: partial(self._begin, mode) for name, mode in _MODE_COMMANDS.items()},
            "make_edit": self._make,
            "roll_again": self.state.roll_again,
            "compare_takes": self.state.compare_takes,
        }

    def show_in(self, docks: "Mapping[str, Dock]", before: Callable[[], None]) -> None:
        """Bring the panel to the front when somebody wants to edit; `before` makes room for it."""
        self._docks, self._make_room = docks, before
        # A panel behind another one's tab is not hidden for Qt; this is how it says that it is not seen.
        docks["edit"].visibilityChanged.connect(self.state.set_open)

    def adopt(self, request: GenerationRequest) -> None:
        """Show the panel with what an edit was made with."""
        self.state.adopt(request)
        self._show()

    def connect_panel(self, panel: "EditPanel") -> None:
        panel.range.range_asked.connect(self._mark)
        panel.range.second_asked.connect(self._mark_second)
        panel.left.connect(self._go_to_timeline)
        panel.library_asked.connect(lambda: self._show("library"))
        self._timeline.state.timeline.changed.connect(panel.show_takes)

    @Slot()
    def close(self) -> None:
        self.state.close()

    # --- which clip ---------------------------------------------------------------------------------------------------

    @Slot()
    def _look(self) -> None:
        self.state.look_at(self._target())

    def _target(self) -> Target | None:
        state, player = self._timeline.state, self._player
        if self._timeline.playback.is_on_timeline:
            clip = state.clip_in_hand()
            return None if clip is None else target_on(state.timeline.value, clip)
        if player.clip is None:
            return None
        facts = player.clip.facts
        return target_in_player(
            player.clip.path,
            rate=facts.frame_rate,
            num_frames=facts.frames,
            has_sound=facts.audio_sample_rate is not None,
            marks=(player.in_frame, player.out_frame),
        )

    # --- marks --------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _mark(self, marked: FrameRange) -> None:
        target = self.state.target.value
        if target is None:
            return
        if target.slot is not None:
            self._timeline.state.edit(tr("mark range"), mark_range, marked.start, marked.stop)
        else:
            self._player.clear_marks()
            self._player.set_in(marked.start)
            self._player.set_out(marked.stop - 1)

    @Slot()
    def _mark_second(self) -> None:
        """Around the playhead, as far as the clip goes."""
        target = self.state.target.value
        if target is None:
            return
        playhead = self._player.frame if target.slot is None else self._timeline.state.playhead.value
        length = min(max(round(float(target.rate)), 1), len(target.span))
        start = min(max(playhead - length // 2, target.span.start), target.span.stop - length)
        self._mark(FrameRange(start, start + length))

    @Slot()
    def _go_to_timeline(self) -> None:
        if self._timeline.panel is not None:
            self._timeline.panel.lanes.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _begin(self, mode: EditMode) -> None:
        """Show the panel in this mode; where it cannot be, say why."""
        if mode is EditMode.LIPDUB and self.state.no_lipdub.value:
            self.said.emit(self.state.no_lipdub.value)
        else:
            self.state.change(mode=mode)
        self._show()

    def _show(self, panel: str = "edit") -> None:
        if panel in self._docks:
            dock = self._docks[panel]
            self._make_room()
            dock.show()
            dock.raise_()
            dock.content.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _make(self) -> None:
        """What the panel's button does; where nobody sees what that would be, the panel comes first."""
        if self.state.is_open:
            self.state.make()
        else:
            self._show()
