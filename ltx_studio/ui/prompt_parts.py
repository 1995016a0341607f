"""The parts of the prompt as fields: picture, speech and sound. They show the prompt and edit it, word by word."""

from collections.abc import Sequence
from typing import cast

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import QFormLayout, QFrame, QLineEdit, QMenu, QScrollArea, QVBoxLayout, QWidget

from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_presets import camera_moves, phrases
from ltx_studio.domain.prompt_words import DIALOGUE, Part, Slot
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.ui.controls import Button, Label, describe, icon
from ltx_studio.ui.prompt_names import part_examples, part_names, tr
from ltx_studio.ui.theme import GAP, GRID, Appearance

PICTURE = (
    Part.SHOT,
    Part.SUBJECT,
    Part.ACTION,
    Part.SETTING,
    Part.LIGHT,
    Part.LENS,
    Part.CAMERA,
    Part.STYLE,
)
SOUND = (Part.AMBIENCE, Part.EFFECTS, Part.MUSIC)
_LINE_ENDS = str.maketrans({"\n": " ", "\r": " ", "\u2028": " ", "\u2029": " "})  # a field has one line


class PartField(QLineEdit):
    """The words of one part. Where there are words to choose from, the arrow or Alt+Down opens them."""

    written = Signal(str)

    def __init__(self, name: str, example: str, choices: Sequence[tuple[str, str]], appearance: Appearance) -> None:
        """`choices` are names and the words that each stands for."""
        super().__init__()
        self._choices = choices
        self._appearance = appearance
        self.setProperty("role", "field")
        self.setPlaceholderText(tr("e.g. {example}").format(example=example))
        tip = tr("{name}: type, or press Alt+Down for a list") if choices else tr("{name}, for example: {example}")
        describe(self, name, tip.format(name=name, example=example))
        self.textEdited.connect(self.written)
        if choices:
            self._arrow = self.addAction(self._arrow_icon(), QLineEdit.ActionPosition.TrailingPosition)
            self._arrow.setToolTip(tr("Choose from a list"))
            self._arrow.triggered.connect(self.open_choices)
            appearance.theme.changed.connect(self._draw_arrow)

    def show_value(self, value: str) -> None:
        """Show the words as one edit that this field can undo."""
        text = value.translate(_LINE_ENDS)
        if text == self.text():
            return
        with QSignalBlocker(self):
            self.selectAll()
            self.insert(text)
            self.setCursorPosition(0)

    def open_choices(self) -> None:
        menu = self.choices_menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.mapToGlobal(QPoint(0, self.height() + GRID)))

    def choices_menu(self) -> QMenu:
        """The list; the one that is written is ticked, and choosing it again takes it out."""
        menu = QMenu(self)
        for name, words in self._choices:
            action = menu.addAction(name)
            action.setCheckable(True)
            action.setChecked(words == self.text())
            action.triggered.connect(lambda is_chosen, words=words: self._choose(words if is_chosen else ""))
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        is_open = event.key() == Qt.Key.Key_Down and event.modifiers() & Qt.KeyboardModifier.AltModifier
        if self._choices and is_open:
            self.open_choices()
        else:
            super().keyPressEvent(event)

    def _choose(self, words: str) -> None:
        self.show_value(words)
        self.written.emit(words)

    def _arrow_icon(self) -> QIcon:
        return icon("mdi6.chevron-down", self._appearance.theme.value)

    def _draw_arrow(self, _theme: object) -> None:
        self._arrow.setIcon(self._arrow_icon())


class PartsPage(QScrollArea):
    """Every part, and as many spoken lines as there are."""

    def __init__(self, state: PromptState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._appearance = appearance
        self._fields: dict[Slot, PartField] = {}
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content = QWidget()
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(0, 0, GAP, 0)
        self._layout.setSpacing(GRID)
        self._label_width = max(self.fontMetrics().horizontalAdvance(name) for name in part_names().values())
        self._add_form([Slot(part) for part in PICTURE])
        self._layout.addSpacing(GAP)
        self._layout.addWidget(Label(self.tr("Speech"), "secondary"))
        self._speech = QVBoxLayout()
        self._speech.setSpacing(GAP)
        self._layout.addLayout(self._speech)
        self._num_lines = 0
        self._add_line_button = Button(self.tr("Add a spoken line"), parent=content)
        describe(self._add_line_button, self._add_line_button.text(), self.tr("For another speaker, or another line"))
        self._add_line_button.clicked.connect(self._add_and_enter_line)
        self._layout.addWidget(self._add_line_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._layout.addSpacing(GAP)
        self._layout.addWidget(Label(self.tr("Sound"), "secondary"))
        self._add_form([Slot(part) for part in SOUND])
        self._layout.addStretch(1)
        self.setWidget(content)
        bind(state.prompt, self._show)

    def fields(self) -> list[PartField]:
        """In reading order, for the keyboard."""
        return list(self._fields.values())

    def field(self, part: Part, which: str = "") -> PartField:
        return self._fields[Slot(part, which)]

    def _add_form(self, slots: Sequence[Slot], into: QVBoxLayout | None = None) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(GAP)
        form.setVerticalSpacing(GRID)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        (into or self._layout).addLayout(form)
        for slot in slots:
            field = self._make_field(slot)
            label = Label(part_names()[slot.part])
            label.setMinimumWidth(self._label_width)
            label.setMinimumHeight(field.sizeHint().height())
            label.setBuddy(field)
            form.addRow(label, field)
            field.show()  # at once, so that it can take the keys

    def _make_field(self, slot: Slot) -> PartField:
        name = part_names()[slot.part]
        if slot.which not in {"", "0"}:
            name = self.tr("{name}, line {number}").format(name=name, number=int(slot.which) + 1)
        field = PartField(name, part_examples()[slot.part], _choices(slot.part), self._appearance)
        field.written.connect(lambda text, slot=slot: self._state.set_part(slot, cast("str", text)))
        self._fields[slot] = field
        return field

    def _add_line(self) -> None:
        which = str(self._num_lines)
        self._num_lines += 1
        self._add_form([Slot(part, which) for part in DIALOGUE], self._speech)
        previous: QWidget = self._fields[Slot(Part.STYLE)]
        for line in range(self._num_lines):
            for part in DIALOGUE:
                field = self._fields[Slot(part, str(line))]
                QWidget.setTabOrder(previous, field)
                previous = field
        QWidget.setTabOrder(previous, self._add_line_button)

    def _add_and_enter_line(self) -> None:
        self._add_line()
        self._fields[Slot(Part.SPEAKER, str(self._num_lines - 1))].setFocus(Qt.FocusReason.OtherFocusReason)

    def _show(self, prompt: Prompt) -> None:
        values = prompt.values()
        lines = [int(slot.which) for slot in values if slot.part in DIALOGUE and slot.which.isdecimal()]
        while self._num_lines <= max(lines, default=0):
            self._add_line()
        for slot, field in self._fields.items():
            field.show_value(values.get(slot, ""))


def _choices(part: Part) -> list[tuple[str, str]]:
    if part is Part.CAMERA:
        return [(move.name, move.words) for move in camera_moves()]
    if part is Part.LANGUAGE:
        return [(name, name) for name in phrases().languages]
    return [(words[0].upper() + words[1:], words) for words in phrases().by_part.get(part, ())]
