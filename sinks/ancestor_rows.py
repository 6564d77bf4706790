"""Rows of `unit_ancestors`, as columns: each unit with each of its ancestors and their days."""

import numpy as np

from columnar.columns import Block, Days, DictionaryTexts, Enums, item_positions
from pravah.units import LEVELS, RANK
from schemas.registry import Registry, Span
from sinks.native import ColumnClient

# With seven ancestors each they stay below `sinks.native.MAX_ROWS`.
_UNITS_A_BLOCK = 150_000


def insert_ancestors(client: ColumnClient, table: str, registry: Registry) -> None:
    """Fill a table like `unit_ancestors`.

    Units with the same days and parents have the same ancestors: those are found once and repeated
    as numbers.
    """
    codes = list(registry.units)
    numbers = {code: number for number, code in enumerate(codes)}
    cases: dict[int, int] = {}
    spans: list[tuple[Span, ...]] = []
    case_of = np.empty(len(codes), np.int32)
    for number, code in enumerate(codes):
        stretches = id(registry.stretches(code))  # one object for all units of a case
        case = cases.get(stretches)
        if case is None:
            case = cases[stretches] = len(spans)
            spans.append(registry.spans(code)[1:])
        case_of[number] = case
    lengths = np.array([len(one) for one in spans], np.int64)
    ancestor, level, first, last = (
        np.array([of(span) for one in spans for span in one], np.int32)
        for of in (
            lambda span: numbers[span.ancestor],
            lambda span: RANK[span.level],
            lambda span: span.first,
            lambda span: span.last,
        )
    )
    units = registry.units.values()
    own = [
        np.fromiter(column, np.int32, len(codes))
        for column in (
            (RANK[u.level] for u in units),
            (u.first for u in units),
            (u.last for u in units),
        )
    ]
    for at in range(0, len(codes), _UNITS_A_BLOCK):
        place = np.arange(at, min(at + _UNITS_A_BLOCK, len(codes)), dtype=np.int32)
        above = item_positions(lengths, case_of[place])
        columns = [
            np.concatenate(parts)
            for parts in (
                (place, np.repeat(place, lengths[case_of[place]])),
                (place, ancestor[above]),
                *(
                    (mine[place], theirs[above])
                    for mine, theirs in zip(own, (level, first, last), strict=True)
                ),
            )
        ]
        block = Block(
            {
                "unit": DictionaryTexts(columns[0], codes),
                "ancestor": DictionaryTexts(columns[1], codes),
                "ancestor_level": Enums(columns[2], LEVELS),
                "valid_from": Days(columns[3]),
                "valid_to": Days(columns[4]),
            }
        )
        client.insert(table, block, {})
