"""Puts the computer to sleep, by the system's own command and without a shell.

When that is wanted, and who may still say no, is `ltx_studio.ui.queue_done`.
"""

import logging
import shutil
import sys
from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, Signal, Slot

logger = logging.getLogger("studio.sleep")

Command = tuple[str, ...]
_COMMANDS: dict[str, tuple[Command, ...]] = {
    # SetSuspendState of powrprof.dll; where Windows may hibernate, it does that instead, and nothing is lost either.
    "win32": (("rundll32.exe", "powrprof.dll,SetSuspendState", "0,1,0"),),
    "darwin": (("/usr/bin/pmset", "sleepnow"),),
}
_OF_OTHER_SYSTEMS: tuple[Command, ...] = (("systemctl", "suspend"), ("loginctl", "suspend"))  # systemd, elogind


def sleep_commands(platform: str = sys.platform) -> list[Command]:
    """What this system may be asked with, the first choice first; only programs that are there."""
    commands = _COMMANDS.get(platform, _OF_OTHER_SYSTEMS)
    return [command for command in commands if shutil.which(command[0]) is not None]


class Sleeper(QObject):
    """Runs one command after the other until one succeeds."""

    refused = Signal()  # there is no command, or each of them failed

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._left: list[Command] = []
        self._process: QProcess | None = None

    def sleep(self, commands: Sequence[Command] | None = None) -> None:
        """Ask the system; returns at once. Harmless while it is being asked already."""
        if self._process is None:
            self._left = list(sleep_commands() if commands is None else commands)
            self._try_next()

    def _try_next(self) -> None:
        if not self._left:
            self.refused.emit()
            return
        program, *arguments = self._left.pop(0)
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._did_not_start)
        self._process.start(program, arguments)

    @Slot()
    def _ended(self) -> None:
        process = self._let_go()
        if process is None:
            return
        if process.exitStatus() is QProcess.ExitStatus.NormalExit and process.exitCode() == 0:
            logger.info("%s put the computer to sleep", process.program())
            return
        words = bytes(process.readAll().data()).decode(errors="replace").strip()
        logger.warning("%s ended with %d: %s", process.program(), process.exitCode(), words)
        self._try_next()

    @Slot(object)
    def _did_not_start(self, error: QProcess.ProcessError) -> None:
        """Of the errors, the one after which there is no end to wait for."""
        if error is QProcess.ProcessError.FailedToStart:
            process = self._let_go()
            if process is not None:
                logger.warning("%s cannot be started: %s", process.program(), process.errorString())
            self._try_next()

    def _let_go(self) -> QProcess | None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        return process
