"""Every command of the window in one table: its words and its menu. The window says what each one does.

Menus, the command palette, the key maps and the tooltips are all made from this table. Panels add a command each, to
show and hide them (`ltx_studio.ui.docks`); keys are in `resources/keymaps`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

FILE, EDIT, CLIP, TIMELINE, VIEW, HELP = "&File", "&Edit", "&Clip", "&Timeline", "&View", "&Help"
MENUS = (FILE, EDIT, CLIP, TIMELINE, VIEW, HELP)


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
    Command("new_project", FILE, "New project", also_found_by="create empty"),
    Command("open_project", FILE, "Open a project", also_found_by="load folder recent"),
    Command("save_project", FILE, "Save the project", also_found_by="write backup"),
    Command("save_project_as", FILE, "Save the project as", also_found_by="copy name folder"),
    Command("collect_files", FILE, "Collect files into the project", also_found_by="consolidate copy media"),
    Command("find_missing", FILE, "Find missing files", also_found_by="relink offline media"),
    Command(
        "import_sequence", FILE, "Import a sequence", starts_group=True, also_found_by="otio fcpxml edl timeline xml"
    ),
    Command("export_for_editors", FILE, "Export for another editor", also_found_by="otio fcpxml edl resolve premiere"),
    Command("export_sequence", FILE, "Export the sequence as one file", also_found_by="render timeline film master"),
    Command("generate", FILE, "Generate", starts_group=True, also_found_by="make render run start"),
    Command("generate_takes", FILE, "Generate four takes", also_found_by="seeds variations batch several"),
    Command("stop", FILE, "Stop generating", also_found_by="cancel abort"),
    Command("pause_queue", FILE, "Pause the queue", is_checkable=True, also_found_by="hold wait all jobs resume"),
    Command("export", FILE, "Export", starts_group=True, also_found_by="save render file mp4 prores gif wav share"),
    Command("reveal", FILE, "Reveal clip in folder", also_found_by="explorer finder file open"),
    Command("settings", FILE, "Settings", starts_group=True, also_found_by="preferences options"),
    Command("quit", FILE, "Quit", starts_group=True, also_found_by="exit close"),
    Command("play", CLIP, "Play or pause", also_found_by="stop"),
    Command("play_backwards", CLIP, "Play backwards, faster each time", also_found_by="shuttle reverse J"),
    Command("pause", CLIP, "Pause", also_found_by="stop shuttle K"),
    Command("play_forwards", CLIP, "Play forwards, faster each time", also_found_by="shuttle speed L"),
    Command("play_marked", CLIP, "Play from in to out", also_found_by="range marks"),
    Command("loop", CLIP, "Loop", is_checkable=True, also_found_by="repeat again"),
    Command("previous_frame", CLIP, "Previous frame", starts_group=True, repeats=True, also_found_by="back step"),
    Command("next_frame", CLIP, "Next frame", repeats=True, also_found_by="forward step"),
    Command("back_five_frames", CLIP, "Back five frames", repeats=True),
    Command("forward_five_frames", CLIP, "Forward five frames", repeats=True),
    Command("back_one_second", CLIP, "Back one second", repeats=True),
    Command("forward_one_second", CLIP, "Forward one second", repeats=True),
    Command("first_frame", CLIP, "First frame", also_found_by="start beginning home"),
    Command("last_frame", CLIP, "Last frame", also_found_by="end"),
    Command("go_to_time", CLIP, "Go to a time", also_found_by="timecode jump seconds"),
    Command("mark_in", CLIP, "Mark in", starts_group=True, also_found_by="in point start range"),
    Command("mark_out", CLIP, "Mark out", also_found_by="out point end range"),
    Command("go_to_in", CLIP, "Go to the in point"),
    Command("go_to_out", CLIP, "Go to the out point"),
    Command("clear_in", CLIP, "Clear the in point"),
    Command("clear_out", CLIP, "Clear the out point"),
    Command("clear_marks", CLIP, "Clear in and out", also_found_by="range marks remove"),
    Command("mute", CLIP, "Mute", starts_group=True, is_checkable=True, also_found_by="sound volume silent"),
    Command("louder", CLIP, "Louder", repeats=True, also_found_by="sound volume up"),
    Command("quieter", CLIP, "Quieter", repeats=True, also_found_by="sound volume down"),
    Command("compare", CLIP, "Compare clips", starts_group=True, also_found_by="takes side by side wipe difference"),
    Command("edit_retake", CLIP, "Retake the marked range", starts_group=True, also_found_by="again redo fix second"),
    Command("edit_extend", CLIP, "Extend the clip", also_found_by="longer continue before after"),
    Command("edit_foley", CLIP, "New sound for the clip", also_found_by="foley effects silent audio"),
    Command("edit_lipdub", CLIP, "New words on the lips", also_found_by="lip dub dialogue language voice translate"),
    Command("make_edit", CLIP, "Make the takes of the Edit panel", also_found_by="run start retake generate"),
    Command("roll_again", CLIP, "Reject the take and roll again", also_found_by="seed dice another"),
    Command("compare_takes", CLIP, "Compare the takes of the clip", also_found_by="versions side by side wipe"),
    Command("undo", EDIT, "Undo", repeats=True, also_found_by="back revert step"),
    Command("redo", EDIT, "Redo", repeats=True, also_found_by="again forward step"),
    Command("delete_clips", EDIT, "Delete, leaving a gap", starts_group=True, also_found_by="lift remove clip range"),
    Command("ripple_delete", EDIT, "Delete and close up", also_found_by="ripple extract remove clip range gap"),
    Command("select_clip", EDIT, "Select the clip at the playhead", starts_group=True),
    Command("select_all_clips", EDIT, "Select all clips"),
    Command("tool_select", TIMELINE, "Select and move", is_checkable=True, also_found_by="arrow tool pointer"),
    Command("tool_blade", TIMELINE, "Blade", is_checkable=True, also_found_by="razor cut tool split"),
    Command("tool_slip", TIMELINE, "Slip", is_checkable=True, also_found_by="tool content"),
    Command("ripple_mode", TIMELINE, "Trims close up", is_checkable=True, also_found_by="ripple mode"),
    Command("snapping", TIMELINE, "Snapping", is_checkable=True, also_found_by="magnet snap"),
    Command("cut_clip", TIMELINE, "Cut at the playhead", starts_group=True, also_found_by="split blade razor"),
    Command("ripple_trim_start", TIMELINE, "Trim the start to the playhead and close up", also_found_by="ripple top"),
    Command("ripple_trim_end", TIMELINE, "Trim the end to the playhead and close up", also_found_by="ripple tail"),
    Command("trim_start", TIMELINE, "Trim the start to the playhead", also_found_by="in edge shorten"),
    Command("trim_end", TIMELINE, "Trim the end to the playhead", also_found_by="out edge shorten"),
    Command("roll_here", TIMELINE, "Roll the nearest cut to the playhead", also_found_by="extend edit move"),
    Command("nudge_left", TIMELINE, "Move the clip one frame earlier", starts_group=True, repeats=True),
    Command("nudge_right", TIMELINE, "Move the clip one frame later", repeats=True),
    Command("nudge_far_left", TIMELINE, "Move the clip five frames earlier", repeats=True),
    Command("nudge_far_right", TIMELINE, "Move the clip five frames later", repeats=True),
    Command("slip_left", TIMELINE, "Slip to one frame earlier", repeats=True, also_found_by="content"),
    Command("slip_right", TIMELINE, "Slip to one frame later", repeats=True, also_found_by="content"),
    Command("move_clip_up", TIMELINE, "Move the clip a track up"),
    Command("move_clip_down", TIMELINE, "Move the clip a track down"),
    Command(
        "insert_clip", TIMELINE, "Insert the open clip at the playhead", starts_group=True, also_found_by="place add"
    ),
    Command("overwrite_clip", TIMELINE, "Lay the open clip over what is at the playhead", also_found_by="overwrite"),
    Command("append_clip", TIMELINE, "Add the open clip at the end", also_found_by="append sequence place"),
    Command("add_marker", TIMELINE, "Add a marker", starts_group=True, also_found_by="flag note"),
    Command("remove_marker", TIMELINE, "Remove the marker", also_found_by="flag note delete"),
    Command("mark_clip", TIMELINE, "Mark the clip from in to out", also_found_by="range whole"),
    Command("link_clips", TIMELINE, "Link or unlink picture and sound", also_found_by="group detach audio"),
    Command("clip_louder", TIMELINE, "Clip louder", repeats=True, also_found_by="gain volume"),
    Command("clip_quieter", TIMELINE, "Clip quieter", repeats=True, also_found_by="gain volume"),
    Command("previous_take", TIMELINE, "Previous take", also_found_by="version"),
    Command("next_take", TIMELINE, "Next take", also_found_by="version"),
    Command("previous_edit", TIMELINE, "Previous edit point", starts_group=True, repeats=True, also_found_by="cut"),
    Command("next_edit", TIMELINE, "Next edit point", repeats=True, also_found_by="cut"),
    Command("add_picture_track", TIMELINE, "Add a picture track", starts_group=True, also_found_by="video lane"),
    Command("add_sound_track", TIMELINE, "Add a sound track", also_found_by="audio lane"),
    Command("timeline_zoom_in", TIMELINE, "Enlarge the timeline", starts_group=True, repeats=True),
    Command("timeline_zoom_out", TIMELINE, "Reduce the timeline", repeats=True),
    Command("timeline_fit", TIMELINE, "Fit the timeline", also_found_by="zoom whole"),
    Command("time_unit", TIMELINE, "Times as timecode, frames or seconds", also_found_by="unit ruler"),
    Command("palette", VIEW, "Command palette", also_found_by="search find commands"),
    Command("write_prompt", VIEW, "Go to the prompt", also_found_by="write text"),
    Command("enlarge_picture", VIEW, "Enlarge the picture", starts_group=True, repeats=True, also_found_by="zoom in"),
    Command("reduce_picture", VIEW, "Reduce the picture", repeats=True, also_found_by="zoom out"),
    Command("fit_picture", VIEW, "Fit the picture", also_found_by="zoom whole"),
    Command("actual_size", VIEW, "Picture at 100 %", also_found_by="zoom pixels actual size"),
    Command("cinema", VIEW, "Picture on the whole screen", also_found_by="full screen cinema present"),
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
