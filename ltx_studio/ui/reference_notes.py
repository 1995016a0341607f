"""What the references panel says beside its cards: that there are none, that files are read, that one was not taken."""

import re

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.theme import GAP, GRID, PADDING, RADIUS, WIDE_GAP, Appearance

_MAX_SENTENCES = 4  # more are counted


class EmptyReferences(QWidget):
    """One sentence about what goes here, and the one thing to do."""

    files_asked = Signal()

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._is_landing = False
        words = Label(
            self.tr(
                "Drop pictures, clips or a sound here, and the clip is made from them: a first frame, a last one, "
                "a sound to follow."
            ),
            parent=self,
        )
        words.setWordWrap(True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = Button(self.tr("Choose files"), "", self)
        describe(self.button, self.tr("Choose files"), self.tr("Add pictures, clips or sounds"))
        self.button.clicked.connect(self.files_asked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * PADDING, PADDING, 2 * PADDING, PADDING)
        layout.setSpacing(WIDE_GAP)
        layout.addStretch(1)
        layout.addWidget(words)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(2)

    def show_landing(self, is_landing: bool) -> None:
        """Whether something dragged would land here."""
        if is_landing != self._is_landing:
            self._is_landing = is_landing
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        if not self._is_landing:
            return
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.accent), 2))
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(PADDING, 1, -PADDING, -1), RADIUS, RADIUS)


class Refusals(QWidget):
    """Sentences about files that were not taken, until they are closed or other files are given."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._sentences: list[str] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(GAP)
        self._close = IconButton("mdi6.close", self.tr("Close the message"), appearance, self)
        self._close.clicked.connect(self.clear)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(PADDING, 0, PADDING, 0)
        layout.setSpacing(GAP)
        layout.addLayout(self._column, 1)
        layout.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def add(self, sentence: str) -> None:
        self._sentences.append(sentence)
        num_more = len(self._sentences) - _MAX_SENTENCES
        if num_more <= 0:
            self._line().setText(_breakable(sentence))
        else:
            line = self._line() if num_more == 1 else self._lines()[-1]
            line.setText(self.tr("Others that were not added: {number}.").format(number=num_more))
        self.setAccessibleName("\n".join(self._sentences))
        self.show()

    def clear(self) -> None:
        self._sentences = []
        for line in self._lines():
            self._column.removeWidget(line)
            line.deleteLater()
        self.hide()

    def _line(self) -> Label:
        line = Label("", "warn", self)
        line.setWordWrap(True)
        line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._column.addWidget(line)
        return line

    def _lines(self) -> list[Label]:
        items = [self._column.itemAt(index) for index in range(self._column.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [widget for widget in widgets if isinstance(widget, Label)]

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self.clear()
        else:
            super().keyPressEvent(event)


class ReadingLine(QWidget):
    """Which file is being read, how many are to come, and the way to stop."""

    stop_asked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = Label("", "secondary", self)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 0)
        self._bar.setAccessibleName(self.tr("Reading files"))
        stop = Button(self.tr("Stop"), "", self)
        describe(stop, self.tr("Stop reading files"), self.tr("Leave out the files that are not read yet"))
        stop.clicked.connect(self.stop_asked)
        column = QVBoxLayout()
        column.setSpacing(GRID)
        column.addWidget(self._words)
        column.addWidget(self._bar)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(PADDING, 0, PADDING, 0)
        layout.setSpacing(GAP)
        layout.addLayout(column, 1)
        layout.addWidget(stop)
        self.hide()

    def say(self, names: tuple[str, ...]) -> None:
        """Files that are not read yet, the one being read first; at least one."""
        if len(names) == 1:
            self._words.setText(self.tr("Reading {name}").format(name=names[0]))
        else:
            sentence = self.tr("Reading {name}; {number} more to come")
            self._words.setText(sentence.format(name=names[0], number=len(names) - 1))
        self._words.setToolTip("\n".join(names))


def _breakable(sentence: str) -> str:
    """A long name may be broken at these; else it would be cut off."""
    return re.sub(r"([/\\_.-])(?=\S)", "\\1\u200b", sentence)
