"""The system's trash: files go there instead of being deleted, and come back from there."""

import shutil
from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import QFile, QStandardPaths

from ltx_studio.domain.library import LibraryError

_DATA = QStandardPaths.StandardLocation.GenericDataLocation


class SystemTrash:
    """Recycle bin, Trash or the XDG trash folder, whichever this system has."""

    def put(self, path: Path) -> Path | None:
        """Move a file there; where it lies then, None where the system does not say. Raises LibraryError."""
        if not path.exists():
            raise LibraryError(
                f"{path} is not there, so it was not moved.", remedy="Connect its disk, or remove it from the library."
            )
        with suppress(OSError):  # Qt makes the trash on Linux, but not the folder that it belongs in
            Path(QStandardPaths.writableLocation(_DATA)).mkdir(parents=True, exist_ok=True)
        file = QFile(str(path))
        if not file.moveToTrash():
            raise LibraryError(
                f"{path} could not be moved to the trash.", remedy="Delete it in your file manager instead."
            )
        place = Path(file.fileName())  # which has changed, where the system says
        return place if place != path else None

    def take(self, trashed: Path, destination: Path) -> None:
        """Move a file back out of the trash. Raises LibraryError."""
        if not trashed.exists():
            raise LibraryError(
                f"{destination.name} is no longer in the trash.", remedy="Remove it from the library, or make it again."
            )
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(trashed, destination)
        except OSError as error:
            raise LibraryError(
                f"{destination.name} could not be taken out of the trash: {error.strerror}.",
                remedy="Restore it in your file manager.",
            ) from error
        with suppress(OSError):  # without the note the trash merely lists a file that is gone
            _note_of(trashed).unlink(missing_ok=True)


def _note_of(trashed: Path) -> Path:
    """The file in which the trash notes where another came from (XDG trash specification; Windows: $R and $I)."""
    if trashed.name.startswith("$R"):
        return trashed.with_name(f"$I{trashed.name[2:]}")
    return trashed.parent.parent / "info" / f"{trashed.name}.trashinfo"
