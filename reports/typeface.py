"""Noto Sans Devanagari, cut down to what a page uses and put into the page, so that it looks the same on every device and asks nobody for anything."""

from base64 import b64encode
from collections.abc import Set as AbstractSet
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from markupsafe import Markup

FAMILIES = {"latin": "Noto Sans Devanagari Latin", "devanagari": "Noto Sans Devanagari"}
"""Part of the typeface → its family's name here. Two names, because WeasyPrint takes fonts of one name and weight for one font."""
_FONTS = Path(__file__).parent / "fonts"
_WEIGHTS = (400, 700)
_SCRIPTS = {
    "devanagari": "U+0900-097F,U+1CD0-1CF9,U+200C-200D,U+20A8,U+20B9,U+20F0,U+25CC,U+A830-A839,U+A8E0-A8FF",
    "latin": "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+2000-200B,U+200E-206F,U+20AC,U+2122,U+2191,U+2193,U+2212,U+2215",
}
"""Part → the characters it is there for."""


def font_faces(text: str) -> Markup:
    """`@font-face` rules with the glyphs that a text needs, of both weights; every ligature, conjunct and mark position of them is kept."""
    used = frozenset(map(ord, text))
    return Markup("\n").join(_face(script, weight, used & _characters(script, weight)) for script in _SCRIPTS for weight in _WEIGHTS)


def _face(script: str, weight: int, characters: AbstractSet[int]) -> Markup:
    data = b64encode(_cut(script, weight, frozenset(characters))).decode()
    rule = '@font-face {{ font-family: "{}"; font-weight: {}; src: url("data:font/woff2;base64,{}") format("woff2"); unicode-range: {} }}'
    return Markup(rule).format(Markup(FAMILIES[script]), weight, Markup(data), Markup(_SCRIPTS[script]))  # noqa: S704 - our own names and base64


@lru_cache(maxsize=64)
def _cut(script: str, weight: int, characters: frozenset[int]) -> bytes:
    options = Options()
    options.flavor = "woff2"
    options.layout_features = ["*"]
    options.notdef_outline = True
    options.hinting = False
    with _opened(script, weight) as font:
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        font.flavor = "woff2"
        out = BytesIO()
        font.save(out)
    return out.getvalue()


@lru_cache
def _characters(script: str, weight: int) -> frozenset[int]:
    with _opened(script, weight) as font:
        return frozenset(font.getBestCmap())


def _opened(script: str, weight: int) -> TTFont:
    return TTFont(_FONTS / f"noto-sans-devanagari-{script}-{weight}-normal.woff2")
