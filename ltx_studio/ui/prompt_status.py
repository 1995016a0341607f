"""One line below the prompt: its length in tokens, how many prompts it stands for, and what can be done with it."""

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from engine.errors import EngineError
from engine.request import GenerationRequest
from engine.weights.token_count import MAX_TOKENS, tokenizer_folder
from ltx_studio.domain.prompt import Prompt
from ltx_studio.services.prompt_tokens import TokenCount, TokenCounting
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import Button, IconButton, Label, describe, set_role
from ltx_studio.ui.prompt_enhance import EnhanceButton
from ltx_studio.ui.theme import GAP, GRID, Appearance

_COUNT_MS = 150  # wildcards are read from disk


class PromptStatus(QWidget):
    """Tokens, wordings, favourite, enhancement."""

    batch_asked = Signal(object)  # tuple[str, ...]

    def __init__(
        self, session: Session, state: PromptState, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._model: str | None = None
        self._has_model = False  # nothing was asked yet
        self._limit = MAX_TOKENS
        self._count = TokenCount(0, is_estimate=True)
        self._counting = TokenCounting(self)
        self._tokens = Label(role="secondary", parent=self)
        self._favourite = IconButton("mdi6.star-plus-outline", self.tr("Keep this prompt"), appearance, self)
        self._enhance = EnhanceButton(session, appearance, self)
        self._wordings = Label(role="secondary", parent=self)
        self._wordings.setWordWrap(True)
        self._batch = Button("", parent=self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_COUNT_MS)
        self._timer.timeout.connect(self._count_wordings)
        first = QHBoxLayout()
        first.setSpacing(GRID)
        first.addWidget(self._tokens, 1)
        first.addWidget(self._favourite)
        first.addWidget(self._enhance)
        second = QHBoxLayout()
        second.setSpacing(GAP)
        second.addWidget(self._wordings, 1)
        second.addWidget(self._batch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addLayout(second)
        self._favourite.clicked.connect(state.keep_as_favourite)
        self._batch.clicked.connect(self._ask_batch)
        self._enhance.wrote.connect(self._show_writing)
        self._enhance.failed.connect(self._show_problem)
        self._counting.counted.connect(self._show_tokens)
        state.failed.connect(self._show_problem)
        bind(session.request, self._show_request)
        bind(state.prompt, self._show_prompt)
        self._count_wordings()
        self.destroyed.connect(self._counting.close)

    def controls(self) -> list[QWidget]:
        return [self._favourite, self._enhance, self._batch]

    def set_limit(self, tokens: int) -> None:
        """What the model that is chosen reads at most."""
        if tokens != self._limit:
            self._limit = tokens
            self._show_tokens(self._count)

    def _show_request(self, request: GenerationRequest) -> None:
        if request.model != self._model or not self._has_model:
            self._model, self._has_model = request.model, True
            self._counting.set_folder(tokenizer_folder(request.model))

    def _show_prompt(self, prompt: Prompt) -> None:
        text = prompt.text
        self._counting.count(text)
        has_words = bool(text.strip())
        self._favourite.setEnabled(has_words)
        reason = "" if has_words else self.tr("Write a prompt first.")
        describe(
            self._favourite, self.tr("Keep this prompt"), reason or self.tr("Keep this prompt among the favourites")
        )
        self._timer.start()

    @Slot(object)
    def _show_tokens(self, count: TokenCount) -> None:
        self._count = count
        if self._enhance.is_writing:
            return
        is_long = count.tokens > self._limit
        if count.is_estimate:
            long, short = (
                self.tr("Too long: about {tokens} of {limit} tokens"),
                self.tr("about {tokens} of {limit} tokens"),
            )
            tip = self.tr("An estimate: it is counted exactly once a model with its text encoder is installed.")
        else:
            long, short = self.tr("Too long: {tokens} of {limit} tokens"), self.tr("{tokens} of {limit} tokens")
            tip = self.tr("Counted as the model that is chosen will read it.")
        if is_long:
            tip = self.tr("What comes after the limit is not read. {tip}").format(tip=tip)
        text = long if is_long else short
        self._tokens.setText(text.format(tokens=f"{count.tokens:,}", limit=f"{self._limit:,}"))
        self._tokens.setToolTip(tip)
        set_role(self._tokens, "warn-small" if is_long else "secondary")

    @Slot(int)
    def _show_writing(self, num_words: int) -> None:
        """While a prompt is enhanced, how far that is; the number of tokens comes back with the new text."""
        if not self._enhance.is_writing:
            self._show_tokens(self._count)
            return
        set_role(self._tokens, "secondary")
        self._tokens.setText(self.tr("Writing: {words} words so far").format(words=num_words))
        self._tokens.setToolTip(self.tr("The prompt stays as it is until the new one is whole."))

    @Slot()
    def _count_wordings(self) -> None:
        try:
            counted = self._state.count_wordings()
        except EngineError as error:
            self._show_problem(str(error))
            return
        is_many = counted.total > 1
        text = self.tr("{total} wordings").format(total=f"{counted.total:,}") if is_many else ""
        set_role(self._wordings, "warn-small" if counted.note else "secondary")
        self._wordings.setText(counted.note or text)
        self._wordings.setVisible(bool(self._wordings.text()))
        self._batch.setVisible(is_many)
        self._batch.setText(self.tr("Make all"))
        describe(self._batch, self.tr("Make all wordings"), self.tr("One clip for each of them, as a batch"))

    @Slot(str)
    def _show_problem(self, sentence: str) -> None:
        set_role(self._wordings, "warn-small")
        self._wordings.setText(sentence)
        self._wordings.setVisible(True)
        self._batch.setVisible(False)

    @Slot()
    def _ask_batch(self) -> None:
        try:
            made = self._state.wordings()
        except EngineError as error:
            self._show_problem(str(error))
            return
        if made.note:
            self._wordings.setText(made.note)
        self._state.remember()
        self.batch_asked.emit(made.texts)
