"""The panel of references: drop, paste or choose files, and say what each is for.

Files are opened on the probe's thread and become cards when they are read. The cards themselves are
`ltx_studio.state.references`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PySide6.QtCore import QMimeData, QPoint, Qt, QTimer, Slot
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.domain.references import Card, Unreadable
from ltx_studio.services.desktop import reveal
from ltx_studio.services.reference_probe import Preview, Probed, ReferenceProbe
from ltx_studio.state.references import ReferencesState
from ltx_studio.ui import reference_words
from ltx_studio.ui.controls import Button, IconButton, Label, describe, set_role
from ltx_studio.ui.reference_card import CARD_TYPE
from ltx_studio.ui.reference_list import Landing, ReferenceList
from ltx_studio.ui.reference_notes import EmptyReferences, ReadingLine, Refusals
from ltx_studio.ui.theme import GAP, PADDING, Appearance

_READING_SAID_AFTER_MS = 300
_MAX_UNUSED_PREVIEWS = 32  # of removed cards, whose undoing should not read the files again
_SCROLL_ZONE, _SCROLL_STEP = 24, 12  # pixels: near the edges of the list a drag scrolls it


def choose_files(parent: QWidget) -> list[Path]:
    """The system's dialog; empty when it was left."""
    kinds = parent.tr("Pictures, clips and sounds") + (
        " (*.png *.jpg *.jpeg *.webp *.tif *.tiff *.bmp *.gif *.mp4 *.mov *.mkv *.webm *.avi *.m4v"
        " *.wav *.flac *.mp3 *.m4a *.aac *.ogg *.opus);;"
    )
    names, _ = QFileDialog.getOpenFileNames(parent, parent.tr("Choose files"), "", kinds + parent.tr("All files (*)"))
    return [Path(name) for name in names]


@dataclass
class _Batch:
    """Files that were given at once: one step to undo. `index` is where the next of them goes."""

    number: int
    index: int | None


@dataclass(frozen=True)
class _Errand:
    """What a file is read for: a card's place, or a new card of a batch; neither: a card that has it already."""

    path: Path | None = None  # of a card that has it already
    replaced_id: int | None = None
    batch: _Batch | None = None


class ReferencesPanel(QWidget):
    """Owns the probe and its thread; call `close_threads` before it goes."""

    def __init__(
        self,
        state: ReferencesState,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        choose: Callable[[QWidget], list[Path]] = choose_files,
        show_in_folder: Callable[[Path], bool] = reveal,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._choose = choose
        self._show_in_folder = show_in_folder
        self._errands: dict[int, _Errand] = {}
        self._num_batches = 0
        self._previews: dict[Path, Preview] = {}
        self.probe = ReferenceProbe(self)
        self.list = ReferenceList(state, appearance, self)
        self._scroll = QScrollArea(self)
        self._empty = EmptyReferences(appearance, self)
        self._pages = QStackedWidget(self)
        self._refusals = Refusals(appearance, self)
        self._reading = ReadingLine(self)
        self._reading_soon = QTimer(self)
        self._scroll_soon = QTimer(self)  # once the new card has its place
        self._path_to_show: Path | None = None
        self._summary = Label("", "secondary", self)
        self._add = Button(self.tr("Add files"), "", self)
        self._paste = IconButton("mdi6.content-paste", self.tr("Paste"), appearance, self)
        self._undo = IconButton("mdi6.undo", self.tr("Undo"), appearance, self)
        self._redo = IconButton("mdi6.redo", self.tr("Redo"), appearance, self)
        self.setAcceptDrops(True)
        self._arrange()
        self._connect()

    # --- building -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        self._scroll.setWidget(self.list)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        # Where there is nothing to scroll the bar shows nothing, and cards keep their width.
        self._scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._scroll)
        self._summary.setWordWrap(True)
        self._summary.setContentsMargins(PADDING, 0, PADDING, 0)
        describe(self._add, self.tr("Add files"), self.tr("Add pictures, clips or sounds; or drop them here"))
        describe(self._paste, self.tr("Paste"), self.tr("Add the picture or the files on the clipboard (Ctrl+V)"))
        foot = QHBoxLayout()
        foot.setContentsMargins(PADDING, 0, PADDING, 0)
        foot.setSpacing(GAP)
        foot.addWidget(self._add)
        foot.addStretch(1)
        for button in (self._paste, self._undo, self._redo):
            foot.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, PADDING, 0, PADDING)
        layout.setSpacing(GAP)
        layout.addWidget(self._refusals)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self._reading)
        layout.addWidget(self._summary)
        layout.addLayout(foot)

    def _connect(self) -> None:
        state, stack = self._state, self._state.undo_stack
        state.changed.connect(self._show_state)
        state.wanted.connect(self._read_again)
        self.probe.answered.connect(self._take_answer)
        self.probe.waiting_changed.connect(self._show_waiting)
        self._reading_soon.setSingleShot(True)
        self._reading_soon.setInterval(_READING_SAID_AFTER_MS)
        self._reading_soon.timeout.connect(self._show_reading)
        self._scroll_soon.setSingleShot(True)
        self._scroll_soon.setInterval(0)
        self._scroll_soon.timeout.connect(self._scroll_to_new)
        self._reading.stop_asked.connect(self.stop_reading)
        self.list.replace_asked.connect(self._choose_replacement)
        self.list.reveal_asked.connect(self._reveal)
        self._empty.files_asked.connect(self._choose_more)
        self._add.clicked.connect(self._choose_more)
        self._paste.clicked.connect(self.paste)
        self._undo.clicked.connect(stack.undo)
        self._redo.clicked.connect(stack.redo)
        self._undo_connection = stack.indexChanged.connect(self._show_undo)
        app = QGuiApplication.instance()
        assert isinstance(app, QGuiApplication)
        app.applicationStateChanged.connect(self._application_changed)
        for keys, reaction in (
            (QKeySequence.StandardKey.Paste, self.paste),
            (QKeySequence.StandardKey.Undo, stack.undo),
            (QKeySequence.StandardKey.Redo, stack.redo),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(reaction)
        self._show_undo()
        self._show_state()
        state.ask_for_unread()

    # --- files coming in ----------------------------------------------------------------------------------------------

    def add_files(self, paths: list[Path], landing: Landing | None = None) -> None:
        """Read these, and make cards of those that can be: at the end, or where they landed."""
        self._refusals.clear()
        self._path_to_show = None
        self._num_batches += 1
        batch = _Batch(self._num_batches, landing.index if landing else None)
        for path in paths:
            replaced = landing.replaced if landing is not None and path == paths[0] else None
            errand = _Errand(batch=batch) if replaced is None else _Errand(replaced_id=replaced.id)
            self._errands[self.probe.read(path)] = errand

    @Slot()
    def paste(self) -> None:
        """Files or a picture from the clipboard."""
        # PySide's stub does not know that an empty clipboard may have no data at all.
        data = cast("QMimeData | None", QGuiApplication.clipboard().mimeData())
        if data is None or not self._take_data(data, None):
            self._refusals.clear()
            self._refusals.add(
                self.tr("There is no picture and no file on the clipboard. Copy one, then paste it here.")
            )

    def close_threads(self) -> None:
        """End the probe's thread, and stop listening to an undo stack that may be gone before this is."""
        self.probe.close()
        self.disconnect(self._undo_connection)

    def _take_data(self, data: QMimeData, landing: Landing | None) -> bool:
        """Files on this computer before pixels: browsers offer both for what they show."""
        paths = _local_files(data)
        if paths:
            self.add_files(paths, landing)
            return True
        image = data.imageData() if data.hasImage() else None
        if not isinstance(image, QImage) or image.isNull():
            return False
        self._refusals.clear()
        self._num_batches += 1
        batch = _Batch(self._num_batches, landing.index if landing else None)
        replaced = landing.replaced if landing else None
        errand = _Errand(batch=batch) if replaced is None else _Errand(replaced_id=replaced.id)
        self._errands[self.probe.keep_pasted(image)] = errand
        return True

    @Slot(object)
    def _read_again(self, path: Path) -> None:
        if all(errand.path != path for errand in self._errands.values()):
            self._errands[self.probe.read(path)] = _Errand(path)

    @Slot(object)
    def _take_answer(self, probed: Probed) -> None:
        errand = self._errands.pop(probed.ticket)
        path, finding = probed.path, probed.finding
        if path is not None:
            self._previews[path] = probed.preview
        if errand.path is not None:
            self._state.found(errand.path, finding)
            self._show_state()
            return
        if isinstance(finding, Unreadable) or path is None:
            assert isinstance(finding, Unreadable)
            self._refusals.add(reference_words.refusal(path, finding))
            self._scroll_soon.start()  # there is less room than before
            return
        replaced = next((card for card in self._state.cards if card.id == errand.replaced_id), None)
        if replaced is not None:
            self._state.replace(replaced, path, finding)
        elif errand.batch is not None:
            self._state.add(path, finding, index=errand.batch.index, batch=errand.batch.number)
            if errand.batch.index is not None:
                errand.batch.index += 1
        self._show_state()
        self._path_to_show = path
        self._scroll_soon.start()

    @Slot()
    def stop_reading(self) -> None:
        """Files that are not read yet do not become cards, and cards that wait for theirs say so."""
        unread = [errand.path for errand in self._errands.values() if errand.path is not None]
        self._errands.clear()
        self.probe.stop()
        for path in unread:
            if self._state.finding(path) is None:
                reason, remedy = self.tr("reading it was stopped"), self.tr("Replace it, or open this panel again.")
                self._state.found(path, Unreadable(reason, remedy))

    @Slot()
    def _choose_more(self) -> None:
        paths = self._choose(self)
        if paths:
            self.add_files(paths)

    @Slot(int)
    def _choose_replacement(self, card_id: int) -> None:
        paths = self._choose(self)
        card = next((card for card in self._state.cards if card.id == card_id), None)
        if paths and card is not None:
            self.add_files(paths, Landing(self._state.cards.index(card) + 1, card))

    @Slot(object)
    def _reveal(self, path: Path) -> None:
        if not self._show_in_folder(path):
            self._refusals.clear()
            self._refusals.add(self.tr("The folder could not be shown. The file is {path}").format(path=path))

    @Slot(Qt.ApplicationState)
    def _application_changed(self, app_state: Qt.ApplicationState) -> None:
        if app_state == Qt.ApplicationState.ApplicationActive and self.isVisible():
            self._look_again()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        super().showEvent(event)
        self._look_again()

    def _look_again(self) -> None:
        """Files that could not be read may be there now: a drive was plugged in, a copy has ended."""
        for path in dict.fromkeys(card.path for card in self._state.cards):
            if isinstance(self._state.finding(path), Unreadable):
                self._read_again(path)

    # --- showing ------------------------------------------------------------------------------------------------------

    @Slot()
    def _show_state(self) -> None:
        cards = self._state.cards
        focused = QApplication.focusWidget()
        had_keyboard = focused is not None and self._scroll.isAncestorOf(focused)
        self._drop_unused_previews(cards)
        self.list.show_cards(self._previews)
        for path in {card.path for card in cards} - self._previews.keys():
            if self._state.finding(path) is not None:  # known from before this panel was made
                self._read_again(path)
        self._pages.setCurrentWidget(self._scroll if cards else self._empty)
        self._add.setVisible(bool(cards))
        if had_keyboard and not cards:
            self._empty.button.setFocus(Qt.FocusReason.OtherFocusReason)
        num_left_out = self._state.num_left_out()
        self._summary.setVisible(num_left_out > 0)
        set_role(self._summary, "warn-small")
        sentence = self.tr("{number} of {all} left out of the next clip; the cards say why.")
        self._summary.setText(sentence.format(number=num_left_out, all=len(cards)))

    @Slot()
    def _scroll_to_new(self) -> None:
        widget = next((item for item in self.list.cards() if item.card.path == self._path_to_show), None)
        if widget is not None:
            self._scroll.ensureWidgetVisible(widget, 0, GAP)

    def _drop_unused_previews(self, cards: tuple[Card, ...]) -> None:
        used = {card.path for card in cards}
        unused = [path for path in self._previews if path not in used]
        for path in unused[: max(len(unused) - _MAX_UNUSED_PREVIEWS, 0)]:
            del self._previews[path]

    @Slot()
    def _show_undo(self, _index: int = 0) -> None:
        stack = self._state.undo_stack
        for button, can, text, name, keys in (
            (self._undo, stack.canUndo(), stack.undoText(), self.tr("Undo"), "Ctrl+Z"),
            (self._redo, stack.canRedo(), stack.redoText(), self.tr("Redo"), "Ctrl+Shift+Z"),
        ):
            button.setEnabled(can)
            what = self.tr("{name}: {text} ({keys})") if can else self.tr("{name} ({keys}): there is nothing to do")
            describe(button, name, what.format(name=name, text=text, keys=keys))

    @Slot()
    def _show_waiting(self) -> None:
        """A reading that is over at once is not worth a line."""
        names = self.probe.waiting
        if not names:
            self._reading_soon.stop()
            self._reading.hide()
        elif self._reading.isVisible():
            self._reading.say(names)
        elif not self._reading_soon.isActive():
            self._reading_soon.start()

    @Slot()
    def _show_reading(self) -> None:
        if self.probe.waiting:
            self._reading.say(self.probe.waiting)
            self._reading.show()

    # --- dragging -----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        data = event.mimeData()
        if data.hasFormat(CARD_TYPE) or _local_files(data) or data.hasImage():
            event.acceptProposedAction()
            self._show_landing(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802 - Qt's name
        self._show_landing(event)
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802 - Qt's name
        self._hide_landing()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        self._hide_landing()
        landing, data = self._landing(event), event.mimeData()
        if data.hasFormat(CARD_TYPE):
            moved_id = int(bytes(data.data(CARD_TYPE).data()))
            moved = next((card for card in self._state.cards if card.id == moved_id), None)
            if moved is not None:
                self._state.move(moved, landing.index)
            event.acceptProposedAction()
        elif self._take_data(data, landing if self._state.cards else None):
            event.acceptProposedAction()

    def _landing(self, event: QDropEvent) -> Landing:
        point = self.list.mapFrom(self, event.position().toPoint())
        return self.list.landing(point, may_replace=not event.mimeData().hasFormat(CARD_TYPE))

    def _show_landing(self, event: QDragMoveEvent) -> None:
        if not self._state.cards:
            self._empty.show_landing(True)
            return
        self._scroll_near_edge(event.position().toPoint())
        self.list.show_landing(self._landing(event))

    def _hide_landing(self) -> None:
        self.list.show_landing(None)
        self._empty.show_landing(False)

    def _scroll_near_edge(self, point: QPoint) -> None:
        y, bar = self._scroll.mapFrom(self, point).y(), self._scroll.verticalScrollBar()
        if y < _SCROLL_ZONE:
            bar.setValue(bar.value() - _SCROLL_STEP)
        elif y > self._scroll.height() - _SCROLL_ZONE:
            bar.setValue(bar.value() + _SCROLL_STEP)


def _local_files(data: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
