"""Style presets as swatches: a click or Space puts a style's words into the prompt, and again takes them out."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from engine.errors import EngineError
from ltx_studio.domain.prompt import Prompt
from ltx_studio.domain.prompt_presets import StylePreset, save_style, style_presets
from ltx_studio.domain.prompt_words import Part, Slot
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.ui.controls import CHOOSE_KEYS, Button, Label, describe, icon, keeps
from ltx_studio.ui.prompt_swatch import paint_swatch
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, RADIUS, SECONDARY_PIXELS, Appearance, ui_font

SWATCH = QSize(88, 50)  # 16:9
_NAME_HEIGHT = 20
_Index = QModelIndex | QPersistentModelIndex


class StyleModel(QAbstractListModel):
    """The styles that match a search, and which of them are applied."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._presets: Sequence[StylePreset] = ()
        self._applied: tuple[str, ...] = ()

    def set_presets(self, presets: Sequence[StylePreset]) -> None:
        self.beginResetModel()
        self._presets = presets
        self.endResetModel()

    def set_applied(self, applied: tuple[str, ...]) -> None:
        if applied != self._applied:
            self._applied = applied
            if self._presets:
                self.dataChanged.emit(self.index(0), self.index(len(self._presets) - 1))

    def preset(self, index: _Index) -> StylePreset:
        return self._presets[index.row()]

    def is_applied(self, preset: StylePreset) -> bool:
        return preset.id in self._applied

    def rowCount(self, parent: _Index | None = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._presets)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        preset = self.preset(index)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return preset.name
            case Qt.ItemDataRole.ToolTipRole:
                return preset.words
            case Qt.ItemDataRole.CheckStateRole:
                return Qt.CheckState.Checked if self.is_applied(preset) else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.AccessibleTextRole:
                text = self.tr("{name}, applied") if self.is_applied(preset) else "{name}"
                return text.format(name=preset.name)
            case _:
                return None


class _SwatchDelegate(QStyledItemDelegate):
    """Paints swatch and name; applied styles have a tick as well as a ring."""

    def __init__(self, model: StyleModel, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model
        self._appearance = appearance

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802 - Qt's name
        return QSize(SWATCH.width() + GAP, SWATCH.height() + _NAME_HEIGHT + GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme, preset = self._appearance.theme.value, self._model.preset(index)
        rect: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue] - the stubs leave out its fields
        state: QStyle.StateFlag = option.state  # pyright: ignore[reportAttributeAccessIssue]
        area = QRect(rect.left() + GAP // 2, rect.top() + GAP // 2, SWATCH.width(), SWATCH.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_swatch(painter, area, preset, theme)
        is_applied = self._model.is_applied(preset)
        has_focus = bool(state & QStyle.StateFlag.State_HasFocus)
        if is_applied or has_focus or state & QStyle.StateFlag.State_MouseOver:
            colour = theme.accent if is_applied or has_focus else theme.line
            painter.setPen(QPen(QColor(colour), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(-1, -1, 1, 1), RADIUS, RADIUS)
        if is_applied:
            badge = QRect(area.right() - ICON_PIXELS - GRID, area.top() + GRID, ICON_PIXELS, ICON_PIXELS)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.surface))
            painter.drawEllipse(badge.adjusted(-1, -1, 1, 1))
            icon("mdi6.check", theme).paint(painter, badge)
        painter.setFont(ui_font(painter.font(), SECONDARY_PIXELS))
        painter.setPen(QColor(theme.text))
        name = QRect(area.left(), area.bottom() + GRID // 2, area.width(), _NAME_HEIGHT)
        text = painter.fontMetrics().elidedText(preset.name, Qt.TextElideMode.ElideRight, name.width())
        painter.drawText(name, Qt.AlignmentFlag.AlignCenter, text)
        painter.restore()


class _StyleView(QListView):
    """Space and Return apply; arrows move."""

    pressed_on = Signal(QModelIndex)

    def event(self, event: QEvent) -> bool:
        return keeps(event, CHOOSE_KEYS | {Qt.Key.Key_Up, Qt.Key.Key_Down}) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        is_plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if event.key() in {Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter} and is_plain:
            self.pressed_on.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)


class StylesPage(QWidget):
    """Search, swatches, and keeping the words of the style field as a style of one's own."""

    def __init__(self, state: PromptState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._presets: Sequence[StylePreset] | None = None  # read when the page is first shown
        self.search = QLineEdit(self)
        self.search.setProperty("role", "field")
        self.search.setClearButtonEnabled(True)
        self.search.setPlaceholderText(self.tr("Search styles"))
        describe(self.search, self.tr("Search styles"))
        self._model = StyleModel(self)
        self.view = _StyleView(self)
        describe(self.view, self.tr("Styles"), " ")
        self.view.setModel(self._model)
        self.view.setItemDelegate(_SwatchDelegate(self._model, appearance, self.view))
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setFrameShape(QFrame.Shape.NoFrame)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._note = Label(role="secondary", parent=self)
        self._note.setWordWrap(True)
        self._name = QLineEdit(self)
        self._name.setProperty("role", "field")
        self._name.setPlaceholderText(self.tr("Name of a new style"))
        describe(self._name, self.tr("Name of a new style"))
        self._keep = Button(self.tr("Keep"), parent=self)
        keep = QHBoxLayout()
        keep.setSpacing(GAP)
        keep.addWidget(self._name, 1)
        keep.addWidget(self._keep)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.search)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._note)
        layout.addLayout(keep)
        self.search.textChanged.connect(self._filter)
        self.view.clicked.connect(self._toggle)
        self.view.pressed_on.connect(self._toggle)
        self._name.textChanged.connect(self._show_keep)
        self._name.returnPressed.connect(self._keep_style)
        self._keep.clicked.connect(self._keep_style)
        appearance.theme.changed.connect(self._repaint)
        bind(state.prompt, self._show)

    def load(self) -> None:
        """Read the style files again."""
        self._presets = style_presets()
        self._filter()

    def controls(self) -> list[QWidget]:
        return [self.search, self.view, self._name, self._keep]

    def _filter(self, _text: str = "") -> None:
        words = self.search.text().casefold().split()
        found = [
            preset
            for preset in self._presets or ()
            if all(word in f"{preset.name} {preset.words}".casefold() for word in words)
        ]
        self._model.set_presets(found)
        self._note.setText("" if found else self.tr("No style has these words."))
        self._note.setVisible(not found)

    def _toggle(self, index: QModelIndex) -> None:
        if index.isValid():
            preset = self._model.preset(index)
            self._state.set_preset(preset, not self._model.is_applied(preset))

    def _show(self, prompt: Prompt) -> None:
        self._model.set_applied(prompt.presets)
        self._show_keep()

    def _show_keep(self, _text: str = "") -> None:
        reason = ""
        if not self._words():
            reason = self.tr("Fill in the part Style first: its words become the new style.")
        elif not self._name.text().strip():
            reason = self.tr("Give the new style a name.")
        self._keep.setEnabled(not reason)
        describe(
            self._keep, self.tr("Keep the style"), reason or self.tr("Keep the words of the part Style as a style")
        )

    def _keep_style(self) -> None:
        if not self._keep.isEnabled():
            return
        try:
            save_style(self._name.text(), self._words())
        except EngineError as error:
            self._note.setText(str(error))
            self._note.setVisible(True)
            return
        self._name.clear()
        self.load()

    def _words(self) -> str:
        return self._state.prompt.value.value(Slot(Part.STYLE)).strip()

    def _repaint(self, _theme: object) -> None:
        self.view.viewport().update()
