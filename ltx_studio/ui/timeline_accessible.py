"""What a screen reader says of the timeline: its time, how much is on it, and what is selected."""

from PySide6.QtCore import QObject
from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtWidgets import QAccessibleWidget

from ltx_studio.domain.timecode import spelled
from ltx_studio.state.timeline import tr
from ltx_studio.ui.timeline_screen import TimelineScreen
from ltx_studio.ui.timeline_view import TimelineLanes


def value_text(screen: TimelineScreen) -> str:
    """In sentences."""
    state, unit = screen.state, screen.unit.value
    timeline = state.timeline.value
    if timeline.length == 0:
        return tr("The timeline is empty.")
    rate = timeline.rate
    parts = [
        tr("{time} of {length}.").format(
            time=spelled(state.playhead.value, rate, unit), length=spelled(timeline.length, rate, unit)
        )
    ]
    clip = timeline.shown_at(state.playhead.value)
    parts.append(tr("Nothing is seen here.") if clip is None else tr("On {name}.").format(name=clip.name))
    marked = timeline.marked
    if marked is not None:
        parts.append(
            tr("Marked from {start} to {end}.").format(
                start=spelled(marked.start, rate, unit), end=spelled(marked.stop - 1, rate, unit)
            )
        )
    selected = state.selected()
    if selected:
        names = ", ".join(dict.fromkeys(clip.name for clip in selected))
        parts.append(tr("Selected: {names}.").format(names=names))
    return " ".join(parts)


class _LanesInterface(QAccessibleWidget):
    def __init__(self, lanes: TimelineLanes) -> None:
        super().__init__(lanes, QAccessible.Role.Slider)
        self._lanes = lanes

    def text(self, kind: QAccessible.Text) -> str:
        if kind is QAccessible.Text.Value:
            return value_text(self._lanes.screen_)
        return super().text(kind)


def _factory(_class_name: str, thing: QObject | None) -> QAccessibleInterface | None:
    if not isinstance(thing, TimelineLanes):
        return None
    thing.accessible = _LanesInterface(thing)  # Qt does not keep the Python half alive
    return thing.accessible


def install_timeline_accessible() -> None:
    """Once for the process; harmless again."""
    QAccessible.installFactory(_factory)
