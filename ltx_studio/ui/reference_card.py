"""One reference: its file, its role, how strongly and when, and what will be done with it."""

import math

from PySide6.QtCore import (
    QByteArray,
    QEvent,
    QMimeData,
    QObject,
    QPoint,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QDrag,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMenu, QSizePolicy, QStyle, QVBoxLayout, QWidget

from engine.request import Trim
from ltx_studio.domain.reference_rules import Remarks, used_sound_s
from ltx_studio.domain.references import Card, Finding, Kind, MediaFacts, Role
from ltx_studio.services.reference_probe import Preview
from ltx_studio.state.references import ReferencesState
from ltx_studio.ui import reference_words
from ltx_studio.ui.controls import Choice, IconButton, Label, WholeNumber, describe, keeps, set_role
from ltx_studio.ui.reference_preview import Thumbnail, Waveform
from ltx_studio.ui.reference_time import TimeField
from ltx_studio.ui.reference_trim import TrimFields
from ltx_studio.ui.theme import GAP, GRID, RADIUS, Appearance

CARD_TYPE = "application/x-ltx-studio-reference"  # a card on its way to another place; the data is its id
_ICONS = {Kind.PICTURE: "mdi6.image-outline", Kind.CLIP: "mdi6.movie-outline", Kind.SOUND: "mdi6.volume-high"}
_FOCUS_PIXELS = 2
_MOVE_KEYS = frozenset({Qt.Key.Key_Up, Qt.Key.Key_Down})  # from card to card, not through the clip


class ReferenceCard(QWidget):
    """Shows a card and edits it in the state. Dragged by whatever of it is no control."""

    replace_asked = Signal(int)  # the card's id
    reveal_asked = Signal(object)  # Path

    def __init__(self, card: Card, state: ReferencesState, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self.card = card
        self._state = state
        self._appearance = appearance
        self._pressed_at: QPoint | None = None
        self._thumbnail = Thumbnail(appearance, self)
        self._waveform = Waveform(appearance, self)
        self._name = ElidedLabel("", Qt.TextElideMode.ElideMiddle, self)
        self._facts = ElidedLabel("secondary", Qt.TextElideMode.ElideRight, self)
        self._replace = IconButton("mdi6.swap-horizontal", self.tr("Replace the file"), appearance, self)
        self._remove = IconButton("mdi6.close", self.tr("Remove"), appearance, self)
        role_tip = self.tr("What this file is for")
        self._role = Choice(self.tr("Role"), role_tip, appearance, self)
        strength_tip = self.tr("How closely the clip keeps to it, in per cent")
        self._strength = WholeNumber(self.tr("Strength"), strength_tip, 1, 100, self)
        self._strength.setSuffix(self.tr(" %"))
        self._strength.setAcceptDrops(False)
        self._strength.lineEdit().setAcceptDrops(False)
        self._time = TimeField(self)
        self._trim = TrimFields(self)
        self._strength_label = Label(self.tr("Strength"), "secondary", self)
        self._time_label = Label(self.tr("Time"), "secondary", self)
        self._effect = Label("", "secondary", self)
        self._effect.setWordWrap(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._arrange()
        self._connect()

    # --- building -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(0)
        texts.addStretch(1)
        texts.addWidget(self._name)
        texts.addWidget(self._facts)
        texts.addStretch(1)
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self._thumbnail)
        head.addLayout(texts, 1)
        head.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
        role = QHBoxLayout()
        role.setSpacing(GRID)
        role.addWidget(self._role, 1)
        role.addWidget(self._replace)
        numbers = QHBoxLayout()
        numbers.setSpacing(GAP)
        for label, field, share in ((self._strength_label, self._strength, 2), (self._time_label, self._time, 3)):
            label.setBuddy(field)
            numbers.addWidget(label)
            numbers.addWidget(field, share)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP, GAP, GAP, GAP)
        layout.setSpacing(GAP)
        layout.addLayout(head)
        layout.addWidget(self._waveform)
        layout.addLayout(role)
        layout.addLayout(numbers)
        layout.addWidget(self._trim)
        layout.addWidget(self._effect)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def _connect(self) -> None:
        state = self._state
        for field in (self._role, self._strength):
            field.installEventFilter(self)
        self._role.activated.connect(self._role_chosen)
        self._strength.valueChanged.connect(self._strength_chosen)
        self._strength.editingFinished.connect(state.end_gesture)
        self._time.chosen.connect(self._frame_chosen)
        self._time.editingFinished.connect(state.end_gesture)
        self._time.refused.connect(self._show_complaint)
        self._trim.chosen.connect(self._trim_chosen)
        self._trim.editing_finished.connect(state.end_gesture)
        self._trim.refused.connect(self._show_complaint)
        self._replace.clicked.connect(self._ask_replace)
        self._remove.clicked.connect(self.remove)
        self._move_up = self._action(self.tr("Move up"), "Ctrl+Up", self.move_up)
        self._move_down = self._action(self.tr("Move down"), "Ctrl+Down", self.move_down)
        self._action(self.tr("Replace the file"), "Ctrl+R", self._ask_replace)
        self._action(self.tr("Show in folder"), "", self._ask_reveal)
        self._action(self.tr("Remove"), "Del", self.remove)
        self._remove.setToolTip(self.tr("Remove (Del)"))
        self._replace.setToolTip(self.tr("Replace the file (Ctrl+R)"))

    def _action(self, text: str, keys: str, reaction: object) -> QAction:
        action = QAction(text, self)
        if keys:
            action.setShortcut(keys)
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(reaction)
        self.addAction(action)
        return action

    # --- showing ------------------------------------------------------------------------------------------------------

    def show_card(self, card: Card, preview: Preview | None) -> None:
        """Show what the state knows about it."""
        self.card = card
        finding, remarks, target = self._state.finding(card.path), self._state.remarks(card), self._state.target
        name = card.path.name
        self._name.setText(name)
        self._name.setToolTip(str(card.path))
        facts = reference_words.facts(finding)
        self._facts.setText(facts)
        self._facts.setToolTip(facts)
        self._show_preview(card, finding, preview)
        self._show_roles(card, finding)
        has_time = card.role is Role.KEYFRAME
        for widget, is_wanted in (
            (self._strength_label, card.has_strength),
            (self._strength, card.has_strength),
            (self._time_label, has_time),
            (self._time, has_time),
        ):
            widget.setVisible(is_wanted)
        with QSignalBlocker(self._strength):
            if self._strength.value() != round(100 * card.strength):
                self._strength.setValue(round(100 * card.strength))
        self._time.show_frame(target.frame_of(card), target.frames, target.frame_rate)
        self._show_trim(card, finding)
        self._show_effect(reference_words.effect(card, remarks, finding, target), remarks)
        cards = self._state.cards
        self._move_up.setEnabled(cards[0].id != card.id)
        self._move_down.setEnabled(cards[-1].id != card.id)
        for button, words in (
            (self._remove, self.tr("Remove {name}")),
            (self._replace, self.tr("Replace the file {name}")),
        ):
            button.setAccessibleName(words.format(name=name))
        title = self.tr("{role}: {name}").format(role=reference_words.role_name(card.role), name=name)
        self.setAccessibleName(title)

    def _show_preview(self, card: Card, finding: Finding, preview: Preview | None) -> None:
        kind = finding.kind if isinstance(finding, MediaFacts) else Kind.PICTURE
        is_known = isinstance(finding, MediaFacts) or finding is None
        self._thumbnail.show_picture(
            preview.picture if preview else None, _ICONS[kind] if is_known else "mdi6.file-alert-outline"
        )
        peaks = preview.peaks if preview else None
        has_waveform = card.role is Role.SOUND and peaks is not None
        self._waveform.setVisible(has_waveform)
        self._thumbnail.setVisible(not has_waveform)
        target = self._state.target
        if peaks is not None and isinstance(finding, MediaFacts) and finding.sound_s:
            used_s = max(used_sound_s(card, finding), 0.0)
            if target.frames is not None:
                used_s = min(used_s, target.frame_rate.seconds(target.frames))
            start = min(card.trim.start_s / finding.sound_s, 1.0)
            self._waveform.show_sound(peaks, start, min(start + used_s / finding.sound_s, 1.0))

    def _show_trim(self, card: Card, finding: Finding) -> None:
        """In the file's own frames; of a sound, which has none, in those of the clip to be made."""
        facts = finding if isinstance(finding, MediaFacts) and card.has_trim else None
        self._trim.setVisible(facts is not None)
        if facts is None:
            return
        rate = facts.frame_rate or self._state.target.frame_rate
        num_frames = facts.frames if facts.frame_rate else math.ceil(rate.frames_in(facts.sound_s or 0.0))
        self._trim.show_trim(card.trim, num_frames, rate)

    def _show_roles(self, card: Card, finding: Finding) -> None:
        """What the file can be for, and what it is for now even where that is impossible."""
        roles = list(finding.roles) if isinstance(finding, MediaFacts) else [card.role]
        if card.role not in roles:
            roles.append(card.role)
        if [self._role.itemData(index) for index in range(self._role.count())] != roles:
            self._role.clear()
            for role in roles:
                self._role.addItem(reference_words.role_name(role), role)
        self._role.setCurrentIndex(roles.index(card.role))
        only = self.tr("A file of this kind can be nothing else")
        describe(self._role, self.tr("Role"), self.tr("What this file is for") if len(roles) > 1 else only)
        self._role.setEnabled(len(roles) > 1)

    def _show_effect(self, words: str, remarks: Remarks) -> None:
        set_role(self._effect, "warn-small" if reference_words.left_out(remarks) else "secondary")
        self._effect.setText(words)
        self.setAccessibleDescription(words)

    @Slot(str)
    def _show_complaint(self, words: str) -> None:
        """Until the card is shown anew."""
        set_role(self._effect, "warn-small")
        self._effect.setText(words)
        self.setAccessibleDescription(words)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = _FOCUS_PIXELS if self.hasFocus() else 1
        painter.setPen(QPen(QColor(theme.accent if self.hasFocus() else theme.divider), width))
        painter.setBrush(QColor(theme.field))
        inset = width / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), RADIUS, RADIUS)

    # --- what the user does -------------------------------------------------------------------------------------------

    @Slot()
    def remove(self) -> None:
        self._state.remove(self.card)

    @Slot()
    def move_up(self) -> None:
        self._state.move(self.card, self._place() - 1)

    @Slot()
    def move_down(self) -> None:
        self._state.move(self.card, self._place() + 2)

    def _place(self) -> int:
        return self._state.cards.index(self.card)

    @Slot()
    def _ask_replace(self) -> None:
        self.replace_asked.emit(self.card.id)

    @Slot()
    def _ask_reveal(self) -> None:
        self.reveal_asked.emit(self.card.path)

    @Slot(int)
    def _role_chosen(self, index: int) -> None:
        self._state.set_role(self.card, Role(self._role.itemData(index)))

    @Slot(int)
    def _strength_chosen(self, percent: int) -> None:
        self._state.set_strength(self.card, percent / 100)

    @Slot(int)
    def _frame_chosen(self, frame: int) -> None:
        self._state.set_frame(self.card, frame)

    @Slot(object)
    def _trim_chosen(self, trim: Trim) -> None:
        self._state.set_trim(self.card, trim)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard; some may be hidden."""
        return [self, self._remove, self._role, self._replace, self._strength, self._time, *self._trim.fields()]

    def event(self, event: QEvent) -> bool:
        is_plain = isinstance(event, QKeyEvent) and event.modifiers() == Qt.KeyboardModifier.NoModifier
        return (is_plain and keeps(event, _MOVE_KEYS)) or super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """The wheel scrolls the list; it changes a field only where the keyboard is in it."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        menu = QMenu(self)
        menu.addActions(self.actions())
        menu.popup(event.globalPos())
        menu.aboutToHide.connect(menu.deleteLater)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        super().focusOutEvent(event)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if self._pressed_at is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        if (event.position().toPoint() - self._pressed_at).manhattanLength() >= QApplication.startDragDistance():
            self._pressed_at = None
            drag = QDrag(self)
            drag.setMimeData(card_data(self.card))
            drag.setPixmap(self._thumbnail.grab())
            drag.exec(Qt.DropAction.MoveAction)


def card_data(card: Card) -> QMimeData:
    """A card as something to drag."""
    data = QMimeData()
    data.setData(CARD_TYPE, QByteArray(str(card.id).encode()))
    return data


class ElidedLabel(Label):
    """Text that is shortened to the room there is, instead of asking for more."""

    def __init__(self, role: str, mode: Qt.TextElideMode, parent: QWidget) -> None:
        super().__init__("", role, parent)
        self._mode = mode
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        words = self.fontMetrics().elidedText(self.text(), self._mode, self.width())
        side = QStyle.visualAlignment(
            self.layoutDirection(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )
        self.style().drawItemText(
            QPainter(self), self.rect(), int(side), self.palette(), self.isEnabled(), words, self.foregroundRole()
        )
