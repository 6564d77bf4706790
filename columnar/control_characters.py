"""Search for control characters in a column of UTF-8 texts: `pravah.control_characters` in bulk."""

import numpy as np

from columnar.arrays import Array
from columnar.texts import Texts
from pravah.control_characters import RANGES

_DEL = 0x7F
# The characters whose encodings have one, two and three bytes. DEL is the first one searched for.
_ENCODINGS = ((_DEL, _DEL), (0x80, 0x7FF), (0x800, 0xFFFF))


def has_control_character(texts: Texts) -> Array:
    """Which JSON texts have a control character beyond the 32 of ASCII, bool, shape (texts,).

    Those occur in JSON as escapes only, or as blanks between its parts.
    """
    buffer, has = texts.buffer, np.zeros(len(texts), bool)
    if not len(buffer) or buffer.max() < _DEL:
        return has
    starts = np.flatnonzero(_BEGINS_ONE[buffer])
    padded = np.concatenate([buffer, np.zeros(2, np.uint8)])
    first, second, third = (padded[starts + place].astype(np.int32) for place in range(3))
    codes = first << 16 | second << 8 | third
    ranges = np.searchsorted(_FIRST, codes, "right") - 1
    starts = starts[(ranges >= 0) & (codes <= _LAST[ranges])]
    has |= np.searchsorted(starts, texts.begins) < np.searchsorted(
        starts, texts.begins + texts.lengths
    )
    return has


def _encode_ranges() -> tuple[Array, Array]:
    """The first and the last three bytes of each range as numbers.

    The bytes behind a shorter encoding are 0 and 255, so that any may follow it.
    """
    first, last = list[int](), list[int]()
    for begin, end in RANGES:
        for lowest, highest in _ENCODINGS:
            if max(begin, lowest) <= min(end, highest):
                first.append(_number(chr(max(begin, lowest)), b"\x00"))
                last.append(_number(chr(min(end, highest)), b"\xff"))
    return np.array(first, np.int32), np.array(last, np.int32)


def _number(character: str, filler: bytes) -> int:
    return int.from_bytes(character.encode().ljust(3, filler), "big")


_FIRST, _LAST = _encode_ranges()
_BEGINS_ONE = np.zeros(256, bool)
_BEGINS_ONE[np.concatenate([_FIRST, _LAST]) >> 16] = True
