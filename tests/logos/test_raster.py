"""Reading and drawing logos: sizes, the visible part, and files that mean no good."""

import io
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import LogoError
from sdxl_lora.logos import raster
from sdxl_lora.logos.raster import Logo
from tests.logos.marks import PEAK, svg


def png(mode: str = "RGBA", size: tuple[int, int] = (64, 32)) -> bytes:
    image = Image.new(mode, size)
    image.paste((200, 30, 40, 255)[: len(mode)], (8, 8, 56, 24))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_an_svg_is_drawn_at_the_size_that_is_asked_for_without_its_margin() -> None:
    logo = Logo.read(svg('<rect x="25" y="40" width="50" height="20" fill="#c8102e"/>'), "bar.svg")
    assert logo.aspect == pytest.approx(2.5, rel=0.01)
    for longest in (50, 333, 1000):
        pixels = logo.drawn(longest)
        assert pixels.shape[1] == pytest.approx(longest, abs=2)
        assert tuple(pixels[pixels.shape[0] // 2, longest // 2]) == (200, 16, 46, 255)


def test_a_png_with_alpha_is_a_logo_and_keeps_the_colour_of_its_edges() -> None:
    logo = Logo.read(png(), "bar.png")
    assert (logo.kind, logo.aspect) == ("png", 3.0)
    pixels = logo.drawn(100)
    assert pixels.shape[1] == 100
    assert np.abs(pixels[pixels[..., 3] > 0][:, :3].astype(int) - (200, 30, 40)).max() <= 1


def test_a_logo_is_read_from_a_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "peak.svg").write_bytes(PEAK)
    assert Logo.open(tmp_path / "peak.svg").name == "peak.svg"
    with pytest.raises(LogoError, match=r"cannot read the logo .*gone\.svg: No such file"):
        Logo.open(tmp_path / "gone.svg")


SAFE = "save it as a plain SVG"
LAUGHS = b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + svg("<desc>&b;</desc>")
WRONG = {
    "script": (svg("<script>alert(1)</script>"), "script"),
    "handler": (svg('<rect width="9" height="9" onload="alert(1)"/>'), "onload"),
    "entities": (LAUGHS, "entity"),
    "linked picture": (svg('<image href="/etc/passwd" width="9" height="9"/>'), "picture"),
    "linked shape": (svg('<use href="http://localhost/a.svg#b"/>'), "outside itself"),
    "linked shape, old spelling": (svg('<use xlink:href="file:///etc/passwd"/>'), "outside itself"),
    "linked paint": (svg('<rect width="9" height="9" fill="url(http://x/y#z)"/>'), "outside itself"),
    "linked style": (svg("<style>@import 'x.css';</style>"), "outside itself"),
    "linked font": (svg("<style>@font-face { src: url( 'f.ttf') }</style>"), "outside itself"),
    "style sheet": (b'<?xml-stylesheet href="x.css"?>' + PEAK, "outside itself"),
    "web page": (svg("<foreignObject/>"), "web page"),
    "live text": (svg("<text>brand</text>"), "outlines"),
    "too deep": (svg("<g>" * 100 + "</g>" * 100), "deep"),
    "too many": (svg("<g/>" * 30_000), "elements"),
    "empty": (svg(""), "shows nothing"),
    "no svg": (b"<html/>", "is no SVG"),
    "broken": (PEAK[:-20], "is no SVG that can be read"),
    "compressed": (b"\x1f\x8b" + b"0" * 20, "neither an SVG nor a PNG|compressed"),
    "no size": (b'<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0"/>', "cannot be drawn"),
    "a thread": (svg('<rect width="100" height="0.2"/>'), "as long as it is wide"),
    "large": (b"<svg>" + b" " * 2_100_000, "bytes"),
    "other letters": (b'<?xml version="1.0" encoding="latin-1"?><svg a="\xe9"/>', "UTF-8"),
    "text": (b"hello", "neither an SVG nor a PNG"),
    "nothing": (b"", "neither an SVG nor a PNG"),
    "opaque png": (png("RGB"), "no transparent ground"),
    "cut png": (png()[:60], "cannot be read"),
    "tiny png": (png(size=(10, 10)), "give a larger PNG"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_safe_logo_is_refused_in_one_line_that_names_it(case: str) -> None:
    data, words = WRONG[case]
    with pytest.raises(LogoError, match=words) as caught:
        Logo.read(data, "brand.svg")
    assert str(caught.value).startswith("brand.svg ")
    assert "\n" not in str(caught.value)


def bomb() -> bytes:
    """A PNG of 40,000 x 40,000 transparent pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = (40_000).to_bytes(4) * 2 + bytes([8, 6, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))


def copies() -> bytes:
    """Ten to the twelfth copies of a dot."""
    groups = "".join(f'<g id="g{i + 1}">' + f'<use href="#g{i}"/>' * 10 + "</g>" for i in range(12))
    return svg(f'<defs><g id="g0"><circle r="9"/></g>{groups}</defs><use href="#g12"/>')


ENDLESS = {
    "copies of copies": copies(),
    "a shape that holds itself": svg('<g id="a"><use href="#a"/><circle r="50"/></g>'),
    "a gradient that leads to itself": svg(
        '<linearGradient id="a" href="#b"/><linearGradient id="b" href="#a"/>'
        '<rect width="9" height="9" fill="url(#a)"/>'
    ),
    "a pattern in itself": svg(
        '<pattern id="p" width="1e-6" height="1e-6"><rect width="9" height="9" fill="url(#p)"/></pattern>'
        '<rect width="99" height="99" fill="url(#p)"/>'
    ),
    "a vast drawing": b'<svg xmlns="http://www.w3.org/2000/svg" width="1e30" height="1e30"><circle r="9"/></svg>',
    "vast blurs": svg(
        "".join(
            f'<filter id="f{i}" x="-999" y="-999" width="9999" height="9999"><feGaussianBlur stdDeviation="900"/>'
            f'<feTurbulence numOctaves="9999" baseFrequency="9"/></filter><g filter="url(#f{i})"><circle r="50"/></g>'
            for i in range(200)
        )
    ),
    "a bomb": bomb(),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_what_would_take_endless_time_or_memory_ends_soon_in_one_line_or_a_drawing(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "_CPU_SECONDS", 1)
    started, said = time.monotonic(), ""
    try:
        Logo.read(ENDLESS[case], "brand.svg")
    except LogoError as error:
        said = str(error)
    assert "\n" not in said
    assert time.monotonic() - started < raster.SECONDS + 2


def test_a_drawing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    logo = Logo.read(PEAK, "peak.svg")
    first = logo.drawn(321)
    monkeypatch.setattr(raster, "_draw", None)  # it would fail
    assert logo.drawn(321) is first
