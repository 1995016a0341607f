"""A fuller prompt, written in a process of its own: `ltx-studio enhance`.

The language model takes many gigabytes and minutes on a small machine; a process can be stopped at any moment and gives
everything back. The prompt travels through its standard input, where no list of processes shows it.
"""

import json
import sys

from PySide6.QtCore import QCoreApplication, QObject, QProcess, QProcessEnvironment, Signal, Slot

_STOP_MS = 2000
_FROM_STDIN = "-"  # of `ltx_studio.enhance_command`


class PromptEnhancing(QObject):
    """One prompt at a time."""

    grew = Signal(str)  # the text as far as it is written
    finished = Signal(str)  # the whole of it
    failed = Signal(str)  # a sentence

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._read = ""  # of standard error, up to the last whole line
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, prompt: str, *, model: str | None = None, seed: int = 0, is_sealed: bool = False) -> None:
        """Begin to write; whatever was being written is dropped."""
        self.stop()
        self._read = ""
        process = self._process = QProcess(self)
        process.readyReadStandardError.connect(self._wrote)
        process.finished.connect(self._ended)
        process.errorOccurred.connect(self._broke)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        arguments = ["-m", "ltx_studio", "enhance", _FROM_STDIN, "--json", "--progress", "json", "--seed", str(seed)]
        arguments += ["--model", model] if model is not None else []
        arguments += ["--sealed"] if is_sealed else []
        process.start(sys.executable, arguments)
        process.write(prompt.encode())
        process.closeWriteChannel()

    @Slot()
    def stop(self) -> None:
        """End the process, and say nothing more of it."""
        process, self._process = self._process, None
        if process is not None:
            process.readyReadStandardError.disconnect(self._wrote)
            process.finished.disconnect(self._ended)
            process.errorOccurred.disconnect(self._broke)
            process.kill()
            process.waitForFinished(_STOP_MS)
            process.deleteLater()

    @Slot()
    def _wrote(self) -> None:
        if self._process is None:
            return
        *lines, self._read = (self._read + self._process.readAllStandardError().toStdString()).split("\n")
        for line in lines:
            if line.startswith("{"):  # libraries may write there too
                self.grew.emit(str(json.loads(line)["text"]))

    @Slot(int)
    def _ended(self, code: int) -> None:
        process, self._process = self._process, None
        assert process is not None, "stop() disconnects before it forgets the process"
        output = process.readAllStandardOutput().toStdString().strip()
        process.deleteLater()
        try:
            said = json.loads(output.splitlines()[-1])
            text, error = said.get("prompt"), said.get("error")
        except (ValueError, IndexError, AttributeError):
            text, error = None, None
        if code == 0 and text is not None:
            self.finished.emit(text)
        elif error is not None:
            self.failed.emit(f"{error['message']} {error['remedy']}".strip())
        else:
            self.failed.emit(self.tr("The prompt could not be enhanced; it is as it was."))

    @Slot(QProcess.ProcessError)
    def _broke(self, error: QProcess.ProcessError) -> None:
        """The others end in `finished`."""
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            process, self._process = self._process, None
            process.deleteLater()
            self.failed.emit(self.tr("The prompt could not be enhanced; it is as it was."))
