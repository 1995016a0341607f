"""What each command of the timeline does: edits of the clip in hand, at the playhead. The mouse is `timeline_view`'s.

The clip in hand is the selected one, else the one under the playhead, so that everything the mouse can do can be done
by moving the playhead and pressing a key. What cannot be done is said by the state, in a sentence.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

from PySide6.QtGui import QAction

from ltx_studio.domain.edits import show_take
from ltx_studio.domain.timecode import TimeUnit
from ltx_studio.domain.timeline import Clip, Edge, EditRefused, Timeline, TrackKind
from ltx_studio.domain.timeline_details import (
    HIGHEST_GAIN_DB,
    LOWEST_GAIN_DB,
    add_marker,
    add_track,
    link,
    mark_range,
    remove_marker,
    set_gain,
    unlink,
)
from ltx_studio.domain.timeline_edits import (
    blade,
    clear_range,
    delete,
    move,
    ripple_delete,
    ripple_trim,
    roll,
    roll_limits,
    slip,
    slip_limits,
    trim,
)
from ltx_studio.domain.timeline_placing import Material, append, insert, overwrite
from ltx_studio.services.player import Player
from ltx_studio.state.observable import Observable
from ltx_studio.state.timeline import TimelineState, material_of, media_of, tr
from ltx_studio.ui.timeline_playback import TimelinePlayback, after_clip
from ltx_studio.ui.timeline_screen import ZOOM_STEP, TimelineScreen, Tool

_MANY_FRAMES = 5
_GAIN_STEP_DB = 1.0
_UNITS = (TimeUnit.TIMECODE, TimeUnit.FRAMES, TimeUnit.SECONDS)
_TOOLS = {"tool_select": Tool.SELECT, "tool_blade": Tool.BLADE, "tool_slip": Tool.SLIP}

# Keys that mean something else in other panels: these work while the keyboard is in the timeline.
LOCAL = (
    *("delete_clips", "ripple_delete", "select_all_clips", "next_edit", "previous_edit", "move_clip_up"),
    *("move_clip_down", "nudge_left", "nudge_right", "nudge_far_left", "nudge_far_right", "slip_left", "slip_right"),
)


class TimelineCommands:
    """The reactions of one window's timeline."""

    def __init__(self, screen: TimelineScreen, playback: TimelinePlayback, player: Player) -> None:
        self._screen = screen
        self._playback = playback
        self._player = player
        self._state: TimelineState = screen.state

    def reactions(self) -> dict[str, Callable[[], None]]:
        """By command of `ltx_studio.ui.actions`."""
        screen, stack = self._screen, self._state.stack
        return {
            "undo": stack.undo,
            "redo": stack.redo,
            "delete_clips": lambda: self._delete(ripple=False),
            "ripple_delete": lambda: self._delete(ripple=True),
            "select_all_clips": self._select_all,
            "select_clip": self._select_clip,
            **{name: partial(self._take_tool, tool) for name, tool in _TOOLS.items()},
            "ripple_mode": lambda: _toggle(screen.is_rippling),
            "snapping": lambda: _toggle(screen.is_snapping),
            "cut_clip": lambda: self._do(tr("cut"), blade, self._playhead, self._selected_under_playhead()),
            "ripple_trim_start": lambda: self._trim(Edge.START, ripple=True),
            "ripple_trim_end": lambda: self._trim(Edge.END, ripple=True),
            "trim_start": lambda: self._trim(Edge.START, ripple=False),
            "trim_end": lambda: self._trim(Edge.END, ripple=False),
            "roll_here": self._roll_here,
            "nudge_left": lambda: self._nudge(-1),
            "nudge_right": lambda: self._nudge(1),
            "nudge_far_left": lambda: self._nudge(-_MANY_FRAMES),
            "nudge_far_right": lambda: self._nudge(_MANY_FRAMES),
            "slip_left": lambda: self._slip(-1),
            "slip_right": lambda: self._slip(1),
            "move_clip_up": lambda: self._change_lane(-1),
            "move_clip_down": lambda: self._change_lane(1),
            "insert_clip": lambda: self._place(tr("insert"), insert),
            "overwrite_clip": lambda: self._place(tr("overwrite"), overwrite),
            "append_clip": lambda: self._place(
                tr("add"), lambda timeline, material, _frame: append(timeline, material)
            ),
            "add_marker": lambda: self._do(tr("add marker"), add_marker, self._playhead),
            "remove_marker": self._remove_marker,
            "mark_clip": self._mark_clip,
            "link_clips": self._link,
            "clip_louder": lambda: self._change_gain(_GAIN_STEP_DB),
            "clip_quieter": lambda: self._change_gain(-_GAIN_STEP_DB),
            "next_take": lambda: self._change_take(1),
            "previous_take": lambda: self._change_take(-1),
            "add_picture_track": lambda: self._do(tr("add track"), add_track, TrackKind.PICTURE),
            "add_sound_track": lambda: self._do(tr("add track"), add_track, TrackKind.SOUND),
            "next_edit": lambda: self._playback.go_to_edit(1),
            "previous_edit": lambda: self._playback.go_to_edit(-1),
            "timeline_zoom_in": lambda: screen.zoom(ZOOM_STEP),
            "timeline_zoom_out": lambda: screen.zoom(1 / ZOOM_STEP),
            "timeline_fit": screen.fit,
            "time_unit": self._next_unit,
        }

    def follow(self, actions: dict[str, QAction]) -> None:
        """Keep the words and the marks of the commands up to date."""
        stack, screen = self._state.stack, self._screen
        undo, redo = actions["undo"], actions["redo"]

        def show_undo(name: str) -> None:
            undo.setText(tr("Undo {edit}").format(edit=name) if name else tr("Undo"))
            undo.setEnabled(bool(name))

        def show_redo(name: str) -> None:
            redo.setText(tr("Redo {edit}").format(edit=name) if name else tr("Redo"))
            redo.setEnabled(bool(name))

        def show_tool(tool: Tool) -> None:
            for name, own in _TOOLS.items():
                actions[name].setChecked(own is tool)

        stack.undoTextChanged.connect(show_undo)
        stack.redoTextChanged.connect(show_redo)
        show_undo(stack.undoText())
        show_redo(stack.redoText())
        screen.tool.changed.connect(show_tool)
        show_tool(screen.tool.value)
        screen.is_snapping.changed.connect(actions["snapping"].setChecked)
        actions["snapping"].setChecked(screen.is_snapping.value)
        screen.is_rippling.changed.connect(actions["ripple_mode"].setChecked)
        actions["ripple_mode"].setChecked(screen.is_rippling.value)

    # --- in hand ------------------------------------------------------------------------------------------------------

    @property
    def _playhead(self) -> int:
        return self._state.playhead.value

    def _clip(self) -> Clip:
        clip = self._state.clip_in_hand()
        if clip is None:
            raise EditRefused("There is no clip here.", remedy="Put the playhead on a clip, or select one.")
        return clip

    def _clips(self) -> list[int]:
        """The selected ones, else the one under the playhead."""
        return list(self._state.selection.value) or [self._clip().id]

    def _selected_under_playhead(self) -> list[int] | None:
        """What the blade cuts: selected clips that the playhead is in, else everything it is in."""
        found = [clip.id for clip in self._state.selected() if clip.start < self._playhead < clip.stop]
        return found or None

    def _do(self, text: str, function: Callable[..., Timeline], *args: object) -> None:
        self._state.edit(text, function, *args)

    def _with_clip(self, text: str, edit: Callable[[Timeline, Clip], Timeline], merge_key: str = "") -> None:
        """An edit of the clip in hand; without one, the same sentence as for any other refusal."""

        def function(timeline: Timeline) -> Timeline:
            return edit(timeline, self._clip())

        if merge_key:
            clip = self._state.clip_in_hand()
            self._state.edit_on(f"{merge_key} {None if clip is None else clip.id}", text, function)
        else:
            self._state.edit(text, function)

    # --- selecting and removing ---------------------------------------------------------------------------------------

    def _select_all(self) -> None:
        self._state.select([clip.id for clip in self._state.timeline.value.clips()])

    def _select_clip(self) -> None:
        """The clip under the playhead; pressed again, nothing."""
        clip = self._state.timeline.value.shown_at(self._playhead)
        sounds = self._state.timeline.value.heard_at(self._playhead)
        found = clip or (sounds[0] if sounds else None)
        is_there = found is not None and found.id in self._state.selection.value
        self._state.select([] if found is None or is_there else [found.id])

    def _delete(self, *, ripple: bool) -> None:
        """What is selected: a gap, or clips; else what is marked; else the clip under the playhead."""
        if self._screen.close_selected_gap():
            return
        marked = self._state.marked
        if not self._state.selection.value and marked is not None:
            text = tr("cut out range") if ripple else tr("delete range")
            self._state.edit(text, partial(clear_range, ripple=ripple), marked)
            return
        text, function = (tr("ripple delete"), ripple_delete) if ripple else (tr("delete"), delete)
        self._state.edit(text, lambda timeline: function(timeline, self._clips()))

    def _take_tool(self, tool: Tool) -> None:
        self._screen.tool.value = tool
        self._screen.show_blade(None)

    # --- trimming and moving ------------------------------------------------------------------------------------------

    def _trim(self, edge: Edge, *, ripple: bool) -> None:
        """An edge of the clip in hand to the playhead."""
        text = tr("ripple trim") if ripple else tr("trim")
        function = ripple_trim if ripple else trim

        def edit(timeline: Timeline, clip: Clip) -> Timeline:
            return function(timeline, clip.id, edge, self._playhead)

        start = self._clip_start()
        self._with_clip(text, edit)
        if ripple and edge is Edge.START and start is not None:
            self._playback.seek(start)

    def _clip_start(self) -> int | None:
        clip = self._state.clip_in_hand()
        return None if clip is None else clip.start

    def _roll_here(self) -> None:
        """The cut that is nearest to the playhead goes there."""

        def edit(timeline: Timeline) -> Timeline:
            cuts = [
                clip
                for track in timeline.tracks_of(TrackKind.PICTURE)
                for clip in track.clips
                if after_clip(track, clip) is not None
            ]
            if not cuts:
                raise EditRefused("There is no cut to move.", remedy="Put two clips side by side first.")
            nearest = min(cuts, key=lambda clip: abs(clip.stop - self._playhead))
            return roll(timeline, nearest.id, roll_limits(timeline, nearest.id).clamp(self._playhead))

        self._state.edit(tr("roll"), edit)

    def _nudge(self, frames: int) -> None:
        def edit(timeline: Timeline, _clip: Clip) -> Timeline:
            return move(timeline, self._clips(), frames)

        self._with_clip(tr("move"), edit, merge_key="nudge")

    def _slip(self, frames: int) -> None:
        def edit(timeline: Timeline, clip: Clip) -> Timeline:
            if frames not in slip_limits(timeline, clip.id):
                raise EditRefused("The medium ends there.", remedy="There is nothing more to show on this side.")
            return slip(timeline, clip.id, frames)

        self._with_clip(tr("slip"), edit, merge_key="slip")

    def _change_lane(self, lanes: int) -> None:
        self._with_clip(tr("move"), lambda timeline, clip: move(timeline, [clip.id], 0, lanes=lanes))

    # --- placing ------------------------------------------------------------------------------------------------------

    def _place(self, text: str, function: Callable[[Timeline, Material, int], Timeline]) -> None:
        """The clip that is open in the player, from its in to its out mark."""
        state, opened = self._state, self._player.clip
        if opened is None:
            state.refused.emit(tr("No clip is open. Open one from the library, then put it on the timeline."))
            return
        if self._playback.is_on_timeline and not state.is_sequence.value:
            state.keep()
            state.refused.emit(tr("This clip is kept on the timeline. Open another one to add it."))
            return
        material = material_of(media_of(opened.path, opened.facts))
        if not self._playback.is_on_timeline:
            material = self._marked_part(material)
        if state.edit(text, function, material, self._playhead):
            self._playback.seek(self._playhead)

    def _marked_part(self, material: Material) -> Material:
        first, last = self._player.marked
        media_rate = material.take.media.frame_rate
        if media_rate is None or (first, last) == (0, self._player.last_frame):
            return material
        rate = self._state.timeline.value.rate
        length = int(Fraction(last + 1 - first) / media_rate.value * rate.value)
        return Material(material.name, material.takes, 0, first / media_rate.value, max(length, 1))

    # --- details ------------------------------------------------------------------------------------------------------

    def _remove_marker(self) -> None:
        """The one at the playhead, else the nearest one before it."""

        def edit(timeline: Timeline) -> Timeline:
            before = [marker for marker in timeline.markers if marker.frame <= self._playhead]
            if not before:
                raise EditRefused("There is no marker here.", remedy="Put the playhead on a marker.")
            return remove_marker(timeline, before[-1].id)

        self._state.edit(tr("remove marker"), edit)

    def _mark_clip(self) -> None:
        self._with_clip(tr("mark range"), lambda timeline, clip: mark_range(timeline, clip.start, clip.stop))

    def _link(self) -> None:
        """Apart where they are linked, else together."""

        def edit(timeline: Timeline) -> Timeline:
            clips = self._clips()
            if any(timeline.find(clip_id).link is not None for clip_id in clips):
                for clip_id in clips:
                    timeline = unlink(timeline, clip_id)
                return timeline
            return link(timeline, clips)

        self._state.edit(tr("link or unlink"), edit)

    def _change_gain(self, step_db: float) -> None:
        def edit(timeline: Timeline, clip: Clip) -> Timeline:
            sounds = {item.id for track in timeline.tracks_of(TrackKind.SOUND) for item in track.clips}
            heard = next((item for item in timeline.linked(clip.id) if item.id in sounds), clip)
            gain_db = min(max(heard.gain_db + step_db, LOWEST_GAIN_DB), HIGHEST_GAIN_DB)
            return set_gain(timeline, clip.id, gain_db)

        self._with_clip(tr("gain"), edit, merge_key="gain")

    def _change_take(self, step: int) -> None:
        def edit(timeline: Timeline, clip: Clip) -> Timeline:
            if len(clip.takes) < 2:
                raise EditRefused("This clip has one take.", remedy="Make another one of it first.")
            return show_take(timeline, clip.id, (clip.chosen + step) % len(clip.takes))

        self._with_clip(tr("choose take"), edit)

    def _next_unit(self) -> None:
        unit = self._screen.unit
        unit.value = _UNITS[(_UNITS.index(unit.value) + 1) % len(_UNITS)]


def _toggle(value: Observable[bool]) -> None:
    value.value = not value.value
