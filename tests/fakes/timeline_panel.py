"""A window with a timeline and nothing else, pointed at by clips and frames as a user would."""

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from ltx_studio.domain.timeline import Timeline, TrackKind
from ltx_studio.services.player import Player
from ltx_studio.ui.actions import assign_keys, build_menus
from ltx_studio.ui.docks import PANELS, commands_with
from ltx_studio.ui.keymaps import OWN, key_maps
from ltx_studio.ui.playback_actions import playback_reactions
from ltx_studio.ui.theme import DARK, Appearance
from ltx_studio.ui.timeline_desk import TimelineDesk
from ltx_studio.ui.timeline_geometry import RULER_PIXELS, View
from tests.fakes.timelines import picture, sound, spans

NO_KEYS = Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton


class TimelineBench:
    """Four pixels a frame, from the first one on."""

    def __init__(self, app: QApplication, qtbot: QtBot) -> None:
        self.window = QMainWindow()
        self.player = Player(self.window)
        self.appearance = Appearance(app)
        self.appearance.choose(DARK)
        self.desk = TimelineDesk(self.player, self.appearance, self.window)
        self.state, self.screen = self.desk.state, self.desk.screen
        self.said: list[str] = []
        self.desk.said.connect(self.said.append)
        reactions = self.desk.reactions(playback_reactions(lambda: self.player), lambda: self.player)
        commands = [command for command in commands_with(PANELS) if command.name in reactions]
        commands += [command for command in commands_with(PANELS) if command.name in ("quit", "settings")]
        reactions |= {"quit": self.close, "settings": self.close}
        self.actions = build_menus(self.window, commands, reactions)
        assign_keys(self.actions, key_maps()[OWN].keys)
        self.picture = QLabel("picture")
        self.window.setCentralWidget(self.desk.below(self.picture, self.actions, self.window))
        assert self.desk.panel is not None
        self.panel = self.desk.panel
        self.window.resize(1100, 420)
        with qtbot.waitExposed(self.window):
            self.window.show()

    def load(self, timeline: Timeline) -> None:
        """As a sequence, seen at four pixels a frame."""
        self.state.load(timeline)
        self.screen.set_view(View(0, 4, self.panel.lanes.width()))
        self.panel.lanes.setFocus()
        QApplication.processEvents()

    def close(self) -> None:
        self.desk.close_threads()
        self.player.close()
        self.window.close()
        self.window.deleteLater()
        # At once: the style sheet of the next window would be worked out for this one too.
        QApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete)

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def timeline(self) -> Timeline:
        return self.state.timeline.value

    def spans(self, kind: TrackKind = TrackKind.PICTURE) -> list[tuple[str, int, int]]:
        return spans(self.timeline, kind)

    def shown_spans(self) -> list[tuple[str, int, int]]:
        """What a drag that is going on would make."""
        return spans(self.screen.timeline)

    def picture_id(self, index: int) -> int:
        return picture(self.timeline, index)

    def sound_id(self, index: int) -> int:
        return sound(self.timeline, index)

    def undo_text(self) -> str:
        return self.actions["undo"].text()

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def point(self, frame: float, lane: int = 0, *, above: bool = False) -> QPoint:
        """A frame on a track, in the lanes; `above`: in its name strip."""
        place = self.screen.lanes[lane]
        return QPoint(round(self.screen.view.x_of(frame)), place.top + (4 if above else place.height // 2))

    def ruler_point(self, frame: float) -> QPoint:
        return QPoint(round(self.screen.view.x_of(frame)), RULER_PIXELS // 2)

    def click(self, frame: float, lane: int = 0, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        QTest.mouseClick(self.panel.lanes, LEFT, keys, self.point(frame, lane))

    def double_click(self, frame: float, lane: int = 0) -> None:
        QTest.mouseDClick(self.panel.lanes, LEFT, NO_KEYS, self.point(frame, lane))

    def press(self, frame: float, lane: int = 0, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        QTest.mousePress(self.panel.lanes, LEFT, keys, self.point(frame, lane))

    def move(self, frame: float, lane: int = 0, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        move_mouse(self.panel.lanes, self.point(frame, lane), keys)

    def release(self, frame: float, lane: int = 0, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        QTest.mouseRelease(self.panel.lanes, LEFT, keys, self.point(frame, lane))

    def drag(
        self, start: float, stop: float, lanes: tuple[int, int] = (0, 0), keys: Qt.KeyboardModifier = NO_KEYS
    ) -> None:
        """Press, move in three steps, release."""
        self.press(start, lanes[0], keys)
        for share in (0.3, 0.7, 1.0):
            self.move(start + share * (stop - start), lanes[1] if share == 1.0 else lanes[0], keys)
        self.release(stop, lanes[1], keys)

    def drag_ruler(self, start: float, stop: float, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        ruler = self.panel.ruler
        QTest.mousePress(ruler, LEFT, keys, self.ruler_point(start))
        move_mouse(ruler, self.ruler_point((start + stop) / 2), keys)
        move_mouse(ruler, self.ruler_point(stop), keys)
        QTest.mouseRelease(ruler, LEFT, keys, self.ruler_point(stop))

    def wheel(self, frame: float, notches: int, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        at = QPointF(self.point(frame))
        event = QWheelEvent(
            at,
            QPointF(self.panel.lanes.mapToGlobal(at.toPoint())),
            QPoint(),
            QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton,
            keys,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.panel.lanes, event)

    def key(self, key: Qt.Key, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        """With the keyboard in the lanes."""
        QTest.keyClick(self.panel.lanes, key, keys)


def move_mouse(widget: QWidget, point: QPoint, keys: Qt.KeyboardModifier) -> None:
    """With the left button held; QTest cannot hold keys while it moves."""
    at = QPointF(point)
    event = QMouseEvent(
        QEvent.Type.MouseMove, at, QPointF(widget.mapToGlobal(point)), Qt.MouseButton.NoButton, LEFT, keys
    )
    QApplication.sendEvent(widget, event)
