"""The part of the Edit panel about new words: what is said, in which language, by whose voice.

How far a mouth is open is known only of faces that were drawn by us, so what is plotted is the voice that is there.
"""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ltx_studio.domain.edits import EditDraft, Target
from ltx_studio.services.peaks import Outline
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.state.observable import bind
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.edit_strip import EnvelopeView
from ltx_studio.ui.theme import GAP, GRID, Appearance

_TEXT_INSET = 2
# Asks the user for a sound file: the parent, a title, and where to start. None: given up.
AskFile = Callable[[QWidget, str, Path], Path | None]


def ask_voice_file(parent: QWidget, title: str, start: Path) -> Path | None:
    name, _ = QFileDialog.getOpenFileName(parent, title, str(start))
    return Path(name) if name else None


class LipDubPart(QWidget):
    """Edits the draft's words. `outline_of` gives a sound's outline once it is there, and asks for it until then."""

    def __init__(
        self,
        state: EditsState,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        ask_file: AskFile = ask_voice_file,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._ask_file = ask_file
        self._outline_of: Callable[[Path], Outline | None] = lambda _path: None
        self._line = self._field(tr("New words"), tr("What is said, word for word"))
        self._line.setPlaceholderText(tr("I never said that."))
        self._language = self._field(tr("Language"), tr("The language it is said in; empty leaves it to the words"))
        self._voice = Label(role="", parent=self)
        self._voice.setAccessibleName(tr("Voice"))
        self._choose = Button(tr("Choose a file"), parent=self)
        describe(self._choose, tr("Choose a voice file"), tr("A recording whose words and voice the lips follow"))
        self._own = IconButton("mdi6.close", tr("Use the clip's own voice"), appearance, self)
        text = tr("Keep the background sound")
        self._keep = CheckBox(
            text, text, tr("What is heard behind the voice is taken out first and put back after"), appearance, self
        )
        self.envelope = EnvelopeView(appearance, self)
        self._note = Label(
            tr("The clip's voice. How far a mouth is open cannot be measured on real faces, so it is not plotted."),
            "secondary",
            self,
        )
        self._note.setWordWrap(True)
        self._arrange()
        self._line.textEdited.connect(lambda text: state.change(line=text))
        self._language.textEdited.connect(lambda text: state.change(language=text))
        self._choose.clicked.connect(self._choose_voice)
        self._own.clicked.connect(lambda: state.change(voice=None))
        self._keep.clicked.connect(lambda is_wanted: state.change(keep_background=is_wanted))
        bind(state.draft, self._show_draft)
        bind(state.target, self._show_target)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._line, self._language, self._choose, self._own, self._keep]

    def follow(self, outline_of: Callable[[Path], Outline | None]) -> None:
        self._outline_of = outline_of
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """The outline may be there now."""
        self._show_target(self._state.target.value)

    def _field(self, name: str, tip: str) -> QLineEdit:
        field = QLineEdit(self)
        field.setProperty("role", "field")
        field.setTextMargins(-_TEXT_INSET, 0, -_TEXT_INSET, 0)
        describe(field, name, tip)
        return field

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(GRID)
        voice = QHBoxLayout()
        voice.setSpacing(GRID)
        voice.addWidget(self._voice, 1)
        voice.addWidget(self._own)
        voice.addWidget(self._choose)
        for row, (name, field) in enumerate(((tr("Words"), self._line), (tr("Language"), self._language))):
            label = Label(name, "secondary", self)
            label.setBuddy(field)
            grid.addWidget(label, row, 0)
            grid.addWidget(field, row, 1)
        grid.addWidget(Label(tr("Voice"), "secondary", self), 2, 0)
        grid.addLayout(voice, 2, 1)
        grid.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(grid)
        layout.addWidget(self._keep)
        layout.addWidget(self.envelope)
        layout.addWidget(self._note)

    def _show_draft(self, draft: EditDraft) -> None:
        for field, text in ((self._line, draft.line), (self._language, draft.language)):
            if field.text() != text:
                with QSignalBlocker(field):
                    field.setText(text)
        self._voice.setText(tr("The clip's own") if draft.voice is None else draft.voice.name)
        self._voice.setToolTip("" if draft.voice is None else str(draft.voice))
        self._own.setVisible(draft.voice is not None)
        self._keep.setChecked(draft.keep_background)

    def _show_target(self, target: Target | None) -> None:
        if target is None:
            self.envelope.show_outline(None, (0.0, 0.0), None)
            return
        outline = self._outline_of(target.path) if self.isVisible() else None
        self.envelope.show_outline(outline, target.whole_s, target.marked_s)

    @Slot()
    def _choose_voice(self) -> None:
        target = self._state.target.value
        start = Path() if target is None else target.path.parent
        path = self._ask_file(self, tr("Choose a voice"), start)
        if path is not None:
            self._state.change(voice=path)
