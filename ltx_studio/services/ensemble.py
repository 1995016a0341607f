"""Several clips on one playhead: the longest one leads, the others follow it frame by frame.

What is shown is always of one moment. When a clip is not decoded in time, all of them wait with what they show.
"""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QImage

from ltx_studio.domain.compare import Lock, frame_of
from ltx_studio.services.clip_reader import Clip
from ltx_studio.services.player import CACHE_BYTES, Player
from ltx_studio.services.speaker import SoundOutput

_LATE_AT_MOST = 6  # frames; what is older is no longer what is heard


class Ensemble(QObject):
    """Owns a player for each clip; `end` ends their threads."""

    opened = Signal()  # all of them: `leader` is known
    refused = Signal(str)  # one of them cannot be read, in a sentence
    pictures_changed = Signal()  # `pictures` are others, all of one moment
    ended = Signal()  # the threads, after `end`

    def __init__(
        self, paths: Sequence[Path], parent: QObject | None = None, *, output: SoundOutput | None = None
    ) -> None:
        super().__init__(parent)
        share = CACHE_BYTES // len(paths)
        self.players = tuple(Player(self, output=output, cache_bytes=share) for _ in paths)
        self.pictures: tuple[QImage, ...] = ()
        self.frames: tuple[int, ...] = ()  # of the pictures, in each clip's own count
        self.lock = Lock.TIME
        self._paths = tuple(paths)
        self._leader = 0
        self._is_open = False
        self._num_running = 0
        self._heard: int | None = None
        for player in self.players:
            player.clip_opened.connect(self._clip_opened)
            player.clip_refused.connect(self.refused)
            player.picture_changed.connect(self._show)

    def open(self) -> None:
        for player, path in zip(self.players, self._paths, strict=True):
            player.open(path)

    @property
    def leader(self) -> Player:
        return self.players[self._leader]

    @property
    def clips(self) -> tuple[Clip, ...]:
        """Once they are open."""
        return tuple(player.clip for player in self.players if player.clip is not None)

    @property
    def has_several_rates(self) -> bool:
        return len({clip.facts.frame_rate for clip in self.clips}) > 1

    def hear(self, index: int) -> None:
        """The sound of this clip, from where it is now."""
        if index != self._heard and self._is_open:
            self._heard = index
            self.leader.hear(self._paths[index])

    def set_lock(self, lock: Lock) -> None:
        if lock != self.lock:
            self.lock = lock
            if self._is_open:
                self._follow(self.leader.frame)

    def end(self) -> None:
        """Stop for good; the threads end by themselves (`ended`)."""
        self._is_open = False
        self._num_running = len(self.players)
        for player in self.players:
            player.ended.connect(self._player_ended)
            player.end()

    def wait(self) -> None:
        """Until the threads have ended."""
        for player in self.players:
            player.wait()

    @Slot()
    def _player_ended(self) -> None:
        self._num_running -= 1
        if self._num_running == 0:
            self.ended.emit()

    @Slot(object)
    def _clip_opened(self, _clip: Clip) -> None:
        clips = self.clips
        if self._is_open or len(clips) < len(self.players):
            return
        self._is_open = True
        lengths = [clip.facts.duration_s for clip in clips]
        self._leader = lengths.index(max(lengths))
        self._heard = self._leader
        self.leader.frame_changed.connect(self._follow)
        self.leader.speed_changed.connect(self._follow_speed)
        self.opened.emit()
        self._show()

    @Slot(int)
    def _follow(self, frame: int) -> None:
        for player, wanted in zip(self.players, self._frames_at(frame), strict=True):
            if player is not self.leader:
                player.seek(wanted)
        self._show()

    @Slot(int)
    def _follow_speed(self, speed: int) -> None:
        for player in self.players:
            if player is not self.leader:
                player.follow_speed(speed)

    def _frames_at(self, frame: int) -> tuple[int, ...]:
        """Every clip's, for a frame of the leader's."""
        rate = self.leader.clip.facts.frame_rate if self.leader.clip is not None else None
        assert rate is not None
        return tuple(frame_of(frame, rate, clip.facts.frame_rate, clip.facts.frames, self.lock) for clip in self.clips)

    @Slot(object)
    def _show(self, _picture: object = None) -> None:
        """The latest moment of which every clip has its picture."""
        if not self._is_open:
            return
        latest = self.leader.frame
        earliest = max(latest - _LATE_AT_MOST, 0) if self.leader.speed == 1 else latest
        for frame in range(latest, earliest - 1, -1):
            frames = self._frames_at(frame)
            pictures = [player.picture_at(at) for player, at in zip(self.players, frames, strict=True)]
            found = tuple(picture for picture in pictures if picture is not None)
            if len(found) == len(pictures):
                if frames != self.frames or any(a is not b for a, b in zip(found, self.pictures, strict=True)):
                    self.frames, self.pictures = frames, found
                    self.pictures_changed.emit()
                return
