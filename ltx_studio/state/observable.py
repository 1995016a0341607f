"""A value that says when it changes, and binding what shows it.

Setting a value equal to the one it has does nothing: that alone stops most feedback loops between a view and what it
shows. Views change the state by calling its methods; the state reaches views through `changed`.
"""

import operator
from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, Signal

T = TypeVar("T")


class Observable(QObject, Generic[T]):
    """One value of one type."""

    changed = Signal(object)  # the new value

    def __init__(self, value: T, parent: QObject, *, is_same: Callable[[T, T], bool] = operator.eq) -> None:
        """`is_same` decides what is no change; pass `operator.is_` for values that do not compare, such as arrays."""
        super().__init__(parent)
        self._value = value
        self._is_same = is_same

    @property
    def value(self) -> T:
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        if self._is_same(self._value, value):
            return
        self._value = value
        self.changed.emit(value)


class Binding(Generic[T]):
    """Keeps a view showing a value until it is released."""

    def __init__(self, source: Observable[T], show: Callable[[T], None]) -> None:
        self._source = source
        self._show = show
        source.changed.connect(show)

    def release(self) -> None:
        """Stop showing it; for views that turn to another source."""
        self._source.changed.disconnect(self._show)


def bind(source: Observable[T], show: Callable[[T], None]) -> Binding[T]:
    """Show the value now and whenever it changes. Both live in the window's thread."""
    binding = Binding(source, show)
    show(source.value)
    return binding
