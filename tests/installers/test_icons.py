"""Icons in the forms that systems want. Alone: `pytest tests/installers/test_icons.py`."""

import io

import pytest
from PIL import Image

from installers import icons


def pixels(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGBA")


@pytest.mark.parametrize("stem", [icons.APP, icons.PROJECT])
def test_a_drawing_fills_its_square_and_leaves_its_corners_clear(stem: str) -> None:
    image = pixels(icons.draw_png(icons.SOURCES / f"{stem}.svg", 64))

    alpha = image.getchannel("A")
    assert image.size == (64, 64)
    assert alpha.getpixel((0, 0)) == 0
    assert alpha.getpixel((32, 8)) == 255
    left, top, right, bottom = alpha.getbbox() or (64, 64, 0, 0)
    assert min(right - left, bottom - top) >= 48


def test_the_mark_stands_out_from_its_plate_at_the_smallest_size() -> None:
    image = pixels(icons.draw_png(icons.SOURCES / f"{icons.APP}.svg", 16))

    bar, gap = image.getpixel((3, 8)), image.getpixel((5, 8))
    assert isinstance(bar, tuple)
    assert isinstance(gap, tuple)
    assert bar[2] > 200
    assert max(gap[:3]) < 120


def test_drawing_twice_gives_the_same_bytes() -> None:
    source = icons.SOURCES / f"{icons.APP}.svg"

    first = icons.draw_png(source, 48)
    icons.draw_png.cache_clear()

    assert icons.draw_png(source, 48) == first


def test_a_windows_icon_holds_every_size_as_another_program_reads_it() -> None:
    content = icons.windows_icon(icons.APP)

    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "ICO"
        assert {size for size, _ in image.info["sizes"]} == set(icons.ICO_SIZES)
    assert [size for size, _ in icons.read_ico(content)] == list(icons.ICO_SIZES)


def test_a_macos_icon_holds_every_size_as_another_program_reads_it() -> None:
    content = icons.macos_icon(icons.APP)

    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "ICNS"
        assert {(512, 512, 2), (256, 256, 1), (128, 128, 1)} <= set(image.info["sizes"])
    for (name, png), (expected, size) in zip(icons.read_icns(content), icons.ICNS_ENTRIES, strict=True):
        assert (name, pixels(png).size) == (expected, (size, size))


def test_the_macos_icon_keeps_the_margin_of_apples_template() -> None:
    png = dict(icons.read_icns(icons.macos_icon(icons.APP)))["ic10"]

    assert pixels(png).getchannel("A").getbbox() == (100, 100, 924, 924)


@pytest.mark.parametrize("content", [b"", b"icns", b"\0\0\1\0\1\0" + b"\0" * 10])
def test_what_is_no_icon_is_refused(content: bytes) -> None:
    for read in (icons.read_ico, icons.read_icns):
        with pytest.raises(ValueError):
            read(content)
