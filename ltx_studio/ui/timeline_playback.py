"""The timeline's playhead and the player, kept together: what the player shows is what lies under the playhead.

The player knows one clip; a sequence is played by opening the next one where one ends. While nothing is edited the
timeline mirrors the clip that the player has open. A clip that is opened from elsewhere while there is a sequence is
only looked at, until the playhead is moved or it is put on the timeline.

The player plays a file's own sound. Gaps are passed over.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from ltx_studio.domain.timeline import Clip as TimelineClip
from ltx_studio.domain.timeline import Timeline, Track
from ltx_studio.domain.timeline_details import mark_range, set_in, set_out
from ltx_studio.services.player import Clip, Player
from ltx_studio.state.timeline import TimelineState, media_of, tr

Reactions = dict[str, Callable[[], None]]


@dataclass(frozen=True)
class _Coming:
    """A clip of the timeline that the player was asked to open."""

    clip_id: int
    path: Path  # of the take that was on show then
    media_frame: int
    speed: int  # 0: paused


class TimelinePlayback(QObject):
    """Lives in the window's thread."""

    looked_at_changed = Signal()  # whether the player shows what is on the timeline, or something else

    def __init__(self, state: TimelineState, player: Player, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._player = player
        self._clip_id: int | None = None  # the clip of the timeline that the player shows
        self._coming: _Coming | None = None
        self._is_seeking = False
        self._speed = 0  # of the player, before it stopped
        self._stop_at: int | None = None  # where the range that is being played ends
        self._is_sharing_marks = False
        player.clip_opened.connect(self._clip_opened)
        player.clip_refused.connect(self._clip_refused)
        player.frame_changed.connect(self._frame_changed)
        player.speed_changed.connect(self._speed_changed)
        player.marks_changed.connect(self._marks_changed)
        state.timeline.changed.connect(self._timeline_changed)
        state.renewed.connect(self._renewed)
        if player.clip is not None:
            self._clip_opened(player.clip)

    @property
    def is_on_timeline(self) -> bool:
        """The player shows what lies under the playhead, rather than a clip that was opened from elsewhere."""
        return self._clip_id is not None or self._player.clip is None or self._coming is not None

    # --- moving -------------------------------------------------------------------------------------------------------

    @Slot(int)
    def seek(self, frame: int) -> None:
        """Put the playhead on a frame of the timeline and show what is there."""
        last = max(self._state.timeline.value.length - 1, 0)
        self._state.playhead.value = min(max(frame, 0), last)
        self._show(0 if self._coming is None else self._coming.speed)

    def step(self, frames: int) -> None:
        """Pause, and move by this many frames."""
        self._player.pause()
        self.seek(self._state.playhead.value + frames)

    def go_to_edit(self, direction: int) -> None:
        """To the next (1) or the previous (-1) place where something begins or ends."""
        timeline, playhead = self._state.timeline.value, self._state.playhead.value
        places = {0, max(timeline.length - 1, 0)}
        for clip in timeline.clips():
            places |= {clip.start, clip.stop}
        places |= {mark for mark in (timeline.mark_in, timeline.mark_out) if mark is not None}
        places |= {marker.frame for marker in timeline.markers}
        beyond = [place for place in places if (place - playhead) * direction > 0]
        if beyond:
            self.seek(min(beyond) if direction > 0 else max(beyond))

    def reactions(self, originals: Reactions, current: Callable[[], Player]) -> Reactions:
        """The commands of playback that a timeline answers in the player's stead, while that is looked at."""
        state = self._state

        def frames_per_second() -> int:
            return max(round(float(state.timeline.value.rate.value)), 1)

        ours: Reactions = {
            "play": self.toggle,
            "play_marked": self.play_marked,
            "mark_in": lambda: self._edit(tr("mark in"), set_in, state.playhead.value),
            "mark_out": lambda: self._edit(tr("mark out"), set_out, state.playhead.value + 1),
            "clear_in": lambda: self._edit(tr("clear in"), set_in, None),
            "clear_out": lambda: self._edit(tr("clear out"), set_out, None),
            "clear_marks": lambda: self._edit(tr("clear marks"), mark_range, None, None),
            "go_to_in": lambda: self.seek(0 if state.marked is None else state.marked.start),
            "go_to_out": lambda: self.seek(
                state.timeline.value.length if state.marked is None else state.marked.stop - 1
            ),
            "previous_frame": lambda: self.step(-1),
            "next_frame": lambda: self.step(1),
            "back_five_frames": lambda: self.step(-5),
            "forward_five_frames": lambda: self.step(5),
            "back_one_second": lambda: self.step(-frames_per_second()),
            "forward_one_second": lambda: self.step(frames_per_second()),
            "first_frame": lambda: self.seek(0),
            "last_frame": lambda: self.seek(state.timeline.value.length),
        }

        def choose(name: str) -> Callable[[], None]:
            def react() -> None:
                is_ours = current() is self._player and self.is_on_timeline and state.timeline.value.length > 0
                (ours if is_ours else originals)[name]()

            return react

        return {name: choose(name) for name in ours}

    def toggle(self) -> None:
        """Play, from the beginning where the end is reached; or pause."""
        if self._player.is_playing:
            self._player.pause()
            return
        if self._state.playhead.value >= self._state.timeline.value.length - 1:
            self.seek(0)
        self._play()

    def play_marked(self) -> None:
        """From in to out."""
        marked = self._state.marked
        self._player.pause()
        if marked is not None:
            self.seek(marked.start)
            self._stop_at = marked.stop
        self._play()

    def _play(self) -> None:
        """At once, or as soon as the clip that is on its way is open."""
        if self._coming is None:
            self._player.play()
        else:
            self._coming = replace(self._coming, speed=1)

    def _edit(self, text: str, function: Callable[..., Timeline], *args: int | None) -> None:
        self._state.edit(text, function, *args)

    # --- the player ---------------------------------------------------------------------------------------------------

    @Slot(object)
    def _clip_opened(self, clip: Clip) -> None:
        coming = self._coming
        found = None if coming is None else self._find(coming.clip_id)
        if found is not None and found.media.path == clip.path:
            # Not at once: whoever else hears of the clip still has to be told that it is at its first frame.
            QTimer.singleShot(0, self._take_over)
            return
        self._coming = None
        self._clip_id = None
        if not self._state.is_sequence.value:
            self._state.mirror(media_of(clip.path, clip.facts))
        self._state_follows(self._player.frame)
        self.looked_at_changed.emit()

    @Slot()
    def _take_over(self) -> None:
        """Of a clip of the timeline that is open now, show what was asked for."""
        coming, self._coming = self._coming, None
        clip = None if coming is None else self._find(coming.clip_id)
        opened = self._player.clip
        if coming is None or clip is None or opened is None or opened.path != clip.media.path:
            return
        self._clip_id = clip.id
        self._move_player(coming.media_frame)
        self._share_marks(self._state.timeline.value)
        self._go_on(coming.speed)
        self.looked_at_changed.emit()

    @Slot()
    def _clip_refused(self) -> None:
        self._coming = None

    @Slot(int)
    def _frame_changed(self, frame: int) -> None:
        if not self._is_seeking and self._coming is None:
            self._state_follows(frame)

    def _state_follows(self, frame: int) -> None:
        """The playhead goes where the player is; past the end of a clip, the next one follows."""
        timeline, clip = self._state.timeline.value, self._find(self._clip_id)
        if clip is None:
            clip = self._clip_with(frame) if self._clip_id is None else None
            if clip is None:
                return
            self._clip_id = clip.id
        at = _timeline_frame(timeline, clip, frame)
        is_forwards = self._player.speed > 0
        if is_forwards and self._stop_at is not None and at >= self._stop_at:
            self._end(self._stop_at - 1)
        elif is_forwards and at < self._state.playhead.value and clip.stop < timeline.length:
            self._pass_on(timeline, clip, clip.stop)  # the player loops within its file
        elif clip.start <= at < clip.stop:
            self._state.playhead.value = at
        elif self._player.is_playing:
            self._pass_on(timeline, clip, at)
        else:
            other = self._clip_with(frame)
            if other is not None:
                self._clip_id = other.id
                self._state.playhead.value = _timeline_frame(timeline, other, frame)

    def _pass_on(self, timeline: Timeline, clip: TimelineClip, at: int) -> None:
        """To what comes after a clip, or before it when it is played backwards."""
        speed = self._player.speed
        following = _next_picture(timeline, clip.stop) if at >= clip.stop else _previous_picture(timeline, clip.start)
        if following is None:
            self._end(clip.stop - 1 if at >= clip.stop else clip.start)
            return
        frame = following.start if at >= clip.stop else following.stop - 1
        is_going_on = (
            following.media == clip.media and following.media_frame(frame, timeline.rate) == self._player.frame
        )
        self._state.playhead.value = frame
        if is_going_on:
            self._clip_id = following.id
        else:
            self._show(speed)

    def _end(self, frame: int) -> None:
        """Of the sequence, or of its marked range: stop here, or begin again where looping is on."""
        stop_at, speed = self._stop_at, self._player.speed
        self._player.pause()
        if not self._player.is_looping or speed < 0:
            self.seek(frame)
        elif stop_at is not None:
            self.play_marked()
        else:
            self.seek(0)
            self._play()

    @Slot(int)
    def _speed_changed(self, speed: int) -> None:
        """At the end of a file the player stops; where another clip follows on the timeline, it goes on with that."""
        before, self._speed = self._speed, speed
        if speed != 0 or self._coming is not None or self._is_seeking:
            return
        timeline, playhead, clip = self._state.timeline.value, self._state.playhead.value, self._find(self._clip_id)
        is_at_end = self._player.frame == (self._player.last_frame if before > 0 else 0)
        following: TimelineClip | None = None
        if clip is not None and is_at_end and before > 0 and playhead == clip.stop - 1:
            following = _next_picture(timeline, clip.stop)
        elif clip is not None and is_at_end and before < 0 and playhead == clip.start:
            following = _previous_picture(timeline, clip.start)
        if following is None:
            self._stop_at = None
            return
        self._state.playhead.value = following.start if before > 0 else following.stop - 1
        self._show(before)

    def _show(self, speed: int) -> None:
        """What lies under the playhead, in the player."""
        timeline, playhead = self._state.timeline.value, self._state.playhead.value
        clip = timeline.shown_at(playhead) or next(iter(timeline.heard_at(playhead)), None)
        if clip is None or not clip.media.has_picture:
            return
        frame = clip.media_frame(playhead, timeline.rate)
        opened = self._player.clip
        if opened is not None and opened.path == clip.media.path and self._coming is None:
            self._clip_id = clip.id
            self._move_player(frame)
            if not self._player.is_playing:
                self._go_on(speed)
            self.looked_at_changed.emit()
            return
        is_on_its_way = self._coming is not None and self._coming.path == clip.media.path
        self._coming = _Coming(clip.id, clip.media.path, frame, speed)
        if not is_on_its_way:
            self._player.open(clip.media.path)

    def _go_on(self, speed: int) -> None:
        """Play as fast as before; 0 stays paused. Speeds double with each press of their key."""
        for _ in range(abs(speed).bit_length()):
            self._player.shuttle(1 if speed > 0 else -1)

    def _move_player(self, frame: int) -> None:
        self._is_seeking = True
        self._player.seek(frame)
        self._is_seeking = False

    # --- the timeline -------------------------------------------------------------------------------------------------

    @Slot(object)
    def _timeline_changed(self, timeline: Timeline) -> None:
        """What lies under the playhead may be another clip, or another moment of it."""
        last = max(timeline.length - 1, 0)
        self._state.playhead.value = min(self._state.playhead.value, last)
        self._share_marks(timeline)
        if self._clip_id is None:
            return
        if self._find(self._clip_id) is None:
            self._clip_id = None
        if not self._player.is_playing and self._player.clip is not None:
            self._show(0)

    @Slot()
    def _renewed(self) -> None:
        self._clip_id = None
        timeline, opened = self._state.timeline.value, self._player.clip
        self._share_marks(timeline)
        if opened is not None:
            clip = next((item for item in timeline.clips() if item.media.path == opened.path), None)
            self._clip_id = None if clip is None else clip.id
        if self._state.is_sequence.value and timeline.length:
            self._show(0)

    def _share_marks(self, timeline: Timeline) -> None:
        """While it mirrors the player's clip, the timeline's marks are the player's; in a sequence that has none."""
        player = self._player
        if player.clip is None or self._clip_id is None:
            return
        start, stop = timeline.mark_in, timeline.mark_out
        wanted = (None, None) if self._state.is_sequence.value else (start, None if stop is None else stop - 1)
        if (player.in_frame, player.out_frame) != wanted:
            self._is_sharing_marks = True
            player.clear_marks()
            player.set_out(wanted[1])
            player.set_in(wanted[0])
            self._is_sharing_marks = False

    @Slot()
    def _marks_changed(self) -> None:
        """The player's marks were set from elsewhere."""
        player, timeline = self._player, self._state.timeline.value
        if self._is_sharing_marks or self._state.is_sequence.value or self._clip_id is None:
            return
        stop = None if player.out_frame is None else player.out_frame + 1
        if (player.in_frame, stop) != (timeline.mark_in, timeline.mark_out):
            self._edit(tr("mark range"), mark_range, player.in_frame, stop)

    # --- finding ------------------------------------------------------------------------------------------------------

    def _find(self, clip_id: int | None) -> TimelineClip | None:
        return next((clip for clip in self._state.timeline.value.clips() if clip.id == clip_id), None)

    def _clip_with(self, frame: int) -> TimelineClip | None:
        """A picture of the timeline that shows this frame of the file that is open, nearest to the playhead."""
        opened, timeline = self._player.clip, self._state.timeline.value
        if opened is None:
            return None
        found = [
            clip
            for clip in timeline.clips()
            if clip.media.path == opened.path
            and timeline.shown_at(clip.start) is clip
            and clip.start <= _timeline_frame(timeline, clip, frame) < clip.stop
        ]
        playhead = self._state.playhead.value
        return min(found, key=lambda clip: abs(clip.start - playhead), default=None)


def after_clip(track: Track, clip: TimelineClip) -> TimelineClip | None:
    """What begins on a track where a clip of it ends."""
    return next((other for other in track.clips if other.start == clip.stop), None)


def _timeline_frame(timeline: Timeline, clip: TimelineClip, media_frame: int) -> int:
    """Where a frame of the shown take is first seen, also beyond the clip's ends."""
    assert clip.media.frame_rate is not None
    seconds = media_frame / clip.media.frame_rate.value - clip.take.offset - clip.source_start
    return clip.start + ceil(seconds * timeline.rate.value)


def _next_picture(timeline: Timeline, frame: int) -> TimelineClip | None:
    """What is seen from this frame on, after a gap where there is one."""
    starts = sorted({clip.start for clip in timeline.clips() if clip.start > frame} | {frame})
    return next((clip for start in starts if (clip := timeline.shown_at(start)) is not None), None)


def _previous_picture(timeline: Timeline, frame: int) -> TimelineClip | None:
    """What is seen up to this frame."""
    stops = sorted({clip.stop for clip in timeline.clips() if clip.stop < frame} | {frame}, reverse=True)
    return next((clip for stop in stops if stop and (clip := timeline.shown_at(stop - 1)) is not None), None)
