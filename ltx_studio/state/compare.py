"""The comparison that is open: its takes, how they are looked at, and what the user makes of them.

It knows no picture and plays nothing; `services.ensemble` does, and the view brings the two together.
"""

from collections.abc import Sequence
from random import Random

from PySide6.QtCore import QObject, Signal

from ltx_studio.domain.compare import GAINS, MAX_TAKES, MIN_TAKES, Ballot, Lock, Mode, Take
from ltx_studio.domain.framing import FIT, Framing
from ltx_studio.state.observable import Observable


class CompareState(QObject):
    """Sides are places on the screen; `take_of` says which take is behind one."""

    winner_picked = Signal(object)  # Take

    def __init__(self, parent: QObject | None = None, *, rng: Random | None = None) -> None:
        super().__init__(parent)
        self._rng = rng or Random()
        self.takes = Observable[tuple[Take, ...]]((), self)  # none while nothing is compared
        self.mode = Observable(Mode.SIDES, self)
        self.focus = Observable(0, self)  # the side that is heard
        self.pair = Observable[tuple[int, int]]((0, 1), self)  # left and right side of the modes that show two
        self.wipe = Observable(0.5, self)
        self.opacity = Observable(0.5, self)  # of the right side over the left one
        self.gain = Observable(GAINS[1], self)
        self.framing = Observable[Framing](FIT, self)
        self.lock = Observable(Lock.TIME, self)
        self.ballot = Observable[Ballot | None](None, self)  # None: names are shown
        self.votes = Observable[tuple[int, ...]]((), self)  # by take, of the last blind comparison
        self.picked = Observable[Take | None](None, self)

    def open(self, takes: Sequence[Take]) -> None:
        """Compare these, from two to four."""
        assert MIN_TAKES <= len(takes) <= MAX_TAKES, len(takes)
        self.close()
        self.mode.value = Mode.SIDES
        self.takes.value = tuple(takes)

    def close(self) -> None:
        self.takes.value = ()
        self.ballot.value = None
        self.votes.value = ()
        self.picked.value = None
        self.focus.value, self.pair.value = 0, (0, 1)
        self.wipe.value = self.opacity.value = 0.5
        self.framing.value = FIT

    @property
    def num_sides(self) -> int:
        return len(self.takes.value)

    def take_of(self, side: int) -> int:
        """The number of the take behind a side."""
        return side if self.ballot.value is None else self.ballot.value.order[side]

    def focus_on(self, side: int) -> None:
        """Hear this side, and see it where one is shown at a time; of a pair it replaces the other one's partner."""
        if not 0 <= side < self.num_sides:
            return
        left, right = self.pair.value
        if self.mode.value.shows_pair and side not in (left, right):
            self.pair.value = (left, side) if self.focus.value == right else (side, right)
        self.focus.value = side

    def set_pair(self, left: int, right: int) -> None:
        """Two different sides; choosing one twice swaps them."""
        before = self.pair.value
        if left == right:
            left, right = before[1], before[0]
        self.pair.value = (left, right)
        if self.focus.value not in (left, right):
            self.focus.value = left

    def set_mode(self, mode: Mode) -> None:
        if mode.shows_pair and self.focus.value not in self.pair.value:
            self.set_pair(self.focus.value, self.pair.value[1])
        self.mode.value = mode

    def slide(self, step: float) -> None:
        """Move what the mode has to move: the line, or how much shines through."""
        moved = self.wipe if self.mode.value is Mode.WIPE else self.opacity
        moved.value = round(min(max(moved.value + step, 0.0), 1.0), 4)

    # --- the verdict --------------------------------------------------------------------------------------------------

    def set_blind(self, is_blind: bool) -> None:
        """Hide the names and shuffle the sides; or show whose the votes were, with the winner in focus."""
        if is_blind == (self.ballot.value is not None) or not self.takes.value:
            return
        if is_blind:
            self.votes.value = ()
            self.picked.value = None
            self.ballot.value = Ballot.opened(self.num_sides, self._rng)
            return
        ballot = self.ballot.value
        assert ballot is not None
        focused = ballot.order[self.focus.value]
        self.votes.value = ballot.votes if ballot.num_votes else ()
        self.ballot.value = None
        self.focus_on(ballot.leaders[0] if len(ballot.leaders) == 1 else focused)

    def vote(self) -> None:
        """For the side in focus; the sides are shuffled again."""
        if self.ballot.value is not None:
            self.ballot.value = self.ballot.value.voted(self.focus.value, self._rng)

    def pick(self) -> None:
        """The take in focus is the winner; its name is no secret any more."""
        if not self.takes.value:
            return
        take = self.takes.value[self.take_of(self.focus.value)]
        number = self.take_of(self.focus.value)
        self.set_blind(False)
        self.focus_on(number)
        self.picked.value = take
        self.winner_picked.emit(take)
