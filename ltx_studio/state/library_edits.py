"""One undoable step, as two functions: what it does and what takes it back."""

from collections.abc import Callable

from PySide6.QtGui import QUndoCommand


class Edit(QUndoCommand):
    """Both functions say whether they did something; a step that did nothing leaves the undo stack."""

    def __init__(self, text: str, do: Callable[[], bool], take_back: Callable[[], bool]) -> None:
        super().__init__(text)
        self._do = do
        self._take_back = take_back

    def redo(self) -> None:
        self.setObsolete(not self._do())

    def undo(self) -> None:
        self.setObsolete(not self._take_back())
