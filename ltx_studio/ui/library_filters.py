"""Search, sorting and filters of the library: what the query is, as controls."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QColor, QIcon, QImage, QKeyEvent, QPainter, QPixmap
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ltx_studio.domain.library import MAX_RATING, Label, Order, Place, Query, Verdict
from ltx_studio.state.library import LibraryState
from ltx_studio.state.observable import bind
from ltx_studio.ui import library_words
from ltx_studio.ui.controls import Button, Choice, IconButton, describe, keeps
from ltx_studio.ui.library_delegate import label_colour
from ltx_studio.ui.theme import GAP, ICON_PIXELS, Appearance
from ltx_studio.ui.throttle import Throttle

_SEARCH_INTERVAL_MS = 60
_KEYS = frozenset({Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter})
_NO_FILTERS = {
    "place": Place.LIBRARY,
    "verdict": Verdict.ANY,
    "min_rating": 0,
    "label": Label.NONE,
    "tag": "",
    "take_group": "",
}


class SearchField(QLineEdit):
    """Words to search for. Down and Return go to what was found; Esc clears it, then leaves it."""

    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "field")
        self.setPlaceholderText(self.tr("Search prompts and settings"))
        describe(self, self.tr("Search the library"), self.tr("Search prompts, settings, tags and file names (Ctrl+F)"))
        self.setClearButtonEnabled(True)

    def event(self, event: QEvent) -> bool:
        return keeps(event, _KEYS) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.left.emit()
        else:
            super().keyPressEvent(event)


class LibraryFilters(QWidget):
    """The head of the library panel."""

    def __init__(self, state: LibraryState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._appearance = appearance
        self.search = SearchField(self)
        self.order = self._choice(self.tr("Sorting"), [(library_words.order_name(item), item) for item in Order])
        self.groups = IconButton("mdi6.layers-triple-outline", self.tr("Group takes of one shot"), appearance, self)
        self.groups.setCheckable(True)
        self.fold = IconButton("mdi6.filter-variant", self.tr("Filters"), appearance, self)
        self.fold.setCheckable(True)
        self.filters = QWidget(self)
        ratings = [(library_words.min_rating_name(item), item) for item in range(MAX_RATING + 1)]
        self.rating = self._choice(self.tr("Least rating"), ratings)
        self.verdict = self._choice(self.tr("Mark"), [(library_words.verdict_name(item), item) for item in Verdict])
        self.label = self._choice(self.tr("Colour label"), [])
        self.tag = self._choice(self.tr("Tag"), [])
        self.place = self._choice(self.tr("Where"), [(library_words.place_name(item), item) for item in Place])
        self.clear = Button(self.tr("Clear filters"), "", self)
        self._arrange()
        self._connect()

    def _choice(self, name: str, items: Sequence[tuple[str, object]]) -> Choice:
        choice = Choice(name, name, self._appearance, self)
        for text, value in items:
            choice.addItem(text, value)
        choice.setMinimumContentsLength(6)  # a narrow panel shortens the words instead of growing
        choice.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        return choice

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.search)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.order, 1)
        row.addWidget(self.groups)
        row.addWidget(self.fold)
        layout.addLayout(row)
        grid = QGridLayout(self.filters)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        for position, control in enumerate((self.rating, self.verdict, self.label, self.tag, self.place, self.clear)):
            grid.addWidget(control, position // 2, position % 2)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.filters.hide()
        layout.addWidget(self.filters)

    def _connect(self) -> None:
        self._typed = Throttle(_SEARCH_INTERVAL_MS, self._search, self)
        self.search.textChanged.connect(self._typed.request)
        self.fold.toggled.connect(self.filters.setVisible)
        self.groups.toggled.connect(self._group)
        for choice, field in self._fields().items():
            choice.activated.connect(self._chooser(choice, field))
        self.clear.clicked.connect(self.clear_filters)
        bind(self._appearance.theme, self._show_labels)
        bind(self._state.tags, self._show_tags)
        bind(self._state.query, self._show)

    def _fields(self) -> dict[Choice, str]:
        """Which part of the query each list is for."""
        return {
            self.order: "order",
            self.rating: "min_rating",
            self.verdict: "verdict",
            self.label: "label",
            self.tag: "tag",
            self.place: "place",
        }

    def _chooser(self, choice: Choice, field: str) -> Callable[[int], None]:
        return lambda _row: self._state.ask(**{field: choice.currentData()})

    # --- reactions ----------------------------------------------------------------------------------------------------

    @Slot()
    def clear_filters(self) -> None:
        """Everything but the search's words."""
        self._state.ask(**_NO_FILTERS)

    def _search(self) -> None:
        self._state.ask(text=self.search.text())

    @Slot(bool)
    def _group(self, is_on: bool) -> None:
        self._state.ask(groups_takes=is_on)

    def _show(self, query: Query) -> None:
        """The query may have been changed by others."""
        if self.search.text() != query.text:
            with QSignalBlocker(self.search):
                self.search.setText(query.text)
        with QSignalBlocker(self.groups):
            self.groups.setChecked(query.groups_takes)
        for choice, field in self._fields().items():
            value = getattr(query, field)
            choice.setCurrentIndex(next((row for row in range(choice.count()) if choice.itemData(row) == value), -1))
        is_on = query.is_filtered
        self.clear.setEnabled(is_on)
        self.clear.setToolTip("" if is_on else self.tr("No filter is set."))
        self.fold.set_icon_name("mdi6.filter-variant-plus" if is_on else "mdi6.filter-variant")
        describe(self.fold, self.tr("Filters"), self.tr("Filters, some are on") if is_on else self.tr("Filters"))

    def _show_tags(self, tags: tuple[str, ...]) -> None:
        self.tag.clear()
        self.tag.addItem(self.tr("Any tag"), "")
        for tag in tags:
            self.tag.addItem(tag, tag)
        self._show(self._state.query.value)

    def _show_labels(self, _theme: object) -> None:
        """Names with their colour beside them."""
        self.label.clear()
        self.label.addItem(self.tr("Any colour"), Label.NONE)
        for label in list(Label)[1:]:
            colour = label_colour(label, self._appearance.theme.value)
            self.label.addItem(dot_icon(colour, self.devicePixelRatioF()), library_words.label_name(label), label)
        self._show(self._state.query.value)


def dot_icon(colour: str, ratio: float) -> QIcon:
    """A round spot of a colour."""
    pixels = round(ICON_PIXELS * ratio)
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(0)  # transparent
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(4, 4, 8, 8)
    painter.end()
    return QIcon(QPixmap.fromImage(image))
