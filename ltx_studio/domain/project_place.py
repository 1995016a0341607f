"""Which project a file manager means by a path. Standard library only: every command waits for this."""

from pathlib import Path
from typing import Final

PROJECT_FILE: Final = "project.json"  # as in project_files, which takes longer to import
DOUBLE_CLICK_SUFFIX: Final = ".ltxproject"


def project_at(path: str) -> Path | None:
    """The folder of the project that a folder or a file of it stands for; None where there is none."""
    named = Path(path)
    folder = named.parent if named.name == PROJECT_FILE or named.suffix == DOUBLE_CLICK_SUFFIX else named
    return folder if (folder / PROJECT_FILE).is_file() else None
