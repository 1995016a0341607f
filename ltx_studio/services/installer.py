"""The installer's process, asked from the window: one command after the other, its messages as they come.

The window itself never installs and never opens a connection. The process may end with the window at any moment: what
it did is kept, and the same command goes on from there. `installers/README.md` lists the commands.
"""

import importlib.util
import logging
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal, Slot

from ltx_studio.installation.layout import (
    INSTALLATION_VARIABLE,
    INSTALLER_PYTHON_VARIABLE,
    INSTALLER_VARIABLE,
    PACKAGE_VARIABLE,
)
from ltx_studio.installation.messages import Failed, Stopped, from_line

logger = logging.getLogger("studio.install")

_STOP_WAIT_MS = 3000
# The window's own libraries are not for the installer's Python.
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "QT_PLUGIN_PATH", "LD_PRELOAD")


def has_engine() -> bool:
    """Whether torch is beside this window. Nothing is imported."""
    return importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class InstallerPlace:
    """How the process that installed this window is started again."""

    python: Path
    script: Path
    home: Path
    package: Path

    @property
    def command(self) -> list[str]:
        return [str(self.python), "-I", str(self.script)]

    @property
    def options(self) -> list[str]:
        return ["--home", str(self.home), "--package", str(self.package)]


def find_installer(environ: Mapping[str, str] = os.environ) -> InstallerPlace | None:
    """None where the studio was not started by its installer: a checkout, or pip."""
    names = (INSTALLER_PYTHON_VARIABLE, INSTALLER_VARIABLE, INSTALLATION_VARIABLE)
    python, script, home = (environ.get(name, "") for name in names)
    if not (home and Path(python).is_file() and Path(script).is_file()):
        return None
    package = environ.get(PACKAGE_VARIABLE) or Path(script).parent.parent
    return InstallerPlace(Path(python), Path(script), Path(home), Path(package))


class Installer(QObject):
    """Runs commands of the installer; lives in the window's thread, and waits for nothing."""

    said = Signal(str, object)  # the command's verb, and a Message
    ended = Signal(str, int)  # the verb, and the exit status

    def __init__(self, place: InstallerPlace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.place = place
        self._waiting: deque[list[str]] = deque()
        self._process: QProcess | None = None
        self._verb = ""
        self._rest = b""
        self._has_ended_in_words = False

    @Slot(object)
    def run(self, command: list[str]) -> None:
        """A verb and its options, after those before it."""
        self._waiting.append(command)
        self._start_next()

    @Slot()
    def stop(self) -> None:
        """Ask the command that runs to end, and forget those that wait; what it did stays."""
        self._waiting.clear()
        if self._process is not None:
            self._process.write(b"stop\n")
            self._process.closeWriteChannel()

    @Slot()
    def close(self) -> None:
        """Stop for good, waiting a moment; nothing is said after this."""
        process = self._process
        self._waiting.clear()
        if process is not None:
            self.stop()
            self._process = None
            process.readyReadStandardOutput.disconnect(self._read)
            process.finished.disconnect(self._finished)
            process.errorOccurred.disconnect(self._not_started)
            if not process.waitForFinished(_STOP_WAIT_MS):
                process.kill()  # it may be killed at any moment
                process.waitForFinished(_STOP_WAIT_MS)

    def _start_next(self) -> None:
        if self._process is not None or not self._waiting:
            return
        command = self._waiting.popleft()
        self._verb, self._rest, self._has_ended_in_words = command[0], b"", False
        program, *arguments = self.place.command
        environ = QProcessEnvironment.systemEnvironment()
        for name in _NOT_PASSED_ON:
            environ.remove(name)
        process = QProcess(self)
        process.setProcessEnvironment(environ)
        process.setStandardErrorFile(QProcess.nullDevice())
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._not_started)
        self._process = process
        process.start(program, [*arguments, *command, *self.place.options, "--json", "--attended"])

    @Slot()
    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._rest = (self._rest + self._process.readAllStandardOutput().data()).split(b"\n")
        for line in lines:
            message = from_line(line.decode("utf-8", errors="replace"))
            if message is not None:
                self._has_ended_in_words |= isinstance(message, Failed | Stopped)
                self.said.emit(self._verb, message)

    @Slot(int, QProcess.ExitStatus)
    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        if status is QProcess.ExitStatus.CrashExit or (code and code < 10 and not self._has_ended_in_words):
            logger.warning("the installer ended with %d", code)
            self._fail("The installer ended early.")
        self._forget(code)

    @Slot(QProcess.ProcessError)
    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._fail("The installer could not be started.")
            self._forget(-1)

    def _fail(self, message: str) -> None:
        remedy = "What was done is kept. Try again, or install the package of LTX Studio again."
        self.said.emit(self._verb, Failed("installer", message, remedy))

    def _forget(self, code: int) -> None:
        verb = self._verb
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        self.ended.emit(verb, code)
        self._start_next()


def restart(place: InstallerPlace) -> bool:
    """Start the studio again, in whatever environment is the current one now; whether that could be done."""
    program, *arguments = place.command
    started, _pid = QProcess.startDetached(program, [*arguments, "launch", *place.options], "")
    return bool(started)
