"""The settings as the window knows them: each change is written, then announced."""

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from ltx_studio.settings import Setting, SettingsFile

T = TypeVar("T")


class Preferences(QObject):
    """One for the whole window. Whoever shows a setting follows it with `watch`."""

    changed = Signal(object)  # Setting

    def __init__(self, file: SettingsFile | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file or SettingsFile()

    def get(self, setting: Setting[T]) -> T:
        return self._file.get(setting)

    def put(self, setting: Setting[T], value: T) -> None:
        """Write, then announce. Raises RequestError where it cannot be written; nothing changes then."""
        if value != self.get(setting):
            self._file.put(setting, value)
            self.changed.emit(setting)

    def is_default(self, setting: Setting[Any]) -> bool:
        return self.get(setting) == setting.default

    def watch(self, setting: Setting[T], show: Callable[[T], None], owner: QObject) -> None:
        """Show a setting now and whenever it changes, as long as `owner` lives."""
        _Watch(self, setting, show, owner)
        show(self.get(setting))


class _Watch(QObject):
    """Belongs to what it keeps up to date, and goes with it."""

    def __init__(self, source: Preferences, setting: Setting[T], show: Callable[[T], None], owner: QObject) -> None:
        super().__init__(owner)
        self._source = source
        self._setting: Setting[Any] = setting
        self._show: Callable[[Any], None] = show
        source.changed.connect(self._changed)

    def _changed(self, setting: Setting[Any]) -> None:
        if setting is self._setting:
            self._show(self._source.get(setting))
