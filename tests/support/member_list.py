"""A list of members as offices keep it, one row per person, and the persons in it.

Numbers are written in the ways of such lists. The oracle knows the person of each row since it made
the row; it reads no number back.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

HEADER = ["Form No", "Name", "Mobile", "Booth", "Date"]
MAPPING = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date", format = "%d/%m/%Y" }
entity = { prefix = "sheet:list", columns = ["Form No"] }
constants = { mode = "manual", count = 1 }

[fields.member_keys]
column = "Mobile"
type = "phone"
many = true
"""
BOOTHS = ["CG-AC001-B0001", "CG-AC001-B0002", "CG-AC001-B0003"]
FIRST_DAY = date(2022, 3, 1)
_DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")
# Ways to write the ten digits of a number.
_WAYS: tuple[Callable[[str], object], ...] = (
    lambda ten: ten,
    float,
    int,
    lambda ten: f"{ten[:5]} {ten[5:]}",
    lambda ten: f"+91 {ten[:5]}-{ten[5:]}",
    lambda ten: f"+91{ten}",
    lambda ten: f"0{ten}",
    lambda ten: f"91{ten}",
    lambda ten: f"0091 {ten}",
    lambda ten: f"(+91) {ten}",
    lambda ten: f"'{ten}",
    lambda ten: f"\u202a+91 {ten[:5]} {ten[5:]}\u202c",
    lambda ten: f"{ten}\u200b",
    lambda ten: f"{ten[:5]}\u00a0{ten[5:]}",
    lambda ten: f"{ten} (WA)",
    lambda ten: f"Mob: {ten}",
    lambda ten: f"मो. {ten}",
    lambda ten: f"tel:+91{ten}",
    lambda ten: ten.translate(_DEVANAGARI),
    lambda ten: f"{ten[:3]}-{ten[3:6]}-{ten[6:]}",
    lambda ten: f" {ten} ",
    lambda ten: f"{ten}.0",
)  # fmt: skip


@dataclass
class MemberList:
    """Rows of a list, and the persons of each booth."""

    rows: list[list[object]] = field(default_factory=list)
    """Without the header."""
    persons: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Booth → numbers of persons."""
    members: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Booth → rows."""


def make_list(rows: int, seed: int = 1) -> MemberList:
    """Make a list in which about every fourth row names a person again."""
    choose = random.Random(seed)
    found = MemberList()
    for number in range(rows):
        person = choose.randrange(rows * 2)
        booth = choose.choice(BOOTHS)
        day = FIRST_DAY + timedelta(days=choose.randrange(60))
        written = choose.choice(_WAYS)(f"{6_000_000_000 + person * 1_009:010d}")
        found.rows.append(
            [f"F-{number:05d}", f"Name {person}", written, booth, day.strftime("%d/%m/%Y")]
        )
        found.persons[booth].add(person)
        found.members[booth] += 1
    return found
