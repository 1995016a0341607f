"""The cards below each other, and where something that is dragged over them would land."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from ltx_studio.domain.references import Card
from ltx_studio.services.reference_probe import Preview
from ltx_studio.state.references import ReferencesState
from ltx_studio.ui.controls import Label
from ltx_studio.ui.reference_card import ReferenceCard
from ltx_studio.ui.theme import GAP, PADDING, RADIUS, Appearance

_MARK_PIXELS = 2
_BESIDE_SCROLL_BAR = 2  # pixels; the bar is 10 wide, which makes the padding


@dataclass(frozen=True)
class Landing:
    """Before the card at `index`, or in the place of `replaced`."""

    index: int
    replaced: Card | None = None


class ReferenceList(QWidget):
    """One `ReferenceCard` for each card of the state, in its order."""

    replace_asked = Signal(int)  # a card's id
    reveal_asked = Signal(object)  # Path

    def __init__(self, state: ReferencesState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._appearance = appearance
        self._widgets: dict[int, ReferenceCard] = {}
        self._layout = QVBoxLayout(self)
        self._leave_room_for_scroll_bar()
        self._layout.setSpacing(GAP)
        self._layout.addStretch(1)
        self._mark = _LandingMark(appearance, self)

    def cards(self) -> list[ReferenceCard]:
        """From top to bottom."""
        return [self._widgets[card.id] for card in self._state.cards]

    def show_cards(self, previews: Mapping[Path, Preview]) -> None:
        """Show the state. A card that had the keyboard keeps it, or leaves it to the one in its place."""
        focused = next((index for index, item in enumerate(self._shown()) if _has_keyboard(item)), None)
        wanted = self._state.cards
        ids = {card.id for card in wanted}
        lost_focus = focused is not None and self._shown()[focused].card.id not in ids
        for number in [number for number in self._widgets if number not in ids]:
            widget = self._widgets.pop(number)
            self._layout.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        for index, card in enumerate(wanted):
            widget = self._widgets.get(card.id) or self._made(card)
            if self._layout.indexOf(widget) != index:
                self._layout.removeWidget(widget)
                self._layout.insertWidget(index, widget)
            widget.show_card(card, previews.get(card.path))
            widget.show()
        for first, second in pairwise(control for widget in self.cards() for control in widget.controls()):
            QWidget.setTabOrder(first, second)
        if lost_focus and wanted:
            assert focused is not None
            self.cards()[min(focused, len(wanted) - 1)].setFocus(Qt.FocusReason.OtherFocusReason)
        self._mark.raise_()

    def landing(self, point: QPoint, *, may_replace: bool) -> Landing:
        """Where something dropped at `point`, in this widget's coordinates, goes: on a card's middle half it replaces
        that card's file."""
        for index, widget in enumerate(self.cards()):
            area = widget.geometry()
            if point.y() < area.center().y() - (area.height() // 4 if may_replace else 0):
                return Landing(index)
            if may_replace and point.y() <= area.center().y() + area.height() // 4:
                return Landing(index + 1, widget.card)
        return Landing(len(self._widgets))

    def show_landing(self, landing: Landing | None) -> None:
        """Mark that place; None marks nothing."""
        if landing is None:
            self._mark.hide()
            return
        cards = self.cards()
        if landing.replaced is not None:
            area = self._widgets[landing.replaced.id].geometry()
            self._mark.show_box(QRectF(area), self.tr("Replace {name}").format(name=landing.replaced.path.name))
        else:
            y = cards[landing.index].y() - GAP // 2 if landing.index < len(cards) else self._end() + GAP // 2
            beside = cards[0].geometry()
            self._mark.show_line(
                QRect(beside.x(), max(y, _MARK_PIXELS) - _MARK_PIXELS, beside.width(), 2 * _MARK_PIXELS)
            )

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Up and Down go from card to card; in fields they are the field's."""
        cards = self.cards()
        place = next((index for index, item in enumerate(cards) if item.hasFocus()), None)
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if place is None or step is None or not 0 <= place + step < len(cards):
            super().keyPressEvent(event)
            return
        cards[place + step].setFocus(Qt.FocusReason.OtherFocusReason)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.LayoutDirectionChange:
            self._leave_room_for_scroll_bar()

    def _leave_room_for_scroll_bar(self) -> None:
        sides = (PADDING, _BESIDE_SCROLL_BAR)
        left, right = sides if self.layoutDirection() == Qt.LayoutDirection.LeftToRight else reversed(sides)
        self._layout.setContentsMargins(left, 0, right, 0)

    def _shown(self) -> list[ReferenceCard]:
        items = [self._layout.itemAt(index) for index in range(self._layout.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [widget for widget in widgets if isinstance(widget, ReferenceCard)]

    def _made(self, card: Card) -> ReferenceCard:
        widget = ReferenceCard(card, self._state, self._appearance, self)
        widget.replace_asked.connect(self.replace_asked)
        widget.reveal_asked.connect(self.reveal_asked)
        self._widgets[card.id] = widget
        return widget

    def _end(self) -> int:
        cards = self.cards()
        return cards[-1].geometry().bottom() if cards else 0


def _has_keyboard(widget: QWidget) -> bool:
    focused = QApplication.focusWidget()
    return focused is widget or (focused is not None and widget.isAncestorOf(focused))


class _LandingMark(QWidget):
    """A line between cards, or a frame around one with words on it."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._words = Label("", "heading", self)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._is_box = False
        layout = QVBoxLayout(self)
        layout.addWidget(self._words, 0, Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def show_box(self, area: QRectF, words: str) -> None:
        self._is_box = True
        self._words.setText(
            self._words.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, int(area.width()) - 32)
        )
        self._words.show()
        self.setGeometry(area.toRect())
        self.show()
        self.update()

    def show_line(self, area: QRect) -> None:
        self._is_box = False
        self._words.hide()
        self.setGeometry(area)
        self.show()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._is_box:
            painter.fillRect(0, _MARK_PIXELS // 2, self.width(), _MARK_PIXELS, QColor(theme.accent))
            return
        painter.setPen(QPen(QColor(theme.accent), _MARK_PIXELS))
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS, RADIUS)
