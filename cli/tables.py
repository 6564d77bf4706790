"""Tables that keep their keys: for the width of a terminal, for a pipe, or for another program.

In a terminal, texts are folded; where that is not enough, columns are left out, the least
important first, and a line below the table names them; where the most important ones do not fit,
each cell has a line. A key, day or number is never cut. In a pipe, each row is one whole line with
all columns. With `--plain`, cells are separated by tabs.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Literal, NamedTuple, TypeAlias

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Kind = Literal["key", "day", "number", "text"]
Cell: TypeAlias = str | int | float | date | None

AsPlain = Annotated[
    bool,
    typer.Option("--plain", help="Print rows separated by tabs, with all columns, no grouping."),
]

_GAP = 2
# A text is folded to no less than its longest word, if that is no longer than this.
_MIN_TEXT = 20


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    """One language a line."""
    kind: Kind = "text"
    """A `text` may be folded; everything else is printed whole. Numbers are aligned right."""
    rank: int = 0
    """Columns with the highest rank are left out first, together; those with 0 stay."""

    @property
    def name(self) -> str:
        """The heading in one line."""
        return self.heading.replace("\n", " ")


class Layout(NamedTuple):
    """Which columns are shown, how wide they are, and the names of those that are left out."""

    shown: list[int]
    widths: list[int]
    left_out: list[str]


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    title: str = "",
    note: str = "",
    plain: bool = False,
    console: Console | None = None,
) -> None:
    """Print a table on standard output.

    Args:
        columns: with their headings and ranks.
        rows: a cell for each column. Integers and floats are grouped, with one decimal for floats;
            None is empty.
        title: a line above the table; not with `plain`.
        note: a line below it; not with `plain`.
        plain: separate the cells by tabs, for another program.
        console: prints there, and has the width; default: standard output.
    """
    console = console or open_console()
    cells = [[_format(cell, plain=plain) for cell in row] for row in rows]
    if plain:
        headings = [column.heading.partition("\n")[0] for column in columns]
        lines = ["\t".join(map(_join_lines, row)) for row in [headings, *cells]]
        _print_lines(console, lines)
        return
    if title:
        _print_lines(console, [title])
    if console.is_terminal:
        layout = fit(columns, cells, console.width)
        if _total(layout.widths) <= console.width:
            _print_folded(console, columns, cells, layout)
        else:
            layout = layout._replace(left_out=[])
            _print_lines(console, _list_fields(columns, cells))
        if layout.left_out:
            names = ", ".join(layout.left_out)
            note = " · ".join(
                filter(None, [note, f"left out at this width: {names} (`| cat` shows all)"])
            )
    else:
        _print_lines(console, _align(columns, cells))
    if note:
        _print_lines(console, [note])


def open_console(*, stderr: bool = False) -> Console:
    """Create a console that wraps lines in a terminal only; in a pipe, lines stay whole."""
    console = Console(stderr=stderr)
    console.soft_wrap = not console.is_terminal
    return console


def fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Layout:
    """Choose the columns for a width, and how wide each of them is.

    If the columns that must stay do not fit, the widths add up to more.
    """
    wide = [_widest(number, column, cells) for number, column in enumerate(columns)]
    least = [_narrowest(number, column, cells) for number, column in enumerate(columns)]
    shown = list(range(len(columns)))
    while _total([least[number] for number in shown]) > width:
        droppable = [number for number in shown if columns[number].rank]
        if not droppable:
            break
        highest = max(columns[number].rank for number in droppable)
        shown = [number for number in shown if columns[number].rank != highest]
    widths = [least[number] for number in shown]
    for _ in range(width - _total(widths)):
        lacking = [wide[number] - width for number, width in zip(shown, widths, strict=True)]
        if max(lacking) <= 0:
            break
        widths[lacking.index(max(lacking))] += 1
    left_out = [column.name for number, column in enumerate(columns) if number not in shown]
    return Layout(shown, widths, left_out)


def _print_folded(
    console: Console, columns: Sequence[Column], cells: Sequence[Sequence[str]], layout: Layout
) -> None:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        width=_total(layout.widths),
    )
    for number, width in zip(layout.shown, layout.widths, strict=True):
        column = columns[number]
        table.add_column(
            Text(column.heading),
            justify="right" if column.kind == "number" else "left",
            width=width,
            overflow="fold",
            vertical="top",
        )
    for row in cells:
        table.add_row(*(Text(row[number]) for number in layout.shown))
    console.print(table, crop=False, soft_wrap=False)


def _align(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[str]:
    rows = [
        [column.name for column in columns],
        *([_join_lines(cell) for cell in row] for row in cells),
    ]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "".join(_pad(*one) for one in zip(row, widths, columns, strict=True)).rstrip()
        for row in rows
    ]


def _list_fields(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each cell, and an empty line between rows."""
    width = max(cell_len(column.name) for column in columns)
    for number, row in enumerate(cells):
        if number:
            yield ""
        for column, cell in zip(columns, row, strict=True):
            yield column.name + " " * (width - cell_len(column.name) + _GAP) + _join_lines(cell)


def _pad(cell: str, width: int, column: Column) -> str:
    space = " " * (width - cell_len(cell))
    return (space + cell if column.kind == "number" else cell + space) + " " * _GAP


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, file=console.file)  # rich would expand tabs


def _format(cell: Cell, *, plain: bool) -> str:
    match cell:
        case None:
            return ""
        case str():
            return cell
        case int():
            return str(cell) if plain else f"{cell:,}"
        case float():
            return f"{cell:.1f}" if plain else f"{cell:,.1f}"
    return cell.isoformat()


def _join_lines(cell: str) -> str:
    return "; ".join(cell.splitlines()).replace("\t", " ")


def _widest(number: int, column: Column, cells: Sequence[Sequence[str]]) -> int:
    return max(map(cell_len, _lines(number, column, cells)), default=0)


def _narrowest(number: int, column: Column, cells: Sequence[Sequence[str]]) -> int:
    """The longest word of the heading, and the longest cell, or word if it may be folded."""
    least = max(map(cell_len, column.heading.split()), default=0)
    for row in cells:
        if column.kind == "text":
            words = max(map(cell_len, row[number].split()), default=0)
            least = max(least, min(words, _MIN_TEXT))
        else:
            least = max(least, *map(cell_len, row[number].split("\n")))
    return least


def _lines(number: int, column: Column, cells: Sequence[Sequence[str]]) -> list[str]:
    return [
        *column.heading.split("\n"),
        *(line for row in cells for line in row[number].split("\n")),
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
