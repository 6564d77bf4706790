"""Prints how rows would count, in the width of a terminal or as full lines in a pipe."""

from collections.abc import Iterator

from rich.console import Console

from cli.language import Words, beside
from cli.tables import Column, print_table
from producers.tables.preview import CountedRow, Preview

PREVIEW_COLUMNS = (
    Column("row", "number"),
    Column("day", "day"),
    Column("unit", "key"),
    Column("kind", "key"),
    Column("counts"),
)
_MAX_REFUSALS = 10


def print_preview(preview: Preview, *, on_stderr: bool = False) -> None:
    """Print the first rows, all totals, and the refused rows by reason.

    Args:
        preview: what a dry run found.
        on_stderr: print to standard error, since standard output has something else.
    """
    console = Console(stderr=on_stderr, soft_wrap=True, highlight=False)
    if console.is_terminal:
        _print_table(preview, console)
    else:
        for row in preview.rows:
            console.print(
                f"row {row.number}: {row.day} {row.unit} {row.kind}: {_format_amounts(row)}",
                markup=False,
            )
    if preview.totals:
        totals = ", ".join(f"{name} {value:,}" for name, value in preview.totals.items())
        console.print(f"{beside('कुल गिनती', 'all rows would count')}: {totals}", markup=False)
    for line in _iter_refusals(preview):
        console.print(line, markup=False)


def _print_table(preview: Preview, console: Console) -> None:
    rows = [(row.number, row.day, row.unit, row.kind, _format_amounts(row)) for row in preview.rows]
    title = Words("ऐसे गिना जाएगा", "as they would count")
    print_table(PREVIEW_COLUMNS, rows, title=title, console=console)


def _format_amounts(row: CountedRow) -> str:
    amounts = ", ".join(f"{name} {value:,}" for name, value in row.amounts.items())
    persons = f"persons' hashes {row.persons}" if row.persons else ""
    return ", ".join(filter(None, (amounts or "nothing", persons)))


def _iter_refusals(preview: Preview) -> Iterator[str]:
    refused = beside("अस्वीकृत", "refused")
    found = sorted(preview.refusals.values(), key=lambda one: -one.count)
    for one in found[:_MAX_REFUSALS]:
        shown = ", ".join(f"{row:,}" for row in one.rows)
        more = ", …" if one.count > len(one.rows) else ""
        yield f"{refused}: {one.count:,} (rows {shown}{more}): {one.reason}: {one.detail}"
    if len(found) > _MAX_REFUSALS:
        rest = sum(one.count for one in found[_MAX_REFUSALS:])
        yield f"{refused}: {rest:,} for {len(found) - _MAX_REFUSALS} further reasons"
