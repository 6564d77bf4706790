"""Characters that have no place in a text of an event: nobody sees them, and they change lines.

Control characters (C0, DEL, C1), separators of lines and paragraphs, marks and overrides of the
direction of writing, and invisible ones that Devanagari does not need. With them, two names that
look the same are two entities, and a name can look like another one or break a line of a log or a
table. The joiners U+200C and U+200D are allowed: Hindi is written with them.
"""

import re

# First and last of each range, in Unicode's order. All lie in the Basic Multilingual Plane, so that
# the pattern means the same in Python and in JSON Schema.
RANGES = (
    (0x0000, 0x001F),  # C0
    (0x007F, 0x009F),  # DEL, C1
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200B),  # zero-width space
    (0x200E, 0x200F),  # left-to-right, right-to-left mark
    (0x2028, 0x202E),  # line and paragraph separator, embeddings and overrides of direction
    (0x2060, 0x206F),  # word joiner, invisible operators, isolates of direction
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFB),  # interlinear annotation
)
# A regular expression that finds one, for Python and for JSON Schema.
PATTERN = "[" + "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in RANGES) + "]"
_FIND = re.compile(PATTERN)


def explain_control_character(text: str) -> str | None:
    """Return the reason why a text is refused, with the character and its place.

    None if the text has no such character. The reason does not repeat the text.
    """
    if text.isprintable() or (found := _FIND.search(text)) is None:
        return None
    return (
        f"has the invisible character U+{ord(found[0]):04X} at position {found.start() + 1}; "
        "remove it"
    )
