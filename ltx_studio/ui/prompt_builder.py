"""The words of the prompt: free text, and beside or below it its parts, styles or earlier prompts, always in step."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent, QShowEvent, QTextCursor
from PySide6.QtWidgets import (
    QBoxLayout,
    QButtonGroup,
    QHBoxLayout,
    QPlainTextEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from engine.request import GenerationRequest
from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_words import Slot as PromptSlot
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import Label, Segment, describe
from ltx_studio.ui.prompt_fold import Fold
from ltx_studio.ui.prompt_more import MorePage
from ltx_studio.ui.prompt_parts import PartsPage
from ltx_studio.ui.prompt_past import PastPage
from ltx_studio.ui.prompt_status import PromptStatus
from ltx_studio.ui.prompt_styles import StylesPage
from ltx_studio.ui.prompt_text import PromptText
from ltx_studio.ui.theme import GAP, GRID, WIDE_GAP, Appearance

_SIDE_BY_SIDE = 600  # pixels of width from which text and parts are beside each other
_AVOID_LINES = 3
_TEXT_LINES, _PAGE_LINES = 4, 6  # at least


class PromptBuilder(QWidget):
    """Edits the prompt and what to avoid."""

    batch_asked = Signal(object)  # tuple[str, ...]: every wording of the prompt

    def __init__(
        self, session: Session, state: PromptState, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._state = state
        self._appearance = appearance
        self._build_text()
        self._build_pages()
        self._arrange()
        self.text.edited.connect(self._text_edited)
        self.text.assign_asked.connect(self._assign_asked)
        self._avoid.textChanged.connect(self._avoid_edited)
        self._fold.toggled.connect(self._unfold)
        self.status.batch_asked.connect(self.batch_asked)
        self._tabs.idToggled.connect(self._page_chosen)
        bind(state.prompt, self._show_prompt)
        bind(session.request, self._show_request)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [
            self.text,
            *self.status.controls(),
            self._fold,
            self._avoid,
            *self._tabs.buttons(),
            *self.parts.fields()[:8],
            *self.styles.controls(),
            *self.past.controls(),
            *self.more.controls(),
        ]

    # --- building -----------------------------------------------------------------------------------------------------

    def _build_text(self) -> None:
        self.text = PromptText(self)
        describe(self.text, self.tr("Prompt"), self.tr("What to see and hear"))
        self.text.setPlaceholderText(
            self.tr("Describe what to see and hear: the subject, what happens, the place, the camera, the sounds.")
        )
        line = self.text.fontMetrics().lineSpacing()
        self.text.setMinimumHeight(line * _TEXT_LINES + 2 * GAP)
        self.status = PromptStatus(self._session, self._state, self._appearance, self)
        self._fold = Fold(self.tr("What to avoid"), self._appearance, self)
        self._avoid = QPlainTextEdit(self)
        describe(self._avoid, self.tr("What to avoid"), self.tr("Empty: the usual faults of generated clips"))
        self._avoid.setPlaceholderText(self.tr("For example: text, logos, shaky camera"))
        self._avoid.setTabChangesFocus(True)
        self._avoid.setFixedHeight(line * _AVOID_LINES + 2 * GAP)
        self._avoid_note = Label(self.tr("Only Standard and High read this."), "secondary", self)
        self._unfold(False)

    def _build_pages(self) -> None:
        self.parts = PartsPage(self._state, self._appearance, self)
        self.styles = StylesPage(self._state, self._appearance, self)
        self.past = PastPage(self._state, self._appearance, self)
        self.more = MorePage(self._session, self._appearance, self)
        self._pages = QStackedWidget(self)
        self._tabs = QButtonGroup(self)
        pages: list[tuple[str, str, QWidget]] = [
            (self.tr("Parts"), self.tr("The prompt in parts; both sides show the same words"), self.parts),
            (self.tr("Styles"), self.tr("Looks that are put before the prompt and taken out again"), self.styles),
            (self.tr("Earlier"), self.tr("Prompts you used before, and favourites"), self.past),
            (self.tr("More"), self.tr("Model, frame rate, steps, guidance and LoRAs"), self.more),
        ]
        for index, (name, tip, page) in enumerate(pages):
            self._pages.addWidget(page)
            button = Segment(name, self)
            describe(button, self.tr("Show: {page}").format(page=name), tip)
            self._tabs.addButton(button, index)
        self._tabs.button(0).setChecked(True)
        self._pages.setMinimumHeight(self.text.fontMetrics().lineSpacing() * _PAGE_LINES)

    def _arrange(self) -> None:
        tabs = QHBoxLayout()
        tabs.setSpacing(1)
        for button in self._tabs.buttons():
            tabs.addWidget(button, 1)
        words = QVBoxLayout()
        words.setSpacing(GRID)
        words.addWidget(self.text, 1)
        words.addWidget(self.status)
        words.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignLeft)
        words.addWidget(self._avoid)
        words.addWidget(self._avoid_note)
        pages = QVBoxLayout()
        pages.setSpacing(GAP)
        pages.addLayout(tabs)
        pages.addWidget(self._pages, 1)
        self._columns = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._columns.setContentsMargins(0, 0, 0, 0)
        self._columns.setSpacing(GAP)
        self._columns.addLayout(words, 2)
        self._columns.addLayout(pages, 3)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Beside each other where there is room, else one above the other."""
        super().resizeEvent(event)
        is_wide = event.size().width() >= _SIDE_BY_SIDE
        direction = QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom
        if direction != self._columns.direction():
            self._columns.setDirection(direction)
            self._columns.setSpacing(WIDE_GAP if is_wide else GAP)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        super().showEvent(event)
        self._page_chosen(self._tabs.checkedId(), True)

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot(str, int)
    def _text_edited(self, text: str, cursor: int) -> None:
        self._state.edit_text(text, cursor)

    @Slot(int, int, object)
    def _assign_asked(self, start: int, end: int, slot: PromptSlot) -> None:
        self._state.assign(start, end, slot)

    @Slot()
    def _avoid_edited(self) -> None:
        self._session.edit(negative_prompt=self._avoid.toPlainText() or None)

    @Slot(int, bool)
    def _page_chosen(self, index: int, is_chosen: bool) -> None:
        if not is_chosen:
            return
        self._pages.setCurrentIndex(index)
        page = self._pages.widget(index)
        if page is self.styles:
            self.styles.load()
        elif page is self.past:
            self.past.show_entries()
        elif page is self.more:
            self.more.look_for_models()

    @Slot(bool)
    def _unfold(self, is_open: bool) -> None:
        self._avoid.setVisible(is_open)
        self._avoid_note.setVisible(is_open)

    def _show_prompt(self, prompt: Prompt) -> None:
        self.text.show_text(prompt.text)

    def _show_request(self, request: GenerationRequest) -> None:
        negative = request.negative_prompt or ""
        self._fold.set_filled(bool(negative))
        if self._avoid.toPlainText() != negative:
            cursor = self._avoid.textCursor()
            cursor.select(QTextCursor.SelectionType.Document)
            with QSignalBlocker(self._avoid):
                cursor.insertText(negative)
