"""Columns of a table that may identify its rows, for a suggested mapping."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pravah.events import Kind
from producers.tables.column_profiles import ColumnProfile
from producers.tables.headings import Meaning, contains_words

# Kinds of things that last, on which many rows may report.
STOCKS: set[Kind] = {"incharge_appointed", "committee_formed", "messaging_group"}
# Words in headings of their ids.
_LASTING = "group|link|committee|office|ग्रुप|समूह|लिंक|समिति"

Identity = tuple[list[ColumnProfile], str]


class Known(NamedTuple):
    """What was guessed of a table before."""

    kind: Kind | None
    is_stock: bool
    """Whether the rows report on things that last."""
    is_one_post: bool
    """Whether each row is one post."""
    units: list[ColumnProfile]
    date: ColumnProfile | None
    persons: set[str | None]
    """Names of the columns that fields use: a phone number among them is hashed."""


def iter_identities(profiles: Sequence[ColumnProfile], known: Known) -> Iterator[Identity]:
    """Yield columns that may identify a row, the best first, with the reason."""
    for profile in _find(profiles, "identity"):
        # another form on the same group or office must not count as one more
        if not known.is_stock or contains_words(profile.heading, _LASTING):
            yield [profile], "a number or link of its own"
    for profile in _find(profiles, "phone"):
        if profile.name in known.persons:
            yield [profile], "a person; it enters as the keyed hash"
            yield [*known.units, profile], "a person of a unit; it enters as the keyed hash"
    if known.kind == "messaging_group":
        for profile in _find(profiles, "group_name"):
            yield [*known.units, profile], "a group's name may change: better a link or an id"
    elif known.kind == "committee_formed":
        for profile in _find(profiles, "name"):
            yield [*known.units, profile], "a committee's name may change: better an id"
    if not known.is_stock:
        yield from _iter_report_identities(profiles, known)
    elif known.kind != "messaging_group":
        yield known.units, "one of each unit"


def find_links(profiles: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """Return the column that has another link in each row, None if there is none."""
    return next(
        (
            profile
            for profile in profiles
            if profile.cells and profile.links == len(set(profile.texts)) == len(profile.cells)
        ),
        None,
    )


def _iter_report_identities(profiles: Sequence[ColumnProfile], known: Known) -> Iterator[Identity]:
    """Yield columns that may identify a report of what happened."""
    if known.is_one_post and (links := find_links(profiles)) is not None:
        yield [links], "a link of its own"
    base = [*known.units, *([known.date] if known.date is not None else [])]
    more = _find(profiles, "programme", "platform")
    reporters = [one for one in _find(profiles, "reporter") if one.is_mostly(one.phones)]
    yield base, "one report of a unit and day"
    yield [*base, *more], "one report of a unit and day"
    yield [*base, *reporters], "one report of a unit, day and reporter"
    yield [*base, *reporters, *more], "one report of a unit, day and reporter"
    for profile in _find(profiles, "serial"):
        yield [profile], "LOOK: inserted rows must not shift these numbers"


def _find(profiles: Sequence[ColumnProfile], *meanings: Meaning) -> list[ColumnProfile]:
    """Return the columns whose headings have one of the meanings."""
    return [one for one in profiles if one.means(*meanings)]
