"""Checks as a person reads them: one table, in English and Hindi. No I/O."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from doctor.rules import NOT_CHECKED, Area, Check, Verdict

_AREAS: dict[Area, str] = {
    "Kafka": "Kafka  काफ़्का",
    "ClickHouse": "ClickHouse  क्लिकहाउस",
    "registry": "registry  इकाई सूची",
    "gateway": "gateway  गेटवे",
    "settings": "settings  सेटिंग",
}
_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓ ok\n  ठीक", "green"),
    "warning": ("! warning\n  चेतावनी", "yellow"),
    "failure": ("✗ failure\n  ख़राबी", "bold red"),
}


def render(checks: Sequence[Check]) -> Table:
    """The table of all checks, area by area."""
    table = Table()
    table.add_column("check\nजाँच", max_width=26)
    table.add_column("verdict\nनतीजा", no_wrap=True)
    table.add_column("found\nक्या मिला", ratio=5)
    table.add_column("what to do\nक्या करें", ratio=5)
    for area, rows in _group_by_area(checks):
        table.add_row(Text(_AREAS[area], style="bold"))
        for names, check in _merge_unchecked(rows):
            word, style = _VERDICTS[check.verdict]
            verdict = word.replace("\n", " ") if check.verdict == "ok" else word
            table.add_row(
                Text(f"  {names}"),
                Text(verdict, style=style),
                Text(check.found),
                Text(check.remedy),
            )
        table.add_section()
    return table


def summary(checks: Sequence[Check]) -> str:
    """How many checks gave each verdict, in one line."""
    count = Counter(check.verdict for check in checks)
    return (
        f"ok ठीक: {count['ok']}, warning चेतावनी: {count['warning']}, "
        f"failure ख़राबी: {count['failure']}"
    )


def _group_by_area(checks: Sequence[Check]) -> Iterator[tuple[Area, list[Check]]]:
    for area in _AREAS:
        yield area, [check for check in checks if check.area == area]


def _merge_unchecked(checks: Iterable[Check]) -> Iterator[tuple[str, Check]]:
    """Names to show, and the check; neighbours not checked for one reason become one row."""
    for _, group in groupby(checks, key=_row_key):
        rows = list(group)
        is_unchecked = rows[0].found.startswith(NOT_CHECKED)
        yield ", ".join(check.name for check in rows) if is_unchecked else rows[0].name, rows[0]


def _row_key(check: Check) -> tuple[str, str]:
    return ("" if check.found.startswith(NOT_CHECKED) else check.name, check.found)
