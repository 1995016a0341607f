"""Which part of a picture is seen, and how large: fit, 100 %, zoom around a point, pan. Pure arithmetic.

Lengths of a view are in its own pixels. The centre is in parts of the picture, 0 to 1, so that pictures of several
sizes can be looked at through one framing.
"""

from dataclasses import dataclass, replace

LARGEST_FIT = 4.0  # beyond this, a small clip is only blur
SMALLEST_SCALE, LARGEST_SCALE = 0.05, 32.0
STEP = 2**0.5  # of a command that zooms


@dataclass(frozen=True)
class Rect:
    """Where something is in a view."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def contains(self, x: float, y: float) -> bool:
        return self.x <= x < self.right and self.y <= y < self.bottom


@dataclass(frozen=True)
class Framing:
    """`scale` is a view's pixels for one of the picture's; None fits the whole picture into the view."""

    scale: float | None = None
    centre_x: float = 0.5
    centre_y: float = 0.5

    @property
    def is_fit(self) -> bool:
        return self.scale is None


FIT = Framing()


def fit_scale(view: Rect, width: int, height: int) -> float:
    return max(min(view.width / width, view.height / height, LARGEST_FIT), 1e-6)


def scale_in(framing: Framing, view: Rect, width: int, height: int) -> float:
    """How large this framing shows a picture."""
    return fit_scale(view, width, height) if framing.scale is None else framing.scale


def place(framing: Framing, view: Rect, width: int, height: int) -> Rect:
    """Where the picture lies; parts of it outside the view are not seen."""
    scale = scale_in(framing, view, width, height)
    shown_width, shown_height = width * scale, height * scale
    x = view.x + view.width / 2 - framing.centre_x * shown_width
    y = view.y + view.height / 2 - framing.centre_y * shown_height
    if framing.is_fit:
        x, y = view.x + (view.width - shown_width) / 2, view.y + (view.height - shown_height) / 2
    return Rect(x, y, shown_width, shown_height)


def zoomed(
    framing: Framing, factor: float, view: Rect, width: int, height: int, *, at: tuple[float, float] | None = None
) -> Framing:
    """Larger or smaller by a factor; what is at this point of the view stays there."""
    before = scale_in(framing, view, width, height)
    after = min(max(before * factor, min(SMALLEST_SCALE, fit_scale(view, width, height))), LARGEST_SCALE)
    picture = place(framing, view, width, height)
    middle = view.x + view.width / 2, view.y + view.height / 2
    x, y = at or middle
    # The part of the picture that is under the point, and where the view's middle comes to lie from there.
    centre_x = (x - picture.x) / picture.width + (middle[0] - x) / (width * after)
    centre_y = (y - picture.y) / picture.height + (middle[1] - y) / (height * after)
    return _kept_in_sight(Framing(after, centre_x, centre_y), view, width, height)


def at_scale(framing: Framing, scale: float, view: Rect, width: int, height: int) -> Framing:
    """At this scale around the middle of what is seen now."""
    return zoomed(framing, scale / scale_in(framing, view, width, height), view, width, height)


def panned(framing: Framing, dx: float, dy: float, view: Rect, width: int, height: int) -> Framing:
    """The picture pushed by so many pixels of the view. A picture that fits stays where it is."""
    if framing.scale is None:
        return framing
    moved = replace(
        framing,
        centre_x=framing.centre_x - dx / (width * framing.scale),
        centre_y=framing.centre_y - dy / (height * framing.scale),
    )
    return _kept_in_sight(moved, view, width, height)


def _kept_in_sight(framing: Framing, view: Rect, width: int, height: int) -> Framing:
    """No gap on one side while the picture is cut off on the other; a smaller picture stays in the middle."""
    assert framing.scale is not None

    def kept(centre: float, room: float, shown: float) -> float:
        if shown <= room:
            return 0.5
        margin = room / shown / 2
        return min(max(centre, margin), 1 - margin)

    return replace(
        framing,
        centre_x=kept(framing.centre_x, view.width, width * framing.scale),
        centre_y=kept(framing.centre_y, view.height, height * framing.scale),
    )
