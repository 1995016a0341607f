"""Picture sizes that are known to work, by shape and by scale; portrait ones are made as such, never cropped.

Every side is a multiple of 64, so that the first stage's half size lies on the model's grid of 32 pixels too.
"""

from enum import StrEnum

from engine.types import Size


class Shape(StrEnum):
    """The picture's proportions, width to height; the model's grid makes them approximate."""

    WIDE = "16:9"
    CLASSIC = "4:3"
    SQUARE = "1:1"
    UPRIGHT = "3:4"
    TALL = "9:16"


class Scale(StrEnum):
    """How large the picture is, by area: from the starter model's size to full HD."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    FULL = "full"


_LYING = {
    Shape.WIDE: (Size(448, 256), Size(768, 448), Size(1280, 704), Size(1920, 1088)),
    Shape.CLASSIC: (Size(256, 192), Size(512, 384), Size(1024, 768), Size(1472, 1088)),
    Shape.SQUARE: (Size(256, 256), Size(576, 576), Size(960, 960), Size(1408, 1408)),
}
_STANDING = {Shape.UPRIGHT: Shape.CLASSIC, Shape.TALL: Shape.WIDE}


def size_of(shape: Shape, scale: Scale) -> Size:
    """The picture size of a shape at a scale."""
    index = list(Scale).index(scale)
    if shape in _STANDING:
        lying = _LYING[_STANDING[shape]][index]
        return Size(lying.height, lying.width)
    return _LYING[shape][index]


def find_size(size: Size) -> tuple[Shape, Scale] | None:
    """Which shape and scale a size is, None for one that is not in the table."""
    return next(((shape, scale) for shape in Shape for scale in Scale if size_of(shape, scale) == size), None)
