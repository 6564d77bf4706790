"""Noto Sans Devanagari, subset to the characters of a page and embedded in it.

So a page looks the same on every device and loads nothing.
"""

from base64 import b64encode
from collections.abc import Set as AbstractSet
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from markupsafe import Markup

# Part of the typeface → family name. Two names, because WeasyPrint mixes up fonts that have the
# same name and weight.
FAMILIES = {"latin": "Noto Sans Devanagari Latin", "devanagari": "Noto Sans Devanagari"}
_FONTS = Path(__file__).parent / "fonts"
_WEIGHTS = (400, 700)
# Part → `unicode-range` of its `@font-face`.
_UNICODE_RANGES = {
    "devanagari": (
        "U+0900-097F,U+1CD0-1CF9,U+200C-200D,U+20A8,U+20B9,U+20F0,U+25CC,U+A830-A839,U+A8E0-A8FF"
    ),
    "latin": (
        "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+2000-200B,U+200E-206F,"
        "U+20AC,U+2122,U+2191,U+2193,U+2212,U+2215"
    ),
}
# Characters that every subset has, so that most pages share one: subsetting takes longer than the
# rest of a page.
_COMMON = {
    "latin": frozenset(range(0x20, 0x7F)),
    "devanagari": frozenset(
        [
            *range(0x901, 0x904),
            *range(0x905, 0x93A),
            *range(0x93C, 0x94E),
            *range(0x958, 0x960),
            *(0x964, 0x965, 0x200C, 0x200D, 0x25CC),
        ]
    ),
}
# Characters in both parts, which alone do not require either.
_IN_BOTH = frozenset([0x20, 0xA0, 0x200C, 0x200D, 0x25CC])


def font_faces(text: str) -> Markup:
    """`@font-face` rules for a text, in both weights.

    Each font has the common characters of its script and the others that the text uses, with all
    ligatures, conjuncts and mark positions.
    """
    used = frozenset(map(ord, text))
    faces = [
        _face(script, weight, (used | _COMMON[script]) & available)
        for script in _UNICODE_RANGES
        for weight in _WEIGHTS
        if (available := _characters(script, weight)) & used - _IN_BOTH
    ]
    return Markup("\n").join(faces)


def _face(script: str, weight: int, characters: AbstractSet[int]) -> Markup:
    data = b64encode(_subset(script, weight, frozenset(characters))).decode()
    rule = (
        '@font-face {{ font-family: "{}"; font-weight: {}; src:'
        ' url("data:font/woff2;base64,{}") format("woff2"); unicode-range: {} }}'
    )
    return Markup(rule).format(  # noqa: S704
        Markup(FAMILIES[script]),  # noqa: S704
        weight,
        Markup(data),  # noqa: S704
        Markup(_UNICODE_RANGES[script]),  # noqa: S704
    )


@lru_cache(maxsize=16)
def _subset(script: str, weight: int, characters: frozenset[int]) -> bytes:
    options = Options()
    options.flavor = "woff2"
    options.layout_features = ["*"]
    options.notdef_outline = True
    options.hinting = False
    with _open_font(script, weight) as font:
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        font.flavor = "woff2"
        out = BytesIO()
        font.save(out)
    return out.getvalue()


@lru_cache
def _characters(script: str, weight: int) -> frozenset[int]:
    with _open_font(script, weight) as font:
        return frozenset(font.getBestCmap())


def _open_font(script: str, weight: int) -> TTFont:
    return TTFont(_FONTS / f"noto-sans-devanagari-{script}-{weight}-normal.woff2")
