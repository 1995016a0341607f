"""The studio: `main` opens the window, before torch is loaded, and stays until it is closed."""

import ctypes
import logging
import os
import sys
import threading
from importlib.resources import files
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from engine.folders import data_folder
from engine.network import guard_network

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication, QMessageBox

    from engine.jobs.runner import Engine
    from ltx_studio.ui.main_window import MainWindow

logger = logging.getLogger("studio")

EXIT_FAILED = 1
CLOSE_WAIT_MS = 10_000
_LOG_BYTES, _LOG_BACKUPS = 1_000_000, 3
_INSTALL_HINT = (
    "libegl1 libgl1 libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 "
    "libxcb-image0 libxcb-render-util0"
)


def main(*, has_fake_engine: bool = False, project: Path | None = None) -> int:
    """Open the window, with the last project unless another is named; returns the process's exit code."""
    problem = _window_problem()
    if problem is not None:
        sys.stderr.write(f"ltx-studio: {problem}\n")
        return EXIT_FAILED
    return _run(has_fake_engine=has_fake_engine, project=project)


def _window_problem() -> str | None:
    """Why no window can open here, in one sentence; Qt itself would abort the process."""
    try:
        import PySide6.QtWidgets  # noqa: PLC0415 - this is where missing system libraries show
    except ImportError as error:
        return _missing(str(error))
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM", "xcb").split(":")[0] != "xcb":
        return None
    if os.environ.get("WAYLAND_DISPLAY"):
        return None
    if not os.environ.get("DISPLAY"):
        return (
            "the window cannot open because there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "the commands work without one, see ltx-studio --help."
        )
    plugin = Path(PySide6.QtWidgets.__file__).parent / "Qt" / "plugins" / "platforms" / "libqxcb.so"
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return _missing(str(error))
    return None


def _missing(error: str) -> str:
    library = error.partition(":")[0]
    hint = f" (on Debian and Ubuntu: sudo apt install {_INSTALL_HINT})" if sys.platform.startswith("linux") else ""
    return (
        f"the window cannot open because a library of the system is missing, {library}; install it{hint}, "
        "or use the commands, which work without it."
    )


def _run(*, has_fake_engine: bool, project: Path | None) -> int:
    # Qt is known to load from here on; importing it at the top would lose the sentence above.
    from PySide6.QtCore import QCoreApplication  # noqa: PLC0415
    from PySide6.QtGui import QIcon  # noqa: PLC0415
    from PySide6.QtWidgets import QApplication  # noqa: PLC0415

    from ltx_studio.domain.estimate import first_request  # noqa: PLC0415
    from ltx_studio.services.engine_bridge import EngineBridge, WarmEngine  # noqa: PLC0415
    from ltx_studio.services.installer import find_installer, has_engine, restart  # noqa: PLC0415
    from ltx_studio.services.translation import speak  # noqa: PLC0415
    from ltx_studio.settings import HAS_SEEN_WELCOME, LANGUAGE, SEALED, SHOW_WELCOME  # noqa: PLC0415
    from ltx_studio.state.preferences import Preferences  # noqa: PLC0415
    from ltx_studio.state.queue import QueueState  # noqa: PLC0415
    from ltx_studio.state.session import Session  # noqa: PLC0415
    from ltx_studio.ui.main_window import MainWindow  # noqa: PLC0415
    from ltx_studio.ui.setup_wiring import RESTART_PROPERTY  # noqa: PLC0415
    from ltx_studio.ui.theme import Appearance  # noqa: PLC0415

    log = _start_log()
    preferences = Preferences()
    network = guard_network(sealed=preferences.get(SEALED), data_folder=data_folder())
    QCoreApplication.setApplicationName("ltx-studio")
    app = QApplication(sys.argv[:1])
    app.setApplicationDisplayName("LTX Studio")
    app.setDesktopFileName("ltx-studio")  # Wayland takes the icon from the desktop entry of this name
    app.setWindowIcon(QIcon(str(files("resources") / "icons" / "ltx-studio.svg")))
    _Errors(log).install()
    speak(app, preferences.get(LANGUAGE))
    bridge = EngineBridge(_fake_engine() if has_fake_engine else WarmEngine() if has_engine() else None, app)
    session = Session(first_request(), app)
    queue = QueueState(app)
    window = MainWindow(session, queue, bridge, Appearance(app, app), preferences, is_sealed=network.is_sealed)

    def seal(is_wanted: bool) -> None:
        # Never the other way: what was refused stays refused until the next start.
        network.is_sealed = network.is_sealed or is_wanted
        window.status_line.show_sealed(network.is_sealed)

    preferences.watch(SEALED, seal, app)
    if preferences.get(SHOW_WELCOME) or not preferences.get(HAS_SEEN_WELCOME) or not has_engine():
        window.show_welcome()
    window.show()
    queue.open()
    _open_projects(app, window, project)
    code = app.exec()
    queue.close()
    has_stopped = bridge.close(wait_ms=CLOSE_WAIT_MS)
    if app.property(RESTART_PROPERTY) and (place := find_installer()) is not None:
        restart(place)
    if not has_stopped:
        # The engine is inside one long call. Nothing that is on disk depends on it, and nobody waits for it.
        logger.warning("the engine did not stop in time; leaving without it")
        logging.shutdown()
        os._exit(code)
    return code


def _fake_engine() -> "Engine":
    from ltx_studio.services.fake_engine import FakeEngine  # noqa: PLC0415 - it loads what writes clips

    return FakeEngine()


def _open_projects(app: "QApplication", window: "MainWindow", project: Path | None) -> None:
    from ltx_studio.services.file_opening import FileOpening  # noqa: PLC0415 - Qt

    FileOpening(app).project_asked_for.connect(window.projects.state.open)
    if project is None:
        window.projects.start()
    else:
        window.projects.state.open(project, otherwise_new=True)


def _start_log() -> Path:
    """Warnings and worse to the terminal, what a user would report to a file as well."""
    path = data_folder() / "logs" / "studio.log"
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    handlers: list[logging.Handler] = [terminal]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_BACKUPS, encoding="utf-8", delay=True)
        )
    except OSError as error:
        logger.warning("no log file: %s", error)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    return path


class _Errors:
    """What reaches the top of a thread: logged once, and in the window's thread shown, one dialog at a time."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._dialog: QMessageBox | None = None

    def install(self) -> None:
        sys.excepthook = self._caught
        threading.excepthook = self._caught_in_thread

    def _caught(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        from PySide6.QtCore import QThread  # noqa: PLC0415
        from PySide6.QtWidgets import QApplication  # noqa: PLC0415

        from ltx_studio.ui.dialogs import show_unexpected_error  # noqa: PLC0415

        app = QApplication.instance()
        if issubclass(kind, KeyboardInterrupt):
            if app is not None:
                app.quit()
            return
        logger.error("unexpected error", exc_info=(kind, error, traceback))
        is_shown = self._dialog is not None and self._dialog.isVisible()
        if app is not None and QThread.currentThread() is app.thread() and not is_shown:
            self._dialog = show_unexpected_error(QApplication.activeWindow(), str(self._log))

    def _caught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        logger.error("unexpected error in thread %s", args.thread, exc_info=args.exc_value)
