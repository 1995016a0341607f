"""The timeline of the window: its value, what is selected on it, where the playhead is, and undo.

Until something is edited it mirrors the clip that is open in the player; the first edit makes a sequence of it, which
other clips that are opened no longer replace. Edits are functions of `ltx_studio.domain` given to `edit`; each becomes
a step that keeps the timeline before and after it, so undo returns the identical value. Selection, playhead and zones
are not undone.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from PySide6.QtCore import QCoreApplication, QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.project import MAX_STEPS
from ltx_studio.domain.timeline import Clip, EditRefused, Media, Take, Timeline, TrackKind, empty_timeline
from ltx_studio.domain.timeline_placing import Material, append
from ltx_studio.domain.timeline_zones import Zones
from ltx_studio.state.observable import Observable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.media.read import ClipFacts

P = ParamSpec("P")

FIRST_RATE = FrameRate.parse(24)
_COMMAND_ID = 1  # Qt asks commands with the same id whether they are one


def tr(text: str) -> str:
    return QCoreApplication.translate("timeline", text)


class TimelineState(QObject):
    """Lives in the window's thread. Nothing here opens a file."""

    refused = Signal(str)  # why an edit was not made, in a sentence
    renewed = Signal()  # another timeline is shown: not an edit of the one before
    stepped = Signal(
        str, object, bool
    )  # an edit's name, the Timeline it led to, whether it merged into the step before
    moved = Signal(int)  # undone or redone, to after this many steps

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        empty = empty_timeline(FIRST_RATE)
        self.timeline = Observable(empty, self, is_same=operator.is_)
        self.is_sequence = Observable(False, self)  # edited or kept: worth saving, and not replaced by what is opened
        self.selection = Observable[tuple[int, ...]]((), self)  # ids of clips
        self.playhead = Observable(0, self)  # frame of the timeline
        self.zones = Observable[Zones | None](None, self)  # what a planned change would do, to be drawn
        self.stack = QUndoStack(self)
        self.stack.setUndoLimit(MAX_STEPS)
        self._mirrored = empty  # what is shown while nothing is edited
        self._is_kept = False
        self._is_quiet = False  # while steps are made rather than undone
        self.stack.indexChanged.connect(self._index_changed)
        self.timeline.changed.connect(self._timeline_changed)

    # --- editing ------------------------------------------------------------------------------------------------------

    def edit(
        self,
        text: str,
        function: Callable[Concatenate[Timeline, P], Timeline],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> bool:
        """Make an edit that undo calls `text`; False where it was refused, and `refused` says why."""
        return self._edit(text, "", lambda timeline: function(timeline, *args, **kwargs))

    def edit_on(
        self,
        merge_key: str,
        text: str,
        function: Callable[Concatenate[Timeline, P], Timeline],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> bool:
        """Like `edit`; successive edits of the same key are one step of undo, such as a nudge that is held."""
        return self._edit(text, merge_key, lambda timeline: function(timeline, *args, **kwargs))

    def attempt(
        self, function: Callable[Concatenate[Timeline, P], Timeline], *args: P.args, **kwargs: P.kwargs
    ) -> Timeline | None:
        """What an edit would lead to, None where it would be refused; nothing is changed or said."""
        try:
            return function(self.timeline.value, *args, **kwargs)
        except EditRefused:
            return None

    def _edit(self, text: str, merge_key: str, function: Callable[[Timeline], Timeline]) -> bool:
        before = self.timeline.value
        try:
            after = function(before)
        except EditRefused as error:
            self.refused.emit(str(error))
            return False
        if after is not before:
            index = self.stack.index()
            is_full = self.stack.count() == self.stack.undoLimit() and not self.stack.canRedo()
            self._is_quiet = True
            self.stack.push(_SetTimeline(text, before, after, merge_key, self._show))
            self._is_quiet = False
            self.stepped.emit(text, after, self.stack.index() == index and not is_full)
        return True

    # --- what is shown ------------------------------------------------------------------------------------------------

    def mirror(self, media: Media) -> None:
        """Show a clip that was opened, unless there is a sequence."""
        if self.is_sequence.value:
            return
        timeline = empty_timeline(media.frame_rate or FIRST_RATE)
        self._renew(append(timeline, material_of(media)), is_kept=False)

    def keep(self) -> None:
        """What is shown is a sequence from now on, edited or not."""
        self._is_kept = True
        self._timeline_changed(self.timeline.value)

    def clear(self) -> None:
        """An empty timeline that mirrors the next clip which is opened. Not undone: the caller asks first."""
        self._renew(empty_timeline(FIRST_RATE), is_kept=False)

    def load(self, base: Timeline, steps: Iterable[tuple[str, Timeline]] = (), position: int | None = None) -> None:
        """Show the sequence of a project: `base` after `position` of these steps, each a name and what it led to."""
        steps = tuple(steps)
        position = len(steps) if position is None else position
        self._renew(base, is_kept=True, steps=steps, position=position)

    @property
    def steps(self) -> tuple[tuple[str, Timeline], ...]:
        """Every step of undo, those that are undone included."""
        commands = (self.stack.command(index) for index in range(self.stack.count()))
        return tuple((command.text(), command.after) for command in commands if isinstance(command, _SetTimeline))

    # --- selection ----------------------------------------------------------------------------------------------------

    def select(self, clip_ids: Iterable[int]) -> None:
        """These clips, and what is linked to them."""
        found: dict[int, None] = {}
        for clip_id in clip_ids:
            for clip in self.timeline.value.linked(clip_id):
                found[clip.id] = None
        self.selection.value = tuple(found)

    def selected(self) -> tuple[Clip, ...]:
        wanted = set(self.selection.value)
        return tuple(clip for clip in self.timeline.value.clips() if clip.id in wanted)

    def clip_in_hand(self) -> Clip | None:
        """The clip a command is about: the selected picture, else the one under the playhead, else a selected sound."""
        timeline, selected = self.timeline.value, self.selected()
        pictures = {clip.id for track in timeline.tracks_of(TrackKind.PICTURE) for clip in track.clips}
        chosen = next((clip for clip in selected if clip.id in pictures), selected[0] if selected else None)
        if chosen is not None:
            return chosen
        heard = timeline.heard_at(self.playhead.value)
        return timeline.shown_at(self.playhead.value) or (heard[0] if heard else None)

    @property
    def marked(self) -> FrameRange | None:
        """The marked range, for what works on it; see `Timeline.marked`."""
        return self.timeline.value.marked

    # --- inside -------------------------------------------------------------------------------------------------------

    def _show(self, timeline: Timeline) -> None:
        self.timeline.value = timeline

    def _renew(
        self, timeline: Timeline, *, is_kept: bool, steps: Sequence[tuple[str, Timeline]] = (), position: int = 0
    ) -> None:
        self.selection.value = ()
        self.zones.value = None
        self._is_kept = is_kept
        self._is_quiet = True
        self.stack.clear()
        self._mirrored = before = timeline
        for text, after in steps:
            self.stack.push(_SetTimeline(text, before, after, "", self._show))
            before = after
        self.stack.setIndex(position)
        self.stack.setClean()
        self._is_quiet = False
        timeline = timeline if position == 0 else steps[position - 1][1]
        self._show(timeline)
        self._timeline_changed(timeline)
        self.playhead.value = min(self.playhead.value, max(timeline.length - 1, 0))
        self.renewed.emit()

    def _index_changed(self, index: int) -> None:
        if not self._is_quiet:
            self.moved.emit(index)

    def _timeline_changed(self, timeline: Timeline) -> None:
        there = {clip.id for clip in timeline.clips()}
        self.selection.value = tuple(clip_id for clip_id in self.selection.value if clip_id in there)
        if self.zones.value is not None and self.zones.value.clip_id not in there:
            self.zones.value = None
        self.is_sequence.value = self._is_kept or timeline.tracks is not self._mirrored.tracks


class _SetTimeline(QUndoCommand):
    """One step: the timeline before and after, by reference."""

    def __init__(
        self, text: str, before: Timeline, after: Timeline, merge_key: str, show: Callable[[Timeline], None]
    ) -> None:
        super().__init__(text)
        self.before = before
        self.after = after
        self._merge_key = merge_key
        self._show = show

    def redo(self) -> None:
        self._show(self.after)

    def undo(self) -> None:
        self._show(self.before)

    def id(self) -> int:
        return _COMMAND_ID if self._merge_key else -1  # -1: never merged

    def mergeWith(self, other: QUndoCommand) -> bool:  # noqa: N802 - Qt's name
        if not isinstance(other, _SetTimeline) or other._merge_key != self._merge_key:
            return False
        self.after = other.after
        return True


def media_of(path: "Path", facts: "ClipFacts") -> Media:
    """What cutting needs to know of a clip that was read."""
    duration = facts.frames / facts.frame_rate.value
    return Media(path, duration, facts.frame_rate, facts.size, facts.audio_sample_rate is not None)


def material_of(media: Media, made_by: Any = None) -> Material:
    """A whole medium, to be placed; `made_by` is the request it was made by, where there is one."""
    return Material(media.path.stem, (Take(media, made_by),))
