"""Every command of the window in one table: its words, its key and its icon. The window says what each one does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow

FILE, CLIP, VIEW = "File", "Clip", "View"
MENUS = (FILE, CLIP, VIEW)


@dataclass(frozen=True)
class Command:
    """One line of the table. `keys` is Qt's portable spelling; Ctrl is Command on a Mac."""

    name: str
    menu: str
    text: str
    keys: str = ""
    starts_group: bool = False
    is_checkable: bool = False
    repeats: bool = False  # while the key is held


COMMANDS = (
    Command("generate", FILE, "Generate", "Ctrl+Return"),
    Command("stop", FILE, "Stop generating", "Ctrl+."),
    Command("reveal", FILE, "Reveal clip in folder", "Ctrl+Shift+R", starts_group=True),
    Command("quit", FILE, "Quit", "Ctrl+Q", starts_group=True),
    Command("play", CLIP, "Play or pause", "Space"),
    Command("previous_frame", CLIP, "Previous frame", "Left", starts_group=True, repeats=True),
    Command("next_frame", CLIP, "Next frame", "Right", repeats=True),
    Command("first_frame", CLIP, "First frame", "Home"),
    Command("last_frame", CLIP, "Last frame", "End"),
    Command("mute", CLIP, "Mute", "Ctrl+M", starts_group=True, is_checkable=True),
    Command("write_prompt", VIEW, "Go to the prompt", "Ctrl+L"),
    Command("show_prompt", VIEW, "Prompt panel", "F2", is_checkable=True),
    Command("reset_layout", VIEW, "Reset layout"),
    Command("follow_system", VIEW, "Colours of the system", starts_group=True, is_checkable=True),
    Command("dark", VIEW, "Dark", is_checkable=True),
    Command("light", VIEW, "Light", is_checkable=True),
)


def tr(text: str) -> str:
    return QCoreApplication.translate("actions", text)


def build_menus(window: QMainWindow, reactions: Mapping[str, Callable[[], None]]) -> dict[str, QAction]:
    """The window's menus from the table, each command connected to its reaction. Returns the actions by name."""
    menus = {title: window.menuBar().addMenu(tr(title)) for title in MENUS}
    actions: dict[str, QAction] = {}
    for command in COMMANDS:
        menu = menus[command.menu]
        if command.starts_group:
            menu.addSeparator()
        action = QAction(tr(command.text), window)
        action.setObjectName(command.name)
        action.setCheckable(command.is_checkable)
        action.setAutoRepeat(command.repeats)
        if command.keys:
            action.setShortcut(QKeySequence(command.keys))
        action.triggered.connect(_without_arguments(reactions[command.name]))
        menu.addAction(action)
        actions[command.name] = action
    return actions


def keys_of(action: QAction) -> str:
    """Its shortcut in this system's spelling, for tooltips."""
    return action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)


def _without_arguments(reaction: Callable[[], None]) -> Callable[[bool], None]:
    return lambda _is_checked: reaction()
