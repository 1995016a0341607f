"""Drawing the timeline: lanes with clips, and the ruler above them. No state, no events, no files.

What is drawn is what `timeline_geometry` says, within the rectangle that is asked for: moving the playhead draws two
narrow strips. With a few hundred clips in sight, what takes time is the number of calls, so plain parts are drawn
together and words only where there is room for some.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QPainter, QPen, QPolygonF

from engine.types import FrameRange
from ltx_studio.domain.timecode import TimeUnit, frames_per_second, timecode
from ltx_studio.domain.timeline import Clip, Timeline, Track, TrackKind
from ltx_studio.domain.timeline_zones import ZoneKind, Zones
from ltx_studio.state.timeline import tr
from ltx_studio.ui.theme import GRID, RADIUS, SECONDARY_PIXELS, Theme, ui_font
from ltx_studio.ui.timeline_geometry import (
    RULER_PIXELS,
    SEPARATED_FROM_PIXELS,
    Lane,
    View,
    clips_between,
    group_starts,
    scale_of,
    ticks_between,
)

if TYPE_CHECKING:
    from ltx_studio.ui.timeline_pictures import ClipPictures

NAME_PIXELS = 16  # the strip with a clip's name, above its pictures
_LEAST_NAMED_PIXELS = 36  # a clip narrower than this has no room for words
_GROUP_HEIGHT = 4
_TICK_HEIGHT, _LABEL_TICK_HEIGHT = 5, 12
_PLAYHEAD_PIXELS = 5  # half of the playhead's handle in the ruler
_MARK_PIXELS = 4  # the height of the marked range in the ruler
_SHADE = 150  # of 255: what lies outside of the marked range
_NEW_FILL = 100  # over what is to be made anew: the pictures are still seen
_PATTERN_PIXELS = 8  # after which Qt's hatching repeats


@dataclass(frozen=True)
class Colours:
    """The theme's, ready to paint with."""

    background: QColor
    lane: QColor
    clip: QColor
    name_strip: QColor
    divider: QColor
    line: QColor
    text: QColor
    text_dim: QColor
    accent: QColor
    on_accent: QColor
    selection: QColor
    on_selection: QColor
    warn: QColor
    danger: QColor
    picture: QColor
    sound: QColor

    @classmethod
    def of(cls, theme: Theme) -> "Colours":
        return cls(
            *(
                QColor(getattr(theme, name))
                for name in (
                    *("background", "surface", "raised", "raised_hover", "divider", "line", "text", "text_dim"),
                    *("accent", "on_accent", "selection", "on_selection", "warn", "danger", "picture", "sound"),
                )
            )
        )


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn. `timeline` may be what a drag is about to make of the real one."""

    timeline: Timeline
    view: View
    lanes: Sequence[Lane]
    colours: Colours
    unit: TimeUnit = TimeUnit.TIMECODE
    selection: frozenset[int] = frozenset()
    playhead: int | None = 0
    pictures: "ClipPictures | None" = None
    zones: Zones | None = None
    snap_frame: int | None = None  # what a drag snapped to
    blade_frame: int | None = None  # where the blade would cut
    blade_lanes: frozenset[int] = field(default_factory=frozenset)  # tracks it would cut
    shows_groups: bool = False
    gap: tuple[int, FrameRange] | None = None  # a track and an empty stretch of it that is selected


# --- the lanes --------------------------------------------------------------------------------------------------------


def paint_lanes(painter: QPainter, scene: Scene, area: QRect) -> None:
    """Tracks with their clips, and what goes across them."""
    paint_clips(painter, scene, area)
    paint_over(painter, scene, area)


def paint_clips(painter: QPainter, scene: Scene, area: QRect) -> None:
    """What takes its time: the part that stays as it is while the playhead and the selection move."""
    _paint_floor(painter, scene, area)
    painter.setBrushOrigin(round(scene.view.x_of(0)) % _PATTERN_PIXELS, 0)  # hatching moves with what it is on
    for lane, clips in _seen(scene, area):
        track = scene.timeline.track(lane.track_id)
        if scene.gap is not None and scene.gap[0] == track.id:
            _paint_gap(painter, scene, lane, scene.gap[1])
        _paint_clips(painter, scene, lane, track, clips, area)


def paint_over(painter: QPainter, scene: Scene, area: QRect) -> None:
    """What lies over the clips: words, the selection, the marked range, zones, and lines from top to bottom."""
    font = ui_font(painter.font(), SECONDARY_PIXELS)
    painter.setFont(font)
    metrics = QFontMetrics(font)
    for lane, clips in _seen(scene, area):
        least = _LEAST_NAMED_PIXELS / scene.view.pixels_per_frame
        wide = [clip for clip in clips if clip.length >= least]
        for clip, (left, width) in zip(wide, _extents(scene.view, wide), strict=True):
            _paint_words(painter, scene, lane, clip, QRectF(left, lane.top, width, lane.height), metrics)
        chosen = _extents(scene.view, [clip for clip in clips if clip.id in scene.selection])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(scene.colours.accent, 2))
        painter.drawRects([QRectF(left + 1, lane.top + 1, width - 2, lane.height - 2) for left, width in chosen])
    _paint_shade(painter, scene, area)
    if scene.zones is not None:
        _paint_zones(painter, scene, scene.zones)
    _paint_lines(painter, scene, area)


def _seen(scene: Scene, area: QRect) -> Iterator[tuple[Lane, list[Clip]]]:
    """The lanes in the area, with their clips there."""
    first, last = scene.view.position_at(area.left()), scene.view.position_at(area.right() + 1)
    for lane in scene.lanes:
        if lane.bottom >= area.top() and lane.top <= area.bottom():
            yield lane, list(clips_between(scene.timeline.track(lane.track_id).clips, first, last))


def _paint_floor(painter: QPainter, scene: Scene, area: QRect) -> None:
    """What the clips lie on: lanes, and the background between them."""
    top = area.top()
    for lane in scene.lanes:
        painter.fillRect(area.left(), top, area.width(), lane.top - top, scene.colours.background)
        painter.fillRect(area.left(), lane.top, area.width(), lane.height, scene.colours.lane)
        top = lane.bottom
    painter.fillRect(area.left(), top, area.width(), area.bottom() + 1 - top, scene.colours.background)


def _paint_clips(painter: QPainter, scene: Scene, lane: Lane, track: Track, clips: Sequence[Clip], area: QRect) -> None:
    colours, is_picture = scene.colours, lane.kind is TrackKind.PICTURE
    extents = _extents(scene.view, clips)
    top, height = lane.top, lane.height
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colours.clip)
    painter.drawRects([QRectF(left, top, width, height) for left, width in extents])
    if is_picture:
        painter.setBrush(colours.name_strip)
        named = [QRectF(left, top, width, NAME_PIXELS) for left, width in extents if width >= _LEAST_NAMED_PIXELS]
        painter.drawRects(named)
        top, height = top + NAME_PIXELS, height - NAME_PIXELS
    if scene.pictures is not None:
        if is_picture:
            _paint_strips(painter, scene, scene.pictures, clips, extents, QRect(area.left(), top, area.width(), height))
        else:
            _paint_wave(painter, scene, scene.pictures, lane, track, area)
    if scene.shows_groups and is_picture:
        _paint_groups(painter, scene, lane, clips, area)
    if track.is_muted or track.is_locked:
        veil = QColor(colours.lane)
        veil.setAlpha(_SHADE)
        pattern = Qt.BrushStyle.BDiagPattern if track.is_locked else Qt.BrushStyle.SolidPattern
        painter.fillRect(QRect(area.left(), lane.top, area.width(), lane.height), QBrush(veil, pattern))


def _extents(view: View, clips: Sequence[Clip]) -> list[tuple[float, float]]:
    """The left edge and the width of each; between two that touch a line of the lane is left."""
    first, scale = view.first, view.pixels_per_frame
    least, narrow = SEPARATED_FROM_PIXELS / scale, 1 / scale
    return [
        (
            (clip.start - first) * scale,
            clip.length * scale - 1 if clip.length >= least else max(clip.length, narrow) * scale,
        )
        for clip in clips
    ]


def _paint_gap(painter: QPainter, scene: Scene, lane: Lane, gap: FrameRange) -> None:
    left, right = scene.view.x_of(gap.start), scene.view.x_of(gap.stop)
    painter.setBrush(QBrush(scene.colours.divider, Qt.BrushStyle.Dense4Pattern))
    painter.setPen(QPen(scene.colours.accent, 2))
    painter.drawRect(QRectF(left + 1, lane.top + 1, right - left - 2, lane.height - 2))


def _paint_strips(
    painter: QPainter,
    scene: Scene,
    pictures: "ClipPictures",
    clips: Sequence[Clip],
    extents: Sequence[tuple[float, float]],
    film: QRect,
) -> None:
    """Frames side by side, each what is seen at its middle; the last is cut where its clip ends."""
    ratio, scale = painter.device().devicePixelRatioF(), scene.view.pixels_per_frame
    top, height, seen_until = film.top(), film.height(), film.right() + 1
    for clip, (clip_left, clip_width) in zip(clips, extents, strict=True):
        strip = pictures.strip(clip, height, ratio)
        if strip is None:
            if pictures.is_missing(clip):
                hatch = QBrush(scene.colours.danger, Qt.BrushStyle.BDiagPattern)
                painter.fillRect(QRectF(clip_left, top, clip_width, height), hatch)
            continue
        frames, width, num_frames = strip.frames, strip.width, len(strip.frames)
        per_pixel = strip.fraction_per_frame / scale
        clip_right = clip_left + clip_width
        left = clip_left + max(int((film.left() - clip_left) // width), 0) * width
        while left < clip_right and left < seen_until:
            part = min(width, clip_right - left)
            place = int((strip.first_fraction + (left + part / 2 - clip_left) * per_pixel) * num_frames)
            frame = frames[0 if place < 0 else place if place < num_frames else num_frames - 1]
            source = (
                strip.whole if part == width else QRectF(0, 0, strip.whole.width() * part / width, strip.whole.height())
            )
            painter.drawPixmap(QRectF(left, top, part, height), frame, source)
            left += width


def _paint_wave(
    painter: QPainter, scene: Scene, pictures: "ClipPictures", lane: Lane, track: Track, area: QRect
) -> None:
    left, right = max(area.left(), 0), area.right() + 1
    ratio = painter.device().devicePixelRatioF()
    image = pictures.wave(
        track, scene.view, scene.timeline.rate, (left, right), lane.height, ratio, scene.colours.sound
    )
    if image is not None:
        painter.drawImage(QPointF(left, lane.top), image)


def _paint_groups(painter: QPainter, scene: Scene, lane: Lane, clips: Sequence[Clip], area: QRect) -> None:
    """Short lines where the model's groups of frames begin."""
    view = scene.view
    span = FrameRange(max(view.frame_at(area.left()), 0), max(view.frame_at(area.right()) + 2, 0))
    lines = [
        QLineF(view.x_of(frame), lane.bottom - _GROUP_HEIGHT, view.x_of(frame), lane.bottom)
        for clip in clips
        for frame in group_starts(clip, scene.timeline.rate, span)
    ]
    painter.setPen(QPen(scene.colours.line, 1))
    painter.drawLines(lines)


def _paint_words(painter: QPainter, scene: Scene, lane: Lane, clip: Clip, box: QRectF, metrics: QFontMetrics) -> None:
    """The name, from where it is seen on; what take of how many; how much louder or quieter."""
    left = max(box.left(), 0.0) + GRID + 2
    right = min(box.right(), float(scene.view.width)) - GRID
    badge = _badge(clip, lane.kind)
    colours = scene.colours
    if badge and right - left > metrics.horizontalAdvance(badge) + GRID:
        width = metrics.horizontalAdvance(badge)
        place = QRectF(right - width, box.top(), width, NAME_PIXELS)
        painter.setPen(colours.text)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, badge)
        right -= width + 2 * GRID
    # The sound of a picture has its name above it already.
    if (lane.kind is TrackKind.SOUND and clip.link is not None) or right - left < _LEAST_NAMED_PIXELS - 2 * GRID:
        return
    name = metrics.elidedText(clip.name, Qt.TextElideMode.ElideRight, int(right - left))
    painter.setPen(colours.text)
    painter.drawText(QRectF(left, box.top(), right - left, NAME_PIXELS), Qt.AlignmentFlag.AlignVCenter, name)


def _badge(clip: Clip, kind: TrackKind) -> str:
    if kind is TrackKind.PICTURE:
        return f"{clip.chosen + 1}/{len(clip.takes)}" if len(clip.takes) > 1 else ""
    return f"{clip.gain_db:+.1f} dB".replace("-", "\N{MINUS SIGN}") if clip.gain_db else ""


def _paint_shade(painter: QPainter, scene: Scene, area: QRect) -> None:
    """What is outside of the marked range steps back."""
    marked = scene.timeline.marked
    if marked is None:
        return
    shade = QColor(scene.colours.background)
    shade.setAlpha(_SHADE)
    left, right = scene.view.x_of(marked.start), scene.view.x_of(marked.stop)
    if left > area.left():
        painter.fillRect(QRectF(area.left(), area.top(), left - area.left(), area.height()), shade)
    if right < area.right() + 1:
        painter.fillRect(QRectF(right, area.top(), area.right() + 1 - right, area.height()), shade)


def _paint_zones(painter: QPainter, scene: Scene, zones: Zones) -> None:
    """Over the clip and its linked ones: new is filled, blended is hatched, kept is left as it is."""
    timeline, view, colours = scene.timeline, scene.view, scene.colours
    if not any(clip.id == zones.clip_id for clip in timeline.clips()):
        return
    fill = QColor(colours.selection)
    fill.setAlpha(_NEW_FILL)
    for clip in timeline.linked(zones.clip_id):
        track = timeline.place_of(clip.id)[0]
        if not (zones.on_picture if track.kind is TrackKind.PICTURE else zones.on_sound):
            continue
        lane = next(lane for lane in scene.lanes if lane.track_id == track.id)
        is_other = track.kind is TrackKind.SOUND and zones.sound_zones is not None
        for zone in (zones.sound_zones or ()) if is_other else zones.zones:
            start, stop = max(zone.span.start, clip.start), min(zone.span.stop, clip.stop)
            if start >= stop or zone.kind is ZoneKind.KEPT:
                continue
            place = QRectF(view.x_of(start), lane.top, view.x_of(stop) - view.x_of(start), lane.height)
            if zone.kind is ZoneKind.NEW:
                painter.fillRect(place, fill)
                painter.setPen(QPen(colours.accent, 1))
                painter.drawLines([QLineF(place.topLeft(), place.bottomLeft()), _right_of(place)])
                if track.kind is TrackKind.PICTURE and place.width() >= _LEAST_NAMED_PIXELS:
                    painter.setPen(colours.on_selection)
                    top = QRectF(place.left(), place.top(), place.width(), NAME_PIXELS)
                    painter.drawText(top, Qt.AlignmentFlag.AlignCenter, tr("new"))
            else:
                painter.fillRect(place, QBrush(colours.accent, Qt.BrushStyle.FDiagPattern))


def _right_of(place: QRectF) -> QLineF:
    return QLineF(place.topRight(), place.bottomRight())


def _paint_lines(painter: QPainter, scene: Scene, area: QRect) -> None:
    """What goes from top to bottom: markers, what a drag snapped to, the blade, the playhead."""
    view, colours = scene.view, scene.colours
    top, bottom = float(area.top()), float(area.bottom() + 1)

    def line(frame: int, pen: QPen, above: float = top, below: float = bottom) -> None:
        x = view.x_of(frame)
        if area.left() - 2 <= x <= area.right() + 2:
            painter.setPen(pen)
            painter.drawLine(QLineF(x, above, x, below))

    for marker in scene.timeline.markers:
        line(marker.frame, QPen(colours.warn, 1, Qt.PenStyle.DotLine))
    if scene.snap_frame is not None:
        line(scene.snap_frame, QPen(colours.text, 1, Qt.PenStyle.DashLine))
    if scene.blade_frame is not None:
        for lane in scene.lanes:
            if lane.track_id in scene.blade_lanes:
                line(scene.blade_frame, QPen(colours.danger, 1), lane.top, lane.bottom)
    if scene.playhead is not None:
        line(scene.playhead, QPen(colours.accent, 1))


# --- the ruler --------------------------------------------------------------------------------------------------------


def paint_ruler(painter: QPainter, scene: Scene, area: QRect) -> None:
    """Lines with their times, the marked range, markers and the playhead's handle."""
    colours, view, timeline = scene.colours, scene.view, scene.timeline
    painter.fillRect(area, colours.lane)
    painter.setFont(ui_font(painter.font(), SECONDARY_PIXELS))
    scale = scale_of(view, timeline.rate, scene.unit)
    first, last = view.position_at(area.left() - 1), view.position_at(area.right() + 1)
    ticks = list(ticks_between(scale, max(first, 0.0), last))
    painter.setPen(QPen(colours.line, 1))
    painter.drawLines(
        [
            QLineF(x, RULER_PIXELS - (_LABEL_TICK_HEIGHT if tick.is_labelled else _TICK_HEIGHT), x, RULER_PIXELS)
            for tick in ticks
            for x in (round(view.x_of(tick.position)) + 0.5,)
        ]
    )
    painter.setPen(colours.text_dim)
    for tick in ticks:
        if tick.is_labelled:
            place = QRectF(view.x_of(tick.position) + GRID, 0, 200, RULER_PIXELS - _TICK_HEIGHT)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, _label(tick.position, scene))
    _paint_marked(painter, scene)
    for marker in timeline.markers:
        _paint_flag(painter, view.x_of(marker.frame), colours.warn)
    if scene.playhead is not None:
        _paint_handle(painter, view.x_of(scene.playhead), colours)


def playhead_area(view: View, frame: int, height: int) -> QRect:
    """What the playhead covers, in the ruler and in the lanes alike."""
    x = round(view.x_of(frame))
    return QRect(x - _PLAYHEAD_PIXELS - 2, 0, 2 * _PLAYHEAD_PIXELS + 4, height)


def _label(position: float, scene: Scene) -> str:
    rate = scene.timeline.rate
    match scene.unit:
        case TimeUnit.FRAMES:
            return str(round(position))
        case TimeUnit.SECONDS:
            return f"{position / float(rate.value):.2f}".rstrip("0").rstrip(".") + " s"
        case TimeUnit.TIMECODE:
            full = timecode(round(position), rate)
            is_long = scene.timeline.length >= 3600 * frames_per_second(rate)
            return full if is_long else full[3:]


def _paint_marked(painter: QPainter, scene: Scene) -> None:
    marked, view, colours = scene.timeline.marked, scene.view, scene.colours
    if marked is None:
        return
    left, right = view.x_of(marked.start), view.x_of(marked.stop)
    bar = QRectF(left, RULER_PIXELS - _MARK_PIXELS, right - left, _MARK_PIXELS)
    painter.fillRect(bar, colours.accent)
    painter.setPen(QPen(colours.accent, 2))
    if scene.timeline.mark_in is not None:
        painter.drawPolyline(_bracket(left + 1, 1))
    if scene.timeline.mark_out is not None:
        painter.drawPolyline(_bracket(right - 1, -1))


def _bracket(x: float, way: int) -> QPolygonF:
    top, bottom = RULER_PIXELS - 14, RULER_PIXELS - 1
    return QPolygonF([QPointF(x + way * 4, top), QPointF(x, top), QPointF(x, bottom)])


def _paint_flag(painter: QPainter, x: float, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([QPointF(x, 4), QPointF(x + 7, 7.5), QPointF(x, 11)]))
    painter.fillRect(QRectF(x - 0.5, 4, 1, RULER_PIXELS - 4), colour)


def _paint_handle(painter: QPainter, x: float, colours: Colours) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colours.accent)
    half, foot = _PLAYHEAD_PIXELS, RULER_PIXELS - 6
    painter.drawPolygon(
        QPolygonF(
            [
                QPointF(x - half, foot - 9),
                QPointF(x + half, foot - 9),
                QPointF(x + half, foot - 3),
                QPointF(x, foot + 3),
                QPointF(x - half, foot - 3),
            ]
        )
    )
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QPen(colours.accent, 1))
    painter.drawLine(QLineF(x, foot, x, RULER_PIXELS))


# --- words over everything --------------------------------------------------------------------------------------------


def paint_hint(painter: QPainter, text: str, at: QPointF, bounds: QRect, colours: Colours) -> None:
    """What a drag would do, beside the mouse, within the bounds."""
    painter.setFont(ui_font(painter.font(), SECONDARY_PIXELS))
    metrics = painter.fontMetrics()
    box = QRectF(0, 0, metrics.horizontalAdvance(text) + 4 * GRID, metrics.height() + GRID)
    box.moveTopLeft(at + QPointF(12, -box.height() - 4))
    box.moveRight(min(box.right(), bounds.right() - GRID))
    box.moveTop(max(box.top(), bounds.top() + GRID))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colours.line, 1))
    painter.setBrush(colours.clip)
    painter.drawRoundedRect(box, RADIUS / 2, RADIUS / 2)
    painter.setPen(colours.text)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
