"""The prompt being written: its text and parts, what was written before, and how the session's request follows it.

One value holds the text and the parts, so views of either show the same thing. The request's prompt is its text; when
somebody else sets that (an example, a clip's settings), the parts are remembered from the last time that this text was
seen, or recognised in it.
"""

from collections import OrderedDict
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import EngineError
from engine.request import GenerationRequest
from ltx_studio.domain import wildcards
from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_history import Entry, PromptHistory, history_path
from ltx_studio.domain.prompt_presets import StylePreset, phrases
from ltx_studio.domain.prompt_recognition import Recogniser, with_assigned
from ltx_studio.domain.prompt_words import Slot as PromptSlot
from ltx_studio.domain.wildcards import Wordings
from ltx_studio.state.observable import Observable
from ltx_studio.state.session import Session

_NUM_REMEMBERED_CHARACTERS = 2_000_000  # of texts whose parts come back on undo: a thousand edits of a long prompt


class PromptState(QObject):
    """Edits the prompt of a session."""

    history_changed = Signal()
    failed = Signal(str)  # a sentence about something that could not be kept; the prompt itself never is at risk

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._recogniser = Recogniser(phrases().by_part)
        self._remembered: OrderedDict[str, Prompt] = OrderedDict()
        self._num_remembered_characters = 0
        self._history: PromptHistory | None = None
        self.prompt = Observable(Prompt(), self)
        session.request.changed.connect(self._request_changed)
        self._request_changed(session.request.value)

    # --- editing ------------------------------------------------------------------------------------------------------

    def edit_text(self, text: str, cursor: int | None = None) -> None:
        """The user edited the text; `cursor` is where, in characters.

        A text that was there before has its parts again, so undoing an edit of the text undoes that of the parts.
        """
        remembered = self._remembered.get(text)
        self._set(remembered or self._recogniser.recognise(self.prompt.value.with_text(text, cursor)))

    def set_part(self, slot: PromptSlot, value: str) -> None:
        self._set(self.prompt.value.with_value(slot, value))

    def assign(self, start: int, end: int, slot: PromptSlot) -> None:
        """Make a selection of the text, in characters, the words of a part."""
        self._set(with_assigned(self.prompt.value, start, end, slot))

    def set_preset(self, preset: StylePreset, is_applied: bool) -> None:
        prompt = self.prompt.value
        self._set(prompt.with_preset(preset.id, preset.words) if is_applied else prompt.without_preset(preset.id))

    def restore(self, entry: Entry) -> None:
        """Write a prompt of the history again, its parts and what to avoid included."""
        self._session.edit(negative_prompt=entry.negative or None)
        self._set(entry.prompt)

    def _set(self, prompt: Prompt) -> None:
        text = prompt.text
        if self._remembered.pop(text, None) is None:
            self._num_remembered_characters += len(text)
        self._remembered[text] = prompt
        while self._num_remembered_characters > _NUM_REMEMBERED_CHARACTERS and len(self._remembered) > 1:
            forgotten, _ = self._remembered.popitem(last=False)
            self._num_remembered_characters -= len(forgotten)
        self.prompt.value = prompt
        self._session.edit(prompt=text)

    @Slot(object)
    def _request_changed(self, request: GenerationRequest) -> None:
        if request.prompt == self.prompt.value.text:
            return
        known = self._remembered.get(request.prompt)
        if known is None and self._history is not None:
            entry = self._history.find(request.prompt)
            known = entry.prompt if entry else None
        self._set(known or self._recogniser.recognise(Prompt.of(request.prompt)))

    # --- variations ---------------------------------------------------------------------------------------------------

    def count_wordings(self) -> Wordings:
        """How many prompts this one stands for, without making them. Raises RequestError."""
        text = self.prompt.value.text
        if not wildcards.has_choices(text):
            return Wordings((), 1, "")
        return wildcards.wordings(text, wildcards.read_wildcards(wildcards.wildcards_folder()), limit=0)

    def wordings(self) -> Wordings:
        """The prompts that this one stands for, drawn by the request's seed where there are too many.

        Raises RequestError.
        """
        options = wildcards.read_wildcards(wildcards.wildcards_folder())
        return wildcards.wordings(self.prompt.value.text, options, seed=self._session.request.value.seed or 0)

    def wording_for(self, seed: int) -> str:
        """The one prompt that a single clip of this seed is made from. Raises RequestError."""
        options = wildcards.read_wildcards(wildcards.wildcards_folder())
        return wildcards.wordings(self.prompt.value.text, options, seed=seed, limit=1).texts[0]

    # --- history ------------------------------------------------------------------------------------------------------

    @property
    def history(self) -> PromptHistory:
        """Read from disk when it is first asked for."""
        if self._history is None:
            self._history = PromptHistory(history_path())
        return self._history

    def remember(self) -> None:
        """The prompt is used now."""
        negative = self._session.request.value.negative_prompt or ""
        self._keep(lambda: self.history.add(self.prompt.value, negative))

    def set_favourite(self, entry: Entry, is_favourite: bool) -> None:
        self._keep(lambda: self.history.set_favourite(entry, is_favourite))

    def forget(self, entry: Entry) -> None:
        self._keep(lambda: self.history.remove(entry))

    def keep_as_favourite(self) -> None:
        """Keep the prompt as it stands, used or not."""
        negative = self._session.request.value.negative_prompt or ""

        def keep() -> None:
            entry = self.history.add(self.prompt.value, negative)
            if entry is not None:
                self.history.set_favourite(entry, True)

        self._keep(keep)

    def _keep(self, change: Callable[[], object]) -> None:
        try:
            change()
        except EngineError as error:
            self.failed.emit(str(error))
        self.history_changed.emit()
