"""Counts the tokens of a prompt in a process of its own: loading the tokenizer would hold up the window for a second.

The process starts with the first question and is asked only for the newest text; while there is no tokenizer, or until
the first answer, the number is an estimate and says so.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QProcess, QTimer, Signal, Slot

from engine.weights.token_count import estimated_tokens

DEBOUNCE_MS = 150
_STOP_MS = 1000


@dataclass(frozen=True)
class TokenCount:
    """How many tokens a prompt takes."""

    tokens: int
    is_estimate: bool


class TokenCounting(QObject):
    """Answers every text with `counted`, at once by an estimate where need be and later exactly."""

    counted = Signal(object)  # TokenCount

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._asked: str | None = None  # what the process is counting
        self._folder: Path | None = None
        self._process: QProcess | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._ask)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    def set_folder(self, folder: Path | None) -> None:
        """Count with the tokenizer of this folder; None is for estimates."""
        if folder != self._folder:
            self._folder = folder
            self.close()
            self._timer.start()

    def count(self, text: str) -> None:
        """Count this text and forget those before."""
        self._text = text
        if self._process is None:
            self.counted.emit(TokenCount(estimated_tokens(text), is_estimate=True))
        if self._folder is not None:
            self._timer.start()

    @Slot()
    def close(self) -> None:
        """End the process."""
        self._timer.stop()
        process, self._process, self._asked = self._process, None, None
        if process is not None:
            process.readyReadStandardOutput.disconnect(self._answered)
            process.errorOccurred.disconnect(self._ended)
            process.finished.disconnect(self._ended)
            process.closeWriteChannel()
            process.kill()
            process.waitForFinished(_STOP_MS)
            process.deleteLater()

    @Slot()
    def _ask(self) -> None:
        if self._folder is None or self._asked is not None or not self._text.strip():
            return
        if self._process is None:
            self._process = QProcess(self)
            self._process.readyReadStandardOutput.connect(self._answered)
            self._process.errorOccurred.connect(self._ended)
            self._process.finished.connect(self._ended)
            self._process.start(sys.executable, ["-m", "engine.weights.token_count", str(self._folder)])
        self._asked = self._text
        self._process.write(f"{json.dumps(self._asked)}\n".encode())

    @Slot()
    def _answered(self) -> None:
        process = self._process
        if process is None or not process.canReadLine():
            return
        tokens = int(process.readLine().toStdString())
        text, self._asked = self._asked, None
        if text == self._text:
            self.counted.emit(TokenCount(tokens, is_estimate=False))
        else:
            self._ask()

    @Slot()
    def _ended(self) -> None:
        """Without its process there are estimates; a tokenizer that cannot be read is said when the model is loaded."""
        self._folder = None
        self.close()
        self.counted.emit(TokenCount(estimated_tokens(self._text), is_estimate=True))
