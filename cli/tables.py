"""Tables that keep their keys: for the width of a terminal, for a pipe, or for another program.

In a terminal, texts are folded; where that is not enough, columns are left out, the least
important first, and a line below the table names them; where the most important ones do not fit,
each cell has a line. A key, day or number is never cut. In a pipe, each row is one whole line with
all columns. With `--plain`, cells are separated by tabs, below the columns' keys.

Headings are in the language of the command, one language a line. `Words` in a column of texts
become a column for each language.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

import typer
from rich.cells import cell_len, chop_cells

from cli.headings import HEADINGS
from cli.language import Words, current_language
from pravah.languages import Lang, Language, languages_of

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal["key", "day", "number", "text"]
Cell: TypeAlias = str | int | float | date | Words | None

AsPlain = Annotated[
    bool,
    typer.Option("--plain", help="Print rows separated by tabs, with all columns, no grouping."),
]

_GAP = "  "
# After the hyphen of a name; none in a code such as CG-D-RPR.
_HYPHEN = re.compile("(?<=[a-z]-)(?=[A-Z])|(?<=[\u0900-\u097f]-)(?=[\u0900-\u097f])")
# A text is folded to no less than its longest word, if that is no longer than this.
_MAX_WORD = 40
# And to no more lines than these, as long as it is narrower than this.
_MAX_LINES, _MAX_NARROW = 3, 20


class Column(NamedTuple):
    """A column of a table."""

    key: str
    """A key of `HEADINGS`; the heading with `--plain`."""
    kind: Kind = "text"
    """A `text` may be folded; everything else is printed whole. Numbers are aligned right."""
    rank: int = 0
    """Columns with the highest rank are left out first, together; those with 0 stay."""

    @property
    def language(self) -> Language | None:
        """The language of its texts; None if they have none."""
        match self.key[-3:]:
            case "_hi":
                return "hi"
            case "_en":
                return "en"
        return None

    def name(self, language: Language) -> str:
        """The words for it in a language."""
        return Words(*HEADINGS[self.key]).of(language)


class ShownColumn(NamedTuple):
    """A column as it is shown in some languages."""

    column: Column
    headings: list[str]
    """A line for each language; empty where its texts are in another language."""
    cells: list[str]

    @property
    def all_lines(self) -> Iterator[str]:
        """Each line of its headings and cells."""
        yield from self.headings
        for cell in self.cells:
            yield from cell.split("\n")

    @property
    def max_width(self) -> int:
        """The width at which nothing is folded."""
        return max(map(cell_len, self.all_lines), default=0)

    @property
    def min_width(self) -> int:
        """The longest word of the headings, and the longest cell, or word if it may be folded."""
        headings = [word for heading in self.headings for word in heading.split()]
        least = max(map(cell_len, headings), default=0)
        if self.column.kind != "text":
            lines = (line for cell in self.cells for line in cell.split("\n"))
            return max(least, max(map(cell_len, lines), default=0))
        words = [piece for cell in self.cells for piece, _ in _split(cell.replace("\n", " "))]
        longest = min(max(map(cell_len, words), default=0), _MAX_WORD)
        return max(least, longest, min(-(-self.max_width // _MAX_LINES), _MAX_NARROW))

    def pad(self, cell: str, width: int) -> str:
        """Align a line of a cell."""
        space = " " * (width - cell_len(cell))
        return space + cell if self.column.kind == "number" else cell + space


class Layout(NamedTuple):
    """Which columns are shown, how wide they are, and those that are left out."""

    shown: list[ShownColumn]
    widths: list[int]
    left_out: list[ShownColumn]

    @property
    def width(self) -> int:
        """The width of a row."""
        return sum(self.widths) + len(_GAP) * (len(self.widths) - 1)


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    title: str | Words = "",
    note: str | Words = "",
    colors: Sequence[str] = (),
    plain: bool = False,
    console: "Console | None" = None,
) -> None:
    """Print a table on standard output.

    Args:
        columns: with their keys and ranks.
        rows: a cell for each column. Integers and floats are grouped, with one decimal for floats;
            None is empty.
        title: a line above the table; not with `plain`.
        note: a line below it; not with `plain`.
        colors: of each row in a terminal; empty for its usual colour.
        plain: separate the cells by tabs, for another program.
        console: prints there, and has the width; default: standard output.
    """
    console, rows = console or open_console(), list(rows)
    if plain:
        lines = [[column.key for column in columns], *(map(_format_plain, row) for row in rows)]
        _print_lines(console, ("\t".join(line) for line in lines))
        return
    lang = current_language()
    shown = list(_select(columns, rows, lang))
    _print_lines(console, _lines_of(title))
    notes = _lines_of(note)
    if console.is_terminal:
        layout = fit(shown, console.width)
        if layout.width <= console.width:
            _print_lines(console, _fold_rows(layout, colors))
            notes += _name_left_out(layout, lang)
        else:
            _print_lines(console, _list_fields(shown))
    else:
        _print_lines(console, _align(shown))
    _print_lines(console, notes)


def open_console(*, stderr: bool = False) -> "Console":
    """Create a console that wraps lines in a terminal only; in a pipe, lines stay whole."""
    from rich.console import Console

    console = Console(stderr=stderr)
    console.soft_wrap = not console.is_terminal
    return console


def fit(columns: Sequence[ShownColumn], width: int) -> Layout:
    """Choose the columns for a width, and how wide each of them is.

    If the columns that must stay do not fit, the widths add up to more.
    """
    shown = list(columns)
    while (layout := Layout(shown, [one.min_width for one in shown], [])).width > width:
        highest = max(one.column.rank for one in shown)
        if not highest:
            break
        shown = [one for one in shown if one.column.rank != highest]
    widths = layout.widths
    for _ in range(width - layout.width):
        folds = [  # of a text: into how many lines; the headings of other columns come first
            one.max_width / max(given, 1) * (1 if one.column.kind == "text" else 1_000)
            if one.max_width > given
            else 0
            for one, given in zip(shown, widths, strict=True)
        ]
        if not any(folds):
            break
        widths[folds.index(max(folds))] += 1
    return Layout(shown, widths, [one for one in columns if one not in shown])


def _select(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], lang: Lang
) -> Iterator[ShownColumn]:
    """The columns that a reader of some languages sees."""
    languages = languages_of(lang)
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows]
        if column.language and column.language not in languages:
            continue
        has_words = column.kind == "text" and any(isinstance(cell, Words) for cell in cells)
        apart: tuple[tuple[Language, ...], ...] = (
            ((column.language,),)
            if column.language
            else tuple((language,) for language in languages)
            if has_words
            else (languages,)
        )
        for own in apart:
            headings = [column.name(one) if one in own else "" for one in languages]
            yield ShownColumn(column, headings, [_format(cell, own) for cell in cells])


def _fold_rows(layout: Layout, colors: Sequence[str]) -> Iterator[str]:
    """The headings, each language on lines of its own, a rule, and the rows."""
    for headings in zip(*(one.headings for one in layout.shown), strict=True):
        yield from _fold_row(layout, headings)
    yield "─" * layout.width
    for number, row in enumerate(zip(*(one.cells for one in layout.shown), strict=True)):
        color = colors[number] if colors else ""
        for line in _fold_row(layout, row):
            yield typer.style(line, fg=color) if color else line


def _fold_row(layout: Layout, row: Sequence[str]) -> Iterator[str]:
    folded = [_fold(cell, width) for cell, width in zip(row, layout.widths, strict=True)]
    for number in range(max(map(len, folded))):
        cells = [lines[number] if number < len(lines) else "" for lines in folded]
        padded = map(ShownColumn.pad, layout.shown, cells, layout.widths)
        yield _GAP.join(padded).rstrip()


def _split(text: str) -> Iterator[tuple[str, str]]:
    """The pieces between which a text may be broken, and what stands between a piece and the next.

    Names are broken after their hyphens, too, as in Baloda Bazar-Bhatapara; codes are not.
    """
    for word in text.split(" "):
        *pieces, last = _HYPHEN.split(word)
        yield from ((piece, "") for piece in pieces)
        yield last, " "


def _fold(text: str, width: int) -> list[str]:
    """Break a text into lines between words; a word that is too long is broken, too."""
    lines = []
    for paragraph in text.split("\n"):
        line = gap = ""
        for word, following in _split(paragraph):
            if line and cell_len(line) + len(gap) + cell_len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line}{gap}{word}" if line else word
            gap = following
            if cell_len(line) > width:
                *whole, line = chop_cells(line, width)
                lines += whole
        lines.append(line)
    return lines


def _align(columns: Sequence[ShownColumn]) -> Iterator[str]:
    """The headings, a line for each language, and each row on one line."""
    joined = [
        one._replace(cells=[*one.headings, *map(_join_lines, one.cells)], headings=[])
        for one in columns
    ]
    widths = [one.max_width for one in joined]
    for row in zip(*(one.cells for one in joined), strict=True):
        yield _GAP.join(map(ShownColumn.pad, joined, row, widths)).rstrip()


def _list_fields(columns: Sequence[ShownColumn]) -> Iterator[str]:
    """A line for each cell, and an empty line between rows."""
    headings = [one.headings for one in columns]
    widths = [max(map(cell_len, names)) for names in zip(*headings, strict=True)]
    for number in range(len(columns[0].cells)):
        if number:
            yield ""
        for one in columns:
            names = [
                name + " " * (width - cell_len(name))
                for name, width in zip(one.headings, widths, strict=True)
            ]
            yield _GAP.join([*names, _join_lines(one.cells[number])]).rstrip()


def _name_left_out(layout: Layout, lang: Lang) -> list[str]:
    if not layout.left_out:
        return []
    languages = languages_of(lang)
    names = {
        language: ", ".join({one.column.name(language): None for one in layout.left_out})
        for language in languages
    }
    texts = {
        "hi": "इस चौड़ाई में छोड़े गए: {} (`| cat` सब दिखाता है)",
        "en": "left out at this width: {} (`| cat` shows all)",
    }
    return [texts[language].format(names[language]) for language in languages]


def _lines_of(text: str | Words) -> list[str]:
    if isinstance(text, Words):
        return text.lines()
    return [text] if text else []


def _print_lines(console: "Console", lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, file=console.file)  # rich would expand tabs


def _format(cell: Cell, languages: Sequence[Language]) -> str:
    match cell:
        case None:
            return ""
        case Words():
            return "\n".join(cell.of(language) for language in languages)
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:,.1f}"
    return cell.isoformat()


def _format_plain(cell: Cell) -> str:
    match cell:
        case int():
            return str(cell)
        case float():
            return f"{cell:.1f}"
    return _join_lines(_format(cell, ("en",)))


def _join_lines(cell: str) -> str:
    return "; ".join(cell.splitlines()).replace("\t", " ")
