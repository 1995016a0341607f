"""Colours and measures of the window: one file, two full sets, and what Qt makes of them.

The picture is the brightest thing on the screen. Greys have no tint; one accent marks the main action, the playhead
and the selection, nothing else. No other file of the studio names a colour.
"""

from dataclasses import asdict, dataclass
from string import Template

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from ltx_studio.state.observable import Observable

GRID = 4  # pixels; every distance is a multiple of it
GAP, WIDE_GAP, PADDING = 8, 12, 12
CONTROL_HEIGHT = 28
RADIUS = 6
BODY_PIXELS, SECONDARY_PIXELS, TITLE_PIXELS = 13, 11, 16
ICON_PIXELS = 16
GAUGE_BAR_PIXELS = 64  # in the status line


@dataclass(frozen=True)
class Theme:
    """Colours by role, as #rrggbb."""

    name: str
    background: str  # around the picture
    field: str  # inside fields
    surface: str  # panels
    raised: str  # buttons
    raised_hover: str
    raised_pressed: str
    divider: str  # between panels; carries no meaning
    line: str  # borders that show where a control is: at least 3:1
    text: str
    text_dim: str
    text_disabled: str
    accent: str  # the main action, the playhead, focus
    accent_hover: str
    accent_pressed: str
    on_accent: str  # text on the accent
    selection: str  # behind selected text and the chosen segment
    on_selection: str
    ok: str
    warn: str
    danger: str
    picture: str  # the lane of the picture
    sound: str  # the lane of the sound
    labels: tuple[str, ...]  # of the library: red, orange, yellow, green, teal, blue, purple, pink


DARK = Theme(
    name="dark",
    background="#161616",
    field="#181818",
    surface="#222222",
    raised="#333333",
    raised_hover="#3d3d3d",
    raised_pressed="#2b2b2b",
    divider="#343434",
    line="#808080",
    text="#e6e6e6",
    text_dim="#ababab",
    text_disabled="#7d7d7d",
    accent="#6ea8fe",
    accent_hover="#85b6ff",
    accent_pressed="#5795f0",
    on_accent="#0e1a2b",
    selection="#2f5a96",
    on_selection="#ffffff",
    ok="#7fce8d",
    warn="#e8b04f",
    danger="#ff8f85",
    picture="#8fb6e8",
    sound="#8fd0b8",
    labels=("#e5736a", "#e8954a", "#e0c24a", "#6fbf73", "#4fb9af", "#6f9fe8", "#a98be0", "#e07fb0"),
)

LIGHT = Theme(
    name="light",
    background="#d2d2d2",
    field="#f8f8f8",
    surface="#ececec",
    raised="#fafafa",
    raised_hover="#ffffff",
    raised_pressed="#dedede",
    divider="#c4c4c4",
    line="#707070",
    text="#1a1a1a",
    text_dim="#4d4d4d",
    text_disabled="#7a7a7a",
    accent="#1d5fc4",
    accent_hover="#2a6cd2",
    accent_pressed="#174d9f",
    on_accent="#ffffff",
    selection="#1d5fc4",
    on_selection="#ffffff",
    ok="#17632a",
    warn="#7a4b00",
    danger="#a81e14",
    picture="#2c5c98",
    sound="#1f6b52",
    labels=("#b8342b", "#a85400", "#7d6200", "#2e7d32", "#00706b", "#2b62b8", "#6b45b0", "#b03a78"),
)


def contrast(first: str, second: str) -> float:
    """The ratio of two colours' luminances, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class Appearance(QObject):
    """Which theme is shown: the system's choice, live, until the user chooses one."""

    def __init__(self, app: QApplication, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._chosen: Theme | None = None
        self.theme = Observable(self._wanted(), self)
        style = QStyleFactory.create("Fusion")  # the one style that takes a palette in full on every system
        app.setStyle(style)
        app.setFont(ui_font(app.font()))
        self._apply(self.theme.value)
        self.theme.changed.connect(self._apply)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow)

    def choose(self, theme: Theme | None) -> None:
        """Show this theme; None follows the system."""
        self._chosen = theme
        self._follow()

    @Slot()
    def _follow(self) -> None:
        self.theme.value = self._wanted()

    def _wanted(self) -> Theme:
        if self._chosen is not None:
            return self._chosen
        is_light = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light
        return LIGHT if is_light else DARK

    @Slot(object)
    def _apply(self, theme: Theme) -> None:
        self._app.setPalette(palette(theme))
        self._app.setStyleSheet(style_sheet(theme))


def ui_font(system: QFont, pixels: int = BODY_PIXELS) -> QFont:
    """The system's typeface at our size, with figures of one width so that running numbers stand still."""
    font = QFont(system)
    font.setPixelSize(pixels)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette(theme: Theme) -> QPalette:
    """For native dialogs and whatever the style sheet does not name."""
    result = QPalette()
    role = QPalette.ColorRole
    for item, colour in (
        (role.Window, theme.surface),
        (role.WindowText, theme.text),
        (role.Base, theme.field),
        (role.AlternateBase, theme.surface),
        (role.Text, theme.text),
        (role.PlaceholderText, theme.text_dim),
        (role.Button, theme.raised),
        (role.ButtonText, theme.text),
        (role.BrightText, theme.danger),
        (role.ToolTipBase, theme.raised),
        (role.ToolTipText, theme.text),
        (role.Highlight, theme.selection),
        (role.HighlightedText, theme.on_selection),
        (role.Accent, theme.accent),
        (role.Link, theme.accent),
        (role.LinkVisited, theme.accent),
        (role.Light, theme.raised_hover),
        (role.Midlight, theme.raised),
        (role.Mid, theme.divider),
        (role.Dark, theme.divider),
        (role.Shadow, theme.background),
    ):
        result.setColor(item, QColor(colour))
    for item in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, item, QColor(theme.text_disabled))
    return result


def style_sheet(theme: Theme) -> str:
    """The whole application's. It names built-in widgets, and the property `role` where one kind has several looks."""
    return Template(_STYLE_SHEET).substitute(asdict(theme))


_STYLE_SHEET = f"""
QMainWindow, QDockWidget, QStatusBar, QMenuBar {{ background: $surface; }}
QMainWindow::separator {{ background: $divider; width: 1px; height: 1px; }}
QMenuBar {{ border-bottom: 1px solid $divider; padding: 2px {GAP}px; }}
QMenuBar::item {{ padding: {GRID}px {GAP}px; border-radius: {GRID}px; background: transparent; }}
QMenuBar::item:selected {{ background: $raised; }}
QMenu {{ background: $raised; border: 1px solid $divider; padding: {GRID}px; }}
QMenu::item {{ padding: {GRID}px 24px {GRID}px 12px; border-radius: {GRID}px; }}
QMenu::item:selected {{ background: $selection; color: $on_selection; }}
QMenu::item:disabled {{ color: $text_disabled; }}
QMenu::separator {{ height: 1px; background: $divider; margin: {GRID}px {GAP}px; }}
QMenu::indicator {{ width: 14px; height: 14px; left: 6px; }}
QToolTip {{ background: $raised; color: $text; border: 1px solid $line; padding: {GRID}px; }}
QStatusBar {{ border-top: 1px solid $divider; }}
QStatusBar::item {{ border: none; }}
QDockWidget {{ titlebar-close-icon: none; titlebar-normal-icon: none; }}
QDockWidget::title {{ padding: {GAP}px; text-align: left; }}
QWidget[role="canvas"] {{ background: $background; }}
QFrame[role="divider"] {{ background: $divider; border: none; }}

QLabel[role="secondary"] {{ color: $text_dim; font-size: {SECONDARY_PIXELS}px; }}
QLabel[role="title"] {{ font-size: {TITLE_PIXELS}px; font-weight: 600; }}
QLabel[role="heading"] {{ font-weight: 600; }}
QLabel[role="ok"] {{ color: $ok; }}
QLabel[role="warn"] {{ color: $warn; }}
QLabel[role="danger"] {{ color: $danger; }}
QLabel[role="ok-small"] {{ color: $ok; font-size: {SECONDARY_PIXELS}px; }}
QLabel[role="warn-small"] {{ color: $warn; font-size: {SECONDARY_PIXELS}px; }}
QLabel[role="danger-small"] {{ color: $danger; font-size: {SECONDARY_PIXELS}px; }}

QPlainTextEdit, QLineEdit[role="field"], QSpinBox, QDoubleSpinBox, QComboBox {{
    background: $field; color: $text; border: 1px solid $line; border-radius: {RADIUS}px;
    selection-background-color: $selection; selection-color: $on_selection;
}}
QPlainTextEdit {{ padding: {GRID}px; placeholder-text-color: $text_dim; }}
QComboBox, QLineEdit[role="field"] {{ padding: 0 {GAP}px; }}
QLineEdit[role="field"] {{ placeholder-text-color: $text_dim; }}
QSpinBox, QDoubleSpinBox, QComboBox, QLineEdit[role="field"] {{ min-height: {CONTROL_HEIGHT - 2}px; }}
QPlainTextEdit:hover, QLineEdit[role="field"]:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover {{
    border-color: $text_dim;
}}
QPlainTextEdit:focus, QLineEdit[role="field"]:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{
    border: 2px solid $accent;
}}
QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QLineEdit[role="field"]:focus {{
    min-height: {CONTROL_HEIGHT - 4}px;
}}
QComboBox:focus, QLineEdit[role="field"]:focus {{ padding: 0 {GAP - 1}px; }}
QPlainTextEdit:focus {{ padding: {GRID - 1}px; }}
QPlainTextEdit:disabled, QLineEdit[role="field"]:disabled,
QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{
    color: $text_disabled; border-color: $divider;
}}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{
    width: 0; border: none;
}}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: none; }}
QComboBox QAbstractItemView {{
    background: $raised; color: $text; border: 1px solid $line; padding: {GRID}px; outline: none;
    selection-background-color: $selection; selection-color: $on_selection;
}}
QComboBox QAbstractItemView::item {{ min-height: {CONTROL_HEIGHT - 4}px; }}

QPushButton {{
    background: $raised; color: $text; border: 1px solid $raised; border-radius: {RADIUS}px;
    min-height: {CONTROL_HEIGHT - 2}px; padding: 0 {WIDE_GAP}px;
}}
QPushButton:hover {{ background: $raised_hover; }}
QPushButton:pressed {{ background: $raised_pressed; }}
QPushButton:focus {{ border: 2px solid $accent; min-height: {CONTROL_HEIGHT - 4}px; padding: 0 {WIDE_GAP - 1}px; }}
QPushButton:disabled {{ background: $surface; color: $text_disabled; border-color: $divider; }}
QPushButton[role="main"] {{
    background: $accent; color: $on_accent; border: 1px solid $accent; min-height: {CONTROL_HEIGHT + 6}px;
    font-weight: 600;
}}
QPushButton[role="main"]:hover {{ background: $accent_hover; }}
QPushButton[role="main"]:pressed {{ background: $accent_pressed; }}
QPushButton[role="main"]:focus {{ border: 2px solid $text; min-height: {CONTROL_HEIGHT + 4}px; }}
QPushButton[role="main"]:disabled {{ background: $raised; color: $text_disabled; border-color: $divider; }}
QPushButton[role="stop"] {{ min-height: {CONTROL_HEIGHT + 6}px; font-weight: 600; }}
QPushButton[role="stop"]:focus {{ min-height: {CONTROL_HEIGHT + 4}px; }}
QPushButton[role="segment"] {{ border-radius: 0; padding: 0; margin: 0; }}
QPushButton[role="segment"]:checked {{ background: $selection; color: $on_selection; border-color: $selection; }}
QPushButton[role="segment"]:focus {{ border: 2px solid $accent; padding: 0; }}
QPushButton[role="segment"]:checked:focus {{ border: 2px solid $text; }}

QToolButton {{ background: transparent; color: $text; border: 1px solid transparent; border-radius: {RADIUS}px; }}
QToolButton:hover {{ background: $raised; }}
QToolButton:pressed {{ background: $raised_pressed; }}
QToolButton:checked {{ background: $raised; border-color: $line; }}
QToolButton:focus {{ border: 2px solid $accent; }}
QToolButton:disabled {{ color: $text_disabled; }}
QToolButton[role="fold"] {{ color: $text_dim; padding: 0; }}
QToolButton[role="fold"]:checked {{ background: transparent; border-color: transparent; }}
QToolButton[role="fold"]:focus {{ border-color: $accent; }}

QToolButton[role="status"], QToolButton[role="gauge"] {{
    color: $text_dim; font-size: {SECONDARY_PIXELS}px; padding: 2px {GAP}px;
}}
QToolButton[role="gauge"] {{ padding-right: {GAUGE_BAR_PIXELS + 2 * GAP}px; }}
QToolButton[role="status"]:hover, QToolButton[role="gauge"]:hover {{ color: $text; }}
QToolButton[role="status"]:focus, QToolButton[role="gauge"]:focus {{ padding: 1px {GAP - 1}px; }}
QToolButton[role="gauge"]:focus {{ padding-right: {GAUGE_BAR_PIXELS + 2 * GAP - 1}px; }}

QCheckBox[role="marked"] {{ spacing: {GAP}px; min-height: {CONTROL_HEIGHT}px; }}
QCheckBox[role="marked"]::indicator {{
    width: 14px; height: 14px; background: $field; border: 1px solid $line; border-radius: {GRID}px;
}}
QCheckBox[role="marked"]::indicator:hover {{ border-color: $text_dim; }}
QCheckBox[role="marked"]:focus {{ outline: none; }}
QCheckBox[role="marked"]::indicator:focus {{ width: 12px; height: 12px; border: 2px solid $accent; }}
QCheckBox[role="marked"]::indicator:disabled {{ border-color: $divider; }}

QFrame[role="popover"] {{ background: $raised; border: 1px solid $line; border-radius: {RADIUS}px; }}
QAbstractItemView {{ outline: none; }}
QTableView {{ background: $field; border: 1px solid $divider; border-radius: {RADIUS}px; }}
QListView[role="plain"], QListWidget[role="plain"] {{ background: transparent; border: none; }}
QListWidget[role="plain"]::item {{ min-height: {CONTROL_HEIGHT}px; padding: 0 {GAP}px; border-radius: {GRID}px; }}
QListWidget[role="plain"]::item:hover {{ background: $raised; }}
QListWidget[role="plain"]::item:selected {{ background: $selection; color: $on_selection; }}
QListWidget[role="plain"]:focus {{ border: 1px solid $accent; }}
QTableView::item {{ padding: 0 {GRID}px; }}
QTableView:focus {{ border: 1px solid $accent; }}
QHeaderView::section {{
    background: $surface; color: $text_dim; border: none; border-bottom: 1px solid $divider; padding: {GRID}px 7px;
}}
QTabBar::tab {{
    background: $surface; color: $text_dim; padding: {GRID}px {WIDE_GAP}px; border: none;
    border-bottom: 2px solid transparent;
}}
QTabBar::tab:hover {{ color: $text; }}
QTabBar::tab:selected {{ color: $text; border-bottom: 2px solid $text_dim; }}
QTabBar::tab:focus {{ border-bottom: 2px solid $accent; }}

QProgressBar {{ background: $background; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: $text_dim; border-radius: 3px; }}

QSlider::groove:horizontal {{ background: $divider; height: {GRID}px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: $accent; border-radius: 2px; }}
QSlider::handle:horizontal {{
    background: $text; width: 12px; height: 12px; margin: -{GRID}px 0; border-radius: 6px; border: none;
}}
QSlider::handle:horizontal:focus {{
    border: 2px solid $accent; width: 12px; height: 12px; margin: -6px 0; border-radius: 8px;
}}
QSlider::sub-page:horizontal:disabled {{ background: $divider; }}
QSlider::handle:horizontal:disabled {{ background: $text_disabled; }}

QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: $line; min-height: 24px; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:vertical:disabled {{ background: transparent; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle:horizontal {{ background: $line; min-width: 24px; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:horizontal:disabled {{ background: transparent; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QSplitter::handle {{ background: $divider; }}
QScrollArea {{ border: none; background: $surface; }}
"""
