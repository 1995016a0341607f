"""The errors a user can cause, and what to do about each.

Every error carries a stable `code` for programs, a `message` that says what happened and a `remedy` that says what
to do. Mistakes of the programmer are assertions, never one of these.
"""

from pathlib import Path


class EngineError(Exception):
    """Base of every error that reaches the user as a sentence instead of a traceback."""

    code = "engine"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class RequestError(EngineError):
    """A field of the request cannot be honoured."""

    code = "request"

    def __init__(self, field: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field


class CheckpointError(EngineError):
    """A model file is missing, damaged, or holds another model."""

    code = "checkpoint"

    def __init__(self, path: Path | str, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{path}: {message}", remedy=remedy)
        self.path = Path(path)


class MediaError(EngineError):
    """A picture, clip or sound file cannot be read or written."""

    code = "media"

    def __init__(self, path: Path | str, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{path}: {message}", remedy=remedy)
        self.path = Path(path)


class StorageFull(MediaError):
    """The disk has no room left for the file being written."""

    code = "storage_full"


class OutOfMemory(EngineError):
    """A stage needs more memory than the device or the machine has."""

    code = "out_of_memory"

    def __init__(
        self, stage: str, *, needed_bytes: int | None = None, free_bytes: int | None = None, remedy: str = ""
    ) -> None:
        numbers = ""
        if needed_bytes is not None and free_bytes is not None:
            numbers = f" It needs {needed_bytes / 2**30:.1f} GiB and {free_bytes / 2**30:.1f} GiB are free."
        super().__init__(f"Not enough memory for the stage '{stage}'.{numbers}", remedy=remedy)
        self.stage = stage
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class DownloadError(EngineError):
    """A model file could not be fetched."""

    code = "download"


class Cancelled(EngineError):
    """The caller stopped the run; nothing was left half written."""

    code = "cancelled"

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)
