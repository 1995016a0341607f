"""Every command of the window in one table: its words and its menu. The window says what each one does.

Menus, the command palette, the key maps and the tooltips are all made from this table. Panels add a command each, to
show and hide them (`ltx_studio.ui.docks`); keys are in `resources/keymaps`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

FILE, CLIP, VIEW, HELP = "&File", "&Clip", "&View", "&Help"
MENUS = (FILE, CLIP, VIEW, HELP)


@dataclass(frozen=True)
class Command:
    """One line of the table."""

    name: str
    menu: str
    text: str
    starts_group: bool = False
    is_checkable: bool = False
    repeats: bool = False  # while the key is held
    also_found_by: str = ""  # other words for it, for the palette


COMMANDS = (
    Command("generate", FILE, "Generate", also_found_by="make render run start"),
    Command("generate_takes", FILE, "Generate four takes", also_found_by="seeds variations batch several"),
    Command("stop", FILE, "Stop generating", also_found_by="cancel abort"),
    Command("pause_queue", FILE, "Pause the queue", is_checkable=True, also_found_by="hold wait all jobs resume"),
    Command("reveal", FILE, "Reveal clip in folder", starts_group=True, also_found_by="explorer finder file open"),
    Command("settings", FILE, "Settings", starts_group=True, also_found_by="preferences options"),
    Command("quit", FILE, "Quit", starts_group=True, also_found_by="exit close"),
    Command("play", CLIP, "Play or pause", also_found_by="stop"),
    Command("previous_frame", CLIP, "Previous frame", starts_group=True, repeats=True, also_found_by="back step"),
    Command("next_frame", CLIP, "Next frame", repeats=True, also_found_by="forward step"),
    Command("back_five_frames", CLIP, "Back five frames", repeats=True),
    Command("forward_five_frames", CLIP, "Forward five frames", repeats=True),
    Command("back_one_second", CLIP, "Back one second", repeats=True),
    Command("forward_one_second", CLIP, "Forward one second", repeats=True),
    Command("first_frame", CLIP, "First frame", also_found_by="start beginning home"),
    Command("last_frame", CLIP, "Last frame", also_found_by="end"),
    Command("mute", CLIP, "Mute", starts_group=True, is_checkable=True, also_found_by="sound volume silent"),
    Command("palette", VIEW, "Command palette", also_found_by="search find commands"),
    Command("write_prompt", VIEW, "Go to the prompt", also_found_by="write text"),
    Command("full_screen", VIEW, "Full screen", starts_group=True, is_checkable=True),
    Command("detach_panel", VIEW, "Detach or attach the current panel", also_found_by="float dock window"),
    Command("reset_layout", VIEW, "Reset layout", also_found_by="panels workspace default"),
    Command(
        "follow_system", VIEW, "Colours of the system", starts_group=True, is_checkable=True, also_found_by="theme"
    ),
    Command("dark", VIEW, "Dark", is_checkable=True, also_found_by="theme night colours"),
    Command("light", VIEW, "Light", is_checkable=True, also_found_by="theme day colours"),
    Command("welcome", HELP, "What this machine can do", also_found_by="welcome first run hardware models"),
    Command("keyboard", HELP, "Keyboard shortcuts", also_found_by="keys hotkeys key map resolve premiere"),
)


def tr(text: str) -> str:
    return QCoreApplication.translate("actions", text)


def build_menus(
    window: QMainWindow, commands: Iterable[Command], reactions: Mapping[str, Callable[[], None]]
) -> dict[str, QAction]:
    """The window's menus from the table, each command connected to its reaction. Returns the actions by name."""
    menus: dict[str, QMenu] = {title: window.menuBar().addMenu(tr(title)) for title in MENUS}
    actions: dict[str, QAction] = {}
    for command in commands:
        menu = menus[command.menu]
        if command.starts_group:
            menu.addSeparator()
        action = QAction(tr(command.text), window)
        action.setObjectName(command.name)
        action.setCheckable(command.is_checkable)
        action.setAutoRepeat(command.repeats)
        action.triggered.connect(_without_arguments(reactions[command.name]))
        menu.addAction(action)
        actions[command.name] = action
    actions["quit"].setMenuRole(QAction.MenuRole.QuitRole)  # where a Mac expects them
    actions["settings"].setMenuRole(QAction.MenuRole.PreferencesRole)
    return actions


def assign_keys(actions: Mapping[str, QAction], keys: Mapping[str, Iterable[str]]) -> None:
    """Give every command its keys, and take them from those that have none."""
    for name, action in actions.items():
        action.setShortcuts([QKeySequence(spelling) for spelling in keys.get(name, ())])


def keys_of(action: QAction) -> str:
    """Its shortcut in this system's spelling, for tooltips."""
    return action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)


def with_keys(text: str, action: QAction) -> str:
    """A tooltip, with the command's key behind it where it has one."""
    keys = keys_of(action)
    return f"{text} ({keys})" if keys else text


def _without_arguments(reaction: Callable[[], None]) -> Callable[[bool], None]:
    return lambda _is_checked: reaction()
