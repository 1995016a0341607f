"""Projects that the system asks a running studio to open: macOS sends an event where others start the program again."""

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QFileOpenEvent

from ltx_studio.domain.project_place import project_at


class FileOpening(QObject):
    """Watches the application for such events."""

    project_asked_for = Signal(object)  # the Path of a project's folder

    def __init__(self, app: QObject) -> None:
        super().__init__(app)
        app.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if isinstance(event, QFileOpenEvent):
            project = project_at(event.file())
            if project is not None:
                self.project_asked_for.emit(project)
            return True
        return super().eventFilter(watched, event)
