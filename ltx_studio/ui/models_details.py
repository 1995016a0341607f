"""What is behind a model's "Details": every file with its size and state, its licence, and the terms to accept."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ltx_studio.domain.models import FileRow, Inventory, Licence, ModelRow
from ltx_studio.ui import models_words
from ltx_studio.ui.controls import Button, Label, describe, set_role
from ltx_studio.ui.models_words import breakable
from ltx_studio.ui.theme import GAP, GRID, Appearance


class ModelDetails(QWidget):
    """Lines of text, and for files with terms a button to their page and a field for the token."""

    token_given = Signal(str)
    page_asked = Signal(str)  # an address

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._files: list[_FileLine] = []
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(GRID)
        self._grid.setColumnStretch(0, 1)
        self._encoder = _small(self)
        self._licence = _small(self)
        self._terms = _Terms(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GAP, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(self._grid)
        for widget in (self._encoder, self._licence, self._terms):
            layout.addWidget(widget)
        self._terms.token_given.connect(self.token_given)
        self._terms.page_asked.connect(self.page_asked)

    @property
    def last_control(self) -> QWidget:
        return self._terms.last_control

    def show_model(self, row: ModelRow, inventory: Inventory, *, is_sealed: bool) -> None:
        while len(self._files) < len(row.files):
            self._files.append(_FileLine(self._grid, len(self._files), self))
        said: set[str] = set()
        for line, file in zip(self._files, row.files, strict=True):
            line.show_file(file, has_said_purpose=file.purpose in said)
            said.add(file.purpose)
        encoder = None if row.text_encoder is None else inventory.row(row.text_encoder)
        self._encoder.setVisible(encoder is not None)
        if encoder is not None:
            state = models_words.tr("installed") if encoder.state == "verified" else models_words.tr("fetched along")
            self._encoder.setText(self.tr("Text encoder: {title} ({state})").format(title=encoder.title, state=state))
        self._licence.setVisible(bool(row.licences))
        self._licence.setText("\n".join(_licence_sentence(licence) for licence in row.licences))
        gated = next((licence for licence in row.licences if licence.terms_url is not None), None)
        self._terms.setVisible(gated is not None)
        if gated is not None:
            self._terms.show_terms(gated, has_token=inventory.has_token, is_sealed=is_sealed)


def _licence_sentence(licence: Licence) -> str:
    sentence = models_words.tr("Licence: {name} ({repository})")
    return sentence.format(name=licence.name, repository=breakable(licence.repository))


def _small(parent: QWidget) -> Label:
    label = Label(role="secondary", parent=parent)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


class _FileLine:
    """Two rows of the grid: name and size, then purpose and state."""

    def __init__(self, grid: QGridLayout, index: int, parent: QWidget) -> None:
        self._name, self._purpose = Label(parent=parent), _small(parent)
        self._size, self._state = Label(parent=parent), Label(role="secondary", parent=parent)
        self._name.setWordWrap(True)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
        grid.addWidget(self._name, 2 * index, 0)
        grid.addWidget(self._size, 2 * index, 1, right)
        grid.addWidget(self._purpose, 2 * index + 1, 0)
        grid.addWidget(self._state, 2 * index + 1, 1, right)

    def show_file(self, file: FileRow, *, has_said_purpose: bool) -> None:
        said = models_words.file_state(file)
        self._name.setText(breakable(file.name))
        self._size.setText(models_words.file_size(file))
        self._purpose.setText("" if has_said_purpose else file.purpose)
        self._state.setText(said.text)
        set_role(self._state, said.small_role)


class _Terms(QWidget):
    """How to be let in: accept the terms in a browser, then keep a token of that account here."""

    token_given = Signal(str)
    page_asked = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._address = ""
        self._words = _small(self)
        self._open = Button(self.tr("Open the terms"), parent=self)
        self._token = QLineEdit(self)
        self._token.setProperty("role", "field")
        self._token.setEchoMode(QLineEdit.EchoMode.Password)
        describe(self._token, self.tr("Token of the hub"), self.tr("Kept in a file that only you can read"))
        self._keep = Button(self.tr("Keep"), parent=self)
        describe(self._keep, self.tr("Keep the token"))
        self._keep.setEnabled(False)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self._token, 1)
        row.addWidget(self._keep)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._words)
        layout.addWidget(self._open, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addLayout(row)
        self._open.clicked.connect(lambda: self.page_asked.emit(self._address))
        self._token.textChanged.connect(lambda text: self._keep.setEnabled(bool(text.strip())))
        self._token.returnPressed.connect(self._give)
        self._keep.clicked.connect(self._give)

    @property
    def last_control(self) -> QWidget:
        return self._keep

    def show_terms(self, licence: Licence, *, has_token: bool, is_sealed: bool) -> None:
        assert licence.terms_url is not None
        self._address = licence.terms_url
        sentence = self.tr("Accept the {terms} once, signed in at {address}, then give a token of that account.")
        if has_token:
            sentence = self.tr("Accept the {terms} once, signed in at {address}. A token is kept on this machine.")
        self._words.setText(sentence.format(terms=licence.name, address=breakable(licence.terms_url)))
        self._token.setPlaceholderText(self.tr("Another token") if has_token else self.tr("Token"))
        self._open.setEnabled(not is_sealed)
        tip = self.tr("Sealed: every connection of this program is refused.")
        describe(self._open, self.tr("Open the terms"), tip if is_sealed else self.tr("In your browser"))

    @Slot()
    def _give(self) -> None:
        if self._token.text().strip():
            self.token_given.emit(self._token.text().strip())
            self._token.clear()
