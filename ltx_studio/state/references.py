"""The reference cards: what the user does to them, undoable by name, and their way into the session's request.

The session's request carries what the cards ask for, as far as it can be honoured, so that the estimate counts them. A
request that somebody else put there ("use these settings") fills the cards in turn.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QUndoCommand, QUndoStack

from engine.request import WHOLE, GenerationRequest, Trim
from ltx_studio.domain.reference_rules import Remarks, judge, parts_of
from ltx_studio.domain.references import (
    WEAKEST,
    Card,
    Finding,
    MediaFacts,
    Parts,
    Role,
    Target,
    Unreadable,
    cards_of,
    free_frame,
    suggested,
)
from ltx_studio.state.session import Session

UNDO_STEPS = 200


class ReferencesState(QObject):
    """The cards of one session. Files are read elsewhere: `wanted` asks for that, `found` takes the answer."""

    changed = Signal()  # the cards, or what there is to say about them
    wanted = Signal(object)  # Path: a card's file that nobody has looked at

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._cards: tuple[Card, ...] = ()
        self._findings: dict[Path, Finding] = {}
        self._remarks: dict[int, Remarks] = {}
        self._next_id = 1
        self._gesture = 0  # edits of one field merge into one step until this is raised
        self._put = Parts()  # what the session's request carries because of the cards
        self._is_following = False  # a request of somebody else is being announced
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(UNDO_STEPS)
        # Changing a request while it is being announced would tell its listeners the new one before the old one.
        self._place_soon = QTimer(self)
        self._place_soon.setSingleShot(True)
        self._place_soon.setInterval(0)
        self._place_soon.timeout.connect(self._place)
        session.request.changed.connect(self._request_changed)
        self._set_cards(self._cards_from(session.request.value))

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def cards(self) -> tuple[Card, ...]:
        return self._cards

    @property
    def target(self) -> Target:
        """The clip that the cards are for."""
        return Target.of(self._session.request.value)

    def finding(self, path: Path) -> Finding:
        return self._findings.get(path)

    def remarks(self, card: Card) -> Remarks:
        return self._remarks[card.id]

    def num_left_out(self) -> int:
        return sum(remarks[0].leaves_out for remarks in self._remarks.values())

    def with_references(self, request: GenerationRequest) -> GenerationRequest:
        """The request with the cards that it can carry, in place of the references it has."""
        return parts_of(self._cards, judge(self._cards, self._findings, Target.of(request))).put_into(request)

    # --- what the user does -------------------------------------------------------------------------------------------

    def add(self, path: Path, facts: MediaFacts, *, index: int | None = None, batch: int | None = None) -> None:
        """A new card, at the end or before the card at `index`. Cards of one `batch` (not negative) are one step."""
        self._findings[path] = facts
        role, frame = suggested(facts, self._cards, self.target)
        card = Card(self._new_id(), path, role, frame=frame)
        cards = list(self._cards)
        cards.insert(len(cards) if index is None else index, card)
        key = None if batch is None else ("add", batch)
        self._do(self.tr("Add {name}").format(name=path.name), cards, key, self.tr("Add several references"))

    def replace(self, card: Card, path: Path, facts: MediaFacts) -> None:
        """Another file in a card's place: with its role if that is possible, its strength and its time."""
        self._findings[path] = facts
        role, frame = card.role, card.frame
        if role not in facts.roles:
            role, frame = suggested(facts, [item for item in self._cards if item.id != card.id], self.target)
        changed = replace(card, path=path, role=role, frame=frame, trim=WHOLE)  # times of another file
        self._change(self.tr("Replace {name}").format(name=card.path.name), changed)

    def remove(self, card: Card) -> None:
        kept = [item for item in self._cards if item.id != card.id]
        self._do(self.tr("Remove {name}").format(name=card.path.name), kept)

    def move(self, card: Card, index: int) -> None:
        """To before the card that is at `index` now; `len(cards)` is the end."""
        cards = list(self._cards)
        place = cards.index(card)
        cards.insert(index, card)
        del cards[place if place < index else place + 1]
        self._do(self.tr("Move {name}").format(name=card.path.name), cards)

    def set_role(self, card: Card, role: Role) -> None:
        """A card that becomes a keyframe goes to where the clip has no picture."""
        frame = card.frame
        if role is Role.KEYFRAME and card.role is not Role.KEYFRAME:
            frame = free_frame([item for item in self._cards if item.id != card.id], self.target)
        name = card.path.name
        self._change(self.tr("Change the role of {name}").format(name=name), replace(card, role=role, frame=frame))

    def set_strength(self, card: Card, strength: float) -> None:
        text = self.tr("Change the strength of {name}").format(name=card.path.name)
        self._change(text, replace(card, strength=min(max(strength, WEAKEST), 1.0)), "strength")

    def set_frame(self, card: Card, frame: int) -> None:
        text = self.tr("Change the time of {name}").format(name=card.path.name)
        self._change(text, replace(card, frame=frame), "frame")

    def set_trim(self, card: Card, trim: Trim) -> None:
        text = self.tr("Change the part of {name} that is used").format(name=card.path.name)
        self._change(text, replace(card, trim=trim), "trim")

    def end_gesture(self) -> None:
        """What is changed from now on is a step of its own."""
        self._gesture += 1

    def found(self, path: Path, finding: MediaFacts | Unreadable) -> None:
        """What a file is, or why it cannot be read."""
        if self._findings.get(path) != finding:
            self._findings[path] = finding
            self._judge()

    def ask_for_unread(self) -> None:
        """Ask for every file that nobody has looked at: for whoever begins to listen to `wanted`."""
        for path in dict.fromkeys(card.path for card in self._cards):
            if self._findings.get(path) is None:
                self.wanted.emit(path)

    # --- cards, judged and put into the request -----------------------------------------------------------------------

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _cards_from(self, request: GenerationRequest) -> tuple[Card, ...]:
        cards = cards_of(Parts.of(request), self._next_id)
        self._next_id += len(cards)
        return cards

    def _change(self, text: str, changed: Card, field: str = "") -> None:
        cards = [changed if item.id == changed.id else item for item in self._cards]
        self._do(text, cards, (field, changed.id, self._gesture) if field else None)

    def _do(self, text: str, cards: Sequence[Card], key: tuple[object, ...] | None = None, merged: str = "") -> None:
        after = tuple(cards)
        if after != self._cards:
            self.undo_stack.push(_SetCards(self, text, after, key, merged or text))

    def _set_cards(self, cards: tuple[Card, ...]) -> None:
        self._cards = cards
        self._judge()
        self.ask_for_unread()

    def _judge(self) -> None:
        self._remarks = judge(self._cards, self._findings, self.target)
        if self._is_following:
            self._place_soon.start()
        else:
            self._place()
        self.changed.emit()

    @Slot()
    def _place(self) -> None:
        """Let the session's request carry what the cards ask for."""
        self._place_soon.stop()
        request = self._session.request.value
        self._put = parts_of(self._cards, self._remarks)
        if Parts.of(request) != self._put:
            self._session.request.value = self._put.put_into(request)

    @Slot(object)
    def _request_changed(self, request: GenerationRequest) -> None:
        if Parts.of(request) != self._put:
            self._put = Parts.of(request)
            self._is_following = True
            self._do(self.tr("Use other settings"), self._cards_from(request))
            self._is_following = False
            return
        self._remarks = judge(self._cards, self._findings, self.target)
        if parts_of(self._cards, self._remarks) != self._put:
            self._place_soon.start()
        self.changed.emit()


class _SetCards(QUndoCommand):
    """One step: the cards before and after it. Steps with equal keys become one."""

    def __init__(
        self,
        state: ReferencesState,
        text: str,
        after: tuple[Card, ...],
        key: tuple[object, ...] | None,
        merged_text: str,
    ) -> None:
        super().__init__(text)
        self._set_cards = state._set_cards  # pyright: ignore[reportPrivateUsage] - a part of it
        self.before = state.cards
        self.after = after
        self.key = key
        self._merged_text = merged_text

    def redo(self) -> None:
        self._set_cards(self.after)

    def undo(self) -> None:
        self._set_cards(self.before)

    def id(self) -> int:
        return -1 if self.key is None else 1

    def mergeWith(self, other: QUndoCommand) -> bool:  # noqa: N802 - Qt's name
        if not isinstance(other, _SetCards) or other.key != self.key or other.before != self.after:
            return False
        self.after = other.after
        self.setText(self._merged_text)
        self.setObsolete(self.after == self.before)
        return True
