"""Noto Sans Devanagari, embedded in each page.

So a page looks the same on every device and loads nothing. A page whose characters are all common
gets a subset of the typeface, any other the whole of it. The subsets are files, since making one
takes longer than the rest of a page: `python -m reports.fonts` makes them anew.
"""

from base64 import b64encode
from functools import lru_cache
from io import BytesIO
from pathlib import Path

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
# Characters of the subsets: those of our texts and of nearly all names.
_COMMON = {
    "latin": frozenset([*range(0x20, 0x7F), 0xA0, *map(ord, "·×–—‘’“”…−")]),
    "devanagari": frozenset(
        [
            *range(0x901, 0x904),
            *range(0x905, 0x93A),
            *range(0x93C, 0x94E),
            *range(0x958, 0x960),
            *(0x20, 0xA0, 0x964, 0x965, 0x200C, 0x200D, 0x25CC),
        ]
    ),
}
# Characters in both parts, which alone do not require either.
_IN_BOTH = frozenset([0x20, 0xA0, 0x200C, 0x200D, 0x25CC])


def font_faces(text: str) -> Markup:
    """`@font-face` rules for a text, in both weights, with all conjuncts and mark positions."""
    used = frozenset(map(ord, text)) - _IN_BOTH
    faces = []
    for script in _UNICODE_RANGES:
        needed = used & _characters(script)
        name = "common" if needed <= _COMMON[script] else "normal"
        faces += [_face(script, weight, name) for weight in _WEIGHTS if needed]
    return Markup("\n").join(faces)


@lru_cache
def _face(script: str, weight: int, name: str) -> Markup:
    data = b64encode(_path(script, weight, name).read_bytes()).decode()
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


@lru_cache
def _characters(script: str) -> frozenset[int]:
    """The characters of a part's `unicode-range`."""
    found: set[int] = set()
    for part in _UNICODE_RANGES[script].split(","):
        first, _, last = part.removeprefix("U+").partition("-")
        found |= {*range(int(first, 16), int(last or first, 16) + 1)}
    return frozenset(found)


def _path(script: str, weight: int, name: str) -> Path:
    return _FONTS / f"noto-sans-devanagari-{script}-{weight}-{name}.woff2"


def make_subset(script: str, weight: int) -> bytes:
    """The subset of a part with its common characters, as WOFF2."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    options = Options()
    options.flavor = "woff2"
    options.layout_features = ["*"]
    options.notdef_outline = True
    options.hinting = False
    with TTFont(_path(script, weight, "normal"), recalcTimestamp=False) as font:
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=_COMMON[script] & font.getBestCmap().keys())
        subsetter.subset(font)
        font.flavor = "woff2"
        out = BytesIO()
        font.save(out)
    return out.getvalue()


if __name__ == "__main__":
    for of in _UNICODE_RANGES:
        for in_weight in _WEIGHTS:
            _path(of, in_weight, "common").write_bytes(make_subset(of, in_weight))
