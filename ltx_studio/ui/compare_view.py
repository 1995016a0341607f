"""The comparison as a page of its own in the place of the player: modes, pictures, controls, differences, verdict.

Everything is on the keyboard: 1 to 4 hear a side; S, W, D, N and A choose the mode; [ and ] move the line or what
shines through; B goes blind, V votes, P picks, T shows what differs; Esc goes back.
"""

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QSlider, QVBoxLayout, QWidget

from ltx_studio.domain.compare import GAINS, Ballot, Lock, Mode, Take
from ltx_studio.domain.framing import STEP
from ltx_studio.services.ensemble import Ensemble
from ltx_studio.services.player import Player
from ltx_studio.services.speaker import SoundOutput
from ltx_studio.state.compare import CompareState
from ltx_studio.state.observable import bind
from ltx_studio.ui import compare_words
from ltx_studio.ui.compare_canvas import CompareCanvas
from ltx_studio.ui.compare_table import DifferencesTable
from ltx_studio.ui.controls import Button, Choice, IconButton, Label, Segment, describe
from ltx_studio.ui.theme import GAP, PADDING, WIDE_GAP, Appearance
from ltx_studio.ui.transport import Transport

_STEP, _LARGE_STEP = 0.02, 0.1
_SLIDER_WIDTH = 120
_MODE_KEYS = {Mode.SIDES: "S", Mode.WIPE: "W", Mode.DIFFERENCE: "D", Mode.ONION: "N", Mode.SINGLE: "A"}


class CompareView(QWidget):
    """Opens the clips when `state.takes` has some, and closes them when it has none."""

    left = Signal()
    player_changed = Signal()  # `player` is another one

    def __init__(
        self,
        state: CompareState,
        actions: dict[str, QAction],
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        output: SoundOutput | None = None,
    ) -> None:
        super().__init__(parent)
        self.state = state
        self._actions = actions
        self._appearance = appearance
        self._output = output
        self.ensemble: Ensemble | None = None
        self._leaving: list[Ensemble] = []
        self.canvas = CompareCanvas(state, appearance, self)
        self._modes = {mode: Segment(compare_words.mode_name(mode), self) for mode in Mode}
        self._close = IconButton("mdi6.close", self.tr("Close the comparison"), appearance, self)
        self._left = Choice(self.tr("Left side"), self.tr("Which clip is on the left"), appearance, self)
        self._right = Choice(self.tr("Right side"), self.tr("Which clip is on the right"), appearance, self)
        self._amount = QSlider(Qt.Orientation.Horizontal, self)
        self._amount_words = Label("", "secondary", self)
        self._gain = Choice(self.tr("Brightness"), self.tr("How much brighter differences are shown"), appearance, self)
        self._lock = Choice(self.tr("Lock"), "", appearance, self)
        self._blind = Button(self.tr("Blind"), parent=self)
        self._vote = Button(self.tr("Vote"), parent=self)
        self._pick = Button(self.tr("Pick winner"), parent=self)
        self._differences = Button(self.tr("Settings"), parent=self)
        self._notice = Label("", "secondary", self)
        self._notice.setWordWrap(True)
        self._notice.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.table = DifferencesTable(state, self)
        self.transport: Transport | None = None  # once the clips are open
        self._place = QVBoxLayout()  # of the transport
        self._keys = self._key_reactions()
        self._build()
        self._connect()

    @property
    def player(self) -> Player | None:
        """Whose keys the commands of playback are."""
        return None if self.ensemble is None or self.transport is None else self.ensemble.leader

    # --- building -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        above, tools = QHBoxLayout(), QHBoxLayout()
        segments = QHBoxLayout()
        segments.setSpacing(0)
        for mode, segment in self._modes.items():
            tip = compare_words.mode_tip(mode)
            describe(segment, segment.text(), f"{tip} ({_MODE_KEYS[mode]})")
            segment.setMinimumWidth(segment.fontMetrics().horizontalAdvance(segment.text()) + 2 * WIDE_GAP)
            segments.addWidget(segment)
        above.addLayout(segments)
        above.addStretch(1)
        above.addWidget(self._close)
        self._amount.setRange(0, 100)
        self._amount.setFixedWidth(_SLIDER_WIDTH)
        for gain in GAINS:
            self._gain.addItem(self.tr("{gain}\N{MULTIPLICATION SIGN}").format(gain=gain), gain)
        for lock in Lock:
            self._lock.addItem(compare_words.lock_name(lock), lock)
        describe(self._close, self._close.accessibleName(), self.tr("Close the comparison (Esc)"))
        self._blind.setCheckable(True)
        self._differences.setCheckable(True)
        self._differences.setChecked(True)
        describe(self._differences, self._differences.text(), self.tr("Show what differs between the requests (T)"))
        tools.setSpacing(GAP)
        for control in (self._left, self._right, self._amount_words, self._amount, self._gain, self._lock):
            tools.addWidget(control)
        tools.addWidget(self._notice, 1)
        for control in (self._differences, self._blind, self._vote, self._pick):
            tools.addWidget(control)
        head = QVBoxLayout()
        head.setContentsMargins(PADDING, GAP, PADDING, GAP)
        head.setSpacing(GAP)
        head.addLayout(above)
        head.addLayout(tools)
        foot = QVBoxLayout()
        foot.setContentsMargins(PADDING, 0, PADDING, GAP)
        foot.addWidget(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self.canvas, 1)
        layout.addLayout(self._place)
        layout.addLayout(foot)

    def _connect(self) -> None:
        state = self.state
        for mode, segment in self._modes.items():
            segment.clicked.connect(lambda _is_down, mode=mode: state.set_mode(mode))
        self._close.clicked.connect(self.leave)
        self._left.activated.connect(lambda side: state.set_pair(side, state.pair.value[1]))
        self._right.activated.connect(lambda side: state.set_pair(state.pair.value[0], side))
        self._gain.activated.connect(lambda index: setattr(state.gain, "value", GAINS[index]))
        self._lock.activated.connect(lambda index: setattr(state.lock, "value", list(Lock)[index]))
        self._amount.valueChanged.connect(self._amount_moved)
        self._blind.clicked.connect(state.set_blind)
        self._vote.clicked.connect(state.vote)
        self._pick.clicked.connect(state.pick)
        self._differences.toggled.connect(self.table.setVisible)
        self.canvas.play_asked.connect(self._toggle)
        bind(state.takes, self._open)
        bind(state.mode, self._show_mode)
        for shown in (state.pair, state.wipe, state.opacity, state.gain, state.lock):
            shown.changed.connect(self._show_tools)
        state.focus.changed.connect(self._hear_focus)
        bind(state.ballot, self._show_ballot)
        state.picked.changed.connect(self._show_picked)
        state.lock.changed.connect(self._lock_changed)

    def _key_reactions(self) -> dict[str, Callable[[], None]]:
        state = self.state
        return {
            **{str(side + 1): lambda side=side: state.focus_on(side) for side in range(4)},
            **{key: lambda mode=mode: state.set_mode(mode) for mode, key in _MODE_KEYS.items()},
            "[": lambda: state.slide(-_STEP),
            "]": lambda: state.slide(_STEP),
            "{": lambda: state.slide(-_LARGE_STEP),
            "}": lambda: state.slide(_LARGE_STEP),
            "B": lambda: state.set_blind(state.ballot.value is None),
            "V": state.vote,
            "P": state.pick,
            "T": self._differences.click,
        }

    # --- for the window -----------------------------------------------------------------------------------------------

    def zoom_reactions(self) -> dict[str, Callable[[], None]]:
        """What the commands of zooming do, by name."""
        return {
            "enlarge_picture": lambda: self.canvas.zoom(STEP),
            "reduce_picture": lambda: self.canvas.zoom(1 / STEP),
            "fit_picture": self.canvas.fit,
            "actual_size": self.canvas.show_actual_size,
        }

    def ask_time(self) -> None:
        if self.transport is not None:
            self.transport.time.ask()

    @Slot()
    def leave(self) -> None:
        """Close the clips, and give the place back to the player."""
        self.state.close()
        self.left.emit()

    # --- the clips ----------------------------------------------------------------------------------------------------

    def _open(self, takes: tuple[Take, ...]) -> None:
        self._end_ensemble()
        self._notice.setText("")
        for choice in (self._left, self._right):
            choice.clear()
        if not takes:
            return
        self._show_ballot(self.state.ballot.value)
        self.ensemble = Ensemble([take.path for take in takes], self, output=self._output)
        self.ensemble.opened.connect(self._opened)
        self.ensemble.refused.connect(self.canvas.show_problem)
        self.canvas.show_ensemble(self.ensemble)
        self.ensemble.open()

    def _end_ensemble(self) -> None:
        self.canvas.show_ensemble(None)
        if self.transport is not None:
            self._place.removeWidget(self.transport)
            self.transport.hide()
            self.transport.deleteLater()
            self.transport = None
        if self.ensemble is not None:
            leaving, self.ensemble = self.ensemble, None
            self._leaving.append(leaving)
            leaving.ended.connect(self._forget_ended)
            leaving.end()
            self.player_changed.emit()

    @Slot()
    def _forget_ended(self) -> None:
        """Nobody waits for a decoder in the window's thread, but on closing."""
        ended = self.sender()
        if isinstance(ended, Ensemble) and ended in self._leaving:
            self._leaving.remove(ended)
            ended.deleteLater()

    def wait(self) -> None:
        """Until the threads of comparisons that were left have ended."""
        for ensemble in self._leaving:
            ensemble.wait()

    @Slot()
    def _opened(self) -> None:
        assert self.ensemble is not None
        self.transport = Transport(self.ensemble.leader, self._actions, self._appearance, self)
        self.transport.time.left.connect(self._take_keys)
        self._place.addWidget(self.transport)
        for name in ("cinema", "reveal"):  # they are about one clip
            self.transport.forbid(name, self.tr("Close the comparison first"))
        self.ensemble.leader.set_looping(True)
        self.ensemble.set_lock(self.state.lock.value)
        self._show_tools()
        self._hear_focus()
        self.player_changed.emit()

    @Slot()
    def _take_keys(self) -> None:
        self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _toggle(self) -> None:
        if self.player is not None:
            self.player.toggle()

    @Slot()
    def _hear_focus(self, _side: object = None) -> None:
        if self.ensemble is not None and self.state.takes.value:
            self.ensemble.hear(self.state.take_of(self.state.focus.value))

    @Slot(object)
    def _lock_changed(self, lock: Lock) -> None:
        if self.ensemble is not None:
            self.ensemble.set_lock(lock)

    # --- showing ------------------------------------------------------------------------------------------------------

    def _show_mode(self, mode: Mode) -> None:
        self._modes[mode].setChecked(True)
        for other, segment in self._modes.items():
            segment.setChecked(other is mode)
        self._show_tools()

    def _show_tools(self, _what: object = None) -> None:
        state, mode = self.state, self.state.mode.value
        has_choice = mode.shows_pair and state.num_sides > 2
        for choice, side in ((self._left, state.pair.value[0]), (self._right, state.pair.value[1])):
            choice.setVisible(has_choice)
            choice.setCurrentIndex(side)
        slides = mode in (Mode.WIPE, Mode.ONION)
        self._amount.setVisible(slides)
        self._amount_words.setVisible(slides)
        self._gain.setVisible(mode is Mode.DIFFERENCE)
        self._gain.setCurrentIndex(GAINS.index(state.gain.value))
        name = self.tr("Place of the line") if mode is Mode.WIPE else self.tr("How much of the right side is seen")
        describe(self._amount, name, self.tr("{name} (keys [ and ])").format(name=name))
        self._amount_words.setText(self.tr("Line") if mode is Mode.WIPE else self.tr("Blend"))
        amount = state.wipe.value if mode is Mode.WIPE else state.opacity.value
        was_blocked = self._amount.blockSignals(True)
        self._amount.setValue(round(100 * amount))
        self._amount.blockSignals(was_blocked)
        self._lock.setVisible(self.ensemble is not None and self.ensemble.has_several_rates)
        self._lock.setCurrentIndex(list(Lock).index(state.lock.value))
        describe(self._lock, self.tr("Lock"), self.tr("The clips run at several rates: what stays together"))

    @Slot(int)
    def _amount_moved(self, percent: int) -> None:
        moved = self.state.wipe if self.state.mode.value is Mode.WIPE else self.state.opacity
        moved.value = percent / 100

    def _show_ballot(self, ballot: Ballot | None) -> None:
        is_blind = ballot is not None
        self._blind.setChecked(is_blind)
        self._blind.setText(self.tr("Reveal") if is_blind else self.tr("Blind"))
        tip = (
            self.tr("Show the names and the votes (B)")
            if is_blind
            else self.tr("Hide the names, shuffle the sides and vote (B)")
        )
        describe(self._blind, self._blind.text(), tip)
        self._vote.setEnabled(is_blind)
        reason = self.tr("Votes are for blind comparisons: press Blind first")
        describe(self._vote, self.tr("Vote"), self.tr("Vote for the side in focus (V)") if is_blind else reason)
        describe(self._pick, self._pick.text(), self.tr("Mark the side in focus as a pick in the library (P)"))
        self._show_names()
        if ballot is not None:
            words = self.tr("{number} votes so far") if ballot.num_votes != 1 else self.tr("{number} vote so far")
            self._notice.setText(words.format(number=ballot.num_votes))
        elif self.state.votes.value:
            self._notice.setText(self.tr("{number} votes in all").format(number=sum(self.state.votes.value)))
        else:
            self._notice.setText("")
        self._hear_focus()

    def _show_names(self) -> None:
        for choice in (self._left, self._right):
            choice.clear()
            for side in range(self.state.num_sides):
                choice.addItem(compare_words.side_letter(side))
        self._show_tools()

    def _show_picked(self, take: Take | None) -> None:
        if take is None:
            return
        words = self.tr("{title} is picked.") if take.entry_id is not None else self.tr("{title} wins.")
        self._notice.setText(words.format(title=take.title))

    # --- keys ---------------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Its letters are its own here, whatever they are elsewhere in the window."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.ShortcutOverride:
            return super().event(event)
        if self._reaction_to(event) is None:
            return super().event(event)
        event.accept()
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        reaction = self._reaction_to(event)
        if reaction is not None:
            reaction()
        else:
            super().keyPressEvent(event)

    def _reaction_to(self, event: QKeyEvent) -> Callable[[], None] | None:
        others = event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
        if others:
            return None
        if event.key() == Qt.Key.Key_Escape:
            return self.leave
        return self._keys.get(event.text().upper())
