"""The panels around the picture, each declared once, and the docks they are in.

A panel is added by a line in `PANELS`. Its command, its line in the menu and in the palette, and its place in saved
and reset layouts follow from that line; a key is given in `resources/keymaps`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QMainWindow, QTabWidget, QWidget

from engine.errors import RequestError
from ltx_studio.domain.compare import Take
from ltx_studio.domain.library import Entry, Flag
from ltx_studio.services.monitor import MemoryMonitor
from ltx_studio.services.player import Player
from ltx_studio.state.compare import CompareState
from ltx_studio.state.export import ExportState
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.state.timeline import TimelineState
from ltx_studio.ui.actions import COMMANDS, VIEW, Command, tr
from ltx_studio.ui.controls import IconButton, Label
from ltx_studio.ui.edit_wiring import Edits
from ltx_studio.ui.theme import CONTROL_HEIGHT, GRID, PADDING, Appearance

LEFT, RIGHT, BELOW = (
    Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.DockWidgetArea.RightDockWidgetArea,
    Qt.DockWidgetArea.BottomDockWidgetArea,
)
_PANEL_COMMANDS_FOLLOW = "write_prompt"


@dataclass(frozen=True)
class Desk:
    """What panels are made from, and what a `make` connects their signals to. They never know each other."""

    session: Session
    queue: QueueState
    forecast: Forecast
    player: Player
    monitor: MemoryMonitor
    preferences: Preferences
    appearance: Appearance
    closing: SignalInstance  # the window closes: what has threads ends them
    compare: CompareState
    exports: ExportState
    timeline: TimelineState
    edits: Edits


@dataclass(frozen=True)
class Panel:
    """One panel. `name` is what saved layouts know it by: it never changes."""

    name: str
    title: str
    area: Qt.DockWidgetArea
    make: Callable[[Desk], QWidget]
    size: int  # pixels at first: width at the sides, height below
    is_open: bool = True  # at first
    tab_of: str = ""  # the name of an earlier panel that it shares its place with
    also_found_by: str = ""

    @property
    def command(self) -> Command:
        """Shows and hides it."""
        return Command(
            f"show_{self.name}", VIEW, f"{self.title} panel", is_checkable=True, also_found_by=self.also_found_by
        )


def _make_prompt(desk: Desk) -> QWidget:
    from ltx_studio.ui.prompt_panel import PromptPanel  # noqa: PLC0415 - a panel is imported when it is first shown

    return PromptPanel(desk.session, desk.forecast, desk.appearance)


def _make_queue(desk: Desk) -> QWidget:
    from ltx_studio.ui.queue_panel import QueuePanel  # noqa: PLC0415

    return QueuePanel(desk.queue, desk.session, desk.appearance)


def _make_monitor(desk: Desk) -> QWidget:
    from ltx_studio.ui.monitor_panel import MonitorPanel  # noqa: PLC0415

    return MonitorPanel(desk.monitor, desk.preferences, desk.appearance)


def _make_library(desk: Desk) -> QWidget:
    """Results that were made while nobody looked, or by the command line, are found in the folder of clips."""
    from ltx_studio.domain.library_store import open_or_renew  # noqa: PLC0415
    from ltx_studio.services.trash import SystemTrash  # noqa: PLC0415
    from ltx_studio.state.library import LibraryState  # noqa: PLC0415
    from ltx_studio.ui.library_panel import LibraryPanel  # noqa: PLC0415

    state = LibraryState(open_or_renew()[0], SystemTrash())
    panel = LibraryPanel(state, desk.appearance)
    state.setParent(panel)

    def use_settings(made_by: dict[str, object]) -> None:
        try:
            desk.session.take_settings(made_by)
        except RequestError as error:  # of a newer version
            state.noticed.emit(str(error))

    def compare(entries: Sequence[Entry]) -> None:
        desk.compare.open([Take(item.path, item.path.name, item.facts.request, item.id) for item in entries])

    def pick(take: Take) -> None:
        if take.entry_id is not None:
            state.flag([take.entry_id], Flag.PICK)

    desk.session.clip_made.connect(lambda result: state.add(result.path))
    panel.actions_of_view.compare_asked.connect(compare)
    desk.compare.winner_picked.connect(pick)
    panel.open_requested.connect(desk.player.open)
    panel.export_requested.connect(desk.exports.ask)
    panel.use_settings_requested.connect(use_settings)
    desk.closing.connect(panel.close_threads)
    desk.closing.connect(state.close)
    state.refresh()
    return panel


def _make_references(desk: Desk) -> QWidget:
    from ltx_studio.state.references import ReferencesState  # noqa: PLC0415
    from ltx_studio.ui.references_panel import ReferencesPanel  # noqa: PLC0415

    panel = ReferencesPanel(ReferencesState(desk.session, desk.session), desk.appearance)
    desk.closing.connect(panel.close_threads)
    return panel


def _make_models(desk: Desk) -> QWidget:
    from ltx_studio.ui.models_panel import ModelsPanel  # noqa: PLC0415

    panel = ModelsPanel(desk.session, desk.preferences, desk.appearance, desk.closing)
    panel.models_changed.connect(desk.forecast.models_changed)
    panel.models_changed.connect(desk.edits.state.models_changed)
    return panel


def _make_export(desk: Desk) -> QWidget:
    from ltx_studio.ui.export_panel import ExportPanel  # noqa: PLC0415

    state, player = desk.exports, desk.player
    panel = ExportPanel(state, desk.appearance)

    def take_clip() -> None:
        if player.clip is not None:
            state.open_clip(player.clip.path)

    def take_marks() -> None:
        if player.clip is not None and player.clip.path == state.request.value.clip:
            first, last = player.marked
            state.set_range(first, last + 1)

    panel.clip_wanted.connect(take_clip)
    panel.marks_wanted.connect(take_marks)
    return panel


def _make_edit(desk: Desk) -> QWidget:
    from ltx_studio.ui.edit_panel import EditPanel  # noqa: PLC0415

    panel = EditPanel(desk.edits.state, desk.appearance)
    desk.edits.connect_panel(panel)
    desk.closing.connect(panel.close_threads)
    return panel


PANELS = (
    Panel("prompt", "Prompt", LEFT, _make_prompt, 336, also_found_by="write parameters"),
    Panel("references", "References", RIGHT, _make_references, 336, also_found_by="image audio keyframe drop"),
    Panel(
        "library", "Library", RIGHT, _make_library, 336, tab_of="references", also_found_by="results clips takes search"
    ),
    Panel(
        "models",
        "Models",
        RIGHT,
        _make_models,
        392,
        is_open=False,
        tab_of="references",
        also_found_by="download fetch verify adopt offline pack",
    ),
    Panel(
        "export",
        "Export",
        RIGHT,
        _make_export,
        360,
        is_open=False,
        tab_of="references",
        also_found_by="render save file prores gif wav loudness trim share",
    ),
    Panel(
        "edit",
        "Edit",
        RIGHT,
        _make_edit,
        360,
        is_open=False,
        tab_of="references",
        also_found_by="retake extend foley lip dub again change takes",
    ),
    Panel("queue", "Queue", BELOW, _make_queue, 248, also_found_by="jobs batch waiting progress render"),
    Panel("monitor", "Monitor", BELOW, _make_monitor, 168, is_open=False, also_found_by="memory gpu vram temperature"),
)


def commands_with(panels: Iterable[Panel]) -> tuple[Command, ...]:
    """The table of commands with those of the panels among the others of their menu."""
    split = [command.name for command in COMMANDS].index(_PANEL_COMMANDS_FOLLOW) + 1
    first, *others = (panel.command for panel in panels)
    return (*COMMANDS[:split], replace(first, starts_group=True), *others, *COMMANDS[split:])


class Dock(QDockWidget):
    """A panel's place in the window. The panel itself is made when it is first seen or asked for."""

    shown_changed = Signal(bool)  # open or closed; a tab behind another one is open

    def __init__(self, panel: Panel, desk: Desk, window: QMainWindow) -> None:
        super().__init__(tr(panel.title), window)
        self.setObjectName(panel.name)
        self.declared = panel
        self._desk = desk
        self._content: QWidget | None = None
        self.setTitleBarWidget(_Title(self, desk.appearance))
        window.addDockWidget(panel.area, self)
        self.setVisible(panel.is_open)

    @property
    def content(self) -> QWidget:
        if self._content is None:
            self._content = self.declared.make(self._desk)
            self.setWidget(self._content)
        return self._content

    def toggle(self) -> None:
        """Close it if it can be seen; otherwise open it, or bring its tab to the front, and give it the keys."""
        if self.isVisible() and not self.visibleRegion().isEmpty():
            self.hide()
            return
        self.show()
        self.raise_()
        first = self._first_control()
        if first is not None:
            first.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _first_control(self) -> QWidget | None:
        """Where Tab would go first in this panel; None where there is nothing to do but look."""
        widget = self.content.nextInFocusChain()
        while widget is not None and self.content.isAncestorOf(widget):
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible() and widget.isEnabled():
                return widget
            widget = widget.nextInFocusChain()
        return None

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        assert self.content is not None
        super().showEvent(event)
        self.shown_changed.emit(True)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        super().hideEvent(event)
        self.shown_changed.emit(not self.isHidden())


class _Title(QWidget):
    """The line above a panel: its name, and what the View menu offers too, for the mouse."""

    def __init__(self, dock: QDockWidget, appearance: Appearance) -> None:
        super().__init__(dock)
        title = Label(dock.windowTitle(), parent=self)
        detach = IconButton("mdi6.dock-window", self.tr("Detach or attach this panel"), appearance, self)
        close = IconButton("mdi6.close", self.tr("Close this panel"), appearance, self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(PADDING, GRID, GRID, GRID)
        layout.setSpacing(0)
        layout.addWidget(title, 1)
        for button in (detach, close):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            layout.addWidget(button)
        self.setMinimumHeight(CONTROL_HEIGHT + 2 * GRID)
        detach.clicked.connect(lambda: dock.setFloating(not dock.isFloating()))
        close.clicked.connect(dock.hide)


class Docks:
    """The docks of a window: how they are at first, and who is looked at."""

    def __init__(self, panels: Iterable[Panel], desk: Desk, window: QMainWindow) -> None:
        self._window = window
        self.by_name = {panel.name: Dock(panel, desk, window) for panel in panels}
        window.setDockOptions(QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.AllowNestedDocks)
        # The sides keep their full height; what is below the picture is as wide as the picture and what is right of it.
        window.setCorner(Qt.Corner.BottomLeftCorner, LEFT)
        window.setCorner(Qt.Corner.BottomRightCorner, BELOW)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)

    def arrange(self) -> None:
        """Every panel where it is declared to be, at its first size."""
        for dock in self.by_name.values():
            panel = dock.declared
            dock.setFloating(False)
            self._window.removeDockWidget(dock)
            self._window.addDockWidget(panel.area, dock)
            if panel.tab_of in self.by_name:
                self._window.tabifyDockWidget(self.by_name[panel.tab_of], dock)
            dock.setVisible(panel.is_open)
        for area, way in (
            (LEFT, Qt.Orientation.Horizontal),
            (RIGHT, Qt.Orientation.Horizontal),
            (BELOW, Qt.Orientation.Vertical),
        ):
            docks = [dock for dock in self.by_name.values() if dock.declared.area == area]
            # They share the side, so the one that needs most of it decides.
            size = max((dock.declared.size for dock in docks), default=0)
            self._window.resizeDocks(docks, [size] * len(docks), way)
        for dock in self.by_name.values():
            if dock.declared.tab_of in self.by_name:
                self.by_name[dock.declared.tab_of].raise_()

    def current(self) -> Dock | None:
        """The one that the keyboard is in."""
        focused = self._window.focusWidget()
        return next((dock for dock in self.by_name.values() if focused and dock.isAncestorOf(focused)), None)


def compare_chosen(docks: Docks) -> str:
    """Compare what is chosen in the library; where that cannot be compared, show the library and say what can."""
    from ltx_studio.ui.library_panel import LibraryPanel  # noqa: PLC0415 - see above

    library = docks.by_name["library"]
    panel = library.content
    assert isinstance(panel, LibraryPanel)
    action = panel.actions_of_view.named("compare")
    if action.isEnabled():
        action.trigger()
        return ""
    library.show()
    library.raise_()
    return action.toolTip()
