"""Rows that are none of a table's: too long, totals, repeated headers; with the likely cause."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from producers.mapping.conversions import Cell, to_text
from producers.mapping.text import fold_text, normalise_text, to_ascii_digits
from producers.tables.cells import is_filled
from producers.tables.mapping import ImportMapping

# Names of totals. योग is also a word for yoga, and a name may begin with कुल or with Total, so these
# must be the whole text.
_TOTAL = re.compile(
    r"(?:(?:grand|sub|page|net|running|overall|g\.?)[\s-]*)?totals?\s*[:=.-]*|sum"
    r"|(?:(?:कुल|महा|उप|सकल|सर्व|सर्वयोग)[\s-]*)?(?:कुल|योग|जोड़|जोड|टोटल)\s*[:=.-]*"
    r"|(?:kul|maha|sarv)[\s-]*(?:yog|jod|total)\s*[:=.-]*|kul|yog|jod",
    re.IGNORECASE,
)
_TOTAL_START = re.compile(
    r"(?:(?:grand|sub|g\.?)[\s-]*)?totals?\b.*|(?:कुल|महायोग|सर्वयोग|योग|टोटल)[\s:(].*",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER_START, _NUMBER_END = re.compile(r"[+-]?\d{1,3}"), re.compile(r"\d{2,3}(\.\d+)?")


def is_total(text: str) -> bool:
    """Whether a text is a name of totals, such as `Total`, `कुल योग` or `Kul`."""
    return _TOTAL.fullmatch(normalise_text(text)) is not None


def find_totals(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> Iterator[tuple[int, str, str]]:
    """Yield index, column and text of rows that are totals."""
    seen = set()
    for number, row in enumerate(rows):
        for name, cell in zip(columns, row, strict=False):
            text = to_text(cell)
            if name and is_total(text):
                if (name, text) not in seen:
                    yield number, name, text
                else:
                    yield number, "", ""
                seen.add((name, text))
                break


def explain_length(row: Sequence[Cell], names: Sequence[str]) -> str:
    """Return the reason to refuse a row that has more cells than the table has columns."""
    counts = f"the row has {len(row)} cells for {len(names)} columns"
    texts = [to_ascii_digits(to_text(cell)) for cell in row]
    for one, other in pairwise(texts):
        if _NUMBER_START.fullmatch(one) and _NUMBER_END.fullmatch(other):
            return (
                f"{counts}; probably a comma within a number, as {one},{other}: "
                f'write it as {one}{other}, or in quotation marks as "{one},{other}"'
            )
    return (
        f"{counts}; probably a comma within a text that has no quotation marks around it, "
        "or a note beside the table in a column without a name"
    )


def explain_no_data(
    row: Sequence[Cell],
    mapping: ImportMapping,
    index: Mapping[str, int],
    names: Sequence[str],
) -> str | None:
    """Return the reason to refuse a row that is a total or repeats the header, else None.

    Args:
        row: the row's cells.
        mapping: how rows become events.
        index: name of a column in the mapping → its index.
        names: the table's column names.
    """
    filled = [place for place, cell in enumerate(row) if is_filled(cell)]
    if len(filled) > 1 and all(
        fold_text(to_text(row[place])) == fold_text(names[place]) for place in filled
    ):
        return (
            "repeats the names of the columns; remove the row, or skip such rows: "
            f"{_show_rule(names[filled[0]], to_text(row[filled[0]]))}"
        )
    places = {index[column] for column in _iter_identity(mapping)}
    mapped = {index[field.column] for field in mapping.fields.values()}
    if filled and filled[0] not in mapped:
        places.add(filled[0])
    for place in sorted(places):
        if place < len(row) and is_total(text := to_text(row[place])):
            return (
                f"{names[place]}: {text!r} looks like a line of totals, which would count "
                "everything twice; remove the row, or skip such rows: "
                f"{_show_rule(names[place], text)}"
            )
    return None


def explain_problems(row: Sequence[Cell], mapping: ImportMapping, index: Mapping[str, int]) -> str:
    """Return a hint to follow the problems of a row that may be no data, or nothing."""
    places = {index[column] for column in _iter_identity(mapping)}
    filled = [place for place, cell in enumerate(row) if is_filled(cell)]
    if places.isdisjoint(filled):
        column, rule = mapping.entity.columns[0], "empty = true"
    else:
        texts = {
            column: to_text(row[index[column]])
            for column in _iter_identity(mapping)
            if index[column] in filled
        }
        column = next((name for name, text in texts.items() if _TOTAL_START.fullmatch(text)), "")
        rule = f"is = [{_quote(texts.get(column, ''))}]"
    if not column:
        return ""
    return (
        ". If it is a line of totals or a note, remove the row, or skip such rows: "
        f"[[skip]] column = {_quote(column)}, {rule}"
    )


def _iter_identity(mapping: ImportMapping) -> Iterator[str]:
    yield from mapping.entity.columns
    yield mapping.unit.column
    if mapping.occurred_at.column is not None:
        yield mapping.occurred_at.column


def _show_rule(column: str, text: str) -> str:
    return f"[[skip]] column = {_quote(column)}, is = [{_quote(text)}]"


def _quote(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'
