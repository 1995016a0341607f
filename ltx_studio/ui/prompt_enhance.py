"""The button that has a short prompt written out by Gemma, on this machine; while it writes, it stops it."""

from collections.abc import Callable

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from engine.request import GenerationRequest
from engine.weights.catalog import catalogue, is_installed
from ltx_studio.services.prompt_enhancing import PromptEnhancing
from ltx_studio.state.observable import bind
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import IconButton, describe
from ltx_studio.ui.theme import Appearance


def installed_writer(model: str | None) -> str | None:
    """The model whose text encoder can write prompts: the chosen one, else any that is installed, else None."""
    able = [name for name, entry in catalogue().items() if entry.text_encoder is not None and is_installed(entry)]
    return model if model in able else next(iter(able), None)


class EnhanceButton(IconButton):
    """Replaces the session's prompt, in one step that undo takes back."""

    wrote = Signal(int)  # words so far; again with the last number once it has ended
    failed = Signal(str)  # a sentence

    def __init__(
        self,
        session: Session,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        find_writer: Callable[[str | None], str | None] = installed_writer,
    ) -> None:
        super().__init__("mdi6.auto-fix", "", appearance, parent)
        self._session = session
        self._find_writer = find_writer
        self._writer: str | None = None
        self._asked_for: str | None = None  # the model the writer was found for
        self._has_looked = False
        self._num_tries = 0  # for one prompt: each gives another text
        self._enhancing = PromptEnhancing(self)
        self._enhancing.grew.connect(self._grew)
        self._enhancing.finished.connect(self._finished)
        self._enhancing.failed.connect(self._failed)
        self.clicked.connect(self._pressed)
        bind(session.request, self._show_request)
        session.is_running.changed.connect(self._running_changed)
        self.destroyed.connect(self._enhancing.stop)

    @property
    def is_writing(self) -> bool:
        return self._enhancing.is_running

    def look_again(self) -> None:
        """Models came or went."""
        self._has_looked = False
        self._show_request(self._session.request.value)

    def _show_request(self, request: GenerationRequest) -> None:
        if not self._has_looked or request.model != self._asked_for:
            self._writer, self._asked_for, self._has_looked = self._find_writer(request.model), request.model, True
        self._show()

    @Slot(object)
    def _running_changed(self, _is_running: bool) -> None:
        self._show()

    def _show(self) -> None:
        if self.is_writing:
            self.set_icon_name("mdi6.stop")
            self.setEnabled(True)
            describe(self, self.tr("Stop enhancing"), self.tr("Stop writing; the prompt stays as it is"))
            return
        reason = self._why_not()
        self.set_icon_name("mdi6.auto-fix")
        self.setEnabled(not reason)
        tip = self.tr("Have the prompt written out by Gemma, on this machine. It takes a while; undo takes it back.")
        describe(self, self.tr("Enhance the prompt"), reason or tip)

    def _why_not(self) -> str:
        if self._writer is None:
            return self.tr("Enhancing a prompt needs a model that comes with Gemma 3; none is installed.")
        if self._session.is_running.value:
            return self.tr("A clip is being made, which needs the memory. Enhance the prompt when it is done.")
        if not self._session.request.value.prompt.strip():
            return self.tr("Write a few words first.")
        return ""

    @Slot()
    def _pressed(self) -> None:
        if self.is_writing:
            self._enhancing.stop()
            self._show()
            self.wrote.emit(0)
            return
        prompt = self._session.request.value.prompt
        self._enhancing.start(prompt, model=self._writer, seed=self._num_tries)
        self._num_tries += 1
        self._show()
        self.wrote.emit(0)

    @Slot(str)
    def _grew(self, text: str) -> None:
        self.wrote.emit(len(text.split()))

    @Slot(str)
    def _finished(self, text: str) -> None:
        self._session.edit(prompt=text)
        self._show()
        self.wrote.emit(len(text.split()))

    @Slot(str)
    def _failed(self, sentence: str) -> None:
        self._show()
        self.wrote.emit(0)
        self.failed.emit(sentence)
