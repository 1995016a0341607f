"""The picture's shape and size: two lists, the second in pixels of the first."""

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QWidget

from engine.types import Size
from ltx_studio.domain.sizes import Scale, Shape, find_size, size_of
from ltx_studio.ui import words
from ltx_studio.ui.controls import Choice, Label
from ltx_studio.ui.theme import GAP, GRID, Appearance


class SizePicker(QWidget):
    """Says `picked` with a Size when the user chooses one. A size that is in no list has an entry of its own."""

    picked = Signal(object)

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._size: Size | None = None  # None: nothing was shown yet
        self._shape = Choice(self.tr("Shape"), self.tr("Width to height"), appearance, self)
        self._pixels = Choice(self.tr("Size"), self.tr("Width and height in pixels"), appearance, self)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(GAP)
        layout.setVerticalSpacing(GRID)
        for column, choice in enumerate((self._shape, self._pixels)):
            label = Label(choice.accessibleName(), "secondary", self)
            label.setBuddy(choice)
            layout.addWidget(label, 0, column)
            layout.addWidget(choice, 1, column)
        layout.setColumnStretch(0, 1)
        layout.setColumnStretch(1, 1)
        self._shape.activated.connect(self._shape_chosen)
        self._pixels.activated.connect(self._pixels_chosen)

    def show_size(self, size: Size | None) -> None:
        if size is None or size == self._size:
            return
        self._size = size
        found = find_size(size)
        with QSignalBlocker(self._shape), QSignalBlocker(self._pixels):
            self._shape.clear()
            for shape, text in self._shape_names().items():
                self._shape.addItem(text, shape)
            self._pixels.clear()
            if found is None:
                self._shape.addItem(self.tr("As given"), None)
                self._shape.setCurrentIndex(self._shape.count() - 1)
                self._pixels.addItem(words.size(size), size)
                return
            shape, scale = found
            self._shape.setCurrentIndex(list(Shape).index(shape))
            for item in Scale:
                self._pixels.addItem(words.size(size_of(shape, item)), size_of(shape, item))
            self._pixels.setCurrentIndex(list(Scale).index(scale))

    def _shape_names(self) -> dict[Shape, str]:
        return {
            Shape.WIDE: self.tr("Wide 16:9"),
            Shape.CLASSIC: self.tr("Classic 4:3"),
            Shape.SQUARE: self.tr("Square 1:1"),
            Shape.UPRIGHT: self.tr("Portrait 3:4"),
            Shape.TALL: self.tr("Portrait 9:16"),
        }

    @Slot()
    def _shape_chosen(self) -> None:
        shape: Shape | None = self._shape.currentData()
        if shape is not None:
            found = None if self._size is None else find_size(self._size)
            scale = found[1] if found is not None else Scale.SMALL
            self.picked.emit(size_of(Shape(shape), scale))

    @Slot()
    def _pixels_chosen(self) -> None:
        self.picked.emit(self._pixels.currentData())
